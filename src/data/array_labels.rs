//! Labels of an archive: classes by number or name, one-hot rows, findings.

use super::labels::{self, Classes, Known, Place, Written};
use super::npz::{Column, Npz};
use super::splits::Member;
use super::{Labels, Remark};
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
pub(super) fn read(npz: &mut Npz, members: &[Member], known: &Known) -> Result<Read> {
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
    match width.unwrap_or(1) {
        1 => {
            let Classes { labels, names, remarks } = labels::classes(&written(parts), known, &place)?;
            Ok(Read { labels: Labels::Class(labels), names, remarks, counts })
        }
        width => {
            let (labels, names, remarks) = rows(&parts, width, known, &place)?;
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
    if let Some(at) = values.iter().position(|value| ![0.0, 1.0].contains(value)) {
        let expected =
            "0 or 1 for every finding or class (what is uncertain or missing must be decided before)";
        return Err(error(at, values[at].to_string(), expected));
    }
    let several = values.chunks_exact(width).position(|row| row.iter().sum::<f64>() != 1.0);
    let findings = known.outputs.map_or(several.is_some(), |outputs| outputs.findings);
    let names = if known.names.len() == width {
        known.names.clone()
    } else {
        (0..width).map(|k| k.to_string()).collect()
    };
    if findings {
        let labels = values.iter().map(|&value| value as u8).collect();
        let note =
            Remark::note(format!("rows of {width} values are findings, each present or absent by itself"));
        return Ok((
            Labels::Findings(labels),
            names,
            if known.outputs.is_some() { vec![] } else { vec![note] },
        ));
    }
    if let Some(row) = several {
        let ones = values[row * width..][..width].iter().sum::<f64>();
        let expected = "one class a sample, as the model's softmax head has; where its outputs are findings of their own, \
                        { \"head\": \"sigmoid\" } in its config.json (of NAME.onnx: in NAME.json beside it)";
        return Err(error(row * width, format!("{ones} of {width} findings"), expected));
    }
    let class = |row: &[f64]| row.iter().position(|&value| value == 1.0).unwrap_or(0) as u32;
    let labels = values.chunks_exact(width).map(class).collect();
    let note = Remark::note(format!(
        "every row of {} has one 1 among {width} values: taken for one-hot classes",
        place.column
    ));
    Ok((Labels::Class(labels), names, vec![note]))
}
