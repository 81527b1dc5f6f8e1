//! Heart beats: classes by AAMI EC57, cutting them out of a record, and the npz that holds them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use npyz::WriterBuilder;

use super::npz::{Npz, Numbers, file_sha256};
use super::signals::{ListColumns, listing};
use super::wfdb::Record;
use super::wfdb::annotations::{self, Annotation, Annotations};
use super::{Dataset, Domain, Labels, draw};
use crate::{Error, Result};

/// Samples of a beat.
pub const LENGTH: usize = 256;
/// The R peak's place among them.
pub const PEAK: usize = 100;
/// Samples a second.
pub const SAMPLES_PER_SECOND: f64 = 360.0;
/// Normal beats that the npz keeps of a record, chosen by hash.
pub const MAX_NORMAL: usize = 300;
/// The lead that is cut.
pub const LEAD: &str = "MLII";
/// AAMI's classes: normal, supraventricular, ventricular, fusion, unknown.
pub const CLASSES: [&str; 5] = ["N", "S", "V", "F", "Q"];
/// ADC units of 0 mV and per mV in the npz.
const ZERO: f64 = 1024.0;
const PER_MV: f64 = 200.0;
/// What an 11-bit converter with that zero and gain can give, in mV.
const RANGE_MV: (f32, f32) = (-5.12, 5.115);

/// Records to train on (de Chazal et al. 2004, DS1).
pub const DS1: [u16; 22] = [
    101, 106, 108, 109, 112, 114, 115, 116, 118, 119, 122, 124, 201, 203, 205, 207, 208, 209, 215, 220, 223,
    230,
];
/// Records to test on (DS2). Record 202 is of the same man as 201 in DS1.
pub const DS2: [u16; 22] = [
    100, 103, 105, 111, 113, 117, 121, 123, 200, 202, 210, 212, 213, 214, 219, 221, 222, 228, 231, 232, 233,
    234,
];
/// The records of DS1 that are the `val` split: about a fifth of it, with beats of all five classes, two of them with
/// bundle branch block. The rest of DS1 is `train`.
pub const VALIDATION: [u16; 5] = [109, 114, 118, 203, 223];

/// A beat in ADC units.
#[derive(Clone, Debug, PartialEq)]
pub struct Beat {
    /// [`LENGTH`] samples, the R peak at [`PEAK`].
    pub signal: Vec<i16>,
    /// Position in [`CLASSES`].
    pub class: u8,
    /// Number of the record.
    pub record: u16,
    /// Samples since the beat before.
    pub rr_samples: i32,
}

/// The class of an annotation symbol by the grouping of ANSI/AAMI EC57, `None` where it marks no beat.
///
/// Bundle branch blocks and escape beats are N; atrial, nodal and aberrated premature beats S; premature and escape
/// ventricular beats V; paced, fused-with-paced and unclassifiable beats Q.
pub fn aami_class(symbol: &str) -> Option<u8> {
    match symbol {
        "N" | "L" | "R" | "j" | "B" | "e" | "n" => Some(0),
        "a" | "J" | "A" | "S" => Some(1),
        "V" | "E" | "r" => Some(2),
        "F" => Some(3),
        "/" | "Q" | "?" | "f" => Some(4),
        _ => None,
    }
}

/// Cuts the beats of a record of MIT-BIH: every annotated beat that has one before it, a whole window, and no missing sample.
///
/// With `max_normal`, only so many of class N stay, those with the smallest hash of record and sample.
///
/// # Errors
/// A record without lead [`LEAD`], or in other units than 200 per mV around 1024 (the npz could not hold it).
pub fn cut(
    record: &Record,
    number: u16,
    annotations: &Annotations,
    max_normal: Option<usize>,
) -> Result<Vec<Beat>> {
    let name = &record.header.record;
    let lead = record.lead(LEAD).ok_or_else(|| {
        let leads: Vec<&str> = record.header.signals.iter().map(|s| s.description.as_str()).collect();
        Error::input(name, "signals", leads.join(", "), format!("lead {LEAD}"))
    })?;
    let spec = &record.header.signals[lead];
    if (spec.gain, spec.baseline as f64) != (PER_MV, ZERO) || record.header.frequency != SAMPLES_PER_SECOND {
        let found = format!("{} per {} at {} Hz", spec.gain, spec.units, record.header.frequency);
        return Err(Error::input(name, "signals", found, "200 per mV around 1024 at 360 Hz"));
    }
    let class = |a: &Annotation| aami_class(&annotations.symbol(a.code)).map(|class| (a.sample, class));
    let beats: Vec<(u64, u8)> = annotations.list.iter().filter_map(class).collect();
    let mut kept = Vec::new();
    for pair in beats.windows(2) {
        let ((before, _), (sample, class)) = (pair[0], pair[1]);
        let Some(start) = sample.checked_sub(PEAK as u64) else { continue };
        let window = record.digital(lead, start..start.saturating_add(LENGTH as u64))?;
        let signal: Option<Vec<i16>> =
            window.into_iter().map(|v| v.and_then(|v| i16::try_from(v).ok())).collect();
        if let Some(signal) = signal {
            let rr_samples = i32::try_from(sample.saturating_sub(before)).unwrap_or(i32::MAX);
            kept.push((sample, Beat { signal, class, record: number, rr_samples }));
        }
    }
    if let Some(limit) = max_normal {
        let hash = |sample: u64| draw::mix(u64::from(number), sample);
        let mut normal: Vec<u64> = kept.iter().filter(|(_, b)| b.class == 0).map(|(s, _)| hash(*s)).collect();
        normal.sort_unstable();
        if let Some(&first_out) = normal.get(limit) {
            kept.retain(|(sample, beat)| beat.class != 0 || hash(*sample) < first_out);
        }
    }
    Ok(kept.into_iter().map(|(_, beat)| beat).collect())
}

/// Cuts the beats of every record of MIT-BIH in the folder, at most `max_normal` of class N a record.
///
/// # Errors
/// As [`cut`]; a folder without records, a record whose name is no number, and whatever reading one of them refuses.
pub fn cut_folder(folder: &Path, max_normal: Option<usize>) -> Result<Vec<Beat>> {
    let mut all = Vec::new();
    for item in listing::folder(folder, &ListColumns::default())?.items {
        let record = Record::open(&item.path)?;
        record.verify()?;
        let annotations = annotations::read(&item.path.with_extension("atr"))?;
        let number = item.name.parse::<u16>().map_err(|_| {
            let expected = "a number, as MIT-BIH's records have";
            Error::input(item.path.display(), "record's name", format!("`{}`", item.name), expected)
        })?;
        all.extend(cut(&record, number, &annotations, max_normal)?);
    }
    Ok(all)
}

/// The split of a record, `None` where it is in neither of de Chazal's lists.
pub fn split_of(record: u16) -> Option<&'static str> {
    if VALIDATION.contains(&record) {
        Some("val")
    } else if DS1.contains(&record) {
        Some("train")
    } else {
        DS2.contains(&record).then_some("test")
    }
}

/// Makes a data set of beats in mV, shape `[1, 256, 1]`, grouped by record.
///
/// # Errors
/// A split without beats.
pub fn dataset(name: &str, sha256: &str, beats: &[Beat], split: &str) -> Result<Dataset> {
    let chosen: Vec<(usize, &Beat)> = beats
        .iter()
        .enumerate()
        .filter(|(_, beat)| split == "all" || split_of(beat.record) == Some(split))
        .collect();
    if chosen.is_empty() {
        let found = format!("no beat among {}", beats.len());
        return Err(Error::input(
            name,
            format!("split {split}"),
            found,
            "records of DS1 or DS2, or split all",
        ));
    }
    let records: Vec<String> = chosen.iter().map(|(_, beat)| beat.record.to_string()).collect();
    let to_mv = |&v: &i16| ((f64::from(v) - ZERO) / PER_MV) as f32;
    Ok(Dataset {
        name: name.to_string(),
        split: split.to_string(),
        synthetic: false,
        sha256: sha256.to_string(),
        shape: vec![1, LENGTH, 1],
        inputs: Vec::new(),
        values: chosen.iter().flat_map(|(_, beat)| beat.signal.iter().map(to_mv)).collect(),
        labels: Labels::Class(chosen.iter().map(|(_, beat)| u32::from(beat.class)).collect()),
        classes: CLASSES.map(str::to_string).to_vec(),
        unit: "mV".to_string(),
        group: Some(records.clone()),
        subgroups: BTreeMap::from([("record".to_string(), records)]),
        index: chosen.iter().map(|(row, _)| *row as u64).collect(),
        domain: Domain::uniform(RANGE_MV.0, RANGE_MV.1),
        samples_per_second: Some(SAMPLES_PER_SECOND),
        remarks: Vec::new(),
    })
}

/// Whether the npz at `path` has the layout of [`write`].
///
/// # Errors
/// A file that is not an npz.
pub fn is_beats(path: &Path) -> Result<bool> {
    let npz = Npz::open(path)?;
    Ok(["signal", "label", "record", "rr_samples", "split"].iter().all(|name| npz.has(name)))
}

/// Reads one split of the beats npz: `signal` int16 (n, 256) in ADC units, `label`, `record`, `rr_samples` and
/// `split` (0 DS1, 1 DS2), n each.
///
/// # Errors
/// Arrays of another shape or type, a label outside the classes, a record whose split is not its list's.
pub fn open(path: &Path, split: &str) -> Result<Dataset> {
    let beats = read(path)?;
    dataset(&path.display().to_string(), &file_sha256(path)?, &beats, split)
}

/// Reads the beats of an npz, in the file's order.
///
/// # Errors
/// As [`open`].
pub fn read(path: &Path) -> Result<Vec<Beat>> {
    let mut npz = Npz::open(path)?;
    let file = path.display();
    let signal = npz.array("signal")?;
    let n = signal.shape.first().copied().unwrap_or(0);
    let Numbers::Integer(samples) = &signal.numbers else {
        return Err(Error::input(file, "array `signal`", "another type", "int16"));
    };
    if signal.shape != [n, LENGTH] {
        let found = format!("shape {:?}", signal.shape);
        return Err(Error::input(file, "array `signal`", found, format!("(n, {LENGTH})")));
    }
    let mut column = |name: &str, low: i64, high: i64| -> Result<Vec<i64>> {
        let array = npz.array(name)?;
        let place = format!("array `{name}`");
        if array.shape != [n] {
            return Err(Error::input(&file, place, format!("shape {:?}", array.shape), format!("({n})")));
        }
        let values = array
            .numbers
            .to_i64()
            .map_err(|at| Error::input(&file, &place, format!("a fraction at {at}"), "whole numbers"))?;
        match values.iter().position(|v| !(low..=high).contains(v)) {
            Some(at) => {
                let place = format!("{place}, entry {at}");
                Err(Error::input(&file, place, values[at], format!("{low} to {high}")))
            }
            None => Ok(values),
        }
    };
    let labels = column("label", 0, CLASSES.len() as i64 - 1)?;
    let records = column("record", 0, i64::from(u16::MAX))?;
    let intervals = column("rr_samples", 0, i64::from(i32::MAX))?;
    let sides = column("split", 0, 1)?;
    if let Some(at) = samples.iter().position(|&v| i16::try_from(v).is_err()) {
        let place = format!("array `signal`, beat {}", at / LENGTH);
        return Err(Error::input(file, place, samples[at], "a 16-bit number"));
    }
    for at in 0..n {
        let listed = split_of(records[at] as u16).map(|split| i64::from(split == "test"));
        if listed.is_some_and(|listed| listed != sides[at]) {
            let expected = "0 for records of DS1, 1 for records of DS2";
            return Err(Error::input(file, format!("array `split`, entry {at}"), sides[at], expected));
        }
    }
    let beat = |at: usize| Beat {
        signal: samples[at * LENGTH..][..LENGTH].iter().map(|&v| v as i16).collect(),
        class: labels[at] as u8,
        record: records[at] as u16,
        rr_samples: intervals[at] as i32,
    };
    Ok((0..n).map(beat).collect())
}

/// Writes beats in the layout that [`open`] reads, to a temporary name first; equal beats give equal bytes.
///
/// # Errors
/// A file that cannot be written.
pub fn write(beats: &[Beat], path: &Path) -> Result<()> {
    let partial = super::fetch::partial_path(path);
    write_arrays(beats, &partial).map_err(Error::io(&partial))?;
    std::fs::rename(&partial, path).map_err(Error::io(path))
}

fn write_arrays(beats: &[Beat], path: &Path) -> std::io::Result<()> {
    let mut npz = npyz::npz::NpzWriter::new(std::io::BufWriter::new(File::create(path)?));
    let n = beats.len() as u64;
    let signal: Vec<i16> = beats.iter().flat_map(|beat| beat.signal.iter().copied()).collect();
    write_array(&mut npz, "signal", &[n, LENGTH as u64], &signal)?;
    write_array(&mut npz, "label", &[n], &beats.iter().map(|b| b.class).collect::<Vec<_>>())?;
    write_array(&mut npz, "record", &[n], &beats.iter().map(|b| b.record).collect::<Vec<_>>())?;
    write_array(&mut npz, "rr_samples", &[n], &beats.iter().map(|b| b.rr_samples).collect::<Vec<_>>())?;
    let side = |b: &Beat| u8::from(split_of(b.record) == Some("test"));
    write_array(&mut npz, "split", &[n], &beats.iter().map(side).collect::<Vec<_>>())?;
    npz.zip_writer().finish().map(|_| ()).map_err(std::io::Error::other)
}

fn write_array<T, W>(
    npz: &mut npyz::npz::NpzWriter<W>,
    name: &str,
    shape: &[u64],
    values: &[T],
) -> std::io::Result<()>
where
    T: npyz::AutoSerialize + Copy,
    W: std::io::Write + std::io::Seek,
{
    // A fixed time stamp: the file's hash then depends on nothing but the beats.
    let options = zip::write::FileOptions::default().last_modified_time(zip::DateTime::default());
    let mut array = npz.array(name, options)?.default_dtype().shape(shape).begin_nd()?;
    array.extend(values.iter().copied())?;
    array.finish()
}
