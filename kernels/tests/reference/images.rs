//! Convolutions and pooling, one product at a time.

use percuss_kernels::ops::*;

use super::{Sum, U, Value, activate};

/// Calls `f(x, w, y)` with the places of every product of a convolution.
fn products(op: &Conv, mut f: impl FnMut(usize, usize, usize)) {
    let [out_height, out_width] = op.out_size();
    let (ci, co) = (op.in_channels / op.groups, op.out_channels / op.groups);
    for (set, image) in (0..op.sets).flat_map(|set| (0..op.images).map(move |image| (set, image))) {
        for (oy, ox) in (0..out_height).flat_map(|oy| (0..out_width).map(move |ox| (oy, ox))) {
            for (ky, kx) in (0..op.kernel[0]).flat_map(|ky| (0..op.kernel[1]).map(move |kx| (ky, kx))) {
                let iy = (oy * op.stride[0] + ky * op.dilation[0]) as isize - op.pad[0] as isize;
                let ix = (ox * op.stride[1] + kx * op.dilation[1]) as isize - op.pad[1] as isize;
                if iy < 0 || ix < 0 || iy >= op.height as isize || ix >= op.width as isize {
                    continue;
                }
                let image = set * op.images + image;
                let x = ((image * op.height + iy as usize) * op.width + ix as usize) * op.in_channels;
                let y = ((image * out_height + oy) * out_width + ox) * op.out_channels;
                let w = ((set * op.kernel[0] + ky) * op.kernel[1] + kx) * ci * op.out_channels;
                for (o, c) in (0..op.out_channels).flat_map(|o| (0..ci).map(move |c| (o, c))) {
                    f(x + o / co * ci + c, w + c * op.out_channels + o, y + o);
                }
            }
        }
    }
}

pub fn conv(op: &Conv, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let [out_height, out_width] = op.out_size();
    let per_set = op.images * out_height * out_width * op.out_channels;
    let mut sums = vec![Sum::default(); op.sets * per_set];
    products(op, |x, w, y| sums[y].add(f64::from(inputs[0][x]) * f64::from(inputs[1][w])));
    for (i, sum) in sums.iter_mut().enumerate() {
        if op.epilogue.bias {
            sum.add(f64::from(inputs[2][i / per_set * op.out_channels + i % op.out_channels]));
        }
        if op.epilogue.residual {
            sum.add(f64::from(inputs[2 + usize::from(op.epilogue.bias)][i]));
        }
    }
    vec![sums.into_iter().map(|sum| activate(op.epilogue, sum.finish())).collect()]
}

pub fn conv_input_grad(op: &ConvInputGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let op = &op.0;
    let mut sums = vec![Sum::default(); op.sets * op.images * op.height * op.width * op.in_channels];
    products(op, |x, w, y| sums[x].add(f64::from(inputs[0][y]) * f64::from(inputs[1][w])));
    vec![sums.into_iter().map(Sum::finish).collect()]
}

pub fn gated_conv_input_grad(op: &GatedConvInputGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut values = conv_input_grad(&ConvInputGrad(op.conv.clone()), inputs).remove(0);
    for (i, value) in values.iter_mut().enumerate() {
        if op.residual {
            let residual = f64::from(inputs[2][i]);
            value.exact += residual;
            // The sum may be rounded once more.
            value.bound += U * (residual.abs() + value.exact.abs());
        }
        if op.gate && inputs[2 + usize::from(op.residual)][i] <= 0.0 {
            *value = Value::exact(0.0);
        }
    }
    vec![values]
}

pub fn gated_pool_grad(op: &GatedPoolGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut values = pool_grad(&PoolGrad(op.0.clone()), inputs).remove(0);
    for (value, _) in values.iter_mut().zip(&inputs[0]).filter(|(_, x)| **x <= 0.0) {
        *value = Value::exact(0.0);
    }
    vec![values]
}

pub fn conv_weight_grad(op: &ConvWeightGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let op = &op.0;
    let taps = op.kernel[0] * op.kernel[1] * op.in_channels / op.groups;
    let mut sums = vec![Sum::default(); op.sets * taps * op.out_channels];
    products(op, |x, w, y| sums[w].add(f64::from(inputs[0][x]) * f64::from(inputs[1][y])));
    vec![sums.into_iter().map(Sum::finish).collect()]
}

/// Calls `f(x places of the window, y place)` for every window and channel.
fn windows(op: &Pool, mut f: impl FnMut(&[usize], usize)) {
    let [out_height, out_width] = op.out_size();
    for y in 0..op.images * out_height * out_width * op.channels {
        let (c, ox) = (y % op.channels, y / op.channels % out_width);
        let oy = y / op.channels / out_width % out_height;
        let image = y / op.channels / out_width / out_height;
        let mut places = Vec::new();
        for (ky, kx) in (0..op.kernel[0]).flat_map(|ky| (0..op.kernel[1]).map(move |kx| (ky, kx))) {
            let iy = (oy * op.stride[0] + ky) as isize - op.pad[0] as isize;
            let ix = (ox * op.stride[1] + kx) as isize - op.pad[1] as isize;
            if iy >= 0 && ix >= 0 && iy < op.height as isize && ix < op.width as isize {
                places.push(((image * op.height + iy as usize) * op.width + ix as usize) * op.channels + c);
            }
        }
        f(&places, y);
    }
}

fn divisor(op: &Pool, inside: usize) -> f64 {
    match op.kind {
        PoolKind::Max => 1.0,
        PoolKind::Average => (op.kernel[0] * op.kernel[1]) as f64,
        PoolKind::AverageInside => inside as f64,
    }
}

fn largest(x: &[f32], places: &[usize]) -> usize {
    places.iter().copied().fold(places[0], |best, place| if x[place] > x[best] { place } else { best })
}

pub fn pool(op: &Pool, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let x = &inputs[0];
    let mut out = Vec::new();
    windows(op, |places, _| {
        if op.kind == PoolKind::Max {
            return out.push(Value::exact(x[largest(x, places)]));
        }
        let mut sum = Sum::default();
        places.iter().for_each(|&place| sum.add(f64::from(x[place]) / divisor(op, places.len())));
        out.push(sum.finish());
    });
    vec![out]
}

pub fn pool_grad(op: &PoolGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let op = &op.0;
    let (x, dy) = (&inputs[0], &inputs[1]);
    let mut sums = vec![Sum::default(); x.len()];
    windows(op, |places, y| {
        let dy = f64::from(dy[y]);
        if op.kind == PoolKind::Max {
            return sums[largest(x, places)].add(dy);
        }
        places.iter().for_each(|&place| sums[place].add(dy / divisor(op, places.len())));
    });
    vec![sums.into_iter().map(Sum::finish).collect()]
}
