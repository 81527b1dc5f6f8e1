//! Runs one op on a device, its operands between gaps of NaN, and compares.

use std::sync::Arc;

use percuss_kernels::ops::Operation;
use percuss_kernels::{ALIGNMENT, Arena, Device, Launch, Precision, ProgramSpec, Span};

use crate::reference::Value;

/// Elements of NaN before, between and after operands.
const GAP: usize = ALIGNMENT;

/// Places operands of these lengths one after another with gaps between; the spans and the arena's length.
pub fn place(arena: usize, lens: &[usize]) -> (Vec<Span>, usize) {
    let mut offset = GAP;
    let mut spans = Vec::new();
    for &len in lens {
        spans.push(Span { arena, offset, len });
        offset += len.next_multiple_of(ALIGNMENT) + GAP;
    }
    (spans, offset)
}

/// Runs an op twice with operands between gaps of NaN and gives its outputs.
///
/// # Panics
/// If the device fails, the gaps are touched, or the second run differs from the first in a single bit. With `constant`, input 1
/// (the weights, where an op has some) lies in a shared arena.
pub fn run(
    device: &Device,
    op: Arc<dyn Operation>,
    inputs: &[Vec<f32>],
    constant: bool,
    threads: usize,
) -> Vec<Vec<f32>> {
    run_in(Precision::F32, device, op, inputs, constant, threads)
}

/// As [`run`], in a precision.
pub fn run_in(
    precision: Precision,
    device: &Device,
    op: Arc<dyn Operation>,
    inputs: &[Vec<f32>],
    constant: bool,
    threads: usize,
) -> Vec<Vec<f32>> {
    let name = format!("{op:?}");
    let outputs = op.output_lens();
    let lens: Vec<usize> = inputs.iter().map(Vec::len).chain(outputs.iter().copied()).collect();
    let (mut spans, len) = place(0, &lens);
    let (shared_spans, shared_len) = place(1, &lens[1..2]);
    let mut arenas = vec![Arena::Private(len)];
    let mut shared = Vec::new();
    if constant {
        let mut data = vec![f32::NAN; shared_len];
        data[shared_spans[0].offset..][..inputs[1].len()].copy_from_slice(&inputs[1]);
        shared.push(device.upload(&data).unwrap());
        arenas.push(Arena::Shared(0, shared_len));
        spans[1] = shared_spans[0];
    }
    let (input_spans, output_spans) = spans.split_at(inputs.len());
    let launch = Launch { op, inputs: input_spans.to_vec(), outputs: output_spans.to_vec() };
    let spec = ProgramSpec { arenas, phases: vec![vec![launch]], precision };
    let mut program = device.program(&spec, &shared, threads).unwrap();
    let whole = Span { arena: 0, offset: 0, len };
    let mut before = vec![f32::NAN; len];
    for (span, input) in input_spans.iter().zip(inputs).filter(|(span, _)| span.arena == 0) {
        before[span.offset..span.offset + span.len].copy_from_slice(input);
    }
    program.write(whole, &before).unwrap();
    let mut after = vec![0.0; len];
    program.run(0, 1).unwrap();
    program.read(whole, &mut after).unwrap();
    let mut again = vec![0.0; len];
    program.run(0, 1).unwrap();
    program.read(whole, &mut again).unwrap();
    assert!(bits(&after) == bits(&again), "{name}: a second run differs");
    for (i, (old, new)) in before.iter().zip(&after).enumerate() {
        let written = output_spans.iter().any(|span| (span.offset..span.offset + span.len).contains(&i));
        assert!(
            written || old.to_bits() == new.to_bits() || (old.is_nan() && new.is_nan()),
            "{name}: element {i} was touched"
        );
    }
    output_spans.iter().map(|span| after[span.offset..span.offset + span.len].to_vec()).collect()
}

/// Runs a pointwise op whose first output overwrites its first input, and its other outputs beside.
pub fn run_in_place(device: &Device, op: Arc<dyn Operation>, inputs: &[Vec<f32>]) -> Vec<Vec<f32>> {
    let outputs = op.output_lens();
    let lens: Vec<usize> = inputs.iter().map(Vec::len).chain(outputs[1..].iter().copied()).collect();
    let (spans, len) = place(0, &lens);
    let (input_spans, rest) = spans.split_at(inputs.len());
    let output_spans = [&spans[..1], rest].concat();
    let launch = Launch { op, inputs: input_spans.to_vec(), outputs: output_spans.clone() };
    let spec = ProgramSpec {
        arenas: vec![Arena::Private(len)],
        phases: vec![vec![launch]],
        ..ProgramSpec::default()
    };
    let mut program = device.program(&spec, &[], 1).unwrap();
    for (span, input) in input_spans.iter().zip(inputs) {
        program.write(*span, input).unwrap();
    }
    program.run(0, 1).unwrap();
    let read = |span: &Span| {
        let mut y = vec![0.0; span.len];
        program.read(*span, &mut y).unwrap();
        y
    };
    output_spans.iter().map(read).collect()
}

pub fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Fails with the worst element if any is further off than `slack` times its bound.
pub fn compare(name: &str, found: &[Vec<f32>], expected: &[Vec<Value>], slack: f64) {
    assert_eq!(found.len(), expected.len(), "{name}: outputs");
    for (output, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.len(), expected.len(), "{name}: length of output {output}");
        for (i, (&found, value)) in found.iter().zip(expected).enumerate() {
            let error = (f64::from(found) - value.exact).abs();
            let same = f64::from(found) == value.exact || (found.is_nan() && value.exact.is_nan());
            assert!(
                same || error <= slack * value.bound,
                "{name}: output {output}, element {i}: {found}, expected {} within {:e}",
                value.exact,
                slack * value.bound
            );
        }
    }
}
