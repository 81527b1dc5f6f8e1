//! Images brought to one size while they are read.

use super::{Picture, Stored};
use crate::resampling::{Filter, Fit, Resampling, matrices};

/// The size that all images are brought to while they are read, before any attack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resize {
    /// Rows and columns.
    pub size: [usize; 2],
    /// How pixels are interpolated: as Pillow does it, but without rounding to whole pixels.
    pub filter: Filter,
    /// What becomes of another ratio of the sides.
    pub fit: Fit,
}

impl Resize {
    /// The image in the new size. One that has it already is left as it is, and so are words: what they mean must be known first.
    pub(crate) fn apply(&self, picture: Picture) -> Picture {
        if picture.size == self.size || matches!(picture.stored, Stored::Words(_)) {
            return picture;
        }
        let [rows, columns] = matrices(self.filter, self.fit, picture.size, self.size);
        let channels = picture.channels;
        let width = picture.size[1];
        let physical = match &picture.stored {
            Stored::Physical { unit, bounds, .. } => Some((unit.clone(), *bounds)),
            _ => None,
        };
        let values = picture.stored.into_numbers();
        let [low, high] = physical.as_ref().map_or([0.0, 255.0], |(_, bounds)| *bounds);
        // Columns first as Pillow does it; cubic weights overshoot, and no pixel lies outside of what a file can hold.
        let across = along(&values, &columns, channels, width * channels);
        let down = along(&across, &rows, self.size[1] * channels, picture.size[0] * self.size[1] * channels);
        let values = down.into_iter().map(|value| value.clamp(low, high)).collect();
        let stored = match physical {
            Some((unit, bounds)) => Stored::Physical { values, unit, bounds },
            None => Stored::Pixels(values),
        };
        Picture { size: self.size, stored, ..picture }
    }
}

/// Blocks `[from, inner]` of `block` values each, interpolated to `[to, inner]`.
fn along(values: &[f32], matrix: &Resampling, inner: usize, block: usize) -> Vec<f32> {
    let mut result = Vec::with_capacity(values.len() / matrix.from * matrix.to);
    for own in values.chunks_exact(block) {
        for weights in matrix.weights.chunks_exact(matrix.from) {
            let first = weights.iter().position(|&weight| weight != 0.0).unwrap_or(0);
            let last = weights.iter().rposition(|&weight| weight != 0.0).unwrap_or(first);
            let mut sums = vec![0f64; inner];
            for (place, &weight) in weights.iter().enumerate().take(last + 1).skip(first) {
                for (sum, &value) in sums.iter_mut().zip(&own[place * inner..][..inner]) {
                    *sum += f64::from(weight) * f64::from(value);
                }
            }
            result.extend(sums.into_iter().map(|sum| sum as f32));
        }
    }
    result
}
