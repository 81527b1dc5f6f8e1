//! Products of matrices.

use super::arithmetic::{plus, times};
use super::attention;
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Kind};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, Value, broadcast, elements};

pub(super) fn matmul(builder: &mut Builder, call: &Call) -> Built {
    if let Some(value) = attention::recognised(builder, call)? {
        return Ok(vec![value]);
    }
    Ok(vec![product(builder, call.input(0)?, call.input(1)?)?])
}

pub(super) fn gemm(builder: &mut Builder, call: &Call) -> Built {
    let turned = |builder: &mut Builder, i: usize, name: &str| -> Result<Value, Refusal> {
        let value = call.input(i)?;
        match (value.rank(), call.int(name, 0)?) {
            (2, 0) => Ok(value.clone()),
            (2, _) => builder.transpose(value, &[1, 0]),
            (rank, _) => Err(format!("a matrix of {rank} axes")),
        }
    };
    let (a, b) = (turned(builder, 0, "transA")?, turned(builder, 1, "transB")?);
    let mut y = product(builder, &a, &b)?;
    let scaled = |builder: &mut Builder, value: &Value, factor: f32| -> Result<Value, Refusal> {
        if factor == 1.0 {
            Ok(value.clone())
        } else {
            times(builder, value, &Constant::floats(&[], vec![factor]).into())
        }
    };
    y = scaled(builder, &y, call.float("alpha", 1.0)?)?;
    if let Some(c) = call.optional(2) {
        let dims = y.dims().to_vec();
        let c = scaled(builder, c, call.float("beta", 1.0)?)?;
        y = plus(builder, &y, &c)?;
        if y.dims() != dims {
            return Err(format!("a summand of shape {:?} to a product of shape {dims:?}", c.dims()));
        }
    }
    Ok(vec![y])
}

/// `a [.., m, k]` times `b [.., k, n]`, leading axes broadcast; a vector is a row on the left and a column on the right.
pub(in crate::models::onnx) fn product(
    builder: &mut Builder,
    a: &Value,
    b: &Value,
) -> Result<Value, Refusal> {
    if a.rank() == 0 || b.rank() == 0 {
        return Err("a product with a single number".into());
    }
    if a.kind() != Kind::Float || b.kind() != Kind::Float {
        return Err("a product of matrices of whole numbers".into());
    }
    if a.rank() == 1 {
        let row = builder.unsqueeze(a, &[0])?;
        let y = product(builder, &row, b)?;
        let mut dims = y.dims().to_vec();
        dims.remove(dims.len() - if b.rank() == 1 { 1 } else { 2 });
        return builder.reshape(&y, &dims);
    }
    if b.rank() == 1 {
        let column = builder.unsqueeze(b, &[1])?;
        let y = product(builder, a, &column)?;
        let dims = y.dims()[..y.rank() - 1].to_vec();
        return builder.reshape(&y, &dims);
    }
    let (ra, rb) = (a.rank(), b.rank());
    if a.dims()[ra - 1] != b.dims()[rb - 2] {
        return Err(format!("a product of shapes {:?} and {:?}", a.dims(), b.dims()));
    }
    let lead = broadcast(&a.dims()[..ra - 2], &b.dims()[..rb - 2])?;
    let dims = [lead.as_slice(), &[a.dims()[ra - 2], b.dims()[rb - 1]]].concat();
    elements(&dims)?;
    match (a, b) {
        (Value::Traced(x), Value::Constant(weight)) if is_matrix(weight) && ra >= rb => {
            Ok(by_weight(builder, x, weight)?.into())
        }
        (Value::Constant(weight), Value::Traced(x)) if is_matrix(weight) && rb >= ra => {
            Ok(of_weight(builder, weight, x)?.into())
        }
        _ => in_pairs(builder, a, b, &lead),
    }
}

/// A map `[from, to]` along one axis. It is no layer: what the last linear layer reads stays what it is.
pub(super) fn along_axis(
    builder: &mut Builder,
    value: &Value,
    axis: usize,
    map: Constant,
) -> Result<Value, Refusal> {
    let mut axes: Vec<usize> = (0..value.rank()).collect();
    axes.swap(axis, value.rank() - 1);
    let last = builder.transpose(value, &axes)?;
    let features = builder.features;
    let y = product(builder, &last, &map.into())?;
    builder.features = features;
    builder.transpose(&y, &axes)
}

/// Whether all axes but the last two have length 1.
fn is_matrix(constant: &Constant) -> bool {
    constant.dims[..constant.dims.len() - 2].iter().all(|&size| size == 1)
}

/// x `[.., m, k]` times a weight `[k, n]`, wherever x's other axes lie.
fn by_weight(builder: &mut Builder, x: &Traced, weight: &Constant) -> Result<Traced, Refusal> {
    let rank = x.dims.len();
    let [k, n] = [weight.dims[weight.dims.len() - 2], weight.dims[weight.dims.len() - 1]];
    let order: Vec<usize> =
        x.order.iter().copied().filter(|&axis| axis != rank - 1).chain([rank - 1]).collect();
    let rows = builder.arrange(x, &order)?;
    builder.features = Some(rows);
    let matrix = builder.lift(&weight.with_dims(vec![k, n]), &[0, 1], false);
    let tensor = builder.graph.matmul(rows, false, matrix, false);
    let mut dims = x.dims.clone();
    dims[rank - 1] = n;
    Ok(Traced { tensor, dims, order, kind: Kind::Float })
}

/// A weight `[m, k]` times x `[.., k, n]`: the rows are x's columns.
fn of_weight(builder: &mut Builder, weight: &Constant, x: &Traced) -> Result<Traced, Refusal> {
    let rank = x.dims.len();
    let [m, k] = [weight.dims[weight.dims.len() - 2], weight.dims[weight.dims.len() - 1]];
    let order: Vec<usize> =
        x.order.iter().copied().filter(|&axis| axis != rank - 2).chain([rank - 2]).collect();
    let rows = builder.arrange(x, &order)?;
    let matrix = builder.lift(&weight.with_dims(vec![m, k]), &[0, 1], false);
    let tensor = builder.graph.matmul(rows, false, matrix, true);
    let mut dims = x.dims.clone();
    dims[rank - 2] = m;
    Ok(Traced { tensor, dims, order, kind: Kind::Float })
}

/// Products of matrices in pairs.
fn in_pairs(builder: &mut Builder, a: &Value, b: &Value, lead: &[usize]) -> Result<Value, Refusal> {
    let mut pair = Vec::with_capacity(2);
    for value in [a, b] {
        let own = &value.dims()[value.rank() - 2..];
        let wide = builder.expand(value, &[lead, own].concat())?;
        let mut traced = builder.traced(&wide)?;
        traced.tensor = builder.with_lanes(traced.tensor);
        pair.push(traced);
    }
    let rank = lead.len() + 2;
    // The order of the pairs is that of the first factor, if its matrices lie together.
    let leading: Vec<usize> = pair[0].order.iter().copied().filter(|&axis| axis < rank - 2).collect();
    let mut tensors = Vec::with_capacity(2);
    for traced in &pair {
        let turned = traced.order.ends_with(&[rank - 1, rank - 2]);
        let last = if turned { [rank - 1, rank - 2] } else { [rank - 2, rank - 1] };
        let order = [leading.as_slice(), &last].concat();
        tensors.push((builder.arrange(traced, &order)?, turned));
    }
    let [(x, x_turned), (y, y_turned)] = [tensors[0], tensors[1]];
    let tensor = builder.graph.matmul(x, x_turned, y, y_turned);
    let dims = [lead, &[a.dims()[a.rank() - 2], b.dims()[b.rank() - 1]]].concat();
    let order = [leading.as_slice(), &[rank - 2, rank - 1]].concat();
    Ok(Traced { tensor, dims, order, kind: Kind::Float }.into())
}
