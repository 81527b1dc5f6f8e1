//! `percuss data check`: what a study's data are, and whether its splits are apart.

use std::path::Path;

use percuss_kernels::Device;

use super::leaks::Shared;
use super::load;
use super::study::Study;
use crate::data::Dataset;
use crate::telling::counted;
use crate::training::{Options, TrainFile, prepare};
use crate::{Error, Result};

/// Splits that are compared with the one that is attacked.
const SPLITS: [&str; 3] = ["train", "val", "test"];

/// A page of text: of every data set of every model, and of every recipe, what was read, what was assumed, and what it shares with the other splits.
///
/// # Errors
/// Models and data that do not load or do not fit.
pub fn page(study: &Study, data_dir: Option<&Path>) -> Result<String> {
    let mut text = String::new();
    for (of, entry) in study.models.iter().enumerate() {
        let model = load::model(study, of)?;
        for &position in &entry.data {
            let own = load::data(study, position, of, &model, data_dir)?;
            text += &format!("{} for {}\n", study.data[position].id, entry.id);
            let mut lines = own.describe();
            lines.extend(own.remarks.iter().map(ToString::to_string));
            let others = SPLITS.iter().filter(|split| **split != own.split && own.split != "all");
            for split in others {
                match load::data_split(study, position, of, &model, data_dir, Some(split)) {
                    Ok(other) => lines.push(shared(&own, &other)),
                    // A split that is not there has nothing in common.
                    Err(Error::Input { place, .. }) if place.starts_with("split") => {}
                    Err(error) => lines.push(format!("split {split} does not load: {error}")),
                }
            }
            lines.iter().for_each(|line| text += &format!("  {line}\n"));
        }
    }
    for entry in &study.recipes {
        text += &format!("recipe {}\n", entry.id);
        recipe(&entry.file, data_dir)?.iter().for_each(|line| text += &format!("  {line}\n"));
    }
    Ok(text)
}

/// Samples and groups that two splits have in common, as a line.
fn shared(own: &Dataset, other: &Dataset) -> String {
    let shared = Shared::of(own, other);
    let groups = shared.groups.map_or("groups unknown".to_string(), |groups| counted(groups, "group"));
    let leak = if shared.any() { "warning: " } else { "" };
    format!(
        "{leak}shared with {} ({}): {}, {groups}",
        other.split,
        other.len(),
        counted(shared.samples, "sample")
    )
}

/// The splits of a recipe: what was read, and what those that a model does not learn from share with the one that it learns from.
fn recipe(file: &Path, data_dir: Option<&Path>) -> Result<Vec<String>> {
    let options =
        Options { data_dir: data_dir.map(Path::to_path_buf), ..Options::new(Device::Cpu { threads: 1 }, 1) };
    let splits = prepare(TrainFile::read(file)?, &options)?.splits;
    let train = &splits.train;
    let mut lines = train.describe();
    lines.extend(train.remarks.iter().map(ToString::to_string));
    for other in splits.validation.iter().chain(&splits.test) {
        lines.push(format!("split {}: {}", other.split, shared(other, train)));
    }
    Ok(lines)
}
