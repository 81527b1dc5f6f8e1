//! Networks from ONNX files: outputs against onnxruntime's, gradients against PyTorch's, for both exporters and several opsets.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};

use percuss::models::onnx::Ending;
use percuss::models::{Architecture, FileAxes, Head, InputKind, Model, WeightTensor, Weights};
use support::evaluate::evaluate;
use support::{golden, relative_error};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/onnx")
}

/// As the file yields it, its ending kept.
fn as_deployed(mut model: Model) -> Model {
    if let Architecture::Onnx(onnx) = &mut model.config.architecture {
        onnx.keeps_ending = true;
    }
    model
}

/// Values in the file's order `[n, ..]` as a sample has them.
fn as_sample(tensor: &WeightTensor, axes: &FileAxes) -> Vec<f32> {
    let len = axes.shape.iter().product();
    tensor.data.chunks_exact(len).flat_map(|one| axes.arranged(one)).collect()
}

/// Rows of several tensors beside each other.
fn beside(parts: &[Vec<f32>], n: usize) -> Vec<f32> {
    (0..n)
        .flat_map(|i| {
            parts.iter().flat_map(move |part| part[i * part.len() / n..(i + 1) * part.len() / n].to_vec())
        })
        .collect()
}

/// The samples of a golden and, for each input, the expected gradient, if it has one.
fn samples(model: &Model, goldens: &Weights, name: &str) -> (usize, Vec<f32>, Vec<Option<Vec<f32>>>) {
    let network = model.network().unwrap();
    let tensor = |key: &str, i: usize| goldens.tensors.get(&format!("{name}.{key}{i}"));
    let n = tensor("input", 0).unwrap().shape[0];
    let (mut parts, mut slopes) = (Vec::new(), Vec::new());
    for (i, axes) in network.axes.iter().enumerate() {
        parts.push(as_sample(tensor("input", i).unwrap(), axes));
        slopes.push(tensor("gradient", i).map(|slope| as_sample(slope, axes)));
    }
    (n, beside(&parts, n), slopes)
}

/// Outputs `[n, classes]` and the gradient of their sum, the k-th counting k times.
fn run(model: &Model, n: usize, x: &[f32]) -> (Vec<f32>, Vec<f32>) {
    let shape = model.config.input_shape();
    let found = evaluate(n, &[(&shape, x)], |graph, t| {
        let y = model.logits(graph, t[0]);
        let classes = graph.dims(y)[0];
        let count = graph.index(&[classes], 0);
        let count = graph.shift(count, 1.0);
        let weighted = graph.mul(y, count);
        let gradient = graph.gradients(weighted, &[t[0]])[0];
        vec![y, gradient]
    });
    (found[0].clone(), found[1].clone())
}

/// Errors of outputs and gradients, the largest of all inputs.
fn errors(path: &Path, goldens: &Weights, name: &str) -> Result<[f32; 2], percuss::Error> {
    let model = as_deployed(Model::load(path)?);
    let (n, x, slopes) = samples(&model, goldens, name);
    let (output, gradient) = run(&model, n, &x);
    let error = relative_error(&output, &goldens.tensors[&format!("{name}.output")].data);
    let mut worst = 0f32;
    let total: usize = model.config.input_shape().iter().product();
    for (input, slope) in model.network().unwrap().inputs.iter().zip(slopes) {
        let own: Vec<f32> =
            (0..n).flat_map(|i| gradient[i * total..][input.range.clone()].to_vec()).collect();
        match slope {
            Some(slope) => {
                assert!(slope.iter().any(|value| *value != 0.0), "{name}: the golden gradient is not zero");
                worst = worst.max(relative_error(&own, &slope));
            }
            None => {
                assert_eq!(input.kind, InputKind::Whole, "{name}: an input of reals has a golden gradient")
            }
        }
    }
    Ok([error, worst])
}

fn check_all(goldens: &str, wanted: impl Fn(&str) -> bool) -> usize {
    let goldens = golden(goldens);
    let mut names: Vec<String> =
        goldens.tensors.keys().filter_map(|key| key.strip_suffix(".output").map(str::to_string)).collect();
    names.retain(|name| wanted(name));
    let mut wrong = Vec::new();
    for name in &names {
        match errors(&folder().join(format!("{name}.onnx")), &goldens, name) {
            Ok([output, gradient]) => {
                println!("{name}: outputs within {output:.1e}, gradients within {gradient:.1e}");
                // f32 against onnxruntime's f32 and PyTorch's f64.
                if !(output < 5e-6 && gradient < 2e-5) {
                    wrong.push(format!("{name}: outputs off by {output:.1e}, gradients by {gradient:.1e}"));
                }
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    names.len()
}

#[test]
fn traced_exports_equal_onnxruntime_and_pytorch() {
    assert!(check_all("onnx", |name| name.contains(".trace")) >= 25);
}

#[test]
fn exports_through_torch_export_equal_onnxruntime_and_pytorch() {
    assert!(check_all("onnx", |name| name.contains(".export")) >= 18);
}

#[test]
fn files_of_other_tools_equal_onnxruntime() {
    assert!(check_all("onnx", |name| !name.contains('.')) >= 15);
}

#[test]
fn keras_models_through_tf2onnx_equal_onnxruntime_and_tensorflow() {
    assert_eq!(check_all("onnx_keras", |_| true), 8);
}

#[test]
fn weights_beside_the_file_are_the_same_model() {
    let inside = Model::load(&folder().join("signal.trace13.onnx")).unwrap();
    for other in ["external", "named"] {
        let model = Model::load(&folder().join(other).join("model.onnx")).unwrap();
        assert_eq!(model.sha256, inside.sha256, "{other}");
        assert_eq!(model.parameters(), inside.parameters(), "{other}");
        let goldens = golden("onnx");
        let [output, gradient] =
            errors(&folder().join(other).join("model.onnx"), &goldens, "signal.trace13").unwrap();
        assert!(output < 5e-6 && gradient < 2e-5, "{other}: {output}, {gradient}");
    }
    assert_ne!(inside.sha256, Model::load(&folder().join("signal.export18.onnx")).unwrap().sha256);
}

#[test]
fn a_final_softmax_or_sigmoid_is_taken_off() {
    let goldens = golden("onnx");
    for (name, ending, head) in [
        ("logistic_binary", Ending::Softmax, Head::Softmax),
        ("logistic_many", Ending::Softmax, Head::Softmax),
        ("mlp_binary", Ending::Softmax, Head::Softmax),
        ("mlp_many", Ending::Softmax, Head::Softmax),
        ("keras_cnn", Ending::Softmax, Head::Softmax),
        ("keras_mlp", Ending::Sigmoid, Head::Sigmoid),
        ("two.trace17", Ending::Softmax, Head::Softmax),
        ("binary.export21", Ending::Sigmoid, Head::Sigmoid),
        ("alias", Ending::Softmax, Head::Softmax),
    ] {
        let model = Model::load(&folder().join(format!("{name}.onnx"))).unwrap();
        assert_eq!(model.network().unwrap().ending, Some(ending), "{name}");
        assert_eq!(model.config.head, head, "{name}");
        let (n, x, _) = samples(&model, &goldens, name);
        let (logits, _) = run(&model, n, &x);
        let classes = model.config.classes();
        let probabilities: Vec<f32> = logits
            .chunks(classes)
            .flat_map(|z| match ending {
                Ending::Sigmoid => z.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect::<Vec<f32>>(),
                _ => {
                    let sum: f32 = z.iter().map(|z| z.exp()).sum();
                    z.iter().map(|z| z.exp() / sum).collect()
                }
            })
            .collect();
        let error = relative_error(&probabilities, &goldens.tensors[&format!("{name}.output")].data);
        assert!(error < 2e-6, "{name}: {error}");
    }
    let plain = Model::load(&folder().join("resnet18.trace13.onnx")).unwrap();
    assert_eq!(plain.network().unwrap().ending, None);
}

#[test]
fn samples_are_channels_last() {
    for (name, shape) in [
        ("resnet18.trace13", vec![32, 32, 3]),
        ("vit_hf.export18", vec![16, 16, 3]),
        ("keras_cnn", vec![12, 12, 3]),
        ("signal.export18", vec![1, 64, 2]),
        ("gru.trace15", vec![9, 6]),
        ("logistic_many", vec![5]),
        ("two.export18", vec![16 * 16 * 3 + 5]),
        ("bert.trace20", vec![7 * 16 + 7]),
    ] {
        let model = Model::load(&folder().join(format!("{name}.onnx"))).unwrap();
        assert_eq!(model.config.input_shape(), shape, "{name}");
    }
    let two = Model::load(&folder().join("two.trace17.onnx")).unwrap();
    let inputs = &two.network().unwrap().inputs;
    assert_eq!(inputs[0].shape, [16, 16, 3]);
    assert_eq!(inputs[0].range, 0..768);
    assert_eq!(inputs[1].range, 768..773);
    let bert = Model::load(&folder().join("bert_ids.trace17.onnx")).unwrap();
    assert!(bert.network().unwrap().inputs.iter().all(|input| input.kind == InputKind::Whole));
}

#[test]
fn convolutions_follow_each_other_without_permutations() {
    for name in [
        "resnet18.trace13",
        "resnet50.trace14",
        "densenet.export19",
        "efficientnet.trace16",
        "convnext.trace17",
        "signal.export18",
        "keras_cnn",
    ] {
        let model = Model::load(&folder().join(format!("{name}.onnx"))).unwrap();
        assert_eq!(model.network().unwrap().permutations(), 0, "{name}");
    }
}

/// The files of `onnx_forms.py`, by their names.
fn forms() -> Vec<(String, PathBuf)> {
    let files = std::fs::read_dir(folder().join("forms")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|ending| ending == "onnx"));
    files.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_string(), path)).collect()
}

#[test]
fn forms_of_other_peoples_files_equal_onnxruntime() {
    let goldens = golden("onnx_forms");
    let forms = forms();
    assert_eq!(forms.len(), 10);
    for (name, path) in forms {
        let model = as_deployed(Model::load(&path).unwrap_or_else(|error| panic!("{name}: {error}")));
        let (n, x, _) = samples(&model, &goldens, &name);
        let (output, gradient) = run(&model, n, &x);
        let error = relative_error(&output, &goldens.tensors[&format!("{name}.output")].data);
        assert!(error < 2e-5, "{name}: {error}");
        assert!(gradient.iter().all(|slope| slope.is_finite()), "{name}");
    }
}

#[test]
fn a_softmax_that_is_written_out_is_an_ending() {
    let model = Model::load(&folder().join("forms/written_out.onnx")).unwrap();
    assert_eq!(model.network().unwrap().ending, Some(Ending::Softmax));
}

#[test]
fn bytes_that_a_file_makes_reals_of_can_be_moved_and_that_is_said() {
    let model = Model::load(&folder().join("forms/pixels.onnx")).unwrap();
    assert_eq!(model.config.inputs()[0].kind, InputKind::Numbers);
    assert!(model.remarks[0].contains("not rounded"), "{:?}", model.remarks);
    let x: Vec<f32> = (0..48u8).map(f32::from).collect();
    let (_, gradient) = run(&model, 1, &x);
    assert!(gradient.iter().any(|slope| *slope != 0.0));
}
