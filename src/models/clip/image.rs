//! The image's side: a vision transformer (Dosovitskiy et al. 2021) under the names of open_clip, timm in open_clip, or Hugging Face.

use serde::{Deserialize, Serialize};

use super::projection::Projection;
use crate::graph::Tensor;
use crate::models::config::{Misfit, positive};
use crate::models::net::Net;
use crate::models::patches::{PatchEmbedding, first_token, mean_token};
use crate::models::transformer::{BlockNames, Encoder};

/// Whose names the tensors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageNames {
    /// `visual.*`
    OpenClip,
    /// `visual.trunk.*`, `visual.head.*`
    Timm,
    /// `vision_model.*`, `visual_projection`
    HuggingFace,
}

/// Which token, or what of them, stands for the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImagePool {
    /// The class token.
    Token,
    /// The mean of the patches, each normalised before.
    NormedAverage,
    /// The mean of the patches, normalised after.
    Average,
}

/// A vision transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageTower {
    /// Whose names the tensors have.
    pub names: ImageNames,
    /// Height and width in pixels.
    pub size: [usize; 2],
    /// Side of a patch; it divides both.
    pub patch: usize,
    /// The blocks.
    pub encoder: Encoder,
    /// Whether tokens are normalised before the blocks.
    pub norm_before: bool,
    /// What stands for the image.
    pub pool: ImagePool,
    /// To the shared features.
    pub projection: Projection,
}

/// The names of the tensors beside the blocks.
struct Names {
    embedding: PatchEmbedding,
    norm_before: &'static str,
    blocks: &'static str,
    norm: &'static str,
    /// Of the layer norm after an average.
    norm_of_average: &'static str,
}

impl ImageTower {
    fn names(&self) -> Names {
        match self.names {
            ImageNames::OpenClip => Names {
                embedding: PatchEmbedding {
                    patches: "visual.conv1",
                    bias: false,
                    class: Some("visual.class_embedding"),
                    positions: "visual.positional_embedding",
                    lead: [0, 0],
                },
                norm_before: "visual.ln_pre",
                blocks: "visual.transformer.resblocks",
                norm: "visual.ln_post",
                norm_of_average: "visual.ln_post",
            },
            ImageNames::Timm => Names {
                embedding: PatchEmbedding {
                    patches: "visual.trunk.patch_embed.proj",
                    bias: true,
                    class: Some("visual.trunk.cls_token"),
                    positions: "visual.trunk.pos_embed",
                    lead: [2, 1],
                },
                norm_before: "visual.trunk.norm_pre",
                blocks: "visual.trunk.blocks",
                norm: "visual.trunk.norm",
                norm_of_average: "visual.trunk.fc_norm",
            },
            ImageNames::HuggingFace => Names {
                embedding: PatchEmbedding {
                    patches: "vision_model.embeddings.patch_embedding",
                    bias: false,
                    class: Some("vision_model.embeddings.class_embedding"),
                    positions: "vision_model.embeddings.position_embedding.weight",
                    lead: [0, 0],
                },
                // As it is spelt there.
                norm_before: "vision_model.pre_layrnorm",
                blocks: "vision_model.encoder.layers",
                norm: "vision_model.post_layernorm",
                norm_of_average: "vision_model.post_layernorm",
            },
        }
    }

    fn projection_name(&self) -> &'static str {
        match (self.names, self.projection) {
            (ImageNames::OpenClip, _) => "visual.proj",
            (ImageNames::Timm, Projection::Mlp { .. }) => "visual.head.mlp",
            (ImageNames::Timm, _) => "visual.head.proj",
            (ImageNames::HuggingFace, _) => "visual_projection",
        }
    }

    pub(super) fn check(&self, place: &str, features: usize) -> Result<(), Misfit> {
        positive(&format!("{place}.patch"), self.patch)?;
        for size in self.size {
            if size == 0 || size > 8192 || !size.is_multiple_of(self.patch) {
                let expected = format!("a multiple of the patch's {} up to 8192", self.patch);
                return Err((format!("{place}.size"), size.to_string(), expected));
            }
        }
        let expected = match self.names {
            ImageNames::OpenClip => BlockNames::OpenClip,
            ImageNames::Timm => BlockNames::Timm,
            ImageNames::HuggingFace => BlockNames::HuggingFaceClip,
        };
        if self.encoder.names != expected {
            let found = format!("{:?}", self.encoder.names);
            return Err((format!("{place}.encoder.names"), found, format!("{expected:?}")));
        }
        if self.projection == Projection::None && self.encoder.width != features {
            let found = self.encoder.width.to_string();
            return Err((
                format!("{place}.encoder.width"),
                found,
                format!("{features}, there is no projection"),
            ));
        }
        self.encoder.check(&format!("{place}.encoder"))
    }

    /// Features `[.., features]` of x `[.., height, width, 3]`.
    pub(super) fn forward(&self, net: &mut Net, x: Tensor, features: usize) -> Tensor {
        let (names, epsilon) = (self.names(), self.encoder.epsilon);
        let mut x = names.embedding.tokens(net, x, self.patch, self.encoder.width);
        if self.norm_before {
            x = net.layer_norm(names.norm_before, x, epsilon);
        }
        let x = self.encoder.forward(net, names.blocks, x, None);
        let pooled = match self.pool {
            ImagePool::Token => {
                let token = first_token(net, x);
                net.layer_norm(names.norm, token, epsilon)
            }
            ImagePool::NormedAverage => {
                let normed = net.layer_norm(names.norm, x, epsilon);
                mean_token(net, normed, 1)
            }
            ImagePool::Average => {
                let mean = mean_token(net, x, 1);
                net.layer_norm(names.norm_of_average, mean, epsilon)
            }
        };
        self.projection.forward(net, self.projection_name(), pooled, features)
    }
}
