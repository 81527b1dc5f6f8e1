//! Who a row is: splits that follow it into other files, what a model remembers, columns that are no features, columns that tell too much.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Date32Array, Decimal128Array, FixedSizeBinaryArray, Float64Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::{BrotliLevel, Compression};
use parquet::file::properties::WriterProperties;
use percuss::data::preprocess::Preprocess;
use percuss::data::spec::Spec;
use percuss::data::table::{Column, Table};
use percuss::data::{Dataset, Remark, Request, open, open_fitted};
use support::files::{at, message};
use support::unit;

const N: usize = 300;
const SPEC: &str = "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n";

fn spec(keys: &str) -> Spec {
    Spec::from_toml("t.toml", &format!("{keys}\n{SPEC}")).unwrap()
}

/// Two features of noise, of any f64, and a random outcome.
fn rows() -> Vec<(f64, f64, usize)> {
    let (a, b, y) = (unit("a", N), unit("b", N), unit("y", N));
    (0..N).map(|i| (f64::from(a[i]) / 3.0, f64::from(b[i]) * 7.0 - 1.0, usize::from(y[i] > 0.5))).collect()
}

fn csv(rows: &[(f64, f64, usize)]) -> String {
    rows.iter().fold("a,b,y".into(), |text, (a, b, y)| text + &format!("\n{a},{b},{y}"))
}

fn table(text: &str) -> Table {
    Table::from_csv("t.csv", text.as_bytes()).unwrap()
}

fn flagged<'a>(data: &'a Dataset, flag: &str) -> Option<&'a Remark> {
    data.remarks.iter().find(|remark| remark.flag == Some(flag))
}

/// The samples of each split, as bits.
fn members(fitted: &Preprocess, table: &Table) -> BTreeMap<Vec<u32>, &'static str> {
    let mut members = BTreeMap::new();
    for split in ["train", "val", "test"] {
        let data = fitted.apply(table, split).unwrap();
        (0..data.len()).for_each(|i| {
            members.insert(data.sample(i).iter().map(|v| v.to_bits()).collect(), split);
        });
    }
    members
}

#[test]
fn a_row_is_in_the_same_split_of_any_file() {
    let rows = rows();
    let fitted = Preprocess::fit(&spec(""), &table(&csv(&rows))).unwrap();
    let known = members(&fitted, &table(&csv(&rows)));
    assert_eq!(known.len(), N);
    // 0.2 of 300, four standard deviations of a binomial either way.
    let tests = known.values().filter(|split| **split == "test").count();
    assert!((32..=88).contains(&tests), "{tests}");
    let mut sorted = rows.clone();
    sorted.sort_by(|a, b| b.2.cmp(&a.2).then(a.0.total_cmp(&b.0)));
    let filtered: Vec<_> = rows.iter().copied().filter(|row| row.0 < 0.2).collect();
    let extended: Vec<_> =
        sorted.iter().copied().chain((0..50).map(|i| (f64::from(i) + 9.5, 0.25, 1))).collect();
    let reordered =
        rows.iter().fold("note,y,b,a".to_string(), |text, (a, b, y)| text + &format!("\nx,{y},{b},{a}"));
    for text in [csv(&sorted), csv(&filtered), csv(&extended), reordered] {
        let other = members(&fitted, &table(&text));
        let same = other.iter().filter(|(row, split)| known.get(*row) == Some(split)).count();
        assert!(same == other.len() || (same == N && other.len() == N + 50), "{same} of {}", other.len());
    }
    // A file with another digest is told of.
    let other = fitted.apply(&table(&csv(&sorted)), "test").unwrap();
    assert!(
        other.remarks.iter().any(|remark| remark.text.starts_with("another file")),
        "{:?}",
        other.remarks
    );
}

#[test]
fn a_model_knows_the_rows_that_it_has_seen() {
    let rows = rows();
    let mut fitted = Preprocess::fit(&spec(""), &table(&csv(&rows))).unwrap();
    let train = fitted.apply(&table(&csv(&rows)), "train").unwrap();
    fitted.remember(&train);
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("v3");
    std::fs::create_dir(&model).unwrap();
    let path = model.join("preprocess.json");
    fitted.save(&path).unwrap();
    fitted.save_seen(&model).unwrap();
    let loaded = Preprocess::load(&path).unwrap();
    assert_eq!(loaded, fitted);
    // The folder alone, as it is passed on, tells of no row; nor does the list of another training.
    let said = std::fs::read_to_string(&path).unwrap();
    assert!(!said.contains("\"seen\":"), "{said}");
    let elsewhere = tempfile::tempdir().unwrap();
    let passed_on = elsewhere.path().join("v3/preprocess.json");
    std::fs::create_dir(elsewhere.path().join("v3")).unwrap();
    std::fs::copy(&path, &passed_on).unwrap();
    let forgetful = Preprocess::load(&passed_on).unwrap();
    let told = forgetful.apply(&table(&csv(&rows)), "test").unwrap();
    assert!(told.remarks.iter().any(|remark| remark.text.contains("MODEL.seen.json")), "{:?}", told.remarks);
    let list = std::fs::read_to_string(folder.path().join("v3.seen.json")).unwrap();
    std::fs::write(
        elsewhere.path().join("v3.seen.json"),
        list.replacen("_sha256\": \"", "_sha256\": \"0", 1),
    )
    .unwrap();
    assert_eq!(Preprocess::load(&passed_on).unwrap(), forgetful);
    std::fs::write(elsewhere.path().join("v3.seen.json"), list).unwrap();
    assert_eq!(Preprocess::load(&passed_on).unwrap(), fitted);
    let test = loaded.apply(&table(&csv(&rows)), "test").unwrap();
    assert!(flagged(&test, "seen-in-training").is_none(), "{:?}", test.remarks);
    // Thirty rows of the train split among the test rows of another file, in another order.
    let seen = train.index[..30].iter().map(|&i| rows[i as usize]);
    let mixed: Vec<_> = seen.chain(test.index.iter().map(|&i| rows[i as usize])).rev().collect();
    let all = loaded.apply(&table(&csv(&mixed)), "all").unwrap();
    let remark = flagged(&all, "seen-in-training").expect("a warning");
    assert!(remark.text.starts_with(&format!("30 of {}", mixed.len())), "{remark}");
}

#[test]
fn a_column_of_folds_is_splits_by_the_line_of_the_refusal() {
    let text: String =
        (0..40).fold("a,fold,y".into(), |text, k| text + &format!("\n{}.5,{},{}", k * 7 % 11, k % 10, k % 2));
    let error =
        Preprocess::fit(&spec("split = { column = \"fold\" }"), &table(&text)).unwrap_err().to_string();
    assert!(error.contains("values = { val = [9], test = [10] }"), "{error}");
    let folds = spec("split = { column = \"fold\", values = { val = [8], test = [9, 0] } }");
    let fitted = Preprocess::fit(&folds, &table(&text)).unwrap();
    let rows = |split: &str| fitted.apply(&table(&text), split).unwrap().index;
    let of = |wanted: &[u64]| (0..40).filter(|k| wanted.contains(&(k % 10))).collect::<Vec<u64>>();
    assert_eq!((rows("test"), rows("val")), (of(&[9, 0]), of(&[8])));
    assert_eq!(rows("train"), of(&[1, 2, 3, 4, 5, 6, 7]));
    let saved = serde_json::to_string(&fitted).unwrap();
    let again: Preprocess = serde_json::from_str(&saved).unwrap();
    assert_eq!(again.apply(&table(&text), "test").unwrap().index, of(&[9, 0]));
}

#[test]
fn splits_by_the_numbers_of_rows_are_of_one_file_alone() {
    let rows = rows();
    let fitted = Preprocess::fit(&spec("split = { by = \"row\" }"), &table(&csv(&rows))).unwrap();
    assert_eq!(fitted.apply(&table(&csv(&rows)), "all").unwrap().len(), N);
    assert!(fitted.apply(&table(&csv(&rows)), "test").is_ok());
    let mut sorted = rows.clone();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let error = fitted.apply(&table(&csv(&sorted)), "test").unwrap_err().to_string();
    assert!(error.contains("another file") && error.contains("split = \"all\""), "{error}");
    assert_eq!(fitted.apply(&table(&csv(&sorted)), "all").unwrap().len(), N);
}

#[test]
fn a_model_of_the_first_format_gets_the_rows_that_it_always_had() {
    let fitted = Preprocess::load(Path::new("experiments/models/support2-mlp/preprocess.json")).unwrap();
    assert_eq!(fitted.format, 1);
    let mut request = Request::named("support2", "test");
    request.data_dir = Some("experiments/data".into());
    let test = open(&request, Some(&fitted)).unwrap();
    // As many as its config.json says it was measured on, by the hash of their numbers (computed apart).
    assert_eq!((test.len(), &test.index[..6]), (1757, &[5, 6, 7, 9, 14, 17][..]));
    assert!((0..test.len()).all(|i| {
        let inside = |(k, v): (usize, &f32)| (test.domain.low[k]..=test.domain.high[k]).contains(v);
        test.sample(i).iter().enumerate().all(inside)
    }));
    assert!(test.remarks.iter().any(|remark| remark.text.contains("are cut to it")), "{:?}", test.remarks);
    // The same spec fitted today takes the same rows, and feeds what lies beyond the range as it is.
    let (today, _) = open_fitted(&request, None).unwrap();
    assert_eq!(today.index, test.index);
    let urine = today.domain.features.iter().position(|f| f == "urine").unwrap();
    assert!(today.domain.high[urine] > test.domain.high[urine]);
}

#[test]
fn numbers_of_rows_are_no_features() {
    let rows = rows();
    for (header, first) in [("", 0), ("Unnamed: 0", 0), ("__index_level_0__", 7), ("patient_row", 1)] {
        let text = rows.iter().enumerate().fold(format!("{header},a,b,y"), |text, (i, (a, b, y))| {
            text + &format!("\n{},{a},{b},{y}", i + first)
        });
        let fitted = Preprocess::fit(&spec(""), &table(&text)).unwrap();
        assert_eq!(fitted.features(), ["a", "b"], "{header}");
        let data = fitted.apply(&table(&text), "test").unwrap();
        assert!(
            data.remarks.iter().any(|remark| remark.text.contains("numbers the rows")),
            "{:?}",
            data.remarks
        );
    }
}

#[test]
fn a_column_that_tells_the_outcome_is_told() {
    let rows = rows();
    let text = rows.iter().enumerate().fold("a,b,discharge,y".to_string(), |text, (i, (a, b, y))| {
        text + &format!("\n{a},{b},{},{y}", if *y == 1 { "morgue" } else { ["home", "ward"][i % 2] })
    });
    let data = Preprocess::fit(&spec(""), &table(&text)).unwrap().apply(&table(&text), "test").unwrap();
    let remark = flagged(&data, "tells-outcome").expect("a warning");
    assert!(
        remark.text.contains("`discharge`") && remark.text.contains("drop = [\"discharge\"]"),
        "{remark}"
    );
    let text = csv(&rows);
    let data = Preprocess::fit(&spec(""), &table(&text)).unwrap().apply(&table(&text), "test").unwrap();
    assert!(flagged(&data, "tells-outcome").is_none());
}

#[test]
fn another_unit_and_other_categories_are_told_or_refused() {
    let of = |years: f64, sexes: [&str; 2]| {
        let rows = rows();
        rows.iter().enumerate().fold("age,sex,y".to_string(), |text, (i, (a, _, y))| {
            text + &format!("\n{},{},{y}", (20.0 + a * 200.0) * years, sexes[i % 2])
        })
    };
    let fitted = Preprocess::fit(&spec("unseen = \"mode\""), &table(&of(1.0, ["f", "m"]))).unwrap();
    let same = fitted.apply(&table(&of(1.0, ["f", "m"])), "test").unwrap();
    assert!(same.remarks.iter().all(|remark| remark.flag.is_none()), "{:?}", same.remarks);
    let months = fitted.apply(&table(&of(12.0, ["f", "m"])), "all").unwrap();
    assert!(flagged(&months, "far-column").is_some_and(|r| r.text.contains("age (")), "{:?}", months.remarks);
    let some = fitted.apply(&table(&of(1.0, ["f", "x"])), "all").unwrap();
    assert!(
        flagged(&some, "unseen-category").is_some_and(|r| r.text.contains("sex (150 of 300: `x`)")),
        "{:?}",
        some.remarks
    );
    let none = fitted.apply(&table(&of(1.0, ["W", "M"])), "all").unwrap_err().to_string();
    assert!(none.contains("column `sex`") && none.contains("f, m"), "{none}");
    let empty = fitted.apply(&table(&of(1.0, ["", "NA"])), "all").unwrap();
    assert!(flagged(&empty, "absent-column").is_some(), "{:?}", empty.remarks);
}

fn write(path: &Path, columns: Vec<(&str, ArrayRef)>, compression: Compression) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder().set_compression(compression).build();
    let mut writer =
        ArrowWriter::try_new(std::fs::File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// `a`, `b` and the outcome.
fn plain_columns(rows: &[(f64, f64, usize)]) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("a", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.0)))),
        ("b", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.1)))),
        ("y", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.2 as i64)))),
    ]
}

#[test]
fn columns_of_any_type_may_be_dropped_and_are_refused_as_features_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (path, rows) = (folder.path().join("t.parquet"), rows());
    let odd: Vec<(&str, ArrayRef)> = vec![
        ("day", Arc::new(Date32Array::from_iter_values(0..N as i32))),
        ("time", Arc::new(TimestampMicrosecondArray::from_iter_values((0..N as i64).map(|i| i << 40)))),
        ("uuid", Arc::new(FixedSizeBinaryArray::try_from_iter((0..N).map(|i| [i as u8; 16])).unwrap())),
        (
            "list",
            Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(
                (0..N).map(|i| Some(vec![Some(i as i32)])),
            )),
        ),
    ];
    for (name, array) in odd {
        let mut columns = plain_columns(&rows);
        columns.push((name, array));
        write(&path, columns, Compression::UNCOMPRESSED);
        let opened = |keys: &str| {
            std::fs::write(folder.path().join("t.toml"), format!("{keys}\n{SPEC}")).unwrap();
            open(&at(&path, "test"), None)
        };
        let error = message(opened(""));
        assert!(
            error.contains(&format!("`{name}`")) && error.contains(&format!("drop = [\"{name}\"]")),
            "{error}"
        );
        assert_eq!(opened(&format!("drop = [\"{name}\"]")).unwrap().domain.features, ["a", "b"]);
    }
    let cents = Decimal128Array::from_iter_values((0..N as i128).map(|i| i * 7 - 300))
        .with_precision_and_scale(9, 2)
        .unwrap();
    let mut columns = plain_columns(&rows);
    columns.push(("cents", Arc::new(cents)));
    write(&path, columns, Compression::UNCOMPRESSED);
    let table = Table::read(&path).unwrap();
    let Some(Column::Number(values)) = table.column("cents") else { panic!() };
    assert_eq!((values[0], values[43]), (Some(-3.0), Some(0.01)));
}

#[test]
fn every_usual_compression_is_read_and_so_are_parts() {
    let (folder, rows) = (tempfile::tempdir().unwrap(), rows());
    std::fs::write(folder.path().join("t.toml"), SPEC).unwrap();
    let csv_path = folder.path().join("t.csv");
    std::fs::write(&csv_path, csv(&rows)).unwrap();
    let wanted = open(&at(&csv_path, "test"), None).unwrap();
    let path = folder.path().join("t.parquet");
    for compression in [
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::ZSTD(Default::default()),
        Compression::BROTLI(BrotliLevel::default()),
        Compression::LZ4,
        Compression::LZ4_RAW,
    ] {
        write(&path, plain_columns(&rows), compression);
        let data = open(&at(&path, "test"), None).unwrap();
        assert_eq!((&data.values, &data.index), (&wanted.values, &wanted.index), "{compression}");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("_SUCCESS"), "").unwrap();
    for (k, part) in rows.chunks(100).enumerate() {
        write(
            &path.join(format!("part-0000{k}-c000.snappy.parquet")),
            plain_columns(part),
            Compression::SNAPPY,
        );
    }
    let data = open(&at(&path, "test"), None).unwrap();
    assert_eq!((&data.values, &data.index), (&wanted.values, &wanted.index));
}

#[test]
fn identifiers_keep_every_digit() {
    let (folder, rows) = (tempfile::tempdir().unwrap(), rows());
    let path = folder.path().join("t.parquet");
    let id = |row: usize| u64::MAX - (row / 2) as u64;
    let mut columns = plain_columns(&rows);
    columns.push(("pid", Arc::new(UInt64Array::from_iter_values((0..N).map(id)))));
    columns.push((
        "visit",
        Arc::new(StringArray::from_iter_values((0..N).map(|row| ["007", "7", "1E2", "100"][row % 4]))),
    ));
    write(&path, columns, Compression::UNCOMPRESSED);
    let text = rows.iter().enumerate().fold("a,b,y,pid,visit".to_string(), |text, (i, (a, b, y))| {
        text + &format!("\n{a},{b},{y},{},{}", id(i), ["007", "7", "1E2", "100"][i % 4])
    });
    std::fs::write(folder.path().join("t.csv"), text).unwrap();
    std::fs::write(folder.path().join("t.toml"), format!("group = \"pid\"\ndrop = [\"visit\"]\n{SPEC}"))
        .unwrap();
    for file in ["t.parquet", "t.csv"] {
        let mut request = at(&folder.path().join(file), "all");
        let of_pid = open(&request, None).unwrap().group.unwrap();
        assert_eq!(of_pid, (0..N).map(|row| id(row).to_string()).collect::<Vec<_>>(), "{file}");
        // A study's own group, of a column that is dropped as a feature.
        request.group = Some("visit".into());
        let of_visit = open(&request, None).unwrap().group.unwrap();
        assert_eq!(of_visit[..4], ["007", "7", "1E2", "100"], "{file}");
    }
    std::fs::write(folder.path().join("t.toml"), format!("drop = [\"visit\"]\n{SPEC}")).unwrap();
    for file in ["t.parquet", "t.csv"] {
        let error = message(open(&at(&folder.path().join(file), "all"), None));
        assert!(error.contains("`pid`") && error.contains("drop = [\"pid\"]"), "{error}");
    }
}

#[test]
fn wide_tables_take_time_in_proportion() {
    let folder = tempfile::tempdir().unwrap();
    let seconds = |width: usize| {
        let path = folder.path().join(format!("w{width}.csv"));
        let names: String = (0..width).map(|k| format!("g{k},")).collect();
        let noise = unit("wide", 97 * 89);
        let text = (0..60).fold(format!("{names}y"), |mut text, row| {
            text.push('\n');
            (0..width).for_each(|k| text += &format!("{:.3},", noise[(row * 97 + k * 31) % noise.len()]));
            text + &(row % 2).to_string()
        });
        std::fs::write(&path, text).unwrap();
        std::fs::write(path.with_extension("toml"), SPEC).unwrap();
        let start = std::time::Instant::now();
        let data = open(&at(&path, "all"), None).unwrap();
        assert_eq!(data.shape, [width]);
        start.elapsed().as_secs_f64()
    };
    let (few, many) = (seconds(500).max(0.02), seconds(4000));
    // Eight times the columns; what is quadratic would take 64 times as long.
    assert!(many < few * 30.0, "{few} s for 500 columns, {many} s for 4,000");
}
