//! Products and convolutions of operands rounded to f16, with f32 sums, against f64.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unreachable_pub, reason = "modules that several test programs share")]
#![allow(dead_code, unused_imports, reason = "modules that several test programs share")]

mod cases;
mod reference;
mod runner;
mod shapes;

use std::panic::AssertUnwindSafe;

use cases::{Case, draw_all};
use half::f16;
use percuss_kernels::gpu::{GpuDevice, Tuning};
use percuss_kernels::ops::*;
use percuss_kernels::{Device, Error, Precision, ProgramSpec};
use rayon::prelude::*;
use reference::{U, Value};
use runner::bits;

fn open(software: bool) -> Device {
    let tuning = Tuning { software: Some(software), checked: true, ..Tuning::default() };
    Device::Gpu(GpuDevice::open("gpu:0", tuning).unwrap())
}

/// Numbers that f16 holds exactly; the smallest ones, which adapters may take for 0, are 0.
fn held(values: &[f32]) -> Vec<f32> {
    let held = |&value: &f32| if value.abs() < 1e-3 { 0.0 } else { f16::from_f32(value).to_f32() };
    values.iter().map(held).collect()
}

type Reference<O> = fn(&O, &[Vec<f32>]) -> Vec<Vec<Value>>;

/// A case whose operands f16 holds, where the rounding changes nothing: the bounds of f32 apply.
fn exact<O: Operation + 'static>(op: O, reference: Reference<O>) -> Case {
    let mut inputs = draw_all(&op);
    for input in inputs.iter_mut().take(2) {
        *input = held(input);
    }
    Case::new(op, inputs, reference)
}

/// A case with operands that f16 does not hold. Each is wrong by 2^-10 of itself at most, rounded in whatever way, so that a
/// sum of products is wrong by 2^-9 (1 + 2^-11) of their magnitudes: that many times the bound of f32, which is k + 4 units.
fn rounded<O: Operation + 'static>(op: O, k: usize, reference: Reference<O>) -> Case {
    let mut case = Case::drawn(op, reference);
    let wider = 1.0 + 1.001 * 2.0_f64.powi(-9) / ((k + 4) as f64 * U);
    for value in case.expected.iter_mut().flatten() {
        value.bound *= wider;
    }
    case
}

fn cases() -> Vec<Case> {
    let mut cases = vec![];
    let full = Epilogue { bias: true, residual: true, activation: Activation::Relu };
    for turn in 0..16 {
        let layout =
            |bit: usize| Layout { transposed: turn >> bit & 1 == 1, shared: turn >> (bit + 1) & 1 == 1 };
        let epilogue = if turn % 3 == 0 { full } else { Epilogue::NONE };
        // Past the edges of tiles, in quads and not.
        for [m, n, k] in [[13, 37, 19], [68, 36, 40], [33, 65, 17]] {
            let op = Matmul { batch: 2, m, n, k, a: layout(0), b: layout(2), epilogue };
            cases.push(exact(op.clone(), reference::matmul));
            cases.push(rounded(op, k, reference::matmul));
        }
    }
    let conv = Conv {
        sets: 2,
        images: 3,
        height: 9,
        width: 7,
        in_channels: 8,
        out_channels: 20,
        kernel: [3, 2],
        stride: [1, 2],
        pad: [1; 4],
        dilation: [1, 1],
        groups: 1,
        epilogue: full,
    };
    let grouped = Conv { groups: 3, in_channels: 9, out_channels: 15, ..conv.clone() };
    let odd = Conv { in_channels: 3, out_channels: 5, ..conv.clone() };
    for conv in [conv, grouped, odd] {
        let k = 6 * conv.in_channels / conv.groups;
        let back = 6 * conv.out_channels / conv.groups;
        cases.push(exact(ConvInputGrad(conv.clone()), reference::conv_input_grad));
        cases.push(rounded(ConvInputGrad(conv.clone()), back, reference::conv_input_grad));
        cases.push(exact(ConvWeightGrad(conv.clone()), reference::conv_weight_grad));
        cases.push(exact(conv.clone(), reference::conv));
        cases.push(rounded(conv, k, reference::conv));
    }
    cases
}

#[test]
fn products_of_halves_agree_with_f64() {
    for software in [false, true] {
        let device = open(software);
        let failed: Vec<String> = cases()
            .par_iter()
            .filter_map(|case| {
                let check = || {
                    let run = |constant| {
                        runner::run_in(Precision::F16, &device, case.op.clone(), &case.inputs, constant, 1)
                    };
                    let found = run(false);
                    runner::compare(&format!("{:?}", case.op), &found, &case.expected, 1.0);
                    // Weights that are kept as f16 have the bits of those rounded on the way.
                    let kept = run(true);
                    assert!(bits(&kept[0]) == bits(&found[0]), "{:?}: kept weights differ", case.op);
                };
                let panic = std::panic::catch_unwind(AssertUnwindSafe(check)).err()?;
                Some(panic.downcast_ref::<String>().cloned().unwrap_or_default())
            })
            .collect();
        assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n"));
    }
}

/// A software adapter has no matrix units: whatever is taken has the same bits.
#[test]
fn tuning_changes_no_bit_of_a_product_of_halves() {
    let plain = Layout { transposed: false, shared: false };
    let op = Matmul { batch: 1, m: 40, n: 24, k: 20, a: plain, b: plain, epilogue: Epilogue::NONE };
    let case = exact(op, reference::matmul);
    let tuning = Tuning { software: Some(false), tune: Some(true), ..Tuning::default() };
    let tuned = Device::Gpu(GpuDevice::open("gpu:0", tuning).unwrap());
    let run = |device: &Device, constant| {
        let y = runner::run_in(Precision::F16, device, case.op.clone(), &case.inputs, constant, 1);
        runner::compare("matmul", &y, &case.expected, 1.0);
        bits(&y[0])
    };
    let expected = run(&open(false), false);
    for constant in [false, true] {
        assert!(run(&tuned, constant) == expected);
    }
    let taken = tuned.tuned().unwrap();
    assert!(taken.contains("f16\"") && taken.contains("f16 kept\""), "{taken}");
}

#[test]
fn numbers_beyond_f16_become_its_largest_and_nan_stays() {
    let plain = Layout { transposed: false, shared: false };
    let op = Matmul { batch: 1, m: 4, n: 1, k: 1, a: plain, b: plain, epilogue: Epilogue::NONE };
    let inputs = [vec![1e6, -7e4, f32::NAN, 65_504.0], vec![1.0]];
    for software in [false, true] {
        let op = std::sync::Arc::new(op.clone());
        let y = runner::run_in(Precision::F16, &open(software), op, &inputs, true, 1).remove(0);
        assert_eq!([y[0], y[1], y[3]], [65_504.0, -65_504.0, 65_504.0]);
        assert!(y[2].is_nan());
    }
}

#[test]
fn a_device_without_f16_says_so() {
    let spec = ProgramSpec { precision: Precision::F16, ..ProgramSpec::default() };
    let cpu = Device::select("cpu", 1).unwrap();
    let error = cpu.program(&spec, &[], 1).unwrap_err();
    assert!(matches!(error, Error::Precision { .. }) && error.to_string().contains("f16"), "{error}");
    assert!(open(true).program(&spec, &[], 1).is_ok());
}
