// Attention and its gradients, a token an invocation: for software adapters, where workgroup memory and barriers cost more than they save.
//
// Computes: as attention.wgsl (FORWARD), attention_key_grad.wgsl (KEY_GRAD) and, with neither flag, attention_query_grad.wgsl; sums run over tokens upwards.
// Layout: attention_scores.wgsl.
// Dispatch: one invocation a token and head, SIZE a workgroup.

var<private> sums: array<f32, FEATURES>;
//@if KEY_GRAD
var<private> more: array<f32, FEATURES>;
//@end

fn larger(a: f32, b: f32) -> f32 {
    return select(b, a, a > b || a != a);
}

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let i = (group.y * GRID_X + group.x) * SIZE + lane;
    if (i >= COUNT) {
        return;
    }
    head = i % HEADS;
    image = i / HEADS / ROWS;
    let row = i / HEADS % ROWS;
    let own = token(row, ROWS);
//@if FORWARD
    var largest = -3.4028235e38;
    var sum = 0.0;
//@end
    for (var column = 0u; column < OTHERS; column++) {
        let other = token(column, OTHERS);
//@if FORWARD
        let found = score(dot_q_k(own, other), row, column);
        let top = larger(largest, found);
        let kept = exp(largest - top);
        let weight = exp(found - top);
        sum = fma(sum, kept, weight);
        largest = top;
//@else
//@if KEY_GRAD
        let query = column;
        let found = score(dot_k_q(own, other), column, row);
        let along = dot_v_dy(own, other);
//@else
        let query = row;
        let found = score(dot_q_k(own, other), row, column);
        let along = dot_dy_v(own, other);
//@end
        let at = 3u * ((image * QUERIES + query) * HEADS + head);
        let weight = exp(found - state[at + 1u]) * state[at + 2u];
        let slope = weight * (along - state[at]) * bitcast<f32>(scale_bits);
//@end
        for (var f = 0u; f < FEATURES; f += UNROLL) {
//@for u in UNROLL
            if (f + {u}u < FEATURES) {
//@if FORWARD
                sums[f + {u}u] = fma(weight, v[other + f + {u}u], sums[f + {u}u] * kept);
//@else
//@if KEY_GRAD
                sums[f + {u}u] = fma(slope, q[other + f + {u}u], sums[f + {u}u]);
                more[f + {u}u] = fma(weight, dy[other + f + {u}u], more[f + {u}u]);
//@else
                sums[f + {u}u] = fma(slope, k[other + f + {u}u], sums[f + {u}u]);
//@end
//@end
            }
//@end
        }
    }
    for (var f = 0u; f < FEATURES; f++) {
//@if FORWARD
        y[own + f] = sums[f] / sum;
//@else
//@if KEY_GRAD
        dk[own + f] = sums[f];
        dv[own + f] = more[f];
//@else
        dq[own + f] = sums[f];
//@end
//@end
    }
//@if FORWARD
    statistics[2u * i] = largest;
    statistics[2u * i + 1u] = sum;
//@end
}
