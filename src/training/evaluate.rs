//! A model's logits over a data set, batch norm folded.

use percuss_kernels::Device;

use crate::data::Dataset;
use crate::graph::{Compiled, Graph, Phase, Shape, Uploads};
use crate::models::Model;
use crate::{Error, Result};

/// Samples in one launch: a sample's logits do not depend on it.
const LANES: usize = 256;

/// Logits `[n, outputs]` of all samples, in their order.
///
/// # Errors
/// Samples of another shape than the model's input.
pub fn logits(model: &Model, dataset: &Dataset, device: &Device, threads: usize) -> Result<Vec<f32>> {
    let shape = model.config.input_shape();
    if !model.config.takes(&dataset.shape) {
        let found = format!("samples of shape {:?}", dataset.shape);
        return Err(Error::input(
            &dataset.name,
            &dataset.split,
            found,
            format!("the model's input {shape:?}"),
        ));
    }
    let outputs = model.config.classes();
    let lanes = LANES.min(dataset.len()).max(1);
    let mut graph = Graph::new();
    let input = graph.state("input", Shape::lanes(&shape));
    let output = graph.state("logits", Shape::lanes(&[outputs]));
    let x = graph.load(input);
    let value = model.logits(&mut graph, x);
    let mut phase = Phase::new();
    phase.assign(&mut graph, output, value);
    let mut uploads = Uploads::default();
    let compiled = Compiled::on(device, &mut uploads, &graph, &[phase], lanes)?;
    let mut executable = compiled.instantiate(device, &mut uploads, threads)?;
    let mut all = Vec::with_capacity(dataset.len() * outputs);
    let mut padded = vec![0.0; lanes * dataset.sample_len()];
    for chunk in dataset.values.chunks(lanes * dataset.sample_len()) {
        padded[..chunk.len()].copy_from_slice(chunk);
        executable.write(input, &padded)?;
        executable.run(0, 1)?;
        let samples = chunk.len() / dataset.sample_len();
        all.extend_from_slice(&executable.read(output)?[..samples * outputs]);
    }
    Ok(all)
}
