// The gradient of attention to TILE queries: blocks of keys pass by, whose weights are computed again (Dao et al. 2022, algorithm 4).
//
// Computes: dq = scale sum over keys of weight (dy v - y dy) k.
// Layout: attention_tile.wgsl; state [images, QUERIES, HEADS, 3] as attention_rows.wgsl leaves it.
// Dispatch: a workgroup for each block of TILE queries of each head of each image.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!place(group, (QUERIES + TILE - 1u) / TILE)) {
        return;
    }
    for (var block = 0u; block < KEYS; block += TILE) {
        let products = product_q_k(lane, first_row, block);
        let slopes = product_dy_v(lane, first_row, block);
//@for i in 4
        {
            let r = lane / SIDE + {i}u / 2u * SIDE;
            let c = lane % SIDE + {i}u % 2u * SIDE;
            let at = 3u * ((image * QUERIES + min(first_row + r, QUERIES - 1u)) * HEADS + head);
            let weight = exp(score(products[{i}], first_row + r, block + c) - state[at + 1u]) * state[at + 2u];
            let slope = weight * (slopes[{i}] - state[at]) * bitcast<f32>(scale_bits);
            first_tile[r * LINE + c] = select(0.0, slope, block + c < KEYS);
        }
//@end
        workgroupBarrier();
        gather_sums(lane, block);
    }
    store_sums(lane, vec4<f32>(1.0));
}
