//! What in a model's folder could identify somebody, before it is passed on.

use std::path::Path;

use crate::Result;
use crate::data::Preprocess;
use crate::data::preprocess::{Fitted, FittedScaling, seen_file};
use crate::models::onnx_file;

/// Categories that a line shows.
const SHOWN: usize = 6;

/// What the folder holds of patients, a line a thing, each with what can be done.
pub(super) fn private(path: &Path) -> Result<String> {
    let mut text =
        String::from("what could identify somebody (docs/results.md says what is in a model's folder)\n");
    let mut line = |what: &str, about: &str| text += &format!("  {what:<20} {about}\n");
    line("weights", "a model can tell who was in its training set: [[membership]] measures how well");
    let network = onnx_file(path);
    let folder = network.as_deref().and_then(Path::parent).unwrap_or(path);
    trained_on(folder, &mut line);
    let file = folder.join("preprocess.json");
    if file.is_file() {
        let preprocess = Preprocess::load(&file)?;
        line("preprocess.json", "table_sha256: whoever has the same table can tell that it is that one");
        if std::fs::read_to_string(&file).is_ok_and(|text| text.contains("\"seen\":")) {
            let about = "seen: fingerprints of the training rows, by an earlier version: whoever has a row can tell whether it was among them; \
                         remove the key, or train the model anew";
            line("preprocess.json", about);
        }
        columns(&preprocess, &mut line);
    }
    let seen = seen_file(folder);
    if let Some(name) = seen.file_name().filter(|_| seen.is_file()) {
        let about = "beside the folder: fingerprints of the training rows; leave it where it is, the model works without it";
        line(&name.to_string_lossy(), about);
    }
    Ok(text)
}

/// What the configuration says of the data that the model was trained on.
fn trained_on(folder: &Path, line: &mut dyn FnMut(&str, &str)) {
    let text = crate::files::read_text(&folder.join("config.json")).unwrap_or_default();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let said =
        |key: &str| config.get("training").and_then(|own| own.get(key)).and_then(serde_json::Value::as_str);
    if let Some(name) = said("data") {
        line("config.json", &format!("training.data: {name}, the data's file name"));
    }
    if said("data_sha256").is_some() {
        line("config.json", "training.data_sha256: whoever has the same data can tell that it is that file");
    }
}

/// Values of single patients that the columns hold: ends of ranges, and categories.
fn columns(preprocess: &Preprocess, line: &mut dyn FnMut(&str, &str)) {
    let numbers = preprocess.columns.iter().filter(|fitted| matches!(fitted, Fitted::Number { .. })).count();
    if numbers > 0 {
        let about = format!("smallest and largest value of {numbers} columns: each is some patient's own");
        line("preprocess.json", &about);
    }
    let knots =
        |fitted: &&Fitted| matches!(fitted, Fitted::Number { scaling: FittedScaling::Quantile { .. }, .. });
    let quantiles = preprocess.columns.iter().filter(knots).count();
    if quantiles > 0 {
        line("preprocess.json", &format!("quantiles of {quantiles} columns: values as patients have them"));
    }
    for fitted in &preprocess.columns {
        if let Fitted::Category { column, categories, .. } = fitted {
            let shown: Vec<&str> = categories.iter().take(SHOWN).map(String::as_str).collect();
            let more = if categories.len() > shown.len() { ", ..." } else { "" };
            line(
                "preprocess.json",
                &format!("{column}: {} categories: {}{more}", categories.len(), shown.join(", ")),
            );
        }
    }
}
