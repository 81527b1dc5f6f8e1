//! `[model.zero_shot]`: classes in words, for an image-text model.

use super::document::{Item, Table};
use crate::Result;
use crate::models::clip::ZeroShot;

/// Where a template takes the class's text.
const GAP: &str = "{}";

/// `{ templates = [...], classes = { NAME = TEXT or [TEXT, ...], ... } }`; the classes' order is the one in the file.
pub(super) fn zero_shot(item: &Item) -> Result<ZeroShot> {
    let table = item.table("a table with classes and templates")?;
    table.allow(&["templates", "classes"])?;
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
    Ok(ZeroShot::new(&read, &templates))
}

fn templates(item: &Item) -> Result<Vec<String>> {
    let template = |item: &Item| {
        let text = item.text()?;
        if text.contains(GAP) { Ok(text) } else { Err(item.error("a text with {} where the class goes")) }
    };
    item.values()?.iter().map(template).collect()
}
