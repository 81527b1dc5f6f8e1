//! `percuss sweep`: plan, run, record; resumable at any moment.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use percuss_kernels::{Device, DeviceKind};

use super::engine::{Engine, Event, Goal, Job, Rung, Work};
use super::grid::{Cell, Grid, Outputs};
use super::identity::{Contents, cell_id, distinct, lane_stream};
use super::interrupt;
use super::options::SweepOptions;
use super::progress::Progress;
use super::resolve::{ResolvedSubject, check_expectations, resolve};
use super::rows::{Provenance, rows, save_inputs};
use super::sharing::bundles;
use super::study::{Aim, Stop, Study};
use crate::attacks::Value;
use crate::attacks::evasion::Settings;
use crate::attacks::evasion::loss::Loss;
use crate::results::curves::write_curves;
use crate::results::plot::write_robustness_svg;
use crate::results::{Results, RunRow, Shard, Store, StudyText};
use crate::{Error, Result};

/// What a sweep did.
#[derive(Clone, Debug)]
pub struct Report {
    /// The results folder.
    pub out: PathBuf,
    /// Cells in this shard's plan.
    pub cells: usize,
    /// Cells that were there before.
    pub found: usize,
    /// Cells that this run finished.
    pub done: usize,
    /// Wall time in seconds, loading included.
    pub seconds: f64,
    /// Of that until models and data were there, and their clean logits.
    pub loading_seconds: f64,
    /// The device.
    pub device: String,
    /// Whether nothing is left to do in this shard.
    pub complete: bool,
    /// Cells of an earlier model or data set that moved to `retired/`.
    pub retired: usize,
    /// Ids of the study's cells, of all shards, in the grid's order.
    pub ids: Vec<String>,
}

/// Everything a sweep needs before its first lane.
struct Prepared {
    subjects: Vec<ResolvedSubject>,
    cells: Vec<Cell>,
    ids: Vec<String>,
}

/// Runs a study, or what is left of it.
///
/// # Errors
/// Bad input before anything is written; [`Error::Interrupted`] after Ctrl-C, with all finished cells kept.
pub fn sweep(study: &Study, options: &SweepOptions) -> Result<Report> {
    let began = Instant::now();
    let started = SystemTime::now();
    let stop = interrupt::install()?;
    let device = crate::device::open(&options.device, options.threads(), options.tune)?;
    device.check_precision(study.precision)?;
    let prepared = prepare(study, &device, options)?;
    let loading_seconds = began.elapsed().as_secs_f64();
    let shard = Shard::new(options.shard.0 as u32, options.shard.1 as u32)?;
    let out = options.out_or(&study.folder());
    let text = StudyText { name: study.name.clone(), text: study.text.clone() };
    let mut store = Store::open(&out, &text, shard)?;
    let homes = bundles(&prepared.cells);
    let mine: Vec<usize> = (0..prepared.cells.len()).filter(|&i| shard.owns(homes[i])).collect();
    let mut pending: Vec<usize> =
        mine.iter().copied().filter(|&i| !store.finished().contains(&prepared.ids[i])).collect();
    let found = mine.len() - pending.len();
    let complete = options.limit_cells.is_none_or(|limit| pending.len() <= limit);
    pending.truncate(options.limit_cells.unwrap_or(usize::MAX));
    let info = device.info();
    let provenance = Provenance { device: info.name.clone(), precision: study.precision.name().into() };
    let engine = Engine {
        sharing: options.sharing,
        lanes: options.lanes,
        ..Engine::new(device.clone(), options.threads())
    };
    let work = |i: usize| cell_work(&prepared, i);
    let mut progress = Progress::new(
        pending.len() as u64,
        pending.iter().map(|&i| work(i)).sum(),
        options.quiet,
        options.json,
    );
    let mut done = 0;
    let here = |resolved: &ResolvedSubject| {
        let subject = (resolved.model, resolved.data);
        let cells = pending.iter().copied();
        cells
            .filter(|&i| (prepared.cells[i].model, prepared.cells[i].data) == subject)
            .collect::<Vec<usize>>()
    };
    let asked: Vec<Vec<usize>> = prepared.subjects.iter().map(here).collect();
    let jobs: Vec<Vec<Job>> = prepared
        .subjects
        .iter()
        .zip(&asked)
        .map(|(resolved, cells)| cells.iter().map(|&i| job(resolved, &prepared.cells[i])).collect())
        .collect();
    let all: Vec<Work> = prepared
        .subjects
        .iter()
        .zip(&jobs)
        .map(|(resolved, jobs)| Work { subject: &resolved.subject, jobs })
        .collect();
    let outcome = engine.run(&all, stop, |event| {
        let Event::Finished { work: at, job, outcomes } = event else { return store.flush() };
        let (resolved, i) = (&prepared.subjects[at], asked[at][job]);
        let (cell, id) = (&prepared.cells[i], &prepared.ids[i]);
        save_inputs(&out, id, cell, &resolved.subject, &outcomes)?;
        let rows = rows(study, resolved, cell, id, &outcomes, &provenance);
        store.push(rows.cell, rows.metrics, rows.samples)?;
        done += 1;
        progress.cell(work(i));
        Ok(())
    });
    progress.finish();
    let flushed = store.flush();
    let outcome = outcome.and(flushed);
    let ended = match &outcome {
        Ok(()) => "done",
        Err(Error::Interrupted) => "interrupted",
        Err(_) => "failed",
    };
    let run = RunRow {
        study: study.name.clone(),
        study_sha256: text.sha256(),
        command: std::env::args().collect::<Vec<_>>().join(" "),
        started: humantime::format_rfc3339_seconds(started).to_string(),
        wall_seconds: began.elapsed().as_secs_f64(),
        outcome: ended.into(),
        shard: shard.index(),
        shards: shard.count(),
        cells_done: done as u64,
        cells_found: found as u64,
        device: info.name.clone(),
        driver: (info.kind != DeviceKind::Cpu).then(|| info.driver.clone()),
        version: env!("CARGO_PKG_VERSION").into(),
        versions: serde_json::json!({ "percuss": env!("CARGO_PKG_VERSION") }).to_string(),
        tuning: device.tuned(),
        platform: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        threads: options.threads() as u64,
    };
    // The run's own row must not hide why the run ended.
    let recorded = store.record_run(&run);
    outcome?;
    recorded?;
    // The ids of all shards: what another shard did is no less of this study.
    let retired = if complete { store.finish(&prepared.ids)? } else { 0 };
    draw(&out, &study.name, &prepared.ids)?;
    let (cells, ids, seconds) = (mine.len(), prepared.ids, began.elapsed().as_secs_f64());
    Ok(Report {
        out,
        cells,
        found,
        done,
        seconds,
        loading_seconds,
        device: info.name,
        complete,
        retired,
        ids,
    })
}

/// Worst-case curves and the picture, from all of the study's cells that are in the folder; shards that run at once
/// draw one after the other. Where there are none yet, nothing is drawn.
fn draw(out: &Path, study: &str, ids: &[String]) -> Result<()> {
    Results::read_undisturbed(out, ids, |results| {
        let curves = write_curves(results)?;
        let title = format!("{study}: robust accuracy over attack budget");
        write_robustness_svg(&out.join("robustness.svg"), &title, &results.cells()?, &curves)?;
        Ok(())
    })?;
    Ok(())
}

fn prepare(study: &Study, device: &Device, options: &SweepOptions) -> Result<Prepared> {
    let subjects = resolve(study, device, options.data_dir.as_deref())?;
    check_expectations(study, &subjects)?;
    let find = |model: usize, data: usize| subjects.iter().find(|s| (s.model, s.data) == (model, data));
    let outputs = |model, data| {
        find(model, data).map(|s| Outputs::of(&s.subject.model.config, &s.subject.data.classes))
    };
    let cells = Grid::new(study, outputs)?.cells;
    let sets: Vec<String> = subjects.iter().map(|s| s.subject.data.sample_set_sha256()).collect();
    let ids: Vec<String> = cells
        .iter()
        .map(|cell| {
            let at = subjects.iter().position(|s| (s.model, s.data) == (cell.model, cell.data));
            let Some(at) = at else { unreachable!("every cell's subject was resolved") };
            let subject = &subjects[at].subject;
            let contents = Contents {
                model_sha256: &subject.model.sha256,
                data_sha256: &subject.data.sha256,
                sample_set_sha256: &sets[at],
                threshold: subject.thresholds.get(cell.finding.unwrap_or(0)).copied(),
            };
            cell_id(study, cell, &contents)
        })
        .collect();
    distinct(study, &cells, &ids)?;
    Ok(Prepared { subjects, cells, ids })
}

/// Steps of all lanes of a cell: what its time is estimated by.
fn cell_work(prepared: &Prepared, i: usize) -> u64 {
    let cell = &prepared.cells[i];
    let subject = prepared.subjects.iter().find(|s| (s.model, s.data) == (cell.model, cell.data));
    let weight =
        subject.map_or(1, |s| s.subject.model.weights.tensors.values().map(|t| t.data.len() as u64).sum());
    let samples = subject.map_or(0, |s| s.subject.data.len() as u64);
    samples * cell.steps() * cell.restarts() * weight
}

/// A cell as the engine wants it.
fn job(resolved: &ResolvedSubject, cell: &Cell) -> Job {
    let subject = &resolved.subject;
    let targeted = cell.wanted().is_some();
    Job {
        settings: Settings {
            attack: cell.attack,
            norm: cell.norm,
            loss: Loss::resolve(cell.loss(), subject.classes(), targeted),
            targeted,
            exact: cell.parameter("projection") != Some(Value::Word("scale")),
            choices: choices(cell),
            scale: subject.data.domain.scale.clone(),
            one_hot: subject.data.domain.one_hot.clone(),
            precision: cell.precision,
        },
        eps: cell.eps,
        step_size: cell.step_size(),
        steps: cell.steps(),
        restarts: cell.restarts(),
        random_start: cell.random_start(),
        stop_on_success: cell.stop == Stop::Success,
        goal: match (cell.aim, cell.wanted()) {
            (_, Some(class)) => Goal::Target(class),
            (Aim::Raise, None) => Goal::AnyFrom(0),
            (_, None) => Goal::Any,
        },
        finding: cell.finding.unwrap_or(0),
        parameters: cell
            .parameters
            .iter()
            .filter_map(|(name, value)| match value {
                Value::Real(value) => Some((*name, *value as f32)),
                _ => None,
            })
            .collect(),
        stream: lane_stream(cell.attack.name, &subject.data.sha256),
        seed: cell.seed,
        bisected: cell.bisected.as_ref().map(|ladder| {
            ladder.iter().map(|&eps| Rung { eps, step_size: cell.step_size_at(eps) }).collect()
        }),
    }
}

/// The words of a cell's parameters that the program itself depends on, but for those that every attack has.
fn choices(cell: &Cell) -> Vec<(&'static str, &'static str)> {
    let words = cell.parameters.iter().filter_map(|(name, value)| match value {
        Value::Word(word) if !["loss", "projection"].contains(name) => Some((*name, *word)),
        _ => None,
    });
    words.collect()
}
