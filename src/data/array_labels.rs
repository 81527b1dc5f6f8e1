//! Labels of an archive: classes by number or name, one-hot rows, findings.

use super::labels::{
    self, Answered, FindingAnswers, Known, LEFT_OUT, Listed, Outputs, Place, Standing, Written,
};
use super::npz::{Column, Npz};
use super::splits::Member;
use super::{LabelOptions, Labels, Remark, UNLABELLED};
use crate::telling::counted;
use crate::{Error, Result};

/// The labels of all splits, one split after the other.
pub(super) struct Read {
    /// A class or the findings of every sample of the archive.
    pub labels: Labels,
    /// Names of the classes or findings.
    pub names: Vec<String>,
    /// What was assumed.
    pub remarks: Vec<Remark>,
    /// Samples of each split.
    pub counts: Vec<usize>,
    /// Which samples have a label; empty where all do. Those of the others are 0.
    pub labelled: Vec<bool>,
}

/// Reads the labels of all splits: which classes there are must not depend on the split that is asked for.
///
/// # Errors
/// Labels of another number than samples; what [`labels::classes`] refuses; rows that are neither one class nor findings of the model.
pub(super) fn read(npz: &mut Npz, members: &[Member], options: &LabelOptions, known: &Known) -> Result<Read> {
    let (mut parts, mut counts, mut width) = (Vec::new(), Vec::new(), None);
    for member in members {
        let samples = npz.header(&member.samples[0])?.shape;
        let (shape, column) = npz.column(&member.labels)?;
        let n = samples.first().copied().unwrap_or(0);
        let own = match shape[..] {
            [m] | [m, 1] if m == n && n > 0 => 1,
            [m, k] if m == n && n > 0 && k > 1 => k,
            _ => {
                let expected =
                    format!("({n}), ({n}, 1) or ({n}, findings), as there are samples, at least one");
                return Err(npz.error(&member.labels, format!("shape {shape:?}"), expected));
            }
        };
        if *width.get_or_insert(own) != own {
            let expected = format!("{} values a sample, as in the other splits", width.unwrap_or(1));
            return Err(npz.error(&member.labels, format!("{own} values a sample"), expected));
        }
        counts.push(n);
        parts.push(column);
    }
    let file = npz.path().display().to_string();
    let starts: Vec<usize> = counts.iter().scan(0, |sum, n| Some(std::mem::replace(sum, *sum + n))).collect();
    let entry = |at: usize| {
        let part = starts.iter().rposition(|&start| start <= at).unwrap_or(0);
        match members.len() {
            1 => format!("entry {at}"),
            _ => format!("entry {} of `{}`", at - starts[part], members[part].labels),
        }
    };
    let column = format!("array `{}`", members[0].labels);
    let place = Place { file: &file, column: &column, entry: &entry };
    // One value a sample is a finding where the study says which of the model's it is.
    let finding = known.outputs.is_some_and(|outputs| outputs.findings) && known.findings.len() == 1;
    match width.unwrap_or(1) {
        1 if !finding => {
            let (mut labels, mut labelled) = (vec![0; counts.iter().sum()], Vec::new());
            let Answered { written, kept, mut remarks } =
                labels::answered(written(parts), options, known, &place)?;
            let own = |at: usize| entry(kept[at]);
            let classes = labels::classes(&written, known, &Place { entry: &own, ..place })?;
            if kept.len() < labels.len() {
                labelled = vec![false; labels.len()];
                kept.iter().for_each(|&at| labelled[at] = true);
                let splits = if members.len() > 1 { " of all splits" } else { "" };
                let all = labels.len();
                remarks.push(Remark::note(format!("{} of {all} samples{splits} have a label", kept.len())));
            }
            kept.iter().zip(classes.labels).for_each(|(&at, label)| labels[at] = label);
            remarks.extend(classes.remarks);
            Ok(Read { labels: Labels::Class(labels), names: classes.names, remarks, counts, labelled })
        }
        width => {
            let read = rows(&parts, width, options, known, &place)?;
            Ok(Read { counts, ..read })
        }
    }
}

fn written(parts: Vec<Column>) -> Written {
    if parts.iter().all(|part| matches!(part, Column::Truths(_))) {
        let truths = |part: Column| match part {
            Column::Truths(truths) => truths,
            _ => Vec::new(),
        };
        return Written::Truths(parts.into_iter().flat_map(truths).collect());
    }
    match parts.iter().map(Column::numbers).collect::<Option<Vec<_>>>() {
        Some(numbers) => Written::Numbers(numbers.concat()),
        None => Written::Texts(parts.iter().flat_map(Column::texts).collect()),
    }
}

/// Rows of several values: findings, unless each has a single 1 and the model tells classes apart.
fn rows(
    parts: &[Column],
    width: usize,
    options: &LabelOptions,
    known: &Known,
    place: &Place,
) -> Result<Read> {
    let error = |at: usize, found: String, expected: &str| {
        Error::input(place.file, format!("{}, {}", place.column, (place.entry)(at / width)), found, expected)
    };
    let Some(values) = parts.iter().map(Column::numbers).collect::<Option<Vec<_>>>() else {
        let expected = match width {
            1 => "0 or 1 of each sample, for the finding that `findings` names",
            _ => "one name a sample, or findings as 0 and 1",
        };
        return Err(error(0, format!("{} a sample", counted(width, "text")), expected));
    };
    let values = values.concat();
    let mut answers = FindingAnswers::new(options);
    let labels = values
        .iter()
        .enumerate()
        .map(|(at, &value)| answers.label(value).map_err(|(found, expected)| error(at, found, &expected)))
        .collect::<Result<Vec<u8>>>()?;
    let labelled: Vec<bool> = labels.chunks_exact(width).map(|row| !row.contains(&LEFT_OUT)).collect();
    let is_one =
        |row: &[u8]| !row.contains(&UNLABELLED) && row.iter().filter(|label| **label == 1).count() == 1;
    let several =
        labels.chunks_exact(width).zip(&labelled).position(|(row, labelled)| *labelled && !is_one(row));
    let mut remarks = answers.remarks();
    let labels: Vec<u8> =
        labels.into_iter().map(|label| if label == LEFT_OUT { UNLABELLED } else { label }).collect();
    let read = |labels: Labels, names: Vec<String>, remarks: Vec<Remark>| Read {
        labels,
        names,
        remarks,
        counts: Vec::new(),
        labelled,
    };
    if known.outputs.map_or(several.is_some(), |outputs| outputs.findings) {
        if known.outputs.is_none() {
            let text = format!("rows of {width} values are findings, each present or absent by itself");
            remarks.push(Remark::note(text));
        }
        let (labels, names) = ordered(labels, width, known, place, &mut remarks)?;
        return Ok(read(Labels::Findings(labels), names, remarks));
    }
    if let Some(row) = several {
        let ones = labels[row * width..][..width].iter().filter(|label| **label == 1).count();
        return Err(error(row * width, format!("{ones} of {width} findings"), known.one_class()));
    }
    let classes = known.outputs.map_or(width, Outputs::classes);
    if classes != width {
        let found = format!("one of {width} classes a sample");
        return Err(place.error(found, format!("one of {classes}, as many as the model has")));
    }
    let class = |row: &[u8]| row.iter().position(|&label| label == 1).unwrap_or(0) as u32;
    let labels = labels.chunks_exact(width).map(class).collect();
    remarks.push(Remark::note(format!(
        "every row of {} has one 1 among {width} values: taken for one-hot classes",
        place.column
    )));
    let names = known.all_names(width);
    let names = if names.len() == width { names } else { (0..width).map(|k| k.to_string()).collect() };
    Ok(read(Labels::Class(labels), names, remarks))
}

/// Findings in the order of the model's outputs: as the columns stand, or as `findings` names them.
fn ordered(
    labels: Vec<u8>,
    width: usize,
    known: &Known,
    place: &Place,
    remarks: &mut Vec<Remark>,
) -> Result<(Vec<u8>, Vec<String>)> {
    let count = known.outputs.map_or(width, |outputs| outputs.count);
    if known.findings.is_empty() && width == count {
        let numbers = (0..width).map(|k| k.to_string()).collect();
        let names = if known.names.len() == width { known.names.clone() } else { numbers };
        return Ok((labels, names));
    }
    let columns = match known.findings.len() {
        named if named == width => known.findings.clone(),
        _ if width == count && known.names.len() == width => known.names.clone(),
        named => {
            let expected = format!(
                "{count} findings, as many as the model has outputs, or a line in the [[data]] table that names those of the array, one for each \
                 of its columns: findings = [NAME, ...]; the model's others are then left out"
            );
            let found = match named {
                0 => format!("{width} findings a sample"),
                1 => format!("{width} findings a sample and 1 name in `findings`"),
                _ => format!("{width} findings a sample and {named} names in `findings`"),
            };
            return Err(place.error(found, expected));
        }
    };
    let (standings, said) = labels::findings(&columns, Listed::Columns, known, place)?;
    remarks.extend(said);
    let value = |row: &[u8], own: &Standing| own.position().map_or(UNLABELLED, |at| row[at]);
    let ordered = labels.chunks_exact(width).flat_map(|row| standings.iter().map(move |own| value(row, own)));
    Ok((ordered.collect(), known.names.clone()))
}
