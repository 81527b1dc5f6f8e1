// The Euclidean projection of rows onto the intersection of a norm ball and a box.
//
// Computes: clamp(x) where it lies in the ball, else by bisection the largest u in [0, 1] whose point does: l2: clamp(x0 + u (x -
// x0)); l1: clamp(x0 + scale sign(d) max(|d| - (1 - u) max |d|, 0)) with d = (x - x0) / scale. What is stored was measured.
// Layout: x, x0, low, high, y [rows, LEN], scale [LEN], radius [rows]; INNER is 1. Dispatch: see columns.wgsl.

fn candidate(at: u32, t: u32, u: f32, reach: f32) -> f32 {
    let from_ = x0[at];
//@if L2
    let moved = fma(u, x[at] - from_, from_);
//@else
    let d = (x[at] - from_) / scale[t];
    let kept = max(abs(d) - reach * (1.0 - u), 0.0) * scale[t];
    let moved = from_ + select(kept, -kept, d < 0.0);
//@end
    return clamp(moved, low[at], high[at]);
}

fn size_of(lane: u32, origin: u32, u: f32, reach: f32, whole: bool) -> f32 {
    var mine = 0.0;
    for (var first = slice; first < LEN; first += BLOCK * SLICES) {
        var block = 0.0;
        for (var t = first; t < min(LEN, first + BLOCK * SLICES); t += SLICES) {
            var point = clamp(x[origin + t], low[origin + t], high[origin + t]);
            if (!whole) {
                point = candidate(origin + t, t, u, reach);
            }
            let d = (point - x0[origin + t]) / scale[t];
//@if L2
            block = fma(d, d, block);
//@else
            block += abs(d);
//@end
        }
        mine += block;
    }
    let sum = all_sum(lane, mine);
//@if L2
    return sqrt(sum);
//@else
    return sum;
//@end
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
    let limit = radius[column];
    let whole = size_of(lane, origin, 1.0, 0.0, true) <= limit;
    var reach = 0.0;
//@if !L2
    for (var t = slice; t < LEN; t += SLICES) {
        reach = max(reach, abs((x[origin + t] - x0[origin + t]) / scale[t]));
    }
    reach = all_max(lane, reach);
//@end
    var inside = 0.0;
    var outside = 1.0;
    // Every row takes the same steps: barriers must be uniform, and a row must not depend on its company.
    for (var step_ = 0u; step_ < 40u; step_++) {
        let middle = 0.5 * (inside + outside);
        let fits = size_of(lane, origin, middle, reach, false) <= limit * {MARGIN};
        inside = select(inside, middle, fits);
        outside = select(middle, outside, fits);
    }
    if (alive) {
        for (var t = slice; t < LEN; t += SLICES) {
            var point = clamp(x[origin + t], low[origin + t], high[origin + t]);
            if (!whole) {
                point = candidate(origin + t, t, inside, reach);
            }
            y[origin + t] = point;
        }
    }
}
