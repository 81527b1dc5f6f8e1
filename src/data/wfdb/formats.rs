//! How samples lie in the bytes of a signal file: signal(5) of the WFDB Applications Guide.

/// A format of signal files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// 8-bit first differences.
    Differences,
    /// 16-bit two's complement, the lower byte first.
    Sixteen,
    /// 24-bit two's complement, the lower byte first.
    TwentyFour,
    /// 32-bit two's complement, the lower byte first.
    ThirtyTwo,
    /// 16-bit two's complement, the upper byte first.
    SixteenSwapped,
    /// 8-bit offset binary.
    EightOffset,
    /// 16-bit offset binary, the lower byte first.
    SixteenOffset,
    /// Pairs of 12-bit samples in three bytes.
    Twelve,
    /// Three 10-bit samples in four bytes, each pair of bytes apart.
    TenApart,
    /// Three 10-bit samples in the lower 30 of 32 bits.
    TenTogether,
}

/// What to do about FLAC: the same samples, comments and annotations in a folder of their own, in a format of as many bits.
macro_rules! plain {
    ($format:literal) => {
        concat!(
            "an uncompressed format: this one is FLAC, which percuss does not read; in Python, in the folder of the records (annotations \
             other than .atr are to be copied, too), this writes them to a folder `plain`:\n\
             import glob, os, shutil, wfdb\n\
             os.makedirs(\"plain\", exist_ok=True)\n\
             for h in glob.glob(\"*.hea\"):\n    r = wfdb.rdrecord(h[:-4])\n    \
             wfdb.wrsamp(h[:-4], r.fs, r.units, r.sig_name, r.p_signal, fmt=[\"",
            $format,
            "\"] * r.n_sig, adc_gain=r.adc_gain, baseline=r.baseline, comments=r.comments, write_dir=\"plain\")\n\
             for a in glob.glob(\"*.atr\"):\n    shutil.copy(a, \"plain\")"
        )
    };
}

impl Format {
    /// By its number in a header.
    ///
    /// # Errors
    /// What was expected instead.
    pub fn numbered(number: &str) -> Result<Self, &'static str> {
        Ok(match number {
            "8" => Self::Differences,
            "16" => Self::Sixteen,
            "24" => Self::TwentyFour,
            "32" => Self::ThirtyTwo,
            "61" => Self::SixteenSwapped,
            "80" => Self::EightOffset,
            "160" => Self::SixteenOffset,
            "212" => Self::Twelve,
            "310" => Self::TenApart,
            "311" => Self::TenTogether,
            "508" => return Err(plain!("80")),
            "516" => return Err(plain!("16")),
            "524" => return Err(plain!("24")),
            _ => return Err("format 8, 16, 24, 32, 61, 80, 160, 212, 310 or 311"),
        })
    }

    /// Bits of a sample; `None` for differences, whose sum has no bounds.
    pub fn bits(self) -> Option<u32> {
        match self {
            Self::Differences => None,
            Self::EightOffset => Some(8),
            Self::TenApart | Self::TenTogether => Some(10),
            Self::Twelve => Some(12),
            Self::Sixteen | Self::SixteenSwapped | Self::SixteenOffset => Some(16),
            Self::TwentyFour => Some(24),
            Self::ThirtyTwo => Some(32),
        }
    }

    /// The value that marks a missing sample: the smallest of the format. Differences have none.
    pub fn missing(self) -> Option<i32> {
        self.bits().map(|bits| (-1i64 << (bits - 1)) as i32)
    }

    /// Whole samples in so many bytes.
    pub fn samples_in(self, bytes: u64) -> u64 {
        match self {
            Self::Differences | Self::EightOffset => bytes,
            Self::Sixteen | Self::SixteenSwapped | Self::SixteenOffset => bytes / 2,
            Self::TwentyFour => bytes / 3,
            Self::ThirtyTwo => bytes / 4,
            Self::Twelve => bytes / 3 * 2 + bytes % 3 / 2,
            Self::TenApart => bytes / 4 * 3 + bytes % 4 / 2,
            Self::TenTogether => bytes / 4 * 3 + (bytes % 4).saturating_sub(1),
        }
    }

    /// Sample number `k` of `data`, or the difference of it; `None` beyond the end.
    pub fn sample(self, data: &[u8], k: usize) -> Option<i32> {
        let byte = |at: usize| data.get(at).copied().map(i32::from);
        let word = |at: usize| Some(byte(at)? | byte(at.checked_add(1)?)? << 8);
        let extend = |value: i32, bits: u32| value << (32 - bits) >> (32 - bits);
        Some(match self {
            Self::Differences => extend(byte(k)?, 8),
            Self::EightOffset => byte(k)? - 128,
            Self::Sixteen => extend(word(k.checked_mul(2)?)?, 16),
            Self::SixteenOffset => word(k.checked_mul(2)?)? - 32768,
            Self::SixteenSwapped => extend(byte(k.checked_mul(2)?)? << 8 | byte(2 * k + 1)?, 16),
            Self::TwentyFour => {
                let at = k.checked_mul(3)?;
                extend(word(at)? | byte(at + 2)? << 16, 24)
            }
            Self::ThirtyTwo => {
                let at = k.checked_mul(4)?;
                word(at)? | word(at + 2)? << 16
            }
            Self::Twelve => {
                let at = (k / 2).checked_mul(3)?;
                let shared = byte(at + 1)?;
                let value = if k.is_multiple_of(2) {
                    byte(at)? | (shared & 0x0f) << 8
                } else {
                    byte(at + 2)? | shared >> 4 << 8
                };
                extend(value, 12)
            }
            Self::TenApart => {
                let at = (k / 3).checked_mul(4)?;
                let value = match k % 3 {
                    0 => word(at)? >> 1 & 0x3ff,
                    1 => word(at + 2)? >> 1 & 0x3ff,
                    _ => word(at)? >> 11 | word(at + 2)? >> 11 << 5,
                };
                extend(value, 10)
            }
            Self::TenTogether => {
                let at = (k / 3).checked_mul(4)?;
                let value = match k % 3 {
                    0 => word(at)? & 0x3ff,
                    1 => word(at + 1)? >> 2 & 0x3ff,
                    _ => word(at + 2)? >> 4 & 0x3ff,
                };
                extend(value, 10)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The Python package `wfdb` 4.3.1 reads these bytes as the same samples.
    #[test]
    fn samples_are_those_of_the_wfdb_package() {
        for (number, bytes) in GOLDEN {
            let format = Format::numbered(number).unwrap();
            let samples = format.samples_in(bytes.len() as u64) as usize;
            assert!((5..=6).contains(&samples), "{number}: {samples}");
            let read: Vec<i32> = (0..5).map(|k| format.sample(bytes, k).unwrap()).collect();
            let right =
                if matches!(number, "8" | "80") { [-1, 2, -3, 127, -127] } else { [-1, 2, -3, 511, -511] };
            assert_eq!(read, right, "format {number}");
            for cut in 0..bytes.len() {
                let whole = format.samples_in(cut as u64) as usize;
                assert!(
                    (0..whole).all(|k| format.sample(&bytes[..cut], k).is_some()),
                    "{number} cut at {cut}"
                );
                assert_eq!(format.sample(&bytes[..cut], whole), None, "{number} cut at {cut}");
            }
        }
        assert_eq!(Format::Twelve.sample(&[0x00, 0x08], 0), Format::Twelve.missing());
        assert_eq!(Format::Differences.sample(&[0x80], 0), Some(-128));
        assert!(Format::numbered("516").unwrap_err().contains("FLAC"));
    }

    const GOLDEN: [(&str, &[u8]); 10] = [
        ("8", &[0xff, 0x02, 0xfd, 0x7f, 0x81]),
        ("16", &[0xff, 0xff, 0x02, 0x00, 0xfd, 0xff, 0xff, 0x01, 0x01, 0xfe]),
        ("24", &[0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0xfd, 0xff, 0xff, 0xff, 0x01, 0x00, 0x01, 0xfe, 0xff]),
        (
            "32",
            &[
                0xff, 0xff, 0xff, 0xff, 0x02, 0x00, 0x00, 0x00, 0xfd, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00,
                0x00, 0x01, 0xfe, 0xff, 0xff,
            ],
        ),
        ("61", &[0xff, 0xff, 0x00, 0x02, 0xff, 0xfd, 0x01, 0xff, 0xfe, 0x01]),
        ("80", &[0x7f, 0x82, 0x7d, 0xff, 0x01]),
        ("160", &[0xff, 0x7f, 0x02, 0x80, 0xfd, 0x7f, 0xff, 0x81, 0x01, 0x7e]),
        ("212", &[0xff, 0x0f, 0x02, 0xfd, 0x1f, 0xff, 0x01, 0x0e]),
        ("310", &[0xfe, 0xef, 0x04, 0xf8, 0xfe, 0x03, 0x02, 0x04]),
        ("311", &[0xff, 0x0b, 0xd0, 0x3f, 0xff, 0x05, 0x08, 0x00]),
    ];
}
