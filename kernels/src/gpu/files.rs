//! Cache files: read whole and within bounds, written aside and renamed, so that no reader ever sees half of one.
//!
//! A cache is worth time and never an error: what cannot be read counts as absent, what cannot be written is not kept.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Larger files are no caches of ours.
const LARGEST: u64 = 256 << 20;

/// The whole file, if there is one of reasonable size.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = vec![];
    File::open(path).ok()?.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LARGEST).then_some(bytes)
}

/// Puts `bytes` in the place of the file, whole or not at all, whoever else writes it meanwhile.
pub(super) fn replace(path: &Path, bytes: &[u8]) {
    static WRITES: AtomicU64 = AtomicU64::new(0);
    let Some(folder) = path.parent() else { return };
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    let aside = path.with_extension(format!("{}-{number}.tmp", std::process::id()));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&aside, bytes))
        .and_then(|()| std::fs::rename(&aside, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&aside);
    }
}

/// The 64-bit FNV-1a hash of Fowler, Noll and Vo: tells a torn or rotten file from a whole one.
pub(super) fn checksum(bytes: &[u8]) -> u64 {
    let mix = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, mix)
}

#[cfg(test)]
mod tests {
    #[test]
    fn checksums_are_fnv_1a() {
        // Test vectors of its authors.
        assert_eq!(super::checksum(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(super::checksum(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(super::checksum(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
