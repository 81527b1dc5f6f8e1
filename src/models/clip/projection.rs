//! From a tower's own features to those that images and texts share.

use serde::{Deserialize, Serialize};

use crate::graph::Tensor;
use crate::models::net::{Net, Role};

/// The last layers of a tower; names are those after the tower's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Projection {
    /// None: the tower's width is that of the features.
    None,
    /// `x P`, P `[width, features]` a tensor of its own.
    Matrix,
    /// A linear layer.
    Linear {
        /// Whether it has a bias.
        bias: bool,
    },
    /// Two linear layers without biases, GELU between them: `NAME.0`, `NAME.2`.
    Sequential {
        /// Width between them.
        hidden: usize,
    },
    /// Two linear layers, GELU between them: `NAME.fc1` with a bias, `NAME.fc2`.
    Mlp {
        /// Width between them.
        hidden: usize,
        /// Whether the second has a bias.
        bias: bool,
    },
}

impl Projection {
    /// x `[.., width]` to `[.., features]`.
    pub(super) fn forward(self, net: &mut Net, name: &str, x: Tensor, features: usize) -> Tensor {
        let width = net.graph.dims(x).last().copied().unwrap_or(1);
        match self {
            Self::None => x,
            Self::Matrix => {
                let matrix = net.tensor(name, &[width, features], Role::Kernels, width);
                net.graph.matmul(x, false, matrix, false)
            }
            Self::Linear { bias } => layer(net, name, x, features, bias),
            Self::Sequential { hidden } => {
                let inner = layer(net, &format!("{name}.0"), x, hidden, false);
                let inner = net.graph.gelu(inner);
                layer(net, &format!("{name}.2"), inner, features, false)
            }
            Self::Mlp { hidden, bias } => {
                let inner = layer(net, &format!("{name}.fc1"), x, hidden, true);
                let inner = net.graph.gelu(inner);
                layer(net, &format!("{name}.fc2"), inner, features, bias)
            }
        }
    }
}

fn layer(net: &mut Net, name: &str, x: Tensor, outputs: usize, bias: bool) -> Tensor {
    let bias = bias.then(|| format!("{name}.bias"));
    net.linear_named(&format!("{name}.weight"), bias.as_deref(), x, outputs)
}
