//! What a vision transformer's tensors are called in each ecosystem.

use super::names::Names;

/// Names outside the blocks; all begin with a prefix, which is empty where the transformer is the whole model.
pub(super) struct VitNames {
    names: Names,
    prefix: String,
    pub(super) class_token: String,
    pub(super) positions: String,
    /// The convolution that makes tokens of patches.
    pub(super) patches: String,
    /// The last norm where the class token is read.
    pub(super) norm: String,
    /// The last norm where the patches' mean is read.
    pub(super) norm_after_mean: String,
    pub(super) head: String,
}

/// Names within a block.
pub(super) struct BlockNames {
    pub(super) norms: [String; 2],
    pub(super) projection: Projection,
    pub(super) output: String,
    pub(super) mlp: [String; 2],
    pub(super) scales: [String; 2],
}

/// How queries, keys and values are made.
pub(super) enum Projection {
    /// By one layer, in this order.
    Fused {
        /// `[3 width, width]`
        weight: String,
        /// `[3 width]`
        bias: String,
    },
    /// By a layer each: queries, keys, values.
    Separate([String; 3]),
}

impl VitNames {
    /// The names of an ecosystem, after `prefix`.
    pub(super) fn of(names: Names, prefix: &str) -> Self {
        let [class_token, positions, patches, norm, norm_after_mean, head] = match names {
            Names::Timm => ["cls_token", "pos_embed", "patch_embed.proj", "norm", "fc_norm", "head"],
            Names::Torchvision => [
                "class_token",
                "encoder.pos_embedding",
                "conv_proj",
                "encoder.ln",
                "encoder.ln",
                "heads.head",
            ],
            Names::HuggingFace => [
                "vit.embeddings.cls_token",
                "vit.embeddings.position_embeddings",
                "vit.embeddings.patch_embeddings.projection",
                "vit.layernorm",
                "vit.layernorm",
                "classifier",
            ],
        }
        .map(|name| format!("{prefix}{name}"));
        let prefix = prefix.to_string();
        Self { names, prefix, class_token, positions, patches, norm, norm_after_mean, head }
    }

    /// The names of block `i`.
    pub(super) fn block(&self, i: usize) -> BlockNames {
        let layers = match self.names {
            Names::Timm => "blocks.",
            Names::Torchvision => "encoder.layers.encoder_layer_",
            Names::HuggingFace => "vit.encoder.layer.",
        };
        let own = |part: &str| format!("{}{layers}{i}.{part}", self.prefix);
        let fused = |weight: &str, bias: &str| Projection::Fused { weight: own(weight), bias: own(bias) };
        let (norms, projection, output, mlp) = match self.names {
            Names::Timm => {
                let projection = fused("attn.qkv.weight", "attn.qkv.bias");
                (["norm1", "norm2"], projection, "attn.proj", ["mlp.fc1", "mlp.fc2"])
            }
            Names::Torchvision => {
                let projection = fused("self_attention.in_proj_weight", "self_attention.in_proj_bias");
                (["ln_1", "ln_2"], projection, "self_attention.out_proj", ["mlp.0", "mlp.3"])
            }
            Names::HuggingFace => {
                let layer = |part: &str| own(&format!("attention.attention.{part}"));
                let projection = Projection::Separate(["query", "key", "value"].map(layer));
                let mlp = ["intermediate.dense", "output.dense"];
                (["layernorm_before", "layernorm_after"], projection, "attention.output.dense", mlp)
            }
        };
        BlockNames {
            norms: norms.map(own),
            projection,
            output: own(output),
            mlp: mlp.map(own),
            scales: ["ls1.gamma", "ls2.gamma"].map(own),
        }
    }
}
