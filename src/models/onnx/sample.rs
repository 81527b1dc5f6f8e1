//! A network's inputs, and how they lie in a sample.

use std::sync::Arc;

use super::beside::{Beside, Channels, Given};
use super::call::Tree;
use super::constant::{Constant, Data, Kind};
use super::layout::Builder;
use super::proto::{AttributeValue, Dimension, NodeProto, ValueInfo};
use super::value::{Refusal, Traced, elements};
use crate::graph::{Shape, State, Tensor};
use crate::models::{FileAxes, Input, InputKind};

/// An input's values as the network sees them: from a sample's.
struct Lying {
    /// The file's axes, the batch axis of length 1 among them.
    dims: Vec<usize>,
    /// The batch axis; an input may have none.
    batch: Option<usize>,
    /// For every axis of the sample's shape the axis of the file.
    order: Vec<usize>,
    shape: Vec<usize>,
    kind: Kind,
    /// Whether the file has whole numbers, which it makes reals itself.
    is_cast: bool,
}

/// What a sample is made of.
pub(super) struct Sample {
    pub(super) state: State,
    pub(super) inputs: Vec<Input>,
    /// The file's axes of every input.
    pub(super) axes: Vec<FileAxes>,
    /// The values of every input in the graph.
    pub(super) values: Vec<Traced>,
    /// What was assumed of them.
    pub(super) remarks: Vec<String>,
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
        match lie(tree, info, infos, beside) {
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
    let (mut inputs, mut axes, mut values, mut remarks) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut start = 0;
    for (info, one) in infos.iter().zip(lying) {
        let len: usize = one.shape.iter().product();
        let own = if infos.len() == 1 { sample } else { builder.graph.slice(sample, 0, start..start + len) };
        values.push(value(builder, own, &one));
        if one.kind == Kind::Float {
            builder.moving.push(own);
        }
        if one.is_cast {
            remarks.push(format!(
                "the file takes {} as whole numbers and makes reals of them: it is attacked through that cast, and what an attack finds \
                 is not rounded to whole numbers",
                info.name
            ));
        }
        axes.push(one.file_axes());
        inputs.push(Input {
            name: info.name.to_string(),
            shape: one.shape,
            range: start..start + len,
            kind: if one.kind == Kind::Float { InputKind::Numbers } else { InputKind::Whole },
        });
        start += len;
    }
    Ok(Sample { state, inputs, axes, values, remarks })
}

impl Lying {
    /// Without the batch axis.
    fn file_axes(&self) -> FileAxes {
        let before = |axis: usize| self.batch.is_some_and(|batch| batch < axis);
        let own = (0..self.dims.len()).filter(|axis| self.batch != Some(*axis));
        FileAxes {
            shape: own.map(|axis| self.dims[axis]).collect(),
            order: self.order.iter().map(|&axis| axis - usize::from(before(axis))).collect(),
        }
    }
}

fn value(builder: &mut Builder, own: Tensor, one: &Lying) -> Traced {
    let order: Vec<usize> = one.batch.into_iter().chain(one.order.iter().copied()).collect();
    let physical: Vec<usize> = order.iter().map(|&axis| one.dims[axis]).collect();
    let tensor = builder.graph.reshape(own, &physical);
    Traced { tensor, dims: one.dims.clone(), order, kind: one.kind }
}

/// What an input's numbers are, by the type that the file declares.
fn kind(info: &ValueInfo) -> Result<Kind, Refusal> {
    match info.dtype {
        1 | 10 | 11 | 16 => Ok(Kind::Float),
        9 => Ok(Kind::Bool),
        2..=7 | 12 | 13 => Ok(Kind::Int),
        8 => Err("texts".into()),
        _ => Err("something that is no tensor of numbers".into()),
    }
}

/// Whether pixels are stored in few bits and made reals before anything is computed with them.
fn is_cast(tree: &Tree, info: &ValueInfo) -> bool {
    const BYTES: [i64; 3] = [2, 3, 4];
    let mut names = vec![info.name];
    let mut at = 0;
    while at < names.len() && names.len() < 64 {
        let name = names[at];
        at += 1;
        let mut readers = tree.nodes.iter().filter(|node| node.inputs.contains(&name)).peekable();
        if readers.peek().is_none() {
            return false;
        }
        for node in readers {
            let real = |value: &AttributeValue| matches!(value, AttributeValue::Int(1 | 10 | 11 | 16));
            match node.op {
                "Cast" if node.attributes.iter().any(|one| one.name == "to" && real(&one.value)) => {}
                "Identity" | "Transpose" | "Reshape" | "Squeeze" | "Unsqueeze" | "Flatten" | "Slice"
                    if node.inputs.first() == Some(&name) =>
                {
                    names.extend(node.outputs.iter().copied());
                }
                // Its axes alone.
                "Shape" => {}
                _ => return false,
            }
        }
    }
    BYTES.contains(&info.dtype) && names.len() < 64
}

/// Whether a length is open: chosen by whoever runs the model.
fn is_open(dimension: &Dimension) -> bool {
    match dimension {
        Dimension::Dynamic(_) => true,
        // PaddlePaddle's exporter writes it as a number.
        Dimension::Size(size) => *size < 0,
    }
}

/// Whether an open axis has a name of its own; PaddlePaddle calls all of them by a question mark.
fn is_name(name: &str) -> bool {
    !matches!(name, "" | "?")
}

/// The names of an input's axes: their own, and by number.
pub(super) fn axes(info: &ValueInfo) -> Vec<String> {
    let own = info.dims.iter().flatten().filter_map(|dimension| match dimension {
        Dimension::Dynamic(name) if is_name(name) => Some((*name).to_string()),
        _ => None,
    });
    let count = info.dims.as_ref().map_or(0, Vec::len);
    own.chain((0..count).map(|axis| format!("{}.{axis}", info.name))).collect()
}

/// The length that the configuration gives to an open axis, by its own name or by `INPUT.AXIS`.
fn given_length(beside: &Beside, input: &str, axis: usize, dimension: &Dimension) -> Option<usize> {
    let own = match dimension {
        Dimension::Dynamic(name) if is_name(name) => beside.dimensions.get(*name),
        _ => None,
    };
    own.or_else(|| beside.dimensions.get(&format!("{input}.{axis}"))).copied()
}

/// What the configuration has to say so that open axes have lengths.
fn asked_lengths(beside: &Beside, input: &str, axes: &[(usize, &Dimension)]) -> String {
    let name = |(axis, dimension): &(usize, &Dimension)| match dimension {
        Dimension::Dynamic(name) if is_name(name) => (*name).to_string(),
        _ => format!("{input}.{axis}"),
    };
    let list = |between: &str| {
        let mut names: Vec<String> = axes.iter().map(name).collect();
        names.dedup();
        names.iter().map(|name| format!("{name:?}{between} LENGTH")).collect::<Vec<_>>().join(", ")
    };
    format!(
        "{{ \"dimensions\": {{ {} }} }} in {}, or dimensions = {{ {} }} of a study's [[model]]",
        list(":"),
        beside.file,
        list(" =")
    )
}

/// What is wrong with axes whose length nobody says.
fn of_any_length(beside: &Beside, input: &str, open: &[(usize, &Dimension)]) -> Refusal {
    let shown = |(axis, dimension): &(usize, &Dimension)| match dimension {
        Dimension::Dynamic(name) if !name.is_empty() => format!("{axis} ({name:?})"),
        _ => axis.to_string(),
    };
    let shown = open.iter().map(shown).collect::<Vec<_>>().join(", ");
    let mend = asked_lengths(beside, input, open);
    match open.len() {
        1 => format!("axis {shown} of any length; export it with a fixed one, or say how long it is: {mend}"),
        _ => format!(
            "axes {shown} of any length; export them with fixed ones, or say how long they are: {mend}"
        ),
    }
}

/// What the configuration has to say so that an input is the same for all samples.
fn asked_value(beside: &Beside, input: &str) -> String {
    format!(
        "{{ \"inputs\": {{ \"{input}\": VALUE }} }} in {}, or inputs = {{ {input:?} = VALUE }} of a study's [[model]] (a number, or a list)",
        beside.file
    )
}

/// Which axis is the batch's, if one is.
fn batch_axis(
    info: &ValueInfo,
    infos: &[&ValueInfo],
    dims: &[Dimension],
    beside: &Beside,
) -> Result<Option<usize>, Refusal> {
    let Some(&first) = dims.first() else {
        let mend = asked_value(beside, info.name);
        return Err(format!("a single number without a batch axis; say its value: {mend}"));
    };
    let is_length =
        |name: &str| ["seq", "time", "frame"].iter().any(|word| name.to_lowercase().contains(word));
    if is_open(&first) {
        let is_length = matches!(first, Dimension::Dynamic(name) if is_length(name));
        // An axis with a length of its own is none of the batch.
        let own = beside.dimensions.contains_key(&format!("{}.0", info.name));
        if own || is_length && given_length(beside, info.name, 0, &first).is_some() {
            return Ok(None);
        }
        if is_length {
            let mend = asked_lengths(beside, info.name, &[(0, &first)]);
            return Err(format!(
                "axis 0 is called a length, where the batch should be; say how long it is: {mend}"
            ));
        }
    }
    let Dimension::Size(size @ 2..) = first else { return Ok(Some(0)) };
    // Where the batch of another input is open, or 1, a fixed length is none.
    let others = infos.iter().filter(|other| other.name != info.name);
    let others = others.filter_map(|other| other.dims.as_ref()?.first().copied());
    let batches: Vec<Dimension> =
        others.filter(|first| is_open(first) || *first == Dimension::Size(1)).collect();
    if batches.is_empty() {
        return Err(without_batch(size, dims));
    }
    let is_named = |dimension: &Dimension| matches!(dimension, Dimension::Dynamic(name) if is_name(name));
    let same = dims.iter().position(|dimension| is_named(dimension) && batches.contains(dimension));
    let open: Vec<usize> = (0..dims.len())
        .filter(|&axis| is_open(&dims[axis]) && given_length(beside, info.name, axis, &dims[axis]).is_none())
        .collect();
    let single = dims.iter().position(|dimension| *dimension == Dimension::Size(1));
    match (same, open.as_slice(), single) {
        (Some(axis), ..) | (None, &[axis], _) | (None, [], Some(axis)) => Ok(Some(axis)),
        _ => Err(format!("no axis that is the batch's; say its value: {}", asked_value(beside, info.name))),
    }
}

/// What it means that the first axis has a length above 1, and no other input says where the batch lies.
fn without_batch(size: i64, dims: &[Dimension]) -> Refusal {
    let mend = "export it with the batch, open or of 1, as its first axis";
    if dims.len() == 1 {
        return format!("one axis, of length {size}, and so none of a batch; {mend}: [batch, {size}]");
    }
    match dims.iter().position(is_open) {
        Some(axis) => {
            format!(
                "a first axis of length {size} and an open axis {axis}: the batch must be the first; {mend}"
            )
        }
        None => format!("a batch of {size}; export it with a dynamic batch axis, or with a batch of 1"),
    }
}

/// The value that the configuration gives to an input: the same for all samples.
pub(super) fn given(info: &ValueInfo, given: &Given, beside: &Beside) -> Result<Constant, Refusal> {
    let size = |(axis, dimension): (usize, &Dimension)| match *dimension {
        Dimension::Size(size) if size >= 0 => usize::try_from(size).ok(),
        // A lane is a batch of one.
        _ => Some(given_length(beside, info.name, axis, dimension).unwrap_or(1)),
    };
    let dims = match (&info.dims, given) {
        (Some(declared), _) => declared.iter().enumerate().map(size).collect(),
        (None, Given::Numbers(values)) => Some(vec![values.len()]),
        (None, _) => Some(vec![]),
    };
    let dims: Vec<usize> = dims.ok_or("a length that is no number")?;
    let len = elements(&dims)?;
    let values = match given {
        Given::Truth(truth) => vec![f64::from(u8::from(*truth)); len],
        Given::Number(number) => vec![*number; len],
        Given::Numbers(values) => values.clone(),
    };
    if values.len() != len {
        return Err(format!("{} values for shape {dims:?}, which has {len}", values.len()));
    }
    let whole = || -> Result<Arc<Vec<i64>>, Refusal> {
        match values.iter().find(|value| value.fract() != 0.0) {
            Some(value) => Err(format!("{value}, where the file wants whole numbers")),
            None => Ok(Arc::new(values.iter().map(|&value| value as i64).collect())),
        }
    };
    let data = match kind(info)? {
        Kind::Float => Data::Float(Arc::new(values.iter().map(|&value| value as f32).collect())),
        Kind::Int => Data::Int(whole()?),
        Kind::Bool => Data::Bool(whole()?),
    };
    Ok(Constant { dims, data })
}

fn lie(tree: &Tree, info: &ValueInfo, infos: &[&ValueInfo], beside: &Beside) -> Result<Lying, Refusal> {
    let is_cast = is_cast(tree, info);
    let kind = if is_cast { Kind::Float } else { kind(info)? };
    let dims = info.dims.as_ref().ok_or("a tensor of unknown shape")?;
    let batch = batch_axis(info, infos, dims, beside)?;
    let length = |(axis, dimension): (usize, &Dimension)| match *dimension {
        // A lane is a batch of one.
        _ if batch == Some(axis) => Some(1),
        Dimension::Size(size) if size >= 0 => usize::try_from(size).ok(),
        _ => given_length(beside, info.name, axis, dimension),
    };
    let open: Vec<(usize, &Dimension)> =
        dims.iter().enumerate().filter(|&axis| length(axis).is_none()).collect();
    if !open.is_empty() {
        return Err(of_any_length(beside, info.name, &open));
    }
    let sizes: Vec<usize> = dims.iter().enumerate().filter_map(length).collect();
    elements(&sizes)?;
    let rank = sizes.len();
    let file: Vec<usize> = (0..rank).filter(|axis| batch != Some(*axis)).collect();
    let own: Vec<usize> = file.iter().map(|&axis| sizes[axis]).collect();
    let lying = lead(tree, info.name, rank).or(beside.channels);
    let (order, shape) = match (rank, lying) {
        _ if batch != Some(0) => (file, own),
        // Where nothing says otherwise, few channels do, and PyTorch's order.
        (4, None) if ![1, 3].contains(&sizes[1]) && [1, 3].contains(&sizes[3]) => (file, own),
        (4, Some(Channels::First) | None) => (vec![2, 3, 1], vec![sizes[2], sizes[3], sizes[1]]),
        (3, Some(Channels::First)) => (vec![2, 1], vec![1, sizes[2], sizes[1]]),
        (3, Some(Channels::Last)) => (file, vec![1, sizes[1], sizes[2]]),
        _ => (file, own),
    };
    Ok(Lying { dims: sizes, batch, order, shape, kind, is_cast })
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
