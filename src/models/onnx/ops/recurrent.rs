//! Recurrent layers, unrolled over their steps.

use std::sync::Arc;

use percuss_kernels::ops::Unary;

use super::convolution::floats;
use crate::graph::Tensor;
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Kind};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, Value, elements};

/// Steps that are unrolled at most.
const STEPS: usize = 4096;

/// The sizes of a layer.
struct Sizes {
    steps: usize,
    batch: usize,
    inputs: usize,
    hidden: usize,
    /// Forwards, backwards or both.
    directions: Vec<bool>,
}

/// One direction's weights, each `[k, n]` as a product wants it.
struct Weights {
    /// `[inputs, gates * hidden]`.
    input: Tensor,
    /// A matrix `[hidden, hidden]` for each gate.
    recurrent: Vec<Tensor>,
    /// For each gate: of the input's part and of the recurrent part.
    bias: Vec<[Tensor; 2]>,
}

/// `z = s(W_z x + R_z h), r = s(W_r x + R_r h), n = tanh(W_n x + r (R_n h))`, `h = (1 - z) n + z h` (Cho et al. 2014).
pub(super) fn gru(builder: &mut Builder, call: &Call) -> Built {
    let sizes = sizes(call, 3, &["Sigmoid", "Tanh"])?;
    let after = call.int("linear_before_reset", 0)? != 0;
    let (x, mut hidden) = (steps(builder, call, &sizes)?, state(builder, call, 5, &sizes)?);
    let mut all = Vec::new();
    let mut last = Vec::new();
    for (direction, &backwards) in sizes.directions.iter().enumerate() {
        let weights = weights(builder, call, &sizes, 3, direction)?;
        let gates = builder.graph.matmul(x, false, weights.input, false);
        let mut h = hidden.remove(0);
        let mut outputs = vec![h; sizes.steps];
        for i in 0..sizes.steps {
            let t = if backwards { sizes.steps - 1 - i } else { i };
            let part =
                |b: &mut Builder, gate: usize| gate_input(b, gates, &sizes, t, gate, weights.bias[gate][0]);
            let [z, r, n] = [0, 1, 2].map(|gate| part(builder, gate));
            let [z, r] = [(z, 0), (r, 1)].map(|(own, gate)| {
                let sum = recurrent(builder, h, &weights, gate);
                let sum = builder.graph.add(own, sum);
                builder.graph.unary(Unary::Sigmoid, sum)
            });
            let graph_n = if after {
                let past = recurrent(builder, h, &weights, 2);
                builder.graph.mul(r, past)
            } else {
                let past = builder.graph.mul(r, h);
                recurrent(builder, past, &weights, 2)
            };
            let graph = &mut builder.graph;
            let sum = graph.add(n, graph_n);
            let n = graph.unary(Unary::Tanh, sum);
            // (1 - z) n + z h
            let step = graph.sub(h, n);
            let step = graph.mul(z, step);
            h = graph.add(n, step);
            outputs[t] = h;
        }
        all.push(outputs);
        last.push(h);
    }
    Ok(vec![sequence(builder, &all, &sizes), final_state(builder, &last, &sizes)])
}

/// `i, o, f = s(W x + R h)`, `c = f c + i tanh(W_c x + R_c h)`, `h = o tanh(c)` (Hochreiter & Schmidhuber 1997, Gers et al. 2000).
pub(super) fn lstm(builder: &mut Builder, call: &Call) -> Built {
    let sizes = sizes(call, 4, &["Sigmoid", "Tanh", "Tanh"])?;
    if call.optional(7).is_some() || call.int("input_forget", 0)? != 0 {
        return Err("peepholes, or an input gate tied to the forget gate".into());
    }
    let x = steps(builder, call, &sizes)?;
    let (mut hidden, mut cells) = (state(builder, call, 5, &sizes)?, state(builder, call, 6, &sizes)?);
    let (mut all, mut last, mut last_cells) = (Vec::new(), Vec::new(), Vec::new());
    for (direction, &backwards) in sizes.directions.iter().enumerate() {
        let weights = weights(builder, call, &sizes, 4, direction)?;
        let gates = builder.graph.matmul(x, false, weights.input, false);
        let (mut h, mut c) = (hidden.remove(0), cells.remove(0));
        let mut outputs = vec![h; sizes.steps];
        for k in 0..sizes.steps {
            let t = if backwards { sizes.steps - 1 - k } else { k };
            let [i, o, f, n] = [0, 1, 2, 3].map(|gate| {
                let own = gate_input(builder, gates, &sizes, t, gate, weights.bias[gate][0]);
                let past = recurrent(builder, h, &weights, gate);
                let sum = builder.graph.add(own, past);
                builder.graph.unary(if gate == 3 { Unary::Tanh } else { Unary::Sigmoid }, sum)
            });
            let graph = &mut builder.graph;
            let kept = graph.mul(f, c);
            let new = graph.mul(i, n);
            c = graph.add(kept, new);
            let said = graph.unary(Unary::Tanh, c);
            h = graph.mul(o, said);
            outputs[t] = h;
        }
        all.push(outputs);
        last.push(h);
        last_cells.push(c);
    }
    let cells = final_state(builder, &last_cells, &sizes);
    Ok(vec![sequence(builder, &all, &sizes), final_state(builder, &last, &sizes), cells])
}

/// The sizes of a layer whose attributes are what frameworks write.
fn sizes(call: &Call, gates: usize, functions: &[&str]) -> Result<Sizes, Refusal> {
    let directions = match call.text("direction", "forward")? {
        "forward" => vec![false],
        "reverse" => vec![true],
        "bidirectional" => vec![false, true],
        other => return Err(format!("direction {other:?}")),
    };
    let wanted = functions.repeat(directions.len());
    if call.texts("activations")?.is_some_and(|given| given != wanted) {
        return Err("activations of another kind".into());
    }
    if call.float("clip", 0.0)? != 0.0 || call.int("layout", 0)? != 0 {
        return Err("clip or layout".into());
    }
    let dims = call.input(0)?.dims();
    let &[steps, batch, inputs] = dims else {
        return Err(format!(
            "a series of shape {dims:?}, where steps, batch and values are expected: is the input as long as the network wants it?"
        ));
    };
    // Lengths of the series are only given by exports where all are whole.
    if let Some(lengths) = call.ints_input(4, "lengths of series")?
        && lengths.iter().any(|&length| length != steps as i64)
    {
        return Err(format!("series of lengths {lengths:?}"));
    }
    let hidden = usize::try_from(call.int("hidden_size", 0)?).unwrap_or(0);
    let (w, r) = (call.constant(1, "weights")?, call.constant(2, "weights")?);
    let rows = gates.checked_mul(hidden).ok_or("too large a layer")?;
    if hidden == 0 || w.dims != [directions.len(), rows, inputs] || r.dims != [directions.len(), rows, hidden]
    {
        return Err(format!("weights of shapes {:?} and {:?}", w.dims, r.dims));
    }
    if steps == 0 || steps > STEPS || batch != 1 {
        return Err(format!("{steps} steps of {batch} series: at most {STEPS}, of one"));
    }
    elements(&[steps, directions.len(), rows])?;
    Ok(Sizes { steps, batch, inputs, hidden, directions })
}

/// All steps `[steps, inputs]`.
fn steps(builder: &mut Builder, call: &Call, sizes: &Sizes) -> Result<Tensor, Refusal> {
    let x = builder.traced(call.input(0)?)?;
    let x = builder.natural(&x)?;
    let x = builder.with_lanes(x);
    Ok(builder.graph.reshape(x, &[sizes.steps, sizes.inputs]))
}

/// Each direction's first state `[1, hidden]`: zeros where none is given.
fn state(builder: &mut Builder, call: &Call, i: usize, sizes: &Sizes) -> Result<Vec<Tensor>, Refusal> {
    let count = sizes.directions.len();
    let dims = [count, sizes.batch, sizes.hidden];
    let value = match call.optional(i) {
        Some(value) => value.clone(),
        None => Constant::floats(&dims, vec![0.0; count * sizes.hidden]).into(),
    };
    if value.dims() != dims {
        return Err(format!("a first state of shape {:?}", value.dims()));
    }
    let traced = builder.traced(&value)?;
    let whole = builder.natural(&traced)?;
    let whole = builder.graph.reshape(whole, &[count, sizes.hidden]);
    Ok((0..count)
        .map(|direction| {
            let one = builder.graph.slice(whole, 0, direction..direction + 1);
            builder.with_lanes(one)
        })
        .collect())
}

fn weights(
    builder: &mut Builder,
    call: &Call,
    sizes: &Sizes,
    gates: usize,
    direction: usize,
) -> Result<Weights, Refusal> {
    let (w, r) = (call.constant(1, "weights")?, call.constant(2, "weights")?);
    let (w, r) = (floats(w, w.len())?, floats(r, r.len())?);
    let (hidden, rows) = (sizes.hidden, gates * sizes.hidden);
    // [rows, k] to [k, rows].
    let turned = |values: &[f32], k: usize, rows: usize| -> Vec<f32> {
        (0..k).flat_map(|i| (0..rows).map(move |row| values[row * k + i])).collect()
    };
    let upload = |builder: &mut Builder, values: Vec<f32>, dims: &[usize]| {
        builder.graph.constant(&Arc::new(values), dims)
    };
    let own = &w[direction * rows * sizes.inputs..][..rows * sizes.inputs];
    let input = upload(builder, turned(own, sizes.inputs, rows), &[sizes.inputs, rows]);
    let recurrent = (0..gates)
        .map(|gate| {
            let own = &r[(direction * rows + gate * hidden) * hidden..][..hidden * hidden];
            upload(builder, turned(own, hidden, hidden), &[hidden, hidden])
        })
        .collect();
    let bias = match call.optional(3) {
        Some(_) => floats(call.constant(3, "biases")?, sizes.directions.len() * 2 * rows)?,
        None => Arc::new(vec![0.0; sizes.directions.len() * 2 * rows]),
    };
    let bias = (0..gates)
        .map(|gate| {
            [0, 1].map(|part| {
                let start = direction * 2 * rows + part * rows + gate * hidden;
                upload(builder, bias[start..start + hidden].to_vec(), &[hidden])
            })
        })
        .collect();
    Ok(Weights { input, recurrent, bias })
}

/// What the input of step `t` says to a gate `[1, hidden]`.
fn gate_input(
    builder: &mut Builder,
    gates: Tensor,
    sizes: &Sizes,
    t: usize,
    gate: usize,
    bias: Tensor,
) -> Tensor {
    let step = builder.graph.slice(gates, 0, t..t + 1);
    let own = builder.graph.slice(step, 1, gate * sizes.hidden..(gate + 1) * sizes.hidden);
    builder.graph.add(own, bias)
}

fn recurrent(builder: &mut Builder, h: Tensor, weights: &Weights, gate: usize) -> Tensor {
    let product = builder.graph.matmul(h, false, weights.recurrent[gate], false);
    builder.graph.add(product, weights.bias[gate][1])
}

/// `[steps, directions, 1, hidden]`.
fn sequence(builder: &mut Builder, all: &[Vec<Tensor>], sizes: &Sizes) -> Value {
    let rows: Vec<Tensor> =
        (0..sizes.steps).flat_map(|t| all.iter().map(move |outputs| outputs[t])).collect();
    let tensor = if rows.len() == 1 { rows[0] } else { builder.graph.concat(&rows, 0) };
    shaped(builder, tensor, &[sizes.steps, sizes.directions.len(), 1, sizes.hidden])
}

/// `[directions, 1, hidden]`.
fn final_state(builder: &mut Builder, last: &[Tensor], sizes: &Sizes) -> Value {
    let tensor = if last.len() == 1 { last[0] } else { builder.graph.concat(last, 0) };
    shaped(builder, tensor, &[last.len(), 1, sizes.hidden])
}

fn shaped(builder: &mut Builder, tensor: Tensor, dims: &[usize]) -> Value {
    let tensor = builder.graph.reshape(tensor, dims);
    Traced { tensor, dims: dims.to_vec(), order: (0..dims.len()).collect(), kind: Kind::Float }.into()
}
