// Attention of TILE queries: blocks of keys pass by, with a running maximum and sum for each query (Milakov & Gimelshein 2018; Dao et al. 2022).
//
// Computes: y = softmax(scale q k^T + mask) v, and of every query the largest score and the sum of exp(score - largest).
// Layout: attention_tile.wgsl; mask [images / SHARING, QUERIES if MASK_ROWS, KEYS], statistics [images, QUERIES, HEADS, 2].
// Dispatch: a workgroup for each block of TILE queries of each head of each image. A row of scores belongs to PARTS neighbours.


var<workgroup> parts: array<f32, SIZE>;
var<workgroup> shrink: array<f32, TILE>;

fn larger(a: f32, b: f32) -> f32 {
    return select(b, a, a > b || a != a);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    if (!place(group, (QUERIES + TILE - 1u) / TILE)) {
        return;
    }
    let row = lane / PARTS;
    let part = lane % PARTS;
    var largest = -3.4028235e38;
    var sum = 0.0;
    for (var block = 0u; block < KEYS; block += TILE) {
        let products = product_q_k(lane, first_row, block);
//@for i in 4
        {
            let r = lane / SIDE + {i}u / 2u * SIDE;
            let c = lane % SIDE + {i}u % 2u * SIDE;
            first_tile[r * LINE + c] = score(products[{i}], first_row + r, block + c);
        }
//@end
        workgroupBarrier();
        var top = largest;
//@for i in 4
        if (block + part + {i}u * PARTS < KEYS) {
            top = larger(top, first_tile[row * LINE + part + {i}u * PARTS]);
        }
//@end
        parts[lane] = top;
        workgroupBarrier();
//@for i in PARTS
        top = larger(top, parts[row * PARTS + {i}u]);
//@end
        let kept = exp(largest - top);
        largest = top;
        var own = 0.0;
//@for i in 4
        {
            let at = row * LINE + part + {i}u * PARTS;
            let weight = select(0.0, exp(first_tile[at] - top), block + part + {i}u * PARTS < KEYS);
            first_tile[at] = weight;
            own += weight;
        }
//@end
        workgroupBarrier();
        parts[lane] = own;
        shrink[row] = kept;
        workgroupBarrier();
        sum *= kept;
//@for i in PARTS
        sum += parts[row * PARTS + {i}u];
//@end
        let shrinks = vec4<f32>(
            shrink[lane / TILE * 4u],
            shrink[lane / TILE * 4u + 1u],
            shrink[lane / TILE * 4u + 2u],
            shrink[lane / TILE * 4u + 3u],
        );
//@for j in COLUMNS
        sums_{j} *= shrinks;
//@end
        gather_sums(lane, block);
    }
    workgroupBarrier();
    shrink[row] = 1.0 / sum;
    if (part == 0u && first_row + row < QUERIES) {
        let at = 2u * ((image * QUERIES + first_row + row) * HEADS + head);
        statistics[at] = largest;
        statistics[at + 1u] = sum;
    }
    workgroupBarrier();
    let shares = vec4<f32>(
        shrink[lane / TILE * 4u],
        shrink[lane / TILE * 4u + 1u],
        shrink[lane / TILE * 4u + 2u],
        shrink[lane / TILE * 4u + 3u],
    );
    store_sums(lane, shares);
}
