//! A JSON object whose errors name the file and the key.

use serde_json::{Map, Value};

use crate::spelling::one_of;
use crate::{Error, Result};

/// An object, with the way to it.
#[derive(Clone, Debug)]
pub(super) struct Json {
    file: String,
    path: String,
    values: Map<String, Value>,
}

impl Json {
    /// Parses a file's text.
    pub(super) fn parse(text: &str, file: &str) -> Result<Self> {
        let value: Value = serde_json::from_str(text)
            .map_err(|e| Error::input(file, format!("line {}", e.line()), &e, "JSON"))?;
        match value {
            Value::Object(values) => Ok(Self { file: file.into(), path: String::new(), values }),
            _ => Err(Error::input(file, "JSON", "something else", "an object")),
        }
    }

    /// Bad input at `key`.
    pub(super) fn error(&self, key: &str, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(&self.file, self.path_to(key), found, expected)
    }

    /// The file that it is from.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// A tensor that is not what this configuration speaks of.
    pub(super) fn tensor_error(&self, name: &str, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(&self.file, format!("tensor {name}"), found, expected)
    }

    /// The value at `key`, unless it is null.
    pub(super) fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key).filter(|value| !value.is_null())
    }

    /// The object at `key`; an empty one where there is none.
    pub(super) fn object(&self, key: &str) -> Result<Self> {
        let values = match self.get(key) {
            None => Map::new(),
            Some(Value::Object(values)) => values.clone(),
            Some(other) => return Err(self.error(key, other, "an object")),
        };
        Ok(Self { file: self.file.clone(), path: self.path_to(key), values })
    }

    /// The same with the entries of another in the place of its own.
    pub(super) fn with(mut self, other: Self) -> Self {
        self.values.extend(other.values);
        self
    }

    /// The whole number at `key`.
    pub(super) fn whole(&self, key: &str) -> Result<Option<usize>> {
        let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        self.get(key)
            .map(|value| whole(value).ok_or_else(|| self.error(key, value, "a whole number")))
            .transpose()
    }

    /// The number at `key`.
    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| value.as_f64().ok_or_else(|| self.error(key, value, "a number")))
            .transpose()
    }

    /// Whether `key` is true.
    pub(super) fn flag(&self, key: &str) -> Result<bool> {
        match self.get(key) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(other) => Err(self.error(key, other, "true or false")),
        }
    }

    /// The text at `key`.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.get(key).map(|value| value.as_str().ok_or_else(|| self.error(key, value, "a text"))).transpose()
    }

    /// The numbers at `key`.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let numbers = value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
        numbers.map(Some).ok_or_else(|| self.error(key, value, "a list of numbers"))
    }

    /// One number for both axes, or vertical and horizontal.
    pub(super) fn pair(&self, key: &str) -> Result<Option<[usize; 2]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let pair = match value {
            Value::Array(list) => match &list[..] {
                [a, b] => whole(a).zip(whole(b)).map(|(a, b)| [a, b]),
                _ => None,
            },
            one => whole(one).map(|side| [side; 2]),
        };
        pair.map(Some).ok_or_else(|| self.error(key, value, "a whole number, or two"))
    }

    /// Refuses a key beside these that asks for something: an option that is left aside would be another model.
    pub(super) fn allow(&self, known: &[&str]) -> Result<()> {
        let silent = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Object(values) => values.is_empty(),
            _ => false,
        };
        let asks = |(key, value): &(&String, &Value)| !known.contains(&key.as_str()) && !silent(value);
        match self.values.iter().find(asks) {
            None => Ok(()),
            Some((key, value)) => {
                let expected = format!("nothing there, or {}", one_of(known, key));
                Err(self.error(key, format!("{value}, which this version does not know"), expected))
            }
        }
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}
