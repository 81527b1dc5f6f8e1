//! The threats that train models: from cells to members of ensembles, from trained members to rows.

mod asking;
mod audit;
mod backdoor;
mod cell;
mod checks;
mod count;
mod crafting;
mod detection;
mod harm;
mod keeping;
mod knowledge;
mod membership;
mod membership_rows;
mod poisoning;
mod rates;
mod school;
mod shadows;
mod spending;

use std::collections::BTreeMap;
use std::path::Path;

pub use audit::Audit;
pub use cell::{Tally, Target, TrainedCell, cells, multiply};
pub use checks::{check, each_once};
pub use count::{Models, Task, models};
pub use knowledge::{Knowledge, Pools};
pub use school::School;

use super::rows::{Provenance, Rows};
use super::study::{Privacy, Study};
use crate::Result;
use crate::attacks::threats::Threat;
use crate::results::passing_on::last;
use crate::results::{CellRow, Text};
use crate::training::{Fitted, Member, Workshop};

/// The cells of a study that train models, with what they need.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trained<'a> {
    pub(super) study: &'a Study,
    /// One a recipe of the study.
    pub(super) schools: &'a [School],
    /// The targets that are given.
    pub(super) audits: &'a [Audit],
    pub(super) cells: &'a [TrainedCell],
    /// The ids of `cells`.
    pub(super) ids: &'a [Text],
    /// The results folder, where trained members are kept that several cells use.
    pub(super) out: &'a Path,
}

/// What gets each cell's rows, with the cell's position.
pub(super) type Taker<'t> = dyn FnMut(usize, Rows) -> Result<()> + 't;

impl Trained<'_> {
    /// Runs the cells at the positions `pending`: recipe by recipe, threat by threat, then those on given targets.
    ///
    /// # Errors
    /// Training that fails or is interrupted; whatever `taker` returns.
    pub(super) fn run(
        &self,
        pending: &[usize],
        workshop: &Workshop,
        provenance: &Provenance,
        taker: &mut Taker,
    ) -> Result<()> {
        for school in self.schools {
            let ways = self.ways();
            for (threat, &privacy) in
                Threat::ALL.into_iter().flat_map(|threat| ways.iter().map(move |way| (threat, way)))
            {
                let of = |&i: &usize| {
                    let cell = &self.cells[i];
                    let ours = cell.target == Target::Trained(school.recipe) && cell.threat == threat;
                    ours && self.privacy(cell) == privacy
                };
                let cells: Vec<usize> = pending.iter().copied().filter(of).collect();
                if cells.is_empty() {
                    continue;
                }
                let class = Class { all: *self, school, privacy, workshop, provenance };
                let mut taker = |i: usize, mut rows: Rows| {
                    rows.metrics.extend(class.spending_rows(i)?);
                    taker(i, rows)
                };
                match threat {
                    Threat::Poisoning => class.poison(&cells, &mut taker)?,
                    Threat::Backdoor => class.backdoor(&cells, &mut taker)?,
                    Threat::Membership => class.infer_members(&cells, &mut taker)?,
                }
            }
        }
        for audit in self.audits {
            let ours = |&i: &usize| self.cells[i].target == Target::Given(audit.given);
            let cells: Vec<usize> = pending.iter().copied().filter(ours).collect();
            self.infer_given(audit, &cells, workshop, provenance, taker)?;
        }
        Ok(())
    }

    /// What a cell's row says whatever came of it.
    fn row(&self, i: usize, provenance: &Provenance) -> CellRow {
        let (cell, study) = (&self.cells[i], self.study);
        let about = match cell.target {
            Target::Trained(recipe) => {
                let school = &self.schools[recipe];
                CellRow {
                    model: study.recipes[recipe].id.as_str().into(),
                    model_sha256: school.sha256.as_str().into(),
                    // Data of a file are named by its path.
                    data: last(&school.test.name).into(),
                    ..provenance.row(&school.test)
                }
            }
            Target::Given(given) => {
                let audit = self.audits.iter().find(|audit| audit.given == given);
                let known = audit.map(|audit| CellRow {
                    model_sha256: audit.model.sha256.as_str().into(),
                    data: audit.data_name(study).into(),
                    flags: audit.flags(),
                    ..provenance.row(&audit.candidates)
                });
                CellRow { model: study.models[given.model].id.as_str().into(), ..known.unwrap_or_default() }
            }
        };
        CellRow {
            cell_id: self.ids[i].clone(),
            defense: study.defenses[cell.defense].id.as_str().into(),
            threat: cell.threat.column().into(),
            attack: cell.kind.into(),
            attack_revision: cell.revision,
            knowledge: cell.knowledge.name().into(),
            seed: (!cell.deterministic()).then_some(cell.seed),
            params: cell.params_json().into(),
            ..about
        }
    }

    /// The recipe at a position of the study, with its data.
    fn school(&self, recipe: usize) -> Option<&'_ School> {
        self.schools.iter().find(|school| school.recipe == recipe)
    }

    /// What a cell's defence demands of training.
    fn privacy(&self, cell: &TrainedCell) -> Option<Privacy> {
        self.study.defenses[cell.defense].privacy
    }

    /// The ways in which models are trained, each once: defences that only look at models share the plain one.
    fn ways(&self) -> Vec<Option<Privacy>> {
        let mut ways = Vec::new();
        for defense in &self.study.defenses {
            if !ways.contains(&defense.privacy) {
                ways.push(defense.privacy);
            }
        }
        ways
    }

    /// Steps of training that the cell at position `i` asks for: what its time is estimated by.
    pub(super) fn work(&self, i: usize) -> u64 {
        let recipe = self.cells[i].shadows_by();
        recipe.and_then(|recipe| self.school(recipe)).map_or(0, School::work)
    }

    /// For each cell the number of the bundle that it is served by: cells of one target and seed share their twins.
    pub(super) fn bundles(cells: &[TrainedCell]) -> Vec<usize> {
        let mut known = BTreeMap::new();
        let number = |cell: &TrainedCell| {
            let next = known.len();
            *known.entry((cell.target, cell.threat.column(), cell.seed)).or_insert(next)
        };
        cells.iter().map(number).collect()
    }
}

/// The cells of one recipe whose models are trained in one way.
#[derive(Clone, Copy)]
struct Class<'a> {
    all: Trained<'a>,
    school: &'a School,
    /// What DP-SGD promises, where the models are trained by it.
    privacy: Option<Privacy>,
    workshop: &'a Workshop<'a>,
    provenance: &'a Provenance,
}

impl Class<'_> {
    fn privacy(&self) -> Option<Privacy> {
        self.privacy
    }

    /// Trains `count` members as the defence says; see [`train_members`](crate::training::train_members).
    fn train(
        &self,
        own_values: usize,
        count: usize,
        member: &(dyn Fn(usize) -> Result<Member> + Sync),
        finished: impl FnMut(usize, Fitted) -> Result<()>,
    ) -> Result<()> {
        match self.privacy() {
            None => self.school.train(own_values, count, member, self.workshop, finished),
            Some(privacy) => self.school.train_privately(&privacy, count, member, self.workshop, finished),
        }
    }

    /// What a cell's row says whatever came of it.
    fn row(&self, i: usize) -> CellRow {
        self.all.row(i, self.provenance)
    }
}
