//! The codes of outcomes: values that an equality names, that nobody names, and that training never had.

use std::collections::{BTreeMap, BTreeSet};

use crate::data::Remark;
use crate::data::outcome::{Expression, Value, as_code};
use crate::data::spec::Spec;
use crate::data::table::{Column, Table, is_missing_among_numbers};
use crate::{Error, Result};

/// A column with more values than these is no column of codes.
const MOST: usize = 30;

/// The values of each column that the outcome compares by `==` or `!=`, as codes.
pub(super) type Codes = BTreeMap<String, BTreeSet<String>>;

fn named(spec: &Spec, file: &str) -> Result<Codes> {
    let mut named = Expression::parse(&spec.outcome, file, "outcome")?.named_values();
    if let Some(undecided) = &spec.undecided {
        for (column, values) in Expression::parse(undecided, file, "undecided")?.named_values() {
            named.entry(column).or_default().extend(values);
        }
    }
    Ok(named)
}

/// How often each value of a column is among these rows.
fn counts(column: &Column, rows: impl Iterator<Item = usize>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for row in rows {
        let value = match column {
            Column::Number(values) => values[row].map(Value::Number),
            Column::Category(values) => values[row].clone().map(Value::Text),
        };
        if let Some(code) = value.as_ref().and_then(as_code) {
            *counts.entry(code).or_default() += 1;
        }
    }
    counts
}

/// The codes that the table has, for a model that is fitted on it.
pub(super) fn known(spec: &Spec, table: &Table) -> Result<Codes> {
    let mut known = Codes::new();
    for name in named(spec, &table.file)?.into_keys() {
        let values = counts(table.require(&name, "outcome")?, 0..table.rows());
        if values.len() <= MOST {
            known.insert(name, values.into_keys().collect());
        }
    }
    Ok(known)
}

/// # Errors
/// A sign of a missing value (`-`, `None`) that counts as a value where the outcome asks whether there is one.
fn check_presence(spec: &Spec, table: &Table, rows: &[usize]) -> Result<()> {
    let texts = [("outcome", Some(&spec.outcome)), ("undecided", spec.undecided.as_ref())];
    let expressions =
        texts.into_iter().filter_map(|(key, text)| Some(Expression::parse(text?, &table.file, key)));
    let expressions = expressions.collect::<Result<Vec<_>>>()?;
    for name in expressions.iter().flat_map(Expression::asked_for_presence) {
        let Column::Category(values) = table.require(&name, "outcome")? else { continue };
        let texts = rows.iter().filter_map(|row| values[*row].as_deref());
        let sign = texts.clone().find(|text| is_missing_among_numbers(text));
        let quoted = |sign: &str| [format!("'{sign}'"), format!("\"{sign}\"")];
        let named = |sign: &str| quoted(sign).iter().any(|quoted| spec.outcome.contains(quoted));
        if let Some(sign) = sign.filter(|sign| !named(sign)) {
            let count = texts.filter(|text| *text == sign).count();
            let found = format!(
                "`{sign}` ({count}), which is a text, where the outcome asks whether there is a value"
            );
            let expected = format!(
                "an empty cell where there is none, or both in the expression: `{name}` != '' && `{name}` != '{sign}'"
            );
            return Err(Error::input(&table.file, format!("outcome, column `{name}`"), found, expected));
        }
    }
    Ok(())
}

/// What is to be said of the codes of rows whose outcome was decided; `known` are those that a model was fitted with.
///
/// # Errors
/// A named text in another case, and a code that the model's own table did not have.
pub(super) fn check(
    spec: &Spec,
    table: &Table,
    rows: &[usize],
    known: Option<&Codes>,
) -> Result<Vec<Remark>> {
    let mut remarks = Vec::new();
    check_presence(spec, table, rows)?;
    for (name, named) in named(spec, &table.file)? {
        let counts = counts(table.require(&name, "outcome")?, rows.iter().copied());
        let refused = |found: String, expected: String| {
            Err(Error::input(&table.file, format!("outcome, column `{name}`"), found, expected))
        };
        let other_case = |value: &&String| {
            !named.contains(*value) && named.iter().any(|text| text.to_lowercase() == value.to_lowercase())
        };
        if let Some(value) = counts.keys().find(other_case) {
            let text = named.iter().find(|text| text.to_lowercase() == value.to_lowercase());
            let text = text.cloned().unwrap_or_default();
            let found = format!("`{value}` in {} rows, while the expression says '{text}'", counts[value]);
            let expected = format!(
                "one way to write it, or both in the expression: `{name}` == '{text}' || `{name}` == '{value}'"
            );
            return refused(found, expected);
        }
        let list = |values: &[&String]| {
            values.iter().take(8).map(|v| format!("{v} ({})", counts[*v])).collect::<Vec<_>>().join(", ")
        };
        if let Some(known) = known.and_then(|known| known.get(&name)) {
            let new: Vec<&String> = counts.keys().filter(|value| !known.contains(*value)).collect();
            if !new.is_empty() {
                let own: Vec<&str> = known.iter().map(String::as_str).collect();
                let expected = format!(
                    "{}, as where the model was trained (`{}`): write this column in those codes, and leave the cell empty where the \
                     outcome is not known",
                    own.join(", "),
                    spec.outcome
                );
                return refused(list(&new), expected);
            }
        }
        let unnamed: Vec<&String> = counts.keys().filter(|value| !named.contains(*value)).collect();
        if counts.len() > 2 && unnamed.len() > 1 && counts.len() <= MOST {
            let text = format!(
                "`{}` names {} of `{name}`, which also has {}: all of these are taken alike. If one means that the outcome is not known, \
                 undecided = \"`{name}` == CODE\" in the spec leaves its rows out",
                spec.outcome,
                named.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
                list(&unnamed),
            );
            remarks.push(Remark::warning("outcome-codes", text));
        }
    }
    Ok(remarks)
}
