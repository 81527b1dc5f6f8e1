//! `percuss data list | fetch NAME | path NAME`: the data sets that have a name.

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use crate::data::fetch::{Fetcher, fetch_entry};
use crate::data::registry::{self, ENTRIES, Entry, Located, Origin};
use crate::sweep::data_check::page;
use crate::sweep::study::Study;
use crate::{Error, Result};

/// Named data sets: list them, fetch one from its origin, or say where one lies.
#[derive(Args, Debug)]
pub struct DataCommand {
    /// A folder that is looked in before PERCUSS_DATA and the cache (and fetched into).
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub action: DataAction,
}

/// What `percuss data` does.
#[derive(Subcommand, Debug)]
pub enum DataAction {
    /// List every data set: what it is, and where it is stored or comes from.
    List {
        /// As JSON, with licence and citation.
        #[arg(long)]
        json: bool,
    },
    /// Fetch a data set from its origin into the cache; resume a download that broke off.
    Fetch {
        /// Its name.
        name: String,
    },
    /// Say what the data of a study are: classes and outputs, unit, range, axes, groups, what splits share.
    Check {
        /// The study file
        study: PathBuf,
        /// What each data set and each model's weights may take of memory, as 512MB or 4GB [default: three quarters of what is free]
        #[arg(long, value_name = "SIZE", value_parser = crate::memory::parse)]
        memory: Option<u64>,
    },
    /// Print the path of a data set's file or folder.
    Path {
        /// Its name.
        name: String,
    },
}

/// Runs the command; what it has to say goes to `out`, progress to a terminal's standard error.
///
/// # Errors
/// An unknown name, a data set that is not there, a failed download.
pub fn run(command: DataCommand, out: &mut dyn Write) -> Result<()> {
    let text = match &command.action {
        DataAction::List { json: true } => json(&command)?,
        DataAction::List { json: false } => list(&command),
        DataAction::Path { name } => path(&command, name)?,
        DataAction::Check { study, memory } => {
            page(&Study::read(study)?.within(*memory), command.data_dir.as_deref())?
        }
        DataAction::Fetch { name } => fetch(&command, name)?,
    };
    writeln!(out, "{}", text.trim_end()).map_err(Error::io("output"))
}

fn list(command: &DataCommand) -> String {
    let mut text = String::new();
    for entry in ENTRIES {
        text += &format!("{:<15} {}\n", entry.name, entry.modality);
        text += &format!("{:15} {}; {}\n", "", entry.task, entry.licence);
        text += &format!("{:15} {}{}\n", "", place(command, entry), size(entry));
        if !entry.note.is_empty() {
            text += &format!("{:15} {}\n", "", entry.note);
        }
    }
    text
}

fn json(command: &DataCommand) -> Result<String> {
    let rows: Vec<serde_json::Value> = ENTRIES
        .iter()
        .map(|entry| {
            serde_json::json!({
                "name": entry.name,
                "modality": entry.modality,
                "task": entry.task,
                "classes": entry.classes,
                "licence": entry.licence,
                "citation": entry.citation,
                "origin": origin(entry),
                "size": entry.size,
                "synthetic": matches!(entry.origin, Origin::Generated),
                "found": place(command, entry),
                "note": entry.note,
            })
        })
        .collect();
    serde_json::to_string_pretty(&rows).map_err(|error| Error::Failed(error.to_string()))
}

fn place(command: &DataCommand, entry: &Entry) -> String {
    match registry::locate(entry.name, command.data_dir.as_deref()) {
        Ok(Located::File(path)) => path.display().to_string(),
        Ok(Located::Embedded(_)) => "in the program".to_string(),
        Ok(Located::Generated) => "generated".to_string(),
        Err(_) => match entry.origin {
            Origin::ByHand(_) => {
                "not here; to be put together by hand (see `percuss data fetch`)".to_string()
            }
            _ => "not here; `percuss data fetch` gets it".to_string(),
        },
    }
}

fn origin(entry: &Entry) -> String {
    match entry.origin {
        Origin::Files { base, files: [file], .. } => format!("{base}{}", file.name),
        Origin::Files { base, .. } => base.to_string(),
        Origin::CutFrom(source) => format!("cut from {source}"),
        Origin::Embedded(_) => "embedded".to_string(),
        Origin::Generated => "generated".to_string(),
        Origin::ByHand(how) => how.to_string(),
    }
}

fn size(entry: &Entry) -> String {
    match entry.size as f64 {
        0.0 => String::new(),
        size if size < 1e6 => format!(", {:.0} kB", size / 1e3),
        size => format!(", {:.1} MB", size / 1e6),
    }
}

fn path(command: &DataCommand, name: &str) -> Result<String> {
    match registry::locate(name, command.data_dir.as_deref())? {
        Located::File(path) => Ok(path.display().to_string()),
        Located::Embedded(_) => Err(Error::input(name, "path", "a data set in the program", "one in a file")),
        Located::Generated => Err(Error::input(name, "path", "a generated data set", "one in a file")),
    }
}

fn fetch(command: &DataCommand, name: &str) -> Result<String> {
    let entry = registry::entry(name)?;
    let dir = match &command.data_dir {
        Some(dir) => dir.clone(),
        None => registry::cache_dir()?,
    };
    let to = dir.join(entry.file);
    // What was cut here has no checksum of an origin's; everything else is checked, and fetched where it is missing.
    if to.is_file() && matches!(entry.origin, Origin::CutFrom(_)) {
        return Ok(format!("{} is already there", to.display()));
    }
    // Hides itself where standard error is no terminal.
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    let path = fetch_entry(&Fetcher::default(), entry, None, &dir, &mut |file, done, total| {
        bar.set_message(file.to_string());
        bar.set_length(total.unwrap_or(done));
        bar.set_position(done);
    })?;
    bar.finish_and_clear();
    Ok(format!("{}\n{}; {}", path.display(), entry.licence, entry.citation))
}
