//! A recording, whatever its format: leads with names, units and rates, what was noted, what the header says.

use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::data::edf::Edf;
use crate::data::wfdb::{Record, annotations};
use crate::data::{Remark, voltage};
use crate::{Error, Result};

/// Endings of files that are recordings.
pub const ENDINGS: [&str; 3] = ["hea", "edf", "bdf"];

/// A recording whose samples are read where they are asked for.
#[derive(Debug)]
pub struct Recording {
    /// Its leads, in the file's order.
    pub leads: Vec<Lead>,
    /// What its header says in comments.
    pub comments: Vec<String>,
    path: PathBuf,
    format: Format,
}

#[derive(Debug)]
enum Format {
    Wfdb(Record),
    Edf(Edf),
}

/// One lead.
#[derive(Clone, Debug, PartialEq)]
pub struct Lead {
    /// Its name: `II`.
    pub name: String,
    /// The unit that the file has it in.
    pub written_unit: String,
    /// The unit that it is read in: mV, if that is a voltage.
    pub unit: String,
    /// Samples a second.
    pub rate: f64,
    /// Samples of it.
    pub len: u64,
    /// The smallest and largest value that the file can state, in `unit`.
    pub range: Option<(f64, f64)>,
    /// Whether the file states no gain.
    pub uncalibrated: bool,
}

/// Something noted at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Mark {
    /// Seconds from the start.
    pub seconds: f64,
    /// How many seconds it lasts, where that is said (EDF+).
    pub duration: Option<f64>,
    /// `N`, `V`, `+`; in an EDF file the whole text.
    pub symbol: String,
    /// Its text: `(AFIB`.
    pub text: String,
}

/// What is noted in a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Marks {
    /// In the order of time.
    pub list: Vec<Mark>,
    /// Symbols that the file itself defines and uses.
    pub defined: Vec<String>,
    /// What the file says of its own labels and times.
    pub remarks: Vec<Remark>,
}

impl Recording {
    /// Opens the record whose header is at `path`, or the EDF file there.
    ///
    /// # Errors
    /// As [`Record::open`] and [`Edf::open`].
    pub fn open(path: &Path) -> Result<Self> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_lowercase();
        let (format, comments) = if ending == "hea" {
            let record = Record::open(path)?;
            let comments = record.header.comments.clone();
            (Format::Wfdb(record), comments)
        } else {
            (Format::Edf(Edf::open(path)?), Vec::new())
        };
        let mut recording = Self { leads: Vec::new(), comments, path: path.to_path_buf(), format };
        recording.leads = recording.all_leads();
        Ok(recording)
    }

    fn all_leads(&self) -> Vec<Lead> {
        match &self.format {
            Format::Wfdb(record) => {
                let lead = |(k, spec): (usize, &crate::data::wfdb::SignalSpec)| Lead {
                    name: spec.name(k),
                    written_unit: spec.units.clone(),
                    unit: voltage::common(&spec.units).0,
                    rate: record.header.frequency * spec.per_frame as f64,
                    len: record.frames * spec.per_frame,
                    range: record.range(k),
                    uncalibrated: spec.uncalibrated,
                };
                record.header.signals.iter().enumerate().map(lead).collect()
            }
            Format::Edf(edf) => {
                let lead = |(k, signal): (usize, &crate::data::edf::EdfSignal)| Lead {
                    name: signal.label.clone(),
                    written_unit: signal.unit.clone(),
                    unit: voltage::common(&signal.unit).0,
                    rate: edf.rate(k),
                    len: edf.len(k),
                    range: Some(edf.range(k)),
                    uncalibrated: false,
                };
                edf.signals.iter().enumerate().map(lead).collect()
            }
        }
    }

    /// Samples of lead `k` in its `unit`; NaN where one is missing.
    ///
    /// # Errors
    /// A signal file that cannot be opened.
    pub fn read(&self, k: usize, range: Range<u64>) -> Result<Vec<f64>> {
        match &self.format {
            Format::Wfdb(record) => record.read(k, range),
            Format::Edf(edf) => Ok(edf.read(k, range)),
        }
    }

    /// Compares the sums of all samples with those that the header states, where it does.
    ///
    /// # Errors
    /// As [`Record::verify`].
    pub fn verify(&self) -> Result<()> {
        match &self.format {
            Format::Wfdb(record) => record.verify(),
            Format::Edf(_) => Ok(()),
        }
    }

    /// The file that holds what was noted: `.atr` or whatever the annotator is called; of an EDF file it is the file itself.
    pub fn annotation_file(&self, annotator: &str) -> PathBuf {
        match &self.format {
            Format::Wfdb(_) => self.path.with_extension(annotator),
            Format::Edf(_) => self.path.clone(),
        }
    }

    /// What is noted in it, by this annotator of a WFDB record.
    ///
    /// # Errors
    /// As [`annotations::read`] and [`Edf::notes`].
    pub fn marks(&self, annotator: &str) -> Result<Marks> {
        match &self.format {
            Format::Wfdb(record) => {
                let path = self.annotation_file(annotator);
                if !path.exists() {
                    return Err(missing_annotations(&self.path, &path, annotator));
                }
                let read = annotations::read(&path)?;
                let rate = read.resolution.unwrap_or(record.header.frequency);
                let mark = |a: &annotations::Annotation| Mark {
                    seconds: a.sample as f64 / rate,
                    duration: None,
                    symbol: read.symbol(a.code),
                    text: a.aux.clone(),
                };
                let mut remarks = Vec::new();
                if rate != record.header.frequency {
                    remarks.push(Remark::note(format!(
                        "annotations (.{annotator}) count {rate} ticks a second, the signals {}: brought together",
                        record.header.frequency
                    )));
                }
                if !read.defined.is_empty() {
                    let all: Vec<String> = read
                        .defined
                        .iter()
                        .map(|(code, (symbol, text))| format!("{code} {symbol} {text}"))
                        .collect();
                    remarks.push(Remark::note(format!(
                        "annotations (.{annotator}) have labels of their own: {}",
                        all.join(", ")
                    )));
                }
                let list: Vec<Mark> = read.list.iter().map(mark).collect();
                let used = |symbol: &String| list.iter().any(|mark| mark.symbol == *symbol);
                let defined = read.defined.values().map(|(symbol, _)| symbol.clone()).filter(used).collect();
                Ok(Marks { list, defined, remarks })
            }
            Format::Edf(edf) => {
                let mark = |note: crate::data::edf::EdfNote| Mark {
                    seconds: note.seconds,
                    duration: note.duration,
                    symbol: note.text.clone(),
                    text: note.text,
                };
                let mut list: Vec<Mark> = edf.notes()?.into_iter().map(mark).collect();
                list.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
                Ok(Marks { list, ..Marks::default() })
            }
        }
    }

    /// The files that its signals and notes come from, as far as they are there.
    pub fn files(&self, annotator: &str) -> Vec<PathBuf> {
        let mut files = vec![self.path.clone()];
        if let Format::Wfdb(record) = &self.format {
            files.extend(record.files());
        }
        let noted = self.annotation_file(annotator);
        if noted.exists() && !files.contains(&noted) {
            files.push(noted);
        }
        files
    }
}

fn missing_annotations(header: &Path, path: &Path, annotator: &str) -> Error {
    let (folder, stem) = (header.parent().unwrap_or(Path::new("")), header.file_stem());
    let beside = std::fs::read_dir(if folder.as_os_str().is_empty() { Path::new(".") } else { folder });
    let mut others: Vec<String> = beside
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.file_stem() == stem)
        .filter_map(|path| path.extension().map(|ending| ending.to_string_lossy().into_owned()))
        .filter(|ending| !ENDINGS.contains(&ending.as_str()) && !["dat", "mat"].contains(&ending.as_str()))
        .collect();
    others.sort();
    let found = match others.as_slice() {
        [] => "no annotation file".to_string(),
        others => format!("no .{annotator} file, but .{}", others.join(", .")),
    };
    let expected = match others.first() {
        Some(other) => format!("annotator = \"{other}\" in the [[data]] table, or cut = \"records\" or \"windows\""),
        None => "cut = \"records\" or cut = \"windows\" in the [[data]] table, with labels from a CSV (records = \"FILE.csv\")".into(),
    };
    Error::input(path.display(), "annotations of beats", found, expected)
}
