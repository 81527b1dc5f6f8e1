//! Convolutions with every option, and pooling.

use percuss_kernels::ops::*;

use super::{Case, draw_all, indices};
use crate::reference;

pub fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in convs() {
        cases.push(Case::drawn(ConvInputGrad(op.clone()), reference::conv_input_grad));
        for [residual, gate] in [[false, true], [true, false], [true, true]] {
            let op = GatedConvInputGrad { conv: op.clone(), residual, gate };
            cases.push(Case::drawn(op, reference::gated_conv_input_grad));
        }
        cases.push(Case::drawn(ConvWeightGrad(op.clone()), reference::conv_weight_grad));
        cases.push(Case::drawn(op, reference::conv));
    }
    for op in pools() {
        // Few distinct values, so that windows hold their largest more than once.
        let mut inputs = draw_all(&PoolGrad(op.clone()));
        inputs[0] = indices(inputs[0].len(), 7, 4);
        cases.push(Case::new(op.clone(), inputs[..1].to_vec(), reference::pool));
        cases.push(Case::new(PoolGrad(op.clone()), inputs.clone(), reference::pool_grad));
        // Of both signs, for the gate.
        inputs[0].iter_mut().for_each(|x| *x -= 5.0);
        cases.push(Case::new(GatedPoolGrad(op), inputs, reference::gated_pool_grad));
    }
    cases
}

/// A 3x3 convolution, stride 1, that keeps the size.
fn same(images: usize, size: [usize; 2], channels: [usize; 2]) -> Conv {
    Conv {
        sets: 1,
        images,
        height: size[0],
        width: size[1],
        in_channels: channels[0],
        out_channels: channels[1],
        kernel: [3, 3],
        stride: [1, 1],
        pad: [1, 1, 1, 1],
        dilation: [1, 1],
        groups: 1,
        epilogue: Epilogue::NONE,
    }
}

fn convs() -> Vec<Conv> {
    let full = Epilogue { bias: true, residual: true, activation: Activation::Relu };
    let relu = Epilogue { bias: true, residual: false, activation: Activation::Relu };
    let mut convs = vec![
        same(1, [1, 1], [1, 1]),
        same(2, [5, 6], [3, 7]),
        Conv { epilogue: relu, ..same(3, [28, 28], [1, 32]) },
        Conv { epilogue: full, ..same(2, [14, 14], [32, 64]) },
        Conv { epilogue: relu, ..same(2, [28, 28], [64, 64]) },
        Conv { epilogue: relu, ..same(5, [7, 7], [80, 33]) },
        Conv { epilogue: full, ..same(4, [4, 4], [128, 130]) },
        same(130, [2, 3], [17, 16]),
        // Channels that fill vectors: small and large tiles, clipped ones, pads of every kind, sets.
        Conv { epilogue: full, ..same(3, [5, 7], [160, 144]) },
        Conv { pad: [0, 2, 1, 3], epilogue: relu, ..same(2, [6, 9], [144, 160]) },
        Conv { pad: [0; 4], ..same(3, [9, 8], [32, 16]) },
        Conv { pad: [3, 1, 0, 4], epilogue: full, ..same(2, [10, 6], [16, 48]) },
        Conv { sets: 2, epilogue: full, ..same(3, [8, 8], [16, 32]) },
        // Signals: kernel 5 and 7, odd lengths, strides.
        Conv { kernel: [1, 5], pad: [0, 2, 0, 2], epilogue: full, ..same(3, [1, 256], [16, 16]) },
        Conv {
            kernel: [1, 5],
            pad: [0, 2, 0, 2],
            stride: [1, 2],
            epilogue: relu,
            ..same(3, [1, 255], [16, 32])
        },
        Conv { kernel: [1, 7], pad: [0, 3, 0, 3], ..same(2, [1, 187], [1, 16]) },
        // 1x1, plain and strided: the shortcuts of a residual network.
        Conv { kernel: [1, 1], pad: [0; 4], epilogue: full, ..same(3, [9, 11], [20, 48]) },
        Conv { kernel: [1, 1], pad: [0; 4], stride: [2, 2], ..same(3, [9, 11], [20, 48]) },
        // Strides, asymmetric pads, dilations, groups, sets, one at a time and all together.
        Conv { stride: [2, 2], epilogue: relu, ..same(2, [28, 28], [16, 32]) },
        Conv { stride: [2, 2], ..same(2, [15, 16], [8, 9]) },
        Conv { stride: [2, 3], ..same(2, [11, 13], [4, 5]) },
        Conv { stride: [3, 3], pad: [0; 4], ..same(2, [11, 13], [4, 5]) },
        Conv { stride: [4, 5], kernel: [2, 2], pad: [0; 4], ..same(2, [11, 13], [4, 5]) },
        Conv { pad: [0, 2, 1, 3], ..same(2, [6, 5], [3, 4]) },
        Conv { pad: [4, 3, 5, 4], ..same(1, [3, 4], [2, 3]) },
        Conv { dilation: [2, 3], pad: [2, 3, 2, 3], ..same(2, [9, 10], [3, 4]) },
        Conv { dilation: [2, 1], stride: [2, 2], pad: [2, 1, 2, 1], ..same(2, [9, 10], [3, 4]) },
        Conv { groups: 2, epilogue: full, ..same(2, [6, 7], [6, 10]) },
        Conv { groups: 6, ..same(2, [6, 7], [6, 6]) },
        Conv { groups: 5, stride: [2, 1], ..same(2, [6, 7], [5, 15]) },
        Conv { sets: 3, epilogue: full, ..same(2, [6, 5], [3, 20]) },
        Conv {
            kernel: [7, 7],
            stride: [2, 2],
            pad: [3, 3, 3, 3],
            epilogue: relu,
            ..same(1, [20, 22], [3, 16])
        },
    ];
    convs.push(Conv {
        sets: 2,
        images: 3,
        height: 13,
        width: 10,
        in_channels: 6,
        out_channels: 9,
        kernel: [2, 3],
        stride: [3, 2],
        pad: [2, 0, 1, 3],
        dilation: [2, 3],
        groups: 3,
        epilogue: full,
    });
    for channels in [15, 16, 17, 31, 33] {
        convs.push(same(1, [3, 13], [channels, 48 - channels]));
    }
    convs
}

fn pools() -> Vec<Pool> {
    let base = Pool {
        kind: PoolKind::Max,
        images: 2,
        height: 6,
        width: 7,
        channels: 5,
        kernel: [2, 2],
        stride: [2, 2],
        pad: [0; 4],
    };
    let mut pools = Vec::new();
    for kind in [PoolKind::Max, PoolKind::Average, PoolKind::AverageInside] {
        let base = Pool { kind, ..base.clone() };
        pools.extend([
            base.clone(),
            Pool { height: 28, width: 28, channels: 32, images: 3, ..base.clone() },
            Pool { kernel: [3, 3], pad: [1, 1, 1, 1], channels: 65, ..base.clone() },
            Pool { kernel: [3, 2], stride: [1, 3], pad: [0, 1, 2, 0], channels: 1, ..base.clone() },
            Pool { kernel: [6, 7], stride: [1, 1], channels: 130, images: 5, ..base.clone() },
            Pool {
                height: 1,
                width: 187,
                kernel: [1, 5],
                stride: [1, 2],
                pad: [0, 0, 0, 1],
                channels: 16,
                ..base
            },
        ]);
    }
    pools
}
