//! Which samples are told to be in another unit than a model's: by the scaling beside it, and by what an ONNX file's own first ops do.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::Result;
use percuss::data::Dataset;
use percuss::sweep::load;
use percuss::sweep::study::Study;
use support::npz::{encoded, npy, write};
use support::onnx;

const FLAG: &str = "input-statistics";
const N: usize = 12;
const SIDE: usize = 8;

/// A network that sums an image's channels, after `first`: nodes from x to s.
fn network(folder: &Path, channels: i64, first: &[Vec<u8>], scaling: &str) {
    let from = if first.is_empty() { "x" } else { "s" };
    let weights: Vec<f32> = (0..2 * channels).map(|at| 0.3 - 0.2 * at as f32).collect();
    let mut parts = first.to_vec();
    parts.extend([
        onnx::node("Conv", &[from, "w"], &["c"], &[onnx::ints("kernel_shape", &[1, 1])]),
        onnx::node("GlobalAveragePool", &["c"], &["p"], &[]),
        onnx::node("Flatten", &["p"], &["z"], &[onnx::whole("axis", 1)]),
        onnx::reals("w", &[2, channels, 1, 1], &weights),
        onnx::input("x", &[-1, channels, SIDE as i64, SIDE as i64]),
        onnx::output("z", &[-1, 2]),
    ]);
    std::fs::write(folder.join("model.onnx"), onnx::file(17, &parts)).unwrap();
    let json = if scaling.is_empty() { "{}".into() } else { format!("{{ \"input_scaling\": {scaling} }}") };
    std::fs::write(folder.join("model.json"), json).unwrap();
}

/// Sub and Div by these numbers, a number a channel.
fn inside(mean: &[f32], std: &[f32]) -> Vec<Vec<u8>> {
    let shape = [1, mean.len() as i64, 1, 1];
    vec![
        onnx::node("Sub", &["x", "m"], &["d"], &[]),
        onnx::node("Div", &["d", "k"], &["s"], &[]),
        onnx::reals("m", &shape, mean),
        onnx::reals("k", &shape, std),
    ]
}

fn samples(folder: &Path, channels: usize, dtype: &str, value: impl Fn(f64, usize) -> f64) {
    let pixel = |i: usize, c: usize, at: usize| ((i * 31 + at * 17 + c * 5) % 97) as f64 / 96.0;
    let plane = |i: usize, c: usize| (0..SIDE * SIDE).map(move |at| pixel(i, c, at));
    let values: Vec<f64> = (0..N)
        .flat_map(|i| (0..channels).flat_map(move |c| plane(i, c).map(move |p| (p, c))))
        .map(|(p, c)| value(p, c))
        .collect();
    let labels: Vec<f64> = (0..N).map(|i| (i % 2) as f64).collect();
    let arrays = [
        ("x", npy(dtype, false, &[N, channels, SIDE, SIDE], &encoded(dtype, &values))),
        ("y", npy("|u1", false, &[N], &encoded("|u1", &labels))),
    ];
    write(&folder.join("d.npz"), false, &arrays);
}

fn loaded(folder: &Path, model: &str) -> Result<Dataset> {
    let text = format!(
        "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"d.npz\"\n[[model]]\nid = \"m\"\npath = \"model.onnx\"\ndata = [\"d\"]\n{model}\n\
         [[attack]]\nkind = \"fgsm\"\nbudget = [ {{ norm = \"linf\", eps = 0.1 }} ]\n"
    );
    let file = folder.join("s.toml");
    std::fs::write(&file, text).unwrap();
    let study = Study::read(&file).unwrap();
    load::model(&study, 0).and_then(|model| load::data(&study, 0, 0, &model, None))
}

/// What is told, `None` where nothing is.
fn told(folder: &Path, model: &str) -> Option<String> {
    let data = loaded(folder, model).unwrap();
    data.remarks.into_iter().find(|remark| remark.flag == Some(FLAG)).map(|remark| remark.text)
}

/// The line of a remark that mends it.
fn mend(text: &str) -> &str {
    let start = text.find("input = {").unwrap();
    &text[start..start + text[start..].find('}').unwrap() + 1]
}

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Names, types and functions of images from 0 to 1.
type Form = (&'static str, &'static str, fn(f64, usize) -> f64);

const FORMS: [Form; 6] = [
    ("0 to 1", "<f4", |p, _| p),
    ("0 to 255", "<f4", |p, _| (p * 255.0).round()),
    ("bytes", "|u1", |p, _| (p * 255.0).round()),
    ("-1 to 1", "<f4", |p, _| 2.0 * p - 1.0),
    ("scores", "<f4", |p, c| (p - MEAN[c] as f64) / STD[c] as f64),
    ("0 to 65535", "<f4", |p, _| (p * 65535.0).round()),
];

/// What a model does, and which of [`FORMS`] are right for it.
fn models() -> Vec<(&'static str, Vec<Vec<u8>>, String, [bool; 6])> {
    let json = |mean: &[f32], std: &[f32]| format!("{{ \"mean\": {mean:?}, \"std\": {std:?} }}");
    let times = |values: [f32; 3], factor: f32| values.map(|value| value * factor);
    let (unit, pixel) = ([true, false, false, false, false, false], [false, true, true, false, false, false]);
    vec![
        ("scaling for 0 to 1", vec![], json(&MEAN, &STD), unit),
        ("a half for 0 to 1", vec![], json(&[0.5], &[0.5]), unit),
        ("fitted on 0 to 1", vec![], json(&[0.52], &[0.3]), unit),
        ("scaling for 0 to 255", vec![], json(&times(MEAN, 255.0), &times(STD, 255.0)), pixel),
        ("divided by 255", vec![], json(&[0.0], &[255.0]), pixel),
        ("fitted on 0 to 255", vec![], json(&[131.0], &[74.0]), pixel),
        ("fitted on -1 to 1", vec![], json(&[0.03], &[0.58]), [false, false, false, true, false, false]),
        ("as they are", vec![], json(&[0.0], &[1.0]), [true; 6]),
        ("nothing stated", vec![], String::new(), [true; 6]),
        ("inside for 0 to 1", inside(&MEAN, &STD), String::new(), unit),
        ("inside for 0 to 255", inside(&times(MEAN, 255.0), &times(STD, 255.0)), String::new(), pixel),
        ("inside for 0 to 1, after division by 255", inside(&MEAN, &STD), json(&[0.0], &[255.0]), pixel),
        ("a mean subtracted inside", inside(&[103.9, 116.8, 123.7], &[1.0; 3]), String::new(), pixel),
        ("127.5 subtracted inside", inside(&[127.5], &[1.0]), String::new(), pixel),
        ("128 subtracted", vec![], json(&[128.0], &[1.0]), pixel),
    ]
}

#[test]
fn every_unit_and_every_scaling_are_told_where_they_do_not_fit_and_the_mend_works() {
    let dir = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (model, first, scaling, right) in models() {
        network(dir.path(), 3, &first, &scaling);
        for ((form, dtype, value), right) in FORMS.into_iter().zip(right) {
            samples(dir.path(), 3, dtype, value);
            let remark = told(dir.path(), "");
            if remark.is_none() != right {
                wrong.push(format!("{form}, {model}: {remark:?}"));
            }
            let known = form != "0 to 65535" && !model.starts_with("fitted");
            if let Some(text) = remark.filter(|_| known)
                && told(dir.path(), mend(&text)).is_some()
            {
                wrong.push(format!("{form}, {model}: the mend does not work: {text}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Something was subtracted from pixels, and nobody can tell what: no line is offered that would be wrong.
#[test]
fn centred_pixels_are_told_without_a_scaling_that_would_be_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let forms: [fn(f64, usize) -> f64; 2] = [|p, _| p - 0.5, |p, _| p - 0.57];
    for (model, first, scaling, _) in models().into_iter().filter(|(name, ..)| name.contains("for 0 to")) {
        network(dir.path(), 3, &first, &scaling);
        for value in forms {
            samples(dir.path(), 3, "<f4", value);
            let remark = told(dir.path(), "").unwrap_or_else(|| panic!("{model}: nothing is told"));
            assert!(remark.contains("mean = [..], std = [..]"), "{model}: {remark}");
        }
    }
}

#[test]
fn grey_as_three_colours_is_told_as_colour_is() {
    let dir = tempfile::tempdir().unwrap();
    network(
        dir.path(),
        3,
        &[],
        &format!("{{ \"mean\": {:?}, \"std\": {:?} }}", MEAN.map(|m| m * 255.0), STD.map(|s| s * 255.0)),
    );
    for (form, dtype, value) in FORMS {
        // All channels as the first.
        let grey = |p: f64, _| value(p, 0);
        let pixel = |i: usize, at: usize| ((i * 31 + at * 17) % 97) as f64 / 96.0;
        let values: Vec<f64> = (0..N)
            .flat_map(|i| (0..3).flat_map(move |_| (0..SIDE * SIDE).map(move |at| pixel(i, at))))
            .map(|p| grey(p, 0))
            .collect();
        let labels: Vec<f64> = (0..N).map(|i| (i % 2) as f64).collect();
        let arrays = [
            ("x", npy(dtype, false, &[N, 3, SIDE, SIDE], &encoded(dtype, &values))),
            ("y", npy("|u1", false, &[N], &encoded("|u1", &labels))),
        ];
        write(&dir.path().join("d.npz"), false, &arrays);
        let right = matches!(form, "bytes" | "0 to 255");
        assert_eq!(told(dir.path(), "").is_none(), right, "{form}");
    }
}

#[test]
fn dark_and_bright_images_are_not_cried_over() {
    let dir = tempfile::tempdir().unwrap();
    let variants: [(&str, fn(f64, usize) -> f64); 6] = [
        ("dark", |p, _| (p * p * p * 120.0).round()),
        ("bright", |p, _| (200.0 + 55.0 * p).round()),
        ("of little contrast", |p, _| (100.0 + 30.0 * p).round()),
        ("mostly black", |p, _| if p < 0.95 { 0.0 } else { 255.0 }),
        ("mostly white", |p, _| if p < 0.95 { 255.0 } else { 90.0 }),
        ("red", |p, c| if c == 0 { 200.0 * p } else { 10.0 * p }),
    ];
    let scalings = [
        (MEAN.map(|m| m * 255.0).to_vec(), STD.map(|s| s * 255.0).to_vec()),
        (vec![123.7], vec![58.4]),
        (vec![127.5], vec![127.5]),
        (vec![0.0], vec![255.0]),
        (vec![127.5], vec![127.5 / 1024.0]),
        (vec![92.0], vec![61.0]),
    ];
    for (mean, std) in scalings {
        network(dir.path(), 3, &[], &format!("{{ \"mean\": {mean:?}, \"std\": {std:?} }}"));
        for (variant, value) in variants {
            samples(dir.path(), 3, "|u1", value);
            assert_eq!(told(dir.path(), ""), None, "{variant} under {mean:?}");
        }
    }
}

#[test]
fn hounsfield_units_pixels_and_intensities_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    // Ends, the power that skews what is between them, mean and deviation of the scaling, whether that is right.
    type Row = ([f64; 2], i32, [f32; 2], bool);
    let hounsfield = [-1024.0, 1016.0];
    let rows: [Row; 21] = [
        (hounsfield, 1, [127.5, 58.4], false),
        (hounsfield, 1, [127.5, 65.0], false),
        (hounsfield, 1, [127.5, 73.7], false),
        (hounsfield, 1, [127.5, 80.0], false),
        (hounsfield, 1, [127.5, 100.0], false),
        (hounsfield, 1, [127.5, 127.5], false),
        (hounsfield, 1, [120.0, 58.4], false),
        (hounsfield, 3, [123.7, 73.7], false),
        (hounsfield, 1, [127.5, 1.0], false),
        ([0.0, 900.0], 1, [-500.0, 450.0], false),
        ([-1000.0, 1200.0], 1, [300.0, 250.0], false),
        (hounsfield, 1, [-500.0, 450.0], true),
        (hounsfield, 3, [-500.0, 450.0], true),
        (hounsfield, 1, [40.0, 400.0], true),
        (hounsfield, 3, [40.0, 400.0], true),
        (hounsfield, 3, [50.0, 350.0], true),
        (hounsfield, 1, [0.0, 1000.0], true),
        ([-160.0, 240.0], 1, [40.0, 115.0], true),
        ([-160.0, 240.0], 2, [30.0, 100.0], true),
        ([0.0, 900.0], 1, [450.0, 260.0], true),
        ([0.0, 900.0], 2, [300.0, 250.0], true),
    ];
    let mut wrong = Vec::new();
    for ([low, high], power, [mean, std], right) in rows {
        network(dir.path(), 3, &inside(&[mean; 3], &[std; 3]), "");
        let samples_of = |p: f64, _| low + (high - low) * p.powi(power);
        samples(dir.path(), 3, "<f4", samples_of);
        let remark = told(dir.path(), "");
        if remark.is_none() != right {
            wrong.push(format!("{low} to {high} (power {power}) under {mean}, {std}: {remark:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_configuration_beside_that_standardises_is_held_against_what_happens() {
    let dir = tempfile::tempdir().unwrap();
    network(dir.path(), 3, &[], "");
    std::fs::remove_file(dir.path().join("model.json")).unwrap();
    let timm = format!(
        "{{ \"architecture\": \"resnet18\", \"pretrained_cfg\": {{ \"mean\": {MEAN:?}, \"std\": {STD:?} }} }}"
    );
    let huggingface = "{ \"architectures\": [\"ResNetForImageClassification\"] }".to_string();
    let processor = format!("{{ \"do_normalize\": true, \"image_mean\": {MEAN:?}, \"image_std\": {STD:?} }}");
    for config in [timm, huggingface] {
        std::fs::write(dir.path().join("config.json"), &config).unwrap();
        std::fs::write(dir.path().join("preprocessor_config.json"), &processor).unwrap();
        for (form, dtype, value) in FORMS {
            samples(dir.path(), 3, dtype, value);
            let remark = told(dir.path(), "");
            assert_eq!(remark.is_none(), form == "scores", "{form}: {remark:?}");
            if let Some(text) = remark.filter(|_| form != "0 to 65535") {
                assert_eq!(told(dir.path(), mend(&text)), None, "{form}: {text}");
            }
        }
    }
    // A file that standardises by itself needs nothing more.
    network(dir.path(), 3, &inside(&MEAN, &STD), "");
    std::fs::remove_file(dir.path().join("model.json")).unwrap();
    samples(dir.path(), 3, "<f4", FORMS[0].2);
    assert_eq!(told(dir.path(), ""), None);
}

#[test]
fn a_unit_that_is_stated_is_refused_with_a_mend_that_works() {
    let dir = tempfile::tempdir().unwrap();
    network(dir.path(), 3, &[], "{ \"mean\": [0.5], \"std\": [0.5] }, \"training\": { \"unit\": \"value\" }");
    samples(dir.path(), 3, "<f4", FORMS[3].2);
    let error = loaded(dir.path(), "").unwrap_err().to_string();
    assert!(error.contains("values from 0 to 1") && error.contains("-1 to 1"), "{error}");
    assert_eq!(told(dir.path(), mend(&error)), None);
}

/// ECG-like signals of one lead at 40 times: `value` of a sample's number and the wave.
fn signals(folder: &Path, value: impl Fn(usize, f64) -> f64) {
    let wave = |i: usize, t: usize| {
        1.4 * (-((t as f64 - 18.0 - (i % 3) as f64) / 2.0).powi(2)).exp() - 0.1
            + 0.05 * (i as f64 * 1.7 + t as f64 * 0.6).sin()
    };
    let values: Vec<f64> =
        (0..N).flat_map(|i| (0..40).map(move |t| (i, wave(i, t)))).map(|(i, w)| value(i, w)).collect();
    let labels: Vec<f64> = (0..N).map(|i| (i % 2) as f64).collect();
    let arrays = [
        ("x", npy("<f4", false, &[N, 1, 40], &encoded("<f4", &values))),
        ("y", npy("|u1", false, &[N], &encoded("|u1", &labels))),
    ];
    write(&folder.join("d.npz"), false, &arrays);
}

#[test]
fn signals_in_another_unit_or_standardised_before_are_told_and_wandering_baselines_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let parts = [
        onnx::node("Conv", &["x", "w"], &["c"], &[onnx::ints("kernel_shape", &[1])]),
        onnx::node("GlobalAveragePool", &["c"], &["p"], &[]),
        onnx::node("Flatten", &["p"], &["z"], &[onnx::whole("axis", 1)]),
        onnx::reals("w", &[2, 1, 1], &[1.0, -1.0]),
        onnx::input("x", &[-1, 1, 40]),
        onnx::output("z", &[-1, 2]),
    ];
    std::fs::write(dir.path().join("model.onnx"), onnx::file(17, &parts)).unwrap();
    std::fs::write(
        dir.path().join("model.json"),
        "{ \"input_scaling\": { \"mean\": [0.03], \"std\": [0.36] } }",
    )
    .unwrap();
    let told = || {
        let data = loaded(dir.path(), "").map_err(|error| error.to_string());
        data.unwrap().remarks.into_iter().find(|remark| remark.flag == Some(FLAG)).map(|remark| remark.text)
    };
    type Variant = (&'static str, fn(usize, f64) -> f64, bool);
    let variants: [Variant; 8] = [
        ("mV", |_, w| w, true),
        ("a wandering baseline", |i, w| w + 0.6 * (i as f64 * 0.9).sin(), true),
        ("an offset of 0.5 mV", |_, w| w + 0.5, true),
        ("half the gain", |_, w| w / 2.0, true),
        ("twice the gain", |_, w| w * 2.2, true),
        ("uV", |_, w| w * 1000.0, false),
        ("units of a converter", |_, w| w * 200.0 + 1024.0, false),
        ("standard scores", |_, w| (w - 0.0242) / 0.33, false),
    ];
    for (variant, value, right) in variants {
        signals(dir.path(), value);
        let remark = told();
        assert_eq!(remark.is_none(), right, "{variant}: {remark:?}");
    }
}

#[test]
fn colours_for_a_grey_model_are_refused_with_a_mend() {
    let dir = tempfile::tempdir().unwrap();
    network(dir.path(), 1, &[], "");
    samples(dir.path(), 3, "|u1", FORMS[2].2);
    let error = loaded(dir.path(), "").unwrap_err().to_string();
    assert!(error.contains("x = x.mean(axis=1, keepdims=True)") && error.contains("x = x[:, :1]"), "{error}");
    samples(dir.path(), 1, "|u1", FORMS[2].2);
    assert!(loaded(dir.path(), "").is_ok());
}
