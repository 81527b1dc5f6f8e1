//! What a study says of signals: which leads at which rate, what a sample is, where labels stand.

use std::path::PathBuf;

use crate::data::SplitNames;

/// Everything that `[[data]]` may say of signals.
#[derive(Clone, Debug, PartialEq)]
pub struct SignalOptions {
    /// The leads, in the order of the model's channels, each with all the names that it may have; empty: see [`super::leads`].
    pub leads: Vec<Vec<String>>,
    /// What happens to recordings that lack one of them.
    pub lacking: Lack,
    /// Samples a second that all leads are brought to; `None`: 360 of beats without a `length`, else the records' own.
    pub rate: Option<f64>,
    /// The unit that leads are brought to; `None`: voltages to mV, others stay as they are.
    pub unit: Option<Unit>,
    /// What a sample is; `None`: beats where there are annotations, else whole records.
    pub cut: Option<Cut>,
    /// Samples of a sample at the final rate.
    pub length: Option<usize>,
    /// Where the annotated moment of a beat stands in its window.
    pub peak: Option<usize>,
    /// Samples between the starts of two windows; `None` is `length`.
    pub stride: Option<usize>,
    /// Classes of beats with the annotation symbols that belong to each; empty is AAMI's five.
    pub beats: Vec<(String, Vec<String>)>,
    /// Classes of rhythms with the annotated texts that belong to each, without their bracket: `AFIB`. Where there are some, samples are windows.
    pub rhythms: Vec<(String, Vec<String>)>,
    /// The share of a window that must be of one class of rhythm.
    pub share: f64,
    /// Who annotated: the ending of the annotation file.
    pub annotator: String,
    /// What happens to samples with missing values.
    pub gaps: Gaps,
    /// Whether records shorter than the window are filled up with 0.
    pub pad: bool,
    /// Whether the sums that headers state are compared.
    pub checksums: bool,
    /// How a CSV of records is read.
    pub list: ListColumns,
}

/// The unit that leads are brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// V.
    Volt,
    /// mV.
    Millivolt,
    /// uV.
    Microvolt,
    /// Each file's own.
    Written,
}

/// What a sample is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// A window around every annotated beat.
    Beats,
    /// Windows one after the other, each with the record's label or that of its rhythm.
    Windows,
    /// A whole record.
    Records,
}

/// What happens to recordings that lack a lead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lack {
    /// They are an error.
    #[default]
    Refuse,
    /// They are left out and counted.
    Drop,
}

/// What happens to samples with missing values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gaps {
    /// They are left out and counted.
    #[default]
    Drop,
    /// Missing values become those of a straight line between their neighbours.
    Interpolate,
}

/// Columns of a CSV of records; `None` is looked for under the usual names.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ListColumns {
    /// The record's file, with or without its ending.
    pub path: Option<String>,
    /// The labels: one column, or one of 0 and 1 a finding.
    pub labels: Vec<String>,
    /// The patient.
    pub patient: Option<String>,
    /// The split: names, or PTB-XL's folds.
    pub split: Option<String>,
    /// Which values of that column are which split.
    pub splits: SplitNames,
    /// The folder that files are relative to; `None` is the CSV's own.
    pub folder: Option<PathBuf>,
}

impl Default for SignalOptions {
    fn default() -> Self {
        Self {
            leads: Vec::new(),
            lacking: Lack::Refuse,
            rate: None,
            unit: None,
            cut: None,
            length: None,
            peak: None,
            stride: None,
            beats: Vec::new(),
            rhythms: Vec::new(),
            share: 1.0,
            annotator: "atr".into(),
            gaps: Gaps::Drop,
            pad: false,
            checksums: true,
            list: ListColumns::default(),
        }
    }
}
