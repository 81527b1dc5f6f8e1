//! The judge: an f32 forward pass over stored inputs, in full blocks.

use percuss_kernels::Device;

use crate::Result;
use crate::attacks::evasion::JudgeProgram;
use crate::graph::{Compiled, Executable, State, Uploads};
use crate::models::Model;

/// Inputs wait here until there is a block of them; their logits come out in order.
#[derive(Debug)]
pub(super) struct Judge {
    x: State,
    logits: State,
    executable: Executable,
    sample_len: usize,
    classes: usize,
}

impl Judge {
    /// A judge of `model` for blocks of `lanes` inputs.
    pub(super) fn open(model: &Model, lanes: usize, device: &Device, uploads: &mut Uploads) -> Result<Self> {
        let program = JudgeProgram::new(model);
        let compiled =
            Compiled::on(device, uploads, &program.graph, std::slice::from_ref(&program.judge), lanes)?;
        let sample_len = model.config.input_shape().iter().product();
        let executable = compiled.instantiate(device, uploads, 1)?;
        let (x, logits) = (program.x, program.logits);
        Ok(Self { x, logits, executable, sample_len, classes: model.config.classes() })
    }

    /// Inputs in a block.
    pub(super) fn block(&self) -> usize {
        self.executable.lanes()
    }

    /// The raw logits of every input: `inputs.len() * classes`. The rest of the last block is filled with zeros, which changes nothing,
    /// since no op mixes lanes.
    pub(super) fn logits(&mut self, inputs: &[&[f32]]) -> Result<Vec<f32>> {
        let block = self.block();
        let mut out = Vec::with_capacity(inputs.len() * self.classes);
        let mut filled = vec![0.0; block * self.sample_len];
        for chunk in inputs.chunks(block) {
            for (place, input) in filled.chunks_exact_mut(self.sample_len).zip(chunk) {
                place.copy_from_slice(input);
            }
            self.executable.write(self.x, &filled)?;
            self.executable.run(0, 1)?;
            let logits = self.executable.read(self.logits)?;
            out.extend_from_slice(&logits[..chunk.len() * self.classes]);
        }
        Ok(out)
    }
}
