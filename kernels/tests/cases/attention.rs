//! Attention and its gradients: a head of one feature, one past every edge of a tile, masks of every kind.

use percuss_kernels::ops::*;

use super::{Case, draw, draw_all, scaled};
use crate::reference::{self, Value};

/// What every device computes.
pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for [images, queries, keys, heads, size] in
        [[1, 1, 1, 1, 1], [3, 7, 5, 2, 3], [1, 33, 31, 2, 33], [1, 2, 65, 1, 70]]
    {
        plain([images, queries, keys, heads, size], &mut cases);
    }
    for (count, rows, queries, keys, size) in [(2, false, 34, 33, 17), (4, true, 3, 40, 2)] {
        let mask = Some(Mask { count, rows });
        both(Attention { images: 4, queries, keys, heads: 2, size, scale: 0.4, mask }, 2.0, &mut cases);
    }
    cases
}

/// The processor's own blocks: one of its full size, one more, three.
pub fn blocks() -> Vec<Case> {
    let mut cases = Vec::new();
    for sizes in [
        [2, 1, 5, 3, 1],
        [3, 7, 1, 1, 5],
        [1, 65, 64, 1, 64],
        [1, 72, 256, 1, 4],
        [1, 73, 257, 1, 7],
        [1, 145, 513, 2, 3],
        [1, 3, 5, 1, 255],
        [1, 2, 65, 1, 256],
    ] {
        plain(sizes, &mut cases);
    }
    for (count, rows) in [(1, false), (2, true), (4, false)] {
        let mask = Some(Mask { count, rows });
        both(
            Attention { images: 4, queries: 75, keys: 261, heads: 1, size: 2, scale: 0.4, mask },
            2.0,
            &mut cases,
        );
    }
    // Scores far apart: almost all weights are 0.
    both(
        Attention { images: 1, queries: 40, keys: 300, heads: 1, size: 16, scale: 20.0, mask: None },
        3.0,
        &mut cases,
    );
    cases
}

fn plain([images, queries, keys, heads, size]: [usize; 5], cases: &mut Vec<Case>) {
    let scale = 1.0 / (size as f32).sqrt();
    both(Attention { images, queries, keys, heads, size, scale, mask: None }, 3.0, cases);
}

/// The forward pass with operands as large as `reach`, and the gradient from what it gives.
fn both(op: Attention, reach: f32, cases: &mut Vec<Case>) {
    let mut inputs: Vec<Vec<f32>> = draw_all(&op).into_iter().map(|x| scaled(x, reach, 0.0)).collect();
    if let Some(mask) = inputs.get_mut(3) {
        // A third of all pairs is forbidden, and all pairs of the last row.
        let last = mask.len() - op.keys;
        for (i, x) in mask.iter_mut().enumerate() {
            if *x < -0.3 * reach || i >= last {
                *x = -1e30;
            }
        }
    }
    let found: Vec<Vec<f32>> = reference::attention(&op, &inputs)
        .iter()
        .map(|values: &Vec<Value>| values.iter().map(|value| value.exact as f32).collect())
        .collect();
    let dy = draw(found[0].len(), 9);
    let mut more = [&inputs[..3], &found[..], &[dy]].concat();
    more.extend(inputs.get(3).cloned());
    cases.push(Case::new(op.clone(), inputs, reference::attention));
    cases.push(Case::new(AttentionGrad(op), more, reference::attention_grad));
}
