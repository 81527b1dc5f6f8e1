//! A record's header: header(5) of the WFDB Applications Guide.

use std::path::Path;

use super::formats::Format;
use crate::data::voltage;
use crate::{Error, Result, files};

/// A record's header.
#[derive(Clone, Debug, PartialEq)]
pub struct Header {
    /// The record's name.
    pub record: String,
    /// Frames a second.
    pub frequency: f64,
    /// Frames, where the header says so.
    pub frames: Option<u64>,
    /// The signals, in the file's order; empty where there are several segments.
    pub signals: Vec<SignalSpec>,
    /// The segments, where there are several.
    pub segments: Vec<SegmentSpec>,
    /// Whether it only says which signals a record of several segments has.
    pub layout: bool,
    /// The lines after `#`: age, sex, diagnoses, medication.
    pub comments: Vec<String>,
}

/// One segment's line of a header.
#[derive(Clone, Debug, PartialEq)]
pub struct SegmentSpec {
    /// Its record, beside the header; `~` where nothing was recorded.
    pub name: String,
    /// Its frames; 0 for one that only says which signals there are.
    pub frames: u64,
}

/// One signal's line of a header.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalSpec {
    /// The file that holds it, beside the header; `~` where nothing was recorded.
    pub file: String,
    /// How its samples lie in the file.
    pub format: Format,
    /// Samples a frame.
    pub per_frame: u64,
    /// Frames by which its samples stand later in the file.
    pub skew: u64,
    /// Bytes before the first sample.
    pub offset: u64,
    /// ADC units per physical unit.
    pub gain: f64,
    /// Whether the header states no gain, so that 200 was assumed, as header(5) says.
    pub uncalibrated: bool,
    /// The ADC value of physical 0.
    pub baseline: i64,
    /// The physical unit.
    pub units: String,
    /// Bits of the converter; 0 where the header does not say.
    pub resolution: u32,
    /// The ADC value in the middle of the converter's range.
    pub zero: i64,
    /// The value before the first difference, in format 8.
    pub initial: i32,
    /// The sum of all samples, modulo 65,536, as a signed number.
    pub checksum: Option<i16>,
    /// What it is: `MLII`, `V5`.
    pub description: String,
}

/// More signals than this in a header are taken for damage.
const MAX_SIGNALS: usize = 4096;
/// More segments than this in a header are taken for damage.
const MAX_SEGMENTS: usize = 1 << 20;
/// More frames than this are taken for damage: 34 years at 1,000 Hz.
pub(super) const MAX_FRAMES: u64 = 1 << 40;
/// More samples a frame than this are taken for damage.
const MAX_PER_FRAME: u64 = 1 << 16;
/// The largest header that is read. 64 MiB.
const MAX_BYTES: u64 = 64 << 20;

impl Header {
    /// Reads the header at `path`. Bytes that are no UTF-8 are taken for Latin-1.
    ///
    /// # Errors
    /// A file that cannot be read, and as [`Header::parse`].
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read_bytes(path, MAX_BYTES)?;
        let text = String::from_utf8(bytes)
            .unwrap_or_else(|error| error.as_bytes().iter().map(|&byte| char::from(byte)).collect());
        Self::parse(&text, &path.display().to_string())
    }

    /// Reads a header's text; `file` names it in errors.
    ///
    /// # Errors
    /// A line that is not as header(5) has it, a compressed format, a signal file that is not beside the header.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let is_comment = |line: &str| line.trim_start().starts_with('#');
        let comments = text
            .lines()
            .filter(|line| is_comment(line))
            .map(|line| line.trim().trim_start_matches('#').trim().to_string())
            .collect();
        let mut lines =
            text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !is_comment(line));
        let bad = |line: usize, found: &str, expected: &str| {
            Error::input(file, format!("line {}", line + 1), format!("`{found}`"), expected)
        };
        let (at, first) = lines.next().ok_or_else(|| bad(0, "", "RECORD SIGNALS [FREQUENCY [SAMPLES]]"))?;
        let fields: Vec<&str> = first.split_whitespace().collect();
        let (record, parts) = match fields[0].split_once('/') {
            None => (fields[0], 0),
            Some((record, parts)) => {
                let parts = parts.parse().ok().filter(|parts| (1..=MAX_SEGMENTS).contains(parts));
                (record, parts.ok_or_else(|| bad(at, first, "RECORD/SEGMENTS with a number of segments"))?)
            }
        };
        let count =
            fields.get(1).and_then(|n| n.parse().ok()).filter(|&n| n <= MAX_SIGNALS && (n > 0 || parts > 0));
        let count = count.ok_or_else(|| bad(at, first, "RECORD and a number of signals"))?;
        let frequency = match fields.get(2) {
            // 250 Hz is what header(5) says of a record that does not say.
            None => 250.0,
            Some(field) => field.split(['/', '(']).next().and_then(|f| f.parse().ok()).unwrap_or(f64::NAN),
        };
        if !(frequency > 0.0 && frequency.is_finite()) {
            return Err(bad(at, first, "a sampling frequency above 0"));
        }
        let frames = match fields.get(3).map(|n| n.parse::<u64>()) {
            None | Some(Ok(0)) => None,
            Some(Ok(n)) if n <= MAX_FRAMES => Some(n),
            Some(_) => return Err(bad(at, first, "a number of samples")),
        };
        let mut header = Self {
            record: record.to_string(),
            frequency,
            frames,
            signals: Vec::new(),
            segments: Vec::new(),
            layout: false,
            comments,
        };
        let wanted = if parts > 0 { parts } else { count };
        for (line, text) in lines.take(wanted) {
            if parts > 0 {
                header.segments.push(SegmentSpec::parse(text).map_err(|expected| bad(line, text, expected))?);
            } else {
                header.signals.push(SignalSpec::parse(text).map_err(|expected| bad(line, text, expected))?);
            }
        }
        let found = header.signals.len() + header.segments.len();
        if found < wanted {
            let what = if parts > 0 { "segments" } else { "signals" };
            return Err(bad(at, first, &format!("{wanted} lines of {what}, where there are {found}")));
        }
        Ok(header)
    }
}

/// A name that can only be a file's beside the header.
fn beside(name: &str) -> bool {
    !name.contains(['/', '\\', '\0']) && name != "-" && !name.starts_with("..")
}

impl SegmentSpec {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let mut fields = line.split_whitespace();
        let name = fields.next().filter(|name| beside(name)).ok_or("a segment's record beside the header")?;
        let frames = fields.next().and_then(|n| n.parse().ok()).filter(|&n| n <= MAX_FRAMES);
        Ok(Self { name: name.to_string(), frames: frames.ok_or("a segment and its number of samples")? })
    }
}

impl SignalSpec {
    /// `FILE FORMAT[xN][:SKEW][+OFFSET] [GAIN[(BASELINE)][/UNITS] [RESOLUTION [ZERO [INITIAL [SUM [BLOCK [TEXT]]]]]]]`
    fn parse(line: &str) -> Result<Self, &'static str> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let file = fields[0];
        if !beside(file) {
            return Err("a signal file beside the header");
        }
        let coding = fields.get(1).ok_or("a format")?;
        let (coding, offset) = match coding.split_once('+') {
            Some((coding, offset)) => (coding, offset.parse::<u32>().map_err(|_| "a byte offset")?),
            None => (*coding, 0),
        };
        let (coding, skew) = match coding.split_once(':') {
            Some((coding, skew)) => (coding, skew.parse::<u32>().map_err(|_| "a skew in samples")?),
            None => (coding, 0),
        };
        let (coding, per_frame) = match coding.split_once('x') {
            Some((coding, n)) => (coding, n.parse().map_err(|_| "a number of samples a frame")?),
            None => (coding, 1),
        };
        if !(1..=MAX_PER_FRAME).contains(&per_frame) {
            return Err("1 to 65536 samples a frame");
        }
        let integer =
            |k: usize| fields.get(k).map(|f| f.parse::<i64>().map_err(|_| "a whole number")).transpose();
        let zero = integer(4)?.unwrap_or(0);
        let (gain, baseline, units) = parse_gain(fields.get(2).copied().unwrap_or("0"), zero)?;
        Ok(Self {
            file: file.to_string(),
            // A layout's signals have no file, and no format.
            format: if file == "~" { Format::Sixteen } else { Format::numbered(coding)? },
            per_frame,
            skew: u64::from(skew),
            offset: u64::from(offset),
            gain: if gain == 0.0 { 200.0 } else { gain },
            uncalibrated: gain == 0.0,
            baseline,
            units,
            resolution: integer(3)?
                .and_then(|bits| u32::try_from(bits).ok())
                .filter(|&b| b <= 32)
                .unwrap_or(0),
            zero,
            initial: integer(5)?.unwrap_or(0) as i32,
            // Some programs write the sum unsigned; both name the same 16 bits.
            checksum: integer(6)?.map(|sum| sum as i16),
            description: fields.get(8..).map(|text| text.join(" ")).unwrap_or_default(),
        })
    }

    /// Its name, or its number from 0 where it has none.
    pub fn name(&self, k: usize) -> String {
        if self.description.is_empty() { format!("signal {k}") } else { self.description.clone() }
    }

    /// The physical values that its converter can give, in mV where it is a voltage; `None` where nothing says how many bits it has.
    pub fn range(&self) -> Option<(f64, f64)> {
        let (bits, middle) = match (self.resolution, self.format.bits()) {
            (0, bits) => (bits?, 0),
            (bits, _) => (bits, self.zero),
        };
        let half = 1i64 << (bits - 1);
        let per = voltage::common(&self.units).1;
        let physical = |value: i64| (value as f64 - self.baseline as f64) / self.gain / per;
        let (a, b) = (physical(middle.saturating_sub(half)), physical(middle.saturating_add(half - 1)));
        Some((a.min(b), a.max(b)))
    }
}

fn parse_gain(field: &str, zero: i64) -> Result<(f64, i64, String), &'static str> {
    let (field, units) = field.split_once('/').unwrap_or((field, "mV"));
    let (gain, baseline) = match field.split_once('(') {
        Some((gain, rest)) => {
            (gain, rest.trim_end_matches(')').parse::<i32>().map_err(|_| "a baseline of 32 bits")?.into())
        }
        None => (field, zero),
    };
    let gain: f64 = gain.parse().map_err(|_| "a gain")?;
    if !gain.is_finite() {
        return Err("a finite gain");
    }
    Ok((gain, baseline, units.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn header_line_gives_gain_baseline_and_units() {
        let text = "# 69 M\nr 2 360/30(5) 10 9:00 1/1/2000\nr.dat 212x2:3+24 200(1000)/uV 11 1024 995 -22131 0 MLII\n\
                    r.dat 212 0 11 1024 5 7 0 V5 b\n#Dx: 1,2\n";
        let header = Header::parse(text, "r.hea").unwrap();
        assert_eq!((header.frequency, header.frames), (360.0, Some(10)));
        let [a, b] = &header.signals[..] else { panic!() };
        assert_eq!((a.gain, a.baseline, a.units.as_str(), a.checksum), (200.0, 1000, "uV", Some(-22131)));
        assert_eq!((a.per_frame, a.skew, a.offset, a.uncalibrated), (2, 3, 24, false));
        assert_eq!((b.gain, b.baseline, b.units.as_str(), b.uncalibrated), (200.0, 1024, "mV", true));
        assert_eq!(b.description, "V5 b");
        assert_eq!(b.range(), Some((-5.12, 5.115)));
        assert_eq!(header.comments, ["69 M", "Dx: 1,2"]);
        let several = Header::parse("r/2 1 500 9\na 4\n~ 5\n", "r.hea").unwrap();
        assert_eq!(several.segments.iter().map(|s| s.frames).collect::<Vec<_>>(), [4, 5]);
    }

    #[test]
    fn header_that_cannot_be_read_is_refused() {
        for text in [
            "",
            "r\n",
            "r 0\n",
            "r/x 1 360\n",
            "r/3 1 360\na 5\n",
            "r/1 1 360\n../a 5\n",
            "r 1 x\n",
            "r 1 360 x\n",
            "r 1 360 9999999999999999\n",
            "r 2 360 9\nr.dat 212\n",
            "r 1 360 9\n../../r.dat 212\n",
            "r 1 360 9\nr.dat 81\n",
            "r 1 360 9\nr.dat 516\n",
            "r 1 360 9\nr.dat 212x0\n",
            "r 1 360 9\nr.dat 212:x\n",
            "r 1 360 9\nr.dat 16+x\n",
            "r 1 360 9\nr.dat 16 x\n",
            "r 1 360 9\nr.dat 16 inf\n",
            "r 99999999999 360 9\n",
        ] {
            assert!(Header::parse(text, "r.hea").is_err(), "{text:?}");
        }
    }
}
