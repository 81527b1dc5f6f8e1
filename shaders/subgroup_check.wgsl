// Whether neighbours can exchange numbers as columns.wgsl takes for granted.
//
// Computes: y[lane] from the numbers of the WIDTH neighbours, mixed level by level at distances WIDTH / 2, .., 1, after loops of
// different lengths.
// Layout: y [SIZE]. Dispatch: one workgroup of SIZE.

@group(0) @binding(0) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(SIZE)
fn main(@builtin(local_invocation_index) lane: u32) {
    var v = lane * 2654435761u;
    for (var turn = 0u; turn < lane % 7u; turn++) {
        v = v * 1664525u + 1013904223u;
    }
//@for i in EXCHANGES
    v = v * 31u + subgroupShuffleXor(v, WIDTH >> ({i}u + 1u));
//@end
    y[lane] = v;
}
