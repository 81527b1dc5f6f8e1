//! Everything a sweep needs before its first lane, and every check of it: `plan` asks the same, so that it refuses what a sweep refuses.

use std::path::Path;

use percuss_kernels::Device;

use super::grid::{Cell, Grid, Outputs};
use super::identity::{Contents, cell_id, distinct};
use super::resolve::{ResolvedSubject, check_expectations, resolve};
use super::sharing::bundles;
use super::study::Study;
use super::trained::{self, Audit, School, Trained, TrainedCell};
use crate::Result;
use crate::results::Text;

/// Models, data and cells of a study, checked.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) subjects: Vec<ResolvedSubject>,
    pub(super) cells: Vec<Cell>,
    pub(super) schools: Vec<School>,
    pub(super) audits: Vec<Audit>,
    pub(super) trained: Vec<TrainedCell>,
    /// Ids of `cells`, then of `trained`.
    pub(super) ids: Vec<Text>,
}

impl Prepared {
    /// Opens everything that a study names.
    ///
    /// # Errors
    /// Whatever does not load or does not fit; nothing is written before that.
    pub(super) fn open(study: &Study, device: &Device, data_dir: Option<&Path>) -> Result<Self> {
        let subjects = resolve(study, device, data_dir)?;
        check_expectations(study, &subjects)?;
        let (cells, mut ids) = named(study, &subjects)?;
        let open = |recipe| School::open(study, recipe, device, data_dir);
        let schools = (0..study.recipes.len()).map(open).collect::<Result<Vec<School>>>()?;
        let trained = trained::cells(study)?;
        let audits = Audit::all(study, &trained, &schools, data_dir)?;
        learnable(study, &schools, &audits, &trained)?;
        ids.extend(trained.iter().map(|cell| cell.id(study, &schools, &audits)));
        Ok(Self { subjects, cells, schools, audits, trained, ids })
    }

    /// For each id the number of the bundle that its cell is served by: shards take whole bundles.
    pub(super) fn homes(&self) -> Vec<usize> {
        let mut homes = bundles(&self.cells);
        let next = homes.iter().max().map_or(0, |last| last + 1);
        homes.extend(Trained::bundles(&self.trained).into_iter().map(|home| next + home));
        homes
    }

    /// The ids; models, data and cells leave the memory.
    pub(super) fn into_ids(self) -> Vec<Text> {
        self.ids
    }
}

/// The evasion cells of a study, with their ids.
///
/// # Errors
/// A grid that is empty or too large; two models or data sets of equal content.
pub(super) fn named(study: &Study, subjects: &[ResolvedSubject]) -> Result<(Vec<Cell>, Vec<Text>)> {
    let find = |model: usize, data: usize| subjects.iter().find(|s| (s.model, s.data) == (model, data));
    let outputs =
        |model, data| find(model, data).map(|s| Outputs::of(&s.subject.model.config, Some(&s.subject.data)));
    let cells = Grid::new(study, outputs)?.cells;
    let sets: Vec<String> = subjects.iter().map(|s| s.subject.data.sample_set_sha256()).collect();
    let ids: Vec<Text> = cells
        .iter()
        .map(|cell| {
            let at = subjects.iter().position(|s| (s.model, s.data) == (cell.model, cell.data));
            let Some(at) = at else { unreachable!("every cell's subject was resolved") };
            let subject = &subjects[at].subject;
            let contents = Contents {
                model_sha256: &subject.model.sha256,
                data_sha256: &subject.data.sha256,
                sample_set_sha256: &sets[at],
                threshold: subject.thresholds.get(cell.finding.unwrap_or(0)).copied(),
            };
            cell_id(study, cell, &contents)
        })
        .collect();
    distinct(study, &cells, &ids)?;
    Ok((cells, ids))
}

/// Checks the cells that train models against their recipes and targets.
///
/// # Errors
/// As [`trained::each_once`] and [`trained::check`].
pub(super) fn learnable(
    study: &Study,
    schools: &[School],
    audits: &[Audit],
    cells: &[TrainedCell],
) -> Result<()> {
    trained::each_once(study, schools)?;
    trained::check(study, schools, audits, cells)
}
