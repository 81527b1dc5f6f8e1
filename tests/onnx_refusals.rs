//! ONNX files that cannot be attacked: refused before anything runs, with everything that is in the way.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::graph::{Graph, Shape};
use percuss::models::Model;
use percuss::models::onnx::{Ending, describe};
use support::onnx::{
    domain, file, graph, input, ints, node, numbers, output, reals, refused, saved, text, whole,
};

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
fn several_outputs_are_parted_by_the_line_that_is_named() {
    let parts = [
        node("Relu", &["x"], &["a"], &[]),
        node("Neg", &["x"], &["b"], &[]),
        input("x", &[-1, 4]),
        output("a", &[-1, 4]),
        output("b", &[-1, 4]),
    ];
    let (_folder, path) = saved(&file(17, &parts));
    let text = Model::load(&path).unwrap_err().to_string();
    let (line, beside) = text.split_once("scores, as ").unwrap().1.split_once(" in ").unwrap();
    std::fs::write(Path::new(beside.split_once(", expected").unwrap().0), line).unwrap();
    assert_eq!(Model::load(&path).unwrap().config.classes(), 4, "{text}");
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let relu =
        |dims: &[i64]| file(17, &[node("Relu", &["x"], &["y"], &[]), input("x", dims), output("y", dims)]);
    refused(&relu(&[8, 4]), &["input x", "a batch of 8", "dynamic batch axis"]);
    refused(&relu(&[6]), &["input x", "one axis, of length 6, and so none of a batch", "[batch, 6]"]);
    refused(
        &relu(&[5, -1, 4]),
        &["input x", "a first axis of length 5 and an open axis 1", "the batch must be the first"],
    );
    refused(&relu(&[-1, -1]), &["input x", "axis 1 (\"batch\") of any length", "dimensions"]);
    refused(
        &relu(&[-1, 3, 5]),
        &["output y", "scores of several places or moments", "a score for each class"],
    );
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
fn every_open_axis_is_named_at_once_and_a_map_is_read_by_its_largest_logit() {
    let map = |end: &[Vec<u8>], output_of: &str| {
        let parts = [
            node("Conv", &["x", "w"], &["map"], &[ints("kernel_shape", &[3, 3])]),
            reals("w", &[1, 3, 3, 3], &[0.1; 27]),
            input("x", &[-1, 3, -1, -1]),
            output(output_of, &[-1, 1]),
        ];
        file(17, &[&parts, end].concat())
    };
    let (folder, path) = saved(&map(&[], "map"));
    let error = Model::load(&path).unwrap_err().to_string();
    assert!(error.contains(r#"axes 2 ("batch"), 3 ("batch") of any length"#), "{error}");
    assert!(error.contains(r#"{ "dimensions": { "batch": LENGTH } }"#), "one name, once: {error}");
    std::fs::write(folder.path().join("model.json"), r#"{ "dimensions": { "batch": 6 } }"#).unwrap();
    let error = Model::load(&path).unwrap_err().to_string();
    assert!(error.contains("[1, 1, 4, 4]") && error.contains("the largest of these logits"), "{error}");
    let largest = node("GlobalMaxPool", &["map"], &["most"], &[]);
    std::fs::write(&path, map(&[largest], "most")).unwrap();
    assert_eq!(Model::load(&path).unwrap().config.classes(), 1);
}
