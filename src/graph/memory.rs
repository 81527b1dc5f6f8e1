//! Where temporaries live: first fit over their lifetimes, so that memory is reused as soon as a value is dead.

use percuss_kernels::ALIGNMENT;

/// A value's demand for memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Elements.
    pub(crate) len: usize,
    /// The launch that writes it.
    pub(crate) first: usize,
    /// The last launch that reads it.
    pub(crate) last: usize,
}

/// Offsets for all demands (in their order) and the arena's size, in elements. Values alive at the same time never overlap.
pub(crate) fn plan(demands: &[Demand]) -> (Vec<usize>, usize) {
    let mut order: Vec<usize> = (0..demands.len()).collect();
    // Large values first leaves small ones to fill the gaps.
    order.sort_by_key(|&i| (std::cmp::Reverse(demands[i].len), demands[i].first, i));
    let mut offsets = vec![0; demands.len()];
    let mut placed: Vec<usize> = Vec::new();
    let mut size = 0;
    for i in order {
        let demand = demands[i];
        let mut busy: Vec<(usize, usize)> = placed
            .iter()
            .filter(|&&j| demands[j].first <= demand.last && demand.first <= demands[j].last)
            .map(|&j| (offsets[j], offsets[j] + room(demands[j].len)))
            .collect();
        busy.sort_unstable();
        let mut offset = 0;
        for (start, end) in busy {
            if offset + room(demand.len) <= start {
                break;
            }
            offset = offset.max(end);
        }
        offsets[i] = offset;
        size = size.max(offset + room(demand.len));
        placed.push(i);
    }
    (offsets, size)
}

/// Elements rounded up so that the next value starts aligned.
pub(crate) fn room(len: usize) -> usize {
    len.next_multiple_of(ALIGNMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_alive_together_never_overlap_and_dead_memory_is_reused() {
        let demands: Vec<Demand> = (0..40)
            .map(|i| Demand { len: 1 + (i * 37) % 300, first: i, last: i + 1 + (i * 7) % 5 })
            .collect();
        let (offsets, size) = plan(&demands);
        for i in 0..demands.len() {
            for j in 0..i {
                let together = demands[i].first <= demands[j].last && demands[j].first <= demands[i].last;
                let apart =
                    offsets[i] + demands[i].len <= offsets[j] || offsets[j] + demands[j].len <= offsets[i];
                assert!(!together || apart, "{i} and {j}");
            }
            assert_eq!(offsets[i] % ALIGNMENT, 0);
        }
        assert!(size < demands.iter().map(|d| room(d.len)).sum::<usize>() / 2);
    }
}
