//! How fast single ops run on this processor: `cargo bench -p percuss-kernels --bench ops [-- FILTER]`.
//!
//! Weights lie in a shared arena, as in an attack; every figure is the best of several runs on one thread.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unreachable_pub, reason = "modules that several programs share")]

#[path = "../tests/shapes/mod.rs"]
mod shapes;

use std::sync::Arc;
use std::time::Instant;

use percuss_kernels::ops::*;
use percuss_kernels::{ALIGNMENT, Arena, Device, Launch, ProgramSpec, Span};

fn main() {
    let filter = std::env::args().skip(1).find(|arg| !arg.starts_with('-')).unwrap_or_default();
    for [m, n, k] in [[256, 128, 128], [224, 256, 576]] {
        println!("gemm crate {m}x{n}x{k}: {:.1} GFLOP/s", yardstick(m, n, k));
    }
    for (name, op) in ops() {
        if name.contains(&filter) {
            let seconds = measure(op.clone());
            let rate = op.flops() as f64 / seconds / 1e9;
            println!("{name:<44} {:>10.1} us {rate:>8.1} GFLOP/s", seconds * 1e6);
        }
    }
}

/// Seconds of one launch.
fn measure(op: Arc<dyn Operation>) -> f64 {
    let device = Device::select("cpu", 1).unwrap();
    let place = |lens: &[usize], arena| {
        let mut offset = 0;
        let mut spans = Vec::new();
        for &len in lens {
            spans.push(Span { arena, offset, len });
            offset += len.next_multiple_of(ALIGNMENT);
        }
        (spans, offset)
    };
    let lens = op.input_lens();
    let weights = !matches!(op.name(), "conv_weight_grad" | "pool_grad" | "pointwise");
    let (mut inputs, len) = place(&[lens.clone(), op.output_lens()].concat(), 0);
    let outputs = inputs.split_off(lens.len());
    let mut arenas = vec![Arena::Private(len)];
    let mut shared = Vec::new();
    if weights && lens.len() > 1 {
        inputs[1] = Span { arena: 1, offset: 0, len: lens[1] };
        shared.push(device.upload(&numbers(lens[1])).unwrap());
        arenas.push(Arena::Shared(0, lens[1]));
    }
    let launch = Launch { op, inputs: inputs.clone(), outputs };
    let spec = ProgramSpec { arenas, phases: vec![vec![launch]], ..ProgramSpec::default() };
    let mut program = device.program(&spec, &shared, 1).unwrap();
    for span in inputs.iter().filter(|span| span.arena == 0) {
        program.write(*span, &numbers(span.len)).unwrap();
    }
    let time = |program: &mut percuss_kernels::Program, times| {
        let start = Instant::now();
        program.run(0, times).unwrap();
        start.elapsed().as_secs_f64() / times as f64
    };
    let once = time(&mut program, 2);
    let times = (0.001 / once).clamp(1.0, 1e5) as usize;
    (0..80).map(|_| time(&mut program, times)).fold(f64::INFINITY, f64::min)
}

/// The same product by the gemm crate on one thread, as a yardstick: GFLOP/s.
fn yardstick(m: usize, n: usize, k: usize) -> f64 {
    let (a, b, mut c) = (numbers(m * k), numbers(k * n), vec![0.0_f32; m * n]);
    let once = |c: &mut [f32]| {
        let start = Instant::now();
        // SAFETY: the pointers lead to m x k, k x n and m x n numbers, row by row.
        unsafe {
            gemm::gemm(
                m,
                n,
                k,
                c.as_mut_ptr(),
                1,
                n as isize,
                false,
                a.as_ptr(),
                1,
                k as isize,
                b.as_ptr(),
                1,
                n as isize,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::None,
            );
        }
        start.elapsed().as_secs_f64()
    };
    let best = (0..400).map(|_| once(&mut c)).fold(f64::INFINITY, f64::min);
    2.0 * (m * n * k) as f64 / best / 1e9
}

fn numbers(len: usize) -> Vec<f32> {
    (0..len as u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 8) as f32 / 8_388_608.0 - 1.0).collect()
}

fn ops() -> Vec<(String, Arc<dyn Operation>)> {
    let mut ops: Vec<(String, Arc<dyn Operation>)> = Vec::new();
    let plain = Layout { transposed: false, shared: false };
    let turned = Layout { transposed: true, shared: false };
    let relu = Epilogue { bias: true, residual: false, activation: Activation::Relu };
    for (m, n, k) in
        [(1024, 1024, 1024), (256, 128, 64), (256, 128, 128), (256, 2, 128), (32, 128, 128), (224, 256, 576)]
    {
        for (order, a, b) in [("nn", plain, plain), ("nt", plain, turned), ("tn", turned, plain)] {
            let op = Matmul { batch: 1, m, n, k, a, b, epilogue: relu };
            ops.push((format!("matmul {order} {m}x{n}x{k}"), Arc::new(op)));
        }
    }
    for images in [1, 4] {
        for (n, k) in [(768, 768), (3072, 768), (768, 3072)] {
            let (m, epilogue) = (images * 197, Epilogue { bias: true, ..Epilogue::NONE });
            let op = Matmul { batch: 1, m, n, k, a: plain, b: plain, epilogue };
            ops.push((format!("vit matmul {m}x{n}x{k}"), Arc::new(op)));
        }
    }
    let attention =
        Attention { images: 1, queries: 197, keys: 197, heads: 12, size: 64, scale: 0.125, mask: None };
    ops.push(("vit attention".into(), Arc::new(attention.clone())));
    ops.push(("vit attention_grad".into(), Arc::new(AttentionGrad(attention))));
    let norm = LayerNorm { sets: 1, rows: 197, columns: 768, epsilon: 1e-6 };
    ops.push(("vit layer_norm".into(), Arc::new(norm.clone())));
    ops.push(("vit layer_norm_grad".into(), Arc::new(LayerNormGrad(norm))));
    let conv = |images, size, channels, kernel: [usize; 2], stride| {
        let rows = if kernel[0] == 1 && kernel[1] > 1 { 1 } else { stride };
        shapes::padded_conv(images, size, channels, kernel, [rows, stride], relu)
    };
    let convs = [
        ("cnn 1-32", conv(16, [28, 28], [1, 32], [3, 3], 1)),
        ("cnn 32-64", conv(16, [14, 14], [32, 64], [3, 3], 1)),
        ("signal 1-16", conv(16, [1, 256], [1, 16], [1, 5], 1)),
        ("signal 16-16", conv(16, [1, 256], [16, 16], [1, 5], 1)),
        ("signal 16-32/2", conv(16, [1, 256], [16, 32], [1, 5], 2)),
        ("signal 32-32", conv(16, [1, 128], [32, 32], [1, 5], 1)),
        ("signal 64-64", conv(16, [1, 64], [64, 64], [1, 5], 1)),
        ("resnet 64-64 28", conv(4, [28, 28], [64, 64], [3, 3], 1)),
        ("resnet 64-128/2", conv(4, [28, 28], [64, 128], [3, 3], 2)),
        ("resnet 128-128 14", conv(4, [14, 14], [128, 128], [3, 3], 1)),
        ("resnet 64-128/2 1x1", conv(4, [28, 28], [64, 128], [1, 1], 2)),
        ("resnet 256-256 7", conv(8, [7, 7], [256, 256], [3, 3], 1)),
        ("resnet 512-512 4", conv(16, [4, 4], [512, 512], [3, 3], 1)),
    ];
    for (name, op) in convs {
        ops.push((format!("conv {name}"), Arc::new(op.clone())));
        ops.push((format!("conv_input_grad {name}"), Arc::new(ConvInputGrad(op.clone()))));
        ops.push((format!("conv_weight_grad {name}"), Arc::new(ConvWeightGrad(op))));
    }
    let pool = Pool {
        kind: PoolKind::Max,
        images: 16,
        height: 28,
        width: 28,
        channels: 32,
        kernel: [2, 2],
        stride: [2, 2],
        pad: [0; 4],
    };
    ops.push(("pool max 28x28x32".into(), Arc::new(pool.clone())));
    ops.push(("pool_grad max 28x28x32".into(), Arc::new(PoolGrad(pool))));
    ops.push(("softmax 256x10".into(), Arc::new(Softmax { rows: 256, columns: 10, log: false })));
    ops.push(("cross_entropy 256x2".into(), Arc::new(CrossEntropy { rows: 256, classes: 2, odds: false })));
    let reduce = |outer, len, inner| Reduce { kind: Reduction::Sum, outer, len, inner };
    ops.push(("reduce 64x784".into(), Arc::new(reduce(64, 784, 1))));
    ops.push(("reduce 12544x32 columns".into(), Arc::new(reduce(1, 12544, 32))));
    for (ball, name) in [(Ball::L1, "l1"), (Ball::L2, "l2")] {
        let op = Project { ball, rows: 64, columns: 784 };
        ops.push((format!("project {name} 64x784"), Arc::new(op)));
    }
    for (name, distribution) in [("uniform", Distribution::Uniform), ("normal", Distribution::Normal)] {
        ops.push((
            format!("random {name} 64x784"),
            Arc::new(Random { distribution, rows: 64, columns: 784 }),
        ));
    }
    for (name, function) in [
        ("gelu", Unary::Gelu),
        ("gelu slope", Unary::GeluSlope),
        ("exp", Unary::Exp),
        ("tanh", Unary::Tanh),
        ("log", Unary::Log),
        ("sin", Unary::Sin),
    ] {
        let code = vec![Instr::Input(0), Instr::Unary(function, 0)];
        let op = Pointwise { shape: vec![64 * 784], strides: vec![vec![1]], code, outputs: vec![1] };
        ops.push((format!("pointwise {name} 64x784"), Arc::new(op)));
    }
    ops.push((
        "pointwise step 64x784".into(),
        Arc::new(Pointwise { outputs: vec![16], ..shapes::step(&[64, 784]) }),
    ));
    ops
}
