//! torchxrayvision's DenseNet-121, which has no configuration either: `{ "architecture": "densenet121", "names": "torchxrayvision" }`.
//!
//! It takes one channel of 224 x 224 values that its own `normalize` has brought from 0..255 to -1024..1024, and has a logit for each of
//! 18 findings. The scaling is part of the model here: `(x - 127.5) / (127.5 / 1024)` of pixels from 0 to 255. What it calls `op_threshs`
//! moves its outputs so that each finding's operating point comes to 0.5; that is not applied: give a study the thresholds that you want.

use serde_json::json;

use super::foreign::Foreign;
use crate::Result;
use crate::models::Architecture;
use crate::models::Config;
use crate::models::densenet::Densenet;

/// The order of the outputs.
const FINDINGS: [&str; 18] = [
    "Atelectasis",
    "Consolidation",
    "Infiltration",
    "Pneumothorax",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Effusion",
    "Pneumonia",
    "Pleural_Thickening",
    "Cardiomegaly",
    "Nodule",
    "Mass",
    "Hernia",
    "Lung Lesion",
    "Fracture",
    "Lung Opacity",
    "Enlarged Cardiomediastinum",
];

/// Reads a configuration whose `names` are torchxrayvision's.
pub(super) fn read(keys: &Foreign) -> Result<Config> {
    let input = match keys.wholes("input")?.as_deref() {
        None => [224, 224, 1],
        Some(&[height, width, 1]) => [height, width, 1],
        Some(_) => return Err(keys.bad("input", "height, width and 1 channel")),
    };
    let classes = keys.whole("classes")?.unwrap_or(FINDINGS.len());
    let named = keys.text("architecture")?.and_then(|name| Densenet::named(name, input, classes));
    let Some(net) = named else { return Err(keys.bad("architecture", "densenet121")) };
    let mut defaults = json!({
        "head": "sigmoid",
        "input_scaling": { "mean": [127.5], "std": [127.5 / 1024.0], "unit": "pixel" },
    });
    if classes == FINDINGS.len() {
        defaults["class_names"] = json!(FINDINGS);
    }
    keys.rest(Architecture::Densenet(net), &["architecture", "names", "input", "classes"], defaults)
}
