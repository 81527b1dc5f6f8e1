// Layer norm of rows.
//
// Computes: y = (x - mean) factor weight + bias with factor = 1 / sqrt(variance + EPSILON); the means and factors.
// Layout: x and y [sets, ROWS, LEN], weight and bias [sets, LEN], means and factors [sets, ROWS]; INNER is 1. Dispatch: see columns.wgsl.

var<private> epsilon_bits: u32 = {EPSILON}u;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
    var mine = 0.0;
    for (var first = slice; first < LEN; first += BLOCK * SLICES) {
        var block = 0.0;
        for (var t = first; t < min(LEN, first + BLOCK * SLICES); t += SLICES) {
            block += x[origin + t];
        }
        mine += block;
    }
    let center = all_sum(lane, mine) / f32(LEN);
    mine = 0.0;
    for (var first = slice; first < LEN; first += BLOCK * SLICES) {
        var block = 0.0;
        for (var t = first; t < min(LEN, first + BLOCK * SLICES); t += SLICES) {
            let distance = x[origin + t] - center;
            block = fma(distance, distance, block);
        }
        mine += block;
    }
    let factor = 1.0 / sqrt(all_sum(lane, mine) / f32(LEN) + bitcast<f32>(epsilon_bits));
    if (alive) {
        let own = column / ROWS * LEN;
        for (var t = slice; t < LEN; t += SLICES) {
            y[origin + t] = fma((x[origin + t] - center) * factor, weight[own + t], bias[own + t]);
        }
    }
    if (alive && slice == 0u) {
        means[column] = center;
        factors[column] = factor;
    }
}
