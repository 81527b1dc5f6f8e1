//! In how many passes over a chunk the interpreter computes a code: blends go in one, and an input is not copied where it may be overwritten.

use crate::ops::{Binary, Instr, Pointwise};

/// A sum of two scaled values, `a ca + b cb` with three roundings, that is computed in one pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Blend {
    pub(super) values: [usize; 2],
    pub(super) scales: [f32; 2],
}

/// How an instruction is computed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Pass {
    /// By itself.
    Own,
    /// In the pass of the only instruction that takes its value.
    Within(usize),
    /// Together with two products.
    Blend(Blend),
}

/// The passes of a code's instructions.
pub(super) fn passes(op: &Pointwise) -> Vec<Pass> {
    let uses = |i: usize| op.code.iter().flat_map(Instr::operands).filter(|&operand| operand == i).count();
    let scaled = |i: usize| match op.code[i] {
        Instr::Binary(Binary::Mul, a, b) if uses(i) == 1 && !op.outputs.contains(&i) => {
            match (op.code[a], op.code[b]) {
                (_, Instr::Const(scale)) => Some((a, scale)),
                (Instr::Const(scale), _) => Some((b, scale)),
                _ => None,
            }
        }
        _ => None,
    };
    let mut passes = vec![Pass::Own; op.code.len()];
    for (i, instr) in op.code.iter().enumerate() {
        if let Instr::Binary(Binary::Add, left, right) = *instr
            && let (Some((a, ca)), Some((b, cb))) = (scaled(left), scaled(right))
        {
            passes[i] = Pass::Blend(Blend { values: [a, b], scales: [ca, cb] });
            (passes[left], passes[right]) = (Pass::Within(i), Pass::Within(i));
        }
    }
    passes
}

/// Whether the output `output` may be written where the input of instruction `i` lies without a copy of it: everything that takes
/// the input does so in an earlier pass, or is a blend that changes it in place.
pub(super) fn overwritten(op: &Pointwise, passes: &[Pass], i: usize, output: usize) -> bool {
    let writer = op.outputs[output];
    let takers = (0..op.code.len()).filter(|&user| op.code[user].operands().any(|operand| operand == i));
    let mut passes_of = takers.map(|user| if let Pass::Within(pass) = passes[user] { pass } else { user });
    let in_place = |pass: usize| {
        pass == writer
            && op.outputs.iter().position(|&instr| instr == writer) == Some(output)
            && matches!(passes[pass], Pass::Blend(Blend { values: [a, b], .. }) if (a == i) != (b == i))
    };
    !op.outputs.contains(&i) && passes_of.all(|pass| pass < writer || in_place(pass))
}
