//! What is in a results folder, or in one Parquet file.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::inspect_data::table;
use super::report::shown;
use crate::memory::Room;
use crate::results::{DESCRIPTION, Results, Text, is_sealed, others_told};
use crate::sweep::plan::grouped;
use crate::telling::{counted, noun};
use crate::{Error, Result};

/// A results folder: cells by attack, runs, whether it is finished, and the table that a sweep ends with.
pub(super) fn results(path: &Path) -> Result<String> {
    let results = Results::open(path)?;
    let (mut study, mut count, runs) = (None, 0, results.runs()?);
    let mut groups: Vec<(String, usize)> = Vec::new();
    let mut versions: BTreeMap<Text, BTreeSet<Text>> = BTreeMap::new();
    results.for_each_cell(|cell| {
        // A threat without budgets is named itself.
        let kind = cell.norm.as_deref().unwrap_or(cell.threat.as_str());
        let name = format!("{} on {}: {}, {kind}", cell.model, cell.data, cell.attack);
        match groups.iter_mut().find(|(other, _)| *other == name) {
            Some((_, count)) => *count += 1,
            None => groups.push((name, 1)),
        }
        versions.entry(cell.model).or_default().insert(cell.model_sha256);
        (study, count) = (study.take().or(Some(cell.study)), count + 1);
        Ok(())
    })?;
    let stated = study_table(path)?.and_then(|table| Some(table.get("name")?.as_str()?.to_string()));
    let study = study.as_deref().map(str::to_string).or(stated);
    let mut text = format!("results of study {}\n", study.as_deref().unwrap_or("?"));
    text += &format!("  {} {}\n", grouped(count), noun(count as usize, "cell"));
    if count == 0 {
        text += "  no cell is finished: the sweep was stopped before its first one, or still runs\n";
    }
    for (name, count) in groups {
        text += &format!("    {count:>8}  {name}\n");
    }
    for (model, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        text += &format!(
            "  model {model}: rows of {} versions of its weights; the same sweep, run to its end, moves the old ones to retired/\n",
            versions.len()
        );
    }
    for run in &runs {
        text += &format!(
            "  run of {}: shard {}/{}, {} in {:.1} s on {}, {}\n",
            run.started,
            run.shard,
            run.shards,
            counted(run.cells_done as usize, "cell"),
            run.wall_seconds,
            run.device,
            run.outcome
        );
    }
    // A shard's file takes its name when its last cell is done.
    let mut names: Vec<String> = std::fs::read_dir(path)
        .map_err(Error::io(path))?
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into())
        .collect();
    names.sort();
    let shards: Vec<&String> =
        names.iter().filter(|n| n.starts_with("cells-") && n.ends_with(".parquet")).collect();
    text += &match shards.is_empty() {
        true => "  not finished: the same sweep again continues\n".to_string(),
        false => {
            format!("  finished shards: {}\n", shards.into_iter().cloned().collect::<Vec<_>>().join(", "))
        }
    };
    text += &others_told(path)?.map_or(String::new(), |line| format!("  {line}\n"));
    let table = shown(&results)?;
    Ok(if table.is_empty() { text } else { format!("{text}\n{table}") })
}

/// The study that a results folder says it is of.
pub(super) fn study_table(folder: &Path) -> Result<Option<toml::Table>> {
    let file = folder.join("study.resolved.toml");
    if !file.exists() {
        return Ok(None);
    }
    Ok(crate::files::read_text(&file)?.parse().ok())
}

/// A Parquet file: its rows and columns, of ours with their descriptions, after its checksum; of anyone else's with what is missing.
pub(super) fn parquet(path: &Path, room: Room) -> Result<String> {
    let sealed = is_sealed(path)?;
    let file = crate::files::open(path)?;
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .map_err(|error| Error::input(path.display(), "Parquet", error, "a whole Parquet file"))?;
    let schema = reader.schema();
    if !schema.fields().iter().any(|field| field.metadata().contains_key(DESCRIPTION)) {
        return table(path, room);
    }
    let rows = reader.metadata().file_metadata().num_rows().max(0) as u64;
    let mut text = format!("results table of {} rows, {} columns\n", grouped(rows), schema.fields().len());
    text += match sealed {
        true => "  its SHA-256 fits: it is as it was written\n",
        false => {
            "  no SHA-256 in it, as an earlier percuss or another program wrote it: whether it is whole cannot be told\n"
        }
    };
    let width = schema.fields().iter().map(|field| field.name().len()).max().unwrap_or(0);
    for field in schema.fields() {
        let about = field.metadata().get(DESCRIPTION).map_or("", String::as_str);
        text += &format!("  {:<width$}  {}: {about}\n", field.name(), field.data_type());
    }
    Ok(text)
}
