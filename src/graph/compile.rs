//! From a graph and its phases to a program on a device.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use percuss_kernels::{Arena, Device, Launch, ProgramSpec, SharedArena, Span};

use super::constants::Uploads;
use super::executable::Executable;
use super::kernels::{Group, Grouping};
use super::memory::{Demand, cut, plan, room, within_page};
use super::{Graph, NodeOp, Shape, State, Tensor};
use crate::Result;

const STATES: usize = 0;
const TEMPORARIES: usize = 1;
const FIRST_SHARED: usize = 2;

/// New values for states, computed from the values that the states had when the phase started.
#[derive(Clone, Debug, Default)]
pub struct Phase {
    assigns: Vec<(State, Tensor)>,
}

impl Phase {
    /// A phase that changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A phase of assignments that are in order as they are.
    pub(super) fn of(assigns: Vec<(State, Tensor)>) -> Self {
        Self { assigns }
    }

    /// Lets `state` become `value`, broadcast to the state's shape, at the end of the phase. Once for a state.
    pub fn assign(&mut self, graph: &mut Graph, state: State, value: Tensor) {
        assert!(self.assigns.iter().all(|(other, _)| *other != state), "a phase assigns a state once");
        let shape = graph.states[state.0].1.clone();
        let leaf = graph.nodes[graph.base(value).0].op.is_stored();
        let scalar = matches!(graph.nodes[value.0].op, NodeOp::Scalar(_) | NodeOp::Index(_));
        let value = if *graph.shape(value) == shape && !leaf && !scalar {
            value
        } else {
            let zero = graph.scalar(0.0);
            graph.push(NodeOp::Binary(percuss_kernels::ops::Binary::Add), &[value, zero], shape)
        };
        self.assigns.push((state, value));
    }
}

/// A graph's phases as launches at fixed places, for a number of lanes.
#[derive(Debug)]
pub struct Compiled {
    spec: ProgramSpec,
    shared: Vec<Arc<Vec<f32>>>,
    states: Vec<(Span, Shape)>,
    /// The states that each phase assigns.
    assigned: Vec<Vec<State>>,
    lanes: usize,
}

/// Where a tensor's memory is.
struct Places<'a> {
    graph: &'a Graph,
    lanes: usize,
    states: &'a [Span],
    constants: HashMap<Tensor, Span>,
    temporaries: HashMap<(Tensor, usize), Span>,
    page: usize,
}

impl Places<'_> {
    fn span(&self, tensor: Tensor) -> Span {
        let base = self.graph.base(tensor);
        if let Some(&span) = self.constants.get(&base) {
            return span;
        }
        let node = &self.graph.nodes[base.0];
        match node.op {
            NodeOp::State(state) => self.states[state.0],
            NodeOp::Part(part) => self.temporaries[&(node.inputs[0], part)],
            _ => self.temporaries[&(base, 0)],
        }
    }

    fn len(&self, tensor: Tensor) -> usize {
        self.graph.shape(tensor).len(self.lanes)
    }
}

impl Compiled {
    /// Compiles `phases` for `lanes` lanes. What depends on constants alone is computed now, once.
    pub fn new(graph: &Graph, phases: &[Phase], lanes: usize) -> Result<Self> {
        Self::in_pages(&mut Uploads::default(), graph, phases, lanes, usize::MAX)
    }

    /// As [`Self::new`], for a device, whose programs share constants: no arena is larger than the device's largest buffer, as long as
    /// no value is.
    pub fn on(
        device: &Device,
        uploads: &mut Uploads,
        graph: &Graph,
        phases: &[Phase],
        lanes: usize,
    ) -> Result<Self> {
        Self::in_pages(uploads, graph, phases, lanes, device.max_arena())
    }

    /// As [`Self::new`], in arenas of at most `page` elements (a multiple of [`percuss_kernels::ALIGNMENT`]), as long as no value is
    /// larger. Where values lie changes none of them.
    pub fn in_pages(
        uploads: &mut Uploads,
        graph: &Graph,
        phases: &[Phase],
        lanes: usize,
        page: usize,
    ) -> Result<Self> {
        let roots: Vec<Tensor> =
            phases.iter().flat_map(|phase| phase.assigns.iter().map(|&(_, value)| value)).collect();
        let nodes = graph.reachable(&roots, &HashSet::new());
        let hoisted = uploads.values(graph, &graph.constant_nodes(&nodes, &roots))?;
        Ok(Self::with_constants(graph, phases, lanes, page, hoisted))
    }

    /// As [`Self::new`], without the values of constants: to be measured, not run.
    pub fn sketch(graph: &Graph, phases: &[Phase], lanes: usize) -> Self {
        let roots: Vec<Tensor> =
            phases.iter().flat_map(|phase| phase.assigns.iter().map(|&(_, value)| value)).collect();
        let nodes = graph.reachable(&roots, &HashSet::new());
        let constants = graph.constant_nodes(&nodes, &roots).into_iter();
        let unknown = constants.map(|tensor| (tensor, Arc::new(Vec::new()))).collect();
        Self::with_constants(graph, phases, lanes, usize::MAX, unknown)
    }

    pub(super) fn with_constants(
        graph: &Graph,
        phases: &[Phase],
        lanes: usize,
        page: usize,
        hoisted: Vec<(Tensor, Arc<Vec<f32>>)>,
    ) -> Self {
        let roots: Vec<Tensor> =
            phases.iter().flat_map(|phase| phase.assigns.iter().map(|&(_, value)| value)).collect();
        let leaves = graph.reachable(&roots, &HashSet::new()).into_iter().filter_map(|node| {
            match graph.nodes[node.0].op {
                NodeOp::Constant(index) => Some((node, graph.constants[index].clone())),
                _ => None,
            }
        });
        let mut shared: Vec<Arc<Vec<f32>>> = Vec::new();
        let mut arenas = vec![Arena::Private(0), Arena::Private(0)];
        let mut constants = HashMap::new();
        for (node, data) in leaves.chain(hoisted) {
            let known = shared.iter().position(|other| Arc::ptr_eq(other, &data));
            let index = known.unwrap_or_else(|| {
                arenas.push(Arena::Shared(shared.len(), data.len()));
                shared.push(data.clone());
                shared.len() - 1
            });
            constants.insert(node, Span { arena: FIRST_SHARED + index, offset: 0, len: data.len() });
        }
        let mut states = Vec::new();
        let mut offset = 0;
        for (_, shape) in &graph.states {
            let len = shape.len(lanes);
            offset = within_page(offset, len, page);
            states.push(Span { arena: STATES, offset, len });
            offset += room(len);
        }
        arenas[STATES] = Arena::Private(offset);
        let temporaries = HashMap::new();
        let mut places = Places { graph, lanes, states: &states, constants, temporaries, page };
        let mut spec = ProgramSpec { arenas, phases: Vec::new(), precision: graph.precision };
        let mut temporaries = 0;
        for phase in phases {
            let (launches, size) = lower_phase(&mut places, phase);
            temporaries = temporaries.max(size);
            spec.phases.push(launches);
        }
        spec.arenas[TEMPORARIES] = Arena::Private(temporaries);
        cut(&mut spec, &mut states, page);
        let shapes = graph.states.iter().map(|(_, shape)| shape.clone());
        let states = states.into_iter().zip(shapes).collect();
        let assigned = |phase: &Phase| phase.assigns.iter().map(|&(state, _)| state).collect();
        Self { spec, shared, states, assigned: phases.iter().map(assigned).collect(), lanes }
    }

    /// Number of lanes.
    pub fn lanes(&self) -> usize {
        self.lanes
    }

    /// Bytes of memory that one instance takes, shared constants not counted.
    pub fn bytes(&self) -> u64 {
        let private = |arena: &Arena| if let Arena::Private(len) = arena { *len as u64 } else { 0 };
        4 * self.spec.arenas.iter().map(private).sum::<u64>()
    }

    /// Floating-point operations of one run of a phase, all lanes.
    pub fn flops(&self, phase: usize) -> u64 {
        self.spec.phases[phase].iter().map(|launch| launch.op.flops()).sum()
    }

    /// Launches of a phase.
    pub fn launches(&self, phase: usize) -> &[Launch] {
        &self.spec.phases[phase]
    }

    /// Allocates it on a device, each op spread over up to `threads` threads on a CPU.
    pub fn instantiate(&self, device: &Device, uploads: &mut Uploads, threads: usize) -> Result<Executable> {
        let shared: Vec<SharedArena> =
            self.shared.iter().map(|data| uploads.get(device, data)).collect::<Result<_>>()?;
        let program = device.program(&self.spec, &shared, threads)?;
        Ok(Executable::new(program, self.states.clone(), self.assigned.clone(), self.lanes))
    }
}

/// Lowers one phase; returns its launches and the temporaries' size in elements.
fn lower_phase(places: &mut Places, phase: &Phase) -> (Vec<Launch>, usize) {
    let graph = places.graph;
    let ready: HashSet<Tensor> = places.constants.keys().copied().collect();
    let roots: Vec<Tensor> = phase.assigns.iter().map(|&(_, value)| value).collect();
    let grouping = graph.group(&roots, &ready);
    let steps: Vec<Step> =
        grouping.groups.iter().map(|group| lower_group(places, group, &grouping)).collect();
    let (direct, copies) = settle_assigns(places, phase, &steps);
    place_temporaries(places, &steps, &direct, &copies)
}

/// A launch whose operands are tensors.
struct Step {
    op: Arc<dyn percuss_kernels::ops::Operation>,
    inputs: Vec<Tensor>,
    /// The values it stores, as (node, part).
    outputs: Vec<(Tensor, usize)>,
    /// Inputs that are read element by element in the output's order.
    aligned: Vec<bool>,
}

fn lower_group(places: &Places, group: &Group, grouping: &Grouping) -> Step {
    let graph = places.graph;
    match group {
        Group::Op { node, tail, result } => {
            let lowered = graph.lower_op(*node, *tail, places.lanes);
            let parts = lowered.op.output_lens().len();
            let aligned = vec![false; lowered.inputs.len()];
            let outputs = (0..parts).map(|part| (*result, part)).collect();
            Step { op: lowered.op, inputs: lowered.inputs, outputs, aligned }
        }
        Group::Fused { shape, nodes, stored } => {
            let (spec, inputs) = graph.lower_fused(shape, nodes, stored, grouping, places.lanes);
            let len = shape.len(places.lanes);
            let aligned = inputs.iter().map(|&input| places.len(input) == len).collect();
            let outputs = stored.iter().map(|&node| (node, 0)).collect();
            Step { op: Arc::new(spec), inputs, outputs, aligned }
        }
    }
}

/// Values (node and part) that are written straight into a state.
type DirectWrites = HashMap<(Tensor, usize), State>;

/// Which values can be written straight into their state (value -> state), and which must be copied at the end.
fn settle_assigns(places: &Places, phase: &Phase, steps: &[Step]) -> (DirectWrites, Vec<(State, Tensor)>) {
    let graph = places.graph;
    let mut direct: HashMap<(Tensor, usize), State> = HashMap::new();
    let mut copies = Vec::new();
    for &(state, value) in &phase.assigns {
        let base = graph.base(value);
        let key = match graph.nodes[base.0].op {
            NodeOp::Part(part) => (graph.nodes[base.0].inputs[0], part),
            _ => (base, 0),
        };
        let writer = steps.iter().position(|step| step.outputs.contains(&key));
        let reads_state =
            |tensor: Tensor| matches!(graph.nodes[graph.base(tensor).0].op, NodeOp::State(s) if s == state);
        let free = writer.is_some_and(|writer| {
            steps.iter().enumerate().all(|(i, step)| {
                step.inputs.iter().zip(&step.aligned).all(|(&input, &aligned)| {
                    !reads_state(input) || i < writer || (i == writer && aligned && step.op.in_place())
                })
            })
        });
        // A state that another state's copy still has to read must not be overwritten early.
        let read_by_copy = phase.assigns.iter().any(|&(other, source)| other != state && reads_state(source));
        if free && !read_by_copy && !direct.contains_key(&key) {
            direct.insert(key, state);
        } else {
            copies.push((state, value));
        }
    }
    (direct, copies)
}

fn place_temporaries(
    places: &mut Places,
    steps: &[Step],
    direct: &HashMap<(Tensor, usize), State>,
    copies: &[(State, Tensor)],
) -> (Vec<Launch>, usize) {
    let graph = places.graph;
    let owner = |tensor: Tensor| {
        let base = graph.base(tensor);
        match graph.nodes[base.0].op {
            NodeOp::Part(part) => (graph.nodes[base.0].inputs[0], part),
            _ => (base, 0),
        }
    };
    let mut last: HashMap<(Tensor, usize), usize> = HashMap::new();
    for (i, step) in steps.iter().enumerate() {
        for &input in &step.inputs {
            last.insert(owner(input), i);
        }
    }
    for (i, &(_, value)) in copies.iter().enumerate() {
        last.insert(owner(value), steps.len() + i);
    }
    let mut keys = Vec::new();
    let mut demands: Vec<Demand> = Vec::new();
    let mut home: HashMap<(Tensor, usize), usize> = HashMap::new();
    for (i, step) in steps.iter().enumerate() {
        let mut taken = Vec::new();
        for (&key, len) in step.outputs.iter().zip(step.op.output_lens()) {
            if direct.contains_key(&key) {
                continue;
            }
            let until = last.get(&key).copied().unwrap_or(i);
            // An elementwise launch writes over an operand that nobody needs afterwards.
            let reuse = step.inputs.iter().zip(&step.aligned).find_map(|(&input, &aligned)| {
                let source = owner(input);
                let slot = *home.get(&source)?;
                let dies = demands[slot].last == i && last.get(&source) == Some(&i);
                (aligned && step.op.in_place() && dies && demands[slot].len == len && !taken.contains(&slot))
                    .then_some(slot)
            });
            let slot = reuse.unwrap_or_else(|| {
                demands.push(Demand { len, first: i, last: until });
                demands.len() - 1
            });
            demands[slot].last = demands[slot].last.max(until);
            taken.push(slot);
            home.insert(key, slot);
            keys.push(key);
        }
    }
    let (offsets, size) = plan(&demands, places.page);
    places.temporaries.clear();
    for (key, slot) in home {
        let span = Span { arena: TEMPORARIES, offset: offsets[slot], len: demands[slot].len };
        places.temporaries.insert(key, span);
    }
    for (&key, &state) in direct {
        places.temporaries.insert(key, places.states[state.0]);
    }
    let mut launches: Vec<Launch> = steps
        .iter()
        .map(|step| Launch {
            op: step.op.clone(),
            inputs: step.inputs.iter().map(|&input| places.span(input)).collect(),
            outputs: step.outputs.iter().map(|key| places.temporaries[key]).collect(),
        })
        .collect();
    for &(state, value) in copies {
        let span = places.states[state.0];
        let op = Arc::new(percuss_kernels::ops::Pointwise {
            shape: vec![span.len],
            strides: vec![vec![1]],
            code: vec![percuss_kernels::ops::Instr::Input(0)],
            outputs: vec![0],
        });
        launches.push(Launch { op, inputs: vec![places.span(value)], outputs: vec![span] });
    }
    (launches, size)
}
