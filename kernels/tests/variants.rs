//! The ways to compute a matrix product: each agrees with f64, all have the same bits, and the tuner finds and keeps one.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unreachable_pub, reason = "modules that several test programs share")]
#![allow(dead_code, unused_imports, reason = "modules that several test programs share")]

mod cases;
mod folder;
mod reference;
mod runner;
mod shapes;

use std::sync::Arc;

use cases::Case;
use folder::Folder;
use percuss_kernels::Device;
use percuss_kernels::gpu::{GpuDevice, Tuning, Variant};
use percuss_kernels::ops::*;
use rayon::prelude::*;
use runner::bits;

/// The kernels for hardware, on whatever adapter there is.
fn open(tuning: Tuning) -> Device {
    Device::Gpu(GpuDevice::open("gpu:0", Tuning { software: Some(false), ..tuning }).unwrap())
}

fn tunes(device: &Device) -> Option<String> {
    let Device::Gpu(gpu) = device else { panic!("not a GPU") };
    gpu.tuned()
}

fn convolution() -> Conv {
    Conv {
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
        epilogue: Epilogue { bias: true, residual: true, activation: Activation::Relu },
    }
}

/// Past every tile's edge, with sums that are a multiple of 16, of 8 and of nothing, in quads and not.
fn products() -> Vec<Case> {
    let plain = Layout { transposed: false, shared: false };
    let turned = Layout { transposed: true, shared: false };
    let full = Epilogue { bias: true, residual: true, activation: Activation::Relu };
    let mut cases = vec![];
    for (m, n, k, a, b) in
        [(132, 132, 24, plain, turned), (36, 20, 32, turned, plain), (129, 33, 19, turned, turned)]
    {
        let op = Matmul { batch: 2, m, n, k, a, b, epilogue: full };
        cases.push(Case::drawn(op, reference::matmul));
    }
    let odd = Conv { groups: 2, in_channels: 6, out_channels: 10, ..convolution() };
    // Long enough that its sum is cut into parts.
    let longer = Conv { images: 60, ..convolution() };
    cases.push(Case::drawn(ConvWeightGrad(longer), reference::conv_weight_grad));
    cases.push(Case::drawn(ConvInputGrad(odd), reference::conv_input_grad));
    cases.push(Case::drawn(convolution(), reference::conv));
    cases
}

#[test]
fn all_variants_agree_with_f64_and_have_the_same_bits() {
    let cases = products();
    let Device::Gpu(gpu) = open(Tuning::default()) else { panic!("not a GPU") };
    let variants = Variant::all(gpu.adapter());
    assert!(variants.len() > 40, "{variants:?}");
    let plain = open(Tuning::default());
    let expected: Vec<Vec<Vec<u32>>> = cases.iter().map(|case| run(&plain, case)).collect();
    // Every tile on every case, its siblings on one each: software takes a second to compile a large one.
    variants.par_iter().enumerate().for_each(|(i, variant)| {
        let device = open(Tuning { product: Some(*variant), ..Tuning::default() });
        let tile = variant.quads && !variant.double && variant.step == 16;
        for (case, expected) in cases.iter().zip(&expected).skip(if tile { 0 } else { i % cases.len() }) {
            assert!(run(&device, case) == *expected, "{variant} has other bits: {:?}", case.op);
            if !tile {
                break;
            }
        }
    });
}

/// The bits of a case, which must agree with f64.
fn run(device: &Device, case: &Case) -> Vec<Vec<u32>> {
    let found = runner::run(device, case.op.clone(), &case.inputs, false, 1);
    runner::compare(&format!("{:?}", case.op), &found, &case.expected, 1.0);
    found.iter().map(|output| bits(output)).collect()
}

/// One product of each kind, small: every variant of each is compiled and timed.
fn few() -> Vec<Case> {
    let plain = Layout { transposed: false, shared: false };
    let op = Matmul { batch: 1, m: 40, n: 24, k: 20, a: plain, b: plain, epilogue: Epilogue::NONE };
    vec![
        Case::drawn(op, reference::matmul),
        Case::drawn(ConvInputGrad(convolution()), reference::conv_input_grad),
    ]
}

#[test]
fn what_the_tuner_takes_is_kept_and_changes_no_bit() {
    let folder = Folder::new("tuning");
    let cases = few();
    let tuned = || open(Tuning { tune: Some(true), cache: Some(folder.path()), ..Tuning::default() });
    let plain = open(Tuning { cache: Some(folder.path()), ..Tuning::default() });
    let expected: Vec<_> = cases.iter().map(|case| run(&plain, case)).collect();
    assert_eq!(tunes(&plain), None, "a software adapter is not tuned unless asked");
    let device = tuned();
    for (case, expected) in cases.iter().zip(&expected) {
        assert!(run(&device, case) == *expected);
    }
    let taken: serde_json::Value = serde_json::from_str(&tunes(&device).unwrap()).unwrap();
    assert_eq!(taken.as_object().unwrap().len(), 2, "{taken}");
    let file = folder.file(".json");
    let text = std::fs::read_to_string(&file).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
    let classes = kept["classes"].as_object().unwrap();
    for (class, variant) in taken.as_object().unwrap() {
        assert_eq!(classes[class]["taken"], *variant);
        let timings = classes[class]["microseconds"].as_object().unwrap();
        assert!(timings.len() > 8 && timings.contains_key(variant.as_str().unwrap()), "{class}: {timings:?}");
        assert!(timings.values().all(|time| time.as_f64().is_some_and(|time| time >= 0.0)));
    }
    // Another device, as of a later run, takes what the file says, even where it is not the fastest.
    let (class, _) = taken.as_object().unwrap().iter().next().unwrap();
    let slow = "32x32 by 4x4 k8 singly";
    let mut changed = kept.clone();
    changed["classes"][class]["taken"] = slow.into();
    std::fs::write(&file, changed.to_string()).unwrap();
    let later = tuned();
    for (case, expected) in cases.iter().zip(&expected) {
        assert!(run(&later, case) == *expected);
    }
    assert!(tunes(&later).unwrap().contains(slow));
}
