//! `[[attack]]`: what is done, every value a ladder.

use std::sync::Arc;

use super::amount::{Amount, amount, positive};
use super::budgets::{BesideAmount, Budget, beside, budgets, refuse_beside, refuse_norms};
use super::data_table::DataEntry;
use super::ladder::{Rung, rungs};
use super::subjects::{DefenseEntry, ModelEntry, chosen_defenses, positions};
use crate::Result;
use crate::attacks::{self, Attack, Kind, Parameter, REGISTRY, Value};
use crate::document::{Item, Table, whole_from};
use crate::spelling::hint;

/// Keys that every attack table has.
const KEYS: [&str; 12] = [
    "kind", "aim", "target", "budget", "input", "beside", "curve", "stop", "save", "models", "data",
    "defenses",
];

/// What counts as success.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Aim {
    /// Any wrong answer, on every sample.
    Any,
    /// Finding to none: class 0, on samples of other classes.
    Hide,
    /// None to finding: any class but 0, on samples of class 0.
    Raise,
    /// One class, on samples of the others.
    Target,
}

impl Aim {
    /// Its name in studies and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Hide => "hide",
            Self::Raise => "raise",
            Self::Target => "target",
        }
    }
}

/// An aim, with the class if it wants one.
#[derive(Clone, Debug, PartialEq)]
pub struct Goal {
    /// The aim.
    pub aim: Aim,
    /// The wanted class, for [`Aim::Target`].
    pub target: Option<ClassName>,
    /// The line of the key.
    pub line: usize,
}

/// A class as a study names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClassName {
    /// By its number.
    Index(u32),
    /// By its name.
    Name(String),
}

/// When a lane ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Stop {
    /// At its first success.
    #[default]
    Success,
    /// When all steps are done; the last iterate is judged.
    Steps,
}

impl Stop {
    /// Its name in studies and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Steps => "steps",
        }
    }
}

/// How a ladder of budgets is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Curve {
    /// Every budget is run.
    #[default]
    Grid,
    /// Each sample's smallest breaking budget is found by bisection. What broke a sample lies within every larger budget; that a sample
    /// which withstood a budget withstands smaller ones is assumed.
    Bisect,
}

impl Curve {
    /// Its name in studies and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Grid => "grid",
            Self::Bisect => "bisect",
        }
    }
}

/// Which adversarial inputs are stored. They are patient data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Save {
    /// None.
    #[default]
    None,
    /// Those that succeed.
    Successes,
    /// Every one.
    All,
}

impl Save {
    /// Its name in studies.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Successes => "successes",
            Self::All => "all",
        }
    }
}

/// A parameter's ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The parameter's key.
    pub name: &'static str,
    /// For each of the table's attacks the values, empty where it lacks the parameter.
    pub values: Vec<Vec<Value>>,
}

/// An `[[attack]]` table.
#[derive(Clone, Debug)]
pub struct AttackTable {
    /// The line of its header.
    pub line: usize,
    /// The attacks.
    pub attacks: Vec<&'static Attack>,
    /// Aims, one for every target class.
    pub goals: Vec<Goal>,
    /// Budgets, in the file's order.
    pub budgets: Vec<Budget>,
    /// The model's input that the budgets are for; `None` is the first that can move.
    pub input: Option<Arc<str>>,
    /// What else moves: of every alternative the inputs with their budgets, none at first.
    pub beside: Vec<Arc<[BesideAmount]>>,
    /// How the ladders of budgets are answered.
    pub curve: Curve,
    /// When lanes end.
    pub stops: Vec<Stop>,
    /// Which inputs are stored.
    pub save: Save,
    /// Parameters that the study sets.
    pub settings: Vec<Setting>,
    /// Models it is for, as positions.
    pub models: Vec<usize>,
    /// Data sets it is for, as positions.
    pub data: Vec<usize>,
    /// Defences it is for, as positions.
    pub defenses: Vec<usize>,
}

/// What the filters of an attack table choose from.
pub(super) struct Ids<'s> {
    pub(super) models: &'s [ModelEntry],
    pub(super) data: &'s [DataEntry],
    pub(super) defenses: &'s [DefenseEntry],
}

/// Reads an `[[attack]]` table.
pub(super) fn read(table: &Table, ids: &Ids) -> Result<AttackTable> {
    let attacks = kinds(&table.require("kind", "the name of an attack, or a list of them")?)?;
    let budgets = budgets(table)?;
    refuse_norms(table, &attacks, &budgets)?;
    let beside = table.read("beside", beside)?.unwrap_or_else(|| vec![[].into()]);
    refuse_beside(table, &attacks, &beside)?;
    let stops = table.read("stop", |item| item.values()?.iter().map(stop).collect::<Result<Vec<Stop>>>())?;
    let curve = table.read("curve", curve)?.unwrap_or_default();
    refuse_bisected_steps(table, curve, stops.as_deref().unwrap_or_default())?;
    let read = AttackTable {
        line: table.line(),
        settings: settings(table, &attacks)?,
        attacks,
        goals: goals(table)?,
        budgets,
        input: table.read("input", |item| only(item)?.text().map(Arc::from))?,
        beside,
        curve,
        stops: stops.unwrap_or_else(|| vec![Stop::default()]),
        save: table.read("save", save)?.unwrap_or_default(),
        models: filter(table, "models", "[[model]] table", ids.models.iter().map(|entry| entry.id.as_str()))?,
        data: filter(table, "data", "[[data]] table", ids.data.iter().map(|entry| entry.id.as_str()))?,
        defenses: defenses(table, ids.defenses)?,
    };
    if !read.models.iter().any(|&model| ids.models[model].data.iter().any(|data| read.data.contains(data))) {
        return Err(table.error(
            "data",
            "no model on any of these data sets",
            "at least one model on its data",
        ));
    }
    Ok(read)
}

fn kinds(item: &Item) -> Result<Vec<&'static Attack>> {
    let names: Vec<&str> = REGISTRY.iter().map(|attack| attack.name).collect();
    let mut kinds: Vec<&'static Attack> = Vec::new();
    for value in item.values()? {
        let found = value.word()?;
        let attack = attacks::find(found)
            .ok_or_else(|| value.error(format!("an attack: {}{}", names.join(", "), hint(found, &names))))?;
        if kinds.iter().any(|other| other.name == attack.name) {
            return Err(value.error("each attack once"));
        }
        kinds.push(attack);
    }
    Ok(kinds)
}

fn goals(table: &Table) -> Result<Vec<Goal>> {
    let mut goals = Vec::new();
    if let Some(item) = table.get("aim") {
        for value in item.values()? {
            let word = value
                .word()
                .map_err(|_| value.error("any, hide or raise; a class is given as target = CLASS"))?;
            let aim = match word {
                "any" => Aim::Any,
                "hide" => Aim::Hide,
                "raise" => Aim::Raise,
                "target" => return Err(value.error("any, hide or raise; a class is given as target = CLASS")),
                found => {
                    return Err(
                        value.error(format!("any, hide or raise{}", hint(found, &["any", "hide", "raise"])))
                    );
                }
            };
            goals.push(Goal { aim, target: None, line: value.line() });
        }
    }
    if let Some(item) = table.get("target") {
        for rung in rungs(&item)? {
            let class = match rung.item.word() {
                Ok(name) => ClassName::Name(name.to_string()),
                Err(_) => ClassName::Index(
                    whole(&rung, 0, u64::from(u32::MAX))
                        .map_err(|_| rung.item.error_found(rung.found(), "a class, by number or name"))?
                        as u32,
                ),
            };
            goals.push(Goal { aim: Aim::Target, target: Some(class), line: rung.item.line() });
        }
    }
    if goals.is_empty() {
        goals.push(Goal { aim: Aim::Any, target: None, line: table.line() });
    }
    Ok(goals)
}

fn stop(item: &Item) -> Result<Stop> {
    match item.choice(&["success", "steps"])? {
        "steps" => Ok(Stop::Steps),
        _ => Ok(Stop::Success),
    }
}

/// The value of a key that multiplies nothing.
fn only<'i, 't>(item: &'i Item<'t>) -> Result<&'i Item<'t>> {
    if item.is_list() {
        return Err(
            item.error("one value: this key takes no list; another value is another [[attack]] table")
        );
    }
    Ok(item)
}

fn curve(item: &Item) -> Result<Curve> {
    match only(item)?.choice(&["grid", "bisect"])? {
        "bisect" => Ok(Curve::Bisect),
        _ => Ok(Curve::Grid),
    }
}

/// A search ends a sample at the smallest budget that breaks it: nothing pushes it as far as it goes at the others.
fn refuse_bisected_steps(table: &Table, curve: Curve, stops: &[Stop]) -> Result<()> {
    if curve == Curve::Grid || !stops.contains(&Stop::Steps) {
        return Ok(());
    }
    Err(table.error("stop", "\"steps\" with curve = \"bisect\"", "stop = \"success\", or curve = \"grid\""))
}

fn save(item: &Item) -> Result<Save> {
    match only(item)?.choice(&["none", "successes", "all"])? {
        "all" => Ok(Save::All),
        "successes" => Ok(Save::Successes),
        _ => Ok(Save::None),
    }
}

/// The defences of models that are there; one that trains models, or looks at their training, is for other threats.
fn defenses(table: &Table, all: &[DefenseEntry]) -> Result<Vec<usize>> {
    let expected =
        "a defence of a model that is there; this one is for [[poisoning]], [[backdoor]] or [[membership]]";
    chosen_defenses(table, all, |entry| entry.privacy.is_none() && entry.detector.is_none(), expected)
}

pub(super) fn filter<'a>(
    table: &Table,
    key: &str,
    what: &str,
    ids: impl Iterator<Item = &'a str>,
) -> Result<Vec<usize>> {
    let ids: Vec<&str> = ids.collect();
    let chosen = table.read(key, |item| positions(item, what, &ids))?;
    Ok(chosen.unwrap_or_else(|| (0..ids.len()).collect()))
}

/// The keys that are parameters of an attack. A key that none of the listed attacks has, but another attack, is no error: the list of kinds
/// may be shortened without touching the rest of the table, and the plan says which keys were ignored.
fn settings(table: &Table, attacks: &[&'static Attack]) -> Result<Vec<Setting>> {
    let mut settings = Vec::new();
    for (key, item) in table.entries().filter(|(key, _)| !KEYS.contains(key)) {
        let Some(parameter) = REGISTRY.iter().find_map(|attack| attack.parameter(key)) else {
            return Err(unknown_key(table, key, attacks));
        };
        let mut values = Vec::new();
        for attack in attacks {
            values.push(match attack.parameter(key) {
                Some(own) => ladder(&item, own)?,
                None => Vec::new(),
            });
        }
        if values.iter().all(Vec::is_empty) {
            ladder(&item, parameter)?;
        }
        settings.push(Setting { name: parameter.name, values });
    }
    Ok(settings)
}

fn unknown_key(table: &Table, key: &str, attacks: &[&'static Attack]) -> crate::Error {
    if let ("eps" | "norm" | "epsilon", Some(item)) = (key, table.get(key)) {
        return item.error_found("an unknown key", "budget = [{ norm = \"linf\", eps = [1, 2, 4] }]");
    }
    let mut known: Vec<&str> = KEYS.to_vec();
    for parameter in attacks.iter().flat_map(|attack| attack.parameters) {
        if !known.contains(&parameter.name) {
            known.push(parameter.name);
        }
    }
    table.unknown(key, &known)
}

/// The values of a parameter, checked against its type and range; a number that `logspace` made is rounded for a whole number.
pub(super) fn ladder(item: &Item, parameter: &Parameter) -> Result<Vec<Value>> {
    let mut values: Vec<Value> = Vec::new();
    for rung in rungs(item)? {
        for value in rung_values(&rung, parameter.kind)? {
            // Rounding makes equal numbers; a repetition that the user wrote is collapsed with the grid's duplicates.
            if rung.made.is_none() || !values.contains(&value) {
                values.push(value);
            }
        }
    }
    Ok(values)
}

fn rung_values(rung: &Rung, kind: Kind) -> Result<Vec<Value>> {
    let one = match kind {
        Kind::Whole(low, high) => Value::Whole(whole(rung, low, high)?),
        Kind::Real(low, high) => {
            let expected = format!("a number from {low} to {high}");
            let value = rung.number().map_err(|_| rung.item.error(&expected))?;
            if !(low..=high).contains(&value) {
                return Err(rung.item.error_found(rung.found(), expected));
            }
            Value::Real(value)
        }
        Kind::Flag => Value::Flag(rung.item.flag()?),
        Kind::Choice(words) => Value::Word(rung.item.choice(words)?),
        Kind::Or(other, words) => return value_or_word(rung, *other, words),
        Kind::StepSize => return step_sizes(rung),
    };
    Ok(vec![one])
}

/// A value of a kind, or one of these words.
fn value_or_word(rung: &Rung, kind: Kind, words: &'static [&'static str]) -> Result<Vec<Value>> {
    let Ok(found) = rung.item.word() else { return rung_values(rung, kind) };
    match words.iter().find(|word| **word == found) {
        Some(word) => Ok(vec![Value::Word(word)]),
        None => Err(rung.item.error(format!("a number, or {}{}", words.join(", "), hint(found, words)))),
    }
}

fn whole(rung: &Rung, low: u64, high: u64) -> Result<u64> {
    let Some(made) = rung.made else { return rung.item.whole(low, high) };
    if rung.under.is_some() {
        return Err(rung.item.error(whole_from(low, high)));
    }
    let rounded = made.round();
    if let Some(even) = rung.even.filter(|_| (made - rounded).abs() > 1e-6) {
        return Err(rung.item.error_found(rung.found(), whole_space(even)));
    }
    if (low as f64..=high as f64).contains(&rounded) {
        Ok(rounded as u64)
    } else {
        Err(rung.item.error_found(rung.found(), whole_from(low, high)))
    }
}

/// A `linspace` between these ends that is whole numbers alone, of about as many.
fn whole_space([a, b, count]: [f64; 3]) -> String {
    let (a, b) = (a.round(), b.round());
    let distance = (b - a).abs() as u64;
    let fits = |n: &u64| distance.is_multiple_of(n - 1);
    let nearest = (2..=distance.min(10_000) + 1)
        .filter(fits)
        .min_by_key(|n| (n.abs_diff(count as u64), std::cmp::Reverse(*n)));
    format!("whole numbers alone, as linspace = [{a}, {b}, {}] has them", nearest.unwrap_or(2))
}

/// A number, `{ abs = ... }` or `{ rel = ... }`, whose values may be ladders themselves.
fn step_sizes(rung: &Rung) -> Result<Vec<Value>> {
    let expected =
        "a positive number in the data's unit, a fraction such as \"2/255\", or { rel = NUMBER } times eps";
    let table = match rung.made {
        None => rung.item.as_table(),
        Some(_) => None,
    };
    let Some(table) = table else {
        let number = rung.under.is_some()
            || rung.number().is_ok()
            || rung.item.word().is_ok_and(|word| word.contains('/'));
        if !number {
            return Err(rung.item.error(expected));
        }
        return amount(rung).map(|amount| vec![step_size(amount)]);
    };
    table.allow(&["abs", "rel"])?;
    let lengths = |item: &Item| rungs(item)?.iter().map(amount).collect::<Result<Vec<Amount>>>();
    let shares = |item: &Item| rungs(item)?.iter().map(positive).collect::<Result<Vec<f64>>>();
    match (table.read("abs", lengths)?, table.read("rel", shares)?) {
        (Some(values), None) => Ok(values.into_iter().map(step_size).collect()),
        (None, Some(values)) => Ok(values.into_iter().map(Value::Relative).collect()),
        _ => Err(rung.item.error(expected)),
    }
}

fn step_size(amount: Amount) -> Value {
    match amount {
        Amount::Units(length) => Value::Absolute(length),
        Amount::Fraction { over, under } => Value::Fraction(over, under),
    }
}
