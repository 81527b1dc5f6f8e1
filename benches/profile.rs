//! Where the time of one PGD step goes, launch by launch: `cargo bench --bench profile -- MODEL LANES [SELECTOR]`.
//!
//! On one thread of a CPU, or on the adapter that the selector names (with timestamps).

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

mod workload;

use std::collections::BTreeMap;

use percuss::attacks::evasion::EvasionProgram;
use percuss::graph::{Compiled, Uploads};
use percuss_kernels::Device;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let model = arguments.first().map_or("cnn", String::as_str);
    let lanes: usize = arguments.get(1).map_or(8, |lanes| lanes.parse().unwrap());
    let device = Device::select(arguments.get(2).map_or("cpu", String::as_str), 1).unwrap();
    let (_, config, _) =
        workload::MODELS.into_iter().find(|(name, ..)| *name == model).expect("a model's name");
    let subject = workload::subject(config, 1);
    let program = EvasionProgram::new(&subject.model, &workload::settings());
    let compiled = Compiled::new(&program.graph, &program.phases, lanes).unwrap();
    let mut executable = compiled.instantiate(&device, &mut Uploads::default(), 1).unwrap();
    executable.run(0, 3).unwrap();
    let mut best = executable.profile(0).unwrap();
    for _ in 0..20 {
        for (best, (_, took)) in best.iter_mut().zip(executable.profile(0).unwrap()) {
            best.1 = best.1.min(took);
        }
    }
    let total: f64 = best.iter().map(|(_, took)| took).sum();
    println!("{model}, {lanes} lanes, {} MiB: {:.0} us a step", compiled.bytes() >> 20, total / 1e3);
    let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
    best.iter().for_each(|(op, took)| *sums.entry(op).or_default() += took);
    sums.iter().for_each(|(op, took)| println!("{:5.1}%  {op}", took / total * 100.0));
    // A kernel a launch on a CPU; a GPU's op may be several kernels.
    if best.len() != compiled.launches(0).len() {
        return;
    }
    for ((op, took), launch) in best.iter().zip(compiled.launches(0)) {
        let lens: Vec<usize> = launch.inputs.iter().chain(&launch.outputs).map(|span| span.len).collect();
        let rate = launch.op.flops() as f64 / took;
        println!("{:5.1}%  {op:16} {:8.1} us {rate:6.1} GFLOP/s  {lens:?}", took / total * 100.0, took / 1e3);
    }
}
