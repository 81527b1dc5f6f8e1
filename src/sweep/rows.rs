//! From a cell's outcomes to its rows.

use std::path::Path;

use safetensors::tensor::TensorView;
use sha2::{Digest, Sha256};

use super::engine::Outcome;
use super::grid::Cell;
use super::resolve::ResolvedSubject;
use super::study::{Save, Study};
use super::subject::{Subject, margin, prediction};
use crate::attacks::evasion::loss::Loss;
use crate::attacks::{Knowledge, Norm};
use crate::data::Dataset;
use crate::models::{hex, write_whole};
use crate::results::flags::check_alone;
use crate::results::summary::{Context, Head, summarise};
use crate::results::{CellRow, MetricRow, SampleRow};
use crate::{Error, Result};

/// What a row says of where and with what it was computed.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The device's name.
    pub device: String,
    /// Arithmetic of the search.
    pub precision: String,
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

/// The rows of `cell`, whose samples came out as `outcomes` (in the data's order).
pub fn rows(
    study: &Study,
    resolved: &ResolvedSubject,
    cell: &Cell,
    id: &str,
    outcomes: &[Outcome],
    provenance: &Provenance,
) -> Rows {
    let subject = &resolved.subject;
    let finding = cell.finding.unwrap_or(0);
    let samples: Vec<SampleRow> = outcomes
        .iter()
        .enumerate()
        .map(|(i, outcome)| sample_row(resolved, finding, id, i, outcome))
        .collect();
    let mut row = cell_row(study, resolved, cell, id, provenance);
    let gradients: u64 = outcomes.iter().map(|o| o.gradient_calls).sum();
    row.gradient_calls = Some(gradients as f64 / outcomes.len().max(1) as f64);
    let zeros: f64 = outcomes.iter().map(|o| o.zero_gradients).sum();
    row.zero_gradient_share = (gradients > 0).then(|| zeros / gradients as f64);
    row.n_inferred = outcomes.iter().filter(|outcome| outcome.inferred).count() as u64;
    row.device_seconds_attributed = outcomes.iter().map(|o| o.seconds).sum();
    let subgroups: Vec<(String, Vec<String>)> =
        subject.data.subgroups.iter().map(|(name, values)| (name.clone(), values.clone())).collect();
    let findings = match &subject.data.labels {
        crate::data::Labels::Findings(findings) => findings.clone(),
        crate::data::Labels::Class(_) => Vec::new(),
    };
    let (said_clean, said_adv): (Vec<u32>, Vec<u32>) = if cell.finding.is_some() {
        let adversarial = outcomes.iter().map(|outcome| outcome.logits.as_slice());
        (said(subject, subject.clean.chunks(subject.outputs())), said(subject, adversarial))
    } else {
        (Vec::new(), Vec::new())
    };
    let head = if cell.finding.is_some() {
        Head::Findings { index: finding, said_clean: &said_clean, said_adv: &said_adv, labels: &findings }
    } else if subject.classes() == 2 {
        Head::Binary
    } else {
        Head::Classes(subject.classes())
    };
    let metrics = summarise(&mut row, &samples, &Context { head, subgroups: &subgroups });
    let alone = check_alone(&row, covers_range(subject, cell), false);
    row.flags.extend(alone);
    Rows { cell: row, metrics, samples }
}

/// What the model says of every finding of every sample.
fn said<'a>(subject: &Subject, logits: impl Iterator<Item = &'a [f32]>) -> Vec<u32> {
    logits
        .flat_map(|logits| {
            (0..subject.outputs()).map(move |finding| prediction(&subject.deciding(logits, finding)))
        })
        .collect()
}

fn sample_row(
    resolved: &ResolvedSubject,
    finding: usize,
    id: &str,
    i: usize,
    outcome: &Outcome,
) -> SampleRow {
    let subject = &resolved.subject;
    let label = subject.label(i, finding);
    let clean = subject.deciding(subject.clean_logits(i), finding);
    let adversarial = subject.deciding(&outcome.logits, finding);
    let (clean_pred, adv_pred) = (prediction(&clean), prediction(&adversarial));
    let [l1, l2, linf] = outcome.norms;
    SampleRow {
        cell_id: id.to_string(),
        sample: subject.data.index[i],
        group: resolved.groups.as_ref().map(|groups| groups[i].clone()),
        label,
        clean_pred,
        adv_pred,
        scores_clean: subject.scores(subject.clean_logits(i)),
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

/// Patients are named by a hash that only holders of the data can undo.
pub(super) fn salted_groups(data: &Dataset) -> Option<Vec<String>> {
    let salted = |group: &String| {
        hex(&Sha256::digest(format!("percuss group\n{}\n{group}", data.sha256).as_bytes()))[..16].to_string()
    };
    data.group.as_ref().map(|groups| groups.iter().map(salted).collect())
}

fn cell_row(
    study: &Study,
    resolved: &ResolvedSubject,
    cell: &Cell,
    id: &str,
    provenance: &Provenance,
) -> CellRow {
    let subject = &resolved.subject;
    let data = &subject.data;
    let knowledge = match cell.attack.knowledge {
        Knowledge::WhiteBox => "white",
        Knowledge::GreyBox => "grey",
        Knowledge::BlackBox => "black",
    };
    let loss = Loss::column(cell.loss(), subject.classes(), cell.wanted().is_some());
    CellRow {
        cell_id: id.to_string(),
        study: study.name.clone(),
        model: study.models[cell.model].id.clone(),
        model_sha256: subject.model.sha256.clone(),
        data: study.data[cell.data].id.clone(),
        data_sha256: data.sha256.clone(),
        split: data.split.clone(),
        sample_set_sha256: data.sample_set_sha256(),
        synthetic: data.synthetic,
        defense: study.defenses[cell.defense].id.clone(),
        threat: "evasion".into(),
        attack: cell.attack.name.into(),
        attack_revision: cell.attack.revision,
        knowledge: knowledge.into(),
        aim: Some(cell.aim.name().into()),
        target: cell.target,
        finding: cell.finding.map(|f| data.classes.get(f).cloned().unwrap_or_else(|| f.to_string())),
        norm: Some(cell.norm.name().into()),
        eps: Some(cell.eps),
        eps_unit: Some(data.unit.clone()),
        steps: Some(cell.steps()),
        step_size: Some(cell.step_size()),
        restarts: Some(cell.restarts()),
        random_start: Some(cell.random_start()),
        loss: Some(loss),
        stop: Some(cell.stop.name().into()),
        curve: Some(cell.curve().name().into()),
        seed: (!cell.deterministic()).then_some(cell.seed),
        params: cell.params_json(),
        threshold: subject.thresholds.get(cell.finding.unwrap_or(0)).copied(),
        precision: provenance.precision.clone(),
        device: provenance.device.clone(),
        version: env!("CARGO_PKG_VERSION").into(),
        ..CellRow::default()
    }
}

/// Whether the budget lets every value take any value in its range.
fn covers_range(subject: &Subject, cell: &Cell) -> bool {
    let domain = &subject.data.domain;
    let free = domain.immutable.iter().all(|fixed| !fixed);
    let spans = domain.low.iter().zip(&domain.high).enumerate().map(|(i, (low, high))| {
        let scale = if domain.scale.len() == 1 {
            domain.scale[0]
        } else {
            domain.scale[i.min(domain.scale.len() - 1)]
        };
        f64::from(high - low) / f64::from(scale)
    });
    free && cell.norm == Norm::Linf && spans.fold(0.0, f64::max) <= cell.eps
}

/// Stores the adversarials that a cell asks for: `x` `[kept, sample shape]` and `sample` `[kept]`, whole or not at all.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub fn save_inputs(dir: &Path, id: &str, cell: &Cell, subject: &Subject, outcomes: &[Outcome]) -> Result<()> {
    let kept: Vec<usize> = match cell.save {
        Save::None => return Ok(()),
        Save::All => (0..outcomes.len()).collect(),
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
