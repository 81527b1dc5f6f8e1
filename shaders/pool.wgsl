// Max and average pooling of channels-last images.
//
// Computes: y = the largest, or the sum / divisor, over the window's positions inside the image.
// Layout: x [images, HEIGHT, WIDTH, CHANNELS], y [images, OUT_HEIGHT, OUT_WIDTH, CHANNELS].
// Dispatch: one invocation an element of y (a quad of channels if they are a multiple of 4), SIZE a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    let channel = i % CHANNELS;
    let ox = i / CHANNELS % OUT_WIDTH;
    let oy = i / (CHANNELS * OUT_WIDTH) % OUT_HEIGHT;
    let image = i / (CHANNELS * OUT_WIDTH * OUT_HEIGHT);
    // Window positions from max(pad - start, 0) on are inside.
    let y0 = oy * STRIDE_Y;
    let x0 = ox * STRIDE_X;
    let top = max(y0, PAD_Y) - PAD_Y;
    let left = max(x0, PAD_X) - PAD_X;
    let bottom = min(max(y0 + KERNEL_Y, PAD_Y) - PAD_Y, HEIGHT);
    let right = min(max(x0 + KERNEL_X, PAD_X) - PAD_X, WIDTH);
    let origin = image * (HEIGHT * WIDTH);
//@if MAX
    var best = x[(origin + top * WIDTH + left) * CHANNELS + channel];
    for (var iy = top; iy < bottom; iy++) {
        for (var ix = left; ix < right; ix++) {
            let value = x[(origin + iy * WIDTH + ix) * CHANNELS + channel];
            best = select(best, value, (value > best) | (value != value));
        }
    }
    y[i] = best;
//@else
    var sum = {ELEMENT}();
    for (var iy = top; iy < bottom; iy++) {
        for (var ix = left; ix < right; ix++) {
            sum += x[(origin + iy * WIDTH + ix) * CHANNELS + channel];
        }
    }
//@if INSIDE
    y[i] = sum / f32((bottom - top) * (right - left));
//@else
    y[i] = sum / f32(KERNEL_Y * KERNEL_X);
//@end
//@end
}
