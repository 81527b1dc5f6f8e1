//! ISeeU (Caicedo-Torres & Gutierrez 2019, "ISeeU: Visually interpretable deep learning for mortality prediction inside the ICU"):
//! ICU mortality from 22 variables over 48 hours, under the Keras names of its published weights.

use percuss_kernels::ops::PoolKind;
use serde::{Deserialize, Serialize};

use super::net::{Net, Role};
use crate::graph::{ConvGeometry, PoolGeometry, Tensor};

/// One row of 22 variables; the hours are its channels.
pub(super) const INPUT_SHAPE: [usize; 3] = [1, 22, 48];
const FILTERS: usize = 16;
const HIDDEN: usize = 256;
const EPSILON: f32 = 1e-3;

/// The published network; nothing to choose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Iseeu {}

impl Iseeu {
    /// The input is standardised: `(value - training mean) / training deviation` of each variable.
    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let branches: Vec<Tensor> = [("3h_conv", 3), ("6h_conv", 6), ("12h_conv", 12)]
            .map(|(name, rows)| branch(net, name, rows, x))
            .to_vec();
        let axis = net.graph.dims(x).len() - 1;
        let joined = net.graph.concat(&branches, axis);
        let x = norm(net, "bn1", joined);
        let dims = net.graph.dims(x).to_vec();
        let rank = dims.len();
        // Keras flattens channels-last, as they lie.
        let x = net.graph.reshape(x, &[&dims[..rank - 3], &[dims[rank - 3..].iter().product()]].concat());
        let y = dense(net, "fc1", x, HIDDEN);
        let y = net.graph.relu(y);
        let y = norm(net, "bn3", y);
        dense(net, "fc2", y, 1)
    }
}

fn variable(layer: &str, name: &str) -> String {
    format!("model_weights/{layer}/{layer}_8/{name}:0")
}

fn branch(net: &mut Net, name: &str, rows: usize, x: Tensor) -> Tensor {
    let hours = INPUT_SHAPE[2];
    let weight =
        net.tensor(&variable(name, "kernel"), &[rows, 1, hours, FILTERS], Role::Kernels, rows * hours);
    let bias = net.tensor(&variable(name, "bias"), &[FILTERS], Role::Bias, rows * hours);
    // Keras's 'same' padding of an even kernel puts the odd row at the bottom.
    let top = (rows - 1) / 2;
    let geometry =
        ConvGeometry { stride: [1; 2], pad: [top, 0, rows - 1 - top, 0], dilation: [1; 2], groups: 1 };
    let y = net.graph.conv(x, weight, geometry);
    let y = net.graph.add(y, bias);
    let y = net.graph.relu(y);
    let pooling = PoolGeometry { kernel: [1, 3], stride: [1, 3], pad: [0, 1, 0, 1] };
    net.graph.pool(PoolKind::AverageInside, y, pooling)
}

fn norm(net: &mut Net, layer: &str, x: Tensor) -> Tensor {
    let names = ["gamma", "beta", "moving_mean", "moving_variance"].map(|name| variable(layer, name));
    net.batch_norm_named(&names, x, EPSILON)
}

fn dense(net: &mut Net, layer: &str, x: Tensor, outputs: usize) -> Tensor {
    net.reads(x);
    let inputs = net.graph.dims(x).last().copied().unwrap_or(1);
    let weight = net.tensor(&variable(layer, "kernel"), &[inputs, outputs], Role::Kernels, inputs);
    let bias = net.tensor(&variable(layer, "bias"), &[outputs], Role::Bias, inputs);
    net.graph.linear(x, weight, Some(bias))
}
