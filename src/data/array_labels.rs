//! Labels of an archive: classes by number or name, one-hot rows, findings.

use super::labels::{self, Classes, Known, Listed, Outputs, Place, Standing, Written};
use super::npz::{Column, Npz};
use super::splits::Member;
use super::{LabelOptions, Labels, Policy, Remark, UNLABELLED};
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
            if let Some(key) = options.given().find(|key| *key != "findings") {
                let expected = "no such key: it is about findings, several a sample; samples without a class are to be left out of the archive";
                return Err(place.error(format!("`{key}`, and one class a sample"), expected));
            }
            let Classes { labels, names, remarks } = labels::classes(&written(parts), known, &place)?;
            Ok(Read { labels: Labels::Class(labels), names, remarks, counts })
        }
        width => {
            let (labels, names, remarks) = rows(&parts, width, options, known, &place)?;
            Ok(Read { labels, names, remarks, counts })
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
) -> Result<(Labels, Vec<String>, Vec<Remark>)> {
    let error = |at: usize, found: String, expected: &str| {
        Error::input(place.file, format!("{}, {}", place.column, (place.entry)(at / width)), found, expected)
    };
    let Some(values) = parts.iter().map(Column::numbers).collect::<Option<Vec<_>>>() else {
        return Err(error(0, format!("{width} texts a sample"), "one name a sample, or findings as 0 and 1"));
    };
    let values = values.concat();
    let mut answers = Answers { options, counts: [0; 2] };
    let labels = values
        .iter()
        .enumerate()
        .map(|(at, &value)| answers.label(value).map_err(|(found, expected)| error(at, found, &expected)))
        .collect::<Result<Vec<u8>>>()?;
    let several = labels
        .chunks_exact(width)
        .position(|row| row.contains(&UNLABELLED) || row.iter().filter(|label| **label == 1).count() != 1);
    let mut remarks = answers.remarks();
    if known.outputs.map_or(several.is_some(), |outputs| outputs.findings) {
        if known.outputs.is_none() {
            let text = format!("rows of {width} values are findings, each present or absent by itself");
            remarks.push(Remark::note(text));
        }
        let (labels, names) = ordered(labels, width, known, place, &mut remarks)?;
        return Ok((Labels::Findings(labels), names, remarks));
    }
    if let Some(row) = several {
        let ones = labels[row * width..][..width].iter().filter(|label| **label == 1).count();
        let expected = "one class a sample, as the model's softmax head has; head = \"sigmoid\" in the [[model]] table (of a TRAIN.toml: in [model]) makes each of its \
                        outputs a finding";
        return Err(error(row * width, format!("{ones} of {width} findings"), expected));
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
    Ok((Labels::Class(labels), names, remarks))
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

/// Values that are findings, and those of them that count as the study says: -1 and NaN.
struct Answers<'a> {
    options: &'a LabelOptions,
    counts: [usize; 2],
}

impl Answers<'_> {
    fn label(&mut self, value: f64) -> Result<u8, (String, String)> {
        let (kind, policy) = match value {
            0.0 => return Ok(0),
            1.0 => return Ok(1),
            -1.0 => (0, self.options.uncertain),
            value if value.is_nan() => (1, self.options.missing),
            value if (0.0..1.0).contains(&value) => {
                let expected = "0 or 1 for every finding or class: probabilities become labels by `y >= 0.5`, or by \
                                `np.eye(k)[y.argmax(1)]` where classes exclude each other";
                return Err((value.to_string(), expected.into()));
            }
            value => return Err((value.to_string(), "0 or 1 for every finding or class".into())),
        };
        let (key, what) = [("uncertain", "-1, an uncertain label"), ("missing", "NaN, no label")][kind];
        let expected = format!(
            "0 or 1, or a line in [[data]] that says what it counts as: {key} = \"negative\", \"positive\" or \"ignore\" (leaves out this finding of \
             the sample)"
        );
        let label = match policy {
            Some(Policy::Positive) => 1,
            Some(Policy::Negative) => 0,
            Some(Policy::Ignore) => UNLABELLED,
            Some(Policy::Drop) | None => return Err((what.into(), expected)),
        };
        self.counts[kind] += 1;
        Ok(label)
    }

    fn remarks(&self) -> Vec<Remark> {
        let policies = [("uncertain", self.options.uncertain), ("missing", self.options.missing)];
        let told = policies.into_iter().zip(self.counts).filter(|(_, count)| *count > 0);
        told.map(|((what, policy), count)| Remark::note(policy.unwrap_or(Policy::Ignore).told(count, what)))
            .collect()
    }
}
