//! 3x3 convolutions of stride 1 with fewer multiplications: Lavin & Gray 2016, "Fast Algorithms for Convolutional Neural
//! Networks" (arXiv 1509.09308), section 4, after Winograd 1980.
//!
//! An image is cut into tiles of a few outputs a side. Each tile's patch is transformed, every position of the transformed
//! patches is one matrix product over channels, and a second transform makes outputs of its results. Tiles of all images
//! are rows of those products, so an output's bits depend on its own patch alone.

// Rows and columns of a tile are numbers of the transforms' own, by which several arrays are indexed at once.
#![allow(clippy::needless_range_loop)]

use std::marker::PhantomData;

use pulp::{Arch, Simd, WithSimd};

use super::images::{ImageTail, Room};
use super::panels::{Form, Right, packed_len};
use super::product::{Left, Run, Tail, multiply};
use super::winograd_points::{F2, F4, Points, transform_weights};
use super::{Disjoint, Memory, math, spread};
use crate::ops::Conv;

/// Channels that are read and written are multiples of this, so that every processor's vectors divide them.
const CHANNELS: usize = 16;
/// Elements between transformed positions beyond their own, lest all of them fall on the same lines of the nearest cache.
const GAP: usize = 16;
/// Fewest and most tiles of a block: rows of a product.
const TILES: [usize; 2] = [48, 222];
/// Fewest channels for the larger tiles: their rounding errors must drown in what the direct sum may leave.
const LARGE_LEAST: usize = 32;
/// Most products of channels for them: their weights, four times as many as the kernel's, must stay in a near cache.
const LARGE_MOST: usize = 128 * 128;

/// A convolution that is worth it, or its input gradient, over one set's images.
#[derive(Clone, Debug)]
pub(crate) struct Winograd {
    /// Height, width and channels of what is read.
    source: [usize; 3],
    /// Height, width and channels of what is written.
    target: [usize; 3],
    /// Rows and columns of zeros before the source (negative: rows left out).
    before: [isize; 2],
    /// Tiles down and across.
    tiles: [usize; 2],
    /// Outputs along a tile's side: 2 or 4.
    side: usize,
    backward: bool,
}

impl Winograd {
    /// How to compute the convolution, unless the direct way is better.
    pub(crate) fn forward(conv: &Conv) -> Option<Self> {
        let [height, width] = conv.out_size();
        let source = [conv.height, conv.width, conv.in_channels];
        let before = [0, 1].map(|axis: usize| conv.pad[axis] as isize);
        Self::new(conv, source, [height, width, conv.out_channels], before, false)
    }

    /// The same for the gradient to the input.
    pub(crate) fn backward(conv: &Conv) -> Option<Self> {
        let [height, width] = conv.out_size();
        let target = [conv.height, conv.width, conv.in_channels];
        let before = [0, 1].map(|axis: usize| 2 - conv.pad[axis] as isize);
        Self::new(conv, [height, width, conv.out_channels], target, before, true)
    }

    /// What decides never counts images or sets: bits must not depend on them.
    fn new(
        conv: &Conv,
        source: [usize; 3],
        target: [usize; 3],
        before: [isize; 2],
        backward: bool,
    ) -> Option<Self> {
        let plain =
            conv.kernel == [3, 3] && conv.stride == [1, 1] && conv.dilation == [1, 1] && conv.groups == 1;
        let channels = [source[2], target[2]];
        if !plain || channels.iter().any(|count| !count.is_multiple_of(CHANNELS)) {
            return None;
        }
        let large = channels[0].min(channels[1]) >= LARGE_LEAST && channels[0] * channels[1] <= LARGE_MOST;
        // Products for each pair of channels, those of clipped tiles included.
        let cost =
            |side: usize| target[0].div_ceil(side) * target[1].div_ceil(side) * (side + 2) * (side + 2);
        let side = if large && cost(4) < cost(2) { 4 } else { 2 };
        let direct = target[0] * target[1] * 9;
        let tiles = [target[0].div_ceil(side), target[1].div_ceil(side)];
        (5 * cost(side) <= 4 * direct).then_some(Self { source, target, before, tiles, side, backward })
    }

    /// Positions of a transformed patch.
    fn positions(&self) -> usize {
        (self.side + 2) * (self.side + 2)
    }

    /// Elements of one set's transformed weights.
    fn weights_len(&self, lanes: usize) -> usize {
        self.positions() * packed_len(Form::Panels, lanes, self.source[2], self.target[2])
    }

    /// Tiles whose transforms stay near while weights pass by, and are no less than the weights where those do not stay.
    fn together(&self, tiles: usize) -> usize {
        let [read, written] = [self.source[2], self.target[2]];
        let most = (read * written / (read + written)).clamp(TILES[0], TILES[1]);
        tiles.div_ceil(tiles.div_ceil(most))
    }

    fn pack(&self, lanes: usize, w: &[f32], out: &mut [f32]) {
        let channels = [self.source[2], self.target[2]];
        if self.side == 4 {
            transform_weights::<F4, 6, 4>(lanes, channels, self.backward, w, out);
        } else {
            transform_weights::<F2, 4, 2>(lanes, channels, self.backward, w, out);
        }
    }

    /// The transformed weights of all sets.
    pub(crate) fn prepare(&self, sets: usize, w: &[f32]) -> Option<Memory> {
        let lanes = math::lanes();
        let len = self.weights_len(lanes);
        let mut memory = Memory::zeroed(sets * len).ok()?;
        let set = w.len() / sets;
        for (w, out) in w.chunks_exact(set).zip(memory.as_mut_slice().chunks_exact_mut(len)) {
            self.pack(lanes, w, out);
        }
        Some(memory)
    }

    /// Computes `sets` sets of `images` images.
    pub(crate) fn convolve(
        &self,
        [sets, images]: [usize; 2],
        x: &[f32],
        w: &[f32],
        y: &mut [f32],
        tail: ImageTail,
        room: Room,
    ) {
        let lanes = math::lanes();
        let tiles = images * self.tiles[0] * self.tiles[1];
        let together = self.together(tiles);
        let (weights, work) = (self.weights_len(lanes), Work::new(self, together));
        let blocks = tiles.div_ceil(together);
        let tasks = room.threads.clamp(1, sets * blocks);
        let own = if room.packed.is_some() { 0 } else { sets * weights };
        let scratch = room.scratch.take(own.next_multiple_of(16) + tasks * work.len());
        let (own, working) = scratch.split_at_mut(own.next_multiple_of(16));
        let packed = room.packed.unwrap_or_else(|| {
            let set = w.len() / sets;
            for (i, w) in w.chunks_exact(set).enumerate() {
                self.pack(lanes, w, &mut own[i * weights..(i + 1) * weights]);
            }
            own
        });
        let rows = room.kept.get(|| {
            let rows = |step: usize| -> Vec<usize> { (0..together).map(|tile| tile * step).collect() };
            [rows(self.source[2]), rows(self.target[2])]
        });
        let (out, working) = (Disjoint::new(y), Disjoint::new(working));
        let [source, target] = [self.source, self.target].map(|size| size.iter().product::<usize>() * images);
        spread(room.threads, tasks, |task| {
            // SAFETY: every task has its own part of the scratch memory.
            let working = unsafe { working.slice(task * work.len(), work.len()) };
            let mut parts = work.split(working);
            for block in sets * blocks * task / tasks..sets * blocks * (task + 1) / tasks {
                let (set, first) = (block / blocks, block % blocks * together);
                let tiles =
                    Tiles { plan: self, first, count: together.min(tiles - first), parts: &mut parts };
                let tail = ImageTail {
                    bias: tail.bias.map(|bias| &bias[set * self.target[2]..][..self.target[2]]),
                    residual: tail.residual.map(|residual| &residual[set * target..][..target]),
                    gate: tail.gate.map(|gate| &gate[set * target..][..target]),
                    ..tail
                };
                let x = &x[set * source..][..source];
                let weights = &packed[set * weights..][..weights];
                // SAFETY: blocks are tiles that share no output; `address` checks that they lie within y.
                unsafe { tiles.run(x, weights, rows, out.address(set * target, target), target, tail) };
            }
        });
    }
}

/// The memory of one block: transformed patches, results, and a pixel of zeros.
#[derive(Clone, Copy)]
struct Work {
    positions: usize,
    /// Elements from a position to the next: of patches and of results.
    steps: [usize; 2],
    zeros: usize,
}

impl Work {
    fn new(plan: &Winograd, tiles: usize) -> Self {
        let step = |channels: usize| tiles * channels + GAP;
        Self {
            positions: plan.positions(),
            steps: [step(plan.source[2]), step(plan.target[2])],
            zeros: plan.source[2],
        }
    }

    fn len(&self) -> usize {
        self.positions * (self.steps[0] + self.steps[1]) + self.zeros
    }

    fn split<'a>(&self, memory: &'a mut [f32]) -> Parts<'a> {
        let (patches, rest) = memory.split_at_mut(self.positions * self.steps[0]);
        let (results, zeros) = rest.split_at_mut(self.positions * self.steps[1]);
        zeros.fill(0.0);
        Parts { work: *self, patches, results, zeros }
    }
}

struct Parts<'a> {
    work: Work,
    patches: &'a mut [f32],
    results: &'a mut [f32],
    zeros: &'a [f32],
}

/// Neighbouring tiles of a set's images, image after image.
struct Tiles<'a, 'm> {
    plan: &'a Winograd,
    first: usize,
    count: usize,
    parts: &'a mut Parts<'m>,
}

impl Tiles<'_, '_> {
    /// # Safety
    /// `y` points to `y_len` elements, the set's target; nobody else uses those of these tiles meanwhile.
    unsafe fn run(
        self,
        x: &[f32],
        weights: &[f32],
        rows: &[Vec<usize>; 2],
        y: *mut f32,
        y_len: usize,
        tail: ImageTail,
    ) {
        let Self { plan, first, count, parts } = self;
        let work = parts.work;
        let arch = Arch::new();
        let patches = &mut *parts.patches;
        if plan.side == 4 {
            arch.dispatch(Patches::<F4, 6, 4> {
                plan,
                first,
                count,
                x,
                work,
                zeros: parts.zeros,
                patches,
                points: PhantomData,
            });
        } else {
            arch.dispatch(Patches::<F2, 4, 2> {
                plan,
                first,
                count,
                x,
                work,
                zeros: parts.zeros,
                patches,
                points: PhantomData,
            });
        }
        let runs = [Run { offset: 0, len: plan.source[2], step: 1 }];
        let set = weights.len() / work.positions;
        for position in 0..work.positions {
            let data = &parts.patches[position * work.steps[0]..][..work.steps[0]];
            let left = Left { data, rows: &rows[0][..count], runs: &runs, transposed: false };
            let data = &weights[position * set..][..set];
            let right = Right { data, columns: plan.target[2], form: Form::Panels };
            let c = &mut parts.results[position * work.steps[1]..][..work.steps[1]];
            // SAFETY: `c` is a slice of our own.
            unsafe { multiply(left, right, c.as_mut_ptr(), c.len(), &rows[1][..count], Tail::default()) };
        }
        let results = &*parts.results;
        if plan.side == 4 {
            arch.dispatch(Outputs::<F4, 6, 4> {
                plan,
                first,
                count,
                results,
                work,
                y,
                y_len,
                tail,
                points: PhantomData,
            });
        } else {
            arch.dispatch(Outputs::<F2, 4, 2> {
                plan,
                first,
                count,
                results,
                work,
                y,
                y_len,
                tail,
                points: PhantomData,
            });
        }
    }
}

impl Winograd {
    /// Image, and row and column of the first output, of a tile.
    #[inline(always)]
    fn corner(&self, tile: usize) -> [usize; 3] {
        let each = self.tiles[0] * self.tiles[1];
        let (image, tile) = (tile / each, tile % each);
        [image, tile / self.tiles[1] * self.side, tile % self.tiles[1] * self.side]
    }
}

/// Reads patches and transforms them.
struct Patches<'a, P, const IN: usize, const OUT: usize> {
    plan: &'a Winograd,
    first: usize,
    count: usize,
    x: &'a [f32],
    work: Work,
    zeros: &'a [f32],
    patches: &'a mut [f32],
    points: PhantomData<P>,
}

impl<P: Points<IN, OUT>, const IN: usize, const OUT: usize> WithSimd for Patches<'_, P, IN, OUT> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [height, width, channels] = self.plan.source;
        let image_len = height * width * channels;
        let step = self.work.steps[0];
        assert!(
            channels.is_multiple_of(S::F32_LANES) && self.zeros.len() >= channels,
            "channels that fill vectors"
        );
        assert!(self.patches.len() >= IN * IN * step && step >= self.count * channels, "room for patches");
        for tile in 0..self.count {
            let [image, top, left] = self.plan.corner(self.first + tile);
            assert!((image + 1) * image_len <= self.x.len(), "an image outside its memory");
            let mut from = [[self.zeros.as_ptr(); IN]; IN];
            for i in 0..IN {
                let row = ((top + i) as isize - self.plan.before[0]) as usize;
                for j in 0..IN {
                    let column = ((left + j) as isize - self.plan.before[1]) as usize;
                    // Negative positions have wrapped to large ones.
                    if row < height && column < width {
                        let place = image * image_len + (row * width + column) * channels;
                        from[i][j] = self.x.as_ptr().wrapping_add(place);
                    }
                }
            }
            let to = self.patches.as_mut_ptr().wrapping_add(tile * channels);
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut half = [[simd.splat_f32s(0.0); IN]; IN];
                for j in 0..IN {
                    let mut line = [simd.splat_f32s(0.0); IN];
                    for i in 0..IN {
                        // SAFETY: pixels and `zeros` have `channels` elements, which fill vectors.
                        line[i] =
                            unsafe { from[i][j].wrapping_add(channel).cast::<S::f32s>().read_unaligned() };
                    }
                    let line = P::patch(simd, line);
                    for i in 0..IN {
                        half[i][j] = line[i];
                    }
                }
                for i in 0..IN {
                    let line = P::patch(simd, half[i]);
                    for j in 0..IN {
                        let to = to.wrapping_add((i * IN + j) * step + channel);
                        // SAFETY: the assertions above count the positions and the tiles of each.
                        unsafe { to.cast::<S::f32s>().write_unaligned(line[j]) };
                    }
                }
            }
        }
    }
}

/// Transforms results to outputs and stores them.
struct Outputs<'a, P, const IN: usize, const OUT: usize> {
    plan: &'a Winograd,
    first: usize,
    count: usize,
    results: &'a [f32],
    work: Work,
    y: *mut f32,
    y_len: usize,
    tail: ImageTail<'a>,
    points: PhantomData<P>,
}

impl<P: Points<IN, OUT>, const IN: usize, const OUT: usize> WithSimd for Outputs<'_, P, IN, OUT> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let [height, width, channels] = self.plan.target;
        let step = self.work.steps[1];
        assert!(channels.is_multiple_of(S::F32_LANES), "channels that fill vectors");
        assert!(
            self.results.len() >= IN * IN * step && step >= self.count * channels,
            "results of all tiles"
        );
        assert!(self.tail.bias.is_none_or(|bias| bias.len() >= channels), "a short bias");
        let whole = |operand: Option<&[f32]>| operand.is_none_or(|operand| operand.len() >= self.y_len);
        assert!(whole(self.tail.residual) && whole(self.tail.gate), "a short residual or gate");
        let zero = simd.splat_f32s(0.0);
        let read = |p: *const f32| {
            // SAFETY: of the callers below.
            unsafe { p.cast::<S::f32s>().read_unaligned() }
        };
        for tile in 0..self.count {
            let [image, top, left] = self.plan.corner(self.first + tile);
            assert!((image + 1) * height * width * channels <= self.y_len, "an image outside its memory");
            let from = self.results.as_ptr().wrapping_add(tile * channels);
            for channel in (0..channels).step_by(S::F32_LANES) {
                let mut half = [[simd.splat_f32s(0.0); IN]; OUT];
                for j in 0..IN {
                    let mut line = [simd.splat_f32s(0.0); IN];
                    for i in 0..IN {
                        // The assertions above count the positions and the tiles of each.
                        line[i] = read(from.wrapping_add((i * IN + j) * step + channel));
                    }
                    let line = P::output(simd, line);
                    for i in 0..OUT {
                        half[i][j] = line[i];
                    }
                }
                let bias = match self.tail.bias {
                    Some(bias) => read(bias.as_ptr().wrapping_add(channel)),
                    None => simd.splat_f32s(0.0),
                };
                for i in 0..OUT {
                    let line = P::output(simd, half[i]);
                    for j in 0..OUT {
                        if top + i >= height || left + j >= width {
                            continue;
                        }
                        let place = ((image * height + top + i) * width + left + j) * channels + channel;
                        let mut y = simd.add_f32s(line[j], bias);
                        if let Some(residual) = self.tail.residual {
                            y = simd.add_f32s(y, read(residual.as_ptr().wrapping_add(place)));
                        }
                        if self.tail.relu {
                            // In this order NaN comes through.
                            y = simd.max_f32s(zero, y);
                        }
                        if let Some(gate) = self.tail.gate {
                            let gate = read(gate.as_ptr().wrapping_add(place));
                            y = simd.select_f32s(simd.greater_than_f32s(gate, zero), y, zero);
                        }
                        // SAFETY: the image lies within y, and the pixel within the image.
                        unsafe { self.y.wrapping_add(place).cast::<S::f32s>().write_unaligned(y) };
                    }
                }
            }
        }
    }
}
