//! Convolutions, of images and of signals, which are images of one row.

use std::sync::Arc;

use crate::graph::{ConvGeometry, Tensor};
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Kind};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, elements};

/// How a window moves: each list has an entry for height and width.
#[derive(Clone, Debug)]
pub(super) struct Window {
    pub(super) kernel: [usize; 2],
    pub(super) stride: [usize; 2],
    pub(super) dilation: [usize; 2],
    /// At the top, left, bottom, right.
    pub(super) pad: [usize; 4],
}

impl Window {
    /// A window from the attributes of a node over an image of `size`; `spatial` is the number of axes in the file.
    pub(super) fn of(
        call: &Call,
        kernel: &[usize],
        size: [usize; 2],
        spatial: usize,
    ) -> Result<Self, Refusal> {
        let pair = |values: &[usize], missing: usize| match values {
            [one] => [missing, *one],
            _ => [values[0], values[1]],
        };
        let kernel = pair(kernel, 1);
        let stride = pair(&call.sizes("strides", spatial, 1)?, 1);
        let dilation = pair(&call.sizes("dilations", spatial, 1)?, 1);
        if [kernel, stride, dilation].concat().contains(&0) {
            return Err("a kernel, stride or dilation of 0".into());
        }
        let pads = call.sizes("pads", 2 * spatial, 0)?;
        let explicit =
            if spatial == 1 { [0, pads[0], 0, pads[1]] } else { [pads[0], pads[1], pads[2], pads[3]] };
        let mut window = Self { kernel, stride, dilation, pad: explicit };
        match call.text("auto_pad", "NOTSET")? {
            "NOTSET" | "" => {}
            "VALID" => window.pad = [0; 4],
            same @ ("SAME_UPPER" | "SAME_LOWER") => {
                for axis in 0..2 {
                    let out = size[axis].div_ceil(stride[axis]);
                    let all = ((out - 1) * stride[axis] + window.span(axis)).saturating_sub(size[axis]);
                    let before = if same == "SAME_UPPER" { all / 2 } else { all.div_ceil(2) };
                    (window.pad[axis], window.pad[axis + 2]) = (before, all - before);
                }
            }
            other => return Err(format!("auto_pad {other:?}")),
        }
        Ok(window)
    }

    /// Positions that the kernel reaches over along an axis.
    pub(super) fn span(&self, axis: usize) -> usize {
        self.dilation[axis].saturating_mul(self.kernel[axis] - 1).saturating_add(1)
    }

    /// The result's size, rounded down.
    pub(super) fn out(&self, size: [usize; 2]) -> Result<[usize; 2], Refusal> {
        let mut out = [0; 2];
        for axis in 0..2 {
            let padded = size[axis].saturating_add(self.pad[axis]).saturating_add(self.pad[axis + 2]);
            let rest = padded.checked_sub(self.span(axis));
            let rest = rest.filter(|_| padded < 1 << 31);
            out[axis] = rest.ok_or_else(|| format!("a kernel {:?} over an image {size:?}", self.kernel))?
                / self.stride[axis]
                + 1;
        }
        Ok(out)
    }
}

/// An image `[n, height, width, channels]` in memory from `[n, channels, height, width]` or `[n, channels, length]`.
pub(super) fn image(builder: &mut Builder, x: &Traced) -> Result<(Tensor, [usize; 2]), Refusal> {
    match x.dims[..] {
        [n, channels, length] => {
            let tensor = builder.arrange(x, &[0, 2, 1])?;
            Ok((builder.graph.reshape(tensor, &[n, 1, length, channels]), [1, length]))
        }
        [_, _, height, width] => Ok((builder.arrange(x, &[0, 2, 3, 1])?, [height, width])),
        _ => Err(format!("windows over {} axes, shape {:?}", x.dims.len().saturating_sub(2), x.dims)),
    }
}

/// The other way round.
pub(super) fn from_image(builder: &mut Builder, tensor: Tensor, spatial: usize) -> Traced {
    let [n, height, width, channels] = [0, 1, 2, 3].map(|axis| builder.graph.dims(tensor)[axis]);
    if spatial == 1 {
        let tensor = builder.graph.reshape(tensor, &[n, width, channels]);
        return Traced { tensor, dims: vec![n, channels, width], order: vec![0, 2, 1], kind: Kind::Float };
    }
    Traced { tensor, dims: vec![n, channels, height, width], order: vec![0, 2, 3, 1], kind: Kind::Float }
}

/// A channel's factor and summand in f64: a batch norm, folded.
pub(super) type Affine = Vec<(f64, f64)>;

pub(super) fn conv(builder: &mut Builder, call: &Call) -> Built {
    Ok(vec![folded(builder, call, None)?.into()])
}

/// A convolution of which every output channel is scaled and shifted.
pub(super) fn folded(builder: &mut Builder, call: &Call, affine: Option<&Affine>) -> Result<Traced, Refusal> {
    let x = builder.traced(call.input(0)?)?;
    let weight = weight(call, x.dims.len())?;
    let groups = usize::try_from(call.int("group", 1)?).unwrap_or(0);
    let (outputs, inputs) = (weight.dims[0], weight.dims[1]);
    if groups == 0 || outputs % groups != 0 || inputs.checked_mul(groups) != Some(x.dims[1]) {
        return Err(format!("{groups} groups, a weight {:?} and an input {:?}", weight.dims, x.dims));
    }
    let spatial = x.dims.len() - 2;
    let (image, size) = image(builder, &x)?;
    let window = Window::of(call, &weight.dims[2..], size, spatial)?;
    let [height, width] = window.out(size)?;
    elements(&[x.dims[0], height, width, outputs])?;
    let bias = match call.optional(2) {
        Some(_) => Some(floats(call.constant(2, "biases")?, outputs)?),
        None => None,
    };
    let scaled = match affine {
        Some(affine) => scaled(weight, affine),
        None => weight.clone(),
    };
    let bias = match affine {
        Some(affine) => {
            let own = |o: usize| bias.as_ref().map_or(0.0, |bias| f64::from(bias[o]));
            Some(Arc::new((0..outputs).map(|o| (affine[o].0 * own(o) + affine[o].1) as f32).collect()))
        }
        None => bias,
    };
    // [out, in, height, width] to [height, width, in, out].
    let [kh, kw] = window.kernel;
    let kernel = builder.lift(&scaled.with_dims(vec![outputs, inputs, kh, kw]), &[2, 3, 1, 0], false);
    let geometry = ConvGeometry { stride: window.stride, pad: window.pad, dilation: window.dilation, groups };
    let image = builder.with_lanes(image);
    let mut y = builder.graph.conv(image, kernel, geometry);
    if let Some(bias) = bias {
        let bias = builder.lift(
            &Constant { dims: vec![outputs], data: crate::models::onnx::constant::Data::Float(bias) },
            &[0],
            false,
        );
        y = builder.graph.add(y, bias);
    }
    Ok(from_image(builder, y, spatial))
}

/// A weight that is known, of as many axes as the input.
fn weight<'c>(call: &'c Call, rank: usize) -> Result<&'c Constant, Refusal> {
    let weight = call.constant(1, "weights")?;
    let whole = weight.as_floats().is_some() && weight.len() > 0;
    if !whole || weight.dims.len() != rank || !(3..=4).contains(&rank) {
        return Err(format!("a weight of shape {:?} for an input of {rank} axes", weight.dims));
    }
    Ok(weight)
}

/// The numbers of a constant of this many.
pub(super) fn floats(constant: &Constant, len: usize) -> Result<Arc<Vec<f32>>, Refusal> {
    match constant.as_floats() {
        Some(values) if values.len() == len => Ok(values.clone()),
        _ => Err(format!("{} numbers for {len} channels", constant.len())),
    }
}

fn scaled(weight: &Constant, affine: &Affine) -> Constant {
    let each = weight.len() / affine.len().max(1);
    let values = (0..weight.len()).map(|i| (weight.number(i) * affine[i / each].0) as f32).collect();
    Constant::floats(&weight.dims, values)
}

/// The input gradient of a convolution, as a layer.
pub(super) fn conv_transpose(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let weight = weight(call, x.dims.len())?;
    let groups = usize::try_from(call.int("group", 1)?).unwrap_or(0);
    let (inputs, each) = (weight.dims[0], weight.dims[1]);
    if groups == 0 || inputs % groups != 0 || inputs != x.dims[1] {
        return Err(format!("{groups} groups, a weight {:?} and an input {:?}", weight.dims, x.dims));
    }
    let spatial = x.dims.len() - 2;
    let (image, size) = image(builder, &x)?;
    let mut window = Window::of(call, &weight.dims[2..], size, spatial)?;
    let extra = call.sizes("output_padding", spatial, 0)?;
    let extra = if spatial == 1 { [0, extra[0]] } else { [extra[0], extra[1]] };
    let full = |axis: usize| -> Option<usize> {
        window.stride[axis]
            .checked_mul(size[axis] - 1)?
            .checked_add(window.span(axis))?
            .checked_add(extra[axis])
    };
    let [Some(high), Some(wide)] = [full(0), full(1)] else { return Err("too large an image".into()) };
    let mut out = [high, wide];
    let wanted = call.ints("output_shape")?;
    let same = call.text("auto_pad", "NOTSET")?;
    for axis in 0..2 {
        let size = match (wanted, same) {
            (Some(wanted), _) if wanted.len() == spatial && axis + spatial >= 2 => {
                usize::try_from(wanted[axis + spatial - 2]).ok()
            }
            (None, "SAME_UPPER" | "SAME_LOWER") => size[axis].checked_mul(window.stride[axis]),
            _ => out[axis].checked_sub(window.pad[axis] + window.pad[axis + 2]),
        };
        let size =
            size.filter(|&size| size > 0 && size <= out[axis]).ok_or("an output smaller than its padding")?;
        if wanted.is_some() || same.starts_with("SAME") {
            let all = out[axis] - size;
            // What is odd is cut at the front, but for SAME_UPPER: the other way round than in a convolution without padding of its own.
            let before = if same == "SAME_UPPER" { all / 2 } else { all.div_ceil(2) };
            (window.pad[axis], window.pad[axis + 2]) = (before, all - before);
        }
        out[axis] = size;
    }
    elements(&[x.dims[0], out[0], out[1], groups * each])?;
    if window.out(out)? != size {
        return Err(format!("output_padding {extra:?} with strides {:?}", window.stride));
    }
    // [in, out / groups, height, width] is the weight of the convolution whose gradient it is: [height, width, out / groups, in].
    let [kh, kw] = window.kernel;
    let kernel = builder.lift(&weight.with_dims(vec![inputs, each, kh, kw]), &[2, 3, 1, 0], false);
    let geometry = ConvGeometry { stride: window.stride, pad: window.pad, dilation: window.dilation, groups };
    let image = builder.with_lanes(image);
    let mut y = builder.graph.conv_transposed(image, kernel, geometry, out);
    if call.optional(2).is_some() {
        let bias = call.constant(2, "biases")?;
        floats(bias, groups * each)?;
        let bias = builder.lift(bias, &[0], false);
        y = builder.graph.add(y, bias);
    }
    Ok(vec![from_image(builder, y, spatial).into()])
}
