//! Elements picked by position.

use std::sync::Arc;

use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Data, Kind, strides};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, Value, axes_of, axis_of, elements};

/// Positions from `start` towards `end`, `step` apart; ends beyond the axis stand for its own.
pub(super) fn slice(builder: &mut Builder, call: &Call) -> Built {
    let mut value = call.input(0)?.clone();
    let starts = call.ints_input(1, "starts")?.ok_or("no starts")?;
    let ends = call.ints_input(2, "ends")?.ok_or("no ends")?;
    let axes = match call.ints_input(3, "axes")? {
        Some(axes) => axes_of(&axes, value.rank())?,
        None => (0..starts.len()).collect(),
    };
    let steps = call.ints_input(4, "steps")?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3]
        || axes.iter().any(|&axis| axis >= value.rank())
    {
        return Err("starts, ends, axes and steps of different lengths".into());
    }
    for i in 0..axes.len() {
        let len = value.dims()[axes[i]] as i64;
        let step = steps[i];
        if step == 0 || step == i64::MIN {
            return Err(format!("step {step}"));
        }
        let absolute = |at: i64| if at < 0 { at.saturating_add(len) } else { at };
        let (low, high) = if step > 0 { (0, len) } else { (-1, len - 1) };
        let start = absolute(starts[i]).clamp(low.max(0), high.max(0));
        let end = absolute(ends[i]).clamp(low, high);
        // A negative step may end before the first element, which no other number says.
        let mut positions = Vec::new();
        let mut at = start;
        while (step > 0 && at < end) || (step < 0 && at > end && at < len) {
            positions.push(at as usize);
            at = at.saturating_add(step);
        }
        value = builder.take(&value, axes[i], &positions)?;
    }
    Ok(vec![value])
}

/// Positions of an axis: known ones, or rows of a known table by whole numbers of the sample (an embedding).
pub(super) fn gather(builder: &mut Builder, call: &Call) -> Built {
    let (value, index) = (call.input(0)?, call.input(1)?);
    let axis = axis_of(call.int("axis", 0)?, value.rank())?;
    let index = match index {
        Value::Constant(index) => index,
        Value::Traced(ids) => return embedded(builder, value, ids, axis),
    };
    let positions = positions(index, value.dims()[axis])?;
    let taken = builder.take(value, axis, &positions)?;
    let dims = [&value.dims()[..axis], &index.dims, &value.dims()[axis + 1..]].concat();
    Ok(vec![builder.reshape(&taken, &dims)?])
}

/// Indices as positions of an axis of this length.
fn positions(index: &Constant, len: usize) -> Result<Vec<usize>, Refusal> {
    let values = index.as_ints().ok_or("indices that are not whole numbers")?;
    values.iter().map(|&at| axis_of(at, len).map_err(|_| format!("index {at} of {len}"))).collect()
}

fn embedded(builder: &mut Builder, table: &Value, ids: &Traced, axis: usize) -> Built {
    let table = table.constant().filter(|table| table.kind() == Kind::Float);
    let table = table.ok_or("indices and a table that both depend on the sample")?;
    if axis != 0 || ids.kind == Kind::Float || table.dims.len() != 2 || table.dims.contains(&0) {
        return Err("indices that depend on the sample, but for rows of a table of embeddings".into());
    }
    elements(&[ids.dims.iter().product(), table.dims[1]])?;
    let rows = builder.lift(table, &[0, 1], false);
    let index = builder.natural(ids)?;
    let tensor = builder.graph.embed(rows, index);
    let mut result = builder.plain(tensor, ids);
    result.kind = Kind::Float;
    Ok(vec![result.into()])
}

/// `y[i][j] = x[index[i][j]][j]` along axis 0, and so on.
pub(super) fn gather_elements(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let axis = axis_of(call.int("axis", 0)?, value.rank())?;
    let index = match call.input(1)? {
        Value::Constant(index) => index.clone(),
        Value::Traced(_) => return Err("indices that depend on the sample".into()),
    };
    let from = value.dims().to_vec();
    let fits =
        index.dims.len() == from.len() && (0..from.len()).all(|a| a == axis || index.dims[a] <= from[a]);
    if !fits {
        return Err(format!("indices of shape {:?} for shape {from:?}", index.dims));
    }
    let positions = positions(&index, from[axis])?;
    builder.take_room(&index.dims)?;
    let (steps, unit) = (strides(&from), strides(&index.dims));
    let places: Vec<usize> = (0..positions.len())
        .map(|i| {
            let own = |a: usize| if a == axis { positions[i] } else { i / unit[a] % index.dims[a] };
            (0..from.len()).map(|a| own(a) * steps[a]).sum()
        })
        .collect();
    Ok(vec![builder.take_flat(value, &places, &index.dims)?])
}

/// Blocks by coordinates, which are known.
pub(super) fn gather_nd(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let index = call.constant(1, "indices")?;
    let depth = index.dims.last().copied().unwrap_or(0);
    if call.int("batch_dims", 0)? != 0 || depth == 0 || depth > value.rank() {
        return Err(format!("indices of shape {:?} for shape {:?}", index.dims, value.dims()));
    }
    let coordinates = index.as_ints().ok_or("indices that are not whole numbers")?;
    let (from, steps) = (value.dims().to_vec(), strides(value.dims()));
    let inner: usize = from[depth..].iter().product();
    let dims = [&index.dims[..index.dims.len() - 1], &from[depth..]].concat();
    elements(&dims)?;
    builder.take_room(&dims)?;
    let mut picked = Vec::new();
    for block in coordinates.chunks(depth) {
        let mut start = 0;
        for (axis, &at) in block.iter().enumerate() {
            start +=
                axis_of(at, from[axis]).map_err(|_| format!("index {at} of {}", from[axis]))? * steps[axis];
        }
        picked.extend(start..start + inner);
    }
    Ok(vec![builder.take_flat(value, &picked, &dims)?])
}

/// Blocks of a constant replaced.
pub(super) fn scatter_nd(builder: &mut Builder, call: &Call) -> Built {
    let [data, index, updates] =
        [call.constant(0, "data")?, call.constant(1, "indices")?, call.constant(2, "updates")?];
    let depth = index.dims.last().copied().unwrap_or(0);
    if call.text("reduction", "none")? != "none"
        || depth == 0
        || depth > data.dims.len()
        || data.kind() != updates.kind()
    {
        return Err(format!("indices of shape {:?} for shape {:?}", index.dims, data.dims));
    }
    builder.take_room(&data.dims)?;
    let steps = strides(&data.dims);
    let inner: usize = data.dims[depth..].iter().product();
    let coordinates = index.as_ints().ok_or("indices that are not whole numbers")?;
    if updates.len() != coordinates.len() / depth * inner {
        return Err(format!("updates of shape {:?}", updates.dims));
    }
    // Where each element comes from: the data, or after them the updates.
    let mut source: Vec<usize> = (0..data.len()).collect();
    for (i, block) in coordinates.chunks(depth).enumerate() {
        let mut start = 0;
        for (axis, &at) in block.iter().enumerate() {
            start += axis_of(at, data.dims[axis]).map_err(|_| format!("index {at}"))? * steps[axis];
        }
        (0..inner).for_each(|k| source[start + k] = data.len() + i * inner + k);
    }
    let flat = |constant: &Constant| Value::from(constant.with_dims(vec![constant.len()]));
    let both = builder.concat(&[flat(data), flat(updates)], 0)?;
    Ok(vec![builder.take_flat(&both, &source, &data.dims)?])
}

/// The position of the largest value: a label, which has no gradient.
pub(super) fn arg_max(builder: &mut Builder, call: &Call) -> Built {
    let constant = call.constant(0, "values")?;
    let axis = axis_of(call.int("axis", 0)?, constant.dims.len())?;
    if call.int("select_last_index", 0)? != 0 {
        return Err("the last of equal values".into());
    }
    let len = constant.dims[axis];
    let inner: usize = constant.dims[axis + 1..].iter().product();
    let outer: usize = constant.dims[..axis].iter().product();
    let mut dims = constant.dims.clone();
    dims[axis] = 1;
    builder.take_room(&dims)?;
    if len == 0 {
        return Err(format!("the largest of no values, shape {:?}", constant.dims));
    }
    let mut values = Vec::with_capacity(outer * inner);
    for i in 0..outer * inner {
        let start = i / inner * len * inner + i % inner;
        let mut best = 0;
        for at in 1..len {
            if constant.number(start + at * inner) > constant.number(start + best * inner) {
                best = at;
            }
        }
        values.push(best as i64);
    }
    if call.int("keepdims", 1)? != 1 {
        dims.remove(axis);
    }
    Ok(vec![Constant { dims, data: Data::Int(Arc::new(values)) }.into()])
}

/// Sums up to each position of an axis: a product with a triangle of ones.
pub(super) fn cumulative_sum(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let axis = call.constant(1, "axes")?.single().ok_or("several axes")?;
    let axis = axis_of(axis as i64, value.rank())?;
    let (exclusive, reverse) = (call.int("exclusive", 0)? == 1, call.int("reverse", 0)? == 1);
    let len = value.dims()[axis];
    let counts = |from: usize, to: usize| {
        let (from, to) = if reverse { (to, from) } else { (from, to) };
        from < to || (!exclusive && from == to)
    };
    if let Value::Constant(constant) = value {
        builder.take_room(&[constant.len().max(1), len])?;
        let step = strides(&constant.dims)[axis];
        let sum = |i: usize| -> f64 {
            let at = i / step % len;
            (0..len)
                .filter(|&from| counts(from, at))
                .map(|from| constant.number(i + from * step - at * step))
                .sum()
        };
        let sums = (0..constant.len()).map(sum);
        let data = match constant.kind() {
            Kind::Float => Data::Float(Arc::new(sums.map(|sum| sum as f32).collect())),
            _ => Data::Int(Arc::new(sums.map(|sum| sum as i64).collect())),
        };
        return Ok(vec![Constant { dims: constant.dims.clone(), data }.into()]);
    }
    builder.take_room(&[len, len])?;
    let triangle = (0..len * len).map(|i| f32::from(u8::from(counts(i / len, i % len)))).collect();
    let mut traced = builder.traced(value)?;
    let kind = std::mem::replace(&mut traced.kind, Kind::Float);
    let triangle = Constant::floats(&[len, len], triangle);
    let sums = super::linear::along_axis(builder, &traced.into(), axis, triangle)?;
    let mut sums = builder.traced(&sums)?;
    sums.kind = kind;
    Ok(vec![sums.into()])
}

/// Positions of what is not zero, of a constant.
pub(super) fn non_zero(builder: &mut Builder, call: &Call) -> Built {
    let constant = call.constant(0, "values")?;
    let rank = constant.dims.len();
    let found: Vec<usize> = (0..constant.len()).filter(|&i| constant.number(i) != 0.0).collect();
    builder.take_room(&[rank.max(1), found.len()])?;
    let unit = strides(&constant.dims);
    let values = (0..rank).flat_map(|axis| found.iter().map(move |&i| (axis, i)));
    let values = values.map(|(axis, i)| (i / unit[axis] % constant.dims[axis]) as i64).collect();
    Ok(vec![Constant { dims: vec![rank, found.len()], data: Data::Int(Arc::new(values)) }.into()])
}

/// 1 where the last axis's position is the index, for constants and for whole numbers of the sample.
pub(super) fn one_hot(builder: &mut Builder, call: &Call) -> Built {
    let depth = call.constant(1, "depths")?.single().ok_or("several depths")?;
    let values = call.constant(2, "values")?;
    let on_off = (values.len() == 2).then(|| [values.number(0), values.number(1)]);
    let axis = call.int("axis", -1)?;
    if !(1.0..=16_777_216.0).contains(&depth) || on_off != Some([0.0, 1.0]) || axis != -1 {
        return Err("values other than 0 and 1, or an axis that is not the last".into());
    }
    let index = builder.traced(call.input(0)?)?;
    let dims = [index.dims.as_slice(), &[depth as usize]].concat();
    elements(&dims)?;
    let x = builder.natural(&index)?;
    let tensor = builder.graph.one_hot(x, depth as usize);
    let mut result = builder.plain(tensor, &index);
    result.kind = values.kind();
    Ok(vec![result.into()])
}

/// A triangle kept, the rest zero.
pub(super) fn trilu(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let upper = call.int("upper", 1)? == 1;
    let k = match call.optional(1) {
        Some(_) => call.constant(1, "diagonals")?.single().ok_or("several diagonals")? as i64,
        None => 0,
    };
    let rank = value.rank();
    if rank < 2 {
        return Err(format!("a triangle of {rank} axes"));
    }
    let dims = value.dims().to_vec();
    let [rows, columns] = [dims[rank - 2], dims[rank - 1]];
    let kept = |i: usize| {
        let offset = (i % columns) as i64 - (i / columns % rows) as i64;
        if upper { offset >= k } else { offset <= k }
    };
    match value {
        Value::Constant(constant) => {
            builder.take_room(&dims)?;
            let data = match &constant.data {
                Data::Float(v) => {
                    Data::Float(Arc::new((0..v.len()).map(|i| if kept(i) { v[i] } else { 0.0 }).collect()))
                }
                Data::Int(v) => {
                    Data::Int(Arc::new((0..v.len()).map(|i| if kept(i) { v[i] } else { 0 }).collect()))
                }
                Data::Bool(v) => {
                    Data::Bool(Arc::new((0..v.len()).map(|i| if kept(i) { v[i] } else { 0 }).collect()))
                }
            };
            Ok(vec![Constant { dims, data }.into()])
        }
        Value::Traced(_) => {
            builder.take_room(&[rows, columns])?;
            let mask = (0..rows * columns).map(|i| f32::from(u8::from(kept(i)))).collect();
            let mask = Constant::floats(&[rows, columns], mask);
            Ok(vec![super::arithmetic::times(builder, value, &mask.into())?])
        }
    }
}
