//! From a decoded file to a network: what is needed of it, in order, every node by its op.

use std::collections::{HashMap, HashSet};
use std::path::Path;

use bumpalo::Bump;
use sha2::{Digest, Sha256};

use super::beside::Beside;
use super::call::{Call, Tree};
use super::data::Sources;
use super::ending::{Ending, Logits, ending, finished};
use super::fingerprint::{describe, digest};
use super::folding::evaluated;
use super::imputing;
use super::layout::Builder;
use super::ops;
use super::proto::{GraphProto, ModelProto, NodeProto, TensorProto, ValueInfo};
use super::sample::{self, Sample};
use super::scope;
use super::value::{Refusal, Value};
use super::{Facts, Missing, Network};
use crate::models::{Head, hex};
use crate::{Error, Result};

/// Oldest and newest version of ONNX's ops that is read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=24;
/// Nodes that an output may need at most, and what they may become.
const LIVE: usize = 100_000;
const NODES: usize = 2_000_000;

/// What a file is found to be: its facts, and a network or all that is missing for one.
pub(super) struct Found {
    pub(super) facts: Facts,
    pub(super) network: Result<Network, Vec<Missing>>,
}

/// Reads the network in `bytes`.
///
/// # Errors
/// Bytes that are no ONNX file. What cannot be built is in the result.
pub(super) fn read(bytes: &[u8], path: &Path, beside: &Beside, mut sources: Sources) -> Result<Found> {
    let broken =
        || Error::input(path.display(), "file", "bytes that are no ONNX model", "an ONNX file, whole");
    let names = Bump::new();
    let mut model = ModelProto::decode(bytes).map_err(|_| broken())?;
    let graph = model.graph.take().filter(|graph| !graph.outputs.is_empty());
    let mut graph = graph.ok_or_else(broken)?;
    let mut facts = Facts::of(&model, &graph);
    // Each round decides at least one `If`, and what it brings may decide others.
    for round in 0.. {
        let mut import = Import::new(&model, &graph, facts);
        let network = import.network(beside, &mut sources);
        facts = import.facts;
        if import.decided.is_empty() {
            return Ok(Found { facts, network: network.ok_or(import.missing) });
        }
        let decided = import.decided;
        graph = scope::inlined(graph, &decided, round, &names).map_err(|place| {
            Error::input(path.display(), place, "no branch of as many outputs", "a branch for each case")
        })?;
    }
    Err(broken())
}

/// A network while it is read.
struct Import<'a, 'm> {
    model: &'m ModelProto<'a>,
    file: &'m GraphProto<'a>,
    opset: i64,
    builder: Builder,
    tree: Tree<'a, 'm>,
    facts: Facts,
    missing: Vec<Missing>,
    /// Nodes that choose between branches, by their place, and whether their condition holds.
    decided: HashMap<usize, bool>,
    /// What it is computed from.
    hash: Sha256,
}

impl<'a, 'm> Import<'a, 'm> {
    fn new(model: &'m ModelProto<'a>, file: &'m GraphProto<'a>, facts: Facts) -> Self {
        let mut tree = Tree { nodes: &file.nodes, ..Tree::default() };
        for (at, node) in file.nodes.iter().enumerate() {
            tree.producers
                .extend(node.outputs.iter().filter(|name| !name.is_empty()).map(|name| (*name, at)));
        }
        let opset = model.opsets.iter().find(|(domain, _)| domain.is_empty());
        Self {
            model,
            file,
            opset: opset.map_or(1, |opset| opset.1),
            builder: Builder::default(),
            tree,
            facts,
            missing: Vec::new(),
            decided: HashMap::new(),
            hash: Sha256::new(),
        }
    }

    fn miss(&mut self, place: impl ToString, why: impl ToString) {
        self.missing.push(Missing::of(place, why));
    }

    /// The network; without one all that keeps it from being built is in `missing`.
    fn network(&mut self, beside: &Beside, sources: &mut Sources) -> Option<Network> {
        if !OPSETS.contains(&self.opset) {
            let (oldest, newest) = (OPSETS.start(), OPSETS.end());
            self.miss("file", format!("opset {}, where {oldest} to {newest} are read", self.opset));
        }
        let output = output(self.file, beside).map_err(|why| self.miss("outputs", why)).ok()?;
        let live = live(&mut self.tree, output);
        self.facts.live_nodes = live.len();
        if live.len() > LIVE {
            self.miss("graph", format!("{} nodes, where {LIVE} are read", live.len()));
            return None;
        }
        self.missing.extend(uncovered(self.model, &self.tree, &live));
        let needed = needed(&self.tree, &live, output);
        self.constants(&needed, sources);
        let Sample { state, inputs, axes, remarks, .. } = self.inputs(&needed, beside)?;
        let sample = self.builder.graph.load(state);
        self.nodes(&live);
        if !self.missing.is_empty() || !self.decided.is_empty() {
            return None;
        }
        // Before anything is added for the ending.
        let (features, norm) = (self.builder.features, self.builder.norm.take());
        let sample_of = (inputs.as_slice(), axes.as_slice());
        let fills = imputing::fills(&mut self.builder, &self.tree, &live, self.model, sample_of, output);
        let len: usize = inputs.iter().map(|input| input.range.len()).sum();
        if !beside.features.is_empty() && beside.features.len() != len {
            let why = format!(
                "{} names in {}, where a sample has {len} values",
                beside.features.len(),
                beside.file
            );
            self.miss("features", why);
            return None;
        }
        let (ending, logits) = ending(&self.tree, output, self.opset);
        let ends = finished(&mut self.builder, &self.tree, Logits::Of(output))
            .and_then(|deployed| Ok((deployed, finished(&mut self.builder, &self.tree, logits)?)));
        let (deployed, logits) = ends.map_err(|why| self.miss(format!("output {output}"), why)).ok()?;
        let classes = self.builder.graph.dims(logits).iter().product();
        let head = match ending {
            Some(Ending::Sigmoid) => Head::Sigmoid,
            None if classes == 1 => Head::Sigmoid,
            _ => Head::Softmax,
        };
        self.hash.update(format!("{inputs:?}{output}{}", self.opset));
        let graph = std::mem::take(&mut self.builder.graph);
        let leading = graph.leading(sample, logits, &self.builder.learnt);
        Some(Network {
            input_shape: graph.state_shape(state).dims.clone(),
            sample,
            graph,
            inputs,
            axes,
            remarks,
            output: output.to_string(),
            classes,
            head: beside.head.unwrap_or(head),
            ending,
            fills,
            feature_names: beside.features.clone(),
            logits,
            deployed,
            features,
            norm,
            leading,
            prepared: beside.exported_scaling.clone(),
            configuration: beside.file.clone(),
            facts: self.facts.clone(),
            sha256: hex(&self.hash.finalize_reset()),
        })
    }

    /// The tensors among the needed names, in the file or beside it.
    fn constants(&mut self, needed: &[&'a str], sources: &mut Sources) {
        let initializers: HashMap<&str, &TensorProto> =
            self.file.initializers.iter().map(|one| (one.name, one)).collect();
        let mut elements = 0usize;
        for &name in needed {
            let constant = match initializers.get(name) {
                Some(proto) => sources.tensor(proto),
                None if self.tree.producers.contains_key(name) => continue,
                None => match sources.named(name) {
                    Some(constant) => constant,
                    None => continue,
                },
            };
            match constant {
                Ok(constant) => {
                    elements = elements.saturating_add(constant.len());
                    digest(&mut self.hash, name, &constant);
                    self.tree.values.insert(name, constant.into());
                }
                Err(why) => self.miss(format!("tensor {name}"), why),
            }
        }
        self.facts.values = elements;
        self.builder.room = elements.saturating_mul(4).saturating_add(1 << 24);
    }

    /// The inputs among the needed names, and the sample that they lie in.
    fn inputs(&mut self, needed: &[&'a str], beside: &Beside) -> Option<Sample> {
        let weights: HashSet<&str> = self.file.initializers.iter().map(|one| one.name).collect();
        let is_fed = |info: &&ValueInfo| {
            needed.contains(&info.name)
                && !weights.contains(info.name)
                && !self.tree.values.contains_key(info.name)
        };
        let mut fed: Vec<&ValueInfo<'a>> = self.file.inputs.iter().filter(is_fed).collect();
        self.given(&mut fed, beside);
        self.lengths(beside);
        if fed.is_empty() {
            self.miss("inputs", "no input that the output depends on");
            return None;
        }
        match sample::inputs(&mut self.builder, &self.tree, &fed, beside) {
            Ok(sample) => {
                let values = sample.values.iter().cloned();
                self.tree
                    .values
                    .extend(fed.iter().zip(values).map(|(info, value)| (info.name, value.into())));
                Some(sample)
            }
            Err(refusals) => {
                refusals.into_iter().for_each(|(name, why)| self.miss(format!("input {name}"), why));
                None
            }
        }
    }

    /// A length is given to an axis that there is.
    fn lengths(&mut self, beside: &Beside) {
        let axes: Vec<String> = self.file.inputs.iter().flat_map(sample::axes).collect();
        for name in beside.dimensions.keys().filter(|name| !axes.contains(name)) {
            self.miss(
                "dimensions",
                format!("{axes:?}, no {name:?}, which {} or the study gives a length", beside.file),
            );
        }
    }

    /// Takes the inputs out that have one value for all samples.
    fn given(&mut self, fed: &mut Vec<&ValueInfo<'a>>, beside: &Beside) {
        for (name, value) in &beside.inputs {
            let Some(at) = fed.iter().position(|info| info.name == name) else {
                // One that the attacked output does not need may have a value, too.
                if !self.file.inputs.iter().any(|info| info.name == name) {
                    let names: Vec<&str> = self.file.inputs.iter().map(|info| info.name).collect();
                    self.miss(
                        "inputs",
                        format!("{names:?}, no {name:?}, which {} or the study gives a value", beside.file),
                    );
                }
                continue;
            };
            let info = fed.remove(at);
            match sample::given(info, value, beside) {
                Ok(constant) => {
                    digest(&mut self.hash, info.name, &constant);
                    self.tree.values.insert(info.name, constant.into());
                }
                Err(why) => self.miss(format!("input {name}"), why),
            }
        }
    }

    /// Decides an `If` whose condition is known.
    fn choose(&mut self, at: usize, node: &NodeProto<'a>) {
        let condition = node.inputs.first().and_then(|name| self.tree.values.get(name));
        match condition {
            Some(Value::Constant(constant)) if constant.single().is_some() => {
                self.decided.insert(at, constant.single() != Some(0.0));
            }
            Some(_) => {
                let why = "chooses by a condition that depends on the sample; export the branch that is used";
                self.missing.push(Missing::at(node, why));
            }
            // What keeps the condition from being known is said already.
            None => {}
        }
    }

    /// Builds the nodes one after the other; one that cannot be built keeps those from it that need it.
    fn nodes(&mut self, live: &[usize]) {
        for &at in live {
            let node = &self.file.nodes[at];
            describe(&mut self.hash, node);
            if is_choice(node) {
                self.choose(at, node);
                continue;
            }
            if let Err(Some(why)) = build(&mut self.builder, &mut self.tree, node, self.opset, self.model) {
                self.missing.push(Missing::at(node, why));
            }
            if self.builder.graph.nodes.len() > NODES {
                self.missing.push(Missing::at(node, "more than two million steps"));
                break;
            }
        }
        let is_constant = |name: &&str| matches!(self.tree.values.get(*name), Some(Value::Constant(_)));
        let folded = live.iter().filter(|&&at| self.file.nodes[at].outputs.iter().all(&is_constant));
        self.facts.folded = folded.count();
    }
}

/// The output that is attacked: the only one, the one that the configuration names, or the first that is known to hold scores.
fn output<'a>(graph: &GraphProto<'a>, beside: &Beside) -> Result<&'a str, Refusal> {
    let names: Vec<&str> = graph.outputs.iter().map(|output| output.name).collect();
    if let Some(wanted) = &beside.output {
        return names.iter().find(|name| *name == wanted).copied().ok_or_else(|| {
            format!("{names:?}, none of them {wanted:?}, the output that {} names", beside.file)
        });
    }
    let known = ["logits", "probabilities", "output_probability", "output", "image_embeds", "pooler_output"];
    let first = known.iter().find_map(|known| names.iter().find(|name| *name == known));
    // A label is a whole number, or a text.
    let scores = |output: &&ValueInfo| !matches!(output.dtype, 2..=8 | 12 | 13);
    let only: Vec<&str> = graph.outputs.iter().filter(scores).map(|output| output.name).collect();
    match (first, names.as_slice(), only.as_slice()) {
        (_, [one], _) => Ok(one),
        (Some(known), ..) => Ok(known),
        (_, _, [one]) => Ok(one),
        _ => Err(format!(
            "several outputs, {names:?}; name the one that holds the scores, as {{ \"output\": {:?} }} in {}",
            only.first().or(names.first()).unwrap_or(&"NAME"),
            beside.file
        )),
    }
}

/// The nodes that the output needs, in the file's order; counts who reads what.
fn live<'a>(tree: &mut Tree<'a, '_>, output: &'a str) -> Vec<usize> {
    let mut seen = HashSet::new();
    let mut open: Vec<usize> = tree.producers.get(output).copied().into_iter().collect();
    tree.uses.insert(output, 1);
    while let Some(at) = open.pop() {
        if !seen.insert(at) {
            continue;
        }
        scope::reads(&tree.nodes[at], &mut |name| {
            *tree.uses.entry(name).or_default() += 1;
            open.extend(tree.producers.get(name));
        });
    }
    let mut live: Vec<usize> = seen.into_iter().collect();
    live.sort_unstable();
    live
}

/// Every name that live nodes read, each once, in order.
fn needed<'a>(tree: &Tree<'a, '_>, live: &[usize], output: &'a str) -> Vec<&'a str> {
    let mut seen = HashSet::new();
    let mut needed = Vec::new();
    let mut read = |name: &'a str| {
        if seen.insert(name) {
            needed.push(name);
        }
    };
    live.iter().for_each(|&at| scope::reads(&tree.nodes[at], &mut read));
    read(output);
    needed
}

/// Parts of the names of ops that compute with whole numbers.
const QUANTISED: [&str; 7] = ["Quantize", "Integer", "QLinear", "NBits", "QAttention", "QGemm", "QEmbed"];

/// Whether a node chooses between graphs of its own.
fn is_choice(node: &NodeProto) -> bool {
    (node.domain, node.op) == ("", "If")
}

/// Ops that are not covered, each node of them.
fn uncovered(model: &ModelProto, tree: &Tree, live: &[usize]) -> Vec<Missing> {
    let nodes = live.iter().map(|&at| &tree.nodes[at]);
    nodes
        .filter(|node| ops::find(node.domain, node.op).is_none() && !is_choice(node))
        .map(|node| {
            let own = model.functions.iter().any(|one| one.name == node.op && one.domain == node.domain);
            let why = match node.op {
                _ if own => "is a function of the file; export it with its functions inlined",
                op if op.starts_with("TreeEnsemble") => "is a tree ensemble, which has no gradient",
                op if op.starts_with("SVM") => "is a support vector machine, which is not covered",
                "Loop" | "Scan" => {
                    "depends on what is computed; export it by tracing, with fixed shapes"
                }
                op if QUANTISED.iter().any(|part| op.contains(part)) => {
                    "is quantised arithmetic, which has no gradient"
                }
                _ if node.domain.starts_with(ops::FUSED) => {
                    "is what onnxruntime's optimiser made of other ops; take the file from before that, or save it with \
                     SessionOptions.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC"
                }
                _ => "is not covered",
            };
            Missing::at(node, why)
        })
        .collect()
}

/// Builds a node; nothing to say where one of its inputs could not be had, which is said already.
fn build<'a>(
    builder: &mut Builder,
    tree: &mut Tree<'a, '_>,
    node: &NodeProto<'a>,
    opset: i64,
    model: &ModelProto,
) -> Result<(), Option<Refusal>> {
    let op = ops::find(node.domain, node.op).ok_or(None)?;
    // What onnxruntime fused is computed by ONNX's own ops.
    let version = if op.domain.is_empty() || op.domain == ops::FUSED {
        opset
    } else {
        model.opsets.iter().find(|(domain, _)| *domain == op.domain).map_or(1, |opset| opset.1)
    };
    let mut inputs = Vec::with_capacity(node.inputs.len());
    for &name in &node.inputs {
        match (name, tree.values.get(name)) {
            ("", _) => inputs.push(None),
            (_, Some(value)) => inputs.push(Some(value.clone())),
            (_, None) => return Err(None),
        }
    }
    let call = Call { node, opset: version, inputs, tree };
    let known =
        !call.inputs.is_empty() && call.inputs.iter().flatten().all(|value| value.constant().is_some());
    let mut values = (op.build)(builder, &call).map_err(Some)?;
    if known {
        let evaluated = values.into_iter().map(|value| evaluated(builder, value));
        values = evaluated.collect::<Result<_, _>>().map_err(Some)?;
    }
    for value in &values {
        if let Value::Traced(traced) = value {
            super::value::elements(&traced.dims).map_err(Some)?;
        }
    }
    let wanted = node
        .outputs
        .iter()
        .enumerate()
        .filter(|(i, name)| *i >= values.len() && tree.uses.contains_key(*name));
    if let Some((i, name)) = wanted.into_iter().next() {
        return Err(Some(format!("output {i} ({name})")));
    }
    for (&name, value) in node.outputs.iter().zip(values).filter(|(name, _)| !name.is_empty()) {
        tree.values.insert(name, value);
    }
    Ok(())
}
