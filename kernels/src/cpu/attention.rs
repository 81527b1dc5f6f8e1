//! Attention, head by head: a block of keys is packed once, and blocks of queries meet it, whose scores stay in the cache.
//!
//! A head's sums run in an order that its own numbers of queries and keys decide.

use std::ops::Range;

use super::attention_rows::{gradients_of_scores, row_products, weights};
use super::panels::{Form, Right, pack, packed_len};
use super::product::{Left, Run, Tail, multiply};
use super::{Context, Disjoint, math, spread};
use crate::ops::Attention;

/// Most queries of a block.
const QUERIES: usize = 72;
/// Most keys of a block.
const KEYS: usize = 256;
/// Groups of heads for each thread, each with scratch memory of its own.
const GROUPS: usize = 4;

/// y and the statistics.
pub(crate) fn forward(op: &Attention, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
    let [y, statistics] = outputs else { return };
    let (y, statistics) = (Disjoint::new(y), Disjoint::new(statistics));
    let room = |sizes: &Sizes| sizes.key_panels + sizes.value_panels + sizes.strip;
    each_head(op, context, room, |head, work| {
        head.forward(inputs, y, statistics, work);
    });
}

/// dq, dk and dv.
pub(crate) fn gradient(op: &Attention, inputs: &[&[f32]], outputs: &mut [&mut [f32]], context: &mut Context) {
    let [dq, dk, dv] = outputs else { return };
    let outputs = [Disjoint::new(dq), Disjoint::new(dk), Disjoint::new(dv)];
    let room = |sizes: &Sizes| {
        2 * (sizes.key_panels + sizes.query_panels + sizes.strip) + sizes.value_panels + sizes.products
    };
    each_head(op, context, room, |head, work| head.gradient(inputs, outputs, work));
}

/// Elements of what a head is worked on in, rounded up to whole lines.
struct Sizes {
    /// A block of keys as the right factor of products over features.
    key_panels: usize,
    /// A block of keys or values as the right factor of products over keys.
    value_panels: usize,
    /// The same of queries.
    query_panels: usize,
    /// A block of scores.
    strip: usize,
    /// A number for each query.
    products: usize,
}

/// Where rows start, in the order that blocks ask for them.
struct Tables {
    /// Of a head's tokens.
    tokens: Vec<usize>,
    /// Of a block of scores.
    strip: Vec<usize>,
    /// Neighbours.
    columns: Vec<usize>,
}

/// Rows of a head that a product writes: `tokens` of the `of` an image.
struct Target<'a> {
    out: Disjoint<'a>,
    of: usize,
    tokens: Range<usize>,
    accumulate: bool,
}

/// One head of one image.
struct Head<'a> {
    op: &'a Attention,
    tables: &'a Tables,
    sizes: &'a Sizes,
    image: usize,
    number: usize,
}

/// Calls `task` for every head of every image with memory to work in.
fn each_head(
    op: &Attention,
    context: &mut Context,
    room: impl Fn(&Sizes) -> usize,
    task: impl Fn(&Head, &mut [f32]) + Sync,
) {
    let Context { threads, scratch, kept, .. } = context;
    let (queries, keys) = (longest(op.queries, QUERIES), longest(op.keys, KEYS));
    let panels =
        |terms, columns| packed_len(Form::Panels, math::lanes(), terms, columns).next_multiple_of(16);
    let sizes = Sizes {
        key_panels: panels(op.size, keys),
        value_panels: panels(keys, op.size),
        query_panels: panels(queries, op.size),
        strip: queries * stride(keys),
        products: op.queries.next_multiple_of(16),
    };
    let tables = kept.get(|| Tables {
        tokens: (0..op.queries.max(op.keys)).map(|token| token * op.heads * op.size).collect(),
        strip: (0..queries).map(|row| row * stride(keys)).collect(),
        columns: (0..keys).collect(),
    });
    let heads = op.images * op.heads;
    let groups = if *threads > 1 { heads.min(GROUPS * *threads) } else { 1 };
    let len = room(&sizes);
    let work = Disjoint::new(scratch.take(groups * len));
    spread(*threads, groups, |group| {
        // SAFETY: every group has its own memory.
        let work = unsafe { work.slice(group * len, len) };
        for head in heads * group / groups..heads * (group + 1) / groups {
            let (image, number) = (head / op.heads, head % op.heads);
            task(&Head { op, tables, sizes: &sizes, image, number }, work);
        }
    });
}

/// Cuts `len` into blocks of nearly equal length, none longer than `most`.
fn blocks(len: usize, most: usize) -> impl Iterator<Item = Range<usize>> {
    let block = longest(len, most);
    (0..len.div_ceil(block)).map(move |i| i * block..len.min((i + 1) * block))
}

/// Length of the longest of [`blocks`].
fn longest(len: usize, most: usize) -> usize {
    len.div_ceil(len.div_ceil(most))
}

/// Elements from one row of a block of scores to the next: rows start at whole lines.
fn stride(keys: usize) -> usize {
    keys.next_multiple_of(16)
}

impl Head<'_> {
    /// Where the head's first token is among `tokens` an image.
    fn first(&self, tokens: usize) -> usize {
        (self.image * tokens * self.op.heads + self.number) * self.op.size
    }

    /// Elements from one token to the next.
    fn step(&self) -> usize {
        self.op.heads * self.op.size
    }

    /// Where the statistics of a query are.
    fn statistics(&self, query: usize) -> usize {
        2 * ((self.image * self.op.queries + query) * self.op.heads + self.number)
    }

    /// The row of the mask for a query and a block of keys.
    fn mask_row<'m>(&self, mask: Option<&'m [f32]>, query: usize, keys: &Range<usize>) -> Option<&'m [f32]> {
        let layout = self.op.mask?;
        let number = self.image / (self.op.images / layout.count);
        let row = if layout.rows { number * self.op.queries + query } else { number };
        mask.map(|mask| &mask[row * self.op.keys..][keys.clone()])
    }

    /// The row of a block of scores.
    fn strip_row<'s>(&self, strip: &'s mut [f32], row: usize, keys: &Range<usize>) -> &'s mut [f32] {
        &mut strip[self.tables.strip[row]..][..keys.len()]
    }

    /// Packs tokens as the right factor of a product over features: `[size, tokens]`.
    fn pack_across(&self, x: &[f32], of: usize, tokens: &Range<usize>, out: &mut [f32]) {
        let (size, count, step) = (self.op.size, tokens.len(), self.step());
        let from = &x[self.first(of) + tokens.start * step..];
        pack(Form::Panels, math::lanes(), [size, count], [0, size], from, [1, step], out);
    }

    /// Packs tokens as the right factor of a product over tokens: `[tokens, size]`.
    fn pack_along(&self, x: &[f32], of: usize, tokens: &Range<usize>, out: &mut [f32]) {
        let (size, count, step) = (self.op.size, tokens.len(), self.step());
        let from = &x[self.first(of) + tokens.start * step..];
        pack(Form::Panels, math::lanes(), [count, size], [0, count], from, [step, 1], out);
    }

    /// Products of the features of `queries` with those of packed `keys`: a block of scores.
    fn scores(
        &self,
        x: &[f32],
        queries: &Range<usize>,
        keys: &Range<usize>,
        panels: &[f32],
        strip: &mut [f32],
    ) {
        let left = Left {
            data: &x[self.first(self.op.queries)..],
            rows: &self.tables.tokens[queries.clone()],
            runs: &[Run { offset: 0, len: self.op.size, step: 1 }],
            transposed: false,
        };
        let right = Right { data: panels, columns: keys.len(), form: Form::Panels };
        let rows = &self.tables.strip[..queries.len()];
        // SAFETY: the strip is this head's own.
        unsafe { multiply(left, right, strip.as_mut_ptr(), strip.len(), rows, Tail::default()) };
    }

    /// Sums `count` packed tokens by the weights of a block of scores, or by its columns where it is `transposed`.
    fn mix(&self, strip: &[f32], count: usize, panels: &[f32], transposed: bool, to: Target) {
        let step = if transposed { stride(longest(self.op.keys, KEYS)) } else { 1 };
        let rows = if transposed { &self.tables.columns } else { &self.tables.strip };
        let runs = [Run { offset: 0, len: count, step }];
        let left = Left { data: strip, rows: &rows[..to.tokens.len()], runs: &runs, transposed };
        let right = Right { data: panels, columns: self.op.size, form: Form::Panels };
        let tail = Tail { accumulate: to.accumulate, ..Tail::default() };
        let (first, rows) = (self.first(to.of), &self.tables.tokens[to.tokens.clone()]);
        let len = self.op.images * to.of * self.step() - first;
        // SAFETY: every task writes rows of its own heads; `address` checks that they lie within the output.
        unsafe { multiply(left, right, to.out.address(first, len), len, rows, tail) };
    }

    fn forward(&self, inputs: &[&[f32]], y: Disjoint, statistics: Disjoint, work: &mut [f32]) {
        let ([q, k, v], mask) = ([0, 1, 2].map(|i| inputs[i]), inputs.get(3).copied());
        let Attention { queries, keys, size, scale, .. } = *self.op;
        let (key_panels, work) = work.split_at_mut(self.sizes.key_panels);
        let (value_panels, strip) = work.split_at_mut(self.sizes.value_panels);
        let row = |query| self.first(queries) + query * self.step();
        for keys in blocks(keys, KEYS) {
            self.pack_across(k, self.op.keys, &keys, key_panels);
            self.pack_along(v, self.op.keys, &keys, value_panels);
            for block in blocks(queries, QUERIES) {
                self.scores(q, &block, &keys, key_panels, strip);
                for (i, query) in block.clone().enumerate() {
                    // SAFETY: these statistics and this row of y are this head's own.
                    let state = unsafe { statistics.slice(self.statistics(query), 2) };
                    let before = (keys.start > 0).then_some([state[0], state[1]]);
                    let scores = self.strip_row(strip, i, &keys);
                    let (after, kept) = weights(scores, scale, self.mask_row(mask, query, &keys), before);
                    state.copy_from_slice(&after);
                    if kept < 1.0 {
                        // SAFETY: as above.
                        let row = unsafe { y.slice(row(query), size) };
                        row.iter_mut().for_each(|y| *y *= kept);
                    }
                }
                let to = Target { out: y, of: queries, tokens: block, accumulate: keys.start > 0 };
                self.mix(strip, keys.len(), value_panels, false, to);
            }
        }
        for query in 0..queries {
            // SAFETY: as above.
            let (state, row) =
                unsafe { (statistics.slice(self.statistics(query), 2), y.slice(row(query), size)) };
            let share = 1.0 / state[1];
            row.iter_mut().for_each(|y| *y *= share);
        }
    }

    fn gradient(&self, inputs: &[&[f32]], [dq, dk, dv]: [Disjoint; 3], work: &mut [f32]) {
        let Attention { queries, keys, size, scale, .. } = *self.op;
        let [q, k, v, y, statistics, dy] = [0, 1, 2, 3, 4, 5].map(|i| inputs[i]);
        let mask = inputs.get(6).copied();
        let Sizes { key_panels, value_panels, query_panels, strip, products } = *self.sizes;
        let (keys_across, work) = work.split_at_mut(key_panels);
        let (values_across, work) = work.split_at_mut(key_panels);
        let (keys_along, work) = work.split_at_mut(value_panels);
        let (queries_along, work) = work.split_at_mut(query_panels);
        let (slopes_along, work) = work.split_at_mut(query_panels);
        let (weight, work) = work.split_at_mut(strip);
        let (slope, work) = work.split_at_mut(strip);
        let product = &mut work[..products];
        row_products(
            &y[self.first(queries)..],
            &dy[self.first(queries)..],
            self.step(),
            size,
            &mut product[..queries],
        );
        for keys_here in blocks(keys, KEYS) {
            self.pack_across(k, keys, &keys_here, keys_across);
            self.pack_across(v, keys, &keys_here, values_across);
            self.pack_along(k, keys, &keys_here, keys_along);
            for block in blocks(queries, QUERIES) {
                self.scores(q, &block, &keys_here, keys_across, weight);
                self.scores(dy, &block, &keys_here, values_across, slope);
                for (i, query) in block.clone().enumerate() {
                    let state = &statistics[self.statistics(query)..][..2];
                    let mask = self.mask_row(mask, query, &keys_here);
                    let scores = self.strip_row(weight, i, &keys_here);
                    let slopes = self.strip_row(slope, i, &keys_here);
                    gradients_of_scores(scores, slopes, scale, mask, [state[0], state[1]], product[query]);
                }
                self.pack_along(q, queries, &block, queries_along);
                self.pack_along(dy, queries, &block, slopes_along);
                let to_keys =
                    |out| Target { out, of: keys, tokens: keys_here.clone(), accumulate: block.start > 0 };
                self.mix(slope, block.len(), queries_along, true, to_keys(dk));
                self.mix(weight, block.len(), slopes_along, true, to_keys(dv));
                let accumulate = keys_here.start > 0;
                let to = Target { out: dq, of: queries, tokens: block, accumulate };
                self.mix(slope, keys_here.len(), keys_along, false, to);
            }
        }
    }
}
