//! The keys of `[[data]]` (and of a TRAIN.toml's `[data]`) that are about images.

use std::path::Path;

use toml::{Table, Value};

use super::picture::{Resize, Values};
use super::{Bins, Colours, ImageOptions, LabelColumns};
use crate::resampling::{Filter, Fit};

/// What is wrong with a key: what was found, and what is expected.
type Bad<T> = Result<T, (String, String)>;

impl ImageOptions {
    /// All keys.
    pub const KEYS: [&'static str; 9] =
        ["columns", "separator", "files", "resize", "colours", "bits", "values", "window", "frame"];

    /// Reads `key`, one of [`ImageOptions::KEYS`]; paths are relative to `folder`.
    ///
    /// # Errors
    /// What was found, and what is expected.
    pub fn set(&mut self, key: &'static str, value: &Value, folder: &Path) -> Bad<()> {
        match key {
            "columns" => self.set_columns(value)?,
            "separator" => {
                self.separator = Some(text(value).filter(|text| !text.is_empty()).ok_or_else(|| {
                    (value.to_string(), "what stands between findings, such as \"|\"".to_string())
                })?)
            }
            "files" => self.set_files(value, folder)?,
            "resize" => self.resize = Some(resize(value)?),
            "colours" => self.colours = Some(word(value, &Colours::NAMES, Colours::named)?),
            "bits" => self.bits = Some(whole(value, 8, 16)?),
            "values" => self.reading.values = Some(word(value, &Values::NAMES, Values::named)?),
            "window" => self.reading.window = Some(window(value)?),
            _ => self.reading.frame = Some(whole(value, 0, u32::MAX)?),
        }
        self.given.push(key);
        Ok(())
    }

    fn set_columns(&mut self, value: &Value) -> Bad<()> {
        let expected = "a table such as { path = \"Path\", label = \"Edema\", patient = \"Patient ID\" }; label may be a list, a finding a \
                        column, or { FINDING = COLUMN, ... }";
        for (role, column) in table(value, expected)? {
            let bad = || (format!("{role} = {column}"), expected.to_string());
            match (role.as_str(), column) {
                ("label", Value::Array(columns)) => {
                    let names: Option<Vec<String>> = columns.iter().map(text).collect();
                    let names = names.filter(|names| !names.is_empty()).ok_or_else(bad)?;
                    let pairs = names.into_iter().map(|name| (name.clone(), name)).collect();
                    self.label = Some(LabelColumns::Several(pairs));
                }
                ("label", Value::Table(columns)) => {
                    let pair = |(finding, column): (&String, &Value)| Some((finding.clone(), text(column)?));
                    let pairs: Option<Vec<_>> = columns.iter().map(pair).collect();
                    let pairs = pairs.filter(|pairs| !pairs.is_empty()).ok_or_else(bad)?;
                    self.label = Some(LabelColumns::Several(pairs));
                }
                ("label", column) => self.label = Some(LabelColumns::One(text(column).ok_or_else(bad)?)),
                (role, column) => {
                    self.columns.insert(role.to_string(), text(column).ok_or_else(bad)?);
                }
            }
        }
        Ok(())
    }

    fn set_files(&mut self, value: &Value, folder: &Path) -> Bad<()> {
        let expected = "{ base = FOLDER, strip = \"BEGINNING/\", suffix = \".png\" }, or some of them";
        for (key, value) in table(value, expected)? {
            let bad = || (format!("{key} = {value}"), expected.to_string());
            let text = text(value).ok_or_else(bad)?;
            match key.as_str() {
                "base" => self.base = Some(folder.join(text)),
                "strip" => self.strip = text,
                "suffix" => self.suffix = text,
                _ => return Err(bad()),
            }
        }
        Ok(())
    }
}

/// `{ age = [0, 18, 40, 65] }`.
///
/// # Errors
/// What was found, and what is expected.
pub fn bins(value: &Value) -> Bad<Vec<Bins>> {
    let expected = "a table of columns and where their ranges begin, increasing: { age = [0, 18, 40, 65] }";
    let one = |(column, edges): (&String, &Value)| {
        let bad = || (format!("{column} = {edges}"), expected.to_string());
        let edges: Option<Vec<f64>> = edges.as_array().and_then(|edges| edges.iter().map(number).collect());
        let increasing =
            |edges: &Vec<f64>| !edges.is_empty() && edges.windows(2).all(|pair| pair[0] < pair[1]);
        Ok(Bins { column: column.clone(), edges: edges.filter(increasing).ok_or_else(bad)? })
    };
    table(value, expected)?.iter().map(one).collect()
}

fn table<'v>(value: &'v Value, expected: &str) -> Bad<&'v Table> {
    value.as_table().ok_or_else(|| (value.to_string(), expected.to_string()))
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_string)
}

fn number(value: &Value) -> Option<f64> {
    let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64))?;
    number.is_finite().then_some(number)
}

fn whole(value: &Value, low: u32, high: u32) -> Bad<u32> {
    let number = value.as_integer().and_then(|number| u32::try_from(number).ok());
    number
        .filter(|number| (low..=high).contains(number))
        .ok_or_else(|| (value.to_string(), format!("a whole number from {low} to {high}")))
}

fn word<T>(value: &Value, names: &[&str], named: impl Fn(&str) -> Option<T>) -> Bad<T> {
    value.as_str().and_then(named).ok_or_else(|| (value.to_string(), format!("one of {}", names.join(", "))))
}

fn window(value: &Value) -> Bad<[f64; 2]> {
    let numbers: Option<Vec<f64>> = value.as_array().and_then(|pair| pair.iter().map(number).collect());
    match numbers.as_deref() {
        Some(&[centre, width]) if width >= 1.0 => Ok([centre, width]),
        _ => Err((value.to_string(), "[CENTRE, WIDTH] in rescaled values, the width at least 1".into())),
    }
}

/// `[224, 224]`, or with a filter and a fit as `input` of a model has them.
fn resize(value: &Value) -> Bad<Resize> {
    let expected = "[ROWS, COLUMNS], or { shape = [ROWS, COLUMNS], resize = \"bicubic\", fit = \"crop\" }";
    let bad = || (value.to_string(), expected.to_string());
    let size = |value: &Value| -> Bad<[usize; 2]> {
        match value.as_array().map(Vec::as_slice) {
            Some([rows, columns]) => Ok([whole(rows, 1, 8192)? as usize, whole(columns, 1, 8192)? as usize]),
            _ => Err(bad()),
        }
    };
    let Some(keys) = value.as_table() else {
        return Ok(Resize { size: size(value)?, filter: Filter::default(), fit: Fit::default() });
    };
    let mut resize = Resize {
        size: size(keys.get("shape").ok_or_else(bad)?)?,
        filter: Filter::default(),
        fit: Fit::default(),
    };
    for (key, value) in keys {
        match key.as_str() {
            "shape" => {}
            "resize" => resize.filter = word(value, &Filter::NAMES, Filter::named)?,
            "fit" => resize.fit = word(value, &Fit::NAMES, Fit::named)?,
            _ => return Err(bad()),
        }
    }
    Ok(resize)
}
