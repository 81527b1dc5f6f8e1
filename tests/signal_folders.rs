//! Folders and lists of recordings as databases have them: headers without signals, patients of several recordings, more than memory has room for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/records.rs"]
mod records;

use std::path::Path;

use percuss::data::signals::Cut;
use percuss::data::{Dataset, Labels, Request, Source, open};
use percuss::memory::Room;
use records::{Signal, annotations, record};
use tempfile::TempDir;

/// Three records of 2,000 samples at 250 Hz with a beat a second, and a header of annotations alone, as in the Atrial Fibrillation Database.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (k, name) in ["p1_s00", "p1_s01", "p2_s00"].into_iter().enumerate() {
        let values = (0..2000).map(|at| at % 250 + k as i32).collect();
        record(dir.path(), name, 250.0, "16", &[Signal { name: "ECG", gain: "200/mV", values }], "");
        let marks: Vec<(u64, u16)> =
            (1..8).map(|second| (250 * second, if second == 4 { 5 } else { 1 })).collect();
        annotations(&dir.path().join(format!("{name}.atr")), &[], &marks);
    }
    std::fs::write(dir.path().join("00735.hea"), "00735 0 250 9205760\n").unwrap();
    annotations(&dir.path().join("00735.atr"), &[], &[(100, 1)]);
    dir
}

fn asked(source: Source) -> Request {
    let mut request = Request::new(source, "test");
    (request.signals.length, request.signals.rate) = (Some(200), Some(250.0));
    request
}

fn said(data: &Dataset, what: &str) -> bool {
    data.remarks.iter().any(|remark| remark.text.contains(what))
}

fn of(path: &Path) -> Source {
    Source::Path(path.to_path_buf())
}

#[test]
fn headers_of_annotations_alone_are_left_out_and_patients_are_asked_for() {
    let dir = folder();
    let data = open(&asked(of(dir.path())), None).unwrap();
    assert!(said(&data, "headers of no signals are left out: 1, the first is 00735"));
    assert!(said(
        &data,
        "each is a group of its own (records = { csv = \"FILE.csv\", patient = \"COLUMN\" }"
    ));
    assert_eq!(data.len(), 3 * 6);
    let groups: Vec<&str> = data.group.as_ref().unwrap().iter().map(String::as_str).step_by(6).collect();
    assert_eq!(groups, ["p1_s00", "p1_s01", "p2_s00"]);
    // The list that is asked for needs no labels: annotations have them.
    let csv = dir.path().join("who.csv");
    std::fs::write(&csv, "path,who\np1_s00,a\np1_s01,a\np2_s00,b\n").unwrap();
    let mut listed = asked(Source::Records(csv));
    listed.signals.list.patient = Some("who".into());
    let error = open(&listed, None).unwrap_err().to_string();
    assert!(error.contains("none is called label"), "{error}");
    listed.signals.cut = Some(Cut::Beats);
    let by_patient = open(&listed, None).unwrap();
    assert_eq!(by_patient.values, data.values);
    assert_eq!(
        (&by_patient.labels, &data.labels),
        (&Labels::Class([0, 0, 2, 0, 0, 0].repeat(3)), &by_patient.labels)
    );
    let groups: Vec<&str> =
        by_patient.group.as_ref().unwrap().iter().map(String::as_str).step_by(6).collect();
    assert_eq!(groups, ["a", "a", "b"]);
    assert!(!said(&by_patient, "a group of its own"));
}

#[test]
fn signals_beyond_the_limit_of_memory_are_refused_before_they_are_read() {
    let dir = folder();
    let within = |bytes: u64, limit: Option<usize>| {
        open(&Request { memory: Room::of(Some(bytes)), limit, ..asked(of(dir.path())) }, None)
    };
    // 18 beats of 200 values.
    assert_eq!(within(30_000, None).unwrap().len(), 18);
    // The signals need not be there to be counted.
    for name in ["p1_s00", "p1_s01", "p2_s00"] {
        std::fs::write(dir.path().join(format!("{name}.dat")), vec![0; 4000]).unwrap();
    }
    let error = within(20_000, None).unwrap_err().to_string();
    for part in ["signals: found 28.8 kB in memory", "--memory", "limit = N in [[data]]"] {
        assert!(error.contains(part), "{error} does not say {part:?}");
    }
    let sums = within(30_000, None).unwrap_err().to_string();
    assert!(sums.contains("sum"), "read, these zeros are not what the header says: {sums}");
    let limited = within(20_000, Some(10)).unwrap_err().to_string();
    assert!(!limited.contains("--memory"), "{limited}");
}
