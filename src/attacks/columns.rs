//! The columns of a sample: values that belong together, how far they may go, and what stands in for a missing one.

use std::ops::Range;

use crate::data::{Dataset, Domain};
use crate::{Error, Result};

/// One quantity of a sample that an attack may change: a measured value, or the one-hot coding of a category.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Where its values lie: one, or as many as there are categories.
    pub values: Range<usize>,
    /// Whether the values are the one-hot coding of a category.
    pub category: bool,
    /// Where the sample says (0 or 1) that the value was missing: part of the column's coding, whatever the domain says of it.
    pub indicator: Option<usize>,
}

/// The columns that are not immutable, in order. A category is mutable where all its values are.
pub fn mutable(data: &Dataset) -> Vec<Column> {
    let domain = &data.domain;
    let mut columns = Vec::new();
    let mut at = 0;
    while at < data.sample_len() {
        let group = domain.category_of(at).filter(|group| group.start == at);
        let values = group.cloned().unwrap_or(at..at + 1);
        let indicator = if group.is_none() { indicator(domain, at) } else { None };
        let end = indicator.map_or(values.end, |indicator| indicator + 1);
        if !values.clone().any(|i| is_immutable(domain, i)) {
            columns.push(Column { values, category: group.is_some(), indicator });
        }
        at = end;
    }
    columns
}

/// Whether feature `i` may never change.
pub fn is_immutable(domain: &Domain, i: usize) -> bool {
    domain.immutable.get(i).copied().unwrap_or(false)
}

/// Entry `i` of a domain's vector that has one value for all features, or one each.
pub fn entry(values: &[f32], i: usize) -> f32 {
    if values.len() == 1 { values[0] } else { values[i] }
}

/// `wanted` for feature `i`, brought into the data's bounds (widened to hold the value that was there).
pub fn within_bounds(domain: &Domain, i: usize, before: f32, wanted: f32) -> f32 {
    let (low, high) = (entry(&domain.low, i), entry(&domain.high, i));
    wanted.clamp(low.min(before), high.max(before))
}

/// The place of the value that says whether value `at` was missing, by the name that preprocessing gives it.
fn indicator(domain: &Domain, at: usize) -> Option<usize> {
    let (name, next) = (domain.features.get(at)?, domain.features.get(at + 1)?);
    (*next == format!("{name} is missing")).then_some(at + 1)
}

/// What a missing value of this column looks like in `data`, as many values as the column has: what preprocessing is known to write (a whole
/// sample of imputed values, as `Preprocess::imputed` gives it); else what stands where an indicator says missing; else the median (of a
/// category the mode), which is what imputation writes by default.
pub fn imputed(data: &Dataset, column: &Column, known: Option<&[f32]>) -> Vec<f32> {
    if let Some(known) = known {
        return known[column.values.clone()].to_vec();
    }
    let samples = || (0..data.len()).map(|i| data.sample(i));
    if column.category {
        let count = |i: usize| samples().filter(|sample| sample[i] == 1.0).count();
        let mode = column.values.clone().max_by_key(|&i| (count(i), std::cmp::Reverse(i)));
        return column.values.clone().map(|i| f32::from(u8::from(Some(i) == mode))).collect();
    }
    let at = column.values.start;
    let missing = column.indicator.and_then(|said| samples().find(|sample| sample[said] == 1.0));
    let value =
        missing.map_or_else(|| median(samples().map(|sample| sample[at]).collect()), |sample| sample[at]);
    vec![value]
}

/// The mutable columns with what a missing value becomes in each, see [`imputed`].
///
/// # Errors
/// Known values that are not as many as a sample has.
pub fn removable(data: &Dataset, known: Option<&[f32]>) -> Result<Vec<(Column, Vec<f32>)>> {
    if let Some(known) = known
        && known.len() != data.sample_len()
    {
        let found = format!("{} values", known.len());
        return Err(Error::input(
            &data.name,
            "imputed values",
            found,
            format!("{}, a sample's", data.sample_len()),
        ));
    }
    let with_stand_in = |column: Column| {
        let stand_in = imputed(data, &column, known);
        (column, stand_in)
    };
    Ok(mutable(data).into_iter().map(with_stand_in).collect())
}

/// Makes the value of `column` missing in a sample: `imputed` takes its place, and its indicator says so.
pub fn remove(column: &Column, imputed: &[f32], sample: &mut [f32]) {
    sample[column.values.clone()].copy_from_slice(imputed);
    if let Some(indicator) = column.indicator {
        sample[indicator] = 1.0;
    }
}

/// The middle value, or the mean of the two in the middle; 0 of none.
pub fn median(mut values: Vec<f32>) -> f32 {
    values.sort_by(f32::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => 0.0,
        (n, half) if n % 2 == 1 => values[half],
        (_, half) => ((f64::from(values[half - 1]) + f64::from(values[half])) / 2.0) as f32,
    }
}
