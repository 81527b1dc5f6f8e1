//! What is strange about rows beside those that were fitted: values far off, categories never seen, columns without a value.

use std::collections::BTreeMap;

use super::{Asked, FittedScaling, Preprocess};
use crate::data::Remark;
use crate::data::rounding::{self, Feature};
use crate::data::spec::{Fill, Rule, Spec};
use crate::data::table::{Column, Table, bare};
use crate::{Error, Result};

/// A column is far off if more than this share of its values lies outside the range of the train split...
const OUTSIDE: f64 = 0.25;
/// ... or if its middle lies so many standard deviations from the mean of the train split.
const DEVIATIONS: f64 = 3.0;
/// Far more is missing than in training if the shares differ by more than this.
const MORE: f64 = 0.1;
/// With fewer values nothing is said of a column as a whole.
const LEAST: usize = 5;
/// How the sentence about filled values begins.
pub(in crate::data) const FILLED: &str = "missing values filled: ";
/// How many of the kinds of strangeness, the first ones, are about the range that was fitted.
const OF_RANGES: usize = 3;
/// Columns and categories that a sentence names.
const NAMED: usize = 5;

/// What was noticed, column by column.
#[derive(Default)]
pub(super) struct Strangeness {
    beyond: Vec<String>,
    saturated: Vec<String>,
    far: Vec<String>,
    absent: Vec<String>,
    unseen: Vec<String>,
    filled: Vec<Filled>,
    rounded: Vec<(String, Feature)>,
}

/// What took the place of a column's missing values.
struct Filled {
    name: String,
    count: usize,
    samples: usize,
    with: String,
    category: bool,
}

impl Strangeness {
    /// Takes down what `count` of the samples got in the place of a missing value.
    pub(super) fn fill(&mut self, name: &str, count: usize, samples: usize, with: String, category: bool) {
        if count > 0 {
            self.filled.push(Filled { name: name.to_string(), count, samples, with, category });
        }
    }

    /// Takes down what the values of a column that is fed as it is were before they became f32.
    pub(super) fn rounded(&mut self, name: &str, values: Feature) {
        self.rounded.push((name.to_string(), values));
    }

    /// # Errors
    /// Missing values of which the spec does not say what they become, or says it by a rule that this table's own rows decide.
    pub(super) fn check_stated(&self, table: &Table, spec: &Spec) -> Result<()> {
        let impute = &spec.impute;
        let said = |filled: &Filled| match filled.category {
            true => (impute.of_category(&filled.name), &impute.category),
            false => (impute.of_number(&filled.name), &impute.number),
        };
        let rule = |filled: &Filled| match said(filled).0 {
            Fill::Rule(rule @ (Rule::Median | Rule::Mean | Rule::Mode)) => Some(rule),
            _ => None,
        };
        let explicit =
            |filled: &Filled| said(filled).1.is_some() || impute.columns.contains_key(&filled.name);
        // A column that names the rows of training says of which rows the rule is.
        let rows_are_named = spec.split.column.is_some();
        let open = |filled: &&Filled| rule(filled).is_some() && !(rows_are_named && explicit(filled));
        let open: Vec<&Filled> = self.filled.iter().filter(open).collect();
        let Some(first) = open.first() else { return Ok(()) };
        let each = |filled: &&&Filled| {
            let rule = rule(filled).filter(|_| explicit(filled));
            let rule =
                rule.map(|rule| format!(", to become their {rule:?}").to_lowercase()).unwrap_or_default();
            format!("{} ({} of {}{rule})", filled.name, filled.count, filled.samples)
        };
        let more = if open.len() > NAMED {
            format!(" and {} more columns", open.len() - NAMED)
        } else {
            String::new()
        };
        let found =
            format!("{}{more}", open.iter().take(NAMED).map(|f| each(&f)).collect::<Vec<_>>().join(", "));
        let model = match first.category {
            true => "",
            false => ", or \"model\" in the place of VALUE where the model's file has an imputer of its own",
        };
        let expected = format!(
            "what the model's own training filled in, which a median or a mode of this file's rows need not be: {} = VALUE under [impute.columns] in \
             {}{model}; or column = \"COLUMN\" under [split] and {} = {} under [impute], which is then of the rows that COLUMN says are train; or \
             no such rows in the table",
            bare(&first.name),
            crate::data::table::spec_path(std::path::Path::new(&table.file)).display(),
            if first.category { "category" } else { "number" },
            if first.category { "\"mode\"" } else { "\"median\"" },
        );
        Err(Error::input(&table.file, "missing values", found, expected))
    }

    /// How many missing values were filled with what, and where they are far more than in the train split: `lacking` has its shares.
    pub(super) fn filling(&self, lacking: Option<&BTreeMap<String, f64>>) -> Vec<Remark> {
        let share = |filled: &Filled| filled.count as f64 / filled.samples as f64;
        // Columns without any value have a sentence of their own.
        let partly: Vec<&Filled> =
            self.filled.iter().filter(|filled| filled.count < filled.samples).collect();
        let listed = |each: Vec<String>| {
            let more = if each.len() > NAMED {
                format!(" and {} more columns", each.len() - NAMED)
            } else {
                String::new()
            };
            format!("{}{more}", each[..each.len().min(NAMED)].join(", "))
        };
        let counts =
            partly.iter().map(|f| format!("{} ({} of {} with {})", f.name, f.count, f.samples, f.with));
        let counts: Vec<String> = counts.collect();
        let trained =
            |filled: &Filled| lacking.map(|shares| shares.get(&filled.name).copied().unwrap_or(0.0));
        let far: Vec<String> = partly
            .iter()
            .filter(|f| f.samples >= LEAST)
            .filter_map(|f| trained(f).filter(|known| share(f) > known + MORE).map(|known| (f, known)))
            .map(|(f, known)| {
                format!("{} ({:.0} %, {:.0} % in training)", f.name, 100.0 * share(f), 100.0 * known)
            })
            .collect();
        let note = Remark::note(format!("{FILLED}{}", listed(counts.clone())));
        let warning = Remark::warning(
            "more-missing",
            format!("far more values are missing, and filled, than in training: {}", listed(far.clone())),
        );
        let told = [(counts.is_empty(), note), (far.is_empty(), warning)];
        told.into_iter().filter(|(none, _)| !none).map(|(_, remark)| remark).collect()
    }

    /// Looks at the known values of a column of numbers, after log1p if that was asked for, as `range` is; `beyond` of the samples lie
    /// outside of it.
    pub(super) fn number(
        &mut self,
        name: &str,
        known: &[f64],
        samples: usize,
        beyond: usize,
        range: (f64, f64),
        scaling: &FittedScaling,
        log1p: bool,
    ) {
        if known.is_empty() {
            return self.absent.push(name.to_string());
        }
        let mut sorted = known.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (least, most, middle) = (sorted[0], sorted[sorted.len() - 1], sorted[sorted.len() / 2]);
        let (low, high) = range;
        let saturates = matches!(scaling, FittedScaling::Quantile { .. });
        // In the file's own units.
        let own = |value: f64| if log1p { value.exp_m1() } else { value };
        let range = format!("fitted from {:.4} to {:.4}", own(low), own(high));
        if beyond > 0 {
            let values = if beyond == 1 { "value" } else { "values" };
            let text = format!(
                "{name} ({beyond} {values}; {range}, here from {:.4} to {:.4})",
                own(least),
                own(most)
            );
            if saturates { self.saturated.push(text) } else { self.beyond.push(text) }
        }
        let away = match scaling {
            FittedScaling::Z { mean, sd } => (middle - mean).abs() / sd,
            _ => 0.0,
        };
        // Judged by values that are known: what was filled in is from the train split itself.
        let outside = sorted.iter().filter(|value| !(low..=high).contains(value)).count();
        if samples >= LEAST
            && sorted.len() >= LEAST
            && (outside as f64 > OUTSIDE * sorted.len() as f64 || away > DEVIATIONS)
        {
            let side = if middle < (low + high) / 2.0 { "less" } else { "more" };
            self.far.push(format!("{name} (half are {:.4} or {side}; {range})", own(middle)));
        }
    }

    /// Looks at a column of categories: `known` of the samples have one, these are the unseen ones with their counts.
    ///
    /// # Errors
    /// No category that was seen.
    pub(super) fn categories(
        &mut self,
        table: &Table,
        name: &str,
        known: usize,
        samples: usize,
        unseen: BTreeMap<String, usize>,
        categories: &[String],
    ) -> Result<()> {
        if known == 0 && samples > 0 {
            self.absent.push(name.to_string());
        }
        let count: usize = unseen.values().sum();
        if count == 0 {
            return Ok(());
        }
        let shown: Vec<String> = unseen.keys().take(NAMED).map(|text| format!("`{text}`")).collect();
        if count == known {
            let found = format!("{} alone, none of which train had", shown.join(", "));
            let more = if categories.len() > 30 { ", ..." } else { "" };
            let expected = format!(
                "{}{more}, as in train, or a model trained without the column (drop = [{name:?}])",
                categories[..categories.len().min(30)].join(", ")
            );
            return Err(Error::input(&table.file, format!("column `{name}`"), found, expected));
        }
        self.unseen.push(format!("{name} ({count} of {known}: {})", shown.join(", ")));
        Ok(())
    }

    /// One sentence a kind.
    pub(super) fn remarks(self, asked: &Asked) -> Vec<Remark> {
        let list = |columns: &[String]| {
            let more = if columns.len() > NAMED {
                format!(" and {} more columns", columns.len() - NAMED)
            } else {
                String::new()
            };
            format!("{}{more}", columns.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", "))
        };
        let beyond = match asked.clip {
            true => {
                "values beyond the range that was fitted are cut to it, as this model's preprocessing says"
            }
            false => {
                "values beyond the range that was fitted are fed as they are, and an attack's range is widened to hold them"
            }
        };
        let note = |what: &str, columns: &[String]| Remark::note(format!("{what}: {}", list(columns)));
        let warning = |flag, what: &str, columns: &[String]| {
            Remark::warning(flag, format!("{what}: {}", list(columns)))
        };
        [
            (&self.beyond, note(beyond, &self.beyond)),
            (
                &self.saturated,
                note(
                    "values beyond the range that was fitted become 0 or 1, as quantiles do",
                    &self.saturated,
                ),
            ),
            (&self.far, warning("far-column", "columns far from what was fitted (another unit?)", &self.far)),
            (
                &self.absent,
                warning(
                    "absent-column",
                    "columns without a value, which the fitted fill takes the place of",
                    &self.absent,
                ),
            ),
            (
                &self.unseen,
                warning(
                    "unseen-category",
                    "categories that train did not have are read as the commonest",
                    &self.unseen,
                ),
            ),
        ]
        .into_iter()
        .skip(if asked.others { OF_RANGES } else { 0 })
        .filter(|(columns, _)| !columns.is_empty())
        .map(|(_, remark)| remark)
        .chain(rounding::remark(self.rounded.clone()))
        .collect()
    }
}

/// Which columns number the rows: left out, or, in an older model, a feature after all.
pub(super) fn index_remark(fitted: &Preprocess, table: &Table, columns: &[String]) -> Option<Remark> {
    let learnt: Vec<&String> = columns.iter().filter(|name| table.index_columns.contains(name)).collect();
    if let Some(name) = learnt.first() {
        let text = format!(
            "`{name}` numbers the rows of a file and is a feature of this model: train it anew without"
        );
        return Some(Remark::warning("row-number-feature", text));
    }
    let listed = |names: &[&String], shown: fn(&String) -> String| {
        names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(", ")
    };
    let (numbers, nameless): (Vec<&String>, Vec<&String>) =
        fitted.row_numbers.iter().partition(|name| numbers_rows(table, name));
    let keep = |names: &[&String]| match table.scored || names.is_empty() {
        true => String::new(),
        false => format!("; keep = [{}] in the spec makes it one", listed(names, |name| format!("{name:?}"))),
    };
    let ticked = |names: &[&String]| listed(names, |name| format!("`{name}`"));
    let mut said = Vec::new();
    if !numbers.is_empty() {
        said.push(format!("{} numbers the rows: no feature{}", ticked(&numbers), keep(&numbers)));
    }
    let (empty, other): (Vec<&String>, Vec<&String>) =
        nameless.into_iter().partition(|name| is_empty(table, name));
    if !empty.is_empty() {
        said.push(format!(
            "{} has neither a name nor a value, as a mark at the end of lines leaves it: no feature",
            ticked(&empty)
        ));
    }
    if !other.is_empty() {
        said.push(format!("{} has no name in the header: no feature{}", ticked(&other), keep(&other)));
    }
    (!said.is_empty()).then(|| Remark::note(said.join("; ")))
}

/// Whether a column that is called as an index is one: whole numbers, none of them twice.
fn numbers_rows(table: &Table, name: &str) -> bool {
    let values = match table.column(name) {
        Some(Column::Number(values)) => values,
        // A site's table need not be asked for it.
        None => return true,
        Some(Column::Category(_)) => return false,
    };
    let mut numbers: Vec<u64> = values.iter().flatten().map(|value| value.to_bits()).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.len() == values.len() && values.iter().flatten().all(|value| value.fract() == 0.0)
}

fn is_empty(table: &Table, name: &str) -> bool {
    match table.column(name) {
        Some(Column::Category(values)) => values.iter().all(Option::is_none),
        Some(Column::Number(values)) => values.iter().all(Option::is_none),
        None => false,
    }
}
