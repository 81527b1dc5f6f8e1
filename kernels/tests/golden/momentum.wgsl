const COUNT: u32 = 64u;
const GRID_X: u32 = 1u;
const SIZE: u32 = 256u;
@group(0) @binding(0) var<storage, read_write> x0: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> x1: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> x2: array<f32>;
@group(0) @binding(3) var<storage, read_write> y0: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> y1: array<vec4<f32>>;


// Elementary functions where the built-in ones are too loose (WGSL lets log be wrong by 2^-21 and sin by 2^-11) or overflow.
//
// Computes: series on reduced arguments, a few units in the last place. Layout, dispatch: none.


// (cos r, sin r) for |r| <= pi / 4.
fn small_turn(r: f32) -> vec2<f32> {
    let z = r * r;
    let c = fma(z, fma(z, fma(z, fma(z, fma(z, -2.7557319e-7, 2.4801587e-5), -1.3888889e-3), 0.041666668), -0.5), 1.0);
    let s = fma(r * z, fma(z, fma(z, fma(z, 2.7557319e-6, -1.984127e-4), 8.3333333e-3), -0.16666667), r);
    return vec2<f32>(c, s);
}

// The same, q quarter turns on.
fn quarter_turns(small: vec2<f32>, q: u32) -> vec2<f32> {
    let turned = select(small, vec2<f32>(-small.y, small.x), vec2<bool>((q & 1u) == 1u));
    return select(turned, -turned, vec2<bool>((q & 2u) == 2u));
}


// (cos x, sin x): pi / 2 taken off in three pieces; good to about |x| = 10^4.
fn angle(x: f32) -> vec2<f32> {
    let q = round(x * 0.63661975);
    let r = fma(q, -7.5497894159e-8, fma(q, -1.5707962513, x));
    return quarter_turns(small_turn(fma(q, -5.3903029534e-15, r)), bitcast<u32>(i32(q)));
}

fn hyperbolic_tangent(x: f32) -> f32 {
    let a = abs(x);
    let z = x * x;
    let near = fma(a * z, fma(z, fma(z, fma(z, 0.021869488, -0.053968254), 0.13333334), -0.33333334), a);
    let far = 1.0 - 2.0 / (exp(2.0 * min(a, 20.0)) + 1.0);
    let size = select(far, near, a < 0.3);
    return select(select(size, -size, x < 0.0), x, x != x);
}




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
    let c1 = i % 16u;
    let c0 = i / 16u;
    let v0 = x0[c0 * 16u + c1];
    let v1 = x1[c0 * 16u + c1];
    let v2 = vec4<f32>(x2[c0]);
    let v3 = v0 * v2;
    let v4 = v3 + v1;
    let v5 = vec4<f32>(hyperbolic_tangent(v4.x), hyperbolic_tangent(v4.y), hyperbolic_tangent(v4.z), hyperbolic_tangent(v4.w));
    let v6 = vec4<f32>(angle(v5.x).y, angle(v5.y).y, angle(v5.z).y, angle(v5.w).y);
    y0[i] = v4;
    y1[i] = v6;
}
