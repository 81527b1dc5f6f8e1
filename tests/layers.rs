//! The layers of transformers and U-shaped networks against PyTorch: values and gradients.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::sync::Arc;

use percuss::graph::{ConvGeometry, Graph, Tensor, Upsample};
use percuss::models::{Role, Weights, from_training_layout};
use percuss_kernels::ops::Binary;
use serde_json::Value;
use support::evaluate::evaluate;
use support::{channels_last, golden, relative_error, signed};

/// Holds y and the gradients of `sum(y dy)` to the golden's; `operands` are names, axes and values, lanes in front of them.
fn check(
    golden: &Weights,
    name: &str,
    lanes: usize,
    operands: &[(&str, &[usize], Vec<f32>)],
    limit: f32,
    build: impl Fn(&mut Graph, &[Tensor]) -> Tensor,
) {
    let expected = |key: &str| &golden.tensors[&format!("{name}.{key}")].data;
    let dy = signed(&format!("{name}.dy"), expected("y").len(), 1.0);
    let mut states: Vec<(&[usize], &[f32])> =
        operands.iter().map(|(_, dims, data)| (*dims, &data[..])).collect();
    let flat = [dy.len() / lanes];
    states.push((&flat, &dy));
    let found = evaluate(lanes, &states, |graph, t| {
        let y = build(graph, t);
        let row = graph.reshape(y, &flat);
        let weighted = graph.mul(row, t[operands.len()]);
        let wanted: Vec<Tensor> =
            (0..operands.len()).filter(|&i| operands[i].0 != "mask").map(|i| t[i]).collect();
        let gradients = graph.gradients(weighted, &wanted);
        [vec![row], gradients].concat()
    });
    let keys = operands.iter().map(|(key, ..)| format!("d{key}")).filter(|key| key != "dmask");
    for (key, found) in std::iter::once("y".to_owned()).chain(keys).zip(&found) {
        let error = relative_error(found, expected(&key));
        assert!(error < limit, "{name}, {lanes} lanes: {key} is off by {error}");
    }
}

fn cases(golden: &Weights, key: &str) -> Vec<Value> {
    serde_json::from_str(&golden.metadata[key]).unwrap()
}

fn numbers<const N: usize>(value: &Value) -> [usize; N] {
    serde_json::from_value::<Vec<usize>>(value.clone()).unwrap().try_into().unwrap()
}

#[test]
fn activations_equal_pytorch() {
    let golden = golden("layers");
    let names: Vec<String> = serde_json::from_str(&golden.metadata["activations"]).unwrap();
    assert_eq!(names.len(), 6);
    for name in &names {
        let x = signed(&format!("{name}.x"), 60, 5.0);
        check(&golden, name, 60, &[("x", &[], x)], 1e-6, |graph, t| match name.as_str() {
            "erf" => graph.erf(t[0]),
            "sigmoid" => graph.sigmoid(t[0]),
            "silu" => graph.silu(t[0]),
            "gelu" => graph.gelu(t[0]),
            "gelu_tanh" => graph.gelu_tanh(t[0]),
            "quick_gelu" => graph.quick_gelu(t[0]),
            other => panic!("{other}"),
        });
    }
}

#[test]
fn layer_norm_equals_pytorch() {
    let golden = golden("layers");
    let x = signed("layer_norm.x", 200, 3.0);
    let (weight, bias) = (signed("layer_norm.weight", 20, 1.0), signed("layer_norm.bias", 20, 1.0));
    let operands = [("x", &[2, 5, 20][..], x), ("weight", &[20], weight), ("bias", &[20], bias)];
    check(&golden, "layer_norm", 1, &operands, 2e-6, |graph, t| graph.layer_norm(t[0], t[1], t[2], 1e-5));
}

#[test]
fn normalised_rows_and_embeddings_equal_pytorch() {
    let golden = golden("layers");
    let x = signed("l2_normalize.x", 24, 1.0);
    check(&golden, "l2_normalize", 4, &[("x", &[6], x)], 1e-6, |graph, t| graph.l2_normalize(t[0], 1e-12));
    let table = signed("embed.table", 21, 1.0);
    let ids = Arc::new(golden.tensors["embed.ids"].data.clone());
    check(&golden, "embed", 1, &[("table", &[7, 3], table)], 1e-6, |graph, t| {
        let ids = graph.constant(&ids, &[2, 4]);
        graph.embed(t[0], ids)
    });
}

#[test]
fn a_row_of_zeros_is_normalised_to_zeros() {
    let found = evaluate(2, &[(&[3], &[0.0, 0.0, 0.0, 3.0, 0.0, 4.0])], |graph, t| {
        let y = graph.l2_normalize(t[0], 1e-12);
        let gradient = graph.gradients(y, &[t[0]])[0];
        vec![y, gradient]
    });
    assert_eq!(found[0], [0.0, 0.0, 0.0, 0.6, 0.0, 0.8]);
    assert!(found[1].iter().all(|g| g.is_finite()));
}

#[test]
fn attention_equals_pytorch() {
    let golden = golden("layers");
    for case in cases(&golden, "attention") {
        let name = format!("attention.{}", case["name"].as_str().unwrap());
        let size = |key: &str| case[key].as_u64().unwrap() as usize;
        let (images, d) = (size("images"), size("d"));
        let mask: Vec<usize> = serde_json::from_value(case["mask"].clone()).unwrap();
        // Images as lanes, then as an axis of one lane.
        for lanes in [images, 1] {
            let dims = |rows: usize| {
                let own = [rows, size("heads"), d];
                if lanes == images { own.to_vec() } else { [&[images], &own[..]].concat() }
            };
            let (rows, columns) = (dims(size("queries")), dims(size("keys")));
            let draw = |key: &str, dims: &[usize]| {
                signed(&format!("{name}.{key}"), lanes * dims.iter().product::<usize>(), 2.0)
            };
            let mut operands = vec![
                ("q", &rows[..], draw("q", &rows)),
                ("k", &columns, draw("k", &columns)),
                ("v", &columns, draw("v", &columns)),
            ];
            let values = golden.tensors.get(&format!("{name}.mask")).map(|mask| mask.data.clone());
            let own = if lanes == images && mask.len() == 3 { &mask[1..] } else { &mask };
            let shared = mask.len() == 2;
            if let Some(values) = values.clone().filter(|_| !shared) {
                operands.push(("mask", own, values));
            }
            check(&golden, &name, lanes, &operands, 2e-6, |graph, t| {
                let mask = match (&values, shared) {
                    (Some(values), true) => Some(graph.constant(&Arc::new(values.clone()), &mask)),
                    (Some(_), false) => Some(t[3]),
                    (None, _) => None,
                };
                graph.attention(t[0], t[1], t[2], mask, 1.0 / (d as f32).sqrt())
            });
        }
    }
}

/// Tokens that all lanes share, a query of each lane's own: the gradient to what is shared is each lane's own.
#[test]
fn lanes_attend_to_shared_tokens() {
    let (q, k) = (signed("shared.q", 12, 1.0), Arc::new(signed("shared.k", 18, 1.0)));
    let run = |lanes: usize, q: &[f32], spread: bool| {
        evaluate(lanes, &[(&[2, 1, 3], q)], |graph, t| {
            let shared = graph.constant(&k, &[6, 1, 3]);
            let mask = graph.constant(&Arc::new(vec![0.0, 0.1, -1e30, 0.2, 0.0, -0.4]), &[1, 6]);
            let k = if spread { graph.binary(Binary::Add, shared, shared) } else { shared };
            let y = graph.attention(t[0], k, shared, Some(mask), 0.5);
            let gradients = graph.gradients(y, &[t[0], k]);
            vec![y, gradients[0], gradients[1]]
        })
    };
    for spread in [false, true] {
        let both = run(2, &q, spread);
        for (lane, q) in q.chunks(6).enumerate() {
            for (both, one) in both.iter().zip(run(1, q, spread)) {
                assert_eq!(both[lane * one.len()..][..one.len()], one);
            }
        }
    }
}

#[test]
fn upsampled_images_equal_pytorch() {
    let golden = golden("layers");
    for (name, kind) in [("nearest", Upsample::Nearest), ("bilinear", Upsample::Bilinear)] {
        let name = format!("upsample.{name}");
        let x = signed(&format!("{name}.x"), 120, 1.0);
        for (lanes, dims) in [(1, &[2, 3, 4, 5][..]), (2, &[3, 4, 5])] {
            let operands = [("x", dims, x.clone())];
            check(&golden, &name, lanes, &operands, 1e-6, |graph, t| graph.upsample(t[0], [2, 3], kind));
        }
    }
}

#[test]
fn transposed_convolutions_equal_pytorch() {
    let golden = golden("layers");
    for case in cases(&golden, "conv_transposed") {
        let name = format!("conv_transposed.{}", case["name"].as_str().unwrap());
        let [n, channels, height, width] = numbers(&case["x"]);
        let [kernel, stride, padding] = ["kernel", "stride", "padding"].map(|key| numbers::<2>(&case[key]));
        let dilation = numbers::<2>(&case["dilation"]);
        let more = numbers::<2>(&case["output_padding"]);
        let groups = case["groups"].as_u64().unwrap() as usize;
        let out = case["out"].as_u64().unwrap() as usize;
        let geometry =
            ConvGeometry { stride, pad: [padding[0], padding[1], padding[0], padding[1]], dilation, groups };
        let side = |size: usize, axis: usize| {
            (size - 1) * stride[axis] + dilation[axis] * (kernel[axis] - 1) + 1 + more[axis]
                - 2 * padding[axis]
        };
        let size = [side(height, 0), side(width, 1)];
        let w_shape = [channels, out / groups, kernel[0], kernel[1]];
        let (taps, inner) = (kernel[0] * kernel[1], w_shape[1]);
        let w = signed(&format!("{name}.w"), w_shape.iter().product(), 1.0);
        let mut turned = vec![0.0; w.len()];
        for (i, value) in w.iter().enumerate() {
            let (o, c, t) = (i / (inner * taps), i / taps % inner, i % taps);
            turned[(t * inner + c) * channels + o] = *value;
        }
        let x = channels_last(
            &signed(&format!("{name}.x"), n * channels * height * width, 1.0),
            channels,
            height * width,
        );
        let expected = |key: &str| golden.tensors[&format!("{name}.{key}")].data.clone();
        let pixels = size[0] * size[1];
        let dy = channels_last(&signed(&format!("{name}.dy"), n * out * pixels, 1.0), out, pixels);
        let x_dims = [n, height, width, channels];
        let w_dims = [kernel[0], kernel[1], inner, channels];
        let states: [(&[usize], &[f32]); 3] =
            [(&x_dims, &x), (&w_dims, &turned), (&[n, size[0], size[1], out], &dy)];
        let found = evaluate(1, &states, |graph, t| {
            let y = graph.conv_transposed(t[0], t[1], geometry, size);
            let weighted = graph.mul(y, t[2]);
            let gradients = graph.gradients(weighted, &[t[0], t[1]]);
            [vec![y], gradients].concat()
        });
        let dw = from_training_layout(Role::Conv2d, &w_shape, &found[2]);
        let checks = [
            ("y", &found[0], channels_last(&expected("y"), out, pixels)),
            ("dx", &found[1], channels_last(&expected("dx"), channels, height * width)),
            ("dw", &dw, expected("dw")),
        ];
        for (key, found, expected) in checks {
            let error = relative_error(found, &expected);
            assert!(error < 2e-6, "{name}: {key} is off by {error}");
        }
        // A weight that all lanes share, and an image a lane.
        let weight = Arc::new(turned);
        let found = evaluate(n, &[(&x_dims[1..], &x)], |graph, t| {
            let w = graph.constant(&weight, &w_dims);
            vec![graph.conv_transposed(t[0], w, geometry, size)]
        });
        assert!(
            relative_error(&found[0], &channels_last(&expected("y"), out, pixels)) < 2e-6,
            "{name}: a shared weight"
        );
    }
}
