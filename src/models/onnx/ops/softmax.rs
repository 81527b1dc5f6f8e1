//! Softmax and its logarithm.

use crate::models::onnx::call::Call;
use crate::models::onnx::constant::Kind;
use crate::models::onnx::layout::Builder;
use crate::models::onnx::value::{Built, Refusal, Traced, axis_of};

pub(super) fn softmax(builder: &mut Builder, call: &Call) -> Built {
    along_axis(builder, call, false)
}

pub(super) fn log_softmax(builder: &mut Builder, call: &Call) -> Built {
    along_axis(builder, call, true)
}

fn along_axis(builder: &mut Builder, call: &Call, log: bool) -> Built {
    let traced = builder.traced(call.input(0)?)?;
    let axis = axis(call, traced.dims.len())?;
    if call.opset < 13 && axis + 1 != traced.dims.len() {
        return Err(
            "an axis that is not the last, in an opset below 13, where it means all axes from it on".into()
        );
    }
    Ok(vec![over(builder, &traced, axis, log)?.into()])
}

/// The axis of a softmax over so many axes.
pub(in crate::models::onnx) fn axis(call: &Call, rank: usize) -> Result<usize, Refusal> {
    axis_of(call.int("axis", if call.opset < 13 { 1 } else { -1 })?, rank)
}

/// Softmax along an axis.
pub(in crate::models::onnx) fn over(
    builder: &mut Builder,
    traced: &Traced,
    axis: usize,
    log: bool,
) -> Result<Traced, Refusal> {
    let others = traced.order.iter().copied().filter(|&other| other != axis);
    let order: Vec<usize> = others.chain([axis]).collect();
    let x = builder.arrange(traced, &order)?;
    let tensor = builder.graph.softmax(x, log);
    Ok(Traced { tensor, dims: traced.dims.clone(), order, kind: Kind::Float })
}
