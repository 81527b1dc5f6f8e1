//! Columns of whole numbers that never repeat: running numbers and identifiers, whatever they are called.

use super::{Fitted, Preprocess};
use crate::data::Remark;
use crate::data::table::{Column, Table};

/// Fewer rows may have different numbers by chance.
const ROWS: usize = 100;
/// Fewer numbers may be dates by chance.
const DATES: usize = 10;
/// Numbers drawn from the range that they span would all be different with a probability of exp(-14), one in a million.
const ODDS: f64 = 14.0;
/// Six digits: more than what is measured in whole numbers has.
const LARGE: f64 = 100_000.0;
/// From this share of steps in one direction on, numbers go with the rows.
const STEPS: f64 = 0.95;
/// Columns that a sentence names.
const NAMED: usize = 5;

/// What is to be said of the features that look like running numbers.
pub(super) fn remarks(fitted: &Preprocess, table: &Table) -> Option<Remark> {
    let numbers = fitted.columns.iter().filter_map(|column| match column {
        Fitted::Number { column, .. } if !fitted.spec.keep.contains(column) => Some(column),
        _ => None,
    });
    let found = numbers.filter_map(|name| match table.column(name)? {
        Column::Number(values) => Some((name, direction(values)?)),
        Column::Category(_) => None,
    });
    let found: Vec<(&String, &str)> = found.collect();
    let shown: Vec<String> =
        found.iter().take(NAMED).map(|(name, direction)| format!("{name}{direction}")).collect();
    let names: Vec<String> = found.iter().take(NAMED).map(|(name, _)| format!("{name:?}")).collect();
    let more = if found.len() > NAMED {
        format!(" and {} more columns", found.len() - NAMED)
    } else {
        String::new()
    };
    let mend = match table.scored {
        true => "a model trained without it knows no row by its number".to_string(),
        false => format!(
            "drop = [{0}] in the spec leaves it out, keep = [{0}] says that it is a feature",
            names.join(", ")
        ),
    };
    (!found.is_empty()).then(|| {
        let text = format!(
            "features that are another whole number in every row, or dates: {}{more}. Is this a running number or an identifier? {mend}",
            shown.join(", ")
        );
        Remark::warning("running-number", text)
    })
}

/// Whether a number is a day from 1900 on, as 20240131.
fn is_date(value: f64) -> bool {
    let (year, month, day) = ((value / 1e4).floor(), (value / 100.0).floor() % 100.0, value % 100.0);
    (1900.0..2100.0).contains(&year) && (1.0..=12.0).contains(&month) && (1.0..=31.0).contains(&day)
}

/// How numbers go with the rows, if they are whole, all different, and not so by chance.
fn direction(values: &[Option<f64>]) -> Option<&'static str> {
    if values.iter().flatten().any(|value| value.fract() != 0.0) {
        return None;
    }
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    if known.len() >= DATES && known.iter().all(|value| is_date(*value)) {
        return Some(", dates written as numbers");
    }
    let mut sorted = known.clone();
    sorted.sort_by(f64::total_cmp);
    if known.len() < ROWS || sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return None;
    }
    let rising = known.windows(2).filter(|pair| pair[0] < pair[1]).count() as f64 / (known.len() - 1) as f64;
    let n = known.len() as f64;
    let span = sorted[sorted.len() - 1] - sorted[0] + 1.0;
    let direction = match rising {
        1.0 => ", which rises from row to row",
        0.0 => ", which falls from row to row",
        r if r >= STEPS => ", which nearly always rises from row to row",
        r if r <= 1.0 - STEPS => ", which nearly always falls from row to row",
        _ => "",
    };
    let dense = n * n / (2.0 * span) > ODDS;
    (dense || !direction.is_empty() || sorted[sorted.len() / 2].abs() >= LARGE).then_some(direction)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A number below `range` for each row, all over the range.
    fn drawn(row: usize, range: u64) -> f64 {
        (crate::data::draw::mix(7, row as u64) % range) as f64
    }

    #[test]
    fn running_numbers_are_told_and_measurements_are_not() {
        let of = |rows: usize, value: &dyn Fn(usize) -> f64| {
            direction(&(0..rows).map(|row| Some(value(row))).collect::<Vec<_>>())
        };
        assert_eq!(of(400, &|row| 3000.0 + 3.0 * row as f64), Some(", which rises from row to row"));
        assert_eq!(of(400, &|row| -(row as f64)), Some(", which falls from row to row"));
        // Shuffled numbers of 400 admissions, and hospital numbers of eight digits.
        assert_eq!(of(400, &|row| ((row * 177) % 400) as f64), Some(""));
        assert_eq!(of(200, &|row| 20_000_000.0 + (row as u64 * 7_919_317 % 60_000_001) as f64), Some(""));
        assert_eq!(of(60, &|row| 20_240_101.0 + (row % 28) as f64), Some(", dates written as numbers"));
        // Ages, counts of cells, a marker from 5 to 35,000, a time of day in minutes, reals.
        for (rows, range) in [(400, 60), (400, 400), (110, 35_000), (400, 1440)] {
            assert_eq!(of(rows, &|row| drawn(row, range)), None, "{range}");
        }
        assert_eq!(of(400, &|row| row as f64 + 0.5), None);
        assert_eq!(of(60, &|row| row as f64), None);
    }
}
