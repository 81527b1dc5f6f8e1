// The input of a convolution as the left factor of a matrix product.
//
// Computes: blocks of 4 rows x 4 k of A, row r = (image, oy, ox), k = (ky, kx, channel of the group); zero outside the
// image and where k >= K. z = (member, group).
// Layout: x [members, IMAGES, HEIGHT, WIDTH, IN_CHANNELS]. VECTOR: channels of a group are a multiple of 4.
// Dispatch: none of its own.

struct a_Row {
    at: vec4<u32>,
    y: vec4<i32>,
    x: vec4<i32>,
}

fn a_row(z: u32, r: u32) -> a_Row {
    let rows = min(vec4<u32>(r, r + 1u, r + 2u, r + 3u), vec4<u32>(M - 1u));
    let image = rows / vec4<u32>(OUT_HEIGHT * OUT_WIDTH) + vec4<u32>(z / GROUPS * IMAGES);
    let place = rows % vec4<u32>(OUT_HEIGHT * OUT_WIDTH);
    return a_Row(
        image * (HEIGHT * WIDTH * IN_CHANNELS) + vec4<u32>(z % GROUPS * GROUP_CHANNELS),
        vec4<i32>(place / vec4<u32>(OUT_WIDTH) * STRIDE_Y) - vec4<i32>(i32(PAD_Y)),
        vec4<i32>(place % vec4<u32>(OUT_WIDTH) * STRIDE_X) - vec4<i32>(i32(PAD_X)),
    );
}

fn a_load(row: a_Row, k: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//@if VECTOR
    if ({GUARD_K} && k >= K) {
        return block;
    }
    let tap = k / GROUP_CHANNELS;
    let y = vec4<u32>(row.y + vec4<i32>(i32(tap / KERNEL_X * DILATION_Y)));
    let x = vec4<u32>(row.x + vec4<i32>(i32(tap % KERNEL_X * DILATION_X)));
    let inside = (y < vec4<u32>(HEIGHT)) & (x < vec4<u32>(WIDTH));
    let at = (row.at + (y * WIDTH + x) * IN_CHANNELS + vec4<u32>(k % GROUP_CHANNELS)) / vec4<u32>(4u);
//@for i in 4
    if (inside[{i}]) {
        block[{i}] = a[at[{i}]];
    }
//@end
    return transpose(block);
//@else
//@for s in 4
    if (!{GUARD_K} || k + {s}u < K) {
        let tap = (k + {s}u) / GROUP_CHANNELS;
        let y = vec4<u32>(row.y + vec4<i32>(i32(tap / KERNEL_X * DILATION_Y)));
        let x = vec4<u32>(row.x + vec4<i32>(i32(tap % KERNEL_X * DILATION_X)));
        let inside = (y < vec4<u32>(HEIGHT)) & (x < vec4<u32>(WIDTH));
        let at = row.at + (y * WIDTH + x) * IN_CHANNELS + vec4<u32>((k + {s}u) % GROUP_CHANNELS);
        var line = vec4<f32>();
//@for i in 4
        if (inside[{i}]) {
            line[{i}] = a[at[{i}]];
        }
//@end
        block[{s}] = line;
    }
//@end
    return block;
//@end
}
