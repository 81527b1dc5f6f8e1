//! The embedded sets can be learnt, about as well as they should: a leak would show as far more, a broken column as less.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use percuss::data::{Dataset, Labels, Request, beats, ecg, open, open_fitted, phantom};

/// Area under the ROC curve by the rank sum; ties count half.
fn auc(scores: &[f64], labels: &[u32]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut ranks = vec![0.0; scores.len()];
    let mut first = 0;
    for run in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        run.iter().for_each(|&i| ranks[i] = first as f64 + (run.len() + 1) as f64 / 2.0);
        first += run.len();
    }
    let positives = labels.iter().filter(|&&l| l == 1).count() as f64;
    let sum: f64 = ranks.iter().zip(labels).filter(|(_, l)| **l == 1).map(|(rank, _)| rank).sum();
    (sum - positives * (positives + 1.0) / 2.0) / (positives * (scores.len() as f64 - positives))
}

/// Ridge least squares on labels 0 and 1, by conjugate gradients: the plainest linear model there is.
fn linear_scores(train: &Dataset, test: &Dataset, positive: u32, ridge: f64) -> (Vec<f64>, Vec<u32>) {
    let d = train.sample_len();
    let (mut mean, mut sd) = (vec![0.0; d], vec![0.0; d]);
    let n = train.len() as f64;
    for i in 0..train.len() {
        train.sample(i).iter().zip(&mut mean).for_each(|(v, m)| *m += f64::from(*v) / n);
    }
    for i in 0..train.len() {
        for k in 0..d {
            sd[k] += (f64::from(train.sample(i)[k]) - mean[k]).powi(2) / n;
        }
    }
    let row = |set: &Dataset, i: usize| -> Vec<f64> {
        set.sample(i)
            .iter()
            .enumerate()
            .map(|(k, v)| (f64::from(*v) - mean[k]) / (sd[k].sqrt() + 1e-6))
            .collect()
    };
    let is = |set: &Dataset, i: usize| match &set.labels {
        Labels::Class(labels) => u32::from(labels[i] == positive),
        Labels::Findings(_) => 0,
    };
    let share = (0..train.len()).map(|i| f64::from(is(train, i))).sum::<f64>() / n;
    let rows: Vec<Vec<f64>> = (0..train.len()).map(|i| row(train, i)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut residual = vec![0.0; d];
    for (i, x) in rows.iter().enumerate() {
        let y = f64::from(is(train, i)) - share;
        residual.iter_mut().zip(x).for_each(|(r, v)| *r += v * y);
    }
    let (mut weights, mut direction, mut old) = (vec![0.0; d], residual.clone(), dot(&residual, &residual));
    for _ in 0..60 {
        let mut image: Vec<f64> = direction.iter().map(|v| v * ridge * n).collect();
        for x in &rows {
            let along = dot(x, &direction);
            image.iter_mut().zip(x).for_each(|(r, v)| *r += v * along);
        }
        let step = old / dot(&direction, &image).max(1e-300);
        for k in 0..d {
            weights[k] += step * direction[k];
            residual[k] -= step * image[k];
        }
        let new = dot(&residual, &residual);
        direction.iter_mut().zip(&residual).for_each(|(p, r)| *p = r + new / old * *p);
        old = new;
        if new < 1e-12 {
            break;
        }
    }
    (
        (0..test.len()).map(|i| dot(&row(test, i), &weights)).collect(),
        (0..test.len()).map(|i| is(test, i)).collect(),
    )
}

#[test]
fn support2_features_predict_death_about_as_well_as_published_baselines() {
    let (train, fitted) = open_fitted(&Request::named("support2", "train"), None).unwrap();
    let test = open(&Request::named("support2", "test"), fitted.as_ref()).unwrap();
    let (scores, labels) = linear_scores(&train, &test, 1, 1e-3);
    let auc = auc(&scores, &labels);
    println!(
        "support2: {} features, {} / {} rows, linear AUC {auc:.4}",
        train.shape[0],
        train.len(),
        test.len()
    );
    // Logistic regression on this cohort has 0.757; a leak would show as far more, a broken column as less.
    assert!((0.73..0.80).contains(&auc), "{auc}");
}

/// For each test image the largest 3x3 excess over the clear train images, in their standard deviations, after taking
/// off the image's own mean: what one convolution and a maximum could see.
fn brightest_spots(train: &Dataset, test: &Dataset) -> Vec<f64> {
    let side = phantom::SIDE;
    let blurred = |set: &Dataset, i: usize| -> Vec<f64> {
        let image = set.sample(i);
        let mean = image.iter().map(|&v| f64::from(v)).sum::<f64>() / image.len() as f64;
        let spot = |row: usize, column: usize| {
            let around =
                (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| r * side + c));
            around.map(|at| f64::from(image[at])).sum::<f64>() / 9.0 - mean
        };
        (1..side - 1)
            .flat_map(|row| (1..side - 1).map(move |column| (row, column)))
            .map(|(r, c)| spot(r, c))
            .collect()
    };
    let Labels::Class(labels) = &train.labels else { panic!("classes") };
    let clear: Vec<Vec<f64>> =
        (0..train.len()).filter(|&i| labels[i] == 0).map(|i| blurred(train, i)).collect();
    let n = clear.len() as f64;
    let mean: Vec<f64> = (0..clear[0].len()).map(|k| clear.iter().map(|v| v[k]).sum::<f64>() / n).collect();
    let sd: Vec<f64> = (0..mean.len())
        .map(|k| (clear.iter().map(|v| (v[k] - mean[k]).powi(2)).sum::<f64>() / n).sqrt())
        .collect();
    (0..test.len())
        .map(|i| {
            let excess = blurred(test, i).into_iter().enumerate().map(|(k, v)| (v - mean[k]) / sd[k]);
            excess.fold(f64::NEG_INFINITY, f64::max)
        })
        .collect()
}

#[test]
fn synthetic_sets_can_be_learnt_but_not_by_a_straight_line_alone() {
    let (train, test) = (phantom::generate("train", 0).unwrap(), phantom::generate("test", 0).unwrap());
    let (scores, labels) = linear_scores(&train, &test, 1, 0.1);
    let area = auc(&scores, &labels);
    println!("cxr-phantom: linear AUC {area:.4}");
    assert!((0.55..0.97).contains(&area), "{area}");
    let found: Vec<f64> = brightest_spots(&train, &test);
    let area = auc(&found, &labels);
    println!("cxr-phantom: AUC of the spot that is brightest against clear images {area:.4}");
    assert!((0.75..0.98).contains(&area), "{area}");
    let (train, test) = (ecg::generate("train", 0).unwrap(), ecg::generate("test", 0).unwrap());
    for (class, name) in beats::CLASSES.iter().enumerate() {
        let (scores, labels) = linear_scores(&train, &test, class as u32, 0.05);
        let area = auc(&scores, &labels);
        println!("ecg-synthetic: {name} against the rest, linear AUC {area:.4}");
        assert!((0.55..0.995).contains(&area), "{name} {area}");
    }
}
