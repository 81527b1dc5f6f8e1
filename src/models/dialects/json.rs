//! A JSON object whose errors name the file and the key.

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::models::{Architecture, Config};
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

    /// What was read of a file already.
    pub(super) fn of(values: &Map<String, Value>, file: &str) -> Self {
        Self { file: file.into(), path: String::new(), values: values.clone() }
    }

    /// Bad input at `key`, whatever is there.
    pub(super) fn bad(&self, key: &str, expected: impl ToString) -> Error {
        self.error(key, self.values.get(key).map_or("no such key".to_string(), Value::to_string), expected)
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

    /// The keys that there are.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }

    /// The object at `key`, if there is one.
    pub(super) fn given(&self, key: &str) -> Result<Option<Self>> {
        self.get(key).is_some().then(|| self.object(key)).transpose()
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

    /// What `key` says, true or false, if it says something.
    pub(super) fn choice(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).is_some().then(|| self.flag(key)).transpose()
    }

    /// The text at `key`.
    pub(super) fn text(&self, key: &str) -> Result<Option<&str>> {
        self.get(key).map(|value| value.as_str().ok_or_else(|| self.error(key, value, "a text"))).transpose()
    }

    /// The numbers at `key`, one or a list of them.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let number = |value: &Value| value.as_f64();
        self.list(key, number, "a list of numbers").or_else(|error| match self.get(key).and_then(number) {
            Some(one) => Ok(Some(vec![one])),
            None => Err(error),
        })
    }

    /// The whole numbers in the list at `key`.
    pub(super) fn wholes(&self, key: &str) -> Result<Option<Vec<usize>>> {
        let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        self.list(key, whole, "a list of whole numbers")
    }

    /// The texts in the list at `key`.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        self.list(key, |value| value.as_str().map(String::from), "a list of texts")
    }

    fn list<T>(
        &self,
        key: &str,
        one: impl Fn(&Value) -> Option<T>,
        expected: &str,
    ) -> Result<Option<Vec<T>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list = value.as_array().and_then(|list| list.iter().map(one).collect());
        list.map(Some).ok_or_else(|| self.error(key, value, expected))
    }

    /// The side of a square: one number, or equal height and width.
    pub(super) fn side(&self, key: &str) -> Result<Option<usize>> {
        match self.pair(key)? {
            Some([height, width]) if height != width => Err(self.bad(key, "a square")),
            sides => Ok(sides.map(|[side, _]| side)),
        }
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

    /// A configuration of this architecture, whose other keys are percuss's own: `defaults`, where the file does not say otherwise. `taken`
    /// are the keys that were read already; any other one is refused.
    pub(super) fn rest(
        &self,
        architecture: Architecture,
        taken: &[&str],
        mut defaults: Value,
    ) -> Result<Config> {
        let known = ["class_names", "head", "input_scaling", "samples", "training"];
        for (key, value) in self.values.iter().filter(|(key, _)| !taken.contains(&key.as_str())) {
            if !known.contains(&key.as_str()) {
                return Err(Error::input(
                    &self.file,
                    key,
                    "an unknown key",
                    one_of(&[taken, &known].concat(), key),
                ));
            }
            defaults[key] = value.clone();
        }
        let read = |key: &str| defaults.get(key).cloned().filter(|value| !value.is_null());
        fn typed<T: DeserializeOwned>(file: &str, key: &str, value: Option<Value>) -> Result<Option<T>> {
            let bad = |error: serde_json::Error| {
                Error::input(file, key, error, "a value as percuss's own configurations have it")
            };
            value.map(serde_json::from_value).transpose().map_err(bad)
        }
        Ok(Config {
            architecture,
            class_names: typed(&self.file, "class_names", read("class_names"))?.unwrap_or_default(),
            head: typed(&self.file, "head", read("head"))?.unwrap_or_default(),
            input_scaling: typed(&self.file, "input_scaling", read("input_scaling"))?,
            samples: typed(&self.file, "samples", read("samples"))?,
            training: read("training"),
        })
    }

    /// Refuses a key that is there with another value than the one under which nothing changes.
    pub(super) fn refuse_unless(&self, key: &str, neutral: &Value) -> Result<()> {
        match self.get(key) {
            Some(value) if value != neutral => {
                Err(self.bad(key, format!("{neutral}, or none: percuss has nothing else")))
            }
            _ => Ok(()),
        }
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}
