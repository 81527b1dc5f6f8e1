//! Disks that are full, and files that the system refuses.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::io::Write;

use super::tests::{plan, push, rows, study};
use super::*;

/// A sink that is full after `room` bytes.
struct Full {
    room: usize,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if self.room == 0 {
            return Err(std::io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.room);
        self.room -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_disk_full_after_any_byte_is_an_error_that_names_the_file() {
    use crate::results::table_file::{PASSING, encode};
    let (_, _, samples) = rows(0);
    let path = Path::new("out/samples.tmp");
    let whole = encode::<SampleRow, _>(Vec::new(), path, PASSING, batches_of(&samples)).unwrap().len();
    // The header, the footer's end, and a stride between that meets every page and the footer.
    for room in (0..16).chain((16..whole - 16).step_by(29)).chain(whole - 16..whole) {
        let error = encode::<SampleRow, _>(Full { room }, path, PASSING, batches_of(&samples))
            .err()
            .expect("it is full");
        assert!(
            matches!(&error, Error::Io { path: p, source } if p == path && source.kind() == std::io::ErrorKind::StorageFull),
            "{room} of {whole} bytes: {error}"
        );
    }
    assert!(encode::<SampleRow, _>(Full { room: whole }, path, PASSING, batches_of(&samples)).is_ok());
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_no_parquet_and_a_later_flush_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
    push(&mut store, 0);
    let folder = parts_folder(dir.path(), Shard::WHOLE);
    fs::create_dir_all(&folder).unwrap();
    std::os::unix::fs::symlink("/dev/full", folder.join("000000.metrics.tmp")).unwrap();
    let error = store.flush().unwrap_err();
    assert!(error.to_string().contains("000000.metrics.tmp: No space left"), "{error}");
    assert_eq!(error.exit_code(), 1);
    assert!(!folder.join("000000.metrics.parquet").exists());
    // The failed write removed the link, so there is room now.
    store.flush().unwrap();
    assert_eq!(finished_cells(dir.path()).unwrap().cells, plan(1));
}

#[test]
fn a_refused_file_is_an_error_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), &study(), Shard::WHOLE).unwrap();
    push(&mut store, 0);
    // A folder in the file's place is refused to every user, root included.
    fs::create_dir(dir.path().join("samples-1-of-1.tmp")).unwrap();
    let error = store.finish(&plan(1)).unwrap_err();
    assert!(error.to_string().contains("samples-1-of-1.tmp"), "{error}");
    assert!(!dir.path().join("samples-1-of-1.parquet").exists());
    assert_eq!(finished_cells(dir.path()).unwrap().cells, plan(1));
}
