//! Reading arrays out of NumPy's `.npz` archives, trusting none of their lengths.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::memory::Room;
use crate::{Error, Result};

/// An open archive of arrays.
pub struct Npz {
    path: PathBuf,
    archive: npyz::npz::NpzArchive<BufReader<File>>,
    names: Vec<String>,
    room: Room,
}

/// The numbers of an array, by the type that the file stores.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// `uint8` and `bool`.
    U8(Vec<u8>),
    /// Any other integer type.
    Integer(Vec<i64>),
    /// `float16`, `float32` or `float64`.
    Float(Vec<f64>),
}

/// An array in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Extents, slowest first.
    pub shape: Vec<usize>,
    /// `shape`'s product of them.
    pub numbers: Numbers,
}

/// Deflate cannot expand its input by more than this factor (RFC 1951: 258 bytes from 2 bits).
const MAX_EXPANSION: u64 = 1032;
/// NumPy refuses longer headers, too (`max_header_size`).
const LONGEST_HEADER: u64 = 1 << 16;

impl Npz {
    /// Opens the archive at `path` and reads its directory.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not a zip archive with `.npy` arrays in it.
    pub fn open(path: &Path) -> Result<Self> {
        let file = crate::files::open(path)?;
        let archive = npyz::npz::NpzArchive::new(BufReader::new(file)).map_err(|error| {
            Error::input(path.display(), "archive", error, "an npz file (a zip archive of npy arrays)")
        })?;
        let mut names: Vec<String> = archive.array_names().map(str::to_string).collect();
        names.sort();
        if names.is_empty() {
            return Err(Error::input(path.display(), "archive", "no npy array", "an npz file"));
        }
        Ok(Self { path: path.to_path_buf(), archive, names, room: Room::default() })
    }

    /// The names of the arrays, sorted.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether there is an array of this name.
    pub fn has(&self, name: &str) -> bool {
        self.names.iter().any(|n| n == name)
    }

    /// The file's own path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The same archive; what would take more memory than there is room for is refused.
    pub fn within(mut self, room: Room) -> Self {
        self.room = room;
        self
    }

    /// An error about the array `name`.
    pub(super) fn error(&self, name: &str, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(self.path.display(), format!("array `{name}`"), found, expected)
    }

    /// Whether so many bytes may be taken for the array `name`.
    ///
    /// # Errors
    /// More than the limit.
    pub(super) fn afford(&self, name: &str, bytes: u128, mend: &str) -> Result<()> {
        self.room.afford(self.path.display(), format!("array `{name}`"), bytes, mend)
    }

    /// Type and shape of the array `name`; its data are not read.
    ///
    /// # Errors
    /// An array that is not there, or whose stated size is not that of its data or more than its compressed form can hold.
    pub fn header(&mut self, name: &str) -> Result<Header> {
        let path = self.path.clone();
        let fail = |found: String, expected: String| {
            Error::input(path.display(), format!("array `{name}`"), found, expected)
        };
        let entry = self.entry(name)?;
        let (size, packed) = (entry.size(), entry.compressed_size());
        let mut first = Vec::new();
        entry
            .take(LONGEST_HEADER)
            .read_to_end(&mut first)
            .map_err(|error| fail(error.to_string(), "undamaged data".into()))?;
        let header = Header::parse(&first).map_err(|(found, expected)| fail(found, expected))?;
        let bytes =
            header.shape.iter().try_fold(header.width() as u64, |n, &extent| n.checked_mul(extent as u64));
        let whole = bytes.and_then(|bytes| bytes.checked_add(header.data_start as u64));
        if whole != Some(size) {
            let bytes = bytes.map_or("fewer".to_string(), |n| n.to_string());
            let found = format!("{} bytes of data", size.saturating_sub(header.data_start as u64));
            return Err(fail(
                found,
                format!("{bytes} bytes for shape {:?} of {}", header.shape, header.descr),
            ));
        }
        if size > packed.saturating_mul(MAX_EXPANSION).saturating_add(1024) {
            return Err(fail(
                format!("{size} bytes out of {packed} compressed ones"),
                "a size that they can hold".into(),
            ));
        }
        Ok(header)
    }

    /// Reads the whole array `name`, numbers alone.
    ///
    /// # Errors
    /// An array that is not there, damaged, truncated, or of a type that holds no numbers.
    pub fn array(&mut self, name: &str) -> Result<Array> {
        let header = self.header(name)?;
        if header.text_len().is_some() {
            return Err(self.error(name, format!("texts (`{}`)", header.descr), "bool, integers or floats"));
        }
        let data = self.data(name, &header)?;
        Ok(Array { numbers: decode(&header.descr, &data), shape: header.shape })
    }

    /// Reads the whole array `name`, numbers, truth values or texts, as a column of labels or groups.
    ///
    /// # Errors
    /// As [`Npz::array`].
    pub fn column(&mut self, name: &str) -> Result<(Vec<usize>, Column)> {
        let header = self.header(name)?;
        let data = self.data(name, &header)?;
        let column = match header.text_len() {
            Some(_) => Column::Texts(texts(&header.descr, header.width(), &data)),
            None if header.descr.ends_with("b1") => {
                Column::Truths(data.iter().map(|&byte| byte != 0).collect())
            }
            None => Column::Numbers(decode(&header.descr, &data)),
        };
        Ok((header.shape, column))
    }

    /// All data of an array, in C order.
    fn data(&mut self, name: &str, header: &Header) -> Result<Vec<u8>> {
        // Nothing takes more than eight bytes a number once it is decoded; a text takes those of itself and its own length.
        let each = header.text_len().map_or(8, |len| 24 + len);
        let count: u128 = header.shape.iter().map(|&extent| extent as u128).product();
        self.afford(name, count * each as u128, "")?;
        let path = self.path.clone();
        let mut data = Vec::new();
        self.entry(name)?.read_to_end(&mut data).map_err(|error| {
            Error::input(path.display(), format!("array `{name}`"), error, "undamaged data")
        })?;
        data.drain(..header.data_start.min(data.len()));
        Ok(if header.fortran { header.to_c_order(&data) } else { data })
    }

    /// The bytes of one member, as a stream.
    pub(super) fn entry(&mut self, name: &str) -> Result<zip::read::ZipFile<'_>> {
        let place = format!("array `{name}`");
        if !self.has(name) {
            let found = format!("no such array, but {}", self.names.join(", "));
            return Err(Error::input(self.path.display(), "archive", found, place));
        }
        let file = self.path.display();
        let entry = self.archive.zip_archive().by_name(&npyz::npz::file_name_from_array_name(name));
        entry.map_err(|error| Error::input(file, &place, error, "a readable zip entry"))
    }
}

/// A column of an archive, as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// `U` and `S`.
    Texts(Vec<String>),
    /// `bool`.
    Truths(Vec<bool>),
    /// Numbers.
    Numbers(Numbers),
}

impl Column {
    /// Every entry as a text, whole numbers exactly.
    pub fn texts(&self) -> Vec<String> {
        match self {
            Self::Texts(texts) => texts.clone(),
            Self::Truths(truths) => truths.iter().map(bool::to_string).collect(),
            Self::Numbers(Numbers::U8(v)) => v.iter().map(u8::to_string).collect(),
            Self::Numbers(Numbers::Integer(v)) => v.iter().map(i64::to_string).collect(),
            Self::Numbers(Numbers::Float(v)) => v.iter().map(f64::to_string).collect(),
        }
    }

    /// Every entry as a number, unless they are texts.
    pub fn numbers(&self) -> Option<Vec<f64>> {
        Some(match self {
            Self::Texts(_) => return None,
            Self::Truths(truths) => truths.iter().map(|&truth| f64::from(u8::from(truth))).collect(),
            Self::Numbers(Numbers::U8(v)) => v.iter().map(|&x| f64::from(x)).collect(),
            Self::Numbers(Numbers::Integer(v)) => v.iter().map(|&x| x as f64).collect(),
            Self::Numbers(Numbers::Float(v)) => v.clone(),
        })
    }
}

/// NumPy's texts: UTF-32 (`U`), or bytes (`S`) that are UTF-8 or else Latin-1; trailing zeros are padding.
fn texts(descr: &str, width: usize, data: &[u8]) -> Vec<String> {
    let big = descr.starts_with('>');
    let wide = |entry: &[u8]| -> String {
        let code = |b: &[u8]| {
            let b = [b[0], b[1], b[2], b[3]];
            if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) }
        };
        let codes = entry.chunks_exact(4).map(code).map(|code| char::from_u32(code).unwrap_or('\u{fffd}'));
        codes.collect::<String>().trim_end_matches('\0').to_string()
    };
    let narrow = |entry: &[u8]| {
        let end = entry.iter().rposition(|&byte| byte != 0).map_or(0, |at| at + 1);
        let bytes = &entry[..end];
        std::str::from_utf8(bytes)
            .map_or_else(|_| bytes.iter().map(|&byte| char::from(byte)).collect(), str::to_string)
    };
    let unicode = descr.trim_start_matches(['<', '>', '|', '=']).starts_with('U');
    data.chunks_exact(width.max(1)).map(|entry| if unicode { wide(entry) } else { narrow(entry) }).collect()
}

/// SHA-256 of the file at `path`, in hexadecimal.
///
/// # Errors
/// A file that cannot be read.
pub fn file_sha256(path: &Path) -> Result<String> {
    let mut file = crate::files::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut buffer).map_err(Error::io(path))?;
        if n == 0 {
            return Ok(super::subset::hex(&hash.finalize()));
        }
        hash.update(&buffer[..n]);
    }
}

/// What an npy array says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// NumPy's type: `<f4`, `|u1`, `<U7`.
    pub descr: String,
    /// Extents, as NumPy shows them.
    pub shape: Vec<usize>,
    /// Whether the first axis is the fastest in the file.
    pub(super) fortran: bool,
    /// Where data begin.
    pub(super) data_start: usize,
}

impl Header {
    /// Parses an npy header (NEP 1). Not npyz's parser: that one recurses and multiplies without a check.
    fn parse(bytes: &[u8]) -> Result<Self, (String, String)> {
        let bad = |found: &str, expected: &str| (found.to_string(), expected.to_string());
        if bytes.len() < 10 || &bytes[..6] != b"\x93NUMPY" {
            return Err(bad("no npy header", "an npy array"));
        }
        let (start, len) = match bytes[6] {
            1 => (10, usize::from(u16::from_le_bytes([bytes[8], bytes[9]]))),
            2 | 3 if bytes.len() >= 12 => {
                (12, u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]) as usize)
            }
            version => return Err(bad(&format!("npy version {version}"), "1, 2 or 3")),
        };
        let text = bytes.get(start..).and_then(|rest| rest.get(..len));
        let text = text.and_then(|t| std::str::from_utf8(t).ok());
        let text = text.ok_or_else(|| bad("a truncated header", "a whole npy header"))?;
        let missing =
            |key: &str| bad(&format!("no usable `{key}` in the header"), "descr, fortran_order, shape");
        let descr = value_of(text, "descr").and_then(quoted).ok_or_else(|| missing("descr"))?;
        let order = value_of(text, "fortran_order").ok_or_else(|| missing("fortran_order"))?;
        let shape = value_of(text, "shape").and_then(tuple).ok_or_else(|| missing("shape"))?;
        let header = Self {
            descr: descr.to_string(),
            fortran: !order.starts_with("False") && shape.len() > 1,
            shape,
            data_start: start + len,
        };
        if width_of(descr).is_none() && header.text_len().is_none() {
            let expected = "bool, integers, floats or texts (of objects array.astype(\"float32\") makes numbers, of labels in words array.astype(str) texts)";
            return Err(bad(&format!("dtype `{descr}`"), expected));
        }
        Ok(header)
    }

    /// Bytes of one value.
    pub(super) fn width(&self) -> usize {
        self.text_len().or(width_of(&self.descr)).unwrap_or(1)
    }

    /// Bytes of a text, if there are texts.
    fn text_len(&self) -> Option<usize> {
        let plain = self.descr.trim_start_matches(['<', '>', '|', '=']);
        let (wide, digits) = match plain.strip_prefix('U') {
            Some(digits) => (4, digits),
            None => (1, plain.strip_prefix('S')?),
        };
        digits.parse().ok().filter(|len| (1..=65_536).contains(len)).map(|len: usize| len * wide)
    }

    /// Values of one row.
    pub(super) fn row_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// For every position in Fortran order of a row's axes the place of that value in C order.
    pub(super) fn c_places(&self) -> impl Iterator<Item = usize> + '_ {
        let axes = self.shape.get(1..).unwrap_or_default();
        (0..self.row_len()).map(move |mut at| {
            let mut place = 0;
            let mut stride = self.row_len();
            for &extent in axes {
                stride /= extent.max(1);
                place += at % extent.max(1) * stride;
                at /= extent.max(1);
            }
            place
        })
    }

    fn to_c_order(&self, data: &[u8]) -> Vec<u8> {
        let (width, n, row) = (self.width(), self.shape[0], self.row_len());
        let mut out = vec![0; data.len()];
        for (block, place) in self.c_places().enumerate() {
            for i in 0..n {
                let (from, to) = ((block * n + i) * width, (i * row + place) * width);
                out[to..to + width].copy_from_slice(&data[from..from + width]);
            }
        }
        out
    }
}

fn value_of<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let at = text.find(&format!("'{key}'"))?;
    Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
}

fn quoted(text: &str) -> Option<&str> {
    text.strip_prefix('\'')?.split('\'').next()
}

fn tuple(text: &str) -> Option<Vec<usize>> {
    let inside = text.strip_prefix('(')?.split(')').next()?;
    let parts = inside.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().ok()).collect()
}

/// Bytes of one number of NumPy type `descr`, `None` where it is no plain number.
fn width_of(descr: &str) -> Option<usize> {
    match descr.trim_start_matches(['<', '>', '|', '=']) {
        "b1" | "u1" | "i1" => Some(1),
        "u2" | "i2" | "f2" => Some(2),
        "u4" | "i4" | "f4" => Some(4),
        "u8" | "i8" | "f8" => Some(8),
        _ => None,
    }
}

fn decode(descr: &str, data: &[u8]) -> Numbers {
    let big = descr.starts_with('>');
    let word = |bytes: &[u8]| {
        let mut word = [0u8; 8];
        for (k, slot) in word.iter_mut().enumerate().take(bytes.len()) {
            *slot = if big { bytes[bytes.len() - 1 - k] } else { bytes[k] };
        }
        u64::from_le_bytes(word)
    };
    let integers = |width: usize, to: fn(u64) -> i64| {
        Numbers::Integer(data.chunks_exact(width).map(|chunk| to(word(chunk))).collect())
    };
    let floats = |width: usize, to: fn(u64) -> f64| {
        Numbers::Float(data.chunks_exact(width).map(|chunk| to(word(chunk))).collect())
    };
    match descr.trim_start_matches(['<', '>', '|', '=']) {
        "b1" | "u1" => Numbers::U8(data.to_vec()),
        "i1" => integers(1, |w| i64::from(w as u8 as i8)),
        "u2" => integers(2, |w| w as i64),
        "i2" => integers(2, |w| i64::from(w as u16 as i16)),
        "u4" => integers(4, |w| w as i64),
        "i4" => integers(4, |w| i64::from(w as u32 as i32)),
        "f2" => floats(2, |w| half::f16::from_bits(w as u16).to_f64()),
        "f4" => floats(4, |w| f64::from(f32::from_bits(w as u32))),
        "f8" => floats(8, f64::from_bits),
        _ => integers(8, |w| w as i64),
    }
}

impl Numbers {
    /// The numbers as they are given to a model.
    pub fn to_f32(&self) -> Vec<f32> {
        match self {
            Self::U8(v) => v.iter().map(|&x| f32::from(x)).collect(),
            Self::Integer(v) => v.iter().map(|&x| x as f32).collect(),
            Self::Float(v) => v.iter().map(|&x| x as f32).collect(),
        }
    }

    /// The numbers as whole numbers, `Err(position)` at the first that is none.
    ///
    /// # Errors
    /// The position of a fraction, a NaN or an infinity.
    pub fn to_i64(&self) -> Result<Vec<i64>, usize> {
        match self {
            Self::U8(v) => Ok(v.iter().map(|&x| i64::from(x)).collect()),
            Self::Integer(v) => Ok(v.clone()),
            Self::Float(v) => match v.iter().position(|x| x.fract() != 0.0) {
                Some(at) => Err(at),
                None => Ok(v.iter().map(|&x| x as i64).collect()),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(header: &str, data: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.extend(data);
        bytes
    }

    #[test]
    fn header_fields_are_read_in_any_order() {
        let bytes = npy("{'shape': (2, 3), 'fortran_order': False, 'descr': '<i2'}\n", &[0; 12]);
        let header = Header::parse(&bytes).map_err(|e| e.0);
        assert_eq!(header.map(|h| (h.descr, h.shape)), Ok(("<i2".to_string(), vec![2, 3])));
    }

    #[test]
    fn header_that_lies_about_its_length_is_refused() {
        let mut bytes = npy("{'descr': '<i2', 'fortran_order': False, 'shape': (1,)}", &[0; 2]);
        bytes[8] = 0xff;
        bytes[9] = 0xff;
        assert!(Header::parse(&bytes).is_err());
        assert!(Header::parse(b"\x93NUMPY").is_err());
        assert!(
            Header::parse(&npy("{'descr': '<i2', 'fortran_order': False, 'shape': (-1,)}", &[])).is_err()
        );
    }

    #[test]
    fn numbers_of_every_type_are_decoded() {
        assert_eq!(decode("<i2", &[0xff, 0xff, 2, 0]), Numbers::Integer(vec![-1, 2]));
        assert_eq!(decode(">i2", &[0xff, 0xfe]), Numbers::Integer(vec![-2]));
        assert_eq!(decode("<f4", &1.5f32.to_le_bytes()), Numbers::Float(vec![1.5]));
        assert_eq!(decode(">f8", &(-2.25f64).to_be_bytes()), Numbers::Float(vec![-2.25]));
        assert_eq!(decode("<f2", &half::f16::from_f32(0.5).to_le_bytes()), Numbers::Float(vec![0.5]));
        assert_eq!(decode("|i1", &[0x80]), Numbers::Integer(vec![-128]));
        assert_eq!(width_of("<U3"), None);
        let wide: Vec<u8> = "né".chars().chain(['\0']).flat_map(|c| (c as u32).to_le_bytes()).collect();
        assert_eq!(texts("<U3", 12, &wide), ["né"]);
        assert_eq!(texts("|S3", 3, b"ab\0\xe9\0\0"), ["ab", "é"]);
        assert_eq!(width_of("|O"), None);
    }
}
