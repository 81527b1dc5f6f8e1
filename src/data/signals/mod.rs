//! Recordings (WFDB, EDF, BDF) as data sets: beats, windows or whole records of named leads, in mV, at one rate.
//!
//! Which samples there are and what they are labelled with is found from headers, annotations and lists; signals are read for those alone
//! that are left after `limit`.

mod agreement;
pub mod describe;
mod labelling;
mod leads;
mod list_columns;
mod list_file;
pub mod listing;
pub mod options;
mod planning;
pub mod recording;
mod resample;
mod rhythm;
mod windows;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use self::labelling::{Labelled, Noted};
use self::leads::{Chosen, Lacking};
use self::listing::{Item, Listing};
pub use self::options::{Cut, Gaps, Lack, ListColumns, SignalOptions, Unit};
use self::recording::Recording;
use self::windows::{Form, Start, Window};
use super::npz::file_sha256;
use super::subset::sha256;
use super::{Dataset, Domain, Remark, Request};
use crate::{Error, Result};

/// More values than this are refused: 8 GiB.
const MAX_VALUES: usize = 1 << 31;

/// Reads the recordings in the folder at `path`, the one recording there, or those that the CSV there lists.
///
/// # Errors
/// Recordings that cannot be read or have other leads, units or lengths; labels that are not there or not in the model's words; a split that
/// nothing says.
pub fn open(path: &Path, request: &Request) -> Result<Dataset> {
    let options = &request.signals;
    let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let annotated =
        options.cut == Some(Cut::Beats) || !options.beats.is_empty() || !options.rhythms.is_empty();
    let listing = match path.is_dir() {
        true => listing::folder(path, &options.list)?,
        false if is_csv => listing::list(path, &options.list, !annotated)?,
        false => listing::one(path),
    };
    Reader { name: path.display().to_string(), listing, options, request }.read()
}

struct Reader<'a> {
    name: String,
    listing: Listing,
    options: &'a SignalOptions,
    request: &'a Request,
}

/// A sample before it is read.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    item: usize,
    start: Start,
}

/// What the headers and annotations of one recording say.
struct Surveyed {
    item: usize,
    chosen: Chosen,
    /// Names of all its leads.
    all: Vec<String>,
    noted: Noted,
    remarks: Vec<Remark>,
}

/// What was found in one recording.
enum Survey {
    Whole(Box<Surveyed>),
    Lacking(usize, Lacking),
}

impl Reader<'_> {
    fn error(&self, place: impl ToString, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(&self.name, place, found, expected)
    }

    fn read(mut self) -> Result<Dataset> {
        let mut remarks = std::mem::take(&mut self.listing.remarks);
        let within = self.split(&mut remarks)?;
        let cut = self.cut(&within)?;
        // Beats and windows are numbered through all recordings, so that a sample's number does not depend on the split.
        let looked_at: Vec<usize> = match cut {
            Cut::Records => within.clone(),
            Cut::Beats | Cut::Windows => (0..self.listing.items.len()).collect(),
        };
        let surveys: Vec<Survey> =
            looked_at.par_iter().map(|&item| self.survey(item, cut)).collect::<Result<_>>()?;
        let surveyed = self.complete(surveys, &mut remarks)?;
        self.same_leads(&surveyed)?;
        remarks.extend(merged(surveyed.iter().flat_map(|one| one.remarks.clone())));
        let form = self.form(cut, &surveyed, &mut remarks)?;
        self.fits_the_model(cut, &form, &surveyed)?;
        let leads = surveyed.iter().map(|one| one.chosen.leads.len()).max().unwrap_or(0);
        if within.len() > 1 && self.listing.items.iter().all(|item| item.patient.is_none()) {
            remarks.push(Remark::note(
                "nothing says whose the recordings are: each is a group of its own (records = { csv = \"FILE.csv\", patient = \"COLUMN\" } says \
                 which are of one patient)",
            ));
        }
        let (candidates, index, labelled) = self.candidates(cut, &form, surveyed, &within, &mut remarks)?;
        let mut dataset = self.hollow(&candidates, index, labelled, form.rate)?;
        if let Some(limit) = self.request.limit.filter(|&limit| limit < dataset.len()) {
            // Candidates are found again by their numbers, which are unique.
            let places: BTreeMap<u64, usize> =
                dataset.index.iter().zip(0..).map(|(&index, at)| (index, at)).collect();
            dataset = dataset.limited(limit, self.request.seed)?;
            let left: Vec<Candidate> = dataset.index.iter().map(|index| candidates[places[index]]).collect();
            self.afford(left.len(), form.length * leads)?;
            return self.fill(dataset, &left, &form, cut, remarks);
        }
        self.afford(candidates.len(), form.length * leads)?;
        self.fill(dataset, &candidates, &form, cut, remarks)
    }

    /// Whether there is room for so many samples of `length` values.
    fn afford(&self, samples: usize, length: usize) -> Result<()> {
        let values = samples.checked_mul(length).filter(|&values| values <= MAX_VALUES).ok_or_else(|| {
            let found = format!("{samples} of {length} values");
            self.error("samples", found, "at most 2^31 values in all; `limit` takes fewer samples")
        })?;
        // As windows, and all of them joined.
        self.request.memory.afford(
            &self.name,
            "signals",
            8 * values as u128,
            ": limit = N in [[data]] takes fewer samples",
        )
    }

    /// The recordings of the split.
    fn split(&self, remarks: &mut Vec<Remark>) -> Result<Vec<usize>> {
        let (items, split) = (&self.listing.items, self.request.split.as_str());
        if split == "all" {
            return Ok((0..items.len()).collect());
        }
        if !self.listing.is_split() {
            if split != "test" {
                let expected = "split = \"all\" or \"test\", which take all recordings; or a CSV with a column `split` \
                                (records = \"FILE.csv\")";
                return Err(self.error(format!("split {split}"), "recordings in no splits", expected));
            }
            remarks.push(Remark::note(match items.len() {
                1 => "the recording is in no split: it is the test set".to_string(),
                count => format!("recordings are in no splits: all {count} are the test set"),
            }));
            return Ok((0..items.len()).collect());
        }
        let within: Vec<usize> =
            (0..items.len()).filter(|&k| items[k].split.as_deref() == Some(split)).collect();
        if within.is_empty() {
            let found = format!("none of {} recordings", items.len());
            return Err(self.error(
                format!("split {split}"),
                found,
                "at least one; split = \"all\" takes all of them",
            ));
        }
        Ok(within)
    }

    /// What a sample is, if the study does not say: whole records where a list or headers label them, beats where they are annotated.
    fn cut(&self, within: &[usize]) -> Result<Cut> {
        if let Some(cut) =
            self.options.cut.filter(|&cut| cut != Cut::Windows && !self.options.rhythms.is_empty())
        {
            return Err(self.error(
                "cut",
                format!("{cut:?}").to_lowercase(),
                "\"windows\", or none, beside rhythms",
            ));
        }
        if !self.options.rhythms.is_empty() {
            return Ok(Cut::Windows);
        }
        if let Some(cut) = self.options.cut {
            return Ok(cut);
        }
        if self.listing.labels.is_some() {
            return Ok(Cut::Records);
        }
        let first = &self.listing.items[within[0]];
        let recording = Recording::open(&first.path)?;
        let annotated = recording.annotation_file(&self.options.annotator).exists();
        if !self.options.beats.is_empty() || annotated && first.path.extension().is_some_and(|e| e == "hea") {
            return Ok(Cut::Beats);
        }
        if listing::diagnoses(&recording.comments).is_some() {
            return Ok(Cut::Records);
        }
        match recording.marks(&self.options.annotator) {
            Err(error) => Err(error),
            Ok(marks) => Err(self.error("labels", describe::symbols(&marks), LABELS)),
        }
    }

    fn survey(&self, item: usize, cut: Cut) -> Result<Survey> {
        let own = &self.listing.items[item];
        let recording = Recording::open(&own.path)?;
        let mut remarks = Vec::new();
        let chosen = match leads::choose(&own.path, &recording, self.options, &mut remarks)? {
            Ok(chosen) => chosen,
            Err(lacking) => return Ok(Survey::Lacking(item, lacking)),
        };
        let noted = match cut {
            Cut::Beats => labelling::beats(&own.path, &recording, self.options, &mut remarks)?,
            Cut::Windows if !self.options.rhythms.is_empty() => {
                Noted::Rhythms(rhythm::read(&own.path, &recording, self.options, &mut remarks)?)
            }
            Cut::Windows | Cut::Records => Noted::Diagnoses(listing::diagnoses(&recording.comments)),
        };
        let all = recording.leads.iter().map(|lead| lead.name.clone()).collect();
        Ok(Survey::Whole(Box::new(Surveyed { item, chosen, all, noted, remarks })))
    }

    /// The data set without its values.
    fn hollow(
        &self,
        candidates: &[Candidate],
        index: Vec<u64>,
        labelled: Labelled,
        rate: f64,
    ) -> Result<Dataset> {
        let items = || candidates.iter().map(|candidate| &self.listing.items[candidate.item]);
        let mut subgroups =
            BTreeMap::from([("record".to_string(), items().map(|item| item.name.clone()).collect())]);
        if items().all(|item| item.patient.is_some()) {
            subgroups.insert("patient".into(), items().filter_map(|item| item.patient.clone()).collect());
        }
        for column in
            self.listing.items.first().map(|item| item.columns.keys().cloned()).into_iter().flatten()
        {
            let cells = items().map(|item| item.columns.get(&column).cloned().unwrap_or_default()).collect();
            subgroups.insert(column, cells);
        }
        let whose = |item: &Item| item.patient.clone().unwrap_or_else(|| item.name.clone());
        Ok(Dataset {
            name: self.name.clone(),
            split: self.request.split.clone(),
            synthetic: false,
            sha256: String::new(),
            shape: vec![0],
            inputs: Vec::new(),
            values: Vec::new(),
            labels: labelled.labels,
            classes: labelled.classes,
            unit: String::new(),
            group: Some(items().map(whose).collect()),
            subgroups,
            index,
            domain: Domain::uniform(0.0, 0.0),
            samples_per_second: Some(rate),
            remarks: Vec::new(),
        })
    }

    /// Reads the signals of these samples.
    fn fill(
        &self,
        mut dataset: Dataset,
        candidates: &[Candidate],
        form: &Form,
        cut: Cut,
        mut remarks: Vec<Remark>,
    ) -> Result<Dataset> {
        let read: Vec<Read> = candidates
            .chunk_by(|a, b| a.item == b.item)
            .collect::<Vec<_>>()
            .par_iter()
            .map(|of_one| self.read_recording(of_one, form))
            .collect::<Result<_>>()?;
        let leads = read.first().map_or(0, |one| one.leads);
        if let Some(odd) = read.iter().find(|one| one.leads != leads || one.unit != read[0].unit) {
            let found = format!("{} leads in {}", odd.leads, odd.unit);
            let expected = format!(
                "{leads} in {}, as the first recording has; `leads = [...]` chooses some, unit = \"mV\" brings voltages together",
                read[0].unit
            );
            return Err(self.error("leads", found, expected));
        }
        let windows: Vec<Option<Window>> = read.iter().flat_map(|one| one.windows.iter().cloned()).collect();
        let kept: Vec<usize> = (0..windows.len()).filter(|&at| windows[at].is_some()).collect();
        let dropped = windows.len() - kept.len();
        if dropped > 0 {
            remarks.push(Remark::note(format!(
                "{dropped} of {} samples have missing values and are left out (gaps = \"interpolate\" bridges them)", windows.len()
            )));
        }
        if kept.is_empty() {
            let found = format!("missing values in all {dropped}");
            return Err(self.error("samples", found, "one without; gaps = \"interpolate\" bridges some"));
        }
        let sum = |count: fn(&Window) -> usize| windows.iter().flatten().map(count).sum::<usize>();
        let (interpolated, padded) = (sum(|w| w.interpolated), sum(|w| w.padded));
        if interpolated > 0 {
            remarks.push(Remark::warning(
                "interpolated",
                format!("{interpolated} missing samples of signals are interpolated"),
            ));
        }
        if padded > 0 {
            remarks.push(Remark::note(format!("{padded} values behind the ends of records are 0")));
        }
        dataset = dataset.subset(&kept)?;
        dataset.shape = vec![1, form.length, leads];
        dataset.values = windows.into_iter().flatten().flat_map(|window| window.values).collect();
        dataset.unit = read[0].unit.clone();
        dataset.domain = domain(&read, &dataset.values);
        dataset.sha256 = self.sha256(candidates, cut)?;
        dataset.remarks = remarks;
        if !self.options.checksums {
            dataset.remarks.push(Remark::warning(
                "checksums-unread",
                "the sums that headers state are not compared with the signals",
            ));
        }
        Ok(dataset)
    }

    fn read_recording(&self, candidates: &[Candidate], form: &Form) -> Result<Read> {
        let path = &self.listing.items[candidates[0].item].path;
        let recording = Recording::open(path)?;
        if self.options.checksums {
            recording.verify()?;
        }
        let chosen = leads::choose(path, &recording, self.options, &mut Vec::new())?;
        let Ok(chosen) = chosen else {
            return Err(self.error(
                "leads",
                format!("others in {} than before", path.display()),
                "files that stay as they are",
            ));
        };
        let read = |candidate: &Candidate| windows::read(&recording, &chosen, candidate.start, form);
        let windows = candidates.iter().map(read).collect::<Result<_>>()?;
        let range = chosen.leads.iter().map(|lead| lead.range).reduce(|a, b| Some(wider(a?, b?))).flatten();
        Ok(Read { windows, leads: chosen.leads.len(), unit: chosen.leads[0].unit.clone(), range })
    }

    /// Over the bytes of all recordings that were looked at: with beats and windows those are all, else those that samples come from.
    fn sha256(&self, candidates: &[Candidate], cut: Cut) -> Result<String> {
        let mut items: Vec<usize> = match cut {
            Cut::Records => candidates.iter().map(|candidate| candidate.item).collect(),
            Cut::Beats | Cut::Windows => (0..self.listing.items.len()).collect(),
        };
        items.dedup();
        let of_one = |&item: &usize| -> Result<Vec<String>> {
            let files = Recording::open(&self.listing.items[item].path)?.files(&self.options.annotator);
            files.iter().map(|file: &PathBuf| file_sha256(file)).collect()
        };
        let sums: Vec<Vec<String>> = items.par_iter().map(of_one).collect::<Result<_>>()?;
        let lists: Vec<String> =
            self.listing.files.iter().map(|file| file_sha256(file)).collect::<Result<_>>()?;
        Ok(sha256((lists.concat() + &sums.concat().concat()).as_bytes()))
    }
}

/// What was read of one recording.
struct Read {
    windows: Vec<Option<Window>>,
    leads: usize,
    unit: String,
    range: Option<(f64, f64)>,
}

/// How labels can be given.
const LABELS: &str = "labels: a CSV (records = \"FILE.csv\" with columns path and label), `Dx:` lines in headers, annotated beats \
                      (cut = \"beats\", beats = { NAME = [\"SYMBOL\"], ... }), or annotated rhythms (rhythms = { NAME = [\"AFIB\"], ... })";

/// What recordings can state, and no less than what they hold.
fn domain(read: &[Read], values: &[f32]) -> Domain {
    let held =
        values.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| (low.min(v), high.max(v)));
    let stated = read.iter().map(|one| one.range).reduce(|a, b| Some(wider(a?, b?))).flatten();
    let (low, high) = stated.map_or(held, |(low, high)| (low as f32, high as f32));
    Domain::uniform(low.min(held.0), high.max(held.1))
}

fn wider(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0.min(b.0), a.1.max(b.1))
}

/// The same remark of many recordings, once.
fn merged(remarks: impl Iterator<Item = Remark>) -> Vec<Remark> {
    let mut counts: BTreeMap<Remark, usize> = BTreeMap::new();
    remarks.for_each(|remark| *counts.entry(remark).or_default() += 1);
    let one = |(remark, count): (Remark, usize)| match count {
        1 => remark,
        _ => Remark { text: format!("{} ({count} recordings)", remark.text), ..remark },
    };
    counts.into_iter().map(one).collect()
}
