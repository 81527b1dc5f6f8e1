//! Cells of the threats that train models: the cartesian product of a study's tables, and names by content.

use std::collections::{BTreeMap, HashSet};

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::School;
use super::knowledge::Knowledge;
use crate::attacks::privacy::{self, Access};
use crate::attacks::threats::{Declared, Threat};
use crate::attacks::{Knowledge as Sees, Value};
use crate::models::hex;
use crate::results::Text;
use crate::sweep::cell::parameter_json;
use crate::sweep::grid::for_each_combination;
use crate::sweep::study::{Setting, Study, ThreatTable};
use crate::{Error, Result};

/// Cells of one study at most.
const MOST_CELLS: usize = 200_000;
/// Raised when the meaning of a configuration changes without any of its words.
const VERSION: u32 = 2;

/// One configuration of one attack on one recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedCell {
    /// The threat.
    pub threat: Threat,
    /// The attack's name.
    pub kind: &'static str,
    /// Its revision.
    pub revision: u32,
    /// What its adversary sees of the target.
    pub knowledge: Sees,
    /// The recipe's position in the study.
    pub recipe: usize,
    /// The defence's position in the study.
    pub defense: usize,
    /// The recipe of the adversary's shadow models, by its position and id, where it is not the target's.
    pub shadow_recipe: Option<(usize, String)>,
    /// Every parameter, in the order of declaration.
    pub parameters: Vec<(&'static str, Value)>,
    /// Of initial values, order and whatever the attack draws.
    pub seed: u64,
}

impl TrainedCell {
    /// The value of a parameter.
    pub fn parameter(&self, name: &str) -> Option<Value> {
        self.parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| *value)
    }

    /// The value of a parameter that the attack declares.
    ///
    /// # Panics
    /// If it does not.
    pub fn get(&self, name: &str) -> Value {
        self.parameter(name).unwrap_or_else(|| panic!("{} declares no parameter {name}", self.kind))
    }

    /// The value of a whole parameter, 0 where the attack lacks it.
    pub fn whole(&self, name: &str) -> u64 {
        match self.parameter(name) {
            Some(Value::Whole(value)) => value,
            _ => 0,
        }
    }

    /// The value of a real parameter, 0 where the attack lacks it.
    pub fn real(&self, name: &str) -> f64 {
        match self.parameter(name) {
            Some(Value::Real(value)) => value,
            _ => 0.0,
        }
    }

    /// The complete configuration as one line of JSON, keys in a fixed order.
    pub fn params_json(&self) -> String {
        let mut map = Map::new();
        map.insert("threat".into(), json!(self.threat.column()));
        map.insert("attack".into(), json!(self.kind));
        map.insert("revision".into(), json!(self.revision));
        map.insert("seed".into(), json!(self.seed));
        if let Some((_, id)) = &self.shadow_recipe {
            map.insert("shadow_recipe".into(), json!(id));
        }
        for (name, value) in &self.parameters {
            map.insert((*name).into(), parameter_json(*value));
        }
        Json::Object(map).to_string()
    }

    /// What a membership cell's adversary knows.
    pub(super) fn knows(&self) -> Knowledge {
        Knowledge::of(self.parameter("knows"))
    }

    /// Its id: 32 hexadecimal digits of the SHA-256 of its configuration and of what it is computed from; `schools` are one a recipe.
    pub fn id(&self, study: &Study, schools: &[School]) -> Text {
        let (defense, school) = (&study.defenses[self.defense], &schools[self.recipe]);
        let privacy = defense
            .privacy
            .map(|p| json!({ "epsilon": p.epsilon, "delta": p.delta, "clip_norm": p.clip_norm }));
        let mut all = json!({
            "version": VERSION,
            "recipe": school.sha256,
            "test": school.test_set_sha256,
            "defense": defense.kind,
            "privacy": privacy,
            "cell": self.params_json(),
        });
        if let Some((position, _)) = self.shadow_recipe {
            all["shadow_recipe"] = json!(schools[position].sha256);
        }
        if self.threat == Threat::Membership && self.knows() == Knowledge::Elsewhere {
            all["site"] = json!(school.prepared.file.site);
        }
        if let Some(detector) = &defense.detector {
            let own = detector.parameters.iter();
            let own: Map<String, Json> =
                own.map(|(name, value)| ((*name).into(), parameter_json(*value))).collect();
            all["detector"] = json!({ "revision": detector.revision, "parameters": own });
        }
        hex(&Sha256::digest(all.to_string().as_bytes()))[..32].into()
    }

    /// Why there can be no such cell, in words that complete "left out: ".
    fn refusal(&self) -> Option<&'static str> {
        let attack = privacy::find(self.kind).filter(|_| self.threat == Threat::Membership)?;
        let online = self.parameter("mode") == Some(Value::Word("online"));
        match self.knows() {
            Knowledge::Labels if attack.access != Access::Labels => {
                Some("an attack on scores where the adversary sees labels alone")
            }
            Knowledge::Distribution | Knowledge::Elsewhere if online => {
                Some("mode = \"online\" where no shadow model learns from a candidate")
            }
            _ => None,
        }
    }

    /// Leaves shadow models out where they would change nothing, so that cells which are the same are one.
    fn simplify(&mut self) {
        let Some(attack) = privacy::find(self.kind).filter(|_| self.threat == Threat::Membership) else {
            return;
        };
        if self.knows() == Knowledge::Labels || !attack.learns_from_shadows() {
            self.shadow_recipe = None;
            for (name, value) in &mut self.parameters {
                if *name == "shadows" {
                    *value = Value::Whole(0);
                }
            }
        }
    }
}

/// What became of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// The line of its header.
    pub line: usize,
    /// Its name.
    pub table: &'static str,
    /// Configurations before anything is left out.
    pub product: u64,
    /// How many were left out, by reason.
    pub left_out: BTreeMap<&'static str, u64>,
    /// Configurations that another one is already.
    pub repeated: u64,
    /// Cells.
    pub cells: u64,
    /// Keys that some of its attacks lack.
    pub notes: Vec<String>,
}

/// All cells of a study's threats that train models, each once, in its order: by recipe, then by table.
///
/// # Errors
/// Too many; a table of which nothing is left.
pub fn cells(study: &Study) -> Result<Vec<TrainedCell>> {
    multiply(study).map(|(cells, _)| cells)
}

/// [`cells`], and what became of each table.
///
/// # Errors
/// As [`cells`].
pub fn multiply(study: &Study) -> Result<(Vec<TrainedCell>, Vec<Tally>)> {
    let (mut cells, mut known) = (Vec::new(), HashSet::new());
    let mut tallies: Vec<Tally> = study.threats.iter().map(tally).collect();
    for recipe in 0..study.recipes.len() {
        for (table, tally) in study.threats.iter().zip(&mut tallies) {
            if !table.recipes.contains(&recipe) {
                continue;
            }
            for mut cell in product(study, table, recipe)? {
                tally.product += 1;
                if let Some(reason) = cell.refusal() {
                    *tally.left_out.entry(reason).or_default() += 1;
                    continue;
                }
                cell.simplify();
                if known.insert((recipe, cell.defense, cell.params_json())) {
                    tally.cells += 1;
                    cells.push(cell);
                } else {
                    tally.repeated += 1;
                }
            }
            full(study, table, cells.len())?;
        }
    }
    for (table, tally) in study.threats.iter().zip(&tallies) {
        if tally.cells + tally.repeated == 0 {
            let reasons: Vec<&str> = tally.left_out.keys().copied().collect();
            let place = format!("line {}, {}", table.line, table.threat.table());
            let found = format!("no cell is left: {}", reasons.join("; "));
            return Err(Error::input(study.file.display(), place, found, "at least one"));
        }
    }
    Ok((cells, tallies))
}

/// Every combination of a table's values for one recipe.
fn product(study: &Study, table: &ThreatTable, recipe: usize) -> Result<Vec<TrainedCell>> {
    let mut cells = Vec::new();
    for (which, kind) in table.kinds.iter().enumerate() {
        for shadow_recipe in &table.shadow_recipes {
            let other = shadow_recipe.filter(|other| *other != recipe);
            let shadow_recipe = other.map(|other| (other, study.recipes[other].id.clone()));
            for_each_combination(&own_values(table, which, kind), |parameters| {
                for &defense in &table.defenses {
                    for &seed in &study.seeds {
                        let knowledge = kind.knowledge_under(&parameters);
                        let Declared { name: kind, revision, .. } = *kind;
                        let (threat, parameters) = (table.threat, parameters.clone());
                        let shadow_recipe = shadow_recipe.clone();
                        cells.push(TrainedCell {
                            threat,
                            kind,
                            revision,
                            knowledge,
                            recipe,
                            defense,
                            shadow_recipe,
                            parameters,
                            seed,
                        });
                    }
                }
                full(study, table, cells.len())
            })?;
        }
    }
    Ok(cells)
}

fn tally(table: &ThreatTable) -> Tally {
    let lacking = |setting: &Setting| {
        let of = table.kinds.iter().zip(&setting.values).filter(|(_, own)| own.is_empty());
        let names: Vec<&str> = of.map(|(kind, _)| kind.name).collect();
        (!names.is_empty()).then(|| format!("{} is ignored by {}", setting.name, names.join(", ")))
    };
    let notes = table.settings.iter().filter_map(lacking).collect();
    Tally { line: table.line, table: table.threat.table(), notes, ..Tally::default() }
}

fn full(study: &Study, table: &ThreatTable, cells: usize) -> Result<()> {
    if cells <= MOST_CELLS {
        return Ok(());
    }
    let place = format!("line {}, {}", table.line, table.threat.table());
    let found = format!("more than {MOST_CELLS} cells");
    Err(Error::input(study.file.display(), place, found, "fewer; several studies can share them"))
}

/// For every parameter of the attack the values that the table asks for, or its default.
fn own_values(table: &ThreatTable, which: usize, kind: &Declared) -> Vec<(&'static str, Vec<Value>)> {
    let asked = |name: &str| table.settings.iter().find(|setting| setting.name == name);
    let values = |name: &str, default: Value| match asked(name) {
        Some(setting) if !setting.values[which].is_empty() => setting.values[which].clone(),
        _ => vec![default],
    };
    kind.parameters.iter().map(|one| (one.name, values(one.name, one.default))).collect()
}
