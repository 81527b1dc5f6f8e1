//! Sums, means and extremes over axes.

use std::sync::Arc;

use percuss_kernels::ops::{Reduction, Unary};

use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Data, strides};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, Value, axes_of};

pub(super) fn sum(builder: &mut Builder, call: &Call) -> Built {
    // The axes of a sum are an input since opset 13, those of other reductions since 18.
    over(
        builder,
        call,
        12,
        |values| values.iter().sum(),
        |b, x, axes, keep| b.reduce(Reduction::Sum, x, axes, keep),
    )
}

pub(super) fn mean(builder: &mut Builder, call: &Call) -> Built {
    let host = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    over(builder, call, 17, host, average)
}

/// The mean over axes.
pub(super) fn average(
    builder: &mut Builder,
    x: &Traced,
    axes: &[usize],
    keep: bool,
) -> Result<Traced, Refusal> {
    let count: usize = axes.iter().map(|&axis| x.dims[axis]).product();
    let sum = builder.reduce(Reduction::Sum, x, axes, keep)?;
    Ok(builder.each(&sum, |graph, sum| graph.scale(sum, 1.0 / count as f32)))
}

pub(super) fn max(builder: &mut Builder, call: &Call) -> Built {
    let host = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    over(builder, call, 17, host, |b, x, axes, keep| b.reduce(Reduction::Max, x, axes, keep))
}

pub(super) fn min(builder: &mut Builder, call: &Call) -> Built {
    let host = |values: &[f64]| values.iter().copied().fold(f64::INFINITY, f64::min);
    over(builder, call, 17, host, |b, x, axes, keep| b.reduce(Reduction::Min, x, axes, keep))
}

pub(super) fn product(builder: &mut Builder, call: &Call) -> Built {
    over(
        builder,
        call,
        17,
        |values| values.iter().product(),
        |_, _, _, _| Err("factors that depend on the sample".into()),
    )
}

pub(super) fn l1(builder: &mut Builder, call: &Call) -> Built {
    let host = |values: &[f64]| values.iter().map(|value| value.abs()).sum();
    over(builder, call, 17, host, |b, x, axes, keep| {
        let sizes = b.each(x, |graph, x| graph.unary(Unary::Abs, x));
        b.reduce(Reduction::Sum, &sizes, axes, keep)
    })
}

pub(super) fn l2(builder: &mut Builder, call: &Call) -> Built {
    let host = |values: &[f64]| values.iter().map(|value| value * value).sum::<f64>().sqrt();
    over(builder, call, 17, host, |b, x, axes, keep| {
        let sum = squares(b, x, axes, keep)?;
        Ok(b.each(&sum, |graph, sum| graph.unary(Unary::Sqrt, sum)))
    })
}

pub(super) fn sum_square(builder: &mut Builder, call: &Call) -> Built {
    over(builder, call, 17, |values| values.iter().map(|value| value * value).sum(), squares)
}

fn squares(builder: &mut Builder, x: &Traced, axes: &[usize], keep: bool) -> Result<Traced, Refusal> {
    let squares = builder.each(x, |graph, x| graph.mul(x, x));
    builder.reduce(Reduction::Sum, &squares, axes, keep)
}

pub(super) fn log_sum(builder: &mut Builder, call: &Call) -> Built {
    over(
        builder,
        call,
        17,
        |values| values.iter().sum::<f64>().ln(),
        |b, x, axes, keep| {
            let sum = b.reduce(Reduction::Sum, x, axes, keep)?;
            Ok(b.each(&sum, |graph, sum| graph.unary(Unary::Log, sum)))
        },
    )
}

pub(super) fn log_sum_exp(builder: &mut Builder, call: &Call) -> Built {
    let host = |values: &[f64]| {
        let largest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        largest + values.iter().map(|value| (value - largest).exp()).sum::<f64>().ln()
    };
    over(builder, call, 17, host, |b, x, axes, keep| {
        let largest = b.reduce(Reduction::Max, x, axes, true)?;
        let wide: Value = largest.into();
        let (tensors, order, dims) = b.align(&[&x.clone().into(), &wide])?;
        let shifted = b.graph.sub(tensors[0], tensors[1]);
        let power = b.graph.unary(Unary::Exp, shifted);
        let power = b.spread(power, order, dims, x.kind);
        let sum = b.reduce(Reduction::Sum, &power, axes, true)?;
        let log = b.each(&sum, |graph, sum| graph.unary(Unary::Log, sum));
        let (tensors, order, dims) = b.align(&[&log.into(), &wide])?;
        let total = b.graph.add(tensors[0], tensors[1]);
        let total = b.spread(total, order, dims, x.kind);
        if keep { Ok(total) } else { b.reduce(Reduction::Sum, &total, axes, false) }
    })
}

/// `until`: the last opset in which axes are an attribute.
fn over(
    builder: &mut Builder,
    call: &Call,
    until: i64,
    host: impl Fn(&[f64]) -> f64,
    graph: impl FnOnce(&mut Builder, &Traced, &[usize], bool) -> Result<Traced, Refusal>,
) -> Built {
    let value = call.input(0)?;
    let keep = call.int("keepdims", 1)? == 1;
    let axes = match call.ints_moved("axes", 1, until)?.filter(|axes| !axes.is_empty()) {
        Some(axes) => axes_of(&axes, value.rank())?,
        None if call.int("noop_with_empty_axes", 0)? == 1 => return Ok(vec![value.clone()]),
        None => (0..value.rank()).collect(),
    };
    Ok(vec![match value {
        Value::Constant(constant) => reduced(builder, constant, &axes, keep, host)?.into(),
        Value::Traced(traced) => graph(builder, traced, &axes, keep)?.into(),
    }])
}

fn reduced(
    builder: &mut Builder,
    constant: &Constant,
    axes: &[usize],
    keep: bool,
    host: impl Fn(&[f64]) -> f64,
) -> Result<Constant, Refusal> {
    let all: Vec<usize> = constant.dims.clone();
    let size = |axis: usize| if axes.contains(&axis) { 1 } else { all[axis] };
    let wide: Vec<usize> = (0..all.len()).map(size).collect();
    builder.take_room(&wide)?;
    let (from, to) = (strides(&all), strides(&wide));
    let mut groups = vec![Vec::new(); wide.iter().product()];
    for i in 0..constant.len() {
        let place: usize = (0..all.len())
            .filter(|axis| !axes.contains(axis))
            .map(|axis| i / from[axis] % all[axis] * to[axis])
            .sum();
        groups[place].push(constant.number(i));
    }
    let values = groups.iter().map(|values| host(values));
    let data = if constant.as_ints().is_some() {
        Data::Int(Arc::new(values.map(|value| value as i64).collect()))
    } else {
        Data::Float(Arc::new(values.map(|value| value as f32).collect()))
    };
    let kept = (0..all.len()).filter(|axis| keep || !axes.contains(axis)).map(|axis| wide[axis]).collect();
    Ok(Constant { dims: kept, data })
}
