//! How PyTorch and the kernels lay out a tensor.

use super::net::Role;

/// The shape that a tensor has in the kernels' layout.
pub(crate) fn layout(role: Role, shape: &[usize]) -> Vec<usize> {
    match role {
        Role::Conv2d => vec![shape[2], shape[3], shape[1], shape[0]],
        Role::Conv1d => vec![1, shape[2], shape[1], shape[0]],
        _ => shape.to_vec(),
    }
}

/// PyTorch's layout to the kernels': convolutions from `[out, in, taps..]` to `[taps.., in, out]`.
pub(crate) fn to_layout(role: Role, shape: &[usize], data: &[f32]) -> Vec<f32> {
    let Some([outputs, inputs, taps]) = conv_sizes(role, shape) else { return data.to_vec() };
    let mut out = Vec::with_capacity(data.len());
    for tap in 0..taps {
        for i in 0..inputs {
            out.extend((0..outputs).map(|o| data[(o * inputs + i) * taps + tap]));
        }
    }
    out
}

/// The kernels' layout back to PyTorch's: what training writes to a file.
pub fn from_training_layout(role: Role, shape: &[usize], data: &[f32]) -> Vec<f32> {
    let Some([outputs, inputs, taps]) = conv_sizes(role, shape) else { return data.to_vec() };
    let mut out = Vec::with_capacity(data.len());
    for o in 0..outputs {
        for i in 0..inputs {
            out.extend((0..taps).map(|tap| data[(tap * inputs + i) * outputs + o]));
        }
    }
    out
}

fn conv_sizes(role: Role, shape: &[usize]) -> Option<[usize; 3]> {
    matches!(role, Role::Conv2d | Role::Conv1d).then(|| [shape[0], shape[1], shape[2..].iter().product()])
}
