// Axes in another order, or walked backwards.
//
// Computes: y[i_0, ..] = x[..] by a stride for every axis of y; a reversed axis counts down from its end.
// Layout: y contiguous; axis d of y has EXTENT, STRIDE in x and DOWN set if reversed. In quads if the last axis is kept.
// Dispatch: one invocation an element (or quad) of y, SIZE a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    y[i] = x[{PLACE}];
}
