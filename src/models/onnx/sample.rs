//! A network's inputs, and how they lie in a sample.

use super::beside::{Beside, Channels};
use super::call::Tree;
use super::constant::Kind;
use super::layout::Builder;
use super::proto::{AttributeValue, Dimension, NodeProto, ValueInfo};
use super::value::{Refusal, Traced, elements};
use crate::graph::{Shape, State, Tensor};
use crate::models::{FileAxes, Input, InputKind};

/// An input's values as the network sees them: from a sample's.
struct Lying {
    /// The file's axes, the batch axis of length 1 first.
    dims: Vec<usize>,
    /// For every axis of the sample's shape, after the batch axis, the axis of the file.
    order: Vec<usize>,
    shape: Vec<usize>,
    kind: Kind,
}

/// What a sample is made of.
pub(super) struct Sample {
    pub(super) state: State,
    pub(super) inputs: Vec<Input>,
    /// The file's axes of every input.
    pub(super) axes: Vec<FileAxes>,
    /// The values of every input in the graph.
    pub(super) values: Vec<Traced>,
}

/// The inputs in a sample, and their values in the graph, in the order of the file. A single input's shape is the sample's; several lie
/// one after the other in a flat one.
pub(super) fn inputs(
    builder: &mut Builder,
    tree: &Tree,
    infos: &[&ValueInfo],
    beside: &Beside,
) -> Result<Sample, Vec<(String, Refusal)>> {
    let mut lying = Vec::new();
    let mut refusals = Vec::new();
    for info in infos {
        match lie(tree, info, beside) {
            Ok(one) => lying.push(one),
            Err(why) => refusals.push((info.name.to_string(), why)),
        }
    }
    let total = lying.iter().map(|one| one.shape.iter().product::<usize>()).sum();
    if refusals.is_empty()
        && let Err(why) = elements(&[total])
    {
        refusals.push(("all inputs".into(), why));
    }
    if !refusals.is_empty() {
        return Err(refusals);
    }
    let shape = if lying.len() == 1 { lying[0].shape.clone() } else { vec![total] };
    let state = builder.graph.state("sample", Shape::lanes(&shape));
    let sample = builder.graph.load(state);
    let (mut inputs, mut axes, mut values, mut start) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for (info, one) in infos.iter().zip(lying) {
        let len: usize = one.shape.iter().product();
        let own = if infos.len() == 1 { sample } else { builder.graph.slice(sample, 0, start..start + len) };
        values.push(value(builder, own, &one));
        if one.kind == Kind::Float {
            builder.moving.push(own);
        }
        axes.push(FileAxes {
            shape: one.dims[1..].to_vec(),
            order: one.order.iter().map(|axis| axis - 1).collect(),
        });
        inputs.push(Input {
            name: info.name.to_string(),
            shape: one.shape,
            range: start..start + len,
            kind: if one.kind == Kind::Float { InputKind::Numbers } else { InputKind::Whole },
        });
        start += len;
    }
    Ok(Sample { state, inputs, axes, values })
}

fn value(builder: &mut Builder, own: Tensor, one: &Lying) -> Traced {
    let order: Vec<usize> = std::iter::once(0).chain(one.order.iter().copied()).collect();
    let physical: Vec<usize> = order.iter().map(|&axis| one.dims[axis]).collect();
    let tensor = builder.graph.reshape(own, &physical);
    Traced { tensor, dims: one.dims.clone(), order, kind: one.kind }
}

fn lie(tree: &Tree, info: &ValueInfo, beside: &Beside) -> Result<Lying, Refusal> {
    let kind = match info.dtype {
        1 | 10 | 11 | 16 => Kind::Float,
        9 => Kind::Bool,
        2..=7 | 12 | 13 => Kind::Int,
        8 => return Err("texts".into()),
        _ => return Err("something that is no tensor of numbers".into()),
    };
    let dims = info.dims.as_ref().ok_or("a tensor of unknown shape")?;
    if dims.is_empty() {
        return Err("a tensor without a batch axis".into());
    }
    let mut sizes = Vec::with_capacity(dims.len());
    for (axis, dimension) in dims.iter().enumerate() {
        sizes.push(match *dimension {
            // A lane is a batch of one.
            Dimension::Dynamic(_) | Dimension::Size(1) if axis == 0 => 1,
            Dimension::Size(size) if axis == 0 => {
                return Err(format!("a batch of {size}; export it with a dynamic batch axis, or with a batch of 1"));
            }
            Dimension::Size(size) => usize::try_from(size).map_err(|_| format!("axis {axis} of length {size}"))?,
            Dimension::Dynamic(name) => *beside.dimensions.get(name).ok_or_else(|| {
                format!("axis {axis} ({name:?}) of any length; export it with a fixed one, or name it in the configuration's dimensions")
            })?,
        });
    }
    elements(&sizes)?;
    let rank = sizes.len();
    let file: Vec<usize> = (1..rank).collect();
    let lying = lead(tree, info.name, rank).or(beside.channels);
    let (order, shape) = match (rank, lying) {
        // Where nothing says otherwise, few channels do, and PyTorch's order.
        (4, None) if ![1, 3].contains(&sizes[1]) && [1, 3].contains(&sizes[3]) => (file, sizes[1..].to_vec()),
        (4, Some(Channels::First) | None) => (vec![2, 3, 1], vec![sizes[2], sizes[3], sizes[1]]),
        (3, Some(Channels::First)) => (vec![2, 1], vec![1, sizes[2], sizes[1]]),
        (3, Some(Channels::Last)) => (file, vec![1, sizes[1], sizes[2]]),
        _ => (file, sizes[1..].to_vec()),
    };
    Ok(Lying { dims: sizes, order, shape, kind })
}

/// Where the channels of an input are, from the first node on its way that looks at them.
fn lead(tree: &Tree, name: &str, rank: usize) -> Option<Channels> {
    let mut names = vec![name];
    let mut at = 0;
    while at < names.len() && names.len() < 64 {
        let name = names[at];
        at += 1;
        for node in tree.nodes.iter().filter(|node| node.inputs.contains(&name)) {
            match node.op {
                "Conv"
                | "ConvTranspose"
                | "MaxPool"
                | "AveragePool"
                | "GlobalAveragePool"
                | "GlobalMaxPool"
                | "InstanceNormalization"
                | "GroupNormalization"
                | "Upsample"
                    if node.inputs.first() == Some(&name) =>
                {
                    return Some(Channels::First);
                }
                "Transpose" => match (rank, permutation(node)) {
                    (4, Some(&[0, 3, 1, 2])) => return Some(Channels::Last),
                    (3, Some(&[0, 2, 1])) if convolved(tree, node) => return Some(Channels::Last),
                    _ => {}
                },
                "Add" | "Sub" | "Mul" | "Div" | "Cast" | "Identity" | "Clip" | "Pad"
                | "BatchNormalization" | "Relu" | "Dropout" | "Neg" | "Pow" | "Sqrt" | "Tanh" | "Sigmoid"
                | "Resize" => {
                    names.extend(node.outputs.iter().copied().filter(|output| !output.is_empty()));
                }
                _ => {}
            }
        }
    }
    None
}

fn permutation<'n>(node: &'n NodeProto) -> Option<&'n [i64]> {
    node.attributes.iter().find_map(|attribute| match &attribute.value {
        AttributeValue::Ints(axes) if attribute.name == "perm" => Some(axes.as_slice()),
        _ => None,
    })
}

/// Whether a convolution reads what a node yields.
fn convolved(tree: &Tree, node: &NodeProto) -> bool {
    node.outputs.first().is_some_and(|output| {
        tree.nodes.iter().any(|user| user.op == "Conv" && user.inputs.first() == Some(output))
    })
}
