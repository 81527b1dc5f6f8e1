//! Gradients to an input together with what follows them in a network's backward pass: the gradient that a shortcut brings,
//! and the gate of the ReLU that the input came from.

use super::{Binary, Conv, ConvInputGrad, Instr, Operation, Pointwise, Pool, PoolGrad};
use crate::Result;
use crate::cpu::images::ImageTail;
use crate::cpu::{Context, Memory};
use crate::gpu::{Adapter, Binding, Kernel, Product};

/// [`ConvInputGrad`], then `dx = gate > 0 ? dx + residual : 0`.
///
/// Inputs: dy, w, then residual and gate (each in x's shape) where there is one. Output: dx. The convolution's own epilogue
/// is ignored.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatedConvInputGrad {
    /// The convolution.
    pub conv: Conv,
    /// Adds a tensor of x's shape.
    pub residual: bool,
    /// Lets pass only where another tensor of x's shape is positive.
    pub gate: bool,
}

/// [`PoolGrad`], then `dx = x > 0 ? dx : 0`. Inputs: x, dy. Output: dx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct GatedPoolGrad(pub Pool);

impl GatedConvInputGrad {
    fn plain(&self) -> ConvInputGrad {
        ConvInputGrad(self.conv.clone())
    }

    /// Places of the residual and of the gate among the inputs.
    fn places(&self) -> [Option<usize>; 2] {
        [self.residual.then_some(2), self.gate.then_some(2 + usize::from(self.residual))]
    }
}

impl Operation for GatedConvInputGrad {
    fn name(&self) -> &'static str {
        "conv_input_grad"
    }

    fn check(&self) -> Result<()> {
        self.plain().check()
    }

    fn input_lens(&self) -> Vec<usize> {
        let plain = self.plain();
        let mut lens = plain.input_lens();
        let operands = usize::from(self.residual) + usize::from(self.gate);
        lens.extend(plain.output_lens().repeat(operands));
        lens
    }

    fn output_lens(&self) -> Vec<usize> {
        self.plain().output_lens()
    }

    fn flops(&self) -> u64 {
        let operands = u64::from(self.residual) + u64::from(self.gate);
        self.plain().flops() + operands * self.output_lens()[0] as u64
    }

    fn prepared_key(&self, input: usize) -> Option<String> {
        self.plain().prepared_key(input)
    }

    fn prepare(&self, input: usize, constant: &[f32]) -> Option<Memory> {
        self.plain().prepare(input, constant)
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let [residual, gate] = self.places().map(|place| place.map(|place| inputs[place]));
        let tail = ImageTail { residual, gate, ..ImageTail::default() };
        self.conv.input_gradient([inputs[0], inputs[1]], outputs[0], tail, context.room());
    }

    fn product(&self) -> Option<Product> {
        self.plain().product()
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        finish(self.plain().gpu(adapter), self.output_lens()[0], self.places(), adapter)
    }
}

impl Operation for GatedPoolGrad {
    fn name(&self) -> &'static str {
        "pool_grad"
    }

    fn check(&self) -> Result<()> {
        self.0.check()
    }

    fn input_lens(&self) -> Vec<usize> {
        PoolGrad(self.0.clone()).input_lens()
    }

    fn output_lens(&self) -> Vec<usize> {
        PoolGrad(self.0.clone()).output_lens()
    }

    fn flops(&self) -> u64 {
        self.0.flops() + self.output_lens()[0] as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        self.0.gradient(inputs[0], inputs[1], outputs[0], true, context.threads);
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        finish(PoolGrad(self.0.clone()).gpu(adapter), self.output_lens()[0], [None, Some(0)], adapter)
    }
}

/// Kernels whose output of `len` elements goes through one more: a sum with input `residual`, zero where input `gate` is not
/// positive.
fn finish(
    mut kernels: Vec<Kernel>,
    len: usize,
    [residual, gate]: [Option<usize>; 2],
    adapter: &Adapter,
) -> Vec<Kernel> {
    let mut code = vec![Instr::Input(0)];
    let mut sum = 0;
    if residual.is_some() {
        code.extend([Instr::Input(1), Instr::Binary(Binary::Add, 0, 1)]);
        sum = 2;
    }
    if gate.is_some() {
        let (zero, input) = (code.len(), 1 + usize::from(residual.is_some()));
        let open = Instr::Binary(Binary::Less, zero, zero + 1);
        code.extend([Instr::Const(0.0), Instr::Input(input), open, Instr::Select(zero + 2, sum, zero)]);
    }
    let operands: Vec<usize> = residual.into_iter().chain(gate).collect();
    if operands.is_empty() {
        return kernels;
    }
    for binding in kernels.iter_mut().flat_map(|kernel| &mut kernel.bindings) {
        if *binding == Binding::Output(0) {
            *binding = Binding::Scratch(len);
        }
    }
    let outputs = vec![code.len() - 1];
    let tail = Pointwise { shape: vec![len], strides: vec![vec![1]; 1 + operands.len()], code, outputs };
    for mut kernel in tail.gpu(adapter) {
        for binding in &mut kernel.bindings {
            *binding = match *binding {
                Binding::Input(0) => Binding::Scratch(len),
                Binding::Input(i) => Binding::Input(operands[i - 1]),
                other => other,
            };
        }
        kernels.push(kernel);
    }
    kernels
}
