//! Images that several rows list: a row a box, a row a reader.

use std::collections::HashMap;

use super::super::table::Table;
use super::super::{Labels, Remark};
use super::labels::Read;
use crate::{Error, Result};

/// The flag of lists that count an image several times.
const REPEATED: &str = "repeated";

/// One sample an image: rows that agree count once, and findings that stand one a row add up.
///
/// # Errors
/// A row that says otherwise than an earlier one of its image; where findings add up, nothing found beside something found.
pub(super) fn once(table: &Table, paths: usize, read: Read) -> Result<Read> {
    let all = read.rows.len();
    let width = match &read.labels {
        Labels::Class(_) => 1,
        Labels::Findings(labels) => labels.len() / all.max(1),
    };
    let own = |at: usize| -> Vec<u32> {
        match &read.labels {
            Labels::Class(labels) => vec![labels[at]],
            Labels::Findings(labels) => labels[at * width..][..width].iter().map(|&l| u32::from(l)).collect(),
        }
    };
    let mut images: Vec<(usize, Vec<u32>)> = Vec::new();
    let mut places: HashMap<Option<String>, usize> = HashMap::new();
    for (at, &row) in read.rows.iter().enumerate() {
        let file = table.exact(paths, row);
        let place = *places.entry(file).or_insert(images.len());
        let new = own(at);
        let Some((first, labels)) = images.get_mut(place) else {
            images.push((row, new));
            continue;
        };
        let agree = match read.listed {
            true => labels.contains(&1) == new.contains(&1),
            false => *labels == new,
        };
        if !agree {
            let what = if read.listed { "a finding beside none" } else { "another label" };
            let found = format!(
                "{what} for the image of row {first}, `{}`",
                table.exact(paths, row).unwrap_or_default()
            );
            let expected = "rows of an image that agree: which of them holds is to be decided in the list; repeated = \"each\" makes a sample of every row";
            return Err(Error::input(&table.file, format!("row {row}"), found, expected));
        }
        labels.iter_mut().zip(new).filter(|(_, new)| *new == 1).for_each(|(own, new)| *own = new);
    }
    let mut remarks = read.remarks;
    if images.len() < all {
        let union = if read.listed { ", with the findings of all its rows" } else { "" };
        let unanswered = |remark: &Remark| {
            ["uncertain label", "missing label"].iter().any(|kind| remark.text.contains(kind))
        };
        let by_row = if remarks.iter().any(unanswered) {
            "; labels are counted by row in what is said before"
        } else {
            ""
        };
        let text = format!("{all} rows list {} images: each counts once{union}{by_row}", images.len());
        remarks.push(Remark::note(text));
    }
    let labels = images.iter().flat_map(|(_, labels)| labels.iter().copied());
    let labels = match &read.labels {
        Labels::Class(_) => Labels::Class(labels.collect()),
        Labels::Findings(_) => Labels::Findings(labels.map(|label| label as u8).collect()),
    };
    Ok(Read { rows: images.iter().map(|(row, _)| *row).collect(), labels, remarks, ..read })
}

/// What is said of images that several rows list; `files` are the rows' own, in the order of the labels.
pub(super) fn remark(files: &[Option<String>], labels: &Labels) -> Option<Remark> {
    let label = |row: usize| -> Vec<u32> {
        match labels {
            Labels::Class(labels) => vec![labels[row]],
            Labels::Findings(labels) => {
                let width = labels.len() / files.len();
                labels[row * width..][..width].iter().map(|&label| u32::from(label)).collect()
            }
        }
    };
    let mut first: HashMap<&str, usize> = HashMap::new();
    let (mut again, mut otherwise) = (0, 0);
    for (row, file) in files.iter().enumerate().filter_map(|(row, file)| Some((row, file.as_deref()?))) {
        let earlier = *first.entry(file).or_insert(row);
        again += usize::from(earlier != row);
        otherwise += usize::from(label(earlier) != label(row));
    }
    let (all, images) = (files.len(), first.len());
    let text = format!(
        "{all} rows list {images} images: each row counts as a sample of its own. repeated = \"once\" in [[data]] makes each image one sample"
    );
    match (again, otherwise) {
        (0, _) => None,
        (_, 0) => Some(Remark::warning(REPEATED, text)),
        (_, rows) => {
            let text = format!(
                "labels contradict each other: {rows} of the rows that list an image again give it another label; {text}"
            );
            Some(Remark::warning(REPEATED, text))
        }
    }
}
