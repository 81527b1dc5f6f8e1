// Products of the features of rows `own` of OWN and columns `other` of OTHER: of rows r, r + SIDE and columns c, c + SIDE.
// Sums run over features upwards, one fma a step.
fn product_{OWN}_{OTHER}(lane: u32, own: u32, other: u32) -> vec4<f32> {
    let r = lane / SIDE * LINE;
    let c = lane % SIDE * LINE;
    var sums = vec4<f32>();
    for (var chunk = 0u; chunk < FEATURES; chunk += TILE) {
        workgroupBarrier();
//@for i in 4
        {
            let row = (lane + {i}u * SIZE) / TILE;
            let feature = lane % TILE;
            let inside = chunk + feature < FEATURES;
            let origin = min(chunk + feature, FEATURES - 1u);
            let a = {OWN}[token(min(own + row, {OWN_TOKENS} - 1u), {OWN_TOKENS}) + origin];
            let b = {OTHER}[token(min(other + row, {OTHER_TOKENS} - 1u), {OTHER_TOKENS}) + origin];
            first_tile[row * LINE + feature] = select(0.0, a, inside);
            second_tile[row * LINE + feature] = select(0.0, b, inside);
        }
//@end
        workgroupBarrier();
        for (var step = 0u; step < TILE; step += 8u) {
//@for s in 8
            {
                let a = vec2<f32>(first_tile[r + step + {s}u], first_tile[r + SIDE * LINE + step + {s}u]);
                let b = vec2<f32>(second_tile[c + step + {s}u], second_tile[c + SIDE * LINE + step + {s}u]);
                sums = fma(a.xxyy, b.xyxy, sums);
            }
//@end
        }
    }
    workgroupBarrier();
    return sums;
}
