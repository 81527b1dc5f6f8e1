//! Transformers and recurrent networks are trained, evaluated and attacked like any other model.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::path::Path;
use std::process::Command;

use percuss::cli::inspect::describe;
use percuss::memory::Room;
use percuss::results::Results;
use percuss::training::{Options, train};
use percuss_kernels::Device;

const VIT: &str = r#"
out = "vit"
epochs = 12
batch = 50
[data]
name = "cxr-phantom"
limit = 2500
[model]
architecture = "vit"
patch = 7
width = 32
heads = 4
depth = 2
mlp = 64
pooling = "average"
[optimizer]
kind = "adamw"
learning_rate = 3e-3
[expect]
auroc = [0.8, 1.0]
"#;

const GRU: &str = r#"
out = "gru"
epochs = 3
batch = 50
[data]
name = "iseeu-cohort"
limit = 600
[model]
architecture = "gru"
time_axis = 2
hidden = 12
pooling = "mean"
[optimizer]
kind = "adamw"
learning_rate = 1e-2
[expect]
auroc = [0.95, 1.0]
"#;

const STUDY: &str = r#"
name = "families"
[[data]]
id = "images"
name = "cxr-phantom"
limit = 30
[[data]]
id = "series"
name = "iseeu-cohort"
limit = 30
[[model]]
id = "vit"
path = "vit"
data = ["images"]
expect = { auroc = [0.8, 1] }
[[model]]
id = "gru"
path = "gru"
data = ["series"]
expect = { auroc = [0.9, 1] }
[[attack]]
kind = "pgd"
budget = [{ norm = "linf", eps = [0.001, 0.5] }]
steps = 5
[[attack]]
kind = "fgsm"
budget = [{ norm = "linf", eps = 16 }]
"#;

#[test]
fn a_vit_and_a_gru_are_trained_and_attacked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (name, text) in [("vit.toml", VIT), ("gru.toml", GRU), ("study.toml", STUDY)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    // What their [expect] asks for is checked there.
    for name in ["vit.toml", "gru.toml"] {
        train(&folder.join(name), &Options::new(Device::Cpu { threads: 1 }, 1)).unwrap();
    }
    let about = describe(&folder.join("vit"), Room::default()).unwrap();
    assert!(about.starts_with("model vit, timm's names\n"), "{about}");
    assert!(about.contains("blocks.1.attn.qkv.weight") && about.contains("[96, 32]"), "{about}");
    let sweep = ["sweep", "study.toml", "--device", "cpu", "--quiet", "--out", "out"];
    let output =
        Command::new(env!("CARGO_BIN_EXE_percuss")).args(sweep).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let results = Results::open(&folder.join("out")).unwrap();
    let cells = results.cells().unwrap();
    assert_eq!(cells.len(), 6);
    let robust = |model: &str, eps: f64| {
        let cell = cells.iter().find(|cell| cell.model == model && cell.eps == Some(eps)).unwrap();
        (cell.robust_accuracy.unwrap(), cell.clean_accuracy.unwrap())
    };
    // 16 of 255 grey levels undo the transformer, 16 deviations the recurrent network, half a one hurts it; a thousandth harms neither.
    assert_eq!((robust("vit", 16.0).0, robust("gru", 16.0).0), (0.0, 0.0), "{cells:?}");
    assert!(robust("gru", 0.5).0 < robust("gru", 0.5).1, "{cells:?}");
    assert_eq!(robust("gru", 0.001).0, robust("gru", 0.001).1);
    assert_eq!(robust("vit", 0.001).0, robust("vit", 0.001).1);
}

#[test]
fn scaling_of_pixels_is_refused_on_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(&write(folder, "gru.toml", GRU), &Options::new(Device::Cpu { threads: 1 }, 1)).unwrap();
    let config = Path::new("gru").join("config.json");
    let mut value: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join(&config)).unwrap()).unwrap();
    value["input_scaling"]["unit"] = "pixel".into();
    std::fs::write(folder.join(&config), value.to_string()).unwrap();
    let study = STUDY.replace(
        "id = \"vit\"\npath = \"vit\"\ndata = [\"images\"]\nexpect = { auroc = [0.8, 1] }\n[[model]]\n",
        "",
    );
    let study = study.replace("[[data]]\nid = \"images\"\nname = \"cxr-phantom\"\nlimit = 30\n", "");
    write(folder, "study.toml", &study);
    let eval = ["eval", "study.toml", "--device", "cpu"];
    let output = Command::new(env!("CARGO_BIN_EXE_percuss")).args(eval).current_dir(folder).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{message}");
    for part in ["iseeu-cohort", "unit (data series", "\"sd\"", "\"pixel\""] {
        assert!(message.contains(part), "{message:?} does not say {part:?}");
    }
}

fn write(folder: &Path, name: &str, text: &str) -> std::path::PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}
