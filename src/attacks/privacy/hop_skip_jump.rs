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

/// What answers points, one class each.
pub type Decide<'d> = dyn FnMut(&[Vec<f32>]) -> Result<Vec<u32>> + 'd;

/// The nearest point to `origin` that `decide` does not take for `label`; at distance 0 if `origin` is such a point; `None` where no start was
/// found. `decide` answers a batch of points with one class each; its errors are passed on.
pub fn hop_skip_jump(
    origin: &[f32],
    label: u32,
    region: Region,
    effort: Effort,
    decide: &mut Decide,
) -> Result<Option<Nearest>> {
    let search = Search::new(origin.to_vec(), label, region, effort, Vec::new())?;
    Ok(search_together(vec![search], decide)?.remove(0))
}

/// Runs searches side by side: what all of them want to know next is asked in one batch. Each comes to what it comes to alone.
pub fn search_together(mut searches: Vec<Search>, decide: &mut Decide) -> Result<Vec<Option<Nearest>>> {
    loop {
        let points: Vec<Vec<f32>> =
            searches.iter().flat_map(|search| search.wanted().iter().cloned()).collect();
        if points.is_empty() {
            return Ok(searches.iter().map(Search::nearest).collect());
        }
        let decisions = decide(&points)?;
        if decisions.len() != points.len() {
            let found = format!("{} decisions", decisions.len());
            return Err(Error::input("hop-skip-jump", "decide", found, format!("{}", points.len())));
        }
        let mut told = 0;
        for search in &mut searches {
            let wanted = search.wanted().len();
            search.tell(&decisions[told..told + wanted]);
            told += wanted;
        }
    }
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

/// A search that says what it wants to know, and goes on when it is told. Points are offsets from the origin in units of `scale`.
#[derive(Clone, Debug)]
pub struct Search<'a> {
    origin: Vec<f32>,
    label: u32,
    region: Region<'a>,
    effort: Effort,
    left: usize,
    /// Distance and point of the nearest that was asked and is of another decision.
    best: Option<(f64, Vec<f32>)>,
    stream: Stream,
    /// Starts that are tried before uniform ones, last first.
    starts: Vec<Vec<f32>>,
    round: f64,
    stage: Stage,
    wanted: Vec<Vec<f32>>,
}

/// What the answers to the points that are wanted will be used for.
#[derive(Clone, Debug)]
enum Stage {
    Origin,
    Start { batch: Vec<Vec<f64>>, uniform_left: usize },
    Bisect { line: Vec<f64>, same: f64, other: f64 },
    Normal { point: Vec<f64>, reach: f64, directions: Vec<Vec<f64>> },
    Jump { point: Vec<f64>, normal: Vec<f64>, step: f64, next: Vec<f64> },
    Over,
}

impl<'a> Search<'a> {
    /// A search that has not begun. `starts` are tried first, brought into the region: samples that may well be of another decision.
    ///
    /// # Errors
    /// Arrays that do not belong together, an origin outside the region, a start of another length.
    pub fn new(
        origin: Vec<f32>,
        label: u32,
        region: Region<'a>,
        effort: Effort,
        mut starts: Vec<Vec<f32>>,
    ) -> Result<Self> {
        check(&origin, region, effort)?;
        if let Some(start) = starts.iter().find(|start| start.len() != origin.len()) {
            let found = format!("{} values", start.len());
            return Err(Error::input("hop-skip-jump", "starts", found, format!("{}", origin.len())));
        }
        starts.reverse();
        let stream = Stream::new(effort.seed, &[name_number("hop-skip-jump"), effort.sample]);
        let (left, best, round, stage, wanted) = (effort.queries, None, 1.0, Stage::Origin, Vec::new());
        let mut search =
            Self { origin, label, region, effort, left, best, stream, starts, round, stage, wanted };
        let here = vec![0.0; search.origin.len()];
        search.ask(&[here], Stage::Origin);
        Ok(search)
    }

    /// Points whose decisions it needs next; none once it is over.
    pub fn wanted(&self) -> &[Vec<f32>] {
        &self.wanted
    }

    /// Goes on with the decisions on the points that were wanted, one each.
    pub fn tell(&mut self, decisions: &[u32]) {
        let points = std::mem::take(&mut self.wanted);
        let other: Vec<bool> = decisions.iter().map(|&decision| decision != self.label).collect();
        for (point, _) in points.into_iter().zip(&other).filter(|(_, other)| **other) {
            let distance = self.distance(&point);
            if self.best.as_ref().is_none_or(|(nearest, _)| distance < *nearest) {
                self.best = Some((distance, point));
            }
        }
        let found = other.first() == Some(&true);
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::Origin if found => {}
            Stage::Origin => self.start(STARTS / START_BATCH),
            Stage::Start { mut batch, uniform_left } => match other.iter().position(|&other| other) {
                Some(first) => self.bisect(batch.swap_remove(first), 0.0, 1.0),
                None => self.start(uniform_left),
            },
            Stage::Bisect { line, same, other } => {
                let middle = 0.5 * (same + other);
                if found { self.bisect(line, same, middle) } else { self.bisect(line, middle, other) }
            }
            Stage::Normal { point, reach, directions } => {
                if let Some(normal) = normal(&directions, &other) {
                    self.jump(point, normal, reach / self.round.sqrt());
                }
            }
            Stage::Jump { next, .. } if found => self.next_round(next),
            Stage::Jump { point, normal, step, .. } => self.jump(point, normal, 0.5 * step),
            Stage::Over => {}
        }
    }

    /// The nearest point that was found so far.
    pub fn nearest(&self) -> Option<Nearest> {
        let (distance, point) = self.best.clone()?;
        Some(Nearest { point, distance, queries: self.effort.queries - self.left })
    }

    /// Wants to know of the first `left` of these points, for `stage`.
    fn ask(&mut self, offsets: &[Vec<f64>], stage: Stage) {
        self.wanted = offsets.iter().take(self.left).map(|offset| self.place(offset)).collect();
        self.left -= self.wanted.len();
        self.stage = stage;
    }

    /// Looks for a point of another decision among the starts that were given, then uniformly within the bounds.
    fn start(&mut self, uniform_left: usize) {
        let given = !self.starts.is_empty();
        if self.left == 0 || (!given && uniform_left == 0) {
            return;
        }
        let batch: Vec<Vec<f64>> = if given {
            let from = self.starts.len().saturating_sub(START_BATCH);
            self.starts
                .split_off(from)
                .iter()
                .rev()
                .map(|start| self.offset(&self.place(&self.offset(start))))
                .collect()
        } else {
            (0..START_BATCH).map(|_| self.uniform()).collect()
        };
        let uniform_left = if given { uniform_left } else { uniform_left - 1 };
        self.ask(&batch.clone(), Stage::Start { batch, uniform_left });
    }

    /// Looks, between `same` and `other` of the way along a line, for the point of another decision that is nearest to the origin.
    fn bisect(&mut self, line: Vec<f64>, same: f64, other: f64) {
        if other - same > tolerance(line.len()) && self.left > 0 {
            let middle = scaled(&line, 0.5 * (same + other));
            return self.ask(&[middle], Stage::Bisect { line, same, other });
        }
        self.probe(scaled(&line, other));
    }

    /// Asks around a point at the boundary, unless the budget leaves too few decisions to tell its normal.
    fn probe(&mut self, point: Vec<f64>) {
        let reach = length(&point);
        let radius = reach * (1.0 / point.len() as f64).max(NEAREST_PROBE);
        let wanted = (FIRST_ESTIMATE as f64 * self.round.sqrt()) as usize;
        // A normal is worth nothing without the queries of a jump and a bisection.
        let kept = SHORT_JUMP + (-tolerance(point.len()).log2()).ceil() as usize;
        let affordable = wanted.min(self.left.saturating_sub(kept));
        if affordable < 2 {
            return;
        }
        let directions: Vec<Vec<f64>> = (0..affordable).map(|_| self.direction(&point, radius)).collect();
        let probes: Vec<Vec<f64>> = directions.iter().map(|u| along(&point, u, radius)).collect();
        self.ask(&probes, Stage::Normal { point, reach, directions });
    }

    /// Tries a step along the normal.
    fn jump(&mut self, point: Vec<f64>, normal: Vec<f64>, step: f64) {
        if self.left == 0 || step <= FINEST_BISECTION * length(&point) {
            return self.next_round(point);
        }
        let next = self.offset(&self.place(&along(&point, &normal, step)));
        let stage = Stage::Jump { point, normal, step, next: next.clone() };
        self.ask(&[next], stage);
    }

    fn next_round(&mut self, point: Vec<f64>) {
        self.round += 1.0;
        if self.left > 0 {
            self.bisect(point, 0.0, 1.0);
        }
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

    fn uniform(&mut self) -> Vec<f64> {
        let (low, high) = (self.region.low, self.region.high);
        let range = |k: usize, unit: f32| {
            (f64::from(low[k]) + f64::from(unit) * (f64::from(high[k]) - f64::from(low[k]))) as f32
        };
        let point: Vec<f32> = (0..low.len()).map(|k| range(k, self.stream.unit())).collect();
        self.offset(&point)
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
}

/// The unit normal of the boundary, towards the other decision, from decisions along directions (equations 9 and 16).
fn normal(directions: &[Vec<f64>], other: &[bool]) -> Option<Vec<f64>> {
    let signs: Vec<f64> = other.iter().map(|&other| if other { 1.0 } else { -1.0 }).collect();
    let mean = signs.iter().sum::<f64>() / signs.len() as f64;
    // Where all agree, the mean would take everything away.
    let baseline = if mean.abs() == 1.0 { 0.0 } else { mean };
    let mut sum = vec![0.0; directions.first()?.len()];
    for (u, sign) in directions.iter().zip(&signs) {
        sum.iter_mut().zip(u).for_each(|(s, x)| *s += (sign - baseline) * x);
    }
    let size = length(&sum);
    (size > 0.0).then(|| scaled(&sum, 1.0 / size))
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
