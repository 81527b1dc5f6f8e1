//! A model's feature space: what its last linear layer reads, and how far samples are there from a goal.

use percuss_kernels::Device;

use super::Model;
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Uploads};
use crate::{Error, Result};

/// Samples in one launch: a sample's features do not depend on it.
const LANES: usize = 64;
/// The phases of the program.
const FEATURES: usize = 0;
const APPROACH: usize = 1;

/// A program that tells features; samples come as `[n, sample_len]` in the data's units.
#[derive(Debug)]
pub struct FeatureSpace {
    executable: Executable,
    input: State,
    goal: State,
    features: State,
    distance: State,
    gradient: State,
    dimensions: usize,
    sample_len: usize,
}

impl FeatureSpace {
    /// The feature space of `model`, batch norm folded.
    ///
    /// # Errors
    /// A model without a linear layer; a device that has no room for it.
    pub fn new(model: &Model, device: &Device) -> Result<Self> {
        let shape = model.config.input_shape();
        let mut graph = Graph::new();
        let input = graph.state("input", Shape::lanes(&shape));
        let x = graph.load(input);
        let found = model.features(&mut graph, x)?;
        let dimensions = graph.dims(found).iter().product();
        let features = graph.state("features", Shape::lanes(&[dimensions]));
        let goal = graph.state("goal", Shape::lanes(&[dimensions]));
        let distance = graph.state("distance", Shape::lanes(&[]));
        let gradient = graph.state("gradient", Shape::lanes(&shape));
        let mut tell = Phase::new();
        tell.assign(&mut graph, features, found);
        let wanted = graph.load(goal);
        let off = graph.sub(found, wanted);
        let squares = graph.mul(off, off);
        let far = graph.sum_lane(squares);
        let slope = graph.gradients(far, &[x])[0];
        let mut approach = Phase::new();
        approach.assign(&mut graph, distance, far);
        approach.assign(&mut graph, gradient, slope);
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &graph, &[tell, approach], LANES)?;
        let executable = compiled.instantiate(device, &mut uploads, 1)?;
        let sample_len = shape.iter().product();
        Ok(Self { executable, input, goal, features, distance, gradient, dimensions, sample_len })
    }

    /// Number of features, d.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The features of samples, `[n, d]`.
    ///
    /// # Errors
    /// Values that are no whole samples.
    pub fn of(&mut self, samples: &[f32]) -> Result<Vec<f32>> {
        self.check(samples)?;
        let mut all = Vec::with_capacity(samples.len() / self.sample_len * self.dimensions);
        for chunk in samples.chunks(LANES * self.sample_len) {
            let count = self.run(chunk, FEATURES)?;
            all.extend_from_slice(&self.executable.read(self.features)?[..count * self.dimensions]);
        }
        Ok(all)
    }

    /// `|f(x) - goal|^2` of each sample `[n]`, and its gradient to the sample's values `[n, sample_len]`; `goal` is `[d]`.
    ///
    /// # Errors
    /// Values that are no whole samples, a goal that is no point of the feature space.
    pub fn approach(&mut self, samples: &[f32], goal: &[f32]) -> Result<(Vec<f32>, Vec<f32>)> {
        self.check(samples)?;
        if goal.len() != self.dimensions {
            let found = format!("{} numbers", goal.len());
            return Err(Error::input("feature space", "goal", found, self.dimensions));
        }
        self.executable.write(self.goal, &goal.repeat(LANES))?;
        let (mut distances, mut gradients) = (Vec::new(), Vec::with_capacity(samples.len()));
        for chunk in samples.chunks(LANES * self.sample_len) {
            let count = self.run(chunk, APPROACH)?;
            distances.extend_from_slice(&self.executable.read(self.distance)?[..count]);
            gradients.extend_from_slice(&self.executable.read(self.gradient)?[..chunk.len()]);
        }
        Ok((distances, gradients))
    }

    fn check(&self, samples: &[f32]) -> Result<()> {
        if samples.len().is_multiple_of(self.sample_len) {
            return Ok(());
        }
        let expected = format!("a multiple of {}, a sample's", self.sample_len);
        Err(Error::input("feature space", "samples", format!("{} numbers", samples.len()), expected))
    }

    /// Runs a phase on at most [`LANES`] samples; how many there were.
    fn run(&mut self, chunk: &[f32], phase: usize) -> Result<usize> {
        let mut padded = chunk.to_vec();
        padded.resize(LANES * self.sample_len, 0.0);
        self.executable.write(self.input, &padded)?;
        self.executable.run(phase, 1)?;
        Ok(chunk.len() / self.sample_len)
    }
}
