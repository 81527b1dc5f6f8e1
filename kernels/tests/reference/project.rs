//! The projection, exactly: the norm as a function of t is piecewise smooth between the t at which an element leaves its
//! bound or reaches 0, so the right piece is found by sorting and solved in closed form.

use percuss_kernels::ops::{Ball, Project};

use super::{U, Value};

pub fn project(op: &Project, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut out = Vec::new();
    for row in 0..op.rows {
        let at = |input: usize, j: usize| f64::from(inputs[input][row * op.columns + j]);
        let scale = |j: usize| f64::from(inputs[4][j]);
        let radius = f64::from(inputs[5][row]);
        let d: Vec<f64> = (0..op.columns).map(|j| (at(0, j) - at(1, j)) / scale(j)).collect();
        // How far the box lets an element go in the direction of d.
        let room: Vec<f64> = (0..op.columns)
            .map(|j| (if d[j] < 0.0 { at(1, j) - at(2, j) } else { at(3, j) - at(1, j) }) / scale(j))
            .collect();
        let lengths: Vec<f64> = d.iter().map(|d| d.abs()).collect();
        let kept = match op.ball {
            Ball::L1 => shrink(&lengths, &room, radius),
            Ball::L2 => scale_down(&lengths, &room, radius),
        };
        let norm: f64 = match op.ball {
            Ball::L1 => kept.iter().sum(),
            Ball::L2 => kept.iter().map(|k| k * k).sum::<f64>().sqrt(),
        };
        for j in 0..op.columns {
            let exact = at(1, j) + (kept[j] * scale(j)).copysign(d[j]);
            // The radius is met to 3e-6; where most elements are at their bound the few others take the difference.
            let shared = if op.ball == Ball::L1 { 4e-6 } else { 2e-5 } * norm.max(radius) * scale(j);
            let stored = 4.0 * U * (at(1, j).abs() + exact.abs());
            out.push(Value { exact, bound: shared + stored });
        }
    }
    vec![out]
}

/// min(max(length - t, 0), room) with the smallest t that brings the sum to the radius.
fn shrink(lengths: &[f64], room: &[f64], radius: f64) -> Vec<f64> {
    let at =
        |t: f64| -> Vec<f64> { lengths.iter().zip(room).map(|(l, r)| (l - t).max(0.0).min(*r)).collect() };
    let sum = |t: f64| at(t).iter().sum::<f64>();
    let mut knots: Vec<f64> =
        lengths.iter().zip(room).flat_map(|(l, r)| [*l, l - r]).filter(|t| *t > 0.0).chain([0.0]).collect();
    knots.sort_by(f64::total_cmp);
    interpolate(&knots, &sum, radius).map_or_else(|| at(0.0), at)
}

/// In a piecewise linear, falling function the argument at which it has a value; none if it starts below.
fn interpolate(knots: &[f64], sum: &impl Fn(f64) -> f64, target: f64) -> Option<f64> {
    if sum(0.0) <= target {
        return None;
    }
    let right = knots.iter().position(|&t| sum(t) <= target)?;
    let (a, b) = (knots[right - 1], knots[right]);
    let (fa, fb) = (sum(a), sum(b));
    Some(a + (fa - target) / (fa - fb) * (b - a))
}

/// min(u length, room) with the largest u <= 1 that brings the Euclidean length to the radius.
fn scale_down(lengths: &[f64], room: &[f64], radius: f64) -> Vec<f64> {
    let at = |u: f64| -> Vec<f64> { lengths.iter().zip(room).map(|(l, r)| (u * l).min(*r)).collect() };
    let norm = |u: f64| at(u).iter().map(|k| k * k).sum::<f64>().sqrt();
    if norm(1.0) <= radius {
        return at(1.0);
    }
    let mut knots: Vec<f64> = lengths.iter().zip(room).map(|(l, r)| r / l).filter(|u| *u < 1.0).collect();
    knots.extend([0.0, 1.0]);
    knots.sort_by(f64::total_cmp);
    let right = knots.iter().position(|&u| norm(u) >= radius).unwrap_or(knots.len() - 1);
    let start = knots[right.saturating_sub(1)];
    // Beyond `start` the elements at their bound stay, the others grow with u.
    let stopped = |l: f64, r: f64| r / l <= start;
    let pairs = || lengths.iter().zip(room).map(|(l, r)| (*l, *r));
    let fixed: f64 = pairs().filter(|&(l, r)| stopped(l, r)).map(|(_, r)| r * r).sum();
    let free: f64 = pairs().filter(|&(l, r)| !stopped(l, r)).map(|(l, _)| l * l).sum();
    at(((radius * radius - fixed).max(0.0) / free).sqrt())
}

/// The norm of every row's distance from the center in scaled units, beside its radius.
pub fn norms_and_radii(op: &Project, inputs: &[Vec<f32>], y: &[f32]) -> Vec<(f64, f64)> {
    let row = |(row, y): (usize, &[f32])| {
        let center = &inputs[1][row * op.columns..];
        let d = y
            .iter()
            .zip(center)
            .zip(&inputs[4])
            .map(|((y, c), s)| (f64::from(*y) - f64::from(*c)) / f64::from(*s));
        let norm = match op.ball {
            Ball::L1 => d.map(f64::abs).sum::<f64>(),
            Ball::L2 => d.map(|d| d * d).sum::<f64>().sqrt(),
        };
        (norm, f64::from(inputs[5][row]))
    };
    y.chunks_exact(op.columns).enumerate().map(row).collect()
}
