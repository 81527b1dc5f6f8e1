//! ViT-B/16 (Dosovitskiy et al. 2021) with formula weights: logits and the input gradient of the cross-entropy, `cargo bench --bench vit -- THREADS
//! IMAGES [profile]`.
//!
//! Every thread has a block of lanes of its own, as a sweep's workers do. Lines of the standard input ask for rounds, `gradient` or `forward`, or name a
//! file that logits and gradients are written to; with `profile` it prints where the time of one thread goes. `benches/vit.py` runs it beside PyTorch.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::time::Instant;

use percuss::graph::{Compiled, Executable, Graph, Phase, Shape, State, Uploads};
use percuss::models::{Config, Model, WeightTensor, Weights};
use percuss_kernels::Device;

const SIZE: usize = 224;
const CLASSES: usize = 1000;

/// The network under timm's names, its weights from the formula.
fn network() -> Model {
    let text = serde_json::json!({ "architecture": "vit", "input": [SIZE, SIZE, 3], "classes": CLASSES });
    let config = Config::parse(&text.to_string(), "ViT-B/16").unwrap();
    let mut weights = support::formula_weights(&Model::declare(&config));
    for name in ["cls_token", "pos_embed"] {
        let WeightTensor { data, .. } = weights.get_mut(name).unwrap();
        *data = support::signed(name, data.len(), 0.02);
    }
    Model::new(config, Weights::new(weights)).unwrap()
}

struct Run {
    compiled: Compiled,
    x: State,
    label: State,
    logits: State,
    gradient: State,
}

fn compiled(network: &Model, lanes: usize, uploads: &mut Uploads) -> Run {
    let mut graph = Graph::new();
    let dims = [SIZE, SIZE, 3];
    let x = graph.state("x", Shape::lanes(&dims));
    let label = graph.state("label", Shape::lanes(&[]));
    let logits_state = graph.state("logits", Shape::lanes(&[CLASSES]));
    let gradient_state = graph.state("gradient", Shape::lanes(&dims));
    let (input, labels) = (graph.load(x), graph.load(label));
    let logits = network.logits(&mut graph, input);
    let loss = graph.cross_entropy(logits, labels);
    let gradient = graph.gradients(loss, &[input])[0];
    let mut phases = [Phase::new(), Phase::new()];
    for (i, phase) in phases.iter_mut().enumerate() {
        phase.assign(&mut graph, logits_state, logits);
        if i == 0 {
            phase.assign(&mut graph, gradient_state, gradient);
        }
    }
    let compiled = Compiled::on(&Device::Cpu { threads: 1 }, uploads, &graph, &phases, lanes).unwrap();
    Run { compiled, x, label, logits: logits_state, gradient: gradient_state }
}

/// Runs a phase in every executable, each on a thread of its own: seconds by the clock and of all processors.
fn run(executables: &mut [Executable], phase: usize) -> String {
    let (began, before) = (Instant::now(), processor_seconds());
    match executables {
        [one] => one.run(phase, 1).unwrap(),
        several => std::thread::scope(|scope| {
            for executable in several {
                scope.spawn(move || executable.run(phase, 1).unwrap());
            }
        }),
    }
    format!("{} {}", began.elapsed().as_secs_f64(), processor_seconds() - before)
}

/// What this process has had of the processors, in hundredths; 0 where there is no /proc.
fn processor_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> =
        text.rsplit(") ").next().unwrap_or("").split(' ').map(|field| field.parse().unwrap_or(0.0)).collect();
    fields.get(11..13).map_or(0.0, |times| times.iter().sum::<f64>() / 100.0)
}

fn profile(model: &Run, executable: &mut Executable) {
    executable.run(0, 1).unwrap();
    let mut best = executable.profile(0).unwrap();
    for _ in 0..3 {
        for (best, (_, took)) in best.iter_mut().zip(executable.profile(0).unwrap()) {
            best.1 = best.1.min(took);
        }
    }
    let total: f64 = best.iter().map(|(_, took)| took).sum();
    println!("{:.1} ms a step", total / 1e6);
    // Launches of one kind: a name and the lengths of operands.
    let mut kinds: BTreeMap<String, (usize, f64, f64)> = BTreeMap::new();
    for ((op, took), launch) in best.iter().zip(model.compiled.launches(0)) {
        let lens: Vec<usize> = launch.inputs.iter().chain(&launch.outputs).map(|span| span.len).collect();
        let kind = kinds.entry(format!("{op:16} {lens:?}")).or_default();
        *kind = (kind.0 + 1, kind.1 + took, kind.2 + launch.op.flops() as f64);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    for (kind, (count, took, flops)) in kinds {
        println!(
            "{:5.1}%  {count:3} times {:8.2} ms {:6.1} GFLOP/s  {kind}",
            took / total * 100.0,
            took / 1e6,
            flops / took
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let number = |i: usize, default: usize| arguments.get(i).map_or(default, |a| a.parse().unwrap());
    let (threads, images) = (number(0, 1), number(1, 2));
    let lanes = images / threads;
    let mut uploads = Uploads::default();
    let model = compiled(&network(), lanes, &mut uploads);
    let device = Device::Cpu { threads };
    let mut executables: Vec<Executable> =
        (0..threads).map(|_| model.compiled.instantiate(&device, &mut uploads, 1).unwrap()).collect();
    let len = SIZE * SIZE * 3;
    for (worker, executable) in executables.iter_mut().enumerate() {
        for lane in 0..lanes {
            let image = worker * lanes + lane;
            let x = support::signed(&format!("image {image}"), len, 1.0);
            executable.write_lane(model.x, lane, &x).unwrap();
            executable.write_lane(model.label, lane, &[image as f32]).unwrap();
        }
    }
    println!("{}", serde_json::json!({ "lanes": lanes, "mib": model.compiled.bytes() >> 20 }));
    if arguments.iter().any(|a| a == "profile") {
        return profile(&model, &mut executables[0]);
    }
    // Rounds on demand, so that two programs can take turns: a line asks for a phase, or for the values in a file.
    for line in std::io::stdin().lock().lines() {
        let line = line.unwrap();
        match line.as_str() {
            "gradient" => println!("{}", run(&mut executables, 0)),
            "forward" => println!("{}", run(&mut executables, 1)),
            path => {
                let mut file = std::fs::File::create(path).unwrap();
                for state in [model.logits, model.gradient] {
                    for executable in &mut executables {
                        let bytes: Vec<u8> =
                            executable.read(state).unwrap().iter().flat_map(|v| v.to_le_bytes()).collect();
                        file.write_all(&bytes).unwrap();
                    }
                }
                println!("{path}");
            }
        }
    }
}
