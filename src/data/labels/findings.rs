//! Findings by their names: where in a file each output's finding stands, and which outputs the file says nothing of.

use super::{Known, Place, list, mends, quoted, same};
use crate::data::Remark;
use crate::{Error, Result};

/// How a file lists findings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// A column for each: one that has no column is not labelled.
    Columns,
    /// Names of those that a sample has: one that no sample has may be rare, or not labelled.
    Names,
}

/// Where an output's finding stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At this position among the file's.
    At(usize),
    /// Labelled, and no sample has it.
    Nowhere,
    /// The file says nothing of it.
    Unlabelled,
}

impl Standing {
    /// The position in the file, if it has one.
    pub fn position(self) -> Option<usize> {
        if let Self::At(at) = self { Some(at) } else { None }
    }
}

/// Where each output's finding stands among `own`, the findings that a file has by name, and what was assumed.
///
/// # Errors
/// Outputs without names, with the line that names them; a finding that no output has the name of, or an output whose finding may or may not
/// be labelled; nothing that is labelled at all.
pub fn findings(
    own: &[String],
    listed: Listed,
    known: &Known,
    place: &Place,
) -> Result<(Vec<Standing>, Vec<Remark>)> {
    let texts: Vec<&str> = own.iter().map(String::as_str).collect();
    if known.names.is_empty() {
        if known.unordered {
            return Ok(((0..own.len()).map(Standing::At).collect(), Vec::new()));
        }
        return Err(place.error(format!("findings called {}", list(&texts)), mends::order(&texts, known)));
    }
    if let Some(name) = known.findings.iter().find(|name| !known.names.iter().any(|own| same(own, name))) {
        let expected = format!("names of the model's outputs: {}", known.names.join(", "));
        return Err(Error::input(place.file, "findings", format!("`{name}`"), expected));
    }
    let mut remarks = Vec::new();
    let mut standings = Vec::new();
    for name in &known.names {
        standings.push(standing(name, own, listed, known, &mut remarks));
    }
    let said = |name: &&String| known.findings.iter().any(|finding| same(finding, name));
    let mut named = known.names.iter().zip(&standings);
    if let Some((name, _)) = named.find(|(name, standing)| said(name) && **standing == Standing::Unlabelled) {
        let expected = format!("a column for it, or `findings` without it; there are {}", list(&texts));
        return Err(place.error(format!("no column `{name}`, which `findings` names"), expected));
    }
    let left: Vec<&str> = (0..own.len())
        .filter(|&at| {
            !standings.contains(&Standing::At(at)) && !known.findings.iter().any(|name| same(name, &own[at]))
        })
        .map(|at| texts[at])
        .collect();
    let unlabelled: Vec<&str> = known
        .names
        .iter()
        .zip(&standings)
        .filter(|(_, standing)| **standing == Standing::Unlabelled)
        .map(|(name, _)| name.as_str())
        .collect();
    let unsaid = known.findings.is_empty() && !unlabelled.is_empty();
    if unsaid && (listed == Listed::Names || !left.is_empty()) || unlabelled.len() == known.names.len() {
        return Err(unclear(&unlabelled, &left, listed, known, place));
    }
    if !unlabelled.is_empty() {
        remarks.push(Remark::note(format!(
            "{} of {} findings {} labelled; nothing is said of the others, which are neither scored nor attacked: {}",
            known.names.len() - unlabelled.len(),
            known.names.len(),
            if known.names.len() - unlabelled.len() == 1 { "is" } else { "are" },
            list(&unlabelled)
        )));
    }
    let left: Vec<&str> =
        left.into_iter().filter(|name| !known.names.iter().any(|own| same(own, name))).collect();
    if !left.is_empty() {
        remarks.push(Remark::note(format!("left out, since no output has the name: {}", list(&left))));
    }
    Ok((standings, remarks))
}

fn standing(
    name: &str,
    own: &[String],
    listed: Listed,
    known: &Known,
    remarks: &mut Vec<Remark>,
) -> Standing {
    let said = known.findings.iter().any(|finding| same(finding, name));
    if !known.findings.is_empty() && !said {
        return Standing::Unlabelled;
    }
    let exact = own.iter().position(|own| own == name);
    let alike: Vec<usize> = (0..own.len()).filter(|&at| same(&own[at], name)).collect();
    match (exact, alike.as_slice()) {
        (Some(at), _) => Standing::At(at),
        (None, &[at]) => {
            remarks.push(Remark::note(format!(
                "`{}` is taken for `{name}`: they differ in case alone",
                own[at]
            )));
            Standing::At(at)
        }
        _ if said && listed == Listed::Names => Standing::Nowhere,
        _ => Standing::Unlabelled,
    }
}

/// Findings that may go by another name, or not be labelled at all.
fn unclear(unlabelled: &[&str], left: &[&str], listed: Listed, known: &Known, place: &Place) -> Error {
    let found = match left {
        [] => format!("no `{}`", list(unlabelled)),
        left => format!("no `{}`, but {}", unlabelled[0], list(left)),
    };
    let outputs = format!("the model's findings are {}", known.names.join(", "));
    let labelled: Vec<String> = known
        .names
        .iter()
        .filter(|name| !unlabelled.contains(&name.as_str()))
        .map(|name| quoted(name))
        .collect();
    let labelled = if labelled.is_empty() { "NAME, ...".into() } else { labelled.join(", ") };
    let expected = match listed {
        Listed::Columns => format!(
            "columns that outputs have the names of: `label = {{ FINDING = {}, ... }}` in `columns` of [[data]] gives a FINDING of the model its \
             column, and a column that `label` does not name is not read; {outputs}",
            left.first().map_or_else(|| "COLUMN".to_string(), |name| quoted(name)),
        ),
        Listed::Names => format!(
            "a line in the [[data]] table that says which findings these data are labelled with, by their names here: findings = [{labelled}] and \
             those that no sample happens to have; the model's others are then left out. Where names differ, `classes` says what these data call \
             each output; {outputs}"
        ),
    };
    place.error(found, expected)
}
