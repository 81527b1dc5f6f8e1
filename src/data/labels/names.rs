//! Labels that are names: each must be one that is known.

use std::collections::BTreeMap;

use super::{Classes, Known, Place, mends, same};
use crate::Result;
use crate::data::Remark;
use crate::data::check::MAX_CLASSES;

/// The class of every name.
///
/// # Errors
/// Names whose order nobody says; a name that is not known; a number beside names.
pub(super) fn classes(texts: &[String], known: &Known, place: &Place) -> Result<Classes> {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    texts.iter().enumerate().for_each(|(at, text)| {
        found.entry(text.trim()).or_insert(at);
    });
    if found.len() > MAX_CLASSES {
        return Err(place.error(format!("{} names", found.len()), format!("at most {MAX_CLASSES} classes")));
    }
    let listed: Vec<&str> = found.keys().copied().collect();
    refuse_numbers(&found, known, place)?;
    let (order, mut remarks) = match known.names.len() {
        0 if known.unordered => {
            let order: Vec<String> = listed.iter().map(|name| name.to_string()).collect();
            let text =
                format!("{} classes by alphabet: which is which output is a model's to say", listed.len());
            (order, vec![Remark::note(text)])
        }
        0 => {
            return Err(
                place.error(format!("names ({})", mends::list(&listed)), mends::order(&listed, known))
            );
        }
        _ => (known.all_names(0), Vec::new()),
    };
    let mut classes = BTreeMap::new();
    for (&name, &at) in &found {
        let exact = order.iter().position(|own| own == name);
        let alike: Vec<usize> = (0..order.len()).filter(|&class| same(&order[class], name)).collect();
        let class = match (exact, alike.as_slice()) {
            (Some(class), _) => class,
            (None, &[class]) => {
                let text = format!(
                    "`{name}` of {} is taken for `{}`: they differ in case alone",
                    place.column, order[class]
                );
                remarks.push(Remark::note(text));
                class
            }
            _ => {
                let own = order.iter().map(String::as_str).collect::<Vec<_>>();
                let line = match known.names.len() {
                    0 | 1 => mends::order(&listed, known),
                    _ => mends::other_names(&listed, known),
                };
                let expected = format!("one of {}, or {line}", mends::list(&own));
                return Err(place.error_at(at, format!("`{name}`"), expected));
            }
        };
        classes.insert(name, class as u32);
    }
    Ok(Classes { labels: texts.iter().map(|text| classes[text.trim()]).collect(), names: order, remarks })
}

/// A number beside names is no name, unless it is known as one.
fn refuse_numbers(found: &BTreeMap<&str, usize>, known: &Known, place: &Place) -> Result<()> {
    let numeral = |text: &str| text.parse::<f64>().is_ok();
    let unknown = |text: &&&str| numeral(text) && !known.names.iter().any(|name| same(name, text));
    let Some(number) = found.keys().find(unknown) else { return Ok(()) };
    let name = found.keys().find(|text| !numeral(text)).copied().unwrap_or_default();
    let expected = "names alone or numbers alone: a number is the place of an output, a name is looked up";
    Err(place.error_at(found[number], format!("`{number}` beside names such as `{name}`"), expected))
}
