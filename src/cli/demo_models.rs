//! The models of the demo, as part of the program: it runs in an empty folder.

use std::path::Path;

use crate::models::write_whole;
use crate::sweep::study::Study;
use crate::{Error, Result};

/// A model's files, their names and contents.
type Files = &'static [(&'static str, &'static [u8])];

macro_rules! files {
    ($model:literal: $($file:literal),+) => {
        ($model, &[$(($file, include_bytes!(concat!("../../experiments/models/", $model, "/", $file)).as_slice())),+] as Files)
    };
}

/// The models by the names that the study knows them by.
const MODELS: [(&str, Files); 5] = [
    files!("support2-mlp": "config.json", "model.safetensors", "preprocess.json"),
    files!("cxr-phantom-cnn": "config.json", "model.safetensors"),
    files!("ecg-synthetic-resnet1d": "config.json", "model.safetensors"),
    files!("pneumoniamnist-cnn": "config.json", "model.safetensors"),
    files!("mitbih-resnet1d": "config.json", "model.safetensors"),
];

/// Puts the models of `study` into `folder`, each a folder of its own, and has the study read them there; what is there already and the same
/// stays.
///
/// # Errors
/// A folder or file that cannot be written.
pub(super) fn unpack(study: &mut Study, folder: &Path) -> Result<()> {
    for entry in &mut study.models {
        let Some((model, files)) = MODELS.iter().find(|(model, _)| entry.path.ends_with(model)) else {
            continue;
        };
        entry.path = folder.join(model);
        std::fs::create_dir_all(&entry.path).map_err(Error::io(&entry.path))?;
        for (name, bytes) in *files {
            let path = entry.path.join(name);
            if !std::fs::read(&path).is_ok_and(|there| there == *bytes) {
                write_whole(&path, bytes)?;
            }
        }
    }
    Ok(())
}
