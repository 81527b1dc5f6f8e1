//! Typed looks into a configuration that percuss did not define.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::models::{Architecture, Config};
use crate::spelling::one_of;
use crate::{Error, Result};

/// What stands where an object is left out.
static NOTHING: LazyLock<Map<String, Value>> = LazyLock::new(Map::new);

/// An object of a foreign file; keys that nobody asks for are ignored.
pub(super) struct Foreign<'a> {
    keys: &'a Map<String, Value>,
    file: &'a str,
    /// What leads to the object, `pretrained_cfg.` for instance.
    within: String,
}

impl<'a> Foreign<'a> {
    pub(super) fn new(keys: &'a Map<String, Value>, file: &'a str) -> Self {
        Self { keys, file, within: String::new() }
    }

    /// Bad input at `key`.
    pub(super) fn bad(&self, key: &str, expected: impl ToString) -> Error {
        let found = self.keys.get(key).map_or("no such key".to_string(), Value::to_string);
        Error::input(self.file, format!("{}{key}", self.within), found, expected)
    }

    /// The file's name.
    pub(super) fn file(&self) -> &'a str {
        self.file
    }

    /// An object within this one, without a key where it is left out.
    pub(super) fn part(&self, key: &str) -> Result<Self> {
        let nothing = Self { keys: &NOTHING, file: self.file, within: format!("{}{key}.", self.within) };
        Ok(self.object(key)?.unwrap_or(nothing))
    }

    /// Whether `key` is there and true.
    pub(super) fn is(&self, key: &str) -> Result<bool> {
        Ok(self.flag(key)?.unwrap_or(false))
    }

    /// Refuses a key beside these that asks for something.
    pub(super) fn refuse_beside(&self, known: &[&str]) -> Result<()> {
        let silent = |value: &Value| match value {
            Value::Null | Value::Bool(false) => true,
            Value::Object(values) => values.is_empty(),
            _ => false,
        };
        let asks = |(key, value): &(&String, &Value)| !known.contains(&key.as_str()) && !silent(value);
        match self.keys.iter().find(asks) {
            None => Ok(()),
            Some((key, _)) => {
                Err(self.bad(key, format!("none: percuss has no answer to it ({})", one_of(known, key))))
            }
        }
    }

    /// The keys that there are.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.keys().map(String::as_str)
    }

    /// Whether `key` is there, be it with null.
    pub(super) fn says(&self, key: &str) -> bool {
        self.keys.contains_key(key)
    }

    /// The value at a key that is there and not null.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.keys.get(key).filter(|value| !value.is_null())
    }

    /// An object within this one.
    pub(super) fn object(&self, key: &str) -> Result<Option<Self>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let Some(keys) = value.as_object() else { return Err(self.bad(key, "an object")) };
        Ok(Some(Self { keys, file: self.file, within: format!("{}{key}.", self.within) }))
    }

    pub(super) fn text(&self, key: &str) -> Result<Option<&'a str>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_str().map(Some).ok_or_else(|| self.bad(key, "a text"))
    }

    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_bool().map(Some).ok_or_else(|| self.bad(key, "true or false"))
    }

    pub(super) fn number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        value.as_f64().map(Some).ok_or_else(|| self.bad(key, "a number"))
    }

    pub(super) fn whole(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        whole(value).map(Some).ok_or_else(|| self.bad(key, "a whole number"))
    }

    /// Whole numbers in a list.
    pub(super) fn wholes(&self, key: &str) -> Result<Option<Vec<usize>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list: Option<Vec<usize>> = value.as_array().and_then(|list| list.iter().map(whole).collect());
        list.map(Some).ok_or_else(|| self.bad(key, "a list of whole numbers"))
    }

    /// One number for height and width, or one each.
    pub(super) fn sides(&self, key: &str) -> Result<Option<[usize; 2]>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        if let Some(side) = whole(value) {
            return Ok(Some([side; 2]));
        }
        match self.wholes(key)?.as_deref() {
            Some(&[height, width]) => Ok(Some([height, width])),
            _ => Err(self.bad(key, "one whole number, or a height and a width")),
        }
    }

    /// The side of a square, as one number or as equal height and width.
    pub(super) fn side(&self, key: &str) -> Result<Option<usize>> {
        match self.sides(key)? {
            Some([height, width]) if height != width => Err(self.bad(key, "a square")),
            sides => Ok(sides.map(|[side, _]| side)),
        }
    }

    /// One number, or a list of them.
    pub(super) fn numbers(&self, key: &str) -> Result<Option<Vec<f64>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list: Option<Vec<f64>> = match value {
            Value::Array(list) => list.iter().map(Value::as_f64).collect(),
            one => one.as_f64().map(|one| vec![one]),
        };
        list.map(Some).ok_or_else(|| self.bad(key, "numbers"))
    }

    /// Texts in a list.
    pub(super) fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        let list =
            value.as_array().and_then(|list| list.iter().map(|one| one.as_str().map(String::from)).collect());
        list.map(Some).ok_or_else(|| self.bad(key, "a list of texts"))
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
        for (key, value) in self.keys.iter().filter(|(key, _)| !taken.contains(&key.as_str())) {
            if !known.contains(&key.as_str()) {
                return Err(Error::input(
                    self.file,
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
            class_names: typed(self.file, "class_names", read("class_names"))?.unwrap_or_default(),
            head: typed(self.file, "head", read("head"))?.unwrap_or_default(),
            input_scaling: typed(self.file, "input_scaling", read("input_scaling"))?,
            samples: typed(self.file, "samples", read("samples"))?,
            training: read("training"),
            remarks: Vec::new(),
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
}

fn whole(value: &Value) -> Option<usize> {
    value.as_u64().and_then(|number| usize::try_from(number).ok())
}
