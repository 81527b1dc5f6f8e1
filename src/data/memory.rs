//! How much memory data may take before reading them is refused.

use crate::Result;

/// Taken for available where the system does not say.
const UNKNOWN: u64 = 8 << 30;

/// Bytes that data may take unless `--memory` says otherwise: three quarters of what the system has free, by Linux's own count.
pub fn available() -> u64 {
    let free = std::fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    free.map_or(UNKNOWN, |kibibytes| kibibytes.saturating_mul(1024) / 4 * 3)
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
pub(super) fn shown(bytes: u128) -> String {
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
