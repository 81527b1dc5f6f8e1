//! Broken ONNX files: truncated, mutated, thrown together. They are refused or run, soon, and nothing panics.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use percuss::graph::{Compiled, Graph, Phase, Shape};
use percuss::models::Model;
use support::onnx::{file, input, ints, node, numbers, output, reals, saved, text, whole};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// Files to break: small ones, which between them have most ops.
fn victims() -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx");
    let names = [
        "reshapes.trace13",
        "slices.trace17",
        "choices.trace18",
        "functions.trace20",
        "windows.trace19",
        "decoder.trace16",
        "gru.trace15",
        "lstm.export19",
        "two.trace17",
        "binary.trace17",
        "logistic_binary",
        "mlp_binary",
        "keras_cnn",
        "odd",
        "signal.export18",
        "vit_timm.export20",
        "resizing",
        "transposed",
        "norms",
        "attentions",
        "attention_masks",
    ];
    names.iter().map(|name| std::fs::read(folder.join(format!("{name}.onnx"))).unwrap()).collect()
}

/// Loads a broken file and, if it loads, compiles its gradient; what matters is that it ends, soon.
fn harmless(path: &PathBuf, bytes: &[u8]) -> bool {
    std::fs::write(path, bytes).unwrap();
    let start = Instant::now();
    let loaded = Model::load(path);
    if let Ok(model) = &loaded {
        let mut graph = Graph::new();
        let state = graph.state("x", Shape::lanes(&model.config.input_shape()));
        let x = graph.load(state);
        let logits = model.logits(&mut graph, x);
        let gradient = graph.gradients(logits, &[x])[0];
        let mut phase = Phase::new();
        phase.assign(&mut graph, state, gradient);
        // What does not fit a device is refused there.
        let _ = Compiled::new(&graph, &[phase], 2);
    }
    assert!(start.elapsed() < Duration::from_secs(5), "it took {:?}", start.elapsed());
    loaded.is_ok()
}

#[test]
fn truncated_files_are_refused() {
    let (_folder, path) = saved(b"");
    for bytes in victims() {
        for cut in 0..60 {
            let kept = bytes.len() * cut / 60;
            harmless(&path, &bytes[..kept]);
        }
        // Without its last part, which is the opset or the graph itself, it cannot be read.
        assert!(!harmless(&path, &bytes[..bytes.len() / 2]));
    }
}

#[test]
fn mutated_files_do_no_harm() {
    let (_folder, path) = saved(b"");
    let mut random = Random(20_261_126);
    let (mut loaded, mut refused) = (0, 0);
    for bytes in victims() {
        for round in 0..200 {
            let mut broken = bytes.clone();
            for _ in 0..1 + round % 4 {
                let at = random.below(broken.len());
                match random.below(4) {
                    0 => broken[at] = random.below(256) as u8,
                    1 => broken[at] ^= 1 << random.below(8),
                    2 => broken[at] = [0, 1, 127, 128, 255][random.below(5)],
                    _ => {
                        let len = random.below(8).min(broken.len() - at);
                        broken.drain(at..at + len);
                    }
                }
            }
            if harmless(&path, &broken) { loaded += 1 } else { refused += 1 }
        }
    }
    // Weights may change without harm; lengths and names may not.
    assert!(loaded > 100 && refused > 500, "{loaded} loaded, {refused} refused");
}

/// Ops to throw together: all that take tensors.
const OPS: &str = "Abs Add And ArgMax AveragePool BatchNormalization Cast CastLike Ceil Celu Clip Concat ConstantOfShape Conv ConvTranspose CumSum \
    DepthToSpace Div Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm GlobalAveragePool \
    GlobalMaxPool Greater GroupNormalization HardSigmoid HardSwish Identity InstanceNormalization IsNaN LSTM LayerNormalization LeakyRelu Less Log \
    LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mish Mod Mul Neg NonZero Not OneHot Or PRelu Pad Pow Range Reciprocal ReduceL1 ReduceL2 \
    ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Resize Round ScatterND Shape Sigmoid Sign Size Slice Softmax \
    Softplus SpaceToDepth Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Trilu Unsqueeze Upsample Where Xor";

/// Attributes of random values, small ones more often than not.
fn attributes(random: &mut Random) -> Vec<Vec<u8>> {
    let names = [
        "axis",
        "axes",
        "perm",
        "kernel_shape",
        "strides",
        "pads",
        "dilations",
        "group",
        "keepdims",
        "to",
        "transA",
        "transB",
        "ceil_mode",
        "hidden_size",
        "blocksize",
        "mode",
        "auto_pad",
        "equation",
        "num_groups",
        "count_include_pad",
        "output_padding",
        "upper",
    ];
    let texts = ["SAME_UPPER", "linear", "reflect", "edge", "ij,jk->ik", "nchw->nhwc", "CRD", "cubic"];
    let value = |random: &mut Random| [0, 1, 2, 3, -1, -2, 7, 9, i64::MAX, i64::MIN][random.below(40).min(9)];
    (0..random.below(4))
        .map(|_| {
            let name = names[random.below(names.len())];
            match name {
                "axes" | "perm" | "kernel_shape" | "strides" | "pads" | "dilations" | "output_padding" => {
                    let values: Vec<i64> = (0..random.below(6)).map(|_| value(random)).collect();
                    ints(name, &values)
                }
                "mode" | "auto_pad" | "equation" => text(name, texts[random.below(texts.len())]),
                _ => whole(name, value(random)),
            }
        })
        .collect()
}

#[test]
fn nodes_thrown_together_do_no_harm() {
    let (_folder, path) = saved(b"");
    let ops: Vec<&str> = OPS.split_whitespace().collect();
    let mut random = Random(5);
    let mut loaded = 0;
    for _ in 0..3000 {
        let mut parts = vec![
            input("x", &[-1, 3, 6, 6]),
            output("y", &[]),
            reals("w", &[4, 3, 3, 3], &[0.1; 108]),
            reals("m", &[6, 3], &[0.2; 18]),
            reals("c", &[3], &[0.3; 3]),
            reals("s", &[], &[0.5]),
            reals("e", &[0], &[]),
            numbers("i", &[0, 2, 1]),
            numbers("j", &[-1]),
            numbers("k", &[1, 3, 6, 6]),
            numbers("l", &[0, 0, 1, 1, 0, 0, 1, 1]),
            numbers("z", &[1 << 45, 0]),
        ];
        let mut names: Vec<String> =
            ["x", "x", "x", "w", "m", "c", "s", "e", "i", "j", "k", "l", "z"].map(String::from).to_vec();
        for at in 0..1 + random.below(3) {
            let op = ops[random.below(ops.len())];
            let last = names.last().cloned().unwrap_or_default();
            let first = if at > 0 { last } else { "x".to_string() };
            let others: Vec<String> =
                (0..random.below(5)).map(|_| names[random.below(names.len())].clone()).collect();
            let own = format!("v{at}");
            // Now and then from itself.
            let first = if random.below(50) == 0 { own.clone() } else { first };
            let inputs: Vec<&str> = std::iter::once(&first).chain(&others).map(String::as_str).collect();
            parts.push(node(op, &inputs, &[&own], &attributes(&mut random)));
            names.push(own);
        }
        let last = names.last().cloned().unwrap_or_default();
        parts.push(node("ReduceMean", &[&last], &["y"], &[whole("keepdims", 0)]));
        loaded += usize::from(harmless(&path, &file(17, &parts)));
    }
    assert!(loaded > 300, "{loaded} loaded");
}
