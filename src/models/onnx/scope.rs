//! Branches of an `If` whose condition is known when the network is read: the nodes of one of them take its place.

use std::collections::{HashMap, HashSet};

use bumpalo::Bump;

use super::proto::{AttributeValue, GraphProto, NodeProto};

/// Calls `read` with every name that a node reads, in graphs of its own too.
pub(super) fn reads<'a>(node: &NodeProto<'a>, read: &mut dyn FnMut(&'a str)) {
    node.inputs.iter().filter(|name| !name.is_empty()).for_each(|name| read(name));
    for attribute in &node.attributes {
        if let AttributeValue::Graph(graph) = &attribute.value {
            within(graph, read);
        }
    }
}

/// As [`reads`], of all nodes and outputs of a graph; names of its own are among them.
fn within<'a>(graph: &GraphProto<'a>, read: &mut dyn FnMut(&'a str)) {
    graph.nodes.iter().for_each(|node| reads(node, read));
    graph.outputs.iter().for_each(|output| read(output.name));
}

/// The graph with a branch in the place of each `If` that is decided: by its place among the nodes, and whether its condition holds. `round`
/// keeps the names of several rounds apart.
///
/// # Errors
/// The place of a node without such a branch, or with another number of outputs.
pub(super) fn inlined<'a>(
    graph: GraphProto<'a>,
    decided: &HashMap<usize, bool>,
    round: usize,
    names: &'a Bump,
) -> Result<GraphProto<'a>, String> {
    let GraphProto { nodes, mut initializers, inputs, outputs } = graph;
    let mut all = Vec::with_capacity(nodes.len());
    for (at, node) in nodes.into_iter().enumerate() {
        let Some(&holds) = decided.get(&at) else {
            all.push(node);
            continue;
        };
        let (name, own) = (node.name.to_string(), node.outputs.clone());
        let branch = branch(node, holds).filter(|branch| branch.outputs.len() >= own.len());
        let mut branch = branch.ok_or_else(|| format!("If (node {name:?})"))?;
        let (renamed, copies) =
            renaming(&branch, &own, |inner| names.alloc_str(&format!("{inner}#{round}.{at}")));
        rename(&mut branch, &renamed);
        all.append(&mut branch.nodes);
        initializers.append(&mut branch.initializers);
        all.extend(copies.into_iter().map(|(from, to)| NodeProto {
            op: "Identity",
            inputs: vec![renamed.get(from).copied().unwrap_or(from)],
            outputs: vec![to],
            ..NodeProto::default()
        }));
    }
    Ok(GraphProto { nodes: all, initializers, inputs, outputs })
}

fn branch<'a>(node: NodeProto<'a>, holds: bool) -> Option<GraphProto<'a>> {
    let wanted = if holds { "then_branch" } else { "else_branch" };
    node.attributes.into_iter().find(|attribute| attribute.name == wanted).and_then(|attribute| {
        match attribute.value {
            AttributeValue::Graph(graph) => Some(graph),
            _ => None,
        }
    })
}

/// New names, and values to be copied.
type Renaming<'a> = (HashMap<&'a str, &'a str>, Vec<(&'a str, &'a str)>);

/// New names for what a branch computes and holds: its outputs become the node's, all else gets a name that nobody else has. What a branch only
/// hands through is copied, from and to.
fn renaming<'a>(branch: &GraphProto<'a>, own: &[&'a str], fresh: impl Fn(&str) -> &'a str) -> Renaming<'a> {
    let computed: HashSet<&str> =
        branch.nodes.iter().flat_map(|node| &node.outputs).copied().filter(|name| !name.is_empty()).collect();
    let mut renamed = HashMap::new();
    let mut copies = Vec::new();
    for (output, &name) in branch.outputs.iter().zip(own).filter(|(_, name)| !name.is_empty()) {
        if computed.contains(output.name) && !renamed.contains_key(output.name) {
            renamed.insert(output.name, name);
        } else {
            copies.push((output.name, name));
        }
    }
    let held = branch.initializers.iter().map(|one| one.name);
    let inner = branch.nodes.iter().flat_map(|node| node.outputs.iter().copied()).chain(held);
    for name in inner.filter(|name| !name.is_empty()) {
        renamed.entry(name).or_insert_with(|| fresh(name));
    }
    (renamed, copies)
}

/// Renames in a graph and in those within it, wherever a name is defined or read: what shadowed another goes on doing so.
fn rename<'a>(graph: &mut GraphProto<'a>, renamed: &HashMap<&'a str, &'a str>) {
    let new = |name: &mut &'a str| {
        if let Some(to) = renamed.get(*name) {
            *name = to;
        }
    };
    graph.initializers.iter_mut().for_each(|one| new(&mut one.name));
    graph.outputs.iter_mut().for_each(|one| new(&mut one.name));
    for node in &mut graph.nodes {
        node.inputs.iter_mut().for_each(new);
        node.outputs.iter_mut().for_each(new);
        for attribute in &mut node.attributes {
            if let AttributeValue::Graph(inner) = &mut attribute.value {
                rename(inner, renamed);
            }
        }
    }
}
