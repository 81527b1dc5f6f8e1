//! What a job may do to a sample: each input that moves within a budget of its own, the others not at all.

use std::borrow::Cow;
use std::ops::Range;

use super::job::{Job, Rung};
use crate::attacks::Norm;
use crate::attacks::evasion::start::{Bounds, changed, distance, random_start, within};
use crate::data::Domain;

/// An input that moves.
struct Moving<'a> {
    range: Range<usize>,
    norm: Norm,
    eps: f64,
    domain: Cow<'a, Domain>,
}

/// Every input that moves, the one that the ladder is for first.
fn moving<'a>(job: &Job, eps: f64, domain: &'a Domain, len: usize) -> Vec<Moving<'a>> {
    let norm = job.settings.norm;
    let Some(range) = job.settings.input.clone() else {
        return vec![Moving { range: 0..len, norm, eps, domain: Cow::Borrowed(domain) }];
    };
    let beside = job
        .settings
        .beside
        .iter()
        .zip(job.beside.iter())
        .map(|(part, &eps)| (part.range.clone(), part.norm, eps));
    let all = std::iter::once((range, norm, eps)).chain(beside);
    all.map(|(range, norm, eps)| {
        let domain = Cow::Owned(domain.part(&range));
        Moving { range, norm, eps, domain }
    })
    .collect()
}

/// Where a run starts, and its box.
pub(super) fn start(
    job: &Job,
    rung: Rung,
    clean: &[f32],
    domain: &Domain,
    warm: Option<&[f32]>,
    key: impl Fn() -> [u32; 2],
) -> (Vec<f32>, Bounds) {
    let mut start = clean.to_vec();
    let mut bounds = Bounds { low: clean.to_vec(), high: clean.to_vec() };
    for (place, part) in moving(job, rung.eps, domain, clean.len()).into_iter().enumerate() {
        let Moving { range, norm, eps, domain } = part;
        let x0 = &clean[range.clone()];
        let own = Bounds::new(x0, &domain, norm, eps);
        let from = match warm {
            Some(warm) => within(norm, eps, &warm[range.clone()], x0, &own, &domain),
            None if job.random_start => {
                let [a, b] = key();
                let eps = eps * share(job, rung, norm);
                // Inputs draw from streams of their own.
                random_start(norm, eps, x0, &own, &domain, [a, b ^ place as u32])
            }
            None => x0.to_vec(),
        };
        start[range.clone()].copy_from_slice(&from);
        bounds.low[range.clone()].copy_from_slice(&own.low);
        bounds.high[range].copy_from_slice(&own.high);
    }
    (start, bounds)
}

/// How far from the clean sample, in shares of the budget, a run starts. Sparse steps of l1 would spend themselves on taking back dense noise
/// that fills the ball: they start within a quarter of a step.
fn share(job: &Job, rung: Rung, norm: Norm) -> f64 {
    let sparse = norm == Norm::L1 && job.settings.choices.contains(&("l1_step", "sparse"));
    if sparse { 0.25 * (rung.step_size / rung.eps).min(1.0) } else { 1.0 }
}

/// Radius and step size in the program of each input that moves beside: those of the ladder's, in proportion.
pub(super) fn beside(job: &Job, rung: Rung) -> Vec<[f32; 2]> {
    let budgets = job.settings.beside.iter().zip(job.beside.iter());
    budgets.map(|(part, &eps)| [radius(part.norm, eps), (eps * rung.step_size / rung.eps) as f32]).collect()
}

/// The radius in the program, a hair smaller than the budget where an f32 sum could let an f64 norm exceed it.
pub(super) fn radius(norm: Norm, eps: f64) -> f32 {
    let hair = if matches!(norm, Norm::L2 | Norm::L1) { 4e-6 } else { 0.0 };
    (eps * (1.0 - hair)) as f32
}

/// What a search made of gradients that are no numbers is no input: such values stay clean. The projection already keeps the budgets; should rounding ever break one, the change is shrunk until it holds in f64: at
/// first by a millionth, at last to nothing. Categories stay whole until then, and so do texts.
pub(super) fn hold(job: &Job, eps: f64, clean: &[f32], domain: &Domain, x: &mut [f32]) {
    for Moving { range, norm, eps, domain } in moving(job, eps, domain, clean.len()) {
        let (x, clean) = (&mut x[range.clone()], &clean[range]);
        x.iter_mut().zip(clean).filter(|(x, _)| !x.is_finite()).for_each(|(x, &clean)| *x = clean);
        let mut margin = if norm == Norm::Tokens { 1.0 } else { 1e-6 };
        while distance(norm, x, clean, &domain.scale) > eps {
            for (i, (x, &clean)) in x.iter_mut().zip(clean).enumerate() {
                if margin >= 1.0 {
                    *x = clean;
                } else if domain.category_of(i).is_none() {
                    *x = (f64::from(clean) + (f64::from(*x) - f64::from(clean)) * (1.0 - margin)) as f32;
                }
            }
            margin *= 2.0;
        }
    }
}

/// How many values of the ladder's input changed, and the l1, l2 and linf norms of the change in scaled units. A word of a text is changed
/// or it is not, by 1.
pub(super) fn change(job: &Job, x: &[f32], clean: &[f32], domain: &Domain) -> (u64, [f64; 3]) {
    let range = job.settings.input.clone().unwrap_or(0..clean.len());
    let (x, clean) = (&x[range.clone()], &clean[range.clone()]);
    let count = changed(x, clean);
    if job.settings.norm == Norm::Tokens {
        let words = count as f64;
        return (count, [words, words.sqrt(), words.min(1.0)]);
    }
    let scale = if domain.scale.len() == 1 { &domain.scale[..] } else { &domain.scale[range] };
    (count, [Norm::L1, Norm::L2, Norm::Linf].map(|norm| distance(norm, x, clean, scale)))
}
