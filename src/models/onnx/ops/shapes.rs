//! Shapes as values, constants, and other axes for the same elements.

use std::sync::Arc;

use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Data, Kind};
use crate::models::onnx::data::Sources;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Value, axes_of, axis_of};

pub(super) fn shape(_: &mut Builder, call: &Call) -> Built {
    let dims = call.input(0)?.dims();
    let rank = dims.len() as i64;
    let end = |name: &str, default: i64| -> Result<usize, Refusal> {
        let at = call.int(name, default)?;
        Ok((if at < 0 { at.saturating_add(rank) } else { at }).clamp(0, rank) as usize)
    };
    let (start, end) = (end("start", 0)?, end("end", rank)?);
    let sizes = dims.get(start..end).unwrap_or_default();
    Ok(vec![Constant::ints(sizes.iter().map(|&size| size as i64).collect()).into()])
}

pub(super) fn size(_: &mut Builder, call: &Call) -> Built {
    Ok(vec![Constant::int(call.input(0)?.dims().iter().product::<usize>() as i64).into()])
}

pub(super) fn constant(_: &mut Builder, call: &Call) -> Built {
    if let Some(proto) = call.tensor("value")? {
        return Ok(vec![Sources::none().tensor(proto)?.into()]);
    }
    let given = |name: &str| call.node.attributes.iter().any(|attribute| attribute.name == name);
    let value = if given("value_float") {
        Constant::floats(&[], vec![call.float("value_float", 0.0)?])
    } else if given("value_floats") {
        let values = call.floats("value_floats")?.to_vec();
        Constant::floats(&[values.len()], values)
    } else if given("value_int") {
        Constant::int(call.int("value_int", 0)?)
    } else if let Some(values) = call.ints("value_ints")? {
        Constant::ints(values.to_vec())
    } else {
        return Err("a constant that is neither numbers nor a tensor".into());
    };
    Ok(vec![value.into()])
}

fn sizes_of(values: &[i64]) -> Result<Vec<usize>, Refusal> {
    let sizes: Option<Vec<usize>> = values.iter().map(|&size| usize::try_from(size).ok()).collect();
    sizes.ok_or_else(|| format!("shape {values:?}"))
}

pub(super) fn constant_of_shape(builder: &mut Builder, call: &Call) -> Built {
    let dims = sizes_of(&call.ints_input(0, "sizes")?.ok_or("no shape")?)?;
    builder.take_room(&dims)?;
    let one = match call.tensor("value")? {
        Some(proto) => Sources::none().tensor(proto)?,
        None => Constant::floats(&[1], vec![0.0]),
    };
    if one.len() != 1 {
        return Err(format!("a value of {} elements", one.len()));
    }
    let len: usize = dims.iter().product();
    Ok(vec![one.picked(dims, &vec![0; len]).into()])
}

pub(super) fn range(builder: &mut Builder, call: &Call) -> Built {
    let ends = [call.constant(0, "ends")?, call.constant(1, "ends")?, call.constant(2, "ends")?];
    let numbers = ends.map(Constant::single);
    let [Some(start), Some(limit), Some(step)] = numbers else {
        return Err("ends of several elements".into());
    };
    let count = ((limit - start) / step).ceil().max(0.0);
    if !count.is_finite() || count > 1e9 {
        return Err(format!("a range from {start} to {limit} by {step}"));
    }
    builder.take_room(&[count as usize])?;
    let values = (0..count as usize).map(|i| start + i as f64 * step);
    Ok(vec![if ends[0].as_ints().is_some() {
        Constant::ints(values.map(|value| value as i64).collect()).into()
    } else {
        Constant::floats(&[count as usize], values.map(|value| value as f32).collect()).into()
    }])
}

pub(super) fn eye_like(builder: &mut Builder, call: &Call) -> Built {
    let like = call.input(0)?;
    let (dims, k) = (like.dims().to_vec(), call.int("k", 0)?);
    let dtype = match like.kind() {
        Kind::Float => 1,
        Kind::Int => 7,
        Kind::Bool => 9,
    };
    if dims.len() != 2 {
        return Err(format!("a unit matrix of shape {dims:?}"));
    }
    builder.take_room(&dims)?;
    let ones = (0..dims[0] * dims[1]).map(|i| (i % dims[1]) as i64 - (i / dims[1]) as i64 == k);
    let data = match call.int("dtype", dtype)? {
        1 | 10 | 11 | 16 => Data::Float(Arc::new(ones.map(|one| f32::from(u8::from(one))).collect())),
        9 => Data::Bool(Arc::new(ones.map(i64::from).collect())),
        _ => Data::Int(Arc::new(ones.map(i64::from).collect())),
    };
    Ok(vec![Constant { dims, data }.into()])
}

/// -1 stands for what is left, 0 for the input's own size.
pub(super) fn reshape(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let wanted = call.ints_input(1, "shapes")?.ok_or("no shape")?;
    let keeps = call.int("allowzero", 0)? == 0;
    let len = value.dims().iter().product::<usize>();
    let mut dims = Vec::with_capacity(wanted.len());
    let mut open = None;
    for (axis, &size) in wanted.iter().enumerate() {
        dims.push(match size {
            0 if keeps => {
                *value.dims().get(axis).ok_or_else(|| format!("shape {wanted:?} of {:?}", value.dims()))?
            }
            -1 if open.is_none() => {
                open = Some(axis);
                1
            }
            size => usize::try_from(size).map_err(|_| format!("shape {wanted:?}"))?,
        });
    }
    if let Some(axis) = open {
        let known = dims.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
        match known {
            Some(known) if known > 0 && len.is_multiple_of(known) => dims[axis] = len / known,
            _ => return Err(format!("shape {:?} as {wanted:?}", value.dims())),
        }
    }
    Ok(vec![builder.reshape(value, &dims)?])
}

pub(super) fn flatten(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let rank = value.rank();
    let axis = call.int("axis", 1)?;
    let axis = if axis == rank as i64 { rank } else { axis_of(axis, rank)? };
    let dims = value.dims().to_vec();
    Ok(vec![builder.reshape(value, &[dims[..axis].iter().product(), dims[axis..].iter().product()])?])
}

pub(super) fn transpose(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let rank = value.rank();
    let axes = match call.ints("perm")? {
        Some(axes) => axes_of(axes, rank)?,
        None => (0..rank).rev().collect(),
    };
    if axes.len() != rank {
        return Err(format!("a transposition {axes:?} of {rank} axes"));
    }
    Ok(vec![builder.transpose(value, &axes)?])
}

pub(super) fn squeeze(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?;
    let dims = value.dims().to_vec();
    let axes = match call.ints_moved("axes", 1, 12)? {
        Some(axes) => axes_of(&axes, dims.len())?,
        None => (0..dims.len()).filter(|&axis| dims[axis] == 1).collect(),
    };
    if let Some(&axis) = axes.iter().find(|&&axis| dims[axis] != 1) {
        return Err(format!("axis {axis} of shape {dims:?} to be left out"));
    }
    let kept: Vec<usize> =
        (0..dims.len()).filter(|axis| !axes.contains(axis)).map(|axis| dims[axis]).collect();
    Ok(vec![builder.reshape(value, &kept)?])
}

pub(super) fn unsqueeze(builder: &mut Builder, call: &Call) -> Built {
    let value: &Value = call.input(0)?;
    let axes = call.ints_moved("axes", 1, 12)?.ok_or("no axes")?;
    let axes = axes_of(&axes, value.rank() + axes.len())?;
    Ok(vec![builder.unsqueeze(value, &axes)?])
}

/// The size of blocks and the image's sizes.
fn blocks(call: &Call) -> Result<(usize, [usize; 4]), Refusal> {
    let size = usize::try_from(call.int("blocksize", 0)?).unwrap_or(0);
    match (size, call.input(0)?.dims()) {
        (1..=1024, &[n, c, h, w]) => Ok((size, [n, c, h, w])),
        (_, dims) => Err(format!("blocks of {size} in shape {dims:?}")),
    }
}

/// Channels become blocks of an image.
pub(super) fn depth_to_space(builder: &mut Builder, call: &Call) -> Built {
    let (b, [n, c, h, w]) = blocks(call)?;
    let (split, order) = match call.text("mode", "DCR")? {
        "DCR" => ([n, b, b, c / (b * b), h, w], [0, 3, 4, 1, 5, 2]),
        "CRD" => ([n, c / (b * b), b, b, h, w], [0, 1, 4, 2, 5, 3]),
        other => return Err(format!("mode {other:?}")),
    };
    let parted = builder.reshape(call.input(0)?, &split)?;
    let turned = builder.transpose(&parted, &order)?;
    Ok(vec![builder.reshape(&turned, &[n, c / (b * b), h * b, w * b])?])
}

/// Blocks of an image become channels.
pub(super) fn space_to_depth(builder: &mut Builder, call: &Call) -> Built {
    let (b, [n, c, h, w]) = blocks(call)?;
    let parted = builder.reshape(call.input(0)?, &[n, c, h / b, b, w / b, b])?;
    let turned = builder.transpose(&parted, &[0, 3, 5, 1, 2, 4])?;
    Ok(vec![builder.reshape(&turned, &[n, c * b * b, h / b, w / b])?])
}
