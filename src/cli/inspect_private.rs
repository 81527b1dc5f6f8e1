//! What in a results folder could identify somebody, before it is passed on.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::inspect_results::study_table;
use crate::data::registry;
use crate::models::Weights;
use crate::results::Results;
use crate::results::passing_on::{is_place, names_file};
use crate::sweep::plan::grouped;
use crate::{Error, Result};

/// What the folder holds of patients and of the machine that it was made on, a line a thing, each with what can be done.
pub(super) fn private(path: &Path) -> Result<String> {
    let results = Results::open(path)?;
    let mut text =
        String::from("what could identify somebody (docs/results.md says what is in every file)\n");
    let mut line = |what: &str, about: String| text += &format!("  {what:<20} {about}\n");
    let names = names(path)?;
    if names.iter().any(|name| name.contains("samples-")) {
        samples(&results, &mut line)?;
    }
    if names.iter().any(|name| name == "curves.parquet") {
        line(
            "curves.parquet",
            "numbers of samples in their source (column samples); remove the column, or leave the file"
                .into(),
        );
    }
    if names.iter().any(|name| name.contains("cells-")) {
        line(
            "cells-*.parquet",
            "data_sha256: whoever has the same data can tell that it is that file".into(),
        );
        // Data of recipes are named by their file or folder, not by an id of the study.
        let (ids, mut of_recipes) = (data_ids(path)?, BTreeSet::new());
        results.for_each_cell(|cell| {
            let known = ids.contains(cell.data.as_str()) || registry::entry(&cell.data).is_ok();
            of_recipes.extend((!known && !cell.data.is_empty()).then_some(cell.data));
            Ok(())
        })?;
        for name in of_recipes {
            line("cells-*.parquet", format!("data: {name}, {FILE_NAME}; seeds.parquet has it, too"));
        }
    }
    scopes(&results, &mut line)?;
    let count = |folder: &str| names.iter().filter(|name| name.starts_with(&format!("{folder}/"))).count();
    if count("adversarials") > 0 {
        let about = "inputs of patients, changed a little (save = \"all\" or \"successes\"); remove the folder, or leave it";
        line("adversarials/", format!("{} files: {about}", count("adversarials")));
    }
    if count("damaged") > 0 {
        let about =
            "tables that changed on a disk, and say what the tables say; remove the folder, or leave it";
        line("damaged/", format!("{} files: {about}", count("damaged")));
    }
    if count("members") > 0 {
        let records = names.iter().filter(|name| name.starts_with("members/"));
        let read = records.filter_map(|name| Weights::read(&path.join(name)).ok());
        let told: Vec<String> = read.filter_map(|member| member.metadata.get("training").cloned()).collect();
        line(
            "members/",
            format!(
                "{} models that were trained on patients, {} of them with the numbers of their samples; models can tell who was in \
                 their training set",
                count("members"),
                told.len()
            ),
        );
        let data: BTreeSet<String> = told.iter().filter_map(|record| trained_on(record)).collect();
        for name in data {
            line("members/", format!("training.data: {name}, {FILE_NAME}"));
        }
    }
    study(path, &mut line)?;
    for run in results.runs()? {
        for place in run.command.split(' ').filter(|word| is_place(word)) {
            line("runs-*.parquet", format!("command: {place}, a place on a machine, by an earlier version"));
        }
    }
    let others: Vec<&str> = names.iter().map(String::as_str).filter(|name| !is_ours(name)).collect();
    if !others.is_empty() {
        line("other files", format!("{}: percuss did not write them", others.join(", ")));
    }
    Ok(text)
}

/// What a file's name is good for.
const FILE_NAME: &str = "the name of a file or folder: where it names somebody, rename it and run again";

/// What the study calls its data.
fn data_ids(path: &Path) -> Result<BTreeSet<String>> {
    let table = study_table(path)?.unwrap_or_default();
    let data = table.get("data").and_then(toml::Value::as_array).cloned().unwrap_or_default();
    Ok(data.iter().filter_map(|entry| Some(entry.get("id")?.as_str()?.to_string())).collect())
}

/// The data's name in a member's record.
fn trained_on(record: &str) -> Option<String> {
    let record: serde_json::Value = serde_json::from_str(record).ok()?;
    Some(record.get("data")?.as_str()?.to_string())
}

/// Sample numbers and groups.
fn samples(results: &Results, line: &mut dyn FnMut(&str, String)) -> Result<()> {
    let (mut rows, mut groups, mut hashed) = (0, BTreeSet::new(), false);
    for cell in results.cell_ids() {
        for row in results.samples(cell)? {
            rows += 1;
            if let Some(group) = row.group {
                hashed |= group.len() == 16 && group.chars().all(|c| c.is_ascii_hexdigit());
                groups.insert(group);
            }
        }
    }
    if rows == 0 {
        return Ok(());
    }
    line(
        "samples-*.parquet",
        format!(
            "{} rows; `sample` is the sample's number in its source, so who has the source, or knows its order (a register's, by date \
             or by number), finds the patient; labels and scores of each",
            grouped(rows)
        ),
    );
    let about = match (groups.len(), hashed) {
        (0, _) => return Ok(()),
        (n, true) => format!(
            "{n} hashes of names, by an earlier version: whoever can list the names undoes them; run the study again in another folder"
        ),
        (n, false) => {
            format!("{n} numbers, drawn at random here: they tell which samples are one patient's, not whose")
        }
    };
    line("  column group", about);
    Ok(())
}

/// Values of subgroups that metrics name.
fn scopes(results: &Results, line: &mut dyn FnMut(&str, String)) -> Result<()> {
    let mut columns: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for metric in results.metrics()? {
        match metric.scope.split_once('=') {
            Some((column, value)) if !["amplitude", "fpr"].contains(&column) => {
                columns.entry(column.to_string()).or_default().insert(value.to_string());
            }
            _ => {}
        }
    }
    for (column, values) in columns {
        let shown: Vec<&str> = values.iter().take(6).map(String::as_str).collect();
        let more = if values.len() > shown.len() { ", ..." } else { "" };
        line(
            "metrics-*.parquet",
            format!(
                "scope: subgroups by {column}, as the data name them: {}{more}; robustness.svg names them, too",
                shown.join(", ")
            ),
        );
    }
    Ok(())
}

/// Texts of the study that are, or may be, places.
fn study(path: &Path, line: &mut dyn FnMut(&str, String)) -> Result<()> {
    let mut texts = Vec::new();
    if let Some(table) = study_table(path)? {
        table.values().for_each(|value| collect(value, &mut texts));
    }
    for text in texts {
        if is_place(&text) {
            line("study.resolved.toml", format!("{text}, a place on a machine, by an earlier version"));
        } else if text.contains(['/', '\\']) && !is_fraction(&text) {
            line("study.resolved.toml", format!("{text}, a path as the study writes it"));
        } else if names_file(&text) {
            line("study.resolved.toml", format!("{text}, {FILE_NAME}"));
        }
    }
    Ok(())
}

/// Whether a text is a budget such as `8/255`.
fn is_fraction(text: &str) -> bool {
    let number = |part: &str| part.trim().parse::<f64>().is_ok();
    text.split_once('/').is_some_and(|(above, below)| number(above) && number(below))
}

fn collect(value: &toml::Value, texts: &mut Vec<String>) {
    match value {
        toml::Value::String(text) => texts.push(text.clone()),
        toml::Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        toml::Value::Table(table) => table.values().for_each(|value| collect(value, texts)),
        _ => {}
    }
}

/// The folder's files and those in its folders, as paths below it.
fn names(path: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(Error::io(path))?.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        match std::fs::read_dir(entry.path()) {
            Ok(inside) => {
                names.extend(
                    inside.flatten().map(|entry| format!("{name}/{}", entry.file_name().to_string_lossy())),
                );
            }
            Err(_) => names.push(name),
        }
    }
    names.sort();
    Ok(names)
}

/// Whether percuss writes a file of this name.
fn is_ours(name: &str) -> bool {
    let tables = ["cells-", "metrics-", "samples-", "runs-"];
    let whole = ["study.resolved.toml", "curves.parquet", "seeds.parquet", "robustness.svg"];
    let folders = ["adversarials/", "members/", "parts/", "retired/", "damaged/"];
    let hidden = [".lock-", "groups-", ".groups-", ".retiring-"];
    tables.iter().any(|table| name.starts_with(table) && name.ends_with(".parquet"))
        || whole.contains(&name)
        || folders.iter().chain(&hidden).any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn names_of_files_that_stay_in_the_study_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        let text = "name = 's'\n[[data]]\nid = 'a'\npath = 'Kohorte_Schmidt.csv'\n[[data]]\nid = 'b'\npath = 'DIR'\nsplit = 'test'\n";
        std::fs::write(folder.path().join("study.resolved.toml"), text).unwrap();
        let mut lines = Vec::new();
        study(folder.path(), &mut |what, about| lines.push(format!("{what}: {about}"))).unwrap();
        assert_eq!(lines, [format!("study.resolved.toml: Kohorte_Schmidt.csv, {FILE_NAME}")]);
        assert_eq!(data_ids(folder.path()).unwrap(), ["a", "b"].map(String::from).into());
        assert_eq!(trained_on(r#"{"data": "x.csv"}"#).unwrap(), "x.csv");
    }
}
