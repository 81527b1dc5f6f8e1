//! WFDB records: the header (`.hea`) and the signals of formats 212 and 16.
//!
//! The formats are those of the WFDB Applications Guide, header(5) and signal(5). Records of one segment, one sample a
//! frame; the header's checksums are verified.

use std::path::{Path, PathBuf};

use crate::{Error, Result};

/// A record's header.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The record's name.
    pub record: String,
    /// Samples a second.
    pub frequency: f64,
    /// Samples of each signal, where the header says so.
    pub samples: Option<usize>,
    /// The signals, in the file's order.
    pub signals: Vec<SignalSpec>,
    /// The lines after `#`: age, sex, medication.
    pub comments: Vec<String>,
}

/// One signal's line of a header.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalSpec {
    /// The file that holds it, beside the header.
    pub file: String,
    /// 212 or 16.
    pub format: u16,
    /// Bytes before the first sample.
    pub offset: usize,
    /// ADC units per physical unit (200 where the header says 0 or nothing).
    pub gain: f64,
    /// The ADC value of physical 0.
    pub baseline: i32,
    /// The physical unit.
    pub units: String,
    /// The sum of all samples, modulo 65,536, as a signed number.
    pub checksum: Option<i16>,
    /// What it is: `MLII`, `V5`.
    pub description: String,
}

/// A record in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Its header.
    pub header: Header,
    /// The samples in ADC units, one vector a signal.
    pub signals: Vec<Vec<i16>>,
}

/// More signals than this in a header is taken for damage.
const MAX_SIGNALS: usize = 256;

impl Header {
    /// Reads a header's text; `file` names it in errors.
    ///
    /// # Errors
    /// A line that is not as header(5) has it, several segments, a format other than 212 and 16, several samples a
    /// frame, a signal file that is not beside the header.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let mut lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let comments =
            text.lines().filter_map(|l| l.strip_prefix('#')).map(|l| l.trim().to_string()).collect();
        let mut lines = lines.by_ref().filter(|(_, line)| !line.starts_with('#'));
        let bad = |line: usize, found: &str, expected: &str| {
            Error::input(file, format!("line {}", line + 1), format!("`{found}`"), expected)
        };
        let (_, first) = lines.next().ok_or_else(|| bad(0, "", "RECORD SIGNALS [FREQUENCY [SAMPLES]]"))?;
        let fields: Vec<&str> = first.split_whitespace().collect();
        let record = fields[0];
        if record.contains('/') {
            return Err(bad(0, record, "a record of one segment"));
        }
        let count = fields.get(1).and_then(|n| n.parse().ok()).filter(|n| (1..=MAX_SIGNALS).contains(n));
        let count = count.ok_or_else(|| bad(0, first, "RECORD and a number of signals"))?;
        let frequency = match fields.get(2) {
            // 250 Hz is what header(5) says of a record that does not say.
            None => 250.0,
            Some(field) => field.split(['/', '(']).next().and_then(|f| f.parse().ok()).unwrap_or(f64::NAN),
        };
        if !(frequency > 0.0 && frequency.is_finite()) {
            return Err(bad(0, first, "a sampling frequency above 0"));
        }
        let samples = match fields.get(3).map(|n| n.parse::<usize>()) {
            None | Some(Ok(0)) => None,
            Some(Ok(n)) => Some(n),
            Some(Err(_)) => return Err(bad(0, first, "a number of samples")),
        };
        let signals: Vec<SignalSpec> = lines
            .take(count)
            .map(|(k, line)| SignalSpec::parse(line).map_err(|expected| bad(k, line, expected)))
            .collect::<Result<_>>()?;
        if signals.len() < count {
            return Err(bad(
                0,
                first,
                &format!("{count} lines of signals, where there are {}", signals.len()),
            ));
        }
        Ok(Self { record: record.to_string(), frequency, samples, signals, comments })
    }
}

impl SignalSpec {
    /// `FILE FORMAT[xN][:SKEW][+OFFSET] [GAIN[(BASELINE)][/UNITS] [RESOLUTION [ZERO [INITIAL [SUM [BLOCK [TEXT]]]]]]]`
    fn parse(line: &str) -> Result<Self, &'static str> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let file = fields[0];
        if file.contains(['/', '\\']) || file == "-" || file == "~" || file.starts_with("..") {
            return Err("a signal file beside the header");
        }
        let coding = fields.get(1).ok_or("a format")?;
        let (coding, offset) = match coding.split_once('+') {
            Some((coding, offset)) => (coding, offset.parse().map_err(|_| "a byte offset")?),
            None => (*coding, 0),
        };
        let format = match coding {
            "212" => 212,
            "16" => 16,
            _ => return Err("format 212 or 16, one sample a frame, no skew"),
        };
        let integer =
            |k: usize| fields.get(k).map(|f| f.parse::<i64>().map_err(|_| "a whole number")).transpose();
        let zero = integer(4)?.unwrap_or(0);
        let (gain, baseline, units) = parse_gain(fields.get(2).copied().unwrap_or("200"), zero)?;
        Ok(Self {
            file: file.to_string(),
            format,
            offset,
            gain,
            baseline,
            units,
            // Some programs write the sum unsigned; both name the same 16 bits.
            checksum: integer(6)?.map(|sum| sum as i16),
            description: fields.get(8..).map(|text| text.join(" ")).unwrap_or_default(),
        })
    }
}

fn parse_gain(field: &str, zero: i64) -> Result<(f64, i32, String), &'static str> {
    let (field, units) = field.split_once('/').unwrap_or((field, "mV"));
    let (gain, baseline) = match field.split_once('(') {
        Some((gain, rest)) => (gain, rest.trim_end_matches(')').parse().map_err(|_| "a baseline")?),
        None => (field, zero),
    };
    let gain: f64 = gain.parse().map_err(|_| "a gain")?;
    if !gain.is_finite() || gain < 0.0 {
        return Err("a gain above 0");
    }
    let baseline = i32::try_from(baseline).map_err(|_| "a baseline of 32 bits")?;
    Ok((if gain == 0.0 { 200.0 } else { gain }, baseline, units.to_string()))
}

impl Record {
    /// Reads the record whose header is at `path`.
    ///
    /// # Errors
    /// As [`Header::parse`]; a signal file that is missing, truncated, or whose sum is not the header's.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let header = Header::parse(&text, &path.display().to_string())?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut signals = Vec::new();
        let mut first = 0;
        while first < header.signals.len() {
            let spec = &header.signals[first];
            let shared = header.signals[first..].iter().take_while(|s| s.file == spec.file).count();
            let group = &header.signals[first..first + shared];
            signals.extend(read_signals(&folder.join(&spec.file), group, header.samples)?);
            first += shared;
        }
        if let Some(odd) = signals.iter().find(|s| s.len() != signals[0].len()) {
            let found = format!("{} samples", odd.len());
            return Err(Error::input(path.display(), "signals", found, signals[0].len()));
        }
        Ok(Self { header, signals })
    }

    /// The position of the signal called `lead`.
    pub fn lead(&self, lead: &str) -> Option<usize> {
        self.header.signals.iter().position(|signal| signal.description == lead)
    }

    /// The samples of signal `k` in its physical unit; NaN where the file marks a sample as missing.
    pub fn physical(&self, k: usize) -> Vec<f32> {
        let spec = &self.header.signals[k];
        let missing = spec.missing();
        let convert = |&v: &i16| match v {
            v if v == missing => f32::NAN,
            v => ((f64::from(v) - f64::from(spec.baseline)) / spec.gain) as f32,
        };
        self.signals[k].iter().map(convert).collect()
    }
}

impl SignalSpec {
    /// The ADC value that marks a missing sample: the smallest of the format.
    pub fn missing(&self) -> i16 {
        if self.format == 212 { -2048 } else { i16::MIN }
    }
}

/// The path of a file with the record's name and another ending.
pub fn sibling(header: &Path, ending: &str) -> PathBuf {
    header.with_extension(ending)
}

/// The largest signal file that is read, in bytes: a lead of 8 GiB is 138 days at 360 Hz.
const SIGNAL_LIMIT: u64 = 8 << 30;

fn read_text(path: &Path) -> Result<String> {
    let bytes = crate::files::read_bytes(path, crate::files::TEXT_LIMIT)?;
    String::from_utf8(bytes)
        .map_err(|_| Error::input(path.display(), "header", "bytes that are no text", "a WFDB header"))
}

/// The signals that share a file: samples alternate between them.
fn read_signals(path: &Path, specs: &[SignalSpec], samples: Option<usize>) -> Result<Vec<Vec<i16>>> {
    let bytes = crate::files::read_bytes(path, SIGNAL_LIMIT)?;
    let (format, offset) = (specs[0].format, specs[0].offset);
    let bad = |place: &str, found: String, expected: String| {
        Err(Error::input(path.display(), place, found, expected))
    };
    if specs.iter().any(|s| s.format != format || s.offset != offset) {
        return bad("signals", "several formats in one file".into(), "one".into());
    }
    let data = bytes.get(offset..).unwrap_or_default();
    let available = if format == 212 { data.len() * 2 / 3 } else { data.len() / 2 };
    let frames = samples.unwrap_or(available / specs.len());
    let Some(total) = frames.checked_mul(specs.len()).filter(|&total| total <= available && total > 0) else {
        return bad(
            "signals",
            format!("{} bytes, {available} samples", data.len()),
            format!("{frames} samples of each of {} signals (format {format}); truncated?", specs.len()),
        );
    };
    let stream = if format == 212 { decode_212(data, total) } else { decode_16(data, total) };
    let mut signals = Vec::with_capacity(specs.len());
    for (k, spec) in specs.iter().enumerate() {
        let signal: Vec<i16> = stream.iter().skip(k).step_by(specs.len()).copied().collect();
        let sum = signal.iter().fold(0i16, |sum, &v| sum.wrapping_add(v));
        if let Some(expected) = spec.checksum.filter(|&expected| expected != sum && samples.is_some()) {
            return bad(
                &format!("signal {}", spec.description),
                format!("checksum {sum}"),
                expected.to_string(),
            );
        }
        signals.push(signal);
    }
    Ok(signals)
}

/// Pairs of 12-bit two's complement samples in three bytes; the middle one holds both upper halves.
fn decode_212(data: &[u8], total: usize) -> Vec<i16> {
    let extend = |low: u8, high: u8| (i16::from(low) | i16::from(high) << 8) << 4 >> 4;
    let sample = |k: usize| {
        let at = k / 2 * 3;
        if k.is_multiple_of(2) {
            extend(data[at], data[at + 1] & 0x0f)
        } else {
            extend(data[at + 2], data[at + 1] >> 4)
        }
    };
    (0..total).map(sample).collect()
}

fn decode_16(data: &[u8], total: usize) -> Vec<i16> {
    data.chunks_exact(2).take(total).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn header_line_gives_gain_baseline_and_units() {
        let text = "r 2 360 10\nr.dat 212 200(1000)/uV 11 1024 995 -22131 0 MLII\nr.dat 212 0 11 1024 5 7 0 V5 b\n# 69 M\n";
        let header = Header::parse(text, "r.hea").unwrap();
        assert_eq!((header.frequency, header.samples), (360.0, Some(10)));
        let [a, b] = &header.signals[..] else { panic!() };
        assert_eq!((a.gain, a.baseline, a.units.as_str(), a.checksum), (200.0, 1000, "uV", Some(-22131)));
        assert_eq!(
            (b.gain, b.baseline, b.units.as_str(), b.description.as_str()),
            (200.0, 1024, "mV", "V5 b")
        );
        assert_eq!(header.comments, ["69 M"]);
    }

    #[test]
    fn header_that_cannot_be_read_is_refused() {
        for text in [
            "",
            "r\n",
            "r 0\n",
            "r/3 1 360\n",
            "r 1 x\n",
            "r 1 360 x\n",
            "r 2 360 9\nr.dat 212\n",
            "r 1 360 9\n../../r.dat 212\n",
            "r 1 360 9\nr.dat 80\n",
            "r 1 360 9\nr.dat 212x4\n",
            "r 1 360 9\nr.dat 16 x\n",
            "r 99999999999 360 9\n",
        ] {
            assert!(Header::parse(text, "r.hea").is_err(), "{text:?}");
        }
    }

    #[test]
    fn samples_of_both_formats_keep_their_sign() {
        // -1 and 2047, then -2048 and 5, packed by the format's definition.
        assert_eq!(decode_212(&[0xff, 0x7f, 0xff, 0x00, 0x08, 0x05], 4), [-1, 2047, -2048, 5]);
        assert_eq!(decode_212(&[0xff, 0x7f, 0xff, 0x00, 0x08], 3), [-1, 2047, -2048]);
        assert_eq!(decode_16(&[0xff, 0xff, 0x00, 0x80, 0x34, 0x12], 3), [-1, -32768, 0x1234]);
    }

    #[test]
    fn record_is_read_and_its_damage_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("r.hea");
        std::fs::write(&path, "r 2 360 2\nr.dat 16 200 16 0 1 4 0 A\nr.dat 16 100 16 0 2 6 0 B\n").unwrap();
        let samples = [1i16, 2, 3, 4].map(i16::to_le_bytes).concat();
        std::fs::write(dir.path().join("r.dat"), &samples).unwrap();
        let record = Record::read(&path).unwrap();
        assert_eq!(record.signals, [vec![1, 3], vec![2, 4]]);
        assert_eq!(record.physical(1), [0.02, 0.04]);
        std::fs::write(dir.path().join("r.dat"), &samples[..7]).unwrap();
        assert!(Record::read(&path).unwrap_err().to_string().contains("truncated"));
        let flipped = [1i16, 2, 3, 5].map(i16::to_le_bytes).concat();
        std::fs::write(dir.path().join("r.dat"), flipped).unwrap();
        assert!(Record::read(&path).unwrap_err().to_string().contains("checksum 7"));
        std::fs::remove_file(dir.path().join("r.dat")).unwrap();
        assert!(Record::read(&path).unwrap_err().to_string().contains("r.dat"));
    }
}
