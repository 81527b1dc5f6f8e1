//! How a network ends: what has to be taken off so that logits are left.

use super::call::Tree;
use super::constant::Kind;
use super::layout::Builder;
use super::ops::{CLASSICAL, soft_plus, softmax_axis};
use super::proto::{AttributeValue, NodeProto};
use super::value::{Refusal, Traced, Value};
use crate::graph::Tensor;

/// What makes probabilities of a network's logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Softmax over classes, or logistic functions made to add up to one.
    Softmax,
    /// Its logarithm, which is as good as logits.
    LogSoftmax,
    /// A logistic function of each output.
    Sigmoid,
}

impl Ending {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::LogSoftmax => "logarithm of softmax",
            Self::Sigmoid => "sigmoid",
        }
    }
}

/// Logits, from a value under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Logits<'a> {
    /// The value itself.
    Of(&'a str),
    /// `log sigmoid` of it: shares of logistic functions.
    LogSigmoid(&'a str),
    /// 0, and it: two classes told apart by one logit.
    ZeroAnd(&'a str),
}

/// The ending before `output`, and the logits under it; without one the output itself.
pub(super) fn ending<'a>(tree: &Tree<'a, '_>, output: &'a str, opset: i64) -> (Option<Ending>, Logits<'a>) {
    let (mut name, mut below) = (output, usize::MAX);
    // Nodes stand in order: one that reads what it computes itself, or what comes later, is not followed.
    while let Some(&at) = tree.producers.get(name).filter(|at| **at < below) {
        below = at;
        let node = &tree.nodes[at];
        let input = |i: usize| node.inputs.get(i).copied().unwrap_or("");
        let found = match (node.domain, node.op) {
            ("", "Identity" | "Cast" | "Dropout") | (CLASSICAL, "ZipMap") => {
                name = input(0);
                continue;
            }
            // The same scores under other axes: what makes probabilities lies before.
            (
                "",
                "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" | "ReduceMean" | "ReduceSum" | "ReduceMax",
            ) if count(tree, name).is_some() && count(tree, name) == count(tree, input(0)) => {
                name = input(0);
                continue;
            }
            ("", "Softmax" | "LogSoftmax") if !over_classes(tree, node, opset) => break,
            ("", "Softmax") => (Ending::Softmax, Logits::Of(input(0))),
            ("", "LogSoftmax") => (Ending::LogSoftmax, Logits::Of(input(0))),
            ("", "Sigmoid") => (Ending::Sigmoid, Logits::Of(input(0))),
            ("", "Concat") => match two_classes(tree, node) {
                Some(logit) => (Ending::Softmax, Logits::ZeroAnd(logit)),
                None => break,
            },
            ("", "Div") => match written_out(tree, node) {
                Some(logits) => (Ending::Softmax, Logits::Of(logits)),
                None => break,
            },
            (CLASSICAL, "LinearClassifier") => match text(node, "post_transform") {
                b"SOFTMAX" => (Ending::Softmax, Logits::Of(raw(node))),
                b"LOGISTIC" => (Ending::Softmax, Logits::LogSigmoid(raw(node))),
                _ => break,
            },
            (CLASSICAL, "Normalizer") if text(node, "norm") == b"L1" => match shares(tree, input(0), opset) {
                Some(logits) => (Ending::Softmax, logits),
                None => break,
            },
            _ => break,
        };
        return (Some(found.0), found.1);
    }
    (None, Logits::Of(output))
}

/// Elements of a value.
fn count(tree: &Tree, name: &str) -> Option<usize> {
    tree.values.get(name).map(|value| value.dims().iter().product())
}

/// Scores of a classifier stand under the name of its label.
fn raw<'a>(node: &NodeProto<'a>) -> &'a str {
    node.outputs.first().copied().unwrap_or("")
}

fn text<'n>(node: &'n NodeProto, name: &str) -> &'n [u8] {
    match node.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value) {
        Some(AttributeValue::Text(text)) => text,
        _ => b"",
    }
}

/// The logits of probabilities that are made to add up to one.
fn shares<'a>(tree: &Tree<'a, '_>, name: &'a str, opset: i64) -> Option<Logits<'a>> {
    let node = tree.producer(name)?;
    match (node.domain, node.op) {
        ("", "Softmax") if over_classes(tree, node, opset) => Some(Logits::Of(node.inputs.first()?)),
        ("", "Sigmoid") => Some(Logits::LogSigmoid(node.inputs.first()?)),
        (CLASSICAL, "LinearClassifier") => match text(node, "post_transform") {
            b"SOFTMAX" => Some(Logits::Of(raw(node))),
            b"LOGISTIC" => Some(Logits::LogSigmoid(raw(node))),
            _ => None,
        },
        _ => None,
    }
}

/// Whether a softmax is one over all scores, not over an axis of length 1 beside them.
fn over_classes<'a>(tree: &Tree<'a, '_>, node: &NodeProto<'a>, opset: i64) -> bool {
    let call = tree.call(node, opset);
    let Some(dims) = call.optional(0).map(Value::dims) else { return false };
    softmax_axis(&call, dims.len()).is_ok_and(|axis| dims[axis] == dims.iter().product::<usize>())
}

/// z of `exp(z) / sum(exp(z))`, a softmax over all scores that is written out, as JAX has it.
fn written_out<'a>(tree: &Tree<'a, '_>, node: &NodeProto<'a>) -> Option<&'a str> {
    let [shares, mut name] = node.inputs[..] else { return None };
    let exponential = tree.producer(shares).filter(|node| node.op == "Exp")?;
    let logits = *exponential.inputs.first()?;
    // The sum in the shape of the scores again.
    loop {
        let node = tree.producer(name)?;
        match node.op {
            "Reshape" | "Expand" | "Identity" | "Unsqueeze" => name = node.inputs.first()?,
            "ReduceSum" if node.inputs.first() == Some(&shares) => break,
            _ => return None,
        }
    }
    // Of all scores, and so but one number.
    (count(tree, name) == Some(1) && count(tree, logits) > Some(1)).then_some(logits)
}

/// z of `[1 - p, p]`, p = sigmoid(z).
fn two_classes<'a>(tree: &Tree<'a, '_>, node: &NodeProto<'a>) -> Option<&'a str> {
    let [other, p] = node.inputs[..] else { return None };
    let (one_less, sigmoid) = (tree.producer(other)?, tree.producer(p)?);
    let one = |name: &str| tree.values.get(name).and_then(|value| value.constant()?.single()) == Some(1.0);
    let [first, second] = one_less.inputs[..] else { return None };
    (one_less.op == "Sub" && sigmoid.op == "Sigmoid" && second == p && one(first)).then(|| sigmoid.inputs[0])
}

/// The logits `[classes]` of a lane.
pub(super) fn finished(builder: &mut Builder, tree: &Tree, logits: Logits) -> Result<Tensor, Refusal> {
    let (Logits::Of(name) | Logits::LogSigmoid(name) | Logits::ZeroAnd(name)) = logits;
    let value = tree.values.get(name).ok_or("no node computes it")?;
    let Value::Traced(traced) = value else { return Err("it does not depend on the sample".into()) };
    let traced: &Traced = traced;
    let long = traced.dims.iter().filter(|&&size| size != 1).count();
    if long > 1 || traced.kind != Kind::Float {
        let what = if long > 1 { ", scores of several places or moments" } else { " of whole numbers" };
        return Err(format!(
            "shape {:?}{what}, where a score for each class of the whole sample is expected; export the model with what decides that, such as \
             the largest of these logits",
            traced.dims
        ));
    }
    let len: usize = traced.dims.iter().product();
    let x = builder.natural(traced)?;
    let x = builder.graph.reshape(x, &[len]);
    if !builder.graph.shape(x).lane {
        return Err("it does not depend on the sample".into());
    }
    Ok(match logits {
        Logits::Of(_) => x,
        Logits::LogSigmoid(_) => {
            let graph = &mut builder.graph;
            let turned = graph.unary(percuss_kernels::ops::Unary::Neg, x);
            let soft = soft_plus(graph, turned);
            graph.unary(percuss_kernels::ops::Unary::Neg, soft)
        }
        Logits::ZeroAnd(_) => {
            let graph = &mut builder.graph;
            let zero = graph.zeros(crate::graph::Shape::lanes(&[len]));
            graph.concat(&[zero, x], 0)
        }
    })
}
