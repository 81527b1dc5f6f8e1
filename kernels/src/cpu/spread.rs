//! Work spread over threads, or done in place by one.

use std::marker::PhantomData;

use rayon::prelude::*;

/// Calls `task` with every number below `tasks`, over rayon's current pool where more than one thread is allowed.
pub(crate) fn spread(threads: usize, tasks: usize, task: impl Fn(usize) + Send + Sync) {
    if threads <= 1 || tasks <= 1 {
        (0..tasks).for_each(task);
    } else {
        (0..tasks).into_par_iter().for_each(task);
    }
}

/// Calls `task(first row, rows)` for blocks of whole rows of `out`, each about `block` elements long or one row.
pub(crate) fn spread_rows(
    threads: usize,
    out: &mut [f32],
    row: usize,
    block: usize,
    task: impl Fn(usize, &mut [f32]) + Sync,
) {
    if threads <= 1 {
        return task(0, out);
    }
    let rows = (block / row).max(1);
    out.par_chunks_mut(rows * row).enumerate().for_each(|(i, chunk)| task(i * rows, chunk));
}

/// A slice that tasks write at places of their own.
#[derive(Clone, Copy)]
pub(crate) struct Disjoint<'a> {
    start: *mut f32,
    len: usize,
    life: PhantomData<&'a mut [f32]>,
}

// SAFETY: it is a borrowed slice of f32; `slice` leaves it to its caller that no two threads overlap.
unsafe impl Send for Disjoint<'_> {}
// SAFETY: as above.
unsafe impl Sync for Disjoint<'_> {}

impl<'a> Disjoint<'a> {
    pub(crate) fn new(slice: &'a mut [f32]) -> Self {
        Self { start: slice.as_mut_ptr(), len: slice.len(), life: PhantomData }
    }

    /// The range `from .. from + len`.
    ///
    /// # Safety
    /// While the result lives nobody else uses an element of the range.
    #[allow(clippy::mut_from_ref, reason = "exclusive by the caller's promise")]
    pub(crate) unsafe fn slice(&self, from: usize, len: usize) -> &'a mut [f32] {
        assert!(from.checked_add(len).is_some_and(|end| end <= self.len), "a range outside its slice");
        // SAFETY: the range lies in the borrowed slice, and the caller promises that it is not shared.
        unsafe { std::slice::from_raw_parts_mut(self.start.add(from), len) }
    }

    /// The address of the range `from .. from + len`, for writes that interleave with those of other tasks.
    pub(crate) fn address(&self, from: usize, len: usize) -> *mut f32 {
        assert!(from.checked_add(len).is_some_and(|end| end <= self.len), "a range outside its slice");
        self.start.wrapping_add(from)
    }
}
