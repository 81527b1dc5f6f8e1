//! `percuss sweep`: plan, run, record; resumable at any moment.

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use percuss_kernels::DeviceKind;

use super::engine::{Engine, Event};
use super::evade::Evasion;
use super::interrupt;
use super::options::SweepOptions;
use super::prepare::Prepared;
use super::progress::Progress;
use super::rows::{Provenance, Rows};
use super::study::Study;
use super::trained::Trained;
use crate::results::curves::write_curves;
use crate::results::passing_on;
use crate::results::plot::write_robustness_svg;
use crate::results::seeds::write_seeds;
use crate::results::table::shown_cells;
use crate::results::{Overview, Results, RunRow, Shard, Store, StudyText, Text, others_told};
use crate::telling::tell;
use crate::training::Workshop;
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
    pub ids: Vec<Text>,
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
    let prepared = Prepared::open(study, &device, options.data_dir.as_deref())?;
    let loading_seconds = began.elapsed().as_secs_f64();
    let shard = Shard::new(options.shard.0 as u32, options.shard.1 as u32)?;
    let out = options.out_or(&study.folder());
    let text = StudyText::to_pass_on(&study.name, &study.text);
    let mut store = Store::open(&out, &text, shard)?;
    let homes = prepared.homes();
    let mine: Vec<usize> = (0..prepared.ids.len()).filter(|&i| shard.owns(homes[i])).collect();
    let mut pending: Vec<usize> =
        mine.iter().copied().filter(|&i| !store.finished().contains(&prepared.ids[i])).collect();
    let found = mine.len() - pending.len();
    let complete = options.limit_cells.is_none_or(|limit| pending.len() <= limit);
    pending.truncate(options.limit_cells.unwrap_or(usize::MAX));
    let info = device.info();
    let provenance = Provenance {
        study: study.name.as_str().into(),
        device: info.name.as_str().into(),
        precision: study.precision.name().into(),
    };
    let engine = Engine {
        sharing: options.sharing,
        lanes: options.lanes,
        ..Engine::new(device.clone(), options.threads())
    };
    let evading = prepared.cells.len();
    let (evasion_ids, trained_ids) = prepared.ids.split_at(evading);
    let evasion = Evasion { study, subjects: &prepared.subjects, cells: &prepared.cells, ids: evasion_ids };
    let trained = Trained {
        study,
        schools: &prepared.schools,
        audits: &prepared.audits,
        cells: &prepared.trained,
        ids: trained_ids,
        out: &out,
    };
    let work = |i: usize| if i < evading { evasion.work(i) } else { trained.work(i - evading) };
    let total = pending.iter().map(|&i| work(i)).sum();
    let mut progress = Progress::new(pending.len() as u64, total, options.quiet, options.json);
    let mut done = 0;
    let mut put = |store: &mut Store, cell: usize, rows: Rows| {
        store.push(rows.cell, rows.metrics, rows.samples)?;
        done += 1;
        progress.cell(work(cell));
        Ok(())
    };
    let split = pending.partition_point(|&i| i < evading);
    let mut outcome = evasion.run(&engine, &pending[..split], &out, &provenance, stop, |event| match event {
        Event::Finished { made: (cell, rows), .. } => put(&mut store, cell, rows),
        Event::Waiting => store.flush(),
    });
    if outcome.is_ok() {
        let training: Vec<usize> = pending[split..].iter().map(|&i| i - evading).collect();
        let workshop = Workshop { device: &device, threads: options.threads(), lanes: options.lanes, stop };
        outcome = trained
            .run(&training, &workshop, &provenance, &mut |cell, rows| put(&mut store, evading + cell, rows));
    }
    progress.finish();
    let flushed = store.flush();
    // The ids of all shards: what another shard did is no less of this study.
    let ids = prepared.into_ids();
    let outcome = outcome.and(flushed).and_then(|()| {
        let retired = if complete { store.finish(&laid_out(&ids, &homes))? } else { 0 };
        look(&store, &ids, &mine)?;
        Ok(retired)
    });
    let outcome = outcome.map_err(|error| went(error, &out));
    let ended = match &outcome {
        Ok(_) => "done",
        Err(Error::Interrupted) => "interrupted",
        Err(_) => "failed",
    };
    let run = RunRow {
        study: study.name.as_str().into(),
        study_sha256: text.sha256().into(),
        command: passing_on::command(std::env::args_os()).into(),
        started: humantime::format_rfc3339_seconds(started).to_string().into(),
        wall_seconds: began.elapsed().as_secs_f64(),
        outcome: ended.into(),
        shard: shard.index(),
        shards: shard.count(),
        cells_done: done as u64,
        cells_found: found as u64,
        device: provenance.device.clone(),
        driver: (info.kind != DeviceKind::Cpu).then(|| info.driver.as_str().into()),
        version: env!("CARGO_PKG_VERSION").into(),
        versions: serde_json::json!({ "percuss": env!("CARGO_PKG_VERSION") }).to_string().into(),
        tuning: device.tuned().map(Text::from),
        platform: Some(format!("{} {}", std::env::consts::OS, std::env::consts::ARCH).into()),
        threads: options.threads() as u64,
    };
    // The run's own row must not hide why the run ended.
    let recorded = store.record_run(&run);
    let retired = outcome?;
    recorded?;
    draw(&out, &study.name, &ids).map_err(|error| went(error, &out))?;
    others_told(&out)?.iter().for_each(|line| tell(line));
    let (cells, seconds) = (mine.len(), began.elapsed().as_secs_f64());
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

/// Checks that what was found and what this run did lies in the folder: somebody may have removed it meanwhile.
fn look(store: &Store, ids: &[Text], mine: &[usize]) -> Result<()> {
    let finished = mine.iter().map(|&i| &ids[i]).filter(|id| store.finished().contains(*id));
    let finished: Vec<Text> = finished.cloned().collect();
    match store.missing(&finished)?.len() {
        0 => Ok(()),
        missing => Err(Error::Failed(format!(
            "{}: {missing} of {} finished cells are not there any more: files were removed while the sweep ran; the same command \
             runs these cells again",
            store.dir().display(),
            finished.len()
        ))),
    }
}

/// What it means that a file of the results folder is not there, though this run wrote it.
fn went(error: Error, out: &Path) -> Error {
    match error {
        Error::Io { path, source }
            if source.kind() == std::io::ErrorKind::NotFound && path.starts_with(out) =>
        {
            Error::Failed(format!(
                "{}: removed while the sweep ran; the same command runs again what is missing",
                path.display()
            ))
        }
        other => other,
    }
}

/// The cells in the order of their rows: those of a bundle together, as they are finished. So putting rows in order takes little memory
/// and time, and the order depends on nothing but the study.
fn laid_out(ids: &[Text], homes: &[usize]) -> Vec<Text> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&i| homes[i]);
    order.into_iter().map(|i| ids[i].clone()).collect()
}

/// Worst-case curves and the picture, from all of the study's cells that are in the folder; shards that run at once
/// draw one after the other. Where there are none yet, nothing is drawn.
fn draw(out: &Path, study: &str, ids: &[Text]) -> Result<()> {
    Results::read_undisturbed(out, ids, |results| {
        write_seeds(results)?;
        let curves = write_curves(results)?;
        let (title, overview) = (format!("{study}: robustness over attack budget"), Overview::of(results)?);
        let metrics = results.metrics_of(shown_cells(&overview).iter().map(Text::as_str))?;
        write_robustness_svg(&out.join("robustness.svg"), &title, &overview, &curves, &metrics)?;
        Ok(())
    })?;
    Ok(())
}
