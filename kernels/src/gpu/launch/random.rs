//! Counter-based random rows.

use super::rows::{ELEMENTARY, elementary};
use super::{Adapter, Kernel, Template, declare, operands, per_item};
use crate::ops::{Distribution, Random};

/// The launch of [`Random`].
pub(crate) fn random(op: &Random, adapter: &Adapter) -> Vec<Kernel> {
    let declared = declare(&[("keys", "u32"), ("steps", "f32"), ("y", "f32")]);
    let text = include_str!("../../../../shaders/random.wgsl");
    let pairs = op.columns.div_ceil(2);
    let template = Template::new(&[&declared, ELEMENTARY, text])
        .sizes(&[("COLUMNS", op.columns), ("PAIRS", pairs)])
        .flags(&elementary(&["LOGARITHM", "CIRCLE", "TURN"]))
        .flags(&[("NORMAL", op.distribution == Distribution::Normal)])
        .word("ROUNDS", rounds());
    vec![per_item(template, op.rows * pairs, operands(2, 1), adapter)]
}

/// The 20 rounds of Threefry-2x32 written out (Salmon et al. 2011, section 3.4).
fn rounds() -> String {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    const KEYS: [&str; 3] = ["key.x", "key.y", "third"];
    let mut text = String::new();
    for round in 0..5 {
        for by in ROTATIONS[round % 2] {
            text += &format!("    a += b;\n    b = rotate(b, {by}u) ^ a;\n");
        }
        let (first, second) = (KEYS[(round + 1) % 3], KEYS[(round + 2) % 3]);
        text += &format!("    a += {first};\n    b += {second} + {}u;\n", round + 1);
    }
    text
}
