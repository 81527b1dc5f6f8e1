//! Cells do not depend on their company: however a study is run, its rows are the same but for times.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use percuss::sweep::options::SweepOptions;
use support::sweeps::{Fixture, Rows};

/// Two models on their data; `PHANTOMS` and `PATIENTS` of them.
const SUBJECTS: &str = r#"
name = "company"
seeds = [0, 1]
[[data]]
id = "phantoms"
name = "cxr-phantom"
split = "test"
limit = PHANTOMS
[[data]]
id = "patients"
name = "support2"
split = "test"
limit = PATIENTS
[[model]]
id = "cnn"
path = "cnn"
data = ["phantoms"]
[[model]]
id = "mlp"
path = "mlp"
data = ["patients"]
"#;

/// Every way in which cells can share: steps, both ends, restarts, seeds, budgets of one step, a bisected ladder, two models.
const TABLES: &str = r#"
[[attack]]
kind = ["fgsm", "pgd", "mi-fgsm"]
models = ["cnn"]
budget = [ { norm = "linf", eps = [0.5, 2, 8] }, { norm = "l2", eps = [5, 40] } ]
steps = [1, 5]
step_size = { rel = 0.25 }
stop = ["success", "steps"]
[[attack]]
kind = ["pgd"]
models = ["mlp"]
aim = ["any", "hide"]
budget = [ { norm = "linf", eps = [0.2, 1.5] }, { norm = "l2", eps = 2 }, { norm = "l1", eps = [1, 6] } ]
steps = [3, 6]
restarts = 2
stop = ["success", "steps"]
[[attack]]
kind = ["pgd", "bim"]
curve = "bisect"
budget = [ { norm = "linf", eps = { logspace = [0.01, 16, 6] } }, { norm = "l2", eps = { logspace = [0.1, 60, 5] } } ]
steps = 4
step_size = 0.25
"#;

/// The same ways in three programs, since a software adapter takes its time to compile each.
const FEW_TABLES: &str = r#"
[[attack]]
kind = ["fgsm", "pgd"]
models = ["cnn"]
budget = [ { norm = "linf", eps = [0.5, 2, 8] } ]
steps = [1, 5]
step_size = { rel = 0.25 }
stop = ["success", "steps"]
[[attack]]
kind = ["pgd"]
models = ["mlp"]
budget = [ { norm = "l2", eps = [0.5, 2] } ]
steps = [3, 6]
restarts = 2
stop = ["success", "steps"]
[[attack]]
kind = ["pgd"]
models = ["mlp"]
curve = "bisect"
budget = [ { norm = "l2", eps = { logspace = [0.1, 60, 5] } } ]
steps = 4
step_size = 0.25
"#;

/// The lists and the tables of the study the other way round: the same cells in another order.
fn shuffled(study: &str) -> String {
    let (head, tables) = study.split_once("[[attack]]").unwrap();
    let mut tables: Vec<&str> = tables.split("[[attack]]").collect();
    tables.reverse();
    let tables = tables.join("[[attack]]");
    let orders = [
        ("[0, 1]", "[1, 0]"),
        ("[1, 5]", "[5, 1]"),
        ("[3, 6]", "[6, 3]"),
        ("[0.5, 2, 8]", "[8, 0.5, 2]"),
        ("[\"success\", \"steps\"]", "[\"steps\", \"success\"]"),
        ("[\"fgsm\", \"pgd\", \"mi-fgsm\"]", "[\"mi-fgsm\", \"pgd\", \"fgsm\"]"),
        ("[\"any\", \"hide\"]", "[\"hide\", \"any\"]"),
    ];
    orders.iter().fold(format!("{head}[[attack]]{tables}"), |text, (from, to)| text.replace(from, to))
}

fn study(tables: &str, phantoms: usize, patients: usize) -> String {
    let subjects = SUBJECTS.replace("PHANTOMS", &phantoms.to_string());
    subjects.replace("PATIENTS", &patients.to_string()) + tables
}

/// Fails with the first row that differs.
fn check(what: &str, found: &Rows, expected: &Rows) {
    assert_eq!(found.cells.len(), expected.cells.len(), "{what}: cells");
    for (a, b) in found.cells.iter().zip(&expected.cells) {
        assert_eq!(a, b, "{what}");
    }
    assert_eq!(found.samples.len(), expected.samples.len(), "{what}: samples");
    for (a, b) in found.samples.iter().zip(&expected.samples) {
        assert_eq!(a, b, "{what}");
    }
    assert_eq!(found.metrics, expected.metrics, "{what}");
}

fn company_on(device: &str, text: &str) {
    let fixture = Fixture::new(text);
    let on = |options: SweepOptions| SweepOptions { device: device.into(), ..options };
    let two = || on(SweepOptions { threads: Some(2), ..SweepOptions::default() });
    let report = fixture.run("whole", two());
    let whole = fixture.rows("whole");
    assert_eq!(whole.cells.len(), report.cells);
    let inferred = whole.samples.iter().filter(|row| row.inferred).count();
    assert!(inferred > 0, "no row of the bisected ladders was inferred");

    for (name, lanes) in [("few lanes", 3), ("twice as many", 6), ("many", 48)] {
        fixture.run(name, SweepOptions { lanes: Some(lanes), ..two() });
        check(name, &fixture.rows(name), &whole);
    }
    fixture.run("alone", SweepOptions { sharing: false, ..two() });
    check("nothing shared", &fixture.rows("alone"), &whole);
    fixture.run("again", on(SweepOptions { threads: Some(1), ..SweepOptions::default() }));
    check("again, by one thread", &fixture.rows("again"), &whole);

    for shard in 1..=7 {
        fixture.run("seven", SweepOptions { shard: (shard, 7), ..two() });
    }
    check("seven shards", &fixture.rows("seven"), &whole);

    let first = fixture.run("resumed", SweepOptions { limit_cells: Some(17), ..two() });
    assert_eq!((first.done, first.complete), (17, false));
    let second = fixture.run("resumed", two());
    assert_eq!((second.found, second.done), (17, report.cells - 17));
    let third = fixture.run("resumed", two());
    assert_eq!((third.found, third.done), (report.cells, 0));
    check("resumed", &fixture.rows("resumed"), &whole);

    let other = Fixture::new(&shuffled(text));
    other.run("shuffled", two());
    check("shuffled", &other.rows("shuffled"), &whole);
}

#[test]
fn rows_do_not_depend_on_company_on_the_cpu() {
    company_on("cpu", &study(TABLES, 24, 40));
}

#[test]
fn rows_do_not_depend_on_company_on_a_gpu() {
    // The first adapter, software or not: this test needs one, and fails without.
    company_on("gpu:0", &study(FEW_TABLES, 5, 9));
}

/// Kills the study's process twenty times at random moments of its life, then lets it finish.
fn killed_on(device: &str, text: &str) {
    let fixture = Fixture::new(text);
    let run = |out: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_percuss"));
        command.args(["sweep", "--device", device, "--threads", "1", "--quiet", "--out"]);
        command.arg(fixture.out(out)).arg(fixture.file()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    let began = Instant::now();
    assert!(run("calm").status().unwrap().success());
    let whole = began.elapsed();
    // A fixed stream of moments within the first fifth of a whole life, so that the study lasts for some of them.
    let mut draw = 0x9E37_79B9_u32;
    let mut unfinished = 0;
    for _ in 0..20 {
        draw = draw.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let moment = whole.mul_f64(f64::from(draw >> 8) / f64::from(1 << 24) / 5.0);
        let mut child = run("killed").spawn().unwrap();
        std::thread::sleep(moment.max(Duration::from_millis(20)));
        unfinished += u32::from(child.try_wait().unwrap().is_none());
        // It may have ended by itself.
        let _ = child.kill();
        child.wait().unwrap();
        for file in files(&fixture.out("killed")) {
            if file.extension().is_some_and(|extension| extension == "parquet") {
                let bytes = std::fs::read(&file).unwrap();
                assert!(bytes.ends_with(b"PAR1"), "{} is half-written", file.display());
            }
        }
    }
    assert!(unfinished > 2, "only {unfinished} of 20 were killed");
    assert!(run("killed").status().unwrap().success());
    check("killed", &fixture.rows("killed"), &fixture.rows("calm"));
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let path = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path) } else { vec![path] }
    };
    entries.flat_map(path).collect()
}

#[test]
fn killed_twenty_times_it_ends_with_the_same_rows_on_the_cpu() {
    killed_on("cpu", &study(TABLES, 100, 200));
}

#[test]
fn killed_twenty_times_it_ends_with_the_same_rows_on_a_gpu() {
    killed_on("gpu:0", &study(FEW_TABLES, 5, 9));
}
