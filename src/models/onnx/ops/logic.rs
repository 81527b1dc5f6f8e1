//! Comparisons, what follows from them, and types.

use std::sync::Arc;

use percuss_kernels::ops::Reduction;

use super::arithmetic::{Relation, at_most, compare};
use super::softmax_axis;
use crate::graph::{Graph, Tensor};
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Data, Kind};
use crate::models::onnx::layout::{Builder, LARGE};
use crate::models::onnx::value::{Built, Refusal, Value, broadcast};

const EQUAL: Relation = Relation { ints: |a, b| a == b, reals: |a, b| a == b, graph: Graph::equal };
const LESS: Relation = Relation { ints: |a, b| a < b, reals: |a, b| a < b, graph: Graph::less };
const AT_MOST: Relation = Relation { ints: |a, b| a <= b, reals: |a, b| a <= b, graph: at_most };
// Truth values are 0 and 1.
const AND: Relation = Relation { ints: |a, b| a & b != 0, reals: |_, _| false, graph: Graph::mul };
const OR: Relation = Relation { ints: |a, b| a | b != 0, reals: |_, _| false, graph: Graph::max };
const XOR: Relation = Relation { ints: |a, b| a != b, reals: |_, _| false, graph: differ };

fn differ(graph: &mut Graph, a: Tensor, b: Tensor) -> Tensor {
    let difference = graph.sub(a, b);
    graph.mul(difference, difference)
}

pub(super) fn equal(builder: &mut Builder, call: &Call) -> Built {
    Ok(vec![compare(builder, call.input(0)?, call.input(1)?, &EQUAL)?])
}

pub(super) fn less(builder: &mut Builder, call: &Call) -> Built {
    Ok(vec![compare(builder, call.input(0)?, call.input(1)?, &LESS)?])
}

pub(super) fn greater(builder: &mut Builder, call: &Call) -> Built {
    Ok(vec![compare(builder, call.input(1)?, call.input(0)?, &LESS)?])
}

pub(super) fn less_or_equal(builder: &mut Builder, call: &Call) -> Built {
    Ok(vec![compare(builder, call.input(0)?, call.input(1)?, &AT_MOST)?])
}

pub(super) fn greater_or_equal(builder: &mut Builder, call: &Call) -> Built {
    Ok(vec![compare(builder, call.input(1)?, call.input(0)?, &AT_MOST)?])
}

pub(super) fn and(builder: &mut Builder, call: &Call) -> Built {
    logical(builder, call, &AND)
}

pub(super) fn or(builder: &mut Builder, call: &Call) -> Built {
    logical(builder, call, &OR)
}

pub(super) fn xor(builder: &mut Builder, call: &Call) -> Built {
    logical(builder, call, &XOR)
}

fn logical(builder: &mut Builder, call: &Call, relation: &Relation) -> Built {
    let (a, b) = (call.input(0)?, call.input(1)?);
    if a.kind() != Kind::Bool || b.kind() != Kind::Bool {
        return Err("operands that are not true or false".into());
    }
    Ok(vec![compare(builder, a, b, relation)?])
}

pub(super) fn not(builder: &mut Builder, call: &Call) -> Built {
    Ok(vec![match call.input(0)? {
        Value::Constant(constant) => {
            let values = constant.as_ints().ok_or("an operand that is not true or false")?;
            let values = values.iter().map(|&value| i64::from(value == 0)).collect();
            Constant { dims: constant.dims.clone(), data: Data::Bool(Arc::new(values)) }.into()
        }
        Value::Traced(traced) => builder
            .each(traced, |graph, x| {
                let one = graph.scalar(1.0);
                graph.sub(one, x)
            })
            .into(),
    }])
}

/// Never: samples are finite, and so are masks here, which `layout` makes large numbers. What else comes of a finite sample is taken to be.
pub(super) fn never(builder: &mut Builder, call: &Call) -> Built {
    let dims = call.input(0)?.dims().to_vec();
    builder.take_room(&dims)?;
    let len = dims.iter().product();
    Ok(vec![Constant { dims, data: Data::Bool(Arc::new(vec![0; len])) }.into()])
}

/// As [`never`], but for a softmax over scores of which all are infinitely low: rows of an attention that are masked as a whole.
pub(super) fn is_nan(builder: &mut Builder, call: &Call) -> Built {
    let (value, name) = (call.input(0)?, call.node.inputs[0]);
    let Some(node) = call.tree.producer(name).filter(|node| (node.domain, node.op) == ("", "Softmax")) else {
        return never(builder, call);
    };
    let softmax = call.of(node);
    let scores = builder.traced(softmax.input(0)?)?;
    let axis = softmax_axis(&softmax, scores.dims.len())?;
    let largest = builder.reduce(Reduction::Max, &scores, &[axis], true)?;
    let mut none = builder.each(&largest, forbidden);
    none.kind = Kind::Bool;
    Ok(vec![builder.expand(&none.into(), value.dims())?])
}

/// Whether the largest score of a row, or what its mask adds, stands for minus infinity.
pub(super) fn forbidden(graph: &mut Graph, largest: Tensor) -> Tensor {
    let low = graph.scalar(-LARGE / 2.0);
    graph.less(largest, low)
}

pub(super) fn select(builder: &mut Builder, call: &Call) -> Built {
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let dims = broadcast(&broadcast(condition.dims(), a.dims())?, b.dims())?;
    if let Some(constant) = condition.constant() {
        let truth = |i: usize| constant.number(i) != 0.0;
        let count = (0..constant.len()).filter(|&i| truth(i)).count();
        if constant.len() > 0 && (count == 0 || count == constant.len()) {
            return Ok(vec![builder.expand(if count == 0 { b } else { a }, &dims)?]);
        }
        if let (Value::Constant(a), Value::Constant(b)) = (a, b) {
            builder.take_room(&dims)?;
            return Ok(vec![
                picked(&constant.broadcast(&dims), &a.broadcast(&dims), &b.broadcast(&dims))?.into(),
            ]);
        }
    }
    let (tensors, order, dims) = builder.align(&[condition, a, b])?;
    let tensor = builder.graph.select(tensors[0], tensors[1], tensors[2]);
    Ok(vec![builder.spread(tensor, order, dims, a.kind()).into()])
}

fn picked(condition: &Constant, a: &Constant, b: &Constant) -> Result<Constant, Refusal> {
    let first = |i: usize| condition.number(i) != 0.0;
    let data = match (&a.data, &b.data) {
        (Data::Float(x), Data::Float(y)) => {
            Data::Float(Arc::new((0..x.len()).map(|i| if first(i) { x[i] } else { y[i] }).collect()))
        }
        (Data::Int(x), Data::Int(y)) => {
            Data::Int(Arc::new((0..x.len()).map(|i| if first(i) { x[i] } else { y[i] }).collect()))
        }
        (Data::Bool(x), Data::Bool(y)) => {
            Data::Bool(Arc::new((0..x.len()).map(|i| if first(i) { x[i] } else { y[i] }).collect()))
        }
        _ => return Err("choices of different types".into()),
    };
    Ok(Constant { dims: a.dims.clone(), data })
}

pub(super) fn cast(builder: &mut Builder, call: &Call) -> Built {
    let kind = match call.int("to", 0)? {
        1 | 10 | 11 | 16 => Kind::Float,
        9 => Kind::Bool,
        2..=7 | 12 | 13 => Kind::Int,
        other => return Err(format!("a cast to type {other}")),
    };
    Ok(vec![as_kind(builder, call.input(0)?, kind)?])
}

pub(super) fn cast_like(builder: &mut Builder, call: &Call) -> Built {
    let kind = call.input(1)?.kind();
    Ok(vec![as_kind(builder, call.input(0)?, kind)?])
}

fn as_kind(builder: &mut Builder, value: &Value, kind: Kind) -> Result<Value, Refusal> {
    match value {
        value if value.kind() == kind => Ok(value.clone()),
        Value::Constant(constant) => {
            builder.take_room(&constant.dims)?;
            let numbers = (0..constant.len()).map(|i| constant.number(i));
            let data = match kind {
                Kind::Float => Data::Float(Arc::new(numbers.map(|number| number as f32).collect())),
                Kind::Int => Data::Int(Arc::new(numbers.map(|number| number as i64).collect())),
                Kind::Bool => Data::Bool(Arc::new(numbers.map(|number| i64::from(number != 0.0)).collect())),
            };
            Ok(Constant { dims: constant.dims.clone(), data }.into())
        }
        Value::Traced(traced) if kind == Kind::Bool => {
            let mut cast = builder.each(traced, |graph, x| {
                let zero = graph.scalar(0.0);
                let none = graph.equal(x, zero);
                let one = graph.scalar(1.0);
                graph.sub(one, none)
            });
            cast.kind = kind;
            Ok(cast.into())
        }
        Value::Traced(traced) if traced.kind == Kind::Float => {
            Err("a cast of what depends on the sample to whole numbers, which has no gradient".into())
        }
        Value::Traced(traced) => {
            let mut cast = traced.clone();
            cast.kind = kind;
            Ok(cast.into())
        }
    }
}
