//! Elementwise expressions, random rows, projections.

use percuss_kernels::ops::*;

use super::{Case, draw, scaled};
use crate::reference;
use crate::shapes::step;

pub fn all() -> Vec<Case> {
    let mut cases = functions();
    cases.extend(expressions());
    cases.extend(randoms());
    cases.extend(projections());
    cases
}

fn one_unary(function: Unary, x: Vec<f32>) -> Case {
    let op = Pointwise {
        shape: vec![x.len()],
        strides: vec![vec![1]],
        code: vec![Instr::Input(0), Instr::Unary(function, 0)],
        outputs: vec![1],
    };
    Case::new(op, vec![x], reference::pointwise)
}

fn functions() -> Vec<Case> {
    let any = || scaled(draw(1030, 1), 4.0, 0.0);
    let positive = || scaled(draw(1030, 1), 2.0, 2.000_1);
    let with = |mut x: Vec<f32>, more: &[f32]| {
        x.extend_from_slice(more);
        x
    };
    let mut cases = vec![
        one_unary(Unary::Neg, any()),
        one_unary(Unary::Abs, any()),
        one_unary(Unary::Sign, with(any(), &[0.0, -0.0, 1e-40, -1e-40])),
        one_unary(Unary::Exp, with(any(), &[0.0, 80.0, -80.0, f32::NEG_INFINITY])),
        one_unary(Unary::Log, with(positive(), &[1.0, 1e-30, 3e38])),
        one_unary(Unary::Sqrt, with(positive(), &[0.0, 1e-30, 3e38])),
        one_unary(Unary::Tanh, with(any(), &[0.0, 20.0, -20.0, 100.0, -1000.0, 1e-5])),
        one_unary(Unary::Sigmoid, with(any(), &[0.0, 20.0, -20.0, 100.0, -80.0])),
        one_unary(
            Unary::Erf,
            with(any(), &[0.0, 1e-30, -1e-5, 0.929_999_9, 0.930_000_1, 3.9, 4.1, -5.0, 1e30, f32::INFINITY]),
        ),
        one_unary(Unary::Gelu, with(any(), &[0.0, 1e-30, -1e-5, 5.0, -5.0, 30.0, -30.0, 1e30])),
        one_unary(Unary::GeluSlope, with(any(), &[0.0, 1e-30, -1e-5, 5.0, -5.0, 30.0, -30.0, 1e30])),
        one_unary(Unary::Floor, with(any(), &[0.0, -0.5, 3.0, -3.0])),
        one_unary(Unary::Sin, any()),
        one_unary(Unary::Cos, any()),
    ];
    for function in [
        Binary::Add,
        Binary::Sub,
        Binary::Mul,
        Binary::Div,
        Binary::Max,
        Binary::Min,
        Binary::Less,
        Binary::LessEqual,
        Binary::Equal,
    ] {
        let op = Pointwise {
            shape: vec![515],
            strides: vec![vec![1], vec![1]],
            code: vec![Instr::Input(0), Instr::Input(1), Instr::Binary(function, 0, 1)],
            outputs: vec![2],
        };
        // Few values, so that some are equal; none is 0.
        let few = |seed| draw(515, seed).into_iter().map(|x| (x * 3.0).floor() + 0.5).collect::<Vec<f32>>();
        cases.push(Case::new(op, vec![few(1), few(2)], reference::pointwise));
    }
    cases
}

fn expressions() -> Vec<Case> {
    use Instr::{Binary as Two, Const, Index, Input, Select};
    let mut cases = Vec::new();
    for shape in [
        vec![1, 1],
        vec![3, 5],
        vec![17, 784],
        vec![2, 511],
        vec![2, 512],
        vec![2, 513],
        vec![700, 2],
        vec![3, 4, 5, 6],
    ] {
        cases.push(Case::drawn(step(&shape), reference::pointwise));
    }
    for (lanes, pixels, channels) in [(1, 1, 8), (3, 700, 8), (2, 65, 5), (2, 3, 900), (5, 1, 1)] {
        cases.push(Case::drawn(blended(lanes, pixels, channels), reference::pointwise));
    }
    // Broadcasts along every axis, reversed order, coordinates, a select that hides a NaN.
    let shape = vec![3, 5, 7];
    let code = vec![
        Input(0),
        Input(1),
        Input(2),
        Input(3),
        Index(1),
        Index(2),
        Two(Binary::Less, 4, 5),
        Const(f32::NAN),
        Two(Binary::Mul, 0, 1),
        Two(Binary::Add, 8, 2),
        Two(Binary::Add, 9, 3),
        Select(6, 10, 4),
        Two(Binary::Equal, 4, 4),
        Select(12, 11, 7),
        Index(0),
    ];
    let strides = vec![vec![0, 7, 1], vec![5, 1, 0], vec![0, 0, 0], vec![1, 3, 15]];
    cases.push(Case::drawn(
        Pointwise { shape, strides, code, outputs: vec![13, 14, 2, 0, 3] },
        reference::pointwise,
    ));
    // Bias over channels and a scalar shape.
    cases.push(Case::drawn(
        Pointwise {
            shape: vec![65, 9, 16],
            strides: vec![vec![144, 16, 1], vec![0, 0, 1]],
            code: vec![Input(0), Input(1), Two(Binary::Add, 0, 1)],
            outputs: vec![2],
        },
        reference::pointwise,
    ));
    cases.push(Case::drawn(
        Pointwise {
            shape: vec![],
            strides: vec![vec![], vec![]],
            code: vec![Input(0), Input(1), Two(Binary::Div, 0, 1)],
            outputs: vec![2, 0],
        },
        reference::pointwise,
    ));
    cases
}

fn randoms() -> Vec<Case> {
    let mut cases = Vec::new();
    for distribution in [Distribution::Uniform, Distribution::Normal] {
        for (rows, columns) in [(1, 1), (3, 127), (2, 128), (2, 129), (600, 3), (1, 2051)] {
            let op = Random { distribution, rows, columns };
            let keys = (0..2 * rows as u32)
                .map(|i| f32::from_bits(i.wrapping_mul(0x3779_97B9) & 0x7F7F_FFFF))
                .collect();
            let steps = (0..rows).map(|i| (i * i) as f32).collect();
            cases.push(Case::new(op, vec![keys, steps], reference::random));
        }
    }
    cases
}

/// x0 in the box [0, 1], x up to `reach` away, radii that bind, that do not, and 0.
pub fn projection(ball: Ball, rows: usize, columns: usize, reach: f32) -> (Project, Vec<Vec<f32>>) {
    let len = rows * columns;
    let center = scaled(draw(len, 1), 0.5, 0.5);
    let x = center.iter().zip(draw(len, 2)).map(|(c, d)| c + d * reach).collect();
    let scale = scaled(draw(columns, 3), 0.4, 1.0);
    let whole = match ball {
        Ball::L1 => columns as f32 * 0.5,
        Ball::L2 => (columns as f32 / 3.0).sqrt(),
    };
    let radius = (0..rows).map(|row| [0.3, 0.05, 0.0, 4.0, 0.7][row % 5] * whole * reach).collect();
    (Project { ball, rows, columns }, vec![x, center, vec![0.0; len], vec![1.0; len], scale, radius])
}

fn projections() -> Vec<Case> {
    let mut cases = Vec::new();
    for ball in [Ball::L1, Ball::L2] {
        for (rows, columns) in [(5, 1), (6, 2), (7, 31), (5, 32), (5, 33), (5, 784), (513, 3)] {
            for reach in [0.01, 0.3, 2.0] {
                let (op, inputs) = projection(ball, rows, columns, reach);
                cases.push(Case::new(op, inputs, reference::project));
            }
        }
    }
    cases
}

/// A step with memory over channels of images in lanes: input 0 is blended with a gradient into output 0, which a lane's rate and a channel's
/// factor then scale.
pub fn blended(lanes: usize, pixels: usize, channels: usize) -> Pointwise {
    use Instr::{Binary as Two, Const, Input};
    let contiguous = vec![pixels * channels, channels, 1];
    Pointwise {
        shape: vec![lanes, pixels, channels],
        strides: vec![contiguous.clone(), contiguous, vec![1, 0, 0], vec![channels, 0, 1]],
        code: vec![
            Input(0),
            Input(1),
            Input(2),
            Input(3),
            Const(0.9),
            Const(0.1),
            Two(Binary::Mul, 0, 4),
            Two(Binary::Mul, 5, 1),
            Two(Binary::Add, 6, 7),
            Two(Binary::Mul, 8, 2),
            Two(Binary::Mul, 9, 3),
            Two(Binary::Sub, 1, 10),
        ],
        outputs: vec![8, 11],
    }
}
