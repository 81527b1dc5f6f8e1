//! Tables for a model that percuss did not train: which of its inputs each column is, and what its own imputer makes of missing values.

use std::collections::HashMap;

use super::Remark;
use super::preprocess::{Fitted, FittedScaling, Preprocess};
use super::table::{Column, Table, bare, spec_path};
use crate::{Error, Result};

/// What a model's file says of the values that it is fed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fed {
    /// Names of its inputs, or of the features of its only one, each with its number of values; empty where nothing names them.
    pub names: Vec<(String, usize)>,
    /// Whether these are names of features, not of a file's inputs, which may be called `x0` and `x1`.
    pub of_features: bool,
    /// What its own imputer makes of a missing value, for each value of a sample; `None` where it has none.
    pub fills: Vec<Option<f32>>,
}

impl Fed {
    /// Brings what was fitted on a table into the model's order, by names, and takes its imputer's fills.
    ///
    /// # Errors
    /// Names that are not the table's, and missing values that the model is said to fill and does not.
    pub(super) fn settle(&self, fitted: &mut Preprocess, table: &Table) -> Result<Vec<Remark>> {
        let remark = self.arrange(fitted, table)?;
        let mut place = 0;
        for column in &mut fitted.columns {
            let width = column.width();
            if let Fitted::Number { column, fill, log1p, low, scaling, .. } = column
                && fill.is_nan()
            {
                let own = self.fills.get(place).copied().flatten().map(f64::from);
                let own = own.filter(|_| !matches!(scaling, FittedScaling::Quantile { .. }));
                *fill = match own {
                    Some(own) if *log1p => own.exp_m1(),
                    Some(own) => own,
                    None if !lacks_values(table, column) => *low,
                    None => return Err(no_imputer(table, column)),
                };
            }
            place += width;
        }
        Ok(remark.into_iter().collect())
    }

    /// Puts the columns into the order of the model's names.
    fn arrange(&self, fitted: &mut Preprocess, table: &Table) -> Result<Option<Remark>> {
        if self.names.is_empty() {
            return Ok(None);
        }
        let (order, strangers) = self.matched(&fitted.columns);
        let listed = |names: &[String]| {
            let more = if names.len() > LISTED {
                format!(" and {} more", names.len() - LISTED)
            } else {
                String::new()
            };
            names.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ") + &more
        };
        let own: Vec<String> = self.names.iter().map(|(name, _)| name.clone()).collect();
        let left: Vec<String> = (0..fitted.columns.len())
            .filter(|at| !order.contains(at))
            .map(|at| fitted.columns[at].column().to_string())
            .collect();
        if strangers.is_empty() && left.is_empty() {
            let in_order = order.is_sorted();
            let columns = std::mem::take(&mut fitted.columns);
            fitted.columns = order.iter().map(|at| columns[*at].clone()).collect();
            let text = "columns are fed by their names, in the model's order, which is not the table's";
            return Ok((!in_order).then(|| Remark::note(text)));
        }
        if order.is_empty() && !self.of_features && !self.is_alike(&fitted.columns) {
            let text = format!(
                "the model's inputs are called {}, and no column is: columns are fed in the table's order",
                listed(&own)
            );
            return Ok(Some(Remark::note(text)));
        }
        let mut found = Vec::new();
        if !strangers.is_empty() {
            found.push(format!("no column for {}", listed(&strangers)));
        }
        if !left.is_empty() {
            found.push(format!(
                "no input for {}",
                left.iter().take(LISTED).map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ));
        }
        let drop: Vec<String> = left.iter().take(LISTED).map(|name| format!("{name:?}")).collect();
        let drop = match left.is_empty() {
            true => String::new(),
            false => format!(
                "; drop = [{}] in {} leaves the others out",
                drop.join(", "),
                spec_path(std::path::Path::new(&table.file)).display()
            ),
        };
        let expected = format!(
            "columns that are called as the model's file calls its values, in any order: {}{drop}",
            listed(&own)
        );
        Err(Error::input(&table.file, "columns", found.join(", and "), expected))
    }

    /// For each of the model's names the place of its column; and names that no column has.
    fn matched(&self, columns: &[Fitted]) -> (Vec<usize>, Vec<String>) {
        let (whole, parts) = self.callings(columns);
        let (mut order, mut strangers) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some((name, width)) = self.names.get(at) {
            let is_whole = |column: &Fitted| column.width() == *width && whole.are_one(column.column(), name);
            // Its features one by one: `sex=f`, `sex=m`.
            let in_parts = |column: &Fitted| {
                let features = column.features();
                self.names.get(at..at + features.len()).is_some_and(|names| {
                    let mut pairs = names.iter().zip(&features);
                    pairs.all(|((name, width), own)| *width == 1 && parts.are_one(own, name))
                })
            };
            let place = |is: &dyn Fn(&Fitted) -> bool| {
                (0..columns.len()).find(|place| !order.contains(place) && is(&columns[*place]))
            };
            match place(&is_whole)
                .map(|place| (place, 1))
                .or_else(|| place(&in_parts).map(|place| (place, columns[place].width())))
            {
                Some((place, names)) => {
                    order.push(place);
                    at += names;
                }
                None => {
                    strangers.push(match width {
                        1 => format!("`{name}`"),
                        width => format!("`{name}` ({width} values)"),
                    });
                    at += 1;
                }
            }
        }
        (order, strangers)
    }

    /// What columns and, beside them, their features are called, each beside the model's names.
    fn callings(&self, columns: &[Fitted]) -> (Callings, Callings) {
        let names: Vec<&str> = self.names.iter().map(|(name, _)| name.as_str()).collect();
        let whole: Vec<&str> = columns.iter().map(Fitted::column).collect();
        let features: Vec<String> = columns.iter().flat_map(Fitted::features).collect();
        let parts: Vec<&str> = features.iter().map(String::as_str).collect();
        (Callings::new(&whole, &names), Callings::new(&parts, &names))
    }

    /// Whether a column is called like one of the model's names, one of several perhaps.
    fn is_alike(&self, columns: &[Fitted]) -> bool {
        let (whole, parts) = self.callings(columns);
        whole.is_alike() || parts.is_alike()
    }
}

/// How a table and a model's file call things, written ever more plainly: as they stand, in lower case, without blanks, without signs; the
/// model's without scikit-learn's `num__`. Names that are the same only when written more plainly are one if neither side has another
/// such name: `CD4+` is not `CD4-`.
struct Callings {
    /// Of each way of writing, how often the table and the model have a name.
    counts: Vec<HashMap<String, [usize; 2]>>,
}

const WAYS: [fn(&str) -> String; 4] = [
    |name| name.replace('=', "_"),
    |name| WAYS[0](name).to_lowercase(),
    |name| WAYS[1](name).split_whitespace().collect(),
    |name| WAYS[1](name).chars().filter(|c| c.is_alphanumeric()).collect(),
];

impl Callings {
    fn new(owns: &[&str], names: &[&str]) -> Self {
        let names: Vec<&str> = names.iter().map(|name| without_prefix(name)).collect();
        let count = |way: &fn(&str) -> String| {
            let mut counts: HashMap<String, [usize; 2]> = HashMap::new();
            for (side, called) in [owns, &names].into_iter().enumerate() {
                called.iter().for_each(|name| counts.entry(way(name)).or_default()[side] += 1);
            }
            counts
        };
        Self { counts: WAYS.iter().map(count).collect() }
    }

    /// Whether a column's name and one of the model's are the same, and no other can be meant.
    fn are_one(&self, own: &str, name: &str) -> bool {
        let bare = without_prefix(name);
        let same = WAYS.iter().zip(&self.counts).find(|(way, _)| way(own) == way(bare));
        own == name || same.is_some_and(|(way, counts)| counts.get(&way(own)) == Some(&[1, 1]))
    }

    /// Whether a name of the table is one of the model's when both are written most plainly.
    fn is_alike(&self) -> bool {
        self.counts.last().is_some_and(|counts| counts.values().any(|[own, name]| *own > 0 && *name > 0))
    }
}

/// `age` of scikit-learn's `num__age`.
fn without_prefix(name: &str) -> &str {
    name.split_once("__").map_or(name, |(_, rest)| rest)
}

/// More names are no help.
const LISTED: usize = 12;

fn lacks_values(table: &Table, name: &str) -> bool {
    match table.column(name) {
        Some(Column::Number(values)) => values.iter().any(Option::is_none),
        Some(Column::Category(values)) => values.iter().any(Option::is_none),
        None => true,
    }
}

fn no_imputer(table: &Table, name: &str) -> Error {
    let found = "\"model\", where the model's file has no imputer for it, or has something beside the imputer that sees the missing value";
    let expected = format!(
        "{} = VALUE under [impute.columns] in {}, if the model's training filled in one value there and nothing told it so; or no such rows in the table",
        bare(name),
        spec_path(std::path::Path::new(&table.file)).display()
    );
    Error::input(&table.file, format!("impute of column `{name}`"), found, expected)
}
