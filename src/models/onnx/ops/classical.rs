//! What skl2onnx writes for linear models and their preprocessing, in the domain `ai.onnx.ml`.

use percuss_kernels::ops::Unary;

use super::arithmetic::{plus, times};
use super::linear::product;
use super::normalisation::{Norm, by_norm};
use super::softmax::over;
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::{Constant, Kind};
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Value};

/// Numbers along the last axis, or one for all.
fn along(values: &[f32], columns: usize) -> Result<Value, Refusal> {
    match values.len() {
        1 => Ok(Constant::floats(&[], values.to_vec()).into()),
        len if len == columns => Ok(Constant::floats(&[columns], values.to_vec()).into()),
        len => Err(format!("{len} numbers for {columns} columns")),
    }
}

fn columns(value: &Value) -> Result<usize, Refusal> {
    value.dims().last().copied().ok_or_else(|| "a single number".into())
}

/// `(x - offset) scale`
pub(super) fn scaler(builder: &mut Builder, call: &Call) -> Built {
    let x = call.input(0)?;
    let offset: Vec<f32> = call.floats("offset")?.iter().map(|value| -value).collect();
    let centred =
        if offset.is_empty() { x.clone() } else { plus(builder, x, &along(&offset, columns(x)?)?)? };
    let scale = call.floats("scale")?;
    Ok(vec![if scale.is_empty() { centred } else { times(builder, &centred, &along(scale, columns(x)?)?)? }])
}

/// Samples have no missing values when they come here; a number that stands for one would be replaced under attack, too.
pub(super) fn imputer(_: &mut Builder, call: &Call) -> Built {
    if call.float("replaced_value_float", 0.0).is_ok() {
        return Err("a number that stands for missing values".into());
    }
    Ok(vec![call.input(0)?.clone()])
}

/// Columns beside each other.
pub(super) fn feature_vectorizer(builder: &mut Builder, call: &Call) -> Built {
    let values: Result<Vec<Value>, Refusal> =
        (0..call.inputs.len()).map(|i| call.input(i).cloned()).collect();
    let axis = call.input(0)?.rank().checked_sub(1).ok_or("a single number")?;
    Ok(vec![builder.concat(&values?, axis)?])
}

/// 1 above the threshold.
pub(super) fn binarizer(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let threshold = call.float("threshold", 0.0)?;
    Ok(vec![
        builder
            .each(&x, |graph, x| {
                let threshold = graph.scalar(threshold);
                graph.less(threshold, x)
            })
            .into(),
    ])
}

fn scores(builder: &mut Builder, call: &Call, rows: usize) -> Result<Value, Refusal> {
    let x = builder.traced(call.input(0)?)?;
    let (coefficients, intercepts) = (call.floats("coefficients")?, call.floats("intercepts")?);
    let inputs = columns(&x.clone().into())?;
    if rows == 0 || coefficients.len() != rows * inputs || ![0, rows].contains(&intercepts.len()) {
        return Err(format!("{} coefficients of {inputs} inputs and {rows} outputs", coefficients.len()));
    }
    let weight = Constant::floats(&[rows, inputs], coefficients.to_vec()).permuted(&[1, 0]);
    let mut x = x;
    x.kind = Kind::Float;
    let y = product(builder, &x.into(), &weight.into())?;
    if intercepts.is_empty() { Ok(y) } else { plus(builder, &y, &along(intercepts, rows)?) }
}

/// The label is never computed; the scores stay known beside the probabilities that are made of them.
pub(super) fn linear_classifier(builder: &mut Builder, call: &Call) -> Built {
    if call.wants(0) {
        return Err("the label, which has no gradient".into());
    }
    let classes = match (call.ints("classlabels_ints")?, call.texts("classlabels_strings")?) {
        (Some(labels), _) => labels.len(),
        (None, Some(labels)) => labels.len(),
        (None, None) => return Err("no class labels".into()),
    };
    // One row tells two classes apart.
    let rows = call.floats("coefficients")?.len() / columns(call.input(0)?)?.max(1);
    let mut raw = scores(builder, call, rows)?;
    if rows == 1 && classes == 2 {
        let other = times(builder, &raw, &Constant::floats(&[], vec![-1.0]).into())?;
        let axis = raw.rank() - 1;
        raw = builder.concat(&[other, raw], axis)?;
    } else if rows != classes {
        return Err(format!("{rows} scores of {classes} classes"));
    }
    let traced = builder.traced(&raw)?;
    let said = match call.text("post_transform", "NONE")? {
        "NONE" => raw.clone(),
        "SOFTMAX" => over(builder, &traced, traced.dims.len() - 1, false)?.into(),
        "LOGISTIC" => builder.each(&traced, |graph, x| graph.unary(Unary::Sigmoid, x)).into(),
        other => return Err(format!("post_transform {other:?}")),
    };
    Ok(vec![raw, said])
}

pub(super) fn linear_regressor(builder: &mut Builder, call: &Call) -> Built {
    if call.text("post_transform", "NONE")? != "NONE" {
        return Err("a post_transform".into());
    }
    let targets = usize::try_from(call.int("targets", 1)?).unwrap_or(0);
    Ok(vec![scores(builder, call, targets)?])
}

/// Divided by its norm along the last axis.
pub(super) fn normalizer(builder: &mut Builder, call: &Call) -> Built {
    let x = builder.traced(call.input(0)?)?;
    let axis = x.dims.len().checked_sub(1).ok_or("a single number")?;
    let norm = match call.text("norm", "MAX")? {
        "L1" => Norm::Sum,
        "L2" => Norm::Euclidean,
        "MAX" => Norm::Largest,
        other => return Err(format!("norm {other:?}")),
    };
    Ok(vec![by_norm(builder, &x, axis, norm)?])
}

/// Columns by index.
pub(super) fn array_feature_extractor(builder: &mut Builder, call: &Call) -> Built {
    let x = call.input(0)?;
    let columns = columns(x)?;
    let index = call.ints_input(1, "indices")?.ok_or("no indices")?;
    let positions: Option<Vec<usize>> =
        index.iter().map(|&at| usize::try_from(at).ok().filter(|at| *at < columns)).collect();
    let positions = positions.ok_or_else(|| format!("columns {index:?} of {columns}"))?;
    Ok(vec![builder.take(x, x.rank() - 1, &positions)?])
}

/// A dictionary of class names and probabilities: the probabilities.
pub(super) fn zip_map(_: &mut Builder, call: &Call) -> Built {
    Ok(vec![call.input(0)?.clone()])
}
