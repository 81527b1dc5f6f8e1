//! Matrices, rows and elements.

use percuss_kernels::ops::*;

use super::{Sum, U, Value};

pub fn matmul(op: &Matmul, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let Matmul { batch, m, n, k, .. } = *op;
    let mut out = Vec::new();
    for i in 0..batch {
        let a = &inputs[0][if op.a.shared { 0 } else { i * m * k }..];
        let b = &inputs[1][if op.b.shared { 0 } else { i * n * k }..];
        for (r, c) in (0..m).flat_map(|r| (0..n).map(move |c| (r, c))) {
            let mut sum = Sum::default();
            for p in 0..k {
                let a = a[if op.a.transposed { p * m + r } else { r * k + p }];
                let b = b[if op.b.transposed { c * k + p } else { p * n + c }];
                sum.add(f64::from(a) * f64::from(b));
            }
            if op.epilogue.bias {
                sum.add(f64::from(inputs[2][if op.b.shared { c } else { i * n + c }]));
            }
            if op.epilogue.residual {
                sum.add(f64::from(inputs[2 + usize::from(op.epilogue.bias)][(i * m + r) * n + c]));
            }
            out.push(activate(op.epilogue, sum.finish()));
        }
    }
    vec![out]
}

pub fn activate(epilogue: Epilogue, value: Value) -> Value {
    match epilogue.activation {
        Activation::Identity => value,
        Activation::Relu => Value { exact: value.exact.max(0.0), ..value },
    }
}

pub fn reduce(op: &Reduce, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let at = |o: usize, l: usize, i: usize| f64::from(inputs[0][(o * op.len + l) * op.inner + i]);
    let one = |o: usize, i: usize| {
        let all = (0..op.len).map(|l| at(o, l, i));
        match op.kind {
            Reduction::Max => Value { exact: all.fold(f64::NEG_INFINITY, f64::max), bound: 0.0 },
            Reduction::Min => Value { exact: all.fold(f64::INFINITY, f64::min), bound: 0.0 },
            Reduction::Sum => {
                let mut sum = Sum::default();
                all.for_each(|x| sum.add(x));
                sum.finish_tree()
            }
        }
    };
    vec![(0..op.outer * op.inner).map(|j| one(j / op.inner, j % op.inner)).collect()]
}

pub fn layer_norm(op: &LayerNorm, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let LayerNorm { sets, rows, columns, epsilon } = *op;
    let spread = Moments { outer: sets * rows, len: columns, inner: 1 };
    let moments = moments(&spread, &inputs[..1]);
    let mut out = vec![Vec::new(), moments[0].clone(), Vec::new()];
    for row in 0..sets * rows {
        let (mean, variance) = (moments[0][row], moments[1][row]);
        let safe = variance.exact + f64::from(epsilon);
        let factor = 1.0 / safe.sqrt();
        let factor_bound = factor * (0.5 * variance.bound / safe + 4.0 * U);
        out[2].push(Value { exact: factor, bound: factor_bound });
        for c in 0..columns {
            let (x, place) = (f64::from(inputs[0][row * columns + c]), row / rows * columns + c);
            let (weight, bias) = (f64::from(inputs[1][place]), f64::from(inputs[2][place]));
            let unit = (x - mean.exact) * factor;
            let unit_bound = (mean.bound + U * (x - mean.exact).abs()) * factor
                + (x - mean.exact).abs() * factor_bound
                + 2.0 * U * unit.abs();
            let exact = unit * weight + bias;
            let bound = unit_bound * weight.abs() + 2.0 * U * (exact.abs() + (unit * weight).abs());
            out[0].push(Value { exact, bound });
        }
    }
    out
}

pub fn layer_norm_grad(LayerNormGrad(op): &LayerNormGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let LayerNorm { sets, rows, columns, .. } = *op;
    let n = columns as f64;
    let mut out = Vec::new();
    for row in 0..sets * rows {
        let (mean, factor) = (f64::from(inputs[2][row]), f64::from(inputs[3][row]));
        let along = |c: usize| {
            f64::from(inputs[4][row * columns + c]) * f64::from(inputs[1][row / rows * columns + c])
        };
        let unit = |c: usize| (f64::from(inputs[0][row * columns + c]) - mean) * factor;
        let (mut level, mut slope) = (Sum::default(), Sum::default());
        (0..columns).for_each(|c| level.add(along(c)));
        (0..columns).for_each(|c| slope.add(along(c) * unit(c)));
        let error = |sum: Sum| (columns as f64 / 32.0 + 45.0) * U * sum.magnitude / n;
        for c in 0..columns {
            let terms = [along(c), level.value / n, unit(c) * slope.value / n];
            let exact = factor * (terms[0] - terms[1] - terms[2]);
            let rounding = 6.0 * U * terms.iter().map(|term| term.abs()).sum::<f64>();
            let bound = factor.abs() * (rounding + error(level) + unit(c).abs() * error(slope));
            out.push(Value { exact, bound });
        }
    }
    vec![out]
}

pub fn moments(op: &Moments, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut out = vec![Vec::new(), Vec::new()];
    for j in 0..op.outer * op.inner {
        let (o, i) = (j / op.inner, j % op.inner);
        let all = || (0..op.len).map(|l| f64::from(inputs[0][(o * op.len + l) * op.inner + i]));
        let n = op.len as f64;
        let mean = all().sum::<f64>() / n;
        let mean_bound = 75.0 * U * all().map(f64::abs).sum::<f64>() / n;
        let variance = all().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        // The square of the mean's own error is all that it adds to the sum of squares about it.
        let bound = 80.0 * U * variance + (2.0 * mean_bound).powi(2);
        out[0].push(Value { exact: mean, bound: mean_bound });
        out[1].push(Value { exact: variance, bound });
    }
    out
}

fn log_sum_exp(row: &[f32]) -> (f64, f64) {
    let max = row.iter().fold(f64::NEG_INFINITY, |max, &x| max.max(f64::from(x)));
    (max, row.iter().map(|&x| (f64::from(x) - max).exp()).sum::<f64>().ln())
}

pub fn softmax(op: &Softmax, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let rows = inputs[0].chunks_exact(op.columns).flat_map(|row| {
        let (max, log_sum) = log_sum_exp(row);
        row.iter().map(move |&x| {
            let shifted = f64::from(x) - max;
            let log = shifted - log_sum;
            if op.log {
                // The difference and the logarithm round once each, the sum within it up to 70 times.
                Value { exact: log, bound: U * (4.0 * shifted.abs() + 4.0 * log_sum + 80.0) }
            } else {
                // exp turns the argument's absolute error into a relative one. The last term: subnormal results.
                let bound = log.exp() * U * (shifted.abs() + 90.0) + 1e-44;
                Value { exact: log.exp(), bound }
            }
        })
    });
    vec![rows.collect()]
}

pub fn cross_entropy(op: &CrossEntropy, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let one = |(row, &label): (&[f32], &f32)| {
        if label < 0.0 || label >= op.classes as f32 {
            return Value { exact: f64::NAN, bound: 0.0 };
        }
        let (max, log_sum) = log_sum_exp(&summed(op, row, label));
        let exact = max + log_sum - f64::from(row[label as usize]);
        Value { exact, bound: U * (4.0 * exact.abs() + 4.0 * log_sum + 80.0) }
    };
    vec![inputs[0].chunks_exact(op.classes).zip(&inputs[1]).map(one).collect()]
}

/// The logits that the sum is over; one that is left out stands at -infinity.
fn summed(op: &CrossEntropy, row: &[f32], label: f32) -> Vec<f32> {
    let left_out = |c: usize| op.odds && c as f32 == label.floor();
    row.iter().enumerate().map(|(c, &x)| if left_out(c) { f32::NEG_INFINITY } else { x }).collect()
}

pub fn cross_entropy_grad(op: &CrossEntropyGrad, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut out = Vec::new();
    for (i, row) in inputs[0].chunks_exact(op.0.classes).enumerate() {
        let label = inputs[1][i];
        let row = summed(&op.0, row, label);
        let (max, log_sum) = log_sum_exp(&row);
        let outside = label < 0.0 || label >= op.0.classes as f32;
        let scale = f64::from(inputs[2][i]);
        for (c, &x) in row.iter().enumerate() {
            let shifted = f64::from(x) - max;
            let share = (shifted - log_sum).exp();
            let own = c as f32 == label.floor();
            let exact = if outside { f64::NAN } else { (share - f64::from(u8::from(own))) * scale };
            // A class that is left out has share 0, at whatever distance.
            let spread = if share == 0.0 { 0.0 } else { share * (shifted.abs() + 90.0) };
            let bound = scale.abs() * U * (spread + f64::from(u8::from(own)) * 2.0);
            out.push(Value { exact, bound: bound + 1e-44 });
        }
    }
    vec![out]
}

pub fn gather(op: &Gather, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut out = Vec::new();
    for (j, &index) in inputs[1].iter().enumerate() {
        let table = if op.shared { 0 } else { j / op.count };
        for c in 0..op.inner {
            let inside = index >= 0.0 && index < op.rows as f32;
            out.push(if inside {
                Value::exact(inputs[0][(table * op.rows + index as usize) * op.inner + c])
            } else {
                Value { exact: f64::NAN, bound: 0.0 }
            });
        }
    }
    vec![out]
}

pub fn scatter_add(op: &ScatterAdd, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let Gather { outer, rows, inner, count, .. } = op.0;
    let mut sums = vec![Sum::default(); outer * rows * inner];
    for (j, &index) in inputs[1].iter().enumerate() {
        for c in 0..inner {
            let row = j / count * rows + index as usize;
            sums[row * inner + c].add(f64::from(inputs[0][j * inner + c]));
        }
    }
    vec![sums.into_iter().map(Sum::finish).collect()]
}

pub fn permute(op: &Permute, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let shape: Vec<usize> = op.axes.iter().map(|&axis| op.shape[axis]).collect();
    let one = |mut flat: usize| {
        let mut coordinate = vec![0; shape.len()];
        for d in (0..shape.len()).rev() {
            let c = flat % shape[d];
            flat /= shape[d];
            let axis = op.axes[d];
            coordinate[axis] = if op.flip[axis] { shape[d] - 1 - c } else { c };
        }
        let place = coordinate.iter().zip(&op.shape).fold(0, |place, (c, size)| place * size + c);
        Value::exact(inputs[0][place])
    };
    vec![(0..inputs[0].len()).map(one).collect()]
}

pub fn concat(op: &Concat, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut out = Vec::new();
    for o in 0..op.outer {
        for (input, part) in inputs.iter().zip(&op.parts) {
            let len = part * op.inner;
            out.extend(input[o * len..(o + 1) * len].iter().map(|&x| Value::exact(x)));
        }
    }
    vec![out]
}

pub fn slice(op: &Slice, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let rows = inputs[0].chunks_exact(op.len * op.inner);
    let cut = rows.flat_map(|row| &row[op.start * op.inner..(op.start + op.count) * op.inner]);
    vec![cut.map(|&x| Value::exact(x)).collect()]
}

/// The words are those of [`threefry2x32`], which has known answers of its own.
pub fn random(op: &Random, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let mut out = Vec::new();
    for row in 0..op.rows {
        let key = [inputs[0][2 * row].to_bits(), inputs[0][2 * row + 1].to_bits()];
        for j in 0..op.columns {
            let words = threefry2x32(key, [(j / 2) as u32, inputs[1][row] as u32]);
            let [u0, u1] = words.map(|word| f64::from(word >> 8) / 16_777_216.0);
            out.push(match op.distribution {
                Distribution::Uniform => Value { exact: if j % 2 == 0 { u0 } else { u1 }, bound: 0.0 },
                Distribution::Normal => {
                    let radius = (-2.0 * (1.0 - u0).ln()).sqrt();
                    let angle = 2.0 * std::f64::consts::PI * u1;
                    let exact = radius * if j % 2 == 0 { angle.cos() } else { angle.sin() };
                    Value { exact, bound: 16.0 * U * radius }
                }
            });
        }
    }
    vec![out]
}

/// A running error analysis: every instruction carries its value and how far it may be off. Comparisons must be given
/// exact operands.
pub fn pointwise(op: &Pointwise, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let total: usize = op.shape.iter().product();
    let mut out = vec![Vec::new(); op.outputs.len()];
    for flat in 0..total {
        let mut coordinate = vec![0; op.shape.len()];
        let mut rest = flat;
        for d in (0..op.shape.len()).rev() {
            coordinate[d] = rest % op.shape[d];
            rest /= op.shape[d];
        }
        let mut values: Vec<Value> = Vec::new();
        for instr in &op.code {
            values.push(match *instr {
                Instr::Input(i) => {
                    let place: usize = coordinate.iter().zip(&op.strides[i]).map(|(c, s)| c * s).sum();
                    Value::exact(inputs[i][place])
                }
                Instr::Const(value) => Value::exact(value),
                Instr::Index(axis) => Value { exact: coordinate[axis] as f64, bound: 0.0 },
                Instr::Unary(function, a) => unary(function, values[a]),
                Instr::Binary(function, a, b) => binary(function, values[a], values[b]),
                Instr::Select(c, a, b) => {
                    assert!(values[c].bound == 0.0, "a condition that rounding could turn");
                    if values[c].exact != 0.0 { values[a] } else { values[b] }
                }
            });
        }
        for (out, &instr) in out.iter_mut().zip(&op.outputs) {
            out.push(values[instr]);
        }
    }
    out
}

/// `2 / sqrt(pi) e^-x^2 sum_n 2^n x^(2n + 1) / (2n + 1)!!`, whose terms have one sign (Abramowitz & Stegun 1964, 7.1.6).
pub fn erf(x: f64) -> f64 {
    if x.abs() > 6.0 {
        return 1.0_f64.copysign(x);
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..200 {
        term *= 2.0 * x * x / f64::from(2 * n + 1);
        sum += term;
    }
    std::f64::consts::FRAC_2_SQRT_PI * (-x * x).exp() * sum
}

/// The normal distribution function.
fn normal(x: f64) -> f64 {
    0.5 + 0.5 * erf(x * std::f64::consts::FRAC_1_SQRT_2)
}

/// Elementary functions may be off by 4 u relative besides what their argument brings.
fn unary(function: Unary, a: Value) -> Value {
    let (x, e) = (a.exact, a.bound);
    let (exact, slope, own) = match function {
        Unary::Neg => (-x, 1.0, 0.0),
        Unary::Abs => (x.abs(), 1.0, 0.0),
        Unary::Sign => {
            assert!(e == 0.0, "a sign that rounding could turn");
            (if x == 0.0 { 0.0 } else { x.signum() }, 0.0, 0.0)
        }
        Unary::Exp => (x.exp(), (x + e).exp(), 4.0),
        Unary::Log => (x.ln(), 1.0 / (x - e), 4.0),
        Unary::Sqrt => (x.sqrt(), 0.5 / (x - e).max(1e-300).sqrt(), 2.0),
        Unary::Tanh => (x.tanh(), 1.0, 4.0),
        Unary::Sigmoid => (1.0 / (1.0 + (-x).exp()), 0.25, 4.0),
        Unary::Erf => (erf(x), 1.13, 4.0),
        // Left of 0 the distribution function is a difference, good to a few units of its largest value.
        Unary::Gelu => (x * normal(x), 1.13, 6.0 / normal(x).max(1e-300)),
        Unary::GeluSlope => {
            let slope = normal(x) + x * (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            (slope, 0.8, 8.0 / slope.abs().max(1e-300))
        }
        Unary::Floor => {
            assert!(e == 0.0, "a floor that rounding could turn");
            (x.floor(), 0.0, 0.0)
        }
        Unary::Sin => (x.sin(), 1.0, 4.0),
        Unary::Cos => (x.cos(), 1.0, 4.0),
    };
    let carried = if e == 0.0 { 0.0 } else { slope * e };
    Value { exact, bound: carried + own * U * exact.abs() + if own > 0.0 { 1e-44 } else { 0.0 } }
}

fn binary(function: Binary, a: Value, b: Value) -> Value {
    let (x, y) = (a.exact, b.exact);
    let rounded = |exact: f64, carried: f64| Value { exact, bound: carried + U * exact.abs() + 1e-45 };
    let truth = |truth: bool| {
        assert!(a.bound == 0.0 && b.bound == 0.0, "a comparison that rounding could turn");
        Value { exact: f64::from(u8::from(truth)), bound: 0.0 }
    };
    match function {
        Binary::Add => rounded(x + y, a.bound + b.bound),
        Binary::Sub => rounded(x - y, a.bound + b.bound),
        Binary::Mul => rounded(x * y, x.abs() * b.bound + y.abs() * a.bound + a.bound * b.bound),
        Binary::Div => rounded(x / y, (a.bound + (x / y).abs() * b.bound) / (y.abs() - b.bound)),
        Binary::Max => Value { exact: x.max(y), bound: a.bound.max(b.bound) },
        Binary::Min => Value { exact: x.min(y), bound: a.bound.max(b.bound) },
        Binary::Less => truth(x < y),
        Binary::LessEqual => truth(x <= y),
        Binary::Equal => truth(x == y),
    }
}

pub fn rank(op: &Rank, inputs: &[Vec<f32>]) -> Vec<Vec<Value>> {
    let one = |row: &[f32]| {
        let mut sizes: Vec<f32> = row.iter().map(|x| x.abs()).collect();
        sizes.sort_by(|a, b| b.total_cmp(a));
        Value::exact(sizes[op.place - 1])
    };
    vec![inputs[0].chunks_exact(op.columns).map(one).collect()]
}
