//! Targets of `[[membership]]` that are there already: models of the study, with the data that they learnt from and data that they did not.

use super::attack_table::Setting;
use super::subjects::positions;
use super::threat_table::Ids;
use crate::Result;
use crate::attacks::Value;
use crate::attacks::privacy::{self, Access};
use crate::attacks::threats::Declared;
use crate::document::Table;

/// `target = MODEL, members = DATA, nonmembers = DATA`, and perhaps `population = DATA`.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenTargets {
    /// Models, as positions in the study.
    pub models: Vec<usize>,
    /// What all of them learnt from.
    pub members: usize,
    /// What none of them learnt from, of the same kind.
    pub nonmembers: usize,
    /// Other samples of that kind, which neither targets nor shadow models learn from.
    pub population: Option<usize>,
}

/// A model of the study as a target, with the positions of its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Given {
    /// The model's position.
    pub model: usize,
    /// What it learnt from.
    pub members: usize,
    /// What it did not learn from.
    pub nonmembers: usize,
    /// Other samples that no model learns from.
    pub population: Option<usize>,
}

impl GivenTargets {
    /// The targets one by one.
    pub fn each(&self) -> impl Iterator<Item = Given> + '_ {
        let Self { members, nonmembers, population, .. } = *self;
        self.models.iter().map(move |&model| Given { model, members, nonmembers, population })
    }
}

/// Reads the keys that give targets, if there are any.
pub(super) fn given_targets(table: &Table, ids: Ids) -> Result<Option<GivenTargets>> {
    let Some(target) = table.get("target") else {
        let stray = ["members", "nonmembers", "population"].into_iter().find_map(|key| table.get(key));
        return match stray {
            None => Ok(None),
            Some(item) => {
                Err(item.error_found("a key of targets that are given", "target = MODEL beside it"))
            }
        };
    };
    if let Some(item) = table.get("recipes") {
        let expected = "shadow_recipe = RECIPE: a target that is given is not trained, its shadow models are";
        return Err(item.error_found("recipes beside a target", expected));
    }
    let models: Vec<&str> = ids.models.iter().map(|entry| entry.id.as_str()).collect();
    let data: Vec<&str> = ids.data.iter().map(|entry| entry.id.as_str()).collect();
    let one = |key: &str| {
        table.read(key, |item| match positions(item, "[[data]] table", &data)?.as_slice() {
            [position] => Ok(*position),
            _ => Err(item.error("one data set; others are another [[membership]] table")),
        })
    };
    let needed = |key: &str, what: &str| {
        let expected = format!("the id of the [[data]] table with samples that the target {what}");
        one(key)?.ok_or_else(|| table.error(key, "no such key", expected))
    };
    let given = GivenTargets {
        models: positions(&target, "[[model]] table", &models)?,
        members: needed("members", "learnt from")?,
        nonmembers: needed("nonmembers", "did not learn from")?,
        population: one("population")?,
    };
    let all = [Some(given.members), Some(given.nonmembers), given.population];
    for (at, position) in all.iter().enumerate().filter(|(_, position)| position.is_some()) {
        if all[..at].contains(position) {
            let key = ["members", "nonmembers", "population"][at];
            return Err(table.error(key, "a data set that is named before", "another one"));
        }
    }
    Ok(Some(given))
}

/// What the attacks need of targets that are given: shadow models need a recipe, some need a population.
pub(super) fn check(
    table: &Table,
    given: &GivenTargets,
    kinds: &[Declared],
    settings: &[Setting],
    ids: Ids,
) -> Result<()> {
    let asks = |name: &str, word: &str| {
        let of = settings.iter().filter(|setting| setting.name == name);
        of.flat_map(|setting| setting.values.iter().flatten())
            .any(|value| matches!(value, Value::Word(w) if *w == word))
    };
    if asks("knows", "elsewhere") {
        let expected = "exact, distribution or labels: of a target that is given it is shadow_recipe that says where its shadow models' samples are from";
        return Err(table.error("knows", "\"elsewhere\"", expected));
    }
    let data: Vec<&String> = ids.data.iter().map(|entry| &entry.id).collect();
    let recipe = table.get("shadow_recipe").is_some();
    let line = match ids.recipes.first() {
        Some(entry) => format!("shadow_recipe = {:?}", entry.id),
        None => {
            "a table [[recipe]] with id = \"ID\" and train = \"TRAIN.toml\", and shadow_recipe = \"ID\" here"
                .into()
        }
    };
    for kind in kinds {
        let Some(attack) = privacy::find(kind.name) else { continue };
        let compares = matches!(attack.access, Access::Shadows | Access::Population)
            || asks("threshold", "class") && attack.parameter("threshold").is_some();
        if compares && !recipe {
            let found = format!("{} without shadow models, which it compares the target with", kind.name);
            return Err(table.error("shadow_recipe", found, line));
        }
        if attack.access == Access::Population && given.population.is_none() {
            let found = format!("{} without samples that no model learnt from", kind.name);
            let others = (0..data.len()).filter(|at| ![given.members, given.nonmembers].contains(at));
            let other = others.map(|at| data[at].as_str()).next().unwrap_or("ID");
            let expected =
                format!("population = {other:?}, a [[data]] table that is neither members nor nonmembers");
            return Err(table.error("population", found, expected));
        }
        let moved = |&model: &usize| {
            ids.models[model].threshold.is_some() || ids.models[model].operating_point.is_some()
        };
        if attack.access == Access::Labels && given.models.iter().any(moved) {
            let found = format!("{} on a model with a threshold of its own", kind.name);
            let expected = "the model without threshold or operating_point: decisions are asked for at 0.5";
            return Err(table.error("target", found, expected));
        }
    }
    let asked = |setting: &Setting| {
        setting.name == "shadows" && setting.values.iter().flatten().any(|value| *value != Value::Whole(0))
    };
    if settings.iter().any(asked) && !recipe {
        return Err(table.error("shadows", "shadow models without a recipe", line));
    }
    Ok(())
}
