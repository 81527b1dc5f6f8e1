//! What columns of a CSV of recordings say: splits, labels.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::list_file::List;
use super::listing::ListedLabels;
use super::options::ListColumns;
use crate::data::labels::{Statement, statements};
use crate::data::{Remark, SplitNames};
use crate::{Error, Result};

/// Usual names of a column of labels.
pub(super) const LABELS: [&str; 9] = [
    "label",
    "labels",
    "scp_codes",
    "class",
    "target",
    "diagnosis",
    "dx",
    "superclass",
    "diagnostic_superclass",
];

/// Splits by name or by the values that the study says; else PTB-XL's folds: 1 to 8 to train on, 9 to validate, 10 to test, as its authors
/// recommend.
pub(super) fn split_names(
    path: &Path,
    table: &List,
    at: usize,
    names: &SplitNames,
    remarks: &mut Vec<Remark>,
) -> Result<Vec<Option<String>>> {
    let fold = |cell: &str| {
        cell.parse::<f64>().ok().filter(|fold| fold.fract() == 0.0 && (1.0..=10.0).contains(fold))
    };
    let column = &table.names[at];
    if names.are_stated() {
        return Ok(table.cells(at).map(|cell| names.of(cell).map(str::to_string)).collect());
    }
    if let Some(folds) = table.cells(at).map(fold).collect::<Option<Vec<f64>>>() {
        remarks.push(Remark::note(format!("folds of `{column}`: 1 to 8 are train, 9 is val, 10 is test")));
        let split = |fold: &f64| {
            if *fold <= 8.0 {
                "train"
            } else if *fold == 9.0 {
                "val"
            } else {
                "test"
            }
        };
        return Ok(folds.iter().map(|fold| Some(split(fold).to_string())).collect());
    }
    let name = |(row, cell): (usize, &str)| {
        names.of(cell).map(|split| Some(split.to_string())).ok_or_else(|| {
            let place = format!("row {}, column `{column}`", row + 1);
            let expected = format!(
                "train, val or test, folds from 1 to 10, or a line in [[data]]: {}",
                SplitNames::LINE
            );
            Error::input(path.display(), place, format!("`{cell}`"), expected)
        })
    };
    table.cells(at).enumerate().map(name).collect()
}

/// The labels of a list.
///
/// # Errors
/// No column of labels; cells that are none.
pub(super) fn labels(
    path: &Path,
    table: &List,
    columns: &ListColumns,
    remarks: &mut Vec<Remark>,
) -> Result<ListedLabels> {
    if columns.labels.len() > 1 {
        let mut all = vec![Vec::new(); table.rows.len()];
        for name in &columns.labels {
            let Some(at) = table.column(path, "labels", Some(name), &[])? else { continue };
            for (row, cell) in table.cells(at).enumerate() {
                all[row].push(match cell.to_lowercase().as_str() {
                    "1" | "1.0" | "true" => 1.0,
                    "0" | "0.0" | "false" => 0.0,
                    "-1" | "-1.0" => -1.0,
                    "" | "nan" => f64::NAN,
                    _ => {
                        let place = format!("row {}, column `{name}`", row + 1);
                        return Err(Error::input(
                            path.display(),
                            place,
                            format!("`{cell}`"),
                            "0, 1, -1 (uncertain) or nothing",
                        ));
                    }
                });
            }
        }
        return Ok(ListedLabels::Findings(columns.labels.clone(), all));
    }
    let at = table.column(path, "labels", columns.labels.first().map(String::as_str), &LABELS)?.ok_or_else(|| {
        let expected = "records = { csv = \"FILE.csv\", labels = \"COLUMN\" }, or several: labels = [\"AF\", \"LBBB\"]";
        let found = format!("{}: none is called label", table.names.join(", "));
        Error::input(path.display(), "columns", found, expected)
    })?;
    let column = table.names[at].clone();
    let Some(stated) = table.cells(at).map(statements).collect::<Option<Vec<_>>>() else {
        if let Some(row) = table
            .cells(at)
            .position(str::is_empty)
            .filter(|_| table.cells(at).any(|cell| statements(cell).is_some()))
        {
            let place = format!("row {}, column `{column}`", row + 1);
            let expected =
                "a list as in the other rows; a row without labels left out, or [] where nothing was found";
            return Err(Error::input(path.display(), place, "nothing", expected));
        }
        return Ok(ListedLabels::Texts(column, table.cells(at).map(str::to_string).collect()));
    };
    refuse_answers(path, &column, &stated)?;
    let set = |own: Vec<Statement>| own.into_iter().map(|one| one.name).collect::<BTreeSet<String>>();
    let mut sets: Vec<BTreeSet<String>> = stated.into_iter().map(set).collect();
    let beside = path.with_file_name("scp_statements.csv");
    if column.eq_ignore_ascii_case("scp_codes") && beside.is_file() {
        let classes = superclasses(&beside)?;
        for set in &mut sets {
            let more: Vec<String> = set.iter().filter_map(|code| classes.get(code).cloned()).collect();
            set.extend(more);
        }
        remarks.push(Remark::note(
            "statements of `scp_codes` count whatever their likelihood; scp_statements.csv adds the diagnostic superclass of each",
        ));
    } else {
        remarks
            .push(Remark::note(format!("statements of `{column}` count whatever number stands with them")));
    }
    Ok(ListedLabels::Sets(column, sets))
}

/// Refuses dictionaries whose numbers are answers, `{'AF': 0, 'LBBB': 1}`: statements count whatever number stands with them.
fn refuse_answers(path: &Path, column: &str, stated: &[Vec<Statement>]) -> Result<()> {
    let said = |words: [&str; 3]| {
        let mut values = stated.iter().flatten().filter_map(|one| one.value.as_deref());
        values.any(|value| words.contains(&value.to_lowercase().as_str()))
    };
    let answers = ["0", "0.0", "false", "1", "1.0", "true"];
    let other =
        |one: &Statement| !one.value.as_ref().is_some_and(|value| answers.contains(&&*value.to_lowercase()));
    if stated.iter().flatten().any(other) || !(said(["0", "0.0", "false"]) && said(["1", "1.0", "true"])) {
        return Ok(());
    }
    let expected = "names of what there is, ['AF', 'LBBB'], or a column of 0 and 1 for each: labels = [\"AF\", \"LBBB\"] in `records`";
    Err(Error::input(path.display(), format!("column `{column}`"), "dictionaries of 0 and 1", expected))
}

/// Which diagnostic superclass a statement belongs to, as scp_statements.csv says.
fn superclasses(path: &Path) -> Result<BTreeMap<String, String>> {
    let table = List::read(path)?;
    let class = table.column(path, "labels", Some("diagnostic_class"), &[])?.unwrap_or(0);
    let pair = |row: &Vec<String>| (row[0].clone(), row[class].clone());
    Ok(table.rows.iter().map(pair).filter(|(_, class)| !class.is_empty()).collect())
}
