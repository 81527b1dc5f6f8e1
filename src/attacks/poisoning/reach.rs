//! How far a crafted poison may go from the sample that it was made of.

use crate::attacks::columns::{entry, mutable};
use crate::data::Dataset;

/// The box around a base sample: `magnitude` in the domain's scaled units, cut to the data's bounds; immutable features and categories
/// are fixed.
pub(super) struct Reach {
    pub low: Vec<f32>,
    pub high: Vec<f32>,
}

impl Reach {
    pub fn new(data: &Dataset, base: &[f32], magnitude: f64) -> Self {
        let mut reach = Self { low: base.to_vec(), high: base.to_vec() };
        for column in mutable(data).iter().filter(|column| !column.category) {
            let i = column.values.start;
            let edge =
                |sign: f64| inside(base[i], sign * magnitude * f64::from(entry(&data.domain.scale, i)));
            reach.low[i] = edge(-1.0).max(entry(&data.domain.low, i).min(base[i]));
            reach.high[i] = edge(1.0).min(entry(&data.domain.high, i).max(base[i]));
        }
        reach
    }

    /// The nearest value that feature `i` may take.
    pub fn clamp(&self, i: usize, value: f64) -> f32 {
        (value as f32).clamp(self.low[i], self.high[i])
    }
}

/// `base + change` as the f32 that is not farther from `base`.
fn inside(base: f32, change: f64) -> f32 {
    let mut edge = (f64::from(base) + change) as f32;
    while (f64::from(edge) - f64::from(base)).abs() > change.abs() {
        edge = if change > 0.0 { edge.next_down() } else { edge.next_up() };
    }
    edge
}
