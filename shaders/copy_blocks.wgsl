// Blocks copied from one pitch to another: a part of a concatenation, or a slice.
//
// Computes: y[o Y_PITCH + Y_START + t] = x[o X_PITCH + X_START + t] for t < LEN.
// Layout: as given; in quads if everything is a multiple of 4. Dispatch: one invocation an element (or quad), SIZE a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    let t = i % LEN;
    let o = i / LEN;
    y[o * Y_PITCH + Y_START + t] = x[o * X_PITCH + X_START + t];
}
