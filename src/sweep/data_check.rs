//! `percuss data check`: what a study's data are, and whether its splits are apart.

use std::collections::HashSet;
use std::path::Path;

use super::load;
use super::study::Study;
use crate::data::Dataset;
use crate::{Error, Result};

/// Splits that are compared with the one that is attacked.
const SPLITS: [&str; 3] = ["train", "val", "test"];

/// A page of text: of every data set of every model what was read, what was assumed, and what it shares with the other splits.
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
    Ok(text)
}

/// Samples and groups that two splits have in common.
fn shared(own: &Dataset, other: &Dataset) -> String {
    let theirs: HashSet<u64> = other.fingerprints().into_iter().collect();
    let same = own.fingerprints().iter().filter(|sample| theirs.contains(sample)).count();
    let groups = match (&own.group, &other.group) {
        (Some(own), Some(other)) => {
            let other: HashSet<&String> = other.iter().collect();
            let both: HashSet<&String> = own.iter().filter(|group| other.contains(group)).collect();
            format!("{} groups", both.len())
        }
        _ => "groups unknown".to_string(),
    };
    let leak =
        if same > 0 || !groups.starts_with("0 ") && groups != "groups unknown" { "warning: " } else { "" };
    format!("{leak}shared with {} ({}): {same} samples, {groups}", other.split, other.len())
}
