//! A bit that changes on a disk, seen from outside: `inspect` does not show it, and the same sweep runs again what is lost.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use percuss::models::Config;
use percuss::results::{CellRow, CurveRow, MetricRow, Row, SampleRow, read_rows};
use support::write_model;

fn percuss(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A study of four cells of a small CNN on the chest phantoms.
fn study(folder: &Path) {
    let config = r#"{"architecture": "cnn", "input": [28, 28, 1], "classes": 2, "layers": [
        {"kind": "conv", "out": 4, "kernel": 3, "stride": 2}, {"kind": "relu"},
        {"kind": "global_avg_pool"}, {"kind": "linear", "out": 2}],
        "input_scaling": {"mean": [127.0], "std": [64.0]}}"#;
    write_model(&folder.join("cnn"), &Config::parse(config, "test").unwrap());
    let text = r#"name = "phantoms"
[[data]]
id = "p"
name = "cxr-phantom"
split = "test"
limit = 20
[[model]]
id = "cnn"
path = "cnn"
data = "p"
[[attack]]
kind = "pgd"
aim = ["any", "hide"]
budget = [{ norm = "linf", eps = [1, 6.4] }]
steps = 5
"#;
    std::fs::write(folder.join("study.toml"), text).unwrap();
}

const SWEEP: [&str; 8] = ["sweep", "study.toml", "--device", "cpu", "--threads", "1", "--out", "o"];

/// The rows of a table, what differs from run to run left out.
fn rows<R: Row + std::fmt::Debug>(out: &Path, name: &str, alike: impl Fn(&mut R)) -> String {
    let mut rows = read_rows::<R>(&out.join(name)).unwrap();
    rows.iter_mut().for_each(alike);
    format!("{rows:?}")
}

fn tables(out: &Path) -> [String; 4] {
    [
        rows::<CellRow>(out, "cells-1-of-1.parquet", |row| row.device_seconds_attributed = 0.0),
        rows::<MetricRow>(out, "metrics-1-of-1.parquet", |_| ()),
        rows::<SampleRow>(out, "samples-1-of-1.parquet", |_| ()),
        rows::<CurveRow>(out, "curves.parquet", |_| ()),
    ]
}

/// What `inspect` prints but for the runs.
fn page(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().filter(|line| !line.starts_with("  run of")).collect::<Vec<_>>().join("\n")
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        match path.is_dir() {
            true => copy(&path, &to.join(name)),
            false => drop(std::fs::copy(&path, to.join(name)).unwrap()),
        }
    }
}

fn parquet_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(parquet_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "parquet") {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn a_flipped_bit_in_any_table_is_refused_or_unseen_and_the_sweep_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path());
    let (out, kept) = (folder.path().join("o"), folder.path().join("kept"));
    // First two cells in parts, then all in finished files.
    for (more, count) in [(&["--limit-cells", "2"][..], 5), (&[], 6)] {
        let swept = percuss(folder.path(), &[&SWEEP, more].concat());
        assert!(swept.status.success(), "{}", said(&swept));
        copy(&out, &kept);
        let files = parquet_files(&kept);
        assert_eq!(files.len(), count, "{files:?}");
        let right = page(&percuss(folder.path(), &["inspect", "o"]));
        // A generator of Knuth's, the upper bits of it.
        let mut state = 14u64;
        let mut draw = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        for (round, file) in files.iter().cycle().take(2 * files.len()).enumerate() {
            std::fs::remove_dir_all(&out).unwrap();
            copy(&kept, &out);
            let file = out.join(file.strip_prefix(&kept).unwrap());
            let mut bytes = std::fs::read(&file).unwrap();
            let at = draw(bytes.len());
            bytes[at] ^= 1 << draw(8);
            std::fs::write(&file, bytes).unwrap();
            let about = format!("round {round}, byte {at} of {}", file.display());
            let seen = percuss(folder.path(), &["inspect", "o"]);
            match seen.status.code() {
                Some(0) => assert_eq!(page(&seen), right, "{about}"),
                code => {
                    assert_eq!(code, Some(2), "{about}: {}", said(&seen));
                    let name = file.file_name().unwrap().to_string_lossy().into_owned();
                    assert!(said(&seen).contains(&name), "{about}: {}", said(&seen));
                }
            }
            let mended = percuss(folder.path(), &SWEEP);
            assert!(mended.status.success(), "{about}: {}", said(&mended));
            let again = percuss(folder.path(), &["inspect", "o"]);
            assert!(again.status.success(), "{about}: {}", said(&again));
            if more.is_empty() {
                assert_eq!(page(&again), right, "{about}");
                assert_eq!(tables(&out), tables(&kept), "{about}");
            }
        }
        std::fs::remove_dir_all(&out).unwrap();
        copy(&kept, &out);
        std::fs::remove_dir_all(&kept).unwrap();
    }
}

#[test]
fn a_damaged_table_is_told_with_file_digests_and_mend_and_the_mend_works() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path());
    assert!(percuss(folder.path(), &SWEEP).status.success());
    let file = folder.path().join("o/metrics-1-of-1.parquet");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[50] ^= 8;
    std::fs::write(&file, bytes).unwrap();
    for path in ["o", "o/metrics-1-of-1.parquet"] {
        let seen = percuss(folder.path(), &["inspect", path]);
        let text = said(&seen);
        assert!(seen.status.code() == Some(2) && seen.stdout.is_empty(), "{text}");
        for word in ["o/metrics-1-of-1.parquet: SHA-256: found ", "expected ", "sweep again"] {
            assert!(text.contains(word), "{text}");
        }
    }
    let mended = percuss(folder.path(), &SWEEP);
    let text = said(&mended);
    assert!(
        text.contains("metrics-1-of-1.parquet: changed after it was written") && text.contains("damaged/"),
        "{text}"
    );
    assert!(String::from_utf8_lossy(&mended.stdout).contains("4 of 4 cells done"));
    for table in ["cells", "metrics", "samples"] {
        assert!(folder.path().join(format!("o/damaged/{table}-1-of-1.parquet")).is_file());
    }
    let sound = percuss(folder.path(), &["inspect", "o/metrics-1-of-1.parquet"]);
    assert!(String::from_utf8_lossy(&sound.stdout).contains("its SHA-256 fits"));
    // Not for a reader who passes the folder on unaware.
    let private = percuss(folder.path(), &["inspect", "o", "--private"]);
    assert!(String::from_utf8_lossy(&private.stdout).contains("damaged/"));
}
