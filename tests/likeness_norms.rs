//! Samples in another unit than a network's first batch norm was trained on, wherever it stands and however values are scaled before it.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::sweep::load;
use percuss::sweep::study::Study;
use support::npz::{encoded, npy, write};
use support::onnx::{self, ints, node, reals};

const N: usize = 12;
const SIDE: usize = 8;
const WEIGHTS: [f32; 3] = [0.7, -0.4, 1.3];

/// Three channels of an image, then a batch norm whose running statistics are of values from 0 to `unit`, in one of several places.
fn network(folder: &Path, place: &str, unit: f32) {
    let conv = |from: &str, to: &str| node("Conv", &[from, "w"], &[to], &[ints("kernel_shape", &[1, 1])]);
    let norm = |from: &str, to: &str| {
        node("BatchNormalization", &[from, "scale", "shift", "mean", "variance"], &[to], &[])
    };
    let (mean, deviation) = (0.5 * unit, unit / 12f32.sqrt());
    // Of a half-wave the negative channel has nothing.
    let channels: Vec<[f32; 2]> = match place {
        "first" => vec![[mean, deviation]],
        "after a convolution" => WEIGHTS.map(|w| [w * mean, w.abs() * deviation]).to_vec(),
        _ => WEIGHTS.map(|w| [w.max(0.0) * mean, w.max(0.0) * deviation]).to_vec(),
    };
    let wide = [channels.len() as i64];
    let mut parts = match place {
        "first" => vec![norm("x", "n"), conv("n", "c")],
        "after a convolution" => vec![conv("x", "n"), norm("n", "c")],
        _ => vec![conv("x", "n"), node("Relu", &["n"], &["r"], &[]), norm("r", "c")],
    };
    parts.extend([
        reals("w", &[3, 1, 1, 1], &WEIGHTS),
        reals("scale", &wide, &[1.5, 0.5, 2.0][..channels.len()]),
        reals("shift", &wide, &[-0.3, 0.2, 0.1][..channels.len()]),
        reals("mean", &wide, &channels.iter().map(|own| own[0]).collect::<Vec<f32>>()),
        reals("variance", &wide, &channels.iter().map(|own| own[1] * own[1]).collect::<Vec<f32>>()),
        node("GlobalAveragePool", &["c"], &["p"], &[]),
        node("Flatten", &["p"], &["z"], &[onnx::whole("axis", 1)]),
        onnx::input("x", &[-1, 1, SIDE as i64, SIDE as i64]),
        onnx::output("z", &[-1, 3]),
    ]);
    std::fs::write(folder.join("model.onnx"), onnx::file(17, &parts)).unwrap();
}

/// Images of values from `low` to `high`, of little contrast where `contrast` is below 1.
fn samples(folder: &Path, [low, high]: [f64; 2], contrast: f64) {
    let value = |i: usize, at: usize| ((i * 31 + at * 17) % 97) as f64 / 96.0;
    let of = |p: f64| low + (high - low) * (0.5 + contrast * (p - 0.5));
    let values: Vec<f64> = (0..N)
        .flat_map(|i| (0..SIDE * SIDE).map(move |at| (i, at)))
        .map(|(i, at)| of(value(i, at)))
        .collect();
    let labels: Vec<f64> = (0..N).map(|i| (i % 3) as f64).collect();
    let arrays = [
        ("x", npy("<f4", false, &[N, 1, SIDE, SIDE], &encoded("<f4", &values))),
        ("y", npy("|u1", false, &[N], &encoded("|u1", &labels))),
    ];
    write(&folder.join("d.npz"), false, &arrays);
}

/// What is told of the unit, `None` where nothing is.
fn told(folder: &Path, data: &str, path: &str, model: &str) -> Option<String> {
    let text = format!(
        "name = \"s\"\n[[data]]\nid = \"d\"\n{data}\n[[model]]\nid = \"m\"\npath = {path:?}\ndata = [\"d\"]\n{model}\n\
         [[attack]]\nkind = \"fgsm\"\nbudget = [ {{ norm = \"linf\", eps = 0.1 }} ]\n"
    );
    let file = folder.join("s.toml");
    std::fs::write(&file, text).unwrap();
    let study = Study::read(&file).unwrap();
    let model = load::model(&study, 0).unwrap();
    let data = load::data(&study, 0, 0, &model, None).unwrap();
    data.remarks.into_iter().find(|remark| remark.flag == Some("input-statistics")).map(|remark| remark.text)
}

fn told_of(folder: &Path, model: &str) -> Option<String> {
    told(folder, "path = \"d.npz\"", "model.onnx", model)
}

#[test]
fn another_unit_is_told_by_the_first_batch_norm_and_the_mend_works() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, bytes, signs) = ([0.0, 1.0], [0.0, 255.0], [-1.0, 1.0]);
    for place in ["first", "after a convolution", "after a rectifier"] {
        let rows = [
            (1.0, whole, 1.0, true),
            (1.0, whole, 0.5, true),
            (1.0, bytes, 1.0, false),
            (1.0, [0.0, 65535.0], 1.0, false),
            (255.0, bytes, 1.0, true),
            (255.0, bytes, 0.5, true),
            (255.0, whole, 1.0, false),
            (255.0, signs, 1.0, false),
        ];
        for (unit, range, contrast, right) in rows {
            network(dir.path(), place, unit);
            samples(dir.path(), range, contrast);
            let found = told_of(dir.path(), "");
            assert_eq!(found.is_none(), right, "{place}, for 0 to {unit}, {range:?}: {found:?}");
            let Some(text) = found else { continue };
            assert!(text.contains("first batch norm"), "{text}");
            let start = text.find("input = {").unwrap();
            let mend = &text[start..start + text[start..].find('}').unwrap() + 1];
            assert_eq!(told_of(dir.path(), mend), None, "{place}, {unit}, {range:?}: {text}");
        }
    }
}

#[test]
fn running_statistics_that_no_training_moved_say_nothing() {
    let dir = tempfile::tempdir().unwrap();
    // Mean 0 and variance 1 of every channel, as a network begins.
    let parts = [
        node("Conv", &["x", "w"], &["c"], &[ints("kernel_shape", &[1, 1])]),
        node("BatchNormalization", &["c", "one", "none", "none", "one"], &["n"], &[]),
        node("GlobalAveragePool", &["n"], &["p"], &[]),
        node("Flatten", &["p"], &["z"], &[onnx::whole("axis", 1)]),
        reals("w", &[3, 1, 1, 1], &WEIGHTS),
        reals("one", &[3], &[1.0; 3]),
        reals("none", &[3], &[0.0; 3]),
        onnx::input("x", &[-1, 1, SIDE as i64, SIDE as i64]),
        onnx::output("z", &[-1, 3]),
    ];
    std::fs::write(dir.path().join("model.onnx"), onnx::file(17, &parts)).unwrap();
    samples(dir.path(), [0.0, 255.0], 1.0);
    assert_eq!(told_of(dir.path(), ""), None);
}

#[test]
fn a_trained_network_without_its_scaling_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/models/cxr-phantom-cnn");
    let model = model.display().to_string();
    let data = "name = \"cxr-phantom\"\nlimit = 64";
    assert_eq!(told(dir.path(), data, &model, ""), None);
    // A scaling that is none, as where somebody forgot it, and one for values from 0 to 1.
    for line in ["input = { mean = [0.001], std = [1.0] }", "input = { mean = [0.4], std = [0.2] }"] {
        let text = told(dir.path(), data, &model, line).expect(line);
        assert!(text.contains("input = {"), "{text}");
    }
}
