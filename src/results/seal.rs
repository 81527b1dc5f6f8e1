//! The checksum that every table carries, so that a bit that changes on a disk changes no number that is read.
//!
//! The entry `percuss.sha256` of the Parquet footer holds the SHA-256 of the whole file, its own 64 digits taken as zeros. So a file
//! can be checked alone, wherever it was copied, and its footer is covered, too.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Once;

use parquet::file::metadata::KeyValue;
use sha2::{Digest, Sha256};

use crate::telling::tell;
use crate::{Error, Result};

/// The entry's key.
const KEY: &str = "percuss.sha256";
/// How the entry stands in the footer (Thrift's compact protocol): the key, then a text of 64 bytes.
const MARK: &[u8] = b"percuss.sha256\x18\x40";
/// The entry's value until the digest is known.
const BLANK: [u8; 64] = [b'0'; 64];
/// The end of a file in which the entry is looked for; what comes after it is no longer than the schema.
const TAIL: u64 = 1 << 18;

/// The entry, its digest still to come.
pub(super) fn blank() -> KeyValue {
    KeyValue::new(KEY.to_string(), String::from_utf8_lossy(&BLANK).into_owned())
}

/// A sink that hashes what is written to it.
pub(super) struct Hashing<W> {
    sink: W,
    hash: Sha256,
}

impl<W> Hashing<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { sink, hash: Sha256::new() }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.sink.write(bytes)?;
        self.hash.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Hashing<File> {
    /// Writes the digest of all that was written into its [`blank`] entry.
    pub(super) fn close(self) -> io::Result<File> {
        let Self { sink: mut file, hash } = self;
        let end = End::of(&mut file)?;
        let entry = end.entry.ok_or_else(|| io::Error::other("no place for its checksum"))?;
        file.seek(SeekFrom::Start(entry.at))?;
        file.write_all(hex(hash).as_bytes())?;
        Ok(file)
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where a file says its digest, and what it says.
struct Entry {
    at: u64,
    said: String,
}

/// The end of a file.
struct End {
    entry: Option<Entry>,
    /// Whether it ends as Parquet files do.
    parquet: bool,
}

impl End {
    fn of(file: &mut File) -> io::Result<Self> {
        let length = file.seek(SeekFrom::End(0))?;
        let start = length.saturating_sub(TAIL);
        file.seek(SeekFrom::Start(start))?;
        let mut tail = Vec::new();
        file.read_to_end(&mut tail)?;
        let entry = tail.windows(MARK.len()).rposition(|bytes| bytes == MARK).and_then(|mark| {
            let at = mark + MARK.len();
            let said = tail.get(at..at + BLANK.len())?;
            Some(Entry { at: start + at as u64, said: String::from_utf8_lossy(said).into_owned() })
        });
        Ok(Self { entry, parquet: tail.ends_with(b"PAR1") })
    }
}

/// Whether a file is as it was written.
pub(super) enum Seal {
    /// Its digest is the one that it says.
    Fits,
    /// It is Parquet and says none.
    Absent,
    /// It says another one than it has.
    Broken { found: String, said: String },
    /// It is not Parquet.
    Other,
}

impl Seal {
    /// Of the file at `path`.
    ///
    /// # Errors
    /// [`Error::Io`] where the file cannot be read.
    pub(super) fn of(path: &Path) -> Result<Self> {
        Self::read(crate::files::open(path)?).map_err(Error::io(path))
    }

    fn read(mut file: File) -> io::Result<Self> {
        let End { entry, parquet } = End::of(&mut file)?;
        let Some(Entry { at, said }) = entry else {
            return Ok(if parquet { Self::Absent } else { Self::Other });
        };
        file.rewind()?;
        let (mut hashing, mut file) = (Hashing::new(io::sink()), BufReader::with_capacity(1 << 16, file));
        io::copy(&mut file.by_ref().take(at), &mut hashing)?;
        hashing.hash.update(BLANK);
        file.seek_relative(BLANK.len() as i64)?;
        io::copy(&mut file, &mut hashing)?;
        let found = hex(hashing.hash);
        Ok(if found == said { Self::Fits } else { Self::Broken { found, said } })
    }
}

/// Whether a file has a checksum that fits; one that does not fit is refused.
///
/// # Errors
/// [`Error::Input`] naming the file, both digests and what to do; [`Error::Io`] where it cannot be read.
pub(crate) fn is_sealed(path: &Path) -> Result<bool> {
    refuse_broken(path, Seal::of(path)?).map(|seal| matches!(seal, Seal::Fits))
}

/// Refuses a table that changed after it was written. One without a checksum, of an earlier percuss or another
/// program, may be read, and that is told once.
///
/// # Errors
/// As [`is_sealed`].
pub(super) fn check(path: &Path) -> Result<()> {
    static TOLD: Once = Once::new();
    if let Seal::Absent = refuse_broken(path, Seal::of(path)?)? {
        let about = "read unchecked: an earlier percuss or another program wrote it, without a checksum";
        TOLD.call_once(|| tell(&format!("{}: {about}", path.display())));
    }
    Ok(())
}

fn refuse_broken(path: &Path, seal: Seal) -> Result<Seal> {
    let Seal::Broken { found, said } = seal else { return Ok(seal) };
    let expected = format!(
        "{said}, as the file itself says: it changed after percuss wrote it; put a sound copy in its place, or give the command of its \
         sweep again, which runs anew what is lost"
    );
    Err(Error::input(path.display(), "SHA-256", found, expected))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;
    use crate::results::{MetricRow, read_rows, write_rows};

    fn rows() -> Vec<MetricRow> {
        let row = |n| MetricRow {
            cell_id: format!("cell{}", n / 3).into(),
            metric: "auroc".into(),
            scope: "all".into(),
            value: Some(n as f64 / 7.0),
            n,
            ..Default::default()
        };
        (0..20).map(row).collect()
    }

    #[test]
    fn a_flipped_bit_anywhere_is_refused_or_changes_no_row() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.parquet");
        write_rows(&path, &rows()).unwrap();
        assert!(is_sealed(&path).unwrap());
        let whole = std::fs::read(&path).unwrap();
        let mut accepted = 0;
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            std::fs::write(&path, bytes).unwrap();
            if let Ok(found) = read_rows::<MetricRow>(&path) {
                assert_eq!(found, rows(), "byte {at}");
                accepted += 1;
            }
        }
        // Where the flip hides the entry itself.
        assert!(accepted <= MARK.len(), "{accepted}");
    }

    #[test]
    fn a_refusal_names_file_and_digests_and_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.parquet");
        write_rows(&path, &rows()).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[40] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        let error = is_sealed(&path).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        for word in ["metrics.parquet: SHA-256: found ", ", as the file itself says", "sweep again"] {
            assert!(text.contains(word), "{text}");
        }
    }
}
