//! The program from outside: what its commands print, where, and with which exit code.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use percuss::models::Config;
use support::write_model;

fn percuss(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap()
}

fn answer(folder: &Path, arguments: &[&str]) -> String {
    let output = percuss(folder, arguments);
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a command that must fail with exit code 2 says.
fn refusal(folder: &Path, arguments: &[&str]) -> String {
    let output = percuss(folder, arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

/// A study of a small CNN on the chest phantoms; `expect` is its clean accuracy, lowest and highest.
fn study(folder: &Path, expect: &str) {
    let config = r#"{"architecture": "cnn", "input": [28, 28, 1], "classes": 2, "layers": [
        {"kind": "conv", "out": 4, "kernel": 3, "stride": 2}, {"kind": "relu"},
        {"kind": "global_avg_pool"}, {"kind": "linear", "out": 2}],
        "input_scaling": {"mean": [127.0], "std": [64.0]}}"#;
    let config = Config::parse(config, "test").unwrap();
    write_model(&folder.join("cnn"), &config);
    let text = format!(
        r#"name = "phantoms"
[[data]]
id = "p"
name = "cxr-phantom"
split = "test"
limit = 20
[[model]]
id = "cnn"
path = "cnn"
data = "p"
expect = {{ accuracy = {expect} }}
[[attack]]
kind = "pgd"
aim = ["any", "hide"]
budget = [{{ norm = "linf", eps = [1, 6.4] }}]
steps = 10
save = "all"
"#
    );
    std::fs::write(folder.join("study.toml"), text).unwrap();
}

#[test]
fn plan_counts_what_the_loaded_model_and_data_will_do() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    let plan: serde_json::Value =
        serde_json::from_str(&answer(folder.path(), &["plan", "study.toml", "--json"])).unwrap();
    assert_eq!(plan["cells"], 4);
    assert_eq!(plan["sample_rows"], 4 * 20);
    let lanes = plan["lanes"].as_u64().unwrap();
    // `hide` leaves out the samples of class 0: some, not all.
    assert!(lanes > 2 * 20 && lanes < 4 * 20, "{lanes}");
    assert_eq!(plan["gradient_calls"], lanes * 10);
    assert_eq!(plan["gradients_shared"], lanes * 10);
    assert_eq!(plan["input_bytes"], 4 * 20 * 784 * 4);
    // Convolution: 14 x 14 (stride 2, no padding: 13 x 13) outputs of 4 channels, 9 products each, forward and to the input.
    let convolution = 2.0 * 13.0 * 13.0 * 4.0 * 9.0;
    let flops = plan["flops"].as_f64().unwrap() / (lanes * 10) as f64;
    assert!(flops >= 2.0 * convolution && flops < 20.0 * convolution, "{flops}");
    let page = answer(folder.path(), &["plan", "study.toml"]);
    assert!(page.contains("in pixel          1  6.4\n"), "{page}");
    assert!(page.contains("at the input      0.01562  0.1\n"), "{page}");
    assert!(page.contains("data p is synthetic"), "{page}");
}

#[test]
fn eval_prints_every_metric_and_fails_where_an_expectation_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    let page = answer(folder.path(), &["eval", "study.toml", "--device", "cpu"]);
    assert!(page.starts_with("cnn on p (20 samples, synthetic)\n"), "{page}");
    assert!(page.contains("expected 0 to 1: as expected"), "{page}");
    study(folder.path(), "[0.999, 1]");
    let output = percuss(folder.path(), &["eval", "study.toml", "--device", "cpu"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stdout).unwrap().contains("MISSED"));
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(
        complaint.contains("percuss: study.toml: model cnn on data p: expect.accuracy: found "),
        "{complaint}"
    );
    let complaint = refusal(folder.path(), &["sweep", "study.toml", "--device", "cpu"]);
    assert!(complaint.contains("expect.accuracy"), "{complaint}");
    assert!(!folder.path().join("results").exists(), "nothing is written");
}

#[test]
fn eval_and_the_table_name_classes_subgroups_and_intervals() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    let file = folder.path().join("study.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let text = text.replace("name = \"cxr-phantom\"", "name = \"cxr-phantom\"\nsubgroups = [\"patient\"]");
    std::fs::write(&file, text.replace("limit = 20", "limit = 60") + "target = \"opacity\"\n").unwrap();
    let page = answer(folder.path(), &["eval", "study.toml", "--device", "cpu"]);
    for part in ["by patient", "sensitivity", "auroc", " to "] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let json: serde_json::Value =
        serde_json::from_str(&answer(folder.path(), &["eval", "study.toml", "--json", "--device", "cpu"]))
            .unwrap();
    let parts = json[0]["parts"].as_array().unwrap();
    let accuracy = |part: &serde_json::Value| part["rates"][0]["value"].as_f64().unwrap();
    let n = |part: &serde_json::Value| part["n"].as_f64().unwrap();
    assert_eq!((n(&parts[0]), Some(accuracy(&parts[0]))), (60.0, json[0]["metrics"]["accuracy"].as_f64()));
    // Subgroups of a column are all samples, each once, and right as often.
    for column in ["patient"] {
        let of: Vec<&serde_json::Value> = parts.iter().filter(|part| part["subgroup"][0] == column).collect();
        assert!(of.len() > 1 && of.iter().map(|part| n(part)).sum::<f64>() == 60.0, "{column}");
        let right: f64 = of.iter().map(|part| n(part) * accuracy(part)).sum();
        assert!((right - 60.0 * accuracy(&parts[0])).abs() < 1e-9, "{column}");
        for part in of {
            let ends = &part["rates"][0]["interval"];
            assert!(
                ends[0].as_f64().unwrap() <= accuracy(part) && accuracy(part) <= ends[1].as_f64().unwrap()
            );
        }
    }
    let page = answer(folder.path(), &["sweep", "study.toml", "--device", "cpu", "--threads", "1"]);
    for part in [
        "aim target opacity",
        "by group (pgd, linf eps ",
        "class clear",
        "patient ",
        "half at: the smallest eps",
    ] {
        assert!(page.contains(part), "{part}: {page}");
    }
}

#[test]
fn plan_fails_where_nothing_loads_and_every_help_tells_the_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    std::fs::remove_file(folder.path().join("cnn/model.safetensors")).unwrap();
    let output = percuss(folder.path(), &["plan", "study.toml", "--device", "cpu"]);
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    assert!(String::from_utf8(output.stderr).unwrap().contains("cnn"));
    for command in ["eval", "plan", "sweep", "train", "attacks", "data", "inspect", "devices", "demo"] {
        let help = answer(folder.path(), &[command, "--help"]);
        for code in ["0 done", "1 failed", "2 bad usage or bad input", "130 interrupted"] {
            assert!(help.contains(code), "{command}: {help}");
        }
    }
}

#[test]
fn a_split_that_nobody_asked_for_is_told_with_the_line_that_says_another() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    let mut encoder = png::Encoder::new(std::fs::File::create(folder.path().join("a.png")).unwrap(), 28, 28);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.write_header().unwrap().write_image_data(&[7; 28 * 28]).unwrap();
    std::fs::write(folder.path().join("m.csv"), "path,label,split\na.png,1,train\n").unwrap();
    let file = folder.path().join("study.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let unsaid = text.replace("name = \"cxr-phantom\"\nsplit = \"test\"\nlimit = 20", "manifest = \"m.csv\"");
    std::fs::write(&file, &unsaid).unwrap();
    let complaint = refusal(folder.path(), &["eval", "study.toml", "--device", "cpu"]);
    assert!(complaint.contains("which is read where a study does not say"), "{complaint}");
    assert!(complaint.contains("split = \"...\" in [[data]] p (line 2) says which"), "{complaint}");
    std::fs::write(&file, unsaid.replace("\"m.csv\"", "\"m.csv\"\nsplit = \"train\"")).unwrap();
    answer(folder.path(), &["eval", "study.toml", "--device", "cpu"]);
}

#[test]
fn sweep_writes_where_it_is_told_and_inspect_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    let arguments = ["sweep", "study.toml", "--device", "cpu", "--json", "--threads", "1"];
    let report = answer(folder.path(), &arguments);
    let last: serde_json::Value = serde_json::from_str(report.lines().last().unwrap()).unwrap();
    assert_eq!((&last["done"], &last["found"], &last["complete"]), (&4.into(), &0.into(), &true.into()));
    let results = folder.path().join("results/phantoms");
    assert!(results.is_dir());
    let again = answer(folder.path(), &arguments);
    let last: serde_json::Value = serde_json::from_str(again.lines().last().unwrap()).unwrap();
    assert_eq!((&last["done"], &last["found"]), (&0.into(), &4.into()));
    let page = answer(folder.path(), &["inspect", "results/phantoms"]);
    assert!(page.starts_with("results of study phantoms\n  4 cells\n"), "{page}");
    assert!(page.contains("finished shards: cells-"), "{page}");
    let model = answer(folder.path(), &["inspect", "cnn"]);
    assert!(model.starts_with("model cnn\n  input         [28, 28, 1]\n"), "{model}");
    std::fs::write(
        folder.path().join("other.toml"),
        std::fs::read_to_string(folder.path().join("study.toml"))
            .unwrap()
            .replace("steps = 10", "steps = 11"),
    )
    .unwrap();
    let complaint =
        refusal(folder.path(), &["sweep", "other.toml", "--device", "cpu", "--out", "results/phantoms"]);
    assert!(complaint.starts_with("percuss: results/phantoms"), "{complaint}");
}

#[test]
fn sweep_ends_with_a_table_of_the_present_model_alone() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    let sweep = |more: &[&str]| {
        let mut arguments = vec!["sweep", "study.toml", "--device", "cpu", "--threads", "1"];
        arguments.extend(more);
        answer(folder.path(), &arguments)
    };
    // Nothing is allowed to be done: that is said, and is no error.
    let page = sweep(&["--limit-cells", "0"]);
    assert!(page.contains("0 of 4 cells done") && page.contains("nothing to do"), "{page}");
    let page = sweep(&[]);
    assert!(page.starts_with("cnn on p (synthetic): n 20, clean accuracy "), "{page}");
    assert!(page.contains("robust accuracy at eps") && page.contains("4 of 4 cells done"), "{page}");
    let inspected = answer(folder.path(), &["inspect", "results/phantoms"]);
    assert!(inspected.contains(page.split("\nresults/phantoms").next().unwrap().trim_end()), "{inspected}");
    assert_eq!(sweep(&["--quiet"]), "");
    // Another model under the same name: until all of its cells are there, only its own are shown.
    let model = folder.path().join("cnn/model.safetensors");
    let mut weights = std::fs::read(&model).unwrap();
    // The last value of the last tensor: a little-endian f32.
    let at = weights.len() - 4;
    weights[at..].copy_from_slice(&0.25f32.to_le_bytes());
    std::fs::write(&model, weights).unwrap();
    let curves = || {
        let file = folder.path().join("results/phantoms/curves.parquet");
        percuss::results::read_rows::<percuss::results::CurveRow>(&file).unwrap()
    };
    let before = curves();
    assert_eq!(before.len(), 4);
    let page = sweep(&["--limit-cells", "1"]);
    assert!(page.contains("1 of 4 cells done") && !page.contains("retired"), "{page}");
    assert_eq!((curves().len(), curves()[0].n_cells), (1, 1));
    assert_ne!(curves()[0].model_sha256, before[0].model_sha256);
    let inspected = answer(folder.path(), &["inspect", "results/phantoms"]);
    assert!(inspected.contains("model cnn: rows of 2 versions of its weights"), "{inspected}");
    let page = sweep(&[]);
    assert!(page.contains("4 cells of an earlier model or data set moved to retired/\n"), "{page}");
    assert_eq!(curves().len(), 4);
    let results = percuss::results::Results::open(&folder.path().join("results/phantoms")).unwrap();
    let cells = results.cells().unwrap();
    assert!(cells.iter().all(|cell| cell.model_sha256 == cells[0].model_sha256) && cells.len() == 4);
    let report: serde_json::Value = serde_json::from_str(sweep(&["--json"]).lines().last().unwrap()).unwrap();
    assert_eq!((&report["found"], &report["retired"]), (&4.into(), &0.into()));
}

#[test]
fn shards_run_into_one_folder_at_once() {
    let folder = tempfile::tempdir().unwrap();
    study(folder.path(), "[0, 1]");
    let shard = |i: usize| {
        let arguments = ["sweep", "study.toml", "--device", "cpu", "--threads", "1", "--shard"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_percuss"));
        command.args(arguments).arg(format!("{i}/4")).current_dir(folder.path());
        command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap()
    };
    for child in [1, 2, 3, 4].map(shard) {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8(output.stderr).unwrap());
    }
    let results = percuss::results::Results::open(&folder.path().join("results/phantoms")).unwrap();
    assert_eq!((results.cells().unwrap().len(), results.curves().unwrap().len()), (4, 4));
}

#[test]
fn bad_usage_and_bad_files_exit_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    study(path, "[0, 1]");
    std::fs::create_dir(path.join("images")).unwrap();
    std::fs::write(path.join("images/a.png"), b"\x89PNG").unwrap();
    let text = std::fs::read_to_string(path.join("study.toml")).unwrap();
    std::fs::write(path.join("aim.toml"), text.replace("aim = [\"any\", \"hide\"]", "aim = { target = 1 }"))
        .unwrap();
    for (arguments, part) in [
        (&["sweep", "study.toml", "--shard", "3/2"][..], "expected I/N with I from 1 to N"),
        (&["sweep", "study.toml", "--threads", "0"], "--threads"),
        (&["frobnicate"], "unrecognized subcommand"),
        (&["plan", "missing.toml"], "percuss: missing.toml: "),
        (
            &["attacks", "pdg"],
            "percuss: percuss attacks: NAME: found \"pdg\", expected one of fgsm, bim, pgd, mi-fgsm",
        ),
        (&["inspect", "study.toml"], "percuss: study.toml: file ending: found \"toml\", expected a model"),
        (&["inspect", "study.toml"], "`percuss data check STUDY.toml`"),
        (&["inspect", "images"], "folder: found images, expected"),
        (&["inspect", "images"], "`percuss data check STUDY`"),
        (&["plan", "aim.toml"], "attack.aim: found a table, expected any, hide or raise"),
        (&["inspect", "not-there.npz"], "percuss: not-there.npz: "),
    ] {
        let complaint = refusal(path, arguments);
        assert!(complaint.contains(part), "{complaint}");
    }
    let whole = std::fs::read(path.join("cnn/model.safetensors")).unwrap();
    std::fs::write(path.join("cut.safetensors"), &whole[..whole.len() - 8]).unwrap();
    std::fs::write(path.join("no.npz"), b"no archive").unwrap();
    for file in ["cut.safetensors", "no.npz"] {
        let complaint = refusal(path, &["inspect", file]);
        assert!(complaint.starts_with(&format!("percuss: {file}: ")), "{complaint}");
    }
}

#[test]
fn attacks_shows_every_parameter() {
    let folder = tempfile::tempdir().unwrap();
    let table = answer(folder.path(), &["attacks"]);
    for attack in percuss::attacks::REGISTRY {
        assert!(table.lines().any(|line| line.starts_with(attack.name)), "{table}");
        let page = answer(folder.path(), &["attacks", attack.name]);
        assert!(page.contains(attack.paper));
        for parameter in attack.parameters {
            assert!(page.contains(&format!("{} = {}\n", parameter.name, parameter.default)), "{page}");
        }
    }
}

#[test]
fn a_configuration_of_ten_thousand_layers_is_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let config = r#"{"architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_size": 16, "num_hidden_layers": 10000,
        "num_attention_heads": 2, "intermediate_size": 32, "image_size": 16, "patch_size": 8, "num_channels": 3, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "qkv_bias": true, "id2label": {"0": "a", "1": "b"}}"#;
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    // A safetensors file without a tensor.
    std::fs::write(folder.path().join("model.safetensors"), [&2u64.to_le_bytes()[..], b"{}"].concat())
        .unwrap();
    let began = std::time::Instant::now();
    let output = percuss(folder.path(), &["inspect", "."]);
    assert_eq!(output.status.code(), Some(2));
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(message.contains("10000") && message.contains("at most 1000 layers"), "{message}");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}
