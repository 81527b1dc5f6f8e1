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
    let Ok(written) = rung.item.word() else { return positive(rung).map(Amount::Units) };
    let expected = "a positive number, or a fraction such as \"8/255\"";
    let refused = || rung.item.error(expected);
    let (over, under) = written.split_once('/').ok_or_else(refused)?;
    let part = |text: &str| text.trim().parse::<f64>().ok().filter(|part| fits(*part));
    match (part(over), part(under)) {
        (Some(over), Some(under)) if fits(over / under) => Ok(Amount::Fraction { over, under }),
        _ => Err(refused()),
    }
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
