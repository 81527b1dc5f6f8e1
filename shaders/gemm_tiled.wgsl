// Matrix product for GPUs: tiles in workgroup memory, register tiles in invocations, the next tile fetched meanwhile.
//
// Computes: C[z] = A[z] B[z] for z < Z; k runs upwards to K_END for every element, one fma a step, whatever M and the tile are.
// Layout: operands come through a_row/a_load and b_row/b_load (4 x 4 blocks, column s being k + s) and results leave
// through store; the gemm_*.wgsl files beside this one define them. Tiles lie k-major in quads of rows or columns, one
// quad of padding a line against bank conflicts. DOUBLE: there are two of each, and one barrier a step suffices.
// Tiles are f16 where operands are rounded to it: their products are exact in f32.
// Dispatch: one workgroup of THREADS a block of BM x BN, column blocks fastest. An invocation owns QM quads of rows,
// ROW_THREADS quads apart, and QN quads of columns, COLUMN_THREADS quads apart, so that neighbours load neighbours.

const A_LINE: u32 = BM / 4u + 1u;
const B_LINE: u32 = BN / 4u + 1u;
const K_QUADS: u32 = BK / 4u;
const A_ROOM: u32 = BK * A_LINE;
const B_ROOM: u32 = BK * B_LINE;
const A_UNITS: u32 = BM / 4u * K_QUADS;
const B_UNITS: u32 = BN / 4u * K_QUADS;

var<workgroup> a_tile: array<{TILE}, BUFFERS * A_ROOM>;
var<workgroup> b_tile: array<{TILE}, BUFFERS * B_ROOM>;

fn keep_a(buffer: u32, unit: u32, block: mat4x4<f32>) {
    let at = buffer * A_ROOM + unit % K_QUADS * 4u * A_LINE + unit / K_QUADS;
//@for s in 4
    a_tile[at + {s}u * A_LINE] = {ROUND}(block[{s}]);
//@end
}

fn keep_b(buffer: u32, unit: u32, block: mat4x4<f32>) {
    let at = buffer * B_ROOM + unit % K_QUADS * 4u * B_LINE + unit / K_QUADS;
//@for s in 4
    b_tile[at + {s}u * B_LINE] = {ROUND}(block[{s}]);
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
    let column_thread = lane % COLUMN_THREADS;
    let row_thread = lane / COLUMN_THREADS;
    let kq = 4u * (lane % K_QUADS);
//@if SPLIT
    // Half of the invocations fetch A, the others B: a block of 4 x 4 each.
    let fetches_a = lane < A_UNITS;
    let unit = select(lane - A_UNITS, lane, fetches_a);
    let row_a = a_row(z, r0 + unit / K_QUADS * 4u);
    let row_b = b_row(z, c0 + unit / K_QUADS * 4u);
    var fetched: mat4x4<f32>;
    if (fetches_a) {
        fetched = a_load(row_a, kq);
    } else {
        fetched = b_load(row_b, kq);
    }
//@else
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
//@end
//@for i in QM
//@for p in 4
//@for j in QN
    var acc_{i}_{p}_{j} = vec4<f32>();
//@end
//@end
//@end
//@if DOUBLE
//@if SPLIT
    if (fetches_a) {
        keep_a(0u, unit, fetched);
    } else {
        keep_b(0u, unit, fetched);
    }
//@else
//@for s in A_SLOTS
    if (A_UNITS % THREADS == 0u || unit_a_{s} < A_UNITS) {
        keep_a(0u, unit_a_{s}, fetched_a_{s});
    }
//@end
//@for s in B_SLOTS
    if (B_UNITS % THREADS == 0u || unit_b_{s} < B_UNITS) {
        keep_b(0u, unit_b_{s}, fetched_b_{s});
    }
//@end
//@end
    workgroupBarrier();
    var buffer = 0u;
//@end
    for (var k0 = 0u; k0 < K_END; k0 += BK) {
//@if !DOUBLE
        workgroupBarrier();
//@if SPLIT
        if (fetches_a) {
            keep_a(0u, unit, fetched);
        } else {
            keep_b(0u, unit, fetched);
        }
//@else
//@for s in A_SLOTS
        if (A_UNITS % THREADS == 0u || unit_a_{s} < A_UNITS) {
            keep_a(0u, unit_a_{s}, fetched_a_{s});
        }
//@end
//@for s in B_SLOTS
        if (B_UNITS % THREADS == 0u || unit_b_{s} < B_UNITS) {
            keep_b(0u, unit_b_{s}, fetched_b_{s});
        }
//@end
//@end
        workgroupBarrier();
//@end
        if (k0 + BK < K_END) {
            let k = k0 + BK + kq;
//@if SPLIT
            if (fetches_a) {
                fetched = a_load(row_a, k);
            } else {
                fetched = b_load(row_b, k);
            }
//@else
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
//@end
        }
//@if DOUBLE
        let a_from = buffer * A_ROOM;
        let b_from = buffer * B_ROOM;
//@else
        let a_from = 0u;
        let b_from = 0u;
//@end
        for (var k = 0u; k < BK; k++) {
//@for i in QM
            let a_{i} = vec4<f32>(a_tile[a_from + k * A_LINE + row_thread + {i}u * ROW_THREADS]);
//@end
//@for j in QN
            let b_{j} = vec4<f32>(b_tile[b_from + k * B_LINE + column_thread + {j}u * COLUMN_THREADS]);
//@end
//@for i in QM
//@for p in 4
//@for j in QN
            acc_{i}_{p}_{j} = fma(vec4<f32>(a_{i}[{p}]), b_{j}, acc_{i}_{p}_{j});
//@end
//@end
//@end
        }
//@if DOUBLE
        buffer = 1u - buffer;
        if (k0 + BK < K_END) {
//@if SPLIT
            if (fetches_a) {
                keep_a(buffer, unit, fetched);
            } else {
                keep_b(buffer, unit, fetched);
            }
//@else
//@for s in A_SLOTS
            if (A_UNITS % THREADS == 0u || unit_a_{s} < A_UNITS) {
                keep_a(buffer, unit_a_{s}, fetched_a_{s});
            }
//@end
//@for s in B_SLOTS
            if (B_UNITS % THREADS == 0u || unit_b_{s} < B_UNITS) {
                keep_b(buffer, unit_b_{s}, fetched_b_{s});
            }
//@end
//@end
        }
        workgroupBarrier();
//@end
    }
//@for i in QM
//@for p in 4
//@for j in QN
    store(z, r0 + (row_thread + {i}u * ROW_THREADS) * 4u + {p}u, c0 + (column_thread + {j}u * COLUMN_THREADS) * 4u, acc_{i}_{p}_{j});
//@end
//@end
//@end
}
