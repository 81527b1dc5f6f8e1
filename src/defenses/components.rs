//! Independent components: directions along which data are least Gaussian.

use super::linear::{dot, jacobi, principal};
use crate::training::random::{Stream, name_number};

const MOST_STEPS: usize = 200;
/// It has converged when no direction turns by more than this (1 - |cosine|).
const TURN: f64 = 1e-8;

/// The coordinates of each row along at most `k` principal components.
pub fn principal_coordinates(rows: &[&[f64]], k: usize) -> Vec<Vec<f64>> {
    let found = principal(rows, k);
    rows.iter().map(|row| found.coordinates(row)).collect()
}

/// The coordinates of each row along at most `k` independent components of unit variance, in no particular order.
///
/// FastICA with all directions at once and the logarithm of the hyperbolic cosine (Hyvarinen 1999, Fast and robust fixed-point algorithms
/// for independent component analysis, IEEE Transactions on Neural Networks 10:626), after whitening.
pub fn independent_coordinates(rows: &[&[f64]], k: usize) -> Vec<Vec<f64>> {
    let found = principal(rows, k);
    let (n, k) = (rows.len() as f64, found.axes.len());
    let deviations: Vec<f64> = found.power.iter().map(|power| (power / n).sqrt()).collect();
    let white: Vec<Vec<f64>> = rows
        .iter()
        .map(|row| found.coordinates(row).iter().zip(&deviations).map(|(x, sd)| x / sd).collect())
        .collect();
    let mut stream = Stream::new(0, &[name_number("independent components")]);
    let start: Vec<Vec<f64>> = (0..k).map(|_| (0..k).map(|_| f64::from(stream.normal())).collect()).collect();
    let mut directions = decorrelate(&start);
    for _ in 0..MOST_STEPS {
        let next = decorrelate(&directions.iter().map(|w| fixed_point(w, &white)).collect::<Vec<_>>());
        let turned = next.iter().zip(&directions).map(|(a, b)| 1.0 - dot(a, b).abs()).fold(0.0, f64::max);
        directions = next;
        if turned <= TURN {
            break;
        }
    }
    white.iter().map(|row| directions.iter().map(|w| dot(w, row)).collect()).collect()
}

/// `E[z tanh(w.z)] - E[1 - tanh^2(w.z)] w`.
fn fixed_point(w: &[f64], white: &[Vec<f64>]) -> Vec<f64> {
    let n = white.len() as f64;
    let (mut drawn, mut slope) = (vec![0.0; w.len()], 0.0);
    for z in white {
        let g = dot(w, z).tanh();
        drawn.iter_mut().zip(z).for_each(|(sum, z)| *sum += z * g / n);
        slope += (1.0 - g * g) / n;
    }
    drawn.iter().zip(w).map(|(drawn, w)| drawn - slope * w).collect()
}

/// `(W W^T)^(-1/2) W`: the orthonormal directions nearest to W's rows.
fn decorrelate(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let k = rows.len();
    let products: Vec<f64> = rows.iter().flat_map(|a| rows.iter().map(move |b| dot(a, b))).collect();
    let eigen = jacobi(&products, k);
    let root = |i: usize, j: usize| -> f64 {
        let terms = eigen.values.iter().zip(&eigen.vectors);
        terms.map(|(value, v)| v[i] * v[j] / value.max(1e-300).sqrt()).sum()
    };
    (0..k)
        .map(|i| {
            let weights: Vec<f64> = (0..k).map(|j| root(i, j)).collect();
            (0..k).map(|c| (0..k).map(|j| weights[j] * rows[j][c]).sum()).collect()
        })
        .collect()
}
