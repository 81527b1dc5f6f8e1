//! Where a lane starts and where it may go: its box, its random start, and the measure of what it found, on the host in f64.

use std::f64::consts::TAU;
use std::ops::Range;

use percuss_kernels::ops::threefry2x32;

use crate::attacks::Norm;
use crate::data::Domain;

/// A lane's box: lower and upper bound of every feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Bounds {
    /// Lower bounds.
    pub low: Vec<f32>,
    /// Upper bounds.
    pub high: Vec<f32>,
}

/// Entry `i` of a vector that has one value for all features, or one each.
fn at(values: &[f32], i: usize) -> f64 {
    f64::from(if values.len() == 1 { values[0] } else { values[i] })
}

impl Bounds {
    /// What an attack may do to `x0`: the data's bounds (widened to hold x0 itself), immutable features fixed, and under linf the ball,
    /// rounded inwards so that `|x - x0| / scale <= eps` holds exactly in f64. One-hot features move within [0, 1] if the budget
    /// pays for a flip, else not at all.
    pub fn new(x0: &[f32], domain: &Domain, norm: Norm, eps: f64) -> Self {
        let mut bounds = Self { low: Vec::with_capacity(x0.len()), high: Vec::with_capacity(x0.len()) };
        for (i, &value) in x0.iter().enumerate() {
            let scale = at(&domain.scale, i);
            let group = domain.category_of(i);
            let fixed = domain.immutable.get(i).copied().unwrap_or(false)
                || group.is_some_and(|group| !pays_for_flip(group, x0, &domain.scale, norm, eps));
            let (low, high) = if fixed {
                (value, value)
            } else {
                let (low, high) =
                    if group.is_some() { (0.0, 1.0) } else { (at(&domain.low, i), at(&domain.high, i)) };
                let (low, high) = ((low as f32).min(value), (high as f32).max(value));
                match norm {
                    Norm::Linf => {
                        (low.max(reach(value, scale, eps, -1.0)), high.min(reach(value, scale, eps, 1.0)))
                    }
                    Norm::L2 | Norm::L1 | Norm::Tokens => (low, high),
                }
            };
            bounds.low.push(low);
            bounds.high.push(high);
        }
        // A category's flip must be open to every one of its features, or to none.
        for group in &domain.one_hot {
            if group.clone().any(|i| bounds.low[i] == bounds.high[i]) {
                for i in group.clone() {
                    (bounds.low[i], bounds.high[i]) = (x0[i], x0[i]);
                }
            }
        }
        bounds
    }

    fn clamp(&self, i: usize, value: f64) -> f32 {
        (value as f32).clamp(self.low[i], self.high[i])
    }
}

/// Whether the budget pays for leaving the clean category of `group`: for the cheapest other one, under linf for every one.
fn pays_for_flip(group: &Range<usize>, x0: &[f32], scale: &[f32], norm: Norm, eps: f64) -> bool {
    let price = |i: usize| 1.0 / at(scale, i);
    let Some(clean) = group.clone().find(|&i| x0[i] == 1.0) else { return false };
    let mut others = group.clone().filter(|&i| i != clean);
    match norm {
        Norm::Linf => group.clone().all(|i| price(i) <= eps),
        Norm::L2 => others.any(|i| price(clean).hypot(price(i)) <= eps),
        Norm::L1 => others.any(|i| price(clean) + price(i) <= eps),
        Norm::Tokens => false,
    }
}

/// The f32 farthest from `x0` in direction `sign` that is still within `eps * scale`.
fn reach(x0: f32, scale: f64, eps: f64, sign: f64) -> f32 {
    let mut edge = (f64::from(x0) + sign * eps * scale) as f32;
    while ((f64::from(edge) - f64::from(x0)) / scale).abs() > eps {
        edge = if sign > 0.0 { edge.next_down() } else { edge.next_up() };
    }
    edge
}

/// The norm of `x - x0` in scaled units; of a text the number of words that differ.
pub fn distance(norm: Norm, x: &[f32], x0: &[f32], scale: &[f32]) -> f64 {
    let units = x
        .iter()
        .zip(x0)
        .enumerate()
        .map(|(i, (&x, &x0))| ((f64::from(x) - f64::from(x0)) / at(scale, i)).abs());
    match norm {
        Norm::Linf => units.fold(0.0, f64::max),
        Norm::L2 => units.map(|u| u * u).sum::<f64>().sqrt(),
        Norm::L1 => units.sum(),
        Norm::Tokens => units.filter(|u| *u != 0.0).count() as f64,
    }
}

/// Number of features that changed.
pub fn changed(x: &[f32], x0: &[f32]) -> u64 {
    x.iter().zip(x0).filter(|(x, x0)| x != x0).count() as u64
}

/// A stream of random numbers that depends on its key alone.
struct Stream {
    key: [u32; 2],
    block: u32,
}

impl Stream {
    /// Two uniform numbers in [0, 1).
    fn pair(&mut self) -> [f64; 2] {
        let words = threefry2x32(self.key, [self.block, 0]);
        self.block += 1;
        words.map(|word| f64::from(word >> 8) / f64::from(1u32 << 24))
    }

    fn normal(&mut self) -> f64 {
        let [u, v] = self.pair();
        (-2.0 * (1.0 - u).ln()).sqrt() * (TAU * v).cos()
    }

    fn laplace(&mut self) -> f64 {
        let [u, v] = self.pair();
        let size = -(1.0 - u).ln();
        if v < 0.5 { size } else { -size }
    }
}

/// A uniformly random point of the ball of radius `eps` around x0, cut to the bounds.
///
/// linf: every feature uniform. l2: a Gaussian direction, l1: a Laplace direction, each with radius `eps * u^(1/n)` (n features that can
/// move). One-hot features start clean.
pub fn random_start(
    norm: Norm,
    eps: f64,
    x0: &[f32],
    bounds: &Bounds,
    domain: &Domain,
    key: [u32; 2],
) -> Vec<f32> {
    if norm == Norm::Tokens {
        // Words are not drawn.
        return x0.to_vec();
    }
    let mut stream = Stream { key, block: 0 };
    let movable = |i: usize| bounds.low[i] < bounds.high[i] && domain.category_of(i).is_none();
    let mut units: Vec<f64> = (0..x0.len())
        .map(|i| {
            let draw = match norm {
                Norm::Linf => eps * (2.0 * stream.pair()[0] - 1.0),
                Norm::L2 => stream.normal(),
                Norm::L1 | Norm::Tokens => stream.laplace(),
            };
            if movable(i) { draw } else { 0.0 }
        })
        .collect();
    if norm != Norm::Linf {
        let length = match norm {
            Norm::L2 => units.iter().map(|u| u * u).sum::<f64>().sqrt(),
            _ => units.iter().map(|u| u.abs()).sum(),
        };
        let dimensions = (0..x0.len()).filter(|&i| movable(i)).count().max(1);
        // A hair inside, so that rounding to f32 does not leave the ball.
        let radius = eps * (1.0 - 1e-5) * stream.pair()[0].powf(1.0 / dimensions as f64);
        units.iter_mut().for_each(|u| *u *= if length > 0.0 { radius / length } else { 0.0 });
    }
    units
        .iter()
        .enumerate()
        .map(|(i, u)| bounds.clamp(i, f64::from(x0[i]) + u * at(&domain.scale, i)))
        .collect()
}

/// An earlier iterate as a start within another budget: the change shrunk into the ball, cut to the bounds; one-hot features clean.
pub fn within(norm: Norm, eps: f64, x: &[f32], x0: &[f32], bounds: &Bounds, domain: &Domain) -> Vec<f32> {
    let mut start = x.to_vec();
    for i in domain.one_hot.iter().cloned().flatten() {
        start[i] = x0[i];
    }
    let length = distance(norm, &start, x0, &domain.scale);
    if norm == Norm::Tokens {
        return if length <= eps { start } else { x0.to_vec() };
    }
    // Bounds hold the linf ball; in the others a hair inside, so that rounding to f32 does not leave it.
    let shrink = if norm == Norm::Linf || length <= eps { 1.0 } else { (1.0 - 1e-5) * eps / length };
    for (i, (start, &x0)) in start.iter_mut().zip(x0).enumerate() {
        *start = bounds.clamp(i, f64::from(x0) + shrink * (f64::from(*start) - f64::from(x0)));
    }
    start
}
