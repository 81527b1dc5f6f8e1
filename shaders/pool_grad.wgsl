// The gradient of pooling, in gather form: every input position asks the windows that hold it.
//
// Computes: dx = sum of dy over the windows whose first largest position this is (MAX), or of dy / divisor; windows in
// row-major order.
// Layout: x and dx [images, HEIGHT, WIDTH, CHANNELS], dy [images, OUT_HEIGHT, OUT_WIDTH, CHANNELS].
// Dispatch: one invocation an element of dx, SIZE a workgroup.

//@if MAX
// Whether (iy, ix) holds the window's largest value first in row-major order; a NaN
// counts as larger than anything before it.
fn wins(origin: u32, channel: u32, iy: u32, ix: u32, window: vec4<u32>) -> bool {
    let mine = x[(origin + iy * WIDTH + ix) * CHANNELS + channel];
    for (var wy = window.x; wy < window.y; wy++) {
        for (var wx = window.z; wx < window.w; wx++) {
            let value = x[(origin + wy * WIDTH + wx) * CHANNELS + channel];
            let before = wy < iy || (wy == iy && wx < ix);
            let after = wy > iy || (wy == iy && wx > ix);
            let beaten = value > mine || (before && value == mine);
            if (beaten || (value != value && (mine == mine || after))) {
                return false;
            }
        }
    }
    return true;
}
//@end

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    let channel = i % CHANNELS;
    let ix = i / CHANNELS % WIDTH;
    let iy = i / (CHANNELS * WIDTH) % HEIGHT;
    let image = i / (CHANNELS * WIDTH * HEIGHT);
    let origin = image * (HEIGHT * WIDTH);
    // Output oy holds iy where oy STRIDE_Y <= iy + PAD_Y < oy STRIDE_Y + KERNEL_Y.
    let py = iy + PAD_Y;
    let px = ix + PAD_X;
    let first_y = (max(py + 1u, KERNEL_Y) - KERNEL_Y + STRIDE_Y - 1u) / STRIDE_Y;
    let first_x = (max(px + 1u, KERNEL_X) - KERNEL_X + STRIDE_X - 1u) / STRIDE_X;
    let end_y = min(py / STRIDE_Y + 1u, OUT_HEIGHT);
    let end_x = min(px / STRIDE_X + 1u, OUT_WIDTH);
    var sum = 0.0;
    for (var oy = first_y; oy < end_y; oy++) {
        for (var ox = first_x; ox < end_x; ox++) {
            let gradient = dy[((image * OUT_HEIGHT + oy) * OUT_WIDTH + ox) * CHANNELS + channel];
            let y0 = oy * STRIDE_Y;
            let x0 = ox * STRIDE_X;
            let window = vec4<u32>(
                max(y0, PAD_Y) - PAD_Y,
                min(y0 + KERNEL_Y - PAD_Y, HEIGHT),
                max(x0, PAD_X) - PAD_X,
                min(x0 + KERNEL_X - PAD_X, WIDTH),
            );
//@if MAX
            if (wins(origin, channel, iy, ix, window)) {
                sum += gradient;
            }
//@else
//@if INSIDE
            sum += gradient / f32((window.y - window.x) * (window.w - window.z));
//@else
            sum += gradient / f32(KERNEL_Y * KERNEL_X);
//@end
//@end
        }
    }
    dx[i] = sum;
}
