//! Every architecture family against PyTorch: logits and input gradients on the same weights and inputs.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::graph::{Compiled, Graph, Phase, Shape, Uploads};
use percuss_kernels::Device;
use support::{channels_last, formula_model, golden, inputs_for, layout, relative_error};

/// Logits and the gradient of the summed cross-entropy, on `device`.
fn run(name: &str, device: &Device) -> (Vec<f32>, Vec<f32>, Vec<f32>, Vec<f32>) {
    let golden = golden(name);
    let model = formula_model(&golden);
    let shape = model.config.input_shape();
    let x = inputs_for(&golden, &shape);
    let (channels, spatial) = layout(&shape);
    let labels = &golden.tensors["labels"].data;
    let mut graph = Graph::new();
    let x_state = graph.state("x", Shape::lanes(&shape));
    let label_state = graph.state("label", Shape::lanes(&[]));
    let logits_state = graph.state("logits", Shape::lanes(&[model.config.classes()]));
    let gradient_state = graph.state("gradient", Shape::lanes(&shape));
    let (input, label) = (graph.load(x_state), graph.load(label_state));
    let logits = model.logits(&mut graph, input);
    let loss = graph.cross_entropy(logits, label);
    let gradient = graph.gradients(loss, &[input])[0];
    let mut phase = Phase::new();
    phase.assign(&mut graph, logits_state, logits);
    phase.assign(&mut graph, gradient_state, gradient);
    let compiled = Compiled::new(&graph, &[phase], labels.len()).unwrap();
    let mut exe = compiled.instantiate(device, &mut Uploads::default(), 1).unwrap();
    exe.write(x_state, &x).unwrap();
    exe.write(label_state, labels).unwrap();
    exe.run(0, 1).unwrap();
    let expected = channels_last(&golden.tensors["grad_input"].data, channels, spatial);
    (
        exe.read(logits_state).unwrap(),
        golden.tensors["logits"].data.clone(),
        exe.read(gradient_state).unwrap(),
        expected,
    )
}

fn check(name: &str) {
    let (logits, logits_expected, gradient, gradient_expected) = run(name, &Device::Cpu { threads: 1 });
    // f32 against f64 goldens; PyTorch's own f32 is within 6e-7 (logits) and deeper networks lose a digit more in gradients.
    let errors = (relative_error(&logits, &logits_expected), relative_error(&gradient, &gradient_expected));
    assert!(errors.0 < 5e-6, "{name}: logits are off by {}", errors.0);
    assert!(errors.1 < 2e-5, "{name}: gradients are off by {}", errors.1);
}

#[test]
fn mlp_equals_pytorch() {
    check("mlp");
}

#[test]
fn cnn_with_batch_norm_and_global_pooling_equals_pytorch() {
    check("cnn_pooled");
}

#[test]
fn cnn_flattens_in_pytorch_order() {
    check("cnn_flattened");
}

#[test]
fn resnet1d_equals_pytorch() {
    check("resnet1d");
}

#[test]
fn resnet18_with_small_stem_equals_torchvision() {
    check("resnet18_3x3");
}

#[test]
fn resnet18_with_torchvision_stem_equals_torchvision() {
    check("resnet18_7x7");
}

#[test]
fn resnet50_equals_torchvision() {
    check("resnet50_7x7");
}
