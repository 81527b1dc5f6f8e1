//! `[[poisoning]]`, `[[backdoor]]` and `[[membership]]`: threats that train models, every value a ladder.

use super::attack_table::{Setting, filter, ladder};
use super::document::{Item, Table};
use super::recipes::RecipeEntry;
use super::subjects::{DefenseEntry, chosen_defenses, positions};
use crate::Result;
use crate::attacks::is_called;
use crate::attacks::threats::{Declared, Threat};
use crate::spelling::hint;

/// Keys that every such table has.
const KEYS: [&str; 3] = ["kind", "recipes", "defenses"];
/// A key that `[[membership]]` has besides.
const SHADOW_RECIPE: &str = "shadow_recipe";

/// A table of one of the threats that train models.
#[derive(Clone, Debug)]
pub struct ThreatTable {
    /// The line of its header.
    pub line: usize,
    /// Which threat.
    pub threat: Threat,
    /// The attacks.
    pub kinds: Vec<Declared>,
    /// Recipes that it is for, as positions.
    pub recipes: Vec<usize>,
    /// Defences that it is for, as positions.
    pub defenses: Vec<usize>,
    /// Recipes that the adversary's shadow models are trained by, as positions; `None` for the target's own, which is the default.
    pub shadow_recipes: Vec<Option<usize>>,
    /// Parameters that the study sets.
    pub settings: Vec<Setting>,
}

/// The tables of all threats, in the order of [`Threat::ALL`].
pub(super) fn read(
    root: &Table,
    recipes: &[RecipeEntry],
    defenses: &[DefenseEntry],
) -> Result<Vec<ThreatTable>> {
    let mut tables = Vec::new();
    for threat in Threat::ALL {
        let Some(item) = root.get(threat.table()) else { continue };
        if recipes.is_empty() {
            return Err(
                item.error_found("no [[recipe]] table", "one at least: it says what models are trained by")
            );
        }
        for table in &item.tables()? {
            tables.push(read_one(table, threat, recipes, defenses)?);
        }
    }
    Ok(tables)
}

fn read_one(
    table: &Table,
    threat: Threat,
    recipes: &[RecipeEntry],
    defenses: &[DefenseEntry],
) -> Result<ThreatTable> {
    let kinds = kinds(&table.require("kind", "the name of an attack, or a list of them")?, threat)?;
    let ids: Vec<&str> = recipes.iter().map(|entry| entry.id.as_str()).collect();
    let shadow_recipes = match table.get(SHADOW_RECIPE) {
        Some(item) if threat == Threat::Membership => {
            positions(&item, "[[recipe]] table", &ids)?.into_iter().map(Some).collect()
        }
        _ => vec![None],
    };
    Ok(ThreatTable {
        line: table.line(),
        threat,
        settings: settings(table, threat, &kinds)?,
        kinds,
        recipes: filter(table, "recipes", "[[recipe]] table", ids.into_iter())?,
        shadow_recipes,
        defenses: chosen_defenses(
            table,
            defenses,
            |entry| threat == Threat::Backdoor || entry.detector.is_none(),
            "a defence against this threat; a detector is for [[backdoor]]",
        )?,
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
    let own_key = |key: &str| KEYS.contains(&key) || (key == SHADOW_RECIPE && threat == Threat::Membership);
    for (key, item) in table.entries().filter(|(key, _)| !own_key(key)) {
        let Some(parameter) = all.iter().find_map(|attack| attack.parameter(key)) else {
            let own = kinds.iter().flat_map(|attack| &attack.parameters).map(|parameter| parameter.name);
            let mut known: Vec<&str> = KEYS.into_iter().chain(own).collect();
            known.dedup();
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
