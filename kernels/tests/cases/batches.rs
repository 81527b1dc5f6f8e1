//! Ops by the size of their batch, whose rows must not depend on it.

use super::{draw, draw_all, indices, projection};
use crate::shapes::step;
use percuss_kernels::ops::*;
use std::sync::Arc;

/// An op and its inputs.
pub type Operands = (Arc<dyn Operation>, Vec<Vec<f32>>);

/// A name, and the op of a batch of this size; a longer batch starts with the rows of a shorter one.
type Batch = (&'static str, Box<dyn Fn(usize) -> Operands>);

/// With operands drawn from [-1, 1).
pub fn drawn<O: Operation + 'static>(op: O) -> Operands {
    let inputs = draw_all(&op);
    (Arc::new(op), inputs)
}

/// What every executor is asked alike.
pub fn batches() -> Vec<Batch> {
    let mut all: Vec<Batch> = vec![
        ("pointwise", Box::new(|lanes| drawn(step(&[lanes, 33])))),
        ("layer_norm", Box::new(|rows| drawn(LayerNorm { sets: 1, rows, columns: 37, epsilon: 1e-5 }))),
        ("softmax", Box::new(|rows| drawn(Softmax { rows, columns: 37, log: true }))),
        (
            "random",
            Box::new(|rows| {
                let op = Random { distribution: Distribution::Normal, rows, columns: 37 };
                (Arc::new(op), vec![draw(2 * rows, 1), indices(rows, 9, 2)])
            }),
        ),
    ];
    {
        let (queries, keys, size) = (5, 37, 8);
        let spec = move |images| Attention { images, queries, keys, heads: 2, size, scale: 0.3, mask: None };
        all.push(("attention", Box::new(move |images| drawn(spec(images)))));
        all.push((
            "attention_grad",
            Box::new(move |images| {
                let op = AttentionGrad(spec(images));
                let mut inputs = draw_all(&op);
                // Sums of exponentials are positive.
                inputs[4].iter_mut().for_each(|x| *x = x.abs() + 0.5);
                (Arc::new(op), inputs)
            }),
        ));
    }
    for ball in [Ball::L1, Ball::L2] {
        let project = move |rows| -> Operands {
            let (op, inputs) = projection(ball, rows, 37, 0.5);
            (Arc::new(op), inputs)
        };
        all.push(("project", Box::new(project)));
    }
    all
}
