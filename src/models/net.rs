//! What an architecture is written in: layers by name, whatever the weights are (a file's, an ensemble's, or only declared).

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use super::config::InputScaling;
use super::first_norm::FirstNorm;
use super::input::Reading;
use super::kernel_layout::{layout, to_layout};
use super::weights::Weights;
use crate::graph::{ConvGeometry, Graph, Shape, State, Tensor};

/// PyTorch's default epsilon of batch norm.
const BATCH_NORM_EPSILON: f32 = 1e-5;

/// What a tensor is for: how it is laid out and initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// A linear layer's `[out, in]`.
    Linear,
    /// A convolution's `[out, in / groups, height, width]`.
    Conv2d,
    /// A convolution's `[out, in / groups, length]`.
    Conv1d,
    /// Keras's `[height, width, in, out]` or `[in, out]`, which is the kernels' own layout.
    Kernels,
    /// A bias.
    Bias,
    /// A scale that starts at 1.
    Scale,
    /// A shift that starts at 0.
    Shift,
    /// A token's or a position's vector, which starts normal with deviation 0.02.
    Embedding,
    /// A scale of a residual branch's channels, which starts at 1e-6 (ConvNeXt).
    LayerScale,
    /// A running mean, not trained, starts at 0.
    RunningMean,
    /// A running variance, not trained, starts at 1.
    RunningVariance,
}

impl Role {
    /// Whether an optimiser updates it.
    pub fn trained(self) -> bool {
        !matches!(self, Self::RunningMean | Self::RunningVariance)
    }
}

/// A tensor that an architecture calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declared {
    /// Its name in the file.
    pub name: String,
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Its role.
    pub role: Role,
    /// Inputs that one output sums over: the scale of its initial values.
    pub fan_in: usize,
}

/// A batch norm that follows a convolution.
#[derive(Clone, Copy, Debug)]
pub struct BatchNorm<'a> {
    /// What its tensors' names begin with.
    pub name: &'a str,
    /// Added to the variance.
    pub epsilon: f32,
}

impl<'a> BatchNorm<'a> {
    /// With PyTorch's default epsilon.
    pub fn new(name: &'a str) -> Self {
        Self { name, epsilon: BATCH_NORM_EPSILON }
    }

    /// PyTorch's names of scale, shift, running mean and running variance.
    fn names(&self) -> [String; 4] {
        ["weight", "bias", "running_mean", "running_var"].map(|suffix| format!("{}.{suffix}", self.name))
    }
}

/// A running average that a training step moves towards its batch's value.
#[derive(Clone, Copy, Debug)]
pub struct RunningAverage {
    /// The average.
    pub state: State,
    /// The batch's value (the unbiased variance).
    pub batch: Tensor,
}

enum Source<'a> {
    Declare,
    Weights(&'a Weights),
    Train(&'a [(String, State)]),
    Infer(&'a [(String, State)]),
}

/// Layers over a graph.
pub struct Net<'a> {
    /// The graph under construction.
    pub graph: &'a mut Graph,
    source: Source<'a>,
    declared: Vec<Declared>,
    /// The names of what is declared.
    names: HashSet<String>,
    averages: Vec<RunningAverage>,
    features: Option<Tensor>,
    norm: Option<FirstNorm>,
    reading: Option<Reading>,
}

impl<'a> Net<'a> {
    /// Inference with a file's weights, shared by all lanes; batch norm is folded.
    pub fn with_weights(graph: &'a mut Graph, weights: &'a Weights) -> Self {
        Self {
            graph,
            source: Source::Weights(weights),
            declared: vec![],
            names: HashSet::new(),
            averages: vec![],
            features: None,
            norm: None,
            reading: None,
        }
    }

    /// Training: every lane has parameters of its own, in states by name; batch norm uses the minibatch.
    pub fn training(graph: &'a mut Graph, parameters: &'a [(String, State)]) -> Self {
        Self {
            graph,
            source: Source::Train(parameters),
            declared: vec![],
            names: HashSet::new(),
            averages: vec![],
            features: None,
            norm: None,
            reading: None,
        }
    }

    /// Inference with parameters in states by name, a lane of each; batch norm uses its running averages.
    pub fn inference(graph: &'a mut Graph, parameters: &'a [(String, State)]) -> Self {
        Self {
            graph,
            source: Source::Infer(parameters),
            declared: vec![],
            names: HashSet::new(),
            averages: vec![],
            features: None,
            norm: None,
            reading: None,
        }
    }

    /// Only records what tensors there are.
    pub fn declaring(graph: &'a mut Graph) -> Self {
        Self {
            graph,
            source: Source::Declare,
            declared: vec![],
            names: HashSet::new(),
            averages: vec![],
            features: None,
            norm: None,
            reading: None,
        }
    }

    /// The recorded tensors.
    pub fn into_declared(self) -> Vec<Declared> {
        self.declared
    }

    /// The running averages that this pass met.
    pub fn into_averages(self) -> Vec<RunningAverage> {
        self.averages
    }

    /// What the last linear layer so far reads, `[.., d]`; `None` before there is one.
    pub fn features(&self) -> Option<Tensor> {
        self.features
    }

    /// The first batch norm of these weights, if one was trained.
    pub(super) fn into_first_norm(self) -> Option<FirstNorm> {
        self.norm
    }

    /// Marks a batch norm; the first one stays.
    pub(super) fn norms(&mut self, norm: FirstNorm) {
        self.norm.get_or_insert(norm);
    }

    /// Marks what a batch norm of a file's weights yields.
    fn normed(&mut self, after: Tensor, names: &[String; 4], epsilon: f32) {
        let Source::Weights(weights) = &self.source else { return };
        let parts = [0, 1, 2, 3].map(|i| weights.tensors[&names[i]].data.as_slice());
        let axis = self.graph.dims(after).len() - 1;
        if let Some(norm) = FirstNorm::of(after, axis, parts, f64::from(epsilon)) {
            self.norms(norm);
        }
    }

    /// Where a text of the sample enters the graph, if there is one.
    pub fn into_reading(self) -> Option<Reading> {
        self.reading
    }

    /// Marks where a text of the sample enters the graph.
    pub(super) fn reads_words(&mut self, reading: Reading) {
        self.reading = Some(reading);
    }

    /// Marks what a linear layer reads.
    pub(super) fn reads(&mut self, x: Tensor) {
        self.features = Some(x);
    }

    /// Whether this is a training pass (dropout is active, batch norm uses the minibatch).
    pub fn is_training(&self) -> bool {
        matches!(self.source, Source::Train(_))
    }

    /// `(x - mean) / std`.
    pub fn scale_input(&mut self, x: Tensor, scaling: &InputScaling) -> Tensor {
        let dims = self.graph.dims(x).to_vec();
        let constant = |graph: &mut Graph, values: &[f32]| {
            let channels = dims.last().copied().unwrap_or(1);
            let data = Arc::new(values.to_vec());
            if values.len() == 1 {
                graph.scalar(values[0])
            } else if values.len() == channels {
                graph.constant(&data, &[channels])
            } else {
                // A value for each feature: the trailing axes whose product they are.
                let mut rank = 0;
                while dims[dims.len() - rank..].iter().product::<usize>() < values.len() {
                    rank += 1;
                }
                graph.constant(&data, &dims[dims.len() - rank..])
            }
        };
        let mean = constant(self.graph, &scaling.mean);
        let std = constant(self.graph, &scaling.std);
        let centred = self.graph.sub(x, mean);
        self.graph.div(centred, std)
    }

    /// `x w^T + b` over the last axis: tensors `NAME.weight [out, in]`, `NAME.bias [out]`.
    pub fn linear(&mut self, name: &str, x: Tensor, outputs: usize) -> Tensor {
        self.linear_named(&format!("{name}.weight"), Some(&format!("{name}.bias")), x, outputs)
    }

    /// A linear layer whose weight and bias, if it has one, have names of their own.
    pub fn linear_named(&mut self, weight: &str, bias: Option<&str>, x: Tensor, outputs: usize) -> Tensor {
        self.reads(x);
        let inputs = self.graph.dims(x).last().copied().unwrap_or(1);
        let weight = self.tensor(weight, &[outputs, inputs], Role::Linear, inputs);
        let y = self.rows_times(x, weight);
        let Some(bias) = bias else { return y };
        let bias = self.tensor(bias, &[outputs], Role::Bias, inputs);
        self.graph.add(y, bias)
    }

    /// `x w^T` over the last axis, `w [out, in]`: all leading axes of x are rows, also where every lane has a w of its own.
    pub(super) fn rows_times(&mut self, x: Tensor, weight: Tensor) -> Tensor {
        let dims = self.graph.dims(x).to_vec();
        let outputs = self.graph.dims(weight)[0];
        let inputs = dims.last().copied().unwrap_or(1);
        let deep = self.graph.shape(weight).lane && dims.len() > 2;
        let rows = match deep {
            true => self.graph.reshape(x, &[dims.iter().product::<usize>() / inputs, inputs]),
            false => x,
        };
        let y = self.graph.matmul(rows, false, weight, true);
        self.graph.reshape(y, &[&dims[..dims.len() - 1], &[outputs]].concat())
    }

    /// Layer norm over the last axis: tensors `NAME.weight`, `NAME.bias`.
    pub fn layer_norm(&mut self, name: &str, x: Tensor, epsilon: f32) -> Tensor {
        let width = self.graph.dims(x).last().copied().unwrap_or(1);
        let weight = self.tensor(&format!("{name}.weight"), &[width], Role::Scale, width);
        let bias = self.tensor(&format!("{name}.bias"), &[width], Role::Shift, width);
        self.graph.layer_norm(x, weight, bias, epsilon)
    }

    /// A convolution and, if named, the batch norm after it (folded into it at inference): tensors `NAME.weight`, `NAME.bias` if
    /// `bias`, and `NORM.weight`, `.bias`, `.running_mean`, `.running_var`.
    pub fn conv(
        &mut self,
        name: &str,
        x: Tensor,
        outputs: usize,
        kernel: Kernel,
        geometry: ConvGeometry,
        bias: bool,
        norm: Option<BatchNorm>,
    ) -> Tensor {
        let inputs = self.graph.dims(x).last().copied().unwrap_or(1) / geometry.groups;
        let (shape, role, window) = match kernel {
            Kernel::Square(size) => (vec![outputs, inputs, size[0], size[1]], Role::Conv2d, size),
            Kernel::Line(length) => (vec![outputs, inputs, length], Role::Conv1d, [1, length]),
        };
        let fan_in = inputs * window[0] * window[1];
        let weight_name = format!("{name}.weight");
        let bias_name = format!("{name}.bias");
        if let (Source::Weights(weights), Some(norm)) = (&self.source, norm) {
            let weights = *weights;
            let fold = Fold { conv: name, bias, norm };
            let into = norm.name;
            let data = weights.prepared(&format!("{weight_name} folded into {into}"), |w| fold.weight(w));
            let shift =
                weights.prepared(&format!("{bias_name} folded into {into}"), |w| fold.shift(w, outputs));
            let weight = self.graph.constant(&data, &[window[0], window[1], inputs, outputs]);
            let shift = self.graph.constant(&shift, &[outputs]);
            let y = self.graph.conv(x, weight, geometry);
            let y = self.graph.add(y, shift);
            self.normed(y, &norm.names(), norm.epsilon);
            return y;
        }
        let weight = self.tensor(&weight_name, &shape, role, fan_in);
        let mut y = self.graph.conv(x, weight, geometry);
        if bias {
            let bias = self.tensor(&bias_name, &[outputs], Role::Bias, fan_in);
            y = self.graph.add(y, bias);
        }
        match norm {
            Some(norm) => self.batch_norm(norm.name, y, norm.epsilon),
            None => y,
        }
    }

    /// Batch norm over the last axis: tensors `NAME.weight`, `.bias`, `.running_mean`, `.running_var`.
    pub fn batch_norm(&mut self, name: &str, x: Tensor, epsilon: f32) -> Tensor {
        self.batch_norm_named(&BatchNorm { name, epsilon }.names(), x, epsilon)
    }

    /// Batch norm whose scale, shift, running mean and running variance have names of their own.
    pub fn batch_norm_named(&mut self, names: &[String; 4], x: Tensor, epsilon: f32) -> Tensor {
        let channels = self.graph.dims(x).last().copied().unwrap_or(1);
        let roles = [Role::Scale, Role::Shift, Role::RunningMean, Role::RunningVariance];
        let [weight, bias, mean, variance] =
            [0, 1, 2, 3].map(|i| self.tensor(&names[i], &[channels], roles[i], channels));
        if let Source::Train(_) = self.source {
            let (y, batch_mean, batch_variance) = self.graph.batch_norm(x, weight, bias, epsilon);
            let count: usize = self.graph.dims(x).iter().product::<usize>() / channels;
            // PyTorch keeps the unbiased variance in its running average.
            let unbiased = self.graph.scale(batch_variance, count as f32 / (count.max(2) - 1) as f32);
            let (mean_state, variance_state) = (self.state(&names[2]), self.state(&names[3]));
            self.averages.push(RunningAverage { state: mean_state, batch: batch_mean });
            self.averages.push(RunningAverage { state: variance_state, batch: unbiased });
            return y;
        }
        let centred = self.graph.sub(x, mean);
        let safe = self.graph.shift(variance, epsilon);
        let deviation = self.graph.unary(percuss_kernels::ops::Unary::Sqrt, safe);
        let factor = self.graph.div(weight, deviation);
        let scaled = self.graph.mul(centred, factor);
        let y = self.graph.add(scaled, bias);
        self.normed(y, names, epsilon);
        y
    }

    /// `[.., height, width, channels]` to `[.., channels * height * width]` in PyTorch's order (channels first).
    pub fn flatten(&mut self, x: Tensor) -> Tensor {
        let dims = self.graph.dims(x).to_vec();
        let rank = dims.len();
        if dims.len() < 3 {
            return x;
        }
        let (height, width, channels) = (dims[rank - 3], dims[rank - 2], dims[rank - 1]);
        let flat = [&dims[..rank - 3], &[height * width * channels]].concat();
        let x = if height * width > 1 && channels > 1 {
            let mut axes: Vec<usize> = (0..rank).collect();
            axes[rank - 3..].copy_from_slice(&[rank - 1, rank - 3, rank - 2]);
            self.graph.permute(x, &axes, &vec![false; rank])
        } else {
            x
        };
        self.graph.reshape(x, &flat)
    }

    fn state(&self, name: &str) -> State {
        match &self.source {
            Source::Train(states) | Source::Infer(states) => {
                match states.iter().find(|(other, _)| other == name) {
                    Some(&(_, state)) => state,
                    None => unreachable!("every tensor that is asked for has a state: {name}"),
                }
            }
            _ => unreachable!("these parameters are not in states"),
        }
    }

    /// Rows of the tensor `name`, whose first axis they are: one part of several that are stored as one.
    pub(super) fn rows(
        &mut self,
        name: &str,
        shape: &[usize],
        role: Role,
        fan_in: usize,
        rows: Range<usize>,
    ) -> Tensor {
        let Source::Weights(weights) = &self.source else {
            let whole = self.tensor(name, shape, role, fan_in);
            return self.graph.slice(whole, 0, rows);
        };
        let weights = *weights;
        let each: usize = shape[1..].iter().product();
        let at = rows.start * each..rows.end * each;
        let data = weights.prepared(&format!("{name}, rows {rows:?}"), |w| w.tensors[name].data[at].to_vec());
        self.graph.constant(&data, &[&[rows.len()], &shape[1..]].concat())
    }

    /// The tensor `name`, in the kernels' layout.
    pub(super) fn tensor(&mut self, name: &str, shape: &[usize], role: Role, fan_in: usize) -> Tensor {
        let dims = layout(role, shape);
        match &self.source {
            Source::Declare => {
                if self.names.insert(name.to_string()) {
                    let declared = Declared { name: name.to_string(), shape: shape.to_vec(), role, fan_in };
                    self.declared.push(declared);
                }
                let state = self.graph.state(name, Shape::shared(&dims));
                self.graph.load(state)
            }
            Source::Weights(weights) => {
                let weights = *weights;
                let data = weights.prepared(name, |w| to_layout(role, shape, &w.tensors[name].data));
                self.graph.constant(&data, &dims)
            }
            Source::Train(_) | Source::Infer(_) => {
                let state = self.state(name);
                self.graph.load(state)
            }
        }
    }
}

/// A convolution's window.
#[derive(Clone, Copy, Debug)]
pub enum Kernel {
    /// 2-d: PyTorch's Conv2d.
    Square([usize; 2]),
    /// 1-d: PyTorch's Conv1d.
    Line(usize),
}

/// Batch norm folded into the convolution before it, in f64.
struct Fold<'a> {
    conv: &'a str,
    bias: bool,
    norm: BatchNorm<'a>,
}

impl Fold<'_> {
    fn factors(&self, weights: &Weights) -> Vec<f64> {
        let part = |suffix: &str| &weights.tensors[&format!("{}.{suffix}", self.norm.name)].data;
        let variance = part("running_var");
        let scale =
            |(w, v): (&f32, &f32)| f64::from(*w) / (f64::from(*v) + f64::from(self.norm.epsilon)).sqrt();
        part("weight").iter().zip(variance).map(scale).collect()
    }

    fn weight(&self, weights: &Weights) -> Vec<f32> {
        let tensor = &weights.tensors[&format!("{}.weight", self.conv)];
        let each = tensor.data.len() / tensor.shape[0];
        let factors = self.factors(weights);
        let folded: Vec<f32> =
            tensor.data.iter().enumerate().map(|(i, &w)| (f64::from(w) * factors[i / each]) as f32).collect();
        let role = if tensor.shape.len() == 4 { Role::Conv2d } else { Role::Conv1d };
        to_layout(role, &tensor.shape, &folded)
    }

    fn shift(&self, weights: &Weights, outputs: usize) -> Vec<f32> {
        let part = |suffix: &str| &weights.tensors[&format!("{}.{suffix}", self.norm.name)].data;
        let (mean, shift) = (part("running_mean"), part("bias"));
        let own = self.bias.then(|| &weights.tensors[&format!("{}.bias", self.conv)].data);
        let factors = self.factors(weights);
        (0..outputs)
            .map(|o| {
                let before = own.map_or(0.0, |own| f64::from(own[o]));
                (f64::from(shift[o]) + (before - f64::from(mean[o])) * factors[o]) as f32
            })
            .collect()
    }
}
