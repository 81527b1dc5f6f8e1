//! Memory aligned for vector loads, whose allocation can fail without ending the process.

use crate::{Error, Result};

/// One cache line.
#[derive(Clone, Copy, Debug, bytemuck::Zeroable, bytemuck::Pod)]
#[repr(C, align(64))]
struct Line([f32; 16]);

const ZERO: Line = Line([0.0; 16]);

/// A run of f32 that starts at a multiple of 64 bytes.
#[derive(Debug, Default)]
pub struct Memory {
    lines: Vec<Line>,
    len: usize,
}

impl Memory {
    /// `len` zeros, or [`Error::OutOfMemory`].
    pub(crate) fn zeroed(len: usize) -> Result<Self> {
        let count = len.div_ceil(16);
        let mut lines = Vec::new();
        lines
            .try_reserve_exact(count)
            .map_err(|_| Error::OutOfMemory { device: "cpu".into(), bytes: count as u64 * 64 })?;
        lines.resize(count, ZERO);
        Ok(Self { lines, len })
    }

    /// Makes room for at least `len` elements, with arbitrary contents.
    pub(crate) fn grow(&mut self, len: usize) {
        if len > self.len {
            self.lines.clear();
            self.lines.resize(len.div_ceil(16), ZERO);
            self.len = len;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn as_slice(&self) -> &[f32] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }

    pub(crate) fn as_mut_slice(&mut self) -> &mut [f32] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }

    /// The address of a range, which must lie within the memory; it stays good for as long as the memory lives, is not
    /// grown, and no slice of it is taken meanwhile.
    pub(crate) fn span(&mut self, offset: usize, len: usize) -> *mut [f32] {
        assert!(offset.checked_add(len).is_some_and(|end| end <= self.len), "a span outside its arena");
        let base = self.lines.as_mut_ptr().cast::<f32>();
        std::ptr::slice_from_raw_parts_mut(base.wrapping_add(offset), len)
    }
}
