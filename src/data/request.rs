//! What a caller asks of a data set, and the one door through which it is read.

use std::path::{Path, PathBuf};

use super::labels::{Known, Outputs};
use super::preprocess::Preprocess;
use super::registry::{self, Located};
use super::signals::{self, SignalOptions};
use super::spec::Spec;
use super::table;
use super::{
    ArrayOptions, Bins, Dataset, Fed, ImageOptions, InputArray, LabelOptions, Remark, SplitNames, arrays,
    beats, ecg, icu_cohort, image_folder, manifest, phantom, tables,
};
use crate::memory::Room;
use crate::{Error, Result};

/// Where a data set is to be found.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A name in the registry (`percuss data list`).
    Name(String),
    /// A file (`.npz`, `.csv`, `.parquet`, `.hea`, `.edf`, `.bdf`), a folder of recordings, or one of images with a folder a class.
    Path(PathBuf),
    /// A CSV that lists image files with their labels, and optionally `patient`, `site`, `sex`, `split`, under any names.
    Manifest(PathBuf),
    /// A CSV that lists recordings: a record and its label a row, and optionally patient and split.
    Records(PathBuf),
}

/// Which samples of which data set, with which columns beside them.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where it is.
    pub source: Source,
    /// `train`, `val`, `test` or `all`.
    pub split: String,
    /// Which values of a list's column are which split.
    pub splits: SplitNames,
    /// Whether somebody asked for that split: if not, a file without it may be read by another, which is said.
    pub split_given: bool,
    /// At most this many samples, stratified by label and chosen by `seed`; `None` for all.
    pub limit: Option<usize>,
    /// Chooses the subset that `limit` leaves; it does not touch generated values or splits.
    pub seed: u64,
    /// The column that says who or what a sample came from, where the data set's own is not the right one.
    pub group: Option<String>,
    /// Columns by which results are to be broken down.
    pub subgroups: Vec<String>,
    /// Of an npz archive the arrays that are a model's inputs, in its order, where it has several.
    pub inputs: Vec<InputArray>,
    /// How signals are read.
    pub signals: SignalOptions,
    /// Names of the model's outputs, in their order, where they are known: what the names of labels in a file mean.
    pub classes: Vec<String>,
    /// Whether the study says these names of these very data, not of the model.
    pub classes_of_data: bool,
    /// What labels that are no answer count as, and which findings are labelled.
    pub labels: LabelOptions,
    /// The model's outputs, where there is a model.
    pub outputs: Option<Outputs>,
    /// The file that has the model's own names, or would, where that is known.
    pub configuration: Option<String>,
    /// What a model that is there says of the values that it is fed: into a table without its preprocessing nothing is filled that nobody states.
    pub fed: Option<Fed>,
    /// Whether the samples are only looked at, by no model: names in no order are then no error.
    pub unordered: bool,
    /// How the arrays of an npz archive are read.
    pub arrays: ArrayOptions,
    /// How image files and the CSV that lists them are read.
    pub images: ImageOptions,
    /// Columns whose numbers are put into ranges; results are broken down by them.
    pub bins: Vec<Bins>,
    /// What may be taken of memory.
    pub memory: Room,
    /// Looked in before `PERCUSS_DATA`, the embedded sets and the cache.
    pub data_dir: Option<PathBuf>,
}

impl Request {
    /// A whole split of `source`, with the data set's own group column.
    pub fn new(source: Source, split: &str) -> Self {
        Self {
            source,
            split: split.to_string(),
            splits: SplitNames::default(),
            split_given: true,
            limit: None,
            seed: 0,
            group: None,
            subgroups: Vec::new(),
            inputs: Vec::new(),
            signals: SignalOptions::default(),
            classes: Vec::new(),
            classes_of_data: false,
            labels: LabelOptions::default(),
            outputs: None,
            configuration: None,
            fed: None,
            unordered: false,
            arrays: ArrayOptions::default(),
            images: ImageOptions::default(),
            bins: Vec::new(),
            memory: Room::default(),
            data_dir: None,
        }
    }

    /// What is known of the classes.
    pub fn known(&self) -> Known {
        Known {
            names: self.classes.clone(),
            of_data: self.classes_of_data,
            findings: self.labels.findings.clone(),
            outputs: self.outputs,
            configuration: self.configuration.clone(),
            unordered: self.unordered,
        }
    }

    /// A whole split of the registry's data set `name`.
    pub fn named(name: &str, split: &str) -> Self {
        Self::new(Source::Name(name.to_string()), split)
    }
}

/// Reads what `request` asks for.
///
/// `preprocess` is the one saved beside a model, for tables; without it a table's own spec (built in for registry
/// names, `NAME.toml` beside `NAME.csv` otherwise) is fitted on the table's train split.
///
/// # Errors
/// A name or file that is not there, a split that does not exist, and whatever [`Dataset::check`] finds.
pub fn open(request: &Request, preprocess: Option<&Preprocess>) -> Result<Dataset> {
    open_fitted(request, preprocess).map(|(dataset, _)| dataset)
}

/// [`open`], and the preprocessing that was used if the source is a table: a training run stores it beside its model.
///
/// # Errors
/// As [`open`].
pub fn open_fitted(
    request: &Request,
    preprocess: Option<&Preprocess>,
) -> Result<(Dataset, Option<Preprocess>)> {
    let split = request.split.as_str();
    if !["train", "val", "test", "all"].contains(&split) {
        return Err(Error::input(label(request), "split", split, "train, val, test or all"));
    }
    let folder_of_images = match &request.source {
        Source::Path(path) => path.is_dir() && image_folder::is_one(path)?,
        _ => false,
    };
    check_image_keys(request, folder_of_images)?;
    check_label_keys(request)?;
    check_split_keys(request)?;
    let (mut dataset, fitted) = match &request.source {
        Source::Path(path) if !request.inputs.is_empty() => (arrays::open(path, request, None)?, None),
        _ if !request.inputs.is_empty() => {
            let expected = "path = \"FILE.npz\", whose arrays they are";
            return Err(Error::input(label(request), "inputs", "no npz archive", expected));
        }
        Source::Name(name) => open_name(name, request, preprocess)?,
        Source::Path(path) if folder_of_images => (image_folder::open(path, request)?, None),
        Source::Path(path) => open_path(path, request, preprocess)?,
        Source::Records(path) => (signals::open(path, request)?, None),
        Source::Manifest(path) => (manifest::open(path, request)?, None),
    };
    choose_columns(&mut dataset, request)?;
    dataset.check()?;
    match request.limit {
        Some(limit) if limit < dataset.len() => dataset = dataset.limited(limit, request.seed)?,
        Some(limit) if limit > dataset.len() => {
            let text = format!("limit = {limit} leaves all {} samples: there are no more", dataset.len());
            dataset.remarks.push(Remark::note(text));
        }
        _ => {}
    }
    Ok((dataset, fitted))
}

/// Keys about images say nothing of other data, and those about a list nothing of folders.
fn check_image_keys(request: &Request, folder: bool) -> Result<()> {
    let lists = ["columns", "separator", "files"];
    let misplaced = |key: &&&str| match &request.source {
        Source::Manifest(_) => false,
        _ => !folder || lists.contains(key),
    };
    let Some(key) = request.images.given.iter().find(misplaced) else { return Ok(()) };
    let expected = if folder {
        "no such key: folders are the classes"
    } else {
        "no such key: it is about images that a manifest lists"
    };
    Err(Error::input(label(request), *key, "a key about images", expected))
}

/// Keys about labels say nothing of data that are not labelled so, nor of findings where classes exclude each other.
fn check_label_keys(request: &Request) -> Result<()> {
    let archive = |path: &Path| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("npz"));
    let table = |path: &Path| table::is_table(path) && !signals::listing::is_list(path);
    let exclusive = request.outputs.is_some_and(|outputs| !outputs.findings);
    let (answers, findings) = match &request.source {
        Source::Manifest(_) => (true, !exclusive),
        Source::Path(path) if archive(path) => (true, !exclusive),
        Source::Path(path) => (false, !table(path)),
        Source::Records(_) => (true, true),
        Source::Name(_) => (false, false),
    };
    let read = |key: &&str| match *key {
        "findings" => findings,
        "repeated" => matches!(request.source, Source::Manifest(_)),
        _ => answers,
    };
    let Some(key) = request.labels.given().find(|key| !read(key)) else { return Ok(()) };
    let expected = match answers {
        _ if key == "repeated" => "no such key: it is about images that several rows of a manifest list",
        true => request.known().one_class(),
        false => "no such key: it is about labels of a manifest, an npz archive or a list of recordings",
    };
    let found = if answers {
        "a key about findings, beside classes that exclude each other"
    } else {
        "a key about labels"
    };
    Err(Error::input(label(request), key, found, expected))
}

/// Values of a column are splits of a list alone; a table's spec says its own.
fn check_split_keys(request: &Request) -> Result<()> {
    let listed = match &request.source {
        Source::Manifest(_) | Source::Records(_) => true,
        Source::Path(path) => signals::listing::is_list(path) || path.is_dir() && !table::is_table(path),
        Source::Name(_) => false,
    };
    if listed || !request.splits.are_stated() {
        return Ok(());
    }
    let expected = "no such key: it is about a CSV that lists images or recordings; of a table its spec says split = { column = \"COLUMN\", \
                    values = { test = [10] } }";
    Err(Error::input(label(request), "splits", "values of a column", expected))
}

fn label(request: &Request) -> String {
    match &request.source {
        Source::Name(name) => name.clone(),
        Source::Path(path) | Source::Manifest(path) | Source::Records(path) => path.display().to_string(),
    }
}

type Opened = Result<(Dataset, Option<Preprocess>)>;

fn open_name(name: &str, request: &Request, fitted: Option<&Preprocess>) -> Opened {
    let split = request.split.as_str();
    let entry = registry::entry(name)?;
    let located = registry::locate(name, request.data_dir.as_deref())?;
    let mut opened = match (&located, name) {
        (_, "ecg-synthetic") => (ecg::generate(split, ecg::SEED)?, None),
        (_, "iseeu-cohort") => (icu_cohort::generate(split, icu_cohort::SEED)?, None),
        (_, "cxr-phantom") => (phantom::generate(split, phantom::SEED)?, None),
        (Located::File(path), "pneumoniamnist" | "breastmnist") => {
            (arrays::open(path, request, Some(entry.classes))?, None)
        }
        (Located::File(path), "mitbih_beats") => (beats::open(path, split)?, None),
        (Located::File(path), "mitdb") => (signals::open(path, request)?, None),
        (Located::File(path), _) if entry.spec.is_some() => {
            open_table(tables::open(path, Some(registry_spec(entry)?), request, fitted))?
        }
        (Located::Embedded(bytes), _) if entry.spec.is_some() => {
            open_table(tables::open_bytes(name, bytes, &registry_spec(entry)?, request, fitted))?
        }
        _ => {
            return Err(Error::input(
                name,
                "data set",
                entry.task,
                "a data set with samples and labels; this one's files are read one by one, by their path",
            ));
        }
    };
    opened.0.name = name.to_string();
    Ok(opened)
}

fn registry_spec(entry: &registry::Entry) -> Result<Spec> {
    Spec::from_toml(&format!("the built-in spec of {}", entry.name), entry.spec.unwrap_or_default())
}

fn open_table(opened: Result<(Dataset, Preprocess)>) -> Opened {
    opened.map(|(dataset, fitted)| (dataset, Some(fitted)))
}

/// Refuses a path where nothing is; of a name that stands in the registry with the line that means that.
fn exists(path: &Path) -> Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    match std::fs::metadata(path) {
        Err(_) if registry::entry(name).is_ok() => {
            let expected =
                format!("name = \"{name}\" in the place of path: it is a data set of `percuss data list`");
            Err(Error::input(path.display(), "path", "no file or folder", expected))
        }
        other => other.map(|_| ()).map_err(Error::io(path)),
    }
}

fn open_path(path: &Path, request: &Request, fitted: Option<&Preprocess>) -> Opened {
    exists(path)?;
    // A folder of recordings may hold their list, which is no table of its own.
    if signals::listing::is_list(path) || signals::listing::folder(path, &request.signals.list).is_ok() {
        return Ok((signals::open(path, request)?, None));
    }
    if table::is_table(path) {
        return open_table(tables::open(path, None, request, fitted));
    }
    if path.is_dir() {
        return Ok((signals::open(path, request)?, None));
    }
    match path.extension().and_then(|e| e.to_str()).unwrap_or_default() {
        "npz" => open_npz(path, request).map(|dataset| (dataset, None)),
        "hea" | "edf" | "EDF" | "bdf" | "BDF" => signals::open(path, request).map(|dataset| (dataset, None)),
        other => Err(Error::input(
            path.display(),
            "file ending",
            format!("`{other}`"),
            "npz, csv, tsv, parquet, hea, edf, bdf, or a folder of recordings, of a table's parts, or of images, a folder a class",
        )),
    }
}

fn open_npz(path: &Path, request: &Request) -> Result<Dataset> {
    if beats::is_beats(path)? { beats::open(path, &request.split) } else { arrays::open(path, request, None) }
}

/// Readers offer every column they have; this keeps those that were asked for.
fn choose_columns(dataset: &mut Dataset, request: &Request) -> Result<()> {
    let offered = dataset.subgroups.keys().cloned().collect::<Vec<_>>().join(", ");
    let missing = |what: &str, column: &str| {
        let expected = if offered.is_empty() {
            "no column: this data set has none".to_string()
        } else {
            format!("one of {offered}")
        };
        Error::input(label(request), what, format!("`{column}`"), expected)
    };
    if let Some(column) = &request.group {
        let values = dataset.subgroups.get(column).ok_or_else(|| missing("group", column))?;
        dataset.group = Some(values.clone());
    }
    let binned = request.bins.iter().map(|bins| ("bins", &bins.column));
    let named = request.subgroups.iter().map(|column| ("subgroups", column));
    if let Some((key, column)) =
        named.chain(binned).find(|(_, column)| !dataset.subgroups.contains_key(*column))
    {
        return Err(missing(key, column));
    }
    let binned = |column: &String| request.bins.iter().any(|bins| bins.column == *column);
    dataset.subgroups.retain(|column, _| request.subgroups.contains(column) || binned(column));
    request.bins.iter().try_for_each(|bins| bins.apply(dataset))
}
