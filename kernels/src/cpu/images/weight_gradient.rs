//! The gradient of a convolution to its weight, as products of its patches with dy.

use super::{Plan, Room, copy_padded, images_together};
use crate::cpu::panels::{Form, Right, pack, packed_len};
use crate::cpu::product::{Left, Run, Tail, multiply};
use crate::cpu::{Disjoint, math, spread};
use crate::ops::Conv;

/// The gradient of a convolution to its weight: for every row of taps a product of the transposed patch matrix with dy,
/// block of images after block of images.
pub(crate) fn weight_gradient(conv: &Conv, x: &[f32], dy: &[f32], dw: &mut [f32], room: Room) {
    let lanes = math::lanes();
    let plan = Plan::forward(conv);
    let [read, written] = plan.group_channels();
    let pixels = plan.target[0] * plan.target[1];
    let together = images_together(pixels, conv.images);
    let merged = conv.groups == 1 && conv.dilation[1] == 1;
    let (rows, columns) = if merged { (1, conv.kernel[1] * read) } else { (conv.kernel[1], read) };
    let width = if plan.unpadded() { plan.source[1] } else { plan.padded[1] };
    let image = if plan.unpadded() { plan.source_len() } else { plan.padded_len() };
    let padded = if plan.unpadded() { 0 } else { together * image };
    let repack = written % lanes != 0;
    let right_len =
        if repack { conv.groups * packed_len(Form::Panels, lanes, together * pixels, written) } else { 0 };
    let scratch = room.scratch.take(padded.next_multiple_of(16) + right_len);
    let (padding, packed) = scratch.split_at_mut(padded.next_multiple_of(16));
    padding.fill(0.0);
    // Tasks are rows of taps, groups, and parts of a stretch of dw's rows.
    let parts = if room.threads > 1 { columns.div_ceil(28) } else { 1 };
    let part = columns.div_ceil(parts);
    let ascending: Vec<usize> = (0..part).collect();
    let outputs: Vec<usize> = (0..part).map(|row| row * conv.out_channels).collect();
    let runs = |count: usize| -> Vec<Run> {
        let one = |i: usize, y: usize| Run {
            offset: i * image + y * conv.stride[0] * width * plan.source[2],
            len: plan.target[1],
            step: conv.stride[1] * plan.source[2],
        };
        (0..count).flat_map(|i| (0..plan.target[0]).map(move |y| one(i, y))).collect()
    };
    let dw_set = dw.len() / conv.sets;
    let out = Disjoint::new(dw);
    for set in 0..conv.sets {
        for first in (0..conv.images).step_by(together) {
            let count = together.min(conv.images - first);
            let index = set * conv.images + first;
            let x = &x[index * plan.source_len()..][..count * plan.source_len()];
            let dy = &dy[index * plan.target_len()..][..count * plan.target_len()];
            for (x, out) in x.chunks_exact(plan.source_len()).zip(padding.chunks_exact_mut(image)) {
                copy_padded(plan.source, plan.before, plan.padded, x, out);
            }
            let data = if padded == 0 { x } else { &*padding };
            let terms = count * pixels;
            let group_len = packed_len(Form::Panels, lanes, terms, written);
            if repack {
                for group in 0..conv.groups {
                    let out = &mut packed[group * group_len..][..group_len];
                    let steps = [conv.out_channels, 1];
                    pack(
                        Form::Panels,
                        lanes,
                        [terms, written],
                        [0, terms],
                        &dy[group * written..],
                        steps,
                        out,
                    );
                }
            }
            let (packed, runs) = (&*packed, &runs(count));
            let tasks = conv.kernel[0] * rows * conv.groups * parts;
            spread(room.threads, tasks, |task| {
                let (piece, group) = (task % parts, task / parts % conv.groups);
                let tap = task / parts / conv.groups;
                let (ky, kx) = (tap / rows, tap % rows);
                let start = piece * part;
                let len = part.min(columns.saturating_sub(start));
                let from = (ky * conv.dilation[0] * width + kx * conv.dilation[1]) * plan.source[2];
                let left = Left {
                    data: &data[from + group * read + start..],
                    rows: &ascending[..len],
                    runs,
                    transposed: true,
                };
                let right = if repack {
                    Right {
                        data: &packed[group * group_len..][..group_len],
                        columns: written,
                        form: Form::Panels,
                    }
                } else {
                    Right {
                        data: &dy[group * written..],
                        columns: written,
                        form: Form::Rows(conv.out_channels),
                    }
                };
                let row = (ky * conv.kernel[1] + kx) * read + start;
                let place = set * dw_set + row * conv.out_channels + group * written;
                let tail = Tail { accumulate: first > 0, ..Tail::default() };
                if len > 0 {
                    let reach = (len - 1) * conv.out_channels + written;
                    // SAFETY: tasks write disjoint rows and columns of dw; `address` checks that they lie within it.
                    unsafe { multiply(left, right, out.address(place, reach), reach, &outputs[..len], tail) };
                }
            });
        }
    }
}
