//! Names that depend on contents alone: a cell's id, and the random stream of its lanes.

use serde_json::json;
use sha2::{Digest, Sha256};

use super::grid::Cell;
use super::study::Study;
use crate::data::InputArray;
use crate::models::hex;
use crate::results::Text;
use crate::{Error, Result};

/// Raised when the meaning of a configuration changes without any of its words.
const VERSION: u32 = 2;

/// What a cell is computed from, by content.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contents<'a> {
    /// The model's weights and configuration.
    pub model_sha256: &'a str,
    /// The data set.
    pub data_sha256: &'a str,
    /// Which samples of it.
    pub sample_set_sha256: &'a str,
    /// The frozen threshold of the attacked decision, if it has one.
    pub threshold: Option<f64>,
}

/// The cell's id: 32 hexadecimal digits of the SHA-256 of its complete configuration and of what it is computed from.
///
/// Independent of the study's name and order, of ids, seeds that change nothing, shards and the device. `save` is not part of it: it
/// changes no row. Two models, or two data sets, of equal content have the same cells; see [`distinct`].
pub fn cell_id(study: &Study, cell: &Cell, contents: &Contents) -> Text {
    let model = &study.models[cell.model];
    let request = &study.data[cell.data].request;
    let mut subgroups = request.subgroups.clone();
    subgroups.sort();
    let input = model.input.as_ref().map(|input| {
        let mut words =
            json!({ "unit": input.unit, "bounds": input.bounds, "mean": input.mean, "std": input.std });
        // Cells of samples as they are keep the ids that they had before there was another way.
        if let Some(samples) = &input.samples {
            words["samples"] = json!(samples);
        }
        words
    });
    let mut all = json!({
        "version": VERSION,
        "model": contents.model_sha256,
        "input": input,
        "output": model.output.unwrap_or_default().name(),
        "threshold": contents.threshold,
        "data": contents.data_sha256,
        "samples": contents.sample_set_sha256,
        "group": request.group,
        "subgroups": subgroups,
        "defense": study.defenses[cell.defense].kind,
        "cell": cell.params_json(),
    });
    // Findings that were taken for another one when clean are attacked, too; of a single finding there is no other.
    if cell.wanted().is_some() && cell.finding.is_none() {
        all["asks"] = json!(2);
    }
    if !request.inputs.is_empty() {
        let array = |input: &InputArray| json!({ "array": input.array, "bounds": input.bounds, "scale": input.scale });
        all["inputs"] = request.inputs.iter().map(array).collect();
    }
    hex(&Sha256::digest(all.to_string().as_bytes()))[..32].into()
}

/// Checks that no two cells have the same id.
///
/// # Errors
/// Two models, or two data sets, of equal content in one study: their cells would overwrite each other.
pub fn distinct(study: &Study, cells: &[Cell], ids: &[Text]) -> Result<()> {
    let mut seen = std::collections::HashMap::new();
    for (cell, id) in cells.iter().zip(ids) {
        let Some(other) = seen.insert(id, cell) else { continue };
        return Err(same_contents(study, cell, other));
    }
    Ok(())
}

fn same_contents(study: &Study, cell: &Cell, other: &Cell) -> Error {
    let (what, one, two) = if cell.model != other.model {
        ("model", &study.models[other.model].id, &study.models[cell.model].id)
    } else if cell.data != other.data {
        ("data", &study.data[other.data].id, &study.data[cell.data].id)
    } else {
        ("defense", &study.defenses[other.defense].id, &study.defenses[cell.defense].id)
    };
    study.error(what, format!("{one} and {two} with equal contents"), format!("each {what} once"))
}

/// The name of the random stream of an attack on a data set: the `stream` of [`lane_key`].
pub fn lane_stream(attack: &str, data_sha256: &str) -> String {
    format!("{attack} {data_sha256}")
}

/// The key of the counter-based generator for one sample (by its stable index) at one restart.
///
/// Budget, steps and everything else that a ladder varies are left out on purpose: the rungs share their random numbers, so that a curve
/// over budgets does not wobble with the draw, and neither order, shard nor company can change it.
pub fn lane_key(seed: u64, stream: &str, sample: u64, restart: u64) -> [u32; 2] {
    let text = format!("percuss lane 1\n{stream}\n{seed}\n{sample}\n{restart}");
    let digest = Sha256::digest(text.as_bytes());
    let word = |at: usize| u32::from_le_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]]);
    [word(0), word(4)]
}
