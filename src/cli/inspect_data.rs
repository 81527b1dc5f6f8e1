//! What is in a data set.

use std::path::Path;

use crate::Result;
use crate::data::npz::Npz;
use crate::data::signals::describe::recordings;
use crate::data::table::{Column, Reading, Table};
use crate::data::{self, Dataset, Labels, Request, Source, registry};
use crate::memory::Room;
use crate::telling::counted;

/// Splits that are looked for.
const SPLITS: [&str; 3] = ["train", "val", "test"];

/// A data set of the registry.
pub(super) fn named(name: &str, room: Room) -> Result<String> {
    let entry = registry::entry(name)?;
    let mut text = format!("data set {name}: {}, {}\n", entry.modality, entry.task);
    text += &format!("  licence  {}\n  cite     {}\n", entry.licence, entry.citation);
    Ok(text + &splits(Source::Name(name.to_string()), room)?)
}

/// Images; an archive whose arrays are no data set is listed array by array.
pub(super) fn image(path: &Path, room: Room) -> Result<String> {
    match splits(Source::Path(path.to_path_buf()), room) {
        Ok(text) => Ok(format!("data set\n{text}")),
        Err(reason) => arrays(path, &reason.to_string(), room),
    }
}

/// Recordings, and the data set that they are without any key of a study.
pub(super) fn signal(path: &Path, room: Room) -> Result<String> {
    let text = recordings(path)?;
    Ok(match splits(Source::Path(path.to_path_buf()), room) {
        Ok(samples) => format!("{text}data set\n{samples}"),
        Err(reason) => format!("{text}no data set as it is: {reason}\n"),
    })
}

fn arrays(path: &Path, reason: &str, room: Room) -> Result<String> {
    let mut npz = Npz::open(path)?.within(room);
    let mut text = format!("npz, but no data set ({reason})\n");
    for name in npz.names().to_vec() {
        match npz.array(&name) {
            Ok(array) => text += &format!("  {name}  {:?}\n", array.shape),
            Err(error) => text += &format!("  {name}  {error}\n"),
        }
    }
    Ok(text)
}

/// The splits that a source has; without any of the usual, all of it.
fn splits(source: Source, room: Room) -> Result<String> {
    let request =
        |split: &str| Request { unordered: true, memory: room, ..Request::new(source.clone(), split) };
    let open = |split: &str| data::open(&request(split), None);
    let found: Vec<Dataset> =
        SPLITS.iter().filter_map(|split| open(split).ok()).filter(|set| !set.is_empty()).collect();
    let found = if found.is_empty() { vec![open("all")?] } else { found };
    let mut text = String::new();
    if let Some(first) = found.first() {
        text += &kind(first);
    }
    for set in &found {
        text += &format!("  {:<6} {}: {}\n", set.split, counted(set.len(), "sample"), labels(set));
    }
    Ok(text)
}

fn kind(set: &Dataset) -> String {
    let domain = &set.domain;
    let least = domain.low.iter().copied().fold(f32::INFINITY, f32::min);
    let most = domain.high.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut text = format!("  shape  {:?}, in {} from {least} to {most}\n", set.shape, set.unit);
    if set.synthetic {
        text += "  synthetic\n";
    }
    if !domain.features.is_empty() {
        let fixed = domain.immutable.iter().filter(|fixed| **fixed).count();
        let coded = domain.one_hot.len();
        text += &format!("  {} features, {fixed} immutable, {coded} one-hot groups\n", domain.features.len());
    }
    text += &match &set.group {
        Some(groups) => {
            let distinct: std::collections::HashSet<&String> = groups.iter().collect();
            format!("  {} in {}\n", counted(distinct.len(), "group"), set.split)
        }
        None => "  no groups: samples are taken as independent\n".to_string(),
    };
    text + &format!("  sha256 {}\n", set.sha256)
}

fn labels(set: &Dataset) -> String {
    let name = |class: usize| set.classes.get(class).cloned().unwrap_or_else(|| class.to_string());
    let counts: Vec<String> = match &set.labels {
        Labels::Class(labels) => (0..set.classes.len())
            .map(|class| {
                format!("{} {}", labels.iter().filter(|&&l| l as usize == class).count(), name(class))
            })
            .collect(),
        Labels::Findings(labels) => (0..set.classes.len())
            .map(|finding| {
                let present =
                    labels.iter().skip(finding).step_by(set.classes.len()).filter(|&&l| l == 1).count();
                format!("{present} with {}", name(finding))
            })
            .collect(),
    };
    counts.join(", ")
}

/// A table: its columns and what is missing.
pub(super) fn table(path: &Path, room: Room) -> Result<String> {
    let table = Table::read_columns(path, None, &Reading { room, ..Reading::default() }, &|_| true)?;
    let mut text =
        format!("table of {}, {}\n", counted(table.rows(), "row"), counted(table.names.len(), "column"));
    let width = table.names.iter().map(String::len).max().unwrap_or(0);
    for (name, column) in table.names.iter().zip(&table.columns) {
        let (kind, missing) = match column {
            Column::Number(values) => (range(values), values.iter().filter(|v| v.is_none()).count()),
            Column::Category(values) => {
                let distinct: std::collections::HashSet<&String> = values.iter().flatten().collect();
                (format!("{} categories", distinct.len()), values.iter().filter(|v| v.is_none()).count())
            }
        };
        let missing = if missing > 0 { format!(", {missing} missing") } else { String::new() };
        text += &format!("  {name:<width$}  {kind}{missing}\n");
    }
    Ok(text + &format!("  sha256 {}\n", table.sha256))
}

fn range(values: &[Option<f64>]) -> String {
    let numbers = values.iter().flatten();
    let (low, high) = numbers.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
    format!("{low} to {high}")
}
