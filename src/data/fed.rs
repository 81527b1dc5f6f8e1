//! Tables for a model that percuss did not train: which of its inputs each column is, and what its own imputer makes of missing values.

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
        if order.is_empty() && !self.of_features {
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
        let (mut order, mut strangers) = (Vec::new(), Vec::new());
        let mut at = 0;
        while let Some((name, width)) = self.names.get(at) {
            let whole = |column: &Fitted| is_called(column.column(), name) && column.width() == *width;
            // Its features one by one: `sex=f`, `sex=m`.
            let parts = |column: &Fitted| {
                let features = column.features();
                self.names.get(at..at + features.len()).is_some_and(|names| {
                    names
                        .iter()
                        .zip(&features)
                        .all(|((name, width), own)| *width == 1 && is_called(own, name))
                })
            };
            let place = |is: &dyn Fn(&Fitted) -> bool| {
                (0..columns.len()).find(|place| !order.contains(place) && is(&columns[*place]))
            };
            let exact = |column: &Fitted| column.column() == name && column.width() == *width;
            match place(&exact)
                .or_else(|| place(&whole))
                .map(|place| (place, 1))
                .or_else(|| place(&parts).map(|place| (place, columns[place].width())))
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
}

/// More names are no help.
const LISTED: usize = 12;

/// Whether two names are one but for case, blanks and signs; scikit-learn puts `num__` and the like before a column's.
fn is_called(column: &str, name: &str) -> bool {
    let plain = |name: &str| -> String {
        name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
    };
    let bare = name.split_once("__").map_or(name, |(_, rest)| rest);
    column == name || plain(column) == plain(name) || plain(column) == plain(bare)
}

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
