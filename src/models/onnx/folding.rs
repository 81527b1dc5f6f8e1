//! What does not depend on the sample, computed when the network is read: by the executor that would compute it later, whatever the op.

use std::sync::Arc;

use percuss_kernels::Device;

use super::constant::{Constant, Data, Kind};
use super::layout::Builder;
use super::value::{Refusal, Traced, Value};
use crate::graph::{Compiled, Graph, Phase, Shape, Uploads};

/// The numbers of a value that was made of constants alone, under the file's axes.
pub(super) fn evaluated(builder: &mut Builder, value: Value) -> Result<Value, Refusal> {
    let Value::Traced(traced) = value else { return Ok(value) };
    builder.take_room(&traced.dims)?;
    let values = run(builder, &traced).map_err(|error| error.to_string())?;
    let whole = |values: Vec<f32>| Arc::new(values.into_iter().map(|value| value as i64).collect());
    let data = match traced.kind {
        Kind::Float => Data::Float(Arc::new(values)),
        Kind::Int => Data::Int(whole(values)),
        Kind::Bool => Data::Bool(whole(values)),
    };
    Ok(Constant { dims: traced.dims, data }.into())
}

fn run(builder: &mut Builder, traced: &Traced) -> crate::Result<Vec<f32>> {
    let natural = builder.natural(traced).map_err(crate::Error::Failed)?;
    let len = traced.dims.iter().product();
    let mut graph = Graph::new();
    let copy = graph.splice(&builder.graph, &[], &[natural])[0];
    let copy = graph.reshape(copy, &[len]);
    let copy = graph.in_lanes(copy);
    let out = graph.state("constant", Shape::lanes(&[len]));
    let mut phase = Phase::new();
    phase.assign(&mut graph, out, copy);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let compiled = Compiled::new(&graph, &[phase], 1)?;
    let mut executable = compiled.instantiate(&Device::Cpu { threads }, &mut Uploads::default(), threads)?;
    executable.run(0, 1)?;
    executable.read_lane(out, 0)
}
