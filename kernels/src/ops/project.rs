//! The Euclidean projection onto the intersection of a norm ball and a box, row by row.

use super::{Operation, check_sizes};
use crate::Result;
use crate::cpu::{Context, Disjoint, math::vectorised, spread, tree};
use crate::gpu::{Adapter, Kernel};

/// The ball's norm. (The linf ball meets the box in a box: a clamp.)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ball {
    /// Sum of absolute values.
    L1,
    /// Euclidean length.
    L2,
}

/// The point nearest to `x` (in scaled units) with `low <= y <= high` and `norm((y - x0) / scale) <= radius`.
///
/// With `d = (x - x0) / scale` the solution is `y = clamp(x0 + scale * d / (1 + t), low, high)` for l2 and `y = clamp(x0 + scale *
/// sign(d) max(|d| - t, 0), low, high)` for l1, with the smallest `t >= 0` that meets the radius: the norm falls as t grows, so t is
/// found by bisection (Duchi et al. 2008 give the l1 case without the box; Croce & Hein 2021, "Mind the box", the l1 case with it).
/// `x0` lies in the box; radius 0 returns x0. The norm of the result never exceeds the radius in f32 arithmetic; where the clamped
/// candidate already lies in the ball it is returned unchanged.
///
/// Inputs: x, x0, low, high `[rows, columns]` each, scale `[columns]` (positive), radius `[rows]`. Output: y `[rows, columns]`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Project {
    /// Which norm.
    pub ball: Ball,
    /// Number of rows (lanes).
    pub rows: usize,
    /// Elements a row.
    pub columns: usize,
}

/// Accuracy to which the radius is met, and how far below it the result's norm stays so that rounding of the norm itself
/// cannot lift it above.
const SLACK: f32 = 1e-6;

impl Operation for Project {
    fn name(&self) -> &'static str {
        "project"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[rows, columns]", &[self.rows, self.columns])
    }

    fn input_lens(&self) -> Vec<usize> {
        let full = self.rows * self.columns;
        vec![full, full, full, full, self.columns, self.rows]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.rows * self.columns]
    }

    fn flops(&self) -> u64 {
        // About twenty trials of seven operations an element.
        140 * (self.rows * self.columns) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let columns = self.columns;
        let tasks = self.rows.div_ceil(ROWS);
        let work = Disjoint::new(context.scratch.take(2 * columns * tasks));
        let y = Disjoint::new(&mut *outputs[0]);
        spread(context.threads, tasks, |task| {
            // SAFETY: every task has its own part of the scratch memory and its own rows.
            let work = unsafe { work.slice(2 * columns * task, 2 * columns) };
            let (d, norms) = work.split_at_mut(columns);
            for row in task * ROWS..self.rows.min((task + 1) * ROWS) {
                let range = row * columns..(row + 1) * columns;
                let point = Point {
                    ball: self.ball,
                    x: &inputs[0][range.clone()],
                    center: &inputs[1][range.clone()],
                    low: &inputs[2][range.clone()],
                    high: &inputs[3][range.clone()],
                    scale: inputs[4],
                    radius: inputs[5][row],
                };
                // SAFETY: as above.
                let y = unsafe { y.slice(range.start, columns) };
                vectorised(
                    #[inline(always)]
                    || point.project(d, norms, y),
                );
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::project(self, adapter)
    }
}

/// Rows that one task projects.
const ROWS: usize = 4;

/// One row's problem.
struct Point<'a> {
    ball: Ball,
    x: &'a [f32],
    center: &'a [f32],
    low: &'a [f32],
    high: &'a [f32],
    scale: &'a [f32],
    radius: f32,
}

impl Point<'_> {
    #[inline(always)]
    fn project(&self, d: &mut [f32], norms: &mut [f32], y: &mut [f32]) {
        for (i, y) in y.iter_mut().enumerate() {
            *y = clamp(self.x[i], self.low[i], self.high[i]);
        }
        if self.norm(y, norms) <= self.radius {
            return;
        }
        if self.radius <= 0.0 {
            return y.copy_from_slice(self.center);
        }
        for (i, d) in d.iter_mut().enumerate() {
            *d = (self.x[i] - self.center[i]) / self.scale[i];
        }
        let target = self.radius * (1.0 - SLACK);
        let mut low = 0.0;
        let mut high = self.enough(d);
        // Rounding may leave the upper end a hair outside.
        let mut norm = self.trial(d, high, y, norms);
        let mut margin = 1e-6;
        while norm > target && margin < 1e6 {
            high = high * (1.0 + margin) + margin;
            margin *= 4.0;
            norm = self.trial(d, high, y, norms);
        }
        let mut kept = high;
        let mut last = high;
        while norm < target * (1.0 - SLACK) {
            let middle = low + 0.5 * (high - low);
            if middle <= low || middle >= high {
                break;
            }
            last = middle;
            let trial = self.trial(d, middle, y, norms);
            if trial > target {
                low = middle;
            } else {
                (high, kept, norm) = (middle, middle, trial);
            }
        }
        if kept != last {
            self.trial(d, kept, y, norms);
        }
    }

    /// A `t` at which the ball is met even where no bound helps.
    #[inline(always)]
    fn enough(&self, d: &[f32]) -> f32 {
        match self.ball {
            Ball::L1 => d.iter().fold(0.0, |most, d| if d.abs() > most { d.abs() } else { most }),
            Ball::L2 => {
                let sum = tree::sum_inline(
                    d,
                    #[inline(always)]
                    |d| d * d,
                );
                sum.sqrt() / (self.radius * (1.0 - SLACK)) - 1.0
            }
        }
    }

    /// Writes the candidate for `t` and gives its norm.
    #[inline(always)]
    fn trial(&self, d: &[f32], t: f32, y: &mut [f32], norms: &mut [f32]) -> f32 {
        match self.ball {
            Ball::L1 => {
                for i in 0..y.len() {
                    let shrunk = (d[i].abs() - t).max(0.0).copysign(d[i]);
                    y[i] = clamp(self.center[i] + self.scale[i] * shrunk, self.low[i], self.high[i]);
                }
            }
            Ball::L2 => {
                let factor = 1.0 / (1.0 + t);
                for i in 0..y.len() {
                    let shrunk = self.scale[i] * (d[i] * factor);
                    y[i] = clamp(self.center[i] + shrunk, self.low[i], self.high[i]);
                }
            }
        }
        self.norm(y, norms)
    }

    #[inline(always)]
    fn norm(&self, y: &[f32], norms: &mut [f32]) -> f32 {
        for i in 0..norms.len() {
            norms[i] = (y[i] - self.center[i]) / self.scale[i];
        }
        match self.ball {
            Ball::L1 => tree::sum_inline(
                norms,
                #[inline(always)]
                |d| d.abs(),
            ),
            Ball::L2 => tree::sum_inline(
                norms,
                #[inline(always)]
                |d| d * d,
            )
            .sqrt(),
        }
    }
}

#[inline(always)]
fn clamp(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high { high } else { x }
}
