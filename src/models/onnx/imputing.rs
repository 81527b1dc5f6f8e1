//! What a network's own imputer makes of missing values: an `Imputer` of scikit-learn's, or `Where(IsNaN(x), c, x)`.
//!
//! Samples hold no NaN: the value that the imputer would put there stands in its place, from the beginning. That is the same only where nothing
//! else sees the missing value, so every node that reads one is followed.

use std::collections::HashMap;

use super::call::{Call, Tree};
use super::constant::Constant;
use super::folding::evaluated;
use super::layout::Builder;
use super::ops;
use super::proto::{AttributeValue, ModelProto, NodeProto};
use super::scope;
use super::value::Value;
use crate::models::{FileAxes, Input};

/// Ops that move values and change none, by their first input or by all.
const MOVES: [&str; 13] = [
    "ArrayFeatureExtractor",
    "Cast",
    "Concat",
    "FeatureVectorizer",
    "Flatten",
    "Gather",
    "Identity",
    "Reshape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];
/// Those that put all of their inputs beside each other.
const JOINS: [&str; 2] = ["Concat", "FeatureVectorizer"];
/// Elements of a sample beyond which no imputer is looked for: floats count so far.
const MOST: usize = 1 << 24;
/// What a value is that no missing value of the sample can reach.
const NONE: f32 = -1.0;

/// What is known of the values of a sample.
#[derive(Clone, Copy, PartialEq)]
enum Fill {
    Open,
    With(f32),
    /// Something else reads the missing value, too.
    No,
}

/// The names under which missing values still are what they are: each a tensor of places in the sample.
type Raw<'a> = HashMap<&'a str, Constant>;

/// What takes the place of a missing value, for every value of a sample; nothing where the file has no imputer at all.
pub(super) fn fills<'a>(
    builder: &mut Builder,
    tree: &Tree<'a, '_>,
    live: &[usize],
    model: &ModelProto,
    sample: (&[Input], &[FileAxes]),
    output: &str,
) -> Vec<Option<f32>> {
    let imputes = live.iter().any(|&at| matches!(tree.nodes[at].op, "Imputer" | "IsNaN"));
    let len = sample.0.iter().map(|input| input.range.len()).sum();
    if !imputes || len > MOST {
        return Vec::new();
    }
    let mut fills = vec![Fill::Open; len];
    let mut raw: Raw =
        sample.0.iter().zip(sample.1).filter_map(|(input, axes)| laid(tree, input, axes)).collect();
    for &at in live {
        let node = &tree.nodes[at];
        let mut reads = false;
        scope::reads(node, &mut |name| reads |= raw.contains_key(name));
        if reads {
            follow(builder, tree, live, node, model, &mut raw, &mut fills);
        }
    }
    if let Some(places) = raw.get(output) {
        settle(&mut fills, places, &|_| None);
    }
    let known = |fill: Fill| if let Fill::With(value) = fill { Some(value) } else { None };
    fills.into_iter().map(known).collect()
}

/// An input's places in the sample; none of images, whose axes lie otherwise.
fn laid<'a>(tree: &Tree<'a, '_>, input: &Input, axes: &FileAxes) -> Option<(&'a str, Constant)> {
    let (name, value) = tree.values.get_key_value(input.name.as_str())?;
    let places = input.range.clone().map(|place| place as f32).collect();
    axes.order.is_sorted().then(|| (*name, Constant::floats(value.dims(), places)))
}

/// Sets what becomes of the values at `places`, each by its position among them.
fn settle(fills: &mut [Fill], places: &Constant, with: &dyn Fn(usize) -> Option<f32>) {
    for position in 0..places.len() {
        let place = places.number(position);
        if place < 0.0 {
            continue;
        }
        let fill = &mut fills[place as usize];
        *fill = match (*fill, with(position)) {
            (Fill::Open, Some(value)) => Fill::With(value),
            (Fill::With(own), Some(value)) if own == value => Fill::With(own),
            _ => Fill::No,
        };
    }
}

/// Follows a node that reads missing values.
fn follow<'a>(
    builder: &mut Builder,
    tree: &Tree<'a, '_>,
    live: &[usize],
    node: &NodeProto<'a>,
    model: &ModelProto,
    raw: &mut Raw<'a>,
    fills: &mut [Fill],
) {
    match node.op {
        "Imputer" => {
            let places = &raw[node.inputs[0]];
            let columns = places.dims.last().copied().unwrap_or(1);
            let values = floats(node, "imputed_value_floats");
            settle(fills, places, &|position| match values.len() {
                1 => Some(values[0]),
                len if len == columns => Some(values[position % columns]),
                _ => None,
            });
        }
        "IsNaN" if node.inputs.len() == 1 => {
            let own = node.outputs.first().copied().unwrap_or_default();
            let chooses = |reader: &NodeProto| {
                reader.op == "Where"
                    && reader.inputs[..1] == [own]
                    && reader.inputs.get(2) == Some(&node.inputs[0])
            };
            let read = |at: &&usize| tree.nodes[**at].inputs.contains(&own);
            if !live.iter().filter(read).all(|&at| chooses(&tree.nodes[at])) {
                settle(fills, &raw[node.inputs[0]], &|_| None);
            }
        }
        "Where" if is_imputer(tree, node) => {
            let places = &raw[node.inputs[2]];
            let values = match tree.values.get(node.inputs[1]) {
                Some(Value::Constant(values)) => Some(values.broadcast(&places.dims)),
                _ => None,
            };
            let whole = tree.values.get(node.outputs[0]).is_some_and(|value| value.dims() == places.dims);
            let values = values.filter(|values| whole && values.len() == places.len());
            settle(fills, places, &|position| values.as_ref().map(|values| values.number(position) as f32));
        }
        "Shape" | "Size" => {}
        _ => match moved(builder, tree, node, model, raw) {
            Some(outputs) => raw.extend(outputs),
            None => {
                let mut read = Vec::new();
                scope::reads(node, &mut |name| read.extend(raw.get(name).cloned()));
                read.iter().for_each(|places| settle(fills, places, &|_| None));
            }
        },
    }
}

/// Whether a node takes a constant where its last input is NaN.
fn is_imputer(tree: &Tree, node: &NodeProto) -> bool {
    let [condition, other, own] = node.inputs[..] else { return false };
    let asked = tree.producer(condition);
    asked.is_some_and(|asked| asked.op == "IsNaN" && asked.inputs[..] == [own]) && other != own
}

/// The places that a node's outputs are of, if it only moves them: the op itself moves their numbers.
fn moved<'a>(
    builder: &mut Builder,
    tree: &Tree<'a, '_>,
    node: &NodeProto<'a>,
    model: &ModelProto,
    raw: &Raw<'a>,
) -> Option<Vec<(&'a str, Constant)>> {
    let op = ops::find(node.domain, node.op).filter(|op| MOVES.contains(&op.name))?;
    let joins = JOINS.contains(&op.name);
    let place = |(i, name): (usize, &&str)| -> Option<Value> {
        let value = tree.values.get(*name)?;
        Some(match raw.get(*name) {
            Some(places) => places.clone().into(),
            None if joins || i == 0 => {
                let len = value.dims().iter().product();
                Constant::floats(value.dims(), vec![NONE; len]).into()
            }
            None => value.clone(),
        })
    };
    let inputs = node.inputs.iter().enumerate().map(place).collect();
    let opset = model.opsets.iter().find(|(domain, _)| *domain == op.domain).map_or(1, |opset| opset.1);
    let values = (op.build)(builder, &Call { node, opset, inputs, tree }).ok()?;
    let places = values.into_iter().map(|value| match evaluated(builder, value) {
        Ok(Value::Constant(places)) if places.as_floats().is_some() => Some(places),
        _ => None,
    });
    let places = places.collect::<Option<Vec<Constant>>>()?;
    Some(node.outputs.iter().copied().zip(places).collect())
}

fn floats(node: &NodeProto, name: &str) -> Vec<f32> {
    let found = node.attributes.iter().find(|attribute| attribute.name == name);
    match found.map(|attribute| &attribute.value) {
        Some(AttributeValue::Floats(values)) => values.clone(),
        _ => Vec::new(),
    }
}
