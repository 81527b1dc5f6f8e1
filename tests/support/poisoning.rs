//! Poisoning attacks called by name, with parameters that differ from the default.

use percuss::attacks::Value;
use percuss::attacks::poisoning::{self, Aim, Order, Poisoned, Victim};
use percuss::data::{Dataset, Labels};

pub fn labels(data: &Dataset) -> &[u32] {
    match &data.labels {
        Labels::Class(labels) => labels,
        Labels::Findings(_) => panic!(),
    }
}

/// An attack's name, what is ordered, and the parameters that are not the default.
pub struct Try<'a> {
    pub name: &'a str,
    pub rate: f64,
    pub magnitude: f64,
    pub aim: Aim<'a>,
    pub seed: u64,
    pub set: &'a [(&'a str, Value)],
}

impl Default for Try<'_> {
    fn default() -> Self {
        Self { name: "label-flip", rate: 0.1, magnitude: 1.0, aim: Aim::Everybody, seed: 1, set: &[] }
    }
}

pub fn poison_with(victim: &mut Victim, tried: &Try) -> percuss::Result<Poisoned> {
    let attack = poisoning::find(tried.name).unwrap();
    let get = |name: &str| {
        let set = tried.set.iter().find(|(set, _)| *set == name).map(|(_, value)| *value);
        set.unwrap_or_else(|| attack.parameter(name).unwrap().default)
    };
    let Try { rate, magnitude, aim, seed, .. } = *tried;
    attack.poison(victim, &Order { rate, magnitude, aim, seed, get: &get })
}
