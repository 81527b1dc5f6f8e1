//! WFDB annotation files (`.atr`) in the MIT format: what was seen at which sample.
//!
//! The format is annot(5) of the WFDB Applications Guide: 16-bit words of a 6-bit code and a 10-bit time step, with escape
//! codes for long steps and for the fields that most annotations lack. Notes at the start may define labels of the file's own and the
//! resolution of its times.

use std::collections::BTreeMap;
use std::path::Path;

use crate::{Error, Result, files};

/// One annotation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// The sample that it belongs to, in units of the file's resolution.
    pub sample: u64,
    /// Its code: 1 is a normal beat, 5 a premature ventricular one, 28 a change of rhythm, ... unless the file defines it otherwise.
    pub code: u8,
    /// Its subtype; 0 unless given for this very annotation.
    pub subtype: i8,
    /// Its channel; it holds until another is given.
    pub channel: u8,
    /// Its number; it holds until another is given.
    pub number: i8,
    /// Its text, such as `(AFIB`; NUL bytes at its end are taken off.
    pub aux: String,
}

/// What an annotation file says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations {
    /// The annotations, in the order of time; notes that define something are not among them.
    pub list: Vec<Annotation>,
    /// Samples a second that times are counted in, where the file says so; the record's frames otherwise.
    pub resolution: Option<f64>,
    /// Symbol and description of the codes that the file defines.
    pub defined: BTreeMap<u8, (String, String)>,
}

/// The symbols of codes 0 to 41, as ecgcodes of the WFDB library has them; a blank where there is none.
const SYMBOLS: &[u8; 42] = b" NLRaVFJASEj/Q~ | sT*D\"=pB^t+u?![]en@xf()r";
const NOTE: u8 = 22;
const SKIP: u16 = 59;
const NUM: u16 = 60;
const SUB: u16 = 61;
const CHN: u16 = 62;
const AUX: u16 = 63;
/// Codes up to this are annotations (ACMAX of the WFDB library).
const LAST_CODE: u16 = 49;
/// The largest annotation file that is read. 1 GiB.
const MAX_BYTES: u64 = 1 << 30;

/// Reads the annotation file at `path`.
///
/// # Errors
/// A file that ends without its end mark (it was truncated), codes or fields out of place, definitions that are none.
pub fn read(path: &Path) -> Result<Annotations> {
    let bytes = files::read_bytes(path, MAX_BYTES)?;
    let list = parse(&bytes).map_err(|(at, found, expected)| {
        Error::input(path.display(), format!("byte {at}"), found, expected)
    })?;
    interpret(list).map_err(|(found, expected)| Error::input(path.display(), "definitions", found, expected))
}

impl Annotations {
    /// The symbol of a code: the file's own, else the standard one, else the number in brackets.
    pub fn symbol(&self, code: u8) -> String {
        match (self.defined.get(&code), SYMBOLS.get(usize::from(code))) {
            (Some((symbol, _)), _) => symbol.clone(),
            (None, Some(&symbol)) if symbol != b' ' => char::from(symbol).to_string(),
            _ => format!("[{code}]"),
        }
    }
}

/// Takes the notes that define something out of the list.
fn interpret(list: Vec<Annotation>) -> Result<Annotations, (String, &'static str)> {
    let mut read = Annotations::default();
    let mut defining = false;
    let mut defined = false;
    for note in list {
        let text = note.aux.trim();
        if note.code == NOTE && defining {
            defining = text != "## end of definitions";
            if defining {
                let (code, symbol, description) = definition(text)?;
                read.defined.insert(code, (symbol, description));
            }
        } else if note.code == NOTE && text == "## annotation type definitions" {
            (defining, defined) = (true, true);
        } else if let Some(rate) = text.strip_prefix("## time resolution:").filter(|_| note.code == NOTE) {
            let rate = rate.trim().parse::<f64>().ok().filter(|rate| rate.is_finite() && *rate > 0.0);
            let bad = || (format!("`{text}`"), "## time resolution: a number above 0");
            read.resolution = Some(rate.ok_or_else(bad)?);
            defined = true;
        } else if !(defined && note.code == 0 && note.sample == 0) {
            // Writers bring the clock back to 0 behind definitions by an annotation that says nothing.
            read.list.push(note);
        }
    }
    if defining {
        return Err(("label definitions without an end".into(), "## end of definitions"));
    }
    read.list.sort_by_key(|annotation| annotation.sample);
    Ok(read)
}

/// `42 v ventricular`
fn definition(text: &str) -> Result<(u8, String, String), (String, &'static str)> {
    let bad = || (format!("`{text}`"), "CODE SYMBOL DESCRIPTION, with a code from 0 to 49");
    let mut fields = text.splitn(3, char::is_whitespace);
    let code =
        fields.next().and_then(|code| code.parse::<u8>().ok()).filter(|&code| u16::from(code) <= LAST_CODE);
    let symbol = fields.next().filter(|symbol| !symbol.is_empty()).ok_or_else(bad)?;
    Ok((code.ok_or_else(bad)?, symbol.to_string(), fields.next().unwrap_or_default().trim().to_string()))
}

type Bad = (usize, String, &'static str);

fn parse(bytes: &[u8]) -> Result<Vec<Annotation>, Bad> {
    let truncated =
        |at: usize| (at, "the end of the file".to_string(), "the end mark (two zero bytes); truncated?");
    let word = |at: usize| match bytes.get(at..at + 2) {
        Some(pair) => Ok(u16::from_le_bytes([pair[0], pair[1]])),
        None => Err(truncated(at)),
    };
    let mut annotations: Vec<Annotation> = Vec::new();
    let (mut at, mut time) = (0usize, 0i64);
    let (mut channel, mut number) = (0u8, 0i8);
    loop {
        let (code, step) = (word(at)? >> 10, word(at)? & 0x3ff);
        let start = at;
        at += 2;
        match code {
            0 if step == 0 => return Ok(annotations),
            SKIP => {
                // A 32-bit step, its upper half first.
                let step = i32::from(word(at)? as i16) << 16 | i32::from(word(at + 2)?);
                time += i64::from(step);
                at += 4;
            }
            NUM | SUB | CHN | AUX => {
                let no_owner = (start, format!("a field of code {code}"), "an annotation before it");
                let owner = annotations.last_mut().ok_or(no_owner)?;
                match code {
                    NUM => number = step as i8,
                    CHN => channel = step as u8,
                    SUB => owner.subtype = step as i8,
                    _ => {
                        let text = bytes.get(at..at + usize::from(step)).ok_or(truncated(at))?;
                        owner.aux = String::from_utf8_lossy(text).trim_end_matches('\0').to_string();
                        at += usize::from(step) + usize::from(step % 2);
                    }
                }
                owner.number = number;
                owner.channel = channel;
            }
            code if code <= LAST_CODE => {
                time += i64::from(step);
                let sample = u64::try_from(time);
                let sample = sample.map_err(|_| (start, format!("sample {time}"), "a sample from 0"))?;
                annotations.push(Annotation {
                    sample,
                    code: code as u8,
                    channel,
                    number,
                    ..Default::default()
                });
            }
            code => {
                return Err((start, format!("code {code}"), "an annotation code from 0 to 49, or 59 to 63"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn word(code: u16, step: u16) -> [u8; 2] {
        (code << 10 | step).to_le_bytes()
    }

    #[test]
    fn fields_and_long_steps_are_read() {
        let mut bytes = Vec::new();
        bytes.extend(word(28, 18));
        bytes.extend(word(AUX, 3));
        bytes.extend(b"(N\0\0");
        bytes.extend(word(1, 59));
        bytes.extend(word(CHN, 1));
        bytes.extend(word(SKIP, 0));
        bytes.extend([0x01, 0x00, 0x70, 0x11]);
        bytes.extend(word(5, 0));
        bytes.extend(word(SUB, 0x3ff));
        bytes.extend(word(NUM, 2));
        bytes.extend(word(1, 4));
        bytes.extend([0, 0]);
        let read = parse(&bytes).unwrap();
        let short: Vec<_> = read.iter().map(|a| (a.sample, a.code, a.subtype, a.channel, a.number)).collect();
        let far = 77 + 65536 + 0x1170;
        assert_eq!(short, [(18, 28, 0, 0, 0), (77, 1, 0, 1, 0), (far, 5, -1, 1, 2), (far + 4, 1, 0, 1, 2)]);
        assert_eq!(read[0].aux, "(N");
        for cut in 0..bytes.len() {
            assert!(parse(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }

    /// Bytes as the Python package `wfdb` 4.3.1 writes them: labels v and w of codes 1 and 2, 720 ticks a second, v at 300, w at 600.
    #[test]
    fn definitions_are_no_annotations() {
        let note = |text: &str| {
            let mut bytes = [word(22, 0), word(AUX, text.len() as u16)].concat();
            bytes.extend(text.as_bytes());
            bytes.resize(bytes.len().next_multiple_of(2), 0);
            bytes
        };
        let mut bytes = Vec::new();
        let notes = [
            "## time resolution: 720",
            "## annotation type definitions",
            "1 v ventricular",
            "2 w a wide one",
        ];
        for text in notes.iter().chain(&["## end of definitions"]) {
            bytes.extend(note(text));
        }
        bytes.extend([0x00, 0xec, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00, 0x2c, 0x05, 0x2c, 0x09, 0, 0]);
        let read = interpret(parse(&bytes).unwrap()).unwrap();
        let short: Vec<_> = read.list.iter().map(|a| (a.sample, read.symbol(a.code))).collect();
        assert_eq!(short, [(300, "v".to_string()), (600, "w".to_string())]);
        assert_eq!((read.resolution, read.defined[&2].1.as_str()), (Some(720.0), "a wide one"));
        assert_eq!(
            [1, 5, 12, 28, 38, 41, 45].map(|code| Annotations::default().symbol(code)).concat(),
            "NV/+fr[45]"
        );
        for broken in [
            &["## time resolution: x"][..],
            &["## annotation type definitions"],
            &["## annotation type definitions", "x"],
        ] {
            let bytes = [broken.iter().flat_map(|text| note(text)).collect::<Vec<u8>>(), vec![0, 0]].concat();
            assert!(interpret(parse(&bytes).unwrap()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn misplaced_codes_are_refused() {
        assert!(parse(&[word(SUB, 1), [0, 0]].concat()).is_err());
        assert!(parse(&[word(55, 1), [0, 0]].concat()).is_err());
        let back = [&word(SKIP, 0)[..], &[0xff, 0xff, 0xff, 0xff], &word(1, 0), &[0, 0]].concat();
        assert!(parse(&back).is_err());
    }
}
