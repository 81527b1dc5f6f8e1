//! Words of a `[[model]]`: classes in words for an image-text model, and which words an adversary may change.

use crate::Result;
use crate::document::{Item, Table};
use crate::models::OpenWords;
use crate::models::clip::ZeroShot;

/// Where a template takes the class's text.
const GAP: &str = "{}";

/// `{ words = {...}, templates = [...], classes = { NAME = TEXT or [TEXT, ...], ... } }`; the classes' order is the one in the file.
pub(super) fn zero_shot(item: &Item) -> Result<ZeroShot> {
    let table = item.table("a table with classes and templates")?;
    table.allow(&["templates", "classes", "words"])?;
    let templates = table.read("templates", templates)?.unwrap_or_else(|| vec![GAP.to_string()]);
    let words = "a table of classes, each a text or a list of texts";
    let classes: Table = table.require("classes", words)?.table(words)?;
    let mut read = Vec::new();
    for (name, item) in classes.entries_as_written() {
        if name.is_empty() {
            return Err(item.error_found("a class without a name", "a name"));
        }
        let texts = item.values()?.iter().map(Item::text).collect::<Result<Vec<_>>>()?;
        read.push((name.to_string(), texts));
    }
    if read.len() < 2 {
        return Err(table.error("classes", format!("{} classes", read.len()), "two classes at least"));
    }
    let words = table.read("words", open_words)?;
    Ok(ZeroShot { words, ..ZeroShot::new(&read, &templates) })
}

/// `{ substitutes = [WORD, ...], distance = NUMBER }`, both of them as one likes: words are open to an adversary.
pub(super) fn open_words(item: &Item) -> Result<OpenWords> {
    let table = item.table("a table with substitutes and distance, or an empty one")?;
    table.allow(&["substitutes", "distance"])?;
    let words = |item: &Item| item.values()?.iter().map(Item::text).collect::<Result<Vec<_>>>();
    let positive =
        |item: &Item| item.number_in(f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX), "a positive number");
    Ok(OpenWords {
        substitutes: table.read("substitutes", words)?.unwrap_or_default(),
        distance: table.read("distance", positive)?.map(|distance| distance as f32),
    })
}

fn templates(item: &Item) -> Result<Vec<String>> {
    let template = |item: &Item| {
        let text = item.text()?;
        if text.contains(GAP) { Ok(text) } else { Err(item.error("a text with {} where the class goes")) }
    };
    item.values()?.iter().map(template).collect()
}
