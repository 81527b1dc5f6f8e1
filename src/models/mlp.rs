//! Fully connected networks with ReLU: `nn.Sequential(Linear, ReLU, Linear, ...)`, tensors `0.weight`, `0.bias`, `2.weight`, ...

use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive, stacked};
use super::net::Net;
use crate::graph::Tensor;

/// Layer sizes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mlp {
    /// Features.
    pub inputs: usize,
    /// Hidden widths; none is a linear (logistic) model.
    pub hidden: Vec<usize>,
    /// Outputs.
    pub classes: usize,
}

impl Mlp {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        positive("inputs", self.inputs)?;
        positive("classes", self.classes)?;
        stacked("hidden", &vec![1; self.hidden.len()])?;
        self.hidden.iter().enumerate().try_for_each(|(i, &width)| positive(&format!("hidden[{i}]"), width))
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let mut x = net.flatten(x);
        for (i, &width) in self.hidden.iter().enumerate() {
            let y = net.linear(&(2 * i).to_string(), x, width);
            x = net.graph.relu(y);
        }
        net.linear(&(2 * self.hidden.len()).to_string(), x, self.classes)
    }
}
