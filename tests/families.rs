//! The families that read other ecosystems' files, against timm, transformers, torchvision, torchxrayvision and PyTorch's recurrent
//! layers: logits and gradients on the same weights and inputs, from folders as those write them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::graph::{Compiled, Graph, Phase, Shape, State, Tensor, Uploads};
use percuss::models::{Declared, Model, Net, WeightTensor, Weights, from_training_layout};
use percuss_kernels::Device;
use support::{channels_last, digest, formula_weights, golden, inputs, layout, relative_error, signed};
use tempfile::TempDir;

const CPU: Device = Device::Cpu { threads: 1 };
/// Goldens are f64 and these networks a few layers deep: PyTorch's own f32 is off by up to 1.4e-6 (`torch_f32_error` in the files).
const TOLERANCE: f32 = 5e-6;

/// A folder as the golden's ecosystem writes it, with weights from the formula.
fn folder(golden: &Weights) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, key: &str| {
        if let Some(text) = golden.metadata.get(key) {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
    };
    write("config.json", "config");
    write("preprocessor_config.json", "preprocessor");
    let config = percuss::models::Config::read(&folder.path().join("config.json")).unwrap();
    let weights = Weights::new(formula_weights(&Model::declare(&config)));
    weights.write(&folder.path().join("model.safetensors")).unwrap();
    folder
}

fn load(golden: &Weights) -> Model {
    let model = Model::load(folder(golden).path()).unwrap();
    if let Some(known) = golden.metadata.get("names_sha256") {
        assert_eq!(
            digest(&Model::declare(&model.config)),
            *known,
            "the names and shapes are the ecosystem's"
        );
    }
    model
}

/// A golden's values in the order of the model's samples: an image's channels last, a series as it is.
fn samples(model: &Model, values: &[f32]) -> Vec<f32> {
    let shape = model.config.input_shape();
    if matches!(model.config.architecture.name(), "gru" | "lstm") {
        return values.to_vec();
    }
    let (channels, spatial) = layout(&shape);
    channels_last(values, channels, spatial)
}

/// The sum of logits times the formula's numbers.
fn weighted(graph: &mut Graph, logits: Tensor, weights: State) -> Tensor {
    let weights = graph.load(weights);
    let products = graph.mul(logits, weights);
    graph.sum_lane(products)
}

fn check_on(name: &str, device: &Device) {
    let golden = golden(name);
    let model = load(&golden);
    let (shape, classes) = (model.config.input_shape(), model.config.classes());
    let x = samples(&model, &inputs(&golden));
    let lanes = golden.tensors["logits"].shape[0];
    let mut graph = Graph::new();
    let x_state = graph.state("x", Shape::lanes(&shape));
    let weight_state = graph.state("weights", Shape::lanes(&[classes]));
    let logits_state = graph.state("logits", Shape::lanes(&[classes]));
    let gradient_state = graph.state("gradient", Shape::lanes(&shape));
    let input = graph.load(x_state);
    let logits = model.logits(&mut graph, input);
    let loss = weighted(&mut graph, logits, weight_state);
    let gradient = graph.gradients(loss, &[input])[0];
    let mut phase = Phase::new();
    phase.assign(&mut graph, logits_state, logits);
    phase.assign(&mut graph, gradient_state, gradient);
    let mut uploads = Uploads::default();
    let compiled = Compiled::on(device, &mut uploads, &graph, &[phase], lanes).unwrap();
    let mut exe = compiled.instantiate(device, &mut uploads, 1).unwrap();
    exe.write(x_state, &x).unwrap();
    exe.write(weight_state, &signed("cotangent", lanes * classes, 1.0)).unwrap();
    exe.run(0, 1).unwrap();
    let off = relative_error(&exe.read(logits_state).unwrap(), &golden.tensors["logits"].data);
    assert!(off < TOLERANCE, "{name}: logits are off by {off}");
    let expected = samples(&model, &golden.tensors["grad_input"].data);
    let off = relative_error(&exe.read(gradient_state).unwrap(), &expected);
    assert!(off < TOLERANCE, "{name}: gradients are off by {off}");
}

fn check(name: &str) {
    check_on(name, &CPU);
}

/// Gradients of parameters that are a lane's own, over a minibatch, as training computes them.
fn check_parameters(name: &str) {
    let golden = golden(name);
    let model = load(&golden);
    let x = samples(&model, &inputs(&golden));
    let logits_shape = golden.tensors["logits"].shape.clone();
    let mut graph = Graph::new();
    let parameters: Vec<(Declared, State)> = Model::declare(&model.config)
        .into_iter()
        .map(|one| {
            let state = graph.state(&one.name, Shape::lanes(&kernel_shape(&one)));
            (one, state)
        })
        .collect();
    let named: Vec<(String, State)> =
        parameters.iter().map(|(one, state)| (one.name.clone(), *state)).collect();
    let batch = [&logits_shape[..1], &model.config.input_shape()].concat();
    let x_state = graph.state("x", Shape::lanes(&batch));
    let weight_state = graph.state("weights", Shape::lanes(&logits_shape));
    let input = graph.load(x_state);
    let logits = model.config.forward(&mut Net::training(&mut graph, &named), input);
    let loss = weighted(&mut graph, logits, weight_state);
    let wrt: Vec<Tensor> = parameters.iter().map(|(_, state)| graph.load(*state)).collect();
    let gradients = graph.gradients(loss, &wrt);
    let mut phase = Phase::new();
    let stored: Vec<State> = parameters
        .iter()
        .zip(gradients)
        .map(|((_, state), gradient)| {
            let shape = graph.state_shape(*state).clone();
            let stored = graph.state("gradient", shape);
            phase.assign(&mut graph, stored, gradient);
            stored
        })
        .collect();
    let mut uploads = Uploads::default();
    let compiled = Compiled::on(&CPU, &mut uploads, &graph, &[phase], 1).unwrap();
    let mut exe = compiled.instantiate(&CPU, &mut uploads, 1).unwrap();
    for (one, state) in &parameters {
        exe.write(*state, &to_kernels(one, &model.weights.tensors[&one.name].data)).unwrap();
    }
    exe.write(x_state, &x).unwrap();
    exe.write(weight_state, &signed("cotangent", logits_shape.iter().product(), 1.0)).unwrap();
    exe.run(0, 1).unwrap();
    let wanted = golden.tensors.keys().filter(|key| key.starts_with("grad.")).count();
    assert_eq!(wanted, parameters.len());
    for ((one, _), stored) in parameters.iter().zip(stored) {
        let found = from_training_layout(one.role, &one.shape, &exe.read(stored).unwrap());
        let off = relative_error(&found, &golden.tensors[&format!("grad.{}", one.name)].data);
        assert!(off < TOLERANCE, "{name}: the gradient of {} is off by {off}", one.name);
    }
}

/// `[out, in, taps..]` as `[taps.., in, out]`, everything else as it is.
fn kernel_shape(one: &Declared) -> Vec<usize> {
    match one.shape[..] {
        [outputs, inputs, height, width] => vec![height, width, inputs, outputs],
        _ => one.shape.clone(),
    }
}

fn to_kernels(one: &Declared, data: &[f32]) -> Vec<f32> {
    let [outputs, inputs, height, width] = one.shape[..] else { return data.to_vec() };
    let taps = height * width;
    let at = |tap: usize, i: usize, o: usize| data[(o * inputs + i) * taps + tap];
    let pairs = (0..taps).flat_map(|tap| (0..inputs).map(move |i| (tap, i)));
    pairs.flat_map(|(tap, i)| (0..outputs).map(move |o| at(tap, i, o))).collect()
}

#[test]
fn vit_equals_timm_with_a_class_token_and_with_averages() {
    check("vit_timm");
    check("vit_timm_average");
}

#[test]
fn vit_equals_transformers() {
    check("vit_huggingface");
}

#[test]
fn vit_equals_torchvision() {
    check("vit_torchvision");
}

#[test]
fn densenet_equals_timm_and_torchvision() {
    check("densenet_timm");
    check("densenet_torchvision");
}

#[test]
fn densenet_equals_torchxrayvision_on_pixels() {
    check("densenet_torchxrayvision");
}

#[test]
fn efficientnet_equals_timm_and_its_tensorflow_kin() {
    check("efficientnet_timm");
    check("efficientnet_timm_tf");
}

#[test]
fn efficientnet_equals_torchvision() {
    check("efficientnet_torchvision");
}

#[test]
fn convnext_equals_timm() {
    check("convnext_timm");
}

#[test]
fn convnext_equals_torchvision() {
    check("convnext_torchvision");
}

#[test]
fn convnext_equals_transformers() {
    check("convnext_huggingface");
}

#[test]
fn gru_equals_pytorch() {
    ["gru", "gru_both_ways", "gru_mean"].into_iter().for_each(check);
}

#[test]
fn lstm_equals_pytorch() {
    ["lstm", "lstm_both_ways"].into_iter().for_each(check);
}

#[test]
fn gradients_of_parameters_equal_pytorchs() {
    ["vit_timm", "gru", "lstm"].into_iter().for_each(check_parameters);
}

#[test]
fn names_of_another_ecosystem_are_missing_by_name() {
    let golden = golden("vit_torchvision");
    let folder = folder(&golden);
    let config = golden.metadata["config"].replace("\"torchvision\"", "\"timm\"");
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let error = Model::load(folder.path()).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    for part in ["model.safetensors", "tensor patch_embed.proj.weight", "no such tensor", "[24, 3, 8, 8]"] {
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
}

#[test]
fn buffers_that_nothing_is_computed_with_are_left_aside() {
    let golden = golden("densenet_torchxrayvision");
    let folder = folder(&golden);
    let file = folder.path().join("model.safetensors");
    let mut weights = Weights::read(&file).unwrap();
    let known = Model::load(folder.path()).unwrap().sha256;
    for name in ["op_threshs", "features.norm0.num_batches_tracked"] {
        let tensor = WeightTensor { shape: vec![18], data: vec![0.5; 18] };
        weights.tensors.insert(name.to_string(), tensor);
    }
    weights.write(&file).unwrap();
    assert_eq!(Model::load(folder.path()).unwrap().sha256, known);
    let tensor = WeightTensor { shape: vec![18], data: vec![0.5; 18] };
    weights.tensors.insert("thresholds".to_string(), tensor);
    weights.write(&file).unwrap();
    let error = Model::load(folder.path()).unwrap_err().to_string();
    assert!(error.contains("tensor thresholds") && error.contains("no place for"), "{error}");
}

#[test]
fn an_adapter_says_the_same() {
    let gpu = Device::select("gpu:0", 1).unwrap();
    for name in ["vit_torchvision", "efficientnet_timm", "convnext_torchvision", "gru", "lstm"] {
        check_on(name, &gpu);
    }
}
