// Softmax of rows, or its logarithm.
//
// Computes: y = exp(x - max) / sum exp(x - max), or x - max - ln sum exp(x - max).
// Layout: x and y [rows, LEN]; INNER is 1. Dispatch: see columns.wgsl.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
    var mine = x[origin];
    for (var t = slice; t < LEN; t += SLICES) {
        mine = largest(mine, x[origin + t]);
    }
    let top = all_max(lane, mine);
    mine = 0.0;
    for (var t = slice; t < LEN; t += SLICES) {
        mine += exp(x[origin + t] - top);
    }
    let total = all_sum(lane, mine);
//@if LOG
    let shift = logarithm(total);
//@end
    if (alive) {
        for (var t = slice; t < LEN; t += SLICES) {
//@if LOG
            y[origin + t] = (x[origin + t] - top) - shift;
//@else
            y[origin + t] = exp(x[origin + t] - top) / total;
//@end
        }
    }
}
