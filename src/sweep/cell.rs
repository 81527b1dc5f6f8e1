//! A cell: one configuration of one attack on one model over one data set.

use std::sync::Arc;

use percuss_kernels::Precision;
use serde_json::{Map, Value as Json, json};

use super::study::ladder::canonical;
use super::study::{Aim, Beside, Curve, Save, Stop};
use crate::attacks::evasion::hotflip::HOTFLIP;
use crate::attacks::{Attack, Norm, Value};

/// One configuration of one attack on one model over one data set.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The model's position in the study.
    pub model: usize,
    /// The data set's position in the study.
    pub data: usize,
    /// The defence's position in the study.
    pub defense: usize,
    /// The attack.
    pub attack: &'static Attack,
    /// The norm of the budget.
    pub norm: Norm,
    /// The budget in the data's (scaled) units.
    pub eps: f64,
    /// The name of the model's input that the budget is for; `None` is its first that can move.
    pub input: Option<Arc<str>>,
    /// Other inputs that move, each within a budget of its own; the rest stays as it is.
    pub beside: Arc<[Beside]>,
    /// What counts as success.
    pub aim: Aim,
    /// The wanted class, for [`Aim::Target`] alone; see [`Cell::wanted`].
    pub target: Option<u32>,
    /// The finding that is attacked, of a multi-label model: the decision is between `[0, z]` of this output.
    pub finding: Option<usize>,
    /// When a lane ends.
    pub stop: Stop,
    /// Which inputs are stored.
    pub save: Save,
    /// The seed; 0 where nothing is random.
    pub seed: u64,
    /// Budgets, ascending and no two alike, this cell's among them, if each sample's smallest breaking one is found by bisection.
    pub bisected: Option<Arc<[f64]>>,
    /// A value for every parameter of the attack, in the order of its declaration; cells that differ in budget, end or seed share them.
    pub values: Arc<[Value]>,
    /// What the attack's products multiply.
    pub precision: Precision,
}

impl Cell {
    /// Every parameter of the attack with its value, in the order of declaration.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, Value)> + '_ {
        named(self.attack, &self.values)
    }

    /// The value of a parameter, if the attack has it.
    pub fn parameter(&self, name: &str) -> Option<Value> {
        self.parameters().find(|(other, _)| *other == name).map(|(_, value)| value)
    }

    /// The value of a parameter that the attack declares.
    ///
    /// # Panics
    /// If it does not.
    pub fn get(&self, name: &str) -> Value {
        self.parameter(name).unwrap_or_else(|| panic!("{} declares no parameter {name}", self.attack.name))
    }

    /// Steps at most.
    pub fn steps(&self) -> u64 {
        (self.attack.steps)(&|name| self.get(name))
    }

    /// Length of a step in the data's (scaled) units, as a short decimal.
    pub fn step_size(&self) -> f64 {
        self.step_size_at(self.eps)
    }

    /// As [`Self::step_size`], at another budget.
    pub fn step_size_at(&self, eps: f64) -> f64 {
        match (self.attack.step_size)(&|name| self.get(name)) {
            Value::Relative(times) => canonical(times * eps),
            Value::Absolute(length) | Value::Real(length) => length,
            // Of data that are not known, in a plan.
            Value::Fraction(over, under) => over / under,
            other => unreachable!("{other} is no step size"),
        }
    }

    /// Whether its budget, or that of an input beside, is of this norm.
    pub fn moves_within(&self, norm: Norm) -> bool {
        self.norm == norm || self.beside.iter().any(|budget| budget.norm == norm)
    }

    /// The words of parameters that the program itself depends on, but for those that every attack has.
    pub fn choices(&self) -> Vec<(&'static str, &'static str)> {
        let words = self.parameters().filter_map(|(name, value)| match value {
            // What steps of l1 are like is nothing to the other norms.
            Value::Word(_) if name == "l1_step" && !self.moves_within(Norm::L1) => None,
            Value::Word(word) if !["loss", "projection"].contains(&name) => Some((name, word)),
            _ => None,
        });
        words.collect()
    }

    /// Runs of a sample.
    pub fn restarts(&self) -> u64 {
        match self.parameter("restarts") {
            Some(Value::Whole(restarts)) => restarts,
            _ => 1,
        }
    }

    /// Whether a run starts at random.
    pub fn random_start(&self) -> bool {
        self.parameter("random_start") == Some(Value::Flag(true))
    }

    /// Whether it is one gradient at the clean input, whatever the budget.
    pub fn leaps(&self) -> bool {
        self.steps() == 1 && !self.random_start()
    }

    /// How its budget is answered.
    pub fn curve(&self) -> Curve {
        if self.bisected.is_some() { Curve::Bisect } else { Curve::Grid }
    }

    /// The study's word for the loss.
    pub fn loss(&self) -> &'static str {
        match self.parameter("loss") {
            Some(Value::Word(word)) => word,
            _ => "cross-entropy",
        }
    }

    /// Whether seeds change nothing.
    pub fn deterministic(&self) -> bool {
        (self.attack.deterministic)(&|name| self.get(name))
    }

    /// The class that lanes aim at: class 0 to hide, the target if there is one; none where any other class will do.
    pub fn wanted(&self) -> Option<u32> {
        match self.aim {
            Aim::Any | Aim::Raise => None,
            Aim::Hide => Some(0),
            Aim::Target => self.target,
        }
    }

    /// Whether the aim makes sense for samples of this class: to hide, any but class 0; to raise, class 0; targeted, any but the target.
    pub fn concerns(&self, label: u32) -> bool {
        match self.aim {
            Aim::Any => true,
            Aim::Raise => label == 0,
            Aim::Hide | Aim::Target => self.wanted() != Some(label),
        }
    }

    /// The complete configuration of the attack as one line of JSON, keys in a fixed order, the step size resolved.
    pub fn params_json(&self) -> String {
        let mut map = Map::new();
        let mut put = |key: &str, value: Json| map.insert(key.to_string(), value);
        put("attack", json!(self.attack.name));
        put("revision", json!(self.attack.revision));
        put("norm", json!(self.norm.name()));
        put("eps", json!(self.eps));
        if let Some(input) = &self.input {
            put("input", json!(input.as_ref()));
        }
        if !self.beside.is_empty() {
            let budget = |beside: &Beside| {
                let mut words =
                    json!({ "input": beside.input, "norm": beside.norm.name(), "eps": beside.eps });
                if beside.norm == Norm::Tokens {
                    // Words beside another attack are replaced as HotFlip replaces them.
                    words["revision"] = json!(HOTFLIP.revision);
                }
                words
            };
            put("beside", json!(self.beside.iter().map(budget).collect::<Vec<_>>()));
        }
        put("aim", json!(self.aim.name()));
        put("target", json!(self.target));
        put("finding", json!(self.finding));
        put("stop", json!(self.stop.name()));
        put("seed", if self.deterministic() { Json::Null } else { json!(self.seed) });
        put("steps", json!(self.steps()));
        put("step_size", json!(self.step_size()));
        if let Some(ladder) = &self.bisected {
            // What a search finds at one budget depends on all that it may try.
            put("curve", json!(self.curve().name()));
            put("ladder", json!(ladder.as_ref()));
        }
        for (name, value) in self.parameters().filter(|(name, _)| !["steps", "step_size"].contains(name)) {
            if name != "l1_step" || self.moves_within(Norm::L1) {
                put(name, parameter_json(value));
            }
        }
        if self.precision != Precision::F32 {
            map.insert("precision".into(), json!(self.precision.name()));
        }
        Json::Object(map).to_string()
    }
}

pub(super) fn parameter_json(value: Value) -> Json {
    match value {
        Value::Whole(value) => json!(value),
        Value::Real(value) | Value::Absolute(value) => json!(value),
        Value::Flag(value) => json!(value),
        Value::Word(value) => json!(value),
        Value::Relative(value) => json!({ "rel": value }),
        Value::Crossing => Json::Null,
        Value::Fraction(over, under) => json!({ "over": over, "under": under }),
    }
}

/// Values with the names of the parameters that they are of.
pub(super) fn named<'v>(
    attack: &'static Attack,
    values: &'v [Value],
) -> impl Iterator<Item = (&'static str, Value)> + 'v {
    attack.parameters.iter().map(|parameter| parameter.name).zip(values.iter().copied())
}
