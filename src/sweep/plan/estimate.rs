//! The plan's sums: lanes, gradients, operations, rows; and budgets in the model's units.

use percuss_kernels::Precision;
use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::{Plan, StepCost, Subject};
use crate::Result;
use crate::attacks::evasion::loss::Loss;
use crate::attacks::evasion::{EvasionProgram, Settings};
use crate::attacks::{Norm, REGISTRY};
use crate::data::Dataset;
use crate::graph::{Compiled, Uploads};
use crate::models::{InputKind, Model};
use crate::sweep::engine::Engine;
use crate::sweep::grid::{Cell, Grid};
use crate::sweep::moving;
use crate::sweep::sharing::{path, runs};
use crate::sweep::study::{Amount, AttackTable, Save, Study};

/// Sums over all cells whose data could be loaded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Cells.
    pub cells: u64,
    /// Cells of which nothing more is known: their data or model could not be loaded.
    pub cells_unknown: u64,
    /// Rows of the samples table: one a cell and sample.
    pub sample_rows: u64,
    /// Lanes: a sample that the aim concerns, at a restart. Samples that the model gets wrong when clean start none, so this is at most.
    pub lanes: u64,
    /// Gradients, if no lane ends early.
    pub gradient_calls: u64,
    /// Gradients after sharing, if no lane ends early: cells that differ in steps alone are one run, budgets of a single step one gradient,
    /// and a bisected ladder a few of its budgets.
    pub gradients_shared: u64,
    /// Floating-point operations of the gradients after sharing.
    pub flops: f64,
    /// Seconds on the measured device, if no lane ends early; 0 where nothing was measured.
    pub seconds: f64,
    /// Bytes of memory of the most demanding model there; 0 where nothing was measured.
    pub memory_bytes: u64,
    /// Bytes of the tables before compression.
    pub table_bytes: u64,
    /// Bytes of stored inputs before compression, at most.
    pub input_bytes: u64,
}

/// One budget ladder of one norm, in both units.
#[derive(Clone, Debug, PartialEq)]
pub struct UnitLine {
    /// The model's id.
    pub model: String,
    /// The data set's id.
    pub data: String,
    /// The norm.
    pub norm: Norm,
    /// Budgets in the data's unit, ascending.
    pub eps: Vec<f64>,
    /// The data's unit.
    pub unit: String,
    /// Factor to the model's input, smallest and largest over the features.
    pub factor: [f64; 2],
    /// What budgets that the study writes as fractions are in the data's unit.
    pub fractions: Vec<(Amount, f64)>,
}

/// Bytes of a samples row without its scores: ten numbers of eight bytes, three of four, two flags (the id is stored once a cell).
const SAMPLE_ROW: u64 = 10 * 8 + 3 * 4 + 2;
/// Bytes of a cells row: about sixty columns of eight bytes and a kilobyte of text.
const CELL_ROW: u64 = 60 * 8 + 1024;

pub(super) fn totals(grid: &Grid, subjects: &[Subject]) -> Totals {
    let mut totals = Totals::default();
    let mut longest: HashMap<String, u64> = HashMap::new();
    for cell in &grid.cells {
        totals.cells += 1;
        totals.table_bytes += CELL_ROW;
        let subject = subjects.iter().find(|s| s.model == cell.model && s.data == cell.data);
        let known =
            subject.and_then(|subject| Some((subject.samples.as_ref()?, subject.outputs.as_ref()?, subject)));
        let Some((samples, outputs, subject)) = known else {
            totals.cells_unknown += 1;
            continue;
        };
        let n = samples.n as u64;
        let lanes = concerned(cell, &samples.class_counts).saturating_mul(cell.restarts());
        let gradients = lanes.saturating_mul(cell.steps());
        totals.sample_rows += n;
        totals.lanes = totals.lanes.saturating_add(lanes);
        totals.gradient_calls = totals.gradient_calls.saturating_add(gradients);
        // What this cell adds to the longest of the runs that serve it so far.
        let shared = longest.entry(path(cell)).or_default();
        let added = gradients.saturating_mul(runs(cell)).saturating_sub(*shared);
        *shared += added;
        totals.gradients_shared = totals.gradients_shared.saturating_add(added);
        totals.flops += added as f64 * subject.gradient_flops.unwrap_or(0) as f64;
        if let Some(step) = subject.step {
            // A stored input is judged once: a forward pass, about a third of a gradient.
            totals.seconds += (added as f64 + lanes as f64 / 3.0) * step.seconds;
            totals.memory_bytes = totals.memory_bytes.max(step.bytes);
        }
        totals.table_bytes += n * (SAMPLE_ROW + 2 * 4 * outputs.count as u64);
        if cell.save != Save::None {
            totals.input_bytes += n * 4 * samples.sample_len as u64;
        }
    }
    totals
}

/// Samples that the cell's aim concerns.
fn concerned(cell: &Cell, class_counts: &[Vec<u64>]) -> u64 {
    let counts = class_counts.get(cell.finding.unwrap_or(0)).map_or(&[][..], Vec::as_slice);
    (0u32..).zip(counts).filter(|(label, _)| cell.concerns(*label)).map(|(_, count)| count).sum()
}

/// The step that stands for all attacks' steps.
fn typical(model: &Model, precision: Precision) -> EvasionProgram {
    let settings = Settings {
        attack: REGISTRY[0],
        norm: Norm::Linf,
        input: None,
        beside: [].into(),
        loss: Loss::CrossEntropy,
        targeted: false,
        exact: true,
        choices: Vec::new(),
        scale: [1.0].into(),
        one_hot: [].into(),
        precision,
    };
    EvasionProgram::new(model, &settings)
}

/// Floating-point operations of one attack step on one sample.
pub(super) fn gradient_flops(model: &Model) -> Result<u64> {
    let program = typical(model, Precision::F32);
    // Two lanes: a single row may be computed in another way.
    let compiled = Compiled::sketch(&program.graph, &program.phases, 2);
    Ok(compiled.flops(0) / 2)
}

/// Time and memory of one attack step on the engine's device.
pub(super) fn step_cost(model: &Model, precision: Precision, engine: &Engine) -> Result<StepCost> {
    const MEASURED: Duration = Duration::from_millis(100);
    let program = typical(model, precision);
    let phases = &program.phases;
    let lanes = engine.lanes_for(&program.graph, phases, usize::MAX);
    let mut uploads = Uploads::default();
    let compiled = Compiled::on(&engine.device, &mut uploads, &program.graph, phases, lanes)?;
    let mut executable = compiled.instantiate(&engine.device, &mut uploads, 1)?;
    // The first run compiles and warms; a read waits for the device.
    executable.run(0, 1)?;
    executable.read(program.slots.done)?;
    let (began, mut runs) = (Instant::now(), 0);
    while runs == 0 || began.elapsed() < MEASURED {
        executable.run(0, 1)?;
        executable.read(program.slots.done)?;
        runs += 1;
    }
    let workers = engine.workers();
    let gradients = (runs * lanes * workers) as f64;
    let weights = model.parameters();
    // Weights as they are, packed for the forward pass, and packed for the gradient.
    let bytes = compiled.bytes() * workers as u64 + 3 * 4 * weights as u64;
    Ok(StepCost { seconds: began.elapsed().as_secs_f64() / gradients, bytes })
}

/// What a budget of 1 is at the model's input: the feature's scale over the scaling's standard deviation.
pub(super) fn to_model_units(model: &Model, data: &Dataset) -> [f64; 2] {
    let channels = data.shape.last().copied().unwrap_or(1).max(1);
    let ones = vec![1.0];
    let std = model.config.input_scaling.as_ref().map_or(&ones, |scaling| &scaling.std);
    let (mut least, mut most) = (f64::INFINITY, 0.0f64);
    let inputs = model.config.inputs();
    let numbers = inputs.iter().filter(|input| input.kind == InputKind::Numbers);
    for i in numbers.flat_map(|input| input.range.clone()) {
        let scale = &data.domain.scale;
        let scale = f64::from(if scale.len() == 1 { scale[0] } else { scale[i] });
        let stds = match std.len() {
            len if len == data.sample_len() => &std[i..=i],
            len if len == channels => &std[i % channels..=i % channels],
            // One for all, or a grey sample that becomes every channel.
            _ => &std[..],
        };
        for &std in stds {
            let factor = scale / f64::from(std);
            (least, most) = (least.min(factor), most.max(factor));
        }
    }
    [least, most]
}

pub(super) fn units(study: &Study, grid: &Grid, subjects: &[Subject]) -> Vec<UnitLine> {
    let mut lines = Vec::new();
    for subject in subjects {
        let (Some(factor), Some(samples)) = (subject.to_model_units, &subject.samples) else { continue };
        for norm in [Norm::Linf, Norm::L2, Norm::L1] {
            let here =
                |cell: &&Cell| cell.model == subject.model && cell.data == subject.data && cell.norm == norm;
            let mut eps: Vec<f64> = grid.cells.iter().filter(here).map(|cell| cell.eps).collect();
            eps.sort_by(f64::total_cmp);
            eps.dedup();
            if !eps.is_empty() {
                let (model, data) =
                    (study.models[subject.model].id.clone(), study.data[subject.data].id.clone());
                let fractions = fractions(study, subject, norm);
                lines.push(UnitLine {
                    model,
                    data,
                    norm,
                    eps,
                    unit: samples.unit.clone(),
                    factor,
                    fractions,
                });
            }
        }
    }
    lines
}

/// The fractions among the budgets of a norm, each once, with what they are in the data's unit.
fn fractions(study: &Study, subject: &Subject, norm: Norm) -> Vec<(Amount, f64)> {
    let Some(outputs) = &subject.outputs else { return Vec::new() };
    let mut fractions = Vec::new();
    let own =
        |table: &&AttackTable| table.models.contains(&subject.model) && table.data.contains(&subject.data);
    for table in study.attacks.iter().filter(own) {
        for &amount in
            table.budgets.iter().filter(|budget| budget.norm == norm).flat_map(|budget| &budget.eps)
        {
            let units = outputs.units(moving::asked(table, &outputs.inputs).as_deref(), norm, amount);
            if let (Amount::Fraction { .. }, Ok(units)) = (amount, units)
                && !fractions.contains(&(amount, units))
            {
                fractions.push((amount, units));
            }
        }
    }
    fractions
}

impl Plan {
    /// Sums as one JSON object.
    pub fn json(&self) -> serde_json::Value {
        let totals = &self.totals;
        serde_json::json!({
            "study": self.study,
            "cells": totals.cells,
            "cells_unknown": totals.cells_unknown,
            "sample_rows": totals.sample_rows,
            "lanes": totals.lanes,
            "gradient_calls": totals.gradient_calls,
            "gradients_shared": totals.gradients_shared,
            "flops": totals.flops,
            "seconds": totals.seconds,
            "memory_bytes": totals.memory_bytes,
            "table_bytes": totals.table_bytes,
            "input_bytes": totals.input_bytes,
            "tables": self.grid.tables.iter().map(|table| serde_json::json!({
                "line": table.line,
                "product": table.product,
                "norm_lacking": table.norm_lacking,
                "keys_lacking": table.keys_lacking,
                "seeds_alike": table.seeds_alike,
                "repeated": table.repeated,
                "cells": table.cells,
                "notes": table.notes,
            })).collect::<Vec<_>>(),
            "training": self.training.as_ref().map(super::Training::json),
            "warnings": self.warnings,
        })
    }
}
