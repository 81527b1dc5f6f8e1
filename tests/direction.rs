//! Which class is the finding: names may say that it is not output 1, which sensitivity and `hide` take for it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use percuss::models::Config;
use support::npz::{encoded, npy, write};
use support::write_model;

const FLAG: &str = "finding-is-output-0";

fn percuss(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap()
}

/// A folder with a model of so many named classes, data for it, and a study with this aim.
fn study(names: &[&str], aim: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        r#"{{"architecture": "mlp", "inputs": 1, "hidden": [2], "classes": {}, "head": "softmax", "class_names": {names:?},
            "input_scaling": {{"mean": [2.5], "std": [1.7]}}}}"#,
        names.len()
    );
    write_model(&folder.path().join("model"), &Config::parse(&config, "model").unwrap());
    let x: Vec<f64> = (0..24).map(|at| f64::from(at % 6)).collect();
    let y: Vec<f64> = (0..24).map(|at| (at % names.len()) as f64).collect();
    let arrays = [
        ("x", npy("<f4", false, &[24, 1], &encoded("<f4", &x))),
        ("y", npy("<i8", false, &[24], &encoded("<i8", &y))),
    ];
    write(&folder.path().join("d.npz"), true, &arrays);
    let text = format!(
        "name = \"s\"\nseeds = [0]\n[[data]]\nid = \"d\"\nsplit = \"all\"\npath = \"d.npz\"\n[[model]]\nid = \"m\"\npath = \"model\"\n\
         data = [\"d\"]\n[[attack]]\nkind = \"fgsm\"\n{aim}\nbudget = [{{ norm = \"linf\", eps = 0.1 }}]\n"
    );
    std::fs::write(folder.path().join("s.toml"), text).unwrap();
    folder
}

#[test]
fn a_finding_that_is_output_0_is_told() {
    for (names, told) in [
        (["pneumonia", "normal"], true),
        (["malignant", "normal or benign"], true),
        (["Parasitized", "Uninfected"], true),
        (["covid", "non-covid"], true),
        (["normal", "pneumonia"], false),
        (["A", "B"], false),
        (["no finding", "normal"], false),
    ] {
        let folder = study(&names, "");
        let output = percuss(folder.path(), &["eval", "s.toml", "--device", "cpu"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{names:?}");
        assert_eq!(text.contains(FLAG), told, "{names:?}: {text}");
    }
}

#[test]
fn hide_and_raise_are_refused_where_they_would_do_the_opposite() {
    let two = ["pneumonia", "normal"];
    let three = ["viral", "bacterial", "normal"];
    for (names, aim, mend) in [
        (&two[..], "hide", Some("target = \"normal\"")),
        (&two, "raise", Some("target = \"pneumonia\"")),
        (&three, "hide", Some("target = \"normal\"")),
        (&["normal", "viral", "bacterial"], "hide", None),
        (&["normal", "pneumonia"], "raise", None),
        (&["A", "B"], "hide", None),
    ] {
        let aimed = format!("aim = {aim:?}");
        for command in ["plan", "sweep"] {
            let folder = study(names, &aimed);
            let output = percuss(folder.path(), &[command, "s.toml", "--device", "cpu"]);
            let said = String::from_utf8(output.stderr).unwrap();
            let Some(mend) = mend else {
                assert!(output.status.success(), "{names:?} {aim}: {said}");
                continue;
            };
            assert_eq!(output.status.code(), Some(2), "{names:?} {aim}: {said}");
            assert!(said.contains("line 13, attack.aim") && said.contains(mend), "{said}");
            let followed = study(names, mend);
            let output = percuss(followed.path(), &[command, "s.toml", "--device", "cpu"]);
            assert!(output.status.success(), "{mend}: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}
