//! Files that users name: regular ones alone, read whole only within a stated size, texts in UTF-8.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::{Error, Result};

/// The largest text that is read whole: configurations, studies, recipes, preprocessing files, vocabularies. 64 MiB.
pub(crate) const TEXT_LIMIT: u64 = 64 << 20;

/// Opens the regular file at `path` for reading. A pipe would be waited for, a device may never end: both are refused unopened.
///
/// # Errors
/// [`Error::Io`] where the system refuses; [`Error::Input`] where `path` is a folder, a pipe, a socket or a device.
pub(crate) fn open(path: &Path) -> Result<File> {
    let about = std::fs::metadata(path).map_err(Error::io(path))?;
    if about.is_file() {
        return File::open(path).map_err(Error::io(path));
    }
    let found = if about.is_dir() { "a folder" } else { "a pipe, a socket or a device" };
    Err(Error::input(path.display(), "file", found, "a regular file"))
}

/// The bytes of the regular file at `path`, at most `limit` of them.
///
/// # Errors
/// As [`open`]; [`Error::Input`] for a larger file, before more than `limit` bytes are read.
pub(crate) fn read_bytes(path: &Path, limit: u64) -> Result<Vec<u8>> {
    let file = open(path)?;
    let stated = file.metadata().map_err(Error::io(path))?.len();
    let mut bytes = Vec::new();
    if stated <= limit {
        let room = usize::try_from(stated).unwrap_or(usize::MAX);
        bytes.try_reserve_exact(room).map_err(|_| {
            Error::Failed(format!("{}: no memory for its {stated} bytes; free some", path.display()))
        })?;
        // A file may grow while it is read, or state no length (/proc).
        file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::io(path))?;
    }
    match stated.max(bytes.len() as u64) {
        length if length <= limit => Ok(bytes),
        length => {
            let found = format!("{length} bytes");
            Err(Error::input(path.display(), "file", found, format!("at most {limit} bytes")))
        }
    }
}

/// The text of the regular file at `path`, without a byte order mark; at most [`TEXT_LIMIT`] bytes.
///
/// # Errors
/// As [`read_bytes`]; [`Error::Input`] naming the line and byte where the file is no UTF-8.
pub(crate) fn read_text(path: &Path) -> Result<String> {
    text(read_bytes(path, TEXT_LIMIT)?, path)
}

/// The text that `bytes` of the file at `path` are, without a byte order mark.
///
/// # Errors
/// [`Error::Input`] naming the line and byte where they are no UTF-8.
pub(crate) fn text(bytes: Vec<u8>, path: &Path) -> Result<String> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let (at, bytes) = (error.utf8_error().valid_up_to(), error.as_bytes());
        let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
        let found = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16".to_string(),
            _ => format!("the byte {:#04x}, which is no UTF-8 here", bytes[at]),
        };
        Error::input(path.display(), format!("line {line}, byte {at}"), found, "UTF-8; save the file as that")
    })?;
    Ok(text.strip_prefix('\u{feff}').map(str::to_string).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn refusal(result: Result<String>) -> String {
        let error = result.expect_err("it should be refused");
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    }

    #[test]
    fn texts_are_utf8_of_bounded_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.toml");
        std::fs::write(&path, "\u{feff}name = \"é\"\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "name = \"é\"\n");
        std::fs::write(&path, b"name = 1\nid = \"\xe9\"\n").unwrap();
        assert!(refusal(read_text(&path)).contains("line 2, byte 15: found the byte 0xe9"));
        std::fs::write(&path, b"\xff\xfen\0").unwrap();
        assert!(refusal(read_text(&path)).contains("found UTF-16"));
        File::create(&path).unwrap().set_len(TEXT_LIMIT + 1).unwrap();
        assert!(refusal(read_text(&path)).contains("found 67108865 bytes, expected at most 67108864 bytes"));
        assert!(refusal(read_text(&folder.path().join("none"))).contains("none"));
    }

    #[test]
    #[cfg(unix)]
    fn only_regular_files_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(refusal(read_text(folder.path())).contains("found a folder, expected a regular file"));
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for other in [&pipe, Path::new("/dev/null"), Path::new("/dev/zero")] {
            assert!(refusal(read_text(other)).contains("found a pipe, a socket or a device"), "{other:?}");
        }
    }
}
