//! Counter-based random numbers: element `j` of a row depends on the row's key, its step and `j` alone.

use super::Operation;
use crate::Result;
use crate::cpu::Context;
use crate::gpu::{Adapter, Kernel};

/// What is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Distribution {
    /// Uniform on [0, 1): the upper 24 bits of a word, times 2^-24.
    Uniform,
    /// Standard normal, by Box and Muller from both words of a block: `sqrt(-2 ln(1 - u0))` times cos (even j) or sin (odd j) of `2 pi u1`.
    Normal,
}

/// Random rows by Threefry-2x32 with 20 rounds (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
///
/// Inputs: keys `[rows, 2]` (u32 bit patterns), step `[rows]` (a whole number as f32). Output: `[rows, columns]`. Element `j` comes
/// from word `j % 2` of block `threefry2x32(key, [j / 2, step])`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Random {
    /// Uniform or normal.
    pub distribution: Distribution,
    /// Number of rows (lanes).
    pub rows: usize,
    /// Elements a row.
    pub columns: usize,
}

/// One block of Threefry-2x32-20 (Salmon et al. 2011, section 3.4).
pub fn threefry2x32(key: [u32; 2], counter: [u32; 2]) -> [u32; 2] {
    const ROTATIONS: [[u32; 4]; 2] = [[13, 15, 26, 6], [17, 29, 16, 24]];
    let keys = [key[0], key[1], 0x1BD1_1BDA ^ key[0] ^ key[1]];
    let mut x = [counter[0].wrapping_add(keys[0]), counter[1].wrapping_add(keys[1])];
    for round in 0..5 {
        for rotation in ROTATIONS[round % 2] {
            x[0] = x[0].wrapping_add(x[1]);
            x[1] = x[1].rotate_left(rotation) ^ x[0];
        }
        x[0] = x[0].wrapping_add(keys[(round + 1) % 3]);
        x[1] = x[1].wrapping_add(keys[(round + 2) % 3]).wrapping_add(round as u32 + 1);
    }
    x
}
