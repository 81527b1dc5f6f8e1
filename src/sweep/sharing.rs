//! Work that several cells share because it is provably the same.
//!
//! Cells that differ in their number of steps alone walk one trajectory: the longest yields the shorter ones on its way. That
//! holds for every attack here, since no step rule looks at how many steps there will be.

use std::sync::{Mutex, PoisonError};

use super::grid::Cell;
use super::job::{Job, Outcome};

/// Jobs whose lanes are the same but for where they end, ascending by steps; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trajectory {
    /// Positions of the jobs.
    pub(super) jobs: Vec<usize>,
}

/// Jobs that run together, in any mixture: their lanes share a program.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// What its lanes walk along.
    pub(super) trajectories: Vec<Trajectory>,
}

impl Group {
    /// The position of a job in it.
    pub(super) fn first(&self) -> usize {
        self.trajectories[0].jobs[0]
    }
}

/// Sorts jobs into groups, and those into trajectories, all in the order of their first job.
pub(super) fn groups(jobs: &[Job]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    for (i, job) in jobs.iter().enumerate() {
        let own = groups.iter_mut().find(|group| jobs[group.first()].settings.shares_program(&job.settings));
        match own {
            Some(group) => enter(group, jobs, i),
            None => groups.push(Group { trajectories: vec![Trajectory { jobs: vec![i] }] }),
        }
    }
    groups
}

fn enter(group: &mut Group, jobs: &[Job], i: usize) {
    let same = group.trajectories.iter_mut().find(|other| same_trajectory(&jobs[other.jobs[0]], &jobs[i]));
    match same {
        Some(trajectory) => {
            let at = trajectory.jobs.partition_point(|&other| jobs[other].steps <= jobs[i].steps);
            trajectory.jobs.insert(at, i);
        }
        None => group.trajectories.push(Trajectory { jobs: vec![i] }),
    }
}

/// Whether two jobs of one program differ in their number of steps alone. Streams and seeds count only where something is drawn.
fn same_trajectory(a: &Job, b: &Job) -> bool {
    (a.eps.to_bits(), a.step_size.to_bits()) == (b.eps.to_bits(), b.step_size.to_bits())
        && (a.restarts, a.random_start, a.stop_on_success) == (b.restarts, b.random_start, b.stop_on_success)
        && (a.goal, a.finding) == (b.goal, b.finding)
        && a.parameters == b.parameters
        && (!a.random_start || (&a.stream, a.seed) == (&b.stream, b.seed))
}

/// Names the trajectory of a cell before its model is loaded: cells of equal names differ in their number of steps alone. (Losses that
/// a model's head makes equal still have names of their own, so the engine may share a little more.)
pub(super) fn trajectory(cell: &Cell) -> String {
    let others = cell.parameters.iter().filter(|(name, _)| !["steps", "step_size"].contains(name));
    let drawn = cell.random_start().then_some((cell.attack.name, cell.seed));
    format!(
        "{:?} {:p} {:?} {:?} {others:?} {drawn:?}",
        (cell.model, cell.data, cell.defense, cell.norm, cell.eps.to_bits(), cell.step_size().to_bits()),
        cell.attack.step as *const (),
        (cell.aim, cell.target, cell.finding),
        cell.stop,
        others = others.collect::<Vec<_>>(),
    )
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

/// A lane's work: a sample on a trajectory at a restart.
#[derive(Debug)]
pub(super) struct Run {
    /// The trajectory's position in its group.
    pub(super) trajectory: usize,
    /// The sample's position.
    pub(super) sample: usize,
    /// From 0.
    pub(super) restart: u64,
    /// The jobs that still want it, ascending by steps.
    pub(super) open: Vec<Open>,
}

/// What is still to do in a group: trajectory by trajectory, sample by sample.
pub(super) struct Queue<'a> {
    group: &'a Group,
    samples: usize,
    next: Mutex<usize>,
}

impl<'a> Queue<'a> {
    /// All of a group's runs at their first restart.
    pub(super) fn new(group: &'a Group, samples: usize) -> Self {
        Self { group, samples, next: Mutex::new(0) }
    }

    /// The next run, whoever asks.
    pub(super) fn next(&self) -> Option<Run> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let (trajectory, sample) = (*next / self.samples, *next % self.samples);
        let jobs = &self.group.trajectories.get(trajectory)?.jobs;
        *next += 1;
        let open = jobs.iter().map(|&job| Open { job, best: None, seconds: 0.0 }).collect();
        Some(Run { trajectory, sample, restart: 0, open })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attacks::evasion::Settings;
    use crate::attacks::evasion::loss::Loss;
    use crate::attacks::{self, Norm};
    use crate::sweep::job::Goal;

    fn job(attack: &str, steps: u64, eps: f64, random_start: bool, seed: u64) -> Option<Job> {
        let settings = Settings {
            attack: attacks::find(attack)?,
            norm: Norm::Linf,
            loss: Loss::CrossEntropy,
            targeted: false,
            exact: true,
            choices: vec![],
            scale: vec![1.0],
            one_hot: vec![],
            precision: percuss_kernels::Precision::F32,
        };
        Some(Job {
            settings,
            eps,
            step_size: eps / 4.0,
            steps,
            restarts: 1,
            random_start,
            stop_on_success: true,
            goal: Goal::Any,
            finding: 0,
            parameters: vec![],
            stream: format!("{attack} data"),
            seed,
        })
    }

    #[test]
    fn jobs_that_differ_in_steps_alone_share_a_trajectory() {
        let jobs: Vec<Job> = [
            job("pgd", 20, 1.0, true, 0),
            job("pgd", 10, 1.0, true, 0),
            job("pgd", 10, 2.0, true, 0),
            job("pgd", 40, 1.0, true, 1),
            job("pgd", 40, 1.0, true, 0),
            job("mi-fgsm", 10, 1.0, false, 0),
            job("bim", 10, 1.0, false, 0),
            job("pgd", 10, 1.0, false, 7),
        ]
        .into_iter()
        .flatten()
        .collect();
        let found: Vec<Vec<Vec<usize>>> = groups(&jobs)
            .into_iter()
            .map(|group| group.trajectories.into_iter().map(|t| t.jobs).collect())
            .collect();
        // Seeds and streams do not part runs that draw nothing: BIM is PGD without its start.
        assert_eq!(found, vec![vec![vec![1, 0, 4], vec![2], vec![3], vec![6, 7]], vec![vec![5]]]);
    }
}
