//! A folder that an earlier percuss began: its tables lack columns, or have them in another order.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::mixtures::begin;
use super::tests::{plan, rows};
use super::*;
use crate::results::Results;

/// Columns that came later.
const LATER: [&str; 9] = [
    "asked",
    "n_concerned",
    "asked_clean",
    "asked_robust",
    "asked_robust_low",
    "classes",
    "inputs",
    "tuning",
    "platform",
];

/// Writes every table below `dir` anew without these columns, the others backwards, and without a checksum.
fn make_earlier(dir: &Path, lacking: &[&str]) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            make_earlier(&path, lacking);
        } else if path.extension().is_some_and(|ending| ending == "parquet") {
            let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
            let batch = reader.build().unwrap().next().unwrap().unwrap();
            let fields = batch.schema_ref().fields().iter().enumerate().rev();
            let kept: Vec<usize> = fields
                .filter(|(_, field)| !lacking.contains(&field.name().as_str()))
                .map(|(at, _)| at)
                .collect();
            let batch = batch.project(&kept).unwrap();
            let mut writer =
                ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
            writer.write(&batch).unwrap();
            writer.close().unwrap();
        }
    }
}

/// Cells 0 to 11 in a finished file, 12 to 17 in a part, and the record of a run.
fn folder(dir: &Path) {
    let mut process = begin(dir, Shard::WHOLE);
    process.push(12);
    process.store.finish(&plan(24)).unwrap();
    process.push(6);
    process.store.flush().unwrap();
    process.store.record_run(&RunRow { platform: Some("linux".into()), ..Default::default() }).unwrap();
}

#[test]
fn its_rows_stay_and_what_they_do_not_say_is_null() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    make_earlier(dir.path(), &LATER);
    let mut process = begin(dir.path(), Shard::WHOLE);
    assert_eq!(process.store.finished().len(), 18);
    process.finish();
    let results = Results::open(dir.path()).unwrap();
    assert_eq!(results.cell_ids(), plan(24));
    for (i, cell) in results.cells().unwrap().iter().enumerate() {
        let (own, metrics, mut samples) = rows(i);
        samples.sort_by_key(|row| row.sample);
        assert_eq!(*cell, own);
        assert_eq!(results.metrics_of(std::iter::once(cell.cell_id.as_str())).unwrap(), metrics);
        assert_eq!(results.samples(&cell.cell_id).unwrap(), samples);
    }
    let platforms: Vec<_> = results.runs().unwrap().into_iter().map(|run| run.platform).collect();
    assert_eq!(platforms, [None]);
}

#[test]
fn its_cells_of_an_earlier_model_are_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    make_earlier(dir.path(), &LATER);
    let new: Vec<Text> = vec!["new".into()];
    let mut store = Store::open(dir.path(), &super::tests::study(), Shard::WHOLE).unwrap();
    store.push(CellRow { cell_id: new[0].clone(), ..Default::default() }, vec![], vec![]).unwrap();
    assert_eq!(store.finish(&new).unwrap(), 18);
    assert_eq!(Results::open(dir.path()).unwrap().cell_ids(), new);
    assert!(dir.path().join("retired/000000.cells.parquet").exists());
}

#[test]
fn a_column_that_must_have_a_value_is_missed_before_anything_runs() {
    let dir = tempfile::tempdir().unwrap();
    folder(dir.path());
    make_earlier(dir.path(), &["n_inferred"]);
    let error = Store::open(dir.path(), &super::tests::study(), Shard::WHOLE).err().unwrap();
    assert_eq!(error.exit_code(), 2);
    assert!(
        error.to_string().contains("column n_inferred") && error.to_string().contains("--out"),
        "{error}"
    );
}
