//! The shapes that every executor is tested on, with their operands and exact results.

pub mod attention;
mod batches;
pub mod elements;
mod images;
mod matrices;

pub use batches::{Operands, batches, drawn};
pub use elements::projection;
use std::sync::Arc;

use percuss_kernels::Device;
use percuss_kernels::ops::Operation;

use crate::reference::Value;
use crate::runner;

/// An op in f64.
type Reference<O> = fn(&O, &[Vec<f32>]) -> Vec<Vec<Value>>;

/// One op with operands and what it must yield.
pub struct Case {
    pub op: Arc<dyn Operation>,
    pub inputs: Vec<Vec<f32>>,
    pub expected: Vec<Vec<Value>>,
}

impl Case {
    pub fn new<O: Operation + 'static>(op: O, inputs: Vec<Vec<f32>>, reference: Reference<O>) -> Self {
        let expected = reference(&op, &inputs);
        Self { op: Arc::new(op), inputs, expected }
    }

    /// With operands drawn from [-1, 1).
    pub fn drawn<O: Operation + 'static>(op: O, reference: Reference<O>) -> Self {
        let inputs = draw_all(&op);
        Self::new(op, inputs, reference)
    }
}

pub fn draw_all(op: &dyn Operation) -> Vec<Vec<f32>> {
    op.input_lens().iter().enumerate().map(|(i, &len)| draw(len, i as u64 + 1)).collect()
}

/// Numbers from [-1, 1), the same for the same seed, and the same prefix for a longer draw.
pub fn draw(len: usize, seed: u64) -> Vec<f32> {
    let one = |i: usize| {
        // The finalizer of MurmurHash3.
        let mut z =
            (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed.wrapping_mul(0xD1B5_4A32_D192_ED03);
        z = (z ^ (z >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        z = (z ^ (z >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        z ^= z >> 33;
        (z >> 40) as f32 / 8_388_608.0 - 1.0
    };
    (0..len).map(one).collect()
}

pub fn scaled(values: Vec<f32>, factor: f32, shift: f32) -> Vec<f32> {
    values.into_iter().map(|x| x * factor + shift).collect()
}

/// Whole numbers from 0 to `below`.
pub fn indices(len: usize, below: usize, seed: u64) -> Vec<f32> {
    draw(len, seed)
        .into_iter()
        .map(|x| ((x + 1.0) * 0.5 * below as f32).floor().min(below as f32 - 1.0))
        .collect()
}

/// Every case of every op.
pub fn all() -> Vec<Case> {
    let mut cases = matrices::all();
    cases.extend(attention::all());
    cases.extend(images::all());
    cases.extend(elements::all());
    cases
}

/// Checks ops on a device. `slack` widens the bounds, for back ends whose elementary functions promise less.
pub fn check_all(device: &Device, cases: &[Case], slack: f64) {
    for case in cases {
        let name = format!("{:?}", case.op);
        for constant in [false, true] {
            if constant && (case.inputs.len() < 2 || case.op.in_place()) {
                continue;
            }
            let found = runner::run(device, case.op.clone(), &case.inputs, constant, 1);
            runner::compare(&name, &found, &case.expected, slack);
        }
    }
}
