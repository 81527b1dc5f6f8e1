// The factors of a convolution's weight gradient.
//
// Computes: blocks of A, row r = (ky, kx, input channel of the group), k = position (image, oy, ox): the input that the
// tap reads there, zero outside the image; and blocks of B: dy at (k, column = output channel of the group). Positions are
// cut into PARTS of K each, summed apart; z = (member, group, part), the member counted from FIRST_MEMBER.
// Layout: x [members, IMAGES, HEIGHT, WIDTH, IN_CHANNELS], dy [members, IMAGES, OUT_HEIGHT, OUT_WIDTH, OUT_CHANNELS].
// VECTOR_A, VECTOR_B: input, output channels of a group are a multiple of 4.
// Dispatch: none of its own.

struct a_Row {
    at: vec4<u32>,
    y: vec4<i32>,
    x: vec4<i32>,
    first: u32,
}

fn a_row(z: u32, r: u32) -> a_Row {
    let rows = min(vec4<u32>(r, r + 1u, r + 2u, r + 3u), vec4<u32>(M - 1u));
    let tap = rows / vec4<u32>(GROUP_CHANNELS);
    let member = FIRST_MEMBER + z / (PARTS * GROUPS);
    return a_Row(
        rows % vec4<u32>(GROUP_CHANNELS)
            + vec4<u32>(member * IMAGES * (HEIGHT * WIDTH * IN_CHANNELS) + z / PARTS % GROUPS * GROUP_CHANNELS),
        vec4<i32>(tap / vec4<u32>(KERNEL_X) * DILATION_Y) - vec4<i32>(i32(PAD_Y)),
        vec4<i32>(tap % vec4<u32>(KERNEL_X) * DILATION_X) - vec4<i32>(i32(PAD_X)),
        z % PARTS * K,
    );
}

fn a_load(row: a_Row, k: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//@for s in 4
    if (!{GUARD_K} || (k + {s}u < K && row.first + k + {s}u < POSITIONS)) {
        let position = row.first + k + {s}u;
        let place = position % (OUT_HEIGHT * OUT_WIDTH);
        let image = position / (OUT_HEIGHT * OUT_WIDTH) * (HEIGHT * WIDTH * IN_CHANNELS);
        let y = vec4<u32>(row.y + vec4<i32>(i32(place / OUT_WIDTH * STRIDE_Y)));
        let x = vec4<u32>(row.x + vec4<i32>(i32(place % OUT_WIDTH * STRIDE_X)));
        let inside = (y < vec4<u32>(HEIGHT)) & (x < vec4<u32>(WIDTH));
        let at = row.at + vec4<u32>(image) + (y * WIDTH + x) * IN_CHANNELS;
//@if VECTOR_A
        if (inside.x) {
            block[{s}] = a[at.x / 4u];
        }
//@else
        var line = vec4<f32>();
//@for i in 4
        if (inside[{i}]) {
            line[{i}] = a[at[{i}]];
        }
//@end
        block[{s}] = line;
//@end
    }
//@end
    return block;
}

struct b_Row {
    at: vec4<u32>,
    first: u32,
}

fn b_row(z: u32, column: u32) -> b_Row {
    let first = z % PARTS * K;
    let member = FIRST_MEMBER + z / (PARTS * GROUPS);
    let start = (member * POSITIONS + first) * OUT_CHANNELS + z / PARTS % GROUPS * GROUP_OUTPUTS;
    let columns = min(vec4<u32>(column, column + 1u, column + 2u, column + 3u), vec4<u32>(N - 1u));
    return b_Row(vec4<u32>(start) + columns, first);
}

fn b_load(row: b_Row, k: u32) -> mat4x4<f32> {
    var block = mat4x4<f32>();
//@for s in 4
    if (!{GUARD_K} || (k + {s}u < K && row.first + k + {s}u < POSITIONS)) {
        let at = row.at + vec4<u32>((k + {s}u) * OUT_CHANNELS);
//@if VECTOR_B
        block[{s}] = b[at.x / 4u];
//@else
        block[{s}] = vec4<f32>(b[at.x], b[at.y], b[at.z], b[at.w]);
//@end
    }
//@end
    return block;
}
