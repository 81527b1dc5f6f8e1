//! Spectral signatures: poisoned samples stand out along the direction in which a class's features vary most.

use super::linear::{dot, principal};
use super::{About, Detector, Findings, members, width};
use crate::Result;

/// Spectral signatures.
pub static SPECTRAL_SIGNATURES: Detector = Detector {
    name: "spectral-signatures",
    aliases: &["spectral"],
    summary: "How far a sample's features lie along the top singular vector of its class.",
    paper: "Tran, Li & Madry 2018, Spectral signatures in backdoor attacks (arXiv 1811.00636), algorithm 1",
    needs: "features of the training samples and their labels",
    revision: 1,
    parameters: &[],
    about: About::Training,
    suspect: |evidence, _| {
        let suspicions = outlier_scores(evidence.features, evidence.labels, evidence.classes)?;
        Ok(Findings { suspicions, ..Findings::default() })
    },
};

/// `((f - mean) . v)^2` of each sample, v the top right singular vector of its class's centred features `[n, d]`; 0 in a class of one.
///
/// The paper then drops 1.5 times the expected number of poisoned samples of each class, those with the largest scores.
///
/// # Errors
/// Labels that are no classes, features that do not belong to them or are not finite.
pub fn outlier_scores(features: &[f64], labels: &[u32], classes: usize) -> Result<Vec<f64>> {
    let d = width(features, labels.len())?;
    let mut scores = vec![0.0; labels.len()];
    for own in members(labels, classes)? {
        let rows: Vec<&[f64]> = own.iter().map(|&position| &features[position * d..][..d]).collect();
        let found = principal(&rows, 1);
        let Some(axis) = found.axes.first() else { continue };
        let offset = dot(axis, &found.mean);
        for (position, row) in own.into_iter().zip(rows) {
            scores[position] = (dot(axis, row) - offset).powi(2);
        }
    }
    Ok(scores)
}
