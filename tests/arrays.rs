//! Arrays as users have them: names, types, orders, labels and splits. Every form gives the right samples, or an error that names the mend.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::data::{ArrayOptions, Axes, Bounds, Dataset, Labels, Layout, Outputs, Request, Wanted, open};
use percuss::memory::Room;
use percuss::sweep::load;
use percuss::sweep::study::Study;
use support::files::{at, message};
use support::npz::{encoded, fortran, npy, wide, write};
use support::onnx;

const N: usize = 5;
const CLASSES: [u32; N] = [1, 0, 1, 1, 0];
/// Height, width and colours of a sample.
const SHAPE: [usize; 3] = [4, 6, 3];

/// Channels last: the value at (y, x, c) of sample i is its own place, below 128 and whole in every type.
fn right() -> Vec<f64> {
    (0..N * 72).map(|at| (at * 7 % 120) as f64).collect()
}

fn channels_first(values: &[f64]) -> Vec<f64> {
    let place = |at: usize| at / 72 * 72 + at % 24 * 3 + at % 72 / 24;
    (0..values.len()).map(|at| values[place(at)]).collect()
}

fn model() -> (Option<Outputs>, Vec<Wanted>) {
    let wanted = Wanted { name: "x".into(), shape: SHAPE.to_vec(), natural: None };
    (Some(Outputs { count: 2, findings: false }), vec![wanted])
}

fn request(path: &Path, split: &str, names: Option<[&str; 2]>) -> Request {
    let (outputs, wanted) = model();
    let [x, y] = names.map_or([None, None], |names| names.map(|name| Some(name.to_string())));
    Request {
        outputs,
        classes: vec!["normal".into(), "pneumonia".into()],
        arrays: ArrayOptions { x, y, wanted, ..Default::default() },
        ..at(path, split)
    }
}

/// Labels in every form that means the same.
fn label_forms() -> Vec<(&'static str, Vec<u8>)> {
    let numbers: Vec<f64> = CLASSES.iter().map(|&class| f64::from(class)).collect();
    let one_hot: Vec<f64> =
        CLASSES.iter().flat_map(|&class| [f64::from(1 - class), f64::from(class)]).collect();
    let name = |class: &u32| ["normal", "pneumonia"][*class as usize];
    let names: Vec<&str> = CLASSES.iter().map(name).collect();
    let (descr, texts) = wide(&names);
    let narrow: Vec<u8> = names.iter().flat_map(|name| format!("{name:\0<9}").into_bytes()).collect();
    let mut forms = vec![
        ("texts", npy(&descr, false, &[N], &texts)),
        ("texts in a column", npy(&descr, false, &[N, 1], &texts)),
        ("bytes", npy("|S9", false, &[N], &narrow)),
        (
            "one-hot in Fortran's order",
            npy("<f4", true, &[N, 2], &encoded("<f4", &fortran(&[N, 2], &one_hot))),
        ),
    ];
    for descr in ["|b1", "|u1", "|i1", "<i4", ">i8", "<u8", "<f4", "<f8"] {
        forms.push((descr, npy(descr, false, &[N], &encoded(descr, &numbers))));
        forms.push((descr, npy(descr, false, &[N, 1], &encoded(descr, &numbers))));
        forms.push((descr, npy(descr, false, &[N, 2], &encoded(descr, &one_hot))));
    }
    forms
}

fn assert_right(read: &Dataset, what: &str) {
    assert_eq!(read.labels, Labels::Class(CLASSES.to_vec()), "{what}");
    assert_eq!(read.shape, SHAPE, "{what}");
    assert!(read.values.iter().zip(right()).all(|(&own, right)| f64::from(own) == right), "{what}");
    assert_eq!(read.values.len(), right().len(), "{what}");
}

#[test]
fn every_layout_type_label_and_name_gives_the_same_samples() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let images = |descr: &str, first: bool, columns: bool| {
        let values = if first { channels_first(&right()) } else { right() };
        let shape = if first { [N, 3, 4, 6] } else { [N, 4, 6, 3] };
        let values = if columns { fortran(&shape, &values) } else { values };
        npy(descr, columns, &shape, &encoded(descr, &values))
    };
    // (array of samples, of labels, whether the study must say them, the split to ask for)
    let names = [
        ("x", "y", false, "all"),
        ("X", "Y", false, "all"),
        ("images", "labels", false, "all"),
        ("scan", "target", true, "all"),
        ("x_train", "y_train", false, "train"),
        ("X_test", "y_test", false, "test"),
        ("valid_images", "valid_labels", false, "val"),
        ("dev_scan", "dev_target", true, "val"),
        ("images_validation", "labels_validation", false, "val"),
    ];
    let types = ["|u1", "|i1", "<i2", ">i2", "<u4", "<i8", "<f2", "<f4", ">f4", "<f8"];
    let mut tried = 0;
    for (t, descr) in types.iter().enumerate() {
        for first in [false, true] {
            for columns in [false, true] {
                for (l, (form, labels)) in label_forms().into_iter().enumerate() {
                    // Each type with each form of labels; names go round.
                    let (x, y, said, split) = names[(t + l + usize::from(first)) % names.len()];
                    let arrays = [(x, images(descr, first, columns)), (y, labels)];
                    write(&path, (t + l) % 2 == 0, &arrays);
                    let request = request(&path, split, said.then_some(["scan", "target"]));
                    let what = format!("{descr} {first} {columns} {form} {x}");
                    let read = open(&request, None).unwrap_or_else(|error| panic!("{what}: {error}"));
                    assert_right(&read, &what);
                    let pixels = *descr == "|u1";
                    assert_eq!(read.unit == "pixel", pixels, "{what}");
                    assert!(
                        pixels || read.remarks.iter().any(|remark| remark.text.contains("no bounds")),
                        "{what}"
                    );
                    // Two samples are the same two, however many were read.
                    let two = open(&Request { limit: Some(2), ..request }, None).unwrap();
                    let whole = read.limited(2, 0).unwrap();
                    assert_eq!(
                        (two.index, two.values, two.labels),
                        (whole.index, whole.values, whole.labels),
                        "{what}"
                    );
                    tried += 1;
                }
            }
        }
    }
    assert_eq!(tried, 10 * 2 * 2 * 28);
}

#[test]
fn bytes_that_are_no_images_are_numbers_with_the_range_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let values: Vec<f64> = (0..N * 4).map(|at| (at % 3) as f64).collect();
    let labels = npy("|u1", false, &[N], &encoded("|u1", &CLASSES.map(f64::from)));
    for descr in ["|u1", "|b1", "<f4", "<i8"] {
        let values: Vec<f64> =
            if descr == "|b1" { values.iter().map(|v| v.min(1.0)).collect() } else { values.clone() };
        let most = if descr == "|b1" { 1.0 } else { 2.0 };
        write(
            &path,
            true,
            &[("x", npy(descr, false, &[N, 4], &encoded(descr, &values))), ("y", labels.clone())],
        );
        let read = open(&at(&path, "all"), None).unwrap();
        assert_eq!(
            (read.unit.as_str(), read.domain.low[0], read.domain.high[0]),
            ("value", 0.0, most),
            "{descr}"
        );
        assert!(
            read.remarks
                .iter()
                .any(|remark| remark.text.contains(&format!("from 0 to {most}, the range of the file")))
        );
        let stated = Request {
            arrays: ArrayOptions { bounds: Bounds::Stated([0.0, 9.0]), ..Default::default() },
            ..at(&path, "all")
        };
        let read = open(&stated, None).unwrap();
        assert_eq!((read.domain.high[0], read.remarks.len()), (9.0, 0));
        let narrow = ArrayOptions { bounds: Bounds::Stated([0.0, 0.5]), ..Default::default() };
        assert!(message(open(&Request { arrays: narrow, ..stated }, None)).contains("bounds that hold them"));
    }
}

#[test]
fn samples_that_fit_in_both_orders_are_refused_until_the_layout_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let values: Vec<f64> = (0..N * 27).map(|at| (at % 100) as f64).collect();
    let labels = npy("|u1", false, &[N], &encoded("|u1", &CLASSES.map(f64::from)));
    write(&path, false, &[("x", npy("<f4", false, &[N, 3, 3, 3], &encoded("<f4", &values))), ("y", labels)]);
    let with = |natural, layout| {
        let wanted = vec![Wanted { name: "x".into(), shape: vec![3, 3, 3], natural }];
        Request { arrays: ArrayOptions { wanted, layout, ..Default::default() }, ..at(&path, "all") }
    };
    let error = message(open(&with(None, None), None));
    assert!(error.contains("layout = \"nchw\"") && error.contains("layout = \"nhwc\""), "{error}");
    let as_is = open(&with(None, Layout::named("nhwc")), None).unwrap().values;
    let turned = open(&with(None, Layout::named("nchw")), None).unwrap().values;
    assert!(as_is[1] == 1.0 && turned[1] == 9.0);
    assert_eq!(open(&with(Some(Axes::First), None), None).unwrap().values, turned);
    assert_eq!(open(&with(Some(Axes::Last), None), None).unwrap().values, as_is);
}

#[test]
fn labels_that_mean_nothing_certain_are_refused_with_the_mend() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let images = npy("|u1", false, &[N, 4, 6, 3], &encoded("|u1", &right()));
    let refused = |labels: Vec<u8>, request: Request, needles: &[&str]| {
        write(&path, true, &[("x", images.clone()), ("y", labels)]);
        let text = message(open(&request, None));
        assert!(needles.iter().all(|needle| text.contains(needle)), "{needles:?}: {text}");
    };
    let own = request(&path, "all", None);
    let (descr, texts) = wide(&["ill", "well", "ill", "ill", "well"]);
    let names = npy(&descr, false, &[N], &texts);
    refused(
        names.clone(),
        Request { classes: vec![], ..own.clone() },
        &["classes = [\"ill\", \"well\"]", "classes = [\"well\", \"ill\"]"],
    );
    refused(names, own.clone(), &["one of normal, pneumonia"]);
    let several = [1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0];
    refused(
        npy("|u1", false, &[N, 2], &encoded("|u1", &several)),
        own.clone(),
        &["entry 0", "2 of 2 findings", "head = \"sigmoid\""],
    );
    refused(
        npy("<f4", false, &[N], &encoded("<f4", &[0.0, 1.0, 0.5, 1.0, 0.0])),
        own.clone(),
        &["entry 2", "0.5"],
    );
    refused(
        npy("<i8", false, &[N], &encoded("<i8", &[1.0, 2.0, 1.0, 2.0, 2.0])),
        own.clone(),
        &["classes = [\"1\", \"2\"]"],
    );
    refused(npy("<i8", false, &[3], &encoded("<i8", &[1.0, 0.0, 1.0])), own.clone(), &["shape [3]"]);
    refused(npy("|O", false, &[N], &[0; 40]), own, &["astype(str)"]);
    // The same names twice, in two cases, are not chosen between.
    let label = npy("|u1", false, &[N], &encoded("|u1", &CLASSES.map(f64::from)));
    write(&path, true, &[("x", images.clone()), ("images", images.clone()), ("y", label)]);
    let text = message(open(&request(&path, "all", None), None));
    assert!(text.contains("both `images` and `x`") && text.contains("arrays = {"), "{text}");
    assert_right(&open(&request(&path, "all", Some(["x", "y"])), None).unwrap(), "named");
}

#[test]
fn a_few_samples_of_a_large_file_take_little_memory_and_a_bomb_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let n = 4000;
    let zeros = vec![0; n * 64 * 64];
    let labels: Vec<f64> = (0..n).map(|at| (at % 2) as f64).collect();
    let arrays = [
        ("x", npy("|u1", false, &[n, 64, 64], &zeros)),
        ("y", npy("|u1", false, &[n], &encoded("|u1", &labels))),
    ];
    for deflated in [true, false] {
        write(&path, deflated, &arrays);
        let limit = |limit, memory| Request { limit, memory: Room::of(Some(memory)), ..at(&path, "all") };
        assert_eq!(open(&limit(Some(10), 1_000_000), None).unwrap().len(), 10);
        let error = message(open(&limit(None, 1_000_000), None));
        assert!(
            error.contains("65.5 MB") && error.contains("--memory") && error.contains("limit = N"),
            "{error}"
        );
    }
    // Sizes that the bytes of the file cannot hold are refused before anything is taken.
    write(&path, true, &[("x", npy("<f8", false, &[1 << 40, 4], &[0; 64])), arrays[1].clone()]);
    assert!(message(open(&at(&path, "all"), None)).contains("bytes for shape"));
}

/// An ONNX file of three leads by five times: logits are means over time of sums over leads, weighed.
fn leads_first(folder: &Path) {
    let weights = [1.0, 0.0, 0.0, -1.0, 0.5, 2.0];
    let parts = [
        onnx::node("Conv", &["x", "w"], &["c"], &[onnx::ints("kernel_shape", &[1])]),
        onnx::node("GlobalAveragePool", &["c"], &["p"], &[]),
        onnx::node("Flatten", &["p"], &["z"], &[onnx::whole("axis", 1)]),
        onnx::reals("w", &[2, 3, 1], &weights),
        onnx::input("x", &[-1, 3, 5]),
        onnx::output("z", &[-1, 2]),
    ];
    std::fs::write(folder.join("model.onnx"), onnx::file(17, &parts)).unwrap();
}

#[test]
fn an_onnx_file_gets_its_own_order_and_no_hint_leads_astray() {
    let dir = tempfile::tempdir().unwrap();
    leads_first(dir.path());
    let path = dir.path().join("d.npz");
    let value = |i: usize, lead: usize, time: usize| ((i * 15 + lead * 5 + time) * 37 % 29) as f64 / 7.0;
    let first: Vec<f64> = (0..N).flat_map(|i| (0..15).map(move |at| value(i, at / 5, at % 5))).collect();
    let last: Vec<f64> = (0..N).flat_map(|i| (0..15).map(move |at| value(i, at % 3, at / 3))).collect();
    let labels = npy("|u1", false, &[N], &encoded("|u1", &CLASSES.map(f64::from)));
    let study = |data: &str, model: &str| {
        let text = format!(
            "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"d.npz\"\n{data}\n[[model]]\nid = \"m\"\npath = \"model.onnx\"\ndata = [\"d\"]\n{model}\n\
             [[attack]]\nkind = \"fgsm\"\nbudget = [ {{ norm = \"linf\", eps = 0.1 }} ]\n"
        );
        let file = dir.path().join("s.toml");
        std::fs::write(&file, text).unwrap();
        let study = Study::read(&file).unwrap();
        load::model(&study, 0).and_then(|model| load::data(&study, 0, 0, &model, None))
    };
    let write = |shape: &[usize], values: &[f64]| {
        write(
            &path,
            false,
            &[("x", npy("<f4", false, shape, &encoded("<f4", values))), ("y", labels.clone())],
        );
    };
    write(&[N, 3, 5], &first);
    let natural = study("", "").unwrap();
    assert_eq!(natural.shape, [1, 5, 3]);
    assert!(natural.values.iter().zip(&last).all(|(&own, &right)| own == right as f32));
    assert_eq!(study("layout = \"nct\"", "").unwrap().values, natural.values);
    // The hint of old: leads as rows of an image.
    let error = message(study("", "input = { shape = [3, 5, 1] }"));
    assert!(error.contains("leads are channels"), "{error}");
    write(&[N, 5, 3], &last);
    let turned = study("", "").unwrap();
    assert_eq!(turned.values, natural.values);
    assert!(turned.remarks.iter().any(|remark| remark.text.contains("channels last")));
    // Another length fits in no way, and is not resized.
    write(&[N, 3, 4], &first[..N * 12]);
    let error = message(study("", ""));
    assert!(error.contains("[1, 4, 3]") && !error.contains("resize"), "{error}");
    // Units: values a thousand times too large for the scaling, which is told, or refused where the model says its unit.
    write(&[N, 3, 5], &first.iter().map(|value| value * 1000.0).collect::<Vec<_>>());
    std::fs::write(dir.path().join("model.json"), r#"{ "input_scaling": { "mean": [2.0], "std": [1.2] } }"#)
        .unwrap();
    let told = study("", "").unwrap();
    assert!(told.remarks.iter().any(|remark| remark.flag == Some("input-statistics")), "{:?}", told.remarks);
    let unit = r#"{ "input_scaling": { "mean": [2.0], "std": [1.2] }, "training": { "unit": "mV" } }"#;
    std::fs::write(dir.path().join("model.json"), unit).unwrap();
    assert!(message(study("", "")).contains("values in mV"));
    let mended = study("", "input = { mean = [2000], std = [1200] }").unwrap();
    assert!(mended.remarks.iter().all(|remark| remark.flag.is_none()));
}
