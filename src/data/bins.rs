//! Columns of numbers in ranges, so that results can be broken down by age groups.

use super::{Dataset, Remark};
use crate::{Error, Result};

/// The ranges that a column's numbers are put into.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// The column.
    pub column: String,
    /// Where ranges begin, increasing; the last one has no end.
    pub edges: Vec<f64>,
}

/// An age as DICOM writes it (`045Y`, `006M`, `012W`, `003D`) in years; other texts as they are.
pub(super) fn years_text(text: &str) -> String {
    years(text).map_or_else(|| text.to_string(), |years| years.to_string())
}

fn years(text: &str) -> Option<f64> {
    let digits = text.get(..3).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
    let number: f64 = digits.parse().ok()?;
    Some(match text.get(3..)? {
        "Y" => number,
        "M" => number / 12.0,
        "W" => number * 7.0 / 365.25,
        "D" => number / 365.25,
        _ => return None,
    })
}

impl Bins {
    /// Puts the column's ranges in the place of its numbers: `< 0`, `[0, 18)`, `[18, 40)`, `>= 40`. Missing values stay missing.
    ///
    /// # Errors
    /// A value that is no number, with its sample.
    pub fn apply(&self, dataset: &mut Dataset) -> Result<()> {
        let Some(values) = dataset.subgroups.get_mut(&self.column) else { return Ok(()) };
        let mut missing = 0;
        for (value, index) in values.iter_mut().zip(&dataset.index) {
            let text = value.trim();
            if text.is_empty() || text == "missing" {
                missing += 1;
                continue;
            }
            let number = text.parse().ok().or_else(|| years(text)).filter(|number: &f64| number.is_finite());
            let Some(number) = number else {
                let place = format!("bins, column `{}`, sample {index}", self.column);
                return Err(Error::input(&dataset.name, place, format!("`{text}`"), "a number"));
            };
            *value = self.range(number);
        }
        if missing > 0 {
            let text = format!("{missing} samples have no `{}`: a subgroup called missing", self.column);
            dataset.remarks.push(Remark::note(text));
        }
        Ok(())
    }

    fn range(&self, number: f64) -> String {
        match self.edges.partition_point(|&edge| edge <= number) {
            0 => format!("< {}", self.edges[0]),
            at if at == self.edges.len() => format!(">= {}", self.edges[at - 1]),
            at => format!("[{}, {})", self.edges[at - 1], self.edges[at]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_their_lower_edge() {
        let bins = Bins { column: "age".into(), edges: vec![0.0, 18.0, 40.0, 65.0] };
        let ranges = [-1.0, 0.0, 17.9, 18.0, 64.0, 65.0, 120.0].map(|age| bins.range(age));
        assert_eq!(ranges, ["< 0", "[0, 18)", "[0, 18)", "[18, 40)", "[40, 65)", ">= 65", ">= 65"]);
    }

    #[test]
    fn ages_of_dicom_are_years() {
        assert_eq!(
            ["045Y", "006M", "45", "unknown", "1e3Y"].map(years_text),
            ["45", "0.5", "45", "unknown", "1e3Y"]
        );
    }
}
