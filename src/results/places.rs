//! Where the rows of one table lie, and how they are read in whatever order of cells.
//!
//! Rows are put in order a window at a time: of each file, all that the window needs is decoded in one pass from front
//! to back, and handed on in the wanted order. So memory is bounded however many cells there are; a file is decoded once
//! where the wanted order is nearly its own, and at most once a window.

use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;

use super::schema::Row;
use super::table_file::{BATCH_ROWS, read_batches};
use super::text::Text;
use crate::{Error, Result};

/// Bytes of the rows that are put in order at a time, their texts left out; bounds what is held in memory.
const WINDOW_BYTES: usize = 1 << 20;
/// How much more a row takes as a struct with texts of its own, beside the arrays that it is read from and written to.
const PARSED: usize = 2;

/// Consecutive rows of one source.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Place {
    /// The source's position in its list.
    pub(super) source: usize,
    /// The rows in its file.
    pub(super) rows: Range<usize>,
}

/// Where the rows of one table lie.
pub(super) struct Places {
    files: Vec<PathBuf>,
    places: HashMap<Text, Vec<Place>>,
}

impl Places {
    /// The file of every source, and where in them each cell's rows are.
    pub(super) fn new(files: Vec<PathBuf>, places: HashMap<Text, Vec<Place>>) -> Self {
        Self { files, places }
    }

    /// How many rows a cell has.
    pub(super) fn rows_of(&self, cell: &str) -> usize {
        self.places.get(cell).into_iter().flatten().map(|place| place.rows.len()).sum()
    }

    /// The rows of the given cells (each of them once) in the given order.
    pub(super) fn batches<'a, R: Row + 'a>(
        &'a self,
        cells: impl Iterator<Item = &'a str>,
    ) -> impl Iterator<Item = Result<RecordBatch>> + 'a {
        self.windowed::<R>(cells, window_rows::<R>())
    }

    /// [`batches`](Self::batches) with a window of so many rows.
    fn windowed<'a, R: Row + 'a>(
        &'a self,
        cells: impl Iterator<Item = &'a str>,
        size: usize,
    ) -> impl Iterator<Item = Result<RecordBatch>> + 'a {
        let places = cells.filter_map(|cell| self.places.get(cell)).flatten().cloned();
        windows(places, size).into_iter().flat_map(|window| {
            let (window, failed) = match self.gather::<R>(&window) {
                Ok(window) => (window, None),
                Err(error) => (Window::default(), Some(Err(error))),
            };
            failed.into_iter().chain(window.in_order())
        })
    }

    /// The rows of a window's places.
    fn gather<R: Row>(&self, places: &[Place]) -> Result<Window> {
        let mut sorted: Vec<usize> = (0..places.len()).collect();
        sorted.sort_by_key(|i| (places[*i].source, places[*i].rows.start));
        let mut window = Window::default();
        let mut found: Vec<Vec<(usize, Range<usize>)>> = vec![Vec::new(); places.len()];
        for same in sorted.chunk_by(|a, b| places[*a].source == places[*b].source) {
            let Some(file) = same.first().and_then(|i| self.files.get(places[*i].source)) else { continue };
            let ranges = same.iter().map(|i| places[*i].rows.clone()).collect();
            let mut batches = read_batches::<R>(file, Some(ranges))?;
            let mut rest = 0..0;
            for i in same {
                let mut missing = places[*i].rows.len();
                while missing > 0 {
                    if rest.is_empty() {
                        let batch = batches.next().ok_or_else(|| shorter(file))??;
                        rest = 0..batch.num_rows();
                        window.batches.push(batch);
                    }
                    let taken = missing.min(rest.len());
                    found[*i].push((window.batches.len() - 1, rest.start..rest.start + taken));
                    missing -= taken;
                    rest.start += taken;
                }
            }
        }
        window.order =
            found.into_iter().flatten().flat_map(|(at, rows)| rows.map(move |row| (at, row))).collect();
        Ok(window)
    }

    /// The rows of the given cells (each of them once) in the given order, a bounded number at a time.
    pub(super) fn row_batches<'a, R: Row + 'a>(
        &'a self,
        cells: impl Iterator<Item = &'a str>,
    ) -> impl Iterator<Item = Result<Vec<R>>> + 'a {
        // Types are the same in every file of a table, so any file's name would do; the first is real.
        let file = self.files.first().map_or(Path::new(R::TABLE), PathBuf::as_path);
        self.windowed::<R>(cells, window_rows::<R>() / PARSED).map(move |batch| R::from_batch(&batch?, file))
    }

    /// The rows of the given cells (each of them once) in the given order.
    pub(super) fn rows<'a, R: Row + 'a>(&'a self, cells: impl Iterator<Item = &'a str>) -> Result<Vec<R>> {
        let mut rows = Vec::new();
        for batch in self.row_batches::<R>(cells) {
            rows.extend(batch?);
        }
        Ok(rows)
    }
}

/// Rows of a table that are put in order at a time.
fn window_rows<R: Row>() -> usize {
    WINDOW_BYTES / size_of::<R>().max(1)
}

/// Rows of several batches, and the order in which they are wanted: a batch's position, and a row in it.
#[derive(Default)]
struct Window {
    batches: Vec<RecordBatch>,
    order: Vec<(usize, usize)>,
}

impl Window {
    /// The rows in their order, a bounded number at a time.
    fn in_order(self) -> impl Iterator<Item = Result<RecordBatch>> {
        let Self { batches, order } = self;
        (0..order.len().div_ceil(BATCH_ROWS)).map(move |i| {
            let rows = &order[i * BATCH_ROWS..order.len().min((i + 1) * BATCH_ROWS)];
            let batches: Vec<&RecordBatch> = batches.iter().collect();
            interleave_record_batch(&batches, rows).map_err(|e| Error::Failed(format!("rows in order: {e}")))
        })
    }
}

/// What it means that a file has fewer rows than when its cells were listed.
fn shorter(file: &Path) -> Error {
    Error::Failed(format!(
        "{}: it was replaced while it was read; the same command again may do",
        file.display()
    ))
}

/// The places in their order, cut into windows of `size` rows.
fn windows(places: impl Iterator<Item = Place>, size: usize) -> Vec<Vec<Place>> {
    let mut windows: Vec<Vec<Place>> = Vec::new();
    let mut room = 0;
    for Place { source, mut rows } in places {
        while !rows.is_empty() {
            if room == 0 {
                windows.push(Vec::new());
                room = size.max(1);
            }
            let end = rows.start + rows.len().min(room);
            if let Some(window) = windows.last_mut() {
                window.push(Place { source, rows: rows.start..end });
            }
            room -= end - rows.start;
            rows.start = end;
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]

    use super::*;
    use crate::results::{MetricRow, write_rows};

    /// Three files of cells of 1 to 40 rows, and where they lie.
    fn folder(dir: &Path) -> (Places, Vec<(String, usize)>) {
        let (mut files, mut places, mut cells) = (Vec::new(), HashMap::new(), Vec::new());
        for source in 0..3 {
            let mut rows = Vec::new();
            for i in 0..30 {
                let (cell_id, n) = (format!("{source}-{i}"), (i * 7 + source) % 40 + 1);
                places.insert(
                    cell_id.as_str().into(),
                    vec![Place { source, rows: rows.len()..rows.len() + n }],
                );
                rows.extend((0..n as u64).map(|n| MetricRow {
                    cell_id: cell_id.as_str().into(),
                    n,
                    ..Default::default()
                }));
                cells.push((cell_id, n));
            }
            let file = dir.join(format!("{source}.parquet"));
            write_rows(&file, &rows).unwrap();
            files.push(file);
        }
        (Places::new(files, places), cells)
    }

    #[test]
    fn any_order_of_cells_is_read_right_through_windows_of_any_size() {
        let dir = tempfile::tempdir().unwrap();
        let (places, cells) = folder(dir.path());
        // Files' own order, backwards, and hopping between files and within them.
        let hop = |i: usize| &cells[i * 37 % cells.len()];
        let orders: [Vec<&(String, usize)>; 3] =
            [cells.iter().collect(), cells.iter().rev().collect(), (0..cells.len()).map(hop).collect()];
        for order in &orders {
            let expected: Vec<(String, u64)> =
                order.iter().flat_map(|(cell, n)| (0..*n as u64).map(|i| (cell.clone(), i))).collect();
            for size in [1, 7, 100, 1 << 18] {
                let ids = order.iter().map(|(cell, _)| cell.as_str());
                let mut found = Vec::new();
                for batch in places.windowed::<MetricRow>(ids, size) {
                    let rows = MetricRow::from_batch(&batch.unwrap(), dir.path()).unwrap();
                    assert!(rows.len() <= size);
                    found.extend(rows.into_iter().map(|row| (row.cell_id.to_string(), row.n)));
                }
                assert!(found == expected, "window of {size}");
            }
        }
    }

    #[test]
    fn windows_are_full_but_for_the_last() {
        let places = (0..10).map(|i| Place { source: i % 2, rows: i * 100..i * 100 + 9 });
        let windows = windows(places, 20);
        let sizes: Vec<usize> = windows.iter().map(|w| w.iter().map(|p| p.rows.len()).sum()).collect();
        assert_eq!(sizes, [20, 20, 20, 20, 10]);
    }

    #[test]
    fn a_file_that_shrank_is_an_error_that_names_it() {
        let dir = tempfile::tempdir().unwrap();
        let (places, _) = folder(dir.path());
        write_rows::<MetricRow>(&dir.path().join("1.parquet"), &[MetricRow::default()]).unwrap();
        let error = places.rows::<MetricRow>(["0-0", "1-4"].into_iter()).unwrap_err();
        assert!(error.to_string().contains("1.parquet"), "{error}");
    }
}
