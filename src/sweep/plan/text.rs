//! The plan as a page of text.

use std::fmt;
use std::time::Duration;

use super::{Plan, Totals, Training, UnitLine};
use crate::sweep::grid::TableCount;
use crate::telling::noun;

/// Budgets shown of a ladder at most.
const SHOWN: usize = 6;

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        writeln!(f, "study {}", self.study)?;
        if !self.grid.tables.is_empty() || self.training.is_none() {
            writeln!(f, "\ncells")?;
            self.grid.tables.iter().try_for_each(|table| write_table(f, table))?;
            writeln!(f, "  {:>12} {} altogether", grouped(self.totals.cells), of(self.totals.cells, "cell"))?;
            write_totals(f, &self.totals)?;
        }
        if let Some(training) = &self.training {
            write_training(f, training)?;
        }
        if !self.data.is_empty() {
            writeln!(f, "\ndata")?;
            self.data.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        }
        if !self.units.is_empty() {
            writeln!(f, "\nbudgets")?;
            self.units.iter().try_for_each(|line| write_units(f, line))?;
        }
        if !self.warnings.is_empty() {
            writeln!(f, "\nwarnings")?;
            self.warnings.iter().try_for_each(|warning| writeln!(f, "  {warning}"))?;
        }
        Ok(())
    }
}

fn write_table(f: &mut fmt::Formatter, table: &TableCount) -> fmt::Result {
    writeln!(f, "  [[attack]] on line {}", table.line)?;
    writeln!(f, "  {:>12} {} multiplied out", grouped(table.product), of(table.product, "configuration"))?;
    for (count, why) in [
        (table.norm_lacking, "the attack lacks the norm"),
        (table.keys_lacking, "the attack lacks the key"),
        (table.seeds_alike, "a seed changes nothing"),
        (table.repeated, "the same configuration again"),
    ] {
        if count > 0 {
            writeln!(f, "  {:>12} {why}", format!("-{}", grouped(count)))?;
        }
    }
    writeln!(f, "  {:>12} {}", grouped(table.cells), of(table.cells, "cell"))?;
    table.notes.iter().try_for_each(|note| writeln!(f, "               ({note})"))
}

fn of(count: u64, one: &str) -> String {
    noun(count as usize, one)
}

fn write_totals(f: &mut fmt::Formatter, totals: &Totals) -> fmt::Result {
    writeln!(f, "\nwork")?;
    if totals.cells_unknown > 0 {
        writeln!(
            f,
            "  {:>12} {} not counted here: model or data do not load",
            grouped(totals.cells_unknown),
            of(totals.cells_unknown, "cell")
        )?;
    }
    writeln!(f, "  {:>12} {} evaluated", grouped(totals.sample_rows), of(totals.sample_rows, "sample"))?;
    writeln!(f, "  {:>12} {} at most", grouped(totals.lanes), of(totals.lanes, "lane"))?;
    writeln!(
        f,
        "  {:>12} {} asked for, if no lane ends early",
        grouped(totals.gradient_calls),
        of(totals.gradient_calls, "gradient")
    )?;
    if totals.gradients_shared < totals.gradient_calls {
        writeln!(f, "  {:>12} of them after sharing", grouped(totals.gradients_shared))?;
    }
    if totals.flops > 0.0 {
        writeln!(f, "  {:>12} floating-point operations for them", format!("{:.2e}", totals.flops))?;
    }
    if totals.seconds > 0.0 {
        let time = humantime::format_duration(Duration::from_secs(totals.seconds.ceil() as u64));
        writeln!(f, "  {:>12} at most, as a step was timed here", time.to_string())?;
        writeln!(f, "  {:>12} of memory for lanes and weights", bytes(totals.memory_bytes))?;
    }
    writeln!(f, "  {:>12} of tables before compression", bytes(totals.table_bytes))?;
    if totals.input_bytes > 0 {
        writeln!(f, "  {:>12} of stored inputs before compression, at most", bytes(totals.input_bytes))?;
    }
    Ok(())
}

fn write_training(f: &mut fmt::Formatter, training: &Training) -> fmt::Result {
    writeln!(f, "\ncells that train models")?;
    for table in &training.tables {
        writeln!(f, "  [[{}]] on line {}", table.table, table.line)?;
        writeln!(
            f,
            "  {:>12} {} multiplied out",
            grouped(table.product),
            of(table.product, "configuration")
        )?;
        for (why, count) in &table.left_out {
            writeln!(f, "  {:>12} {why}", format!("-{}", grouped(*count)))?;
        }
        if table.repeated > 0 {
            writeln!(f, "  {:>12} the same configuration again", format!("-{}", grouped(table.repeated)))?;
        }
        writeln!(f, "  {:>12} {}", grouped(table.cells), of(table.cells, "cell"))?;
        table.notes.iter().try_for_each(|note| writeln!(f, "               ({note})"))?;
    }
    let models = training.models;
    let train = if training.cells == 1 { "cell that trains" } else { "cells that train" };
    writeln!(f, "  {:>12} {train} models, altogether", grouped(training.cells))?;
    writeln!(f, "\nmodels")?;
    for (count, what) in [
        (models.twins, of(models.twins, "unpoisoned twin")),
        (models.members, format!("{} on poisoned sets", of(models.members, "model"))),
        (models.shadows, of(models.shadows, "shadow model")),
        (models.targets, format!("{} of membership inference", of(models.targets, "target"))),
    ] {
        if count > 0 {
            writeln!(f, "  {:>12} {what}", grouped(count))?;
        }
    }
    writeln!(f, "  {:>12} {} to train", grouped(models.all()), of(models.all(), "model"))?;
    writeln!(f, "  {:>12} if every cell trained its own", grouped(models.unshared))?;
    if models.private > 0 {
        writeln!(f, "  {:>12} of them by DP-SGD, which is not in the sums below", grouped(models.private))?;
    }
    if training.flops > 0.0 {
        let flops = format!("{:.2e}", training.flops);
        writeln!(f, "  {flops:>12} floating-point operations of training")?;
        let time = humantime::format_duration(Duration::from_secs(training.seconds.ceil() as u64));
        writeln!(f, "  {:>12} of training, as a step was timed here", time.to_string())?;
    }
    Ok(())
}

fn write_units(f: &mut fmt::Formatter, line: &UnitLine) -> fmt::Result {
    let [least, most] = line.factor;
    writeln!(f, "  {} on {}, {}:", line.model, line.data, line.norm.name())?;
    for (written, units) in &line.fractions {
        writeln!(f, "    {written} is {} {}", short(*units), line.unit)?;
    }
    writeln!(f, "    in {:<14} {}", line.unit, ladder(&line.eps, 1.0))?;
    if (most - least).abs() <= 1e-6 * most {
        return writeln!(f, "    at the input      {}", ladder(&line.eps, most));
    }
    writeln!(f, "    at the input      {} (the feature that moves least)", ladder(&line.eps, least))?;
    writeln!(f, "                      {} (the feature that moves most)", ladder(&line.eps, most))
}

fn ladder(eps: &[f64], factor: f64) -> String {
    let show = |eps: &f64| short(eps * factor);
    if eps.len() <= SHOWN {
        return eps.iter().map(show).collect::<Vec<_>>().join("  ");
    }
    let (first, last) = (&eps[..SHOWN - 2], &eps[eps.len() - 1]);
    format!(
        "{}  ...  {} ({} budgets)",
        first.iter().map(show).collect::<Vec<_>>().join("  "),
        show(last),
        eps.len()
    )
}

/// A number with four significant digits.
fn short(value: f64) -> String {
    format!("{value:.3e}").parse::<f64>().unwrap_or(value).to_string()
}

/// Digits in threes.
pub(crate) fn grouped(value: u64) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Bytes in the largest unit that fits.
pub(crate) fn bytes(value: u64) -> String {
    match value as f64 {
        v if v < 1e3 => format!("{v} B"),
        v if v < 1e6 => format!("{:.1} kB", v / 1e3),
        v if v < 1e9 => format!("{:.1} MB", v / 1e6),
        v => format!("{:.1} GB", v / 1e9),
    }
}
