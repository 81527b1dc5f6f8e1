// Product of the features of a token of OWN and one of OTHER, upwards, one fma a step.
fn dot_{OWN}_{OTHER}(own: u32, other: u32) -> f32 {
    var sum = 0.0;
    for (var f = 0u; f < FEATURES; f += UNROLL) {
//@for u in UNROLL
        if (f + {u}u < FEATURES) {
            sum = fma({OWN}[own + f + {u}u], {OTHER}[other + f + {u}u], sum);
        }
//@end
    }
    return sum;
}
