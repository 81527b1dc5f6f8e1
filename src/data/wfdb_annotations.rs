//! WFDB annotation files (`.atr`) in the MIT format: what was seen at which sample.
//!
//! The format is annot(5) of the WFDB Applications Guide: 16-bit words of a 6-bit code and a 10-bit time step, with escape
//! codes for long steps and for the fields that most annotations lack.

use std::path::Path;

use crate::{Error, Result};

/// One annotation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotation {
    /// The sample that it belongs to.
    pub sample: u64,
    /// Its code: 1 is a normal beat, 5 a premature ventricular one, 28 a change of rhythm, ...
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

const SKIP: u16 = 59;
const NUM: u16 = 60;
const SUB: u16 = 61;
const CHN: u16 = 62;
const AUX: u16 = 63;
/// Codes up to this are annotations (ACMAX of the WFDB library).
const LAST_CODE: u16 = 49;

/// The largest annotation file that is read, in bytes.
const FILE_LIMIT: u64 = 256 << 20;

/// Reads the annotation file at `path`, in the order of time.
///
/// # Errors
/// A file that ends without its end mark (it was truncated), and codes or fields out of place.
pub fn read(path: &Path) -> Result<Vec<Annotation>> {
    let bytes = crate::files::read_bytes(path, FILE_LIMIT)?;
    parse(&bytes)
        .map_err(|(at, found, expected)| Error::input(path.display(), format!("byte {at}"), found, expected))
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

    #[test]
    fn misplaced_codes_are_refused() {
        assert!(parse(&[word(SUB, 1), [0, 0]].concat()).is_err());
        assert!(parse(&[word(55, 1), [0, 0]].concat()).is_err());
        let back = [&word(SKIP, 0)[..], &[0xff, 0xff, 0xff, 0xff], &word(1, 0), &[0, 0]].concat();
        assert!(parse(&back).is_err());
    }
}
