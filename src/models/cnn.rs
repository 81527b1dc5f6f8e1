//! Convolutional networks given as a list of layers, named by their positions as in `nn.Sequential`.

use percuss_kernels::ops::PoolKind;
use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive, stacked};
use super::net::{BatchNorm, Kernel, Net};
use crate::graph::{ConvGeometry, PoolGeometry, Tensor};

/// The layers, in order. A kernel, stride, padding or dilation is one number for both axes, or `[vertical, horizontal]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cnn {
    /// Height, width, channels of a sample.
    pub input: [usize; 3],
    /// Outputs: those of the last linear layer.
    pub classes: usize,
    /// The list.
    pub layers: Vec<Layer>,
}

/// One number for both axes, or one each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Pair {
    /// The same for both.
    Both(usize),
    /// Vertical, horizontal.
    Each([usize; 2]),
}

impl Pair {
    fn get(self) -> [usize; 2] {
        match self {
            Self::Both(size) => [size; 2],
            Self::Each(sizes) => sizes,
        }
    }
}

fn one() -> Pair {
    Pair::Both(1)
}

fn zero() -> Pair {
    Pair::Both(0)
}

fn one_group() -> usize {
    1
}

fn yes() -> bool {
    true
}

/// A layer of the list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layer {
    /// Conv2d: tensors `I.weight`, `I.bias`.
    Conv {
        /// Output channels.
        out: usize,
        /// Window.
        kernel: Pair,
        /// Step.
        #[serde(default = "one")]
        stride: Pair,
        /// Zeros on each side.
        #[serde(default = "zero")]
        padding: Pair,
        /// Distance of taps.
        #[serde(default = "one")]
        dilation: Pair,
        /// Groups of channels.
        #[serde(default = "one_group")]
        groups: usize,
        /// Whether there is a bias.
        #[serde(default = "yes")]
        bias: bool,
    },
    /// BatchNorm2d (or 1d after a flatten).
    BatchNorm {},
    /// ReLU.
    Relu {},
    /// MaxPool2d.
    MaxPool {
        /// Window.
        kernel: Pair,
        /// Step; the window's size if absent.
        stride: Option<Pair>,
    },
    /// AvgPool2d.
    AvgPool {
        /// Window.
        kernel: Pair,
        /// Step; the window's size if absent.
        stride: Option<Pair>,
    },
    /// AdaptiveAvgPool2d(1) and the flatten after it (which takes no position of its own).
    GlobalAvgPool {},
    /// Flatten, in PyTorch's order.
    Flatten {},
    /// Dropout: nothing at inference; training leaves it out.
    Dropout {
        /// Probability.
        #[serde(default)]
        p: f32,
    },
    /// Linear: tensors `I.weight`, `I.bias`.
    Linear {
        /// Outputs.
        out: usize,
    },
}

impl Cnn {
    /// Follows the sample's shape through the layers, so that building the graph cannot fail.
    pub(super) fn check(&self) -> Result<(), Misfit> {
        for (axis, &size) in self.input.iter().enumerate() {
            positive(&format!("input[{axis}]"), size)?;
        }
        stacked("layers", &vec![1; self.layers.len()])?;
        let mut shape = self.input.to_vec();
        for (i, layer) in self.layers.iter().enumerate() {
            shape = step(&format!("layers[{i}]"), layer, &shape)?;
        }
        if shape != [self.classes] {
            return Err((
                "classes".into(),
                self.classes.to_string(),
                format!("{shape:?}, what the last layer yields"),
            ));
        }
        Ok(())
    }

    pub(super) fn forward(&self, net: &mut Net, mut x: Tensor) -> Tensor {
        let mut i = 0;
        while i < self.layers.len() {
            let name = i.to_string();
            x = match &self.layers[i] {
                Layer::Conv { out, kernel, stride, padding, dilation, groups, bias } => {
                    let [top, left] = padding.get();
                    let geometry = ConvGeometry {
                        stride: stride.get(),
                        pad: [top, left, top, left],
                        dilation: dilation.get(),
                        groups: *groups,
                    };
                    // Batch norm right after it is folded in.
                    let follows = matches!(self.layers.get(i + 1), Some(Layer::BatchNorm {}));
                    let norm = follows.then(|| (i + 1).to_string());
                    i += usize::from(follows);
                    net.conv(
                        &name,
                        x,
                        *out,
                        Kernel::Square(kernel.get()),
                        geometry,
                        *bias,
                        norm.as_deref().map(BatchNorm::new),
                    )
                }
                Layer::BatchNorm {} => net.batch_norm(&name, x, 1e-5),
                Layer::Relu {} => net.graph.relu(x),
                Layer::MaxPool { kernel, stride } => pool(net, PoolKind::Max, x, *kernel, *stride),
                Layer::AvgPool { kernel, stride } => pool(net, PoolKind::Average, x, *kernel, *stride),
                Layer::GlobalAvgPool {} => net.graph.global_average(x),
                Layer::Flatten {} => net.flatten(x),
                Layer::Dropout { .. } => x,
                Layer::Linear { out } => net.linear(&name, x, *out),
            };
            i += 1;
        }
        x
    }
}

fn pool(net: &mut Net, kind: PoolKind, x: Tensor, kernel: Pair, stride: Option<Pair>) -> Tensor {
    let stride = stride.unwrap_or(kernel).get();
    net.graph.pool(kind, x, PoolGeometry { kernel: kernel.get(), stride, pad: [0; 4] })
}

/// The shape after a layer, or why it does not fit.
fn step(place: &str, layer: &Layer, shape: &[usize]) -> Result<Vec<usize>, Misfit> {
    let misfit = |expected: &str| {
        Err((place.to_string(), format!("{layer:?} on a sample of shape {shape:?}"), expected.into()))
    };
    match layer {
        Layer::Conv { out, kernel, stride, padding, dilation, groups, .. } => {
            let &[height, width, channels] = shape else { return misfit("an image") };
            positive(&format!("{place}.out"), *out)?;
            let (kernel, stride, padding, dilation) =
                (kernel.get(), stride.get(), padding.get(), dilation.get());
            for (key, pair) in [("kernel", kernel), ("stride", stride), ("dilation", dilation)] {
                pair.iter().try_for_each(|&size| positive(&format!("{place}.{key}"), size))?;
            }
            if padding.iter().any(|&pad| pad > 4096) {
                return misfit("a padding of at most 4096");
            }
            if *groups == 0 || channels % groups != 0 || out % groups != 0 {
                return misfit("groups that divide the input's and the output's channels");
            }
            let side = |size: usize, axis: usize| {
                let span = dilation[axis] * (kernel[axis] - 1) + 1;
                (size + 2 * padding[axis]).checked_sub(span).map(|room| room / stride[axis] + 1)
            };
            match (side(height, 0), side(width, 1)) {
                (Some(height), Some(width)) => Ok(vec![height, width, *out]),
                _ => misfit("a kernel no larger than the padded image"),
            }
        }
        Layer::MaxPool { kernel, stride } | Layer::AvgPool { kernel, stride } => {
            let &[height, width, channels] = shape else { return misfit("an image") };
            let (kernel, stride) = (kernel.get(), stride.unwrap_or(*kernel).get());
            if kernel.contains(&0) || stride.contains(&0) || kernel[0] > height || kernel[1] > width {
                return misfit("a window and a stride from 1 to the image's size");
            }
            Ok(vec![(height - kernel[0]) / stride[0] + 1, (width - kernel[1]) / stride[1] + 1, channels])
        }
        Layer::GlobalAvgPool {} => match shape {
            &[_, _, channels] => Ok(vec![channels]),
            _ => misfit("an image"),
        },
        Layer::Flatten {} => Ok(vec![shape.iter().product()]),
        Layer::Linear { out } => {
            positive(&format!("{place}.out"), *out)?;
            if shape.len() == 1 {
                Ok(vec![*out])
            } else {
                misfit("a flat sample: put flatten or global_avg_pool before it")
            }
        }
        Layer::BatchNorm {} | Layer::Relu {} | Layer::Dropout { .. } => Ok(shape.to_vec()),
    }
}
