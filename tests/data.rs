//! Data sets from files that the tests write: layouts, splits, subsets, preprocessing, and what bad input gets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, RecordBatch, StringArray};
use npyz::WriterBuilder;
use percuss::data::beats::{self, Beat};
use percuss::data::preprocess::Preprocess;
use percuss::data::spec::Spec;
use percuss::data::table::{Column, Table};
use percuss::data::{Dataset, Labels, Request, Source, ecg, open, open_fitted, phantom};

fn at(path: &Path, split: &str) -> Request {
    Request::new(Source::Path(path.to_path_buf()), split)
}

fn message(result: percuss::Result<Dataset>) -> String {
    let error = result.expect_err("an error");
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

/// Writes arrays of one type each: name, shape, values.
struct Writer(npyz::npz::NpzWriter<std::io::BufWriter<std::fs::File>>);

impl Writer {
    fn new(path: &Path) -> Self {
        Self(npyz::npz::NpzWriter::create(path).unwrap())
    }

    fn put<T: npyz::AutoSerialize + Copy>(mut self, name: &str, shape: &[u64], values: &[T]) -> Self {
        let array = self.0.array(name, Default::default()).unwrap();
        let mut array = array.default_dtype().shape(shape).begin_nd().unwrap();
        array.extend(values.iter().copied()).unwrap();
        array.finish().unwrap();
        self
    }
}

/// Four 2x2 images in train, two in test.
fn mnist_like(path: &Path) {
    let pixels = |n: u8| (0..n * 4).collect::<Vec<u8>>();
    Writer::new(path)
        .put("train_images", &[4, 2, 2], &pixels(4))
        .put("train_labels", &[4, 1], &[0u8, 1, 1, 0])
        .put("test_images", &[2, 2, 2], &pixels(2))
        .put("test_labels", &[2, 1], &[1u8, 0])
        .put("test_site", &[2], &[7i32, 9]);
}

#[test]
fn images_are_read_as_pixels_with_channels_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    mnist_like(&path);
    let mut request = at(&path, "test");
    request.subgroups = vec!["site".into()];
    let test = open(&request, None).unwrap();
    assert_eq!(test.shape, [2, 2, 1]);
    assert_eq!(test.values, (0..8).map(|v| v as f32).collect::<Vec<_>>());
    assert_eq!(test.labels, Labels::Class(vec![1, 0]));
    assert_eq!(test.index, [4, 5]);
    assert_eq!((test.unit.as_str(), test.domain.low[0], test.domain.high[0]), ("pixel", 0.0, 255.0));
    assert_eq!(test.subgroups["site"], ["7", "9"]);
    assert_eq!(open(&at(&path, "all"), None).unwrap().len(), 6);
    request.subgroups = vec!["sex".into()];
    assert!(message(open(&request, None)).contains("one of site"));
    request.subgroups.clear();
    request.group = Some("site".into());
    assert_eq!(open(&request, None).unwrap().group.unwrap(), ["7", "9"]);
}

#[test]
fn plain_x_and_y_hold_findings_and_their_own_range() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    Writer::new(&path).put("x", &[3, 2], &[0.5f32, -1.0, 2.0, 0.0, 0.25, 1.5]).put(
        "y",
        &[3, 2],
        &[0i64, 1, 1, 1, 0, 0],
    );
    let all = open(&at(&path, "all"), None).unwrap();
    assert_eq!((all.shape.clone(), all.labels.clone()), (vec![2], Labels::Findings(vec![0, 1, 1, 1, 0, 0])));
    assert_eq!((all.domain.low[0], all.domain.high[0], all.unit.as_str()), (-1.0, 2.0, "value"));
    assert!(message(open(&at(&path, "test"), None)).contains("one of all"));
    assert_eq!(all.limited(2, 0).unwrap().classes.len(), 2);
}

#[test]
fn bad_npz_files_name_the_file_and_the_array() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let fails = |needles: &[&str]| {
        let text = message(open(&at(&path, "all"), None));
        assert!(text.contains("a.npz") && needles.iter().all(|n| text.contains(n)), "{needles:?}: {text}");
    };
    std::fs::write(&path, b"not a zip at all").unwrap();
    fails(&["npz file"]);
    std::fs::write(&path, b"").unwrap();
    fails(&["npz file"]);
    mnist_like(&path);
    let whole = std::fs::read(&path).unwrap();
    for cut in [whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        message(open(&at(&path, "all"), None));
    }
    drop(Writer::new(&path).put("x", &[2, 2], &[f64::NAN, 1.0, 2.0, 3.0]).put("y", &[2], &[0u8, 1]));
    fails(&["sample 0, value 0", "finite"]);
    drop(Writer::new(&path).put("x", &[2, 2], &[f32::INFINITY, 1.0, 2.0, 3.0]).put("y", &[2], &[0u8, 1]));
    fails(&["sample 0, value 0", "inf"]);
    drop(Writer::new(&path).put("x", &[2], &[1.0, 2.0]).put("y", &[2], &[0u8, 1]));
    fails(&["array `x`", "shape [2]"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[3], &[0u8, 1, 1]));
    fails(&["array `y`", "shape [3]"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[2], &[0.5, 1.0]));
    fails(&["array `y`", "a fraction at 0"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[2], &[-1i8, 1]));
    fails(&["array `y`", "-1"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[2, 2], &[0u8, 1, 2, 0]));
    fails(&["label of sample 1", "0 or 1"]);
    drop(Writer::new(&path).put::<f32>("x", &[0, 2], &[]).put::<u8>("y", &[0], &[]));
    fails(&["array `x`"]);
    drop(Writer::new(&path).put("weights", &[1], &[1.0f32]));
    fails(&["weights"]);
    let absent = open(&at(&dir.path().join("b.npz"), "all"), None).unwrap_err();
    assert!(absent.to_string().contains("b.npz") && absent.exit_code() == 2);
}

#[test]
fn registry_names_reject_labels_outside_their_classes() {
    let dir = tempfile::tempdir().unwrap();
    Writer::new(&dir.path().join("pneumoniamnist.npz")).put("test_images", &[1, 2, 2], &[1u8, 2, 3, 4]).put(
        "test_labels",
        &[1, 1],
        &[2u8],
    );
    let mut request = Request::named("pneumoniamnist", "test");
    request.data_dir = Some(dir.path().to_path_buf());
    let text = message(open(&request, None));
    assert!(text.contains("label of sample 0") && text.contains("normal, pneumonia"), "{text}");
}

#[test]
fn limit_is_stratified_and_does_not_depend_on_other_samples() {
    let all = ecg::generate("val", 0).unwrap();
    let small = all.limited(100, 3).unwrap();
    assert_eq!(small.len(), 100);
    assert!(small.index.windows(2).all(|pair| pair[0] < pair[1]));
    let (Labels::Class(few), Labels::Class(many)) = (&small.labels, &all.labels) else { panic!() };
    for class in 0..5 {
        let share =
            |labels: &[u32]| labels.iter().filter(|&&l| l == class).count() as f64 / labels.len() as f64;
        assert!((share(few) - share(many)).abs() < 0.011, "class {class}");
    }
    // The same samples in another order: the same subset.
    let mut order: Vec<usize> = (0..all.len()).collect();
    order.reverse();
    let mut again = all.subset(&order).unwrap().limited(100, 3).unwrap().index;
    again.sort_unstable();
    assert_eq!(again, small.index);
    assert_ne!(all.limited(100, 4).unwrap().index, small.index);
    // A larger limit keeps what a smaller one had.
    let larger = all.limited(300, 3).unwrap();
    assert!(small.index.iter().filter(|i| larger.index.contains(i)).count() >= 99);
    for (position, index) in small.index.iter().enumerate() {
        let original = all.index.iter().position(|i| i == index).unwrap();
        assert_eq!(small.sample(position), all.sample(original));
        assert_eq!(small.group.as_ref().unwrap()[position], all.group.as_ref().unwrap()[original]);
    }
    assert!(all.limited(0, 3).is_err());
    assert!(all.subset(&[all.len()]).is_err());
}

#[test]
fn fingerprint_follows_every_value_label_and_index() {
    let set = phantom::generate("val", 0).unwrap().limited(10, 0).unwrap();
    let print = set.sample_set_sha256();
    assert_eq!(print, set.clone().sample_set_sha256());
    let mut value = set.clone();
    value.values[17] += 1.0;
    let mut index = set.clone();
    index.index[3] += 1;
    let mut label = set.clone();
    let Labels::Class(labels) = &mut label.labels else { panic!() };
    labels[0] = 1 - labels[0];
    for other in [&value, &index, &label] {
        assert_ne!(other.sample_set_sha256(), print);
    }
}

const SPEC: &str = r#"
outcome = "event == 1 && time <= 180"
undecided = "event == 0 && time < 180"
classes = ["alive", "dead"]
drop = ["id"]
immutable = ["age", "sex"]
log1p = ["bili"]
[impute]
indicators = true
[impute.columns]
bili = 1.5
[bands.age_band]
column = "age"
cuts = [40, 60]
"#;

/// 200 rows; every 7th bilirubin is missing, every 11th row censored too early, one outcome missing.
fn cohort(change: impl Fn(usize) -> f64) -> Table {
    let mut csv = String::from("id,event,time,age,sex,bili,stage\n");
    for row in 0..200usize {
        let event = usize::from(row % 3 == 0);
        let time = if row % 11 == 5 { 20 } else { 100 + 400 * usize::from(event == 0) };
        let time = if row == 4 { String::new() } else { time.to_string() };
        let bili =
            if row % 7 == 0 { String::new() } else { format!("{}", 0.3 * (row % 13) as f64 * change(row)) };
        let (age, sex, stage) = (20.5 + (row % 60) as f64, ["F", "M"][row % 2], ["I", "II", "III"][row % 3]);
        csv += &format!("{row},{event},{time},{},{sex},{bili},{stage}\n", age * change(row));
    }
    Table::from_csv("cohort.csv", csv.as_bytes()).unwrap()
}

#[test]
fn table_becomes_features_in_physical_units() {
    let spec = Spec::from_toml("t", SPEC).unwrap();
    let table = cohort(|_| 1.0);
    let fitted = Preprocess::fit(&spec, &table).unwrap();
    let all = fitted.apply(&table, "all").unwrap();
    let names = ["age", "sex=F", "sex=M", "bili", "bili is missing", "stage=I", "stage=II", "stage=III"];
    assert_eq!(all.domain.features, names);
    assert_eq!(all.domain.one_hot, [1..3, 5..8]);
    assert_eq!(all.domain.immutable, [true, true, true, false, true, false, false, false]);
    assert_eq!(all.unit, "sd");
    // Row 5 is censored at day 20, row 4 lacks its time and has no event: false whatever the time, but undecided.
    assert!(!all.index.contains(&5) && !all.index.contains(&4) && all.index.contains(&6));
    let third = all.index.iter().position(|&i| i == 3).unwrap();
    assert_eq!(all.sample(third), [23.5, 0.0, 1.0, (0.9f64).ln_1p() as f32, 0.0, 1.0, 0.0, 0.0]);
    let seventh = all.index.iter().position(|&i| i == 7).unwrap();
    assert_eq!(all.sample(seventh)[3..5], [(1.5f64).ln_1p() as f32, 1.0]);
    assert_eq!(all.subgroups["age_band"][third], "<40");
    let (mean, std) = fitted.input_mean_std();
    assert_eq!((mean.len(), mean[1], std[1], std[0]), (8, 0.0, 1.0, all.domain.scale[0]));
    // Over the train split, (x - mean) / std has mean 0 and variance 1 (f32 sums of about 130 values).
    let train = fitted.apply(&table, "train").unwrap();
    for feature in [0, 3] {
        let z: Vec<f64> = (0..train.len())
            .map(|i| f64::from((train.sample(i)[feature] - mean[feature]) / std[feature]))
            .collect();
        let average = z.iter().sum::<f64>() / z.len() as f64;
        let variance = z.iter().map(|v| v * v).sum::<f64>() / z.len() as f64;
        assert!(average.abs() < 1e-5 && (variance - 1.0).abs() < 1e-5, "{average} {variance}");
    }
    let parts: usize =
        ["train", "val", "test"].map(|split| fitted.apply(&table, split).unwrap().len()).iter().sum();
    assert_eq!(parts, all.len());
    for sample in 0..all.len() {
        for (feature, value) in all.sample(sample).iter().enumerate() {
            assert!((all.domain.low[feature]..=all.domain.high[feature]).contains(value));
        }
    }
}

#[test]
fn fit_sees_the_train_split_only() {
    let spec = Spec::from_toml("t", SPEC).unwrap();
    let table = cohort(|_| 1.0);
    let fitted = Preprocess::fit(&spec, &table).unwrap();
    let train = fitted.apply(&table, "train").unwrap().index;
    let elsewhere = cohort(|row| if train.contains(&(row as u64)) { 1.0 } else { 1000.0 });
    assert_eq!(Preprocess::fit(&spec, &elsewhere).unwrap().columns, fitted.columns);
    let within = cohort(|row| if train.contains(&(row as u64)) { 1.5 } else { 1.0 });
    assert_ne!(Preprocess::fit(&spec, &within).unwrap().columns, fitted.columns);
    // Values far outside of train's range are clipped to it, not passed on.
    let test = fitted.apply(&elsewhere, "test").unwrap();
    assert!((0..test.len()).all(|i| test.sample(i)[0] <= test.domain.high[0]));
}

#[test]
fn saved_preprocess_gives_identical_values() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("preprocess.json");
    let table = cohort(|row| 1.0 + row as f64 / 7.0);
    for scale in ["z", "quantile", "none"] {
        let spec = Spec::from_toml("t", &format!("{SPEC}[scale]\ndefault = \"{scale}\"\n")).unwrap();
        let fitted = Preprocess::fit(&spec, &table).unwrap();
        fitted.save(&path).unwrap();
        let loaded = Preprocess::load(&path).unwrap();
        assert_eq!(loaded, fitted);
        let (a, b) = (fitted.apply(&table, "test").unwrap(), loaded.apply(&table, "test").unwrap());
        assert_eq!(a.sample_set_sha256(), b.sample_set_sha256());
        assert_eq!(
            a.unit,
            match scale {
                "z" => "sd",
                "none" => "value",
                other => other,
            }
        );
        if scale == "quantile" {
            assert!(a.values.iter().all(|v| (0.0..=1.0).contains(v)));
            assert_eq!(fitted.input_mean_std().1, vec![1.0; 8]);
        }
    }
    std::fs::write(&path, "{}").unwrap();
    assert!(Preprocess::load(&path).unwrap_err().to_string().contains("preprocess.json"));
}

#[test]
fn groups_are_never_in_two_splits() {
    let mut csv = String::from("patient,dead,x\n");
    for row in 0..600 {
        csv += &format!("p{},{},{}\n", row % 97, row % 2, row);
    }
    let table = Table::from_csv("t.csv", csv.as_bytes()).unwrap();
    let spec =
        Spec::from_toml("t", "outcome = \"dead\"\nclasses = [\"a\", \"b\"]\ngroup = \"patient\"\n").unwrap();
    let fitted = Preprocess::fit(&spec, &table).unwrap();
    let groups = |split| fitted.apply(&table, split).unwrap().group.unwrap();
    let (train, val, test) = (groups("train"), groups("val"), groups("test"));
    assert!(test.iter().all(|g| !train.contains(g) && !val.contains(g)));
    assert!(val.iter().all(|g| !train.contains(g)));
    // 0.2 of 97 groups, four standard deviations of a binomial either way.
    assert!((20..=220).contains(&test.len()), "{}", test.len());
    assert_eq!(fitted.features(), ["x"]);
}

#[test]
fn csv_by_path_uses_the_spec_beside_it_and_names_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.csv");
    let mut csv = String::from("dead,x,c\n");
    (0..100).for_each(|row| csv += &format!("{},{},{}\n", row % 2, row, ["u", "v"][row % 2]));
    std::fs::write(&path, &csv).unwrap();
    assert!(message(open(&at(&path, "test"), None)).contains("t.toml"));
    let spec = dir.path().join("t.toml");
    let with = |text: &str| {
        std::fs::write(&spec, text).unwrap();
        open_fitted(&at(&path, "test"), None)
    };
    let (test, fitted) = with("outcome = \"dead == 1\"\nclasses = [\"a\", \"b\"]\n").unwrap();
    assert_eq!(test.shape, [3]);
    // The model's own preprocessing is used where it is given, whatever lies beside the file.
    std::fs::remove_file(&spec).unwrap();
    let again = open(&at(&path, "test"), fitted.as_ref()).unwrap();
    assert_eq!(again.sample_set_sha256(), test.sample_set_sha256());
    let fails = |text: &str, needle: &str| {
        let error = with(text).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(needle), "{error}");
    };
    fails("outcome = \"dead == 1\"\nclasses = [\"a\", \"b\"]\ndrop = [\"y\"]\n", "no column `y`");
    fails("outcome = \"died == 1\"\nclasses = [\"a\", \"b\"]\n", "no column `died`");
    fails("outcome = \"x\"\nclasses = [\"a\", \"b\"]\n", "outcome, row 2");
    fails("outcome = \"dead == 3\"\nclasses = [\"a\"]\n", "classes");
    fails("outcome = \"dead == 1\"\nclasses = [\"a\", \"b\"]\ndorp = [\"x\"]\n", "dorp");
    std::fs::write(&path, csv.replace("99,v", "99,w")).unwrap();
    let table = Table::read(&path).unwrap();
    let text = fitted.unwrap().apply(&table, "all").unwrap_err().to_string();
    assert!(text.contains("column `c`, row 99") && text.contains("`w`"), "{text}");
    std::fs::write(&path, "dead,x,c\n").unwrap();
    assert!(with("outcome = \"dead == 1\"\nclasses = [\"a\", \"b\"]\n").is_err());
}

#[test]
fn parquet_columns_become_numbers_and_categories() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("t.parquet");
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("x", Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::NAN)]))),
        ("n", Arc::new(Int32Array::from(vec![1, -2, 3]))),
        ("b", Arc::new(BooleanArray::from(vec![true, false, true]))),
        ("s", Arc::new(StringArray::from(vec![Some("u"), None, Some("v")]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = std::fs::File::create(&path).unwrap();
    let mut writer = parquet::arrow::ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let table = Table::read(&path).unwrap();
    assert_eq!(table.column("x"), Some(&Column::Number(vec![Some(1.5), None, None])));
    assert_eq!(table.column("n"), Some(&Column::Number(vec![Some(1.0), Some(-2.0), Some(3.0)])));
    assert_eq!(table.column("b"), Some(&Column::Number(vec![Some(1.0), Some(0.0), Some(1.0)])));
    assert_eq!(table.column("s").unwrap().text(2), Some("v".into()));
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    assert!(Table::read(&path).unwrap_err().to_string().contains("t.parquet"));
}

#[test]
fn beats_npz_is_written_and_read_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (path, twin) = (dir.path().join("a.npz"), dir.path().join("b.npz"));
    let beat = |k: usize, record: u16| Beat {
        signal: (0..beats::LENGTH).map(|s| (s * k % 2048) as i16 - 3).collect(),
        class: (k % 5) as u8,
        record,
        rr_samples: 300 + k as i32,
    };
    let all: Vec<Beat> = (0..40).map(|k| beat(k, [101, 109, 100, 234][k % 4])).collect();
    beats::write(&all, &path).unwrap();
    beats::write(&all, &twin).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&twin).unwrap());
    assert_eq!(beats::read(&path).unwrap(), all);
    let val = open(&at(&path, "val"), None).unwrap();
    assert_eq!((val.shape.clone(), val.unit.as_str(), val.len()), (vec![1, 256, 1], "mV", 10));
    assert!(val.group.as_ref().unwrap().iter().all(|record| record == "109"));
    assert_eq!(val.sample(0)[5], (f32::from(all[1].signal[5]) - 1024.0) / 200.0);
    assert_eq!((val.domain.low[0], val.domain.high[0]), (-5.12, 5.115));
    assert_eq!(open(&at(&path, "test"), None).unwrap().len(), 20);
    let mut swapped = all.clone();
    swapped[0].class = 9;
    beats::write(&swapped, &path).unwrap();
    assert!(message(open(&at(&path, "all"), None)).contains("array `label`, entry 0"));
}

#[test]
fn manifest_lists_images() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, side: u32, bytes: &[u8], depth: png::BitDepth| {
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        let mut encoder = png::Encoder::new(file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    };
    write("a.png", 2, &[0, 10, 20, 255], png::BitDepth::Eight);
    write("b.png", 2, &[0, 0, 255, 255, 0x01, 0x01, 0x80, 0x80], png::BitDepth::Sixteen);
    let path = dir.path().join("m.csv");
    std::fs::write(&path, "path,label,patient,sex,split\na.png,ill,p1,F,test\nb.png,well,p2,M,train\n")
        .unwrap();
    let mut request = Request::new(Source::Manifest(path.clone()), "all");
    request.subgroups = vec!["sex".into()];
    let all = open(&request, None).unwrap();
    assert_eq!(
        (all.shape.clone(), all.classes.clone()),
        (vec![2, 2, 1], vec!["ill".to_string(), "well".into()])
    );
    assert_eq!(all.values, [0.0, 10.0, 20.0, 255.0, 0.0, 255.0, 1.0, 128.0]);
    assert_eq!(
        (all.group.clone().unwrap(), all.subgroups["sex"].clone()),
        (vec!["p1".to_string(), "p2".into()], vec!["F".to_string(), "M".into()])
    );
    assert_eq!(open(&Request::new(Source::Manifest(path.clone()), "test"), None).unwrap().index, [0]);
    write("b.png", 3, &[1; 9], png::BitDepth::Eight);
    assert!(message(open(&request, None)).contains("as the first image"));
    std::fs::write(dir.path().join("b.png"), b"\x89PNG\r\n\x1a\nxx").unwrap();
    assert!(message(open(&request, None)).contains("b.png"));
    std::fs::remove_file(dir.path().join("b.png")).unwrap();
    assert!(message(open(&request, None)).contains("b.png"));
}

#[test]
fn embedded_support2_has_its_published_outcome() {
    let mut request = Request::named("support2", "all");
    request.data_dir = Some(PathBuf::from("experiments/data"));
    request.subgroups = vec!["sex".into(), "age_band".into()];
    let (all, fitted) = open_fitted(&request, None).unwrap();
    let Labels::Class(labels) = &all.labels else { panic!() };
    // 4,265 of 9,105 died within 180 days (46.8%); nobody was lost earlier.
    assert_eq!((all.len(), labels.iter().filter(|&&l| l == 1).count()), (9105, 4265));
    assert!(!all.synthetic && all.group.is_none());
    assert_eq!(all.subgroups["sex"].iter().filter(|s| *s == "female").count(), 3980);
    let features = fitted.unwrap().features();
    for leak in ["event", "time", "sps", "surv2m", "surv6m", "dnr", "sfdm2", "pid"] {
        assert!(features.iter().all(|f| f != leak && !f.starts_with(&format!("{leak}="))), "{leak}");
    }
}

/// Area under the ROC curve by the rank sum; ties count half.
fn auc(scores: &[f64], labels: &[u32]) -> f64 {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut ranks = vec![0.0; scores.len()];
    let mut first = 0;
    for run in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        run.iter().for_each(|&i| ranks[i] = first as f64 + (run.len() + 1) as f64 / 2.0);
        first += run.len();
    }
    let positives = labels.iter().filter(|&&l| l == 1).count() as f64;
    let sum: f64 = ranks.iter().zip(labels).filter(|(_, l)| **l == 1).map(|(rank, _)| rank).sum();
    (sum - positives * (positives + 1.0) / 2.0) / (positives * (scores.len() as f64 - positives))
}

/// Ridge least squares on labels 0 and 1, by conjugate gradients: the plainest linear model there is.
fn linear_scores(train: &Dataset, test: &Dataset, positive: u32, ridge: f64) -> (Vec<f64>, Vec<u32>) {
    let d = train.sample_len();
    let (mut mean, mut sd) = (vec![0.0; d], vec![0.0; d]);
    let n = train.len() as f64;
    for i in 0..train.len() {
        train.sample(i).iter().zip(&mut mean).for_each(|(v, m)| *m += f64::from(*v) / n);
    }
    for i in 0..train.len() {
        for k in 0..d {
            sd[k] += (f64::from(train.sample(i)[k]) - mean[k]).powi(2) / n;
        }
    }
    let row = |set: &Dataset, i: usize| -> Vec<f64> {
        set.sample(i)
            .iter()
            .enumerate()
            .map(|(k, v)| (f64::from(*v) - mean[k]) / (sd[k].sqrt() + 1e-6))
            .collect()
    };
    let is = |set: &Dataset, i: usize| match &set.labels {
        Labels::Class(labels) => u32::from(labels[i] == positive),
        Labels::Findings(_) => 0,
    };
    let share = (0..train.len()).map(|i| f64::from(is(train, i))).sum::<f64>() / n;
    let rows: Vec<Vec<f64>> = (0..train.len()).map(|i| row(train, i)).collect();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut residual = vec![0.0; d];
    for (i, x) in rows.iter().enumerate() {
        let y = f64::from(is(train, i)) - share;
        residual.iter_mut().zip(x).for_each(|(r, v)| *r += v * y);
    }
    let (mut weights, mut direction, mut old) = (vec![0.0; d], residual.clone(), dot(&residual, &residual));
    for _ in 0..60 {
        let mut image: Vec<f64> = direction.iter().map(|v| v * ridge * n).collect();
        for x in &rows {
            let along = dot(x, &direction);
            image.iter_mut().zip(x).for_each(|(r, v)| *r += v * along);
        }
        let step = old / dot(&direction, &image).max(1e-300);
        for k in 0..d {
            weights[k] += step * direction[k];
            residual[k] -= step * image[k];
        }
        let new = dot(&residual, &residual);
        direction.iter_mut().zip(&residual).for_each(|(p, r)| *p = r + new / old * *p);
        old = new;
        if new < 1e-12 {
            break;
        }
    }
    (
        (0..test.len()).map(|i| dot(&row(test, i), &weights)).collect(),
        (0..test.len()).map(|i| is(test, i)).collect(),
    )
}

#[test]
fn support2_features_predict_death_about_as_well_as_published_baselines() {
    let (train, fitted) = open_fitted(&Request::named("support2", "train"), None).unwrap();
    let test = open(&Request::named("support2", "test"), fitted.as_ref()).unwrap();
    let (scores, labels) = linear_scores(&train, &test, 1, 1e-3);
    let auc = auc(&scores, &labels);
    println!(
        "support2: {} features, {} / {} rows, linear AUC {auc:.4}",
        train.shape[0],
        train.len(),
        test.len()
    );
    // Logistic regression on this cohort has 0.757; a leak would show as far more, a broken column as less.
    assert!((0.73..0.80).contains(&auc), "{auc}");
}

/// For each test image the largest 3x3 excess over the clear train images, in their standard deviations, after taking
/// off the image's own mean: what one convolution and a maximum could see.
fn brightest_spots(train: &Dataset, test: &Dataset) -> Vec<f64> {
    let side = phantom::SIDE;
    let blurred = |set: &Dataset, i: usize| -> Vec<f64> {
        let image = set.sample(i);
        let mean = image.iter().map(|&v| f64::from(v)).sum::<f64>() / image.len() as f64;
        let spot = |row: usize, column: usize| {
            let around =
                (row - 1..=row + 1).flat_map(|r| (column - 1..=column + 1).map(move |c| r * side + c));
            around.map(|at| f64::from(image[at])).sum::<f64>() / 9.0 - mean
        };
        (1..side - 1)
            .flat_map(|row| (1..side - 1).map(move |column| (row, column)))
            .map(|(r, c)| spot(r, c))
            .collect()
    };
    let Labels::Class(labels) = &train.labels else { panic!("classes") };
    let clear: Vec<Vec<f64>> =
        (0..train.len()).filter(|&i| labels[i] == 0).map(|i| blurred(train, i)).collect();
    let n = clear.len() as f64;
    let mean: Vec<f64> = (0..clear[0].len()).map(|k| clear.iter().map(|v| v[k]).sum::<f64>() / n).collect();
    let sd: Vec<f64> = (0..mean.len())
        .map(|k| (clear.iter().map(|v| (v[k] - mean[k]).powi(2)).sum::<f64>() / n).sqrt())
        .collect();
    (0..test.len())
        .map(|i| {
            let excess = blurred(test, i).into_iter().enumerate().map(|(k, v)| (v - mean[k]) / sd[k]);
            excess.fold(f64::NEG_INFINITY, f64::max)
        })
        .collect()
}

#[test]
fn synthetic_sets_can_be_learnt_but_not_by_a_straight_line_alone() {
    let (train, test) = (phantom::generate("train", 0).unwrap(), phantom::generate("test", 0).unwrap());
    let (scores, labels) = linear_scores(&train, &test, 1, 0.1);
    let area = auc(&scores, &labels);
    println!("cxr-phantom: linear AUC {area:.4}");
    assert!((0.55..0.97).contains(&area), "{area}");
    let found: Vec<f64> = brightest_spots(&train, &test);
    let area = auc(&found, &labels);
    println!("cxr-phantom: AUC of the spot that is brightest against clear images {area:.4}");
    assert!((0.75..0.98).contains(&area), "{area}");
    let (train, test) = (ecg::generate("train", 0).unwrap(), ecg::generate("test", 0).unwrap());
    for (class, name) in beats::CLASSES.iter().enumerate() {
        let (scores, labels) = linear_scores(&train, &test, class as u32, 0.05);
        let area = auc(&scores, &labels);
        println!("ecg-synthetic: {name} against the rest, linear AUC {area:.4}");
        assert!((0.55..0.995).contains(&area), "{name} {area}");
    }
}
