//! What the threats that train models ask for: cells, models, what training them costs.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use serde_json::json;

use super::Loading;
use crate::Result;
use crate::sweep::engine::Engine;
use crate::sweep::leaks::Shared;
use crate::sweep::prepare::learnable;
use crate::sweep::study::Study;
use crate::sweep::trained::{Audit, Models, School, Tally, Task, TrainedCell, models, multiply};
use crate::training::ensemble::{StepCost, step_cost};
use crate::training::{Course, Workshop};

/// Cells and models of the threats that train models.
#[derive(Clone, Debug)]
pub struct Training {
    /// What became of each table.
    pub tables: Vec<Tally>,
    /// Cells altogether.
    pub cells: u64,
    /// Models to train, each once.
    pub models: Models,
    /// Floating-point operations of training them, DP-SGD left out; 0 where nothing was measured.
    pub flops: f64,
    /// Seconds of training them on the measured device, DP-SGD left out; 0 where nothing was measured.
    pub seconds: f64,
    all: Vec<TrainedCell>,
    tasks: BTreeMap<Task, u64>,
}

impl Training {
    /// What a study asks for; `None` if it trains nothing.
    ///
    /// # Errors
    /// Too many cells; a table of which nothing is left.
    pub(super) fn of(study: &Study) -> Result<Option<Self>> {
        if study.threats.is_empty() {
            return Ok(None);
        }
        let (all, tables) = multiply(study)?;
        let (models, tasks) = models(study, &all);
        Ok(Some(Self { tables, cells: all.len() as u64, models, flops: 0.0, seconds: 0.0, all, tasks }))
    }

    /// Adds what training costs, as a step of every recipe is timed, and to `loading` which recipes load.
    pub(super) fn measure(
        &mut self,
        study: &Study,
        data_dir: Option<&Path>,
        engine: &Engine,
        loading: &mut Loading,
    ) {
        let mut schools = Vec::new();
        for (recipe, entry) in study.recipes.iter().enumerate() {
            match School::open(study, recipe, &engine.device, data_dir) {
                Ok(school) => {
                    loading.any = true;
                    let (test, train) = (&school.test, &school.prepared.splits.train);
                    let leak = Shared::of(test, train).warning(test, train);
                    loading.warnings.extend(leak.map(|remark| format!("recipe {}: {remark}", entry.id)));
                    schools.push(school);
                }
                Err(error) => loading.failed(&format!("recipe {}", entry.id), error),
            }
        }
        if schools.len() == study.recipes.len() {
            match Audit::all(study, &self.all, &schools, data_dir) {
                Ok(audits) => {
                    loading.any |= !audits.is_empty();
                    loading.warnings.extend(audits.iter().filter_map(|audit| audit.warning(study)));
                    loading.holds(learnable(study, &schools, &audits, &self.all));
                }
                Err(error) => loading.failed("a target of [[membership]]", error),
            }
        }
        for school in &schools {
            let own = |(task, _): &(&Task, &u64)| {
                task.recipe == school.recipe && study.defenses[task.defense].privacy.is_none()
            };
            let tasks: Vec<(&Task, &u64)> = self.tasks.iter().filter(own).collect();
            if tasks.is_empty() {
                continue;
            }
            match cost(school, engine) {
                Ok(cost) => {
                    for (task, count) in tasks {
                        // Knowledge that the recipe does not allow was refused above.
                        let Ok(each) = steps(school, task) else { continue };
                        let steps = (count * each) as f64;
                        self.flops += steps * cost.flops as f64;
                        self.seconds += steps * cost.seconds;
                    }
                }
                Err(error) => {
                    let id = &study.recipes[school.recipe].id;
                    loading.warnings.push(format!("recipe {id} could not be timed: {error}"));
                }
            }
        }
    }

    /// Sums as one JSON object.
    pub(super) fn json(&self) -> serde_json::Value {
        let models = self.models;
        json!({
            "cells": self.cells,
            "twins": models.twins,
            "members": models.members,
            "shadows": models.shadows,
            "targets": models.targets,
            "models": models.all(),
            "models_unshared": models.unshared,
            "models_private": models.private,
            "flops": self.flops,
            "seconds": self.seconds,
            "tables": self.tables.iter().map(|table| json!({
                "table": table.table,
                "line": table.line,
                "product": table.product,
                "left_out": table.left_out,
                "repeated": table.repeated,
                "cells": table.cells,
                "notes": table.notes,
            })).collect::<Vec<_>>(),
        })
    }
}

fn cost(school: &School, engine: &Engine) -> Result<StepCost> {
    let (prepared, stop) = (&school.prepared, AtomicBool::new(false));
    let course = Course {
        config: &prepared.config,
        recipe: &prepared.recipe,
        base: &prepared.splits.train,
        validation: None,
        own_values: 0,
    };
    let workshop = Workshop { device: &engine.device, threads: engine.workers(), lanes: None, stop: &stop };
    step_cost(&course, &workshop)
}

/// Steps of one model of a task.
fn steps(school: &School, task: &Task) -> Result<u64> {
    let (recipe, n) = (&school.prepared.recipe, school.prepared.splits.train.len());
    let samples = match task.knowledge {
        None => n,
        Some(knowledge) => {
            let pools = knowledge.pools(school)?;
            if task.shadow { pools.shadows.len() / 2 } else { pools.target.len() / 2 }
        }
    };
    Ok((recipe.epochs * (samples / recipe.batch.min(n))) as u64)
}
