// The absolute value at a place of every row, the largest first.
//
// Computes: bit by bit from the highest, the largest pattern that PLACE of the row's patterns reach: without their signs, patterns stand
// in the order of the values, so what comes out is one of them.
// Layout: x [rows, LEN], y [rows]; INNER is 1. Dispatch: see columns.wgsl.

fn reaching(lane: u32, origin: u32, least: u32) -> f32 {
    var mine = 0.0;
    for (var t = slice; t < LEN; t += SLICES) {
        mine += select(0.0, 1.0, (bitcast<u32>(x[origin + t]) & 0x7fffffffu) >= least);
    }
    return all_sum(lane, mine);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
    var found = 0u;
    for (var bit = 31u; bit > 0u; bit--) {
        let trial = found | (1u << (bit - 1u));
        found = select(found, trial, reaching(lane, origin, trial) >= f32({PLACE}));
    }
    if (alive && slice == 0u) {
        y[column] = bitcast<f32>(found);
    }
}
