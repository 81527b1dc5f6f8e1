//! The layers that models are made of, and the losses' building blocks.

use percuss_kernels::ops::{Ball, Conv, Distribution, Epilogue, Pool, PoolKind, Unary};

use super::{Graph, NodeOp, Shape, Tensor};

/// How a convolution's kernel moves over the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConvGeometry {
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Zero rows and columns at the top, left, bottom, right.
    pub pad: [usize; 4],
    /// Distance of neighbouring taps.
    pub dilation: [usize; 2],
    /// Groups of channels.
    pub groups: usize,
}

/// How a pooling window moves over the image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolGeometry {
    /// Window height and width.
    pub kernel: [usize; 2],
    /// Vertical and horizontal stride.
    pub stride: [usize; 2],
    /// Rows and columns added at the top, left, bottom, right.
    pub pad: [usize; 4],
}

/// The tensors of a batch norm, for its gradient.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchNorm {
    pub(super) x: Tensor,
    pub(super) weight: Tensor,
    pub(super) bias: Tensor,
    /// The root of the variance: `[channels]`.
    pub(super) deviation: Tensor,
    /// `(x - mean) / deviation`.
    pub(super) unit: Tensor,
}

impl Graph {
    /// a `[.., m, k]` times b `[.., k, n]`; a factor that is stored transposed says so.
    ///
    /// Where b is a shared matrix and a is not transposed, all leading axes of a are rows. Otherwise leading axes agree and each
    /// pair of matrices is a product of its own.
    pub fn matmul(&mut self, a: Tensor, a_transposed: bool, b: Tensor, b_transposed: bool) -> Tensor {
        let (sa, sb) = (self.shape(a).clone(), self.shape(b).clone());
        let (ra, rb) = (sa.dims.len(), sb.dims.len());
        let [kb, n] = if b_transposed {
            [sb.dims[rb - 1], sb.dims[rb - 2]]
        } else {
            [sb.dims[rb - 2], sb.dims[rb - 1]]
        };
        let dims = if rb == 2 && !sb.lane && !a_transposed {
            assert_eq!(sa.dims[ra - 1], kb, "matmul of {:?} and {:?}", sa.dims, sb.dims);
            let mut dims = sa.dims.clone();
            dims[ra - 1] = n;
            dims
        } else {
            let [m, k] = if a_transposed {
                [sa.dims[ra - 1], sa.dims[ra - 2]]
            } else {
                [sa.dims[ra - 2], sa.dims[ra - 1]]
            };
            assert_eq!(k, kb, "matmul of {:?} and {:?}", sa.dims, sb.dims);
            let lead = if ra >= rb { &sa.dims[..ra - 2] } else { &sb.dims[..rb - 2] };
            [lead, &[m, n]].concat()
        };
        self.push(
            NodeOp::Matmul { a_transposed, b_transposed },
            &[a, b],
            Shape { lane: sa.lane || sb.lane, dims },
        )
    }

    /// `x w + bias` over the last axis. w `[in, out]`, bias `[out]`; where they have lanes, x is `[lanes, batch, in]`.
    pub fn linear(&mut self, x: Tensor, weight: Tensor, bias: Option<Tensor>) -> Tensor {
        let y = self.matmul(x, false, weight, false);
        match bias {
            Some(bias) => self.add(y, bias),
            None => y,
        }
    }

    /// Convolves x `[.., height, width, channels]` with w `[kernel height, kernel width, channels / groups, out]`.
    ///
    /// A shared w serves every image; a w with lanes serves its own lane's images.
    pub fn conv(&mut self, x: Tensor, weight: Tensor, geometry: ConvGeometry) -> Tensor {
        let (sx, sw) = (self.shape(x).clone(), self.shape(weight).clone());
        let rank = sx.dims.len();
        let spec = Conv {
            sets: 1,
            images: sx.dims[..rank - 3].iter().product(),
            height: sx.dims[rank - 3],
            width: sx.dims[rank - 2],
            in_channels: sx.dims[rank - 1],
            out_channels: sw.dims[3],
            kernel: [sw.dims[0], sw.dims[1]],
            stride: geometry.stride,
            pad: geometry.pad,
            dilation: geometry.dilation,
            groups: geometry.groups,
            epilogue: Epilogue::NONE,
        };
        assert_eq!(
            sw.dims[2] * spec.groups,
            spec.in_channels,
            "the weight {:?} fits the input {:?}",
            sw.dims,
            sx.dims
        );
        let mut dims = sx.dims.clone();
        let [height, width] = spec.out_size();
        dims[rank - 3..].copy_from_slice(&[height, width, spec.out_channels]);
        self.push(NodeOp::Conv(spec), &[x, weight], Shape { lane: sx.lane || sw.lane, dims })
    }

    /// The transpose of a convolution: its gradient to its input, as a layer. x `[.., height, width, in]` and w `[kernel height, kernel
    /// width, out / groups, in]` give `[.., output_size[0], output_size[1], out]`.
    ///
    /// `geometry` is that of the convolution that leads from `output_size` back to x's size.
    pub fn conv_transposed(
        &mut self,
        x: Tensor,
        weight: Tensor,
        geometry: ConvGeometry,
        output_size: [usize; 2],
    ) -> Tensor {
        let (sx, sw) = (self.shape(x).clone(), self.shape(weight).clone());
        let lead = sx.dims.len() - 3;
        let spec = Conv {
            sets: 1,
            images: sx.dims[..lead].iter().product(),
            height: output_size[0],
            width: output_size[1],
            in_channels: sw.dims[2] * geometry.groups,
            out_channels: sw.dims[3],
            kernel: [sw.dims[0], sw.dims[1]],
            stride: geometry.stride,
            pad: geometry.pad,
            dilation: geometry.dilation,
            groups: geometry.groups,
            epilogue: Epilogue::NONE,
        };
        let [height, width] = spec.out_size();
        assert_eq!(
            sx.dims[lead..],
            [height, width, spec.out_channels],
            "the output {output_size:?} and the weight {:?} fit the input {:?}",
            sw.dims,
            sx.dims
        );
        let dims = [&sx.dims[..lead], &[spec.height, spec.width, spec.in_channels]].concat();
        let x = if sw.lane { self.in_lanes(x) } else { x };
        self.push(NodeOp::ConvInputGrad(spec), &[x, weight], Shape { lane: sx.lane || sw.lane, dims })
    }

    /// Pools x `[.., height, width, channels]`.
    pub fn pool(&mut self, kind: PoolKind, x: Tensor, geometry: PoolGeometry) -> Tensor {
        let shape = self.shape(x).clone();
        let rank = shape.dims.len();
        let spec = Pool {
            kind,
            images: shape.dims[..rank - 3].iter().product(),
            height: shape.dims[rank - 3],
            width: shape.dims[rank - 2],
            channels: shape.dims[rank - 1],
            kernel: geometry.kernel,
            stride: geometry.stride,
            pad: geometry.pad,
        };
        let mut dims = shape.dims.clone();
        let [height, width] = spec.out_size();
        dims[rank - 3..rank - 1].copy_from_slice(&[height, width]);
        self.push(NodeOp::Pool(spec), &[x], Shape { lane: shape.lane, dims })
    }

    /// Mean over height and width: `[.., height, width, channels]` to `[.., channels]`.
    pub fn global_average(&mut self, x: Tensor) -> Tensor {
        let rank = self.dims(x).len();
        self.mean(x, rank - 3..rank - 1)
    }

    /// `(x - mean) / sqrt(variance + epsilon)` over a contiguous range of axes; also the mean and biased variance.
    pub fn normalize(
        &mut self,
        x: Tensor,
        axes: std::ops::Range<usize>,
        epsilon: f32,
    ) -> (Tensor, Tensor, Tensor) {
        let (mean, variance) = self.moments(x, axes.clone());
        let mut kept = self.dims(x).to_vec();
        kept[axes].fill(1);
        let (wide_mean, wide_variance) = (self.reshape(mean, &kept), self.reshape(variance, &kept));
        let centred = self.sub(x, wide_mean);
        let safe = self.shift(wide_variance, epsilon);
        let deviation = self.unary(Unary::Sqrt, safe);
        (self.div(centred, deviation), mean, variance)
    }

    /// Batch norm in training mode (Ioffe & Szegedy 2015): over all axes but the last of each lane's own minibatch.
    ///
    /// Returns the result and the batch's mean and biased variance, for the running averages.
    pub fn batch_norm(
        &mut self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        epsilon: f32,
    ) -> (Tensor, Tensor, Tensor) {
        let axes = 0..self.dims(x).len() - 1;
        let (mean, variance) = self.moments(x, axes);
        let safe = self.shift(variance, epsilon);
        let deviation = self.unary(Unary::Sqrt, safe);
        let centred = self.sub(x, mean);
        let unit = self.div(centred, deviation);
        let scaled = self.mul(unit, weight);
        let y = self.add(scaled, bias);
        self.norms.insert(y, BatchNorm { x, weight, bias, deviation, unit });
        (y, mean, variance)
    }

    /// Layer norm over the last axis (Ba et al. 2016); weight and bias have that axis alone.
    pub fn layer_norm(&mut self, x: Tensor, weight: Tensor, bias: Tensor, epsilon: f32) -> Tensor {
        let columns = self.dims(x).last().copied();
        for vector in [weight, bias] {
            assert_eq!(
                self.dims(vector),
                columns.as_slice(),
                "a vector for the last axis of {:?}",
                self.dims(x)
            );
        }
        let own = self.shape(weight).lane || self.shape(bias).lane;
        let inputs = [x, weight, bias].map(|tensor| if own { self.in_lanes(tensor) } else { tensor });
        let shape = self.shape(inputs[0]).clone();
        self.push(NodeOp::LayerNorm { epsilon }, &inputs, shape)
    }

    /// The gradients of a layer norm y to its x, weight and bias, from the gradient g of y; each broadcast as the rule for it is.
    pub(super) fn layer_norm_gradient(
        &mut self,
        y: Tensor,
        g: Tensor,
        wants: [bool; 3],
    ) -> [Option<Tensor>; 3] {
        let inputs = self.nodes[y.0].inputs.clone();
        let mut row = self.shape(y).clone();
        row.dims.pop();
        let [means, factors] = [1, 2].map(|part| self.push(NodeOp::Part(part), &[y], row.clone()));
        let g = self.unbroadcast(g, y);
        let dx = wants[0].then(|| {
            let mut operands = [inputs[0], inputs[1], means, factors, g];
            if self.shape(g).lane {
                // The weight stays shared where it is.
                for i in [0, 2, 3] {
                    operands[i] = self.in_lanes(operands[i]);
                }
            }
            let shape = self.shape(g).clone();
            self.push(NodeOp::LayerNormGrad, &operands, shape)
        });
        let dw = wants[1].then(|| {
            let [means, factors] = [means, factors].map(|tensor| self.expand(tensor, 1));
            let centred = self.sub(inputs[0], means);
            let unit = self.mul(centred, factors);
            self.mul(g, unit)
        });
        [dx, dw, wants[2].then_some(g)]
    }

    /// Softmax over the last axis, or its logarithm.
    pub fn softmax(&mut self, x: Tensor, log: bool) -> Tensor {
        let shape = self.shape(x).clone();
        self.push(NodeOp::Softmax { log }, &[x], shape)
    }

    /// Cross-entropy of logits `[.., classes]` against class indices `[..]`: one loss a row, never averaged.
    pub fn cross_entropy(&mut self, logits: Tensor, labels: Tensor) -> Tensor {
        self.entropy(logits, labels, false)
    }

    /// `log((1 - p) / p)` of the labels' probabilities p: it rises with [`Self::cross_entropy`], and its gradient is that without the
    /// factor 1 - p, which vanishes where the model is sure.
    pub fn odds_against(&mut self, logits: Tensor, labels: Tensor) -> Tensor {
        self.entropy(logits, labels, true)
    }

    fn entropy(&mut self, logits: Tensor, labels: Tensor, odds: bool) -> Tensor {
        let mut shape = self.shape(logits).clone();
        shape.dims.pop();
        self.push(NodeOp::CrossEntropy { odds }, &[logits, labels], shape)
    }

    /// Rows of x `[rows, inner]` picked by index `[count]`: `[count, inner]`. x may be shared by all lanes.
    pub fn gather(&mut self, x: Tensor, index: Tensor) -> Tensor {
        let (sx, si) = (self.shape(x).clone(), self.shape(index).clone());
        let (rows, inner, count) = (sx.dims[0], sx.dims[1..].iter().product(), si.dims[0]);
        let dims = [&[count], &sx.dims[1..]].concat();
        self.push(
            NodeOp::Gather { rows, inner, count },
            &[x, index],
            Shape { lane: sx.lane || si.lane, dims },
        )
    }

    /// Random numbers of shape `dims` in every lane, from the lane's key `[2]` (u32 bits) and step `[]`.
    pub fn random(
        &mut self,
        distribution: Distribution,
        key: Tensor,
        step: Tensor,
        dims: &[usize],
    ) -> Tensor {
        self.push(NodeOp::Random(distribution), &[key, step], Shape::lanes(dims))
    }

    /// The `place`-th largest absolute value of a lane, the first at place 1: `[]`. No gradient.
    pub fn rank(&mut self, x: Tensor, place: usize) -> Tensor {
        self.push(NodeOp::Rank { place }, &[x], Shape::lanes(&[]))
    }

    /// The nearest point to x in the box and the ball around x0: see [`percuss_kernels::ops::Project`]. scale has x's dims, no lanes.
    pub fn project(
        &mut self,
        ball: Ball,
        [x, x0, low, high]: [Tensor; 4],
        scale: Tensor,
        radius: Tensor,
    ) -> Tensor {
        let shape = self.shape(x).clone();
        self.push(NodeOp::Project(ball), &[x, x0, low, high, scale, radius], shape)
    }
}
