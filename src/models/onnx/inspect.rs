//! What `percuss inspect` says of an ONNX file.

use std::path::Path;

use super::beside::Beside;
use super::data::Sources;
use super::import::{self, Found};
use super::proto::{Dimension, ValueInfo};
use super::{FILE_LIMIT, Network, count};
use crate::Result;
use crate::models::{Head, InputKind};

/// Names of element types, by their numbers.
const TYPES: [&str; 17] = [
    "?", "f32", "u8", "i8", "u16", "i16", "i32", "i64", "text", "bool", "f16", "f64", "u32", "u64", "c64",
    "c128", "bf16",
];

/// An input or output as the file declares it.
pub(super) fn declared(info: &ValueInfo) -> String {
    let kind = usize::try_from(info.dtype).ok().and_then(|dtype| TYPES.get(dtype)).copied().unwrap_or("?");
    let dims = match &info.dims {
        None => "any shape".to_string(),
        Some(dims) => {
            let sizes = dims.iter().map(|dimension| match dimension {
                Dimension::Size(size) => size.to_string(),
                Dimension::Dynamic("") => "?".to_string(),
                Dimension::Dynamic(name) => (*name).to_string(),
            });
            format!("[{}]", sizes.collect::<Vec<String>>().join(", "))
        }
    };
    format!("{} {kind} {dims}", info.name)
}

/// Opset, producer, inputs, outputs, ops, parameters, what was folded, and whether it can be attacked or all that is in the way.
///
/// # Errors
/// A file that cannot be read or is no ONNX model.
pub fn describe(path: &Path) -> Result<String> {
    let bytes = crate::files::read_bytes(path, FILE_LIMIT)?;
    let beside = Beside::read(path)?;
    let Found { facts, network } = import::read(&bytes, path, &beside, Sources::beside(path)?)?;
    let opsets = facts.opsets.iter().map(|(domain, version)| match domain.as_str() {
        "" => version.to_string(),
        domain => format!("{domain} {version}"),
    });
    let ops = facts.ops.iter().map(|(op, count)| format!("{op} {count}")).collect::<Vec<String>>().join(", ");
    let mut text = String::from("model onnx\n");
    text += &format!("  producer      {}\n", facts.producer);
    text += &format!("  opset         {}\n", opsets.collect::<Vec<String>>().join(", "));
    text += &format!("  inputs        {}\n", facts.inputs.join(", "));
    text += &format!("  outputs       {}\n", facts.outputs.join(", "));
    text += &format!("  nodes         {}, of which the output needs {}\n", facts.nodes, facts.live_nodes);
    text += &format!("  ops           {ops}\n");
    text += &format!("  parameters    {}\n", facts.values);
    text += &format!("  folded        {} nodes do not depend on the sample\n", facts.folded);
    match network {
        Ok(network) => text += &attackable(&network),
        Err(missing) => {
            text += &format!("  attack        no: {} cannot be built\n", count(missing.len()));
            for one in missing {
                text += &format!("    {}: {}\n", one.place, one.why);
            }
        }
    }
    Ok(text)
}

fn attackable(network: &Network) -> String {
    let whole = network.inputs.iter().filter(|input| input.kind == InputKind::Whole);
    let whole: Vec<&str> = whole.map(|input| input.name.as_str()).collect();
    let attack = if whole.is_empty() {
        "yes".to_string()
    } else if whole.len() == network.inputs.len() {
        format!(
            "no: {} holds whole numbers, which have no gradient; export it with floats there, or with a Cast to float before anything else",
            whole.join(", ")
        )
    } else {
        format!("yes, with {} held fixed: whole numbers have no gradient", whole.join(", "))
    };
    let ending = match network.ending {
        Some(ending) => format!("{}; output = \"probabilities\" takes it off", ending.name()),
        None => "none: the outputs are taken for logits".to_string(),
    };
    let mut text = String::new();
    for (input, axes) in network.inputs.iter().zip(&network.axes) {
        let from = if axes.is_same() { String::new() } else { format!(" of the file's {:?}", axes.shape) };
        // Of several inputs: where each has its values in a sample.
        let places = match network.inputs.len() {
            1 => String::new(),
            _ => format!(", numbers {} to {} of a sample's", input.range.start + 1, input.range.end),
        };
        text += &format!("  sample        {} {:?}{from}{places}\n", input.name, input.shape);
    }
    let head = match network.head {
        Head::Softmax if network.classes > 1 => {
            "softmax over classes; \"head\": \"sigmoid\" in a JSON file of its name beside it makes each output a finding"
        }
        Head::Softmax => "softmax over classes",
        Head::Sigmoid => "sigmoid, one decision an output",
    };
    text += &format!("  attacked      {} ({} outputs)\n", network.output, network.classes);
    text += &format!("  head          {head}\n");
    text += &format!("  ending        {ending}\n");
    text += &format!("  permutations  {}\n", network.permutations());
    for remark in &network.remarks {
        text += &format!("  note          {remark}\n");
    }
    text += &format!("  attack        {attack}\n");
    text += &format!("  sha256        {}\n", network.sha256);
    text
}
