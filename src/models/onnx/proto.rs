//! The messages of `onnx.proto` that a network is made of, as slices of the file.
//!
//! Field numbers: <https://github.com/onnx/onnx/blob/main/onnx/onnx.proto>.

use super::wire::{Broken, Fields, Wire};

type Decoded<T> = Result<T, Broken>;

/// A file.
#[derive(Debug, Default)]
pub(super) struct ModelProto<'a> {
    pub(super) producer: &'a str,
    pub(super) producer_version: &'a str,
    /// Domains and their versions; the empty domain is ONNX's own.
    pub(super) opsets: Vec<(&'a str, i64)>,
    pub(super) graph: Option<GraphProto<'a>>,
    pub(super) functions: Vec<FunctionProto<'a>>,
}

/// Graphs within graphs at most: each takes a part of the stack.
const NESTED: usize = 32;

/// Nodes in an order in which they can be computed, and what they are computed from.
#[derive(Clone, Debug, Default)]
pub(super) struct GraphProto<'a> {
    pub(super) nodes: Vec<NodeProto<'a>>,
    pub(super) initializers: Vec<TensorProto<'a>>,
    pub(super) inputs: Vec<ValueInfo<'a>>,
    pub(super) outputs: Vec<ValueInfo<'a>>,
}

/// A node; an empty input is one that is left out.
#[derive(Clone, Debug, Default)]
pub(super) struct NodeProto<'a> {
    pub(super) name: &'a str,
    pub(super) op: &'a str,
    /// Empty for ONNX's own.
    pub(super) domain: &'a str,
    pub(super) inputs: Vec<&'a str>,
    pub(super) outputs: Vec<&'a str>,
    pub(super) attributes: Vec<Attribute<'a>>,
}

/// A named attribute of a node.
#[derive(Clone, Debug)]
pub(super) struct Attribute<'a> {
    pub(super) name: &'a str,
    pub(super) value: AttributeValue<'a>,
}

/// What an attribute holds.
#[derive(Clone, Debug)]
pub(super) enum AttributeValue<'a> {
    Float(f32),
    Int(i64),
    Text(&'a [u8]),
    Tensor(TensorProto<'a>),
    Floats(Vec<f32>),
    Ints(Vec<i64>),
    Texts(Vec<&'a [u8]>),
    /// A branch of an `If`, the body of a loop.
    Graph(GraphProto<'a>),
    /// A function's argument: whatever no covered op has.
    Other,
}

/// A tensor with its data, or the place where they are.
#[derive(Clone, Debug, Default)]
pub(super) struct TensorProto<'a> {
    pub(super) name: &'a str,
    pub(super) dims: Vec<i64>,
    pub(super) dtype: i64,
    pub(super) raw: Option<&'a [u8]>,
    pub(super) floats: Vec<f32>,
    /// `int32_data`, `int64_data` or `uint64_data`.
    pub(super) ints: Vec<i64>,
    pub(super) doubles: Vec<f64>,
    /// Keys and values that say where the data are, if they are in another file.
    pub(super) external: Vec<(&'a str, &'a str)>,
    pub(super) is_external: bool,
}

/// An input or output.
#[derive(Clone, Debug, Default)]
pub(super) struct ValueInfo<'a> {
    pub(super) name: &'a str,
    /// The element type of a tensor; 0 for anything else.
    pub(super) dtype: i64,
    /// The axes, if they are known.
    pub(super) dims: Option<Vec<Dimension<'a>>>,
}

/// The length of an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dimension<'a> {
    Size(i64),
    /// Chosen by whoever runs the model; the name may be empty.
    Dynamic(&'a str),
}

/// A function that the model brings along, by its name: what it does is not read.
#[derive(Debug, Default)]
pub(super) struct FunctionProto<'a> {
    pub(super) name: &'a str,
    pub(super) domain: &'a str,
}

/// Calls `read` for every field of a message.
fn each<'a>(bytes: &'a [u8], mut read: impl FnMut(u64, Wire<'a>) -> Decoded<()>) -> Decoded<()> {
    Fields(bytes).try_for_each(|field| field.and_then(|(number, value)| read(number, value)))
}

impl<'a> ModelProto<'a> {
    /// Decodes a file.
    pub(super) fn decode(bytes: &'a [u8]) -> Decoded<Self> {
        let mut model = Self::default();
        each(bytes, |number, value| {
            match number {
                2 => model.producer = value.text()?,
                3 => model.producer_version = value.text()?,
                7 => model.graph = Some(GraphProto::decode(value.bytes()?, 0)?),
                8 => model.opsets.push(opset(value.bytes()?)?),
                25 => model.functions.push(FunctionProto::decode(value.bytes()?)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(model)
    }
}

fn opset(bytes: &[u8]) -> Decoded<(&str, i64)> {
    let (mut name, mut version) = ("", 0);
    each(bytes, |number, value| {
        match number {
            1 => name = domain(value)?,
            2 => version = value.int()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((name, version))
}

/// A domain; ONNX's own has two names.
fn domain(value: Wire<'_>) -> Decoded<&str> {
    Ok(match value.text()? {
        "ai.onnx" => "",
        name => name,
    })
}

impl<'a> GraphProto<'a> {
    /// Decodes a graph that lies within `depth` others.
    fn decode(bytes: &'a [u8], depth: usize) -> Decoded<Self> {
        if depth > NESTED {
            return Err(Broken);
        }
        let mut graph = Self::default();
        each(bytes, |number, value| {
            match number {
                1 => graph.nodes.push(NodeProto::decode(value.bytes()?, depth)?),
                5 => graph.initializers.push(TensorProto::decode(value.bytes()?)?),
                11 => graph.inputs.push(ValueInfo::decode(value.bytes()?)?),
                12 => graph.outputs.push(ValueInfo::decode(value.bytes()?)?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(graph)
    }
}

impl<'a> NodeProto<'a> {
    fn decode(bytes: &'a [u8], depth: usize) -> Decoded<Self> {
        let mut node = Self::default();
        each(bytes, |number, value| {
            match number {
                1 => node.inputs.push(value.text()?),
                2 => node.outputs.push(value.text()?),
                3 => node.name = value.text()?,
                4 => node.op = value.text()?,
                5 => node.attributes.push(Attribute::decode(value.bytes()?, depth)?),
                7 => node.domain = domain(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(node)
    }
}

impl<'a> Attribute<'a> {
    fn decode(bytes: &'a [u8], depth: usize) -> Decoded<Self> {
        let (mut name, mut kind, mut single) = ("", None, None);
        let (mut floats, mut ints, mut texts) = (Vec::new(), Vec::new(), Vec::new());
        each(bytes, |number, value| {
            match number {
                1 => name = value.text()?,
                2 => single = Some(AttributeValue::Float(value.float()?)),
                3 => single = Some(AttributeValue::Int(value.int()?)),
                4 => single = Some(AttributeValue::Text(value.bytes()?)),
                5 => single = Some(AttributeValue::Tensor(TensorProto::decode(value.bytes()?)?)),
                6 => single = Some(AttributeValue::Graph(GraphProto::decode(value.bytes()?, depth + 1)?)),
                7 => value.floats(&mut floats)?,
                8 => value.ints(&mut ints)?,
                9 => texts.push(value.bytes()?),
                20 => kind = Some(value.int()?),
                _ => {}
            }
            Ok(())
        })?;
        let value = match (kind, single) {
            (Some(6), _) => AttributeValue::Floats(floats),
            (Some(7), _) => AttributeValue::Ints(ints),
            (Some(8), _) => AttributeValue::Texts(texts),
            // A value of zero need not be written.
            (Some(1), None) => AttributeValue::Float(0.0),
            (Some(2), None) => AttributeValue::Int(0),
            (Some(3), None) => AttributeValue::Text(b""),
            (_, Some(value)) => value,
            // Files of the first version of the format do not say of which type an attribute is.
            (None | Some(0), None) if !floats.is_empty() => AttributeValue::Floats(floats),
            (None | Some(0), None) if !ints.is_empty() => AttributeValue::Ints(ints),
            (None | Some(0), None) if !texts.is_empty() => AttributeValue::Texts(texts),
            _ => AttributeValue::Other,
        };
        Ok(Self { name, value })
    }
}

impl<'a> TensorProto<'a> {
    fn decode(bytes: &'a [u8]) -> Decoded<Self> {
        let mut tensor = Self::default();
        each(bytes, |number, value| {
            match number {
                1 => value.ints(&mut tensor.dims)?,
                2 => tensor.dtype = value.int()?,
                4 => value.floats(&mut tensor.floats)?,
                5 | 7 | 11 => value.ints(&mut tensor.ints)?,
                8 => tensor.name = value.text()?,
                9 => tensor.raw = Some(value.bytes()?),
                10 => value.doubles(&mut tensor.doubles)?,
                13 => tensor.external.push(entry(value.bytes()?)?),
                14 => tensor.is_external = value.int()? == 1,
                _ => {}
            }
            Ok(())
        })?;
        Ok(tensor)
    }
}

fn entry(bytes: &[u8]) -> Decoded<(&str, &str)> {
    let (mut key, mut text) = ("", "");
    each(bytes, |number, value| {
        match number {
            1 => key = value.text()?,
            2 => text = value.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok((key, text))
}

impl<'a> ValueInfo<'a> {
    fn decode(bytes: &'a [u8]) -> Decoded<Self> {
        let mut info = Self::default();
        each(bytes, |number, value| {
            match number {
                1 => info.name = value.text()?,
                // TypeProto, of which only tensor_type is of interest.
                2 => each(
                    value.bytes()?,
                    |number, value| {
                        if number == 1 { info.tensor(value.bytes()?) } else { Ok(()) }
                    },
                )?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(info)
    }

    fn tensor(&mut self, bytes: &'a [u8]) -> Decoded<()> {
        each(bytes, |number, value| {
            match number {
                1 => self.dtype = value.int()?,
                2 => {
                    let mut dims = Vec::new();
                    each(value.bytes()?, |number, value| {
                        if number == 1 {
                            dims.push(Dimension::decode(value.bytes()?)?);
                        }
                        Ok(())
                    })?;
                    self.dims = Some(dims);
                }
                _ => {}
            }
            Ok(())
        })
    }
}

impl<'a> Dimension<'a> {
    fn decode(bytes: &'a [u8]) -> Decoded<Self> {
        let mut dimension = Self::Dynamic("");
        each(bytes, |number, value| {
            match number {
                1 => dimension = Self::Size(value.int()?),
                2 => dimension = Self::Dynamic(value.text()?),
                _ => {}
            }
            Ok(())
        })?;
        Ok(dimension)
    }
}

impl<'a> FunctionProto<'a> {
    fn decode(bytes: &'a [u8]) -> Decoded<Self> {
        let mut function = Self::default();
        each(bytes, |number, value| {
            match number {
                1 => function.name = value.text()?,
                10 => function.domain = domain(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(function)
    }
}
