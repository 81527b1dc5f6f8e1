//! Which lead of a recording is which channel, over records that order, name and have leads differently; each refusal is mended by its own line.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/records.rs"]
mod records;

use std::path::Path;

use percuss::data::labels::Outputs;
use percuss::data::layout::Wanted;
use percuss::data::signals::{Cut, Lack};
use percuss::data::{Dataset, Request, Source, open};
use records::{Signal, annotations, record};
use tempfile::TempDir;

/// Records of 1,000 samples at 100 Hz; each lead has one value, that of its place in `VALUES`.
const VALUES: [(&str, i32); 6] = [("II", 1), ("V5", 5), ("V1", 10), ("V2", 20), ("III", 3), ("I", 4)];

/// The value of a lead under any of its names.
fn value(name: &str) -> i32 {
    let plain = name.to_uppercase().replace("MLII", "II");
    let own = plain.trim_start_matches("ECG ").trim_start_matches("LEAD ").trim();
    VALUES.iter().find(|(lead, _)| *lead == own).map_or(0, |(_, value)| *value)
}

fn folder(records: &[&[&str]]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (k, leads) in records.iter().enumerate() {
        let signal = |name: &&'static str| Signal { name, gain: "1(0)/mV", values: vec![value(name); 1000] };
        let leads: Vec<&'static str> = leads.iter().map(|name| &*String::from(*name).leak()).collect();
        let signals: Vec<Signal> = leads.iter().map(signal).collect();
        record(dir.path(), &format!("r{k}"), 100.0, "16", &signals, "#Dx: 1\n");
        annotations(&dir.path().join(format!("r{k}.atr")), &[], &[(200, 1), (400, 1), (600, 5)]);
    }
    dir
}

fn asked(folder: &Path, leads: &[&[&str]]) -> Request {
    let mut request = Request::new(Source::Path(folder.to_path_buf()), "all");
    request.signals.cut = Some(Cut::Records);
    request.signals.leads =
        leads.iter().map(|names| names.iter().map(|name| name.to_string()).collect()).collect();
    request.outputs = Some(Outputs { count: 1, findings: true });
    request.classes = vec!["1".into()];
    request.unordered = true;
    request
}

fn read(request: &Request) -> Result<Dataset, String> {
    open(request, None).map_err(|error| {
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    })
}

/// The leads of the first value of each sample.
fn firsts(data: &Dataset) -> Vec<Vec<i32>> {
    let leads = *data.shape.last().unwrap();
    (0..data.len()).map(|at| data.sample(at)[..leads].iter().map(|&value| value as i32).collect()).collect()
}

/// Records, leads asked for, and the values that are right, or words of the refusal.
type Case<'a> = (&'a [&'a [&'a str]], &'a [&'a [&'a str]], Result<&'a [&'a [i32]], &'a str>);

#[test]
fn leads_of_records_that_differ_are_the_same_or_refused() {
    let cases: [Case; 20] = [
        // By name the order of the file does not matter.
        (&[&["MLII", "V5"], &["V5", "MLII"]], &[&["MLII"], &["V5"]], Ok(&[&[1, 5], &[1, 5]])),
        (&[&["II", "V5"], &["v5", "ii"]], &[&["V5"], &["II"]], Ok(&[&[5, 1], &[5, 1]])),
        (&[&["II", "V5"], &["ECG V5", "LEAD II"]], &[&["V5"], &["II"]], Ok(&[&[5, 1], &[5, 1]])),
        (&[&["Lead II", "III"], &["III", "ecg ii"]], &[&["II"]], Ok(&[&[1], &[1]])),
        // By number it does.
        (&[&["MLII", "V5"], &["V5", "MLII"]], &[&["0"], &["1"]], Err("lead 0 is MLII in r0 and V5 in r1")),
        (&[&["MLII", "V5"], &["MLII", "V2"]], &[&["0"], &["1"]], Err("lead 1 is V5 in r0 and V2 in r1")),
        (&[&["MLII", "V5"], &["MLII", "V2"]], &[&["0"]], Ok(&[&[1], &[1]])),
        (&[&["MLII", "V5"], &["V5", "MLII"]], &[&["MLII"], &["1"]], Err("lead 1 is V5 in r0 and MLII in r1")),
        (&[&["II", "V5"], &["ii", "V5"]], &[&["0"]], Ok(&[&[1], &[1]])),
        // A lead that some lack, or have under another name.
        (&[&["MLII", "V5"], &["MLII", "V2"]], &[&["MLII"], &["V5"]], Err("r1 has no `V5`, but MLII, V2")),
        (&[&["MLII", "V5"], &["II", "V5"]], &[&["MLII"]], Err("r1 has no `MLII`, but II, V5")),
        (&[&["MLII", "V5"], &["II", "V5"]], &[&["MLII", "II"]], Ok(&[&[1], &[1]])),
        (&[&["MLII", "V5"], &["V1", "MLII"]], &[&["MLII"], &["V5", "V1"]], Ok(&[&[1, 5], &[1, 10]])),
        // What is a channel already is no other channel's second name.
        (&[&["MLII", "V5"], &["MLII", "V2"]], &[&["MLII"], &["V5", "MLII"]], Err("r1 has no `V5`")),
        // A lead that is there twice.
        (&[&["II", "II"]], &[&["II"]], Err("one of them by its number, counted from 0: 0 or 1")),
        (&[&["ECG II", "LEAD II"]], &[&["II"]], Err("counted from 0: 0 or 1")),
        (&[&["ECG II", "II"]], &[&["II"]], Ok(&[&[1]])),
        // None is named: MLII and II are the same, other single leads are not.
        (&[&["MLII", "V5"], &["V2", "II"]], &[], Ok(&[&[1], &[1]])),
        (&[&["II"], &["V5"]], &[], Err("the only lead is II in r0 and V5 in r1")),
        (&[&["MLII", "V1"], &["V1"]], &[], Err("the only lead is MLII in r0 and V1 in r1")),
    ];
    for (records, leads, right) in cases {
        let dir = folder(records);
        match (read(&asked(dir.path(), leads)), right) {
            (Ok(data), Ok(right)) => assert_eq!(firsts(&data), right, "{records:?}, {leads:?}"),
            (Err(error), Err(right)) => assert!(error.contains(right), "{records:?}, {leads:?}: {error}"),
            (Ok(data), Err(_)) => panic!("{records:?}, {leads:?} is read as {:?}", firsts(&data)),
            (Err(error), Ok(_)) => panic!("{records:?}, {leads:?}: {error}"),
        }
    }
}

#[test]
fn what_a_refusal_says_is_done_and_works() {
    // Another order: by the names that it says.
    let dir = folder(&[&["MLII", "V5"], &["V5", "MLII"]]);
    assert!(read(&asked(dir.path(), &[&["0"], &["1"]])).unwrap_err().contains("leads = [\"MLII\", \"V5\"]"));
    assert_eq!(firsts(&read(&asked(dir.path(), &[&["MLII"], &["V5"]])).unwrap()), [[1, 5], [1, 5]]);
    // A lead that some lack: without them, and it says so.
    let dir = folder(&[&["MLII", "V5"], &["MLII", "V2"], &["V5", "MLII"]]);
    let mut request = asked(dir.path(), &[&["MLII"], &["V5"]]);
    assert!(read(&request).unwrap_err().contains("lacking = \"drop\""));
    request.signals.lacking = Lack::Drop;
    let data = read(&request).unwrap();
    assert_eq!((firsts(&data), data.index.as_slice()), (vec![vec![1, 5], vec![1, 5]], &[0, 2][..]));
    let told = "1 of 3 recordings lack leads and are left out: r1 has no `V5`, but MLII, V2";
    assert!(data.remarks.iter().any(|remark| remark.text == told), "{:?}", data.remarks);
    // Nobody has it: to drop all is no mend, and it is not said; the leads that all have are.
    let mut request = asked(dir.path(), &[&["V9"]]);
    request.signals.lacking = Lack::Drop;
    let error = read(&request).unwrap_err();
    assert!(error.contains("leads = [\"MLII\"]") && !error.contains("drop"), "{error}");
    assert_eq!(firsts(&read(&asked(dir.path(), &[&["MLII"]])).unwrap()).len(), 3);
    // Single leads of several names: they are one if the study says it.
    let dir = folder(&[&["II"], &["LEAD II"], &["V5"]]);
    assert!(read(&asked(dir.path(), &[])).unwrap_err().contains("leads = [[\"II\", \"LEAD II\", \"V5\"]]"));
    assert_eq!(firsts(&read(&asked(dir.path(), &[&["II", "LEAD II", "V5"]])).unwrap()), [[1], [1], [5]]);
}

#[test]
fn a_model_of_other_leads_or_another_length_is_told_the_keys_that_mend_it() {
    let dir = folder(&[&["II", "V5", "V1"], &["II", "V5", "V1"]]);
    let wants = |request: &mut Request, shape: &[usize]| {
        request.arrays.wanted = vec![Wanted { name: "x".into(), shape: shape.to_vec(), natural: None }];
    };
    let mut request = asked(dir.path(), &[]);
    wants(&mut request, &[1, 1000, 3]);
    assert!(read(&request).unwrap_err().contains("leads = [\"II\", \"V5\", \"V1\"] in the [[data]] table"));
    request.signals.leads = ["II", "V5", "V1"].map(|name| vec![name.to_string()]).to_vec();
    assert_eq!(firsts(&read(&request).unwrap()), [[1, 5, 10], [1, 5, 10]]);
    wants(&mut request, &[1, 1000, 2]);
    assert!(read(&request).unwrap_err().contains("the model's 2, in its order, of II, V5, V1"));
    wants(&mut request, &[1, 1000, 12]);
    assert!(read(&request).unwrap_err().contains("the recordings have II, V5, V1: a model of fewer leads"));
    // The length: by the first values, or by the rate that makes so many of the whole record; both as said.
    request.signals.leads.truncate(1);
    for shape in [&[1, 500, 1][..], &[500]] {
        wants(&mut request, shape);
        let error = read(&request).unwrap_err();
        assert!(error.contains("length = 500") && error.contains("rate = 50 "), "{error}");
        let mut cut = request.clone();
        cut.signals.length = Some(500);
        assert_eq!(read(&cut).unwrap().shape, [1, 500, 1]);
        let mut slow = request.clone();
        slow.signals.rate = Some(50.0);
        assert_eq!(read(&slow).unwrap().shape, [1, 500, 1]);
        // Windows have the length that the model says.
        let mut windows = request.clone();
        windows.signals.cut = Some(Cut::Windows);
        let error = read(&windows).unwrap_err();
        assert!(error.contains("the model's number of samples of a window: length = 500 in the"), "{error}");
    }
}

/// The rate that is proposed is that of the recordings, not one that nobody has.
#[test]
fn recordings_of_several_rates_are_brought_to_the_one_that_is_said() {
    let dir = folder(&[&["II"], &["II"]]);
    record(
        dir.path(),
        "r2",
        500.0,
        "16",
        &[Signal { name: "II", gain: "1(0)/mV", values: vec![1; 5000] }],
        "#Dx: 1\n",
    );
    let mut request = asked(dir.path(), &[&["II"]]);
    assert!(read(&request).unwrap_err().contains("rate = 100 in the [[data]] table"));
    request.signals.rate = Some(100.0);
    assert_eq!(firsts(&read(&request).unwrap()), [[1], [1], [1]]);
}
