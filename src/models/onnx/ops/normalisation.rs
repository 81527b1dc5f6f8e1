//! Normalisations. A batch norm after a convolution becomes part of it.

use std::sync::Arc;

use percuss_kernels::ops::{Reduction, Unary};

use super::arithmetic::{plus, times};
use super::convolution::{Affine, floats, folded};
use super::reduction::average;
use crate::models::FirstNorm;
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::Constant;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, Value, axis_of};

/// With running statistics, in f64.
pub(super) fn batch(builder: &mut Builder, call: &Call) -> Built {
    let x = call.input(0)?;
    // Before opset 14 statistics as outputs say that it is training.
    let asked = call.node.outputs.iter().filter(|name| !name.is_empty()).count();
    if call.int("training_mode", 0)? != 0 || call.opset < 14 && asked > 1 {
        return of_weights(builder, call);
    }
    let channels = *x.dims().get(1).ok_or("an input without channels")?;
    let part =
        |i: usize| -> Result<Arc<Vec<f32>>, Refusal> { floats(call.constant(i, "statistics")?, channels) };
    let (scale, shift, mean, variance) = (part(1)?, part(2)?, part(3)?, part(4)?);
    let epsilon = f64::from(call.float("epsilon", 1e-5)?);
    if variance.iter().any(|value| *value < 0.0) {
        return Err("a negative variance".into());
    }
    let affine: Affine = (0..channels)
        .map(|c| {
            let factor = f64::from(scale[c]) / (f64::from(variance[c]) + epsilon).sqrt();
            (factor, f64::from(shift[c]) - f64::from(mean[c]) * factor)
        })
        .collect();
    if let Some(node) =
        call.tree.only_for_me(call.node.inputs[0]).filter(|node| node.op == "Conv" && node.domain.is_empty())
    {
        let y = folded(builder, &call.of(node), Some(&affine))?;
        mark(builder, &y, [&scale, &shift, &mean, &variance], epsilon);
        return Ok(vec![y.into()]);
    }
    let wide = [vec![channels], vec![1; x.rank() - 2]].concat();
    let along = |pick: fn(&(f64, f64)) -> f64| {
        Constant::floats(&wide, affine.iter().map(|one| pick(one) as f32).collect())
    };
    let scaled = times(builder, x, &along(|one| one.0).into())?;
    if let Value::Traced(scaled) = &scaled
        && (scale.iter().any(|factor| *factor != 1.0) || shift.iter().any(|offset| *offset != 0.0))
    {
        builder.learnt.insert(scaled.tensor);
    }
    let y = plus(builder, &scaled, &along(|one| one.1).into())?;
    if let Value::Traced(y) = &y {
        mark(builder, y, [&scale, &shift, &mean, &variance], epsilon);
    }
    Ok(vec![y])
}

/// Remembers the first batch norm that the sample passes through.
fn mark(builder: &mut Builder, y: &Traced, statistics: [&[f32]; 4], epsilon: f64) {
    let axis = y.order.iter().position(|axis| *axis == 1);
    if builder.norm.is_none()
        && let Some(axis) = axis.filter(|_| builder.moves(y.tensor))
    {
        builder.norm = FirstNorm::of(y.tensor, axis, statistics, epsilon);
    }
}

/// With its input's own statistics: of a constant, as where weights are standardised, they are as constant.
fn of_weights(builder: &mut Builder, call: &Call) -> Built {
    let Value::Constant(weights) = call.input(0)? else {
        return Err("statistics of the batch, as in training; export the model after model.eval()".into());
    };
    if weights.dims.len() < 2 {
        return Err("an input without channels".into());
    }
    let axes: Vec<usize> = (0..weights.dims.len()).filter(|&axis| axis != 1).collect();
    let channels = weights.dims[1];
    let traced = builder.traced(call.input(0)?)?;
    let unit = normalised(builder, &traced, &axes, call.float("epsilon", 1e-5)?)?;
    per_channel(builder, call, &unit, channels)
}

/// By the root of the mean square over the last axis, Zhang & Sennrich 2019.
pub(super) fn rms(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let axis = axis_of(call.int("axis", -1)?, x.dims.len())?;
    if call.wants(1) {
        return Err("the deviation as an output".into());
    }
    let axes: Vec<usize> = (axis..x.dims.len()).collect();
    let epsilon = call.float("epsilon", 1e-5)?;
    let squares = builder.each(&x, |graph, x| graph.mul(x, x));
    let mean = average(builder, &squares, &axes, true)?;
    let factor = builder.each(&mean, |graph, mean| {
        let safe = graph.shift(mean, epsilon);
        let root = graph.unary(Unary::Sqrt, safe);
        let one = graph.scalar(1.0);
        graph.div(one, root)
    });
    let unit = times(builder, &x.into(), &factor.into())?;
    Ok(vec![times(builder, &unit, call.input(1)?)?])
}

/// Over the last axes, Ba et al. 2016.
pub(super) fn layer(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let rank = x.dims.len();
    let axis = axis_of(call.int("axis", -1)?, rank)?;
    if call.wants(1) || call.wants(2) {
        return Err("the mean or deviation as an output".into());
    }
    let epsilon = call.float("epsilon", 1e-5)?;
    let len: usize = x.dims[axis..].iter().product();
    let along = |builder: &mut Builder, constant: &Constant| -> Result<crate::graph::Tensor, Refusal> {
        if constant.dims.len() > rank - axis {
            return Err(format!("a factor of shape {:?} over shape {:?}", constant.dims, &x.dims[axis..]));
        }
        super::super::value::broadcast(&constant.dims, &x.dims[axis..])
            .ok()
            .filter(|dims| *dims == x.dims[axis..])
            .ok_or_else(|| {
                format!("a factor of shape {:?} over shape {:?}", constant.dims, &x.dims[axis..])
            })?;
        let whole = constant.broadcast(&x.dims[axis..]);
        Ok(builder.lift(&whole.with_dims(vec![len]), &[0], false))
    };
    let scale = along(builder, call.constant(1, "factors")?)?;
    let shift = match call.optional(2) {
        Some(_) => call.constant(2, "summands")?.clone(),
        None => Constant::floats(&[1], vec![0.0]),
    };
    let shift = along(builder, &shift)?;
    // The normalised axes last, as they are in the file; the others wherever they lie.
    let others = x.order.iter().copied().filter(|&other| other < axis);
    let order: Vec<usize> = others.chain(axis..rank).collect();
    let tensor = builder.arrange(&x, &order)?;
    let before = builder.graph.dims(tensor).to_vec();
    let merged = [&before[..axis], &[len]].concat();
    let tensor = builder.graph.reshape(tensor, &merged);
    let tensor = builder.graph.layer_norm(tensor, scale, shift, epsilon);
    let tensor = builder.graph.reshape(tensor, &before);
    Ok(vec![Traced { tensor, order, ..x }.into()])
}

/// `(x - mean) / sqrt(variance + epsilon)` over axes.
fn normalised(builder: &mut Builder, x: &Traced, axes: &[usize], epsilon: f32) -> Result<Value, Refusal> {
    let mean = average(builder, x, axes, true)?;
    let (tensors, order, dims) = builder.align(&[&x.clone().into(), &mean.into()])?;
    let centred = builder.graph.sub(tensors[0], tensors[1]);
    let centred = builder.spread(centred, order, dims, x.kind);
    let squares = builder.each(&centred, |graph, x| graph.mul(x, x));
    let variance = average(builder, &squares, axes, true)?;
    let factor = builder.each(&variance, |graph, variance| {
        let safe = graph.shift(variance, epsilon);
        let deviation = graph.unary(Unary::Sqrt, safe);
        let one = graph.scalar(1.0);
        graph.div(one, deviation)
    });
    times(builder, &centred.into(), &factor.into())
}

/// A factor and a summand for each channel.
fn per_channel(builder: &mut Builder, call: &Call, value: &Value, channels: usize) -> Built {
    let wide = [vec![channels], vec![1; value.rank() - 2]].concat();
    let mut along = |i: usize| -> Result<Value, Refusal> {
        let constant = call.constant(i, "factors")?;
        floats(constant, channels)?;
        builder.reshape(&constant.clone().into(), &wide)
    };
    let (scale, shift) = (along(1)?, along(2)?);
    let scaled = times(builder, value, &scale)?;
    Ok(vec![plus(builder, &scaled, &shift)?])
}

/// Over the image of each channel, Ulyanov et al. 2016.
pub(super) fn instance(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    if x.dims.len() < 3 {
        return Err(format!("images of shape {:?}", x.dims));
    }
    let axes: Vec<usize> = (2..x.dims.len()).collect();
    let unit = normalised(builder, &x, &axes, call.float("epsilon", 1e-5)?)?;
    per_channel(builder, call, &unit, x.dims[1])
}

/// Over groups of channels, Wu & He 2018.
pub(super) fn group(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let groups = usize::try_from(call.int("num_groups", 0)?).unwrap_or(0);
    if x.dims.len() < 2 || groups == 0 || x.dims[1] % groups != 0 {
        return Err(format!("{groups} groups of the channels of shape {:?}", x.dims));
    }
    let (dims, channels) = (x.dims.clone(), x.dims[1]);
    let split = [&[dims[0], groups, channels / groups], &dims[2..]].concat();
    let parted = builder.reshape(&x.into(), &split)?;
    let parted = builder.traced(&parted)?;
    let axes: Vec<usize> = (2..split.len()).collect();
    let unit = normalised(builder, &parted, &axes, call.float("epsilon", 1e-5)?)?;
    if call.opset >= 21 {
        let unit = builder.reshape(&unit, &dims)?;
        return per_channel(builder, call, &unit, channels);
    }
    // Up to opset 20 there is a factor for each group.
    let affine = |i: usize| -> Result<Value, Refusal> {
        let constant = call.constant(i, "factors")?;
        let values = floats(constant, groups)?;
        Ok(Constant::floats(&[vec![groups], vec![1; split.len() - 2]].concat(), values.to_vec()).into())
    };
    let scaled = times(builder, &unit, &affine(1)?)?;
    let shifted = plus(builder, &scaled, &affine(2)?)?;
    Ok(vec![builder.reshape(&shifted, &dims)?])
}

/// Divided by its norm along an axis.
pub(super) fn lp(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let axis = axis_of(call.int("axis", -1)?, x.dims.len())?;
    let norm = match call.int("p", 2)? {
        1 => Norm::Sum,
        2 => Norm::Euclidean,
        p => return Err(format!("a norm of order {p}")),
    };
    Ok(vec![by_norm(builder, &x, axis, norm)?])
}

/// What is divided by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Norm {
    /// The sum of absolute values.
    Sum,
    Euclidean,
    /// The largest value as it is, not the largest absolute value.
    Largest,
}

/// x divided by its norm along an axis, and by 1 where that is 0, as onnxruntime has it.
pub(super) fn by_norm(builder: &mut Builder, x: &Traced, axis: usize, norm: Norm) -> Result<Value, Refusal> {
    let (kind, sizes) = match norm {
        Norm::Sum => (Reduction::Sum, builder.each(x, |graph, x| graph.unary(Unary::Abs, x))),
        Norm::Euclidean => (Reduction::Sum, builder.each(x, |graph, x| graph.mul(x, x))),
        Norm::Largest => (Reduction::Max, x.clone()),
    };
    let size = builder.reduce(kind, &sizes, &[axis], true)?;
    let factor = builder.each(&size, |graph, size| {
        let (zero, one) = (graph.scalar(0.0), graph.scalar(1.0));
        let none = graph.equal(size, zero);
        // Before the root, whose slope at 0 is infinite.
        let safe = graph.select(none, one, size);
        let size = if norm == Norm::Euclidean { graph.unary(Unary::Sqrt, safe) } else { safe };
        graph.div(one, size)
    });
    times(builder, &x.clone().into(), &factor.into())
}
