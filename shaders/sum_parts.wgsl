// The parts of a split sum, added up.
//
// Computes: y[i] = parts[i, 0] + parts[i, 1] + .. in that order.
// Layout: parts [members, PARTS, LEN], y [members, LEN] from FIRST on.
// Dispatch: one invocation an element of y (or quad), SIZE a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    let start = i / LEN * (PARTS * LEN) + i % LEN;
    var sum = parts[start];
    for (var part = 1u; part < PARTS; part++) {
        sum += parts[start + part * LEN];
    }
    y[FIRST + i] = sum;
}
