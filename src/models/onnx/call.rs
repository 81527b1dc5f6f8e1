//! A node as an op sees it: its inputs' values, its attributes, and where the inputs come from.

use std::collections::HashMap;

use super::constant::Constant;
use super::proto::{AttributeValue, NodeProto, TensorProto};
use super::value::{Refusal, Value};

/// The nodes of a network and the values that are known so far.
#[derive(Default)]
pub(super) struct Tree<'a, 'm> {
    pub(super) nodes: &'m [NodeProto<'a>],
    /// The node that computes a name.
    pub(super) producers: HashMap<&'a str, usize>,
    /// How many live nodes and outputs read a name.
    pub(super) uses: HashMap<&'a str, usize>,
    pub(super) values: HashMap<&'a str, Value>,
}

impl<'a, 'm> Tree<'a, 'm> {
    /// The node that computes `name`.
    pub(super) fn producer(&self, name: &str) -> Option<&'m NodeProto<'a>> {
        self.producers.get(name).map(|&node| &self.nodes[node])
    }

    /// A node that is built already, with the values of its inputs.
    pub(super) fn call<'c>(&'c self, node: &'c NodeProto<'a>, opset: i64) -> Call<'c, 'a, 'm> {
        let inputs = node.inputs.iter().map(|name| self.values.get(name).cloned()).collect();
        Call { node, opset, inputs, tree: self }
    }

    /// The node that computes `name`, if nobody else reads it.
    pub(super) fn only_for_me(&self, name: &str) -> Option<&'m NodeProto<'a>> {
        if self.uses.get(name) == Some(&1) { self.producer(name) } else { None }
    }
}

/// A node with the values of its inputs.
pub(super) struct Call<'c, 'a, 'm> {
    pub(super) node: &'c NodeProto<'a>,
    /// The version of its domain.
    pub(super) opset: i64,
    pub(super) inputs: Vec<Option<Value>>,
    pub(super) tree: &'c Tree<'a, 'm>,
}

impl<'c, 'a, 'm> Call<'c, 'a, 'm> {
    /// Another node of the same domain, as it was built.
    pub(super) fn of<'n>(&self, node: &'n NodeProto<'a>) -> Call<'n, 'a, 'm>
    where
        'c: 'n,
    {
        self.tree.call(node, self.opset)
    }
}

impl<'a> Call<'_, 'a, '_> {
    pub(super) fn optional(&self, i: usize) -> Option<&Value> {
        self.inputs.get(i).and_then(Option::as_ref)
    }

    pub(super) fn input(&self, i: usize) -> Result<&Value, Refusal> {
        self.optional(i).ok_or_else(|| format!("no input {i}"))
    }

    /// An input that must be known when the network is read.
    pub(super) fn constant(&self, i: usize, what: &str) -> Result<&Constant, Refusal> {
        self.input(i)?.constant().ok_or_else(|| format!("{what} that depend on the sample"))
    }

    /// Whole numbers of an input that must be known when the network is read; `None` where it is left out.
    pub(super) fn ints_input(&self, i: usize, what: &str) -> Result<Option<Vec<i64>>, Refusal> {
        if self.optional(i).is_none() {
            return Ok(None);
        }
        match self.constant(i, what)?.as_ints() {
            Some(values) => Ok(Some(values.to_vec())),
            None => Err(format!("{what} that are not whole numbers")),
        }
    }

    /// Whether output `i` is asked for by name.
    pub(super) fn wants(&self, i: usize) -> bool {
        let name = self.node.outputs.get(i).copied().unwrap_or("");
        self.tree.uses.get(name).is_some_and(|&uses| uses > 0)
    }

    fn attribute(&self, name: &str) -> Option<&AttributeValue<'a>> {
        self.node.attributes.iter().find(|attribute| attribute.name == name).map(|attribute| &attribute.value)
    }

    pub(super) fn int(&self, name: &str, default: i64) -> Result<i64, Refusal> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Int(value)) => Ok(*value),
            Some(_) => Err(format!("attribute {name}, which is no whole number")),
        }
    }

    pub(super) fn float(&self, name: &str, default: f32) -> Result<f32, Refusal> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Float(value)) if value.is_finite() => Ok(*value),
            Some(_) => Err(format!("attribute {name}, which is no finite number")),
        }
    }

    pub(super) fn text(&self, name: &str, default: &'static str) -> Result<&str, Refusal> {
        match self.attribute(name) {
            None => Ok(default),
            Some(AttributeValue::Text(bytes)) => {
                std::str::from_utf8(bytes).map_err(|_| format!("attribute {name}"))
            }
            Some(_) => Err(format!("attribute {name}, which is no text")),
        }
    }

    pub(super) fn ints(&self, name: &str) -> Result<Option<&[i64]>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Ints(values)) => Ok(Some(values)),
            Some(_) => Err(format!("attribute {name}, which is no list of whole numbers")),
        }
    }

    pub(super) fn floats(&self, name: &str) -> Result<&[f32], Refusal> {
        match self.attribute(name) {
            None => Ok(&[]),
            Some(AttributeValue::Floats(values)) => Ok(values),
            Some(_) => Err(format!("attribute {name}, which is no list of numbers")),
        }
    }

    pub(super) fn texts(&self, name: &str) -> Result<Option<Vec<&str>>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Texts(texts)) => texts
                .iter()
                .map(|text| std::str::from_utf8(text))
                .collect::<Result<_, _>>()
                .map(Some)
                .map_err(|_| format!("attribute {name}")),
            Some(_) => Err(format!("attribute {name}, which is no list of texts")),
        }
    }

    pub(super) fn tensor(&self, name: &str) -> Result<Option<&TensorProto<'a>>, Refusal> {
        match self.attribute(name) {
            None => Ok(None),
            Some(AttributeValue::Tensor(tensor)) => Ok(Some(tensor)),
            Some(_) => Err(format!("attribute {name}, which is no tensor")),
        }
    }

    /// Whole numbers of an attribute up to version `until` of the opset, of input `i` after it.
    pub(super) fn ints_moved(&self, name: &str, i: usize, until: i64) -> Result<Option<Vec<i64>>, Refusal> {
        if self.opset <= until { Ok(self.ints(name)?.map(<[i64]>::to_vec)) } else { self.ints_input(i, name) }
    }

    /// A positive size for each of `rank` axes.
    pub(super) fn sizes(&self, name: &str, rank: usize, default: i64) -> Result<Vec<usize>, Refusal> {
        let values = self.ints(name)?.map_or_else(|| vec![default; rank], <[i64]>::to_vec);
        let sizes: Option<Vec<usize>> =
            values.iter().map(|&value| usize::try_from(value).ok().filter(|size| *size < 1 << 31)).collect();
        sizes.filter(|sizes| sizes.len() == rank).ok_or_else(|| format!("{name} {values:?}"))
    }
}
