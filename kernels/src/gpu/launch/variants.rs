//! The ways to compute a matrix product on hardware: blocks, how far k goes at a time, one buffer or two, quads or single
//! elements.
//!
//! Every variant without matrix units adds up an element's products one by one, k upwards, padded to the same multiple: all have
//! the same bits. With matrix units, which multiply f16 only, sums run in an order of theirs.

use std::fmt;

use super::super::Operands;
use super::Adapter;

/// k is padded with zeros to a multiple of this whatever the variant, since adding 0 to -0 is a change of bits.
pub(super) const PADDING: usize = 16;

/// A way to compute a matrix product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Variant {
    /// Rows and columns of C that a workgroup computes.
    pub block: [usize; 2],
    /// Rows and columns of C that an invocation computes, multiples of 4.
    pub own: [usize; 2],
    /// How much of k lies in workgroup memory at a time: 8 or 16.
    pub step: usize,
    /// Whether the next step is stored while this one is being computed: twice the memory for half of the barriers.
    pub double: bool,
    /// Whether memory is read in quads where the operands allow.
    pub quads: bool,
    /// Side of the tiles that matrix units multiply, which have their own order of sums; 0: they are not used.
    pub matrix: usize,
}

/// Rows, columns, depth and number of the matrix products that an op comes down to, and what else its speed depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Product {
    /// Rows of C.
    pub m: usize,
    /// Columns of C.
    pub n: usize,
    /// Products in a sum.
    pub k: usize,
    /// Number of products.
    pub z: usize,
    /// How its operands lie, in short.
    pub operands: String,
    /// The input that holds weights, which may be kept as f16.
    pub weights: Option<usize>,
}

impl Product {
    /// What tells products apart for which it must be one decision whether matrix units are used, since it changes bits: nothing
    /// that follows the lanes.
    pub(crate) fn family(&self, op: &str) -> String {
        format!("{op} n{} k{} {}", self.n, self.k, self.operands)
    }

    /// What tells products apart whose best variants may differ; the rows and the number, which follow the lanes, by octave.
    pub fn class(&self, op: &str, operands: Operands) -> String {
        let (m, z) = (self.m.next_power_of_two(), self.z.next_power_of_two());
        let precision = match operands {
            Operands::F32 => "",
            Operands::Rounded => " f16",
            Operands::Kept => " f16 kept",
        };
        format!("{op} m{m} n{} k{} z{z} {}{precision}", self.n, self.k, self.operands)
    }
}

/// Block, an invocation's part, and the share of the peak that it can reach when everything fits, by experience with such
/// kernels; 0 for those that are taken only where they were measured.
const TILES: [([usize; 2], [usize; 2], f64); 9] = [
    ([128, 128], [8, 8], 1.0),
    ([64, 64], [8, 4], 0.75),
    ([128, 32], [8, 4], 0.7),
    ([32, 32], [4, 4], 0.5),
    ([64, 16], [4, 4], 0.45),
    ([16, 64], [4, 4], 0.45),
    ([128, 64], [8, 8], 0.0),
    ([64, 128], [8, 8], 0.0),
    ([64, 64], [4, 4], 0.0),
];

/// Blocks and a subgroup's part of them, with matrix units.
const MATRIX_TILES: [([usize; 2], [usize; 2]); 4] =
    [([64, 64], [32, 32]), ([128, 64], [32, 32]), ([128, 128], [64, 32]), ([32, 32], [16, 16])];

/// The tile that every adapter has room for.
const SMALL: usize = 3;

impl Variant {
    /// A tile with the rest as it is without any measuring.
    fn plain(tile: usize) -> Self {
        let (block, own, _) = TILES[tile];
        Self { block, own, step: 16, double: false, quads: true, matrix: 0 }
    }

    /// Invocations of a workgroup: one, or a subgroup, for each part of the block.
    pub(super) fn threads(&self, adapter: &Adapter) -> usize {
        let parts = self.block[0] / self.own[0] * (self.block[1] / self.own[1]);
        parts * if self.matrix == 0 { 1 } else { adapter.matrix.map_or(0, |matrix| matrix.lanes) }
    }

    /// Bytes of workgroup memory: k-major lines with padding; with matrix units a tile of results for each subgroup.
    fn memory(&self) -> usize {
        if self.matrix > 0 {
            let parts = self.block[0] / self.own[0] * (self.block[1] / self.own[1]);
            return self.step * (self.block[0] + 8 + self.block[1] + 8) * 2
                + parts * self.matrix * self.matrix * 4;
        }
        let buffers = if self.double { 2 } else { 1 };
        buffers * self.step * (self.block[0] / 4 + 1 + self.block[1] / 4 + 1) * 16
    }

    /// Whether the adapter can compute it.
    pub(super) fn fits(&self, adapter: &Adapter) -> bool {
        let able = self.matrix == 0
            || adapter.operands != Operands::F32
                && adapter.matrix.is_some_and(|matrix| matrix.side == self.matrix);
        able && self.threads(adapter) <= adapter.max_invocations as usize
            && self.memory() <= adapter.workgroup_memory as usize
    }

    /// The tiles with matrix units, where the adapter can use some for such operands.
    pub(in crate::gpu) fn with_matrix(adapter: &Adapter) -> Vec<Self> {
        let side = adapter.matrix.map_or(0, |matrix| matrix.side);
        let tile = |&(block, own): &([usize; 2], [usize; 2])| Self {
            matrix: side,
            ..Self { block, own, ..Self::plain(SMALL) }
        };
        MATRIX_TILES.iter().map(tile).filter(|tile| side > 0 && tile.fits(adapter)).collect()
    }

    /// Useful work a unit of time, with enough blocks to fill a GPU or fewer.
    fn score(&self, efficiency: f64, [m, n, z]: [usize; 3]) -> f64 {
        const FILL: f64 = 128.0;
        let blocks = m.div_ceil(self.block[0]) * n.div_ceil(self.block[1]);
        let useful = (m * n) as f64 / (blocks * self.block[0] * self.block[1]) as f64;
        useful * efficiency * ((blocks * z) as f64 / FILL).min(1.0).sqrt()
    }

    /// What is taken without measuring.
    pub(super) fn likely(sizes: [usize; 3], adapter: &Adapter) -> Self {
        let scored = (0..TILES.len()).filter(|&tile| TILES[tile].2 > 0.0 && Self::plain(tile).fits(adapter));
        let score = |tile: usize| Self::plain(tile).score(TILES[tile].2, sizes);
        Self::plain(scored.max_by(|&a, &b| score(a).total_cmp(&score(b))).unwrap_or(SMALL))
    }

    /// The tiles that are worth measuring first, the likely one in front.
    pub fn tiles(product: &Product, adapter: &Adapter) -> Vec<Self> {
        const WORTH: f64 = 0.25;
        let sizes = [product.m, product.n, product.z];
        let likely = Self::likely(sizes, adapter);
        let score = |tile: &Self| tile.score(1.0, sizes);
        let least = WORTH * score(&likely);
        let others = (0..TILES.len()).map(Self::plain);
        let others = others.filter(|tile| *tile != likely && tile.fits(adapter) && score(tile) >= least);
        std::iter::once(likely).chain(others).chain(Self::with_matrix(adapter)).collect()
    }

    /// The other ways to compute the same tile that the adapter has room for.
    pub fn siblings(&self, adapter: &Adapter) -> Vec<Self> {
        if self.matrix > 0 {
            return vec![Self { quads: !self.quads, ..*self }];
        }
        let mut all = vec![];
        for quads in [true, false] {
            for step in [16, 8] {
                for double in [false, true] {
                    all.push(Self { step, double, quads, ..*self });
                }
            }
        }
        all.retain(|variant| variant != self && variant.fits(adapter));
        all
    }

    /// Every variant that the adapter has room for.
    pub fn all(adapter: &Adapter) -> Vec<Self> {
        let tiles = (0..TILES.len()).map(Self::plain).filter(|tile| tile.fits(adapter));
        tiles
            .chain(Self::with_matrix(adapter))
            .flat_map(|tile| std::iter::once(tile).chain(tile.siblings(adapter)))
            .collect()
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { block, own, step, double, quads, matrix } = self;
        if *matrix > 0 {
            write!(f, "matrix {matrix} ")?;
        }
        write!(f, "{}x{} by {}x{} k{step}", block[0], block[1], own[0], own[1])?;
        f.write_str(if *double { " double" } else { "" })?;
        f.write_str(if *quads { "" } else { " singly" })
    }
}
