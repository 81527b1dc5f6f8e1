//! Networks from ONNX files, <https://onnx.ai>: read once into a checked form, then attacked like any other.
//!
//! A file is decoded (`proto`), the data of its tensors are gathered (`data`), and its nodes are built one after the other by their `ops` onto
//! a graph of its own, where shapes are numbers and whatever does not depend on the sample is computed at once. `forward` copies that graph
//! into another. A lane is a batch of one, so the batch axis has length 1; axes lie as convolutions want them (`layout`).

mod beside;
mod call;
mod constant;
mod data;
mod ending;
mod fingerprint;
mod folding;
mod import;
mod imputing;
mod inspect;
mod layout;
mod movement;
mod ops;
mod proto;
mod sample;
mod scope;
mod value;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::ser::SerializeStruct;
use serde::{Serialize, Serializer};

pub use beside::{Given, Supplied};
pub use ending::Ending;
pub use inspect::describe;

use super::{Config, FileAxes, FirstNorm, Head, Input, InputScaling, Standardisation};
use crate::graph::{Graph, Leading, Tensor};
use crate::{Error, Result};
use beside::Beside;
pub use beside::Prepared;
use data::Sources;
use proto::{GraphProto, ModelProto, NodeProto};

/// A network of an ONNX file.
#[derive(Clone, Debug, PartialEq)]
pub struct Onnx {
    /// What it computes; clones share it.
    pub network: Arc<Network>,
    /// Whether a final softmax or sigmoid stays where it is: the outputs are then probabilities, and gradients vanish where the model is sure.
    pub keeps_ending: bool,
}

impl Serialize for Onnx {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Onnx", 4)?;
        fields.serialize_field("network", &self.network.sha256)?;
        fields.serialize_field("inputs", &self.network.inputs)?;
        fields.serialize_field("output", &self.network.output)?;
        fields.serialize_field("keeps_ending", &self.keeps_ending)?;
        fields.end()
    }
}

impl Onnx {
    /// Builds the network on x (the sample's shape).
    pub(super) fn forward(&self, graph: &mut Graph, x: Tensor) -> Forward {
        let network = &self.network;
        let x = graph.reshape(x, &network.input_shape);
        let end = if self.keeps_ending { network.deployed } else { network.logits };
        let after = network.norm.as_ref().map(|norm| norm.after);
        let wanted: Vec<Tensor> = [Some(end), network.features, after].into_iter().flatten().collect();
        let found = graph.splice(&network.graph, &[(network.sample, x)], &wanted);
        let copy = |own: Tensor| wanted.iter().position(|one| *one == own).map(|at| found[at]);
        let norm = |norm: &FirstNorm| Some(FirstNorm { after: copy(norm.after)?, ..norm.clone() });
        Forward {
            logits: found[0],
            features: network.features.and_then(copy),
            norm: network.norm.as_ref().and_then(norm),
        }
    }
}

impl Onnx {
    /// The ending that is attacked through: a softmax that stays.
    pub fn kept_ending(&self) -> Option<Ending> {
        self.network.ending.filter(|_| self.keeps_ending)
    }
}

/// A network in another graph.
pub(super) struct Forward {
    /// Logits `[classes]`, or what the file yields if its ending is kept.
    pub(super) logits: Tensor,
    /// What the last linear layer reads.
    pub(super) features: Option<Tensor>,
    /// The first batch norm.
    pub(super) norm: Option<FirstNorm>,
}

/// A network in its checked form: a graph from the sample to the logits.
pub struct Network {
    /// Content of nodes and tensors, wherever the data lie.
    pub sha256: String,
    /// The shape of a sample: a single input's own, or all inputs one after the other.
    pub input_shape: Vec<usize>,
    /// The inputs, in the file's order; one of whole numbers, such as token ids, or of truth values stays as it is.
    pub inputs: Vec<Input>,
    /// How the file lays out each input, where `inputs` have images channels last and signals time before channels.
    pub axes: Vec<FileAxes>,
    /// What was assumed of the file, in sentences.
    pub remarks: Vec<String>,
    /// The name of the output that is attacked.
    pub output: String,
    /// Number of outputs.
    pub classes: usize,
    /// What the outputs mean: as the file beside the network says, else as its end or a single output does.
    pub head: Head,
    /// What the network's own imputer makes of a missing value, for every value of a sample: `None` where it has none, or where something else
    /// reads the missing value, too. Empty in a file without imputers.
    pub fills: Vec<Option<f32>>,
    /// Names of the values of a sample, as the file beside the network says.
    pub feature_names: Vec<String>,
    /// What makes probabilities of the logits, if the file ends in that.
    pub ending: Option<Ending>,
    /// What is known of the file.
    pub facts: Facts,
    graph: Graph,
    sample: Tensor,
    logits: Tensor,
    /// What the file yields.
    deployed: Tensor,
    /// What the last linear layer reads.
    features: Option<Tensor>,
    /// The first batch norm that the sample passes through, if it was trained.
    norm: Option<FirstNorm>,
    /// What it does to the values of a sample before anything else.
    leading: Leading,
    /// Mean and deviation of values from 0 to 1 by which the configuration of the model that the file was exported from standardises images; the
    /// file itself need not.
    pub prepared: Option<Prepared>,
    /// The file beside it that says class names and scaling, or would: `NAME.json` or `config.json`.
    pub configuration: String,
}

impl Network {
    /// The mean and deviation that the network's first steps standardise samples by; `None` where they do not.
    pub(super) fn standardisation(&self) -> Option<Standardisation> {
        Standardisation::of(&self.leading, self.input_shape.last().copied().unwrap_or(1))
    }

    /// Permutations of whole tensors that are left of the file's transpositions.
    pub fn permutations(&self) -> usize {
        self.graph.permutations(&[self.logits])
    }
}

impl PartialEq for Network {
    fn eq(&self, other: &Self) -> bool {
        self.sha256 == other.sha256
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Network")
            .field("sha256", &self.sha256)
            .field("inputs", &self.inputs)
            .finish_non_exhaustive()
    }
}

/// What a file says of itself.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// Who wrote it, with the version.
    pub producer: String,
    /// Domains and their versions.
    pub opsets: Vec<(String, i64)>,
    /// Nodes by their op.
    pub ops: BTreeMap<String, usize>,
    /// All nodes.
    pub nodes: usize,
    /// Nodes that the output needs.
    pub live_nodes: usize,
    /// Nodes that the output needs and that do not depend on the sample: computed once.
    pub folded: usize,
    /// Values in the tensors that the output needs.
    pub values: usize,
    /// Inputs and outputs as the file declares them.
    pub inputs: Vec<String>,
    /// See `inputs`.
    pub outputs: Vec<String>,
}

impl Facts {
    fn of(model: &ModelProto, graph: &GraphProto) -> Self {
        let mut ops = BTreeMap::new();
        for node in &graph.nodes {
            *ops.entry(node.op.to_string()).or_default() += 1;
        }
        let weights = |name: &str| graph.initializers.iter().any(|one| one.name == name);
        Self {
            producer: [model.producer, model.producer_version].join(" ").trim().to_string(),
            opsets: model.opsets.iter().map(|(domain, version)| (domain.to_string(), *version)).collect(),
            ops,
            nodes: graph.nodes.len(),
            inputs: graph.inputs.iter().filter(|info| !weights(info.name)).map(inspect::declared).collect(),
            outputs: graph.outputs.iter().map(inspect::declared).collect(),
            ..Self::default()
        }
    }
}

/// Something that keeps a file from being built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The node with its op, the tensor, the input.
    pub place: String,
    /// What is wrong with it.
    pub why: String,
}

impl Missing {
    fn of(place: impl ToString, why: impl ToString) -> Self {
        Self { place: place.to_string(), why: why.to_string() }
    }

    fn at(node: &NodeProto, why: impl ToString) -> Self {
        let name = if node.name.is_empty() { node.outputs.first().copied().unwrap_or("") } else { node.name };
        Self::of(format!("{} (node {name:?})", node.op), why)
    }
}

/// What a file beside the network says, and the network.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) network: Arc<Network>,
    pub(super) class_names: Vec<String>,
    pub(super) head: Head,
    pub(super) input_scaling: Option<InputScaling>,
    pub(super) training: Option<serde_json::Value>,
    /// What is said and nothing follows.
    pub(super) remarks: Vec<String>,
}

/// The largest ONNX file that is read, in bytes: protocol buffers hold no more.
const FILE_LIMIT: u64 = 2 << 30;

/// Reads an ONNX file and what lies beside it, with what a study supplies.
///
/// # Errors
/// Bytes that are no ONNX file; anything in it that cannot be built, all of it named.
pub(super) fn read(path: &Path, supplied: &Supplied) -> Result<Read> {
    let bytes = crate::files::read_bytes(path, FILE_LIMIT)?;
    let beside = Beside::read(path)?.with(supplied);
    let found = import::read(&bytes, path, &beside, Sources::beside(path)?)?;
    let network = found.network.map_err(|missing| refused(path, &missing))?;
    let head = network.head;
    let (class_names, mut remarks) = (beside.class_names, Vec::new());
    let class_names = match beside.exported_names {
        _ if !class_names.is_empty() => class_names,
        names if names.is_empty() || names.len() == network.classes => names,
        names => {
            let key = "the config.json beside it";
            remarks.push(Config::other_count(key, names.len(), network.classes));
            Vec::new()
        }
    };
    Ok(Read {
        remarks,
        network: Arc::new(network),
        class_names,
        head,
        input_scaling: beside.input_scaling,
        training: beside.training,
    })
}

/// All that is missing, as one error.
fn refused(path: &Path, missing: &[Missing]) -> Error {
    let each: Vec<String> = missing.iter().map(|one| format!("{}: {}", one.place, one.why)).collect();
    let found = format!("{} that cannot be built: {}", count(missing.len()), each.join("; "));
    Error::input(
        path.display(),
        "graph",
        found,
        "a network of ops that percuss covers (CONTRIBUTING.md has the recipe for another)",
    )
}

fn count(len: usize) -> String {
    if len == 1 { "1 part".into() } else { format!("{len} parts") }
}
