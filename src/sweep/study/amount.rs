//! How large a budget or a step is, as a study writes it.

use std::fmt;

use super::ladder::Rung;
use crate::Result;

/// A number in the data's unit, or a fraction as budgets of pixels are written elsewhere: `"8/255"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// In the data's unit, positive.
    Units(f64),
    /// `over / under`, both positive: so much where values lie between 0 and 1, and `over` where they lie between 0 and `under`.
    Fraction {
        /// Above the line.
        over: f64,
        /// Below it.
        under: f64,
    },
}

impl Amount {
    /// What it is in the unit of data whose values lie in `range`; `None` for a fraction that could mean several things there.
    pub fn in_units(self, range: [f64; 2]) -> Option<f64> {
        match self {
            Self::Units(units) => Some(units),
            Self::Fraction { over, under } if range == [0.0, 1.0] => Some(over / under),
            Self::Fraction { over, under } => (range == [0.0, under]).then_some(over),
        }
    }

    /// From 0 to what values may lie that are seen in `range`, by this fraction: 1, or its denominator.
    pub fn range_around(self, [low, high]: [f64; 2]) -> Option<f64> {
        let Self::Fraction { under, .. } = self else { return None };
        [1.0, under].into_iter().find(|most| low >= 0.0 && high <= *most)
    }

    /// What stands for it where the data are not known: different amounts stay different.
    pub fn in_unknown_units(self) -> f64 {
        match self {
            Self::Units(units) => units,
            Self::Fraction { over, under } => over / under,
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Units(units) => write!(f, "{units}"),
            Self::Fraction { over, under } => write!(f, "\"{over}/{under}\""),
        }
    }
}

/// A positive number that f32 holds, or a fraction of two.
pub(super) fn amount(rung: &Rung) -> Result<Amount> {
    if let Some((over, under)) = rung.made.zip(rung.under) {
        return Ok(Amount::Fraction { over, under });
    }
    let Ok(written) = rung.item.word() else { return positive(rung).map(Amount::Units) };
    let expected = "a positive number, or a fraction such as \"8/255\"";
    let refused = || rung.item.error(expected);
    let [over, under] = fraction(written).ok_or_else(refused)?;
    Ok(Amount::Fraction { over, under })
}

/// What stands above and below the line of a fraction, both positive.
pub(super) fn fraction(written: &str) -> Option<[f64; 2]> {
    let part = |text: &str| text.trim().parse::<f64>().ok().filter(|part| fits(*part));
    let (over, under) = written.split_once('/')?;
    let (over, under) = (part(over)?, part(under)?);
    fits(over / under).then_some([over, under])
}

/// A positive number that f32 holds.
pub(super) fn positive(rung: &Rung) -> Result<f64> {
    let expected = "a positive number";
    let value = rung.number().map_err(|_| rung.item.error(expected))?;
    if fits(value) { Ok(value) } else { Err(rung.item.error_found(rung.found(), expected)) }
}

/// Whether it is positive, also as the f32 that attacks compute with.
fn fits(value: f64) -> bool {
    value.is_finite() && value as f32 > 0.0 && (value as f32).is_finite()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_is_of_pixels_or_of_one_and_nothing_else() {
        let eight = Amount::Fraction { over: 8.0, under: 255.0 };
        assert_eq!(eight.in_units([0.0, 255.0]), Some(8.0));
        assert_eq!(eight.in_units([0.0, 1.0]), Some(8.0 / 255.0));
        for range in [[-1.0, 1.0], [0.0, 4095.0], [0.0, 0.98], [1.0, 255.0]] {
            assert_eq!(eight.in_units(range), None, "{range:?}");
            assert_eq!(Amount::Units(3.0).in_units(range), Some(3.0));
        }
    }
}
