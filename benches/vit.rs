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
use std::sync::Arc;
use std::time::Instant;

use percuss::graph::{Compiled, ConvGeometry, Executable, Graph, Phase, Shape, State, Tensor, Uploads};
use percuss_kernels::Device;

const WIDTH: usize = 768;
const HEADS: usize = 12;
const BLOCKS: usize = 12;
const SIZE: usize = 224;
const CLASSES: usize = 1000;

/// A tensor under timm's name, from the formula.
fn weight(graph: &mut Graph, name: &str, dims: &[usize]) -> Tensor {
    let data = match name {
        "cls_token" | "pos_embed" => support::signed(name, dims.iter().product(), 0.02),
        _ => support::parameter(name, dims),
    };
    graph.constant(&Arc::new(data), dims)
}

fn linear(graph: &mut Graph, x: Tensor, name: &str, [inputs, outputs]: [usize; 2]) -> Tensor {
    let w = weight(graph, &format!("{name}.weight"), &[outputs, inputs]);
    let bias = weight(graph, &format!("{name}.bias"), &[outputs]);
    let y = graph.matmul(x, false, w, true);
    graph.add(y, bias)
}

fn norm(graph: &mut Graph, x: Tensor, name: &str) -> Tensor {
    let w = weight(graph, &format!("{name}.weight"), &[WIDTH]);
    let bias = weight(graph, &format!("{name}.bias"), &[WIDTH]);
    graph.layer_norm(x, w, bias, 1e-6)
}

/// A third of the weight and bias that give queries, keys and values: constants, cut once.
fn part(graph: &mut Graph, x: Tensor, name: &str, which: usize) -> Tensor {
    let w = weight(graph, &format!("{name}.weight"), &[3 * WIDTH, WIDTH]);
    let bias = weight(graph, &format!("{name}.bias"), &[3 * WIDTH]);
    let range = which * WIDTH..(which + 1) * WIDTH;
    let (w, bias) = (graph.slice(w, 0, range.clone()), graph.slice(bias, 0, range));
    let y = graph.matmul(x, false, w, true);
    let y = graph.add(y, bias);
    let tokens = graph.dims(y)[0];
    graph.reshape(y, &[tokens, HEADS, WIDTH / HEADS])
}

fn logits(graph: &mut Graph, x: Tensor) -> Tensor {
    let w = weight(graph, "patch_embed.proj.weight", &[WIDTH, 3, 16, 16]);
    let bias = weight(graph, "patch_embed.proj.bias", &[WIDTH]);
    let w = graph.permute(w, &[2, 3, 1, 0], &[false; 4]);
    let geometry = ConvGeometry { stride: [16, 16], pad: [0; 4], dilation: [1, 1], groups: 1 };
    let y = graph.conv(x, w, geometry);
    let y = graph.add(y, bias);
    let side = SIZE / 16;
    let y = graph.reshape(y, &[side * side, WIDTH]);
    let class = weight(graph, "cls_token", &[1, WIDTH]);
    let tokens = graph.concat(&[class, y], 0);
    let position = weight(graph, "pos_embed", &[side * side + 1, WIDTH]);
    let mut x = graph.add(tokens, position);
    for block in 0..BLOCKS {
        let name = |what: &str| format!("blocks.{block}.{what}");
        let h = norm(graph, x, &name("norm1"));
        let [q, k, v] = [0, 1, 2].map(|which| part(graph, h, &name("attn.qkv"), which));
        let scale = 1.0 / ((WIDTH / HEADS) as f32).sqrt();
        let y = graph.attention(q, k, v, None, scale);
        let y = graph.reshape(y, &[side * side + 1, WIDTH]);
        let y = linear(graph, y, &name("attn.proj"), [WIDTH, WIDTH]);
        x = graph.add(y, x);
        let h = norm(graph, x, &name("norm2"));
        let h = linear(graph, h, &name("mlp.fc1"), [WIDTH, 4 * WIDTH]);
        let h = graph.gelu(h);
        let y = linear(graph, h, &name("mlp.fc2"), [4 * WIDTH, WIDTH]);
        x = graph.add(y, x);
    }
    let x = norm(graph, x, "norm");
    let class = graph.slice(x, 0, 0..1);
    let logits = linear(graph, class, "head", [WIDTH, CLASSES]);
    graph.reshape(logits, &[CLASSES])
}

struct Model {
    compiled: Compiled,
    x: State,
    label: State,
    logits: State,
    gradient: State,
}

fn model(lanes: usize, uploads: &mut Uploads) -> Model {
    let mut graph = Graph::new();
    let dims = [SIZE, SIZE, 3];
    let x = graph.state("x", Shape::lanes(&dims));
    let label = graph.state("label", Shape::lanes(&[]));
    let logits_state = graph.state("logits", Shape::lanes(&[CLASSES]));
    let gradient_state = graph.state("gradient", Shape::lanes(&dims));
    let (input, labels) = (graph.load(x), graph.load(label));
    let logits = logits(&mut graph, input);
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
    Model { compiled, x, label, logits: logits_state, gradient: gradient_state }
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

fn profile(model: &Model, executable: &mut Executable) {
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
    let model = model(lanes, &mut uploads);
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
