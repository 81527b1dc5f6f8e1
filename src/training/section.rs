//! Reading a TOML table key by key: every mistake names the file, the key, what was found and what was expected, and the keys
//! that were asked for are the keys that exist.

use std::cell::RefCell;
use std::fmt::Display;
use std::ops::RangeBounds;

use toml::{Table, Value};

use crate::spelling::one_of;
use crate::{Error, Result};

/// One table of a TOML file.
pub(super) struct Section<'a> {
    file: &'a str,
    path: String,
    table: Table,
    asked: RefCell<Vec<String>>,
}

impl<'a> Section<'a> {
    /// The whole file.
    pub(super) fn parse(file: &'a str, text: &str) -> Result<Self> {
        let table = text.parse::<Table>().map_err(|error| {
            let line =
                error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::input(file, format!("line {line}"), error.message(), "TOML")
        })?;
        Ok(Self { file, path: String::new(), table, asked: RefCell::default() })
    }

    fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }

    /// An error about `key`.
    pub(super) fn bad(&self, key: &str, found: impl Display, expected: impl Display) -> Error {
        Error::input(self.file, self.key(key), found, expected)
    }

    /// The raw value.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.asked.borrow_mut().push(key.to_string());
        self.table.get(key)
    }

    /// Counts keys as asked for that somebody else reads.
    pub(super) fn leave(&self, keys: Vec<&str>) {
        self.asked.borrow_mut().extend(keys.into_iter().map(String::from));
    }

    /// A sub-table.
    pub(super) fn section(&self, key: &str) -> Result<Option<Section<'a>>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Table(table)) => {
                let table = table.clone();
                Ok(Some(Section { file: self.file, path: self.key(key), table, asked: RefCell::default() }))
            }
            Some(other) => Err(self.bad(key, show(other), format!("a table: [{}]", self.key(key)))),
        }
    }

    /// The sub-table, or why not.
    pub(super) fn required(&self, key: &str) -> Result<Section<'a>> {
        self.section(key)?.ok_or_else(|| self.bad(key, "no such table", format!("[{}]", self.key(key))))
    }

    /// A text.
    pub(super) fn text(&self, key: &str) -> Result<Option<String>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(self.bad(key, show(other), "a text in quotes")),
        }
    }

    /// One of some words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)]) -> Result<Option<T>> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let found = words.iter().find(|(word, _)| *word == text).map(|&(_, value)| Some(value));
        found.ok_or_else(|| {
            let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            self.bad(key, format!("`{text}`"), one_of(&names, &text))
        })
    }

    /// A number in a range.
    pub(super) fn number(&self, key: &str, range: impl RangeBounds<f64>, says: &str) -> Result<Option<f64>> {
        let number = match self.value(key) {
            None => return Ok(None),
            Some(Value::Float(number)) => *number,
            Some(Value::Integer(number)) => *number as f64,
            Some(other) => return Err(self.bad(key, show(other), says)),
        };
        if !number.is_finite() || !range.contains(&number) {
            return Err(self.bad(key, number, says));
        }
        Ok(Some(number))
    }

    /// A whole number in a range.
    pub(super) fn whole(&self, key: &str, range: std::ops::RangeInclusive<u64>) -> Result<Option<u64>> {
        let says = format!("a whole number from {} to {}", range.start(), range.end());
        match self.value(key) {
            None => Ok(None),
            Some(Value::Integer(number)) => {
                let found = u64::try_from(*number).ok().filter(|number| range.contains(number));
                found.map(Some).ok_or_else(|| self.bad(key, number, says))
            }
            Some(other) => Err(self.bad(key, show(other), says)),
        }
    }

    /// true or false.
    pub(super) fn truth(&self, key: &str) -> Result<Option<bool>> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Boolean(truth)) => Ok(Some(*truth)),
            Some(other) => Err(self.bad(key, show(other), "true or false")),
        }
    }

    /// Numbers in a list.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.value(key) else { return Ok(None) };
        let numbers =
            value.as_array().and_then(|list| list.iter().map(as_number).collect::<Option<Vec<f64>>>());
        numbers.map(Some).ok_or_else(|| self.bad(key, show(value), "a list of finite numbers"))
    }

    /// The table itself, all its keys counting as asked for.
    pub(super) fn into_table(self) -> Table {
        self.table
    }

    /// Complains about a key that nobody asked for.
    pub(super) fn finish(&self) -> Result<()> {
        let asked = self.asked.borrow();
        let unknown = self.table.keys().find(|key| !asked.contains(key));
        unknown.map_or(Ok(()), |key| {
            let known: Vec<&str> = asked.iter().map(String::as_str).collect();
            Err(self.bad(key, "an unknown key", one_of(&known, key)))
        })
    }
}

fn as_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Float(number) => *number,
        Value::Integer(number) => *number as f64,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

fn show(value: &Value) -> String {
    format!("{} {value}", value.type_str())
}
