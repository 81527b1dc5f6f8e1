//! Images that several rows list: a row a box, a row a reader.

use std::collections::HashMap;

use super::super::{Labels, Remark};

/// The flag of lists that count an image several times.
const REPEATED: &str = "repeated";

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
        "{all} rows list {images} images: each row counts as a sample of its own. For a sample an image leave one row of each in the list"
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
