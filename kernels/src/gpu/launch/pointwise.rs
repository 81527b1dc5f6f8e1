//! Chains of elementwise expressions, written out as WGSL.

use super::rows::{ELEMENTARY, elementary};
use super::{Adapter, Kernel, Template, declare, element, operands, per_item};
use crate::ops::{Binary, Instr, Pointwise, Unary};

/// The launch of [`Pointwise`].
///
/// It binds every input and output: what fuses must stay within the adapter's `max_storage_buffers`.
pub(crate) fn pointwise(op: &Pointwise, adapter: &Adapter) -> Vec<Kernel> {
    let space = Space::of(op);
    let vector = space.vector();
    let width = if vector { 4 } else { 1 };
    let names: Vec<(String, &str)> = (0..op.strides.len())
        .map(|input| (format!("x{input}"), element(vector && space.contiguous(input))))
        .chain((0..op.outputs.len()).map(|output| (format!("y{output}"), element(vector))))
        .collect();
    let declared: Vec<(&str, &str)> = names.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    let writer = Writer { op, space: &space, vector };
    let (constants, body) = writer.body();
    let text = include_str!("../../../../shaders/pointwise.wgsl");
    let functions = writer.functions();
    let template = Template::new(&[&declare(&declared), &constants, ELEMENTARY, text])
        .flags(&elementary(&functions))
        .word("BODY", body);
    let count = op.shape.iter().product::<usize>() / width;
    vec![per_item(template, count, operands(op.strides.len(), op.outputs.len()), adapter)]
}

/// The iteration space with neighbouring axes merged where every input's strides allow.
struct Space {
    /// Lengths of the merged axes, at least one.
    extents: Vec<usize>,
    /// For every input, strides along the merged axes.
    strides: Vec<Vec<usize>>,
    /// For every axis of the op, its merged axis; none if its length is 1.
    place: Vec<Option<usize>>,
}

impl Space {
    fn of(op: &Pointwise) -> Self {
        let indexed = |axis| op.code.contains(&Instr::Index(axis));
        let mut space = Self {
            extents: vec![],
            strides: vec![vec![]; op.strides.len()],
            place: vec![None; op.shape.len()],
        };
        let mut alone = true;
        for axis in (0..op.shape.len()).filter(|&axis| op.shape[axis] > 1) {
            let fits = op.strides.iter().zip(&space.strides).all(|(input, merged)| {
                merged.last().is_some_and(|&before| before == input[axis] * op.shape[axis])
            });
            let last = space.extents.len().wrapping_sub(1);
            if fits && !alone && !indexed(axis) {
                space.extents[last] *= op.shape[axis];
                for (merged, input) in space.strides.iter_mut().zip(&op.strides) {
                    merged[last] = input[axis];
                }
                space.place[axis] = Some(last);
            } else {
                space.place[axis] = Some(space.extents.len());
                space.extents.push(op.shape[axis]);
                for (merged, input) in space.strides.iter_mut().zip(&op.strides) {
                    merged.push(input[axis]);
                }
            }
            alone = indexed(axis);
        }
        if space.extents.is_empty() {
            space.extents.push(1);
            space.strides.iter_mut().for_each(|merged| merged.push(0));
        }
        space
    }

    fn last(&self) -> usize {
        self.extents.len() - 1
    }

    /// Whether input `input` advances with the last axis.
    fn contiguous(&self, input: usize) -> bool {
        self.strides[input][self.last()] == 1
    }

    /// Whether quads of the last axis can be computed at once.
    fn vector(&self) -> bool {
        let quads = |strides: &Vec<usize>| match strides[self.last()] {
            0 => true,
            1 => strides[..self.last()].iter().all(|stride| stride.is_multiple_of(4)),
            _ => false,
        };
        self.extents[self.last()].is_multiple_of(4) && self.strides.iter().all(quads)
    }
}

struct Writer<'a> {
    op: &'a Pointwise,
    space: &'a Space,
    vector: bool,
}

impl Writer<'_> {
    fn kind(&self) -> &'static str {
        element(self.vector)
    }

    /// Constants of the module and lines of the body.
    fn body(&self) -> (String, String) {
        let mut constants = String::new();
        let mut lines = self.coordinates();
        for (n, instr) in self.op.code.iter().enumerate() {
            let value = match *instr {
                Instr::Input(input) => self.input(input),
                Instr::Const(value) => self.constant(n, value, &mut constants),
                Instr::Index(axis) => self.index(axis),
                Instr::Unary(function, a) => self.unary(function, a),
                Instr::Binary(function, a, b) => self.binary(function, a, b),
                Instr::Select(c, a, b) => format!("select(v{b}, v{a}, v{c} != {}())", self.kind()),
            };
            lines.push(format!("    let v{n} = {value};"));
        }
        for (output, n) in self.op.outputs.iter().enumerate() {
            lines.push(format!("    y{output}[i] = v{n};"));
        }
        (constants, lines.join("\n"))
    }

    /// `c{axis}`: the coordinates of this position, the last one in quads if there are quads.
    fn coordinates(&self) -> Vec<String> {
        let mut lines = vec![];
        let mut below = 1;
        for axis in (0..self.space.extents.len()).rev() {
            let quads = self.vector && axis == self.space.last();
            let extent = self.space.extents[axis] / if quads { 4 } else { 1 };
            let whole = if below == 1 { "i".to_owned() } else { format!("i / {below}u") };
            let cut = if axis == 0 { String::new() } else { format!(" % {extent}u") };
            lines.push(format!("    let c{axis} = {whole}{cut};"));
            below *= extent;
        }
        lines
    }

    fn input(&self, input: usize) -> String {
        let last = self.space.last();
        let quads = self.vector && self.space.contiguous(input);
        let terms: Vec<String> = self.space.strides[input]
            .iter()
            .enumerate()
            .filter(|&(_, &stride)| stride != 0)
            .map(|(axis, &stride)| match if quads && axis != last { stride / 4 } else { stride } {
                1 => format!("c{axis}"),
                stride => format!("c{axis} * {stride}u"),
            })
            .collect();
        let place = if terms.is_empty() { "0u".to_owned() } else { terms.join(" + ") };
        if self.vector && !quads {
            format!("vec4<f32>(x{input}[{place}])")
        } else {
            format!("x{input}[{place}]")
        }
    }

    /// A number; one that WGSL cannot write comes as bits through a variable, which no compiler evaluates as a constant.
    fn constant(&self, n: usize, value: f32, constants: &mut String) -> String {
        let text = if value == 0.0 && value.is_sign_positive() || value.is_normal() {
            format!("{value:?}f")
        } else {
            *constants += &format!("var<private> bits{n}: u32 = {:#010x}u;\n", value.to_bits());
            format!("bitcast<f32>(bits{n})")
        };
        if self.vector { format!("vec4<f32>({text})") } else { text }
    }

    fn index(&self, axis: usize) -> String {
        match self.space.place[axis] {
            None => format!("{}()", self.kind()),
            Some(place) if self.vector && place == self.space.last() => {
                format!("vec4<f32>(vec4<u32>(4u * c{place}) + vec4<u32>(0u, 1u, 2u, 3u))")
            }
            Some(place) if self.vector => format!("vec4<f32>(f32(c{place}))"),
            Some(place) => format!("f32(c{place})"),
        }
    }

    fn unary(&self, function: Unary, a: usize) -> String {
        match function {
            Unary::Neg => format!("-v{a}"),
            Unary::Abs => format!("abs(v{a})"),
            Unary::Sign => format!("select(v{a}, sign(v{a}), v{a} == v{a})"),
            Unary::Exp => format!("exp(v{a})"),
            Unary::Sqrt => format!("sqrt(v{a})"),
            Unary::Floor => format!("floor(v{a})"),
            Unary::Log => self.each("logarithm", "", a),
            Unary::Tanh => self.each("hyperbolic_tangent", "", a),
            Unary::Sigmoid => self.each("logistic", "", a),
            Unary::Erf => self.each("error_function", "", a),
            Unary::Gelu => self.each("gaussian_unit", "", a),
            Unary::GeluSlope => self.each("gaussian_slope", "", a),
            Unary::Sin => self.each("angle", ".y", a),
            Unary::Cos => self.each("angle", ".x", a),
        }
    }

    /// A function of our own, component by component.
    fn each(&self, function: &str, part: &str, a: usize) -> String {
        if !self.vector {
            return format!("{function}(v{a}){part}");
        }
        let parts = ["x", "y", "z", "w"].map(|lane| format!("{function}(v{a}.{lane}){part}"));
        format!("vec4<f32>({})", parts.join(", "))
    }

    fn binary(&self, function: Binary, a: usize, b: usize) -> String {
        let kind = self.kind();
        let compare = |sign: &str| format!("select({kind}(0.0), {kind}(1.0), v{a} {sign} v{b})");
        // NaN on either side comes through, so that a broken gradient shows.
        let pick = |sign: &str| format!("select(v{b}, v{a}, (v{a} {sign} v{b}) | (v{a} != v{a}))");
        match function {
            Binary::Add => format!("v{a} + v{b}"),
            Binary::Sub => format!("v{a} - v{b}"),
            Binary::Mul => format!("v{a} * v{b}"),
            Binary::Div => format!("v{a} / v{b}"),
            Binary::Max => pick(">"),
            Binary::Min => pick("<"),
            Binary::Less => compare("<"),
            Binary::LessEqual => compare("<="),
            Binary::Equal => compare("=="),
        }
    }

    /// What the code needs of elementary.wgsl.
    fn functions(&self) -> Vec<&'static str> {
        let mut used = vec![];
        for instr in &self.op.code {
            if let Instr::Unary(function, _) = instr {
                match function {
                    Unary::Log => used.push("LOGARITHM"),
                    Unary::Tanh => used.push("TANH"),
                    Unary::Sigmoid => used.push("SIGMOID"),
                    Unary::Erf => used.push("ERF"),
                    Unary::Gelu | Unary::GeluSlope => used.extend(["ERF", "GELU"]),
                    Unary::Sin | Unary::Cos => used.extend(["CIRCLE", "ANGLE"]),
                    _ => {}
                }
            }
        }
        used
    }
}
