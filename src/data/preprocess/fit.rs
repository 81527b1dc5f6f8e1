//! What a preprocessing spec learns from the train split.

use std::collections::{BTreeMap, HashSet};

use super::Seen;
use super::identity;
use super::telling::telling;
use super::{FORMAT, Fitted, FittedScaling, Preprocess, decided_rows};
use crate::data::spec::{Fill, Rule, Scaling, Spec};
use crate::data::table::{Column, Table};
use crate::{Error, Result};

/// Quantile scaling keeps this many quantiles, whole per cents.
const KNOTS: usize = 101;

/// More different texts than this, most of them in one row alone, are names or identifiers.
const MANY: usize = 50;
/// Numbers of a column that is called an identifier: so many different ones may still be codes.
const FEW: usize = 20;
/// Fewer rows than this may be numbered by chance.
const COUNTED: usize = 20;

/// See [`Preprocess::fit`]; `others`: [`Preprocess::fit_for_others`].
pub(super) fn fit(spec: &Spec, table: &Table, others: bool) -> Result<Preprocess> {
    spec.check(&table.file)?;
    spec.check_columns(table)?;
    let table = &*table.read_as(&spec.reading(&table.file)?);
    let (features, row_numbers) = features(spec, table)?;
    if features.is_empty() {
        return Err(Error::input(&table.file, "columns", "no feature", "at least one that is not dropped"));
    }
    let rule = identity::Rule { spec, first_format: false, recorded: None };
    let splits = rule.splits(table, &features)?;
    let rows = decided_rows(spec, table, &splits, "train")?.rows;
    let train: Vec<usize> = rows.iter().map(|&(row, _)| row).collect();
    let one_hot: HashSet<&String> = spec.one_hot.iter().collect();
    let mut columns = Vec::new();
    let (mut tells, mut lacking) = (BTreeMap::new(), BTreeMap::new());
    for name in &features {
        let column = table.require(name, "columns")?;
        let position = table.position(name).unwrap_or_default();
        if !one_hot.contains(name) {
            table.certain(position)?;
            if !spec.keep.contains(name) {
                check_identifier(spec, table, name, position)?;
            }
        }
        let stated = matches!(spec.impute.columns.get(name), Some(Fill::Number(_)));
        columns.push(match column {
            Column::Number(values) if !one_hot.contains(name) => {
                fit_number(spec, table, name, values, &train, others)?
            }
            // A column that a file leaves empty is of numbers if one is to take the place of all.
            Column::Category(values)
                if stated && !one_hot.contains(name) && values.iter().all(Option::is_none) =>
            {
                fit_number(spec, table, name, &vec![None; table.rows()], &train, others)?
            }
            _ => fit_category(spec, table, name, column, &train)?,
        });
        let missing = train.iter().filter(|row| column.is_missing(**row)).count();
        if missing > 0 {
            lacking.insert(name.clone(), missing as f64 / train.len() as f64);
        }
        if let Some(how_well) = telling(column, &rows) {
            tells.insert(name.clone(), how_well);
        }
    }
    Ok(Preprocess {
        format: FORMAT,
        table_sha256: table.sha256.clone(),
        train_rows: train.len() as u64,
        spec: spec.clone(),
        columns,
        row_numbers,
        telling: tells,
        lacking: Some(lacking),
        outcome_codes: Some(super::codes::known(spec, table)?),
        seen: Seen::default(),
        seen_rows: 0,
    })
}

/// The columns that are features: neither dropped by the author, nor what would give the answer away, nor numbers of rows; and these last.
fn features(spec: &Spec, table: &Table) -> Result<(Vec<String>, Vec<String>)> {
    let mut others: HashSet<String> = spec.drop.iter().cloned().collect();
    others.extend(spec.beside(&table.file)?);
    let candidates = table.names.iter().zip(&table.columns).filter(|(name, _)| !others.contains(*name));
    let (numbers, features): (Vec<_>, Vec<_>) = candidates.partition(|(name, column)| {
        !spec.keep.contains(name) && (table.index_columns.contains(name) || counts_rows(column))
    });
    let names = |pairs: Vec<(&String, &Column)>| pairs.into_iter().map(|(name, _)| name.clone()).collect();
    Ok((names(features), names(numbers)))
}

/// Whether a column counts the rows from 0 or 1.
fn counts_rows(column: &Column) -> bool {
    let Column::Number(values) = column else { return false };
    let first = values.first().copied().flatten();
    values.len() >= COUNTED
        && first.is_some_and(|first| first == 0.0 || first == 1.0)
        && values.iter().enumerate().all(|(row, value)| value.map(|v| v - row as f64) == first)
}

/// # Errors
/// A column of identifiers: whole numbers that no float holds, or texts of which nearly all are different.
fn check_identifier(spec: &Spec, table: &Table, name: &str, position: usize) -> Result<()> {
    let refused = |found: String| {
        let expected = format!(
            "a feature: drop = [{name:?}] leaves identifiers out, one_hot = [{name:?}] takes them for categories, keep = [{name:?}] for what they are, all the same"
        );
        Err(Error::input(&table.file, format!("column `{name}`"), found, expected))
    };
    if table.beyond_floats(position) {
        return refused("whole numbers with more digits than a float holds".into());
    }
    let values = match &table.columns[position] {
        Column::Category(values) => values,
        Column::Number(values)
            if is_name_of_identifiers(name) && values.iter().flatten().all(|v| v.fract() == 0.0) =>
        {
            let distinct: HashSet<u64> = values.iter().flatten().map(|value| value.to_bits()).collect();
            if distinct.len() <= FEW {
                return Ok(());
            }
            let group = if spec.group.is_none() {
                format!("group = {name:?} if it says who a row is of, ")
            } else {
                String::new()
            };
            let found = format!(
                "an identifier by its name, {} different numbers in {} rows",
                distinct.len(),
                values.len()
            );
            let expected = format!(
                "a feature: {group}drop = [{name:?}] leaves it out, keep = [{name:?}] makes it a feature all the same"
            );
            return Err(Error::input(&table.file, format!("column `{name}`"), found, expected));
        }
        Column::Number(_) => return Ok(()),
    };
    let distinct: HashSet<&String> = values.iter().flatten().collect();
    if distinct.len() > MANY && distinct.len() * 2 > values.iter().flatten().count() {
        return refused(format!("{} different texts in {} rows", distinct.len(), values.len()));
    }
    Ok(())
}

/// Whether a column is called as identifiers are: `patient_id`, `MRN`, `subject`, `recordId`.
fn is_name_of_identifiers(name: &str) -> bool {
    const ALONE: [&str; 10] =
        ["patient", "subject", "mrn", "pid", "case", "record", "patientid", "subjectid", "uid", "id"];
    let words: Vec<String> =
        name.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect();
    match &words[..] {
        [word] => ALONE.contains(&word.as_str()) || name.ends_with("Id") || name.ends_with("ID"),
        [.., last] => ["id", "mrn", "identifier"].contains(&last.as_str()),
        [] => false,
    }
}

fn fit_number(
    spec: &Spec,
    table: &Table,
    name: &str,
    values: &[Option<f64>],
    train: &[usize],
    others: bool,
) -> Result<Fitted> {
    let place = format!("column `{name}`");
    let mut known: Vec<f64> = train.iter().filter_map(|&row| values[row]).collect();
    let wanted = spec.impute.of_number(name);
    if known.is_empty() && !matches!(wanted, Fill::Number(_)) {
        return Err(no_value(table, name));
    }
    known.sort_by(f64::total_cmp);
    let fill = match wanted {
        Fill::Number(constant) => constant,
        Fill::Rule(Rule::Model) if others => f64::NAN,
        Fill::Rule(Rule::Median) => median(&known),
        Fill::Rule(Rule::Mean) => known.iter().sum::<f64>() / known.len() as f64,
        Fill::Rule(Rule::Mode) => mode(&known),
        other => {
            let expected = "median, mean, mode or a number, for numbers; \"model\" for a model that has an imputer of its own, which percuss did not train";
            return Err(Error::input(&table.file, format!("impute of {place}"), other, expected));
        }
    };
    let log1p = spec.log1p.iter().any(|n| n == name);
    let least = known.first().copied().unwrap_or(fill).min(fill);
    if log1p && least < 0.0 {
        return Err(Error::input(&table.file, format!("log1p of {place}"), least, "0 or more"));
    }
    let transform = |value: f64| if log1p { value.ln_1p() } else { value };
    // What the model itself fills in is not known here.
    let filled = train.iter().map(|&row| values[row].unwrap_or(fill)).filter(|value| !value.is_nan());
    let mut filled: Vec<f64> = filled.map(transform).collect();
    filled.sort_by(f64::total_cmp);
    let scaling = *spec.scale.columns.get(name).unwrap_or(&spec.scale.default);
    if others && scaling == Scaling::Quantile && spec.split.column.is_none() {
        let found = "\"quantile\" for a model that percuss did not train: quantiles of this file's rows change with the file";
        let expected = "the values that the model takes, in the table itself, and scale \"z\" or \"none\"; or column = \"COLUMN\" under [split], whose rows \
                        that it says are train the quantiles are then of";
        return Err(Error::input(&table.file, format!("scale of {place}"), found, expected));
    }
    Ok(Fitted::Number {
        column: name.to_string(),
        log1p,
        fill,
        indicator: spec.impute.indicators && known.len() < train.len(),
        low: filled[0],
        high: filled[filled.len() - 1],
        scaling: fit_scaling(scaling, &filled),
        immutable: spec.immutable.iter().any(|n| n == name),
    })
}

fn no_value(table: &Table, name: &str) -> Error {
    let expected = format!(
        "some; drop = [{name:?}] leaves the column out, {} = VALUE under [impute.columns] fills it",
        crate::data::table::bare(name)
    );
    Error::input(&table.file, format!("column `{name}`"), "no value in train", expected)
}

fn fit_scaling(scaling: Scaling, sorted: &[f64]) -> FittedScaling {
    match scaling {
        Scaling::None => FittedScaling::None,
        Scaling::Z => {
            let n = sorted.len() as f64;
            let mean = sorted.iter().sum::<f64>() / n;
            let variance = sorted.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
            // A constant column has no scale of its own; relative to its size, rounding alone is left.
            let constant = variance.sqrt() <= 1e-12 * mean.abs().max(f64::MIN_POSITIVE);
            FittedScaling::Z { mean, sd: if constant { 1.0 } else { variance.sqrt() } }
        }
        Scaling::Quantile => {
            let at = |k: usize| {
                let position = (sorted.len() - 1) as f64 * k as f64 / (KNOTS - 1) as f64;
                let (below, rest) = (position.floor() as usize, position.fract());
                let above = (below + 1).min(sorted.len() - 1);
                sorted[below] + rest * (sorted[above] - sorted[below])
            };
            let mut knots: Vec<f64> = (0..KNOTS).map(at).collect();
            // Interpolation between equal values may round out of order.
            knots.sort_by(f64::total_cmp);
            FittedScaling::Quantile { knots }
        }
    }
}

fn fit_category(spec: &Spec, table: &Table, name: &str, column: &Column, train: &[usize]) -> Result<Fitted> {
    let place = format!("column `{name}`");
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut missing = false;
    for &row in train {
        match column.text(row) {
            Some(text) => *counts.entry(text).or_default() += 1,
            None => missing = true,
        }
    }
    let most = counts.values().max().copied().unwrap_or(0);
    let Some(mode) = counts.iter().find(|(_, count)| **count == most).map(|(text, _)| text.clone()) else {
        return Err(no_value(table, name));
    };
    if spec.log1p.iter().any(|n| n == name) {
        return Err(Error::input(&table.file, format!("log1p of {place}"), "categories", "numbers"));
    }
    let fill = match spec.impute.of_category(name) {
        Fill::Rule(Rule::Mode) => mode.clone(),
        Fill::Rule(Rule::Own) => "missing".to_string(),
        Fill::Text(constant) => constant,
        Fill::Number(constant) => constant.to_string(),
        other => {
            let expected = "mode, own or a text, for categories";
            return Err(Error::input(&table.file, format!("impute of {place}"), other, expected));
        }
    };
    let mut categories: Vec<String> = counts.into_keys().collect();
    if !categories.contains(&fill) {
        if matches!(spec.impute.columns.get(name), Some(Fill::Text(_) | Fill::Number(_))) && !missing {
            return Err(Error::input(&table.file, format!("impute of {place}"), fill, categories.join(", ")));
        }
        categories.push(fill.clone());
        categories.sort();
    }
    let immutable = spec.immutable.iter().any(|n| n == name);
    Ok(Fitted::Category { column: name.to_string(), categories, fill, mode, immutable })
}

fn median(sorted: &[f64]) -> f64 {
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 { sorted[middle] } else { (sorted[middle - 1] + sorted[middle]) / 2.0 }
}

/// The most frequent of some sorted values; of equals the smallest.
fn mode(sorted: &[f64]) -> f64 {
    let runs = sorted.chunk_by(|a, b| a == b);
    runs.fold((0, sorted[0]), |best, run| if run.len() > best.0 { (run.len(), run[0]) } else { best }).1
}

#[cfg(test)]
mod tests {
    use super::super::share_below;
    use super::*;

    #[test]
    fn fills_are_what_their_names_say() {
        assert_eq!(median(&[1.0, 2.0, 4.0]), 2.0);
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert_eq!(mode(&[1.0, 2.0, 2.0, 3.0, 3.0]), 2.0);
    }

    #[test]
    fn quantile_scaling_spreads_evenly_and_centres_ties() {
        let sorted: Vec<f64> = (0..=1000).map(f64::from).collect();
        let FittedScaling::Quantile { knots } = fit_scaling(Scaling::Quantile, &sorted) else { panic!() };
        for value in [0.0, 1.0, 333.0, 999.5, 1000.0] {
            assert!((share_below(&knots, value) - value / 1000.0).abs() < 1e-12);
        }
        assert_eq!((share_below(&knots, -5.0), share_below(&knots, 5000.0)), (0.0, 1.0));
        // Half of the values are 0: it stands for the middle of that half.
        let mut half = vec![0.0; 1000];
        half.extend((1..=1000).map(f64::from));
        let FittedScaling::Quantile { knots } = fit_scaling(Scaling::Quantile, &half) else { panic!() };
        assert!((share_below(&knots, 0.0) - 0.25).abs() < 0.01);
    }

    #[test]
    fn constant_column_is_not_divided_by_0() {
        let scaling = fit_scaling(Scaling::Z, &[7.0; 5]);
        assert_eq!(scaling, FittedScaling::Z { mean: 7.0, sd: 1.0 });
    }
}
