//! How much memory data and weights may take before reading them is refused.

use std::path::Path;

use crate::{Error, Result};

/// Taken for available where the system does not say.
const UNKNOWN: u64 = 8 << 30;

/// Bytes that data may take unless `--memory` says otherwise: three quarters of what the system has free, by Linux's own count, and of what is
/// left to this process by its limit of address space (`ulimit -v`) and its control group.
pub fn available() -> u64 {
    let left = [free(), address_space(), control_group()].into_iter().flatten().min();
    left.map_or(UNKNOWN, |bytes| bytes / 4 * 3)
}

fn free() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kibibytes| kibibytes.saturating_mul(1024))
}

fn address_space() -> Option<u64> {
    let limits = std::fs::read_to_string("/proc/self/limits").ok()?;
    let most = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let most: u64 = most.split_whitespace().next()?.parse().ok()?;
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let taken = status.lines().find_map(|line| line.strip_prefix("VmSize:"))?;
    let taken: u64 = taken.split_whitespace().next()?.parse().ok()?;
    Some(most.saturating_sub(taken.saturating_mul(1024)))
}

fn control_group() -> Option<u64> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_start_matches('/');
    let folder = Path::new("/sys/fs/cgroup").join(own);
    let number = |name: &str| std::fs::read_to_string(folder.join(name)).ok()?.trim().parse::<u64>().ok();
    Some(number("memory.max")?.saturating_sub(number("memory.current")?))
}

/// What a command may take for each thing that it reads: arrays, tables, images, weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Room {
    stated: Option<u64>,
}

impl Room {
    /// So many bytes, or most of what is free.
    pub fn of(stated: Option<u64>) -> Self {
        Self { stated }
    }

    /// Bytes.
    pub fn most(self) -> u64 {
        self.stated.unwrap_or_else(available)
    }

    /// Whether so many bytes may be taken for what stands at `place` of `file`; `mend` is what makes it fewer, beside a larger limit.
    ///
    /// # Errors
    /// More than there is room for.
    pub fn afford(self, file: impl ToString, place: impl ToString, bytes: u128, mend: &str) -> Result<()> {
        let most = self.most();
        if bytes <= u128::from(most) {
            return Ok(());
        }
        let found = format!("{} in memory", shown(bytes));
        let expected = format!("at most {}, the limit of --memory{mend}", shown(u128::from(most)));
        Err(Error::input(file, place, found, expected))
    }

    /// Whether a file may be read whole, each of its bytes taking `times` in memory.
    ///
    /// # Errors
    /// One that is not there, or too large.
    pub fn afford_file(self, path: &Path, times: u64, mend: &str) -> Result<()> {
        let bytes = std::fs::metadata(path).map_err(Error::io(path))?.len();
        self.afford(path.display(), "size", u128::from(bytes) * u128::from(times), mend)
    }
}

/// A number of bytes as a person writes it: `512MB`, `2GB`, `1.5 GiB`, or plain bytes.
///
/// # Errors
/// What is no size.
pub fn parse(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let unit = match text[end..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" => 1e3,
        "m" | "mb" => 1e6,
        "g" | "gb" => 1e9,
        "t" | "tb" => 1e12,
        "kib" => 1024.0,
        "mib" => 1024.0 * 1024.0,
        "gib" => 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{text}` is no size; 512MB, 2GB, 1.5GiB are")),
    };
    let number = text[..end].parse::<f64>().ok().filter(|number| *number > 0.0);
    number
        .map(|number| (number * unit) as u64)
        .ok_or_else(|| format!("`{text}` is no size; 512MB, 2GB, 1.5GiB are"))
}

/// Bytes for a person.
fn shown(bytes: u128) -> String {
    match bytes as f64 {
        small if small < 1e6 => format!("{:.1} kB", small / 1e3),
        medium if medium < 1e9 => format!("{:.1} MB", medium / 1e6),
        large => format!("{:.1} GB", large / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_as_people_write_them() {
        assert_eq!(parse("512MB"), Ok(512_000_000));
        assert_eq!(parse("1.5 GiB"), Ok(1_610_612_736));
        assert_eq!(parse("1024"), Ok(1024));
        for bad in ["", "GB", "-1", "1 XB", "1.2.3MB", "0"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
