//! Scores of one statistic of the answer, against a threshold for all or for each class (Song & Mittal 2021).

use super::evidence::{Answer, SOURCE};
use super::parameters::word;
use super::{Evidence, Needs, need_shadows};
use crate::attacks::Chosen;
use crate::statistics::roc::best_threshold;
use crate::{Error, Result};

/// What thresholds of classes take.
pub(super) fn needs(get: Chosen) -> Needs {
    if word(get("threshold")) == "class" { Needs::BOTH } else { Needs::NOTHING }
}

/// The statistic of each candidate, less the threshold of its class where `threshold = "class"`.
pub(super) fn scores(evidence: &Evidence, get: Chosen, statistic: fn(Answer) -> f64) -> Result<Vec<f64>> {
    let plain = evidence.statistics(evidence.target, statistic);
    if word(get("threshold")) == "shared" {
        return Ok(plain);
    }
    let thresholds = learned(evidence, statistic)?;
    Ok(plain.iter().zip(evidence.labels).map(|(score, &label)| score - thresholds[label as usize]).collect())
}

/// The threshold of best balanced accuracy of each class, over all shadow models; a class without members, or without others, takes the
/// one of all candidates.
fn learned(evidence: &Evidence, statistic: fn(Answer) -> f64) -> Result<Vec<f64>> {
    need_shadows(evidence, "thresholds by class")?;
    let classes = evidence.target.classes();
    // Scores and membership of each class, and of all candidates in the end.
    let mut known: Vec<(Vec<f64>, Vec<bool>)> = vec![Default::default(); classes + 1];
    for shadow in &evidence.shadows {
        let values = evidence.statistics(&shadow.candidates, statistic);
        for (i, (value, &label)) in values.iter().zip(evidence.labels).enumerate() {
            for group in [label as usize, classes] {
                known[group].0.push(*value);
                known[group].1.push(shadow.member[i]);
            }
        }
    }
    let shared = best_threshold(&known[classes].0, &known[classes].1).ok_or_else(|| {
        Error::input(
            SOURCE,
            "thresholds by class",
            "only members or none in the shadow models",
            "some of both",
        )
    })?;
    Ok(known[..classes]
        .iter()
        .map(|(values, member)| best_threshold(values, member).unwrap_or(shared))
        .collect())
}
