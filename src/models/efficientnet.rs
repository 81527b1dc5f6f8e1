//! EfficientNets (Tan & Le 2019) under torchvision's names (`features.1.0.block.0.0`, ...) or timm's (`blocks.0.0.conv_dw`, ...):
//! inverted residual blocks with squeeze-and-excite, batch norm and SiLU.

use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive, stacked};
use super::names::Names;
use super::net::{BatchNorm, Kernel, Net};
use crate::graph::{ConvGeometry, Tensor};

/// Sizes; by default EfficientNet-B0's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Efficientnet {
    /// Whose names the tensors have: `timm` or `torchvision`.
    #[serde(default)]
    pub names: Names,
    /// Height, width, channels of a sample.
    pub input: [usize; 3],
    /// Outputs.
    pub classes: usize,
    /// Channels of the first convolution.
    #[serde(default = "stem_of_b0")]
    pub stem: usize,
    /// The stages.
    #[serde(default = "stages_of_b0")]
    pub stages: Vec<Stage>,
    /// Channels of the last convolution.
    #[serde(default = "last_of_b0")]
    pub last: usize,
    /// Added to the variance in batch norms: 1e-5, or 1e-3 in weights that come from TensorFlow.
    #[serde(default = "epsilon_of_b0")]
    pub epsilon: f32,
    /// Where a stride leaves a row or column of padding over.
    #[serde(default)]
    pub padding: Padding,
}

/// Blocks of one width.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// How many times wider a block is within.
    pub expand: usize,
    /// Odd side of the depthwise convolutions.
    pub kernel: usize,
    /// Stride of the first block.
    pub stride: usize,
    /// Channels.
    pub out: usize,
    /// Blocks.
    pub blocks: usize,
}

/// How a convolution keeps its image's size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Padding {
    /// The same on every side: PyTorch's.
    #[default]
    Symmetric,
    /// No more than needed, the odd row or column at the end: TensorFlow's.
    Same,
}

/// Kernel, stride, expansion, channels and blocks of B0's stages (table 1 of the paper).
const B0: [[usize; 5]; 7] = [
    [3, 1, 1, 16, 1],
    [3, 2, 6, 24, 2],
    [5, 2, 6, 40, 2],
    [3, 2, 6, 80, 3],
    [5, 1, 6, 112, 3],
    [5, 2, 6, 192, 4],
    [3, 1, 6, 320, 1],
];
/// How much wider and deeper B0 to B7 are.
const SCALES: [(f64, f64); 8] =
    [(1.0, 1.0), (1.0, 1.1), (1.1, 1.2), (1.2, 1.4), (1.4, 1.8), (1.6, 2.2), (1.8, 2.6), (2.0, 3.1)];
const STEM: usize = 32;
const LAST: usize = 1280;

fn stem_of_b0() -> usize {
    STEM
}

fn stages_of_b0() -> Vec<Stage> {
    stages(SCALES[0])
}

fn last_of_b0() -> usize {
    LAST
}

fn epsilon_of_b0() -> f32 {
    1e-5
}

/// Channels times `factor`, to the nearest multiple of 8 that is not less than nine tenths of it.
fn widened(channels: usize, factor: f64) -> usize {
    let exact = channels as f64 * factor;
    let near = (((exact + 4.0) / 8.0) as usize * 8).max(8);
    if (near as f64) < 0.9 * exact { near + 8 } else { near }
}

fn stages((width, depth): (f64, f64)) -> Vec<Stage> {
    let stage = |[kernel, stride, expand, out, blocks]: [usize; 5]| Stage {
        expand,
        kernel,
        stride,
        out: widened(out, width),
        blocks: (blocks as f64 * depth).ceil() as usize,
    };
    B0.map(stage).to_vec()
}

impl Efficientnet {
    /// `efficientnet_b0` to `efficientnet_b7`.
    pub(super) fn named(name: &str, names: Names, input: [usize; 3], classes: usize) -> Option<Self> {
        let number: usize = name.strip_prefix("efficientnet_b")?.parse().ok()?;
        let scale = *SCALES.get(number)?;
        Some(Self {
            names,
            input,
            classes,
            stem: widened(STEM, scale.0),
            stages: stages(scale),
            last: widened(LAST, scale.0),
            epsilon: epsilon_of_b0(),
            padding: Padding::Symmetric,
        })
    }

    pub(super) fn check(&self) -> Result<(), Misfit> {
        self.names.among(&[Names::Timm, Names::Torchvision])?;
        self.input.iter().enumerate().try_for_each(|(i, &size)| positive(&format!("input[{i}]"), size))?;
        for (place, size) in [
            ("classes", self.classes),
            ("stem", self.stem),
            ("last", self.last),
            ("stages' number", self.stages.len()),
        ] {
            positive(place, size)?;
        }
        if !(self.epsilon > 0.0 && self.epsilon.is_finite()) {
            return Err(("epsilon".into(), self.epsilon.to_string(), "a positive number".into()));
        }
        stacked("stages", &self.stages.iter().map(|stage| stage.blocks).collect::<Vec<usize>>())?;
        for (i, stage) in self.stages.iter().enumerate() {
            let Stage { expand, kernel, stride, out, blocks } = *stage;
            for (key, size) in
                [("expand", expand), ("kernel", kernel), ("stride", stride), ("out", out), ("blocks", blocks)]
            {
                positive(&format!("stages[{i}].{key}"), size)?;
            }
            if kernel % 2 == 0 || kernel > 99 {
                return Err((
                    format!("stages[{i}].kernel"),
                    kernel.to_string(),
                    "an odd number below 100".into(),
                ));
            }
        }
        Ok(())
    }

    pub(super) fn forward(&self, net: &mut Net, x: Tensor) -> Tensor {
        let ([stem, last], classifier) = match self.names {
            Names::Torchvision => {
                let part = |i: usize| [format!("features.{i}.0"), format!("features.{i}.1")];
                ([part(0), part(self.stages.len() + 1)], "classifier.1")
            }
            _ => (
                [["conv_stem", "bn1"], ["conv_head", "bn2"]].map(|pair| pair.map(String::from)),
                "classifier",
            ),
        };
        let y = self.conv(net, &stem, x, self.stem, [3, 2], 1);
        let mut x = net.graph.silu(y);
        for (i, stage) in self.stages.iter().enumerate() {
            for j in 0..stage.blocks {
                let stride = if j == 0 { stage.stride } else { 1 };
                x = self.block(net, [i, j], x, Stage { stride, ..*stage });
            }
        }
        let y = self.conv(net, &last, x, self.last, [1, 1], 1);
        let y = net.graph.silu(y);
        let pooled = net.graph.global_average(y);
        net.linear(classifier, pooled, self.classes)
    }

    fn block(&self, net: &mut Net, place: [usize; 2], x: Tensor, stage: Stage) -> Tensor {
        let channels = net.graph.dims(x).last().copied().unwrap_or(1);
        let names = BlockNames::of(self.names, place, stage.expand > 1);
        let width = channels * stage.expand;
        let mut y = x;
        if let Some(expand) = &names.expand {
            y = self.conv(net, expand, y, width, [1, 1], 1);
            y = net.graph.silu(y);
        }
        y = self.conv(net, &names.depthwise, y, width, [stage.kernel, stage.stride], width);
        y = net.graph.silu(y);
        y = squeeze_and_excite(net, &names.squeeze, y, (channels / 4).max(1));
        y = self.conv(net, &names.project, y, stage.out, [1, 1], 1);
        if stage.stride == 1 && channels == stage.out { net.graph.add(y, x) } else { y }
    }

    /// A convolution without bias and the batch norm after it.
    fn conv(
        &self,
        net: &mut Net,
        [name, norm]: &[String; 2],
        x: Tensor,
        width: usize,
        [kernel, stride]: [usize; 2],
        groups: usize,
    ) -> Tensor {
        let dims = net.graph.dims(x);
        let image = [dims[dims.len() - 3], dims[dims.len() - 2]];
        let [[top, bottom], [left, right]] = image.map(|size| self.padding.around(size, kernel, stride));
        let geometry =
            ConvGeometry { stride: [stride; 2], pad: [top, left, bottom, right], dilation: [1; 2], groups };
        let norm = BatchNorm { name: norm, epsilon: self.epsilon };
        net.conv(name, x, width, Kernel::Square([kernel; 2]), geometry, false, Some(norm))
    }
}

impl Padding {
    /// Zeros before and after an axis of this size.
    fn around(self, size: usize, kernel: usize, stride: usize) -> [usize; 2] {
        match self {
            Self::Symmetric => [kernel / 2; 2],
            Self::Same => {
                let covered = (size.div_ceil(stride) - 1) * stride + kernel;
                let all = covered.saturating_sub(size);
                [all / 2, all - all / 2]
            }
        }
    }
}

/// Names of a block's convolutions, each with its batch norm, and of what lies between.
struct BlockNames {
    expand: Option<[String; 2]>,
    depthwise: [String; 2],
    squeeze: [String; 2],
    project: [String; 2],
}

impl BlockNames {
    fn of(names: Names, [stage, block]: [usize; 2], expands: bool) -> Self {
        // Parts are counted; a block that does not expand begins with its depthwise convolution.
        let shift = usize::from(expands);
        match names {
            Names::Torchvision => {
                let part = |i: usize| format!("features.{}.{block}.block.{i}", stage + 1);
                let conv = |i: usize| [format!("{}.0", part(i)), format!("{}.1", part(i))];
                Self {
                    expand: expands.then(|| conv(0)),
                    depthwise: conv(shift),
                    squeeze: ["fc1", "fc2"].map(|layer| format!("{}.{layer}", part(shift + 1))),
                    project: conv(shift + 2),
                }
            }
            _ => {
                let own = |part: &str| format!("blocks.{stage}.{block}.{part}");
                let norm = |i: usize| own(&format!("bn{i}"));
                Self {
                    expand: expands.then(|| [own("conv_pw"), norm(1)]),
                    depthwise: [own("conv_dw"), norm(shift + 1)],
                    squeeze: [own("se.conv_reduce"), own("se.conv_expand")],
                    project: [own(if expands { "conv_pwl" } else { "conv_pw" }), norm(shift + 2)],
                }
            }
        }
    }
}

/// Channels weighed by what the whole image says (Hu et al. 2018), under the names of two 1x1 convolutions.
fn squeeze_and_excite(net: &mut Net, [reduce, expand]: &[String; 2], x: Tensor, squeezed: usize) -> Tensor {
    let channels = net.graph.dims(x).last().copied().unwrap_or(1);
    let pooled = net.graph.global_average(x);
    let dims = net.graph.dims(pooled).to_vec();
    let one = net.graph.reshape(pooled, &[&dims[..dims.len() - 1], &[1, 1, channels]].concat());
    let geometry = ConvGeometry { stride: [1; 2], pad: [0; 4], dilation: [1; 2], groups: 1 };
    let y = net.conv(reduce, one, squeezed, Kernel::Square([1; 2]), geometry, true, None);
    let y = net.graph.silu(y);
    let y = net.conv(expand, y, channels, Kernel::Square([1; 2]), geometry, true, None);
    let weight = net.graph.sigmoid(y);
    net.graph.mul(x, weight)
}
