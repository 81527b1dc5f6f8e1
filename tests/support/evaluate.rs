//! A graph run once on the CPU.

use percuss::graph::{Compiled, Graph, Phase, Shape, State, Tensor, Uploads};
use percuss_kernels::Device;

/// Runs `build` on the states' values, a row a lane: the values that it returns, in order.
pub fn evaluate(
    lanes: usize,
    states: &[(&[usize], &[f32])],
    build: impl Fn(&mut Graph, &[Tensor]) -> Vec<Tensor>,
) -> Vec<Vec<f32>> {
    let mut graph = Graph::new();
    let inputs: Vec<State> =
        states.iter().map(|(dims, _)| graph.state("input", Shape::lanes(dims))).collect();
    let loaded: Vec<Tensor> = inputs.iter().map(|&state| graph.load(state)).collect();
    let values = build(&mut graph, &loaded);
    let mut phase = Phase::new();
    let outputs: Vec<State> = values
        .iter()
        .map(|&value| {
            let shape = graph.shape(value).clone();
            let state = graph.state("output", shape);
            phase.assign(&mut graph, state, value);
            state
        })
        .collect();
    let compiled = Compiled::new(&graph, &[phase], lanes).unwrap();
    let mut exe = compiled.instantiate(&Device::Cpu { threads: 1 }, &mut Uploads::default(), 1).unwrap();
    for (&state, (_, data)) in inputs.iter().zip(states) {
        exe.write(state, data).unwrap();
    }
    exe.run(0, 1).unwrap();
    outputs.iter().map(|&state| exe.read(state).unwrap()).collect()
}
