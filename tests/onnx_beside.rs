//! What lies beside an ONNX file, and what a study says of it: its configuration, data of its tensors, values of its inputs.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::PathBuf;

use percuss::models::Model;
use percuss::sweep::load;
use percuss::sweep::study::Study;
use support::evaluate::evaluate;
use support::onnx::{
    branch, elsewhere, file, graph, input, integers, node, numbers, output, reals, refused, saved, series,
};

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

#[test]
fn a_value_of_the_study_chooses_the_branch() {
    // 2 x at 16000 Hz, else 3 x, as in a detector of speech: the branches read x of the graph around them.
    let times = |name: &str, factor: f32| {
        let parts =
            [reals("k", &[1], &[factor]), node("Mul", &["x", "k"], &["out"], &[]), output("out", &[-1, 4])];
        branch(name, &parts)
    };
    let (folder, path) = saved(&graph(&[
        integers("sr", &[]),
        numbers("fast", &[16000]),
        node("Equal", &["sr", "fast"], &["is_fast"], &[]),
        node("If", &["is_fast"], &["y"], &[times("then_branch", 2.0), times("else_branch", 3.0)]),
    ]));
    let loaded = |key: &str| {
        let text = format!(
            "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"d.npz\"\n[[model]]\nid = \"m\"\npath = \"model.onnx\"\ndata = [\"d\"]\n{key}\n\
             [[attack]]\nkind = \"fgsm\"\nbudget = [ {{ norm = \"linf\", eps = 0.1 }} ]\n"
        );
        let file = folder.path().join("s.toml");
        std::fs::write(&file, text).unwrap();
        load::model(&Study::read(&file).unwrap(), 0)
    };
    for (rate, factor) in [(16000, 2.0), (8000, 3.0)] {
        let model = loaded(&format!("inputs = {{ sr = {rate} }}")).unwrap();
        let x = [1.0, -2.0, 0.5, 4.0];
        let y = evaluate(1, &[(&[4], &x)], |graph, x| vec![model.logits(graph, x[0])]);
        assert_eq!(y[0], x.map(|value| factor * value), "{rate} Hz");
    }
    // The file beside it says so as well; the study goes first.
    std::fs::write(path.with_extension("json"), r#"{ "inputs": { "sr": 8000 } }"#).unwrap();
    let both = [loaded(""), loaded("inputs = { sr = 16000 }")].map(|model| model.unwrap().sha256);
    assert_ne!(both[0], both[1]);
    std::fs::remove_file(path.with_extension("json")).unwrap();
    let error = loaded("").unwrap_err().to_string();
    assert!(error.contains("input sr") && error.contains(r#"inputs = { "sr" = VALUE }"#), "{error}");
}
