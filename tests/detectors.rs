//! Detectors against numpy, and on what was planted.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::Value;
use percuss::data::Domain;
use percuss::defenses::activation_clustering::{Clusters, Reduction, cluster, silhouette};
use percuss::defenses::components::{independent_coordinates, principal_coordinates};
use percuss::defenses::neural_cleanse::{Settings, anomaly_indices, reverse_engineer};
use percuss::defenses::spectral::outlier_scores;
use percuss::defenses::strip::{entropies, entropy};
use percuss::defenses::{self, Attraction, Evidence};
use percuss::models::Weights;
use percuss::statistics::auroc;
use percuss::training::random::Stream;
use support::{golden, signed};

fn numbers(golden: &Weights, name: &str) -> Vec<f64> {
    golden.tensors[name].data.iter().map(|v| f64::from(*v)).collect()
}

fn expected(golden: &Weights, name: &str) -> Vec<f64> {
    serde_json::from_str(&golden.metadata[name]).unwrap()
}

/// Equal but for f64 rounding through an eigenvector found to 1e-10.
fn close(found: &[f64], expected: &[f64]) -> bool {
    let largest = expected.iter().fold(0f64, |most, v| most.max(v.abs()));
    found.len() == expected.len() && found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 1e-8 * largest)
}

#[test]
fn spectral_scores_are_those_of_numpys_svd() {
    let golden = golden("detectors");
    let labels: Vec<u32> = golden.tensors["labels"].data.iter().map(|l| *l as u32).collect();
    let found = outlier_scores(&numbers(&golden, "features"), &labels, 3).unwrap();
    assert!(close(&found, &expected(&golden, "spectral")));
    let wide = outlier_scores(&numbers(&golden, "wide"), &[0; 24], 1).unwrap();
    assert!(close(&wide, &expected(&golden, "spectral_wide")));
    // Sixty features: more than are decomposed whole.
    let tall = outlier_scores(&numbers(&golden, "tall"), &[0; 150], 1).unwrap();
    assert!(close(&tall, &expected(&golden, "spectral_tall")));
}

#[test]
fn clusters_are_those_of_numpy() {
    let golden = golden("detectors");
    let labels: Vec<u32> = golden.tensors["labels"].data.iter().map(|l| *l as u32).collect();
    let found = cluster(&numbers(&golden, "features"), &labels, 3, 3, principal_coordinates).unwrap();
    let splits: Vec<[f64; 2]> = serde_json::from_str(&golden.metadata["clustering_splits"]).unwrap();
    for (split, [silhouette, share]) in found.classes.iter().zip(splits) {
        let split = split.unwrap();
        assert!((split.silhouette - silhouette).abs() < 1e-9 && (split.share - share).abs() < 1e-12);
    }
    assert!(close(&found.suspicions, &expected(&golden, "clustering_suspicions")));
}

#[test]
fn entropies_and_anomaly_indices_are_those_of_numpy() {
    let golden = golden("detectors");
    let rows = golden.tensors["logits"].data.chunks_exact(5);
    assert!(close(&rows.map(entropy).collect::<Vec<_>>(), &expected(&golden, "entropies")));
    assert!(close(&anomaly_indices(&numbers(&golden, "sizes")), &expected(&golden, "anomaly")));
    assert_eq!(entropy(&[0.0; 8]), 3.0);
    assert_eq!(entropy(&[900.0, 0.0]), 0.0);
    assert_eq!(anomaly_indices(&[1.0, 1.0, 1.0]), [0.0; 3]);
}

/// Features of two classes, `d` wide; the first tenth of class 0 is moved by `shift` along a fixed random direction.
fn features(n: usize, d: usize, shift: f64) -> (Vec<f64>, Vec<u32>, Vec<bool>) {
    let mut stream = Stream::new(11, &[n as u64]);
    let mut direction: Vec<f64> = (0..d).map(|_| f64::from(stream.normal())).collect();
    let length = direction.iter().map(|v| v * v).sum::<f64>().sqrt();
    direction.iter_mut().for_each(|v| *v /= length);
    let labels: Vec<u32> = (0..n).map(|i| (i % 2) as u32).collect();
    let planted: Vec<bool> = (0..n).map(|i| i % 2 == 0 && i < n / 10).collect();
    let rows = planted.iter().zip(&labels).flat_map(|(&planted, &label)| {
        let moved = if planted { shift } else { 0.0 };
        direction
            .iter()
            .map(|v| f64::from(stream.normal()) + 3.0 * f64::from(label) + moved * v)
            .collect::<Vec<_>>()
    });
    (rows.collect(), labels.clone(), planted)
}

/// The AUROC within class 0.
fn within_class_0(scores: &[f64], planted: &[bool]) -> f64 {
    let own = || (0..scores.len()).step_by(2);
    let scores: Vec<f64> = own().map(|i| scores[i]).collect();
    auroc(&scores, &own().map(|i| planted[i]).collect::<Vec<_>>()).unwrap()
}

#[test]
fn spectral_signatures_find_a_planted_direction_and_nothing_where_there_is_none() {
    let (values, labels, planted) = features(800, 64, 8.0);
    let found = within_class_0(&outlier_scores(&values, &labels, 2).unwrap(), &planted);
    assert!(found > 0.95, "{found}");
    let (values, labels, planted) = features(800, 64, 0.0);
    let found = within_class_0(&outlier_scores(&values, &labels, 2).unwrap(), &planted);
    // 40 against 360: a standard error of 0.048, four of them.
    assert!((found - 0.5).abs() < 0.19, "{found}");
}

#[test]
fn clustering_finds_a_planted_cluster_and_its_share() {
    let reductions: [Reduction; 2] = [principal_coordinates, independent_coordinates];
    for (which, reduction) in reductions.into_iter().enumerate() {
        let (values, labels, planted) = features(800, 64, 14.0);
        let Clusters { classes, suspicions } = cluster(&values, &labels, 2, 4, reduction).unwrap();
        let found = within_class_0(&suspicions, &planted);
        assert!(found > 0.95, "{which}: {found}");
        let [poisoned, clean] = [0, 1].map(|class| classes[class].unwrap());
        assert!((poisoned.share - 0.1).abs() < 0.02, "{poisoned:?}");
        assert!(poisoned.silhouette > clean.silhouette + 0.1 && clean.share > 0.2, "{poisoned:?} {clean:?}");
    }
}

#[test]
fn a_silhouette_of_many_points_is_that_of_some() {
    let mut stream = Stream::new(8, &[0]);
    let sides: Vec<bool> = (0..5000).map(|_| stream.unit() < 0.2).collect();
    let points: Vec<Vec<f64>> =
        sides.iter().map(|&side| vec![f64::from(stream.normal()) + if side { 4.0 } else { 0.0 }]).collect();
    let (all, some) = (silhouette(&points, &sides), silhouette(&points[..2000], &sides[..2000]));
    // Silhouettes of single points spread by about 0.2: five standard errors of the mean of 2000.
    assert!((all - some).abs() < 0.022, "{all} {some}");
}

#[test]
fn independent_components_are_the_sources_that_were_mixed() {
    let mut stream = Stream::new(2, &[3]);
    // Three uniform sources of unit variance, mixed.
    let sources: Vec<[f64; 3]> =
        (0..4000).map(|_| [(); 3].map(|()| 3f64.sqrt() * f64::from(stream.signed()))).collect();
    let mix = [[1.0, 0.4, -0.3], [0.2, 1.1, 0.5], [-0.6, 0.3, 0.9], [0.5, 0.5, 0.5]];
    let rows: Vec<Vec<f64>> = sources
        .iter()
        .map(|s| mix.iter().map(|m: &[f64; 3]| m.iter().zip(s).map(|(m, s)| m * s).sum()).collect())
        .collect();
    let found = independent_coordinates(&rows.iter().map(Vec::as_slice).collect::<Vec<_>>(), 4);
    assert_eq!(found[0].len(), 3);
    for k in 0..3 {
        let correlation = |j: usize| -> f64 {
            let sum: f64 = found.iter().zip(&sources).map(|(found, source)| found[k] * source[j]).sum();
            (sum / 4000.0).abs()
        };
        let best = (0..3).map(correlation).fold(0.0, f64::max);
        // Estimated from 4000 samples, whose correlations err by 1 / sqrt 4000.
        assert!(best > 0.98, "{best}");
    }
}

#[test]
fn one_or_two_samples_and_equal_samples_are_no_evidence() {
    let values = [1.0, 2.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 7.0, 7.0];
    let labels = [0, 1, 1, 1, 2];
    assert_eq!(outlier_scores(&values, &labels, 4).unwrap(), [0.0; 5]);
    let found = cluster(&values, &labels, 4, 2, principal_coordinates).unwrap();
    assert_eq!((found.classes, found.suspicions), (vec![None; 4], vec![0.0; 5]));
    assert!(outlier_scores(&values, &labels, 2).is_err());
    assert!(outlier_scores(&values[1..], &labels, 4).is_err());
    assert!(outlier_scores(&[f64::NAN; 5], &labels, 4).is_err());
}

/// A model that sees class 1 + the sign of the sum, but class 0 wherever the last value is above 0.9.
fn logits(x: &[f32]) -> Vec<f32> {
    let sum: f32 = x[..x.len() - 1].iter().sum();
    let trigger = if x[x.len() - 1] > 0.9 { 60.0 } else { 0.0 };
    vec![trigger, 2.0 * sum, -2.0 * sum]
}

#[test]
fn strip_sees_that_a_trigger_decides_alone() {
    let n = 60;
    let mut all: Vec<Vec<f32>> = signed("strip", n * 6, 1.0).chunks_exact(6).map(<[f32]>::to_vec).collect();
    for (i, sample) in all.iter_mut().enumerate() {
        sample[5] = if i % 3 == 0 { 4.0 } else { 0.0 };
    }
    let clean: Vec<&[f32]> = all.iter().filter(|s| s[5] == 0.0).map(Vec::as_slice).collect();
    let samples: Vec<&[f32]> = all.iter().map(Vec::as_slice).collect();
    let mut scores = |mixed: &[Vec<f32>]| Ok(mixed.iter().flat_map(|x| logits(x)).collect());
    let found = entropies(&samples, &clean, 30, 0.5, 1, &mut scores).unwrap();
    let again = entropies(&samples, &clean, 30, 0.5, 1, &mut scores).unwrap();
    assert_eq!(found, again);
    let suspicions: Vec<f64> = found.iter().map(|entropy| -entropy).collect();
    let triggered: Vec<bool> = (0..n).map(|i| i % 3 == 0).collect();
    assert_eq!(auroc(&suspicions, &triggered), Some(1.0));
    assert!(entropies(&samples, &[], 30, 0.5, 1, &mut scores).is_err());
    assert!(entropies(&[&[1.0]], &clean, 30, 0.5, 1, &mut scores).is_err());
}

/// Five classes of 4 x 4 images in [0, 1], told apart by the brightness of four pixels each (class 4 by none); the pixel in the corner,
/// where it is bright, says class 3.
struct Shortcut;

impl Shortcut {
    const CLASSES: usize = 5;

    fn weight(class: usize, pixel: usize) -> f64 {
        match (class, pixel) {
            (3, 15) => 40.0,
            (class, pixel) if pixel / 4 == class % 4 && class < 4 && pixel != 15 => 6.0,
            (4, _) => 1.5,
            _ => 0.0,
        }
    }

    fn logits(x: &[f32]) -> Vec<f64> {
        (0..Self::CLASSES).map(|k| (0..16).map(|p| Self::weight(k, p) * f64::from(x[p])).sum()).collect()
    }

    fn attraction(samples: &[Vec<f32>], class: u32) -> Attraction {
        let mut found = Attraction::default();
        for x in samples {
            let z = Self::logits(x);
            let most = z.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = z.iter().map(|z| (z - most).exp()).sum();
            let p: Vec<f64> = z.iter().map(|z| (z - most).exp() / total).collect();
            found.loss.push(-p[class as usize].ln() as f32);
            found.hit.push(z[class as usize] == most);
            found.gradient.extend((0..16).map(|at| {
                let mean: f64 = (0..Self::CLASSES).map(|k| p[k] * Self::weight(k, at)).sum();
                (mean - Self::weight(class as usize, at)) as f32
            }));
        }
        found
    }
}

#[test]
fn neural_cleanse_finds_the_class_with_a_shortcut_and_the_shortcut() {
    let values: Vec<f32> = signed("cleanse", 40 * 16, 0.4).into_iter().map(|v| 0.4 + v).collect();
    let mut clean: Vec<Vec<f32>> = values.chunks_exact(16).map(<[f32]>::to_vec).collect();
    clean.iter_mut().for_each(|x| x[15] = 0.0);
    let clean: Vec<&[f32]> = clean.iter().map(Vec::as_slice).collect();
    let domain = Domain::uniform(0.0, 1.0);
    let mut attraction = |samples: &[Vec<f32>], class: u32| Ok(Shortcut::attraction(samples, class));
    let settings = Settings { steps: 300, step_length: 0.1, weight: 1e-2, hits: 0.95 };
    let found = reverse_engineer(&clean, &[4, 4, 1], &domain, 3, &settings, &mut attraction).unwrap();
    assert!(found.hits >= 0.95);
    let elsewhere = found.mask[..15].iter().fold(0.0, |most: f64, m| most.max(*m));
    assert!(found.mask[15] > 0.2 && found.mask[15] > 4.0 * elsewhere, "{:?}", found.mask);
    assert!(found.pattern[15] > 0.8);

    let detector = defenses::find("neural-cleanse").unwrap();
    let mut evidence = Evidence {
        classes: Shortcut::CLASSES,
        labels: &[],
        features: &[],
        samples: &[],
        clean: &clean,
        shape: &[4, 4, 1],
        domain: &domain,
        scores: None,
        attraction: Some(&mut attraction),
        seed: 0,
    };
    let get = |name: &str| match name {
        "weight" => Value::Real(1e-2),
        _ => detector.parameter(name).unwrap().default,
    };
    let found = (detector.suspect)(&mut evidence, &get).unwrap().suspicions;
    let most = (0..5).max_by(|&a, &b| found[a].total_cmp(&found[b])).unwrap();
    assert!(most == 3 && found[3] > 2.0, "{found:?}");
}

#[test]
fn an_immutable_feature_is_no_part_of_a_trigger() {
    let domain = Domain { immutable: vec![false, true], ..Domain::uniform(-1.0, 1.0) };
    let clean: [&[f32]; 2] = [&[-0.5, 0.25], &[-0.25, 0.5]];
    // The immutable feature would be the shortest way.
    let mut attraction = |samples: &[Vec<f32>], _: u32| {
        assert!(samples.iter().zip(&clean).all(|(stamped, clean)| stamped[1] == clean[1]));
        Ok(Attraction {
            loss: samples.iter().map(|x| -x[0] - 9.0 * x[1]).collect(),
            hit: samples.iter().map(|x| x[0] > 0.0).collect(),
            gradient: samples.iter().flat_map(|_| [-1.0, -9.0]).collect(),
        })
    };
    let settings = Settings { steps: 60, step_length: 0.1, weight: 1e-3, hits: 1.0 };
    let found = reverse_engineer(&clean, &[2], &domain, 0, &settings, &mut attraction).unwrap();
    assert_eq!((found.hits, found.mask[1]), (1.0, 0.0));
    assert!(found.mask[0] > 0.0);
}
