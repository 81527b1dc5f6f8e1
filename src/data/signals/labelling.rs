//! What samples of signals are labelled with: annotated beats, diagnoses of headers, labels of a list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::describe;
use super::listing::ListedLabels;
use super::options::SignalOptions;
use super::recording::Recording;
use super::rhythm::Rhythms;
use crate::data::labels::{self, FindingAnswers, Known, LEFT_OUT, Listed, Place, Standing, Written, same};
use crate::data::{LabelOptions, Labels, Remark, UNLABELLED, beats as aami};
use crate::telling::counted;
use crate::{Error, Result};

/// What a recording itself says of labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Noted {
    /// Its beats: seconds from the start, and the class's position in [`class_names`].
    Beats(Vec<(f64, usize)>),
    /// Its header's diagnoses, where it has some.
    Diagnoses(Option<BTreeSet<String>>),
    /// Its rhythms.
    Rhythms(Rhythms),
}

/// Labels of those samples that have one.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The labels.
    pub labels: Labels,
    /// Names of the classes or findings.
    pub classes: Vec<String>,
    /// Which of the samples asked for have one; empty where all do.
    kept: Vec<bool>,
}

impl Labelled {
    /// Takes out of `samples` those without a label.
    pub fn without_the_unlabelled<T>(self, samples: Vec<T>) -> (Vec<T>, Self) {
        let kept = |at: usize| self.kept.get(at).copied().unwrap_or(true);
        let left =
            samples.into_iter().enumerate().filter(|(at, _)| kept(*at)).map(|(_, sample)| sample).collect();
        (left, self)
    }
}

/// The classes of rhythms or beats: the study's, else AAMI's of beats.
fn class_names(options: &SignalOptions) -> Vec<String> {
    let named = if options.rhythms.is_empty() { &options.beats } else { &options.rhythms };
    match named.as_slice() {
        [] => aami::CLASSES.map(str::to_string).to_vec(),
        classes => classes.iter().map(|(name, _)| name.clone()).collect(),
    }
}

/// The annotated beats of a recording.
///
/// # Errors
/// Annotations that cannot be read; none of a class, or labels that only the file defines and the study does not name.
pub fn beats(
    path: &Path,
    recording: &Recording,
    options: &SignalOptions,
    remarks: &mut Vec<Remark>,
) -> Result<Noted> {
    let marks = recording.marks(&options.annotator)?;
    let class = |symbol: &str| match options.beats.as_slice() {
        [] => aami::aami_class(symbol).map(usize::from),
        classes => classes.iter().position(|(_, symbols)| symbols.iter().any(|own| own == symbol)),
    };
    let found: Vec<(f64, usize)> =
        marks.list.iter().filter_map(|mark| Some((mark.seconds, class(&mark.symbol)?))).collect();
    let unknown = marks.defined.iter().any(|symbol| class(symbol).is_none());
    if found.is_empty() || (options.beats.is_empty() && unknown) {
        let quoted: Vec<String> =
            describe::counts(&marks).keys().map(|symbol| format!("{symbol:?}")).collect();
        let expected = format!(
            "annotations of beats; the [[data]] table says which symbols are which class: beats = {{ NAME = [\"SYMBOL\", ...], ... }}, \
             or each its own, in the order of the model's outputs: beats = [{}]",
            quoted.join(", ")
        );
        return Err(Error::input(path.display(), "annotations", describe::symbols(&marks), expected));
    }
    remarks.extend(marks.remarks);
    Ok(Noted::Beats(found))
}

/// Classes of beats or rhythms in the order of the model's outputs, where it calls them so; in their own order otherwise.
///
/// # Errors
/// Findings that somebody says the data are labelled with: annotations are one class a sample; another number of classes than the model has,
/// where their names do not say which of them they are; those of [`labels::classes`].
pub fn noted_classes(
    file: &str,
    options: &SignalOptions,
    found: Vec<usize>,
    known: &Known,
    remarks: &mut Vec<Remark>,
) -> Result<Labelled> {
    let own = class_names(options);
    if !known.findings.is_empty() {
        let found = format!("findings = {:?} beside labels of annotations", known.findings);
        let expected = "one class a sample: findings left out, or cut = \"records\" with labels of findings";
        return Err(Error::input(file, "findings", found, expected));
    }
    if !known.names.is_empty() && own.iter().all(|name| known.names.iter().any(|other| same(name, other))) {
        let texts = found.iter().map(|&class| own[class].clone()).collect();
        let place = Place { file, column: "annotations", entry: &|at| format!("sample {at}") };
        let read = labels::classes(&Written::Texts(texts), known, &place)?;
        remarks.extend(read.remarks);
        return Ok(Labelled { labels: Labels::Class(read.labels), classes: read.names, kept: Vec::new() });
    }
    if let Some(outputs) = known.outputs.filter(|outputs| own.len() != outputs.classes()) {
        let key = if options.rhythms.is_empty() { "beats" } else { "rhythms" };
        let expected = format!(
            "the model's {}, in the order of its outputs: {key} = {{ NAME = [\"SYMBOL\", ...], ... }} in the [[data]] table",
            outputs.classes()
        );
        return Err(Error::input(file, key, format!("{} classes: {}", own.len(), own.join(", ")), expected));
    }
    if options.beats.is_empty() && options.rhythms.is_empty() {
        remarks.push(Remark::note(
            "beats in the classes of AAMI EC57, as outputs 0 to 4: N (normal, bundle branch block), S, V, F, Q",
        ));
    }
    let labels = Labels::Class(found.into_iter().map(|class| class as u32).collect());
    Ok(Labelled { labels, classes: own, kept: Vec::new() })
}

/// Labels of whole records or windows of them: of the list, or else of the headers. `items` are positions in the list, a sample each.
///
/// # Errors
/// No labels; as [`labels::classes`] and [`labels::findings`].
pub fn record_labels(
    file: &str,
    listed: Option<&ListedLabels>,
    items: &[usize],
    diagnoses: Vec<Option<BTreeSet<String>>>,
    options: &LabelOptions,
    known: &Known,
    remarks: &mut Vec<Remark>,
) -> Result<Labelled> {
    match listed {
        Some(ListedLabels::Texts(column, texts)) => {
            let column = format!("column `{column}`");
            let place = Place { file, column: &column, entry: &|at| format!("row {}", items[at] + 1) };
            let own = items.iter().map(|&item| texts[item].clone()).collect();
            let answered = labels::answered(Written::Texts(own), options, known, &place)?;
            let entry = |at: usize| (place.entry)(answered.kept[at]);
            let read = labels::classes(&answered.written, known, &Place { entry: &entry, ..place })?;
            remarks.extend(answered.remarks);
            remarks.extend(read.remarks);
            let mut kept = vec![false; items.len()];
            answered.kept.iter().for_each(|&at| kept[at] = true);
            Ok(Labelled { labels: Labels::Class(read.labels), classes: read.names, kept })
        }
        Some(ListedLabels::Sets(column, sets)) => {
            let own = items.iter().map(|&item| sets[item].clone()).collect();
            let all: BTreeSet<String> = sets.iter().flatten().cloned().collect();
            statements(file, &format!("column `{column}`"), own, all, known, remarks)
        }
        Some(ListedLabels::Findings(names, rows)) => {
            findings_in_columns(file, names, rows, items, options, known, remarks)
        }
        None => {
            let missing = diagnoses.iter().filter(|set| set.is_none()).count();
            if missing > 0 {
                let found =
                    format!("{missing} of {} samples of records without a `Dx:` line", diagnoses.len());
                return Err(Error::input(file, "labels", found, super::LABELS));
            }
            let sets: Vec<BTreeSet<String>> = diagnoses.into_iter().flatten().collect();
            let all = sets.iter().flatten().cloned().collect();
            statements(file, "`Dx:` of the headers", sets, all, known, remarks)
        }
    }
}

/// A column a finding, each of 0, 1, -1 and nothing.
fn findings_in_columns(
    file: &str,
    names: &[String],
    rows: &[Vec<f64>],
    items: &[usize],
    options: &LabelOptions,
    known: &Known,
    remarks: &mut Vec<Remark>,
) -> Result<Labelled> {
    let place = Place { file, column: "columns of labels", entry: &|at| format!("row {}", items[at] + 1) };
    let (standings, said) = labels::findings(names, Listed::Columns, known, &place)?;
    let mut answers = FindingAnswers::new(options);
    let (mut values, mut kept) = (Vec::new(), Vec::new());
    for &item in items {
        let mut value = |own: &Standing| {
            let Some(at) = own.position() else { return Ok(UNLABELLED) };
            answers.label(rows[item][at]).map_err(|(found, expected)| {
                Error::input(file, format!("row {}, column `{}`", item + 1, names[at]), found, expected)
            })
        };
        let own = standings.iter().map(&mut value).collect::<Result<Vec<u8>>>()?;
        kept.push(!own.contains(&LEFT_OUT));
        if !own.contains(&LEFT_OUT) {
            values.extend(own);
        }
    }
    remarks.extend(said);
    remarks.extend(answers.remarks());
    let classes = known.names_of(standings.len(), |at| names[at].clone());
    Ok(Labelled { labels: Labels::Findings(values), classes, kept })
}

/// Statements as findings, where the model has several; else the one class among them, and samples with none or several are left out.
fn statements(
    file: &str,
    column: &str,
    sets: Vec<BTreeSet<String>>,
    all: BTreeSet<String>,
    known: &Known,
    remarks: &mut Vec<Remark>,
) -> Result<Labelled> {
    let names: Vec<String> = all.into_iter().collect();
    let place = Place { file, column, entry: &|at| format!("sample {at}") };
    let (standings, said) = labels::findings(&names, Listed::Names, known, &place)?;
    let outputs = known.names_of(standings.len(), |at| names[at].clone());
    let several = known.outputs.is_none_or(|outputs| outputs.findings);
    let value = |set: &BTreeSet<String>, standing: &Standing| match standing {
        Standing::At(at) => u8::from(set.contains(&names[*at])),
        // One of several classes that exclude each other is not there.
        Standing::Unlabelled if several => UNLABELLED,
        Standing::Nowhere | Standing::Unlabelled => 0,
    };
    let own = |set: &BTreeSet<String>| standings.iter().map(|own| value(set, own)).collect::<Vec<u8>>();
    let rows: Vec<Vec<u8>> = sets.iter().map(own).collect();
    let left = names.len() - standings.iter().filter_map(|own| own.position()).count();
    if left > 0 {
        let statements = if left == 1 { "other statement" } else { "other statements" };
        let are = if left == 1 { "is no output" } else { "are no outputs" };
        remarks.push(Remark::note(format!("{left} {statements} of {column} {are} of the model")));
        remarks.extend(said.into_iter().filter(|remark| !remark.text.starts_with("left out")));
    } else {
        remarks.extend(said);
    }
    if several {
        let labels = Labels::Findings(rows.concat());
        return Ok(Labelled { labels, classes: outputs, kept: Vec::new() });
    }
    let kept: Vec<bool> = rows.iter().map(|row| row.iter().filter(|&&one| one == 1).count() == 1).collect();
    let classes = rows
        .iter()
        .zip(&kept)
        .filter(|(_, kept)| **kept)
        .filter_map(|(row, _)| row.iter().position(|&one| one == 1));
    let labels = Labels::Class(classes.map(|class| class as u32).collect());
    let none = rows.iter().filter(|row| row.iter().all(|&one| one == 0)).count();
    let many = kept.iter().filter(|kept| !**kept).count() - none;
    if none + many > 0 {
        remarks.push(Remark::note(format!(
            "{} with none of the classes and {many} with several are left out: the model tells one class",
            counted(none, "sample")
        )));
    }
    Ok(Labelled { labels, classes: outputs, kept })
}

/// How often each symbol occurs.
pub(super) fn tally<'a>(symbols: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut counts = BTreeMap::new();
    symbols.for_each(|symbol| *counts.entry(symbol).or_default() += 1);
    counts
}
