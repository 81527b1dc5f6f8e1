//! A search for the nearest decision boundary that sees decisions alone (Chen, Jordan & Wainwright 2020, HopSkipJumpAttack, arXiv
//! 1904.02144, algorithm 2, l2 and untargeted).
//!
//! It runs in units of `scale`, cut to the domain's bounds. A feature whose bounds are equal never moves.

use crate::training::random::{Stream, name_number};
use crate::{Error, Result};

/// Queries for the first estimate of the boundary's normal; the t-th takes sqrt(t) times as many (the paper's B0).
const FIRST_ESTIMATE: usize = 100;
/// Uniform points that are tried for a start, at most.
const STARTS: usize = 100;
/// Points asked at once while a start is sought.
const START_BATCH: usize = 10;
/// A bisection along a line ends at the paper's d^(-3/2) of its length, but no finer than f32 can tell.
const FINEST_BISECTION: f64 = 1e-6;
/// Probes lie at the paper's 1/d of the distance, but no nearer than f32 can tell.
const NEAREST_PROBE: f64 = 1e-3;
/// Halvings of a jump that the budget of an estimate leaves room for.
const SHORT_JUMP: usize = 5;

/// Where the search may go: one value a feature in each.
#[derive(Clone, Copy, Debug)]
pub struct Region<'a> {
    /// Smallest value, finite.
    pub low: &'a [f32],
    /// Largest value, finite; equal to `low` for a feature that cannot change.
    pub high: &'a [f32],
    /// What a distance of 1 means for the feature, positive.
    pub scale: &'a [f32],
}

/// How long the search may take, and its random numbers.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// Decisions asked for at most, 1 or more.
    pub queries: usize,
    /// The study's seed.
    pub seed: u64,
    /// The sample's stable index: its random numbers do not depend on which others are searched.
    pub sample: u64,
}

/// The nearest point of another decision that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Nearest {
    /// It, as it was asked.
    pub point: Vec<f32>,
    /// Its l2 distance in units of `scale`; never below the true distance, for the point was asked.
    pub distance: f64,
    /// Decisions asked for.
    pub queries: usize,
}

/// The nearest point to `origin` that `decide` does not take for `label`; at distance 0 if `origin` is such a point; `None` where no start was
/// found. `decide` answers a batch of points with one class each; its errors are passed on.
pub fn hop_skip_jump(
    origin: &[f32],
    label: u32,
    region: Region,
    effort: Effort,
    decide: &mut dyn FnMut(&[Vec<f32>]) -> Result<Vec<u32>>,
) -> Result<Option<Nearest>> {
    check(origin, region, effort)?;
    let stream = Stream::new(effort.seed, &[name_number("hop-skip-jump"), effort.sample]);
    let mut search = Search { origin, label, region, left: effort.queries, best: None, stream, decide };
    if search.ask(&[vec![0.0; origin.len()]])?[0] {
        return Ok(search.best(effort));
    }
    let Some(mut point) = search.start()? else { return Ok(None) };
    let mut round = 1.0_f64;
    while search.left > 0 {
        point = search.bisect(point)?;
        let reach = length(&point);
        let Some(normal) = search.normal(&point, reach, round)? else { break };
        point = search.jump(point, &normal, reach / round.sqrt())?;
        round += 1.0;
    }
    Ok(search.best(effort))
}

/// Where a bisection over `features` features ends, as a part of the line.
fn tolerance(features: usize) -> f64 {
    (features as f64).powf(-1.5).max(FINEST_BISECTION)
}

fn check(origin: &[f32], region: Region, effort: Effort) -> Result<()> {
    let bad = |place: &str, found: String, expected: &str| {
        Err(Error::input("hop-skip-jump", place, found, expected))
    };
    if effort.queries == 0 {
        return bad("queries", "0".into(), "1 or more");
    }
    for (name, values) in [("low", region.low), ("high", region.high), ("scale", region.scale)] {
        if values.len() != origin.len() {
            return bad(
                name,
                format!("{} values", values.len()),
                &format!("{}, one a feature", origin.len()),
            );
        }
    }
    for (k, &x) in origin.iter().enumerate() {
        let (low, high, scale) = (region.low[k], region.high[k], region.scale[k]);
        if !(low.is_finite() && high.is_finite() && low <= x && x <= high) {
            return bad(
                &format!("feature {k}"),
                format!("{x} in [{low}, {high}]"),
                "a value within finite bounds",
            );
        }
        if !(scale.is_finite() && scale > 0.0) {
            return bad(&format!("scale of feature {k}"), scale.to_string(), "a positive number");
        }
    }
    Ok(())
}

/// A search under way. Points are offsets from the origin in units of `scale`.
struct Search<'a> {
    origin: &'a [f32],
    label: u32,
    region: Region<'a>,
    left: usize,
    /// Distance and point of the nearest that was asked and is of another decision.
    best: Option<(f64, Vec<f32>)>,
    stream: Stream,
    decide: &'a mut dyn FnMut(&[Vec<f32>]) -> Result<Vec<u32>>,
}

impl Search<'_> {
    fn best(&self, effort: Effort) -> Option<Nearest> {
        let (distance, point) = self.best.clone()?;
        Some(Nearest { point, distance, queries: effort.queries - self.left })
    }

    /// Whether each point is of another decision; asks for the first `left` of them alone.
    fn ask(&mut self, offsets: &[Vec<f64>]) -> Result<Vec<bool>> {
        let points: Vec<Vec<f32>> = offsets.iter().take(self.left).map(|offset| self.place(offset)).collect();
        if points.is_empty() {
            return Ok(Vec::new());
        }
        self.left -= points.len();
        let decisions = (self.decide)(&points)?;
        if decisions.len() != points.len() {
            let found = format!("{} decisions", decisions.len());
            return Err(Error::input("hop-skip-jump", "decide", found, format!("{}", points.len())));
        }
        for (point, _) in points.iter().zip(&decisions).filter(|(_, decision)| **decision != self.label) {
            let distance = self.distance(point);
            if self.best.as_ref().is_none_or(|(nearest, _)| distance < *nearest) {
                self.best = Some((distance, point.clone()));
            }
        }
        Ok(decisions.iter().map(|&decision| decision != self.label).collect())
    }

    /// The input at an offset, within the bounds.
    fn place(&self, offset: &[f64]) -> Vec<f32> {
        let one = |(k, delta): (usize, &f64)| {
            let value = f64::from(self.origin[k]) + delta * f64::from(self.region.scale[k]);
            (value as f32).clamp(self.region.low[k], self.region.high[k])
        };
        offset.iter().enumerate().map(one).collect()
    }

    /// The offset of an input.
    fn offset(&self, point: &[f32]) -> Vec<f64> {
        let one = |(k, &x): (usize, &f32)| {
            (f64::from(x) - f64::from(self.origin[k])) / f64::from(self.region.scale[k])
        };
        point.iter().enumerate().map(one).collect()
    }

    fn distance(&self, point: &[f32]) -> f64 {
        length(&self.offset(point))
    }

    /// A point of another decision, uniform within the bounds.
    fn start(&mut self) -> Result<Option<Vec<f64>>> {
        for _ in 0..STARTS / START_BATCH {
            let batch: Vec<Vec<f64>> = (0..START_BATCH).map(|_| self.uniform()).collect();
            let found = self.ask(&batch)?;
            if let Some(first) = found.iter().position(|other| *other) {
                return Ok(Some(batch[first].clone()));
            }
        }
        Ok(None)
    }

    fn uniform(&mut self) -> Vec<f64> {
        let (low, high) = (self.region.low, self.region.high);
        let range = |k: usize, unit: f32| {
            (f64::from(low[k]) + f64::from(unit) * (f64::from(high[k]) - f64::from(low[k]))) as f32
        };
        let point: Vec<f32> = (0..low.len()).map(|k| range(k, self.stream.unit())).collect();
        self.offset(&point)
    }

    /// The point of another decision nearest to the origin on the line to it, by bisection.
    fn bisect(&mut self, point: Vec<f64>) -> Result<Vec<f64>> {
        let tolerance = tolerance(point.len());
        let (mut same, mut other) = (0.0, 1.0);
        while other - same > tolerance && self.left > 0 {
            let middle = 0.5 * (same + other);
            match self.ask(&[scaled(&point, middle)])?[..] {
                [true] => other = middle,
                _ => same = middle,
            }
        }
        Ok(scaled(&point, other))
    }

    /// The unit normal of the boundary at `point`, towards the other decision, from decisions around it (equations 9 and 16); `None` once the
    /// budget leaves too few to tell.
    fn normal(&mut self, point: &[f64], reach: f64, round: f64) -> Result<Option<Vec<f64>>> {
        let radius = reach * (1.0 / point.len() as f64).max(NEAREST_PROBE);
        let wanted = (FIRST_ESTIMATE as f64 * round.sqrt()) as usize;
        // A normal is worth nothing without the queries of a jump and a bisection.
        let kept = SHORT_JUMP + (-tolerance(point.len()).log2()).ceil() as usize;
        let affordable = wanted.min(self.left.saturating_sub(kept));
        if affordable < 2 {
            return Ok(None);
        }
        let directions: Vec<Vec<f64>> = (0..affordable).map(|_| self.direction(point, radius)).collect();
        let probes: Vec<Vec<f64>> = directions.iter().map(|u| along(point, u, radius)).collect();
        let found = self.ask(&probes)?;
        let n = found.len() as f64;
        let signs: Vec<f64> = found.iter().map(|&other| if other { 1.0 } else { -1.0 }).collect();
        let mean = signs.iter().sum::<f64>() / n;
        // Where all agree, the mean would take everything away.
        let baseline = if mean.abs() == 1.0 { 0.0 } else { mean };
        let mut sum = vec![0.0; point.len()];
        for (u, sign) in directions.iter().zip(&signs) {
            sum.iter_mut().zip(u).for_each(|(s, x)| *s += (sign - baseline) * x);
        }
        let size = length(&sum);
        Ok((size > 0.0).then(|| scaled(&sum, 1.0 / size)))
    }

    /// A unit direction, less what the bounds cut off a probe along it.
    fn direction(&mut self, point: &[f64], radius: f64) -> Vec<f64> {
        let free: Vec<bool> =
            self.region.low.iter().zip(self.region.high).map(|(low, high)| low < high).collect();
        let raw: Vec<f64> =
            free.iter().map(|&free| if free { f64::from(self.stream.normal()) } else { 0.0 }).collect();
        let size = length(&raw).max(f64::MIN_POSITIVE);
        let probe = along(point, &raw, radius / size);
        let placed = self.offset(&self.place(&probe));
        placed.iter().zip(point).map(|(x, start)| (x - start) / radius).collect()
    }

    /// A step along the normal, halved until it ends at another decision.
    fn jump(&mut self, point: Vec<f64>, normal: &[f64], step: f64) -> Result<Vec<f64>> {
        let mut step = step;
        while self.left > 0 && step > FINEST_BISECTION * length(&point) {
            let next = along(&point, normal, step);
            let next = self.offset(&self.place(&next));
            if self.ask(std::slice::from_ref(&next))?[..] == [true] {
                return Ok(next);
            }
            step *= 0.5;
        }
        Ok(point)
    }
}

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn scaled(x: &[f64], factor: f64) -> Vec<f64> {
    x.iter().map(|x| x * factor).collect()
}

fn along(point: &[f64], direction: &[f64], step: f64) -> Vec<f64> {
    point.iter().zip(direction).map(|(x, d)| x + step * d).collect()
}
