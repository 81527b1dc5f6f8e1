// The end of a matrix product: epilogue and store.
//
// Computes: c = act(v + bias + residual) for 4 columns of a row, where they exist.
// Layout: element (r, column) at C_BASE + r C_LEADING + column; the bias at BIAS_BASE + column. VECTOR_C: N, C_LEADING and
// the bases are multiples of 4.
// Dispatch: none of its own.

//@if VECTOR_C
fn store(z: u32, r: u32, column: u32, v: vec4<f32>) {
    if (r >= M || column >= N) {
        return;
    }
    let at = ({C_BASE} + r * {C_LEADING}u + column) / 4u;
    var y = v;
//@if BIAS
    y += bias[({BIAS_BASE} + column) / 4u];
//@end
//@if RESIDUAL
    y += residual[at];
//@end
//@if RELU
    y = select(y, vec4<f32>(), y < vec4<f32>());
//@end
    c[at] = y;
}
//@else
fn store(z: u32, r: u32, column: u32, v: vec4<f32>) {
    if (r >= M) {
        return;
    }
    let at = {C_BASE} + r * {C_LEADING}u + column;
//@for i in 4
    if (column + {i}u < N) {
        var y = v[{i}];
//@if BIAS
        y += bias[{BIAS_BASE} + column + {i}u];
//@end
//@if RESIDUAL
        y += residual[at + {i}u];
//@end
//@if RELU
        y = select(y, 0.0, y < 0.0);
//@end
        c[at + {i}u] = y;
    }
//@end
}
//@end
