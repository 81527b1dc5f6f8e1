//! Reading arrays out of NumPy's `.npz` archives, trusting none of their lengths.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// An open archive of arrays.
pub struct Npz {
    path: PathBuf,
    archive: npyz::npz::NpzArchive<BufReader<File>>,
    names: Vec<String>,
    file_len: u64,
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

impl Npz {
    /// Opens the archive at `path` and reads its directory.
    ///
    /// # Errors
    /// A file that cannot be read, or that is not a zip archive with `.npy` arrays in it.
    pub fn open(path: &Path) -> Result<Self> {
        let file = crate::files::open(path)?;
        let file_len = file.metadata().map_err(Error::io(path))?.len();
        let archive = npyz::npz::NpzArchive::new(BufReader::new(file)).map_err(|error| {
            Error::input(path.display(), "archive", error, "an npz file (a zip archive of npy arrays)")
        })?;
        let mut names: Vec<String> = archive.array_names().map(str::to_string).collect();
        names.sort();
        if names.is_empty() {
            return Err(Error::input(path.display(), "archive", "no npy array", "an npz file"));
        }
        Ok(Self { path: path.to_path_buf(), archive, names, file_len })
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

    /// Reads the array `name`.
    ///
    /// # Errors
    /// An array that is not there, damaged, truncated, in Fortran order, or of a type that holds no numbers.
    pub fn array(&mut self, name: &str) -> Result<Array> {
        let bytes = self.entry(name)?;
        let fail = |place: &str, found: String, expected: String| {
            Error::input(self.path.display(), format!("array `{name}`{place}"), found, expected)
        };
        let header = Header::parse(&bytes).map_err(|(found, expected)| fail("", found, expected))?;
        let data = &bytes[header.data_start..];
        let width = width_of(&header.descr).ok_or_else(|| {
            fail(", dtype", format!("`{}`", header.descr), "bool, integers or floats".into())
        })?;
        let expected = header.shape.iter().try_fold(width, |n, &extent| n.checked_mul(extent));
        if expected != Some(data.len()) {
            let expected = expected.map_or("fewer".to_string(), |n| n.to_string());
            return Err(fail(
                ", data",
                format!("{} bytes", data.len()),
                format!("{expected} bytes for shape {:?} of {}", header.shape, header.descr),
            ));
        }
        Ok(Array { numbers: decode(&header.descr, data), shape: header.shape })
    }

    /// The bytes of one member, never more than its compressed form can hold.
    fn entry(&mut self, name: &str) -> Result<Vec<u8>> {
        let place = format!("array `{name}`");
        if !self.has(name) {
            let found = format!("no such array, but {}", self.names.join(", "));
            return Err(Error::input(self.path.display(), "archive", found, place));
        }
        let file = self.path.display();
        let entry = self
            .archive
            .zip_archive()
            .by_name(&npyz::npz::file_name_from_array_name(name))
            .map_err(|error| Error::input(&file, &place, error, "a readable zip entry"))?;
        let limit = entry.size().min(self.file_len.saturating_mul(MAX_EXPANSION));
        let mut bytes = Vec::new();
        entry
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(|error| Error::input(&file, &place, error, "undamaged data"))?;
        Ok(bytes)
    }
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

struct Header {
    descr: String,
    shape: Vec<usize>,
    data_start: usize,
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
        if !order.starts_with("False") && shape.len() > 1 {
            return Err(bad("Fortran order", "C order (numpy.ascontiguousarray)"));
        }
        Ok(Self { descr: descr.to_string(), shape, data_start: start + len })
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
            Header::parse(&npy("{'descr': '<i2', 'fortran_order': True, 'shape': (2, 2)}", &[])).is_err()
        );
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
        assert_eq!(width_of("|O"), None);
    }
}
