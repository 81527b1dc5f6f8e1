//! How the right factor of a product lies in memory: as it is, or packed so that vectors are read one after another.

use super::math::vectorised;

/// How the right factor lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Form {
    /// Rows this many elements apart; the columns fill vectors.
    Rows(usize),
    /// Packed in panels as wide as a tile ([`panel_vectors`]), with zeros behind the last column.
    Panels,
    /// Packed column after column, for products of so few that vectors lie along the summed axis instead.
    Columns,
}

impl Form {
    /// The packed form for a product with rows of A that lie along the summed axis.
    pub(crate) fn packed(columns: usize) -> Self {
        if columns <= THIN { Self::Columns } else { Self::Panels }
    }
}

/// Most columns for which [`Form::Columns`] pays.
pub(super) const THIN: usize = 4;

/// The right factor: `terms` rows of `columns`.
#[derive(Clone, Copy)]
pub(crate) struct Right<'a> {
    pub(crate) data: &'a [f32],
    pub(crate) columns: usize,
    pub(crate) form: Form,
}

/// Elements of a packed B.
pub(crate) fn packed_len(form: Form, lanes: usize, terms: usize, columns: usize) -> usize {
    match form {
        Form::Panels => terms * columns.next_multiple_of(lanes),
        _ => terms * columns,
    }
}

/// Vectors of the panel that starts at a column: four where the processor has 32 registers (six rows of four vectors need the
/// fewest loads for each multiply-add), else two, and fewer at the end.
#[inline(always)]
pub(super) fn panel_vectors(registers: usize, lanes: usize, rest: usize) -> usize {
    let widest = if registers >= 32 { 4 } else { 2 };
    rest.div_ceil(lanes).min(widest)
}

/// Packs the terms `start ..` of B, as many as `count`, from `b[term * row + column * column_step]`.
pub(crate) fn pack(
    form: Form,
    lanes: usize,
    [terms, columns]: [usize; 2],
    [start, count]: [usize; 2],
    b: &[f32],
    [row, column_step]: [usize; 2],
    out: &mut [f32],
) {
    if form == Form::Columns {
        for column in 0..columns {
            let out = &mut out[column * terms + start..][..count];
            let from = b[column * column_step..].iter().step_by(row);
            out.iter_mut().zip(from).for_each(|(out, b)| *out = *b);
        }
        return;
    }
    let registers = super::math::registers();
    let mut first = 0;
    while first < columns {
        let width = lanes * panel_vectors(registers, lanes, columns - first);
        // All panels before are full.
        let base = terms * first;
        let valid = width.min(columns - first);
        let rows = &mut out[base + start * width..base + (start + count) * width];
        if row == 1 && valid == width && width.is_multiple_of(TILE) && count.is_multiple_of(TILE) {
            transpose(&b[first * column_step..], column_step, width, rows);
            first += width;
            continue;
        }
        for (term, out) in rows.chunks_exact_mut(width).enumerate() {
            let (used, rest) = out.split_at_mut(valid);
            let from = &b[term * row + first * column_step..];
            if column_step == 1 {
                used.copy_from_slice(&from[..valid]);
            } else {
                used.iter_mut().zip(from.iter().step_by(column_step)).for_each(|(out, b)| *out = *b);
            }
            rest.fill(0.0);
        }
        first += width;
    }
}

/// Side of the squares that [`transpose`] goes by.
const TILE: usize = 8;

/// `out[term * width + column] = b[column * step + term]` for a panel `width` columns wide; both sizes are multiples of [`TILE`].
fn transpose(b: &[f32], step: usize, width: usize, out: &mut [f32]) {
    vectorised(
        #[inline(always)]
        || {
            for (i, rows) in out.chunks_exact_mut(TILE * width).enumerate() {
                for first in (0..width).step_by(TILE) {
                    let mut tile = [[0.0; TILE]; TILE];
                    for (j, line) in tile.iter_mut().enumerate() {
                        line.copy_from_slice(&b[(first + j) * step + i * TILE..][..TILE]);
                    }
                    for t in 0..TILE {
                        let out: [f32; TILE] = [
                            tile[0][t], tile[1][t], tile[2][t], tile[3][t], tile[4][t], tile[5][t],
                            tile[6][t], tile[7][t],
                        ];
                        rows[t * width + first..][..TILE].copy_from_slice(&out);
                    }
                }
            }
        },
    );
}
