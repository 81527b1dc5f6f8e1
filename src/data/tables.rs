//! A table and its preprocessing as a data set: which columns are read at all, and whose order of classes holds.

use std::collections::HashSet;
use std::path::Path;

use super::labels::same;
use super::preprocess::{Asked, FILLED, Preprocess};
use super::request::Request;
use super::spec::Spec;
use super::table::{Reading, Table, spec_path};
use super::{Dataset, Labels, Remark};
use crate::Result;

/// Reads the table at `path`: as `saved` says, which was fitted with a model, else as `spec` says, else as the spec beside it does.
///
/// # Errors
/// No spec; a table that cannot be read, or does not fit.
pub fn open(
    path: &Path,
    spec: Option<Spec>,
    request: &Request,
    saved: Option<&Preprocess>,
) -> Result<(Dataset, Preprocess)> {
    let file = path.display().to_string();
    match (saved, spec) {
        (Some(saved), given) => {
            let mut saved = saved.clone();
            // How this file is written, its author may say beside it.
            if given.is_none() && spec_path(path).is_file() {
                saved.spec = saved.spec.for_file(&spec_path(path))?;
            }
            let needed: HashSet<String> =
                saved.needed(&file)?.into_iter().chain(beside(&saved.spec, request)).collect();
            let reading = Reading { room: request.memory, ..saved.reading(&file)? };
            let mut table =
                Table::read_columns(path, saved.spec.delimiter, &reading, &|name| needed.contains(name))?;
            table.scored = true;
            let clip = saved.clips();
            apply(&table, saved, request, clip, [false; 2])
        }
        // What percuss has the spec of, it knows.
        (None, Some(spec)) => fit(&read_for(path, &spec, request)?, &spec, request, true),
        (None, None) => {
            let spec = Spec::read(&spec_path(path))?;
            fit(&read_for(path, &spec, request)?, &spec, request, false)
        }
    }
}

/// As [`open`], of a table in memory.
///
/// # Errors
/// As [`open`].
pub fn open_bytes(
    name: &str,
    bytes: &[u8],
    spec: &Spec,
    request: &Request,
    saved: Option<&Preprocess>,
) -> Result<(Dataset, Preprocess)> {
    let table = Table::from_csv(name, bytes)?;
    match saved {
        Some(saved) => apply(&table, saved.clone(), request, saved.clips(), [false; 2]),
        None => fit(&table, spec, request, true),
    }
}

/// Reads the columns of a table that a spec does not drop.
///
/// # Errors
/// As [`Table::read`].
pub fn read_for(path: &Path, spec: &Spec, request: &Request) -> Result<Table> {
    let needed = [spec.beside(&path.display().to_string())?, beside(spec, request)].concat();
    let needed: HashSet<&str> = needed.iter().map(String::as_str).collect();
    let dropped: HashSet<&str> = spec.drop.iter().map(String::as_str).collect();
    let wanted = |name: &str| !dropped.contains(name) || needed.contains(name);
    let reading = Reading { room: request.memory, ..spec.reading(&path.display().to_string())? };
    Table::read_columns(path, spec.delimiter, &reading, &wanted)
}

/// Fits a spec on a table, which percuss has itself if it is `known`, and feeds it to the model that is there, if one is.
fn fit(table: &Table, spec: &Spec, request: &Request, known: bool) -> Result<(Dataset, Preprocess)> {
    // Nothing is cut for a model that this was not fitted with.
    let Some(fed) = &request.fed else {
        return apply(table, Preprocess::fit(spec, table)?, request, false, [false; 2]);
    };
    let mut fitted = Preprocess::fit_for_others(spec, table)?;
    let remarks = fed.settle(&mut fitted, table)?;
    let (mut data, fitted) = apply(table, fitted, request, false, [!known, true])?;
    data.remarks.extend(remarks);
    // File and spec of a registry's set never change, and so neither does what is filled in.
    if known && data.remarks.iter().any(|remark| remark.text.starts_with(FILLED)) {
        let text = "missing values are filled as percuss fills them in this set; the model's own training may have filled in others: a copy of the table \
                    with a spec of its own states them";
        data.remarks.push(Remark::warning("assumed-fill", text));
    }
    Ok((data, fitted))
}

/// Columns that stand beside the samples, and those that bands are made of.
fn beside(spec: &Spec, request: &Request) -> Vec<String> {
    let bands = spec.bands.values().map(|band| band.column.clone());
    asked(request).chain(bands).collect()
}

/// Columns that a request names.
fn asked(request: &Request) -> impl Iterator<Item = String> + '_ {
    let binned = request.bins.iter().map(|bins| &bins.column);
    request.subgroups.iter().chain(&request.group).chain(binned).cloned()
}

fn apply(
    table: &Table,
    fitted: Preprocess,
    request: &Request,
    clip: bool,
    [stated, others]: [bool; 2],
) -> Result<(Dataset, Preprocess)> {
    let mut names: Vec<String> = asked(request).collect();
    names.dedup();
    for name in names.iter().filter(|name| !fitted.spec.bands.contains_key(*name)) {
        table.require(name, if request.group.as_ref() == Some(name) { "group" } else { "subgroups" })?;
    }
    let mut data =
        fitted.apply_to(table, &Asked { split: &request.split, beside: &names, clip, stated, others })?;
    if fitted.spec.clip && !clip {
        data.remarks
            .push(Remark::note("clip = true is left aside: it is for models that percuss trains with it"));
    }
    order_classes(&mut data, &request.classes);
    Ok((data, fitted))
}

/// Brings the classes into the order of the model's outputs, where it says their names.
fn order_classes(data: &mut Dataset, outputs: &[String]) {
    // A single output may have the name of its positive class alone.
    let swapped = match outputs {
        [positive] if data.classes.len() == 2 => {
            if !same(positive, &data.classes[0]) {
                return;
            }
            vec![data.classes[1].clone(), data.classes[0].clone()]
        }
        _ => outputs.to_vec(),
    };
    if swapped.len() != data.classes.len() || swapped.iter().zip(&data.classes).all(|(a, b)| same(a, b)) {
        return;
    }
    let place = |name: &String| swapped.iter().position(|output| same(output, name));
    // Other names, or some of them, are told or refused where model and data meet.
    let Some(places) = data.classes.iter().map(place).collect::<Option<Vec<usize>>>() else { return };
    let own = data.classes.join(", ");
    if let Labels::Class(labels) = &mut data.labels {
        labels.iter_mut().for_each(|label| *label = places[*label as usize] as u32);
    }
    data.classes = swapped;
    data.remarks.push(Remark::note(format!(
        "classes in the order of the model's outputs, {}; the spec has {own}",
        data.classes.join(", ")
    )));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::data::table::Decimal;

    #[test]
    fn a_spec_beside_a_model_s_table_may_say_how_that_file_is_written_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("site.toml");
        let spec = "outcome = \"dead == 1\"\nclasses = [\"no\", \"yes\"]\n";
        let own = Spec::from_toml("own", spec).unwrap();
        for (text, decimal) in [(spec, None), ("", None), ("decimal = \",\"\n", Some(Decimal::Comma))] {
            std::fs::write(&file, text).unwrap();
            let read = own.for_file(&file).unwrap();
            assert_eq!(read, Spec { decimal, ..own.clone() }, "{text}");
        }
        for (text, what) in [
            (spec.replace("dead == 1", "dead == 2"), "outcome: found another spec"),
            ("drop = [\"x\"]\ndecimal = \",\"\n".into(), "site.toml: drop: found another spec"),
            ("decimals = \",\"\n".into(), "decimals"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = own.for_file(&file).unwrap_err().to_string();
            assert!(error.contains(what), "{what} in {error}");
        }
    }
}
