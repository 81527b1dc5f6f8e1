//! A model's outputs and inputs, as far as the grid has to know them.

use crate::attacks::Norm;
use crate::data::Dataset;
use crate::models::{Config, Head, Input};
use crate::sweep::moving;
use crate::sweep::study::{Amount, ClassName};

/// What the grid has to know of a model's outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Outputs {
    /// What they mean.
    pub head: Head,
    /// How many there are.
    pub count: usize,
    /// Names of the classes or findings; empty where there are none.
    pub names: Vec<String>,
    /// Findings that no sample is labelled with; there is nothing to attack about them.
    pub unlabelled: Vec<usize>,
    /// What the model reads.
    pub inputs: Vec<Input>,
    /// For each input the smallest and largest value in the unit of budgets, `None` where they are not the same for all of its features; empty
    /// where the data are not known.
    pub ranges: Vec<Option<[f64; 2]>>,
}

impl Outputs {
    /// The outputs of a model on data; where it names no classes, the data do.
    pub fn of(config: &Config, data: Option<&Dataset>) -> Self {
        let inputs = moving::inputs(config, data);
        let theirs = data.map_or(&[][..], |data| &data.classes);
        let names = if config.names_all_classes() { &config.class_names } else { theirs };
        let ranges = data.map_or(Vec::new(), |data| moving::ranges(&data.domain, &inputs));
        let labelled = data.map_or(Vec::new(), Dataset::labelled);
        let unlabelled = (0..labelled.len()).filter(|&finding| labelled[finding] == 0).collect();
        let (head, count) = (config.head, config.classes());
        Self { head, count, names: names.to_vec(), unlabelled, inputs, ranges }
    }

    /// An amount for the input of this name (else the first that moves by the norm) in its unit; of an unknown input a number that stands for
    /// it. The error says in what range the values lie, where a fraction could mean several things.
    pub(in crate::sweep) fn units(
        &self,
        input: Option<&str>,
        norm: Norm,
        amount: Amount,
    ) -> Result<f64, (String, String)> {
        let main = moving::main(&self.inputs, input, norm);
        let at = self.inputs.iter().position(|input| main.is_some_and(|main| main.name == input.name));
        match (amount, self.ranges.get(at.unwrap_or(0))) {
            (Amount::Units(units), _) => Ok(units),
            (fraction, None) => Ok(fraction.in_unknown_units()),
            (_, Some(None)) => Err(("features each have a range of their own".into(), String::new())),
            (fraction, Some(Some(range))) => fraction.in_units(*range).ok_or_else(|| {
                let whole = fraction.range_around(*range).filter(|_| self.inputs.len() < 2);
                let mend = whole.map(|high| format!("; bounds = [0, {high}] in [[data]] says that they do"));
                (format!("values lie between {} and {}", range[0], range[1]), mend.unwrap_or_default())
            }),
        }
    }

    /// The findings that are attacked one by one; a softmax or a single logit is one decision.
    pub(super) fn findings(&self) -> Vec<Option<usize>> {
        match (self.head, self.count) {
            (Head::Sigmoid, 2..) => {
                (0..self.count).filter(|finding| !self.unlabelled.contains(finding)).map(Some).collect()
            }
            _ => vec![None],
        }
    }

    /// The names of the classes that a decision is between, and how many they are.
    pub(in crate::sweep) fn decision(&self) -> (Vec<String>, usize) {
        match (self.head, self.count) {
            (Head::Softmax, count) => (self.names.clone(), count),
            (Head::Sigmoid, 1) if self.names.len() == 2 => (self.names.clone(), 2),
            (Head::Sigmoid, _) => (vec!["absent".into(), "present".into()], 2),
        }
    }

    pub(super) fn class(&self, name: &ClassName) -> Result<u32, String> {
        let (names, count) = self.decision();
        let found = match name {
            ClassName::Index(index) => Some(*index as usize).filter(|index| *index < count),
            ClassName::Name(name) => names.iter().take(count).position(|other| other == name),
        };
        found.map(|class| class as u32).ok_or_else(|| match names.is_empty() {
            true => format!("a class from 0 to {}", count - 1),
            false => format!("a class from 0 to {}, or one of {}", count - 1, names.join(", ")),
        })
    }
}
