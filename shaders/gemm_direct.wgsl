// Matrix product for software adapters, where a barrier costs more than a load.
//
// Computes: C[z] = A[z] B[z] for z < Z; k runs upwards for every element, one fma a step, whatever M is.
// Layout: operands come through a_row/a_load and b_row/b_load (4 x 4 blocks, column s being k + s) and results leave
// through store; the gemm_*.wgsl files beside this one define them.
// Dispatch: one invocation a tile of 4 QM rows x 4 QN columns, column tiles fastest, SIZE invocations a workgroup.

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let tile = (group.y * GRID_X + group.x) * SIZE + lane;
    if (tile >= TILES) {
        return;
    }
    let c0 = tile % COLUMN_TILES * (4u * QN);
    let r0 = tile / COLUMN_TILES % ROW_TILES * (4u * QM);
    let z = tile / (COLUMN_TILES * ROW_TILES);
//@for i in QM
    let a_row_{i} = a_row(z, r0 + 4u * {i}u);
//@for p in 4
//@for j in QN
    var acc_{i}_{p}_{j} = vec4<f32>();
//@end
//@end
//@end
//@for j in QN
    let b_row_{j} = b_row(z, c0 + 4u * {j}u);
//@end
    for (var k0 = 0u; k0 < K; k0 += 4u * UNROLL) {
//@for u in UNROLL
        {
        let k = k0 + 4u * {u}u;
//@for i in QM
        let a_{i} = {ROUND}(a_load(a_row_{i}, k));
//@end
//@for j in QN
        let b_{j} = {ROUND}(b_load(b_row_{j}, k));
//@end
//@for s in 4
//@for i in QM
//@for p in 4
//@for j in QN
        acc_{i}_{p}_{j} = fma(vec4<f32>(a_{i}[{s}][{p}]), b_{j}[{s}], acc_{i}_{p}_{j});
//@end
//@end
//@end
//@end
        }
//@end
    }
//@for i in QM
//@for p in 4
//@for j in QN
    store(z, r0 + 4u * {i}u + {p}u, c0 + 4u * {j}u, acc_{i}_{p}_{j});
//@end
//@end
//@end
}
