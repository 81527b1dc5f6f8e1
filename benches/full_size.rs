//! BiomedCLIP's architecture at its real size with random weights, against PyTorch: by hand, since it takes 1.7 GB and minutes.
//!
//! `python tests/golden/full_size.py FOLDER`, then `PERCUSS_FULL_SIZE=FOLDER cargo bench --bench full_size`.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

use std::path::PathBuf;
use std::time::Instant;

use percuss::graph::{Compiled, Graph, Phase, Shape, Uploads};
use percuss::models::{Model, Weights};
use percuss_kernels::Device;
use support::channels_last;
use support::clip::prompts;

/// Megabytes that the process had at most.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

fn relative(found: &[f32], expected: &[f32]) -> f32 {
    support::relative_error(found, expected)
}

fn main() {
    let Some(folder) = std::env::var_os("PERCUSS_FULL_SIZE").map(PathBuf::from) else {
        println!("PERCUSS_FULL_SIZE is not set: the folder that tests/golden/full_size.py writes");
        return;
    };
    let golden = support::read(&folder.join("expected.safetensors"));
    let start = Instant::now();
    let model = Model::load(&folder.join("model")).unwrap();
    println!("loaded in {:.1?}, {} MB", start.elapsed(), peak());
    let start = Instant::now();
    let model = model.zero_shot(&prompts(&golden)).unwrap();
    println!("prompts read in {:.1?}, {} MB", start.elapsed(), peak());
    let (found, seconds) = answers(&model, &golden);
    println!("four images in {seconds:.1} s, {} MB", peak());
    let expected = channels_last(&golden.tensors["grad_pixels"].data, 3, 224 * 224);
    let errors = [relative(&found[0], &golden.tensors["logits"].data), relative(&found[1], &expected)];
    println!("logits off by {:.1e}, gradients by {:.1e} of the largest", errors[0], errors[1]);
    assert!(errors.iter().all(|&error| error < 1e-3), "off by {errors:?}");
}

/// Logits and the gradient of their cross-entropy, on all threads; and the seconds of one run.
fn answers(model: &Model, golden: &Weights) -> ([Vec<f32>; 2], f64) {
    let labels = &golden.tensors["labels"].data;
    let mut graph = Graph::new();
    let x = graph.state("x", Shape::lanes(&[224, 224, 3]));
    let label = graph.state("label", Shape::lanes(&[]));
    let (input, target) = (graph.load(x), graph.load(label));
    let logits = model.logits(&mut graph, input);
    let loss = graph.cross_entropy(logits, target);
    let slope = graph.gradients(loss, &[input])[0];
    let out = graph.state("logits", Shape::lanes(&[3]));
    let gradient = graph.state("gradient", Shape::lanes(&[224, 224, 3]));
    let mut phase = Phase::new();
    phase.assign(&mut graph, out, logits);
    phase.assign(&mut graph, gradient, slope);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compiled = Compiled::new(&graph, &[phase], labels.len()).unwrap();
    println!("{} MB of activations", compiled.bytes() >> 20);
    let mut exe = compiled.instantiate(&Device::Cpu { threads }, &mut Uploads::default(), threads).unwrap();
    exe.write(x, &channels_last(&golden.tensors["pixels"].data, 3, 224 * 224)).unwrap();
    exe.write(label, labels).unwrap();
    let start = Instant::now();
    exe.run(0, 1).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    ([exe.read(out).unwrap(), exe.read(gradient).unwrap()], seconds)
}
