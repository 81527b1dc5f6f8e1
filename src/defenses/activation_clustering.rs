//! Activation clustering: the features of a poisoned class fall into two clusters, what it is and what was smuggled in.

use super::components::{independent_coordinates, principal_coordinates};
use super::{About, Detector, Findings, members, width};
use crate::Result;
use crate::attacks::chosen::{whole, word};
use crate::attacks::{Kind, Parameter, Value};

const MOST_STEPS: usize = 300;
/// A silhouette is the mean over so many points at most, evenly spaced, each compared with all points.
const MOST_POINTS: usize = 2000;

/// Activation clustering.
pub static ACTIVATION_CLUSTERING: Detector = Detector {
    name: "activation-clustering",
    aliases: &["clustering"],
    summary: "Two clusters in a class's features: how well apart, and how small the smaller one.",
    paper: "Chen et al. 2018, Detecting backdoor attacks on deep neural networks by activation clustering (arXiv 1811.03728), algorithm 1 \
            and its silhouette and relative size criteria",
    needs: "features of the training samples and their labels",
    revision: 1,
    parameters: &[
        Parameter {
            name: "components",
            doc: "Dimensions that features are reduced to before they are clustered.",
            kind: Kind::Whole(1, 1000),
            default: Value::Whole(10),
        },
        Parameter {
            name: "reduction",
            doc: "pca: principal components; ica: independent ones, as in the paper.",
            kind: Kind::Choice(&["pca", "ica"]),
            default: Value::Word("ica"),
        },
    ],
    about: About::Training,
    suspect: |evidence, get| {
        let reduction =
            if word(get, "reduction") == "ica" { independent_coordinates } else { principal_coordinates };
        let components = whole(get, "components") as usize;
        let found = cluster(evidence.features, evidence.labels, evidence.classes, components, reduction)?;
        let number =
            |of: fn(&Split) -> f64| found.classes.iter().map(|split| split.as_ref().map(of)).collect();
        let classes = vec![
            ("silhouette", number(|split| split.silhouette)),
            ("smaller_cluster_share", number(|split| split.share)),
        ];
        Ok(Findings { classes, suspicions: found.suspicions })
    },
};

/// What clustering found.
#[derive(Clone, Debug, PartialEq)]
pub struct Clusters {
    /// What was found in each class; `None` for a class whose samples are fewer than three or all alike.
    pub classes: Vec<Option<Split>>,
    /// Of each sample: its class's silhouette times (1 - twice the share of the smaller cluster), in the larger cluster its negative; 0
    /// where the class has no clusters. The paper flags whole clusters; this order of samples is ours.
    pub suspicions: Vec<f64>,
}

/// Two clusters of a class.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Split {
    /// Mean silhouette, -1 to 1.
    pub silhouette: f64,
    /// The smaller cluster's share of the class, up to 0.5.
    pub share: f64,
}

/// How features are reduced: from rows and a number of dimensions to coordinates.
pub type Reduction = fn(&[&[f64]], usize) -> Vec<Vec<f64>>;

/// Splits each class's features `[n, d]`, reduced to `components` dimensions, into two.
///
/// # Errors
/// Labels that are no classes, features that do not belong to them or are not finite.
pub fn cluster(
    features: &[f64],
    labels: &[u32],
    classes: usize,
    components: usize,
    reduction: Reduction,
) -> Result<Clusters> {
    let d = width(features, labels.len())?;
    let mut found = Clusters { classes: Vec::with_capacity(classes), suspicions: vec![0.0; labels.len()] };
    for own in members(labels, classes)? {
        let rows: Vec<&[f64]> = own.iter().map(|&position| &features[position * d..][..d]).collect();
        let alike = rows.windows(2).all(|pair| pair[0] == pair[1]);
        if rows.len() < 3 || alike {
            found.classes.push(None);
            continue;
        }
        let points = reduction(&rows, components);
        let mut second = two_means(&points);
        let in_second = second.iter().filter(|is| **is).count();
        if 2 * in_second > second.len() {
            second.iter_mut().for_each(|is| *is = !*is);
        }
        let smaller = in_second.min(second.len() - in_second);
        let split =
            Split { silhouette: silhouette(&points, &second), share: smaller as f64 / second.len() as f64 };
        let suspicion = split.silhouette * (1.0 - 2.0 * split.share);
        for (position, small) in own.into_iter().zip(second) {
            found.suspicions[position] = if small { suspicion } else { -suspicion };
        }
        found.classes.push(Some(split));
    }
    Ok(found)
}

fn distance2(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// Which points belong to the second of two clusters (Lloyd 1982): of several starts the one with the smallest sum of squares, the first of
/// equal ones. It starts from the point farthest from the mean and the point farthest from that one, and from the points that lie lowest
/// and highest along each coordinate.
pub fn two_means(points: &[Vec<f64>]) -> Vec<bool> {
    let everyone = vec![true; points.len()];
    let Some(middle) = mean(points, &everyone, true) else { return Vec::new() };
    let first = farthest(points, &middle);
    let mut starts = vec![[first.clone(), farthest(points, &first)]];
    for axis in 0..middle.len() {
        let along = |sign: f64| largest(points, |point| sign * point[axis]);
        starts.push([along(-1.0), along(1.0)]);
    }
    let mut best = (f64::INFINITY, Vec::new());
    for start in starts {
        let (sum, sides) = lloyd(points, start);
        if sum < best.0 {
            best = (sum, sides);
        }
    }
    best.1
}

/// The sum of squared distances to the centres in the end, and which points belong to the second.
fn lloyd(points: &[Vec<f64>], mut centres: [Vec<f64>; 2]) -> (f64, Vec<bool>) {
    let mut assigned = Vec::new();
    for _ in 0..MOST_STEPS {
        let next: Vec<bool> =
            points.iter().map(|p| distance2(p, &centres[1]) < distance2(p, &centres[0])).collect();
        if next == assigned {
            break;
        }
        assigned = next;
        for (centre, side) in centres.iter_mut().zip([false, true]) {
            // A cluster that lost all its points keeps its centre.
            if let Some(mean) = mean(points, &assigned, side) {
                *centre = mean;
            }
        }
    }
    let pairs = points.iter().zip(&assigned);
    (pairs.map(|(point, &side)| distance2(point, &centres[usize::from(side)])).sum(), assigned)
}

fn farthest(points: &[Vec<f64>], from: &[f64]) -> Vec<f64> {
    largest(points, |point| distance2(point, from))
}

/// The point where `of` is largest, the first of equal ones.
fn largest(points: &[Vec<f64>], of: impl Fn(&[f64]) -> f64) -> Vec<f64> {
    let mut found = (f64::NEG_INFINITY, 0);
    for (at, point) in points.iter().enumerate() {
        let value = of(point);
        if value > found.0 {
            found = (value, at);
        }
    }
    points[found.1].clone()
}

/// The mean of the points on one side; `None` where there is none.
fn mean(points: &[Vec<f64>], sides: &[bool], side: bool) -> Option<Vec<f64>> {
    let own: Vec<&Vec<f64>> = points.iter().zip(sides).filter(|(_, s)| **s == side).map(|(p, _)| p).collect();
    let mut sum = vec![0.0; own.first()?.len()];
    for point in &own {
        sum.iter_mut().zip(point.iter()).for_each(|(sum, value)| *sum += value);
    }
    Some(sum.into_iter().map(|sum| sum / own.len() as f64).collect())
}

/// The mean over points of (b - a) / max(a, b), a and b the mean distances to the other points of its own and to the points of the other
/// cluster; 0 for a point alone in its cluster (Rousseeuw 1987). -1 where there is one cluster only. Of more than 2000 points as many,
/// evenly spaced, stand for all.
pub fn silhouette(points: &[Vec<f64>], sides: &[bool]) -> f64 {
    let sizes = [sides.iter().filter(|s| !**s).count(), sides.iter().filter(|s| **s).count()];
    if sizes.contains(&0) {
        return -1.0;
    }
    let one = |at: usize| {
        let mut sums = [0.0; 2];
        for (point, &side) in points.iter().zip(sides) {
            sums[usize::from(side)] += distance2(point, &points[at]).sqrt();
        }
        let (own, other) = (usize::from(sides[at]), usize::from(!sides[at]));
        if sizes[own] == 1 {
            return 0.0;
        }
        let (a, b) = (sums[own] / (sizes[own] - 1) as f64, sums[other] / sizes[other] as f64);
        if a.max(b) > 0.0 { (b - a) / a.max(b) } else { 0.0 }
    };
    let looked_at = points.len().min(MOST_POINTS);
    (0..looked_at).map(|k| one(k * points.len() / looked_at)).sum::<f64>() / looked_at as f64
}
