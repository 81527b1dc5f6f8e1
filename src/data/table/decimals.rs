//! Which decimal mark columns show, and a whole file.

use super::Cells;
use super::forms::{Decimal, Form, form};
use super::reading::{is_missing, is_missing_among_numbers};
use super::texts::Texts;

/// The decimal mark of a whole file, by the columns that show one mark alone.
pub(super) fn decimal_of_file<'a>(columns: impl Iterator<Item = &'a Cells>) -> Option<Decimal> {
    let marks: Vec<Decimal> = columns
        .filter_map(|cells| match cells {
            Cells::Text(texts) => {
                let forms = numeric_forms(texts)?;
                evidence(forms.iter()).ok().flatten()
            }
            _ => None,
        })
        .collect();
    let first = *marks.first()?;
    marks.iter().all(|mark| *mark == first).then_some(first)
}

/// The forms of a column all of whose cells are numbers or missing.
fn numeric_forms(texts: &Texts) -> Option<Vec<Form>> {
    let mut forms = Vec::new();
    for text in texts.iter() {
        if is_missing(text, false) || is_missing_among_numbers(text) {
            continue;
        }
        forms.push(form(text)?);
    }
    Some(forms)
}

/// The mark that some cells can alone have; an error where there are cells of both kinds.
pub(super) fn evidence<'a>(forms: impl Iterator<Item = &'a Form>) -> Result<Option<Decimal>, ()> {
    let (mut points, mut commas) = (false, false);
    for form in forms {
        points |= form.comma.is_none();
        commas |= form.point.is_none();
    }
    match (points, commas) {
        (true, true) => Err(()),
        (true, false) => Ok(Some(Decimal::Point)),
        (false, true) => Ok(Some(Decimal::Comma)),
        (false, false) => Ok(None),
    }
}
