//! Columns that tell the outcome by themselves: a copy of it, or something that was only known afterwards.

use std::collections::{BTreeMap, HashMap};

use crate::data::table::Column;

/// From this area under the ROC curve, between any two classes, or share of right guesses, a column is told.
const ENOUGH: f64 = 0.995;
/// With fewer samples in a class, perfect separation may be chance.
const LEAST: usize = 10;
/// More classes are not looked at in pairs.
const MOST_CLASSES: usize = 20;

/// How well a column tells the labels of these rows, if it does so nearly perfectly: the smallest area under the ROC curve among pairs of
/// classes (numbers), or the share of rows whose class the others of the same value tell (categories and codes).
pub(super) fn telling(column: &Column, rows: &[(usize, u32)]) -> Option<f64> {
    let mut sizes: BTreeMap<u32, usize> = BTreeMap::new();
    rows.iter().for_each(|(_, label)| *sizes.entry(*label).or_default() += 1);
    let most = sizes.values().max().copied().unwrap_or(0);
    if sizes.len() < 2 || sizes.len() > MOST_CLASSES || sizes.values().any(|size| *size < LEAST) {
        return None;
    }
    let known: Vec<(f64, u32)> = match column {
        Column::Number(values) => {
            rows.iter().filter_map(|(row, label)| Some((values[*row]?, *label))).collect()
        }
        Column::Category(_) => Vec::new(),
    };
    // A column that is mostly missing tells little, however well it does where it is known.
    let area = (known.len() * 10 >= rows.len() * 9)
        .then(|| smallest_area(&known))
        .flatten()
        .filter(|area| *area >= ENOUGH);
    area.or_else(|| {
        guessed(column, rows).filter(|share| *share >= ENOUGH && *share > most as f64 / rows.len() as f64)
    })
}

/// The smallest area under the ROC curve among the pairs of classes, whichever way the values go.
fn smallest_area(known: &[(f64, u32)]) -> Option<f64> {
    let mut classes: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    known.iter().for_each(|(value, label)| classes.entry(*label).or_default().push(*value));
    let mut classes: Vec<Vec<f64>> = classes.into_values().collect();
    classes.iter_mut().for_each(|values| values.sort_by(f64::total_cmp));
    let pairs = (0..classes.len()).flat_map(|a| (a + 1..classes.len()).map(move |b| (a, b)));
    pairs.map(|(a, b)| area(&classes[a], &classes[b])).map(|area| area.max(1.0 - area)).min_by(f64::total_cmp)
}

/// The share of pairs in which the value of `b` is the larger, of sorted values; equal ones count half.
fn area(a: &[f64], b: &[f64]) -> f64 {
    let pairs = b.iter().map(|value| {
        let below = a.partition_point(|other| other < value);
        let upto = a.partition_point(|other| other <= value);
        (below + upto) as f64 / 2.0
    });
    pairs.sum::<f64>() / (a.len() * b.len()) as f64
}

/// The share of rows whose class is that of most other rows with the same value.
fn guessed(column: &Column, rows: &[(usize, u32)]) -> Option<f64> {
    let mut counts: HashMap<Option<String>, HashMap<u32, usize>> = HashMap::new();
    for (row, label) in rows {
        *counts.entry(column.text(*row)).or_default().entry(*label).or_default() += 1;
        // Values that are nearly all different tell nothing of one another.
        if counts.len() > rows.len() / 4 {
            return None;
        }
    }
    let right = |(row, label): &&(usize, u32)| {
        let own = &counts[&column.text(*row)];
        let others = |class: u32| own.get(&class).map_or(0, |count| count - usize::from(class == *label));
        own.keys().all(|class| class == label || others(*class) < others(*label))
    };
    Some(rows.iter().filter(right).count() as f64 / rows.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(n: usize) -> Vec<(usize, u32)> {
        (0..n).map(|row| (row, (row % 2) as u32)).collect()
    }

    #[test]
    fn copies_of_the_outcome_are_found_and_good_features_are_not() {
        let numbers = |of: &dyn Fn(usize) -> f64| Column::Number((0..100).map(|row| Some(of(row))).collect());
        assert_eq!(telling(&numbers(&|row| (row % 2) as f64), &rows(100)), Some(1.0));
        assert_eq!(telling(&numbers(&|row| -1000.0 * (row % 2) as f64 + row as f64), &rows(100)), Some(1.0));
        // A code whose order says nothing, but whose every value has one outcome.
        assert_eq!(telling(&numbers(&|row| [3.0, 2.0, 1.0, 4.0][row % 4]), &rows(100)), Some(1.0));
        assert_eq!(telling(&numbers(&|row| row as f64), &rows(100)), None);
        assert_eq!(
            telling(&numbers(&|row| (row % 2) as f64 * 100.0 + (row * 7 % 120) as f64), &rows(100)),
            None
        );
        let texts = Column::Category((0..100).map(|row| Some(["home", "morgue"][row % 2].into())).collect());
        assert_eq!(telling(&texts, &rows(100)), Some(1.0));
        assert_eq!(telling(&texts, &rows(18)), None);
        let unique = Column::Category((0..100).map(|row| Some(row.to_string())).collect());
        assert_eq!(telling(&unique, &rows(100)), None);
    }
}
