//! Folders of tiny image-text models, as their ecosystems write them (tests/golden/clip.py).

use std::collections::BTreeMap;
use std::path::PathBuf;

use percuss::models::clip::ZeroShot;
use percuss::models::{WeightTensor, Weights};
use tempfile::TempDir;

use super::parameter;

/// A folder with the configuration, the tokenizer and weights by the formula.
pub fn folder(golden: &Weights) -> TempDir {
    let folder = TempDir::new().unwrap();
    let files: BTreeMap<String, serde_json::Value> = json(golden, "files");
    for (name, content) in &files {
        std::fs::write(folder.path().join(name), content.to_string()).unwrap();
    }
    let tokenizer = tokenizers().join(&golden.metadata["tokenizer"]).join("tokenizer.json");
    std::fs::copy(tokenizer, folder.path().join("tokenizer.json")).unwrap();
    let shapes: BTreeMap<String, Vec<usize>> = json(golden, "shapes");
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let data = parameter(&name, &shape);
        (name, WeightTensor { shape, data })
    };
    let name = if files.contains_key("open_clip_config.json") { "open_clip_model" } else { "model" };
    let weights = Weights::new(shapes.into_iter().map(tensor).collect());
    weights.write(&folder.path().join(format!("{name}.safetensors"))).unwrap();
    folder
}

/// Where the tokenizers are.
pub fn tokenizers() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/clip")
}

/// A value of the golden's metadata.
pub fn json<T: serde::de::DeserializeOwned>(golden: &Weights, key: &str) -> T {
    serde_json::from_str(&golden.metadata[key]).unwrap()
}

/// The classes that the golden's prompts stand for.
pub fn prompts(golden: &Weights) -> ZeroShot {
    ZeroShot::new(
        &json::<Vec<(String, Vec<String>)>>(golden, "classes"),
        &json::<Vec<String>>(golden, "templates"),
    )
}
