// What the gradient of attention needs of every query.
//
// Computes: state[row] = (sum of y dy over the features, largest score, 1 / sum of exp(score - largest)).
// Layout: y, dy [rows, FEATURES], statistics [rows, 2], state [rows, 3].
// Dispatch: one invocation a row, SIZE a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    var product = 0.0;
    for (var feature = 0u; feature < FEATURES; feature++) {
        product = fma(y[i * FEATURES + feature], dy[i * FEATURES + feature], product);
    }
    state[3u * i] = product;
    state[3u * i + 1u] = statistics[2u * i];
    state[3u * i + 2u] = 1.0 / statistics[2u * i + 1u];
}
