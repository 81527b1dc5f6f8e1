//! Convolutions with every option, the losses, and ISeeU against golden values; gradients of the graph's rules by finite differences.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use percuss::attacks::evasion::loss::{Loss, ascended};
use percuss::graph::{ConvGeometry, Graph, PoolGeometry, Tensor};
use percuss::models::{Model, Role, from_training_layout};
use percuss_kernels::ops::{PoolKind, Reduction, Unary};
use serde_json::Value;
use support::evaluate::evaluate;
use support::{channels_last, golden, relative_error, signed};

fn pair(value: &Value, missing: usize) -> [usize; 2] {
    let numbers: Vec<usize> =
        value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect();
    if numbers.len() == 1 { [missing, numbers[0]] } else { [numbers[0], numbers[1]] }
}

#[test]
fn convolutions_with_every_option_equal_pytorch() {
    let golden = golden("convolutions");
    let cases: Vec<Value> = serde_json::from_str(&golden.metadata["cases"]).unwrap();
    assert!(cases.len() >= 8);
    for case in &cases {
        let name = case["name"].as_str().unwrap();
        let shape = |key: &str| -> Vec<usize> { serde_json::from_value(case[key].clone()).unwrap() };
        let (x_shape, w_shape, y_shape) = (shape("x"), shape("w"), shape("y"));
        let line = x_shape.len() == 3;
        let role = if line { Role::Conv1d } else { Role::Conv2d };
        let spatial = |s: &[usize]| if line { [1, s[2]] } else { [s[2], s[3]] };
        let count = |s: &[usize]| s.iter().product::<usize>();
        let fan_in: usize = w_shape[1..].iter().product();
        let x = signed(&format!("{name}.x"), count(&x_shape), 1.0);
        let w = signed(&format!("{name}.w"), count(&w_shape), (3.0 / fan_in as f64).sqrt() as f32);
        let dy = signed(&format!("{name}.dy"), count(&y_shape), 1.0);
        let b = if case["bias"].as_bool().unwrap() {
            signed(&format!("{name}.b"), w_shape[0], 0.1)
        } else {
            vec![0.0; w_shape[0]]
        };
        let [height, width] = spatial(&x_shape);
        let [out_height, out_width] = spatial(&y_shape);
        let [kh, kw] = spatial(&w_shape);
        let padding = pair(&case["padding"], 0);
        let geometry = ConvGeometry {
            stride: pair(&case["stride"], 1),
            pad: [padding[0], padding[1], padding[0], padding[1]],
            dilation: pair(&case["dilation"], 1),
            groups: case["groups"].as_u64().unwrap() as usize,
        };
        // PyTorch's [out, in, taps..] to [taps.., in, out]: one lane that owns its weights.
        let taps = kh * kw;
        let mut kernel = vec![0.0; w.len()];
        for o in 0..w_shape[0] {
            for i in 0..w_shape[1] {
                for t in 0..taps {
                    kernel[(t * w_shape[1] + i) * w_shape[0] + o] = w[(o * w_shape[1] + i) * taps + t];
                }
            }
        }
        let x_dims = [x_shape[0], height, width, x_shape[1]];
        let y_dims = [y_shape[0], out_height, out_width, y_shape[1]];
        let states: [(&[usize], &[f32]); 4] = [
            (&x_dims, &channels_last(&x, x_shape[1], height * width)),
            (&[kh, kw, w_shape[1], w_shape[0]], &kernel),
            (&[w_shape[0]], &b),
            (&y_dims, &channels_last(&dy, y_shape[1], out_height * out_width)),
        ];
        let found = evaluate(1, &states, |graph, t| {
            let y = graph.conv(t[0], t[1], geometry);
            let y = graph.add(y, t[2]);
            let weighted = graph.mul(y, t[3]);
            let gradients = graph.gradients(weighted, &[t[0], t[1], t[2]]);
            [vec![y], gradients].concat()
        });
        let expect = |key: &str| golden.tensors.get(&format!("{name}.{key}")).map(|t| t.data.clone());
        let dw = from_training_layout(role, &w_shape, &found[2]);
        let checks = [
            (
                "y",
                found[0].clone(),
                expect("y").map(|v| channels_last(&v, y_shape[1], out_height * out_width)),
            ),
            ("dx", found[1].clone(), expect("dx").map(|v| channels_last(&v, x_shape[1], height * width))),
            ("dw", dw, expect("dw")),
            ("db", found[3].clone(), expect("db")),
        ];
        for (key, found, expected) in checks {
            let Some(expected) = expected else { continue };
            let error = relative_error(&found, &expected);
            assert!(error < 2e-6, "{name}: {key} is off by {error}");
        }
    }
}

#[test]
fn losses_equal_their_closed_forms() {
    let golden = golden("losses");
    let mut compared = 0;
    for (prefix, classes) in [("two", 2), ("three", 3), ("five", 5)] {
        let get = |name: &str| &golden.tensors[&format!("{prefix}.{name}")].data;
        let (logits, labels, targets) = (get("logits"), get("labels"), get("targets"));
        for (name, word, targeted) in [
            ("cross_entropy", "cross-entropy", false),
            ("cross_entropy_targeted", "cross-entropy", true),
            ("margin", "margin", false),
            ("margin_targeted", "margin", true),
            ("dlr", "dlr", false),
            ("dlr_targeted", "dlr", true),
        ] {
            let Some(expected) = golden.tensors.get(&format!("{prefix}.{name}")) else { continue };
            let loss = Loss::resolve(word, classes, targeted);
            let states: [(&[usize], &[f32]); 3] = [(&[classes], logits), (&[], labels), (&[], targets)];
            let found = evaluate(labels.len(), &states, |graph, t| {
                let value = ascended(graph, loss, t[0], t[1], targeted.then_some(t[2])).value;
                let gradient = graph.gradients(value, &[t[0]])[0];
                vec![value, gradient]
            });
            let (mut values, mut gradient) = (found[0].clone(), found[1].clone());
            if loss == Loss::CrossEntropy {
                // Ascended as log odds o: cross-entropy is log(1 + e^o), and its gradient that of o over 1 + e^-o.
                let sign = if targeted { -1.0 } else { 1.0 };
                for (value, gradient) in values.iter_mut().zip(gradient.chunks_mut(classes)) {
                    let odds = f64::from(sign * *value);
                    *value = sign * (odds.max(0.0) + (-odds.abs()).exp().ln_1p()) as f32;
                    gradient.iter_mut().for_each(|g| *g = (f64::from(*g) / (1.0 + (-odds).exp())) as f32);
                }
            }
            assert!(relative_error(&values, &expected.data) < 3e-6, "{prefix} {name}");
            let slope = get(&format!("{name}.grad"));
            assert!(relative_error(&gradient, slope) < 1e-5, "{prefix} {name}: gradient");
            compared += 1;
        }
    }
    assert!(compared >= 14, "only {compared} losses were compared");
}

#[test]
fn two_class_dlr_is_the_margin_and_says_so() {
    assert_eq!(Loss::resolve("dlr", 2, false), Loss::Margin);
    assert_eq!(Loss::resolve("dlr", 3, true), Loss::Margin);
    assert_eq!(Loss::resolve("dlr", 4, true), Loss::Dlr);
    assert!(Loss::column("dlr", 2, false).contains("too few classes"));
}

#[test]
fn iseeu_equals_its_published_network() {
    let golden = golden("iseeu");
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("experiments/models/iseeu");
    let model = Model::load(&folder).unwrap();
    let n = golden.tensors["logits"].data.len();
    // [variables, hours] lie as [1, 22, 48] channels-last already; missing values take the training mean.
    let inputs: Vec<f32> = golden.tensors["standardised"].data.clone();
    let scaling = model.config.input_scaling.clone().unwrap();
    let len = 22 * 48;
    let physical: Vec<f32> = inputs
        .iter()
        .enumerate()
        .map(|(i, &value)| {
            let at = |values: &[f32]| if values.len() == 1 { values[0] } else { values[i % len] };
            at(&scaling.mean) + at(&scaling.std) * value
        })
        .collect();
    let found = evaluate(n, &[(&[1, 22, 48], &physical)], |graph, t| {
        let logits = model.logits(graph, t[0]);
        let gradient = graph.gradients(logits, &[t[0]])[0];
        vec![logits, gradient]
    });
    let error = relative_error(&found[0], &golden.tensors["logits"].data);
    // Standardised values are rebuilt from physical ones, which rounds twice.
    assert!(error < 2e-5, "logits are off by {error}");
    let units: Vec<f32> = found[1]
        .iter()
        .enumerate()
        .map(|(i, g)| g * if scaling.std.len() == 1 { scaling.std[0] } else { scaling.std[i % len] })
        .collect();
    let error = relative_error(&units, &golden.tensors["grad_logit_standardised"].data);
    assert!(error < 1e-4, "gradients are off by {error}");
}

/// Central differences of the summed output against the graph's gradient, on every entry of the input.
fn check_gradient(name: &str, dims: &[usize], x: &[f32], build: impl Fn(&mut Graph, Tensor) -> Tensor) {
    let gradient = evaluate(1, &[(dims, x)], |graph, t| {
        let y = build(graph, t[0]);
        graph.gradients(y, &[t[0]])
    });
    let value = |x: &[f32]| -> f64 {
        evaluate(1, &[(dims, x)], |graph, t| vec![build(graph, t[0])])[0].iter().map(|&v| f64::from(v)).sum()
    };
    let step = 1.0 / 256.0;
    for i in 0..x.len() {
        let (mut above, mut below) = (x.to_vec(), x.to_vec());
        above[i] += step;
        below[i] -= step;
        let difference = (value(&above) - value(&below)) / (2.0 * f64::from(step));
        let found = f64::from(gradient[0][i]);
        // f32 rounding over the step, and the third derivative times its square.
        let tolerance = 2e-3 * (1.0 + difference.abs());
        assert!((found - difference).abs() < tolerance, "{name}, entry {i}: {found}, not {difference}");
    }
}

#[test]
fn every_gradient_rule_agrees_with_finite_differences() {
    let x: Vec<f32> = signed("differences", 24, 1.3);
    let weight = Arc::new(signed("differences.w", 24, 0.7));
    let positive: Vec<f32> = x.iter().map(|v| v.abs() + 0.3).collect();
    for function in
        [Unary::Neg, Unary::Exp, Unary::Tanh, Unary::Sigmoid, Unary::Erf, Unary::Sin, Unary::Cos, Unary::Abs]
    {
        check_gradient(&format!("{function:?}"), &[24], &positive, |g, x| g.unary(function, x));
    }
    for function in [Unary::Log, Unary::Sqrt] {
        check_gradient(&format!("{function:?}"), &[24], &positive, |g, x| g.unary(function, x));
    }
    let with = |g: &mut Graph, dims: &[usize]| g.constant(&weight, dims);
    check_gradient("mul, div, sub with broadcasting", &[4, 6], &positive, |g, x| {
        let row = g.slice(x, 0, 1..2);
        let product = g.mul(x, row);
        let quotient = g.div(x, row);
        let difference = g.sub(product, quotient);
        let w = with(g, &[4, 6]);
        g.mul(difference, w)
    });
    check_gradient("max, min, select", &[24], &x, |g, x| {
        let w = with(g, &[24]);
        let (high, low) = (g.max(x, w), g.min(x, w));
        let above = g.less(w, x);
        let chosen = g.select(above, high, low);
        g.mul(chosen, x)
    });
    check_gradient("matmul", &[4, 6], &x, |g, x| {
        let w = with(g, &[6, 4]);
        let y = g.matmul(x, false, w, false);
        g.mul(y, y)
    });
    check_gradient("batched matmul, both factors", &[2, 3, 4], &x, |g, x| {
        let y = g.matmul(x, true, x, false);
        g.mul(y, y)
    });
    check_gradient("reductions", &[4, 6], &x, |g, x| {
        let sum = g.sum(x, 0..1);
        let most = g.reduce(Reduction::Max, x, 1..2);
        let least = g.reduce(Reduction::Min, x, 0..1);
        let (a, b) = (g.mul(sum, least), g.sum_lane(most));
        g.add(a, b)
    });
    check_gradient("layer norm", &[4, 6], &x, |g, x| {
        let (unit, ..) = g.normalize(x, 1..2, 1e-3);
        let w = with(g, &[4, 6]);
        g.mul(unit, w)
    });
    check_gradient("batch norm", &[4, 6], &x, |g, x| {
        let (unit, ..) = g.normalize(x, 0..1, 1e-3);
        let w = with(g, &[4, 6]);
        g.mul(unit, w)
    });
    for log in [false, true] {
        check_gradient("softmax", &[4, 6], &x, |g, x| {
            let y = g.softmax(x, log);
            let w = with(g, &[4, 6]);
            g.mul(y, w)
        });
    }
    for part in 0..3 {
        check_gradient("attention", &[4, 2, 3], &x, |g, x| {
            let w = with(g, &[4, 2, 3]);
            let mut operands = [w; 3];
            operands[part] = x;
            let mask = g.constant(&Arc::new(vec![0.0, -0.5, 0.3, -1e30]), &[1, 4]);
            let y = g.attention(operands[0], operands[1], operands[2], Some(mask), 0.7);
            g.mul(y, w)
        });
    }
    check_gradient("permute, reshape, concat, slice", &[2, 3, 4], &x, |g, x| {
        let turned = g.permute(x, &[2, 0, 1], &[true, false, false]);
        let flat = g.reshape(turned, &[8, 3]);
        let (a, b) = (g.slice(flat, 0, 1..4), g.slice(flat, 0, 2..8));
        let joined = g.concat(&[b, a], 0);
        g.mul(joined, joined)
    });
    for kind in [PoolKind::Max, PoolKind::Average, PoolKind::AverageInside] {
        check_gradient(&format!("{kind:?} pooling"), &[1, 4, 6, 1], &x, |g, x| {
            let y = g.pool(kind, x, PoolGeometry { kernel: [2, 3], stride: [2, 2], pad: [0, 1, 0, 1] });
            g.mul(y, y)
        });
    }
    check_gradient("gather", &[6, 4], &x, |g, x| {
        let index = g.constant(&Arc::new(vec![4.0, 0.0, 4.0]), &[3]);
        let picked = g.gather(x, index);
        g.mul(picked, picked)
    });
}
