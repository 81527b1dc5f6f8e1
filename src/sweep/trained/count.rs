//! The models that cells ask for, each counted once: what a plan says before anything is trained.

use std::collections::{BTreeMap, BTreeSet};

use super::knowledge::Knowledge;
use super::{Target, TrainedCell};
use crate::attacks::threats::Threat;
use crate::sweep::study::Study;

/// Models to train.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Models {
    /// Unpoisoned twins, one a threat, recipe, defence and seed.
    pub twins: u64,
    /// Models that learn from a poisoned set; cells whose defences train alike share theirs.
    pub members: u64,
    /// Shadow models, which every attack of a recipe, defence and knowledge shares.
    pub shadows: u64,
    /// Targets of membership inference, one a recipe, defence, pool and seed.
    pub targets: u64,
    /// What it would be if every cell trained its own.
    pub unshared: u64,
    /// Of all, those that are trained by DP-SGD.
    pub private: u64,
}

impl Models {
    /// All that are trained.
    pub fn all(&self) -> u64 {
        self.twins + self.members + self.shadows + self.targets
    }
}

/// Models that are alike but for seeds and samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Task {
    /// The recipe's position in the study.
    pub recipe: usize,
    /// The position in the study of the first defence that trains as theirs does.
    pub defense: usize,
    /// What the adversary knows, of membership inference: its pools are halved.
    pub knowledge: Option<Knowledge>,
    /// Whether it is a shadow model.
    pub shadow: bool,
}

/// The models of some cells: how many, and by task.
pub fn models(study: &Study, cells: &[TrainedCell]) -> (Models, BTreeMap<Task, u64>) {
    let mut models = Models::default();
    let mut tasks: BTreeMap<Task, u64> = BTreeMap::new();
    let (mut twins, mut members, mut targets) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for cell in cells {
        let defense = trains_like(study, cell.defense);
        let Target::Trained(recipe) = cell.target else {
            count_given(cell, defense, &mut models, &mut tasks);
            continue;
        };
        let mut task = Task { recipe, defense, knowledge: None, shadow: false };
        if cell.threat != Threat::Membership {
            let twin = twins.insert((cell.threat.table(), task, cell.seed));
            let member = members.insert((task, cell.params_json()));
            models.unshared += 2;
            *tasks.entry(task).or_default() += u64::from(twin) + u64::from(member);
            continue;
        }
        let (knowledge, shadows) = (cell.knows(), cell.whole("shadows"));
        models.unshared += 1 + shadows;
        task.knowledge = Some(knowledge.targets());
        *tasks.entry(task).or_default() += u64::from(targets.insert((task, cell.seed)));
        let recipe = cell.shadows_by().unwrap_or(recipe);
        if shadows > 0 {
            let most = tasks.entry(Task { recipe, shadow: true, ..task }).or_default();
            *most = shadows.max(*most);
        }
    }
    models.members = members.len() as u64;
    models.twins = twins.len() as u64;
    models.targets = targets.len() as u64;
    models.shadows = tasks.iter().filter(|(task, _)| task.shadow).map(|(_, count)| count).sum();
    let private = |task: &Task| study.defenses[task.defense].privacy.is_some();
    models.private = tasks.iter().filter(|(task, _)| private(task)).map(|(_, count)| count).sum();
    (models, tasks)
}

/// The shadow models of a target that is given; it is not trained itself.
fn count_given(cell: &TrainedCell, defense: usize, models: &mut Models, tasks: &mut BTreeMap<Task, u64>) {
    let shadows = cell.whole("shadows");
    models.unshared += shadows;
    if let Some(recipe) = cell.shadows_by().filter(|_| shadows > 0) {
        let task = Task { recipe, defense, knowledge: Some(cell.knows()), shadow: true };
        let most = tasks.entry(task).or_default();
        *most = shadows.max(*most);
    }
}

/// The first defence of the study that trains models as this one does.
fn trains_like(study: &Study, defense: usize) -> usize {
    let all = &study.defenses;
    all.iter().position(|other| other.privacy == all[defense].privacy).unwrap_or(defense)
}
