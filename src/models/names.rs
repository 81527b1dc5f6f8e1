//! Whose names a family's tensors have.

use serde::{Deserialize, Serialize};

use super::config::Misfit;

/// An ecosystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    /// timm's models.
    #[default]
    Timm,
    /// torchvision's models.
    Torchvision,
    /// transformers' models for image classification, as `save_pretrained` writes them.
    HuggingFace,
}

impl Names {
    /// The ecosystem's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Timm => "timm",
            Self::Torchvision => "torchvision",
            Self::HuggingFace => "huggingface",
        }
    }

    /// Whether a family knows these names.
    pub(super) fn among(self, known: &[Self]) -> Result<(), Misfit> {
        match known.contains(&self) {
            true => Ok(()),
            false => {
                let known: Vec<&str> = known.iter().map(|names| names.name()).collect();
                Err(("names".into(), self.name().into(), known.join(" or ")))
            }
        }
    }
}
