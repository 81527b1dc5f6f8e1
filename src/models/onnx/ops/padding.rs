//! Axes made longer: by a constant, by a mirror image, by their ends, or all around.

use std::sync::Arc;

use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Data, Kind};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Value, axes_of, elements};

pub(super) fn pad(builder: &mut Builder, call: &Call) -> Built {
    let mut value = call.input(0)?.clone();
    let rank = value.rank();
    let pads =
        if call.opset < 11 { call.ints("pads")?.map(<[i64]>::to_vec) } else { call.ints_input(1, "pads")? };
    let pads = pads.ok_or("no pads")?;
    let axes = match call.ints_input(3, "axes")? {
        Some(axes) => axes_of(&axes, rank)?,
        None => (0..rank).collect(),
    };
    if pads.len() != 2 * axes.len() {
        return Err(format!("{} pads of {} axes", pads.len(), axes.len()));
    }
    let mode = call.text("mode", "constant")?.to_string();
    let fill = match call.optional(2) {
        Some(_) => call.constant(2, "a value")?.single().ok_or("a value of several elements")? as f32,
        None => call.float("value", 0.0)?,
    };
    for (i, &axis) in axes.iter().enumerate() {
        let (before, after) = (pads[i], pads[i + axes.len()]);
        if before == 0 && after == 0 {
            continue;
        }
        let len = value.dims()[axis] as i64;
        let longer = before
            .checked_add(after)
            .and_then(|pad| pad.checked_add(len))
            .filter(|len| (1..1 << 31).contains(len));
        let longer = longer.ok_or_else(|| format!("pads {pads:?}"))?;
        let mut dims = value.dims().to_vec();
        dims[axis] = longer as usize;
        elements(&dims)?;
        value = match mode.as_str() {
            "constant" => filled(builder, &value, axis, [before, after], fill)?,
            mode => {
                let positions: Result<Vec<usize>, Refusal> =
                    (-before..len + after).map(|at| mirrored(at, len, mode)).collect();
                builder.take(&value, axis, &positions?)?
            }
        };
    }
    Ok(vec![value])
}

/// The position of an axis that stands at `at`, which may lie beyond its ends.
fn mirrored(at: i64, len: i64, mode: &str) -> Result<usize, Refusal> {
    let position = match mode {
        "edge" => at.clamp(0, len - 1),
        "wrap" => at.rem_euclid(len),
        "reflect" if len == 1 => 0,
        "reflect" => {
            let turn = at.rem_euclid(2 * len - 2);
            turn.min(2 * len - 2 - turn)
        }
        other => return Err(format!("mode {other:?}")),
    };
    Ok(position as usize)
}

/// A negative pad cuts off.
fn filled(
    builder: &mut Builder,
    value: &Value,
    axis: usize,
    pads: [i64; 2],
    fill: f32,
) -> Result<Value, Refusal> {
    let len = value.dims()[axis] as i64;
    let kept: Vec<usize> = ((-pads[0]).max(0)..len + pads[1].min(0)).map(|at| at as usize).collect();
    let inner = builder.take(value, axis, &kept)?;
    let mut parts = vec![inner];
    for (i, pad) in pads.into_iter().enumerate().filter(|(_, pad)| *pad > 0) {
        let mut dims = value.dims().to_vec();
        dims[axis] = pad as usize;
        builder.take_room(&dims)?;
        let count = dims.iter().product();
        let data = match value.kind() {
            Kind::Float => Data::Float(Arc::new(vec![fill; count])),
            Kind::Int => Data::Int(Arc::new(vec![fill as i64; count])),
            Kind::Bool => Data::Bool(Arc::new(vec![i64::from(fill != 0.0); count])),
        };
        let constant = Constant { dims, data };
        parts.insert(if i == 0 { 0 } else { parts.len() }, constant.into());
    }
    builder.concat(&parts, axis)
}
