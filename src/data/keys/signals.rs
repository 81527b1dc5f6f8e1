//! Keys of data for signals: leads, rate, what a sample is, the CSV that lists recordings.

use std::ops::Bound::{Excluded, Included};
use std::path::{Path, PathBuf};

use crate::Result;
use crate::data::SplitNames;
use crate::data::signals::{Cut, Gaps, Lack, ListColumns, SignalOptions, Unit};
use crate::document::{Item, Table, words};

/// Them.
pub(super) const KEYS: [&str; 16] = [
    "records",
    "leads",
    "lacking",
    "rate",
    "unit",
    "cut",
    "length",
    "peak",
    "stride",
    "beats",
    "rhythms",
    "share",
    "annotator",
    "gaps",
    "pad",
    "checksums",
];

/// The largest window in samples.
const MAX_WINDOW: u64 = 1 << 28;

/// The CSV of `records = "FILE.csv"` or `records = { csv = "FILE.csv", ... }`.
pub(super) fn records(table: &Table, folder: &Path) -> Result<Option<PathBuf>> {
    table.read("records", |item| match item.as_table() {
        None => item.text().map(|text| folder.join(text)),
        Some(own) => {
            own.require("csv", "the CSV that lists the recordings")?.text().map(|text| folder.join(text))
        }
    })
}

/// How signals are read.
pub(super) fn options(table: &Table, folder: &Path) -> Result<SignalOptions> {
    let usual = SignalOptions::default();
    let window = |item: &Item| item.whole(1, MAX_WINDOW).map(|window| window as usize);
    let cut = |item: &Item| {
        Ok(match item.choice(&["beats", "windows", "records"])? {
            "beats" => Cut::Beats,
            "windows" => Cut::Windows,
            _ => Cut::Records,
        })
    };
    let gaps = |item: &Item| {
        Ok(if item.choice(&["drop", "interpolate"])? == "drop" { Gaps::Drop } else { Gaps::Interpolate })
    };
    let columns = |item: &Item| match item.as_table() {
        None => Ok(ListColumns::default()),
        Some(own) => list_columns(&own, folder),
    };
    Ok(SignalOptions {
        leads: table.read("leads", leads)?.unwrap_or_default(),
        lacking: table.read("lacking", lacking)?.unwrap_or_default(),
        rate: table.read("rate", |item| item.number_in(1e-3..=1e9, "samples a second, above 0"))?,
        unit: table.read("unit", unit)?,
        cut: table.read("cut", cut)?,
        length: table.read("length", window)?,
        peak: table.read("peak", |item| item.whole(0, MAX_WINDOW).map(|peak| peak as usize))?,
        stride: table.read("stride", window)?,
        beats: table.read("beats", beats)?.unwrap_or_default(),
        rhythms: table.read("rhythms", beats)?.unwrap_or_default(),
        share: table
            .read("share", |item| {
                item.number_in((Excluded(0.0), Included(1.0)), "a share above 0, at most 1")
            })?
            .unwrap_or(usual.share),
        annotator: table.read("annotator", annotator)?.unwrap_or(usual.annotator),
        gaps: table.read("gaps", gaps)?.unwrap_or_default(),
        pad: table.read("pad", Item::flag)?.unwrap_or(usual.pad),
        checksums: table.read("checksums", Item::flag)?.unwrap_or(usual.checksums),
        list: table.read("records", columns)?.unwrap_or_default(),
    })
}

/// Names of leads, or their numbers from 0; a list in the list has several names for one lead.
fn leads(item: &Item) -> Result<Vec<Vec<String>>> {
    let name = |item: &Item| match item.word() {
        Ok(name) => Ok(name.to_string()),
        Err(_) => item.whole(0, 1 << 16).map(|number| number.to_string()),
    };
    let same = |item: &Item| match item.is_list() {
        true => item.values()?.iter().map(name).collect::<Result<Vec<String>>>(),
        false => Ok(vec![name(item)?]),
    };
    let all: Vec<Vec<String>> = item.values()?.iter().map(same).collect::<Result<_>>()?;
    if all.is_empty() || all.iter().any(Vec::is_empty) {
        Err(item.error("at least one lead"))
    } else {
        Ok(all)
    }
}

/// The unit that leads are brought to.
fn unit(item: &Item) -> Result<Unit> {
    Ok(match item.choice(&["V", "mV", "uV", "file"])? {
        "V" => Unit::Volt,
        "mV" => Unit::Millivolt,
        "uV" => Unit::Microvolt,
        _ => Unit::Written,
    })
}

/// What becomes of recordings that lack a lead.
fn lacking(item: &Item) -> Result<Lack> {
    Ok(if item.choice(&["refuse", "drop"])? == "drop" { Lack::Drop } else { Lack::Refuse })
}

/// Classes with their symbols, `{ normal = ["N", "L"], ... }`, or symbols that are a class each, `["v", "w"]`.
fn beats(item: &Item) -> Result<Vec<(String, Vec<String>)>> {
    let classes: Vec<(String, Vec<String>)> = match item.as_table() {
        Some(table) => table
            .entries_as_written()
            .iter()
            .map(|(name, symbols)| Ok((name.to_string(), words(symbols)?)))
            .collect::<Result<_>>()?,
        None => words(item)?.into_iter().map(|symbol| (symbol.clone(), vec![symbol])).collect(),
    };
    let mut symbols: Vec<&String> = classes.iter().flat_map(|(_, symbols)| symbols).collect();
    let count = symbols.len();
    symbols.sort();
    symbols.dedup();
    if classes.is_empty() || symbols.len() < count {
        return Err(item.error(
            "classes, each with annotation symbols of its own: { normal = [\"N\", \"L\"], other = [\"V\"] }",
        ));
    }
    Ok(classes)
}

/// The ending of an annotation file.
fn annotator(item: &Item) -> Result<String> {
    let name = item.text()?;
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    if plain {
        Ok(name)
    } else {
        Err(item.error("the ending of an annotation file, such as \"atr\" or \"qrs\""))
    }
}

fn list_columns(table: &Table, folder: &Path) -> Result<ListColumns> {
    table.allow(&["csv", "path", "labels", "patient", "split", "folder"])?;
    let labels = |item: &Item| if item.is_list() { words(item) } else { item.text().map(|name| vec![name]) };
    Ok(ListColumns {
        path: table.read("path", Item::text)?,
        labels: table.read("labels", labels)?.unwrap_or_default(),
        patient: table.read("patient", Item::text)?,
        split: table.read("split", Item::text)?,
        splits: SplitNames::default(),
        folder: table.read("folder", |item| item.text().map(|text| folder.join(text)))?,
    })
}
