//! What could mislead is told by every command that reads the data: by `eval`, by `plan`, and in the flags that follow a sweep.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use percuss::attacks::Norm;
use percuss::data::Domain;
use support::evasion::{CPU, attack, job, linear, right_subject};
use support::npz::{encoded, npy, write};
use support::{onnx, signed};

const N: usize = 60;
const FEATURES: usize = 4;

fn noise(i: usize, at: usize) -> f64 {
    ((i * FEATURES + at + 1) as f64 * 0.754_877_666).fract() - 0.5
}

/// One linear output a class of the features, after what subtracts and divides.
fn network(folder: &Path, scaler: Option<[f32; 2]>, bias: [f32; 2]) {
    let mut parts = vec![
        onnx::reals("w", &[FEATURES as i64, 2], &[0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.5]),
        onnx::reals("b", &[2], &bias),
        onnx::input("x", &[-1, FEATURES as i64]),
        onnx::output("z", &[-1, 2]),
    ];
    let from = match scaler {
        None => "x",
        Some([mean, std]) => {
            parts.push(onnx::reals("m", &[FEATURES as i64], &[0.0, 1.0, 2.0, 3.0].map(|more| mean + more)));
            parts.push(onnx::reals("k", &[FEATURES as i64], &[std; FEATURES]));
            parts.insert(0, onnx::node("Sub", &["x", "m"], &["d"], &[]));
            parts.insert(1, onnx::node("Div", &["d", "k"], &["s"], &[]));
            "s"
        }
    };
    let first = if scaler.is_some() { 2 } else { 0 };
    parts.insert(first, onnx::node("Gemm", &[from, "w", "b"], &["z"], &[]));
    std::fs::write(folder.join("m.onnx"), onnx::file(17, &parts)).unwrap();
}

/// Arrays of f64, as `x` and `y` or as the splits `train` and `test`.
fn samples(folder: &Path, names: &[[&str; 2]], value: impl Fn(usize, usize) -> f64) {
    let values: Vec<f64> =
        (0..N).flat_map(|i| (0..FEATURES).map(move |at| (i, at))).map(|(i, at)| value(i, at)).collect();
    let labels: Vec<f64> = (0..N).map(|i| (i % 2) as f64).collect();
    let arrays = names.iter().flat_map(|[x, y]| {
        [
            (*x, npy("<f8", false, &[N, FEATURES], &encoded("<f8", &values))),
            (*y, npy("|u1", false, &[N], &encoded("|u1", &labels))),
        ]
    });
    write(&folder.join("d.npz"), false, &arrays.collect::<Vec<_>>());
}

fn table(folder: &Path, value: impl Fn(usize, usize) -> f64) {
    let row = |i: usize| {
        let cells: Vec<String> = (0..FEATURES).map(|at| value(i, at).to_string()).collect();
        format!("{},{}\n", cells.join(","), i % 2)
    };
    let rows: String = (0..N).map(row).collect();
    std::fs::write(folder.join("d.csv"), format!("c0,c1,c2,c3,y\n{rows}")).unwrap();
    let spec = "outcome = \"y\"\nclasses = [\"no\", \"yes\"]\n[scale]\ndefault = \"none\"\n";
    std::fs::write(folder.join("d.toml"), spec).unwrap();
}

fn study(folder: &Path, data: &str, attack: &str) {
    let text = format!(
        "name = \"s\"\n[[data]]\nid = \"d\"\n{data}\n[[model]]\nid = \"m\"\npath = \"m.onnx\"\ndata = [\"d\"]\n[[attack]]\n{attack}\n"
    );
    std::fs::write(folder.join("s.toml"), text).unwrap();
}

const FGSM: &str = "kind = \"fgsm\"\nbudget = { norm = \"linf\", eps = 0.1 }";

/// All that a command on the study says, a sweep from its beginning.
fn said(folder: &Path, command: &str) -> String {
    let _ = std::fs::remove_dir_all(folder.join("results"));
    let mut words: Vec<&str> = command.split(' ').collect();
    words.push("s.toml");
    if !command.starts_with("data") {
        words.extend(["--device", "cpu"]);
    }
    let output =
        Command::new(env!("CARGO_BIN_EXE_percuss")).args(&words).current_dir(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
}

/// That every command tells it, or none.
fn told(folder: &Path, what: &str, is: bool) {
    for command in ["eval", "plan", "sweep"] {
        let said = said(folder, command);
        assert_eq!(said.contains(what), is, "{what} by {command}: {said}");
    }
}

#[test]
fn values_that_f32_rounds_are_told_of_arrays_and_tables() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    network(at, None, [0.0; 2]);
    let dates = |i: usize, at: usize| if at == 1 { 20_260_101.0 + (i % 28) as f64 } else { noise(i, at) };
    samples(at, &[["x", "y"]], dates);
    study(at, "path = \"d.npz\"", FGSM);
    told(at, "rounded-to-f32", true);
    assert!(said(at, "data check").contains("(rounded-to-f32)"));
    assert!(said(at, "eval").contains("value 1 of `x` ("), "{}", said(at, "eval"));
    // No attack moves such a value by 0.1.
    assert!(said(at, "plan").contains("below the data's own resolution of 2"));
    table(at, dates);
    study(at, "path = \"d.csv\"\nsplit = \"all\"", FGSM);
    told(at, "rounded-to-f32", true);
    assert!(said(at, "eval").contains("c1 ("), "{}", said(at, "eval"));
    samples(at, &[["x", "y"]], noise);
    study(at, "path = \"d.npz\"", FGSM);
    told(at, "rounded-to-f32", false);
    told(at, "budget-below-resolution", false);
}

#[test]
fn a_column_in_another_unit_than_the_network_s_own_scaler_is_told_of_tables() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    network(at, Some([60.0, 15.0]), [0.0; 2]);
    let years = |i: usize, at: usize| 60.0 + 50.0 * noise(i, at);
    study(at, "path = \"d.csv\"\nsplit = \"all\"", FGSM);
    table(at, years);
    told(at, "input-statistics", false);
    table(at, |i, at| if at == 2 { 3.0 * years(i, at) } else { years(i, at) });
    told(at, "input-statistics", true);
    assert!(said(at, "eval").contains("`c2`"));
    // A range that nobody fitted with the model is none.
    study(at, "path = \"d.csv\"", FGSM);
    table(at, |i, at| years(i, at) * (i * i) as f64);
    assert!(!said(at, "eval").contains("fitted from"), "{}", said(at, "eval"));
}

#[test]
fn a_plan_tells_the_doubts_about_clean_answers_and_a_sweep_those_about_splits() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    network(at, None, [0.0, 50.0]);
    samples(at, &[["x_train", "y_train"], ["x_test", "y_test"]], noise);
    study(at, "path = \"d.npz\"", FGSM);
    told(at, "one-answer", true);
    told(at, "no-better-than-commonest-class", true);
    told(at, "shared-with-train", true);
}

#[test]
fn what_a_study_writes_and_does_not_get_is_told_and_mends_work() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    network(at, None, [0.0; 2]);
    samples(at, &[["x", "y"]], |i, at| ((noise(i, at) + 0.5) * 254.0).round().min(254.0));
    let plan = |data: &str, attack: &str| {
        study(at, &format!("path = \"d.npz\"\n{data}"), attack);
        said(at, "plan")
    };
    let pgd = "kind = \"pgd\"\nbudget = { norm = \"linf\", eps = 8 }\n";
    let text = plan("", &format!("{pgd}random_start = false\nrestarts = 10"));
    assert!(text.contains("restarts is ignored by pgd where random_start = false"), "{text}");
    let text = plan("", &format!("{pgd}random_start = true\nrestarts = 10"));
    assert!(!text.contains("restarts is ignored"), "{text}");
    let text = plan("", &format!("{pgd}steps = {{ linspace = [1, 10, 3] }}"));
    assert!(
        text.contains("found 5.5, expected whole numbers alone, as linspace = [1, 10, 4] has them"),
        "{text}"
    );
    for steps in ["{ linspace = [1, 10, 4] }", "{ logspace = [1, 20, 4] }"] {
        let text = plan("", &format!("{pgd}steps = {steps}"));
        assert!(text.contains("4 cells"), "{text}");
    }
    let text = plan("", &format!("{pgd}steps = 1\nstep_size = {{ rel = 1 }}"));
    assert!(text.contains("1 cell cannot cross their ball, such as pgd: 1 step of 8 for eps 8"), "{text}");
    assert!(said(at, "sweep").contains("steps-too-short"));
    let fraction =
        "kind = \"fgsm\"\nbudget = { norm = \"l∞\", eps = { logspace = [\"1/255\", \"16/255\", 3] } }";
    assert!(plan("", fraction).contains("bounds = [0, 255] in [[data]]"), "{}", plan("", fraction));
    let text = plan("bounds = [0, 255]", fraction);
    assert!(text.contains("3 cells") && text.contains("4/255"), "{text}");
    let text =
        plan("", "kind = \"fgsm\"\nbudget = { norm = \"linf\", eps = { linspace = [\"1/255\", 2, 3] } }");
    assert!(text.contains("found 2, expected the end in the form of the first"), "{text}");
    let text = plan("bounds = [-1e21, 1e21]", "kind = \"fgsm\"\nbudget = { norm = \"l2\", eps = 5e19 }");
    assert!(text.contains("whose squares f32 does not hold"), "{text}");
    assert!(said(at, "sweep").contains("extreme-budget"));
}

#[test]
fn pgd_under_l1_does_not_spend_its_sparse_steps_on_taking_back_its_start() {
    let weights = signed("l1", 64, 1.0);
    let none = vec![0.0; 64];
    let model = linear(&[(&none, 0.0), (&weights, 0.0)], "softmax");
    let subject = right_subject(model, signed("images", 64 * 200, 1.0), Domain::uniform(-1.0, 1.0));
    let robust = |name: &str, eps: f64| {
        let mut job = job(&subject, name, Norm::L1, eps);
        (job.steps, job.step_size) = (10, 0.25 * eps);
        job.settings.choices = vec![("l1_step", "sparse")];
        let outcomes = attack(&subject, &[job], &CPU).remove(0);
        outcomes.iter().filter(|outcome| !outcome.success).count()
    };
    for eps in [3.0, 6.0] {
        let (bim, pgd) = (robust("bim", eps), robust("pgd", eps));
        assert!(pgd <= bim + 6, "of 200 samples {pgd} withstand PGD, {bim} BIM, at {eps}");
    }
}
