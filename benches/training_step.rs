//! Where the time of one training step of an ensemble goes, launch by launch: `cargo bench --bench training_step -- mlp|ecg LANES`.
//!
//! On one thread of a CPU; the models, minibatches and optimiser of `benches/ensembles.rs`, without the drawing of minibatches.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;

use percuss::graph::{Compiled, Graph, Phase, Shape, State, Uploads};
use percuss::models::{Config, Head, Model, Net, Role};
use percuss::training::{Loss, Optimizer, optimizer::Rates};
use percuss_kernels::Device;

const MODELS: [(&str, usize, &str); 2] = [
    ("mlp", 64, r#"{"architecture": "mlp", "inputs": 49, "hidden": [64, 64], "classes": 2}"#),
    (
        "ecg",
        32,
        r#"{"architecture": "resnet1d", "length": 256, "in_channels": 1, "classes": 5, "stem_kernel": 7, "stem_stride": 2,
            "widths": [8, 16, 32], "blocks": [1, 1, 1], "kernel": 5}"#,
    ),
];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let wanted = arguments.first().map_or("mlp", String::as_str);
    let lanes: usize = arguments.get(1).map_or(4, |lanes| lanes.parse().unwrap());
    let (_, batch, config) = *MODELS.iter().find(|(name, ..)| *name == wanted).expect("a model's name");
    let config = Config::parse(config, "bench").unwrap();
    let mut graph = Graph::new();
    let mut parameters: Vec<(State, bool)> = Vec::new();
    let mut named: Vec<(String, State)> = Vec::new();
    for tensor in Model::declare(&config) {
        // A convolution's weight is laid out with its output channels last.
        let dims = match tensor.role {
            Role::Conv1d => vec![1, tensor.shape[2], tensor.shape[1], tensor.shape[0]],
            _ => tensor.shape.clone(),
        };
        let state = graph.state(&tensor.name, Shape::lanes(&dims));
        parameters.push((state, tensor.role.trained()));
        named.push((tensor.name, state));
    }
    let input = graph.state("minibatch", Shape::lanes(&[&[batch], config.input_shape().as_slice()].concat()));
    let labels = graph.state("labels", Shape::lanes(&[batch]));
    let rates = Rates::declare(&mut graph);
    let (mut phase, x, y) = (Phase::new(), graph.load(input), graph.load(labels));
    let rates_now = rates.load(&mut graph);
    let mut net = Net::training(&mut graph, &named);
    let logits = config.forward(&mut net, x);
    let averages = net.into_averages();
    let loss = Loss::plain(Head::Softmax).mean(&mut graph, logits, y);
    let trained: Vec<State> =
        parameters.iter().filter(|(_, trained)| *trained).map(|(state, _)| *state).collect();
    let wrt: Vec<_> = trained.iter().map(|&state| graph.load(state)).collect();
    let gradients = graph.gradients(loss, &wrt);
    let optimizer = Optimizer::AdamW { betas: [0.9, 0.999], epsilon: 1e-8, weight_decay: 1e-2 };
    for (&state, &gradient) in trained.iter().zip(&gradients) {
        let slots = [0, 1].map(|slot| {
            let shape = graph.state_shape(state).clone();
            graph.state(format!("slot {slot}"), shape)
        });
        optimizer.update(&mut graph, &mut phase, state, gradient, &slots, rates_now);
    }
    for average in averages {
        let old = graph.load(average.state);
        let (old, new) = (graph.scale(old, 0.9), graph.scale(average.batch, 0.1));
        let new = graph.add(old, new);
        phase.assign(&mut graph, average.state, new);
    }
    let compiled = Compiled::new(&graph, &[phase], lanes).unwrap();
    let device = Device::Cpu { threads: 1 };
    let mut executable = compiled.instantiate(&device, &mut Uploads::default(), 1).unwrap();
    for (number, (state, _)) in parameters.iter().enumerate() {
        let len = graph.state_shape(*state).len(lanes);
        let value = |i: usize| ((i * 7919 + number * 31) % 1009) as f32 / 5045.0 - 0.1;
        executable.write(*state, &(0..len).map(value).collect::<Vec<f32>>()).unwrap();
    }
    let len = graph.state_shape(input).len(lanes);
    executable
        .write(input, &(0..len).map(|i| ((i * 6151) % 997) as f32 / 498.5 - 1.0).collect::<Vec<f32>>())
        .unwrap();
    for (state, value) in rates.0.into_iter().zip(optimizer.rates(1e-4, 1000)) {
        executable.write(state, &vec![value; lanes]).unwrap();
    }
    executable.run(0, 3).unwrap();
    let mut best = executable.profile(0).unwrap();
    for _ in 0..100 {
        for (best, (_, took)) in best.iter_mut().zip(executable.profile(0).unwrap()) {
            best.1 = best.1.min(took);
        }
    }
    let total: f64 = best.iter().map(|(_, took)| took).sum();
    let (each, work) = (total / 1e3 / lanes as f64, compiled.flops(0) as f64);
    println!(
        "{wanted}, {lanes} lanes, {} KiB: {each:.1} us a member's step, {:.1} GFLOP/s",
        compiled.bytes() >> 10,
        work / total
    );
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    best.iter().for_each(|(op, took)| *sums.entry(op).or_default() += took);
    sums.iter().for_each(|(op, took)| println!("{:5.1}%  {op}", took / total * 100.0));
    for ((op, took), launch) in best.iter().zip(compiled.launches(0)) {
        let lens: Vec<usize> =
            launch.inputs.iter().chain(&launch.outputs).map(|span| span.len / lanes).collect();
        let (each, rate) = (took / 1e3 / lanes as f64, launch.op.flops() as f64 / took);
        println!("{:5.1}%  {op:16} {each:8.2} us {rate:6.1} GFLOP/s  {lens:?}", took / total * 100.0);
    }
}
