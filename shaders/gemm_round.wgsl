// Operands of a product rounded to f16; those too large become the largest f16, NaN stays NaN.
//
// Computes: rounded(v), and a block of 4 x 4 as the f32 numbers that its rounding leaves.
// Layout, dispatch: none.

fn rounded(v: vec4<f32>) -> vec4<f16> {
    return vec4<f16>(select(v, sign(v) * 65504.0, abs(v) > vec4<f32>(65504.0)));
}

fn rounded_block(block: mat4x4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        vec4<f32>(rounded(block[0])),
        vec4<f32>(rounded(block[1])),
        vec4<f32>(rounded(block[2])),
        vec4<f32>(rounded(block[3])),
    );
}
