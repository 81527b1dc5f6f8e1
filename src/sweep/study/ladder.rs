//! Ladders: a value, a list of values, `{ linspace = [a, b, n] }` or `{ logspace = [a, b, n] }`.

use super::amount::fraction;
use crate::Result;
use crate::document::Item;

/// Values of one `linspace` or `logspace` at most.
const MOST: u64 = 10_000;

/// A rung of a ladder.
#[derive(Clone, Debug)]
pub(super) struct Rung<'t> {
    /// Where it is written.
    pub(super) item: Item<'t>,
    /// The number, if `linspace` or `logspace` made it.
    pub(super) made: Option<f64>,
    /// What it is divided by, if it was made of fractions.
    pub(super) under: Option<f64>,
    /// Ends and count of the `linspace` that made it.
    pub(super) even: Option<[f64; 3]>,
}

impl Rung<'_> {
    /// The number, wherever it came from.
    pub(super) fn number(&self) -> Result<f64> {
        match (self.made, self.under) {
            (Some(_), Some(_)) => Err(self.item.error("numbers, not fractions")),
            (Some(made), None) => Ok(made),
            (None, _) => self.item.number(),
        }
    }

    /// A word for it in errors.
    pub(super) fn found(&self) -> String {
        self.made.map_or_else(|| self.item.found(), |value| value.to_string())
    }
}

/// All rungs of a value.
pub(super) fn rungs<'t>(item: &Item<'t>) -> Result<Vec<Rung<'t>>> {
    let mut rungs = Vec::new();
    for value in item.values()? {
        if value.is_list() {
            return Err(value.error("a value, not a list within a list"));
        }
        match made(&value)? {
            Some(Made { numbers, under, even }) => {
                let rung = |made| Rung { item: value.clone(), made: Some(made), under, even };
                rungs.extend(numbers.into_iter().map(rung));
            }
            None => rungs.push(Rung { item: value, made: None, under: None, even: None }),
        }
    }
    Ok(rungs)
}

/// What a `linspace` or `logspace` makes.
struct Made {
    numbers: Vec<f64>,
    under: Option<f64>,
    even: Option<[f64; 3]>,
}

/// The numbers of a `linspace` or `logspace`, if it is one: from a number to a number, or from a fraction to one of the same denominator.
fn made(item: &Item) -> Result<Option<Made>> {
    let Some(table) = item.as_table() else { return Ok(None) };
    let Some((space, key)) =
        [(linspace as fn(f64, f64, usize) -> Vec<f64>, "linspace"), (logspace, "logspace")]
            .into_iter()
            .find(|(_, key)| table.get(key).is_some())
    else {
        return Ok(None);
    };
    table.allow(&[key])?;
    let item = table.require(key, "[first, last, how many]")?;
    let values = item.values()?;
    let [first, last, count] = values.as_slice() else {
        return Err(item.error_found(format!("{} values", values.len()), "[first, last, how many]"));
    };
    let (low, expected) =
        if key == "logspace" { (f64::MIN_POSITIVE, "a positive number") } else { (f64::MIN, "a number") };
    let parts = |end: &Item| end.word().ok().and_then(fraction);
    let (a, b, under) = match (parts(first), parts(last)) {
        (Some([a, under]), Some([b, other])) if under == other => (a, b, Some(under)),
        (None, None) => (first.number_in(low.., expected)?, last.number_in(low.., expected)?, None),
        _ => {
            return Err(last.error(
                "the end in the form of the first value: a number, or a fraction of its denominator",
            ));
        }
    };
    let count = count.whole(2, MOST)?;
    let even = (key == "linspace").then_some([a, b, count as f64]);
    Ok(Some(Made { numbers: space(a, b, count as usize), under, even }))
}

/// `n >= 2` numbers from `a` to `b` inclusive at equal distances, as decimals that are short beside the distance.
pub fn linspace(a: f64, b: f64, n: usize) -> Vec<f64> {
    let distance = ((b - a) / (n - 1) as f64).abs();
    let middle = (1..n - 1).map(|i| short(a + (b - a) * i as f64 / (n - 1) as f64, distance));
    [a].into_iter().chain(middle).chain([b]).collect()
}

/// `n >= 2` positive numbers from `a` to `b` inclusive at equal ratios, as short decimals.
pub fn logspace(a: f64, b: f64, n: usize) -> Vec<f64> {
    let rate = (b / a).ln() / (n - 1) as f64;
    let middle = (1..n - 1).map(|i| {
        let value = a * (rate * i as f64).exp();
        short(value, value * (rate.abs().exp() - 1.0).min(1.0))
    });
    [a].into_iter().chain(middle).chain([b]).collect()
}

/// `value` rounded to six significant digits of `distance`.
fn short(value: f64, distance: f64) -> f64 {
    if distance <= 0.0 || !distance.is_finite() {
        return value;
    }
    let decimals = (5.0 - distance.log10().floor()).clamp(0.0, 300.0) as usize;
    format!("{value:.decimals$}").parse().unwrap_or(value)
}

/// The f64 whose decimal has twelve significant digits: `0.1 * 3` is 0.3.
pub fn canonical(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_points_are_exact_and_what_lies_between_is_short() {
        assert_eq!(linspace(0.0, 1.0, 5), [0.0, 0.25, 0.5, 0.75, 1.0]);
        assert_eq!(linspace(0.0, 1.0, 7)[1], 0.166667);
        assert_eq!(linspace(-1.0, 1.0, 3)[1], 0.0);
        assert_eq!(linspace(1e6, 1e6 + 1.0, 11)[3], 1_000_000.3);
        assert_eq!(linspace(1.0, 0.0, 11)[7], 0.3);
        assert_eq!(logspace(1.0, 1000.0, 4), [1.0, 10.0, 100.0, 1000.0]);
        assert_eq!(logspace(0.001, 10.0, 5), [0.001, 0.01, 0.1, 1.0, 10.0]);
        let ladder = logspace(50.0, 2000.0, 8);
        assert_eq!((ladder[0], ladder[1], ladder[7]), (50.0, 84.6907, 2000.0));
        assert_eq!(canonical(0.1 * 3.0), 0.3);
    }
}
