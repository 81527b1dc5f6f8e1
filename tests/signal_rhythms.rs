//! Windows by annotated rhythms: which there are, what they are labelled with, what is left out and counted.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/records.rs"]
mod records;

use std::path::Path;

use percuss::data::signals::Cut;
use percuss::data::{Dataset, Labels, Request, Source, open};
use records::{Signal, record, rhythms};
use tempfile::TempDir;

/// 40 s at 100 Hz: nothing is annotated for 2 s, then N, from 10 s AFIB, from 20 s AFL, from 24 s none (Icentia's mark), from 30 s N.
fn folder() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let signal = Signal { name: "II", gain: "100(0)/mV", values: (0..4000).map(|at| at / 10).collect() };
    record(dir.path(), "r", 100.0, "16", &[signal], "");
    let changes = [(200, "(N"), (1000, "(AFIB\0"), (2000, "(AFL"), (2400, ")"), (3000, "(N")];
    rhythms(&dir.path().join("r.atr"), &changes);
    dir
}

fn asked(folder: &Path, classes: &[(&str, &[&str])], length: usize, share: f64) -> Request {
    let mut request = Request::new(Source::Path(folder.to_path_buf()), "all");
    let texts = |texts: &[&str]| texts.iter().map(|text| text.to_string()).collect();
    request.signals.rhythms = classes.iter().map(|(name, own)| (name.to_string(), texts(own))).collect();
    (request.signals.length, request.signals.share) = (Some(length), share);
    request
}

fn read(request: &Request) -> Result<Dataset, String> {
    open(request, None).map_err(|error| {
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    })
}

/// Classes, length of a window, share, and the number and class of every window that is left; then those of several rhythms and of others.
type Case<'a> = (&'a [(&'a str, &'a [&'a str])], usize, f64, &'a [(u64, u32)], [usize; 2]);

#[test]
fn windows_have_the_rhythm_of_their_time() {
    let apart: &[(&str, &[&str])] = &[("N", &["N"]), ("AFIB", &["AFIB"]), ("AFL", &["AFL"])];
    let together: &[(&str, &[&str])] = &[("AF", &["(AFIB", "AFL"]), ("sinus", &["N"])];
    let cases: [Case; 6] = [
        // Ten windows of 4 s: none/N, N, N/AFIB, AFIB, AFIB, AFL, none, none/N, N, N.
        (apart, 400, 1.0, &[(1, 0), (3, 1), (4, 1), (5, 2), (8, 0), (9, 0)], [1, 3]),
        (apart, 400, 0.5, &[(0, 0), (1, 0), (2, 1), (3, 1), (4, 1), (5, 2), (7, 0), (8, 0), (9, 0)], [0, 1]),
        (together, 400, 1.0, &[(1, 1), (3, 0), (4, 0), (5, 0), (8, 1), (9, 1)], [1, 3]),
        // Four of 10 s: 8 s of N; AFIB; 4 s of AFL; N.
        (apart, 1000, 1.0, &[(1, 1), (3, 0)], [1, 1]),
        (apart, 1000, 0.8, &[(0, 0), (1, 1), (3, 0)], [0, 1]),
        (&[("AFL", &["AFL"]), ("AFIB", &["AFIB"])], 1000, 0.4, &[(1, 1), (2, 0)], [0, 2]),
    ];
    let dir = folder();
    for (classes, length, share, right, [mixed, others]) in cases {
        let data = read(&asked(dir.path(), classes, length, share)).unwrap();
        let Labels::Class(labels) = &data.labels else { panic!("findings") };
        let read: Vec<(u64, u32)> = data.index.iter().copied().zip(labels.iter().copied()).collect();
        assert_eq!(read, right, "{classes:?}, {length}, {share}");
        for (at, (number, _)) in right.iter().enumerate() {
            assert_eq!(data.sample(at)[0], (*number as usize * length / 10) as f32 / 100.0);
        }
        let told = format!(
            "{} windows have one rhythm for at least {share} of their time; {mixed} of several and {others} of other rhythms or none are left out",
            right.len()
        );
        assert!(data.remarks.iter().any(|remark| remark.text == told), "{told}: {:?}", data.remarks);
    }
}

#[test]
fn what_cannot_be_labelled_is_told_with_what_there_is() {
    let dir = folder();
    let error = read(&asked(dir.path(), &[("VT", &["VT"]), ("B", &["B"])], 400, 1.0)).unwrap_err();
    assert!(error.contains("[\"AFIB\", \"AFL\", \"N\"]"), "{error}");
    let mut request = asked(dir.path(), &[("N", &["N"]), ("AFIB", &["AFIB"])], 400, 1.0);
    request.signals.cut = Some(Cut::Beats);
    assert!(read(&request).unwrap_err().contains("\"windows\""));
    request.signals.cut = Some(Cut::Windows);
    assert_eq!(read(&request).unwrap().len(), 5);
    // The model's own order of the same names is what counts.
    request.classes = vec!["AFIB".into(), "N".into()];
    assert_eq!(read(&request).unwrap().labels, Labels::Class(vec![1, 0, 0, 1, 1]));
    records::annotations(&dir.path().join("r.atr"), &[], &[(500, 1), (900, 5)]);
    let error = read(&request).unwrap_err();
    assert!(error.contains("found annotations 1 N, 1 V, expected rhythms"), "{error}");
}

/// The recording of [`folder`] in EDF+, whose annotations are texts alone; then with durations, after which no rhythm is annotated.
#[test]
fn texts_of_edf_are_rhythms_for_as_long_as_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.edf");
    let values = || (0..4000).map(|at| at / 10).collect();
    let classes: &[(&str, &[&str])] = &[("N", &["N"]), ("AFIB", &["AFIB"]), ("AFL", &["(AFL"])];
    type Note<'a> = (f64, Option<f64>, &'a str);
    let open: &[Note] = &[
        (2.0, None, "(N"),
        (10.0, None, "(AFIB"),
        (20.0, None, "(AFL"),
        (24.0, None, ")"),
        (30.0, None, "(N"),
    ];
    let lasting: &[Note] = &[
        (2.0, Some(8.0), "(N"),
        (10.0, Some(7.0), "(AFIB"),
        (20.0, Some(30.0), "(AFL"),
        (30.0, Some(6.0), "(N"),
    ];
    let cases: [(&[Note], &[(u64, u32)]); 2] = [
        (open, &[(1, 0), (3, 1), (4, 1), (5, 2), (8, 0), (9, 0)]),
        // AFIB ends at 17 s, AFL where N begins, N at 36 s.
        (lasting, &[(1, 0), (3, 1), (5, 2), (6, 2), (8, 0)]),
    ];
    for (notes, right) in cases {
        let signals = [("ECG II", "mV", [-3.2768, 3.2767], [-32768, 32767], 100, values())];
        records::edf_lasting(&path, 1.0, &signals, None, notes);
        let data = read(&asked(dir.path(), classes, 400, 1.0)).unwrap();
        let Labels::Class(labels) = &data.labels else { panic!("findings") };
        assert_eq!(data.index.iter().copied().zip(labels.iter().copied()).collect::<Vec<_>>(), right);
    }
}
