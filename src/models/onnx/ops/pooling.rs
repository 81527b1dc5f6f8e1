//! Pooling over windows and over whole images.

use percuss_kernels::ops::{PoolKind, Reduction};

use super::convolution::{Window, from_image, image};
use super::reduction::average as mean;
use crate::graph::PoolGeometry;
use crate::models::onnx::call::Call;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::Built;

pub(super) fn max(builder: &mut Builder, call: &Call) -> Built {
    if call.wants(1) {
        return Err("indices of the largest values".into());
    }
    pool(builder, call, PoolKind::Max)
}

pub(super) fn average(builder: &mut Builder, call: &Call) -> Built {
    let inside = call.int("count_include_pad", 0)? == 0;
    pool(builder, call, if inside { PoolKind::AverageInside } else { PoolKind::Average })
}

fn pool(builder: &mut Builder, call: &Call, mut kind: PoolKind) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let (image, size) = image(builder, &x)?;
    let spatial = x.dims.len() - 2;
    let kernel = call.sizes("kernel_shape", spatial, 0)?;
    if kernel.contains(&0) {
        return Err("a kernel of 0".into());
    }
    let mut window = Window::of(call, &kernel, size, spatial)?;
    if window.dilation != [1, 1] {
        return Err(format!("dilations {:?}", window.dilation));
    }
    if call.int("ceil_mode", 0)? == 1 {
        let extra = ceiling(&mut window, size);
        // What is added at the end counts for nothing, unlike other padding.
        if extra && kind == PoolKind::Average {
            if window_padded(call)? {
                return Err("count_include_pad with ceil_mode and padding".into());
            }
            kind = PoolKind::AverageInside;
        }
    }
    window.out(size)?;
    for axis in 0..2 {
        let most = window.kernel[axis] - 1;
        if window.pad[axis] > most || window.pad[axis + 2] > most && call.int("ceil_mode", 0)? == 0 {
            return Err(format!("padding {:?} of a kernel {:?}", window.pad, window.kernel));
        }
    }
    let geometry = PoolGeometry { kernel: window.kernel, stride: window.stride, pad: window.pad };
    let image = builder.with_lanes(image);
    let tensor = builder.graph.pool(kind, image, geometry);
    Ok(vec![from_image(builder, tensor, spatial).into()])
}

fn window_padded(call: &Call) -> Result<bool, String> {
    Ok(call.ints("pads")?.is_some_and(|pads| pads.iter().any(|&pad| pad != 0)))
}

/// Adds what the last windows reach beyond the image, as long as they begin within it; whether that is anything.
fn ceiling(window: &mut Window, size: [usize; 2]) -> bool {
    let mut extra = false;
    for (axis, size) in size.into_iter().enumerate() {
        let padded = size + window.pad[axis] + window.pad[axis + 2];
        let Some(rest) = padded.checked_sub(window.kernel[axis]) else { continue };
        let mut count = rest.div_ceil(window.stride[axis]) + 1;
        if (count - 1) * window.stride[axis] >= size + window.pad[axis] {
            count -= 1;
        }
        let needed = ((count - 1) * window.stride[axis] + window.kernel[axis]).saturating_sub(padded);
        window.pad[axis + 2] += needed;
        extra |= needed > 0;
    }
    extra
}

pub(super) fn global_average(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let axes: Vec<usize> = (2..x.dims.len()).collect();
    Ok(vec![mean(builder, &x, &axes, true)?.into()])
}

pub(super) fn global_max(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let axes: Vec<usize> = (2..x.dims.len()).collect();
    Ok(vec![builder.reduce(Reduction::Max, &x, &axes, true)?.into()])
}
