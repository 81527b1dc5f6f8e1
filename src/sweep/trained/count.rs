//! The models that cells ask for, each counted once: what a plan says before anything is trained.

use std::collections::{BTreeMap, BTreeSet};

use super::knowledge::Knowledge;
/// A rate of more samples than there are to poison; a patient or class that is not there; knowledge of other sites where the recipe does not
/// tell sites apart; shadow models by a recipe with other data; of a given target knowledge that the recipe of its shadow models does not
/// allow.
pub fn check(study: &Study, schools: &[School], audits: &[Audit], cells: &[TrainedCell]) -> Result<()> {
    for cell in cells {
        let recipe = match cell.target {
            Target::Trained(recipe) => recipe,
            Target::Given(given) => {
                let school = cell.shadows_by().and_then(|at| schools.iter().find(|s| s.recipe == at));
                if let Some(audit) = audits.iter().find(|audit| audit.given == given) {
                    audit.pools(study, cell.knows(), school)?;
                }
                continue;
            }
        };
        match cell.threat {
            Threat::Poisoning => poisoning::check(&schools[recipe], cell)?,
            Threat::Backdoor => backdoor::check(&schools[recipe], cell)?,
            Threat::Membership => check_membership(study, schools, recipe, cell)?,
        }
    }
    Ok(())
}

/// What a membership cell on targets of a recipe needs of it.
fn check_membership(study: &Study, schools: &[School], recipe: usize, cell: &TrainedCell) -> Result<()> {
    let school = &schools[recipe];
    if cell.knows() == Knowledge::Elsewhere {
        cell.knows().pools(school)?;
    }
    match &cell.shadow_recipe {
        Some((position, id)) if schools[*position].train_set_sha256 != school.train_set_sha256 => {
            let expected = format!("a recipe with the training samples of {}", study.recipes[recipe].id);
            Err(study.error("membership.shadow_recipe", format!("{id}, which has others"), expected))
        }
        _ => Ok(()),
    }
}
