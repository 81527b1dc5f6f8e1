//! The study file: what is attacked, with what, how hard.
//!
//! Reading checks everything that the file alone can tell; [`Grid`](super::grid::Grid) multiplies it out.

mod amount;
mod attack_table;
mod budgets;
mod data_table;
mod given_targets;
pub mod ladder;
mod recipes;
mod subjects;
mod threat_table;
mod zero_shot;

use percuss_kernels::Precision;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

pub use amount::Amount;
pub use attack_table::{Aim, AttackTable, ClassName, Curve, Goal, Save, Setting, Stop};
pub use budgets::{Beside, BesideAmount, Budget};
pub use data_table::DataEntry;
pub use given_targets::{Given, GivenTargets};
pub use recipes::RecipeEntry;
pub use subjects::{
    DefenseEntry, DetectorEntry, InputOverride, METRICS, ModelEntry, OperatingPoint, Output, Privacy, Rate,
};

pub use threat_table::ThreatTable;

use crate::document::{Item, Source, Table};
use crate::memory::Room;
use crate::models::hex;
use crate::{Error, Result};

/// Threats that studies may name one day, and this version does not have.
const OTHER_THREATS: [&str; 4] = ["inversion", "reconstruction", "extraction", "availability"];

/// Keys of the file itself.
const KEYS: [&str; 10] =
    ["name", "seeds", "data", "model", "defense", "attack", "recipe", "poisoning", "backdoor", "membership"];

/// A study, read and checked.
#[derive(Clone, Debug)]
pub struct Study {
    /// Its name, fit for a folder.
    pub name: String,
    /// Seeds, each once, in the file's order; they multiply what is random.
    pub seeds: Vec<u64>,
    /// The data sets.
    pub data: Vec<DataEntry>,
    /// The models.
    pub models: Vec<ModelEntry>,
    /// The defences; without a table, none alone.
    pub defenses: Vec<DefenseEntry>,
    /// The `[[attack]]` tables.
    pub attacks: Vec<AttackTable>,
    /// What models are trained by, for the threats that train some.
    pub recipes: Vec<RecipeEntry>,
    /// The `[[poisoning]]`, `[[backdoor]]` and `[[membership]]` tables.
    pub threats: Vec<ThreatTable>,
    /// The file.
    pub file: PathBuf,
    /// Its text.
    pub text: String,
    /// SHA-256 of the text, hexadecimal.
    pub sha256: String,
    /// What the attacks' products multiply; the command line says so, not the file.
    pub precision: Precision,
    /// What data and weights may take of memory, each; the command line says so, too.
    pub memory: Room,
}

impl Study {
    /// Reads a study file.
    ///
    /// # Errors
    /// A file that is not there; whatever [`Study::parse`] finds.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(&crate::files::read_text(path)?, path)
    }

    /// Reads a study from its text; `file` names it in errors, and its paths are relative to the folder of `file`.
    ///
    /// # Errors
    /// [`Error::Input`] with line and key: no TOML, an unknown key (with the nearest known one), a value of another type or
    /// out of range, an id that nothing has.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let name = file.display().to_string();
        let source = Source { file: &name, text };
        let document = source.parse()?;
        let root = Table::root(source, document.get_ref());
        refuse_other_threats(&root)?;
        root.allow(&KEYS)?;
        let folder = file.parent().unwrap_or(Path::new(""));
        let defenses = subjects::defenses(&root)?;
        let recipes = recipes::read(&root, folder)?;
        let data = data_table::data(&root, folder)?;
        let models = subjects::models(&root, folder, &data)?;
        let ids = threat_table::Ids { recipes: &recipes, defenses: &defenses, models: &models, data: &data };
        let threats = threat_table::read(&root, ids)?;
        let ids = attack_table::Ids { models: &models, data: &data, defenses: &defenses };
        let attacks = match root.get("attack") {
            Some(item) => {
                item.tables()?.iter().map(|table| attack_table::read(table, &ids)).collect::<Result<_>>()?
            }
            None => Vec::new(),
        };
        Ok(Self {
            name: study_name(&root.require("name", "the study's name")?)?,
            seeds: root.read("seeds", seeds)?.unwrap_or_else(|| vec![0]),
            data,
            models,
            defenses,
            attacks,
            recipes,
            threats,
            file: file.to_path_buf(),
            sha256: hex(&Sha256::digest(text.as_bytes())),
            text: text.to_string(),
            precision: Precision::F32,
            memory: Room::default(),
        })
    }

    /// The name of its results folder: cells of another precision are other cells.
    pub fn folder(&self) -> String {
        match self.precision {
            Precision::F32 => self.name.clone(),
            precision => format!("{}-{}", self.name, precision.name()),
        }
    }

    /// The same study with attacks that multiply in another precision.
    pub fn in_precision(mut self, precision: Precision) -> Self {
        self.precision = precision;
        self
    }

    /// The same study whose data take no more bytes of memory than this.
    pub fn within(mut self, memory: Option<u64>) -> Self {
        self.memory = Room::of(memory);
        self.data.iter_mut().for_each(|data| data.request.memory = self.memory);
        self
    }

    /// Bad input in this study, where only a later look could tell.
    pub fn error(&self, place: impl ToString, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(self.file.display(), place, found, expected)
    }
}

fn refuse_other_threats(root: &Table) -> Result<()> {
    match OTHER_THREATS.iter().find_map(|threat| root.get(threat)) {
        Some(item) => Err(item.error_found(
            "a threat that this version does not have",
            "[[attack]], [[poisoning]], [[backdoor]] or [[membership]] tables",
        )),
        None => Ok(()),
    }
}

/// A name that can be a folder's on any system.
fn study_name(item: &Item) -> Result<String> {
    let name = item.word()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.is_empty() || name.len() > 100 || name.starts_with('.') || !name.chars().all(plain) {
        return Err(item.error("1 to 100 letters, digits, '-', '_' or '.', not starting with '.'"));
    }
    Ok(name.to_string())
}

fn seeds(item: &Item) -> Result<Vec<u64>> {
    let mut seeds = Vec::new();
    for value in item.values()? {
        let seed = value.whole(0, u64::MAX)?;
        if seeds.contains(&seed) {
            return Err(value.error("each seed once"));
        }
        seeds.push(seed);
    }
    Ok(seeds)
}
