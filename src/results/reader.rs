//! Reading a results folder: finished shards and, while a sweep is still running, its parts.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::clearing::check_complete;
use super::company::{Company, held_samples};
use super::flags::mark;
use super::hold::STUDY_FILE;
use super::joint::lock_cells;
use super::outcomes::OutcomeRow;
use super::places::Places;
use super::records::{CellRow, CurveRow, MetricRow, RunRow, SampleRow};
use super::sources::{Homes, discover, look_again, run_files};
use super::table_file::read_rows;
use super::text::Text;
use crate::{Error, Result};

/// A results folder, as it was when it was opened.
pub struct Results {
    dir: PathBuf,
    homes: Homes,
    cells: OnceCell<Vec<CellRow>>,
    /// The flags that cells have for their company, in file order.
    fired: OnceCell<Vec<Vec<&'static str>>>,
    samples: OnceCell<Places>,
}

impl Results {
    /// Opens a folder that [`Store`](super::Store) wrote.
    ///
    /// # Errors
    /// [`Error::Input`] where no sweep wrote the folder, or a file in it is no table of ours; [`Error::Failed`] where a finished shard lacks one.
    pub fn open(dir: &Path) -> Result<Self> {
        let sources = discover(dir)?;
        // A sweep that was stopped before its first cell has written its study, and no cell.
        if sources.is_empty() && !dir.join(STUDY_FILE).is_file() {
            let found = if dir.is_dir() { "no cells-*.parquet" } else { "no such folder" };
            return Err(Error::input(dir.display(), "results", found, "a folder that `percuss sweep` wrote"));
        }
        check_complete(dir)?;
        let homes = Homes::of(sources)?;
        Ok(Self::of(dir.to_path_buf(), homes))
    }

    /// The same without the cells that are not among `cells`: those of an earlier model or data set, say.
    #[must_use]
    pub fn restricted(mut self, cells: &[Text]) -> Self {
        self.homes.retain(cells);
        Self::of(self.dir, self.homes)
    }

    fn of(dir: PathBuf, homes: Homes) -> Self {
        let (cells, fired, samples) = Default::default();
        Self { dir, homes, cells, fired, samples }
    }

    /// Reads the folder, [`restricted`](Self::restricted) to `cells`, while no other process of the same sweep rewrites
    /// or removes files in it; `None` where there are no results yet. Waits for processes that write or read so.
    ///
    /// # Errors
    /// As [`open`](Self::open), and whatever `read` fails with.
    pub fn read_undisturbed<T>(
        dir: &Path,
        cells: &[Text],
        read: impl Fn(&Self) -> Result<T>,
    ) -> Result<Option<T>> {
        let _held = lock_cells(dir)?;
        look_again(|| {
            if discover(dir)?.is_empty() {
                return Ok(None);
            }
            read(&Self::open(dir)?.restricted(cells)).map(Some)
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Ids of the finished cells, in file order.
    pub fn cell_ids(&self) -> &[Text] {
        &self.homes.cells
    }

    /// Every finished cell, in file order, checked against all others: those of other shards, and those still in parts.
    pub fn cells(&self) -> Result<&[CellRow]> {
        if let Some(cells) = self.cells.get() {
            return Ok(cells);
        }
        let mut cells = Vec::with_capacity(self.homes.cells.len());
        self.for_each_cell(|cell| {
            cells.push(cell);
            Ok(())
        })?;
        Ok(self.cells.get_or_init(|| cells))
    }

    /// Hands out the cells of [`cells`](Self::cells) one after the other; memory holds a bounded number of them.
    ///
    /// # Errors
    /// Whatever `each` fails with; a file that cannot be read.
    pub fn for_each_cell(&self, mut each: impl FnMut(CellRow) -> Result<()>) -> Result<()> {
        let places = self.homes.places::<CellRow>()?;
        let batches = || places.row_batches::<CellRow>(self.homes.cells.iter().map(Text::as_str));
        if self.fired.get().is_none() {
            let mut company = Company::default();
            for batch in batches() {
                batch?.iter().for_each(|cell| company.add(cell));
            }
            let fired = company.fired(|cells| held_samples(&self.homes, cells))?;
            self.fired.get_or_init(|| fired);
        }
        let mut fired = self.fired.get().into_iter().flatten();
        for batch in batches() {
            for mut cell in batch? {
                fired.next().into_iter().for_each(|fired| mark(&mut cell, fired));
                each(cell)?;
            }
        }
        Ok(())
    }

    /// Every metric, in the cells' order.
    pub fn metrics(&self) -> Result<Vec<MetricRow>> {
        self.homes.places::<MetricRow>()?.rows(self.homes.cells.iter().map(Text::as_str))
    }

    /// The metrics of some cells, in the given order.
    pub fn metrics_of<'a>(&self, cells: impl Iterator<Item = &'a str>) -> Result<Vec<MetricRow>> {
        let places = self.homes.places::<MetricRow>()?;
        let cells: Vec<&str> = cells.collect();
        places.rows(cells.into_iter())
    }

    /// The sample rows of one cell, by sample; memory holds that cell alone.
    pub fn samples(&self, cell: &str) -> Result<Vec<SampleRow>> {
        self.sample_places()?.rows(std::iter::once(cell))
    }

    /// What became of the samples of the given cells (each of them once), in the given order, a bounded number at a time.
    pub(super) fn outcomes<'a>(
        &'a self,
        cells: impl Iterator<Item = &'a str>,
    ) -> Result<impl Iterator<Item = Result<Vec<OutcomeRow>>> + 'a> {
        Ok(self.sample_places()?.row_batches(cells))
    }

    /// Where the samples lie, found out once.
    fn sample_places(&self) -> Result<&Places> {
        if let Some(places) = self.samples.get() {
            return Ok(places);
        }
        let places = self.homes.places::<SampleRow>()?;
        Ok(self.samples.get_or_init(|| places))
    }

    /// The metrics of every cell, by cell id.
    pub fn metrics_by_cell(&self) -> Result<HashMap<Text, Vec<MetricRow>>> {
        let mut by_cell: HashMap<Text, Vec<MetricRow>> = HashMap::new();
        for metric in self.metrics()? {
            by_cell.entry(metric.cell_id.clone()).or_default().push(metric);
        }
        Ok(by_cell)
    }

    /// The worst-case curves, as [`write_curves`](super::curves::write_curves) left them.
    pub fn curves(&self) -> Result<Vec<CurveRow>> {
        read_rows(&self.dir.join("curves.parquet"))
    }

    /// One row an invocation, in file-name order.
    pub fn runs(&self) -> Result<Vec<RunRow>> {
        let mut runs = Vec::new();
        for file in run_files(&self.dir)? {
            runs.extend(read_rows(&file)?);
        }
        Ok(runs)
    }
}
