//! How far a sweep is: a bar on a terminal, plain lines elsewhere, JSON lines if asked for.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::telling::tell;

/// Seconds between plain lines.
const EVERY: Duration = Duration::from_secs(10);

/// A sweep's progress, in work done (steps of all lanes) and cells.
#[derive(Debug)]
pub struct Progress {
    mode: Mode,
    began: Instant,
    last: Instant,
    cells: u64,
    all_cells: u64,
    work: u64,
    all_work: u64,
}

#[derive(Debug)]
enum Mode {
    Quiet,
    Bar(ProgressBar),
    Lines,
    Json,
}

impl Progress {
    /// Progress towards `all_cells` cells that are `all_work` of work.
    pub fn new(all_cells: u64, all_work: u64, quiet: bool, json: bool) -> Self {
        let mode = if quiet {
            Mode::Quiet
        } else if json {
            Mode::Json
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(all_cells);
            let style = ProgressStyle::with_template("{bar:40} {pos}/{len} cells  {elapsed}  {msg}");
            if let Ok(style) = style {
                bar.set_style(style);
            }
            Mode::Bar(bar)
        } else {
            Mode::Lines
        };
        let now = Instant::now();
        Self { mode, began: now, last: now, cells: 0, all_cells, work: 0, all_work }
    }

    /// One more cell, worth `work`.
    pub fn cell(&mut self, work: u64) {
        self.cells += 1;
        self.work += work;
        let left = self.left();
        match &self.mode {
            Mode::Quiet => {}
            Mode::Bar(bar) => {
                bar.set_message(format!("about {} left", duration(left)));
                bar.inc(1);
            }
            Mode::Lines if self.last.elapsed() >= EVERY => {
                tell(&format!("{}/{} cells, about {} left", self.cells, self.all_cells, duration(left)));
                self.last = Instant::now();
            }
            Mode::Lines => {}
            Mode::Json => tell(
                &serde_json::json!({ "cells": self.cells, "of": self.all_cells, "seconds_left": left.as_secs_f64() })
                    .to_string(),
            ),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Mode::Bar(bar) = &self.mode {
            bar.finish_and_clear();
        }
    }

    fn left(&self) -> Duration {
        let share = self.work as f64 / self.all_work.max(1) as f64;
        let passed = self.began.elapsed().as_secs_f64();
        Duration::from_secs_f64((passed * (1.0 - share) / share.max(1e-9)).min(1e9))
    }
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5999 => format!("{} min", seconds / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}
