//! Images made larger or smaller: each axis is a linear map, known when the network is read.

use super::linear::along_axis;
use crate::graph::{Upsample, interpolation};
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::Constant;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, Value, axes_of, elements};

pub(super) fn upsample(builder: &mut Builder, call: &Call) -> Built {
    let scales = scales(call, 1)?.ok_or("no scales")?;
    let value = call.input(0)?.clone();
    let nearest = match call.text("mode", "nearest")? {
        "nearest" => true,
        "linear" => false,
        other => return Err(format!("mode {other:?}")),
    };
    let axes: Vec<usize> = (0..value.rank()).collect();
    let how = How { nearest, coordinates: "asymmetric".into(), rounding: "floor".into() };
    let sizes = sized(&value, &axes, &scales)?;
    Ok(vec![resized(builder, value, &axes, &scales, &sizes, &how)?])
}

/// How positions of the result map to those of the image.
struct How {
    nearest: bool,
    coordinates: String,
    rounding: String,
}

pub(super) fn resize(builder: &mut Builder, call: &Call) -> Built {
    let value = call.input(0)?.clone();
    let axes = match call.ints("axes")? {
        Some(axes) => axes_of(axes, value.rank())?,
        None => (0..value.rank()).collect(),
    };
    let nearest = match call.text("mode", "nearest")? {
        "nearest" => true,
        "linear" => false,
        other => return Err(format!("mode {other:?}")),
    };
    if call.int("antialias", 0)? != 0 || call.text("keep_aspect_ratio_policy", "stretch")? != "stretch" {
        return Err("antialiasing, or an aspect ratio that is kept".into());
    }
    let coordinates = call.text("coordinate_transformation_mode", "half_pixel")?.to_string();
    let rounding = call.text("nearest_mode", "round_prefer_floor")?.to_string();
    let how = How { nearest, coordinates, rounding };
    let (scales, sizes) = match (scales(call, 2)?, call.ints_input(3, "sizes")?) {
        (Some(scales), _) => {
            let sizes = sized(&value, &axes, &scales)?;
            (scales, sizes)
        }
        (None, Some(sizes)) => {
            let sizes: Option<Vec<usize>> = sizes.iter().map(|&size| usize::try_from(size).ok()).collect();
            let sizes = sizes.filter(|sizes| sizes.len() == axes.len()).ok_or("sizes that do not fit")?;
            let scale = |(size, axis): (&usize, &usize)| *size as f32 / value.dims()[*axis] as f32;
            (sizes.iter().zip(&axes).map(scale).collect(), sizes)
        }
        (None, None) => return Err("neither scales nor sizes".into()),
    };
    Ok(vec![resized(builder, value, &axes, &scales, &sizes, &how)?])
}

/// Factors, if there are any.
fn scales(call: &Call, i: usize) -> Result<Option<Vec<f32>>, Refusal> {
    if call.optional(i).is_none() {
        return Ok(None);
    }
    let constant = call.constant(i, "scales")?;
    let scales: Vec<f32> = (0..constant.len()).map(|i| constant.number(i) as f32).collect();
    if scales.iter().any(|scale| !(*scale > 0.0 && *scale < 1e6)) {
        return Err(format!("scales {scales:?}"));
    }
    Ok(Some(scales).filter(|scales| !scales.is_empty()))
}

/// Sizes, rounded down. All arithmetic of positions is in f32, as onnxruntime's is: 3 times the f32 that 5/3 is nearest to is 5.
fn sized(value: &Value, axes: &[usize], scales: &[f32]) -> Result<Vec<usize>, Refusal> {
    if scales.len() != axes.len() {
        return Err(format!("{} scales of {} axes", scales.len(), axes.len()));
    }
    Ok(axes
        .iter()
        .zip(scales)
        .map(|(&axis, scale)| (value.dims()[axis] as f32 * scale).floor() as usize)
        .collect())
}

fn resized(
    builder: &mut Builder,
    mut value: Value,
    axes: &[usize],
    scales: &[f32],
    sizes: &[usize],
    how: &How,
) -> Result<Value, Refusal> {
    let mut dims = value.dims().to_vec();
    axes.iter().zip(sizes).for_each(|(&axis, &size)| dims[axis] = size);
    elements(value.dims())?;
    elements(&dims)?;
    let mut factors = vec![1.0; dims.len()];
    axes.iter().zip(scales).for_each(|(&axis, &scale)| factors[axis] = scale);
    if let Some(value) = by_factors(builder, &value, &factors, how)? {
        return Ok(value);
    }
    for ((&axis, &scale), &size) in axes.iter().zip(scales).zip(sizes) {
        let len = value.dims()[axis];
        if size == len && scale == 1.0 {
            continue;
        }
        let at: Result<Vec<f32>, Refusal> =
            (0..size).map(|o| coordinate(o as f32, len as f32, size as f32, scale, how)).collect();
        let at = at?;
        value = if how.nearest {
            let positions: Result<Vec<usize>, Refusal> = at.iter().map(|&at| nearest(at, len, how)).collect();
            builder.take(&value, axis, &positions?)?
        } else {
            builder.take_room(&[len, size])?;
            let rows = interpolation(len, at.iter().map(|&at| f64::from(at)));
            along_axis(builder, &value, axis, Constant::floats(&[size, len], rows).permuted(&[1, 0]))?
        };
    }
    Ok(value)
}

/// An image that becomes exactly a whole number of times as large, by the op for that.
fn by_factors(
    builder: &mut Builder,
    value: &Value,
    scales: &[f32],
    how: &How,
) -> Result<Option<Value>, Refusal> {
    let Value::Traced(traced) = value else { return Ok(None) };
    let (&[n, c, height, width], &[1.0, 1.0, tall, wide]) = (&traced.dims[..], scales) else {
        return Ok(None);
    };
    if [tall, wide].iter().any(|scale| scale.fract() != 0.0) {
        return Ok(None);
    }
    let kind = match (how.nearest, how.coordinates.as_str(), how.rounding.as_str()) {
        (true, "asymmetric", "floor") => Upsample::Nearest,
        // Half a pixel apart, the nearest is the same one only for these factors.
        (true, "half_pixel", "round_prefer_floor") if tall <= 2.0 && wide <= 2.0 => Upsample::Nearest,
        (false, "half_pixel", _) => Upsample::Bilinear,
        _ => return Ok(None),
    };
    let x = builder.arrange(traced, &[0, 2, 3, 1])?;
    let x = builder.with_lanes(x);
    let factors = [tall as usize, wide as usize];
    let tensor = builder.graph.upsample(x, factors, kind);
    let dims = vec![n, c, height * factors[0], width * factors[1]];
    Ok(Some(Traced { tensor, dims, order: vec![0, 2, 3, 1], kind: traced.kind }.into()))
}

/// The position in the image of position `o` of the result.
fn coordinate(o: f32, len: f32, size: f32, scale: f32, how: &How) -> Result<f32, Refusal> {
    Ok(match how.coordinates.as_str() {
        "half_pixel" => (o + 0.5) / scale - 0.5,
        "pytorch_half_pixel" => {
            if size > 1.0 {
                (o + 0.5) / scale - 0.5
            } else {
                0.0
            }
        }
        "align_corners" => {
            if size > 1.0 {
                o * (len - 1.0) / (size - 1.0)
            } else {
                0.0
            }
        }
        "asymmetric" => o / scale,
        other => return Err(format!("coordinates {other:?}")),
    })
}

fn nearest(at: f32, len: usize, how: &How) -> Result<usize, Refusal> {
    let rounded = match how.rounding.as_str() {
        "round_prefer_floor" => (at - 0.5).ceil(),
        "round_prefer_ceil" => (at + 0.5).floor(),
        "floor" => at.floor(),
        "ceil" => at.ceil(),
        other => return Err(format!("nearest_mode {other:?}")),
    };
    Ok(rounded.clamp(0.0, len as f32 - 1.0) as usize)
}
