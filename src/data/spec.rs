//! The preprocessing spec of a table: what its author writes, before anything is fitted.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SplitNames;
use super::outcome::Expression;
use super::table::{Decimal, Limits, Missing, Numbers, Percent, Reading, Table};
use crate::{Error, Result};

/// Keys of one file, which may differ where another is read: how it is written, and what becomes of categories that training did not have.
pub const READING: [&str; 7] = ["missing", "numbers", "limits", "percent", "decimal", "delimiter", "unseen"];

/// How a table becomes features and labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// An expression that is true for class 1 (`event == 1 && time <= 180`), or a column of classes.
    pub outcome: String,
    /// True for rows whose outcome cannot be known (`event == 0 && time < 180`: lost before day 180); they are left out,
    /// as are rows where a missing value leaves `outcome` open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undecided: Option<String>,
    /// Names of the classes, in the order of the labels.
    pub classes: Vec<String>,
    /// Columns that are no features. Those that `outcome` and `undecided` read, and `group`, never are.
    #[serde(default)]
    pub drop: Vec<String>,
    /// Columns that are features though they look like numbers of rows or like identifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// Codes of missing values: `{ chol = [0] }` of single columns, or a list for all features (`[-1, "?"]`); never of the outcome.
    #[serde(default)]
    pub missing: Missing,
    /// What a column of numbers may hold.
    #[serde(default, skip_serializing_if = "is_default")]
    pub numbers: Numbers,
    /// What a limit of measurement (`<0.5`) becomes; absent: it is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// What `12%` becomes where other cells have no such sign; absent: it is refused there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// The decimal mark; absent: by what the file shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decimal: Option<Decimal>,
    /// What stands between a CSV's fields; absent: by what the file shows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<char>,
    /// Whether values beyond the range of the train split are cut to it, for a model that percuss trains.
    #[serde(default, skip_serializing_if = "is_default")]
    pub clip: bool,
    /// What missing values become.
    #[serde(default)]
    pub impute: Impute,
    /// How numbers are scaled.
    #[serde(default)]
    pub scale: Scale,
    /// Columns of numbers that are categories. Columns of texts always are.
    #[serde(default)]
    pub one_hot: Vec<String>,
    /// What a category becomes that the train split did not have.
    #[serde(default)]
    pub unseen: Unseen,
    /// Columns taken as log(1 + x) before anything else; they must not be below 0.
    #[serde(default)]
    pub log1p: Vec<String>,
    /// Columns that no attack may change.
    #[serde(default)]
    pub immutable: Vec<String>,
    /// The column that says who a row came from; no group is in two splits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How rows are split.
    #[serde(default)]
    pub split: Split,
    /// Named bands of a numeric column, offered as a subgroup column beside the table's own columns.
    #[serde(default)]
    pub bands: BTreeMap<String, Band>,
}

/// What missing values become.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Impute {
    /// For columns of numbers; absent: their median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub number: Option<Fill>,
    /// For columns of categories; absent: the commonest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<Fill>,
    /// For single columns.
    pub columns: BTreeMap<String, Fill>,
    /// Adds a feature `NAME is missing` (0 or 1, immutable) for every numeric column with missing values.
    pub indicators: bool,
}

impl Impute {
    /// What a missing number of a column becomes.
    pub fn of_number(&self, column: &str) -> Fill {
        let stated = self.columns.get(column).or(self.number.as_ref());
        stated.cloned().unwrap_or(Fill::Rule(Rule::Median))
    }

    /// What a missing category of a column becomes.
    pub fn of_category(&self, column: &str) -> Fill {
        let stated = self.columns.get(column).or(self.category.as_ref());
        stated.cloned().unwrap_or(Fill::Rule(Rule::Mode))
    }

    /// The same with every default written out.
    fn spelt_out(&self) -> Self {
        let number = self.number.clone().or(Some(Fill::Rule(Rule::Median)));
        let category = self.category.clone().or(Some(Fill::Rule(Rule::Mode)));
        Self { number, category, ..self.clone() }
    }
}

/// A rule, or a constant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Fill {
    /// Computed from the train split.
    Rule(Rule),
    /// This number.
    Number(f64),
    /// This category.
    Text(String),
}

impl std::fmt::Display for Fill {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rule(rule) => write!(f, "{}", format!("{rule:?}").to_lowercase()),
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => write!(f, "{text}"),
        }
    }
}

/// How a fill is computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// The middle value (the mean of the two middle ones).
    Median,
    /// The mean.
    Mean,
    /// The most frequent value, of equals the smallest.
    Mode,
    /// Numbers only, for a model that percuss did not train: what the imputer in the model's own file makes of them.
    Model,
    /// Categories only: being missing is a category of its own, called `missing`.
    Own,
}

/// Scaling of the columns of numbers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scale {
    /// For every column not named in `columns`.
    pub default: Scaling,
    /// For single columns.
    pub columns: BTreeMap<String, Scaling>,
}

/// One column's scaling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scaling {
    /// Values stay as they are; the model takes off the mean and divides by the standard deviation, and 1 of `eps`
    /// is one standard deviation.
    #[default]
    Z,
    /// Values become their share of the train split's distribution, from 0 to 1; 1 of `eps` is the whole of it.
    Quantile,
    /// Values stay as they are, for the model and for `eps`.
    None,
}

/// What a category becomes that was not in the train split.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unseen {
    /// An error that names it.
    #[default]
    Error,
    /// The most frequent category.
    Mode,
}

/// The shares of the splits; what they leave is `train`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Split {
    /// Chooses who is in which.
    pub seed: u64,
    /// Share of the rows (groups, where there are any) in `val`.
    pub val: f64,
    /// Share in `test`.
    pub test: f64,
    /// A column that says `train`, `val` or `test`, instead of all that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Which values of that column are which split, where they are not the usual words.
    #[serde(skip_serializing_if = "is_default")]
    pub values: SplitNames,
    /// A column that identifies a row (a visit's number), where rows have no group: rows with the same key are in the same split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What decides where a row without group and key belongs.
    #[serde(skip_serializing_if = "is_default")]
    pub by: SplitBy,
}

impl Default for Split {
    fn default() -> Self {
        Self {
            seed: 0,
            val: 0.16,
            test: 0.2,
            column: None,
            values: SplitNames::default(),
            key: None,
            by: SplitBy::Content,
        }
    }
}

/// What decides where a row belongs that has neither group nor key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SplitBy {
    /// Its features: the same row is in the same split of any file, in any order.
    #[default]
    Content,
    /// Its number: of this one file alone.
    Row,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bands of a numeric column: below the first cut, from each cut to the next, from the last cut on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Band {
    /// The column.
    pub column: String,
    /// The cuts, ascending.
    pub cuts: Vec<f64>,
}

impl Band {
    /// The name of the band that holds `value`: `<50`, `50-65`, `>=65`.
    pub fn name(&self, value: f64) -> String {
        let above = self.cuts.iter().take_while(|&&cut| value >= cut).count();
        match (above.checked_sub(1).map(|k| self.cuts[k]), self.cuts.get(above)) {
            (None, Some(high)) => format!("<{high}"),
            (Some(low), Some(high)) => format!("{low}-{high}"),
            (Some(low), None) => format!(">={low}"),
            (None, None) => "all".to_string(),
        }
    }
}

impl Spec {
    /// Reads a spec from a TOML file.
    ///
    /// # Errors
    /// No such file, or as [`Spec::from_toml`].
    pub fn read(path: &Path) -> Result<Self> {
        if !path.exists() {
            return Err(Error::input(
                path.display(),
                "preprocessing spec",
                "no such file",
                "a TOML file that says which column is the outcome and how the others become features",
            ));
        }
        let text = crate::files::read_text(path)?;
        Self::from_toml(&path.display().to_string(), &text)
    }

    /// Reads a spec from TOML text; `file` names it in errors.
    ///
    /// # Errors
    /// Bad TOML, an unknown key, shares that are none, fewer than two classes.
    pub fn from_toml(file: &str, text: &str) -> Result<Self> {
        let spec: Self = toml::from_str(text)
            .map_err(|error| Error::input(file, "TOML", error.to_string().trim(), "a preprocessing spec"))?;
        spec.check(file)?;
        Ok(spec)
    }

    /// This spec for another file, of which the TOML file at `path` says how it is written; whatever else it says must be what this spec says.
    ///
    /// # Errors
    /// Bad TOML; a key of another value that is not one of [`READING`].
    pub fn for_file(&self, path: &Path) -> Result<Self> {
        let file = path.display().to_string();
        let bad =
            |error: String| Error::input(&file, "TOML", error, "a preprocessing spec, or a part of one");
        let text = crate::files::read_text(path)?;
        let said: toml::Table = text.parse().map_err(|error: toml::de::Error| bad(error.to_string()))?;
        let mut all = toml::Table::try_from(self).map_err(|error| bad(error.to_string()))?;
        all.extend(said);
        let own: Self = all.try_into().map_err(|error: toml::de::Error| bad(error.to_string()))?;
        own.check(&file)?;
        let keys = |spec: &Self| match serde_json::to_value(Self {
            impute: spec.impute.spelt_out(),
            ..spec.clone()
        }) {
            Ok(serde_json::Value::Object(keys)) => keys,
            _ => serde_json::Map::new(),
        };
        let (here, there) = (keys(&own), keys(self));
        let all: std::collections::BTreeSet<&String> = here.keys().chain(there.keys()).collect();
        let other = |key: &&str| !READING.contains(key) && here.get(*key) != there.get(*key);
        let differ: Vec<&str> = all.into_iter().map(String::as_str).filter(other).collect();
        if differ.is_empty() {
            return Ok(own);
        }
        let expected = format!(
            "the spec that the model was trained with, whose preprocess.json says the rest: remove these keys here; {} may differ, since they say \
             how this file is written",
            READING.join(", ")
        );
        Err(Error::input(&file, differ.join(", "), "another spec than the model's", expected))
    }

    /// Checks what does not depend on a table.
    ///
    /// # Errors
    /// As [`Spec::from_toml`].
    pub fn check(&self, file: &str) -> Result<()> {
        let share = |x: f64| (0.0..1.0).contains(&x);
        if !(share(self.split.val) && share(self.split.test) && self.split.val + self.split.test < 1.0) {
            let found = format!("val = {}, test = {}", self.split.val, self.split.test);
            return Err(Error::input(file, "split", found, "shares from 0 that leave some for train"));
        }
        if let (Some(key), Some(group)) = (&self.split.key, &self.group) {
            let found = format!("`{key}` beside group = {group:?}");
            return Err(Error::input(file, "split.key", found, "one of the two: groups are split whole"));
        }
        if self.classes.len() < 2 {
            let found = format!("{} names", self.classes.len());
            return Err(Error::input(file, "classes", found, "two or more"));
        }
        for (name, band) in &self.bands {
            let ascending = band.cuts.windows(2).all(|pair| pair[0] < pair[1]);
            if band.cuts.is_empty() || !ascending || band.cuts.iter().any(|cut| !cut.is_finite()) {
                let found = format!("{:?}", band.cuts);
                return Err(Error::input(file, format!("bands.{name}.cuts"), found, "ascending numbers"));
            }
        }
        Ok(())
    }

    /// Checks that every column that the spec names is in `table`, and that no code of missing values is of the outcome.
    ///
    /// # Errors
    /// The first that is not, with the key that names it.
    pub fn check_columns(&self, table: &Table) -> Result<()> {
        let keyed = [
            ("drop", &self.drop),
            ("keep", &self.keep),
            ("one_hot", &self.one_hot),
            ("log1p", &self.log1p),
            ("immutable", &self.immutable),
        ];
        let lists = keyed.iter().flat_map(|(key, list)| list.iter().map(move |name| (*key, name)));
        let missing: Vec<&String> = match &self.missing {
            Missing::Columns(columns) => columns.keys().collect(),
            Missing::Everywhere(_) => Vec::new(),
        };
        let maps = (self.impute.columns.keys().map(|name| ("impute.columns", name)))
            .chain(self.scale.columns.keys().map(|name| ("scale.columns", name)))
            .chain(self.bands.values().map(|band| ("bands", &band.column)))
            .chain(missing.iter().map(|name| ("missing", *name)))
            .chain(self.group.iter().map(|name| ("group", name)))
            .chain(self.split.key.iter().map(|name| ("split.key", name)))
            .chain(self.split.column.iter().map(|name| ("split.column", name)));
        lists.chain(maps).try_for_each(|(key, name)| table.check_name(name, key))?;
        let outcome = self.outcome_columns(&table.file)?;
        match missing.iter().find(|name| outcome.contains(name)) {
            None => Ok(()),
            Some(name) => {
                let expected = "features: rows without an outcome are told by `undecided`";
                Err(Error::input(
                    &table.file,
                    "missing",
                    format!("`{name}`, which the outcome is made of"),
                    expected,
                ))
            }
        }
    }

    /// The columns that `outcome` and `undecided` read.
    ///
    /// # Errors
    /// What cannot be read as an expression; `file` names it.
    pub fn outcome_columns(&self, file: &str) -> Result<Vec<String>> {
        let mut names = Expression::parse(&self.outcome, file, "outcome")?.columns();
        if let Some(undecided) = &self.undecided {
            names.extend(Expression::parse(undecided, file, "undecided")?.columns());
        }
        Ok(names)
    }

    /// Columns that are read and are no features: the outcome's, and those that say who a row is and where it belongs.
    ///
    /// # Errors
    /// As [`Spec::outcome_columns`].
    pub fn beside(&self, file: &str) -> Result<Vec<String>> {
        let mut names = self.outcome_columns(file)?;
        names.extend([&self.group, &self.split.key, &self.split.column].into_iter().flatten().cloned());
        Ok(names)
    }

    /// How the cells of a table are to be read.
    ///
    /// # Errors
    /// As [`Spec::outcome_columns`].
    pub fn reading(&self, file: &str) -> Result<Reading> {
        Ok(Reading {
            truths: true,
            first_format: false,
            missing: self.missing.clone(),
            spared: self.beside(file)?,
            numbers: self.numbers,
            limits: self.limits,
            percent: self.percent,
            decimal: self.decimal,
            categories: self.one_hot.clone(),
            room: Default::default(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn spec_is_read_and_its_mistakes_are_named() {
        let text = "outcome = \"a == 1\"\nclasses = [\"no\", \"yes\"]\n[impute.columns]\nb = 2.5\nc = \"mode\"\nd = \"x\"\n";
        let spec = Spec::from_toml("t.toml", text).unwrap();
        assert_eq!(spec.impute.columns["b"], Fill::Number(2.5));
        assert_eq!(spec.impute.columns["c"], Fill::Rule(Rule::Mode));
        assert_eq!(spec.impute.columns["d"], Fill::Text("x".into()));
        let unknown = Spec::from_toml("t.toml", "outcom = \"a\"\n").unwrap_err().to_string();
        assert!(unknown.contains("outcom"), "{unknown}");
        for bad in [
            "[split]\ntest = 1.5",
            "[split]\ntest = 0.6\nval = 0.5",
            "[bands.x]\ncolumn = \"a\"\ncuts = [2, 1]",
        ] {
            let text = format!("outcome = \"a\"\nclasses = [\"no\", \"yes\"]\n{bad}\n");
            assert!(Spec::from_toml("t.toml", &text).is_err(), "{bad}");
        }
    }

    #[test]
    fn bands_are_half_open() {
        let band = Band { column: "age".into(), cuts: vec![50.0, 65.0] };
        assert_eq!([49.9, 50.0, 64.9, 65.0].map(|v| band.name(v)), ["<50", "50-65", "50-65", ">=65"]);
    }
}
