// The gradient of gather to tables of their own, without atomics: every row looks for who picked it.
//
// Computes: dx[o, r, :] = sum of dy[o, j, :] where index[o, j] == r, j ascending.
// Layout: dy [outer, PICKED, INNER], index [outer, PICKED], dx [outer, ROWS, INNER]; INNER in quads if VECTOR.
// Dispatch: one invocation an element (or quad) of dx, SIZE a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    let row = i / INNER % ROWS;
    let first = i / (INNER * ROWS) * PICKED;
    var sum = {ELEMENT}();
    for (var j0 = 0u; j0 < PICKED; j0 += UNROLL) {
//@for u in UNROLL
        if (j0 + {u}u < PICKED) {
            let picked = index[first + j0 + {u}u];
            if (picked >= 0.0 && picked < f32(ROWS) && u32(picked) == row) {
                sum += dy[(first + j0 + {u}u) * INNER + i % INNER];
            }
        }
//@end
    }
    dx[i] = sum;
}
