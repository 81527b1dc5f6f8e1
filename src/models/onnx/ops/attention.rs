//! Attention that is written as products and a softmax, recognised: `softmax(q k^T scale + mask) v` of several heads.

use percuss_kernels::ops::Reduction;

use super::logic::forbidden;
use super::softmax_axis;
use crate::graph::Tensor;
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Kind};
use crate::models::onnx::layout::{Builder, LARGE};
use crate::models::onnx::proto::NodeProto;
use crate::models::onnx::value::{Refusal, Traced, Value};

/// The scores under a softmax: their factors, what scales them, what is added.
struct Scores<'a> {
    query: &'a str,
    key: &'a str,
    scale: f32,
    mask: Option<&'a str>,
    /// Whether rows that the mask forbids as a whole are 0: PyTorch's guard around a softmax over a mask of infinities.
    guarded: bool,
}

/// The attention that ends in this product, if it is one.
///
/// Heads are batch axes: `q [n, heads, queries, d]`, `k^T [n, heads, d, keys]`, `v [n, heads, keys, d]`.
pub(super) fn recognised(builder: &mut Builder, call: &Call) -> Result<Option<Value>, Refusal> {
    let Some(scores) = scores(call) else { return Ok(None) };
    let value = |name: &str| call.tree.values.get(name).cloned();
    let (Some(q), Some(k)) = (value(scores.query), value(scores.key)) else { return Ok(None) };
    let mask = match scores.mask.map(value) {
        None => None,
        Some(Some(mask)) => Some(mask),
        Some(None) => return Ok(None),
    };
    of_heads(builder, &q, &k, call.input(1)?, scores.scale, mask.as_ref(), scores.guarded)
}

/// `softmax(q k scale + mask) v` with heads as batch axes: `q [n, heads, queries, d]`, `k [n, heads, d, keys]`, `v [n, heads, keys, d]`; rows that
/// the mask forbids as a whole are 0 if `guarded`. `None` where the kernel for it has another shape or mask.
pub(super) fn of_heads(
    builder: &mut Builder,
    q: &Value,
    k: &Value,
    v: &Value,
    scale: f32,
    mask: Option<&Value>,
    guarded: bool,
) -> Result<Option<Value>, Refusal> {
    let (Value::Traced(q), Value::Traced(k), Value::Traced(v)) = (q, k, v) else { return Ok(None) };
    let ([n, heads, queries, d], [_, _, _, keys]) = (&q.dims[..], &k.dims[..]) else { return Ok(None) };
    let fits = k.dims == [*n, *heads, *d, *keys] && v.dims == [*n, *heads, *keys, *d];
    // Nor has a mask a gradient.
    let fixed = match mask {
        Some(Value::Traced(mask)) => !builder.moves(mask.tensor),
        _ => true,
    };
    let shared = mask.is_none_or(|mask| is_shared(mask, [*n, *queries, *keys]));
    if !(fits && shared && fixed) {
        return Ok(None);
    }
    let dims = vec![*n, *heads, *queries, *d];
    let [n, heads, queries, keys, d] = [*n, *heads, *queries, *keys, *d];
    // Tokens first, so that a linear layer's result is an operand as it lies.
    let tokens = |builder: &mut Builder, x: &Traced, order: &[usize], count: usize| {
        let x = builder.arrange(x, order)?;
        Ok::<Tensor, Refusal>(builder.graph.reshape(x, &[n, count, heads, d]))
    };
    let q = tokens(builder, q, &[0, 2, 1, 3], queries)?;
    let k = tokens(builder, k, &[0, 3, 1, 2], keys)?;
    let v = tokens(builder, v, &[0, 2, 1, 3], keys)?;
    let tensor = match mask {
        None => builder.graph.attention(q, k, v, None, scale),
        Some(value) => {
            let mask = without_heads(builder, value, n)?;
            let seen = builder.graph.attention(q, k, v, Some(mask), scale);
            if guarded && forbids_rows(value) { emptied(builder, seen, mask) } else { seen }
        }
    };
    Ok(Some(Traced { tensor, dims, order: vec![0, 2, 1, 3], kind: Kind::Float }.into()))
}

/// Whether a mask is one that all heads share: `[.., 1, queries | 1, keys]`, before that the images of the batch or 1.
fn is_shared(mask: &Value, [n, queries, keys]: [usize; 3]) -> bool {
    let lead = match mask {
        // The kernel has a mask for each image, or one for all that is the same in all lanes.
        Value::Traced(_) => [n, n],
        Value::Constant(_) => [1, n],
    };
    match *mask.dims() {
        [columns] => columns == keys && lead.contains(&1),
        [rows, columns] | [1, rows, columns] => {
            columns == keys && [1, queries].contains(&rows) && lead.contains(&1)
        }
        [images, 1, rows, columns] => {
            columns == keys && [1, queries].contains(&rows) && lead.contains(&images)
        }
        _ => false,
    }
}

/// Such a mask without the heads' axis: shared by all images and lanes `[queries | 1, keys]`, or `[n, queries | 1, keys]`.
fn without_heads(builder: &mut Builder, mask: &Value, n: usize) -> Result<Tensor, Refusal> {
    let dims = mask.dims();
    let [rows, columns] = [dims.len().checked_sub(2).map_or(1, |at| dims[at]), dims[dims.len() - 1]];
    let one = [rows, columns];
    let each = [n, rows, columns];
    Ok(match mask {
        Value::Constant(constant) if constant.len() == rows * columns => {
            builder.lift(&constant.with_dims(one.to_vec()), &[0, 1], false)
        }
        Value::Constant(constant) => builder.lift(&constant.with_dims(each.to_vec()), &[0, 1, 2], false),
        Value::Traced(traced) => {
            let x = builder.natural(traced)?;
            let x = builder.with_lanes(x);
            builder.graph.reshape(x, &each)
        }
    })
}

/// Whether a mask may forbid all keys to a query; one that is known says whether it does.
fn forbids_rows(mask: &Value) -> bool {
    let Some(constant) = mask.constant() else { return true };
    let keys = mask.dims().last().copied().unwrap_or(1).max(1);
    let low = |i: usize| constant.number(i) < f64::from(-LARGE / 2.0);
    (0..constant.len() / keys).any(|row| (row * keys..(row + 1) * keys).all(low))
}

/// What queries `[n, queries, heads, d]` saw, 0 where the mask forbids all keys to them.
fn emptied(builder: &mut Builder, seen: Tensor, mask: Tensor) -> Tensor {
    let graph = &mut builder.graph;
    let last = graph.dims(mask).len() - 1;
    let largest = graph.reduce(Reduction::Max, mask, last..last + 1);
    let none = forbidden(graph, largest);
    let wide = [graph.dims(none), &[1, 1]].concat();
    let none = graph.reshape(none, &wide);
    let zero = graph.scalar(0.0);
    graph.select(none, zero, seen)
}

/// The scores, if the first factor is a softmax of them over the last axis that nobody else reads.
fn scores<'a>(call: &Call<'_, 'a, '_>) -> Option<Scores<'a>> {
    let tree = call.tree;
    let mut name = *call.node.inputs.first()?;
    let mut node = tree.producer(name)?;
    let mut guarded = false;
    if node.op == "Where" {
        let [condition, other, own] = node.inputs[..] else { return None };
        let asked = tree.producer(condition)?;
        let nothing = tree.values.get(other)?.constant()?.single() == Some(0.0);
        guarded = asked.op == "IsNaN" && asked.inputs[..] == [own] && nothing;
        if !guarded {
            return None;
        }
        name = own;
        node = tree.producer(name)?;
    }
    if node.op != "Softmax" || !last_axis(node, call) {
        return None;
    }
    let mut name = *node.inputs.first()?;
    let mut node = tree.producer(name)?;
    let mut mask = None;
    if node.op == "Add" {
        let [a, b] = node.inputs[..] else { return None };
        let scored =
            |name: &str| tree.producer(name).is_some_and(|node| matches!(node.op, "MatMul" | "Mul" | "Div"));
        let (own, other) = if scored(a) && product_below(call, a).is_some() { (a, b) } else { (b, a) };
        (name, mask) = (own, Some(other));
        node = tree.producer(name)?;
    }
    let mut scale = 1.0;
    if matches!(node.op, "Mul" | "Div") {
        let single = |name: &str| tree.values.get(name).and_then(Value::constant).and_then(Constant::single);
        let (factor, rest) = match (single(node.inputs.first()?), single(node.inputs.get(1)?)) {
            (_, Some(factor)) => (factor, node.inputs[0]),
            (Some(factor), None) if node.op == "Mul" => (factor, node.inputs[1]),
            _ => return None,
        };
        scale = if node.op == "Mul" { factor } else { 1.0 / factor };
        node = tree.producer(rest)?;
    }
    if node.op != "MatMul" || !scale.is_finite() {
        return None;
    }
    let [query, key] = node.inputs[..] else { return None };
    Some(Scores { query, key, scale: scale as f32, mask, guarded })
}

/// The product that a scaled product is made of.
fn product_below<'a, 'm>(call: &Call<'_, 'a, 'm>, name: &str) -> Option<&'m NodeProto<'a>> {
    let node = call.tree.producer(name)?;
    match node.op {
        "MatMul" => Some(node),
        "Mul" | "Div" => {
            node.inputs.iter().find_map(|input| call.tree.producer(input).filter(|node| node.op == "MatMul"))
        }
        _ => None,
    }
}

/// Whether a softmax is one over the last axis.
fn last_axis<'a>(node: &NodeProto<'a>, call: &Call<'_, 'a, '_>) -> bool {
    let Some(rank) = node.outputs.first().and_then(|name| call.tree.values.get(*name)).map(Value::rank)
    else {
        return false;
    };
    softmax_axis(&call.of(node), rank).is_ok_and(|axis| axis + 1 == rank)
}
