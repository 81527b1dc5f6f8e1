//! `percuss inspect FILE`: what is in a model, a data set or a result.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Args;

use super::inspect_data::{image, named, signal, table};
use super::inspect_private::private;
use super::inspect_private_model;
use super::inspect_results::{parquet, results};
use super::print;
use crate::data::signals::{ListColumns, listing};
use crate::data::table::is_table;
use crate::data::{image_folder, registry};
use crate::memory::Room;
use crate::models::clip::{Clip, TextTower};
use crate::models::onnx::Supplied;
use crate::models::{Architecture, Encoder, Head, Model, Weights, onnx, onnx_file, refuse_other_weights};
use crate::sweep::plan::grouped;
use crate::{Error, Result};

/// What may be inspected, in words.
const EXPECTED: &str = "a model (a folder, .safetensors or .onnx), data (.npz, .csv, .tsv, .csv.gz, .parquet, .hea, .edf, .bdf, a folder of recordings, \
                        a registry name), or results (a folder, or .parquet)";

/// Arguments of `percuss inspect`.
#[derive(Args, Debug)]
pub struct InspectCommand {
    /// A model, a data set or a result
    #[arg(value_name = "FILE")]
    pub path: PathBuf,
    /// Of a results folder or a model's: what in it could identify somebody
    #[arg(long)]
    pub private: bool,
    /// What a data set or a model's weights may take of memory, as 512MB or 4GB [default: three quarters of what is free]
    #[arg(long, value_name = "SIZE", value_parser = crate::memory::parse)]
    pub memory: Option<u64>,
}

/// Runs it.
///
/// # Errors
/// A file that is not there, is of no kind that percuss knows, or is broken: as whatever reads it says.
pub fn run(command: &InspectCommand, out: &mut dyn Write) -> Result<()> {
    let text = match command.private {
        false => describe(&command.path, Room::of(command.memory))?,
        true if is_model(&command.path) => inspect_private_model::private(&command.path)?,
        true => private(&command.path)?,
    };
    print(out, &text)
}

/// Whether there is a model at `path`.
fn is_model(path: &Path) -> bool {
    let of_model = ["config.json", "model.safetensors", "open_clip_config.json"];
    onnx_file(path).is_some() || of_model.iter().any(|name| path.join(name).is_file())
}

/// What is at `path`, as text; data and weights may take so much memory.
///
/// # Errors
/// As [`run`].
pub fn describe(path: &Path, room: Room) -> Result<String> {
    if !path.exists() {
        let name = path.to_str().unwrap_or_default();
        if registry::entry(name).is_ok() {
            return named(name, room);
        }
    }
    refuse_other_weights(path)?;
    let about = std::fs::metadata(path).map_err(Error::io(path))?;
    if about.is_dir() {
        return folder(path, room);
    }
    match path.extension().and_then(|ending| ending.to_str()).unwrap_or_default() {
        "safetensors" => safetensors(path, room),
        "onnx" => onnx::describe(path),
        "npz" => image(path, room),
        "hea" | "edf" | "EDF" | "bdf" | "BDF" => signal(path, room),
        "parquet" => parquet(path, room),
        _ if is_table(path) => table(path, room),
        "toml" => {
            let expected = format!("{EXPECTED}; `percuss data check STUDY.toml` shows what a study reads");
            Err(Error::input(path.display(), "file ending", "\"toml\"", expected))
        }
        other => Err(Error::input(path.display(), "file ending", format!("{other:?}"), EXPECTED)),
    }
}

fn folder(path: &Path, room: Room) -> Result<String> {
    if let Some(file) = onnx_file(path) {
        return onnx::describe(&file);
    }
    if is_model(path) {
        return loaded(path, room);
    }
    let holds = |wanted: fn(&str) -> bool| -> Result<bool> {
        let entries = std::fs::read_dir(path).map_err(Error::io(path))?;
        Ok(entries.flatten().any(|entry| wanted(&entry.file_name().to_string_lossy())))
    };
    if holds(|name| name == "study.resolved.toml" || name.starts_with("cells-"))? {
        return results(path);
    }
    if listing::folder(path, &ListColumns::default()).is_ok() {
        return signal(path, room);
    }
    let image = |name: &str| {
        let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_lowercase()).unwrap_or_default();
        ["png", "jpg", "jpeg", "tif", "tiff", "bmp", "dcm"].contains(&ending.as_str())
    };
    if image_folder::is_one(path).is_ok_and(|is| is) || holds(image)? {
        let expected = format!(
            "{EXPECTED}; images are shown by `percuss data check STUDY`, once a study's [[data]] says path (a folder a class) or manifest"
        );
        return Err(Error::input(path.display(), "folder", "images", expected));
    }
    Err(Error::input(
        path.display(),
        "folder",
        "none of config.json, study.resolved.toml, recordings",
        EXPECTED,
    ))
}

fn loaded(path: &Path, room: Room) -> Result<String> {
    Ok(model(&Model::load_within(path, &Supplied::default(), room)?))
}

fn safetensors(path: &Path, room: Room) -> Result<String> {
    // In the file, and as numbers.
    room.afford_file(path, 2, "")?;
    let weights = Weights::read(path)?;
    if weights.metadata.contains_key("config") {
        return loaded(path, room);
    }
    let mut text = String::from("safetensors without a configuration\n");
    for (key, value) in &weights.metadata {
        text += &format!("  {key} = {value}\n");
    }
    Ok(text + &tensors(&weights))
}

fn model(model: &Model) -> String {
    let config = &model.config;
    let head = match config.head {
        Head::Softmax => "softmax over classes",
        Head::Sigmoid => "sigmoid, one decision an output",
    };
    let names = config.architecture.names().map_or(String::new(), |names| format!(", {names}'s names"));
    let mut text = format!("model {}{names}\n", config.architecture.name());
    text += &format!("  input         {:?}\n", config.input_shape());
    text += &match &config.architecture {
        Architecture::Clip(clip) if clip.zero_shot.is_none() => image_text(clip),
        _ => format!("  outputs       {} ({head})\n", config.classes()),
    };
    if !config.class_names.is_empty() {
        text += &format!("  names         {}\n", config.class_names.join(", "));
    }
    if let Some(scaling) = &config.input_scaling {
        let unit = scaling.unit.as_ref().map_or(String::new(), |unit| format!(", of data in {unit}"));
        text +=
            &format!("  input scaling mean {}, std {}{unit}\n", brief(&scaling.mean), brief(&scaling.std));
    }
    if let Some(training) = &config.training {
        text += &format!("  training      {training}\n");
    }
    for remark in &model.remarks {
        text += &format!("  note          {remark}\n");
    }
    text += &format!("  sha256        {}\n", model.sha256);
    text + &tensors(&model.weights)
}

/// What an image-text model is, before it has classes.
fn image_text(clip: &Clip) -> String {
    let image = &clip.image.encoder;
    let blocks = |encoder: &Encoder| {
        format!("{} blocks of width {}, {} heads", encoder.layers, encoder.width, encoder.heads)
    };
    let mut text = String::from("  outputs       classes in words: [model.zero_shot] of a study\n");
    text += &format!("  image side    patches of {}, {}\n", clip.image.patch, blocks(image));
    let side = match &clip.text {
        TextTower::Causal(text) => format!("causal transformer, {}", blocks(&text.encoder)),
        TextTower::Bert(text) => format!("BERT, {}", blocks(&text.bert.encoder)),
    };
    text += &format!(
        "  text side     {side}, at most {} tokens of {}\n",
        clip.text.context(),
        grouped(clip.text.vocabulary() as u64)
    );
    text + &format!("  features      {}\n", clip.features)
}

fn brief(values: &[f32]) -> String {
    let shown: Vec<String> = values.iter().take(4).map(f32::to_string).collect();
    let more = if values.len() > 4 { format!(", ... ({} values)", values.len()) } else { String::new() };
    format!("[{}{more}]", shown.join(", "))
}

fn tensors(weights: &Weights) -> String {
    let parameters: usize = weights.tensors.values().map(|tensor| tensor.data.len()).sum();
    let mut text = format!("  {} tensors, {} values\n", weights.tensors.len(), grouped(parameters as u64));
    let width = weights.tensors.keys().map(String::len).max().unwrap_or(0);
    for (name, tensor) in &weights.tensors {
        let (low, high) =
            tensor.data.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), &v| (a.min(v), b.max(v)));
        text += &format!("    {name:<width$}  {:?}  {low} to {high}\n", tensor.shape);
    }
    text
}
