//! Counter-based random numbers: element `j` of a row depends on the row's key, its step and `j` alone.

use super::{Operation, check_sizes, unfit};
use crate::Result;
use crate::cpu::{Context, math, math::vectorised, spread_rows};
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
#[inline(always)]
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

/// Threefry blocks computed at once.
const BLOCKS: usize = 64;
/// Elements that one task handles.
const TASK: usize = 16_384;

impl Operation for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn check(&self) -> Result<()> {
        check_sizes(self.name(), "[rows, columns]", &[self.rows, self.columns])?;
        if self.columns > 1 << 32 {
            return Err(unfit(self.name(), "columns", self.columns, "at most 2^32, what the counter holds"));
        }
        Ok(())
    }

    fn input_lens(&self) -> Vec<usize> {
        vec![2 * self.rows, self.rows]
    }

    fn output_lens(&self) -> Vec<usize> {
        vec![self.rows * self.columns]
    }

    fn flops(&self) -> u64 {
        (self.rows * self.columns) as u64
    }

    fn cpu(&self, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
        let (keys, steps) = (inputs[0], inputs[1]);
        spread_rows(context.threads, outputs[0], self.columns, TASK, |first, rows| {
            for (i, row) in rows.chunks_exact_mut(self.columns).enumerate() {
                let lane = first + i;
                let key = [keys[2 * lane].to_bits(), keys[2 * lane + 1].to_bits()];
                let step = steps[lane] as u32;
                for (block, out) in row.chunks_mut(2 * BLOCKS).enumerate() {
                    vectorised(
                        #[inline(always)]
                        || fill(self.distribution, key, step, (block * BLOCKS) as u32, out),
                    );
                }
            }
        });
    }

    fn gpu(&self, adapter: &Adapter) -> Vec<Kernel> {
        crate::gpu::launch::random(self, adapter)
    }
}

/// Fills at most `2 BLOCKS` elements from the blocks `first ..`.
#[inline(always)]
fn fill(distribution: Distribution, key: [u32; 2], step: u32, first: u32, out: &mut [f32]) {
    let (mut even, mut odd) = ([0.0; BLOCKS], [0.0; BLOCKS]);
    for i in 0..BLOCKS {
        let words = threefry2x32(key, [first.wrapping_add(i as u32), step]);
        (even[i], odd[i]) = (uniform(words[0]), uniform(words[1]));
    }
    if distribution == Distribution::Normal {
        for i in 0..BLOCKS {
            let radius = (-2.0 * math::log(1.0 - even[i])).sqrt();
            let (sin, cos) = math::sin_cos_turns(odd[i]);
            (even[i], odd[i]) = (radius * cos, radius * sin);
        }
    }
    for (pair, (even, odd)) in out.chunks_mut(2).zip(even.iter().zip(&odd)) {
        pair[0] = *even;
        if let Some(second) = pair.get_mut(1) {
            *second = *odd;
        }
    }
}

#[inline(always)]
fn uniform(word: u32) -> f32 {
    (word >> 8) as f32 * (1.0 / 16_777_216.0)
}
