//! Values joined, cut and repeated.

use crate::models::onnx::call::Call;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Value, axis_of, elements};

pub(super) fn concat(builder: &mut Builder, call: &Call) -> Built {
    let axis = axis_of(call.int("axis", 0)?, call.input(0)?.rank())?;
    let values: Result<Vec<Value>, _> = (0..call.inputs.len()).map(|i| call.input(i).cloned()).collect();
    Ok(vec![builder.concat(&values?, axis)?])
}

/// In parts of given lengths, or in as many equal ones as there are outputs, the last perhaps shorter.
pub(super) fn split(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let axis = axis_of(call.int("axis", 0)?, value.rank())?;
    let len = value.dims()[axis];
    let count = call.node.outputs.len();
    let parts: Vec<usize> = match call.ints_moved("split", 1, 12)? {
        Some(parts) => parts.iter().map(|&part| usize::try_from(part).unwrap_or(usize::MAX)).collect(),
        None => {
            let each = len.div_ceil(count.max(1));
            (0..count).map(|i| each.min(len.saturating_sub(i * each))).collect()
        }
    };
    let total = parts.iter().try_fold(0usize, |sum, &part| sum.checked_add(part));
    if total != Some(len) || parts.len() < count {
        return Err(format!("parts {parts:?} of an axis of {len}"));
    }
    let mut start = 0;
    let mut out = Vec::with_capacity(count);
    for &part in &parts[..count] {
        let positions: Vec<usize> = (start..start + part).collect();
        out.push(builder.take(value, axis, &positions)?);
        start += part;
    }
    Ok(out)
}

pub(super) fn expand(builder: &mut Builder, call: &Call) -> Built {
    let shape = call.ints_input(1, "shapes")?.ok_or("no shape")?;
    let dims: Option<Vec<usize>> = shape.iter().map(|&size| usize::try_from(size).ok()).collect();
    let dims = dims.ok_or_else(|| format!("shape {shape:?}"))?;
    Ok(vec![builder.expand(call.input(0)?, &dims)?])
}

/// Each axis as often as said.
pub(super) fn tile(builder: &mut Builder, call: &Call) -> Built {
    let repeats = call.ints_input(1, "repeats")?.ok_or("no repeats")?;
    let mut value = call.input(0)?.clone();
    if repeats.len() != value.rank() {
        return Err(format!("{} repeats of {} axes", repeats.len(), value.rank()));
    }
    for (axis, &times) in repeats.iter().enumerate().filter(|(_, times)| **times != 1) {
        let times = usize::try_from(times).map_err(|_| format!("repeats {repeats:?}"))?;
        let mut dims = value.dims().to_vec();
        dims[axis] = dims[axis].checked_mul(times).ok_or("too long an axis")?;
        elements(&dims)?;
        value = if value.dims()[axis] == 1 {
            builder.expand(&value, &dims)?
        } else {
            // Repeated along an axis of its own in front, which then becomes one with it.
            let wide = builder.unsqueeze(&value, &[axis])?;
            let mut repeated = wide.dims().to_vec();
            repeated[axis] = times;
            let wide = builder.expand(&wide, &repeated)?;
            builder.reshape(&wide, &dims)?
        };
    }
    Ok(vec![value])
}
