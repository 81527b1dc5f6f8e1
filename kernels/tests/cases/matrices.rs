//! Matrix products, and the ops along rows.

use percuss_kernels::ops::*;

use super::{Case, draw, draw_all, indices, scaled};
use crate::reference;

pub fn all() -> Vec<Case> {
    let mut cases = matmuls();
    cases.extend(reductions());
    cases.extend(ranks());
    cases.extend(losses());
    cases.extend(copies());
    cases
}

const FULL: Epilogue = Epilogue { bias: true, residual: true, activation: Activation::Relu };

fn matmuls() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |batch, [m, n, k]: [usize; 3], bits: usize, epilogue| {
        let layout =
            |bit: usize| Layout { transposed: bits >> bit & 1 == 1, shared: bits >> (bit + 1) & 1 == 1 };
        let op = Matmul { batch, m, n, k, a: layout(0), b: layout(2), epilogue };
        cases.push(Case::drawn(op, reference::matmul));
    };
    // Every order and sharing, on a shape that is no multiple of anything.
    for bits in 0..16 {
        add(3, [13, 37, 19], bits, if bits % 3 == 0 { FULL } else { Epilogue::NONE });
        add(2, [70, 48, 33], bits, if bits % 3 == 1 { FULL } else { Epilogue::NONE });
    }
    // One less, the same and one more than the tiles' edges.
    for m in [1, 2, 3, 4, 7, 8, 11, 12, 13, 15, 16, 17, 63, 64, 65] {
        add(1, [m, 32, 16], 0, Epilogue::NONE);
        add(1, [m, 17, 9], 5, Epilogue { bias: true, ..Epilogue::NONE });
    }
    for n in [1, 2, 15, 16, 17, 31, 32, 33, 47, 48, 49, 63, 64, 65, 130] {
        add(1, [14, n, 20], 0, Epilogue { bias: true, residual: false, activation: Activation::Relu });
        add(1, [25, n, 20], 4, Epilogue { residual: true, ..Epilogue::NONE });
    }
    for k in [1, 2, 3, 255, 256, 257, 511, 512, 513, 1300] {
        for bits in [0, 1, 4, 5] {
            add(1, [18, 33, k], bits, Epilogue::NONE);
        }
    }
    // More than 512 rows; a batch of a model ensemble; the two-class head.
    add(1, [1030, 40, 70], 0, FULL);
    add(1, [530, 64, 3], 1, Epilogue::NONE);
    add(5, [6, 2, 128], 0, Epilogue { bias: true, ..Epilogue::NONE });
    add(1, [64, 2, 128], 8, Epilogue { bias: true, ..Epilogue::NONE });
    cases
}

fn reductions() -> Vec<Case> {
    let mut cases = Vec::new();
    let shapes = [
        [1, 1, 1],
        [3, 1, 5],
        [1, 15, 1],
        [7, 31, 1],
        [5, 32, 1],
        [5, 33, 1],
        [2, 1024, 1],
        [2, 1025, 1],
        [1, 70_000, 1],
        [3, 5, 7],
        [2, 33, 64],
        [2, 64, 65],
        [1, 2048, 3],
        [1, 2049, 17],
        [1, 9000, 130],
        [700, 9, 10],
        [3, 4096, 8],
        [1, 70_000, 16],
        [2, 6, 32],
        [2, 7, 16],
    ];
    for [outer, len, inner] in shapes {
        for kind in [Reduction::Sum, Reduction::Max, Reduction::Min] {
            cases.push(Case::drawn(Reduce { kind, outer, len, inner }, reference::reduce));
        }
        if inner == 1 {
            cases.extend(layer_norms(outer, len));
        }
        let op = Moments { outer, len, inner };
        // A mean far from 0 shows a variance computed from the sum of squares.
        let x = scaled(draw(outer * len * inner, 9), 1.0, 300.0);
        cases.push(Case::new(op.clone(), vec![x], reference::moments));
        cases.push(Case::drawn(op, reference::moments));
    }
    cases
}

fn ranks() -> Vec<Case> {
    let mut cases = Vec::new();
    for [rows, columns] in [[1_usize, 1], [3, 2], [70, 31], [5, 33], [2, 5000]] {
        for place in [1, columns.div_ceil(100), columns.div_ceil(3), columns] {
            for factor in [1.0_f32, 1e-30, 1e30] {
                // Rounded, so that there are ties and zeros.
                let x = draw(rows * columns, 1).iter().map(|x| (x * 40.0).round() * factor).collect();
                cases.push(Case::new(Rank { rows, columns, place }, vec![x], reference::rank));
            }
        }
    }
    cases
}

fn losses() -> Vec<Case> {
    let mut cases = Vec::new();
    for (rows, classes) in [(1, 1), (3, 2), (17, 5), (600, 2), (5, 33), (2, 1500)] {
        for factor in [1.0, 60.0, 3e4, 1e-30, 1e30] {
            let logits = || scaled(draw(rows * classes, 1), factor, 0.0);
            for log in [false, true] {
                let op = Softmax { rows, columns: classes, log };
                cases.push(Case::new(op, vec![logits()], reference::softmax));
            }
            let mut labels = indices(rows, classes, 2);
            labels[rows - 1] = if rows > 2 { classes as f32 } else { 0.0 };
            for odds in [false, true] {
                let op = CrossEntropy { rows, classes, odds };
                let inputs = vec![logits(), labels.clone(), draw(rows, 3)];
                if !odds || classes > 1 {
                    cases.push(Case::new(op.clone(), inputs[..2].to_vec(), reference::cross_entropy));
                    cases.push(Case::new(CrossEntropyGrad(op), inputs, reference::cross_entropy_grad));
                }
            }
        }
    }
    cases
}

fn copies() -> Vec<Case> {
    let mut cases = Vec::new();
    for (outer, rows, inner, count) in [(1, 1, 1, 1), (3, 7, 5, 4), (2, 513, 16, 65), (65, 2, 1, 1)] {
        for shared in [false, true] {
            let op = Gather { outer, rows, inner, count, shared };
            let mut inputs = draw_all(&op);
            inputs[1] = indices(outer * count, rows, 5);
            if outer > 1 {
                inputs[1][1] = -1.0;
                inputs[1][2] = rows as f32;
            }
            cases.push(Case::new(op.clone(), inputs, reference::gather));
            if !shared {
                let op = ScatterAdd(op);
                let inputs = vec![draw(outer * count * inner, 1), indices(outer * count, rows, 6)];
                cases.push(Case::new(op, inputs, reference::scatter_add));
            }
        }
    }
    let permutations: [(&[usize], &[usize], &[usize]); 8] = [
        (&[5], &[0], &[1]),
        (&[17, 33], &[1, 0], &[0, 0]),
        (&[4, 65, 3], &[0, 2, 1], &[0, 0, 0]),
        (&[2, 3, 4, 5], &[3, 1, 0, 2], &[0, 1, 0, 1]),
        (&[3, 3, 8, 16], &[0, 1, 3, 2], &[1, 1, 0, 0]),
        (&[2, 1, 3, 2, 1, 5], &[5, 4, 3, 2, 1, 0], &[1, 0, 0, 1, 1, 0]),
        (&[600, 2], &[0, 1], &[0, 1]),
        (&[1, 1], &[1, 0], &[1, 1]),
    ];
    for (shape, axes, flip) in permutations {
        let flip = flip.iter().map(|flip| *flip == 1).collect();
        let op = Permute { shape: shape.to_vec(), axes: axes.to_vec(), flip };
        cases.push(Case::drawn(op, reference::permute));
    }
    for (outer, parts, inner) in [(1, vec![1], 1), (5, vec![3, 1, 17], 4), (600, vec![2, 5], 1)] {
        cases.push(Case::drawn(Concat { outer, parts, inner }, reference::concat));
    }
    for (outer, len, inner, start, count) in [(1, 1, 1, 0, 1), (5, 9, 4, 3, 2), (600, 5, 3, 4, 1)] {
        cases.push(Case::drawn(Slice { outer, len, inner, start, count }, reference::slice));
    }
    cases
}

/// Layer norm of rows for one set of weights and for two, and its gradient from what it gives.
fn layer_norms(rows: usize, columns: usize) -> Vec<Case> {
    let mut cases = Vec::new();
    for sets in [1, 2] {
        let op = LayerNorm { sets, rows, columns, epsilon: 1e-5 };
        let inputs = draw_all(&op);
        let found = reference::layer_norm(&op, &inputs);
        let rounded = |part: usize| found[part].iter().map(|value| value.exact as f32).collect::<Vec<f32>>();
        let dy = draw(sets * rows * columns, 7);
        let more = vec![inputs[0].clone(), inputs[1].clone(), rounded(1), rounded(2), dy];
        cases.push(Case::new(op.clone(), inputs, reference::layer_norm));
        cases.push(Case::new(LayerNormGrad(op), more, reference::layer_norm_grad));
    }
    cases
}
