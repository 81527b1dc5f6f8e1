// Matrix product of f16 operands by the adapter's matrix units, with f32 sums.
//
// Computes: C[z] = A[z] B[z] for z < Z; k runs upwards to K_END in steps of SIDE for every element, whatever M and the block are.
// Layout: operands come through a_row/a_load and b_row/b_load (4 x 4 blocks, column s being k + s) and results leave
// through store; the gemm_*.wgsl files beside this one define them. Tiles lie k-major, eight elements of padding a line.
// Dispatch: one workgroup a block of BM x BN, column blocks fastest; a subgroup of LANES computes a part of QM x QN tiles of
// SIDE x SIDE.

const A_LINE: u32 = BM + 8u;
const B_LINE: u32 = BN + 8u;
const K_QUADS: u32 = BK / 4u;
const A_UNITS: u32 = BM / 4u * K_QUADS;
const B_UNITS: u32 = BN / 4u * K_QUADS;
const PATCH: u32 = SIDE * SIDE;

var<workgroup> a_tile: array<f16, BK * A_LINE>;
var<workgroup> b_tile: array<f16, BK * B_LINE>;
var<workgroup> patches: array<f32, THREADS / LANES * PATCH>;

fn keep_a(unit: u32, block: mat4x4<f32>) {
    let at = unit % K_QUADS * 4u * A_LINE + unit / K_QUADS * 4u;
//@for s in 4
    let line_{s} = rounded(block[{s}]);
//@for p in 4
    a_tile[at + {s}u * A_LINE + {p}u] = line_{s}[{p}];
//@end
//@end
}

fn keep_b(unit: u32, block: mat4x4<f32>) {
    let at = unit % K_QUADS * 4u * B_LINE + unit / K_QUADS * 4u;
//@for s in 4
    let line_{s} = rounded(block[{s}]);
//@for p in 4
    b_tile[at + {s}u * B_LINE + {p}u] = line_{s}[{p}];
//@end
//@end
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.y * GRID_X + group.x;
    if (block >= BLOCKS) {
        return;
    }
    let c0 = block % COLUMN_BLOCKS * BN;
    let r0 = block / COLUMN_BLOCKS % ROW_BLOCKS * BM;
    let z = block / (COLUMN_BLOCKS * ROW_BLOCKS);
    let part = lane / LANES;
    let part_column = part % COLUMN_PARTS * (QN * SIDE);
    let part_row = part / COLUMN_PARTS * (QM * SIDE);
    let kq = 4u * (lane % K_QUADS);
//@for s in A_SLOTS
    let unit_a_{s} = lane + {s}u * THREADS;
    let row_a_{s} = a_row(z, r0 + unit_a_{s} / K_QUADS * 4u);
    var fetched_a_{s}: mat4x4<f32>;
    if (A_UNITS % THREADS == 0u || unit_a_{s} < A_UNITS) {
        fetched_a_{s} = a_load(row_a_{s}, kq);
    }
//@end
//@for s in B_SLOTS
    let unit_b_{s} = lane + {s}u * THREADS;
    let row_b_{s} = b_row(z, c0 + unit_b_{s} / K_QUADS * 4u);
    var fetched_b_{s}: mat4x4<f32>;
    if (B_UNITS % THREADS == 0u || unit_b_{s} < B_UNITS) {
        fetched_b_{s} = b_load(row_b_{s}, kq);
    }
//@end
//@for i in QM
//@for j in QN
    var acc_{i}_{j} = coop_mat{SIDE}x{SIDE}<f32, C>();
//@end
//@end
    for (var k0 = 0u; k0 < K_END; k0 += BK) {
        workgroupBarrier();
//@for s in A_SLOTS
        if (A_UNITS % THREADS == 0u || unit_a_{s} < A_UNITS) {
            keep_a(unit_a_{s}, fetched_a_{s});
        }
//@end
//@for s in B_SLOTS
        if (B_UNITS % THREADS == 0u || unit_b_{s} < B_UNITS) {
            keep_b(unit_b_{s}, fetched_b_{s});
        }
//@end
        workgroupBarrier();
        if (k0 + BK < K_END) {
            let k = k0 + BK + kq;
//@for s in A_SLOTS
            if (A_UNITS % THREADS == 0u || unit_a_{s} < A_UNITS) {
                fetched_a_{s} = a_load(row_a_{s}, k);
            }
//@end
//@for s in B_SLOTS
            if (B_UNITS % THREADS == 0u || unit_b_{s} < B_UNITS) {
                fetched_b_{s} = b_load(row_b_{s}, k);
            }
//@end
        }
//@for t in K_TILES
//@for i in QM
        let a_at_{t}_{i} = {t}u * SIDE * A_LINE + part_row + {i}u * SIDE;
        let a_{t}_{i} = coopLoad<coop_mat{SIDE}x{SIDE}<f16, A>>(&a_tile[a_at_{t}_{i}], A_LINE);
//@end
//@for j in QN
        let b_at_{t}_{j} = {t}u * SIDE * B_LINE + part_column + {j}u * SIDE;
        let b_{t}_{j} = coopLoadT<coop_mat{SIDE}x{SIDE}<f16, B>>(&b_tile[b_at_{t}_{j}], B_LINE);
//@end
//@for i in QM
//@for j in QN
        acc_{i}_{j} = coopMultiplyAdd(a_{t}_{i}, b_{t}_{j}, acc_{i}_{j});
//@end
//@end
//@end
    }
    let patch_at = part * PATCH;
//@for i in QM
//@for j in QN
    workgroupBarrier();
    coopStoreT(acc_{i}_{j}, &patches[patch_at], SIDE);
    workgroupBarrier();
    for (var quad = lane % LANES; quad < PATCH / 4u; quad += LANES) {
        let r = quad / (SIDE / 4u);
        let column = quad % (SIDE / 4u) * 4u;
        let at = patch_at + r * SIDE + column;
        let v = vec4<f32>(patches[at], patches[at + 1u], patches[at + 2u], patches[at + 3u]);
        store(z, r0 + part_row + {i}u * SIDE + r, c0 + part_column + {j}u * SIDE + column, v);
    }
//@end
//@end
}
