//! Networks whose batch norms are folded away hide what values they expect: what they answer under other scalings tells.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::sweep::resolve::resolve;
use percuss::sweep::study::Study;
use percuss_kernels::Device;
use support::npz::{encoded, npy, write};
use support::onnx::{self, ints, node, reals};

const N: usize = 80;
const SIDE: usize = 6;

/// A convolution and an average: class 1 where the mean of `(x - mean) / std` is positive.
fn network(folder: &Path, mean: f32, std: f32) {
    let parts = [
        node("Conv", &["x", "w", "b"], &["c"], &[ints("kernel_shape", &[1, 1])]),
        node("GlobalAveragePool", &["c"], &["p"], &[]),
        node("Flatten", &["p"], &["z"], &[onnx::whole("axis", 1)]),
        reals("w", &[2, 1, 1, 1], &[-4.0 / std, 4.0 / std]),
        reals("b", &[2], &[4.0 * mean / std, -4.0 * mean / std]),
        onnx::input("x", &[-1, 1, SIDE as i64, SIDE as i64]),
        onnx::output("z", &[-1, 2]),
    ];
    std::fs::write(folder.join("model.onnx"), onnx::file(17, &parts)).unwrap();
}

/// Dark and bright images from 0 to `unit`; one in `wrong` has the other's label.
fn samples(folder: &Path, unit: f64, wrong: usize) {
    let value = |i: usize, at: usize| {
        let bright = if i % 2 == 1 { 0.3 } else { 0.0 };
        ((((i * 31 + at * 17) % 97) as f64 / 96.0 * 0.7 + bright) * unit * 255.0).round() / 255.0
    };
    let values: Vec<f64> = (0..N).flat_map(|i| (0..SIDE * SIDE).map(move |at| value(i, at))).collect();
    let labels: Vec<f64> = (0..N).map(|i| ((i + usize::from(i % wrong == 0)) % 2) as f64).collect();
    let arrays = [
        ("x", npy("<f4", false, &[N, 1, SIDE, SIDE], &encoded("<f4", &values))),
        ("y", npy("|u1", false, &[N], &encoded("|u1", &labels))),
    ];
    write(&folder.join("d.npz"), false, &arrays);
}

/// What is told of the unit, `None` where nothing is; and the clean accuracy.
fn told(folder: &Path, model: &str) -> (Option<String>, f64) {
    let text = format!(
        "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"d.npz\"\n[[model]]\nid = \"m\"\npath = \"model.onnx\"\ndata = [\"d\"]\n{model}\n\
         [[attack]]\nkind = \"fgsm\"\nbudget = [ {{ norm = \"linf\", eps = 0.1 }} ]\n"
    );
    let file = folder.join("s.toml");
    std::fs::write(&file, text).unwrap();
    let resolved =
        resolve(&Study::read(&file).unwrap(), &Device::Cpu { threads: 1 }, None).unwrap().remove(0);
    let mut remarks = resolved.subject.data.remarks.into_iter();
    let text = remarks.find(|remark| remark.flag == Some("input-statistics")).map(|remark| remark.text);
    (text, resolved.metrics["accuracy"])
}

#[test]
fn a_scale_that_answers_far_better_is_told_and_its_line_works() {
    let dir = tempfile::tempdir().unwrap();
    // What the network was trained on, as mean and deviation of what values of the file are.
    let scales: [(&str, f32, f32); 3] =
        [("0 to 1", 0.5, 1.0), ("0 to 255", 127.5, 255.0), ("-1 to 1", 0.0, 2.0)];
    for (scale, mean, std) in scales {
        network(dir.path(), mean, std);
        for (unit, of_file) in [(1.0, "0 to 1"), (255.0, "0 to 255")] {
            samples(dir.path(), unit, 12);
            let (found, accuracy) = told(dir.path(), "");
            let case = format!("{of_file} for {scale}, {accuracy}: {found:?}");
            assert_eq!(found.is_none(), of_file == scale, "{case}");
            let Some(text) = found else {
                assert!(accuracy > 0.85, "{case}");
                continue;
            };
            assert!(accuracy < 0.6 && text.contains("under another scaling"), "{case}");
            let start = text.find("input = {").unwrap();
            let mend = &text[start..start + text[start..].find('}').unwrap() + 1];
            let (again, mended) = told(dir.path(), mend);
            assert!(again.is_none() && mended > 0.85, "{case}; {mend}: {mended}, {again:?}");
        }
    }
}

#[test]
fn labels_that_no_scale_explains_are_not_cried_over() {
    let dir = tempfile::tempdir().unwrap();
    for (mean, std, unit) in [(0.5, 1.0, 1.0), (127.5, 255.0, 255.0)] {
        network(dir.path(), mean, std);
        for wrong in [2, 3, 4, 7] {
            samples(dir.path(), unit, wrong);
            assert_eq!(told(dir.path(), "").0, None, "one label in {wrong} is wrong");
        }
    }
}
