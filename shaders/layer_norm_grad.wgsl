// The gradient of layer norm to its rows.
//
// Computes: dx = factor (a - mean of a - u mean of a u) with a = dy weight and u = (x - mean) factor.
// Layout: as layer_norm.wgsl; dy and dx like x. Dispatch: see columns.wgsl.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
    let own = column / ROWS * LEN;
    let center = means[column];
    let factor = factors[column];
    var sum = 0.0;
    var product = 0.0;
    for (var first = slice; first < LEN; first += BLOCK * SLICES) {
        var block = vec2<f32>();
        for (var t = first; t < min(LEN, first + BLOCK * SLICES); t += SLICES) {
            let along = dy[origin + t] * weight[own + t];
            block += vec2<f32>(along, along * ((x[origin + t] - center) * factor));
        }
        sum += block.x;
        product += block.y;
    }
    let level = all_sum(lane, sum) / f32(LEN);
    let slope = all_sum(lane, product) / f32(LEN);
    if (alive) {
        for (var t = slice; t < LEN; t += SLICES) {
            let along = fma(dy[origin + t], weight[own + t], -level);
            dx[origin + t] = factor * fma((x[origin + t] - center) * factor, -slope, along);
        }
    }
}
