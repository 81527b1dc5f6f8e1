// Cross-entropy of rows against their labels or the log odds against them (ODDS), or the gradient.
//
// Computes: loss = ln sum exp(x - max) - (x[label] - max), NaN where the label is no class; or GRADIENT: dx = (softmax(x) -
// onehot(label)) dloss. ODDS: sum, max and softmax are over the other classes alone.
// Layout: logits and dx [rows, LEN], labels, loss and dloss [rows]; INNER is 1. Dispatch: see columns.wgsl.

var<private> nan_bits: u32 = 0x7fc00000u;

@compute @workgroup_size(SIZE)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    place(group, lane);
    let origin = start();
    let label = labels[column];
    let known = label >= 0.0 && label < f32(LEN);
    let class_ = u32(select(0.0, label, known));
//@if ODDS
    var mine = -3.4028234e38;
    for (var t = slice; t < LEN; t += SLICES) {
        mine = select(largest(mine, logits[origin + t]), mine, t == class_);
    }
//@else
    var mine = logits[origin];
    for (var t = slice; t < LEN; t += SLICES) {
        mine = largest(mine, logits[origin + t]);
    }
//@end
    let top = all_max(lane, mine);
    mine = 0.0;
    for (var t = slice; t < LEN; t += SLICES) {
//@if ODDS
        mine += select(exp(logits[origin + t] - top), 0.0, t == class_);
//@else
        mine += exp(logits[origin + t] - top);
//@end
    }
    let total = all_sum(lane, mine);
//@if GRADIENT
    if (alive) {
        let weight = select(bitcast<f32>(nan_bits), dloss[column], known);
        for (var t = slice; t < LEN; t += SLICES) {
            let own = t == class_;
//@if ODDS
            let share = select(exp(logits[origin + t] - top) / total, 0.0, own);
//@else
            let share = exp(logits[origin + t] - top) / total;
//@end
            dx[origin + t] = (share - select(0.0, 1.0, own)) * weight;
        }
    }
//@else
    if (alive && slice == 0u) {
        let value = logarithm(total) - (logits[origin + class_] - top);
        loss[column] = select(bitcast<f32>(nan_bits), value, known);
    }
//@end
}
