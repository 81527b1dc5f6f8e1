//! A trained model's folder, written whole or not at all, and beside it what stays with the data.

use std::path::Path;

use crate::data::Preprocess;
use crate::models::{Config, Weights};
use crate::{Error, Result};

/// What `percuss train` writes, and all that it may replace.
const FILES: [&str; 3] = ["config.json", "model.safetensors", "preprocess.json"];

/// Refuses a folder that holds anything but an earlier model.
pub(super) fn check_target(out: &Path) -> Result<()> {
    let entries = match std::fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(out)(error)),
    };
    for entry in entries {
        let name = entry.map_err(Error::io(out))?.file_name().to_string_lossy().into_owned();
        if !FILES.contains(&name.as_str()) {
            let expected =
                "a folder that is not there yet, or one with nothing but a model that percuss trained";
            return Err(Error::input(
                out.display(),
                "out",
                format!("a folder with `{name}` in it"),
                expected,
            ));
        }
    }
    Ok(())
}

/// Writes the folder under a temporary name beside `out`, then puts it in place.
pub(super) fn save(
    out: &Path,
    config: &Config,
    weights: &Weights,
    preprocess: Option<&Preprocess>,
) -> Result<()> {
    check_target(out)?;
    let parent = match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(parent).map_err(Error::io(parent))?;
    let temporary =
        tempfile::Builder::new().prefix(".percuss-train-").tempdir_in(parent).map_err(Error::io(parent))?;
    let fresh = temporary.path().join("new");
    std::fs::create_dir(&fresh).map_err(Error::io(&fresh))?;
    let mut text = serde_json::to_string_pretty(config).map_err(|error| Error::Failed(error.to_string()))?;
    text.push('\n');
    let file = fresh.join("config.json");
    std::fs::write(&file, text).map_err(Error::io(&file))?;
    weights.write(&fresh.join("model.safetensors"))?;
    if let Some(preprocess) = preprocess {
        preprocess.save(&fresh.join("preprocess.json"))?;
    }
    let old = temporary.path().join("old");
    let replaced = out.exists();
    if replaced {
        std::fs::rename(out, &old).map_err(Error::io(out))?;
    }
    std::fs::rename(&fresh, out).map_err(|error| {
        if replaced {
            // The earlier model comes back; if even that fails there is nothing left to do but to report the first error.
            let _ = std::fs::rename(&old, out);
        }
        Error::io(out)(error)
    })?;
    preprocess.map_or(Ok(()), |preprocess| preprocess.save_seen(out))
}
