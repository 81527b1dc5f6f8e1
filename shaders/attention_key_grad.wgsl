// The gradients of attention to TILE keys and their values: blocks of queries pass by, whose weights are computed again (Dao et al. 2022, algorithm 4).
//
// Computes: dv = sum over queries of weight dy, dk = scale sum over queries of weight (dy v - y dy) q.
// Layout: attention_tile.wgsl; state [images, QUERIES, HEADS, 3] as attention_rows.wgsl leaves it.
// Dispatch: a workgroup for each block of TILE keys of each head of each image.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!place(group, (KEYS + TILE - 1u) / TILE)) {
        return;
    }
    for (var block = 0u; block < QUERIES; block += TILE) {
        let products = product_k_q(lane, first_row, block);
        let slopes = product_v_dy(lane, first_row, block);
//@for i in 4
        {
            let r = lane / SIDE + {i}u / 2u * SIDE;
            let c = lane % SIDE + {i}u % 2u * SIDE;
            let at = 3u * ((image * QUERIES + min(block + c, QUERIES - 1u)) * HEADS + head);
            let inside = block + c < QUERIES;
            let power = exp(score(products[{i}], block + c, first_row + r) - state[at + 1u]);
            let weight = select(0.0, power * state[at + 2u], inside);
            let slope = weight * (slopes[{i}] - state[at]) * bitcast<f32>(scale_bits);
            first_tile[r * LINE + c] = weight;
            second_tile[r * LINE + c] = select(0.0, slope, inside);
        }
//@end
        workgroupBarrier();
        gather_values(lane, block);
        gather_keys(lane, block);
    }
    store_values(lane, vec4<f32>(1.0));
    store_keys(lane, vec4<f32>(1.0));
}
