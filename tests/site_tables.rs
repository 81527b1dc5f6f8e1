//! Tables of other hospitals under a model that is there: read rightly, or refused with a line that works when it is followed.

#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::process::{Command, Output};

/// `pid`, `age`, `crea`, `sex`, whether the patient died.
type Row = (usize, f64, f64, &'static str, bool);

fn patients(n: usize) -> Vec<Row> {
    let share = |i: usize, k: usize| ((i * k) % 997) as f64 / 997.0;
    (0..n)
        .map(|i| {
            let (age, crea) =
                (40.0 + (60.0 * share(i, 389)).round(), 1.0 + (share(i, 131) * 1900.0).round() / 1000.0);
            (i % 150, age, crea, ["f", "m"][i % 2], age / 60.0 + crea + share(i, 57) > 3.4)
        })
        .collect()
}

fn plain(rows: &[Row]) -> String {
    let line =
        |(pid, age, crea, sex, dead): &Row| format!("{pid:03},{age},{crea:.3},{sex},{}\n", u8::from(*dead));
    format!("pid,age,crea,sex,dead\n{}", rows.iter().map(line).collect::<String>())
}

fn percuss(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap()
}

/// A folder with the model `m`, trained on `cohort.csv`.
fn trained() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("cohort.csv", &plain(&patients(400)));
    write("cohort.toml", "outcome = \"dead == 1\"\nclasses = [\"alive\", \"dead\"]\ngroup = \"pid\"\n");
    write(
        "t.toml",
        "out = \"m\"\nepochs = 8\nbatch = 16\n[data]\npath = \"cohort.csv\"\n[model]\narchitecture = \"mlp\"\nhidden = [8]\n\
         [optimizer]\nkind = \"adamw\"\nlearning_rate = 1e-2\n",
    );
    let output = percuss(folder.path(), &["train", "t.toml", "--device", "cpu"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder
}

/// Metrics and remarks of the model on `site.csv`, or why it cannot be read.
fn scored(folder: &Path, split: &str) -> Result<(serde_json::Value, String), String> {
    let study = format!(
        "name = \"s\"\n[[data]]\nid = \"site\"\npath = \"site.csv\"\nsplit = \"{split}\"\n[[model]]\nid = \"m\"\npath = \"m\"\n\
         data = [\"site\"]\n[[attack]]\nkind = \"fgsm\"\nbudget = [{{ norm = \"linf\", eps = 0.1 }}]\n"
    );
    std::fs::write(folder.join("study.toml"), study).unwrap();
    let output = percuss(folder, &["eval", "study.toml", "--device", "cpu", "--json"]);
    if output.status.code() == Some(2) {
        return Err(String::from_utf8(output.stderr).unwrap());
    }
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    Ok((rows[0]["metrics"].clone(), rows[0]["remarks"].to_string()))
}

#[test]
fn a_site_s_file_is_read_as_it_is_written_and_every_mend_works() {
    let folder = trained();
    let at = folder.path();
    let rows = patients(90);
    let write = |name: &str, text: &[u8]| std::fs::write(at.join(name), text).unwrap();
    write("site.csv", plain(&rows).as_bytes());
    let (expected, _) = scored(at, "all").unwrap();
    let lines = |header: &str, line: &dyn Fn(&Row) -> String| {
        format!("{header}\n{}", rows.iter().map(|row| line(row) + "\n").collect::<String>())
    };
    let comma = |value: f64| format!("{value:.3}").replace('.', ",");
    let utf16: Vec<u8> = std::iter::once(0xfeff)
        .chain(plain(&rows).encode_utf16())
        .flat_map(|unit: u16| unit.to_le_bytes())
        .collect();
    // The file; what is said of it where it is refused, and what the spec beside it then says.
    let cases: Vec<(Vec<u8>, Option<(&str, &str)>)> = vec![
        (utf16, None),
        (
            lines("age,crea,sex,dead", &|r| format!("{},{:.3},{},{}", r.1, r.2, r.3, u8::from(r.4))).into(),
            None,
        ),
        (
            lines("note,dead,crea,pid,sex,age", &|r| {
                format!("seen,{},{:.3},{},{},{}", u8::from(r.4), r.2, r.0, r.3, r.1)
            })
            .into(),
            None,
        ),
        (
            lines("pid,age,crea,sex,dead", &|r| {
                format!("{},{},{:.3},{},{}", r.0, r.1, r.2, r.3, if r.4 { "True" } else { "False" })
            })
            .into(),
            None,
        ),
        (
            lines("pid;age;crea;sex;dead", &|r| {
                format!("{};{};{};{};{}", r.0, r.1, comma(r.2), r.3, u8::from(r.4))
            })
            .into(),
            Some(("decimal = \",\"", "decimal = \",\"\n")),
        ),
        (
            lines("pid,age,crea,sex,dead", &|r| {
                let crea = if r.0 == 7 { "ND".into() } else { format!("{:.3}", r.2) };
                format!("{},{},{crea},{},{}", r.0, r.1, r.3, u8::from(r.4))
            })
            .into(),
            Some(("missing = { crea = [\"ND\"] }", "missing = { crea = [\"ND\"] }\n")),
        ),
        (
            lines("pid,age,crea,sex,dead", &|r| {
                format!(
                    "{},{},{}{:.4},{},{}",
                    r.0,
                    r.1,
                    if r.0 == 7 { "<" } else { "" },
                    r.2,
                    r.3,
                    u8::from(r.4)
                )
            })
            .into(),
            Some(("limits = \"value\"", "limits = \"value\"\n")),
        ),
        (
            lines("pid,age,crea,sex,dead", &|r| {
                format!(
                    "{},{},{:.4}{},{},{}",
                    r.0,
                    r.1,
                    r.2,
                    if r.0 == 7 { "%" } else { "" },
                    r.3,
                    u8::from(r.4)
                )
            })
            .into(),
            Some(("percent = \"number\"", "percent = \"number\"\n")),
        ),
    ];
    for (bytes, mend) in cases {
        let shown = String::from_utf8_lossy(&bytes[..60]).into_owned();
        let _ = std::fs::remove_file(at.join("site.toml"));
        write("site.csv", &bytes);
        let found = match mend {
            None => scored(at, "all"),
            Some((said, line)) => {
                let error = scored(at, "all").unwrap_err();
                assert!(error.contains(said) && error.contains("site.toml"), "{said}: {error}");
                assert!(!error.contains("one_hot") && !error.contains("drop"), "{error}");
                write("site.toml", line.as_bytes());
                scored(at, "all")
            }
        };
        let (found, remarks) = found.unwrap_or_else(|error| panic!("{shown}: {error}"));
        // One value less is another number, but near.
        let near = if mend.is_some_and(|(said, _)| said.starts_with("missing")) { 0.02 } else { 1e-9 };
        for name in ["accuracy", "auroc"] {
            let [a, b] = [&found, &expected].map(|metrics| metrics[name].as_f64().unwrap());
            assert!((a - b).abs() <= near, "{shown}: {name} {a}, not {b}; {remarks}");
        }
    }
}

#[test]
fn a_table_without_groups_and_another_spec_are_told_with_what_works() {
    let folder = trained();
    let at = folder.path();
    let rows = patients(90);
    let line = |r: &Row| format!("{},{:.3},{},{}\n", r.1, r.2, r.3, u8::from(r.4));
    let text = format!("age,crea,sex,dead\n{}", rows.iter().map(line).collect::<String>());
    std::fs::write(at.join("site.csv"), text).unwrap();
    let error = scored(at, "test").unwrap_err();
    assert!(error.contains("no column `pid`") && error.contains("split = \"all\""), "{error}");
    let (_, remarks) = scored(at, "all").unwrap();
    assert!(remarks.contains("samples are taken as independent"), "{remarks}");
    // Zeros before identifiers are no numbers' zeros.
    std::fs::write(at.join("site.csv"), plain(&rows)).unwrap();
    let (_, remarks) = scored(at, "all").unwrap();
    assert!(!remarks.contains("007"), "{remarks}");
    let spec = std::fs::read_to_string(at.join("cohort.toml")).unwrap();
    std::fs::write(at.join("site.toml"), spec.replace("dead == 1", "dead == 0")).unwrap();
    let error = scored(at, "all").unwrap_err();
    assert!(error.contains("site.toml: outcome: found another spec"), "{error}");
    std::fs::write(at.join("site.toml"), "").unwrap();
    scored(at, "all").unwrap();
}

#[test]
fn codes_and_categories_that_training_did_not_have_are_refused_with_what_works() {
    let folder = trained();
    let at = folder.path();
    let rows = patients(90);
    std::fs::write(at.join("site.csv"), plain(&rows)).unwrap();
    let (expected, _) = scored(at, "all").unwrap();
    let written = |code: &dyn Fn(bool) -> &'static str, sex: &dyn Fn(&Row) -> &'static str| {
        let line = |r: &Row| format!("{:03},{},{:.3},{},{}\n", r.0, r.1, r.2, sex(r), code(r.4));
        std::fs::write(
            at.join("site.csv"),
            format!("pid,age,crea,sex,dead\n{}", rows.iter().map(line).collect::<String>()),
        )
        .unwrap();
    };
    written(&|dead| if dead { "2" } else { "1" }, &|r| r.3);
    let error = scored(at, "all").unwrap_err();
    assert!(
        error.contains("outcome, column `dead`: found 2 (") && error.contains("0, 1, as where"),
        "{error}"
    );
    // Where nobody has a known one, no filling in is offered: it would be refused.
    written(&|dead| if dead { "1" } else { "0" }, &|_| "x");
    let error = scored(at, "all").unwrap_err();
    assert!(error.contains("no row has one of them") && !error.contains("unseen = "), "{error}");
    written(&|dead| if dead { "1" } else { "0" }, &|r| if r.0 == 7 { "x" } else { r.3 });
    let error = scored(at, "all").unwrap_err();
    assert!(error.contains("unseen = \"mode\" in site.toml"), "{error}");
    std::fs::write(at.join("site.toml"), "unseen = \"mode\"\n").unwrap();
    let (found, remarks) = scored(at, "all").unwrap();
    assert!(remarks.contains("unseen-category"), "{remarks}");
    let [a, b] = [&found, &expected].map(|metrics| metrics["accuracy"].as_f64().unwrap());
    assert!((a - b).abs() <= 0.02, "{a}, not {b}");
}
