//! Sums, products and their kin, of any number of operands.

use std::sync::Arc;

use percuss_kernels::ops::{Binary, Unary};

use crate::graph::{Graph, Tensor};
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Data, Kind};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Value, broadcast};

/// A function of two constants' numbers: of reals, and of whole numbers where there is a result.
#[derive(Clone, Copy)]
struct Host {
    float: fn(f64, f64) -> f64,
    int: fn(i64, i64) -> Option<i64>,
}

/// The same, and the function in the graph.
struct Function {
    host: Host,
    graph: fn(&mut Graph, Tensor, Tensor) -> Tensor,
}

const ADD: Function =
    Function { host: Host { float: |a, b| a + b, int: i64::checked_add }, graph: Graph::add };
const SUB: Function =
    Function { host: Host { float: |a, b| a - b, int: i64::checked_sub }, graph: Graph::sub };
const MUL: Function =
    Function { host: Host { float: |a, b| a * b, int: i64::checked_mul }, graph: Graph::mul };
const DIV: Function =
    Function { host: Host { float: |a, b| a / b, int: i64::checked_div }, graph: Graph::div };
const MAX: Function =
    Function { host: Host { float: f64::max, int: |a, b| Some(a.max(b)) }, graph: Graph::max };
const MIN: Function =
    Function { host: Host { float: f64::min, int: |a, b| Some(a.min(b)) }, graph: Graph::min };

pub(super) fn add(builder: &mut Builder, call: &Call) -> Built {
    binary(builder, call, &ADD)
}

pub(super) fn sub(builder: &mut Builder, call: &Call) -> Built {
    binary(builder, call, &SUB)
}

pub(super) fn mul(builder: &mut Builder, call: &Call) -> Built {
    binary(builder, call, &MUL)
}

pub(super) fn div(builder: &mut Builder, call: &Call) -> Built {
    let whole = call.input(0)?.kind() != Kind::Float;
    if whole && (call.input(0)?.constant().is_none() || call.input(1)?.constant().is_none()) {
        return Err("a quotient of whole numbers that depend on the sample".into());
    }
    binary(builder, call, &DIV)
}

pub(super) fn max(builder: &mut Builder, call: &Call) -> Built {
    many(builder, call, &MAX)
}

pub(super) fn min(builder: &mut Builder, call: &Call) -> Built {
    many(builder, call, &MIN)
}

pub(super) fn sum(builder: &mut Builder, call: &Call) -> Built {
    many(builder, call, &ADD)
}

pub(super) fn mean(builder: &mut Builder, call: &Call) -> Built {
    let count = Value::from(Constant::floats(&[], vec![call.inputs.len() as f32]));
    let sum = many(builder, call, &ADD)?;
    Ok(vec![apply(builder, &sum[0], &count, &DIV)?])
}

pub(super) fn modulo(builder: &mut Builder, call: &Call) -> Built {
    let [a, b] = [call.constant(0, "operands")?, call.constant(1, "operands")?];
    let truncated = call.int("fmod", 0)? == 1;
    let remainder =
        Host { float: |a, b| a % b, int: if truncated { i64::checked_rem } else { i64::checked_rem_euclid } };
    // With a negative divisor the result has its sign.
    if !truncated && b.as_ints().is_none_or(|values| values.iter().any(|value| *value <= 0)) {
        return Err("a remainder by what is not positive".into());
    }
    Ok(vec![constants(builder, a, b, remainder)?.into()])
}

pub(super) fn pow(builder: &mut Builder, call: &Call) -> Built {
    let (x, y) = (call.input(0)?, call.input(1)?);
    let base = match (x, y) {
        (Value::Constant(x), Value::Constant(y)) => {
            let power = Host { float: f64::powf, int: |a, b| a.checked_pow(u32::try_from(b).ok()?) };
            // The result is of the base's type.
            let y = if x.kind() == Kind::Float { reals(y) } else { y.clone() };
            return Ok(vec![constants(builder, x, &y, power)?.into()]);
        }
        (Value::Traced(base), _) => base.clone(),
        _ => return Err("an exponent that depends on the sample".into()),
    };
    let exponents = y.constant().ok_or("an exponent that depends on the sample")?;
    let exponent = exponents.single().ok_or("exponents that differ from element to element")?;
    if exponents.dims.len() > base.dims.len() {
        return Err("an exponent of more axes than its base".into());
    }
    let power = builder.each(&base, |graph, x| power(graph, x, exponent));
    Ok(vec![power.into()])
}

fn power(graph: &mut Graph, x: Tensor, exponent: f64) -> Tensor {
    if exponent < 0.0 {
        let positive = power(graph, x, -exponent);
        let one = graph.scalar(1.0);
        return graph.div(one, positive);
    }
    if exponent == 0.5 {
        return graph.unary(Unary::Sqrt, x);
    }
    if exponent == 0.0 {
        let nothing = graph.scale(x, 0.0);
        return graph.shift(nothing, 1.0);
    }
    if exponent.fract() != 0.0 {
        let log = graph.unary(Unary::Log, x);
        let scaled = graph.scale(log, exponent as f32);
        return graph.unary(Unary::Exp, scaled);
    }
    // A whole power, of negative numbers too: squares of squares, those that the exponent's bits ask for multiplied.
    let (mut rest, mut square, mut result) = (exponent as u64, x, None);
    loop {
        if rest & 1 == 1 {
            result = Some(result.map_or(square, |result| graph.mul(result, square)));
        }
        rest /= 2;
        if rest == 0 {
            return result.unwrap_or(x);
        }
        square = graph.mul(square, square);
    }
}

fn reals(constant: &Constant) -> Constant {
    let values = (0..constant.len()).map(|i| constant.number(i) as f32).collect();
    Constant::floats(&constant.dims, values)
}

fn binary(builder: &mut Builder, call: &Call, function: &Function) -> Built {
    Ok(vec![apply(builder, call.input(0)?, call.input(1)?, function)?])
}

fn many(builder: &mut Builder, call: &Call, function: &Function) -> Built {
    let mut result = call.input(0)?.clone();
    for i in 1..call.inputs.len() {
        result = apply(builder, &result, call.input(i)?, function)?;
    }
    Ok(vec![result])
}

fn apply(builder: &mut Builder, a: &Value, b: &Value, function: &Function) -> Result<Value, Refusal> {
    if let (Value::Constant(a), Value::Constant(b)) = (a, b) {
        return Ok(constants(builder, a, b, function.host)?.into());
    }
    let (tensors, order, dims) = builder.align(&[a, b])?;
    let tensor = (function.graph)(&mut builder.graph, tensors[0], tensors[1]);
    Ok(builder.spread(tensor, order, dims, a.kind()).into())
}

/// A function of two constants.
fn constants(builder: &mut Builder, a: &Constant, b: &Constant, host: Host) -> Result<Constant, Refusal> {
    let [a, b] = together(builder, a, b)?;
    let data = match (a.as_ints(), b.as_ints()) {
        (Some(x), Some(y)) => {
            let values: Option<Vec<i64>> = x.iter().zip(y).map(|(&x, &y)| (host.int)(x, y)).collect();
            Data::Int(Arc::new(values.ok_or("whole numbers without a result")?))
        }
        (None, None) => {
            let values = (0..a.len()).map(|i| (host.float)(a.number(i), b.number(i)) as f32).collect();
            Data::Float(Arc::new(values))
        }
        _ => return Err("a real and a whole number".into()),
    };
    Ok(Constant { dims: a.dims, data })
}

/// Two constants broadcast to one shape.
fn together(builder: &mut Builder, a: &Constant, b: &Constant) -> Result<[Constant; 2], Refusal> {
    let dims = broadcast(&a.dims, &b.dims)?;
    builder.take_room(&dims)?;
    Ok([a.broadcast(&dims), b.broadcast(&dims)])
}

/// The sum of two values.
pub(super) fn plus(builder: &mut Builder, a: &Value, b: &Value) -> Result<Value, Refusal> {
    apply(builder, a, b, &ADD)
}

/// The product of two values.
pub(super) fn times(builder: &mut Builder, a: &Value, b: &Value) -> Result<Value, Refusal> {
    apply(builder, a, b, &MUL)
}

/// A function of two numbers that is true or false: of whole numbers, of reals, and in the graph, where it is 0 or 1.
pub(super) struct Relation {
    pub(super) ints: fn(i64, i64) -> bool,
    pub(super) reals: fn(f64, f64) -> bool,
    pub(super) graph: fn(&mut Graph, Tensor, Tensor) -> Tensor,
}

/// Whether a relation holds, element by element.
pub(super) fn compare(
    builder: &mut Builder,
    a: &Value,
    b: &Value,
    relation: &Relation,
) -> Result<Value, Refusal> {
    if let (Value::Constant(a), Value::Constant(b)) = (a, b) {
        let [a, b] = together(builder, a, b)?;
        let holds = |i: usize| match (a.as_ints(), b.as_ints()) {
            (Some(x), Some(y)) => (relation.ints)(x[i], y[i]),
            _ => (relation.reals)(a.number(i), b.number(i)),
        };
        let data = Data::Bool(Arc::new((0..a.len()).map(|i| i64::from(holds(i))).collect()));
        return Ok(Constant { dims: a.dims, data }.into());
    }
    let (tensors, order, dims) = builder.align(&[a, b])?;
    let tensor = (relation.graph)(&mut builder.graph, tensors[0], tensors[1]);
    Ok(builder.spread(tensor, order, dims, Kind::Bool).into())
}

/// `a <= b` in the graph.
pub(super) fn at_most(graph: &mut Graph, a: Tensor, b: Tensor) -> Tensor {
    graph.binary(Binary::LessEqual, a, b)
}
