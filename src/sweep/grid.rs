//! From a study to cells: the cartesian product of everything in it, each different cell once.

mod outputs;

use percuss_kernels::Precision;
use std::collections::HashMap;
use std::sync::Arc;

pub use self::outputs::Outputs;
pub use super::cell::Cell;
use super::cell::named;
use super::moving;
use super::study::{
    Aim, Amount, AttackTable, Beside, BesideAmount, ClassName, Curve, Goal, Setting, Stop, Study,
};
use crate::attacks::{Attack, Norm, Value};
use crate::data::labels::nothing_found;
use crate::digest::{Digest, digest};
use crate::models::Input;
use crate::{Error, Result};

/// Cells of one study at most: a slip in a study file must not fill the memory.
const MOST_CELLS: usize = 2_000_000;

/// How one `[[attack]]` table became cells: `product = norm_lacking + keys_lacking + seeds_alike + repeated + cells`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableCount {
    /// The line of the table.
    pub line: usize,
    /// Everything multiplied with everything.
    pub product: u64,
    /// Left out because the attack lacks the norm.
    pub norm_lacking: u64,
    /// Left out because the attack lacks the key.
    pub keys_lacking: u64,
    /// Left out because a seed changes nothing.
    pub seeds_alike: u64,
    /// Left out because an equal cell is there already (of this table or one before).
    pub repeated: u64,
    /// Cells that are new.
    pub cells: u64,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// All cells of a study, in its order: by model, data and defence, then by table.
#[derive(Clone, Debug)]
pub struct Grid {
    /// The cells, no two alike.
    pub cells: Vec<Cell>,
    /// The arithmetic, one entry a table.
    pub tables: Vec<TableCount>,
}

impl Grid {
    /// Multiplies a study out. `outputs` says what is known of a model (first) on a data set (second); of an unknown one the cells are
    /// counted as if it had one decision between classes of any name.
    ///
    /// # Errors
    /// A study without attacks, a target class that a model does not have, more than two million cells.
    pub fn new(study: &Study, outputs: impl Fn(usize, usize) -> Option<Outputs>) -> Result<Self> {
        if study.attacks.is_empty() && study.threats.is_empty() {
            return Err(study.error(
                "attack",
                "no such table",
                "at least one [[attack]] table, or one of another threat",
            ));
        }
        let notes = study.attacks.iter().map(|table| TableCount {
            line: table.line,
            notes: notes(table),
            ..TableCount::default()
        });
        let mut builder = Builder {
            study,
            grid: Self { cells: Vec::new(), tables: notes.collect() },
            known: HashMap::new(),
        };
        for (model, entry) in study.models.iter().enumerate() {
            for &data in &entry.data {
                let outputs = outputs(model, data);
                for (defense, _) in study.defenses.iter().enumerate() {
                    builder.add_subject(model, data, defense, outputs.as_ref())?;
                }
            }
        }
        Ok(builder.grid)
    }
}

struct Builder<'s> {
    study: &'s Study,
    grid: Grid,
    /// Where each cell is, by a digest of everything that sets it apart: the texts themselves would take more room than the cells.
    known: HashMap<Digest, usize>,
}

impl Builder<'_> {
    fn add_subject(
        &mut self,
        model: usize,
        data: usize,
        defense: usize,
        outputs: Option<&Outputs>,
    ) -> Result<()> {
        let findings = outputs.map_or(vec![None], Outputs::findings);
        for (position, table) in self.study.attacks.iter().enumerate() {
            let asked = table.models.contains(&model)
                && table.data.contains(&data)
                && table.defenses.contains(&defense);
            if !asked {
                continue;
            }
            if let Some(outputs) = outputs {
                moving::check(self.study, table, &outputs.inputs, model)?;
            }
            for goal in &table.goals {
                let target = self.target(goal, outputs, model)?;
                for &finding in &findings {
                    let aim = goal.aim;
                    let frame =
                        Frame { table, position, model, data, defense, outputs, aim, target, finding };
                    self.add_attacks(&frame)?;
                }
            }
        }
        Ok(())
    }

    fn target(&self, goal: &Goal, outputs: Option<&Outputs>, model: usize) -> Result<Option<u32>> {
        if let Some(outputs) = outputs.filter(|_| matches!(goal.aim, Aim::Hide | Aim::Raise)) {
            self.check_direction(goal, outputs, model)?;
        }
        let Some(name) = &goal.target else { return Ok(None) };
        let class = match (outputs, name) {
            (Some(outputs), _) => outputs.class(name),
            (None, ClassName::Index(index)) => Ok(*index),
            (None, ClassName::Name(_)) => Ok(unknown_class(self.study, name)),
        };
        class.map(Some).map_err(|expected| {
            let found = match name {
                ClassName::Index(index) => index.to_string(),
                ClassName::Name(name) => format!("{name:?}"),
            };
            let place = format!("line {}, attack.target", goal.line);
            self.study.error(place, found, format!("{expected} (model {})", self.study.models[model].id))
        })
    }

    /// Hide and raise take output 0 for the class where nothing is found; where another one calls itself so they would do the opposite.
    fn check_direction(&self, goal: &Goal, outputs: &Outputs, model: usize) -> Result<()> {
        let (names, count) = outputs.decision();
        let names = &names[..count.min(names.len())];
        let Some(none) = nothing_found(names).filter(|none| *none > 0) else { return Ok(()) };
        let instead = match (goal.aim, names) {
            (Aim::Raise, [finding, _]) => format!("target = {finding:?}"),
            (Aim::Raise, _) => "target = a class".to_string(),
            _ => format!("target = {:?}", names[none]),
        };
        let found = format!(
            "{:?}, which takes output 0, {}, for the class where nothing is found",
            goal.aim.name(),
            names[0]
        );
        let expected = format!(
            "{instead}: that class is output {none}, {} (model {})",
            names[none], self.study.models[model].id
        );
        Err(self.study.error(format!("line {}, attack.aim", goal.line), found, expected))
    }

    fn add_attacks(&mut self, frame: &Frame) -> Result<()> {
        let seeds = self.study.seeds.len() as u64;
        let table = frame.table;
        let rungs: u64 = table.settings.iter().map(|setting| longest(setting) as u64).product();
        for (which, attack) in table.attacks.iter().copied().enumerate() {
            let choices = own_values(table, which, attack);
            let ways = choices.iter().fold(1u64, |n, (_, values)| n.saturating_mul(values.len() as u64));
            if ways > MOST_CELLS as u64 {
                return Err(self.too_many(frame.position));
            }
            let combinations = combinations(attack, &choices)?;
            for budget in &table.budgets {
                let units = |amount: &Amount| frame.units(self.study, budget.norm, *amount);
                let points = (budget.eps.len() * table.stops.len()) as u64;
                let counts = &mut self.grid.tables[frame.position];
                let beside = table.beside.len() as u64;
                let points = points.saturating_mul(beside);
                let product = points.saturating_mul(rungs).saturating_mul(seeds);
                counts.product = counts.product.saturating_add(product);
                if !attack.norms.contains(&budget.norm) {
                    counts.norm_lacking = counts.norm_lacking.saturating_add(product);
                    continue;
                }
                counts.keys_lacking +=
                    product.saturating_sub(points.saturating_mul(ways).saturating_mul(seeds));
                let budgets = budget.eps.iter().map(units).collect::<Result<Vec<f64>>>()?;
                let ladder = ladder(table.curve, &budgets);
                let own = |values| frame.in_units(self.study, budget.norm, values);
                let combinations = combinations.iter().map(own).collect::<Result<Vec<_>>>()?;
                let besides = table.beside.iter().map(|all| frame.besides(self.study, all));
                let besides = besides.collect::<Result<Vec<_>>>()?;
                for &eps in &budgets {
                    for &stop in &table.stops {
                        for (values, beside) in each_with_each(&combinations, &besides) {
                            let mut cell = frame.cell(attack, budget.norm, eps, stop, values.clone());
                            cell.beside = beside.clone();
                            cell.precision = self.study.precision;
                            // A ladder of leaps costs one gradient as it is.
                            cell.bisected = ladder.clone().filter(|_| !cell.leaps());
                            self.add_seeds(frame.position, cell)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn add_seeds(&mut self, position: usize, cell: Cell) -> Result<()> {
        if cell.deterministic() {
            self.grid.tables[position].seeds_alike += self.study.seeds.len() as u64 - 1;
            return self.add(position, cell);
        }
        for &seed in &self.study.seeds {
            self.add(position, Cell { seed, ..cell.clone() })?;
        }
        Ok(())
    }

    fn add(&mut self, position: usize, cell: Cell) -> Result<()> {
        let key = digest(&format!("{} {} {} {}", cell.model, cell.data, cell.defense, cell.params_json()));
        if let Some(&known) = self.known.get(&key) {
            let kept = &mut self.grid.cells[known];
            kept.save = kept.save.max(cell.save);
            self.grid.tables[position].repeated += 1;
            return Ok(());
        }
        if self.grid.cells.len() == MOST_CELLS {
            return Err(self.too_many(position));
        }
        self.known.insert(key, self.grid.cells.len());
        self.grid.cells.push(cell);
        self.grid.tables[position].cells += 1;
        Ok(())
    }

    fn too_many(&self, position: usize) -> Error {
        let place = format!("line {}, attack", self.grid.tables[position].line);
        let found = format!("more than {MOST_CELLS} cells");
        self.study.error(place, found, "fewer; several studies can share them")
    }
}

/// What the cells of one table on one subject have in common.
struct Frame<'s> {
    table: &'s AttackTable,
    position: usize,
    model: usize,
    data: usize,
    defense: usize,
    /// The model's, where it is known.
    outputs: Option<&'s Outputs>,
    aim: Aim,
    target: Option<u32>,
    finding: Option<usize>,
}

impl Frame<'_> {
    fn inputs(&self) -> &[Input] {
        self.outputs.map_or(&[], |outputs| &outputs.inputs)
    }

    /// An amount of the table in the data's unit.
    fn units(&self, study: &Study, norm: Norm, amount: Amount) -> Result<f64> {
        self.units_of(study, moving::asked(self.table, self.inputs()).as_deref(), norm, amount)
    }

    /// The budgets of what moves beside, each in the unit of its input.
    fn besides(&self, study: &Study, written: &[BesideAmount]) -> Result<Arc<[Beside]>> {
        let one = |BesideAmount { input, norm, eps }: &BesideAmount| {
            let eps = self.units_of(study, Some(input), *norm, *eps)?;
            Ok(Beside { input: input.clone(), norm: *norm, eps })
        };
        written.iter().map(one).collect()
    }

    /// An amount for the input of this name, or for the first that moves by the norm.
    fn units_of(&self, study: &Study, input: Option<&str>, norm: Norm, amount: Amount) -> Result<f64> {
        let Some(outputs) = self.outputs else { return Ok(amount.in_unknown_units()) };
        outputs.units(input, norm, amount).map_err(|(range, mend)| {
            let place = format!("line {}, attack", self.table.line);
            let found = format!("{amount} for data {}, whose {range}", study.data[self.data].id);
            let expected = format!(
                "a number in the data's unit; a fraction is for values from 0 to 1, or from 0 to its denominator{mend}"
            );
            study.error(place, found, expected)
        })
    }

    /// The table's values with every step size in the data's unit.
    fn in_units(&self, study: &Study, norm: Norm, values: &Arc<[Value]>) -> Result<Arc<[Value]>> {
        let written = |value: &Value| match *value {
            Value::Fraction(over, under) => {
                self.units(study, norm, Amount::Fraction { over, under }).map(Value::Absolute)
            }
            value => Ok(value),
        };
        if !values.iter().any(|value| matches!(value, Value::Fraction(..))) {
            return Ok(values.clone());
        }
        values.iter().map(written).collect()
    }

    fn cell(&self, attack: &'static Attack, norm: Norm, eps: f64, stop: Stop, values: Arc<[Value]>) -> Cell {
        Cell {
            model: self.model,
            data: self.data,
            defense: self.defense,
            attack,
            norm,
            eps,
            input: moving::named(&moving::asked(self.table, self.inputs()), self.inputs(), norm),
            beside: [].into(),
            aim: self.aim,
            target: self.target,
            finding: self.finding,
            stop,
            save: self.table.save,
            seed: 0,
            bisected: None,
            values,
            precision: Precision::F32,
        }
    }
}

/// Stands for a class of an unknown model; equal names are equal classes.
fn unknown_class(study: &Study, name: &ClassName) -> u32 {
    let goals = study.attacks.iter().flat_map(|table| &table.goals);
    let position = goals.filter_map(|goal| goal.target.as_ref()).position(|other| other == name);
    u32::MAX - position.unwrap_or_default() as u32
}

/// Every pair, the second varying fastest.
fn each_with_each<'a, A, B>(a: &'a [A], b: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    a.iter().flat_map(move |a| b.iter().map(move |b| (a, b)))
}

/// The budgets that a search chooses from, if there is to be one.
fn ladder(curve: Curve, eps: &[f64]) -> Option<Arc<[f64]>> {
    let mut ladder = eps.to_vec();
    ladder.sort_by(f64::total_cmp);
    ladder.dedup();
    (curve == Curve::Bisect).then(|| ladder.into())
}

fn longest(setting: &Setting) -> usize {
    setting.values.iter().map(Vec::len).max().unwrap_or(0).max(1)
}

/// For every parameter of the attack the values that the table asks for, or its default.
fn own_values(table: &AttackTable, which: usize, attack: &'static Attack) -> Vec<(&'static str, Vec<Value>)> {
    let asked = |name: &str| table.settings.iter().find(|setting| setting.name == name);
    let values = |parameter: &crate::attacks::Parameter| match asked(parameter.name) {
        Some(setting) => setting.values[which].clone(),
        None => vec![parameter.default],
    };
    attack.parameters.iter().map(|parameter| (parameter.name, values(parameter))).collect()
}

/// Every combination of the choices for an attack's parameters, the last varying fastest.
fn combinations(
    attack: &'static Attack,
    choices: &[(&'static str, Vec<Value>)],
) -> Result<Vec<Arc<[Value]>>> {
    let mut all = Vec::new();
    for_each_combination(choices, |parameters| {
        let mut values: Vec<Value> = parameters.into_iter().map(|(_, value)| value).collect();
        let get =
            |name: &str| named(attack, &values).find(|(other, _)| *other == name).map(|(_, value)| value);
        if (attack.deterministic)(&|name| get(name).unwrap_or(Value::Flag(false))) {
            // Runs that nothing random sets apart are one run.
            if let Some(at) = attack.parameters.iter().position(|parameter| parameter.name == "restarts") {
                values[at] = Value::Whole(1);
            }
        }
        all.push(values.into());
        Ok(())
    })?;
    Ok(all)
}

/// Calls `each` with every combination of the choices, the last varying fastest.
pub(super) fn for_each_combination(
    choices: &[(&'static str, Vec<Value>)],
    mut each: impl FnMut(Vec<(&'static str, Value)>) -> Result<()>,
) -> Result<()> {
    let mut at = vec![0; choices.len()];
    loop {
        each(choices.iter().zip(&at).map(|((name, values), &i)| (*name, values[i])).collect())?;
        let Some(place) = (0..at.len()).rev().find(|&place| at[place] + 1 < choices[place].1.len()) else {
            return Ok(());
        };
        at[place] += 1;
        at[place + 1..].fill(0);
    }
}

/// The keys and norms that some of a table's attacks lack.
fn notes(table: &AttackTable) -> Vec<String> {
    let mut notes = Vec::new();
    for setting in &table.settings {
        let lacking: Vec<&str> = table
            .attacks
            .iter()
            .zip(&setting.values)
            .filter(|(_, own)| own.is_empty())
            .map(|(a, _)| a.name)
            .collect();
        if !lacking.is_empty() {
            notes.push(format!("{} is ignored by {}", setting.name, lacking.join(", ")));
        }
    }
    for (which, attack) in table.attacks.iter().enumerate() {
        let has = |name: &str, is: &dyn Fn(&Value) -> bool| {
            let setting = table.settings.iter().find(|setting| setting.name == name);
            setting.is_some_and(|setting| setting.values[which].iter().any(is))
        };
        if has("restarts", &|value| *value != Value::Whole(1))
            && has("random_start", &|value| *value == Value::Flag(false))
        {
            notes.push(format!(
                "restarts is ignored by {} where random_start = false: runs would be alike",
                attack.name
            ));
        }
        let mut lacking: Vec<&str> =
            table.budgets.iter().filter(|b| !attack.norms.contains(&b.norm)).map(|b| b.norm.name()).collect();
        lacking.dedup();
        if !lacking.is_empty() {
            notes.push(format!("{} has no {}", attack.name, lacking.join(", no ")));
        }
    }
    notes
}
