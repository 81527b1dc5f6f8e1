//! What an instruction does to a chunk of values, as loops that become vector instructions.

use super::math;
use crate::ops::{Binary, Unary};

#[inline(always)]
pub(super) fn map(a: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32) {
    for (y, &a) in y.iter_mut().zip(a) {
        *y = f(a);
    }
}

#[inline(always)]
pub(super) fn unary(function: Unary, a: &[f32], y: &mut [f32]) {
    match function {
        Unary::Neg => map(
            a,
            y,
            #[inline(always)]
            |a| -a,
        ),
        Unary::Abs => map(a, y, f32::abs),
        Unary::Sign => map(a, y, sign),
        Unary::Exp => map(a, y, math::exp),
        Unary::Log => map(a, y, math::log),
        Unary::Sqrt => map(a, y, f32::sqrt),
        Unary::Tanh => map(a, y, math::tanh),
        Unary::Sigmoid => map(a, y, math::sigmoid),
        Unary::Erf => map(a, y, math::erf),
        Unary::Gelu => map(a, y, math::gelu),
        Unary::GeluSlope => map(a, y, math::gelu_slope),
        Unary::Floor => map(a, y, f32::floor),
        Unary::Sin => circular(
            a,
            y,
            #[inline(always)]
            |a| math::sin_cos(a).0,
            |a| a.sin(),
        ),
        Unary::Cos => circular(
            a,
            y,
            #[inline(always)]
            |a| math::sin_cos(a).1,
            |a| a.cos(),
        ),
    }
}

/// -1, 0 or 1; NaN stays.
#[inline(always)]
fn sign(a: f32) -> f32 {
    let one = if a > 0.0 { 1.0 } else { a };
    if a < 0.0 { -1.0 } else { one }
}

/// sin or cos: the vector form, then in f64 what it cannot reduce.
#[inline(always)]
fn circular(a: &[f32], y: &mut [f32], f: impl Fn(f32) -> f32, exact: impl Fn(f64) -> f64) {
    map(a, y, f);
    if a.iter().any(|a| a.abs() > math::SIN_COS_LIMIT) {
        for (y, &a) in y.iter_mut().zip(a) {
            if a.abs() > math::SIN_COS_LIMIT {
                *y = exact(f64::from(a)) as f32;
            }
        }
    }
}

#[inline(always)]
pub(super) fn zip(a: &[f32], b: &[f32], y: &mut [f32], f: impl Fn(f32, f32) -> f32) {
    for (y, (&a, &b)) in y.iter_mut().zip(a.iter().zip(b)) {
        *y = f(a, b);
    }
}

#[inline(always)]
pub(super) fn binary(function: Binary, a: &[f32], b: &[f32], y: &mut [f32]) {
    match function {
        Binary::Add => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a + b,
        ),
        Binary::Sub => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a - b,
        ),
        Binary::Mul => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a * b,
        ),
        Binary::Div => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| a / b,
        ),
        // NaN on either side comes through, so that a broken gradient shows.
        Binary::Max => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| if a > b || a.is_nan() { a } else { b },
        ),
        Binary::Min => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| if a < b || a.is_nan() { a } else { b },
        ),
        Binary::Less => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| truth(a < b),
        ),
        Binary::LessEqual => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| truth(a <= b),
        ),
        Binary::Equal => zip(
            a,
            b,
            y,
            #[inline(always)]
            |a, b| truth(a == b),
        ),
    }
}

/// `y scale + a other`, in the place of y.
#[inline(always)]
pub(super) fn blend_into(y: &mut [f32], scale: f32, a: &[f32], other: f32) {
    for (y, &a) in y.iter_mut().zip(a) {
        *y = *y * scale + a * other;
    }
}

#[inline(always)]
fn truth(truth: bool) -> f32 {
    if truth { 1.0 } else { 0.0 }
}

#[inline(always)]
pub(super) fn select(c: &[f32], a: &[f32], b: &[f32], y: &mut [f32]) {
    for ((y, &c), (&a, &b)) in y.iter_mut().zip(c).zip(a.iter().zip(b)) {
        // Bits, since the compiler makes a branch between values a gather from one of two addresses.
        let taken = u32::from(c != 0.0).wrapping_neg();
        *y = f32::from_bits((a.to_bits() & taken) | (b.to_bits() & !taken));
    }
}
