//! What cells that train models need of their recipes and targets: all that can be told before anything is trained. `plan` and `sweep` ask alike.

use std::collections::{BTreeMap, BTreeSet};

use super::asking::classes_of;
use super::knowledge::{Knowledge, Pools, shadow_lessons};
use super::{Audit, School, Target, TrainedCell, backdoor, detection, poisoning};
use crate::attacks::privacy::{self, MembershipAttack};
use crate::attacks::threats::Threat;
use crate::sweep::study::Study;
use crate::training::private::sgd::learnable_privately;
use crate::{Error, Result};

/// Shadow models that a mend proposes at most.
const MOST_PROPOSED: u64 = 64;

/// Checks that no recipe is another one under a second id.
///
/// # Errors
/// Two recipes that train the same models.
pub fn each_once(study: &Study, schools: &[School]) -> Result<()> {
    let again = |&i: &usize| schools[..i].iter().any(|other| other.sha256 == schools[i].sha256);
    match (1..schools.len()).find(again) {
        None => Ok(()),
        Some(twice) => {
            let id = &study.recipes[schools[twice].recipe].id;
            Err(study.error("recipe", format!("{id}, which is an earlier one again"), "each recipe once"))
        }
    }
}

/// Checks cells against their schools and given targets.
///
/// # Errors
/// A rate of more samples than there are to poison; a patient or class that is not there; a trigger or detector that the data do not allow;
/// DP-SGD that cannot keep its promise; halves that are smaller than a minibatch; too few shadow models; knowledge of other sites where the
/// recipe does not tell sites apart; shadow models by a recipe with other data; of a given target knowledge that the recipe of its shadow
/// models does not allow.
pub fn check(study: &Study, schools: &[School], audits: &[Audit], cells: &[TrainedCell]) -> Result<()> {
    let of = |recipe: usize| schools.iter().find(|school| school.recipe == recipe);
    let mut asked = BTreeSet::new();
    for cell in cells {
        match cell.target {
            Target::Given(given) => {
                let school = cell.shadows_by().and_then(of);
                let Some(audit) = audits.iter().find(|audit| audit.given == given) else { continue };
                if asked.insert(alike(cell)) {
                    check_given(study, audit, school, cell)?;
                }
            }
            Target::Trained(recipe) => {
                let Some(school) = of(recipe) else { continue };
                check_defense(study, school, cell)?;
                match cell.threat {
                    Threat::Poisoning => poisoning::check(school, cell)?,
                    Threat::Backdoor => backdoor::check(school, cell)?,
                    Threat::Membership if asked.insert(alike(cell)) => {
                        check_membership(study, school, cell, &of)?;
                    }
                    Threat::Membership => {}
                }
            }
        }
    }
    Ok(())
}

/// What decides a membership cell's shadow models and what is done with them; seeds do not.
fn alike(cell: &TrainedCell) -> String {
    format!("{:?} {} {:?} {:?}", cell.target, cell.kind, cell.shadows_by(), cell.parameters)
}

/// What a defence needs of a recipe.
fn check_defense(study: &Study, school: &School, cell: &TrainedCell) -> Result<()> {
    let defense = &study.defenses[cell.defense];
    if let Some(privacy) = &defense.privacy {
        let (prepared, train) = (&school.prepared, &school.prepared.splits.train);
        learnable_privately(&prepared.config, &prepared.recipe, train)?;
        school.mechanism(privacy, learnt_by_a_target(school, cell)?)?;
    }
    match &defense.detector {
        Some(entry) if cell.threat == Threat::Backdoor => detection::check(study, school, entry),
        _ => Ok(()),
    }
}

/// Samples that a target learns from.
fn learnt_by_a_target(school: &School, cell: &TrainedCell) -> Result<usize> {
    match cell.threat {
        Threat::Membership => Ok(cell.knows().pools(school)?.target.len() / 2),
        Threat::Poisoning | Threat::Backdoor => Ok(school.prepared.splits.train.len()),
    }
}

/// What a membership cell on targets of a recipe needs of it.
fn check_membership<'s>(
    study: &Study,
    school: &'s School,
    cell: &TrainedCell,
    of: &dyn Fn(usize) -> Option<&'s School>,
) -> Result<()> {
    let train = &school.prepared.splits.train;
    classes_of(train)?;
    classes_of(&school.test)?;
    let teacher = match &cell.shadow_recipe {
        None => school,
        Some((position, id)) => {
            let Some(other) = of(*position) else { return Ok(()) };
            if other.train_set_sha256 != school.train_set_sha256 {
                let expected =
                    format!("a recipe with the training samples of {}", study.recipes[school.recipe].id);
                let found = format!("{id}, which has others");
                return Err(study.error("membership.shadow_recipe", found, expected));
            }
            other
        }
    };
    let pools = cell.knows().pools(school)?;
    check_half(study, school, pools.target.len(), "targets")?;
    let shadows = |count: u64| -> Vec<Vec<bool>> {
        let member =
            |samples: &[usize]| (0..train.len()).map(|i| samples.binary_search(&i).is_ok()).collect();
        shadow_lessons(&pools.shadows, count).iter().map(|(_, samples)| member(samples)).collect()
    };
    check_shadows(study, cell, teacher, &pools, &shadows)
}

/// What a membership cell on a given target needs of the recipe of its shadow models.
fn check_given(study: &Study, audit: &Audit, school: Option<&School>, cell: &TrainedCell) -> Result<()> {
    let pools = audit.pools(study, cell.knows(), school)?;
    let Some(school) = school else { return Ok(()) };
    classes_of(&school.prepared.splits.train)?;
    let shadows = |count: u64| -> Vec<Vec<bool>> {
        let lessons = shadow_lessons(&pools.shadows, count);
        lessons.iter().map(|(_, samples)| audit.shadow_members(school.recipe, samples)).collect()
    };
    check_shadows(study, cell, school, &pools, &shadows)
}

/// Checks that there are shadow models enough for the cell's attack; `shadows` says of so many whether each learns from each candidate.
fn check_shadows(
    study: &Study,
    cell: &TrainedCell,
    teacher: &School,
    pools: &Pools,
    shadows: &dyn Fn(u64) -> Vec<Vec<bool>>,
) -> Result<()> {
    let Some(attack) = privacy::find(cell.kind) else { unreachable!("a cell's attack is registered") };
    let count = cell.whole("shadows");
    if count > 0 {
        check_half(study, teacher, pools.shadows.len(), "shadow models")?;
    }
    let needs = (attack.needs)(&|name| cell.get(name));
    let Some(found) = needs.lacking(&shadows(count)) else { return Ok(()) };
    let enough = (count + 1..=MOST_PROPOSED).find(|&more| needs.lacking(&shadows(more)).is_none());
    let expected = match enough {
        Some(enough) => format!("shadows = {enough}, or more"),
        None => without_members(attack, cell),
    };
    Err(study.error(format!("membership.shadows ({})", attack.name), found, expected))
}

/// What to do where no number of shadow models is enough: none of them learns from a candidate.
fn without_members(attack: &MembershipAttack, cell: &TrainedCell) -> String {
    let mends = BTreeMap::from([("mode", "mode = \"offline\""), ("threshold", "threshold = \"shared\"")]);
    let own = mends.iter().find(|(name, _)| attack.parameter(name).is_some()).map(|(_, mend)| *mend);
    let exact = (cell.knows() != Knowledge::Exact).then_some("knows = \"exact\"");
    let all: Vec<&str> = own.into_iter().chain(exact).collect();
    if all.is_empty() { "another attack".into() } else { all.join(", or ") }
}

/// Checks that half of a pool fills a minibatch.
fn check_half(study: &Study, school: &School, pool: usize, who: &str) -> Result<()> {
    let batch = school.prepared.recipe.batch.min(school.prepared.splits.train.len());
    if pool / 2 >= batch {
        return Ok(());
    }
    let (id, half) = (&study.recipes[school.recipe].id, pool / 2);
    let expected = format!("batch = {} or less in its TRAIN.toml, or more training samples", half.max(1));
    let found = format!("a batch of {batch} for {who} that learn from {half} samples, half of their pool");
    Err(Error::input(study.file.display(), format!("recipe {id}"), found, expected))
}
