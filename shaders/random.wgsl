// Counter-based random rows: Threefry-2x32 with 20 rounds (Salmon et al. 2011).
//
// Computes: element j of a row from word j % 2 of threefry(key, (j / 2, step)): the upper 24 bits times 2^-24, or NORMAL: both
// words by Box and Muller, cos for even j and sin for odd.
// Layout: keys [rows, 2] as bit patterns, steps [rows], y [rows, COLUMNS].
// Dispatch: one invocation a block of two elements, PAIRS = ceil(COLUMNS / 2) a row, SIZE a workgroup.

fn rotate(x: u32, by: u32) -> u32 {
    return (x << by) | (x >> (32u - by));
}

fn threefry(key: vec2<u32>, counter: vec2<u32>) -> vec2<u32> {
    let third = 0x1bd11bdau ^ key.x ^ key.y;
    var a = counter.x + key.x;
    var b = counter.y + key.y;
{ROUNDS}
    return vec2<u32>(a, b);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    let row = i / PAIRS;
    let pair = i % PAIRS;
    let key = vec2<u32>(keys[2u * row], keys[2u * row + 1u]);
    let words = threefry(key, vec2<u32>(pair, u32(steps[row])));
    let u = vec2<f32>(words >> vec2<u32>(8u)) * 5.9604645e-8;
//@if NORMAL
    let value = sqrt(-2.0 * logarithm(1.0 - u.x)) * turn(u.y);
//@else
    let value = u;
//@end
    let at = row * COLUMNS + 2u * pair;
    y[at] = value.x;
    if (2u * pair + 1u < COLUMNS) {
        y[at + 1u] = value.y;
    }
}
