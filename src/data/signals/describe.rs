//! What is in recordings, in words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::labelling::tally;
use super::options::SignalOptions;
use super::recording::{Marks, Recording};
use super::{leads, listing, rhythm};
use crate::Result;

/// Recordings that are looked at.
const LOOKED_AT: usize = 200;
/// Symbols, names and notes that are listed.
const LISTED: usize = 20;
/// Beats whose values are shown.
const SHOWN: usize = 4;

/// The recordings in the folder at `path`, or the one there: leads, rates, units, lengths, annotations, diagnoses.
///
/// # Errors
/// As [`listing::folder`], and a recording that cannot be read.
pub fn recordings(path: &Path) -> Result<String> {
    let options = SignalOptions::default();
    let listing = if path.is_dir() { listing::folder(path, &options.list)? } else { listing::one(path) };
    let mut forms: BTreeMap<String, usize> = BTreeMap::new();
    let mut symbols: BTreeMap<String, usize> = BTreeMap::new();
    let mut diagnoses: BTreeMap<String, usize> = BTreeMap::new();
    let mut said = Vec::new();
    let mut rhythms = BTreeSet::new();
    let count = listing.items.len();
    for item in listing.items.iter().take(LOOKED_AT) {
        let recording = Recording::open(&item.path)?;
        *forms.entry(form(&recording)).or_default() += 1;
        for code in listing::diagnoses(&recording.comments).into_iter().flatten() {
            *diagnoses.entry(code).or_default() += 1;
        }
        if recording.annotation_file(&options.annotator).exists() {
            let marks = recording.marks(&options.annotator)?;
            counts(&marks)
                .into_iter()
                .for_each(|(symbol, n)| *symbols.entry(symbol.to_string()).or_default() += n);
            rhythms.extend(rhythm::names(&marks));
            said.extend(marks.remarks.iter().map(|remark| remark.text.clone()));
        }
    }
    let looked = if count > LOOKED_AT { format!(" (of the first {LOOKED_AT}:)") } else { String::new() };
    let noun = if count == 1 { "recording" } else { "recordings" };
    let mut text = format!("{count} {noun}{looked}\n");
    for (form, of) in forms.iter().take(LISTED) {
        text += &format!("  {of}: {form}\n");
    }
    if !symbols.is_empty() {
        text += &format!("  annotations (.{}): {}\n", options.annotator, shown(&symbols));
    }
    if !rhythms.is_empty() {
        let names: Vec<String> = rhythms.iter().map(|name| format!("{name:?}")).collect();
        text += &format!(
            "  rhythms: rhythms = [{}] in a [[data]] table labels windows by them\n",
            names.join(", ")
        );
    }
    if !diagnoses.is_empty() {
        text += &format!("  diagnoses (Dx): {}\n", shown(&diagnoses));
    }
    said.sort();
    said.dedup();
    for remark in said.iter().take(LISTED) {
        text += &format!("  {remark}\n");
    }
    if let [item] = listing.items.as_slice() {
        text += &first_beats(&Recording::open(&item.path)?, &options.annotator)?;
    }
    Ok(text)
}

/// Leads, rates, units and length.
fn form(recording: &Recording) -> String {
    let leads: Vec<String> = recording
        .leads
        .iter()
        .map(|lead| format!("{} ({}, {} Hz)", lead.name, lead.written_unit, lead.rate))
        .collect();
    let seconds = recording.leads.first().map_or(0.0, |lead| lead.len as f64 / lead.rate);
    let more =
        if leads.len() > LISTED { format!(" and {} others", leads.len() - LISTED) } else { String::new() };
    format!("{seconds:.3} s of {}{more}", leads[..leads.len().min(LISTED)].join(", "))
}

/// The first annotations of a recording with the values around them of the lead that is taken where none is named: whether times and units are right can be seen there.
fn first_beats(recording: &Recording, annotator: &str) -> Result<String> {
    let usual = leads::usual(recording).unwrap_or(0);
    let Some(lead) = recording.leads.get(usual) else { return Ok(String::new()) };
    if !recording.annotation_file(annotator).exists() {
        return Ok(String::new());
    }
    let mut text = String::new();
    let marks = recording.marks(annotator)?;
    let places: Vec<String> = marks
        .list
        .iter()
        .take(LISTED)
        .map(|mark| format!("{} {}", (mark.seconds * lead.rate).round(), mark.symbol))
        .collect();
    text += &format!("  first annotations, at samples of {}: {}\n", lead.name, places.join(", "));
    for mark in
        marks.list.iter().filter(|mark| crate::data::beats::aami_class(&mark.symbol).is_some()).take(SHOWN)
    {
        let at = (mark.seconds * lead.rate).round().max(0.0) as u64;
        let values = recording.read(usual, at.saturating_sub(2)..at.saturating_add(3).min(lead.len))?;
        let values: Vec<String> = values.iter().map(|value| format!("{value:.4}")).collect();
        text += &format!(
            "  {} around sample {at} ({}): {} {}\n",
            lead.name,
            mark.symbol,
            values.join(", "),
            lead.unit
        );
    }
    Ok(text)
}

/// How often each symbol occurs in these annotations.
pub(super) fn counts(marks: &Marks) -> BTreeMap<&str, usize> {
    tally(marks.list.iter().map(|mark| mark.symbol.as_str()))
}

/// `24 v, 23 w`, the commonest first.
pub(super) fn symbols(marks: &Marks) -> String {
    let counts = counts(marks).into_iter().map(|(symbol, count)| (symbol.to_string(), count)).collect();
    let shown = shown(&counts);
    if shown.is_empty() { "no annotations".into() } else { format!("annotations {shown}") }
}

fn shown(counts: &BTreeMap<String, usize>) -> String {
    let mut sorted: Vec<(&String, &usize)> = counts.iter().collect();
    sorted.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
    let words: Vec<String> =
        sorted.iter().take(LISTED).map(|(name, count)| format!("{count} {name}")).collect();
    let more =
        if sorted.len() > LISTED { format!(" and {} others", sorted.len() - LISTED) } else { String::new() };
    words.join(", ") + &more
}
