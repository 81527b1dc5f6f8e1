// A fused chain of elementwise expressions; the body is generated from the op's code.
//
// Computes: every output's value at every position. Layout: outputs contiguous, inputs by strides (0 broadcasts), axes merged
// where all inputs allow; in quads of the last axis where its length is a multiple of 4 and its strides are 0 or 1.
// Dispatch: one invocation a position (or quad), SIZE a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
{BODY}
}
