//! torchvision writes no configuration, so its builders are named by hand: `{ "architecture": "vit_b_16", "names": "torchvision",
//! "classes": 2 }`, with `input` (by default `[224, 224, 3]`) and the keys that every configuration may have.

use serde_json::{Map, Value, json};

use super::foreign::Foreign;
use crate::Result;
use crate::models::convnext::Convnext;
use crate::models::densenet::Densenet;
use crate::models::efficientnet::Efficientnet;
use crate::models::names::Names;
use crate::models::resnet::{Resnet, Stem};
use crate::models::vit::Vit;
use crate::models::{Architecture, Config};

/// Whether the architecture is a builder of torchvision's, rather than one of the families.
pub(super) fn knows(keys: &Map<String, Value>) -> bool {
    let name = keys.get("architecture").and_then(Value::as_str).unwrap_or_default();
    builder(name, [224, 224, 3], 1).is_some()
}

/// Reads a configuration that names a builder.
pub(super) fn read(keys: &Foreign) -> Result<Config> {
    let input = match keys.wholes("input")?.as_deref() {
        None => [224, 224, 3],
        Some(&[height, width, channels]) => [height, width, channels],
        Some(_) => return Err(keys.bad("input", "height, width and channels")),
    };
    let classes = keys.whole("classes")?.unwrap_or(1000);
    let name = keys.text("architecture")?.unwrap_or_default();
    let Some(architecture) = builder(name, input, classes) else {
        return Err(keys.bad("architecture", "a builder of torchvision's"));
    };
    keys.rest(architecture, &["architecture", "names", "input", "classes"], json!({}))
}

fn builder(name: &str, input: [usize; 3], classes: usize) -> Option<Architecture> {
    let names = Names::Torchvision;
    if let Some(net) = Efficientnet::named(name, names, input, classes) {
        // B5 and larger were trained with another epsilon.
        let epsilon = if matches!(name, "efficientnet_b5" | "efficientnet_b6" | "efficientnet_b7") {
            1e-3
        } else {
            net.epsilon
        };
        return Some(Architecture::Efficientnet(Efficientnet { epsilon, ..net }));
    }
    if let Some(net) = Convnext::named(name, names, input, classes) {
        return Some(Architecture::Convnext(net));
    }
    if let Some(net) = Densenet::named(name, input, classes) {
        return Some(Architecture::Densenet(net));
    }
    let (size, patch) = match name {
        "vit_b_16" => ("base", 16),
        "vit_b_32" => ("base", 32),
        "vit_l_16" => ("large", 16),
        "vit_l_32" => ("large", 32),
        "vit_h_14" => ("huge", 14),
        _ => {
            let depth @ (18 | 34 | 50) = name.strip_prefix("resnet")?.parse().ok()? else { return None };
            return Some(Architecture::Resnet(Resnet { depth, input, classes, stem: Stem::Large }));
        }
    };
    Vit::of_size(size, patch, names, input, classes).map(Architecture::Vit)
}
