//! The signals of a record: of one segment, or of several one after the other.

use std::cell::OnceCell;
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

use super::formats::Format;
use super::header::{Header, MAX_FRAMES, SignalSpec};
use crate::data::voltage;
use crate::{Error, Result, files};

/// A record whose signals are read where they are asked for. Its files stay closed until then.
#[derive(Debug)]
pub struct Record {
    /// Its header; of a record of several segments the signals are those that it has as a whole.
    pub header: Header,
    /// Frames of it: the number of samples of a signal that has one a frame.
    pub frames: u64,
    path: PathBuf,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Files { files: Vec<SignalFile>, places: Vec<Option<Place>> },
    Segments(Vec<Segment>),
}

/// Where a signal's samples stand in the frames of its file.
#[derive(Clone, Copy, Debug)]
struct Place {
    file: usize,
    within: u64,
}

#[derive(Debug)]
struct SignalFile {
    path: PathBuf,
    format: Format,
    offset: u64,
    /// Samples of all its signals a frame.
    frame: u64,
    data: OnceCell<Data>,
}

#[derive(Debug)]
enum Data {
    Mapped(Mmap),
    /// Differences added up, in the order of the file.
    Sums(Vec<i32>),
}

/// A stretch of a record of several: nothing was recorded where it has no record.
#[derive(Debug)]
struct Segment {
    frames: Range<u64>,
    part: Option<Part>,
}

#[derive(Debug)]
struct Part {
    record: Record,
    /// Which of its signals is each of the whole record's.
    signals: Vec<Option<usize>>,
}

impl Record {
    /// Reads the header at `path`, and those of its segments; of signal files it looks at the sizes.
    ///
    /// # Errors
    /// As [`Header::parse`]; a signal file that is missing, too short, or no regular file; segments that do not fit together.
    pub fn open(path: &Path) -> Result<Self> {
        let header = Header::read(path)?;
        if header.segments.is_empty() {
            Self::of_files(path, header)
        } else {
            Self::of_segments(path, header)
        }
    }

    fn of_files(path: &Path, header: Header) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut files: Vec<SignalFile> = Vec::new();
        let mut places = Vec::new();
        for spec in &header.signals {
            if spec.file == "~" {
                places.push(None);
                continue;
            }
            let path = folder.join(&spec.file);
            let file = match files.iter().position(|file| file.path == path) {
                Some(file) => file,
                None => {
                    let (format, offset) = (spec.format, spec.offset);
                    files.push(SignalFile {
                        path: path.clone(),
                        format,
                        offset,
                        frame: 0,
                        data: OnceCell::new(),
                    });
                    files.len() - 1
                }
            };
            let own = &mut files[file];
            if (own.format, own.offset) != (spec.format, spec.offset) {
                return Err(Error::input(path.display(), "signals", "several formats in one file", "one"));
            }
            places.push(Some(Place { file, within: own.frame }));
            own.frame += spec.per_frame;
        }
        let mut frames = header.frames;
        for file in &files {
            let held = file.frames_held()?;
            if header.frames.is_some_and(|stated| stated > held) {
                let found = format!("{held} samples of each signal");
                let expected = format!("{}, as the header says; truncated?", header.frames.unwrap_or(0));
                return Err(Error::input(file.path.display(), "signals", found, expected));
            }
            frames = Some(frames.map_or(held, |frames| frames.min(held)));
        }
        // A layout segment describes signals and has none of its own.
        let frames = frames.unwrap_or(0);
        if frames == 0 && !header.layout {
            return Err(Error::input(path.display(), "signals", "no samples", "at least one"));
        }
        Ok(Self { header, frames, path: path.to_path_buf(), body: Body::Files { files, places } })
    }

    fn of_segments(path: &Path, mut header: Header) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let bad = |segment: &str, found: String, expected: &str| {
            Err(Error::input(path.display(), format!("segment {segment}"), found, expected))
        };
        let mut records: Vec<Option<Record>> = Vec::new();
        for segment in &header.segments {
            if segment.name == "~" {
                records.push(None);
                continue;
            }
            let own = folder.join(format!("{}.hea", segment.name));
            let own_header = Header::read(&own)?;
            if !own_header.segments.is_empty() {
                return bad(&segment.name, "a record of several segments".into(), "one of a single segment");
            }
            if own_header.frequency != header.frequency {
                let found = format!("{} Hz", own_header.frequency);
                return bad(&segment.name, found, "the sampling frequency of the whole record");
            }
            let layout = Header { layout: segment.frames == 0, ..own_header };
            records.push(Some(Self::of_files(&own, layout)?));
        }
        let Some(first) = records.iter().flatten().next() else {
            return bad("", "none with signals".into(), "at least one");
        };
        header.signals = first.header.signals.clone();
        let mut segments = Vec::new();
        let mut start = 0u64;
        for (segment, record) in header.segments.iter().zip(records) {
            if segment.frames == 0 {
                continue;
            }
            let end = start.saturating_add(segment.frames);
            let part = match record {
                Some(record) if record.frames < segment.frames => {
                    let found = format!("{} samples", record.frames);
                    return bad(&segment.name, found, "as many as the whole record's header says");
                }
                Some(record) => Some(Part { signals: matched(&header.signals, &record, path)?, record }),
                None => None,
            };
            segments.push(Segment { frames: start..end, part });
            start = end;
        }
        if start == 0 || start > MAX_FRAMES || header.frames.is_some_and(|stated| stated != start) {
            let found = format!("{start} samples in its segments");
            return bad("", found, "as many as its first line says, and at least one");
        }
        Ok(Self { header, frames: start, path: path.to_path_buf(), body: Body::Segments(segments) })
    }

    /// The files that its signals lie in, with the headers of its segments.
    pub fn files(&self) -> Vec<PathBuf> {
        match &self.body {
            Body::Files { files, .. } => files.iter().map(|file| file.path.clone()).collect(),
            Body::Segments(segments) => segments
                .iter()
                .filter_map(|segment| segment.part.as_ref())
                .flat_map(|part| [vec![part.record.path.clone()], part.record.files()].concat())
                .collect(),
        }
    }

    /// The position of the signal called `lead`.
    pub fn lead(&self, lead: &str) -> Option<usize> {
        self.header.signals.iter().position(|signal| signal.description == lead)
    }

    /// The samples of signal `k` in mV, or in its own unit where that is no voltage; NaN where one is missing. `range` counts the signal's own
    /// samples, `per_frame` of them a frame; what lies beyond the record is missing.
    ///
    /// # Errors
    /// A signal file that cannot be opened.
    pub fn read(&self, k: usize, range: Range<u64>) -> Result<Vec<f64>> {
        let spec = &self.header.signals[k];
        match &self.body {
            Body::Files { .. } => {
                let per = voltage::common(&spec.units).1;
                let physical = |value: Option<i32>| {
                    let value = value.map(|v| (f64::from(v) - spec.baseline as f64) / spec.gain);
                    value.map_or(f64::NAN, |v| if per == 1.0 { v } else { v / per })
                };
                Ok(self.digital(k, range)?.into_iter().map(physical).collect())
            }
            Body::Segments(segments) => {
                let mut values = vec![f64::NAN; range.end.saturating_sub(range.start) as usize];
                for segment in segments {
                    let Some(part) = &segment.part else { continue };
                    let own = segment.frames.start * spec.per_frame..segment.frames.end * spec.per_frame;
                    let both = own.start.max(range.start)..own.end.min(range.end);
                    let Some(signal) = part.signals[k].filter(|_| both.start < both.end) else { continue };
                    let read = part.record.read(signal, both.start - own.start..both.end - own.start)?;
                    values[(both.start - range.start) as usize..][..read.len()].copy_from_slice(&read);
                }
                Ok(values)
            }
        }
    }

    /// The samples of signal `k` in ADC units, of a record of one segment; `None` where one is missing.
    ///
    /// # Errors
    /// As [`Record::read`]; a record of several segments, each of which has units of its own.
    pub fn digital(&self, k: usize, range: Range<u64>) -> Result<Vec<Option<i32>>> {
        let Body::Files { files, places } = &self.body else {
            let found = "several segments, each with ADC units of its own";
            return Err(Error::input(self.path.display(), "record", found, "one segment"));
        };
        let spec = &self.header.signals[k];
        let Some(place) = places[k] else {
            return Ok(range.map(|_| None).collect());
        };
        let file = &files[place.file];
        let data = file.data(self)?;
        let missing = spec.format.missing();
        let sample = |at: u64| {
            // A skewed signal's first sample stands so many frames later in the file.
            let frame = (at / spec.per_frame).checked_add(spec.skew).filter(|&frame| frame < self.frames)?;
            let at = frame * file.frame + place.within + at % spec.per_frame;
            file.sample(data, usize::try_from(at).ok()?).filter(|&value| Some(value) != missing)
        };
        Ok(range.map(sample).collect())
    }

    /// Compares the sums of all samples with those that the header states.
    ///
    /// # Errors
    /// The first signal whose sum differs: its file is damaged or another.
    pub fn verify(&self) -> Result<()> {
        match &self.body {
            Body::Segments(segments) => {
                segments.iter().filter_map(|s| s.part.as_ref()).try_for_each(|part| part.record.verify())
            }
            Body::Files { .. } if self.header.frames.is_none() => Ok(()),
            Body::Files { places, .. } => {
                (0..places.len()).filter(|&k| places[k].is_some()).try_for_each(|k| self.verify_signal(k))
            }
        }
    }

    fn verify_signal(&self, k: usize) -> Result<()> {
        let spec = &self.header.signals[k];
        // The sum of a skewed signal lacks samples that stand in no file.
        let Some(stated) = spec.checksum.filter(|_| spec.skew == 0) else { return Ok(()) };
        let (mut sum, mut missing) = (0i16, 0i16);
        let end = self.frames * spec.per_frame;
        for start in (0..end).step_by(1 << 16) {
            for value in self.digital(k, start..end.min(start + (1 << 16)))? {
                match value {
                    Some(value) => sum = sum.wrapping_add(value as i16),
                    None => missing = missing.wrapping_add(1),
                }
            }
        }
        // Writers count missing samples as the format's smallest value, as that of 16 bits, or not at all.
        let own = spec.format.missing().unwrap_or(0) as i16;
        let as_written = [own, i16::MIN, 0].map(|value| sum.wrapping_add(missing.wrapping_mul(value)));
        if as_written.contains(&stated) {
            return Ok(());
        }
        let expected = format!(
            "{stated}, as the header says: the file is damaged or another (checksums = false reads it all the same)"
        );
        let place = format!("signal {}", spec.name(k));
        Err(Error::input(self.path.display(), place, format!("checksum {}", as_written[0]), expected))
    }

    /// The physical values that signal `k` can take, in the unit of [`Record::read`]; `None` where nothing says it.
    pub fn range(&self, k: usize) -> Option<(f64, f64)> {
        match &self.body {
            Body::Files { .. } => self.header.signals[k].range(),
            Body::Segments(segments) => segments
                .iter()
                .filter_map(|segment| segment.part.as_ref())
                .filter_map(|part| part.record.range(part.signals[k]?))
                .reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))),
        }
    }
}

/// Which signal of `record` is each of `whole`, by their names.
fn matched(whole: &[SignalSpec], record: &Record, path: &Path) -> Result<Vec<Option<usize>>> {
    let signal = |spec: &SignalSpec| {
        let Some(found) = record.lead(&spec.description) else { return Ok(None) };
        let own = &record.header.signals[found];
        if own.per_frame != spec.per_frame || voltage::common(&own.units).0 != voltage::common(&spec.units).0
        {
            let place = format!("segment {}, signal {}", record.header.record, spec.description);
            let found = format!("{} samples a frame in {}", own.per_frame, own.units);
            return Err(Error::input(
                path.display(),
                place,
                found,
                format!("{} in {}", spec.per_frame, spec.units),
            ));
        }
        Ok(Some(found))
    };
    // Without names, signals are the same by their place.
    if whole.iter().all(|spec| spec.description.is_empty()) {
        return Ok((0..whole.len()).map(|k| (k < record.header.signals.len()).then_some(k)).collect());
    }
    whole.iter().map(signal).collect()
}

impl SignalFile {
    /// Whole frames in the file.
    fn frames_held(&self) -> Result<u64> {
        let about = std::fs::metadata(&self.path).map_err(Error::io(&self.path))?;
        let bytes = about.len().saturating_sub(self.offset);
        Ok(self.format.samples_in(bytes) / self.frame.max(1))
    }

    fn data(&self, record: &Record) -> Result<&Data> {
        if let Some(data) = self.data.get() {
            return Ok(data);
        }
        let file = files::open(&self.path)?;
        // SAFETY: the file is only read; should another program shorten it meanwhile, the system ends this one.
        let mapped = unsafe { Mmap::map(&file) }.map_err(Error::io(&self.path))?;
        let data = match self.format {
            Format::Differences => Data::Sums(self.sums(&mapped, record)),
            _ => Data::Mapped(mapped),
        };
        Ok(self.data.get_or_init(|| data))
    }

    /// Differences added up from each signal's initial value. They take four bytes for one in the file.
    fn sums(&self, bytes: &[u8], record: &Record) -> Vec<i32> {
        let Body::Files { files, places } = &record.body else { return Vec::new() };
        let mut owner = Vec::new();
        let mut sums = Vec::new();
        for (spec, place) in record.header.signals.iter().zip(places) {
            if place.is_some_and(|place| std::ptr::eq(&files[place.file], self)) {
                owner.extend(std::iter::repeat_n(sums.len(), spec.per_frame as usize));
                sums.push(spec.initial);
            }
        }
        let data = bytes.get(self.offset as usize..).unwrap_or_default();
        let add = |(at, &byte): (usize, &u8)| {
            let sum = &mut sums[owner[at % owner.len()]];
            *sum = sum.wrapping_add(i32::from(byte as i8));
            *sum
        };
        data.iter().enumerate().map(add).collect()
    }

    fn sample(&self, data: &Data, at: usize) -> Option<i32> {
        match data {
            Data::Sums(sums) => sums.get(at).copied(),
            Data::Mapped(bytes) => self.format.sample(bytes.get(self.offset as usize..)?, at),
        }
    }
}
