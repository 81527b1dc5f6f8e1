//! WFDB and EDF as formats: every sample and annotation is what the file says, or the file is refused.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/records.rs"]
mod records;

use std::path::Path;

use percuss::data::signals::recording::Recording;
use records::{Signal, annotations, edf, pack, record};

const FORMATS: [&str; 10] = ["8", "16", "24", "32", "61", "80", "160", "212", "310", "311"];

/// Whole numbers that every format can state, from a generator of Lehmer's.
fn noise(count: usize, most: i32) -> Vec<i32> {
    let mut state = 48271u64;
    let mut draw = || {
        state = state * 48271 % 2_147_483_647;
        (state % (2 * most as u64 + 1)) as i32 - most
    };
    (0..count).map(|_| draw()).collect()
}

fn values(recording: &Recording, lead: usize) -> Vec<f64> {
    recording.read(lead, 0..recording.leads[lead].len).unwrap()
}

fn refusal(path: &Path) -> String {
    let error = match Recording::open(path) {
        Err(error) => error,
        Ok(recording) => recording.verify().expect_err("it should be refused"),
    };
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string()
}

/// Formats x samples a frame x skews x offsets x units: 240 records. (The same grid, read by the Python package `wfdb`, agrees in every sample.)
#[test]
fn every_form_of_a_record_has_its_samples() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a-1.hea");
    for format in FORMATS {
        for (per_frame, skews) in
            [([1, 1, 1], [0, 0, 0]), ([1, 1, 1], [0, 2, 5]), ([2, 1, 4], [0, 0, 0]), ([2, 1, 4], [1, 0, 3])]
        {
            for offset in [0, 24] {
                for (gain, unit, per) in [(200.0, "mV", 1.0), (0.5, "uV", 1e3), (12.5, "V", 1e-3)] {
                    let frames = 11;
                    let frame: usize = per_frame.iter().sum();
                    let written = noise(frames * frame, 100);
                    let mut bytes = vec![7u8; offset];
                    bytes.extend(pack(format, &written));
                    std::fs::write(dir.path().join("x.bin"), bytes).unwrap();
                    let mut header = format!("a-1 3 250 {frames}\n");
                    for (k, (n, skew)) in per_frame.iter().zip(skews).enumerate() {
                        header += &format!("x.bin {format}x{n}:{skew}+{offset} {gain}(-17)/{unit} 12 0 5\n");
                        assert!(k < 3);
                    }
                    std::fs::write(&path, header).unwrap();
                    let recording = Recording::open(&path).unwrap();
                    let mut before = 0;
                    for (k, (&n, skew)) in per_frame.iter().zip(skews).enumerate() {
                        let place = |at: usize| at / n * frame + before + at % n;
                        let mut own: Vec<i32> = (0..frames * n).map(|at| written[place(at)]).collect();
                        if format == "8" {
                            let mut sum = 5;
                            own.iter_mut().for_each(|v| {
                                sum += *v;
                                *v = sum;
                            });
                        }
                        let right =
                            |at: usize| own.get(at + skew * n).map(|&v| (f64::from(v) + 17.0) / gain / per);
                        for (at, value) in values(&recording, k).into_iter().enumerate() {
                            let case = format!(
                                "format {format}, {per_frame:?}, {skews:?}, {offset}, {unit}: {k} at {at}"
                            );
                            match right(at) {
                                Some(right) => {
                                    assert!((value - right).abs() <= 1e-12 * right.abs(), "{case}")
                                }
                                None => assert!(value.is_nan(), "{case}"),
                            }
                        }
                        assert_eq!(recording.leads[k].rate, 250.0 * n as f64);
                        assert_eq!(recording.leads[k].unit, "mV");
                        before += n;
                    }
                }
            }
        }
    }
}

#[test]
fn missing_samples_are_those_that_the_format_marks() {
    let dir = tempfile::tempdir().unwrap();
    for (format, mark) in [
        ("16", -32768),
        ("24", -8_388_608),
        ("32", i32::MIN),
        ("61", -32768),
        ("80", -128),
        ("160", -32768),
        ("212", -2048),
        ("310", -512),
        ("311", -512),
    ] {
        let signal = Signal { name: "I", gain: "100(0)", values: vec![1, mark, 3] };
        record(dir.path(), "r", 100.0, format, &[signal], "");
        let recording = Recording::open(&dir.path().join("r.hea")).unwrap();
        recording.verify().unwrap();
        let read = values(&recording, 0);
        assert_eq!((read[0], read[1].is_nan(), read[2]), (0.01, true, 0.03), "format {format}");
    }
}

/// Fixed and variable layouts, a stretch without any record, a signal that only one segment has, gains of their own.
#[test]
fn segments_follow_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let signal = |name, gain, values: &[i32]| Signal { name, gain, values: values.to_vec() };
    record(
        dir.path(),
        "s1",
        500.0,
        "16",
        &[signal("II", "100(0)", &[1, 2, 3]), signal("V", "10(0)", &[4, 5, 6])],
        "",
    );
    record(dir.path(), "s2", 500.0, "212", &[signal("V", "20(1)/uV", &[7, 8])], "");
    std::fs::write(dir.path().join("l.hea"), "l 2 500 0\n~ 0 100 0 0 0 0 0 II\n~ 0 10 0 0 0 0 0 V\n")
        .unwrap();
    std::fs::write(dir.path().join("whole.hea"), "whole/4 2 500 9\nl 0\ns1 3\n~ 4\ns2 2\n").unwrap();
    let recording = Recording::open(&dir.path().join("whole.hea"));
    let recording = recording.unwrap();
    recording.verify().unwrap();
    let shown = |lead: usize| {
        values(&recording, lead)
            .iter()
            .map(|v| if v.is_nan() { "-".into() } else { v.to_string() })
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(shown(0), "0.01 0.02 0.03 - - - - - -");
    assert_eq!(shown(1), "0.4 0.5 0.6 - - - - 0.0003 0.00035");
    std::fs::write(dir.path().join("fixed.hea"), "fixed/2 2 500 6\ns1 3\ns1 3\n").unwrap();
    let fixed = Recording::open(&dir.path().join("fixed.hea")).unwrap();
    assert_eq!(values(&fixed, 1), [0.4, 0.5, 0.6, 0.4, 0.5, 0.6]);
    for (text, expected) in [
        ("w/2 2 500 7\ns1 3\ns1 3\n", "as many as its first line says"),
        ("w/1 2 250 3\ns1 3\n", "the sampling frequency of the whole record"),
        ("w/1 2 500 4\ns1 4\n", "as many as the whole record's header says"),
        ("w/1 2 500 3\n~ 3\n", "at least one"),
        ("w/1 2 500 6\nfixed 6\n", "one of a single segment"),
    ] {
        std::fs::write(dir.path().join("w.hea"), text).unwrap();
        assert!(refusal(&dir.path().join("w.hea")).contains(expected), "{text}");
    }
}

#[test]
fn damage_is_found_and_told() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.hea");
    let write = || {
        let signal = |name, values: &[i32]| Signal { name, gain: "200", values: values.to_vec() };
        record(
            dir.path(),
            "r",
            360.0,
            "16",
            &[signal("A", &[1, 2]), signal("B", &[3, 4])],
            "# Gr\u{e4}\u{df}e 180\n",
        );
    };
    write();
    // Latin-1, as older programs write it.
    let latin: Vec<u8> = std::fs::read_to_string(&path).unwrap().chars().map(|c| c as u8).collect();
    std::fs::write(&path, latin).unwrap();
    assert_eq!(Recording::open(&path).unwrap().comments, ["Gr\u{e4}\u{df}e 180"]);
    let dat = dir.path().join("r.dat");
    let whole = std::fs::read(&dat).unwrap();
    std::fs::write(&dat, &whole[..7]).unwrap();
    assert!(refusal(&path).contains("truncated"));
    std::fs::write(&dat, [1, 0, 3, 0, 2, 0, 5, 0]).unwrap();
    assert!(
        refusal(&path).contains("found checksum 8, expected 7")
            && refusal(&path).contains("checksums = false")
    );
    std::fs::remove_file(&dat).unwrap();
    assert!(refusal(&path).contains("r.dat"));
    // The lines were run with wfdb 4.3.1 on records of all three formats: the same values, and the `Dx:` of the comments.
    for (compressed, plain) in [("508", "80"), ("516", "16"), ("524", "24")] {
        std::fs::write(&path, format!("r 1 360 2\nr.dat {compressed} 200 16 0 1 4 0 A\n")).unwrap();
        let said = refusal(&path);
        let lines = format!(
            "fmt=[\"{plain}\"] * r.n_sig, adc_gain=r.adc_gain, baseline=r.baseline, comments=r.comments"
        );
        assert!(said.contains("FLAC") && said.contains(&lines), "{said}");
    }
}

#[test]
fn edf_has_its_samples_units_and_notes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.edf");
    let (a, b) = (noise(40, 2000), noise(20, 2000));
    let signals = [
        ("ECG II", "uV", [-3276.8, 3276.7], [-32768, 32767], 20, a.clone()),
        ("ECG V1", "mV", [5.0, -5.0], [-2048, 2047], 10, b.clone()),
    ];
    edf(&path, 2.0, &signals, None, &[(0.5, "N"), (1.25, "V")]);
    let recording = Recording::open(&path).unwrap();
    let leads: Vec<_> =
        recording.leads.iter().map(|lead| (lead.name.as_str(), lead.rate, lead.len)).collect();
    assert_eq!(leads, [("ECG II", 10.0, 40), ("ECG V1", 5.0, 20)]);
    for (value, &digital) in values(&recording, 0).iter().zip(&a) {
        assert!((value - f64::from(digital) * 1e-4).abs() < 1e-9);
    }
    for (value, &digital) in values(&recording, 1).iter().zip(&b) {
        // The polarity is turned: the physical minimum is above the maximum.
        assert!((value - (5.0 - 10.0 * (f64::from(digital) + 2048.0) / 4095.0)).abs() < 1e-9);
    }
    let marks = recording.marks("atr").unwrap();
    let marks: Vec<_> = marks.list.iter().map(|mark| (mark.seconds, mark.symbol.as_str())).collect();
    assert_eq!(marks, [(0.5, "N"), (1.25, "V")]);
    // The second record starts three seconds after the first has ended.
    edf(&path, 2.0, &signals, Some(&[0.0, 5.0]), &[]);
    let gap = Recording::open(&path).unwrap();
    let read = values(&gap, 1);
    assert_eq!(read.len(), 35);
    assert!(
        read[..10].iter().chain(&read[25..]).all(|v| !v.is_nan()) && read[10..25].iter().all(|v| v.is_nan())
    );
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(refusal(&path).contains("truncated"));
}

/// Whatever stands in headers and annotations, reading ends in values or in an error.
#[test]
fn mutated_files_never_panic() {
    let dir = tempfile::tempdir().unwrap();
    let signal = |name, values: Vec<i32>| Signal { name, gain: "200(3)/uV", values };
    record(
        dir.path(),
        "s",
        500.0,
        "212",
        &[signal("II", noise(40, 900)), signal("V", noise(40, 900))],
        "# Dx: 1\n",
    );
    std::fs::write(dir.path().join("w.hea"), "w/3 2 500 60\ns 40\n~ 10\ns 10\n").unwrap();
    annotations(
        &dir.path().join("s.atr"),
        &["## time resolution: 250", "## annotation type definitions", "1 v x", "## end of definitions"],
        &[(3, 1), (9, 5)],
    );
    edf(
        &dir.path().join("e.edf"),
        1.0,
        &[("II", "mV", [-5.0, 5.0], [-99, 99], 10, noise(30, 90))],
        Some(&[0.0, 1.0, 4.0]),
        &[(0.1, "N")],
    );
    let mut draws = noise(400_000, 1 << 20).into_iter().map(|draw| draw.unsigned_abs() as usize).cycle();
    let mut draw = |below: usize| draws.next().unwrap() % below;
    for (name, opened) in [("s.hea", "s.hea"), ("w.hea", "w.hea"), ("s.atr", "s.hea"), ("e.edf", "e.edf")] {
        let (path, opened) = (dir.path().join(name), dir.path().join(opened));
        let whole = std::fs::read(&path).unwrap();
        let mut read = 0;
        for _ in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..1 + draw(3) {
                let at = draw(bytes.len());
                match draw(4) {
                    0 => bytes[at] = draw(256) as u8,
                    1 => bytes[at] = b"0123456789-/+:x~. \n#"[draw(20)],
                    2 => bytes.truncate(at.max(1)),
                    _ => bytes.insert(at, b"9"[0]),
                }
            }
            std::fs::write(&path, &bytes).unwrap();
            if let Ok(recording) = Recording::open(&opened) {
                read += 1;
                for (k, lead) in recording.leads.iter().enumerate() {
                    for start in [0, lead.len / 2, lead.len.saturating_sub(5), u64::MAX - 9] {
                        assert_eq!(recording.read(k, start..start + 8).map_or(8, |values| values.len()), 8);
                    }
                }
                let _ = recording.marks("atr");
            }
        }
        assert!(read > 0, "{name}: every one was refused");
        std::fs::write(&path, whole).unwrap();
    }
}
