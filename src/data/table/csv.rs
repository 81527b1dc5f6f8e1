//! Reading CSV: compressed or not, in the encodings and with the marks between fields that are met.

use std::borrow::Cow;
use std::io::Read;

use super::source::IN_MEMORY;
use super::texts::Texts;
use super::{Cells, MAX_CELLS, Raw, Wanted};
use crate::data::Remark;
use crate::memory::Room;
use crate::{Error, Result};

/// Marks that may stand between fields.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records that are looked at to find the mark.
const LOOKED_AT: usize = 100;
/// Bytes of memory for a cell, as a text's end, a number and a sample's value, and for a row while a column of them is read.
const CELL: u64 = 36;
const ROW: u64 = 56;
/// A compressed file that becomes larger than this is refused.
const MAX_INFLATED: u64 = 4 << 30;

/// The columns of a CSV with a header line, inflated to at most `most` bytes; `delimiter` is what its author says, or found by what makes all lines equally long.
pub(super) fn read(
    file: &str,
    bytes: &[u8],
    delimiter: Option<char>,
    room: Room,
    wanted: Wanted,
) -> Result<Raw> {
    let mut remarks = Vec::new();
    let bytes = inflated(file, bytes, (room.most() / IN_MEMORY).min(MAX_INFLATED))?;
    let text = decoded(file, &bytes, &mut remarks)?;
    let (stated, text) = stated_delimiter(&text);
    let (comments, text) = without_comments(text);
    if comments > 0 {
        let lines = if comments == 1 { "line" } else { "lines" };
        remarks.push(Remark::note(format!("{comments} {lines} of comments before the header left out")));
    }
    let delimiter = match delimiter {
        Some(said) => u8::try_from(said).ok().filter(u8::is_ascii).ok_or_else(|| {
            Error::input(
                file,
                "delimiter",
                format!("{said:?}"),
                "one ASCII character, such as \";\" or \"\\t\"",
            )
        })?,
        None => match stated {
            Some(stated) => stated,
            None => sniffed(file, text)?,
        },
    };
    if delimiter != b',' {
        remarks.push(Remark::note(format!("{} between fields", shown(delimiter))));
    }
    columns(file, text, delimiter, room, wanted, remarks)
}

fn columns(
    file: &str,
    text: &str,
    delimiter: u8,
    room: Room,
    wanted: Wanted,
    mut remarks: Vec<Remark>,
) -> Result<Raw> {
    let bad = |error: csv::Error| {
        let place = error.position().map_or("csv".to_string(), |p| format!("line {}", p.line()));
        let expected = "a line of as many fields as the header has: titles above the header and notes below the table are taken out, and fields that \
                        hold the mark between fields are put in double quotes";
        Error::input(file, place, error, expected)
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let header = reader.headers().map_err(bad)?.clone();
    if header.is_empty() || header.iter().all(|name| name.trim().is_empty()) {
        return Err(Error::input(file, "header", "no columns", "the columns' names"));
    }
    let name = |(k, name): (usize, &str)| match trimmed(name) {
        "" => format!("Unnamed: {k}"),
        name => name.to_string(),
    };
    let all: Vec<String> = header.iter().enumerate().map(name).collect();
    let index_columns: Vec<String> = all.iter().filter(|name| numbers_rows(name)).cloned().collect();
    let kept: Vec<bool> = all.iter().map(|name| wanted(name)).collect();
    let width = kept.iter().filter(|kept| **kept).count();
    let mut texts: Vec<Texts> = vec![Texts::default(); width];
    let (mut record, mut last) = (csv::StringRecord::new(), csv::StringRecord::new());
    let (mut cells, mut rows) = (0, 0);
    // In a text of short cells these are far more than the text.
    let room = Room::of(Some(room.most()));
    while reader.read_record(&mut record).map_err(bad)? {
        (cells, rows) = (cells + width as u64, rows + 1);
        let taken = text.len() as u64 + cells * CELL + rows * ROW;
        if taken > room.most() {
            let place = format!("line {}", rows + 1);
            room.afford(file, place, u128::from(taken), ": drop columns, or part the file")?;
        }
        if cells > MAX_CELLS {
            return Err(Error::input(
                file,
                "size",
                format!("more than {MAX_CELLS} cells"),
                "fewer: drop columns, or part the file",
            ));
        }
        let fields = record.iter().zip(&kept).filter(|(_, kept)| **kept);
        fields.zip(&mut texts).for_each(|((field, _), texts)| texts.push(trimmed(field)));
        std::mem::swap(&mut record, &mut last);
    }
    // A word that other rows have too is a category.
    let summed = last.iter().position(|field| sums_up(trimmed(field)));
    let summed = summed.filter(|at| rows > 1 && !repeats(text, delimiter, *at, &last[*at]));
    if let Some(at) = summed {
        let found =
            format!("`{}` in column `{}`: a row that sums up the others", trimmed(&last[at]), all[at]);
        return Err(Error::input(file, "the last line", found, "samples alone: take this line out"));
    }
    let all_empty: Vec<&str> =
        all.iter().map(String::as_str).filter(|name| name.starts_with("Unnamed: ")).collect();
    if all_empty.len() > 1 {
        remarks.push(Remark::note(format!(
            "columns without a name in the header are called {}",
            all_empty.join(", ")
        )));
    }
    let (names, unread): (Vec<_>, Vec<_>) = all.into_iter().zip(kept).partition(|(_, kept)| *kept);
    let bare = |pairs: Vec<(String, bool)>| pairs.into_iter().map(|(name, _)| name).collect();
    Ok(Raw {
        names: bare(names),
        cells: texts.into_iter().map(Cells::Text).collect(),
        unread: bare(unread),
        index_columns,
        remarks,
    })
}

/// Whether the column at a position has the same text in several rows.
fn repeats(text: &str, delimiter: u8, at: usize, field: &str) -> bool {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let same = reader.records().flatten().filter(|record| record.get(at) == Some(field));
    same.take(2).count() > 1
}

/// Names that pandas gives to the numbers of rows: an index without a name, as `to_csv` writes it and `read_csv` calls it.
pub(super) fn numbers_rows(name: &str) -> bool {
    let number = |prefix: &str, suffix: &str| {
        name.strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(suffix))
            .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
    };
    number("Unnamed: ", "") || number("__index_level_", "__")
}

fn inflated<'a>(file: &str, bytes: &'a [u8], most: u64) -> Result<Cow<'a, [u8]>> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut inflated = Vec::new();
    let mut decoder = flate2::read::MultiGzDecoder::new(bytes).take(most + 1);
    decoder
        .read_to_end(&mut inflated)
        .map_err(|error| Error::input(file, "gzip", error, "an undamaged gzip file"))?;
    if inflated.len() as u64 > most {
        return Err(Error::input(
            file,
            "gzip",
            format!("more than {most} bytes of text"),
            "a smaller file, or a larger limit by --memory, of which a text may take a fifth",
        ));
    }
    Ok(Cow::Owned(inflated))
}

/// The text, by its byte order mark, by zeros where UTF-16 has them, or else as UTF-8 or, where it is none, Windows-1252 (Latin-1 and more).
fn decoded<'a>(file: &str, bytes: &'a [u8], remarks: &mut Vec<Remark>) -> Result<Cow<'a, str>> {
    let head = &bytes[..bytes.len().min(512)];
    let zeros = |offset: usize| head.iter().skip(offset).step_by(2).filter(|byte| **byte == 0).count();
    let encoding = match encoding_rs::Encoding::for_bom(bytes) {
        Some((encoding, _)) => encoding,
        None if head.len() >= 4 && zeros(1) > head.len() / 4 => encoding_rs::UTF_16LE,
        None if head.len() >= 4 && zeros(0) > head.len() / 4 => encoding_rs::UTF_16BE,
        None if std::str::from_utf8(bytes).is_ok() => encoding_rs::UTF_8,
        None => encoding_rs::WINDOWS_1252,
    };
    let (text, broken) = encoding.decode_with_bom_removal(bytes);
    if broken {
        let found = format!("bytes that are not {}", encoding.name());
        return Err(Error::input(
            file,
            "encoding",
            found,
            "UTF-8, UTF-16 with its mark, or Windows-1252 (Latin-1)",
        ));
    }
    if text.contains('\0') {
        return Err(Error::input(
            file,
            "encoding",
            "zero bytes",
            "a text in UTF-8, UTF-16 or Windows-1252 (Latin-1)",
        ));
    }
    if encoding != encoding_rs::UTF_8 {
        remarks.push(Remark::note(format!("text in {}", encoding.name())));
    }
    Ok(text)
}

/// The line `sep=;` that spreadsheets put before the header, and the text after it.
fn stated_delimiter(text: &str) -> (Option<u8>, &str) {
    let line = text.lines().next().unwrap_or_default();
    let bare = line.trim().trim_matches('"');
    let stated =
        bare.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).map(|_| &bare.as_bytes()[4..]);
    match stated {
        Some([delimiter]) => (Some(*delimiter), text[line.len()..].trim_start_matches(['\r', '\n'])),
        _ => (None, text),
    }
}

/// The number of lines before the header that begin with `# ` or `##`, and the text after them; `#id` is a header's name.
fn without_comments(text: &str) -> (usize, &str) {
    let (mut count, mut rest) = (0, text);
    while rest.starts_with("# ") || rest.starts_with("##") {
        let Some(end) = rest.find('\n') else { break };
        (count, rest) = (count + 1, &rest[end + 1..]);
    }
    (count, rest)
}

/// A field without the blanks about it, those without a width among them.
fn trimmed(field: &str) -> &str {
    field.trim_matches(|c: char| c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}'))
}

/// Whether a text says that its row adds up the others.
fn sums_up(field: &str) -> bool {
    const WORDS: [&str; 13] = [
        "total",
        "totals",
        "grand total",
        "subtotal",
        "sum",
        "average",
        "gesamt",
        "gesamtergebnis",
        "summe",
        "insgesamt",
        "mittelwert",
        "somme",
        "totaal",
    ];
    field.len() <= 16 && WORDS.contains(&field.trim_end_matches(':').to_lowercase().as_str())
}

/// The mark that parts every one of the first lines into as many fields as the header has, two or more.
fn sniffed(file: &str, text: &str) -> Result<u8> {
    let fields = |delimiter: u8| -> (usize, bool) {
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let lengths: Vec<usize> =
            reader.records().take(LOOKED_AT).map(|record| record.map_or(0, |r| r.len())).collect();
        let first = lengths.first().copied().unwrap_or(0);
        (first, first > 1 && lengths.iter().all(|length| *length == first))
    };
    let found: Vec<(u8, (usize, bool))> =
        DELIMITERS.iter().map(|delimiter| (*delimiter, fields(*delimiter))).collect();
    let even: Vec<u8> =
        found.iter().filter(|(_, (_, even))| *even).map(|(delimiter, _)| *delimiter).collect();
    match even[..] {
        [delimiter] => Ok(delimiter),
        [] => {
            // No mark fits all lines: the reader's own error names the line, by the mark that the header is richest in.
            let richest =
                found.iter().rev().max_by_key(|(_, (width, _))| *width).map(|(delimiter, _)| *delimiter);
            Ok(richest.filter(|_| found.iter().any(|(_, (width, _))| *width > 1)).unwrap_or(b','))
        }
        _ => {
            let marks = even.iter().map(|delimiter| shown(*delimiter)).collect::<Vec<_>>().join(" and ");
            let spec = super::spec_path(std::path::Path::new(file));
            let expected = format!(
                "delimiter = \";\" (or \",\", \"\\t\", \"|\"), as fields are parted, in the spec ({} beside the table)",
                spec.display()
            );
            Err(Error::input(
                file,
                "header",
                format!("{marks}, each of which parts all lines evenly"),
                expected,
            ))
        }
    }
}

fn shown(delimiter: u8) -> String {
    if delimiter == b'\t' { "tabs".into() } else { format!("`{}`", char::from(delimiter)) }
}
