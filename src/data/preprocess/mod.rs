//! Fitting a preprocessing spec on the train split of a table, and applying what was fitted.
//!
//! Values stay in their own units where they are z-scaled: the model holds mean and standard deviation, so that the
//! scaling is part of what is attacked. What a model is fed is what the file says: a value outside the range that the train
//! split has stays where it is, and the [`Domain`] of the samples is widened to hold it.

mod application;
mod codes;
mod fit;
mod identity;
mod running;
mod seen;
mod strangeness;
mod telling;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use application::Asked;
pub use seen::{Seen, seen_file};
pub(super) use strangeness::FILLED;

use super::outcome::{Expression, Value, as_code, shown};
use super::spec::Spec;
use super::table::{Reading, Table};
use super::{Dataset, Domain};
use crate::{Error, Result};

/// A spec with everything that was learnt from the train split: saved as `preprocess.json` beside a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Version of this layout, 2. Of format 1 are models whose rows were split by their numbers, whose values were cut to the range of
    /// the train split, and whose columns were of categories if one text was among their numbers: they are applied so still.
    pub format: u32,
    /// SHA-256 of the table that it was fitted on.
    pub table_sha256: String,
    /// Rows of its train split.
    pub train_rows: u64,
    /// What the author wrote.
    pub spec: Spec,
    /// The columns that become features, in the table's order.
    pub columns: Vec<Fitted>,
    /// Columns that number the rows, and are no features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub row_numbers: Vec<String>,
    /// Columns that tell the outcome by themselves, with the area under the ROC curve (or share of right guesses) that they reach on the
    /// train split.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub telling: BTreeMap<String, f64>,
    /// The share of missing values in those columns of the train split that have any; not known of older models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lacking: Option<BTreeMap<String, f64>>,
    /// The values of columns that the outcome compares with codes; not known of older models.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome_codes: Option<BTreeMap<String, BTreeSet<String>>>,
    /// The samples that the model has learnt from or was chosen by. They are read from here of older models, and kept beside the folder now.
    #[serde(default, skip_serializing)]
    pub seen: Seen,
    /// How many they were, equal ones counted apart.
    #[serde(default)]
    pub seen_rows: u64,
}

/// What was learnt of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Fitted {
    /// One feature.
    Number {
        /// The column's name.
        column: String,
        /// Taken as log(1 + x).
        log1p: bool,
        /// What a missing value becomes (before log1p).
        fill: f64,
        /// Whether a feature follows that says if the value was missing.
        indicator: bool,
        /// Smallest and largest value of the train split (after log1p and fill).
        low: f64,
        /// The largest.
        high: f64,
        /// How it is scaled.
        scaling: FittedScaling,
        /// Whether an attack may change it.
        immutable: bool,
    },
    /// As many features as categories, one of them 1.
    Category {
        /// The column's name.
        column: String,
        /// The categories, sorted.
        categories: Vec<String>,
        /// What a missing value becomes.
        fill: String,
        /// The most frequent category.
        mode: String,
        /// Whether an attack may change it.
        immutable: bool,
    },
}

/// A fitted scaling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum FittedScaling {
    /// Mean and standard deviation (population) of the train split.
    Z {
        /// The mean.
        mean: f64,
        /// The standard deviation, 1 for a constant column.
        sd: f64,
    },
    /// Ascending quantiles of the train split, evenly spaced from its minimum to its maximum.
    Quantile {
        /// The quantiles.
        knots: Vec<f64>,
    },
    /// As it is.
    None,
}

/// Version of the layout of `preprocess.json`.
pub const FORMAT: u32 = 2;
/// The first version, which is still read.
const FIRST_FORMAT: u32 = 1;

impl Preprocess {
    /// Learns fills, categories and scales from the rows of `table`'s train split, and from no other row.
    ///
    /// # Errors
    /// A column that the spec names and the table lacks, a column without any value in train, an outcome that cannot be
    /// evaluated, an empty train split.
    pub fn fit(spec: &Spec, table: &Table) -> Result<Self> {
        fit::fit(spec, table, false)
    }

    /// As [`Preprocess::fit`], for a model that percuss did not train: of columns that its own imputer fills, `fill` is no number yet.
    ///
    /// # Errors
    /// As [`Preprocess::fit`], and scales that would change with the table.
    pub(in crate::data) fn fit_for_others(spec: &Spec, table: &Table) -> Result<Self> {
        fit::fit(spec, table, true)
    }

    /// The samples of `split` (`all` for every row) as features and labels, with all columns beside them; rows without an outcome are left
    /// out.
    ///
    /// # Errors
    /// A column that is not there or changed its type, a category that train did not have, an empty split.
    pub fn apply(&self, table: &Table, split: &str) -> Result<Dataset> {
        let mut beside = table.names.clone();
        beside.extend(self.spec.bands.keys().cloned());
        self.apply_to(
            table,
            &Asked { split, beside: &beside, clip: self.clips(), stated: false, others: false },
        )
    }

    /// Whether values beyond the range of the train split are cut to it.
    pub fn clips(&self) -> bool {
        self.spec.clip || self.is_of_first_format()
    }

    fn is_of_first_format(&self) -> bool {
        self.format == FIRST_FORMAT
    }

    /// Whether a column is needed to apply this: it is a feature, or says the outcome, the group or the split.
    ///
    /// # Errors
    /// An outcome that cannot be read; `file` names it.
    pub fn needed(&self, file: &str) -> Result<Vec<String>> {
        let mut names = self.spec.beside(file)?;
        names.extend(self.columns.iter().map(|fitted| fitted.column().to_string()));
        Ok(names)
    }

    /// How the cells of a table are read.
    ///
    /// # Errors
    /// As [`Preprocess::needed`].
    pub fn reading(&self, file: &str) -> Result<Reading> {
        let reading = self.spec.reading(file)?;
        // Models from before `True` was a number have such columns as categories, and their splits go by these texts.
        let truths = self.columns.iter().filter_map(|fitted| match fitted {
            Fitted::Category { column, categories, .. } => are_truths(categories).then(|| column.clone()),
            Fitted::Number { .. } => None,
        });
        let categories = reading.categories.iter().cloned().chain(truths).collect();
        Ok(Reading { first_format: self.is_of_first_format(), categories, ..reading })
    }

    /// The features' names: `age`, `bili is missing`, `sex=male`.
    pub fn features(&self) -> Vec<String> {
        self.columns.iter().flat_map(Fitted::features).collect()
    }

    /// The features of a row of which nothing is known: what each missing value becomes, and where the row says that it was missing.
    pub fn imputed(&self) -> Vec<f32> {
        self.columns.iter().flat_map(Fitted::imputed).collect()
    }

    /// Mean and standard deviation of each feature, as the model's input stage needs them (0 and 1 where a feature is
    /// not z-scaled).
    pub fn input_mean_std(&self) -> (Vec<f32>, Vec<f32>) {
        let pairs = self.columns.iter().flat_map(|fitted| {
            let first = match fitted {
                Fitted::Number { scaling: FittedScaling::Z { mean, sd }, .. } => (*mean as f32, *sd as f32),
                _ => (0.0, 1.0),
            };
            std::iter::once(first).chain(std::iter::repeat((0.0, 1.0))).take(fitted.width())
        });
        pairs.unzip()
    }

    /// Writes `preprocess.json`.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Failed(error.to_string()))?;
        std::fs::write(path, text + "\n").map_err(Error::io(path))
    }

    /// Reads `preprocess.json`, and beside its folder what the model has seen.
    ///
    /// # Errors
    /// No such file, another layout, numbers that cannot be scales.
    pub fn load(path: &Path) -> Result<Self> {
        let text = crate::files::read_text(path)?;
        let file = path.display().to_string();
        let mut loaded: Self = serde_json::from_str(&text)
            .map_err(|error| Error::input(&file, "JSON", error, "a preprocess.json that percuss wrote"))?;
        if ![FIRST_FORMAT, FORMAT].contains(&loaded.format) {
            return Err(Error::input(file, "format", loaded.format, format!("{FIRST_FORMAT} or {FORMAT}")));
        }
        loaded.spec.check(&file)?;
        loaded.recall(path, &text)?;
        match loaded.columns.iter().find(|fitted| !fitted.is_sound()) {
            Some(bad) => Err(Error::input(file, "columns", format!("{bad:?}"), "ordered, finite scales")),
            None => Ok(loaded),
        }
    }

    fn unit(&self) -> &'static str {
        let scalings = self.columns.iter().filter_map(|fitted| match fitted {
            Fitted::Number { scaling: FittedScaling::Z { .. }, .. } => Some("sd"),
            Fitted::Number { scaling: FittedScaling::Quantile { .. }, .. } => Some("quantile"),
            Fitted::Number { .. } => Some("value"),
            Fitted::Category { .. } => None,
        });
        let mut units: Vec<&str> = scalings.collect();
        units.dedup();
        match units[..] {
            [] => "value",
            [unit] => unit,
            _ => "mixed",
        }
    }

    fn domain(&self, features: Vec<String>) -> Domain {
        let mut domain = Domain {
            low: Vec::new(),
            high: Vec::new(),
            scale: Vec::new(),
            immutable: Vec::new(),
            one_hot: Vec::new(),
            features,
        };
        for fitted in &self.columns {
            let first = domain.low.len();
            let (low, high, scale) = fitted.bounds();
            domain.low.push(low);
            domain.high.push(high);
            domain.scale.push(scale);
            domain.immutable.push(fitted.immutable());
            for _ in 1..fitted.width() {
                domain.low.push(0.0);
                domain.high.push(1.0);
                domain.scale.push(1.0);
                // Whether something was measured at all is not a small change of a value.
                domain.immutable.push(fitted.immutable() || matches!(fitted, Fitted::Number { .. }));
            }
            if let Fitted::Category { .. } = fitted {
                domain.one_hot.push(Range { start: first, end: domain.low.len() });
            }
        }
        domain
    }
}

/// Rows of a split, and those that have no outcome.
pub(super) struct Decided {
    /// The rows whose outcome is known, with their labels, in the table's order.
    pub(super) rows: Vec<(usize, u32)>,
    /// How many were left out.
    pub(super) open: usize,
}

/// The rows of `split` whose outcome is known; `splits` says where each row belongs.
fn decided_rows(spec: &Spec, table: &Table, splits: &[&str], split: &str) -> Result<Decided> {
    let outcome = Expression::parse(&spec.outcome, &table.file, "outcome")?;
    let undecided =
        spec.undecided.as_ref().map(|text| Expression::parse(text, &table.file, "undecided")).transpose()?;
    let mut decided = Decided { rows: Vec::new(), open: 0 };
    for row in 0..table.rows() {
        if split != "all" && splits.get(row) != Some(&split) {
            continue;
        }
        if let Some(undecided) = &undecided
            && undecided.value(table, row)? != Value::Truth(false)
        {
            decided.open += 1;
            continue;
        }
        let label = match outcome.value(table, row)? {
            Value::Missing => {
                decided.open += 1;
                continue;
            }
            Value::Truth(truth) => u32::from(truth),
            other => class_of(&other, &spec.classes).ok_or_else(|| {
                let place = format!("outcome, row {row}");
                let expected = format!(
                    "one of {}, or its number; classes = [...] in the spec has the texts of the column, or outcome compares it with one",
                    spec.classes.join(", ")
                );
                Error::input(&table.file, place, shown(&other), expected)
            })?,
        };
        decided.rows.push((row, label));
    }
    if decided.rows.is_empty() {
        let found = format!("no row of {} with a known outcome", table.rows());
        return Err(Error::input(&table.file, format!("split {split}"), found, "at least one"));
    }
    Ok(decided)
}

/// Whether all categories are `True`, `False`, or what they are as numbers.
fn are_truths(categories: &[String]) -> bool {
    categories.iter().all(|category| bit(category).is_some())
}

/// `1` of `True` and `1`, `0` of `False` and `0`.
fn bit(text: &str) -> Option<String> {
    as_code(&Value::Text(text.to_string())).filter(|code| ["0", "1"].contains(&code.as_str()))
}

/// The class of a value: by its name, where names are numbers or `true` and `false`; else a number is a class's place.
fn class_of(value: &Value, classes: &[String]) -> Option<u32> {
    let at = |is: &dyn Fn(&str) -> bool| classes.iter().position(|class| is(class.trim())).map(|k| k as u32);
    let numbers = classes.iter().all(|class| class.trim().parse::<f64>().is_ok());
    let truth = |class: &str| ["false", "true"].iter().position(|word| class.eq_ignore_ascii_case(word));
    match value {
        Value::Text(text) => at(&|class| class == text),
        Value::Number(n) if numbers => at(&|class| class.parse() == Ok(*n)),
        Value::Number(n) if classes.iter().all(|class| truth(class.trim()).is_some()) => {
            at(&|class| truth(class).map(|yes| yes as f64) == Some(*n))
        }
        Value::Number(n) if n.fract() == 0.0 && (0.0..classes.len() as f64).contains(n) => Some(*n as u32),
        _ => None,
    }
}

impl Fitted {
    /// The column's name.
    pub fn column(&self) -> &str {
        match self {
            Self::Number { column, .. } | Self::Category { column, .. } => column,
        }
    }

    /// How many features the column becomes.
    pub fn width(&self) -> usize {
        match self {
            Self::Number { indicator, .. } => 1 + usize::from(*indicator),
            Self::Category { categories, .. } => categories.len(),
        }
    }

    /// The features' names.
    pub(super) fn features(&self) -> Vec<String> {
        match self {
            Self::Number { column, indicator: true, .. } => {
                vec![column.clone(), format!("{column} is missing")]
            }
            Self::Number { column, .. } => vec![column.clone()],
            Self::Category { column, categories, .. } => {
                categories.iter().map(|category| format!("{column}={category}")).collect()
            }
        }
    }

    fn imputed(&self) -> Vec<f32> {
        match self {
            Self::Number { log1p, fill, indicator, scaling, .. } => {
                let value = scaling.of(if *log1p { fill.ln_1p() } else { *fill });
                if *indicator { vec![value, 1.0] } else { vec![value] }
            }
            Self::Category { categories, fill, .. } => {
                categories.iter().map(|category| f32::from(u8::from(category == fill))).collect()
            }
        }
    }

    fn immutable(&self) -> bool {
        match self {
            Self::Number { immutable, .. } | Self::Category { immutable, .. } => *immutable,
        }
    }

    /// Low, high and scale of the first feature.
    fn bounds(&self) -> (f32, f32, f32) {
        match self {
            Self::Number { scaling: FittedScaling::Quantile { .. }, .. } | Self::Category { .. } => {
                (0.0, 1.0, 1.0)
            }
            Self::Number { low, high, scaling: FittedScaling::Z { sd, .. }, .. } => {
                (*low as f32, *high as f32, *sd as f32)
            }
            Self::Number { low, high, .. } => (*low as f32, *high as f32, 1.0),
        }
    }

    fn is_sound(&self) -> bool {
        match self {
            Self::Number { fill, low, high, scaling, .. } => {
                let scaled = match scaling {
                    FittedScaling::Z { mean, sd } => mean.is_finite() && *sd > 0.0 && sd.is_finite(),
                    FittedScaling::Quantile { knots } => {
                        knots.len() >= 2 && knots.windows(2).all(|pair| pair[0] <= pair[1])
                    }
                    FittedScaling::None => true,
                };
                fill.is_finite() && low <= high && scaled
            }
            Self::Category { categories, fill, mode, .. } => {
                categories.windows(2).all(|pair| pair[0] < pair[1])
                    && categories.contains(fill)
                    && categories.contains(mode)
            }
        }
    }
}

impl FittedScaling {
    /// A value (after log1p) as the feature that it becomes.
    fn of(&self, value: f64) -> f32 {
        match self {
            Self::Quantile { knots } => share_below(knots, value) as f32,
            _ => value as f32,
        }
    }
}

/// Where `value` lies among evenly spaced quantiles, from 0 to 1; in the middle of quantiles that are equal.
fn share_below(knots: &[f64], value: f64) -> f64 {
    let last = (knots.len() - 1) as f64;
    let below = knots.partition_point(|&knot| knot < value);
    let upto = knots.partition_point(|&knot| knot <= value);
    if upto > below {
        return (below + upto - 1) as f64 / 2.0 / last;
    }
    if below == 0 || below == knots.len() {
        return if below == 0 { 0.0 } else { 1.0 };
    }
    let (low, high) = (knots[below - 1], knots[below]);
    ((below - 1) as f64 + (value - low) / (high - low)) / last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_class_by_its_name_where_names_are_numbers_or_truths() {
        let class =
            |value: f64, names: [&str; 2]| class_of(&Value::Number(value), &names.map(str::to_string));
        assert_eq!(class(1.0, ["alive", "dead"]), Some(1));
        assert_eq!(class(1.0, ["0", "1"]), Some(1));
        assert_eq!(class(1.0, ["1", "0"]), Some(0));
        assert_eq!(class(2.0, ["1", "2"]), Some(1));
        assert_eq!(class(0.0, ["1", "2"]), None);
        assert_eq!(class(1.0, ["True", "False"]), Some(0));
        assert_eq!(class(0.0, ["False", "True"]), Some(0));
        assert_eq!(class_of(&Value::Text("dead".into()), &["alive".into(), "dead".into()]), Some(1));
    }
}
