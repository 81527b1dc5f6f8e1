//! EDF, EDF+ and BDF recordings: signals, their units and rates, annotations.
//!
//! The formats are those of Kemp et al. 1992 (EDF), Kemp & Olivan 2003 (EDF+) and BioSemi (BDF: samples of 24 bits). A file is a header,
//! then data records of equal length, each with some samples of every signal.

use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::voltage;
use crate::{Error, Result, files};

/// A recording whose samples are read where they are asked for.
#[derive(Debug)]
pub struct Edf {
    /// The signals, without those of annotations.
    pub signals: Vec<EdfSignal>,
    /// Seconds of a data record.
    pub record_seconds: f64,
    /// Which samples are covered by which data records: one stretch where nothing is left out.
    stretches: Vec<Stretch>,
    annotations: Vec<EdfSignal>,
    path: PathBuf,
    bytes: Mmap,
    header_bytes: usize,
    /// Samples of all signals in a data record.
    record_samples: usize,
    /// Bytes of a sample.
    width: usize,
    records: usize,
}

/// A signal of an EDF file.
#[derive(Clone, Debug, PartialEq)]
pub struct EdfSignal {
    /// Its label: `ECG II`.
    pub label: String,
    /// Its physical unit.
    pub unit: String,
    /// Samples of it in a data record.
    pub per_record: usize,
    physical: (f64, f64),
    digital: (f64, f64),
    /// Samples of other signals before its own in a data record.
    within: usize,
}

/// Something noted in a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct EdfNote {
    /// Seconds from the start.
    pub seconds: f64,
    /// How many seconds it lasts, where that is said.
    pub duration: Option<f64>,
    /// What was noted.
    pub text: String,
}

/// Data records without a gap between them.
#[derive(Clone, Debug, PartialEq)]
struct Stretch {
    /// Seconds of its first record, from the start of the file.
    onset: f64,
    /// Its data records.
    records: Range<usize>,
}

/// More signals than this are taken for damage.
const MAX_SIGNALS: usize = 4096;

impl Edf {
    /// Reads the header of the file at `path`; of its data only the times at which data records start, where some may be left out.
    ///
    /// # Errors
    /// A file that is no EDF or BDF, or is shorter than its header says; numbers that are none; annotations out of place.
    pub fn open(path: &Path) -> Result<Self> {
        let file = files::open(path)?;
        // SAFETY: the file is only read; should another program shorten it meanwhile, the system ends this one.
        let bytes = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        let header = Fields { bytes: &bytes, path };
        let bdf = bytes.starts_with(b"\xffBIOSEMI");
        if !bdf && header.text(0, 8, "version")? != "0" {
            return Err(Error::input(
                path.display(),
                "version",
                header.text(0, 8, "version")?,
                "0 (EDF), or BDF's",
            ));
        }
        let count = header.whole(252, 4, "number of signals", 1..=MAX_SIGNALS as i64)? as usize;
        let header_bytes = 256 * (count + 1);
        let kind = header.text(192, 44, "reserved")?;
        let record_seconds = header.number(244, 8, "duration of a data record")?;
        if record_seconds < 0.0 {
            return Err(Error::input(
                path.display(),
                "duration of a data record",
                record_seconds,
                "at least 0",
            ));
        }
        let stated = header.whole(236, 8, "number of data records", -1..=i64::from(u32::MAX))?;
        let (mut signals, mut annotations, mut within) = (Vec::new(), Vec::new(), 0usize);
        for k in 0..count {
            let signal = EdfSignal::read(&header, k, count, within)?;
            within += signal.per_record;
            if ["EDF Annotations", "BDF Annotations"].contains(&signal.label.as_str()) {
                annotations.push(signal);
            } else {
                signals.push(signal);
            }
        }
        let width = if bdf { 3 } else { 2 };
        let held = bytes.len().saturating_sub(header_bytes) / (within * width).max(1);
        let records = usize::try_from(stated).unwrap_or(held);
        if records > held || records == 0 {
            let expected =
                format!("{} of them, as the header says, and at least one; truncated?", stated.max(1));
            return Err(Error::input(path.display(), "data records", held, expected));
        }
        if !signals.is_empty() && record_seconds == 0.0 {
            let place = "duration of a data record";
            return Err(Error::input(path.display(), place, 0, "seconds above 0, as the file has signals"));
        }
        let mut edf = Self {
            signals,
            record_seconds,
            stretches: vec![Stretch { onset: 0.0, records: 0..records }],
            annotations,
            path: path.to_path_buf(),
            bytes,
            header_bytes,
            record_samples: within,
            width,
            records,
        };
        if kind.starts_with("EDF+D") || kind.starts_with("BDF+D") {
            edf.stretches = edf.interrupted()?;
        }
        Ok(edf)
    }

    /// Samples a second of signal `k`.
    pub fn rate(&self, k: usize) -> f64 {
        self.signals[k].per_record as f64 / self.record_seconds
    }

    /// Samples of signal `k` from the start to the end, gaps included.
    pub fn len(&self, k: usize) -> u64 {
        self.stretches.last().map_or(0, |last| {
            let own = (last.records.len() * self.signals[k].per_record) as u64;
            self.position(k, last).saturating_add(own)
        })
    }

    /// Whether data records are left out.
    pub fn has_gaps(&self) -> bool {
        self.stretches.len() > 1
    }

    /// The place of a stretch's first sample among those of signal `k`.
    fn position(&self, k: usize, stretch: &Stretch) -> u64 {
        (stretch.onset * self.rate(k)).round() as u64
    }

    /// The samples of signal `k` in mV, or in its own unit where that is no voltage; NaN in gaps and beyond the end.
    pub fn read(&self, k: usize, range: Range<u64>) -> Vec<f64> {
        let signal = &self.signals[k];
        let per = voltage::common(&signal.unit).1;
        let scale = (signal.physical.1 - signal.physical.0) / (signal.digital.1 - signal.digital.0);
        let offset = signal.physical.1 / scale - signal.digital.1;
        let value = |at: u64| {
            let stretch = self.stretches.iter().rev().find(|stretch| self.position(k, stretch) <= at)?;
            let at = usize::try_from(at - self.position(k, stretch)).ok()?;
            let record = stretch.records.start + at / signal.per_record;
            let sample =
                (record < stretch.records.end).then(|| self.sample(signal, record, at % signal.per_record));
            let physical = scale * (f64::from(sample.flatten()?) + offset);
            Some(if per == 1.0 { physical } else { physical / per })
        };
        range.map(|at| value(at).unwrap_or(f64::NAN)).collect()
    }

    /// The physical range that the header states for signal `k`, in the unit of [`Edf::read`].
    pub fn range(&self, k: usize) -> (f64, f64) {
        let (signal, per) = (&self.signals[k], voltage::common(&self.signals[k].unit).1);
        let (a, b) = (signal.physical.0 / per, signal.physical.1 / per);
        (a.min(b), a.max(b))
    }

    fn sample(&self, signal: &EdfSignal, record: usize, at: usize) -> Option<i32> {
        let at = self.header_bytes + (record * self.record_samples + signal.within + at) * self.width;
        let bytes = self.bytes.get(at..at + self.width)?;
        Some(match *bytes {
            [low, high] => i32::from(i16::from_le_bytes([low, high])),
            [low, middle, high] => i32::from_le_bytes([0, low, middle, high]) >> 8,
            _ => return None,
        })
    }

    /// Everything that is noted in the file, in its order, without the marks of data records' times.
    ///
    /// # Errors
    /// A list of annotations that is not as EDF+ has it.
    pub fn notes(&self) -> Result<Vec<EdfNote>> {
        let mut notes = Vec::new();
        // The first record's own time is where the samples begin.
        let first = match self.annotations.first() {
            Some(signal) => self.lists(signal, 0)?.first().map_or(0.0, |note| note.seconds),
            None => 0.0,
        };
        for record in 0..self.records {
            for signal in &self.annotations {
                let own = self.lists(signal, record)?.into_iter().filter(|note| !note.text.is_empty());
                notes.extend(own.map(|note| EdfNote { seconds: note.seconds - first, ..note }));
            }
        }
        Ok(notes)
    }

    /// The annotation lists of a data record: `+ONSET[0x15 DURATION]0x14 TEXT 0x14 ... 0`, one note a text.
    fn lists(&self, signal: &EdfSignal, record: usize) -> Result<Vec<EdfNote>> {
        let start = self.header_bytes + (record * self.record_samples + signal.within) * self.width;
        let bytes = self.bytes.get(start..start + signal.per_record * self.width).unwrap_or_default();
        let mut notes = Vec::new();
        for list in bytes.split(|&byte| byte == 0).filter(|list| !list.is_empty()) {
            let list = String::from_utf8_lossy(list);
            let mut parts = list.split('\u{14}');
            let time = parts.next().unwrap_or_default();
            let (onset, lasting) = time.split_once('\u{15}').unwrap_or((time, ""));
            let duration = lasting.trim().parse::<f64>().ok().filter(|seconds| (0.0..1e12).contains(seconds));
            let seconds =
                onset.parse::<f64>().ok().filter(|seconds| seconds.is_finite()).ok_or_else(|| {
                    let place = format!("annotations of data record {record}");
                    Error::input(
                        self.path.display(),
                        place,
                        format!("a time of `{onset}`"),
                        "seconds, such as +1.5",
                    )
                })?;
            notes.extend(parts.map(|text| EdfNote { seconds, duration, text: text.trim().to_string() }));
        }
        Ok(notes)
    }

    /// The stretches of a file whose data records do not follow each other: each record's first list says when it starts.
    fn interrupted(&self) -> Result<Vec<Stretch>> {
        let mut stretches: Vec<Stretch> = Vec::new();
        let mut first = 0.0;
        for record in 0..self.records {
            let place = || format!("data record {record}");
            let bad = |found: &str| {
                Error::input(
                    self.path.display(),
                    place(),
                    found,
                    "the time at which it starts, not before the last one",
                )
            };
            let signal = self.annotations.first().ok_or_else(|| bad("no annotations"))?;
            let own =
                self.lists(signal, record)?.first().map(|note| note.seconds).ok_or_else(|| bad("no time"))?;
            if record == 0 {
                first = own;
            }
            let onset = own - first;
            match stretches.last_mut() {
                Some(last) => {
                    let end = last.onset + last.records.len() as f64 * self.record_seconds;
                    // Times are written with a few digits.
                    if (onset - end).abs() < 1e-3 * self.record_seconds.max(1e-3) {
                        last.records.end += 1;
                    } else if onset > end && onset < 1e9 {
                        stretches.push(Stretch { onset, records: record..record + 1 });
                    } else {
                        return Err(bad(&format!("{own} s")));
                    }
                }
                None => stretches.push(Stretch { onset, records: 0..1 }),
            }
        }
        Ok(stretches)
    }
}

impl EdfSignal {
    /// Signal `k` of `count`: every field of all signals stands together.
    fn read(header: &Fields, k: usize, count: usize, within: usize) -> Result<Self> {
        let place = |what: &str| format!("signal {k}, {what}");
        let at = |before: usize, width: usize| 256 + count * before + k * width;
        let label = header.text(at(0, 16), 16, &place("label"))?;
        let number = |before: usize, what: &str| header.number(at(before, 8), 8, &place(what));
        let annotations = ["EDF Annotations", "BDF Annotations"].contains(&label.as_str());
        let per_record =
            header.whole(at(216, 8), 8, &place("samples of a data record"), 1..=1 << 26)? as usize;
        let mut signal = Self {
            unit: header.text(at(96, 8), 8, &place("unit"))?,
            per_record,
            physical: (0.0, 1.0),
            digital: (0.0, 1.0),
            within,
            label,
        };
        if !annotations {
            signal.physical = (number(104, "physical minimum")?, number(112, "physical maximum")?);
            signal.digital = (number(120, "digital minimum")?, number(128, "digital maximum")?);
            if signal.physical.0 == signal.physical.1 || signal.digital.0 >= signal.digital.1 {
                let found = format!("{:?} for {:?}", signal.physical, signal.digital);
                let expected = "a range above 0 for both the physical and the digital values";
                return Err(Error::input(header.path.display(), place("ranges"), found, expected));
            }
        }
        Ok(signal)
    }
}

/// The header's fields, which are texts padded with blanks.
struct Fields<'a> {
    bytes: &'a [u8],
    path: &'a Path,
}

impl Fields<'_> {
    fn text(&self, at: usize, len: usize, what: &str) -> Result<String> {
        let bytes = self.bytes.get(at..at + len).ok_or_else(|| {
            Error::input(self.path.display(), what, "the end of the file", "an EDF header; truncated?")
        })?;
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text.to_string(),
            Err(_) => bytes.iter().map(|&byte| char::from(byte)).collect(),
        };
        Ok(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_string())
    }

    fn number(&self, at: usize, len: usize, what: &str) -> Result<f64> {
        let text = self.text(at, len, what)?;
        // Some writers follow their country's custom.
        let number = text.replace(',', ".").parse::<f64>().ok().filter(|number| number.is_finite());
        number.ok_or_else(|| Error::input(self.path.display(), what, format!("`{text}`"), "a number"))
    }

    fn whole(&self, at: usize, len: usize, what: &str, range: std::ops::RangeInclusive<i64>) -> Result<i64> {
        let text = self.text(at, len, what)?;
        let number = text.parse::<i64>().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let expected = format!("a whole number from {} to {}", range.start(), range.end());
            Error::input(self.path.display(), what, format!("`{text}`"), expected)
        })
    }
}
