//! Image-text models in studies: classes as prompts, every command, every loss, and what is refused.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use percuss::results::Results;
use percuss::sweep::load;
use percuss::sweep::study::Study;
use serde_json::Value;
use support::clip::folder as model_folder;
use support::golden;

const CLASSES: &str = r#"{ clear = "a healthy lung", opacity = ["pneumonia", "bacterial pneumonia"] }"#;

/// A study of a tiny CLIP for 16 x 16 colour images on grey phantoms of 28 x 28 pixels.
fn study(classes: &str, attack: &str) -> String {
    format!(
        r#"name = "words"
[[data]]
id = "p"
name = "cxr-phantom"
split = "test"
limit = 12
[[model]]
id = "clip"
path = "clip"
data = "p"
input = {{ shape = [28, 28, 1], resize = "bilinear" }}
[model.zero_shot]
templates = ["a chest x-ray of {{}}", "{{}}"]
classes = {classes}
{attack}
"#
    )
}

const ATTACK: &str = r#"
[[attack]]
kind = ["fgsm", "pgd", "mi-fgsm"]
aim = "any"
loss = ["cross-entropy", "margin"]
budget = [{ norm = "linf", eps = [1e-6, 4, 32] }]
steps = 4
[[attack]]
kind = "pgd"
target = "opacity"
budget = [{ norm = "l2", eps = 300 }]
steps = 6
"#;

fn place(name: &str, text: &str) -> tempfile::TempDir {
    let folder = model_folder(&golden(name));
    let whole = tempfile::TempDir::new().unwrap();
    std::fs::rename(folder.keep(), whole.path().join("clip")).unwrap();
    std::fs::write(whole.path().join("study.toml"), text).unwrap();
    whole
}

fn percuss(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output =
        Command::new(env!("CARGO_BIN_EXE_percuss")).args(arguments).current_dir(folder).output().unwrap();
    let text = if output.status.success() { output.stdout } else { output.stderr };
    (output.status.success(), String::from_utf8(text).unwrap())
}

fn answer(folder: &Path, arguments: &[&str]) -> String {
    let (good, text) = percuss(folder, arguments);
    assert!(good, "{arguments:?}: {text}");
    text
}

#[test]
fn a_study_of_prompts_runs_like_any_other() {
    let place = place("clip_hugging_face", &study(CLASSES, ATTACK));
    let folder = place.path();
    let inspected = answer(folder, &["inspect", "clip"]);
    assert!(
        inspected.contains("classes in words") && inspected.contains("causal transformer"),
        "{inspected}"
    );
    let clean: Value =
        serde_json::from_str(&answer(folder, &["eval", "study.toml", "--json", "--device", "cpu"])).unwrap();
    let accuracy = clean[0]["metrics"]["accuracy"].as_f64().unwrap();
    let planned = answer(folder, &["plan", "study.toml"]);
    answer(folder, &["sweep", "study.toml", "--device", "cpu", "--quiet"]);
    let results = Results::open(&folder.join("results/words")).unwrap();
    let cells = results.cells().unwrap();
    assert!(planned.contains(&format!("{} cells", cells.len())), "{planned}");
    assert!(cells.iter().all(|cell| cell.model_sha256 == clean[0]["model_sha256"].as_str().unwrap()));
    for cell in cells.iter().filter(|cell| cell.eps == Some(1e-6)) {
        assert_eq!(cell.robust_accuracy, Some(accuracy), "{}", cell.attack);
    }
    // What is stored lies within the budget in pixels, whatever the model sees of it.
    let large = cells.iter().find(|cell| cell.attack == "pgd" && cell.eps == Some(32.0)).unwrap();
    assert!(large.robust_accuracy < Some(accuracy), "an attack of 32 pixels changes something");
    assert!(cells.iter().any(|cell| cell.target == Some(1)));
    assert!(answer(folder, &["inspect", "results/words"]).contains("clip"));
}

#[test]
fn classes_follow_the_data_by_name() {
    let turned = r#"{ opacity = ["pneumonia", "bacterial pneumonia"], clear = "a healthy lung" }"#;
    let by_place = r#"{ healthy = "a healthy lung", ill = ["pneumonia", "bacterial pneumonia"] }"#;
    let place = place("clip_biomed", &study(CLASSES, ATTACK));
    let logits = |classes: &str| {
        let study = Study::parse(&study(classes, ATTACK), &place.path().join("study.toml")).unwrap();
        let model = load::model(&study, 0).unwrap();
        let data = load::data(&study, 0, 0, &model, None).unwrap();
        let fitted = load::fitted(&study, 0, &model, &data).unwrap();
        let logits = percuss::sweep::subject::clean_logits(
            &fitted,
            &data,
            &percuss_kernels::Device::Cpu { threads: 1 },
        );
        (fitted.config.class_names.clone(), fitted.sha256.clone(), logits.unwrap())
    };
    let (straight, turned, by_place) = (logits(CLASSES), logits(turned), logits(by_place));
    assert_eq!(straight.0, ["clear", "opacity"]);
    assert_eq!(turned.0, straight.0);
    assert_eq!(turned.2, straight.2, "the same classes");
    assert_eq!(by_place.0, ["healthy", "ill"]);
    assert_eq!(by_place.2, straight.2, "the same prompts");
    assert_ne!(straight.2[0], straight.2[1]);
}

#[test]
fn what_cannot_be_read_is_refused_with_its_place() {
    let place = place("clip_biomed", "");
    let refusal = |text: &str| {
        std::fs::write(place.path().join("study.toml"), text).unwrap();
        let (good, complaint) = percuss(place.path(), &["eval", "study.toml", "--device", "cpu"]);
        assert!(!good, "{complaint}");
        complaint
    };
    let with = |classes: &str| refusal(&study(classes, ATTACK));
    let long = "lung ".repeat(60);
    for (classes, wanted) in [
        (r#"{ clear = "a lung", opacity = [] }"#, "at least one value"),
        (r#"{ clear = "a lung" }"#, "two classes at least"),
        (r#"{ clear = "a lung", opacity = "b", other = "c" }"#, "as many as cxr-phantom has"),
        (r#"{ opacity = "a lung", other = "b" }"#, "opacity as class 0"),
        (r#"{ clear = "", opacity = "b" }"#, "a string that is not empty"),
        (&format!(r#"{{ clear = "{long}", opacity = "b" }}"#), "tokens"),
    ] {
        let complaint = with(classes);
        assert!(complaint.contains(wanted), "{complaint}");
    }
    let whole = study(CLASSES, ATTACK);
    let bare = whole.split("[model.zero_shot]").next().unwrap().to_string() + ATTACK;
    assert!(refusal(&bare).contains("the classes in words"));
    assert!(
        refusal(&whole.replace("\"a chest x-ray of {}\"", "\"a chest x-ray\""))
            .contains("{} where the class goes")
    );
    assert!(
        refusal(&whole.replace("shape = [28, 28, 1]", "shape = [28, 28, 2]")).contains("1 or 3 channels")
    );
    assert!(refusal(&whole.replace("shape = [28, 28, 1], ", "")).contains("beside resize or fit"));
    let whole_size = refusal(&whole.replace("input = { shape = [28, 28, 1], resize = \"bilinear\" }", ""));
    assert!(whole_size.contains("input = { shape = [28, 28, 1] }"), "{whole_size}");
    std::fs::remove_file(place.path().join("clip/tokenizer.json")).unwrap();
    assert!(with(CLASSES).contains("neither tokenizer.json nor vocab.txt"));
}
