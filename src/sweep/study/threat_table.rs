//! `[[poisoning]]`, `[[backdoor]]` and `[[membership]]`: threats that train models, every value a ladder.

use super::attack_table::{Setting, filter, ladder};
use super::data_table::DataEntry;
use super::given_targets::{self, GivenTargets, given_targets};
use super::recipes::RecipeEntry;
use super::subjects::{DefenseEntry, ModelEntry, chosen_defenses, positions};
use crate::Result;
use crate::attacks::is_called;
use crate::attacks::threats::{Declared, Threat};
use crate::document::{Item, Table};
use crate::spelling::hint;

/// Keys that every such table has.
const KEYS: [&str; 3] = ["kind", "recipes", "defenses"];
/// A key that `[[membership]]` has besides.
const SHADOW_RECIPE: &str = "shadow_recipe";
/// Keys that it has for a target that is there already.
const GIVEN: [&str; 4] = ["target", "members", "nonmembers", "population"];

/// A table of one of the threats that train models.
#[derive(Clone, Debug)]
pub struct ThreatTable {
    /// The line of its header.
    pub line: usize,
    /// Which threat.
    pub threat: Threat,
    /// The attacks.
    pub kinds: Vec<Declared>,
    /// Recipes that it is for, as positions; none where the targets are given.
    pub recipes: Vec<usize>,
    /// Targets that are not trained here.
    pub given: Option<GivenTargets>,
    /// Defences that it is for, as positions.
    pub defenses: Vec<usize>,
    /// Recipes that the adversary's shadow models are trained by, as positions; `None` for the target's own, which is the default.
    pub shadow_recipes: Vec<Option<usize>>,
    /// Parameters that the study sets.
    pub settings: Vec<Setting>,
}

/// What the keys of a threat's table choose from.
#[derive(Clone, Copy)]
pub(super) struct Ids<'s> {
    pub(super) recipes: &'s [RecipeEntry],
    pub(super) defenses: &'s [DefenseEntry],
    pub(super) models: &'s [ModelEntry],
    pub(super) data: &'s [DataEntry],
}

/// The tables of all threats, in the order of [`Threat::ALL`].
pub(super) fn read(root: &Table, ids: Ids) -> Result<Vec<ThreatTable>> {
    let mut tables = Vec::new();
    for threat in Threat::ALL {
        let Some(item) = root.get(threat.table()) else { continue };
        for table in &item.tables()? {
            let given = threat == Threat::Membership && table.get("target").is_some();
            if ids.recipes.is_empty() && !given {
                let mut expected = String::from("one at least: it says what models are trained by");
                if threat == Threat::Membership {
                    expected += "; or target = MODEL with members = DATA and nonmembers = DATA";
                }
                return Err(item.error_found("no [[recipe]] table", expected));
            }
            tables.push(read_one(table, threat, ids)?);
        }
    }
    Ok(tables)
}

fn read_one(table: &Table, threat: Threat, all: Ids) -> Result<ThreatTable> {
    let Ids { recipes, defenses, .. } = all;
    let kinds = kinds(&table.require("kind", "the name of an attack, or a list of them")?, threat)?;
    let ids: Vec<&str> = recipes.iter().map(|entry| entry.id.as_str()).collect();
    let given = if threat == Threat::Membership { given_targets(table, all)? } else { None };
    let shadow_recipes = match table.get(SHADOW_RECIPE) {
        Some(item) if threat == Threat::Membership => {
            positions(&item, "[[recipe]] table", &ids)?.into_iter().map(Some).collect()
        }
        _ => vec![None],
    };
    let settings = settings(table, threat, &kinds)?;
    if let Some(given) = &given {
        given_targets::check(table, given, &kinds, &settings, all)?;
    }
    let fits = |entry: &DefenseEntry| match threat {
        Threat::Backdoor => true,
        _ => entry.detector.is_none() && (given.is_none() || entry.privacy.is_none()),
    };
    let expected = match given {
        None => "a defence against this threat; a detector is for [[backdoor]]",
        Some(_) => "none: a target that is there is not trained anew",
    };
    Ok(ThreatTable {
        line: table.line(),
        threat,
        settings,
        kinds,
        recipes: match given {
            None => filter(table, "recipes", "[[recipe]] table", ids.into_iter())?,
            Some(_) => Vec::new(),
        },
        defenses: chosen_defenses(table, defenses, fits, expected)?,
        given,
        shadow_recipes,
    })
}

fn kinds(item: &Item, threat: Threat) -> Result<Vec<Declared>> {
    let all = threat.attacks();
    let names: Vec<&str> = all.iter().map(|attack| attack.name).collect();
    let mut kinds: Vec<Declared> = Vec::new();
    for value in item.values()? {
        let found = value.word()?;
        let attack =
            all.iter().find(|attack| is_called(found, attack.name, attack.aliases)).ok_or_else(|| {
                value.error(format!("{}: {}{}", threat.name(), names.join(", "), hint(found, &names)))
            })?;
        if kinds.iter().any(|other| other.name == attack.name) {
            return Err(value.error("each attack once"));
        }
        kinds.push(attack.clone());
    }
    Ok(kinds)
}

/// The keys that are parameters of an attack; one that some of the listed attacks lack is left out for them.
fn settings(table: &Table, threat: Threat, kinds: &[Declared]) -> Result<Vec<Setting>> {
    let all = threat.attacks();
    let mut settings = Vec::new();
    let membership = threat == Threat::Membership;
    let own_key =
        |key: &str| KEYS.contains(&key) || membership && (key == SHADOW_RECIPE || GIVEN.contains(&key));
    for (key, item) in table.entries().filter(|(key, _)| !own_key(key)) {
        let Some(parameter) = all.iter().find_map(|attack| attack.parameter(key)) else {
            let own = kinds.iter().flat_map(|attack| &attack.parameters).map(|parameter| parameter.name);
            let more = GIVEN.into_iter().chain([SHADOW_RECIPE]).filter(|_| membership);
            let mut known: Vec<&str> = Vec::new();
            for name in KEYS.into_iter().chain(more).chain(own) {
                if !known.contains(&name) {
                    known.push(name);
                }
            }
            return Err(table.unknown(key, &known));
        };
        let of = |attack: &Declared| attack.parameter(key).map_or(Ok(Vec::new()), |own| ladder(&item, own));
        let values = kinds.iter().map(of).collect::<Result<Vec<_>>>()?;
        if values.iter().all(Vec::is_empty) {
            ladder(&item, parameter)?;
        }
        settings.push(Setting { name: parameter.name, values });
    }
    Ok(settings)
}
