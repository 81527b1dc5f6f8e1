//! Interpolation of images as matrices, one an axis: in the attacked graph (`models/resize.rs`) and while files are read.

use serde::{Deserialize, Serialize};

/// Interpolation as Pillow has it: a wider filter where the image becomes smaller, no clipping, no rounding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Filter {
    /// The nearest pixel.
    Nearest,
    /// Linear.
    Bilinear,
    /// Cubic (Keys 1981, a = -0.5).
    #[default]
    Bicubic,
}

/// What becomes of an image whose sides have another ratio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The shorter side is fitted, what lies outside of the middle of the longer one is cut off.
    #[default]
    Crop,
    /// Both sides are fitted.
    Squash,
}

impl Fit {
    /// All names.
    pub const NAMES: [&'static str; 2] = ["crop", "squash"];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Squash => "squash",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "crop" => Self::Crop,
            "squash" => Self::Squash,
            _ => return None,
        })
    }
}

impl Filter {
    /// All names.
    pub const NAMES: [&'static str; 3] = ["nearest", "bilinear", "bicubic"];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Nearest => "nearest",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
        }
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "nearest" => Self::Nearest,
            "bilinear" => Self::Bilinear,
            "bicubic" => Self::Bicubic,
            _ => return None,
        })
    }

    /// Where it is not 0, in pixels to each side.
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        let x = distance.abs();
        match self {
            Self::Nearest => f64::from(u8::from((-0.5..0.5).contains(&distance))),
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0,
            Self::Bicubic => 0.0,
        }
    }
}

/// Interpolation along one axis as a matrix `[to, from]`.
pub(crate) struct Resampling {
    pub(crate) to: usize,
    pub(crate) from: usize,
    /// `to * from` of them.
    pub(crate) weights: Vec<f32>,
}

impl Resampling {
    /// From `from` pixels to `whole`, of which the middle `to` are kept.
    fn new(filter: Filter, from: usize, whole: usize, to: usize) -> Self {
        let scale = from as f64 / whole as f64;
        let wider = if filter == Filter::Nearest { 1.0 } else { scale.max(1.0) };
        let first = ((whole - to) as f64 / 2.0).round_ties_even() as usize;
        let mut weights = vec![0f32; to * from];
        for (place, row) in weights.chunks_exact_mut(from).enumerate() {
            let centre = (first + place) as f64 * scale + 0.5 * scale;
            if filter == Filter::Nearest {
                row[(centre as usize).min(from - 1)] = 1.0;
                continue;
            }
            let reach = filter.support() * wider;
            let low = (centre - reach + 0.5).max(0.0) as usize;
            let high = ((centre + reach + 0.5) as usize).min(from);
            let weight = |pixel: usize| filter.weight((pixel as f64 - centre + 0.5) / wider);
            let sum: f64 = (low..high).map(weight).sum();
            (low..high).for_each(|pixel| row[pixel] = (weight(pixel) / sum) as f32);
        }
        Self { to, from, weights }
    }
}

/// The interpolation from `from` to `to` (rows, columns) along the vertical and the horizontal axis.
pub(crate) fn matrices(filter: Filter, fit: Fit, from: [usize; 2], to: [usize; 2]) -> [Resampling; 2] {
    let whole = match fit {
        Fit::Squash => to,
        Fit::Crop => {
            let tall = to[0] * from[1] > to[1] * from[0];
            // The axis whose image is the shorter one is fitted, the other follows, rounded down as torchvision does.
            if tall { [to[0], from[1] * to[0] / from[0]] } else { [from[0] * to[1] / from[1], to[1]] }
        }
    };
    [0, 1].map(|axis| Resampling::new(filter, from[axis], whole[axis].max(to[axis]), to[axis]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_resampling_sum_to_one() {
        for filter in [Filter::Nearest, Filter::Bilinear, Filter::Bicubic] {
            for [from, whole, to] in [[28, 224, 224], [30, 20, 20], [7, 12, 9], [5, 5, 5]] {
                let matrix = Resampling::new(filter, from, whole, to);
                for row in matrix.weights.chunks_exact(from) {
                    assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{filter:?} {from} {whole} {to}");
                }
            }
        }
        let same = Resampling::new(Filter::Bicubic, 3, 3, 3);
        assert_eq!(same.weights, [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]);
    }
}
