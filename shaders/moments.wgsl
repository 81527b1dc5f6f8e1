// Mean and biased variance along an axis, in two passes.
//
// Computes: mean[column] = sum x / LEN, variance[column] = sum (x - mean)^2 / LEN.
// Layout: x [outer, LEN, INNER], mean and variance [outer, INNER]. Dispatch: see columns.wgsl.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
    var mine = 0.0;
    for (var first = slice; first < LEN; first += BLOCK * SLICES) {
        var block = 0.0;
        for (var t = first; t < min(LEN, first + BLOCK * SLICES); t += SLICES) {
            block += x[origin + t * INNER];
        }
        mine += block;
    }
    let center = all_sum(lane, mine) / f32(LEN);
    mine = 0.0;
    for (var first = slice; first < LEN; first += BLOCK * SLICES) {
        var block = 0.0;
        for (var t = first; t < min(LEN, first + BLOCK * SLICES); t += SLICES) {
            let distance = x[origin + t * INNER] - center;
            block = fma(distance, distance, block);
        }
        mine += block;
    }
    let spread = all_sum(lane, mine) / f32(LEN);
    if (alive && slice == 0u) {
        mean[column] = center;
        variance[column] = spread;
    }
}
