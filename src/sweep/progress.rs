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
                bar.set_message(left.map_or(String::new(), |left| format!("about {} left", duration(left))));
                bar.inc(1);
            }
            Mode::Lines if self.last.elapsed() >= EVERY => {
                let left = left.map_or(String::new(), |left| format!(", about {} left", duration(left)));
                tell(&format!("{}/{} cells{left}", self.cells, self.all_cells));
                self.last = Instant::now();
            }
            Mode::Lines => {}
            Mode::Json => tell(
                &serde_json::json!({ "cells": self.cells, "of": self.all_cells, "seconds_left": left.map(|left| left.as_secs_f64()) })
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

    /// By the work that is done; by cells where none of them trains anything. `None` before there is any.
    fn left(&self) -> Option<Duration> {
        let (done, all) =
            if self.all_work > 0 { (self.work, self.all_work) } else { (self.cells, self.all_cells) };
        let passed = self.began.elapsed().as_secs_f64();
        let left = passed * all.saturating_sub(done) as f64 / done as f64;
        (done > 0).then(|| Duration::from_secs_f64(left.min(1e9)))
    }
}

fn duration(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..=99 => format!("{seconds} s"),
        seconds @ 100..=5999 => format!("{} min", seconds / 60),
        seconds => format!("{:.1} h", seconds as f64 / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_without_work_are_counted_and_nothing_is_foretold_of_nothing() {
        let mut progress = Progress::new(4, 0, true, false);
        assert_eq!(progress.left(), None);
        progress.cell(0);
        assert!(progress.left().is_some_and(|left| left < EVERY));
        let mut progress = Progress::new(4, 9, true, false);
        progress.cell(0);
        assert_eq!(progress.left(), None);
    }
}
