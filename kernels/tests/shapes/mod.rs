//! Ops that tests and the bench both run.

use percuss_kernels::ops::*;

/// A gradient-sign step with clamping: `clamp(x0 + clamp(x + a sign(g) - x0, -e, e), 0, 1)`, with per-lane a and e; its second output
/// is the change before clamping.
pub fn step(shape: &[usize]) -> Pointwise {
    let contiguous: Vec<usize> = (0..shape.len()).map(|d| shape[d + 1..].iter().product()).collect();
    let mut lane = vec![0; shape.len()];
    lane[0] = 1;
    use Instr::{Binary as Two, Const, Input, Unary as One};
    Pointwise {
        shape: shape.to_vec(),
        strides: vec![contiguous.clone(), contiguous.clone(), contiguous, lane.clone(), lane],
        code: vec![
            Input(0),
            Input(1),
            Input(2),
            Input(3),
            Input(4),
            One(Unary::Sign, 2),
            Two(Binary::Mul, 3, 5),
            Two(Binary::Add, 0, 6),
            Two(Binary::Sub, 7, 1),
            Two(Binary::Min, 8, 4),
            One(Unary::Neg, 4),
            Two(Binary::Max, 9, 10),
            Two(Binary::Add, 1, 11),
            Const(0.0),
            Const(1.0),
            Two(Binary::Max, 12, 13),
            Two(Binary::Min, 15, 14),
        ],
        outputs: vec![16, 8],
    }
}

/// A convolution of one set of images, padded so that stride 1 keeps their size (odd kernels).
pub fn padded_conv(
    images: usize,
    size: [usize; 2],
    channels: [usize; 2],
    kernel: [usize; 2],
    stride: [usize; 2],
    epilogue: Epilogue,
) -> Conv {
    Conv {
        sets: 1,
        images,
        height: size[0],
        width: size[1],
        in_channels: channels[0],
        out_channels: channels[1],
        kernel,
        stride,
        pad: [kernel[0] / 2, kernel[1] / 2, kernel[0] / 2, kernel[1] / 2],
        dilation: [1, 1],
        groups: 1,
        epilogue,
    }
}
