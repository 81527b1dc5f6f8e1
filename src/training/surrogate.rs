//! A surrogate's gradients, in inference: of some samples' mean loss to all parameters, and of each sample's own loss to its values where
//! the parameters are moved. Batch norm uses its running averages, so that samples do not see each other.

use percuss_kernels::Device;

use super::loss::{class_logits, one_class_a_sample};
use super::trainer::{load_parameters, parameter_states};
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Uploads};
use crate::models::{Declared, Model, Net, to_layout};
use crate::{Error, Result};

/// Samples in one launch. A sum of gradients runs within a launch, so this is the same for everybody.
const BATCH: usize = 32;
/// The phases of the program.
const TO_PARAMETERS: usize = 0;
const TO_INPUTS: usize = 1;

/// A model whose gradients are asked for. Samples come as `[n, sample_len]` in the data's units; parameters are one vector of all that an
/// optimiser updates, in the order of [`Model::declare`], each in the kernels' layout. The loss is cross-entropy.
#[derive(Debug)]
pub struct Surrogate {
    executable: Executable,
    /// Where each trained parameter lies, and its gradient.
    trained: Vec<(State, State)>,
    /// Their values, and how many numbers each has.
    values: Vec<f32>,
    sizes: Vec<usize>,
    /// Whether the program has `values` now, and not moved ones.
    in_place: bool,
    input: State,
    labels: State,
    weights: State,
    slopes: State,
    sample_len: usize,
}

impl Surrogate {
    /// The gradients of `model`.
    ///
    /// # Errors
    /// A head of several findings; a device that has no room for it.
    pub fn new(model: &Model, device: &Device) -> Result<Self> {
        let config = &model.config;
        one_class_a_sample(config, "a surrogate")?;
        let mut graph = Graph::new();
        let parameters = parameter_states(&mut graph, config);
        let named: Vec<(String, State)> =
            parameters.iter().map(|(declared, state)| (declared.name.clone(), *state)).collect();
        let shape = [&[BATCH], config.input_shape().as_slice()].concat();
        let input = graph.state("samples", Shape::lanes(&shape));
        let labels = graph.state("labels", Shape::lanes(&[BATCH]));
        let weights = graph.state("weights", Shape::lanes(&[BATCH]));
        let slopes = graph.state("slopes", Shape::lanes(&shape));
        let x = graph.load(input);
        let mut net = Net::inference(&mut graph, &named);
        let logits = config.forward(&mut net, x);
        let logits = class_logits(&mut graph, config.head, logits);
        let wanted = graph.load(labels);
        let losses = graph.cross_entropy(logits, wanted);
        let shares = graph.load(weights);
        let weighted = graph.mul(losses, shares);
        let mean = graph.sum_lane(weighted);
        let of_optimiser: Vec<&(Declared, State)> =
            parameters.iter().filter(|(declared, _)| declared.role.trained()).collect();
        let wrt: Vec<_> = of_optimiser.iter().map(|(_, state)| graph.load(*state)).collect();
        let gradients = graph.gradients(mean, &wrt);
        let (mut to_parameters, mut trained) = (Phase::new(), Vec::new());
        for ((declared, parameter), gradient) in of_optimiser.iter().zip(gradients) {
            let shape = graph.state_shape(*parameter).clone();
            let state = graph.state(format!("gradient of {}", declared.name), shape);
            to_parameters.assign(&mut graph, state, gradient);
            trained.push((*parameter, state));
        }
        // The gradient of the sum: every sample's own.
        let slope = graph.gradients(losses, &[x])[0];
        let mut to_inputs = Phase::new();
        to_inputs.assign(&mut graph, slopes, slope);
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &graph, &[to_parameters, to_inputs], 1)?;
        let mut executable = compiled.instantiate(device, &mut uploads, 1)?;
        load_parameters(&mut executable, &parameters, 0, &model.weights.tensors)?;
        let parts: Vec<Vec<f32>> = of_optimiser
            .iter()
            .map(|(one, _)| to_layout(one.role, &one.shape, &model.weights.tensors[&one.name].data))
            .collect();
        let (sizes, values) = (parts.iter().map(Vec::len).collect(), parts.concat());
        let sample_len = config.input_shape().iter().product();
        Ok(Self {
            executable,
            trained,
            values,
            sizes,
            in_place: true,
            input,
            labels,
            weights,
            slopes,
            sample_len,
        })
    }

    /// The parameters.
    pub fn parameters(&self) -> &[f32] {
        &self.values
    }

    /// Euclidean length of all parameters together.
    pub fn parameter_length(&self) -> f64 {
        self.values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt()
    }

    /// The gradient of the samples' mean loss to the parameters.
    ///
    /// # Errors
    /// Labels that are not as many as samples.
    pub fn to_parameters(&mut self, samples: &[f32], labels: &[u32]) -> Result<Vec<f32>> {
        self.check(samples, labels)?;
        self.place(None)?;
        let mut sums = vec![0.0f64; self.values.len()];
        let share = 1.0 / labels.len() as f32;
        for (chunk, labels) in samples.chunks(BATCH * self.sample_len).zip(labels.chunks(BATCH)) {
            let mut weights = vec![share; labels.len()];
            weights.resize(BATCH, 0.0);
            self.executable.write(self.weights, &weights)?;
            self.run(chunk, labels, TO_PARAMETERS)?;
            let mut at = 0;
            for (_, gradient) in &self.trained {
                for value in self.executable.read(*gradient)? {
                    sums[at] += f64::from(value);
                    at += 1;
                }
            }
        }
        Ok(sums.into_iter().map(|sum| sum as f32).collect())
    }

    /// The gradient of each sample's own loss to its values at parameters + `shift`, `[n, sample_len]`.
    ///
    /// # Errors
    /// Labels that are not as many as samples, a shift that is not as long as the parameters.
    pub fn to_inputs(&mut self, samples: &[f32], labels: &[u32], shift: &[f32]) -> Result<Vec<f32>> {
        self.check(samples, labels)?;
        self.place(Some(shift))?;
        let mut all = Vec::with_capacity(samples.len());
        for (chunk, labels) in samples.chunks(BATCH * self.sample_len).zip(labels.chunks(BATCH)) {
            self.run(chunk, labels, TO_INPUTS)?;
            all.extend_from_slice(&self.executable.read(self.slopes)?[..chunk.len()]);
        }
        Ok(all)
    }

    fn check(&self, samples: &[f32], labels: &[u32]) -> Result<()> {
        if samples.len() == labels.len() * self.sample_len {
            return Ok(());
        }
        let expected = format!("{} samples of {}", labels.len(), self.sample_len);
        Err(Error::input("surrogate", "samples", format!("{} numbers", samples.len()), expected))
    }

    /// Brings the program's parameters to their values, moved by `shift` if given.
    fn place(&mut self, shift: Option<&[f32]>) -> Result<()> {
        if shift.is_none() && self.in_place {
            return Ok(());
        }
        if let Some(shift) = shift
            && shift.len() != self.values.len()
        {
            let found = format!("{} numbers", shift.len());
            return Err(Error::input("surrogate", "shift", found, self.values.len()));
        }
        let mut at = 0;
        for ((state, _), size) in self.trained.iter().zip(&self.sizes) {
            let mut part = self.values[at..at + size].to_vec();
            if let Some(shift) = shift {
                part.iter_mut().zip(&shift[at..]).for_each(|(value, by)| *value += by);
            }
            self.executable.write(*state, &part)?;
            at += size;
        }
        self.in_place = shift.is_none();
        Ok(())
    }

    /// Runs a phase on at most [`BATCH`] samples.
    fn run(&mut self, chunk: &[f32], labels: &[u32], phase: usize) -> Result<()> {
        let mut padded = chunk.to_vec();
        padded.resize(BATCH * self.sample_len, 0.0);
        let mut wanted: Vec<f32> = labels.iter().map(|label| *label as f32).collect();
        wanted.resize(BATCH, 0.0);
        self.executable.write(self.input, &padded)?;
        self.executable.write(self.labels, &wanted)?;
        self.executable.run(phase, 1)
    }
}
