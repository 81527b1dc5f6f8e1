//! Functions of one number.

use percuss_kernels::ops::Unary;

use crate::graph::{Graph, Tensor};
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Data, Kind};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Value};

/// A function of constants in f64, or in the graph.
fn function(
    builder: &mut Builder,
    call: &Call,
    host: impl Fn(f64) -> f64,
    graph: impl FnOnce(&mut Graph, Tensor) -> Tensor,
) -> Built {
    Ok(vec![match call.input(0)? {
        Value::Constant(constant) => {
            builder.take_room(&constant.dims)?;
            mapped(constant, host).into()
        }
        Value::Traced(traced) => builder.each(traced, graph).into(),
    }])
}

fn mapped(constant: &Constant, host: impl Fn(f64) -> f64) -> Constant {
    let numbers = (0..constant.len()).map(|i| host(constant.number(i)));
    let data = match constant.kind() {
        Kind::Float => Data::Float(std::sync::Arc::new(numbers.map(|number| number as f32).collect())),
        _ => Data::Int(std::sync::Arc::new(numbers.map(|number| number as i64).collect())),
    };
    Constant { dims: constant.dims.clone(), data }
}

fn unary(builder: &mut Builder, call: &Call, host: impl Fn(f64) -> f64, kind: Unary) -> Built {
    function(builder, call, host, |graph, x| graph.unary(kind, x))
}

pub(super) fn abs(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::abs, Unary::Abs)
}

pub(super) fn neg(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, |x| -x, Unary::Neg)
}

pub(super) fn sign(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, |x| if x == 0.0 { 0.0 } else { x.signum() }, Unary::Sign)
}

pub(super) fn exp(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::exp, Unary::Exp)
}

pub(super) fn log(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::ln, Unary::Log)
}

pub(super) fn sqrt(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::sqrt, Unary::Sqrt)
}

pub(super) fn sin(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::sin, Unary::Sin)
}

pub(super) fn cos(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::cos, Unary::Cos)
}

pub(super) fn tanh(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::tanh, Unary::Tanh)
}

pub(super) fn sigmoid(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, |x| 1.0 / (1.0 + (-x).exp()), Unary::Sigmoid)
}

pub(super) fn floor(builder: &mut Builder, call: &Call) -> Built {
    unary(builder, call, f64::floor, Unary::Floor)
}

pub(super) fn ceil(builder: &mut Builder, call: &Call) -> Built {
    function(builder, call, f64::ceil, |graph, x| {
        let below = graph.unary(Unary::Neg, x);
        let below = graph.unary(Unary::Floor, below);
        graph.unary(Unary::Neg, below)
    })
}

/// Halves go to the even number.
pub(super) fn round(builder: &mut Builder, call: &Call) -> Built {
    function(builder, call, f64::round_ties_even, |graph, x| {
        let shifted = graph.shift(x, 0.5);
        let up = graph.unary(Unary::Floor, shifted);
        // A half was rounded up: to the odd number above, or to the even one.
        let tie = graph.equal(up, shifted);
        let half = graph.scale(up, 0.5);
        let below = graph.unary(Unary::Floor, half);
        let rest = graph.sub(half, below);
        let odd = graph.scale(rest, 2.0);
        let step = graph.mul(tie, odd);
        graph.sub(up, step)
    })
}

pub(super) fn reciprocal(builder: &mut Builder, call: &Call) -> Built {
    function(
        builder,
        call,
        |x| 1.0 / x,
        |graph, x| {
            let one = graph.scalar(1.0);
            graph.div(one, x)
        },
    )
}

pub(super) fn erf(builder: &mut Builder, call: &Call) -> Built {
    function(builder, call, libm::erf, Graph::erf)
}

pub(super) fn relu(builder: &mut Builder, call: &Call) -> Built {
    function(builder, call, |x| x.max(0.0), Graph::relu)
}

pub(super) fn identity(_: &mut Builder, call: &Call) -> Built {
    Ok(vec![call.input(0)?.clone()])
}

/// Nothing is dropped when a model answers.
pub(super) fn dropout(_: &mut Builder, call: &Call) -> Built {
    let training =
        call.optional(2).is_some_and(|mode| mode.constant().and_then(Constant::single) != Some(0.0));
    if training || call.wants(1) {
        return Err("dropout as in training".into());
    }
    Ok(vec![call.input(0)?.clone()])
}

pub(super) fn clip(builder: &mut Builder, call: &Call) -> Built {
    let bound = |i: usize, name: &str, default: f32| -> Result<f64, String> {
        if call.opset < 11 {
            return Ok(f64::from(call.float(name, default)?));
        }
        match call.optional(i) {
            None => Ok(f64::from(default)),
            Some(_) => {
                call.constant(i, "bounds")?.single().ok_or_else(|| "bounds of several elements".into())
            }
        }
    };
    let (low, high) = (bound(1, "min", f32::MIN)?, bound(2, "max", f32::MAX)?);
    function(
        builder,
        call,
        |x| x.max(low).min(high),
        |graph, x| {
            let mut y = x;
            if low > f64::from(f32::MIN) {
                let low = graph.scalar(low as f32);
                y = graph.max(y, low);
            }
            if high < f64::from(f32::MAX) {
                let high = graph.scalar(high as f32);
                y = graph.min(y, high);
            }
            y
        },
    )
}

pub(super) fn leaky_relu(builder: &mut Builder, call: &Call) -> Built {
    let slope = call.float("alpha", 0.01)?;
    let host = |x: f64| if x < 0.0 { f64::from(slope) * x } else { x };
    function(builder, call, host, |graph, x| {
        let slope = graph.scalar(slope);
        leaky(graph, x, slope)
    })
}

/// `max(0, x) - slope max(0, -x)`
fn leaky(graph: &mut Graph, x: Tensor, slope: Tensor) -> Tensor {
    let above = graph.relu(x);
    let turned = graph.unary(Unary::Neg, x);
    let below = graph.relu(turned);
    let scaled = graph.mul(below, slope);
    graph.sub(above, scaled)
}

pub(super) fn prelu(builder: &mut Builder, call: &Call) -> Built {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    if call.constant(1, "slopes")?.dims.len() > x.rank() {
        return Err("slopes of more axes than what they belong to".into());
    }
    let (tensors, order, dims) = builder.align(&[x, slope])?;
    let y = leaky(&mut builder.graph, tensors[0], tensors[1]);
    Ok(vec![builder.spread(y, order, dims, Kind::Float).into()])
}

/// `max(0, x) + scale (e^(min(0, x) / width) - 1)`
fn exponential(graph: &mut Graph, x: Tensor, scale: f32, width: f32) -> Tensor {
    let above = graph.relu(x);
    let zero = graph.scalar(0.0);
    let below = graph.min(x, zero);
    let below = graph.scale(below, 1.0 / width);
    let power = graph.unary(Unary::Exp, below);
    let power = graph.shift(power, -1.0);
    let power = graph.scale(power, scale);
    graph.add(above, power)
}

pub(super) fn elu(builder: &mut Builder, call: &Call) -> Built {
    let alpha = call.float("alpha", 1.0)?;
    let host = |x: f64| if x < 0.0 { f64::from(alpha) * (x.exp() - 1.0) } else { x };
    function(builder, call, host, |graph, x| exponential(graph, x, alpha, 1.0))
}

pub(super) fn celu(builder: &mut Builder, call: &Call) -> Built {
    let alpha = call.float("alpha", 1.0)?;
    let host = |x: f64| if x < 0.0 { f64::from(alpha) * ((x / f64::from(alpha)).exp() - 1.0) } else { x };
    function(builder, call, host, |graph, x| exponential(graph, x, alpha, alpha))
}

/// Klambauer et al. 2017.
pub(super) fn selu(builder: &mut Builder, call: &Call) -> Built {
    let (alpha, gamma) = (call.float("alpha", 1.673_263_2)?, call.float("gamma", 1.050_701)?);
    let host = |x: f64| f64::from(gamma) * if x < 0.0 { f64::from(alpha) * (x.exp() - 1.0) } else { x };
    function(builder, call, host, |graph, x| {
        let y = exponential(graph, x, alpha, 1.0);
        graph.scale(y, gamma)
    })
}

pub(super) fn thresholded_relu(builder: &mut Builder, call: &Call) -> Built {
    let alpha = call.float("alpha", 1.0)?;
    let host = |x: f64| if x > f64::from(alpha) { x } else { 0.0 };
    function(builder, call, host, |graph, x| {
        let (low, zero) = (graph.scalar(alpha), graph.scalar(0.0));
        let open = graph.less(low, x);
        graph.select(open, x, zero)
    })
}

/// `ln(1 + e^x)`, as `max(0, x) - ln(sigmoid(|x|))`, which no x overflows.
pub(in crate::models::onnx) fn soft_plus(graph: &mut Graph, x: Tensor) -> Tensor {
    let above = graph.relu(x);
    let size = graph.unary(Unary::Abs, x);
    let share = graph.unary(Unary::Sigmoid, size);
    let log = graph.unary(Unary::Log, share);
    graph.sub(above, log)
}

pub(super) fn softplus(builder: &mut Builder, call: &Call) -> Built {
    function(builder, call, |x| x.max(0.0) + (-x.abs()).exp().ln_1p(), soft_plus)
}

pub(super) fn softsign(builder: &mut Builder, call: &Call) -> Built {
    function(
        builder,
        call,
        |x| x / (1.0 + x.abs()),
        |graph, x| {
            let size = graph.unary(Unary::Abs, x);
            let below = graph.shift(size, 1.0);
            graph.div(x, below)
        },
    )
}

/// Misra 2019.
pub(super) fn mish(builder: &mut Builder, call: &Call) -> Built {
    let host = |x: f64| x * (x.max(0.0) + (-x.abs()).exp().ln_1p()).tanh();
    function(builder, call, host, |graph, x| {
        let soft = soft_plus(graph, x);
        let gate = graph.unary(Unary::Tanh, soft);
        graph.mul(x, gate)
    })
}

fn hard_gate(graph: &mut Graph, x: Tensor, alpha: f32, beta: f32) -> Tensor {
    let scaled = graph.scale(x, alpha);
    let shifted = graph.shift(scaled, beta);
    let above = graph.relu(shifted);
    let one = graph.scalar(1.0);
    graph.min(above, one)
}

pub(super) fn hard_sigmoid(builder: &mut Builder, call: &Call) -> Built {
    let (alpha, beta) = (call.float("alpha", 0.2)?, call.float("beta", 0.5)?);
    let host = |x: f64| (f64::from(alpha) * x + f64::from(beta)).clamp(0.0, 1.0);
    function(builder, call, host, |graph, x| hard_gate(graph, x, alpha, beta))
}

pub(super) fn hard_swish(builder: &mut Builder, call: &Call) -> Built {
    function(
        builder,
        call,
        |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0),
        |graph, x| {
            let gate = hard_gate(graph, x, 1.0 / 6.0, 0.5);
            graph.mul(x, gate)
        },
    )
}

/// Hendrycks & Gimpel 2016.
pub(super) fn gelu(builder: &mut Builder, call: &Call) -> Built {
    let exact = |x: f64| 0.5 * x * (1.0 + libm::erf(x / std::f64::consts::SQRT_2));
    let rough = |x: f64| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
        0.5 * x * (1.0 + inner.tanh())
    };
    match call.text("approximate", "none")? {
        "none" => function(builder, call, exact, Graph::gelu),
        "tanh" => function(builder, call, rough, Graph::gelu_tanh),
        other => Err(format!("an approximation called {other:?}")),
    }
}
