//! DP-SGD: training that no single sample can move far (Abadi et al. 2016, algorithm 1).
//!
//! Each step takes every sample with the same probability (Poisson sampling), clips each sample's gradient, adds Gaussian noise to their sum,
//! and hands that, over the expected size of the minibatch, to the optimiser. A lane of the program is one sample; all lanes share the
//! parameters, whose gradient each lane has for itself. Clipping and the sum run on the host, in the samples' order.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use percuss_kernels::Device;

use super::super::fit::{Fitted, Recipe, check_loss, fits};
use super::super::init::initial;
use super::super::optimizer::Optimizer;
use super::super::random::{Stream, name_number};
use crate::data::{Dataset, Labels};
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Uploads};
use crate::models::{
    Config, Declared, Head, Model, Net, Role, WeightTensor, from_training_layout, layout, to_layout,
};
use crate::training::{Lesson, Loss};
use crate::{Error, Result};

/// Bytes of gradients that are computed at once on a CPU, what its second cache holds, and samples at least and at most.
const BLOCK: (usize, [usize; 2]) = (256 << 10, [4, 64]);

/// How much noise a run adds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Largest norm of one sample's gradient, above 0.
    pub clip_norm: f64,
    /// Standard deviation of the noise, as a multiple of `clip_norm`; 0 or more.
    pub multiplier: f64,
}

/// The probability with which a step takes a sample, and how many steps there are: what an accountant asks.
pub fn schedule(recipe: &Recipe, samples: usize) -> (f64, u64) {
    let batch = recipe.batch.min(samples);
    (batch as f64 / samples as f64, (recipe.epochs * (samples / batch)) as u64)
}

/// The samples that a step takes: each of `samples` with probability `rate`, whatever becomes of the others (Poisson sampling).
///
/// 53 bits decide, so that the probability is within 1e-16 of `rate`, which an accountant relies on.
pub fn poisson_sample(samples: &[usize], rate: f64, stream: &mut Stream) -> Vec<usize> {
    let mut unit = || {
        let bits = u64::from(stream.bits()) << 32 | u64::from(stream.bits());
        (bits >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    };
    samples.iter().copied().filter(|_| unit() < rate).collect()
}

/// The random numbers of a step (from 0): which samples it takes, then its noise.
pub fn step_stream(seed: u64, step: u64) -> Stream {
    Stream::new(seed, &[name_number("dp-sgd"), step])
}

/// Trains a model on a lesson of `base`. The same arguments give the same bits on one device. The last step's model is kept.
///
/// Noise is drawn in f32; what its rounding tells of the sum below it (Mironov 2012) no accountant counts.
///
/// # Errors
/// Data or a lesson that do not fit the model; batch norm, which lets samples see each other; early stopping, which no accountant counts; a
/// loss that is not finite; an interruption.
pub fn fit_privately(
    config: &Config,
    recipe: &Recipe,
    noise: &Noise,
    base: &Dataset,
    lesson: &Lesson,
    device: &Device,
    stop: &AtomicBool,
) -> Result<Fitted> {
    fits(config, &Loss::plain(config.head), base)?;
    let samples = &lesson.samples;
    let (rate, steps) = schedule(recipe, samples.len());
    let expected = rate * samples.len() as f64;
    let mut trainer = PrivateTrainer::new(config, recipe, noise, base, device)?;
    let mut losses = Vec::new();
    let (mut sum, mut seen) = (0.0, 0);
    let each = (steps / recipe.epochs as u64).max(1);
    for step in 0..steps {
        if stop.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let mut stream = step_stream(recipe.seed, step);
        let chosen = poisson_sample(samples, rate, &mut stream);
        let learning = recipe.schedule.rate(recipe.rate, step, each, steps);
        sum += trainer.step(lesson, &chosen, expected, learning, &mut stream)?;
        seen += chosen.len();
        if (step + 1) % each == 0 {
            let mean = sum / seen.max(1) as f64;
            check_loss(mean, losses.len() + 1)?;
            losses.push(mean);
            (sum, seen) = (0.0, 0);
        }
    }
    let epochs = losses.len();
    Ok(Fitted { weights: trainer.weights(), epoch: epochs, epochs_run: epochs, losses, validation: None })
}

/// DP-SGD step by step, on samples that the caller chooses: [`fit_privately`] chooses them as its guarantee needs it.
pub struct PrivateTrainer<'a> {
    base: &'a Dataset,
    program: PerSample,
    descent: Descent,
    noise: Noise,
    steps: u64,
}

impl<'a> PrivateTrainer<'a> {
    /// A model with the initial parameters of the recipe's seed, to learn from samples of `base`.
    ///
    /// # Errors
    /// As [`fit_privately`], but for the lesson and what comes of training.
    pub fn new(
        config: &Config,
        recipe: &Recipe,
        noise: &Noise,
        base: &'a Dataset,
        device: &Device,
    ) -> Result<Self> {
        fits(config, &Loss::plain(config.head), base)?;
        learnable_privately(config, recipe, base)?;
        let program = PerSample::new(config, recipe, noise, device)?;
        let declared = Model::declare(config);
        let start = initial(&declared, recipe.seed);
        let descent = Descent::new(declared, recipe.rule.optimizer, &start)?;
        Ok(Self { base, program, descent, noise: *noise, steps: 0 })
    }

    /// Sets the parameters, by name and in PyTorch's layouts, and forgets what the optimiser remembers.
    ///
    /// # Errors
    /// A tensor that is missing or has another shape.
    pub fn load(&mut self, tensors: &BTreeMap<String, WeightTensor>) -> Result<()> {
        self.descent = Descent::new(self.descent.declared.clone(), self.descent.optimizer, tensors)?;
        self.steps = 0;
        Ok(())
    }

    /// One step on `chosen` positions of the base: `(sum of clipped gradients + N(0, (multiplier * clip_norm)^2)) / expected` goes to the
    /// optimiser at the given learning rate (Abadi et al. 2016, algorithm 1), `expected` being the batch size that sampling has on average.
    /// Returns the sum of the losses before it.
    pub fn step(
        &mut self,
        lesson: &Lesson,
        chosen: &[usize],
        expected: f64,
        rate: f64,
        stream: &mut Stream,
    ) -> Result<f64> {
        let (mut gradient, loss) =
            self.program.clipped_sum(&self.descent.parameters, self.base, lesson, chosen)?;
        let deviation = (self.noise.multiplier * self.noise.clip_norm) as f32;
        for value in gradient.iter_mut().flatten() {
            *value = (*value + deviation * stream.normal()) / expected as f32;
        }
        self.steps += 1;
        self.descent.step(&gradient, rate, self.steps);
        Ok(loss)
    }

    /// The parameters, by name and in PyTorch's layouts.
    pub fn weights(&self) -> BTreeMap<String, WeightTensor> {
        self.descent.weights()
    }
}

/// Checks that DP-SGD can keep its promise under a recipe.
///
/// # Errors
/// Batch norm, early stopping, class weights: each looks at samples that no accountant counts.
pub fn learnable_privately(config: &Config, recipe: &Recipe, base: &Dataset) -> Result<()> {
    let bad = |found: &str, expected: &str| Err(Error::input(&base.name, "dp-sgd", found, expected));
    if Model::declare(config).iter().any(|tensor| tensor.role == Role::RunningMean) {
        return bad("a model with batch norm, in which samples see each other", "a model without it");
    }
    if recipe.early_stopping.is_some() {
        return bad("early stopping, whose choice no accountant counts", "a fixed number of epochs");
    }
    if !recipe.rule.loss.weights.is_empty() {
        return bad("class weights, which are computed from the samples", "class_weights = \"none\"");
    }
    Ok(())
}

/// The program that gives gradients, one a lane.
struct PerSample {
    executable: Executable,
    parameters: Vec<State>,
    gradients: Vec<State>,
    input: State,
    label: State,
    loss: State,
    head: Head,
    clip_norm: f32,
    /// One sample's gradient.
    own: Vec<Vec<f32>>,
}

impl PerSample {
    fn new(config: &Config, recipe: &Recipe, noise: &Noise, device: &Device) -> Result<Self> {
        let mut graph = Graph::new();
        let declared = Model::declare(config);
        let dims = |one: &Declared| layout(one.role, &one.shape);
        let parameters: Vec<State> =
            declared.iter().map(|one| graph.state(&one.name, Shape::shared(&dims(one)))).collect();
        let named: Vec<(String, State)> =
            declared.iter().zip(&parameters).map(|(one, state)| (one.name.clone(), *state)).collect();
        let rule = Loss::plain(config.head);
        let rule = Loss { smoothing: recipe.rule.loss.smoothing, ..rule };
        let input = graph.state("sample", Shape::lanes(&[&[1], config.input_shape().as_slice()].concat()));
        let label = graph.state("label", Shape::lanes(&rule.label_dims(1, config.classes())));
        let loss = graph.state("loss", Shape::lanes(&[]));
        let (x, wanted) = (graph.load(input), graph.load(label));
        let mut net = Net::training(&mut graph, &named);
        let logits = config.forward(&mut net, x);
        let value = rule.mean(&mut graph, logits, wanted);
        let wrt: Vec<_> = parameters.iter().map(|&state| graph.load(state)).collect();
        let mut phase = Phase::new();
        let mut gradients = Vec::new();
        for (one, gradient) in declared.iter().zip(graph.gradients(value, &wrt)) {
            let state = graph.state(format!("gradient of {}", one.name), Shape::lanes(&dims(one)));
            phase.assign(&mut graph, state, gradient);
            gradients.push(state);
        }
        phase.assign(&mut graph, loss, value);
        let own: Vec<Vec<f32>> = declared.iter().map(|one| vec![0.0; dims(one).iter().product()]).collect();
        let (bytes, [least, most]) = BLOCK;
        let each = 4 * own.iter().map(Vec::len).sum::<usize>().max(1);
        let lanes = if device.is_cpu() { (bytes / each).clamp(least, most) } else { most };
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &graph, &[phase], lanes)?;
        let executable = compiled.instantiate(device, &mut uploads, 1)?;
        let (head, clip_norm) = (config.head, noise.clip_norm as f32);
        Ok(Self { executable, parameters, gradients, input, label, loss, head, clip_norm, own })
    }

    /// The sum of the clipped gradients of some samples, tensor by tensor, and that of their losses.
    fn clipped_sum(
        &mut self,
        parameters: &[Vec<f32>],
        base: &Dataset,
        lesson: &Lesson,
        chosen: &[usize],
    ) -> Result<(Vec<Vec<f32>>, f64)> {
        for (state, values) in self.parameters.iter().zip(parameters) {
            self.executable.write(*state, values)?;
        }
        let mut sums: Vec<Vec<f32>> = parameters.iter().map(|values| vec![0.0; values.len()]).collect();
        let mut losses = 0.0;
        for some in chosen.chunks(self.executable.lanes()) {
            for (lane, &position) in some.iter().enumerate() {
                self.executable.write_lane(self.input, lane, lesson.sample(base, position))?;
                self.executable.write_lane(self.label, lane, &label(base, self.head, lesson, position))?;
            }
            self.executable.run(0, 1)?;
            for lane in 0..some.len() {
                for (state, own) in self.gradients.iter().zip(&mut self.own) {
                    self.executable.read_lane_into(*state, lane, own)?;
                }
                let factor = clip_factor(&self.own, self.clip_norm);
                for (sum, own) in sums.iter_mut().zip(&self.own) {
                    sum.iter_mut().zip(own).for_each(|(sum, value)| *sum += factor * value);
                }
            }
            let all = self.executable.read(self.loss)?;
            losses += all.iter().take(some.len()).map(|&loss| f64::from(loss)).sum::<f64>();
        }
        Ok((sums, losses))
    }
}

/// What scales a gradient down to a norm of at most `limit`, all tensors together; not a number where the gradient is not.
fn clip_factor(gradient: &[Vec<f32>], limit: f32) -> f32 {
    let norm = gradient.iter().map(|tensor| squares(tensor)).sum::<f32>().sqrt();
    let ratio = limit / (norm + 1e-6);
    if ratio >= 1.0 { 1.0 } else { ratio }
}

/// The sum of squares, in partial sums that the compiler keeps in vectors.
fn squares(values: &[f32]) -> f32 {
    let (chunks, rest) = values.as_chunks::<32>();
    let mut lanes = [0.0; 32];
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, value)| *lane += value * value);
    }
    lanes.iter_mut().zip(rest).for_each(|(lane, value)| *lane += value * value);
    lanes.iter().sum()
}

/// The label of one sample as the loss reads it.
fn label(base: &Dataset, head: Head, lesson: &Lesson, position: usize) -> Vec<f32> {
    match (&base.labels, lesson.label(base, position)) {
        (_, Some(label)) if head == Head::Softmax => vec![label as f32],
        (_, Some(label)) => vec![f32::from(u8::from(label > 0))],
        (Labels::Findings(labels), _) => {
            let findings = base.classes.len();
            labels[position * findings..][..findings].iter().map(|&label| f32::from(label)).collect()
        }
        (Labels::Class(_), None) => unreachable!("a base of classes gives every sample one"),
    }
}

/// Parameters on the host, in the kernels' layout, with what the optimiser remembers.
struct Descent {
    declared: Vec<Declared>,
    parameters: Vec<Vec<f32>>,
    memory: Vec<[Vec<f32>; 2]>,
    optimizer: Optimizer,
}

impl Descent {
    fn new(
        declared: Vec<Declared>,
        optimizer: Optimizer,
        start: &BTreeMap<String, WeightTensor>,
    ) -> Result<Self> {
        let value = |one: &Declared| {
            let found = start.get(&one.name);
            let Some(tensor) = found.filter(|tensor| tensor.shape == one.shape) else {
                let found =
                    found.map_or("no such tensor".into(), |tensor| format!("shape {:?}", tensor.shape));
                let place = format!("tensor {}", one.name);
                return Err(Error::input("the weights", place, found, format!("shape {:?}", one.shape)));
            };
            Ok(to_layout(one.role, &one.shape, &tensor.data))
        };
        let parameters = declared.iter().map(value).collect::<Result<Vec<Vec<f32>>>>()?;
        let memory =
            parameters.iter().map(|values| [vec![0.0; values.len()], vec![0.0; values.len()]]).collect();
        Ok(Self { declared, parameters, memory, optimizer })
    }

    /// One step along a gradient; `number` counts from 1. The same formulas as [`Optimizer::update`].
    fn step(&mut self, gradient: &[Vec<f32>], rate: f64, number: u64) {
        let [rate, keep, root] = self.optimizer.rates(rate, number);
        for ((values, [first, second]), gradient) in
            self.parameters.iter_mut().zip(&mut self.memory).zip(gradient)
        {
            for (i, value) in values.iter_mut().enumerate() {
                let g = gradient[i];
                match self.optimizer {
                    Optimizer::Sgd { momentum, nesterov, weight_decay } => {
                        let g = g + weight_decay as f32 * *value;
                        first[i] = momentum as f32 * first[i] + g;
                        *value -= rate * if nesterov { g + momentum as f32 * first[i] } else { first[i] };
                    }
                    Optimizer::AdamW { betas: [b1, b2], epsilon, .. } => {
                        first[i] = b1 as f32 * first[i] + (1.0 - b1) as f32 * g;
                        second[i] = b2 as f32 * second[i] + (1.0 - b2) as f32 * g * g;
                        let deviation = second[i].sqrt() / root + epsilon as f32;
                        *value = *value * keep - rate * first[i] / deviation;
                    }
                }
            }
        }
    }

    /// By name and in PyTorch's layouts.
    fn weights(&self) -> BTreeMap<String, WeightTensor> {
        let tensor = |(one, values): (&Declared, &Vec<f32>)| {
            let data = from_training_layout(one.role, &one.shape, values);
            (one.name.clone(), WeightTensor { shape: one.shape.clone(), data })
        };
        self.declared.iter().zip(&self.parameters).map(tensor).collect()
    }
}
