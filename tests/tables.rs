//! Tables: from columns and a spec to features, fitted on the train split alone; what bad tables get.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, RecordBatch, StringArray};
use percuss::data::preprocess::Preprocess;
use percuss::data::spec::Spec;
use percuss::data::table::{Column, Table};
use percuss::data::{Labels, Request, Source, open, open_fitted};
use support::files::{at, message};

const SPEC: &str = r#"
outcome = "event == 1 && time <= 180"
undecided = "event == 0 && time < 180"
classes = ["alive", "dead"]
drop = ["id"]
immutable = ["age", "sex"]
log1p = ["bili"]
split = { key = "id" }
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
    // Values far outside of train's range are fed as they are, and the domain holds them.
    let test = fitted.apply(&elsewhere, "test").unwrap();
    let most = (0..test.len()).map(|i| test.sample(i)[0]).fold(0.0, f32::max);
    assert!(most > 20_000.0 && test.domain.high[0] == most, "{most}");
    assert!(test.remarks.iter().any(|remark| remark.flag == Some("far-column")), "{:?}", test.remarks);
    // Unless clipping was asked for.
    let spec = Spec { clip: true, ..spec };
    let clipped = Preprocess::fit(&spec, &table).unwrap().apply(&elsewhere, "test").unwrap();
    let most = (0..clipped.len()).map(|i| clipped.sample(i)[0]).fold(0.0, f32::max);
    assert_eq!(most, clipped.domain.high[0]);
    assert!(most <= 80.0 && clipped.remarks.iter().any(|remark| remark.text.contains("are cut")), "{most}");
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
        csv += &format!("p{},{},{}\n", row % 97, row % 2, row * 3);
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
    (0..100).for_each(|row| csv += &format!("{},{},{}\n", row % 2, row + 5, ["u", "v"][row % 2]));
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
    fails("outcome = \"x\"\nclasses = [\"a\", \"b\"]\n", "outcome, row");
    fails("outcome = \"dead == 3\"\nclasses = [\"a\"]\n", "classes");
    fails("outcome = \"dead == 1\"\nclasses = [\"a\", \"b\"]\ndorp = [\"x\"]\n", "dorp");
    std::fs::write(&path, csv.replace("104,v", "104,w")).unwrap();
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

#[test]
fn a_table_beyond_the_limit_of_memory_is_refused_before_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let row = |i: usize| format!("{}.5,{}\n", i * 7919 % 50_021, i % 2);
    let text = format!("a,y\n{}", (0..50_000).map(row).collect::<String>());
    std::fs::write(
        dir.path().join("t.toml"),
        "outcome = \"y\"\nclasses = [\"n\", \"p\"]\nsplit = { test = 0.2, val = 0.16, seed = 0 }\n",
    )
    .unwrap();
    std::fs::write(dir.path().join("t.csv"), &text).unwrap();
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::Write::write_all(&mut packed, text.as_bytes()).unwrap();
    std::fs::write(dir.path().join("t.csv.gz"), packed.finish().unwrap()).unwrap();
    for file in ["t.csv", "t.csv.gz"] {
        let within = |bytes| {
            let memory = percuss::memory::Room::of(Some(bytes));
            let request = Request { memory, ..Request::new(Source::Path(dir.path().join(file)), "test") };
            open(&request, None)
        };
        // 100,000 short cells take far more than their text of half a megabyte.
        assert_eq!(within(8_000_000).unwrap().shape, [1]);
        assert!(within(4_000_000).unwrap_err().to_string().contains("line "));
        let error = within(1_000_000).unwrap_err().to_string();
        assert!(error.contains("--memory"), "{file}: {error}");
    }
}
