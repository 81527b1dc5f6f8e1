//! A model's logits over a data set, batch norm folded.

use percuss_kernels::Device;

use crate::data::Dataset;
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Uploads};
use crate::models::Model;
use crate::{Error, Result};

/// Samples in one launch: a sample's logits do not depend on it.
const LANES: usize = 256;

/// A model on a device, ready to be asked again and again.
#[derive(Debug)]
pub struct Evaluator {
    executable: Executable,
    input: State,
    output: State,
    sample_len: usize,
    outputs: usize,
    padded: Vec<f32>,
}

impl Evaluator {
    /// Compiles the forward pass of `model` for `lanes` samples at once; each op may spread over `threads` threads.
    ///
    /// # Errors
    /// A device that has no room for it.
    pub fn new(model: &Model, lanes: usize, device: &Device, threads: usize) -> Result<Self> {
        let shape = model.config.input_shape();
        let (lanes, outputs) = (lanes.max(1), model.config.classes());
        let mut graph = Graph::new();
        let input = graph.state("input", Shape::lanes(&shape));
        let output = graph.state("logits", Shape::lanes(&[outputs]));
        let x = graph.load(input);
        let value = model.logits(&mut graph, x);
        let mut phase = Phase::new();
        phase.assign(&mut graph, output, value);
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &graph, &[phase], lanes)?;
        let executable = compiled.instantiate(device, &mut uploads, threads)?;
        let sample_len = shape.iter().product();
        Ok(Self { executable, input, output, sample_len, outputs, padded: vec![0.0; lanes * sample_len] })
    }

    /// Logits `[n, outputs]` of samples `[n, sample]` in the data's units. A sample's bits do not depend on how many lanes there are.
    ///
    /// # Errors
    /// A device failure.
    pub fn logits(&mut self, values: &[f32]) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(values.len() / self.sample_len * self.outputs);
        for chunk in values.chunks(self.padded.len()) {
            self.padded[..chunk.len()].copy_from_slice(chunk);
            self.executable.write(self.input, &self.padded)?;
            self.executable.run(0, 1)?;
            let samples = chunk.len() / self.sample_len;
            all.extend_from_slice(&self.executable.read(self.output)?[..samples * self.outputs]);
        }
        Ok(all)
    }
}

/// Logits `[n, outputs]` of all samples, in their order.
///
/// # Errors
/// Samples of another shape than the model's input.
pub fn logits(model: &Model, dataset: &Dataset, device: &Device, threads: usize) -> Result<Vec<f32>> {
    if !model.config.takes(&dataset.shape) {
        let found = format!("samples of shape {:?}", dataset.shape);
        let expected = format!("the model's input {:?}", model.config.input_shape());
        return Err(Error::input(&dataset.name, &dataset.split, found, expected));
    }
    Evaluator::new(model, LANES.min(dataset.len()), device, threads)?.logits(&dataset.values)
}
