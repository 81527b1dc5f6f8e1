//! A model that is asked about one input after another: what it says, and how near it is to saying a class.

use percuss_kernels::Device;

use super::loss::{class_logits, one_class_a_sample};
use crate::graph::{Compiled, Executable, Graph, Phase, Shape, State, Uploads};
use crate::models::Model;
use crate::{Error, Result};

/// Samples in one launch: what is said of a sample does not depend on it.
const LANES: usize = 64;
/// The phases of the program.
const LOGITS: usize = 0;
const PULL: usize = 1;

/// A program that answers. Samples are `[sample_len]` each, in the data's units.
#[derive(Debug)]
pub struct Probe {
    executable: Executable,
    input: State,
    class: State,
    logits: State,
    loss: State,
    gradient: State,
    classes: usize,
    sample_len: usize,
}

/// How near samples are to a class.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pull {
    /// Class logits, `[n, classes]`.
    pub logits: Vec<f32>,
    /// Cross-entropy of each sample to the class, `[n]`.
    pub loss: Vec<f32>,
    /// Its gradient to the sample's values, `[n, sample_len]`.
    pub gradient: Vec<f32>,
}

impl Probe {
    /// For asking `model`, batch norm folded.
    ///
    /// # Errors
    /// A head of several findings; a device that has no room for it.
    pub fn new(model: &Model, device: &Device) -> Result<Self> {
        one_class_a_sample(&model.config, "a detector")?;
        let shape = model.config.input_shape();
        let mut graph = Graph::new();
        let input = graph.state("input", Shape::lanes(&shape));
        let class = graph.state("class", Shape::lanes(&[]));
        let x = graph.load(input);
        let said = model.logits(&mut graph, x);
        let said = class_logits(&mut graph, model.config.head, said);
        let classes = graph.dims(said)[0];
        let logits = graph.state("logits", Shape::lanes(&[classes]));
        let loss = graph.state("loss", Shape::lanes(&[]));
        let gradient = graph.state("gradient", Shape::lanes(&shape));
        let mut say = Phase::new();
        say.assign(&mut graph, logits, said);
        let wanted = graph.load(class);
        let entropy = graph.cross_entropy(said, wanted);
        let slope = graph.gradients(entropy, &[x])[0];
        let mut pull = Phase::new();
        pull.assign(&mut graph, logits, said);
        pull.assign(&mut graph, loss, entropy);
        pull.assign(&mut graph, gradient, slope);
        let mut uploads = Uploads::default();
        let compiled = Compiled::on(device, &mut uploads, &graph, &[say, pull], LANES)?;
        let executable = compiled.instantiate(device, &mut uploads, 1)?;
        let sample_len = shape.iter().product();
        Ok(Self { executable, input, class, logits, loss, gradient, classes, sample_len })
    }

    /// Class logits of samples, `[n, classes]`; of a head with one logit z they are `[0, z]`.
    ///
    /// # Errors
    /// A sample of another length.
    pub fn logits(&mut self, samples: &[Vec<f32>]) -> Result<Vec<f32>> {
        let mut all = Vec::with_capacity(samples.len() * self.classes);
        for chunk in samples.chunks(LANES) {
            self.run(chunk, LOGITS)?;
            all.extend_from_slice(&self.executable.read(self.logits)?[..chunk.len() * self.classes]);
        }
        Ok(all)
    }

    /// How near samples are to `class`.
    ///
    /// # Errors
    /// A sample of another length.
    pub fn pull(&mut self, samples: &[Vec<f32>], class: u32) -> Result<Pull> {
        self.executable.write(self.class, &[class as f32; LANES])?;
        let mut found = Pull::default();
        for chunk in samples.chunks(LANES) {
            self.run(chunk, PULL)?;
            let n = chunk.len();
            found.logits.extend_from_slice(&self.executable.read(self.logits)?[..n * self.classes]);
            found.loss.extend_from_slice(&self.executable.read(self.loss)?[..n]);
            found.gradient.extend_from_slice(&self.executable.read(self.gradient)?[..n * self.sample_len]);
        }
        Ok(found)
    }

    /// Runs a phase on at most [`LANES`] samples.
    fn run(&mut self, chunk: &[Vec<f32>], phase: usize) -> Result<()> {
        if let Some(bad) = chunk.iter().find(|sample| sample.len() != self.sample_len) {
            let found = format!("{} values", bad.len());
            return Err(Error::input("the model's input", "sample", found, self.sample_len));
        }
        let mut padded = chunk.concat();
        padded.resize(LANES * self.sample_len, 0.0);
        self.executable.write(self.input, &padded)?;
        self.executable.run(phase, 1)
    }
}
