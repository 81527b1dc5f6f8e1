//! The functions between the layers of a transformer or a convolutional network, by the names that configurations give them.

use serde::{Deserialize, Serialize};

use crate::graph::{Graph, Tensor};

/// A function of one value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// x Phi(x), Phi the standard normal's distribution function (Hendrycks & Gimpel 2016).
    #[default]
    Gelu,
    /// The same by its approximation through tanh.
    GeluTanh,
    /// x sigmoid(1.702 x).
    QuickGelu,
    /// max(0, x).
    Relu,
    /// x sigmoid(x).
    Silu,
}

impl Activation {
    /// What Hugging Face's `hidden_act` and timm's `act_layer` call it.
    pub(super) fn by_name(name: &str) -> Option<Self> {
        Some(match name {
            "gelu" => Self::Gelu,
            "gelu_new" | "gelu_pytorch_tanh" | "gelu_tanh" | "gelu_fast" => Self::GeluTanh,
            "quick_gelu" | "quickgelu" => Self::QuickGelu,
            "relu" => Self::Relu,
            "silu" | "swish" => Self::Silu,
            _ => return None,
        })
    }

    /// The names that [`Self::by_name`] knows, for messages.
    pub(super) const NAMES: &str =
        "gelu, gelu_new, gelu_pytorch_tanh, gelu_tanh, gelu_fast, quick_gelu, relu, silu or swish";

    /// The function, element by element.
    pub fn apply(self, graph: &mut Graph, x: Tensor) -> Tensor {
        match self {
            Self::Gelu => graph.gelu(x),
            Self::GeluTanh => graph.gelu_tanh(x),
            Self::QuickGelu => graph.quick_gelu(x),
            Self::Relu => graph.relu(x),
            Self::Silu => graph.silu(x),
        }
    }
}
