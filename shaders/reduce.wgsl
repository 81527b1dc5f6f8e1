// Sum, largest or smallest along an axis.
//
// Computes: y[column] from x; a slice sums in blocks of BLOCK, so that rounding grows with the root of the length. The
// smallest is minus the largest of -x.
// Layout: x [outer, LEN, INNER], y [outer, INNER]. Dispatch: see columns.wgsl.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
//@if SUM
    var mine = 0.0;
    for (var first = slice; first < LEN; first += BLOCK * SLICES) {
        var block = 0.0;
        for (var t = first; t < min(LEN, first + BLOCK * SLICES); t += SLICES) {
            block += x[origin + t * INNER];
        }
        mine += block;
    }
    let result = all_sum(lane, mine);
//@else
    var mine = {SIGN}x[origin];
    for (var t = slice; t < LEN; t += SLICES) {
        mine = largest(mine, {SIGN}x[origin + t * INNER]);
    }
    let result = {SIGN}all_max(lane, mine);
//@end
    if (alive && slice == 0u) {
        y[column] = result;
    }
}
