//! Tables of typed columns, and reading them from CSV.

use std::path::Path;

use super::subset::sha256;
use super::table_parquet;
use crate::{Error, Result};

/// A column: all of it numbers, or all of it categories; `None` is a missing value.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Finite numbers.
    Number(Vec<Option<f64>>),
    /// Texts.
    Category(Vec<Option<String>>),
}

/// A table in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Table {
    /// The file it was read from, for errors.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// The columns' names, distinct.
    pub names: Vec<String>,
    /// The columns, each of [`Table::rows`] values.
    pub columns: Vec<Column>,
    rows: usize,
}

/// Texts that stand for a missing value, besides the empty one.
const MISSING: [&str; 6] = ["NA", "N/A", "NaN", "nan", "null", "NULL"];

/// The largest CSV that is read whole, in bytes.
const CSV_LIMIT: u64 = 4 << 30;

impl Table {
    /// Reads a `.csv` or `.parquet` file.
    ///
    /// # Errors
    /// A file that cannot be read, another ending, and what the format's own reader refuses.
    pub fn read(path: &Path) -> Result<Self> {
        match path.extension().and_then(|e| e.to_str()) {
            Some("parquet") => table_parquet::read(path),
            Some("csv") => {
                let bytes = crate::files::read_bytes(path, CSV_LIMIT)?;
                Self::from_csv(&path.display().to_string(), &bytes)
            }
            _ => Err(Error::input(path.display(), "file ending", "another one", "csv or parquet")),
        }
    }

    /// Reads a CSV with a header line. A column is numeric if every value that is not missing is a number.
    ///
    /// # Errors
    /// No header, a repeated column, a line with more or fewer fields, text that is not UTF-8, an infinite number:
    /// the error names the line.
    pub fn from_csv(file: &str, bytes: &[u8]) -> Result<Self> {
        let bad = |error: csv::Error| {
            let place = error.position().map_or("csv".to_string(), |p| format!("line {}", p.line()));
            Error::input(file, place, error, "a well-formed CSV line")
        };
        let mut reader = csv::ReaderBuilder::new().from_reader(bytes);
        let names: Vec<String> =
            reader.headers().map_err(bad)?.iter().map(|name| name.trim().to_string()).collect();
        let mut texts: Vec<Vec<Option<String>>> = vec![Vec::new(); names.len()];
        for record in reader.records() {
            for (column, field) in texts.iter_mut().zip(record.map_err(bad)?.iter()) {
                let field = field.trim();
                column.push((!field.is_empty() && !MISSING.contains(&field)).then(|| field.to_string()));
            }
        }
        let columns = texts.into_iter().map(typed).collect();
        Self::new(file.to_string(), sha256(bytes), names, columns)
    }

    /// A table of columns that are already typed.
    ///
    /// # Errors
    /// No columns, repeated names, columns of different lengths, infinite numbers.
    pub fn new(file: String, sha256: String, names: Vec<String>, columns: Vec<Column>) -> Result<Self> {
        let rows = columns.first().map_or(0, Column::len);
        if names.is_empty() || names.iter().all(String::is_empty) {
            return Err(Error::input(file, "header", "no columns", "the columns' names"));
        }
        for (k, name) in names.iter().enumerate() {
            if names[..k].contains(name) {
                return Err(Error::input(file, "header", format!("`{name}` twice"), "distinct names"));
            }
        }
        for (name, column) in names.iter().zip(&columns) {
            if column.len() != rows {
                let found = format!("{} values", column.len());
                return Err(Error::input(file, format!("column `{name}`"), found, rows));
            }
            if let Column::Number(values) = column
                && let Some(row) = values.iter().position(|v| v.is_some_and(|v| !v.is_finite()))
            {
                let place = format!("column `{name}`, row {row}");
                return Err(Error::input(file, place, "an infinite number", "a finite one"));
            }
        }
        Ok(Self { file, sha256, names, columns, rows })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.names.iter().position(|n| n == name).map(|k| &self.columns[k])
    }

    /// The column called `name`, or an error that lists the existing ones.
    ///
    /// # Errors
    /// No such column; `asked_by` (the key that names it) is the error's place.
    pub fn require(&self, name: &str, asked_by: &str) -> Result<&Column> {
        self.column(name).ok_or_else(|| {
            let known = self.names.join(", ");
            Error::input(&self.file, asked_by, format!("no column `{name}`"), format!("one of {known}"))
        })
    }

    /// Makes every number that is one of `codes` a missing value (`-1` in eICU's scores).
    pub fn with_missing(mut self, codes: &[f64]) -> Self {
        if codes.is_empty() {
            return self;
        }
        for column in &mut self.columns {
            if let Column::Number(values) = column {
                for value in values.iter_mut().filter(|v| v.is_some_and(|v| codes.contains(&v))) {
                    *value = None;
                }
            }
        }
        self
    }
}

impl Column {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Number(values) => values.len(),
            Self::Category(values) => values.len(),
        }
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `row` as a text (whole numbers without a fraction), `None` if missing.
    pub fn text(&self, row: usize) -> Option<String> {
        match self {
            Self::Number(values) => values[row].map(|v| v.to_string()),
            Self::Category(values) => values[row].clone(),
        }
    }
}

fn typed(texts: Vec<Option<String>>) -> Column {
    let numbers: Option<Vec<Option<f64>>> =
        texts.iter().map(|t| t.as_ref().map(|t| t.parse::<f64>()).transpose().ok()).collect();
    match numbers {
        // A column without any value could be anything; no numbers are claimed for it.
        Some(numbers) if numbers.iter().any(Option::is_some) => Column::Number(numbers),
        _ => Column::Category(texts),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn csv_columns_get_their_type_and_keep_missing_values() {
        let table = Table::from_csv("t.csv", b"a,b,c\n1,x,\n,\"y,z\",NA\n-2.5e1,,3\n").unwrap();
        assert_eq!(table.rows(), 3);
        assert_eq!(table.column("a"), Some(&Column::Number(vec![Some(1.0), None, Some(-25.0)])));
        assert_eq!(table.column("b").unwrap().text(1), Some("y,z".into()));
        assert_eq!(table.column("c"), Some(&Column::Number(vec![None, None, Some(3.0)])));
        let coded = table.with_missing(&[3.0]);
        assert_eq!(coded.column("c"), Some(&Column::Number(vec![None; 3])));
    }

    #[test]
    fn bad_csv_is_refused_with_its_line() {
        let error = Table::from_csv("t.csv", b"a,b\n1,2\n3\n").unwrap_err().to_string();
        assert!(error.starts_with("t.csv: line 3:"), "{error}");
        assert!(Table::from_csv("t.csv", b"a,a\n1,2\n").unwrap_err().to_string().contains("`a` twice"));
        assert!(Table::from_csv("t.csv", b"").is_err());
        let infinite = Table::from_csv("t.csv", b"a\n1\ninf\n").unwrap_err().to_string();
        assert!(infinite.contains("column `a`, row 1"), "{infinite}");
        assert!(Table::from_csv("t.csv", b"a\n\xff\xfe\n").is_err());
    }
}
