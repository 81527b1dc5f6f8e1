//! The image's side: a vision transformer (Dosovitskiy et al. 2021) under the names of open_clip, timm in open_clip, or Hugging Face.

use serde::{Deserialize, Serialize};

use super::projection::Projection;
use crate::graph::{ConvGeometry, Shape, Tensor};
use crate::models::config::{Misfit, positive};
use crate::models::net::{Kernel, Net, Role};
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
    patches: &'static str,
    patch_bias: bool,
    class: &'static str,
    /// Axes of length 1 before the class token's own, and before the positions' two.
    lead: [usize; 2],
    positions: &'static str,
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
                patches: "visual.conv1",
                patch_bias: false,
                class: "visual.class_embedding",
                lead: [0, 0],
                positions: "visual.positional_embedding",
                norm_before: "visual.ln_pre",
                blocks: "visual.transformer.resblocks",
                norm: "visual.ln_post",
                norm_of_average: "visual.ln_post",
            },
            ImageNames::Timm => Names {
                patches: "visual.trunk.patch_embed.proj",
                patch_bias: true,
                class: "visual.trunk.cls_token",
                lead: [2, 1],
                positions: "visual.trunk.pos_embed",
                norm_before: "visual.trunk.norm_pre",
                blocks: "visual.trunk.blocks",
                norm: "visual.trunk.norm",
                norm_of_average: "visual.trunk.fc_norm",
            },
            ImageNames::HuggingFace => Names {
                patches: "vision_model.embeddings.patch_embedding",
                patch_bias: false,
                class: "vision_model.embeddings.class_embedding",
                lead: [0, 0],
                positions: "vision_model.embeddings.position_embedding.weight",
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
        let (names, width, epsilon) = (self.names(), self.encoder.width, self.encoder.epsilon);
        let mut x = self.tokens(net, &names, x);
        if self.norm_before {
            x = net.layer_norm(names.norm_before, x, epsilon);
        }
        let x = self.encoder.forward(net, names.blocks, x, None);
        let dims = net.graph.dims(x).to_vec();
        let axis = dims.len() - 2;
        let lead = [&dims[..axis], &[width]].concat();
        let pooled = match self.pool {
            ImagePool::Token => {
                let token = net.graph.slice(x, axis, 0..1);
                let token = net.graph.reshape(token, &lead);
                net.layer_norm(names.norm, token, epsilon)
            }
            ImagePool::NormedAverage => {
                let normed = net.layer_norm(names.norm, x, epsilon);
                let patches = net.graph.slice(normed, axis, 1..dims[axis]);
                net.graph.mean(patches, axis..axis + 1)
            }
            ImagePool::Average => {
                let patches = net.graph.slice(x, axis, 1..dims[axis]);
                let mean = net.graph.mean(patches, axis..axis + 1);
                net.layer_norm(names.norm_of_average, mean, epsilon)
            }
        };
        self.projection.forward(net, self.projection_name(), pooled, features)
    }

    /// The class token and the patches, each with its place: `[.., 1 + patches, width]`.
    fn tokens(&self, net: &mut Net, names: &Names, x: Tensor) -> Tensor {
        let width = self.encoder.width;
        let geometry = ConvGeometry { stride: [self.patch; 2], pad: [0; 4], dilation: [1; 2], groups: 1 };
        let kernel = Kernel::Square([self.patch; 2]);
        let grid = net.conv(names.patches, x, width, kernel, geometry, names.patch_bias, None);
        let shape = net.graph.shape(grid).clone();
        let lead = &shape.dims[..shape.dims.len() - 3];
        let count = self.size[0] / self.patch * (self.size[1] / self.patch);
        let patches = net.graph.reshape(grid, &[lead, &[count, width]].concat());
        let ones = |axes: usize, own: &[usize]| [&vec![1; axes][..], own].concat();
        let class = net.tensor(names.class, &ones(names.lead[0], &[width]), Role::Embedding, width);
        let class = net.graph.reshape(class, &[1, width]);
        // Materialised for every image, as a part of a concatenation has to be.
        let places = net.graph.zeros(Shape { lane: shape.lane, dims: [lead, &[1, width]].concat() });
        let class = net.graph.add(places, class);
        let tokens = net.graph.concat(&[class, patches], lead.len());
        let rows = [count + 1, width];
        let positions = net.tensor(names.positions, &ones(names.lead[1], &rows), Role::Embedding, width);
        let positions = net.graph.reshape(positions, &rows);
        net.graph.add(tokens, positions)
    }
}
