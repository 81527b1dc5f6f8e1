//! onnxruntime's own ops (domain `com.microsoft`), which its optimiser puts in the places of several: computed as what they stand for.
//!
//! What they do: <https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md>.

use super::arithmetic::{plus, times};
use super::linear::product;
use super::{activation, attention, convolution, find, linear};
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::Constant;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::proto::{Attribute, AttributeValue, NodeProto};
use crate::models::onnx::value::{Built, Refusal, Value};

/// A number for all elements.
fn single(value: f32) -> Value {
    Constant::floats(&[], vec![value]).into()
}

/// The first output of one of ONNX's own ops.
fn standard(
    builder: &mut Builder,
    call: &Call,
    op: &'static str,
    inputs: &[&Value],
    attributes: &[(&'static str, AttributeValue<'static>)],
) -> Result<Value, Refusal> {
    let attributes =
        attributes.iter().map(|(name, value)| Attribute { name, value: value.clone() }).collect();
    let node = NodeProto { op, inputs: vec![""; inputs.len()], attributes, ..NodeProto::default() };
    let inputs = inputs.iter().map(|&value| Some(value.clone())).collect();
    let known = find("", op).ok_or("an op that is not covered")?;
    let built = (known.build)(builder, &Call { node: &node, opset: 13, inputs, tree: call.tree })?;
    built.into_iter().next().ok_or_else(|| "no output".into())
}

/// The activation that follows a fused product, with its parameters where it has any.
fn activated(
    builder: &mut Builder,
    call: &Call,
    y: &Value,
    name: &str,
    parameters: [Option<f32>; 2],
) -> Result<Value, Refusal> {
    let or = |i: usize, default: f32| AttributeValue::Float(parameters[i].unwrap_or(default));
    let (op, attributes) = match name {
        "" => return Ok(y.clone()),
        "Relu" => ("Relu", vec![]),
        "Tanh" => ("Tanh", vec![]),
        "Sigmoid" => ("Sigmoid", vec![]),
        "Softplus" => ("Softplus", vec![]),
        "Softsign" => ("Softsign", vec![]),
        "HardSwish" => ("HardSwish", vec![]),
        "LeakyRelu" => ("LeakyRelu", vec![("alpha", or(0, 0.01))]),
        "Elu" => ("Elu", vec![("alpha", or(0, 1.0))]),
        "ThresholdedRelu" => ("ThresholdedRelu", vec![("alpha", or(0, 1.0))]),
        "HardSigmoid" => ("HardSigmoid", vec![("alpha", or(0, 0.2)), ("beta", or(1, 0.5))]),
        "Clip" => {
            let ends = [parameters[0].unwrap_or(f32::MIN), parameters[1].unwrap_or(f32::MAX)].map(single);
            return standard(builder, call, "Clip", &[y, &ends[0], &ends[1]], &[]);
        }
        other => return Err(format!("an activation called {other:?}")),
    };
    standard(builder, call, op, &[y], &attributes)
}

/// A convolution, a summand, an activation.
pub(super) fn conv(builder: &mut Builder, call: &Call) -> Built {
    let mut y = convolution::conv(builder, call)?.into_iter().next().ok_or("no output")?;
    if let Some(summand) = call.optional(3) {
        y = plus(builder, &y, summand)?;
    }
    let parameters = call.floats("activation_params")?;
    let parameters = [parameters.first().copied(), parameters.get(1).copied()];
    Ok(vec![activated(builder, call, &y, call.text("activation", "")?, parameters)?])
}

/// A linear layer and an activation.
pub(super) fn gemm(builder: &mut Builder, call: &Call) -> Built {
    let y = linear::gemm(builder, call)?.into_iter().next().ok_or("no output")?;
    let parameter = |name: &str| -> Result<Option<f32>, Refusal> {
        let given = call.node.attributes.iter().any(|attribute| attribute.name == name);
        if given { call.float(name, 0.0).map(Some) } else { Ok(None) }
    };
    let parameters = [parameter("activation_alpha")?, parameter("activation_beta")?];
    Ok(vec![activated(builder, call, &y, call.text("activation", "")?, parameters)?])
}

/// A product of matrices, each turned or not, times a number.
pub(super) fn matmul(builder: &mut Builder, call: &Call) -> Built {
    if call.int("transBatchA", 0)? != 0 || call.int("transBatchB", 0)? != 0 {
        return Err("matrices whose first and last axes change places".into());
    }
    let turned = |builder: &mut Builder, i: usize, name: &str| -> Result<Value, Refusal> {
        let value = call.input(i)?;
        let rank = value.rank();
        if call.int(name, 0)? == 0 || rank < 2 {
            return Ok(value.clone());
        }
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 1, rank - 2);
        builder.transpose(value, &axes)
    };
    let (a, b) = (turned(builder, 0, "transA")?, turned(builder, 1, "transB")?);
    let y = product(builder, &a, &b)?;
    Ok(vec![match call.float("alpha", 1.0)? {
        1.0 => y,
        alpha => times(builder, &y, &single(alpha))?,
    }])
}

/// Of a sum.
pub(super) fn bias_gelu(builder: &mut Builder, call: &Call) -> Built {
    let sum = plus(builder, call.input(0)?, call.input(1)?)?;
    Ok(vec![standard(builder, call, "Gelu", &[&sum], &[])?])
}

/// By the tangent, perhaps of a sum.
pub(super) fn fast_gelu(builder: &mut Builder, call: &Call) -> Built {
    let sum = match call.optional(1) {
        Some(bias) => plus(builder, call.input(0)?, bias)?,
        None => call.input(0)?.clone(),
    };
    let rough = [("approximate", AttributeValue::Text(b"tanh"))];
    Ok(vec![standard(builder, call, "Gelu", &[&sum], &rough)?])
}

pub(super) fn gelu(builder: &mut Builder, call: &Call) -> Built {
    activation::gelu(builder, call)
}

/// `x sigmoid(alpha x)`.
pub(super) fn quick_gelu(builder: &mut Builder, call: &Call) -> Built {
    let x = call.input(0)?;
    let scaled = times(builder, x, &single(call.float("alpha", 1.702)?))?;
    let gate = standard(builder, call, "Sigmoid", &[&scaled], &[])?;
    Ok(vec![times(builder, x, &gate)?])
}

/// The normalisation of a sum: what follows a residual connection.
fn of_sum(builder: &mut Builder, call: &Call, op: &'static str, shift: Option<usize>, bias: usize) -> Built {
    if call.wants(1) || call.wants(2) {
        return Err("the mean or deviation as an output".into());
    }
    let mut sum = plus(builder, call.input(0)?, call.input(1)?)?;
    if let Some(bias) = call.optional(bias) {
        sum = plus(builder, &sum, bias)?;
    }
    let mut inputs = vec![&sum, call.input(2)?];
    inputs.extend(shift.and_then(|i| call.optional(i)));
    let epsilon = [("epsilon", AttributeValue::Float(call.float("epsilon", 1e-12)?))];
    let y = standard(builder, call, op, &inputs, &epsilon)?;
    // The sum is the fourth output; nobody asks for those between.
    Ok(vec![y.clone(), y.clone(), y, sum])
}

pub(super) fn skip_layer_normalization(builder: &mut Builder, call: &Call) -> Built {
    of_sum(builder, call, "LayerNormalization", Some(3), 4)
}

pub(super) fn skip_simplified_layer_normalization(builder: &mut Builder, call: &Call) -> Built {
    of_sum(builder, call, "RMSNormalization", None, 3)
}

/// Words, places and segments of a BERT, added up and normalised.
pub(super) fn embed_layer_normalization(builder: &mut Builder, call: &Call) -> Built {
    if call.wants(1) {
        return Err("a mask by its length".into());
    }
    let (ids, words, places) = (call.input(0)?, call.input(2)?, call.input(3)?);
    let tokens = *ids.dims().last().ok_or("no tokens")?;
    let mut sum = standard(builder, call, "Gather", &[words, ids], &[])?;
    let of_place = match call.optional(8) {
        Some(numbers) => standard(builder, call, "Gather", &[places, numbers], &[])?,
        None => {
            let known = places.dims().first().copied().unwrap_or(0);
            if tokens > known {
                return Err(format!("{tokens} tokens, where {known} places are known"));
            }
            builder.take(places, 0, &(0..tokens).collect::<Vec<usize>>())?
        }
    };
    sum = plus(builder, &sum, &of_place)?;
    if let (Some(segments), Some(table)) = (call.optional(1), call.optional(4)) {
        let of_segment = standard(builder, call, "Gather", &[table, segments], &[])?;
        sum = plus(builder, &sum, &of_segment)?;
    }
    let epsilon = [("epsilon", AttributeValue::Float(call.float("epsilon", 1e-12)?))];
    let factors = [&sum, call.input(5)?, call.input(6)?];
    let y = standard(builder, call, "LayerNormalization", &factors, &epsilon)?;
    Ok(vec![y.clone(), y, sum])
}

/// One product for queries, keys and values, then attention.
pub(super) fn attention(builder: &mut Builder, call: &Call) -> Built {
    refuse_past(call, 4, 6)?;
    let weights = call.input(1)?;
    let mut all = product(builder, call.input(0)?, weights)?;
    if let Some(bias) = call.optional(2) {
        all = plus(builder, &all, bias)?;
    }
    let &[_, _, width] = all.dims() else { return Err(format!("tokens of shape {:?}", all.dims())) };
    let sizes = match call.ints("qkv_hidden_sizes")? {
        Some(sizes) => sizes.iter().map(|&size| usize::try_from(size).unwrap_or(0)).collect(),
        None => vec![width / 3; 3],
    };
    if sizes.len() != 3 || sizes.iter().fold(0usize, |sum, &size| sum.saturating_add(size)) != width {
        return Err(format!("parts {sizes:?} of {width}"));
    }
    let mut start = 0;
    let mut parts = Vec::with_capacity(3);
    for size in sizes {
        parts.push(builder.take(&all, 2, &(start..start + size).collect::<Vec<usize>>())?);
        start += size;
    }
    let mask = mask(builder, call, 3, 5)?;
    attended(builder, call, &parts, mask.as_ref())
}

/// Attention of queries, keys and values `[n, tokens, width]`.
pub(super) fn multi_head_attention(builder: &mut Builder, call: &Call) -> Built {
    refuse_past(call, 6, 8)?;
    let mut parts = vec![call.input(0)?.clone(), call.input(1)?.clone(), call.input(2)?.clone()];
    if let Some(bias) = call.optional(3) {
        let mut start = 0;
        for part in &mut parts {
            let width = part.dims().last().copied().unwrap_or(0);
            let end = start + width;
            if bias.rank() != 1 || end > bias.dims()[0] {
                return Err(format!("summands of shape {:?}", bias.dims()));
            }
            let own = builder.take(bias, 0, &(start..end).collect::<Vec<usize>>())?;
            *part = plus(builder, part, &own)?;
            start = end;
        }
    }
    let mask = mask(builder, call, 4, 5)?;
    attended(builder, call, &parts, mask.as_ref())
}

/// Tokens of earlier calls, and places by rotation.
fn refuse_past(call: &Call, from: usize, until: usize) -> Result<(), Refusal> {
    let past = (from..until).any(|i| i != 5 && call.optional(i).is_some());
    if past || call.wants(1) || call.wants(2) || call.int("do_rotary", 0)? != 0 {
        return Err("attention over tokens of earlier calls, or with rotary places".into());
    }
    Ok(())
}

/// What is added to the scores: of keys that count (1) or do not (0), and a summand for each pair.
fn mask(builder: &mut Builder, call: &Call, keys: usize, pairs: usize) -> Result<Option<Value>, Refusal> {
    let low = call.float("mask_filter_value", -10000.0)?;
    let mut sum = call.optional(pairs).cloned();
    if let Some(kept) = call.optional(keys) {
        let dims = match *kept.dims() {
            [n, keys] => vec![n, 1, 1, keys],
            [n, queries, keys] => vec![n, 1, queries, keys],
            ref other => return Err(format!("a mask of shape {other:?}")),
        };
        let kept = builder.reshape(kept, &dims)?;
        let kept = standard(builder, call, "Cast", &[&kept], &[("to", AttributeValue::Int(1))])?;
        let scaled = times(builder, &kept, &single(-low))?;
        let added = plus(builder, &scaled, &single(low))?;
        sum = Some(match sum {
            Some(sum) => plus(builder, &sum, &added)?,
            None => added,
        });
    }
    Ok(sum)
}

/// Each query with the keys up to its own place.
fn causal(queries: usize, keys: usize, low: f32) -> Value {
    let first = keys.saturating_sub(queries);
    let values = (0..queries).flat_map(|i| (0..keys).map(move |j| if j > first + i { low } else { 0.0 }));
    Constant::floats(&[queries, keys], values.collect()).into()
}

/// `softmax(q k^T scale + mask) v` of several heads, which lie beside each other in `[n, tokens, width]`.
fn attended(builder: &mut Builder, call: &Call, parts: &[Value], mask: Option<&Value>) -> Built {
    let heads = usize::try_from(call.int("num_heads", 0)?).unwrap_or(0);
    let mut split = Vec::with_capacity(3);
    for part in parts {
        let &[n, tokens, width] = part.dims() else {
            return Err(format!("tokens of shape {:?}", part.dims()));
        };
        if heads == 0 || width % heads != 0 {
            return Err(format!("{heads} heads of width {width}"));
        }
        let parted = builder.reshape(part, &[n, tokens, heads, width / heads])?;
        split.push(builder.transpose(&parted, &[0, 2, 1, 3])?);
    }
    let [q, k, v] = [&split[0], &split[1], &split[2]];
    let (queries, keys, width) = (q.dims()[2], k.dims()[2], q.dims()[3]);
    let mut mask = mask.cloned();
    if call.int("unidirectional", 0)? != 0 {
        builder.take_room(&[queries, keys])?;
        let order = causal(queries, keys, call.float("mask_filter_value", -10000.0)?);
        mask = Some(match &mask {
            Some(mask) => plus(builder, mask, &order)?,
            None => order,
        });
    }
    let scale = match call.float("scale", 0.0)? {
        0.0 => 1.0 / (width as f32).sqrt(),
        scale => scale,
    };
    let turned = builder.transpose(k, &[0, 1, 3, 2])?;
    let seen = match attention::of_heads(builder, q, &turned, v, scale, mask.as_ref(), false)? {
        Some(seen) => seen,
        None => {
            let scores = product(builder, q, &turned)?;
            let mut scores = times(builder, &scores, &single(scale))?;
            if let Some(mask) = &mask {
                scores = plus(builder, &scores, mask)?;
            }
            let weights = standard(builder, call, "Softmax", &[&scores], &[])?;
            product(builder, &weights, v)?
        }
    };
    let joined = builder.transpose(&seen, &[0, 2, 1, 3])?;
    let &[n, tokens, heads, width] = joined.dims() else { return Err("heads of another shape".into()) };
    Ok(vec![builder.reshape(&joined, &[n, tokens, heads * width])?])
}
