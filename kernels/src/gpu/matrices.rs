//! Whether an adapter's matrix units compute what they should: tried once before a program of f16 uses them.

use std::sync::Arc;

use super::{Adapter, GpuDevice, GpuProgram, Matrix, Variant};
use crate::ops::{Epilogue, Layout, Matmul, Operation};
use crate::{Arena, Launch, Precision, ProgramSpec, Result, Span};

impl GpuDevice {
    /// The matrix units that the adapter lists, if a product by each of their kernels has the bits that it should.
    pub(super) fn matrix(self: &Arc<Self>) -> Option<Matrix> {
        *self.tried.get_or_init(|| {
            let adapter = Adapter { matrix: self.listed, ..self.adapter.clone() };
            let holds = |variant: &Variant| {
                let adapter = Adapter { product: Some(*variant), ..adapter.clone() };
                small_product(self, &adapter).is_ok_and(|found| found == expected())
            };
            let half = Adapter { operands: super::Operands::Kept, ..adapter.clone() };
            self.listed.filter(|_| Variant::with_matrix(&half).iter().all(holds))
        })
    }
}

/// Past the edges of every block, with no side equal to another.
const SIZES: [usize; 3] = [150, 134, 44];

/// Small whole numbers, whose products and sums are exact in whatever order.
fn numbers(len: usize, turn: usize) -> Vec<f32> {
    (0..len).map(|i| ((i * 7 + i / 11 + turn) % 13) as f32 - 6.0).collect()
}

fn small_product(device: &Arc<GpuDevice>, adapter: &Adapter) -> Result<Vec<f32>> {
    let [m, n, k] = SIZES;
    let plain = Layout { transposed: false, shared: false };
    let op: Arc<dyn Operation> =
        Arc::new(Matmul { batch: 1, m, n, k, a: plain, b: plain, epilogue: Epilogue::NONE });
    let arena = |len: usize| Arena::Private(len);
    let span = |arena: usize, len: usize| Span { arena, offset: 0, len };
    let spec = ProgramSpec {
        arenas: vec![arena(m * k), arena(k * n), arena(m * n)],
        phases: vec![vec![Launch {
            op,
            inputs: vec![span(0, m * k), span(1, k * n)],
            outputs: vec![span(2, m * n)],
        }]],
        precision: Precision::F16,
    };
    let mut program = GpuProgram::with(device, &spec, &[], adapter)?;
    program.write(span(0, m * k), &numbers(m * k, 0))?;
    program.write(span(1, k * n), &numbers(k * n, 5))?;
    program.run(0, 1)?;
    let mut c = vec![f32::NAN; m * n];
    program.read(span(2, m * n), &mut c)?;
    Ok(c)
}

fn expected() -> Vec<f32> {
    let [m, n, k] = SIZES;
    let (a, b) = (numbers(m * k, 0), numbers(k * n, 5));
    let element = |i: usize| (0..k).map(|t| a[i / n * k + t] * b[t * n + i % n]).sum();
    (0..m * n).map(element).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gpu::Tuning;

    /// What matrix units are held to is what kernels without them yield; needs an adapter with 16-bit floats, as Mesa's.
    #[test]
    fn kernels_without_matrix_units_pass_the_trial() -> Result<()> {
        let device = GpuDevice::open("gpu:0", Tuning { software: Some(false), ..Tuning::default() })?;
        if device.has_f16() {
            assert!(small_product(&device, &device.adapter)? == expected());
        }
        assert_eq!(device.matrix().is_some(), device.listed.is_some());
        Ok(())
    }
}
