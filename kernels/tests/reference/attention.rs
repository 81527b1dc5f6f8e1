//! Attention, score by score.

use percuss_kernels::ops::*;

use super::{U, Value};

/// Where the features of a token of a head start.
fn place(op: &Attention, image: usize, tokens: usize, token: usize, head: usize) -> usize {
    ((image * tokens + token) * op.heads + head) * op.size
}

/// Sum of products with its error.
fn dot(x: &[f32], y: &[f32]) -> Value {
    let terms = || x.iter().zip(y).map(|(x, y)| f64::from(*x) * f64::from(*y));
    let bound = (x.len() as f64 + 4.0) * U * terms().map(f64::abs).sum::<f64>();
    Value { exact: terms().sum(), bound }
}

fn score(op: &Attention, product: Value, mask: Option<f32>) -> Value {
    let (scale, mask) = (f64::from(op.scale), f64::from(mask.unwrap_or(0.0)));
    let exact = product.exact * scale + mask;
    Value {
        exact,
        bound: product.bound * scale.abs() + 2.0 * U * (exact.abs() + (product.exact * scale).abs()),
    }
}

/// All scores of a query, keys in order.
fn scores(op: &Attention, q: &[f32], k: &[f32], mask: Option<&Vec<f32>>, place_of: [usize; 3]) -> Vec<Value> {
    let [image, query, head] = place_of;
    let own = &q[place(op, image, op.queries, query, head)..][..op.size];
    (0..op.keys)
        .map(|key| {
            let other = &k[place(op, image, op.keys, key, head)..][..op.size];
            let mask = op.mask.and_then(|layout| {
                let number = image / (op.images / layout.count);
                let row = if layout.rows { number * op.queries + query } else { number };
                mask.map(|mask| mask[row * op.keys + key])
            });
            score(op, dot(own, other), mask)
        })
        .collect()
}

/// The relative error of `exp(score - largest)`; whatever the largest is off by cancels in the weights.
fn looseness(score: Value, largest: f64) -> f64 {
    // A difference beyond what exp can tell from 0 is no longer relative.
    score.bound + U * ((score.exact - largest).abs().min(200.0) + 90.0)
}

fn all_rows(op: &Attention) -> impl Iterator<Item = [usize; 3]> {
    let (images, queries, heads) = (op.images, op.queries, op.heads);
    (0..images).flat_map(move |i| (0..queries).flat_map(move |q| (0..heads).map(move |h| [i, q, h])))
}

pub fn attention(op: &Attention, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut out = vec![Vec::new(), Vec::new()];
    for row @ [image, _, head] in all_rows(op) {
        let scores = scores(op, &inputs[0], &inputs[1], inputs.get(3), row);
        let largest = scores.iter().fold(f64::NEG_INFINITY, |top, score| top.max(score.exact));
        let top_bound = scores.iter().map(|score| score.bound).fold(0.0, f64::max);
        let powers: Vec<f64> = scores.iter().map(|score| (score.exact - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let loose: Vec<f64> = scores.iter().map(|&score| looseness(score, largest)).collect();
        for c in 0..op.size {
            let value = |key: usize| f64::from(inputs[2][place(op, image, op.keys, key, head) + c]);
            let weighted =
                |f: &dyn Fn(usize) -> f64| (0..op.keys).map(|key| powers[key] / sum * f(key)).sum::<f64>();
            let exact = weighted(&|key| value(key));
            let rounding = (op.keys as f64 + 80.0) * U * weighted(&|key| value(key).abs());
            let carried = weighted(&|key| loose[key] * (value(key).abs() + exact.abs()));
            out[0].push(Value { exact, bound: rounding + carried + 1e-44 });
        }
        let sum_bound: f64 =
            powers.iter().zip(&loose).map(|(power, loose)| power * (loose + top_bound)).sum();
        out[1].push(Value { exact: largest, bound: top_bound });
        out[1].push(Value { exact: sum, bound: sum_bound + 80.0 * U * sum });
    }
    out
}

pub fn attention_grad(AttentionGrad(op): &AttentionGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let [q, k, v, y, statistics, dy] = [0, 1, 2, 3, 4, 5].map(|i| &inputs[i]);
    // Sums, their magnitudes with the relative error of their terms, and what their terms carry.
    let mut sums = [q.len(), k.len(), k.len()].map(|len| vec![(0.0_f64, 0.0_f64, 0.0_f64); len]);
    let scale = f64::from(op.scale);
    for (number, row @ [image, query, head]) in all_rows(op).enumerate() {
        let own = place(op, image, op.queries, query, head);
        let (largest, sum) = (f64::from(statistics[2 * number]), f64::from(statistics[2 * number + 1]));
        let slope = &dy[own..own + op.size];
        let product = dot(slope, &y[own..own + op.size]);
        for (key, &score) in scores(op, q, k, inputs.get(6), row).iter().enumerate() {
            let other = place(op, image, op.keys, key, head);
            let weight = (score.exact - largest).exp() / sum;
            let weight_bound = weight * looseness(score, largest) + 1e-44;
            let along = dot(slope, &v[other..other + op.size]);
            let difference = along.exact - product.exact;
            let change = weight * difference * scale;
            let change_bound = scale.abs()
                * (weight_bound * difference.abs()
                    + weight
                        * (along.bound
                            + product.bound
                            + 2.0 * U * (along.exact.abs() + product.exact.abs())))
                + 4.0 * U * change.abs();
            let mut add = |output: usize, at: usize, factor: f64, bound: f64, term: f32| {
                let sum = &mut sums[output][at];
                sum.0 += factor * f64::from(term);
                sum.1 += (factor * f64::from(term)).abs();
                sum.2 += bound * f64::from(term).abs();
            };
            for c in 0..op.size {
                add(0, own + c, change, change_bound, k[other + c]);
                add(1, other + c, change, change_bound, q[own + c]);
                add(2, other + c, weight, weight_bound, dy[own + c]);
            }
        }
    }
    let terms = [op.keys, op.queries, op.queries];
    let finish = |(sums, terms): (Vec<(f64, f64, f64)>, usize)| {
        let one = |(exact, size, carried): (f64, f64, f64)| Value {
            exact,
            bound: carried + (terms as f64 + 4.0) * U * size + 1e-44,
        };
        sums.into_iter().map(one).collect()
    };
    sums.into_iter().zip(terms).map(finish).collect()
}
