//! Sums over products by named axes, of one or two operands.

use super::linear::product;
use crate::models::onnx::call::Call;
use crate::models::onnx::constant::Kind;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Value};

/// `"bij,bjk->bik"`: names of the operands' axes, and of the result's.
pub(super) fn einsum(builder: &mut Builder, call: &Call) -> Built {
    let equation: String = call.text("equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    let (operands, result) = equation.split_once("->").ok_or("an equation without a result")?;
    let names: Vec<Vec<char>> = operands.split(',').map(|own| own.chars().collect()).collect();
    let result: Vec<char> = result.chars().collect();
    if names.len() != call.inputs.len() || names.len() > 2 {
        return Err(format!("equation {equation:?}: one or two operands are covered"));
    }
    for own in names.iter().chain([&result]) {
        let plain = own.iter().all(|name| name.is_ascii_alphabetic());
        if !plain || (1..own.len()).any(|i| own[..i].contains(&own[i])) {
            return Err(format!("equation {equation:?}: axes with a name of their own are covered"));
        }
    }
    let mut values = Vec::with_capacity(2);
    for (i, own) in names.iter().enumerate() {
        if call.input(i)?.rank() != own.len() {
            return Err(format!("equation {equation:?} for shape {:?}", call.input(i)?.dims()));
        }
        values.push(call.input(i)?.clone());
    }
    let value = match values.as_slice() {
        [one] => single(builder, one, &names[0], &result)?,
        [a, b] => pair(builder, [a, b], [&names[0], &names[1]], &result)?,
        _ => return Err("no operands".into()),
    };
    Ok(vec![value])
}

/// Positions of some names among others.
fn places(wanted: &[char], own: &[char]) -> Result<Vec<usize>, Refusal> {
    let place =
        |name: &char| own.iter().position(|other| other == name).ok_or_else(|| format!("axis {name:?}"));
    wanted.iter().map(place).collect()
}

fn single(builder: &mut Builder, x: &Value, own: &[char], result: &[char]) -> Result<Value, Refusal> {
    let traced = builder.traced(x)?;
    let gone: Vec<char> = own.iter().copied().filter(|name| !result.contains(name)).collect();
    let kept: Vec<char> = own.iter().copied().filter(|name| result.contains(name)).collect();
    let sum = builder.reduce(percuss_kernels::ops::Reduction::Sum, &traced, &places(&gone, own)?, false)?;
    builder.transpose(&sum.into(), &places(result, &kept)?)
}

/// As a product of matrices: axes of both and of the result stand in front, axes of both alone are summed over.
fn pair(
    builder: &mut Builder,
    [a, b]: [&Value; 2],
    [left, right]: [&Vec<char>; 2],
    result: &[char],
) -> Result<Value, Refusal> {
    let of = |own: &[char], other: &[char], said: bool| -> Vec<char> {
        own.iter().copied().filter(|name| other.contains(name) && result.contains(name) == said).collect()
    };
    let (lead, summed) = (of(left, right, true), of(left, right, false));
    let alone = |own: &[char], other: &[char]| -> Vec<char> {
        own.iter().copied().filter(|name| !other.contains(name)).collect()
    };
    let (rows, columns) = (alone(left, right), alone(right, left));
    if rows.iter().chain(&columns).any(|name| !result.contains(name)) || a.kind() != Kind::Float {
        return Err("an axis of one operand that the result does not have".into());
    }
    let sizes = |builder: &Value, own: &[char], wanted: &[char]| -> Result<Vec<usize>, Refusal> {
        Ok(places(wanted, own)?.into_iter().map(|axis| builder.dims()[axis]).collect())
    };
    let (lead_sizes, row_sizes) = (sizes(a, left, &lead)?, sizes(a, left, &rows)?);
    let column_sizes = sizes(b, right, &columns)?;
    let whole = |sizes: &[usize]| sizes.iter().product::<usize>();
    let k = whole(&sizes(a, left, &summed)?);
    let x = builder.transpose(a, &places(&[lead.clone(), rows.clone(), summed.clone()].concat(), left)?)?;
    let x = builder.reshape(&x, &[lead_sizes.clone(), vec![whole(&row_sizes), k]].concat())?;
    let y = builder.transpose(b, &places(&[lead.clone(), summed, columns.clone()].concat(), right)?)?;
    let y = builder.reshape(&y, &[lead_sizes.clone(), vec![k, whole(&column_sizes)]].concat())?;
    let z = product(builder, &x, &y)?;
    let z = builder.reshape(&z, &[lead_sizes, row_sizes, column_sizes].concat())?;
    builder.transpose(&z, &places(result, &[lead, rows, columns].concat())?)
}
