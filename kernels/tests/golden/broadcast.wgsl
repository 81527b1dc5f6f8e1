const COUNT: u32 = 30u;
const GRID_X: u32 = 1u;
const SIZE: u32 = 256u;
@group(0) @binding(0) var<storage, read_write> x0: array<f32>;
@group(0) @binding(1) var<storage, read_write> x1: array<f32>;
@group(0) @binding(2) var<storage, read_write> x2: array<f32>;
@group(0) @binding(3) var<storage, read_write> y0: array<f32>;

var<private> bits4: u32 = 0x7fc00000u;

// Elementary functions where the built-in ones are too loose (WGSL lets log be wrong by 2^-21 and sin by 2^-11) or overflow.
//
// Computes: series on reduced arguments, a few units in the last place. Layout, dispatch: none.









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
    let c2 = i % 5u;
    let c1 = i / 5u % 3u;
    let c0 = i / 15u;
    let v0 = x0[c1 * 5u + c2];
    let v1 = x1[c0];
    let v2 = x2[0u];
    let v3 = f32(c1);
    let v4 = bitcast<f32>(bits4);
    let v5 = select(f32(0.0), f32(1.0), v0 <= v3);
    let v6 = select(v4, v1, v5 != f32());
    let v7 = select(v2, v6, (v6 > v2) | (v6 != v6));
    y0[i] = v7;
}
