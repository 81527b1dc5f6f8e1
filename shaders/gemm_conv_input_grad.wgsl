// The factors of a convolution's input gradient, in gather form: every input position asks which outputs it fed.
//
// Computes: blocks of A, row r = (image, iy, ix), k = (ky, kx, output channel of the group): dy where the tap leads from
// an output to this input, else zero; and blocks of B: w at (k, column = input channel of the group). z = (member, group).
// Layout: dy [members, IMAGES, OUT_HEIGHT, OUT_WIDTH, OUT_CHANNELS], w [members, TAPS, GROUP_CHANNELS, OUT_CHANNELS].
// VECTOR: output channels of a group are a multiple of 4.
// Dispatch: none of its own.

struct a_Row {
    at: vec4<u32>,
    y: vec4<i32>,
    x: vec4<i32>,
}

fn a_row(z: u32, r: u32) -> a_Row {
    let rows = min(vec4<u32>(r, r + 1u, r + 2u, r + 3u), vec4<u32>(M - 1u));
    let image = rows / vec4<u32>(HEIGHT * WIDTH) + vec4<u32>(z / GROUPS * IMAGES);
    let place = rows % vec4<u32>(HEIGHT * WIDTH);
    return a_Row(
        image * (OUT_HEIGHT * OUT_WIDTH * OUT_CHANNELS) + vec4<u32>(z % GROUPS * GROUP_OUTPUTS),
        vec4<i32>(place / vec4<u32>(WIDTH) + vec4<u32>(PAD_Y)),
        vec4<i32>(place % vec4<u32>(WIDTH) + vec4<u32>(PAD_X)),
    );
}

struct Source {
    at: vec4<u32>,
    found: vec4<bool>,
}

fn source(row: a_Row, k: u32) -> Source {
    let tap = k / GROUP_OUTPUTS;
    let y = row.y - vec4<i32>(i32(tap / KERNEL_X * DILATION_Y));
    let x = row.x - vec4<i32>(i32(tap % KERNEL_X * DILATION_X));
    let positive = (y >= vec4<i32>()) & (x >= vec4<i32>());
    let uy = vec4<u32>(y);
    let ux = vec4<u32>(x);
    let oy = uy / vec4<u32>(STRIDE_Y);
    let ox = ux / vec4<u32>(STRIDE_X);
    let whole = (oy * STRIDE_Y == uy) & (ox * STRIDE_X == ux);
    let inside = (oy < vec4<u32>(OUT_HEIGHT)) & (ox < vec4<u32>(OUT_WIDTH));
    let at = row.at + (oy * OUT_WIDTH + ox) * OUT_CHANNELS + vec4<u32>(k % GROUP_OUTPUTS);
    return Source(at, positive & whole & inside);
}

fn a_load(row: a_Row, k: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//@if VECTOR
    if ({GUARD_K} && k >= K) {
        return block;
    }
    let from_ = source(row, k);
//@for i in 4
    if (from_.found[{i}]) {
        block[{i}] = a[from_.at[{i}] / 4u];
    }
//@end
    return transpose(block);
//@else
//@for s in 4
    if (!{GUARD_K} || k + {s}u < K) {
        let from_ = source(row, k + {s}u);
        var line = vec4<f32>();
//@for i in 4
        if (from_.found[{i}]) {
            line[{i}] = a[from_.at[{i}]];
        }
//@end
        block[{s}] = line;
    }
//@end
    return block;
//@end
}

struct b_Row {
    at: vec4<u32>,
}

fn b_row(z: u32, column: u32) -> b_Row {
    let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(N - 1u));
    return b_Row(
        (vec4<u32>(z / GROUPS * TAPS * GROUP_CHANNELS) + columns) * OUT_CHANNELS
            + vec4<u32>(z % GROUPS * GROUP_OUTPUTS)
    );
}

fn b_load(row: b_Row, k: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//@if VECTOR
    if ({GUARD_K} && k >= K) {
        return block;
    }
    let step = k / GROUP_OUTPUTS * (GROUP_CHANNELS * OUT_CHANNELS) + k % GROUP_OUTPUTS;
    let at = (row.at + vec4<u32>(step)) / vec4<u32>(4u);
    return transpose(mat4x4<f32>(b_at(at.x), b_at(at.y), b_at(at.z), b_at(at.w)));
//@else
//@for s in 4
    if (!{GUARD_K} || k + {s}u < K) {
        let step = (k + {s}u) / GROUP_OUTPUTS * (GROUP_CHANNELS * OUT_CHANNELS) + (k + {s}u) % GROUP_OUTPUTS;
        let at = row.at + vec4<u32>(step);
        block[{s}] = vec4<f32>(b_at(at.x), b_at(at.y), b_at(at.z), b_at(at.w));
    }
//@end
    return block;
//@end
}
