//! Cells of the threats that train models: the cartesian product of a study's tables, and names by content.

use std::collections::HashSet;

use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use crate::attacks::threats::{Declared, Threat};
use crate::attacks::{Knowledge, Value};
use crate::models::hex;
use crate::results::Text;
use crate::sweep::grid::{for_each_combination, parameter_json};
use crate::sweep::study::{Study, ThreatTable};
use crate::{Error, Result};

/// Cells of one study at most.
const MOST_CELLS: usize = 200_000;
/// Raised when the meaning of a configuration changes without any of its words.
const VERSION: u32 = 1;

/// One configuration of one attack on one recipe.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedCell {
    /// The threat.
    pub threat: Threat,
    /// The attack's name.
    pub kind: &'static str,
    /// Its revision.
    pub revision: u32,
    /// What its adversary knows.
    pub knowledge: Knowledge,
    /// The recipe's position in the study.
    pub recipe: usize,
    /// The defence's position in the study.
    pub defense: usize,
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
        for (name, value) in &self.parameters {
            map.insert((*name).into(), parameter_json(*value));
        }
        Json::Object(map).to_string()
    }

    /// Its id: 32 hexadecimal digits of the SHA-256 of its configuration and of what it is computed from.
    pub fn id(&self, study: &Study, recipe_sha256: &str, test_set_sha256: &str) -> Text {
        let defense = &study.defenses[self.defense];
        let privacy = defense
            .privacy
            .map(|p| json!({ "epsilon": p.epsilon, "delta": p.delta, "clip_norm": p.clip_norm }));
        let mut all = json!({
            "version": VERSION,
            "recipe": recipe_sha256,
            "test": test_set_sha256,
            "defense": defense.kind,
            "privacy": privacy,
            "cell": self.params_json(),
        });
        if let Some(detector) = &defense.detector {
            let own = detector.parameters.iter();
            let own: Map<String, Json> =
                own.map(|(name, value)| ((*name).into(), parameter_json(*value))).collect();
            all["detector"] = json!({ "revision": detector.revision, "parameters": own });
        }
        hex(&Sha256::digest(all.to_string().as_bytes()))[..32].into()
    }
}

/// All cells of a study's threats that train models, each once, in its order: by recipe, then by table.
///
/// # Errors
/// Too many.
pub fn cells(study: &Study) -> Result<Vec<TrainedCell>> {
    let (mut cells, mut known) = (Vec::new(), HashSet::new());
    for recipe in 0..study.recipes.len() {
        for table in study.threats.iter().filter(|table| table.recipes.contains(&recipe)) {
            for (which, kind) in table.kinds.iter().enumerate() {
                for_each_combination(&own_values(table, which, kind), |parameters| {
                    for (&defense, &seed) in table
                        .defenses
                        .iter()
                        .flat_map(|defense| study.seeds.iter().map(move |seed| (defense, seed)))
                    {
                        let knowledge = kind.knowledge_under(&parameters);
                        let Declared { name: kind, revision, .. } = *kind;
                        let (threat, parameters) = (table.threat, parameters.clone());
                        let cell = TrainedCell {
                            threat,
                            kind,
                            revision,
                            knowledge,
                            recipe,
                            defense,
                            parameters,
                            seed,
                        };
                        if known.insert((recipe, defense, cell.params_json())) {
                            cells.push(cell);
                        }
                    }
                    full(study, table, cells.len())
                })?;
            }
        }
    }
    Ok(cells)
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
