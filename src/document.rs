//! A TOML document whose errors name the file, the line and the key, what was found and what was expected.

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Value};

use crate::spelling::hint;
use crate::{Error, Result};

/// The text that items come from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'t> {
    /// How errors call the file.
    pub(crate) file: &'t str,
    /// Its text.
    pub(crate) text: &'t str,
}

/// A value, with the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Item<'t> {
    source: Source<'t>,
    path: String,
    value: &'t Spanned<DeValue<'t>>,
}

/// A table, with the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Table<'t> {
    source: Source<'t>,
    path: String,
    entries: &'t DeTable<'t>,
    at: usize,
}

impl<'t> Source<'t> {
    /// Parses the text as TOML.
    pub(crate) fn parse(self) -> Result<Spanned<DeTable<'t>>> {
        DeTable::parse(self.text).map_err(|error| {
            let place =
                error.span().map_or("TOML".to_string(), |span| format!("line {}", self.line(span.start)));
            Error::input(self.file, place, error.message().replace('\n', " "), "TOML")
        })
    }

    /// The line, from 1, of a byte of the text.
    pub(crate) fn line(self, byte: usize) -> usize {
        let before = &self.text.as_bytes()[..byte.min(self.text.len())];
        1 + before.iter().filter(|&&byte| byte == b'\n').count()
    }

    fn error(self, at: usize, path: &str, found: impl ToString, expected: impl ToString) -> Error {
        let place = format!("line {}, {path}", self.line(at));
        Error::input(self.file, place, found, expected)
    }
}

impl<'t> Table<'t> {
    /// The whole document.
    pub(crate) fn root(source: Source<'t>, entries: &'t DeTable<'t>) -> Self {
        Self { source, path: String::new(), entries, at: 0 }
    }

    /// The line that it starts on.
    pub(crate) fn line(&self) -> usize {
        self.source.line(self.at)
    }

    /// Bad input somewhere in this table, at `key`.
    pub(crate) fn error(&self, key: &str, found: impl ToString, expected: impl ToString) -> Error {
        self.source.error(self.at, &self.path_to(key), found, expected)
    }

    /// The value at `key`.
    pub(crate) fn get(&self, key: &str) -> Option<Item<'t>> {
        let (_, value) = self.entries.iter().find(|(name, _)| name.get_ref() == key)?;
        Some(Item { source: self.source, path: self.path_to(key), value })
    }

    /// The value at `key`, which must be there.
    pub(crate) fn require(&self, key: &str, expected: &str) -> Result<Item<'t>> {
        self.get(key).ok_or_else(|| self.error(key, "no such key", expected))
    }

    /// The value at `key`, read by `read`, if it is there.
    pub(crate) fn read<T>(&self, key: &str, read: impl FnOnce(&Item<'t>) -> Result<T>) -> Result<Option<T>> {
        self.get(key).map(|item| read(&item)).transpose()
    }

    /// All entries, sorted by key.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&'t str, Item<'t>)> + '_ {
        self.entries.iter().map(|(name, value)| {
            let name: &'t str = name.get_ref();
            (name, Item { source: self.source, path: self.path_to(name), value })
        })
    }

    /// All entries, in the order of the file.
    pub(crate) fn entries_as_written(&self) -> Vec<(&'t str, Item<'t>)> {
        let mut entries: Vec<_> = self.entries().collect();
        entries.sort_by_key(|(_, item)| item.value.span().start);
        entries
    }

    /// Refuses keys other than these, with the nearest of them.
    pub(crate) fn allow(&self, known: &[&str]) -> Result<()> {
        match self.entries.keys().find(|name| !known.contains(&name.get_ref().as_ref())) {
            None => Ok(()),
            Some(name) => Err(self.unknown(name.get_ref(), known)),
        }
    }

    /// The error for the unknown `key`.
    pub(crate) fn unknown(&self, key: &str, known: &[&str]) -> Error {
        let at =
            self.entries.keys().find(|name| name.get_ref() == key).map_or(self.at, |name| name.span().start);
        let expected = format!("one of the keys {}{}", known.join(", "), hint(key, known));
        self.source.error(at, &self.path_to(key), "an unknown key", expected)
    }

    fn path_to(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_string() } else { format!("{}.{key}", self.path) }
    }
}

impl<'t> Item<'t> {
    /// The line that it stands on.
    pub(crate) fn line(&self) -> usize {
        self.source.line(self.value.span().start)
    }

    /// Bad input: this value, where something else was expected.
    pub(crate) fn error(&self, expected: impl ToString) -> Error {
        self.error_found(self.found(), expected)
    }

    /// Bad input at this value, with other words for what was found.
    pub(crate) fn error_found(&self, found: impl ToString, expected: impl ToString) -> Error {
        self.source.error(self.value.span().start, &self.path, found, expected)
    }

    /// As it is written, if that is short; else what kind of value it is.
    pub(crate) fn found(&self) -> String {
        let written = self.source.text.get(self.value.span()).unwrap_or_default();
        match self.value.get_ref() {
            DeValue::Table(_) => "a table".into(),
            DeValue::Array(values) if values.is_empty() => "an empty list".into(),
            DeValue::Array(_) => "a list".into(),
            _ if written.len() <= 60 && !written.contains('\n') => written.into(),
            other => format!("a long {}", other.type_str()),
        }
    }

    /// The value without the places that it stands in.
    pub(crate) fn plain(&self) -> Value {
        plain(self.value.get_ref())
    }

    /// A string.
    pub(crate) fn word(&self) -> Result<&'t str> {
        self.value.get_ref().as_str().ok_or_else(|| self.error("a string"))
    }

    /// A string that is not empty.
    pub(crate) fn text(&self) -> Result<String> {
        match self.word()? {
            "" => Err(self.error("a string that is not empty")),
            text => Ok(text.to_string()),
        }
    }

    /// One of these words.
    pub(crate) fn choice<'w>(&self, words: &[&'w str]) -> Result<&'w str> {
        let list = || format!("one of {}", words.join(", "));
        let found = self.value.get_ref().as_str().ok_or_else(|| self.error(list()))?;
        let known = words.iter().copied().find(|word| *word == found);
        known.ok_or_else(|| self.error(format!("{}{}", list(), hint(found, words))))
    }

    /// The position of an id among `ids`.
    pub(crate) fn position<S: AsRef<str>>(&self, what: &str, ids: &[S]) -> Result<usize> {
        let found = self.word()?;
        let known: Vec<&str> = ids.iter().map(AsRef::as_ref).collect();
        known.iter().position(|id| *id == found).ok_or_else(|| {
            self.error(format!("the id of a {what}: {}{}", known.join(", "), hint(found, &known)))
        })
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self) -> Result<bool> {
        self.value.get_ref().as_bool().ok_or_else(|| self.error("true or false"))
    }

    /// A number as it is written, which may be infinite or NaN.
    pub(crate) fn number(&self) -> Result<f64> {
        let digits = |text: &str| text.replace('_', "").parse::<f64>().ok();
        let value = match self.value.get_ref() {
            DeValue::Integer(value) if value.radix() == 10 => digits(value.as_str()),
            DeValue::Integer(value) => {
                i64::from_str_radix(value.as_str(), value.radix()).ok().map(|v| v as f64)
            }
            DeValue::Float(value) => digits(value.as_str()),
            _ => None,
        };
        value.ok_or_else(|| self.error("a number"))
    }

    /// A number within a range; `expected` puts the range into words.
    pub(crate) fn number_in(&self, range: impl std::ops::RangeBounds<f64>, expected: &str) -> Result<f64> {
        let value = self.number().map_err(|_| self.error(expected))?;
        if value.is_finite() && range.contains(&value) { Ok(value) } else { Err(self.error(expected)) }
    }

    /// A whole number within a range.
    pub(crate) fn whole(&self, low: u64, high: u64) -> Result<u64> {
        let value = match self.value.get_ref() {
            DeValue::Integer(value) => {
                u64::from_str_radix(&value.as_str().replace('_', ""), value.radix()).ok()
            }
            _ => None,
        };
        value.filter(|value| (low..=high).contains(value)).ok_or_else(|| self.error(whole_from(low, high)))
    }

    /// A table.
    pub(crate) fn table(&self, expected: &str) -> Result<Table<'t>> {
        let entries = self.value.get_ref().as_table().ok_or_else(|| self.error(expected))?;
        let at = self.value.span().start;
        Ok(Table { source: self.source, path: self.path.clone(), entries, at })
    }

    /// A table, if it is one.
    pub(crate) fn as_table(&self) -> Option<Table<'t>> {
        self.table("a table").ok()
    }

    /// The values of a list that is not empty; a single value counts as a list of one.
    pub(crate) fn values(&self) -> Result<Vec<Item<'t>>> {
        match self.value.get_ref() {
            DeValue::Array(values) if values.is_empty() => Err(self.error("at least one value")),
            DeValue::Array(values) => {
                let item = |value| Item { source: self.source, path: self.path.clone(), value };
                Ok(values.iter().map(item).collect())
            }
            _ => Ok(vec![self.clone()]),
        }
    }

    /// Whether it is a list.
    pub(crate) fn is_list(&self) -> bool {
        self.value.get_ref().is_array()
    }

    /// The tables of `[[name]]`.
    pub(crate) fn tables(&self) -> Result<Vec<Table<'t>>> {
        let expected = format!("[[{}]] tables", self.path);
        if !self.is_list() {
            return Err(self.error(expected));
        }
        self.values()?.iter().map(|item| item.table(&expected)).collect()
    }
}

fn plain(value: &DeValue) -> Value {
    // A number that is none of its kind is left as it is written: whoever reads it refuses a text.
    match value {
        DeValue::String(text) => Value::String(text.to_string()),
        DeValue::Integer(number) => {
            let text = number.as_str().replace('_', "");
            i64::from_str_radix(&text, number.radix()).map_or(Value::String(text), Value::Integer)
        }
        DeValue::Float(number) => {
            let text = number.as_str().replace('_', "");
            text.parse().map_or(Value::String(text), Value::Float)
        }
        DeValue::Boolean(truth) => Value::Boolean(*truth),
        DeValue::Datetime(time) => Value::Datetime(*time),
        DeValue::Array(values) => Value::Array(values.iter().map(|value| plain(value.get_ref())).collect()),
        DeValue::Table(entries) => {
            let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue>)| {
                let key: &std::borrow::Cow<str> = key.get_ref();
                (key.to_string(), plain(value.get_ref()))
            };
            Value::Table(entries.iter().map(entry).collect())
        }
    }
}

/// Two numbers in a range, the first not above the second.
pub(crate) fn pair(item: &Item, what: &str, low: f64, high: f64) -> Result<[f64; 2]> {
    let expected =
        if (low, high) == (0.0, 1.0) { format!("{what} between 0 and 1") } else { what.to_string() };
    let values = item.values()?;
    let [a, b] = values.as_slice() else {
        return Err(item.error(expected));
    };
    let (a, b) = (a.number_in(low..=high, &expected)?, b.number_in(low..=high, &expected)?);
    if a > b {
        return Err(
            item.error_found(format!("[{a}, {b}]"), format!("{expected}, the first not above the second"))
        );
    }
    Ok([a, b])
}

/// Texts, one or a list.
pub(crate) fn words(item: &Item) -> Result<Vec<String>> {
    item.values()?.iter().map(Item::text).collect()
}

/// Words for a range of whole numbers.
pub(crate) fn whole_from(low: u64, high: u64) -> String {
    match high {
        u64::MAX => format!("a whole number from {low}"),
        _ => format!("a whole number from {low} to {high}"),
    }
}
