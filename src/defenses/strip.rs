//! STRIP: a trigger decides whatever it is laid over, so that a triggered sample's predictions do not scatter.

use super::{About, CLEAN, Detector, Findings, Scores};
use crate::attacks::chosen::{real, whole};
use crate::attacks::{Kind, Parameter, Value};
use crate::training::random::{Stream, name_number};
use crate::{Error, Result};

/// STRIP.
pub static STRIP: Detector = Detector {
    name: "strip",
    aliases: &[],
    summary: "How little the predictions scatter when a sample is superimposed with clean ones.",
    paper: "Gao et al. 2019, STRIP: a defence against trojan attacks on deep neural networks (arXiv 1902.06531), section 4",
    needs: "scores of chosen inputs, and some clean samples",
    revision: 1,
    parameters: &[
        CLEAN,
        Parameter {
            name: "inputs",
            doc: "Other test samples that it judges at most, drawn at random: each as it is, and stamped unless it is of the target class.",
            kind: Kind::Whole(1, 1_000_000),
            default: Value::Whole(500),
        },
        Parameter {
            name: "overlays",
            doc: "Clean samples that each sample is superimposed with.",
            kind: Kind::Whole(1, 100_000),
            default: Value::Whole(100),
        },
        Parameter {
            name: "share",
            doc: "The sample's share of a superposition; the rest is the clean one's.",
            kind: Kind::Real(0.0, 1.0),
            default: Value::Real(0.5),
        },
    ],
    about: About::Input,
    suspect: |evidence, get| {
        let (overlays, share) = (whole(get, "overlays") as usize, real(get, "share"));
        let Some(scores) = evidence.scores.as_mut() else {
            return Err(Error::input(
                "detector",
                "strip: scores",
                "none",
                "a function from samples to logits",
            ));
        };
        let found = entropies(evidence.samples, evidence.clean, overlays, share, evidence.seed, scores)?;
        let suspicions = found.into_iter().map(|entropy| -entropy).collect();
        Ok(Findings { suspicions, ..Findings::default() })
    },
};

/// The mean entropy in bits of the predictions of each sample `x` over superpositions `share x + (1 - share) c` with `overlays` clean
/// samples c, drawn for each sample with replacement. Low: suspicious.
///
/// # Errors
/// No clean sample, samples of different lengths, and what `scores` reports.
pub fn entropies(
    samples: &[&[f32]],
    clean: &[&[f32]],
    overlays: usize,
    share: f64,
    seed: u64,
    scores: &mut Scores,
) -> Result<Vec<f64>> {
    if clean.is_empty() {
        return Err(Error::input("detector", "strip: clean samples", 0, "at least 1"));
    }
    let len = clean[0].len();
    if let Some(other) = samples.iter().chain(clean).find(|sample| sample.len() != len) {
        let found = format!("a sample of {} values", other.len());
        return Err(Error::input(
            "detector",
            "strip: samples",
            found,
            format!("{len}, as the first clean one"),
        ));
    }
    let mut found = Vec::with_capacity(samples.len());
    for (position, sample) in samples.iter().enumerate() {
        let mut stream = Stream::new(seed, &[name_number("strip"), position as u64]);
        let mixed: Vec<Vec<f32>> = (0..overlays)
            .map(|_| {
                let other = clean[stream.below(clean.len())];
                let mix =
                    |(x, c): (&f32, &f32)| (share * f64::from(*x) + (1.0 - share) * f64::from(*c)) as f32;
                sample.iter().zip(other).map(mix).collect()
            })
            .collect();
        let logits = scores(&mixed)?;
        if logits.is_empty() || logits.len() % overlays != 0 {
            let expected = format!("as many for each of {overlays} samples");
            return Err(Error::input(
                "detector",
                "strip: scores",
                format!("{} numbers", logits.len()),
                expected,
            ));
        }
        let rows = logits.chunks_exact(logits.len() / overlays);
        found.push(rows.map(entropy).sum::<f64>() / overlays as f64);
    }
    Ok(found)
}

/// The entropy in bits of the softmax of logits.
pub fn entropy(logits: &[f32]) -> f64 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f64> = logits.iter().map(|z| (f64::from(*z) - f64::from(largest)).exp()).collect();
    let total: f64 = weights.iter().sum();
    let bits = |weight: &f64| {
        let p = weight / total;
        if p > 0.0 { -p * p.log2() } else { 0.0 }
    };
    weights.iter().map(bits).sum()
}
