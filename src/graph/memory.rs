//! Where values live: temporaries first fit over their lifetimes, so that memory is reused as soon as a value is dead; and all of
//! it in pages no larger than the device's largest buffer.

use percuss_kernels::{ALIGNMENT, Arena, ProgramSpec, Span};

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

/// Offsets for all demands (in their order) and the arena's size, in elements. Values alive at the same time never overlap, and none
/// that fits a page crosses a multiple of `page`.
pub(crate) fn plan(demands: &[Demand], page: usize) -> (Vec<usize>, usize) {
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
            if within_page(offset, demand.len, page) + room(demand.len) <= start {
                break;
            }
            offset = offset.max(end);
        }
        let offset = within_page(offset, demand.len, page);
        offsets[i] = offset;
        size = size.max(offset + room(demand.len));
        placed.push(i);
    }
    (offsets, size)
}

/// The first offset from `offset` on where `len` elements cross no multiple of `page`; a value larger than a page starts at one.
pub(crate) fn within_page(offset: usize, len: usize, page: usize) -> usize {
    if offset % page + len > page { offset.next_multiple_of(page) } else { offset }
}

/// Cuts private arenas longer than a page into one for each page. An arena with a value larger than a page stays whole: no device
/// that has such pages takes it, and says so.
pub(crate) fn cut(spec: &mut ProgramSpec, states: &mut [Span], page: usize) {
    for arena in 0..spec.arenas.len() {
        let Arena::Private(len) = spec.arenas[arena] else { continue };
        let launches = spec.phases.iter_mut().flatten();
        let operands = launches.flat_map(|launch| launch.inputs.iter_mut().chain(&mut launch.outputs));
        let mut spans: Vec<&mut Span> =
            operands.chain(states.iter_mut()).filter(|span| span.arena == arena).collect();
        if len <= page || spans.iter().any(|span| span.len > page) {
            continue;
        }
        let more = spec.arenas.len();
        for span in &mut spans {
            let number = span.offset / page;
            span.arena = if number == 0 { arena } else { more + number - 1 };
            span.offset %= page;
        }
        spec.arenas[arena] = Arena::Private(page);
        spec.arenas
            .extend((1..len.div_ceil(page)).map(|number| Arena::Private(page.min(len - number * page))));
    }
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
        let (offsets, size) = plan(&demands, usize::MAX);
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
        let page = 6 * ALIGNMENT;
        let (offsets, _) = plan(&demands, page);
        for (offset, demand) in offsets.iter().zip(&demands) {
            assert!(offset % page + demand.len <= page, "{demand:?} at {offset}");
        }
    }
}
