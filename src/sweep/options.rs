//! What the command line says about a sweep.

use std::path::PathBuf;

/// Options of `percuss sweep`.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepOptions {
    /// The results folder; `results/NAME` of the study without it.
    pub out: Option<PathBuf>,
    /// `auto`, `cpu`, `gpu`, `gpu:N` or part of an adapter's name.
    pub device: String,
    /// This shard and how many there are, from (1, 1).
    pub shard: (usize, usize),
    /// Finish so many cells at most, then stop.
    pub limit_cells: Option<usize>,
    /// CPU threads, all of them without it.
    pub threads: Option<usize>,
    /// Lanes of a block; chosen from the program's and the device's memory without it.
    pub lanes: Option<usize>,
    /// Whether cells share what is provably equal.
    pub sharing: bool,
    /// Time the ways to compute a product on a GPU, where no earlier run has done so.
    pub tune: bool,
    /// Say nothing but errors.
    pub quiet: bool,
    /// Report as JSON lines.
    pub json: bool,
    /// Looked in for data sets before `PERCUSS_DATA`.
    pub data_dir: Option<PathBuf>,
}

impl Default for SweepOptions {
    fn default() -> Self {
        Self {
            out: None,
            device: "auto".into(),
            shard: (1, 1),
            limit_cells: None,
            threads: None,
            lanes: None,
            sharing: true,
            tune: true,
            quiet: false,
            json: false,
            data_dir: None,
        }
    }
}

impl SweepOptions {
    /// The results folder of a study by this name.
    pub fn out_or(&self, study: &str) -> PathBuf {
        self.out.clone().unwrap_or_else(|| PathBuf::from("results").join(study))
    }

    /// CPU threads.
    pub fn threads(&self) -> usize {
        threads(self.threads)
    }
}

/// CPU threads: as asked, else one a core.
pub fn threads(asked: Option<usize>) -> usize {
    asked.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)).max(1)
}
