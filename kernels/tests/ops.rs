//! Every op on the CPU against f64, and what must never depend on company: the batch, the threads, the neighbours in memory.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unreachable_pub, reason = "modules that several test programs share")]

mod cases;
mod reference;
mod runner;
mod shapes;

use std::sync::Arc;

use cases::elements::blended;
use cases::{Operands, draw, draw_all, drawn, indices};
use percuss_kernels::ops::*;
use percuss_kernels::{Arena, Device, Error, Launch, ProgramSpec, Span};
use runner::bits;
use shapes::{padded_conv, step};

fn cpu() -> Device {
    Device::select("cpu", 1).unwrap()
}

#[test]
fn every_op_agrees_with_f64() {
    cases::check_all(&cpu(), &cases::all(), 1.0);
}

#[test]
fn blocks_of_attention_agree_with_f64() {
    cases::check_all(&cpu(), &cases::attention::blocks(), 1.0);
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads() {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().unwrap();
    for case in cases::all().into_iter().chain(cases::attention::blocks()) {
        let alone = runner::run(&cpu(), case.op.clone(), &case.inputs, false, 1);
        let spread = pool.install(|| runner::run(&cpu(), case.op.clone(), &case.inputs, false, 3));
        for (alone, spread) in alone.iter().zip(&spread) {
            assert!(bits(alone) == bits(spread), "{:?} differs with three threads", case.op);
        }
    }
}

/// Runs `build(batch)` for many batches; the rows that batches share must be equal bit for bit.
fn rows_stand_alone(what: &str, build: impl Fn(usize) -> Operands) {
    let results: Vec<Vec<Vec<f32>>> = [1, 2, 3, 5, 8, 12, 13, 16, 17, 31, 64, 100]
        .iter()
        .map(|&batch| {
            let (op, inputs) = build(batch);
            runner::run(&cpu(), op, &inputs, batch % 2 == 0 && inputs.len() > 1, 1)
        })
        .collect();
    let most = &results[results.len() - 1];
    for outputs in &results {
        for (some, all) in outputs.iter().zip(most) {
            assert!(bits(some) == bits(&all[..some.len()]), "{what}: bits depend on the batch");
        }
    }
}

#[test]
fn bits_of_a_row_do_not_depend_on_the_batch() {
    let layout = |transposed| Layout { transposed, shared: false };
    let epilogue = Epilogue { bias: true, residual: true, activation: Activation::Relu };
    for (n, k) in [(1, 1), (2, 128), (128, 64), (10, 700), (33, 1025), (64, 2)] {
        for transposed in [false, true] {
            rows_stand_alone("matmul", |m| {
                let (a, b) = (layout(false), layout(transposed));
                drawn(Matmul { batch: 1, m, n, k, a, b, epilogue })
            });
        }
    }
    let shapes = [
        ([28, 28], [1, 32], [3, 3], 1),
        ([7, 7], [64, 64], [3, 3], 1),
        ([4, 4], [160, 144], [3, 3], 1),
        ([9, 8], [5, 20], [3, 3], 2),
        ([1, 64], [16, 32], [1, 5], 2),
    ];
    for (size, channels, kernel, stride) in shapes {
        let stride = [stride.min(kernel[0]), stride];
        let conv = |images| padded_conv(images, size, channels, kernel, stride, epilogue);
        rows_stand_alone("conv", |images| drawn(conv(images)));
        rows_stand_alone("conv_input_grad", |images| drawn(ConvInputGrad(conv(images))));
        rows_stand_alone("gated conv_input_grad", |images| {
            drawn(GatedConvInputGrad { conv: conv(images), residual: true, gate: true })
        });
    }
    for (len, inner) in [(1000, 1), (5, 7), (3000, 3)] {
        rows_stand_alone("reduce", |outer| drawn(Reduce { kind: Reduction::Sum, outer, len, inner }));
        rows_stand_alone("moments", |outer| drawn(Moments { outer, len, inner }));
    }
    rows_stand_alone("pool_grad", |images| {
        let op = PoolGrad(Pool {
            kind: PoolKind::Max,
            images,
            height: 6,
            width: 7,
            channels: 5,
            kernel: [3, 3],
            stride: [2, 2],
            pad: [1; 4],
        });
        let inputs = draw_all(&op);
        (Arc::new(op), inputs)
    });
    for odds in [false, true] {
        rows_stand_alone("cross_entropy_grad", |rows| {
            let op = CrossEntropyGrad(CrossEntropy { rows, classes: 5, odds });
            (Arc::new(op), vec![draw(rows * 5, 1), indices(rows, 5, 2), draw(rows, 3)])
        });
    }
    for (what, build) in cases::batches() {
        rows_stand_alone(what, build);
    }
}

/// The root mean square error beside that of the values themselves. The direct sum of 576 such products leaves about 4e-7; the
/// transforms of large tiles may leave three times that, those of small tiles no more than it.
#[test]
fn fast_convolutions_round_about_as_the_direct_sum_does() {
    for (size, channels, most) in [([8, 8], [64, 64], 1.2e-6), ([4, 4], [160, 144], 6e-7)] {
        let op = padded_conv(2, size, channels, [3, 3], [1, 1], Epilogue::NONE);
        let inputs = draw_all(&op);
        let expected = reference::conv(&op, &inputs).remove(0);
        let found = runner::run(&cpu(), Arc::new(op), &inputs, true, 1).remove(0);
        let square = |x: f64| x * x;
        let error: f64 =
            found.iter().zip(&expected).map(|(y, value)| square(f64::from(*y) - value.exact)).sum();
        let size: f64 = expected.iter().map(|value| square(value.exact)).sum();
        let relative = (error / size).sqrt();
        assert!(relative < most, "{channels:?} channels: {relative:e}");
        assert!(relative > 1e-9, "an error as of f32");
    }
}

/// Random123's known answers for threefry2x32 with 20 rounds.
#[test]
fn threefry_gives_its_known_answers() {
    let pi = [0x13198A2E, 0x03707344];
    assert_eq!(threefry2x32([0, 0], [0, 0]), [0x6B200159, 0x99BA4EFE]);
    assert_eq!(threefry2x32([u32::MAX; 2], [u32::MAX; 2]), [0x1CB996FC, 0xBB002BE7]);
    assert_eq!(threefry2x32(pi, [0x243F6A88, 0x85A308D3]), [0xC4923A9C, 0x483DF7A0]);
}

#[test]
fn a_projection_never_leaves_its_ball() {
    for ball in [Ball::L1, Ball::L2] {
        for reach in [1e-4, 0.01, 0.3, 5.0] {
            let (op, inputs) = cases::projection(ball, 40, 300, reach);
            let y = runner::run(&cpu(), Arc::new(op.clone()), &inputs, false, 1).remove(0);
            for (norm, radius) in reference::norms_and_radii(&op, &inputs, &y) {
                assert!(norm <= radius, "{ball:?}: {norm} in a ball of {radius}");
            }
        }
    }
}

#[test]
fn an_output_may_be_its_own_input() {
    let ops: [Arc<dyn Operation>; 2] = [Arc::new(step(&[3, 700])), Arc::new(blended(3, 700, 8))];
    for op in ops {
        let inputs = draw_all(&*op);
        let apart = runner::run(&cpu(), op.clone(), &inputs, false, 1);
        let within = runner::run_in_place(&cpu(), op, &inputs);
        assert!(apart.iter().map(|y| bits(y)).eq(within.iter().map(|y| bits(y))));
    }
}

#[test]
fn programs_that_do_not_fit_together_are_refused() {
    let op: Arc<dyn Operation> = Arc::new(Softmax { rows: 2, columns: 3, log: false });
    let span = |offset, len| Span { arena: 0, offset, len };
    let build = |input, output, room| {
        let launch = Launch { op: op.clone(), inputs: vec![input], outputs: vec![output] };
        let spec = ProgramSpec {
            arenas: vec![Arena::Private(room)],
            phases: vec![vec![launch]],
            ..ProgramSpec::default()
        };
        cpu().program(&spec, &[], 1)
    };
    assert!(build(span(0, 6), span(64, 6), 128).is_ok());
    let refused = [
        build(span(0, 5), span(64, 6), 128),
        build(span(0, 6), span(0, 6), 128),
        build(span(0, 6), span(3, 6), 128),
        build(span(0, 6), span(128, 6), 128),
    ];
    for refused in refused {
        assert!(matches!(refused, Err(Error::Shape { op: "softmax", .. })));
    }
    let empty =
        ProgramSpec { arenas: vec![Arena::Private(1 << 60)], phases: vec![], ..ProgramSpec::default() };
    assert!(matches!(cpu().program(&empty, &[], 1), Err(Error::OutOfMemory { .. })));
    assert!(matches!(Device::select("no such adapter", 1), Err(Error::NoDevice { .. })));
}

#[test]
fn specs_that_make_no_sense_are_refused() {
    let conv = Conv {
        sets: 1,
        images: 1,
        height: 4,
        width: 4,
        in_channels: 4,
        out_channels: 4,
        kernel: [3, 3],
        stride: [1, 1],
        pad: [0; 4],
        dilation: [1, 1],
        groups: 1,
        epilogue: Epilogue::NONE,
    };
    let bad: Vec<Box<dyn Operation>> = vec![
        Box::new(Conv { groups: 3, ..conv.clone() }),
        Box::new(Conv { stride: [0, 1], ..conv.clone() }),
        Box::new(Conv { kernel: [5, 1], ..conv.clone() }),
        Box::new(Conv { dilation: [2, 2], ..conv.clone() }),
        Box::new(Conv { images: usize::MAX, ..conv }),
        Box::new(Reduce { kind: Reduction::Sum, outer: 1, len: 0, inner: 1 }),
        Box::new(Permute { shape: vec![2, 3], axes: vec![0, 0], flip: vec![false; 2] }),
        Box::new(Slice { outer: 1, len: 4, inner: 1, start: 2, count: 3 }),
        Box::new(Pointwise {
            shape: vec![2],
            strides: vec![],
            code: vec![Instr::Input(0)],
            outputs: vec![0],
        }),
        Box::new(Pointwise {
            shape: vec![2],
            strides: vec![],
            code: vec![Instr::Unary(Unary::Neg, 0)],
            outputs: vec![0],
        }),
    ];
    for op in bad {
        assert!(matches!(op.check(), Err(Error::Shape { .. })), "{op:?}");
    }
}
