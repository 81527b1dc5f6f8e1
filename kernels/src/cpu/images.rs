//! Convolutions as products: which rows of a padded image a convolution reads, and its gradients likewise.

mod weight_gradient;

pub(crate) use weight_gradient::weight_gradient;

use super::panels::{Form, Right, pack, packed_len};
use super::product::{Left, Run, Tail, multiply};
use super::{Disjoint, Memory, math, spread};
use crate::ops::Conv;

/// Output pixels that are worth one product; smaller images are taken several at a time.
const PIXELS: usize = 224;

/// A convolution with stride 1 over a padded source: the forward pass, or one phase of the gradient to the input (input
/// pixels whose distance from a grid as wide as the stride is the same see the same taps).
#[derive(Clone, Debug, Default)]
pub(crate) struct Pass {
    /// Output pixels: rows and columns.
    size: [usize; 2],
    /// First output pixel and the distance of neighbours, in the stored image.
    place: [Grid; 2],
    /// Distance of neighbouring output pixels in the source.
    step: [usize; 2],
    /// Taps in the order of the summed axis: position in the source relative to the output pixel's, and the weight's.
    taps: Vec<([usize; 2], [usize; 2])>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Grid {
    first: usize,
    step: usize,
}

/// How a convolution or its input gradient runs over one set's images.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    /// Height, width and channels of what is read.
    source: [usize; 3],
    /// Height, width and channels of what is written.
    target: [usize; 3],
    /// Rows and columns of zeros before the source (negative: rows left out), and the padded size.
    before: [isize; 2],
    padded: [usize; 2],
    groups: usize,
    passes: Vec<Pass>,
    /// The gradient to the input reads the weights with the channels exchanged.
    backward: bool,
    /// Channels of the weight's rows and columns.
    weight: [usize; 2],
    kernel: [usize; 2],
}

impl Plan {
    pub(crate) fn forward(conv: &Conv) -> Self {
        let size = conv.out_size();
        let taps =
            each_tap(conv.kernel).map(|tap| ([tap[0] * conv.dilation[0], tap[1] * conv.dilation[1]], tap));
        let reach = |axis: usize| {
            (size[axis] - 1) * conv.stride[axis] + (conv.kernel[axis] - 1) * conv.dilation[axis] + 1
        };
        let place = [Grid { first: 0, step: 1 }; 2];
        Self {
            source: [conv.height, conv.width, conv.in_channels],
            target: [size[0], size[1], conv.out_channels],
            before: [conv.pad[0] as isize, conv.pad[1] as isize],
            padded: [reach(0), reach(1)],
            groups: conv.groups,
            passes: vec![Pass { size, place, step: conv.stride, taps: taps.collect() }],
            backward: false,
            weight: [conv.in_channels / conv.groups, conv.out_channels],
            kernel: conv.kernel,
        }
    }

    pub(crate) fn backward(conv: &Conv) -> Self {
        let size = [conv.height, conv.width];
        // For each axis and phase: the taps that meet it, with the output pixel they come from relative to the phase's own
        // count, in rising order.
        let meets = |axis: usize, phase: usize| -> Vec<(isize, usize)> {
            let stride = conv.stride[axis] as isize;
            let shift = |tap: usize| (phase + conv.pad[axis]) as isize - (tap * conv.dilation[axis]) as isize;
            let taps = (0..conv.kernel[axis]).rev().filter(|&tap| shift(tap).rem_euclid(stride) == 0);
            taps.map(|tap| (shift(tap).div_euclid(stride), tap)).collect()
        };
        let count = |axis: usize, phase: usize| (size[axis] - phase).div_ceil(conv.stride[axis]);
        let phases = |axis: usize| 0..conv.stride[axis].min(size[axis]);
        let mut bounds = [[0_isize, 1]; 2];
        for (axis, bounds) in bounds.iter_mut().enumerate() {
            let all = || {
                phases(axis).flat_map(|phase| meets(axis, phase).into_iter().map(move |(s, _)| (phase, s)))
            };
            let low = all().map(|(_, shift)| shift).min().unwrap_or(0);
            let high = all().map(|(phase, shift)| count(axis, phase) as isize + shift).max().unwrap_or(1);
            *bounds = [low, high];
        }
        let mut passes = Vec::new();
        for (py, px) in phases(0).flat_map(|py| phases(1).map(move |px| (py, px))) {
            let mut taps = Vec::new();
            for (sy, ky) in meets(0, py) {
                for (sx, kx) in meets(1, px) {
                    let from = [(sy - bounds[0][0]) as usize, (sx - bounds[1][0]) as usize];
                    taps.push((from, [ky, kx]));
                }
            }
            let place = [Grid { first: py, step: conv.stride[0] }, Grid { first: px, step: conv.stride[1] }];
            passes.push(Pass { size: [count(0, py), count(1, px)], place, step: [1, 1], taps });
        }
        let [out_height, out_width] = conv.out_size();
        Self {
            source: [out_height, out_width, conv.out_channels],
            target: [conv.height, conv.width, conv.in_channels],
            before: [-bounds[0][0], -bounds[1][0]],
            padded: [0, 1].map(|axis: usize| (bounds[axis][1] - bounds[axis][0]) as usize),
            groups: conv.groups,
            passes,
            backward: true,
            weight: [conv.in_channels / conv.groups, conv.out_channels],
            kernel: conv.kernel,
        }
    }

    /// Channels that one group reads and writes.
    fn group_channels(&self) -> [usize; 2] {
        [self.source[2] / self.groups, self.target[2] / self.groups]
    }

    fn source_len(&self) -> usize {
        self.source.iter().product()
    }

    fn target_len(&self) -> usize {
        self.target.iter().product()
    }

    fn padded_len(&self) -> usize {
        self.padded[0] * self.padded[1] * self.source[2]
    }

    /// Whether the source can be read where it lies.
    fn unpadded(&self) -> bool {
        self.before == [0, 0] && self.padded[1] <= self.source[1] && self.padded[0] <= self.source[0]
    }

    /// Elements of one set's packed weights.
    fn weights_len(&self, lanes: usize) -> usize {
        let [read, written] = self.group_channels();
        let form = Form::packed(written);
        let one = |pass: &Pass| packed_len(form, lanes, pass.taps.len() * read, written);
        self.groups * self.passes.iter().map(one).sum::<usize>()
    }

    fn pack_weights(&self, lanes: usize, w: &[f32], out: &mut [f32]) {
        let [read, written] = self.group_channels();
        let [rows, columns] = self.weight;
        let mut start = 0;
        for pass in &self.passes {
            let terms = pass.taps.len() * read;
            let form = Form::packed(written);
            let len = packed_len(form, lanes, terms, written);
            for group in 0..self.groups {
                for (i, (_, [ky, kx])) in pass.taps.iter().enumerate() {
                    let tap = (ky * self.kernel[1] + kx) * rows * columns;
                    let (offset, steps) = if self.backward {
                        (tap + group * read, [1, columns])
                    } else {
                        (tap + group * written, [columns, 1])
                    };
                    let out = &mut out[start..start + len];
                    pack(form, lanes, [terms, written], [i * read, read], &w[offset..], steps, out);
                }
                start += len;
            }
        }
    }

    /// The packed weights of all sets.
    pub(crate) fn prepare(&self, sets: usize, w: &[f32]) -> Option<Memory> {
        let lanes = math::lanes();
        let len = self.weights_len(lanes);
        let mut memory = Memory::zeroed(sets * len).ok()?;
        let set = w.len() / sets;
        for (w, out) in w.chunks_exact(set).zip(memory.as_mut_slice().chunks_exact_mut(len.max(1))) {
            self.pack_weights(lanes, w, out);
        }
        Some(memory)
    }

    /// The stretches of the summed axis for one pass: neighbouring taps of a row are one stretch where pixels hold one
    /// group's channels only.
    fn runs(&self, pass: &Pass, width: usize) -> Vec<Run> {
        let [read, _] = self.group_channels();
        let mut runs: Vec<Run> = Vec::new();
        for ([y, x], _) in &pass.taps {
            let offset = (y * width + x) * self.source[2];
            match runs.last_mut() {
                Some(run) if self.groups == 1 && run.offset + run.len == offset => run.len += read,
                _ => runs.push(Run { offset, len: read, step: 1 }),
            }
        }
        runs
    }
}

/// Images of a block, so that blocks are of nearly equal size.
fn images_together(pixels: usize, images: usize) -> usize {
    let most = PIXELS.div_ceil(pixels);
    images.div_ceil(images.div_ceil(most))
}

fn each_tap(kernel: [usize; 2]) -> impl Iterator<Item = [usize; 2]> {
    (0..kernel[0]).flat_map(move |y| (0..kernel[1]).map(move |x| [y, x]))
}

/// Fused work after the sums, with a bias for each set.
#[derive(Clone, Copy, Default)]
pub(crate) struct ImageTail<'a> {
    pub(crate) bias: Option<&'a [f32]>,
    pub(crate) residual: Option<&'a [f32]>,
    pub(crate) relu: bool,
    /// Indexed like y, which becomes 0 where this is not positive.
    pub(crate) gate: Option<&'a [f32]>,
}

/// Where an operation may put things.
pub(crate) struct Room<'a> {
    pub(crate) threads: usize,
    pub(crate) scratch: &'a mut super::Scratch,
    pub(crate) kept: &'a mut super::Kept,
    /// The weights packed once and for all.
    pub(crate) packed: Option<&'a [f32]>,
}

/// Runs a plan over `sets` sets of `images` images. The plan and the places of pixels are made at the first run.
pub(crate) fn convolve(
    make: impl FnOnce() -> Plan,
    [sets, images]: [usize; 2],
    x: &[f32],
    w: &[f32],
    y: &mut [f32],
    tail: ImageTail,
    room: Room,
) {
    let lanes = math::lanes();
    let (plan, layout) = room.kept.get(|| {
        let plan = make();
        let pixels = plan.passes[0].size[0] * plan.passes[0].size[1];
        let layout = Layout::new(&plan, images_together(pixels, images));
        (plan, layout)
    });
    let together = layout.together;
    let weights = plan.weights_len(lanes);
    let blocks = images.div_ceil(together);
    let padded = if plan.unpadded() { 0 } else { plan.padded_len() * together };
    let tasks = if room.threads > 1 { sets * blocks } else { 1 };
    let own = if room.packed.is_some() { 0 } else { sets * weights };
    let scratch = room.scratch.take(own.next_multiple_of(16) + tasks * padded);
    let (own, padding) = scratch.split_at_mut(own.next_multiple_of(16));
    let packed = room.packed.unwrap_or_else(|| {
        let set = w.len() / sets;
        for (i, w) in w.chunks_exact(set).enumerate() {
            plan.pack_weights(lanes, w, &mut own[i * weights..(i + 1) * weights]);
        }
        own
    });
    padding.fill(0.0);
    let (out, padding) = (Disjoint::new(y), Disjoint::new(padding));
    let block = |task: usize, slot: usize| {
        let (set, first) = (task / blocks, task % blocks * together);
        let count = together.min(images - first);
        let image = set * images + first;
        let (source, target) = (plan.source_len(), plan.target_len());
        let x = &x[image * source..(image + count) * source];
        // SAFETY: one task at a time uses a slot, and every task has its own images.
        let (padding, y) =
            unsafe { (padding.slice(slot * padded, padded), out.slice(image * target, count * target)) };
        let data = if padded == 0 {
            x
        } else {
            for (x, out) in x.chunks_exact(source).zip(padding.chunks_exact_mut(plan.padded_len())) {
                copy_padded(plan.source, plan.before, plan.padded, x, out);
            }
            &*padding
        };
        let tail = ImageTail {
            bias: tail.bias.map(|bias| &bias[set * plan.target[2]..][..plan.target[2]]),
            residual: tail.residual.map(|residual| &residual[image * target..][..count * target]),
            gate: tail.gate.map(|gate| &gate[image * target..][..count * target]),
            ..tail
        };
        layout.product(plan, count, data, &packed[set * weights..][..weights], y, tail);
    };
    if room.threads > 1 {
        spread(room.threads, sets * blocks, |task| block(task, task));
    } else {
        (0..sets * blocks).for_each(|task| block(task, 0));
    }
}

/// Copies an image between rows and columns of zeros, which are there already.
fn copy_padded(
    [height, width, channels]: [usize; 3],
    before: [isize; 2],
    padded: [usize; 2],
    x: &[f32],
    out: &mut [f32],
) {
    let range = |axis: usize, size: usize| {
        // The positions of the padded image that hold some of the source.
        let first = before[axis].max(0) as usize;
        let end = (size as isize + before[axis]).clamp(0, padded[axis] as isize) as usize;
        (first.min(end), end)
    };
    let ((top, bottom), (left, right)) = (range(0, height), range(1, width));
    if left >= right {
        return;
    }
    for row in top..bottom {
        let from =
            ((row as isize - before[0]) as usize * width + (left as isize - before[1]) as usize) * channels;
        let to = (row * padded[1] + left) * channels;
        let len = (right - left) * channels;
        out[to..to + len].copy_from_slice(&x[from..from + len]);
    }
}

/// The places of a block of images' pixels, for every pass.
#[derive(Debug)]
struct Layout {
    /// Images of a block.
    together: usize,
    passes: Vec<Places>,
}

#[derive(Debug)]
struct Places {
    sources: Vec<usize>,
    targets: Vec<usize>,
    runs: Vec<Run>,
    pixels: usize,
}

impl Layout {
    fn new(plan: &Plan, together: usize) -> Self {
        let (width, image) = if plan.unpadded() {
            (plan.source[1], plan.source_len())
        } else {
            (plan.padded[1], plan.padded_len())
        };
        let places = |pass: &Pass| {
            let pixels = pass.size[0] * pass.size[1];
            let (mut sources, mut targets) = (Vec::new(), Vec::new());
            for i in 0..together {
                for (y, x) in (0..pass.size[0]).flat_map(|y| (0..pass.size[1]).map(move |x| (y, x))) {
                    sources.push(i * image + (y * pass.step[0] * width + x * pass.step[1]) * plan.source[2]);
                    let row = pass.place[0].first + y * pass.place[0].step;
                    let column = pass.place[1].first + x * pass.place[1].step;
                    targets.push(i * plan.target_len() + (row * plan.target[1] + column) * plan.target[2]);
                }
            }
            Places { sources, targets, runs: plan.runs(pass, width), pixels }
        };
        Self { together, passes: plan.passes.iter().map(places).collect() }
    }

    fn product(
        &self,
        plan: &Plan,
        images: usize,
        x: &[f32],
        weights: &[f32],
        y: &mut [f32],
        tail: ImageTail,
    ) {
        let lanes = math::lanes();
        let [read, written] = plan.group_channels();
        let mut start = 0;
        for (pass, places) in plan.passes.iter().zip(&self.passes) {
            let rows = images * places.pixels;
            let form = Form::packed(written);
            let len = packed_len(form, lanes, pass.taps.len() * read, written);
            for group in 0..plan.groups {
                let left = Left {
                    data: &x[group * read..],
                    rows: &places.sources[..rows],
                    runs: &places.runs,
                    transposed: false,
                };
                let right = Right { data: &weights[start..start + len], columns: written, form };
                let tail = Tail {
                    accumulate: false,
                    bias: tail.bias.map(|bias| &bias[group * written..]),
                    residual: tail.residual.map(|residual| &residual[group * written..]),
                    relu: tail.relu,
                    gate: tail.gate.map(|gate| &gate[group * written..]),
                };
                let y = &mut y[group * written..];
                // SAFETY: `y` is a slice of our own.
                unsafe { multiply(left, right, y.as_mut_ptr(), y.len(), &places.targets[..rows], tail) };
                start += len;
            }
        }
    }
}
