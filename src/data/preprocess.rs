//! Fitting a preprocessing spec on the train split of a table, and applying what was fitted.
//!
//! Values stay in their own units where they are z-scaled: the model holds mean and standard deviation, so that the
//! scaling is part of what is attacked. A value outside the range that the train split has is clipped to it, so that
//! no sample lies outside its own [`Domain`].

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::outcome::{Expression, Value};
use super::preprocess_fit;
use super::spec::{Spec, Unseen};
use super::table::{Column, Table};
use super::{Dataset, Domain, Labels, draw};
use crate::{Error, Result};

/// A spec with everything that was learnt from the train split: saved as `preprocess.json` beside a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocess {
    /// Version of this layout, 1.
    pub format: u32,
    /// SHA-256 of the table that it was fitted on.
    pub table_sha256: String,
    /// Rows of its train split.
    pub train_rows: u64,
    /// What the author wrote.
    pub spec: Spec,
    /// The columns that become features, in the table's order.
    pub columns: Vec<Fitted>,
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
pub const FORMAT: u32 = 1;

impl Preprocess {
    /// Learns fills, categories and scales from the rows of `table`'s train split, and from no other row.
    ///
    /// # Errors
    /// A column that the spec names and the table lacks, a column without any value in train, an outcome that cannot be
    /// evaluated, an empty train split.
    pub fn fit(spec: &Spec, table: &Table) -> Result<Self> {
        preprocess_fit::fit(spec, table)
    }

    /// The samples of `split` (`all` for every row) as features and labels; rows without an outcome are left out.
    ///
    /// # Errors
    /// A column that is not there or changed its type, a category that train did not have, an empty split.
    pub fn apply(&self, table: &Table, split: &str) -> Result<Dataset> {
        self.spec.check_columns(table)?;
        let table = &table.clone().with_missing(&self.spec.missing);
        let rows = decided_rows(&self.spec, table, split)?;
        let features = self.features();
        let mut values = vec![0f32; rows.len() * features.len()];
        let mut first = 0;
        for fitted in &self.columns {
            for (sample, (row, _)) in rows.iter().enumerate() {
                let end = sample * features.len() + first + fitted.width();
                fitted.write(table, *row, self.spec.unseen, &mut values[end - fitted.width()..end])?;
            }
            first += fitted.width();
        }
        let positions: Vec<usize> = rows.iter().map(|&(row, _)| row).collect();
        let dataset = Dataset {
            name: table.file.clone(),
            split: split.to_string(),
            synthetic: false,
            sha256: table.sha256.clone(),
            shape: vec![features.len()],
            inputs: Vec::new(),
            values,
            labels: Labels::Class(rows.iter().map(|&(_, label)| label).collect()),
            classes: self.spec.classes.clone(),
            unit: self.unit().to_string(),
            group: self.spec.group.as_ref().map(|g| texts(table, g, &positions)),
            subgroups: self.offered_columns(table, &positions),
            index: positions.iter().map(|&row| row as u64).collect(),
            domain: self.domain(features),
            samples_per_second: None,
            remarks: Vec::new(),
        };
        dataset.check()?;
        Ok(dataset)
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

    /// Reads `preprocess.json`.
    ///
    /// # Errors
    /// No such file, another layout, numbers that cannot be scales.
    pub fn load(path: &Path) -> Result<Self> {
        let text = crate::files::read_text(path)?;
        let file = path.display().to_string();
        let loaded: Self = serde_json::from_str(&text)
            .map_err(|error| Error::input(&file, "JSON", error, "a preprocess.json that percuss wrote"))?;
        if loaded.format != FORMAT {
            return Err(Error::input(file, "format", loaded.format, FORMAT));
        }
        loaded.spec.check(&file)?;
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

    fn offered_columns(&self, table: &Table, rows: &[usize]) -> BTreeMap<String, Vec<String>> {
        let own = table.names.iter().map(|name| (name.clone(), texts(table, name, rows)));
        let bands = self.spec.bands.iter().filter_map(|(name, band)| {
            let Some(Column::Number(values)) = table.column(&band.column) else { return None };
            let named = |&row: &usize| values[row].map_or("missing".to_string(), |v| band.name(v));
            Some((name.clone(), rows.iter().map(named).collect()))
        });
        own.chain(bands).collect()
    }
}

fn texts(table: &Table, column: &str, rows: &[usize]) -> Vec<String> {
    let text = |&row: &usize| table.column(column).and_then(|c| c.text(row)).unwrap_or("missing".to_string());
    rows.iter().map(text).collect()
}

/// The rows of a split whose outcome is known, with their labels, in the table's order.
pub(super) fn decided_rows(spec: &Spec, table: &Table, split: &str) -> Result<Vec<(usize, u32)>> {
    let outcome = Expression::parse(&spec.outcome, &table.file, "outcome")?;
    let undecided =
        spec.undecided.as_ref().map(|text| Expression::parse(text, &table.file, "undecided")).transpose()?;
    let mut rows = Vec::new();
    for row in 0..table.rows() {
        if split != "all" && split_of(spec, table, row)? != split {
            continue;
        }
        if let Some(undecided) = &undecided
            && undecided.value(table, row)? != Value::Truth(false)
        {
            continue;
        }
        let label = match outcome.value(table, row)? {
            Value::Missing => continue,
            Value::Truth(truth) => u32::from(truth),
            other => class_of(&other, &spec.classes).ok_or_else(|| {
                let place = format!("outcome, row {row}");
                let expected = format!("one of {}, or its number", spec.classes.join(", "));
                Error::input(&table.file, place, format!("{other:?}"), expected)
            })?,
        };
        rows.push((row, label));
    }
    if rows.is_empty() {
        let found = format!("no row of {} with a known outcome", table.rows());
        return Err(Error::input(&table.file, format!("split {split}"), found, "at least one"));
    }
    Ok(rows)
}

fn class_of(value: &Value, classes: &[String]) -> Option<u32> {
    match value {
        Value::Text(text) => classes.iter().position(|class| class == text).map(|k| k as u32),
        Value::Number(n) if n.fract() == 0.0 && (0.0..classes.len() as f64).contains(n) => Some(*n as u32),
        _ => None,
    }
}

/// The split of a row: by its group's name where rows are grouped, else by its number, hashed with the seed.
fn split_of<'a>(spec: &Spec, table: &'a Table, row: usize) -> Result<&'a str> {
    if let Some(name) = &spec.split.column {
        let said = match table.column(name) {
            Some(Column::Category(values)) => values[row].as_deref().unwrap_or("missing"),
            _ => "a number",
        };
        return match said {
            "train" | "val" | "test" => Ok(said),
            _ => Err(Error::input(
                &table.file,
                format!("column `{name}`, row {row}"),
                said,
                "train, val or test",
            )),
        };
    }
    let group = spec.group.as_ref().and_then(|g| table.column(g)).and_then(|c| c.text(row));
    let draw = match group {
        Some(group) => draw::fraction(spec.split.seed, draw::mix_text(spec.split.seed, &group)),
        None => draw::fraction(spec.split.seed, row as u64),
    };
    Ok(match draw {
        d if d < spec.split.test => "test",
        d if d < spec.split.test + spec.split.val => "val",
        _ => "train",
    })
}

impl Fitted {
    /// How many features the column becomes.
    pub fn width(&self) -> usize {
        match self {
            Self::Number { indicator, .. } => 1 + usize::from(*indicator),
            Self::Category { categories, .. } => categories.len(),
        }
    }

    fn features(&self) -> Vec<String> {
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
            Self::Number { log1p, fill, indicator, low, high, scaling, .. } => {
                let value = coded(*fill, *log1p, (*low, *high), scaling);
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

    /// Writes the features of `row` into `out`, which is [`Fitted::width`] long and 0.
    fn write(&self, table: &Table, row: usize, unseen: Unseen, out: &mut [f32]) -> Result<()> {
        match self {
            Self::Number { column, log1p, fill, indicator, low, high, scaling, .. } => {
                let Column::Number(values) = table.require(column, "preprocessing")? else {
                    return Err(changed_type(table, column, "categories", "numbers"));
                };
                out[0] = coded(values[row].unwrap_or(*fill), *log1p, (*low, *high), scaling);
                if *indicator {
                    out[1] = f32::from(u8::from(values[row].is_none()));
                }
            }
            Self::Category { column, categories, fill, mode, .. } => {
                let text = table.require(column, "preprocessing")?.text(row);
                let text = text.as_ref().unwrap_or(fill);
                let position = match (categories.binary_search(text), unseen) {
                    (Ok(position), _) => position,
                    (Err(_), Unseen::Mode) => categories.binary_search(mode).unwrap_or(0),
                    (Err(_), Unseen::Error) => {
                        return Err(Error::input(
                            &table.file,
                            format!("column `{column}`, row {row}"),
                            format!("`{text}`"),
                            format!("{}, as in train (or unseen = \"mode\")", categories.join(", ")),
                        ));
                    }
                };
                out[position] = 1.0;
            }
        }
        Ok(())
    }
}

/// A column's number as the feature that it becomes.
fn coded(value: f64, log1p: bool, (low, high): (f64, f64), scaling: &FittedScaling) -> f32 {
    let value = if log1p { value.max(0.0).ln_1p() } else { value }.clamp(low, high);
    match scaling {
        FittedScaling::Quantile { knots } => share_below(knots, value) as f32,
        // The bounds are rounded to f32, and so must be what lies between them.
        _ => (value as f32).clamp(low as f32, high as f32),
    }
}

fn changed_type(table: &Table, column: &str, found: &str, expected: &str) -> Error {
    Error::input(&table.file, format!("column `{column}`"), found, format!("{expected}, as in train"))
}

/// Where `value` lies among evenly spaced quantiles, from 0 to 1; in the middle of quantiles that are equal.
pub(super) fn share_below(knots: &[f64], value: f64) -> f64 {
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
