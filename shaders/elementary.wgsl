// Elementary functions where the built-in ones are too loose (WGSL lets log be wrong by 2^-21 and sin by 2^-11) or overflow.
//
// Computes: series on reduced arguments, a few units in the last place. Layout, dispatch: none.

//@if LOGARITHM
// ln x = e ln 2 + 2 atanh(f / (2 + f)) with x = 2^e (1 + f), sqrt(1/2) <= 1 + f < sqrt(2).
fn logarithm(x: f32) -> f32 {
    if (!(x >= 1.1754944e-38 && x <= 3.4028234e38)) {
        return log(x);
    }
    let bits = bitcast<u32>(x) - 0x3f3504f3u;
    let e = f32(bitcast<i32>(bits) >> 23u);
    let f = bitcast<f32>((bits & 0x7fffffu) + 0x3f3504f3u) - 1.0;
    let s = f / (2.0 + f);
    let z = s * s;
    let series = z * fma(z, fma(z, fma(z, fma(z, 0.09090909, 0.11111111), 0.14285715), 0.2), 0.33333334);
    return fma(e, 0.693145751953125, fma(e, 1.42860677e-6, 2.0 * fma(s, series, s)));
}
//@end

//@if CIRCLE
// (cos r, sin r) for |r| <= pi / 4.
fn small_turn(r: f32) -> vec2<f32> {
    let z = r * r;
    let c = fma(z, fma(z, fma(z, fma(z, fma(z, -2.7557319e-7, 2.4801587e-5), -1.3888889e-3), 0.041666668), -0.5), 1.0);
    let s = fma(r * z, fma(z, fma(z, fma(z, 2.7557319e-6, -1.984127e-4), 8.3333333e-3), -0.16666667), r);
    return vec2<f32>(c, s);
}

// The same, q quarter turns on.
fn quarter_turns(small: vec2<f32>, q: u32) -> vec2<f32> {
    let turned = select(small, vec2<f32>(-small.y, small.x), vec2<bool>((q & 1u) == 1u));
    return select(turned, -turned, vec2<bool>((q & 2u) == 2u));
}
//@end

//@if TURN
// (cos 2 pi u, sin 2 pi u) for 0 <= u < 1.
fn turn(u: f32) -> vec2<f32> {
    let q = floor(fma(u, 4.0, 0.5));
    return quarter_turns(small_turn(fma(q, -0.25, u) * 6.2831855), u32(q));
}
//@end

//@if ANGLE
// (cos x, sin x): pi / 2 taken off in three pieces; good to about |x| = 10^4.
fn angle(x: f32) -> vec2<f32> {
    let q = round(x * 0.63661975);
    let r = fma(q, -7.5497894159e-8, fma(q, -1.5707962513, x));
    return quarter_turns(small_turn(fma(q, -5.3903029534e-15, r)), bitcast<u32>(i32(q)));
}
//@end

//@if TANH
fn hyperbolic_tangent(x: f32) -> f32 {
    let a = abs(x);
    let z = x * x;
    let near = fma(a * z, fma(z, fma(z, fma(z, 0.021869488, -0.053968254), 0.13333334), -0.33333334), a);
    let far = 1.0 - 2.0 / (exp(2.0 * min(a, 20.0)) + 1.0);
    let size = select(far, near, a < 0.3);
    return select(select(size, -size, x < 0.0), x, x != x);
}
//@end

//@if SIGMOID
fn logistic(x: f32) -> f32 {
    let e = exp(-min(abs(x), 88.0));
    return select(select(e, 1.0, x >= 0.0) / (1.0 + e), x, x != x);
}
//@end

//@if ERF
// Below 0.93 x times a polynomial in x^2, above it 1 - e^-t p(t); from 3.92 on 1.
fn error_function(x: f32) -> f32 {
    let a = abs(x);
    let z = x * x;
    let even = fma(z, fma(z, fma(z, 8.345229e-5, -8.137439e-4), 5.2006347e-3), -2.685927e-2);
    let near = fma(a, fma(z, fma(z, fma(z, even, 0.11283694), -0.37612635), 0.12837917), a);
    let t = min(a, 4.0);
    let high = fma(t, fma(t, fma(t, 4.639353e-6, -4.1947747e-5), -6.80597e-5), 2.9810816e-3);
    let low = fma(t, fma(t, fma(t, fma(t, high, -2.2756374e-2), 0.10534053), 0.63558525), 1.1285604);
    let size = select(1.0 - exp(-t * low), near, a < 0.93);
    return select(select(size, -size, x < 0.0), x, x != x);
}
//@end

//@if GELU
fn normal_distribution(x: f32) -> f32 {
    return fma(0.5, error_function(x * 0.70710677), 0.5);
}

fn gaussian_unit(x: f32) -> f32 {
    return x * normal_distribution(x);
}

// The slope of gaussian_unit; x^2 would overflow where the density has long been 0.
fn gaussian_slope(x: f32) -> f32 {
    let a = clamp(x, -20.0, 20.0);
    return select(fma(a * 0.3989423, exp(-0.5 * a * a), normal_distribution(x)), x, x != x);
}
//@end
