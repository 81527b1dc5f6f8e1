// Rows picked by index.
//
// Computes: y[o, j, :] = x[o, index[o, j], :] (x[0, ..] if SHARED); NaN where the index is no row.
// Layout: x [outer | 1, ROWS, INNER], index [outer, PICKED], y [outer, PICKED, INNER]; INNER in quads if VECTOR.
// Dispatch: one invocation an element (or quad) of y, SIZE a workgroup.

var<private> nan_bits: u32 = 0x7fc00000u;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    let picked = index[i / INNER];
    if (picked >= 0.0 && picked < f32(ROWS)) {
//@if SHARED
        let table = 0u;
//@else
        let table = i / (INNER * PICKED) * (ROWS * INNER);
//@end
        y[i] = x[table + u32(picked) * INNER + i % INNER];
    } else {
        y[i] = {ELEMENT}(bitcast<f32>(nan_bits));
    }
}
