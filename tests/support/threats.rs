//! A study whose threats train models, run in a folder of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;

use percuss::results::{CellRow, MetricRow, Results, SampleRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::run::{Report, sweep};
use percuss::sweep::study::Study;

/// A small network on 400 patients of SUPPORT2.
pub const PATIENTS: &str = r#"
epochs = 12
batch = 32
[data]
name = "support2"
val = "none"
limit = 400
[model]
architecture = "mlp"
hidden = [16]
[optimizer]
kind = "adamw"
learning_rate = 5e-3
"#;

pub struct Fixture {
    pub folder: tempfile::TempDir,
    pub study: Study,
}

pub type Rows = (Vec<CellRow>, Vec<MetricRow>, Vec<SampleRow>);

impl Fixture {
    /// Seeds 0 and 1, one recipe, and these tables.
    pub fn new(recipe: &str, tables: &str) -> Self {
        Self::with(&[("mlp", recipe)], tables)
    }

    /// Seeds 0 and 1, these recipes by id, and these tables.
    pub fn with(recipes: &[(&str, &str)], tables: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::from("name = \"threats\"\nseeds = [0, 1]\n");
        for (id, recipe) in recipes {
            std::fs::write(folder.path().join(format!("{id}.toml")), recipe).unwrap();
            text += &format!("[[recipe]]\nid = \"{id}\"\ntrain = \"{id}.toml\"\n");
        }
        let file = folder.path().join("study.toml");
        std::fs::write(&file, text + tables).unwrap();
        let study = Study::read(&file).unwrap();
        Self { folder, study }
    }

    pub fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn try_run(&self, name: &str, options: SweepOptions) -> percuss::Result<Report> {
        let device = if options.device == "auto" { "cpu".into() } else { options.device.clone() };
        let options = SweepOptions { out: Some(self.out(name)), quiet: true, device, ..options };
        sweep(&self.study, &options)
    }

    pub fn run(&self, name: &str, options: SweepOptions) -> Report {
        self.try_run(name, options).unwrap()
    }

    /// Everything in a results folder, in an order of its own.
    pub fn rows(&self, name: &str) -> Rows {
        let results = Results::open(&self.out(name)).unwrap();
        let mut cells = results.cells().unwrap().to_vec();
        cells.sort_by(|a, b| a.cell_id.cmp(&b.cell_id));
        let samples = super::samples_of(&results, &cells);
        let mut metrics = results.metrics().unwrap();
        metrics.sort_by_key(|row| (row.cell_id.clone(), row.metric.clone(), row.scope.clone()));
        (cells, metrics, samples)
    }

    /// One metric of the cells, by whatever tells them apart.
    pub fn metric(
        &self,
        name: &str,
        metric: &str,
        scope: &str,
        by: impl Fn(&CellRow) -> String,
    ) -> BTreeMap<String, MetricRow> {
        let (cells, metrics, _) = self.rows(name);
        let of = |cell: &CellRow| {
            let same =
                |row: &&MetricRow| row.cell_id == cell.cell_id && row.metric == metric && row.scope == scope;
            Some((by(cell), metrics.iter().find(same)?.clone()))
        };
        cells.iter().filter_map(of).collect()
    }
}

/// A parameter of a cell.
pub fn param(cell: &CellRow, name: &str) -> serde_json::Value {
    serde_json::from_str::<serde_json::Value>(&cell.params).unwrap()[name].clone()
}

/// The metrics of a cell by name and scope.
pub fn metrics_of<'r>(
    cell: &CellRow,
    metrics: &'r [MetricRow],
) -> BTreeMap<(&'r str, &'r str), &'r MetricRow> {
    let own = metrics.iter().filter(|row| row.cell_id == cell.cell_id);
    own.map(|row| ((row.metric.as_ref(), row.scope.as_ref()), row)).collect()
}

/// Runs the study in blocks of members on one thread, in shards, and broken off and resumed: it has the same rows each time.
pub fn check_company(fixture: &Fixture) {
    let all = fixture.run("all", SweepOptions::default());
    let expected = fixture.rows("all");
    fixture.run("lanes", SweepOptions { lanes: Some(3), threads: Some(1), ..SweepOptions::default() });
    assert_eq!(fixture.rows("lanes"), expected, "blocks of three members");
    for shard in 1..=3 {
        fixture.run("shards", SweepOptions { shard: (shard, 3), ..SweepOptions::default() });
    }
    assert_eq!(fixture.rows("shards"), expected, "three shards");
    let some = all.done / 2;
    let first = fixture.run("resumed", SweepOptions { limit_cells: Some(some), ..SweepOptions::default() });
    assert_eq!((first.done, first.complete), (some, false));
    let rest = fixture.run("resumed", SweepOptions::default());
    assert_eq!((rest.found, rest.done), (some, all.done - some));
    assert_eq!(fixture.rows("resumed"), expected, "broken off and resumed");
}
