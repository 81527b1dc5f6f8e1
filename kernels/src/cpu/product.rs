//! The one product that matrices and convolutions share: `C = A B` where a row of A is found through an address, so that the
//! rows of a convolution's patch matrix are read where they lie in the image and never copied (Dukhan 2019, "The
//! indirect convolution algorithm").
//!
//! B lies in panels of two vectors' width. A tile of C stays in registers while a block of the summed axis is walked; every
//! element of C is its own chain of fused multiply-adds in the order of the summed axis, so its bits depend neither on
//! the number of rows nor on how tiles are cut.

use pulp::{Arch, Simd, WithSimd};

use super::panels::{Form, Right, THIN, packed_len, panel_vectors};
use super::sums::{Block, load, store, sum_columns, sum_rows};

/// A stretch of the summed axis that lies in one piece: for the rows of A it starts at `offset` from the row's own address.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Run {
    /// Elements from the row's address.
    pub(crate) offset: usize,
    /// Number of summed terms.
    pub(crate) len: usize,
    /// Elements from one term to the next; 1 where A's rows lie along the summed axis.
    pub(crate) step: usize,
}

/// Cut longer stretches of the summed axis into blocks of about this many terms, so that a panel's block stays in the nearest
/// cache.
const BLOCK: usize = 288;
/// The same for panels wider than two vectors.
const WIDE_BLOCK: usize = 160;
/// Rows whose part of A stays in the second cache while all panels pass by.
const ROWS: usize = 224;
/// Most rows of any tile.
const TILE: usize = 14;

/// Most rows of a tile V vectors wide. Of 32 registers 24 to 28 hold sums and V hold B, of 16 twelve hold sums; one vector of B is an
/// exception: more than ten rows' addresses would not fit the integer registers (eight of 16), which a transposed A needs but once.
#[inline(always)]
fn tile_rows(registers: usize, vectors: usize, transposed: bool) -> usize {
    match (registers >= 32, vectors) {
        (true, 1) => 10,
        (false, 1) => {
            if transposed {
                10
            } else {
                8
            }
        }
        (true, 2) => TILE,
        (true, 3) => 8,
        (true, _) => 6,
        (false, _) => 6,
    }
}

/// The left factor.
#[derive(Clone, Copy)]
pub(crate) struct Left<'a> {
    /// The memory that `rows` and `runs` index.
    pub(crate) data: &'a [f32],
    /// Where each row of C starts in A.
    pub(crate) rows: &'a [usize],
    /// The summed axis. All steps are 1, or else neighbouring rows are neighbours in memory.
    pub(crate) runs: &'a [Run],
    /// Whether the rows of A are neighbours in memory instead of the terms.
    pub(crate) transposed: bool,
}

/// What happens to a sum before it is stored.
#[derive(Clone, Copy, Default)]
pub(crate) struct Tail<'a> {
    /// Adds to what is already there.
    pub(crate) accumulate: bool,
    /// One for each column.
    pub(crate) bias: Option<&'a [f32]>,
    /// Indexed like C.
    pub(crate) residual: Option<&'a [f32]>,
    /// max(0, y).
    pub(crate) relu: bool,
    /// Indexed like C, which becomes 0 where this is not positive, at last.
    pub(crate) gate: Option<&'a [f32]>,
}

impl Tail<'_> {
    /// Whether sums are stored as they are.
    fn is_none(&self) -> bool {
        !self.accumulate && !self.relu && [self.bias, self.residual, self.gate].iter().all(Option::is_none)
    }
}

/// `c[c_rows[i] + j] = tail(sum over terms of A[i, term] B[term, j])` for every row i of `left`.
///
/// # Safety
/// `c` points to the memory that `c_len` counts; while this runs nobody else uses the elements that are written, nor
/// writes to any operand.
pub(crate) unsafe fn multiply(
    left: Left,
    right: Right,
    c: *mut f32,
    c_len: usize,
    c_rows: &[usize],
    tail: Tail,
) {
    let terms: usize = left.runs.iter().map(|run| run.len).sum();
    check_bounds(&left, &right, terms, c_len, c_rows, &tail);
    // SAFETY: `check_bounds` has made sure that every address lies in its operand; the rest is the caller's promise.
    Arch::new().dispatch(Multiply { left, right, c, c_rows, tail, terms });
}

fn check_bounds(left: &Left, right: &Right, terms: usize, c_len: usize, c_rows: &[usize], tail: &Tail) {
    let reach = |run: &Run| run.offset + run.len.saturating_sub(1) * run.step + 1;
    let farthest = left.runs.iter().filter(|run| run.len > 0).map(reach).max().unwrap_or(0);
    let last_row = left.rows.iter().copied().max().unwrap_or(0);
    assert!(terms == 0 || last_row + farthest <= left.data.len(), "A's rows leave their memory");
    assert_eq!(left.rows.len(), c_rows.len(), "rows of A and of C");
    let room = c_rows.iter().copied().max().unwrap_or(0) + right.columns;
    assert!(room <= c_len, "C's rows leave their memory");
    assert!(tail.bias.is_none_or(|bias| bias.len() >= right.columns), "a short bias");
    assert!(tail.residual.is_none_or(|residual| residual.len() >= room), "a short residual");
    assert!(tail.gate.is_none_or(|gate| gate.len() >= room), "a short gate");
    let lanes = super::math::lanes();
    let needed = match right.form {
        Form::Rows(stride) => {
            assert_eq!(right.columns % lanes, 0, "unpacked columns must fill vectors");
            terms.saturating_sub(1) * stride + right.columns
        }
        form => packed_len(form, lanes, terms, right.columns),
    };
    assert!(right.form != Form::Columns || right.columns <= THIN && !left.transposed, "too wide for columns");
    assert!(terms == 0 || right.data.len() >= needed, "B is short");
    if left.transposed {
        assert!(left.rows.windows(2).all(|pair| pair[1] == pair[0] + 1), "rows of A that are not neighbours");
    } else {
        assert!(left.runs.iter().all(|run| run.step == 1), "terms of A that are not neighbours");
    }
}

struct Multiply<'a> {
    left: Left<'a>,
    right: Right<'a>,
    c: *mut f32,
    c_rows: &'a [usize],
    tail: Tail<'a>,
    terms: usize,
}

impl WithSimd for Multiply<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if self.right.form == Form::Columns {
            return match self.right.columns {
                1 => self.thin::<S, 1>(simd),
                2 => self.thin::<S, 2>(simd),
                3 => self.thin::<S, 3>(simd),
                _ => self.thin::<S, 4>(simd),
            };
        }
        for first in (0..self.c_rows.len()).step_by(ROWS) {
            let rows = first..self.c_rows.len().min(first + ROWS);
            self.rows(simd, rows);
        }
    }
}

impl Multiply<'_> {
    /// N columns: a few rows at a time, vectors along the summed axis.
    #[inline(always)]
    fn thin<S: Simd, const N: usize>(&self, simd: S) {
        let mut row = 0;
        while row < self.c_rows.len() {
            if self.c_rows.len() - row >= 4 {
                self.thin_rows::<S, 4, N>(simd, row);
                row += 4;
            } else {
                self.thin_rows::<S, 1, N>(simd, row);
                row += 1;
            }
        }
    }

    #[inline(always)]
    fn thin_rows<S: Simd, const M: usize, const N: usize>(&self, simd: S, row: usize) {
        let mut sums = [[simd.splat_f32s(0.0); N]; M];
        let b = self.right.data.as_ptr();
        let mut start = 0;
        for run in self.left.runs {
            let mut a = [self.left.data.as_ptr(); M];
            for (a, row) in a.iter_mut().zip(&self.left.rows[row..row + M]) {
                *a = a.wrapping_add(row + run.offset);
            }
            let mut term = 0;
            while term < run.len {
                let valid = run.len - term;
                let mut right = [simd.splat_f32s(0.0); N];
                for (j, right) in right.iter_mut().enumerate() {
                    // SAFETY: `check_bounds` has seen every address of B; `valid` ends at the run's last term.
                    *right = unsafe { load(simd, b.wrapping_add(j * self.terms + start + term), valid) };
                }
                for i in 0..M {
                    // SAFETY: as above, of A.
                    let left = unsafe { load(simd, a[i].wrapping_add(term), valid) };
                    for j in 0..N {
                        sums[i][j] = simd.mul_add_e_f32s(left, right[j], sums[i][j]);
                    }
                }
                term += S::F32_LANES;
            }
            start += run.len;
        }
        let mut totals = [[0.0; N]; M];
        for i in 0..M {
            for j in 0..N {
                totals[i][j] = simd.reduce_sum_f32s(sums[i][j]);
            }
        }
        for (totals, &place) in totals.iter().zip(&self.c_rows[row..]) {
            for (j, &total) in totals.iter().enumerate() {
                let c = self.c.wrapping_add(place + j);
                // SAFETY: `check_bounds` has seen every address of C.
                let before = if self.tail.accumulate { unsafe { c.read() } } else { 0.0 };
                let mut y = before + total;
                if let Some(bias) = self.tail.bias {
                    y += bias[j];
                }
                if let Some(residual) = self.tail.residual {
                    y += residual[place + j];
                }
                if self.tail.relu && y < 0.0 {
                    y = 0.0;
                }
                if self.tail.gate.is_some_and(|gate| gate[place + j].is_nan() || gate[place + j] <= 0.0) {
                    y = 0.0;
                }
                // SAFETY: as above.
                unsafe { c.write(y) };
            }
        }
    }

    #[inline(always)]
    fn rows<S: Simd>(&self, simd: S, rows: std::ops::Range<usize>) {
        let wide = panel_vectors(S::REGISTER_COUNT, S::F32_LANES, self.right.columns) > 2;
        let block_len =
            self.terms.div_ceil(self.terms.div_ceil(if wide { WIDE_BLOCK } else { BLOCK }).max(1));
        let (mut run, mut skip, mut start) = (0, 0, 0);
        loop {
            let len = block_len.min(self.terms - start);
            let block =
                Block { runs: &self.left.runs[run..], skip, len, start, last: start + len == self.terms };
            let mut first = 0;
            while first < self.right.columns {
                let vectors = panel_vectors(S::REGISTER_COUNT, S::F32_LANES, self.right.columns - first);
                match vectors {
                    1 => self.panel::<S, 1>(simd, rows.clone(), block, first),
                    2 => self.panel::<S, 2>(simd, rows.clone(), block, first),
                    3 => self.panel::<S, 3>(simd, rows.clone(), block, first),
                    _ => self.panel::<S, 4>(simd, rows.clone(), block, first),
                }
                first += vectors * S::F32_LANES;
            }
            if block.last {
                return;
            }
            start += len;
            let mut rest = len + skip;
            while rest >= self.left.runs[run].len {
                rest -= self.left.runs[run].len;
                run += 1;
            }
            skip = rest;
        }
    }

    #[inline(always)]
    fn panel<S: Simd, const V: usize>(
        &self,
        simd: S,
        rows: std::ops::Range<usize>,
        block: Block,
        first: usize,
    ) {
        let most = tile_rows(S::REGISTER_COUNT, V, self.left.transposed);
        let tiles = rows.len().div_ceil(most);
        let mut row = rows.start;
        let mut sums = [[simd.splat_f32s(0.0); V]; TILE];
        let next = self.next_block::<S, V>(block, first);
        for tile in 0..tiles {
            // Each tile asks for some of what the next products read of B, a line for every term that it sums.
            let ahead = next.wrapping_add(tile.min(V - 1) * block.len * S::F32_LANES);
            // Tiles of nearly equal height: a rest of one row would cost as much as several.
            let count = (rows.end - row).div_ceil(tiles - tile);
            match count {
                1 => self.tile::<S, 1, V>(simd, row, block, first, ahead, &mut sums),
                2 => self.tile::<S, 2, V>(simd, row, block, first, ahead, &mut sums),
                3 => self.tile::<S, 3, V>(simd, row, block, first, ahead, &mut sums),
                4 => self.tile::<S, 4, V>(simd, row, block, first, ahead, &mut sums),
                5 => self.tile::<S, 5, V>(simd, row, block, first, ahead, &mut sums),
                6 => self.tile::<S, 6, V>(simd, row, block, first, ahead, &mut sums),
                7 if V <= 3 => self.tile::<S, 7, V>(simd, row, block, first, ahead, &mut sums),
                8 if V <= 3 => self.tile::<S, 8, V>(simd, row, block, first, ahead, &mut sums),
                9 if V <= 2 => self.tile::<S, 9, V>(simd, row, block, first, ahead, &mut sums),
                10 if V <= 2 => self.tile::<S, 10, V>(simd, row, block, first, ahead, &mut sums),
                11 if V == 2 => self.tile::<S, 11, V>(simd, row, block, first, ahead, &mut sums),
                12 if V == 2 => self.tile::<S, 12, V>(simd, row, block, first, ahead, &mut sums),
                13 if V == 2 => self.tile::<S, 13, V>(simd, row, block, first, ahead, &mut sums),
                14 if V == 2 => self.tile::<S, 14, V>(simd, row, block, first, ahead, &mut sums),
                _ => unreachable!("a tile is at most `tile_rows` high"),
            }
            self.store::<S, V>(simd, &sums[..count], row, block, first);
            row += count;
        }
    }

    /// Where the block of B lies that comes after this one's panel: the same terms of the next panel, or the next terms of
    /// the first. Behind the last it is an address that nobody reads.
    #[inline(always)]
    fn next_block<S: Simd, const V: usize>(&self, block: Block, first: usize) -> *const f32 {
        let b = self.right.data.as_ptr();
        if !matches!(self.right.form, Form::Panels) {
            return b;
        }
        let next = first + V * S::F32_LANES;
        if next < self.right.columns {
            let width =
                S::F32_LANES * panel_vectors(S::REGISTER_COUNT, S::F32_LANES, self.right.columns - next);
            b.wrapping_add(self.terms * next + block.start * width)
        } else if block.last {
            b.wrapping_add(self.right.data.len())
        } else {
            let width = S::F32_LANES * panel_vectors(S::REGISTER_COUNT, S::F32_LANES, self.right.columns);
            b.wrapping_add((block.start + block.len) * width)
        }
    }

    /// Sums of M rows.
    #[inline(always)]
    fn tile<S: Simd, const M: usize, const V: usize>(
        &self,
        simd: S,
        row: usize,
        block: Block,
        first: usize,
        ahead: *const f32,
        sums: &mut [[S::f32s; V]; TILE],
    ) {
        let b = self.right.data.as_ptr();
        let (b, b_row) = match self.right.form {
            Form::Rows(stride) => (b.wrapping_add(block.start * stride + first), stride),
            _ => (b.wrapping_add(self.terms * first + block.start * V * S::F32_LANES), V * S::F32_LANES),
        };
        let mut a = [self.left.data.as_ptr(); M];
        for (a, row) in a.iter_mut().zip(&self.left.rows[row..row + M]) {
            *a = a.wrapping_add(*row);
        }
        // SAFETY: `check_bounds` has seen every address of A and B.
        let registers = unsafe {
            if self.left.transposed {
                sum_columns::<S, M, V>(simd, a[0], block, b, b_row)
            } else {
                sum_rows::<S, M, V>(simd, a, block, b, b_row, ahead)
            }
        };
        // Only here do the sums get an address: an array that is indexed later would be kept in memory all along.
        for i in 0..M {
            for v in 0..V {
                sums[i][v] = registers[i][v];
            }
        }
    }

    /// Stores a tile of whole vectors that adds to nothing, each changed by what its column decides.
    #[inline(always)]
    fn store_whole<S: Simd, const V: usize>(
        &self,
        simd: S,
        sums: &[[S::f32s; V]],
        row: usize,
        first: usize,
        change: impl Fn(usize, S::f32s) -> S::f32s,
    ) {
        for (sums, &place) in sums.iter().zip(&self.c_rows[row..]) {
            for (v, &sum) in sums.iter().enumerate() {
                let c = self.c.wrapping_add(place + first + v * S::F32_LANES);
                // SAFETY: `check_bounds` has seen every address of C.
                unsafe { store(simd, c, S::F32_LANES, change(v, sum)) };
            }
        }
    }

    #[inline(always)]
    fn store<S: Simd, const V: usize>(
        &self,
        simd: S,
        sums: &[[S::f32s; V]],
        row: usize,
        block: Block,
        first: usize,
    ) {
        let add = self.tail.accumulate || block.start > 0;
        if !add && first + V * S::F32_LANES <= self.right.columns {
            let tail = &self.tail;
            if !block.last || tail.is_none() {
                return self.store_whole::<S, V>(
                    simd,
                    sums,
                    row,
                    first,
                    #[inline(always)]
                    |_, sum| sum,
                );
            }
            if let (Some(bias), None, None) = (tail.bias, tail.residual, tail.gate) {
                let mut loaded = [simd.splat_f32s(0.0); V];
                for (v, loaded) in loaded.iter_mut().enumerate() {
                    // SAFETY: `check_bounds` has seen that the bias is as long as a row.
                    *loaded = unsafe {
                        load(simd, bias.as_ptr().wrapping_add(first + v * S::F32_LANES), S::F32_LANES)
                    };
                }
                let zero = simd.splat_f32s(0.0);
                return self.store_whole::<S, V>(
                    simd,
                    sums,
                    row,
                    first,
                    #[inline(always)]
                    |v, sum| {
                        let y = simd.add_f32s(sum, loaded[v]);
                        // In this order NaN comes through.
                        if tail.relu { simd.max_f32s(zero, y) } else { y }
                    },
                );
            }
        }
        for (sums, &place) in sums.iter().zip(&self.c_rows[row..]) {
            for (v, &sum) in sums.iter().enumerate() {
                let column = first + v * S::F32_LANES;
                let valid = self.right.columns - column;
                let c = self.c.wrapping_add(place + column);
                let mut y = sum;
                // SAFETY: `check_bounds` has seen every address of C, the bias and the residual; `valid` ends at the last
                // column.
                unsafe {
                    if add {
                        y = simd.add_f32s(load(simd, c, valid), y);
                    }
                    if block.last {
                        if let Some(bias) = self.tail.bias {
                            y = simd.add_f32s(y, load(simd, bias.as_ptr().wrapping_add(column), valid));
                        }
                        if let Some(residual) = self.tail.residual {
                            let residual = residual.as_ptr().wrapping_add(place + column);
                            y = simd.add_f32s(y, load(simd, residual, valid));
                        }
                        if self.tail.relu {
                            // In this order NaN comes through.
                            y = simd.max_f32s(simd.splat_f32s(0.0), y);
                        }
                        if let Some(gate) = self.tail.gate {
                            let gate = load(simd, gate.as_ptr().wrapping_add(place + column), valid);
                            let zero = simd.splat_f32s(0.0);
                            y = simd.select_f32s(simd.greater_than_f32s(gate, zero), y, zero);
                        }
                    }
                    store(simd, c, valid, y);
                }
            }
        }
    }
}
