//! Attention that is written as products and a softmax, recognised: `softmax(q k^T scale + mask) v` of several heads.

use crate::models::onnx::call::Call;
use crate::models::onnx::constant::Constant;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::proto::{AttributeValue, NodeProto};
use crate::models::onnx::value::{Refusal, Traced, Value, axis_of};

/// The scores under a softmax: their factors, what scales them, what is added.
struct Scores<'a> {
    query: &'a str,
    key: &'a str,
    scale: f32,
    mask: Option<&'a str>,
}

/// The attention that ends in this product, if it is one.
///
/// Heads are batch axes: `q [n, heads, queries, d]`, `k^T [n, heads, d, keys]`, `v [n, heads, keys, d]`.
pub(super) fn recognised(builder: &mut Builder, call: &Call) -> Result<Option<Value>, Refusal> {
    let Some(scores) = scores(call) else { return Ok(None) };
    let value = |name: &str| call.tree.values.get(name).cloned();
    let (Some(q), Some(k)) = (value(scores.query), value(scores.key)) else { return Ok(None) };
    let (Value::Traced(q), Value::Traced(k), Value::Traced(v)) = (&q, &k, call.input(1)?) else {
        return Ok(None);
    };
    let ([n, heads, queries, d], [_, _, _, keys]) = (&q.dims[..], &k.dims[..]) else { return Ok(None) };
    let fits = k.dims == [*n, *heads, *d, *keys] && v.dims == [*n, *heads, *keys, *d];
    let mask = match scores.mask.map(value) {
        None => None,
        Some(Some(mask)) if mask.rank() <= 4 => Some(mask),
        Some(_) => return Ok(None),
    };
    // A mask that differs between heads is another matter.
    let shared = mask.as_ref().is_none_or(|mask| {
        let dims = mask.dims();
        mask.rank() < 3 || dims[mask.rank() - 3] == 1
    });
    // Nor has a mask a gradient.
    let fixed = match &mask {
        Some(Value::Traced(mask)) => !builder.moves(mask.tensor),
        _ => true,
    };
    if !(fits && shared && fixed) {
        return Ok(None);
    }
    let dims = vec![*n, *heads, *queries, *d];
    let [n, heads, queries, keys, d] = [*n, *heads, *queries, *keys, *d];
    // Tokens first, so that a linear layer's result is an operand as it lies.
    let tokens = |builder: &mut Builder, x: &Traced, order: &[usize], count: usize| {
        let x = builder.arrange(x, order);
        builder.graph.reshape(x, &[n, count, heads, d])
    };
    let q = tokens(builder, q, &[0, 2, 1, 3], queries);
    let k = tokens(builder, k, &[0, 3, 1, 2], keys);
    let v = tokens(builder, v, &[0, 2, 1, 3], keys);
    let mask = match mask {
        None => None,
        Some(mask) => Some(one_mask(builder, &mask, [n, queries, keys])?),
    };
    let tensor = builder.graph.attention(q, k, v, mask, scores.scale);
    Ok(Some(
        Traced { tensor, dims, order: vec![0, 2, 1, 3], kind: crate::models::onnx::constant::Kind::Float }
            .into(),
    ))
}

/// A mask of `[.., queries | 1, keys]` without heads: shared by all lanes `[queries, keys]`, or `[n, queries | 1, keys]`.
fn one_mask(
    builder: &mut Builder,
    mask: &Value,
    [n, queries, keys]: [usize; 3],
) -> Result<crate::graph::Tensor, Refusal> {
    match mask {
        Value::Constant(constant) => {
            let own: Vec<usize> =
                constant.dims.iter().copied().skip(constant.dims.len().saturating_sub(2)).collect();
            if constant.len() != own.iter().product::<usize>() {
                return Err(format!("a mask of shape {:?}", constant.dims));
            }
            let whole = constant.with_dims(own).broadcast(&[queries, keys]);
            Ok(builder.lift(&whole, &[0, 1], false))
        }
        Value::Traced(traced) => {
            let rank = traced.dims.len();
            let x = builder.natural(traced);
            let rows = if rank < 2 { 1 } else { traced.dims[rank - 2] };
            let columns = traced.dims.last().copied().unwrap_or(1);
            if columns != keys {
                return Err(format!("a mask of shape {:?}", traced.dims));
            }
            let own: usize = traced.dims.iter().product::<usize>() / (rows * columns);
            if own != n {
                return Err(format!("a mask of shape {:?}", traced.dims));
            }
            let x = builder.with_lanes(x);
            Ok(builder.graph.reshape(x, &[n, rows, columns]))
        }
    }
}

/// The scores, if the first factor is a softmax of them over the last axis that nobody else reads.
fn scores<'a>(call: &Call<'_, 'a, '_>) -> Option<Scores<'a>> {
    let tree = call.tree;
    let mut name = *call.node.inputs.first()?;
    // Rows that are masked as a whole are 0 in some exports; here every row is finite.
    let mut node = tree.producer(name)?;
    if node.op == "Where" {
        let condition = tree.values.get(*node.inputs.first()?)?.constant()?;
        if (0..condition.len()).any(|i| condition.number(i) != 0.0) {
            return None;
        }
        name = node.inputs.get(2)?;
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
    Some(Scores { query, key, scale: scale as f32, mask })
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

fn last_axis(node: &NodeProto, call: &Call) -> bool {
    let axis =
        node.attributes.iter().find(|attribute| attribute.name == "axis").map(|attribute| &attribute.value);
    let rank = node.outputs.first().and_then(|name| call.tree.values.get(*name)).map_or(0, Value::rank);
    match axis {
        None => call.opset >= 13,
        Some(AttributeValue::Int(axis)) => axis_of(*axis, rank).is_ok_and(|axis| axis + 1 == rank),
        Some(_) => false,
    }
}
