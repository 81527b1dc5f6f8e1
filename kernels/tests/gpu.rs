//! Every op on a Vulkan (Metal, DX12) adapter against f64, with the kernels for software and those for hardware, and what an
//! executor owes besides: errors instead of panics, many launches a submit, bits that depend on no company.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unreachable_pub, reason = "modules that several test programs share")]
#![allow(dead_code, reason = "modules that several test programs share")]

mod cases;
mod reference;
mod runner;
mod shapes;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, LazyLock};

use cases::{Case, Operands, draw, draw_all, drawn, indices};
use percuss_kernels::gpu::{self, GpuDevice, Tuning};
use percuss_kernels::ops::*;
use percuss_kernels::{Arena, Device, DeviceKind, Error, Launch, Program, ProgramSpec, Span};
use rayon::prelude::*;
use reference::Value;
use runner::bits;
use shapes::step;

/// Built-in exp, sqrt and division promise a few units in the last place more than the processor's.
const SLACK: f64 = 4.0;

fn open(tuning: Tuning) -> Device {
    let opened = GpuDevice::open("gpu:0", tuning);
    Device::Gpu(opened.expect(
        "these tests need a Vulkan, Metal or DX12 adapter: `make test` installs Mesa's software Vulkan (mesa-vulkan-drivers)",
    ))
}

fn direct() -> Device {
    static DEVICE: LazyLock<Device> =
        LazyLock::new(|| open(Tuning { software: Some(true), checked: true, ..Tuning::default() }));
    DEVICE.clone()
}

fn tiled() -> Device {
    static DEVICE: LazyLock<Device> =
        LazyLock::new(|| open(Tuning { software: Some(false), checked: true, ..Tuning::default() }));
    DEVICE.clone()
}

/// GPUs may take numbers below the smallest normal one for 0 (WGSL, section 15.7.2), in operands and in results.
fn flushed(expected: &[Value]) -> Vec<Value> {
    let wider =
        |value: &Value| Value { exact: value.exact, bound: value.bound + f64::from(f32::MIN_POSITIVE) };
    expected.iter().map(wider).collect()
}

/// Checks every op in parallel (most of the time goes into compiling) and names all that fail.
fn check_all(device: &Device, cases: &[Case]) {
    let failed: Vec<String> = cases
        .par_iter()
        .filter_map(|case| {
            let check = || {
                let found = runner::run(device, case.op.clone(), &case.inputs, false, 1);
                let expected: Vec<Vec<Value>> = case.expected.iter().map(|output| flushed(output)).collect();
                runner::compare(&format!("{:?}", case.op), &found, &expected, SLACK);
            };
            let panic = std::panic::catch_unwind(AssertUnwindSafe(check)).err()?;
            Some(panic.downcast_ref::<String>().cloned().unwrap_or_else(|| format!("{:?}", case.op)))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {} fail:\n{}", failed.len(), cases.len(), failed.join("\n"));
}

#[test]
fn kernels_for_software_agree_with_f64() {
    check_all(&direct(), &cases::all());
}

#[test]
fn kernels_for_hardware_agree_with_f64() {
    check_all(&tiled(), &cases::all());
}

/// Every third case, since what is unchecked and folded is the same everywhere.
#[test]
fn unchecked_kernels_and_folded_grids_agree_with_f64() {
    let some: Vec<Case> = cases::all().into_iter().step_by(3).collect();
    check_all(&open(Tuning { max_workgroups: Some(3), ..Tuning::default() }), &some);
}

#[test]
fn every_tile_of_a_matrix_product_is_right() {
    let device = tiled();
    let Device::Gpu(gpu) = &device else { panic!("not a GPU") };
    let plain = Layout { transposed: false, shared: false };
    let turned = Layout { transposed: true, shared: false };
    // Batch, m, n, k and the block of C that they call for.
    let sizes = [
        ([80, 127, 128, 20], [128, 128]),
        ([80, 128, 125, 35], [128, 128]),
        ([100, 64, 61, 33], [64, 64]),
        ([20, 1270, 32, 16], [128, 32]),
        ([2, 30, 31, 50], [32, 32]),
        ([1, 6400, 12, 21], [64, 16]),
        ([1, 9, 6400, 18], [16, 64]),
    ];
    for ([batch, m, n, k], [rows, columns]) in sizes {
        for (a, b) in [(plain, plain), (turned, turned)] {
            let op = Matmul { batch, m, n, k, a, b, epilogue: Epilogue::NONE };
            let source = op.gpu(gpu.adapter()).remove(0).source;
            let block = format!("const BM: u32 = {rows}u;\nconst BN: u32 = {columns}u;\n");
            assert!(source.contains(&block), "{op:?} takes another tile");
            check_all(&device, &[Case::drawn(op, reference::matmul)]);
        }
    }
}

/// Mesa's software driver stops loops after 65,535 iterations.
#[test]
fn long_sums_are_whole() {
    let plain = Layout { transposed: false, shared: false };
    let product = Matmul { batch: 1, m: 3, n: 5, k: 300_001, a: plain, b: plain, epilogue: Epilogue::NONE };
    let scatter = ScatterAdd(Gather { outer: 1, rows: 3, inner: 1, count: 140_000, shared: false });
    let inputs = vec![draw(140_000, 1), indices(140_000, 3, 2)];
    let cases = [Case::drawn(product, reference::matmul), Case::new(scatter, inputs, reference::scatter_add)];
    check_all(&direct(), &cases);
}

#[test]
fn uniform_numbers_have_the_processors_bits() {
    let op = Random { distribution: Distribution::Uniform, rows: 7, columns: 301 };
    let inputs = [draw(14, 5), indices(7, 1000, 6)];
    let cpu = Device::select("cpu", 1).unwrap();
    let expected = runner::run(&cpu, Arc::new(op.clone()), &inputs, false, 1);
    for device in [direct(), tiled()] {
        let found = runner::run(&device, Arc::new(op.clone()), &inputs, false, 1);
        assert!(bits(&found[0]) == bits(&expected[0]));
    }
}

/// Runs `build(batch)` for several batches; the rows that batches share must be equal bit for bit.
fn rows_stand_alone(what: &str, build: impl Fn(usize) -> Operands) {
    for device in [direct(), tiled()] {
        let run = |batch| {
            let (op, inputs) = build(batch);
            runner::run(&device, op, &inputs, false, 1)
        };
        let most = run(70);
        for batch in [1, 4, 19] {
            for (some, all) in run(batch).iter().zip(&most) {
                assert!(bits(some) == bits(&all[..some.len()]), "{what}: bits depend on the batch");
            }
        }
    }
}

/// Mesa's software driver has subgroups, so that what hardware does with them runs here.
#[test]
fn reductions_within_subgroups_have_the_bits_of_those_in_workgroup_memory() {
    let with = open(Tuning { software: Some(false), checked: true, ..Tuning::default() });
    let without = open(Tuning { software: Some(false), subgroups: Some(false), ..Tuning::default() });
    let Device::Gpu(gpu) = &with else { panic!("not a GPU") };
    if gpu::list()[0].features.contains(&"subgroups".to_owned()) {
        assert!(gpu.adapter().subgroup >= 4, "{:?}", gpu.adapter());
    }
    let names = [
        "reduce",
        "moments",
        "layer_norm",
        "layer_norm_grad",
        "softmax",
        "cross_entropy",
        "cross_entropy_grad",
        "project",
    ];
    let cases = cases::all().into_iter().filter(|case| names.contains(&case.op.name()));
    let mut seen = std::collections::HashSet::new();
    for case in cases {
        let [some, others] =
            [&with, &without].map(|device| runner::run(device, case.op.clone(), &case.inputs, false, 1));
        for (one, other) in some.iter().zip(&others) {
            assert!(bits(one) == bits(other), "{:?}", case.op);
        }
        seen.insert(case.op.name());
    }
    assert_eq!(seen.len(), names.len());
}

fn convolution(images: usize) -> Conv {
    Conv {
        sets: 1,
        images,
        height: 6,
        width: 5,
        in_channels: 4,
        out_channels: 12,
        kernel: [3, 3],
        stride: [1, 2],
        pad: [1; 4],
        dilation: [1, 1],
        groups: 1,
        epilogue: Epilogue { bias: true, residual: true, activation: Activation::Relu },
    }
}

#[test]
fn bits_of_a_row_do_not_depend_on_the_batch() {
    let plain = Layout { transposed: false, shared: false };
    for (n, k) in [(2, 128), (48, 33), (10, 70)] {
        rows_stand_alone("matmul", |m| {
            drawn(Matmul { batch: 1, m, n, k, a: plain, b: plain, epilogue: Epilogue::NONE })
        });
    }
    rows_stand_alone("conv", |images| drawn(convolution(images)));
    rows_stand_alone("conv_input_grad", |images| drawn(ConvInputGrad(convolution(images))));
    rows_stand_alone("conv_weight_grad", |sets| {
        let op = ConvWeightGrad(Conv { sets, ..convolution(180) });
        drawn(op)
    });
    for (len, inner) in [(500, 1), (5, 7), (130, 3)] {
        rows_stand_alone("reduce", |outer| drawn(Reduce { kind: Reduction::Sum, outer, len, inner }));
        rows_stand_alone("moments", |outer| drawn(Moments { outer, len, inner }));
    }
    for (what, build) in cases::batches() {
        rows_stand_alone(what, build);
    }
}

#[test]
fn a_projection_never_leaves_its_ball() {
    for device in [direct(), tiled()] {
        for (ball, reach) in [(Ball::L1, 0.01), (Ball::L1, 0.3), (Ball::L2, 1e-4), (Ball::L2, 5.0)] {
            let (op, inputs) = cases::projection(ball, 20, 1000, reach);
            let y = runner::run(&device, Arc::new(op.clone()), &inputs, false, 1).remove(0);
            for (norm, radius) in reference::norms_and_radii(&op, &inputs, &y) {
                assert!(norm <= radius, "{ball:?}: {norm} in {radius}");
            }
        }
    }
}

/// x += 1 for `len` elements in place, beside `idle` elements that nothing uses.
fn counter(len: usize, idle: usize) -> ProgramSpec {
    let op = Pointwise {
        shape: vec![len],
        strides: vec![vec![1]],
        code: vec![Instr::Input(0), Instr::Const(1.0), Instr::Binary(Binary::Add, 0, 1)],
        outputs: vec![2],
    };
    let span = Span { arena: 0, offset: 0, len };
    let launch = Launch { op: Arc::new(op), inputs: vec![span], outputs: vec![span] };
    ProgramSpec {
        arenas: vec![Arena::Private(len + idle)],
        phases: vec![vec![launch]],
        ..ProgramSpec::default()
    }
}

#[test]
fn thousands_of_dependent_launches_run_in_order() {
    let mut program = direct().program(&counter(100, 0), &[], 1).unwrap();
    program.run(0, 1500).unwrap();
    program.run(0, 3).unwrap();
    let mut x = vec![0.0; 100];
    program.read(Span { arena: 0, offset: 0, len: 100 }, &mut x).unwrap();
    assert!(x.iter().all(|&x| x == 1503.0), "{x:?}");
    assert!(matches!(program.run(1, 1), Err(Error::Shape { .. })));
}

#[test]
fn an_output_may_be_its_own_input() {
    let op: Arc<dyn Operation> = Arc::new(step(&[3, 700]));
    let inputs = draw_all(&*op);
    for device in [direct(), tiled()] {
        let apart = runner::run(&device, op.clone(), &inputs, false, 1);
        let within = runner::run_in_place(&device, op.clone(), &inputs);
        assert!(apart.iter().map(|y| bits(y)).eq(within.iter().map(|y| bits(y))));
    }
}

#[test]
fn a_program_that_does_not_fit_is_out_of_memory() {
    let device = direct();
    let Device::Gpu(gpu) = &device else { panic!("not a GPU") };
    let too_large = [counter(64, 1 << 45), counter(gpu.max_span() + 4, 0)];
    for spec in too_large {
        assert!(matches!(device.program(&spec, &[], 1), Err(Error::OutOfMemory { bytes, .. }) if bytes > 0));
    }
    // The device is as good as before.
    let mut program = device.program(&counter(64, 0), &[], 1).unwrap();
    program.run(0, 1).unwrap();
}

#[test]
fn a_lost_device_is_an_error_from_the_next_call_on() {
    let device = open(Tuning::default());
    let mut program = device.program(&counter(64, 0), &[], 1).unwrap();
    program.run(0, 1).unwrap();
    let Device::Gpu(gpu) = &device else { panic!("not a GPU") };
    gpu.destroy();
    let span = Span { arena: 0, offset: 0, len: 64 };
    assert!(matches!(program.run(0, 1), Err(Error::Lost { .. })));
    assert!(matches!(program.read(span, &mut [0.0; 64]), Err(Error::Lost { .. })));
    assert!(matches!(program.write(span, &[0.0; 64]), Err(Error::Lost { .. })));
    assert!(matches!(device.program(&counter(64, 0), &[], 1), Err(Error::Lost { .. })));
    assert!(matches!(device.upload(&[1.0]), Err(Error::Lost { .. })));
}

#[test]
fn profiles_name_every_launch() {
    let device = direct();
    let Device::Gpu(gpu) = &device else { panic!("not a GPU") };
    let Program::Gpu(mut program) = device.program(&counter(1000, 0), &[], 1).unwrap() else {
        panic!("not a GPU program")
    };
    let profile = program.profile(0).unwrap();
    if gpu.has_timestamps() {
        assert_eq!(profile.len(), 1);
        assert!(profile[0].0 == "pointwise" && profile[0].1 >= 0.0, "{profile:?}");
    } else {
        assert!(profile.is_empty());
    }
}

#[test]
fn adapters_are_found_by_number_and_name_and_software_only_when_named() {
    let list = gpu::list();
    assert!(!list.is_empty(), "no adapter");
    for (i, info) in list.iter().enumerate() {
        assert_eq!(info.selector, format!("gpu:{i}"));
        assert!(info.max_binding > 0 && info.max_binding < 1 << 31);
        let Device::Gpu(found) = Device::select(&info.name.to_uppercase(), 1).unwrap() else {
            panic!("{} names the processor", info.name)
        };
        assert_eq!(found.name(), info.name);
    }
    let hardware = list.iter().any(|info| info.kind == DeviceKind::Gpu);
    assert_eq!(Device::select("gpu", 1).is_ok(), hardware);
    assert_eq!(Device::select("auto", 1).unwrap().is_cpu(), !hardware);
    for nothing in ["gpu:99", "gpu:x", "no such adapter", ""] {
        let error = Device::select(nothing, 1).unwrap_err();
        assert!(matches!(error, Error::NoDevice { .. }) && error.to_string().contains("gpu:0"), "{error}");
    }
}
