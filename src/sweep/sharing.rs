//! Work that several cells share because it is provably the same.
//!
//! Cells that differ in nothing but their number of steps, or in when a lane ends, walk one path: the longest yields the others on its way,
//! since no step rule looks at how many steps there will be. Attacks of one step from the clean input leap along one gradient, whatever
//! the budget. The budgets of a ladder that is bisected are one search.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::grid::Cell;
use super::job::{Goal, Job, Outcome};
use super::search::Search;
use super::study::Beside;
use crate::attacks::Norm;
use crate::digest::{Digest, digest};

/// Jobs that the same lanes serve; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bundle {
    /// Positions of the jobs, ascending by steps.
    pub(super) jobs: Vec<usize>,
}

/// Jobs that run together, in any mixture: their lanes share a program.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// Whether its lanes leap along one gradient, or walk.
    pub(super) leaps: bool,
    /// What its lanes serve.
    pub(super) bundles: Vec<Bundle>,
}

impl Group {
    /// The position of a job in it.
    pub(super) fn first(&self) -> usize {
        self.bundles[0].jobs[0]
    }
}

/// What jobs of one group must have in common to be served by the same lanes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Path {
    group: usize,
    goal: Goal,
    finding: usize,
    /// Of a walk: budget and step size; of a search those of all rungs; of a leap nothing.
    rungs: Vec<[u64; 2]>,
    /// Budgets of the inputs that move beside.
    beside: Vec<u64>,
    /// Of a search, its number of steps.
    bisected: Option<u64>,
    restarts: u64,
    parameters: Vec<(&'static str, u32)>,
    /// Stream and seed, where something is drawn.
    drawn: Option<(Arc<str>, u64)>,
    /// The job itself, where nothing is to be shared.
    alone: Option<usize>,
}

impl Path {
    fn of(job: &Job, group: usize, alone: Option<usize>) -> Self {
        let mut path = Self {
            group,
            goal: job.goal,
            finding: job.finding,
            rungs: Vec::new(),
            beside: Vec::new(),
            bisected: job.bisected.as_ref().map(|_| job.steps),
            restarts: 1,
            parameters: Vec::new(),
            drawn: None,
            alone,
        };
        if !job.leaps() {
            let own = [job.rung()];
            let rungs = job.bisected.as_deref().unwrap_or(&own);
            path.rungs = rungs.iter().map(|rung| [rung.eps.to_bits(), rung.step_size.to_bits()]).collect();
            path.beside = job.beside.iter().map(|eps| eps.to_bits()).collect();
            path.restarts = job.restarts;
            path.parameters = job.parameters.iter().map(|&(name, value)| (name, value.to_bits())).collect();
            path.drawn = job.random_start.then(|| (job.stream.clone(), job.seed));
        }
        path
    }
}

/// Sorts jobs into groups, and those into bundles, all in the order of their first job; not `shared`, each job is a bundle of its own.
pub(super) fn groups(jobs: &[Job], shared: bool) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut known: HashMap<Path, usize> = HashMap::new();
    for (i, job) in jobs.iter().enumerate() {
        let fits = |group: &Group| {
            group.leaps == job.leaps() && jobs[group.first()].settings.shares_program(&job.settings)
        };
        let at = groups.iter().position(fits).unwrap_or_else(|| {
            groups.push(Group { leaps: job.leaps(), bundles: Vec::new() });
            groups.len() - 1
        });
        let bundles = &mut groups[at].bundles;
        let bundle = *known.entry(Path::of(job, at, (!shared).then_some(i))).or_insert(bundles.len());
        match bundles.get_mut(bundle) {
            Some(bundle) => {
                let at = bundle.jobs.partition_point(|&other| jobs[other].steps <= job.steps);
                bundle.jobs.insert(at, i);
            }
            None => bundles.push(Bundle { jobs: vec![i] }),
        }
    }
    groups
}

/// Names what a cell shares its lanes with, before its model is loaded: cells of equal names are served by the same lanes. (Losses that
/// a model's head makes equal still have names of their own, so the engine may share a little more.)
pub(super) fn path(cell: &Cell) -> String {
    let subject = (cell.model, cell.data, cell.defense);
    let goal = (cell.aim, cell.target, cell.finding, cell.norm, &cell.input);
    if cell.leaps() {
        let words: Vec<_> =
            cell.parameters().filter(|(name, _)| ["loss", "projection"].contains(name)).collect();
        let beside = names(&cell.beside);
        let choices = cell.choices();
        return format!(
            "{subject:?} leap {:p} {goal:?} {beside:?} {words:?} {choices:?}",
            cell.attack.step as *const ()
        );
    }
    let others = cell.parameters().filter(|(name, _)| !["steps", "step_size"].contains(name));
    let drawn = cell.random_start().then_some((cell.attack.name, cell.seed));
    let rungs = match &cell.bisected {
        None => vec![[cell.eps.to_bits(), cell.step_size().to_bits()]],
        Some(ladder) => ladder.iter().map(|&eps| [eps.to_bits(), cell.step_size_at(eps).to_bits()]).collect(),
    };
    // A search is one with its own number of steps alone.
    let steps = cell.bisected.as_ref().map(|_| cell.steps());
    format!(
        "{subject:?} {:p} {goal:?} {beside:?} {rungs:?} {steps:?} {others:?} {drawn:?}",
        cell.attack.step as *const (),
        beside = cell.beside,
        others = others.collect::<Vec<_>>(),
    )
}

/// The inputs that move beside, and by which norms: what a program depends on.
fn names(beside: &[Beside]) -> Vec<(&str, Norm)> {
    beside.iter().map(|budget| (budget.input.as_str(), budget.norm)).collect()
}

/// For each cell the number of the bundle that it is served by: shards take whole bundles, so that nothing is computed in two of them.
pub(super) fn bundles(cells: &[Cell]) -> Vec<usize> {
    let mut known: HashMap<Digest, usize> = HashMap::new();
    let number = |cell| {
        let next = known.len();
        *known.entry(digest(&path(cell))).or_insert(next)
    };
    cells.iter().map(number).collect()
}

/// Runs of a lane, restarts not counted, that the lanes of this cell's bundle take at most.
pub(super) fn runs(cell: &Cell) -> u64 {
    cell.bisected.as_ref().map_or(1, |ladder| Search::tries(ladder.len()))
}

/// A job of a run that has not come to its end yet.
#[derive(Debug)]
pub(super) struct Open {
    /// The job's position.
    pub(super) job: usize,
    /// The best of earlier restarts.
    pub(super) best: Option<Outcome>,
    /// Device time that this restart has cost it so far.
    pub(super) seconds: f64,
}

/// A lane's work: a sample of a bundle at a restart.
#[derive(Debug)]
pub(super) struct Run {
    /// The sample's position.
    pub(super) sample: usize,
    /// From 0.
    pub(super) restart: u64,
    /// The jobs that still want it, ascending by steps.
    pub(super) open: Vec<Open>,
    /// Where it is on a ladder that is bisected.
    pub(super) search: Option<Search>,
}

/// What is still to do in a group: bundle by bundle, sample by sample.
#[derive(Debug)]
pub(super) struct Queue {
    group: Group,
    samples: usize,
    next: Mutex<usize>,
}

impl Queue {
    /// All of a group's runs at their first restart.
    pub(super) fn new(group: Group, samples: usize) -> Self {
        Self { group, samples, next: Mutex::new(0) }
    }

    /// What it is made of.
    pub(super) fn group(&self) -> &Group {
        &self.group
    }

    /// Runs that were there at first.
    pub(super) fn len(&self) -> usize {
        self.group.bundles.len() * self.samples
    }

    /// Whether every run was given out.
    pub(super) fn is_empty(&self) -> bool {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner) >= self.len()
    }

    /// The next run, whoever asks.
    pub(super) fn next(&self, jobs: &[Job]) -> Option<Run> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (bundle, sample) = (*next / self.samples, *next % self.samples);
        let bundle = self.group.bundles.get(bundle)?;
        *next += 1;
        let open = bundle.jobs.iter().map(|&job| Open { job, best: None, seconds: 0.0 }).collect();
        let search = jobs[bundle.jobs[0]].bisected.as_ref().map(|rungs| Search::new(rungs.len()));
        Some(Run { sample, restart: 0, open, search })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks;
    use crate::attacks::evasion::Settings;
    use crate::attacks::evasion::loss::Loss;
    use crate::sweep::job::Rung;

    fn job(attack: &str, steps: u64, eps: f64, random_start: bool, seed: u64) -> Option<Job> {
        let settings = Settings {
            attack: attacks::find(attack)?,
            norm: Norm::Linf,
            input: None,
            beside: [].into(),
            loss: Loss::CrossEntropy,
            targeted: false,
            exact: true,
            choices: vec![],
            scale: [1.0].into(),
            one_hot: [].into(),
            precision: percuss_kernels::Precision::F32,
        };
        Some(Job {
            settings,
            eps,
            step_size: eps / 4.0,
            beside: [].into(),
            steps,
            restarts: 1,
            random_start,
            stop_on_success: true,
            goal: Goal::Any,
            finding: 0,
            parameters: vec![],
            stream: format!("{attack} data").into(),
            seed,
            bisected: None,
            keeps_inputs: true,
        })
    }

    fn found(jobs: &[Job], shared: bool) -> Vec<(bool, Vec<Vec<usize>>)> {
        let bundles = |group: Group| group.bundles.into_iter().map(|bundle| bundle.jobs).collect();
        groups(jobs, shared).into_iter().map(|group| (group.leaps, bundles(group))).collect()
    }

    fn jobs() -> Vec<Job> {
        let mut jobs: Vec<Job> = [
            job("pgd", 20, 1.0, true, 0),
            job("pgd", 10, 1.0, true, 0),
            job("pgd", 10, 2.0, true, 0),
            job("pgd", 40, 1.0, true, 1),
            job("pgd", 40, 1.0, true, 0),
            job("mi-fgsm", 10, 1.0, false, 0),
            job("bim", 10, 1.0, false, 0),
            job("pgd", 10, 1.0, false, 7),
            job("fgsm", 1, 1.0, false, 0),
            job("fgsm", 1, 2.0, false, 0),
            job("bim", 1, 3.0, false, 0),
        ]
        .into_iter()
        .flatten()
        .collect();
        // When a lane ends changes no step.
        jobs[1].stop_on_success = false;
        jobs
    }

    #[test]
    fn jobs_that_differ_in_steps_or_their_end_alone_share_a_path_and_leaps_a_gradient() {
        // Seeds and streams do not part runs that draw nothing: BIM is PGD without its start.
        let walks = vec![vec![1, 0, 4], vec![2], vec![3], vec![6, 7]];
        let expected = vec![(false, walks), (false, vec![vec![5]]), (true, vec![vec![8, 9, 10]])];
        assert_eq!(found(&jobs(), true), expected);
    }

    #[test]
    fn nothing_is_shared_where_nothing_is_to_be_shared() {
        let bundles: usize = found(&jobs(), false).iter().map(|(_, bundles)| bundles.len()).sum();
        assert_eq!(bundles, jobs().len());
    }

    #[test]
    fn the_rungs_of_a_bisected_ladder_are_one_search_and_no_walk() {
        let rungs: std::sync::Arc<[Rung]> =
            [1.0, 2.0].map(|eps| Rung { eps, step_size: eps / 4.0 }).to_vec().into();
        let mut jobs: Vec<Job> =
            [1.0, 2.0, 2.0].iter().filter_map(|&eps| job("bim", 10, eps, false, 0)).collect();
        jobs[..2].iter_mut().for_each(|job| job.bisected = Some(rungs.clone()));
        assert_eq!(found(&jobs, true), vec![(false, vec![vec![0, 1], vec![2]])]);
    }
}
