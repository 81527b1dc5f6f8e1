//! What a sweep refuses for its inputs, `percuss plan` refuses with the same words, after everything else that it knows.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

/// 60 patients of two classes, by one number that tells them apart.
const TABLE: &str = "outcome = \"y\"\nclasses = [\"no\", \"yes\"]\ngroup = \"pid\"\n";
const RECIPE: &str = "out = \"m\"\nepochs = 2\nbatch = 8\n[data]\npath = \"t.csv\"\nval = \"none\"\n[model]\narchitecture = \"mlp\"\nhidden = [4]\n\
                      [optimizer]\nkind = \"adamw\"\nlearning_rate = 1e-2\n";
const ATTACK: &str = "[[attack]]\nkind = \"fgsm\"\nbudget = [{ norm = \"linf\", eps = 0.1 }]\n";

fn percuss(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap()
}

fn words(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A folder with the table, its recipe, and the model `m` that the recipe makes.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = (0..60)
        .map(|i| format!("p{i},{},{}.25,{}\n", i % 7, (i * 37) % 60, u8::from((i * 37) % 60 > 30)))
        .collect();
    std::fs::write(folder.path().join("t.csv"), format!("pid,a,b,y\n{rows}")).unwrap();
    std::fs::write(folder.path().join("t.toml"), TABLE).unwrap();
    std::fs::write(folder.path().join("r.toml"), RECIPE).unwrap();
    let output = percuss(folder.path(), &["train", "r.toml", "--device", "cpu"]);
    assert!(output.status.success(), "{}", words(&output));
    folder
}

#[test]
fn plan_refuses_what_a_sweep_refuses_in_the_same_words() {
    let folder = trained();
    let at = folder.path();
    let write = |name: &str, text: &str| std::fs::write(at.join(name), text).unwrap();
    write("wide.toml", &RECIPE.replace("batch = 8", "batch = 40"));
    write(
        "stopping.toml",
        &RECIPE
            .replace("val = \"none\"", "")
            .replace("epochs = 2", "epochs = 2\nearly_stopping = { metric = \"accuracy\", patience = 1 }"),
    );
    let model = |more: &str| {
        format!(
            "[[data]]\nid = \"d\"\npath = \"t.csv\"\n[[model]]\nid = \"m\"\npath = \"m\"\ndata = [\"d\"]\n{more}"
        )
    };
    let recipe = |file: &str| format!("[[recipe]]\nid = \"r\"\ntrain = \"{file}\"\n");
    let members = |more: &str| format!("[[membership]]\n{more}\n");
    let evading = format!("{}{ATTACK}", model(""));
    let sound = recipe("r.toml");
    let given = "[[data]]\nid = \"in\"\npath = \"t.csv\"\nsplit = \"train\"\n[[data]]\nid = \"out\"\npath = \"t.csv\"\nsplit = \"test\"\n\
                 [[model]]\nid = \"m\"\npath = \"m\"\ndata = [\"in\", \"out\"]\n";
    let target = "target = \"m\"\nmembers = \"in\"\nnonmembers = \"out\"\nshadow_recipe = \"r\"\n";
    let bare = format!("{evading}{sound}");
    // The study, and what is refused; the mend where one of the line's own words is it.
    let cases: &[(String, &str, Option<(&str, &str)>)] = &[
        (
            format!("{evading}{}[[poisoning]]\nkind = \"label-flip\"\n", recipe("none.toml")),
            "none.toml",
            None,
        ),
        (format!("{}{ATTACK}", model("expect = { accuracy = [1.5, 2] }\n")), "expect.accuracy: found", None),
        (format!("{}{ATTACK}", model("expect = { f9 = [0, 1] }\n")), "expect.f9", None),
        (
            format!(
                "{bare}[[recipe]]\nid = \"again\"\ntrain = \"r.toml\"\n[[poisoning]]\nkind = \"label-flip\"\n"
            ),
            "again, which is an earlier one again",
            None,
        ),
        (
            format!("{sound}{}", members("kind = \"lira\"\nshadows = 4")),
            "expected shadows = 6, or more",
            Some(("shadows = 4", "shadows = 6")),
        ),
        (
            format!("{sound}{}", members("kind = \"lira\"\nshadows = 3\nvariance = \"fixed\"")),
            "shadows = 4, or more",
            Some(("shadows = 3", "shadows = 4")),
        ),
        (
            format!("{sound}{}", members("kind = \"rmia\"\nshadows = 2")),
            "shadows = 4, or more",
            Some(("shadows = 2", "shadows = 4")),
        ),
        (
            format!("{sound}{}", members("kind = \"shadow\"\nshadows = 1")),
            "shadows = 2, or more",
            Some(("shadows = 1", "shadows = 2")),
        ),
        (
            format!("{sound}{}", members("kind = \"confidence\"\nthreshold = \"class\"\nshadows = 1")),
            "shadows = 2, or more",
            Some(("shadows = 1", "shadows = 2")),
        ),
        (
            format!(
                "{given}{sound}{}",
                members(&format!("kind = \"shadow\"\nshadows = 8\nknows = \"distribution\"\n{target}"))
            ),
            "membership.knows",
            None,
        ),
        (format!("{}{}", recipe("wide.toml"), members("kind = \"loss\"")), "batch = ", None),
        (
            format!(
                "{}[[defense]]\nid = \"dp\"\nkind = \"dp-sgd\"\nepsilon = 2\ndelta = 1e-3\n{}",
                recipe("stopping.toml"),
                members("kind = \"loss\"")
            ),
            "early stopping",
            None,
        ),
        (
            format!(
                "{sound}[[defense]]\nid = \"s\"\nkind = \"strip\"\nclean = 500\n[[backdoor]]\nkind = \"value\"\n"
            ),
            "defense.clean",
            None,
        ),
    ];
    for (text, refused, mend) in cases {
        let study = |text: &str| write("study.toml", &format!("name = \"s\"\n{text}"));
        study(text);
        let plan = percuss(at, &["plan", "study.toml", "--device", "cpu"]);
        let sweep = percuss(at, &["sweep", "study.toml", "--device", "cpu", "--out", "never", "--quiet"]);
        assert_eq!((plan.status.code(), sweep.status.code()), (Some(2), Some(2)), "{text}: {}", words(&plan));
        assert!(words(&plan).contains(refused), "{refused} in {}", words(&plan));
        assert_eq!(words(&plan), words(&sweep), "{text}");
        assert!(!at.join("never").exists(), "{text}");
        if let Some((from, to)) = mend {
            study(&text.replace(from, to));
            for command in [
                &["plan", "study.toml", "--device", "cpu"][..],
                &["sweep", "study.toml", "--device", "cpu", "--quiet"],
            ] {
                let output = percuss(at, command);
                assert!(output.status.success(), "{to} in {text}: {}", words(&output));
            }
            let _ = std::fs::remove_dir_all(at.join("results"));
        }
    }
}

#[test]
fn plan_tells_what_it_knows_before_it_fails_and_names_the_refusal_first() {
    let folder = trained();
    let at = folder.path();
    let text = format!(
        "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"t.csv\"\n[[model]]\nid = \"m\"\npath = \"m\"\ndata = [\"d\"]\n{ATTACK}\
         [[recipe]]\nid = \"r\"\ntrain = \"none.toml\"\n[[poisoning]]\nkind = \"label-flip\"\n"
    );
    std::fs::write(at.join("study.toml"), text).unwrap();
    let output = percuss(at, &["plan", "study.toml", "--device", "cpu"]);
    let page = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(2));
    let warnings = page.split("\nwarnings\n").nth(1).unwrap();
    assert!(warnings.trim_start().starts_with("recipe r does not load: none.toml"), "{page}");
    let json = percuss(at, &["plan", "study.toml", "--device", "cpu", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["warnings"][0].as_str().unwrap().contains("none.toml"), "{json}");
    assert_eq!(json["cells"], 1);
}

#[test]
fn what_the_test_split_shares_with_the_train_split_is_told_where_numbers_are_made() {
    let folder = trained();
    let at = folder.path();
    let row = |i: usize| {
        format!("p{},{},{},{}\n", i % 30, i, u8::from(i % 60 > 30), if i < 30 { "test" } else { "train" })
    };
    // Thirty patients in both splits, and two rows of the test split in the train split again.
    let rows: String = (0..90).map(row).collect::<String>() + "p1,1,0,train\np2,2,0,train\n";
    std::fs::write(at.join("folds.csv"), format!("pid,a,y,fold\n{rows}")).unwrap();
    std::fs::write(at.join("folds.toml"), format!("{TABLE}split = {{ column = \"fold\" }}\n")).unwrap();
    std::fs::write(at.join("r.toml"), RECIPE.replace("t.csv", "folds.csv").replace("\"m\"", "\"f\""))
        .unwrap();
    assert!(percuss(at, &["train", "r.toml", "--device", "cpu"]).status.success());
    let evading = format!(
        "name = \"s\"\n[[data]]\nid = \"d\"\npath = \"folds.csv\"\nsubgroups = [\"pid\"]\n[[model]]\nid = \"f\"\npath = \"f\"\ndata = [\"d\"]\n{ATTACK}"
    );
    let training =
        "name = \"s\"\n[[recipe]]\nid = \"r\"\ntrain = \"r.toml\"\n[[poisoning]]\nkind = \"label-flip\"\n";
    let shared = "2 of 30 samples and 30 groups (patients, records) of split test are in split train";
    let names = "subgroups by `pid` (30 values)";
    for (study, commands, parts) in [
        (evading.as_str(), &[&["eval", "study.toml"][..], &["plan", "study.toml"]][..], &[shared, names][..]),
        (
            evading.as_str(),
            &[&["data", "check", "study.toml"]],
            &["shared with train (62): 2 samples, 30 groups", names],
        ),
        (training, &[&["plan", "study.toml"]], &[shared]),
        (
            training,
            &[&["data", "check", "study.toml"]],
            &["recipe r", "split test: warning: shared with train (62): 2 samples, 30 groups"],
        ),
    ] {
        std::fs::write(at.join("study.toml"), study).unwrap();
        for command in commands {
            let output = percuss(at, command);
            let page = String::from_utf8(output.stdout.clone()).unwrap();
            assert!(output.status.success(), "{}", words(&output));
            for part in parts {
                assert!(page.contains(part), "{part} in {command:?}: {page}");
            }
        }
    }
}
