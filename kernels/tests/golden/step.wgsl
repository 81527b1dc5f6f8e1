const COUNT: u32 = 588u;
const GRID_X: u32 = 3u;
const SIZE: u32 = 256u;
@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> x2: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> x3: array<f32>;
@group(0) @binding(4) var<storage, read_write> x4: array<f32>;
@group(0) @binding(5) var<storage, read_write> y0: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y1: array<vec4<f32>>;


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
    let c1 = i % 196u;
    let c0 = i / 196u;
    let v0 = x0[c0 * 196u + c1];
    let v1 = x1[c0 * 196u + c1];
    let v2 = x2[c0 * 196u + c1];
    let v3 = vec4<f32>(x3[c0]);
    let v4 = vec4<f32>(x4[c0]);
    let v5 = select(v2, sign(v2), v2 == v2);
    let v6 = v3 * v5;
    let v7 = v0 + v6;
    let v8 = v7 - v1;
    let v9 = select(v4, v8, (v8 < v4) | (v8 != v8));
    let v10 = -v4;
    let v11 = select(v10, v9, (v9 > v10) | (v9 != v9));
    let v12 = v1 + v11;
    let v13 = vec4<f32>(0.0f);
    let v14 = vec4<f32>(1.0f);
    let v15 = select(v13, v12, (v12 > v13) | (v12 != v12));
    let v16 = select(v14, v15, (v15 < v14) | (v15 != v15));
    y0[i] = v16;
    y1[i] = v8;
}
