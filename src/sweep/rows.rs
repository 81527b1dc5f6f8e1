//! From a cell's outcomes to its rows.

use std::path::Path;
use std::sync::Arc;

use safetensors::tensor::TensorView;

use super::engine::Outcome;
use super::grid::Cell;
use super::study::Save;
use super::subject::{Subject, margin, prediction};
use crate::data::{Dataset, Labels};
use crate::models::write_whole;
use crate::results::groups::{Samples, group_names};
use crate::results::summary::{Context, Head, summarise};
use crate::results::{CellRow, MetricRow, SampleRow, Text};
use crate::{Error, Result};

/// What a row says of where and with what it was computed.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The study's name.
    pub study: Text,
    /// The device's name.
    pub device: Text,
    /// Arithmetic of the search.
    pub precision: Text,
}

impl Provenance {
    /// A row that says so, and on which data.
    pub fn row(&self, data: &Dataset) -> CellRow {
        let classes = if data.is_findings() { &[][..] } else { &data.classes };
        CellRow {
            study: self.study.clone(),
            classes: classes.iter().map(|name| name.as_str().into()).collect(),
            data_sha256: data.sha256.as_str().into(),
            split: data.split.as_str().into(),
            sample_set_sha256: data.sample_set_sha256().into(),
            synthetic: data.synthetic,
            precision: self.precision.clone(),
            device: self.device.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            ..CellRow::default()
        }
    }
}

/// All rows of a finished cell.
#[derive(Debug)]
pub struct Rows {
    /// The cell's row.
    pub cell: CellRow,
    /// Its metrics.
    pub metrics: Vec<MetricRow>,
    /// Its samples.
    pub samples: Vec<SampleRow>,
}

/// Makes the rows of the cells of a subject. What they all repeat is there once.
#[derive(Debug)]
pub struct RowMaker<'a> {
    subject: &'a Subject,
    /// The samples' groups as rows name them, if there are any.
    groups: Option<Vec<Text>>,
    /// The scores of the clean samples.
    scores: Vec<Arc<[f32]>>,
    subgroups: Vec<(String, Vec<String>)>,
    /// The decisions that any sample is labelled with.
    decisions: Vec<usize>,
}

impl<'a> RowMaker<'a> {
    /// For the cells of `subject` in the results folder `out`.
    ///
    /// # Errors
    /// As [`group_names`].
    pub fn new(subject: &'a Subject, out: &Path) -> Result<Self> {
        let data = &subject.data;
        let scores = (0..data.len()).map(|i| subject.scores(subject.clean_logits(i)).into()).collect();
        let subgroups = data.subgroups.iter().map(|(name, values)| (name.clone(), values.clone()));
        let (groups, decisions) = (named_groups(data, out)?, subject.decisions());
        Ok(Self { subject, groups, scores, subgroups: subgroups.collect(), decisions })
    }

    /// The rows of a cell, whose samples came out as `outcomes` (in the data's order, also those that are not labelled with the finding and
    /// have no row). `row` says everything that the outcomes do not, of a
    /// multi-label model the `finding` too.
    pub fn rows(&self, mut row: CellRow, finding: Option<usize>, outcomes: &[Outcome]) -> Rows {
        let subject = self.subject;
        let id = row.cell_id.clone();
        let own = subject.samples_of(finding.unwrap_or(0));
        let sample = |&i: &usize| self.sample_row(finding.unwrap_or(0), &id, i, &outcomes[i]);
        let samples: Vec<SampleRow> = own.iter().map(sample).collect();
        row.n_inferred = outcomes.iter().filter(|outcome| outcome.inferred).count() as u64;
        row.device_seconds_attributed = outcomes.iter().map(|o| o.seconds).sum();
        let (mut said_clean, mut said_adv, mut truth) = (Vec::new(), Vec::new(), Vec::new());
        if let (Labels::Findings(labels), Some(_)) = (&subject.data.labels, finding) {
            for &i in &own {
                said_clean.extend(said(subject, &self.decisions, subject.clean_logits(i)));
                said_adv.extend(said(subject, &self.decisions, &outcomes[i].logits));
                truth.extend(self.decisions.iter().map(|finding| labels[i * subject.outputs() + finding]));
            }
        }
        let head = match (&subject.data.labels, finding) {
            (Labels::Findings(_), Some(index)) => {
                Head::Findings { index, said_clean: &said_clean, said_adv: &said_adv, labels: &truth }
            }
            _ if subject.classes() == 2 => Head::Binary,
            _ => Head::Classes(subject.classes()),
        };
        let part = |(name, values): &(String, Vec<String>)| {
            (name.clone(), own.iter().map(|&i| values[i].clone()).collect())
        };
        let parts: Vec<(String, Vec<String>)> = match own.len() == outcomes.len() {
            true => Vec::new(),
            false => self.subgroups.iter().map(part).collect(),
        };
        let subgroups = if own.len() == outcomes.len() { &self.subgroups } else { &parts };
        let metrics = summarise(&mut row, &samples, &Context { head, subgroups });
        Rows { cell: row, metrics, samples }
    }

    fn sample_row(&self, finding: usize, id: &Text, i: usize, outcome: &Outcome) -> SampleRow {
        let subject = self.subject;
        let label = subject.label(i, finding);
        let clean = subject.deciding(subject.clean_logits(i), finding);
        let adversarial = subject.deciding(&outcome.logits, finding);
        let (clean_pred, adv_pred) = (prediction(&clean), prediction(&adversarial));
        let [l1, l2, linf] = outcome.norms;
        SampleRow {
            cell_id: id.clone(),
            sample: subject.data.index[i],
            group: self.groups.as_ref().map(|groups| groups[i].clone()),
            label,
            clean_pred,
            adv_pred,
            scores_clean: self.scores[i].clone(),
            scores_adv: subject.scores(&outcome.logits),
            success: outcome.attacked.then_some(outcome.success),
            robust: clean_pred == label && adv_pred == label,
            l0: outcome.l0,
            l1,
            l2,
            linf,
            steps_used: outcome.steps_used,
            forward_calls: outcome.forward_calls,
            inferred: outcome.inferred,
            margin_clean: f64::from(margin(&clean, label)),
            margin_adv: f64::from(margin(&adversarial, label)),
        }
    }
}

/// What the model says of these findings.
fn said<'a>(
    subject: &'a Subject,
    findings: &'a [usize],
    logits: &'a [f32],
) -> impl Iterator<Item = u32> + 'a {
    findings.iter().map(move |&finding| prediction(&subject.deciding(logits, finding)))
}

/// The samples' groups as rows of the results folder `out` name them, if there are any.
///
/// # Errors
/// As [`group_names`].
pub(super) fn named_groups(data: &Dataset, out: &Path) -> Result<Option<Vec<Text>>> {
    let sha256 = data.sample_set_sha256();
    let name =
        |groups: &Vec<String>| group_names(out, Samples { sha256: &sha256, index: &data.index }, groups);
    data.group.as_ref().map(name).transpose()
}

/// Stores the adversarials that a cell asks for: `x` `[kept, sample shape]` and `sample` `[kept]`, whole or not at all.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub fn save_inputs(dir: &Path, id: &str, cell: &Cell, subject: &Subject, outcomes: &[Outcome]) -> Result<()> {
    let kept: Vec<usize> = match cell.save {
        Save::None => return Ok(()),
        Save::All => subject.samples_of(cell.finding.unwrap_or(0)),
        Save::Successes => {
            (0..outcomes.len()).filter(|&i| outcomes[i].attacked && outcomes[i].success).collect()
        }
    };
    let folder = dir.join("adversarials");
    std::fs::create_dir_all(&folder).map_err(Error::io(&folder))?;
    let values: Vec<f32> = kept.iter().flat_map(|&i| outcomes[i].x.iter().copied()).collect();
    let samples: Vec<u64> = kept.iter().map(|&i| subject.data.index[i]).collect();
    let shape = [&[kept.len()], subject.data.shape.as_slice()].concat();
    let view =
        |dtype, shape, bytes| TensorView::new(dtype, shape, bytes).map_err(|e| Error::Failed(e.to_string()));
    let tensors = [
        ("x", view(safetensors::Dtype::F32, shape, bytemuck::cast_slice(&values))?),
        ("sample", view(safetensors::Dtype::U64, vec![kept.len()], bytemuck::cast_slice(&samples))?),
    ];
    let bytes = safetensors::serialize(tensors, None).map_err(|e| Error::Failed(e.to_string()))?;
    write_whole(&folder.join(format!("{id}.safetensors")), &bytes)
}
