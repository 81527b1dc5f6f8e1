//! Memory in pages, as devices with small buffers have it: where values lie changes none of them.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeSet;

use percuss::attacks::Norm;
use percuss::attacks::evasion::EvasionProgram;
use percuss::data::Domain;
use percuss::graph::{Compiled, Uploads};
use percuss::models::{Config, Model, Weights};
use percuss_kernels::{ALIGNMENT, Device, Span};
use support::evasion::{CPU, gpu, job, right_subject};
use support::signed;

const LANES: usize = 6;
const CNN: &str = r#"{"architecture": "cnn", "input": [12, 12, 1], "classes": 3, "layers": [
    {"kind": "conv", "out": 6, "kernel": 3, "padding": 1}, {"kind": "relu"}, {"kind": "max_pool", "kernel": 2},
    {"kind": "conv", "out": 9, "kernel": 3, "padding": 1}, {"kind": "relu"}, {"kind": "flatten"}, {"kind": "linear", "out": 3}]}"#;

fn program() -> EvasionProgram {
    let config = Config::parse(CNN, "a test").unwrap();
    let weights = Weights::new(support::formula_weights(&Model::declare(&config)));
    let model = Model::new(config, weights).unwrap();
    let subject = right_subject(model, signed("pages", 144 * LANES, 0.5), Domain::uniform(-1.0, 1.0));
    EvasionProgram::new(&subject.model, &job(&subject, "pgd", Norm::L2, 0.3).settings)
}

fn spans(compiled: &Compiled) -> impl Iterator<Item = Span> {
    compiled.launches(0).iter().flat_map(|launch| launch.inputs.iter().chain(&launch.outputs)).copied()
}

/// Three steps from a formula's start: the iterates.
fn walk(program: &EvasionProgram, compiled: &Compiled, device: &Device) -> Vec<f32> {
    let mut executable = compiled.instantiate(device, &mut Uploads::default(), 1).unwrap();
    let (slots, x) = (&program.slots, signed("start", 144 * LANES, 0.5));
    for (state, value) in [(slots.low, -1.0), (slots.high, 1.0)] {
        executable.write(state, &[value; 144 * LANES]).unwrap();
    }
    executable.write(slots.x0, &x).unwrap();
    executable.write(slots.x, &x).unwrap();
    for (state, value) in [(slots.radius, 0.3), (slots.step_size, 0.1), (slots.remaining, 3.0)] {
        executable.write(state, &[value; LANES]).unwrap();
    }
    executable.run(0, 3).unwrap();
    executable.read(slots.x).unwrap()
}

#[test]
fn programs_in_small_pages_compute_the_same() {
    let program = program();
    let phases = &program.phases;
    let whole = Compiled::new(&program.graph, phases, LANES).unwrap();
    let largest = spans(&whole).map(|span| span.len).max().unwrap();
    let page = largest.next_multiple_of(ALIGNMENT);
    let paged = Compiled::in_pages(&mut Uploads::default(), &program.graph, phases, LANES, page).unwrap();
    assert!(spans(&paged).all(|span| span.offset + span.len <= page), "a value crosses its page");
    let arenas = |compiled: &Compiled| spans(compiled).map(|span| span.arena).collect::<BTreeSet<_>>().len();
    assert!(arenas(&paged) >= arenas(&whole) + 2, "{} and {} arenas", arenas(&whole), arenas(&paged));
    for device in [CPU, gpu()] {
        let (whole, paged) = (walk(&program, &whole, &device), walk(&program, &paged, &device));
        assert!(whole.iter().any(|x| x.abs() > 0.01));
        assert!(whole.iter().zip(&paged).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", device.info().name);
    }
}

#[test]
fn a_value_larger_than_a_page_keeps_its_arena_whole() {
    let program = program();
    let phases = &program.phases;
    let paged =
        Compiled::in_pages(&mut Uploads::default(), &program.graph, phases, LANES, 2 * ALIGNMENT).unwrap();
    let whole = Compiled::new(&program.graph, phases, LANES).unwrap();
    assert_eq!(walk(&program, &paged, &CPU), walk(&program, &whole, &CPU));
}
