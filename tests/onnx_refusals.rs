//! ONNX files that cannot be attacked: refused before anything runs, with everything that is in the way; hostile ones without harm.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use percuss::graph::{Compiled, Graph, Phase, Shape};
use percuss::models::Model;
use percuss::models::onnx::{Ending, describe};
use support::onnx::{
    domain, elsewhere, file, input, ints, node, numbers, output, reals, series, text, whole,
};

/// A model file in a folder of its own.
fn saved(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

fn refused(bytes: &[u8], parts: &[&str]) {
    let (_folder, path) = saved(bytes);
    let error = Model::load(&path).expect_err("this must be refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

/// `y = f(x)` with these nodes and tensors, x `[batch, 4]`.
fn graph(parts: &[Vec<u8>]) -> Vec<u8> {
    file(17, &[parts, &[input("x", &[-1, 4]), output("y", &[-1, 4])]].concat())
}

#[test]
fn all_that_is_missing_is_named_at_once() {
    let bytes = graph(&[
        node("FooBar", &["x"], &["a"], &[]),
        node("TreeEnsembleClassifier", &["a"], &["b"], &[]),
        node("Sigmoid", &["b"], &["c"], &[]),
        node("ArgMax", &["x"], &["d"], &[]),
        node("Unique", &["x"], &["dead"], &[]),
        node("Add", &["c", "d"], &["y"], &[]),
    ]);
    let all = [
        "3 parts",
        "FooBar (node \"node_a\")",
        "tree ensemble",
        "ArgMax (node \"node_d\")",
        "depend on the sample",
    ];
    refused(&bytes, &all);
    let (_folder, path) = saved(&bytes);
    let text = describe(&path).unwrap();
    assert!(text.contains("attack        no: 3 parts") && text.contains("node_b"), "{text}");
    assert!(
        !Model::load(&path).unwrap_err().to_string().contains("Unique"),
        "what is not needed is not missed"
    );
}

#[test]
fn what_is_not_needed_is_not_looked_at() {
    let bytes = graph(&[node("FooBar", &["x"], &["dead"], &[]), node("Relu", &["x"], &["y"], &[])]);
    let (_folder, path) = saved(&bytes);
    let model = Model::load(&path).unwrap();
    assert_eq!((model.config.input_shape(), model.config.classes()), (vec![4], 4));
    let text = describe(&path).unwrap();
    for part in [
        "opset         17",
        "producer      tests",
        "FooBar 1, Relu 1",
        "x f32 [batch, 4]",
        "attack        yes",
    ] {
        assert!(text.contains(part), "{text} does not say {part:?}");
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let relu =
        |dims: &[i64]| file(17, &[node("Relu", &["x"], &["y"], &[]), input("x", dims), output("y", dims)]);
    refused(&relu(&[8, 4]), &["input x", "a batch of 8", "dynamic batch axis"]);
    refused(&relu(&[-1, -1]), &["input x", "axis 1 (\"batch\") of any length", "dimensions"]);
    refused(&relu(&[-1, 3, 5]), &["output y", "a score for each class"]);
    let with = |op: &str, other: Vec<u8>, attributes: &[Vec<u8>]| {
        graph(&[node(op, &["x", "w"], &["y"], attributes), other])
    };
    refused(&with("MatMul", reals("w", &[3, 2], &[0.5; 6]), &[]), &["MatMul", "[1, 4] and [3, 2]"]);
    refused(&with("Add", reals("w", &[3], &[0.5; 3]), &[]), &["Add", "do not broadcast"]);
    refused(&with("Reshape", numbers("w", &[0, 3, -1]), &[]), &["Reshape", "[0, 3, -1]"]);
    refused(&with("Expand", numbers("w", &[1 << 40, 4]), &[]), &["Expand", "more than 2^27 elements"]);
    refused(&with("Gather", numbers("w", &[9]), &[whole("axis", 1)]), &["Gather", "index 9 of 4"]);
    refused(&with("Conv", reals("w", &[2, 4, 3], &[0.5; 24]), &[]), &["Conv", "a weight of shape [2, 4, 3]"]);
    refused(&with("Transpose", numbers("w", &[0]), &[ints("perm", &[0, 0])]), &["Transpose", "axis 0 twice"]);
    refused(
        &file(30, &[node("Relu", &["x"], &["y"], &[]), input("x", &[1, 2]), output("y", &[1, 2])]),
        &["opset 30"],
    );
    refused(&graph(&[node("Relu", &["nothing"], &["y"], &[])]), &["no input that the output depends on"]);
}

#[test]
fn constants_do_not_grow_without_bound() {
    let bomb = graph(&[
        numbers("size", &[1 << 20, 1 << 7]),
        node("ConstantOfShape", &["size"], &["zeros"], &[]),
        node("ReduceSum", &["zeros"], &["sum"], &[whole("keepdims", 0)]),
        node("Add", &["x", "sum"], &["y"], &[]),
    ]);
    refused(&bomb, &["ConstantOfShape", "far more room than the file"]);
    // An axis without elements does not make the others short.
    let empty = |size: i64, op: &str, inputs: &[&str], attributes: &[Vec<u8>]| {
        graph(&[
            numbers("size", &[size, 0]),
            numbers("second", &[1]),
            numbers("wide", &[1 << 40, 0]),
            reals("nothing", &[0], &[]),
            node("ConstantOfShape", &["size"], &["zeros"], &[]),
            node(op, inputs, &["found"], attributes),
            node("Cast", &["found"], &["real"], &[whole("to", 1)]),
            node("ReduceSum", &["real"], &["sum"], &[whole("keepdims", 0)]),
            node("Add", &["x", "sum"], &["y"], &[]),
        ])
    };
    refused(&empty(1 << 62, "ReduceSum", &["zeros", "second"], &[]), &["ConstantOfShape", "2^27 elements"]);
    refused(
        &empty(1 << 45, "ArgMax", &["zeros"], &[whole("axis", 1)]),
        &["ConstantOfShape", "2^27 elements"],
    );
    refused(&empty(1 << 26, "ReduceSum", &["zeros", "second"], &[]), &["ReduceSum", "far more room"]);
    refused(&empty(8, "ArgMax", &["zeros"], &[whole("axis", 1)]), &["ArgMax", "the largest of no values"]);
    let reshaped = empty(8, "Reshape", &["nothing", "wide"], &[whole("allowzero", 1)]);
    refused(&reshaped, &["Reshape", "2^27 elements"]);
    for op in ["Pow", "Mod"] {
        let bytes = graph(&[
            numbers("tall", &[1 << 22, 1]),
            numbers("wide", &[1, 1 << 22]),
            node("ConstantOfShape", &["tall"], &["a"], &[]),
            node("ConstantOfShape", &["wide"], &["b"], &[]),
            node(op, &["a", "b"], &["c"], &[whole("fmod", 1)]),
            node("ReduceSum", &["c"], &["sum"], &[whole("keepdims", 0)]),
            node("Add", &["x", "sum"], &["y"], &[]),
        ]);
        refused(&bytes, &[op, "2^27 elements"]);
    }
}

#[test]
fn an_image_without_rows_is_not_resized() {
    let bytes = graph(&[
        numbers("size", &[1, 1, 0, 2]),
        numbers("sizes", &[1, 1, 4, 4]),
        node("ConstantOfShape", &["size"], &["image"], &[]),
        node("Resize", &["image", "", "", "sizes"], &["large"], &[text("mode", "linear")]),
        node("Flatten", &["large"], &["flat"], &[]),
        node("MatMul", &["flat", "w"], &["z"], &[]),
        reals("w", &[16, 4], &[0.5; 64]),
        node("Add", &["x", "z"], &["y"], &[]),
    ]);
    refused(&bytes, &["Resize", "a tensor without elements"]);
}

#[test]
fn what_the_device_layer_has_no_op_for_is_refused_before_it_gets_there() {
    let seven = |after: Vec<u8>| {
        file(
            17,
            &[
                numbers("seven", &[-1, 2, 3, 2, 3, 2, 3]),
                numbers("flat", &[1, -1]),
                node("Reshape", &["x", "seven"], &["wide"], &[]),
                after,
                node("Reshape", &["turned", "flat"], &["y"], &[]),
                input("x", &[-1, 216]),
                output("y", &[-1, -1]),
            ],
        )
    };
    let turned = |order: &[i64]| seven(node("Transpose", &["wide"], &["turned"], &[ints("perm", order)]));
    refused(&turned(&[0, 6, 5, 4, 3, 2, 1]), &["Reshape (node \"node_y\")", "a permutation of 6 axes"]);
    let (_folder, path) = saved(&turned(&[0, 5, 6, 3, 4, 1, 2]));
    assert!(Model::load(&path).is_ok(), "three pairs of neighbours");
    let reduced = node("ReduceLogSumExp", &["wide"], &["turned"], &[ints("axes", &[2, 4, 6])]);
    refused(&seven(reduced), &["ReduceLogSumExp", "elements of 6 axes"]);
}

#[test]
fn names_that_are_computed_from_themselves_end() {
    let itself = graph(&[node("Dropout", &["y", "x"], &["y"], &[])]);
    refused(&itself, &["output y", "no node computes it"]);
    let around = [node("Dropout", &["b", "x"], &["y"], &[]), node("Identity", &["y"], &["b"], &[])];
    refused(&graph(&around), &["output y", "no node computes it"]);
    // The output is an input, too.
    let input_too = [node("Identity", &["y"], &["y"], &[]), input("y", &[-1, 4]), output("y", &[-1, 4])];
    let (_folder, path) = saved(&file(17, &input_too));
    assert!(Model::load(&path).is_ok());
}

#[test]
fn a_softmax_beside_the_classes_is_no_ending() {
    let over = |axis: i64| {
        graph(&[
            numbers("second", &[1]),
            node("Unsqueeze", &["x", "second"], &["wide"], &[]),
            node("Softmax", &["wide"], &["y"], &[whole("axis", axis)]),
        ])
    };
    for (axis, ending) in [(1, None), (2, Some(Ending::Softmax)), (-1, Some(Ending::Softmax))] {
        let (_folder, path) = saved(&over(axis));
        assert_eq!(Model::load(&path).unwrap().network().unwrap().ending, ending, "axis {axis}");
    }
}

#[test]
fn sums_along_an_axis_are_no_layer() {
    let (_folder, path) = saved(&graph(&[
        reals("w", &[4, 3], &[0.5; 12]),
        numbers("axis", &[1]),
        node("MatMul", &["x", "w"], &["z"], &[]),
        node("CumSum", &["z", "axis"], &["y"], &[]),
    ]));
    let model = Model::load(&path).unwrap();
    let mut built = Graph::new();
    let state = built.state("x", Shape::lanes(&model.config.input_shape()));
    let x = built.load(state);
    let features = model.features(&mut built, x).unwrap();
    assert_eq!(built.dims(features), [4], "what the layer reads, not what it gives");
}

#[test]
fn scaling_leaves_whole_numbers_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx/bert.trace20.onnx");
    std::fs::copy(golden, &path).unwrap();
    let with = |mean: &[f32], std: &[f32]| {
        let text = serde_json::json!({ "input_scaling": { "mean": mean, "std": std } });
        std::fs::write(folder.path().join("model.json"), text.to_string()).unwrap();
        Model::load(&path)
    };
    let error = with(&[0.0], &[50.0]).unwrap_err().to_string();
    for part in ["input_scaling.std", "50", "1 for input1", "whole numbers stay as they are"] {
        assert!(error.contains(part), "{error} does not say {part:?}");
    }
    let each = |of_words: f32, of_mask: f32| [vec![of_words; 7 * 16], vec![of_mask; 7]].concat();
    let error = with(&each(0.5, 1.0), &[1.0]).unwrap_err().to_string();
    assert!(error.contains("input_scaling.mean") && error.contains("0 for input1"), "{error}");
    assert!(with(&each(0.5, 0.0), &each(2.0, 1.0)).is_ok(), "each value has its own");
}

#[test]
fn external_data_stay_in_the_model_s_folder() {
    let model = |location: &str, offset: i64| {
        graph(&[elsewhere("w", &[4, 4], location, offset), node("MatMul", &["x", "w"], &["y"], &[])])
    };
    for location in ["../weights.bin", "/etc/passwd", "", "a/../../b"] {
        refused(&model(location, 0), &["tensor w", "not in the model's folder"]);
    }
    refused(&model("weights.bin", 0), &["tensor w", "weights.bin"]);
    let (folder, path) = saved(&model("weights.bin", 8));
    std::fs::write(folder.path().join("weights.bin"), [0; 64]).unwrap();
    let error = Model::load(&path).unwrap_err().to_string();
    assert!(error.contains("64 bytes, too few for 64 at 8"), "{error}");
    std::fs::write(folder.path().join("weights.bin"), [0; 72]).unwrap();
    assert_eq!(Model::load(&path).unwrap().parameters(), 16);
}

#[test]
fn a_file_beside_the_network_says_what_it_does_not() {
    let (folder, path) =
        saved(&file(17, &[node("Relu", &["x"], &["y"], &[]), input("x", &[-1, -1]), output("y", &[-1, -1])]));
    let say = |text: &str| std::fs::write(folder.path().join("model.json"), text).unwrap();
    say(r#"{"class_names": ["a", "b", "c"], "dimensions": {"batch": 3}, "head": "sigmoid",
            "input_scaling": {"mean": [1.0], "std": [2.0]}}"#);
    let model = Model::load(&path).unwrap();
    assert_eq!(model.config.class_names, ["a", "b", "c"]);
    assert_eq!(model.config.head, percuss::models::Head::Sigmoid);
    assert!(model.config.input_scaling.is_some());
    say(r#"{"class_name": []}"#);
    assert!(Model::load(&path).unwrap_err().to_string().contains("class_name"));
    say(r#"{"dimensions": {"batch": 3}, "output": "z"}"#);
    assert!(Model::load(&path).unwrap_err().to_string().contains("none of them \"z\""));
}

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

#[test]
fn an_optimisers_own_ops_are_refused_with_the_mend() {
    let named = |op: &str, name: &str| graph(&[node(op, &["x"], &["y"], &[domain(name)])]);
    for (op, domain) in
        [("Conv", "com.microsoft.nchwc"), ("NhwcConv", "com.microsoft"), ("BiasSplitGelu", "com.microsoft")]
    {
        refused(&named(op, domain), &["onnxruntime's optimiser", "ORT_ENABLE_BASIC"]);
    }
    refused(&named("MatMulNBits", "com.microsoft"), &["quantised"]);
}

#[test]
fn inputs_without_a_batch_are_asked_for_by_name() {
    let parts =
        [node("Add", &["x", "s"], &["y"], &[]), input("x", &[-1, 4]), input("s", &[]), output("y", &[-1, 4])];
    let bytes = file(17, &parts);
    refused(&bytes, &["input s", "single number", r#"{ "inputs": { "s": VALUE } }"#, "model.json"]);
    let (folder, path) = saved(&bytes);
    let beside = folder.path().join("model.json");
    std::fs::write(&beside, r#"{ "inputs": { "s": 2.5 } }"#).unwrap();
    assert_eq!(Model::load(&path).unwrap().config.input_shape(), [4], "the mend works");
    for (wrong, word) in
        [(r#"{ "inputs": { "t": 1 } }"#, "\"t\""), (r#"{ "inputs": { "s": [1, 2] } }"#, "2 values")]
    {
        std::fs::write(&beside, wrong).unwrap();
        let error = Model::load(&path).unwrap_err();
        assert!(error.exit_code() == 2 && error.to_string().contains(word), "{error}");
    }
}

#[test]
fn an_axis_that_is_called_a_length_is_no_batch() {
    let parts = [node("Relu", &["x"], &["y"], &[]), series("x", "sequence", 4), output("y", &[-1, 4])];
    let bytes = file(17, &parts);
    refused(&bytes, &["sequence", r#"{ "dimensions": { "sequence": LENGTH } }"#]);
    let (folder, path) = saved(&bytes);
    std::fs::write(folder.path().join("model.json"), r#"{ "dimensions": { "sequence": 1 } }"#).unwrap();
    assert!(Model::load(&path).is_ok(), "the mend works");
}

#[test]
fn a_configuration_of_another_name_is_refused_and_the_new_name_works() {
    let bytes = file(17, &[node("Relu", &["x"], &["y"], &[]), input("x", &[-1, 3]), output("y", &[-1, 3])]);
    for (name, misnamed) in [
        ("densenet.onnx", "model.json"),
        ("densenet.onnx", "densenet.onnx.json"),
        ("model.onnx", "model.onnx.json"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, &bytes).unwrap();
        let beside = folder.path().join(misnamed);
        // What is another tool's is no configuration.
        std::fs::write(&beside, r#"{ "modelTopology": {} }"#).unwrap();
        assert!(Model::load(&path).is_ok(), "{misnamed}");
        std::fs::write(&beside, r#"{ "class_names": ["a", "b", "c"] }"#).unwrap();
        let error = Model::load(&path).unwrap_err().to_string();
        let own = path.with_extension("json");
        let mend = format!("mv {} {}", beside.display(), own.display());
        assert!(error.contains(&mend), "{error}");
        std::fs::rename(&beside, &own).unwrap();
        assert_eq!(Model::load(&path).unwrap().config.class_names, ["a", "b", "c"]);
    }
    // model.json beside model.onnx is of that network.
    let folder = tempfile::tempdir().unwrap();
    for name in ["model.onnx", "other.onnx"] {
        std::fs::write(folder.path().join(name), &bytes).unwrap();
    }
    std::fs::write(folder.path().join("model.json"), r#"{ "class_names": ["a", "b", "c"] }"#).unwrap();
    assert!(Model::load(&folder.path().join("other.onnx")).unwrap().config.class_names.is_empty());
}
