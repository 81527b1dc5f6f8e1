//! Tables: cells as a file holds them, and columns of numbers or categories as they are read.

mod csv;
mod decimals;
mod forms;
mod nearly;
mod parquet;
mod reading;
mod source;
mod texts;
mod typing;

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

pub use forms::Decimal;
pub(super) use reading::is_missing_among_numbers;
pub use reading::{Code, Limits, Missing, Numbers, Percent, Reading};
pub use source::{is_table, spec_path};
pub use texts::Texts;
pub(super) use typing::bare;
pub use typing::{Counts, Doubt, Told};

use super::Remark;
use super::subset::sha256;
use crate::memory::Room;
use crate::{Error, Result};

/// A column: all of it numbers, or all of it categories; `None` is a missing value.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Finite numbers.
    Number(Vec<Option<f64>>),
    /// Texts.
    Category(Vec<Option<String>>),
}

/// A column as its file holds it.
#[derive(Clone, Debug, PartialEq)]
pub enum Cells {
    /// Texts, the missing ones empty.
    Text(Texts),
    /// Numbers; whole ones that no f64 holds exactly also as texts.
    Number {
        /// The numbers.
        values: Vec<Option<f64>>,
        /// Their exact digits, where an f64 loses some.
        exact: Option<Texts>,
    },
    /// Something that is neither (a date, a list, bytes), and what of it can be written down.
    Other {
        /// What it is.
        what: String,
        /// Texts that tell its values apart, empty where it is missing or has none.
        texts: Texts,
    },
}

/// Which columns are wanted, by their names.
pub type Wanted<'a> = &'a dyn Fn(&str) -> bool;

/// More cells than these are refused: they would take 4 GiB as numbers.
pub const MAX_CELLS: u64 = 1 << 28;

/// A table in memory.
#[derive(Clone, Debug)]
pub struct Table {
    /// The file it was read from, for errors.
    pub file: String,
    /// SHA-256 of that file.
    pub sha256: String,
    /// The columns' names, distinct.
    pub names: Vec<String>,
    /// The columns, each of [`Table::rows`] values.
    pub columns: Vec<Column>,
    /// Columns that number the rows: an index that pandas wrote.
    pub index_columns: Vec<String>,
    /// What the reader assumed of the file as a whole.
    pub remarks: Vec<Remark>,
    /// Whether a model that is there already reads it: what columns become is settled then, and only how cells are read can be said anew.
    pub scored: bool,
    /// Columns of the file that nobody wanted.
    unread: Vec<String>,
    cells: Arc<Vec<Cells>>,
    /// How the columns were made of the cells.
    reading: Reading,
    doubts: Vec<Option<Doubt>>,
    told: Vec<Counts>,
    positions: HashMap<String, usize>,
    rows: usize,
}

/// What a format's reader hands over.
pub(super) struct Raw {
    pub(super) names: Vec<String>,
    pub(super) cells: Vec<Cells>,
    pub(super) unread: Vec<String>,
    pub(super) index_columns: Vec<String>,
    pub(super) remarks: Vec<Remark>,
}

impl Table {
    /// Reads a table: CSV (any of `,` `;` tab `|` between fields, UTF-8, UTF-16 or Windows-1252, gzipped or not), Parquet, or a folder of parts.
    ///
    /// # Errors
    /// A file that cannot be read, another ending, and what the format's own reader refuses.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_columns(path, None, &Reading::default(), &|_| true)
    }

    /// As [`Table::read`], of the wanted columns alone, read as `reading` says; `delimiter` stands between a CSV's fields, where its author says so.
    ///
    /// # Errors
    /// As [`Table::read`].
    pub fn read_columns(
        path: &Path,
        delimiter: Option<char>,
        reading: &Reading,
        wanted: Wanted,
    ) -> Result<Self> {
        source::read(path, delimiter, reading, wanted)
    }

    /// Reads a CSV with a header line.
    ///
    /// # Errors
    /// No header, a repeated column, a line with more or fewer fields: the error names the line.
    pub fn from_csv(file: &str, bytes: &[u8]) -> Result<Self> {
        Self::new(
            file.to_string(),
            sha256(bytes),
            csv::read(file, bytes, None, Room::default(), &|_| true)?,
            &Reading::default(),
        )
    }

    /// A table of cells.
    fn new(file: String, sha256: String, raw: Raw, reading: &Reading) -> Result<Self> {
        let Raw { names, cells, unread, index_columns, remarks } = raw;
        if names.is_empty() && unread.is_empty() {
            return Err(Error::input(file, "header", "no columns", "the columns' names"));
        }
        let mut positions = HashMap::with_capacity(names.len());
        for (k, name) in names.iter().enumerate() {
            if positions.insert(name.clone(), k).is_some() {
                return Err(Error::input(file, "header", format!("`{name}` twice"), "distinct names"));
            }
        }
        let rows = cells.first().map_or(0, Cells::len);
        for (name, cells) in names.iter().zip(&cells) {
            if cells.len() != rows {
                let found = format!("{} values", cells.len());
                return Err(Error::input(file, format!("column `{name}`"), found, rows));
            }
        }
        let mut table = Self {
            scored: false,
            file,
            sha256,
            names,
            columns: Vec::new(),
            index_columns,
            remarks,
            unread,
            cells: Arc::new(cells),
            reading: reading.clone(),
            doubts: Vec::new(),
            told: Vec::new(),
            positions,
            rows,
        };
        table.type_columns();
        Ok(table)
    }

    /// The same cells, read in this way.
    pub fn read_as(&self, reading: &Reading) -> Cow<'_, Self> {
        if self.reading == *reading {
            return Cow::Borrowed(self);
        }
        let mut table = Self {
            file: self.file.clone(),
            sha256: self.sha256.clone(),
            names: self.names.clone(),
            columns: Vec::new(),
            index_columns: self.index_columns.clone(),
            remarks: self.remarks.clone(),
            scored: self.scored,
            unread: self.unread.clone(),
            cells: self.cells.clone(),
            reading: reading.clone(),
            doubts: Vec::new(),
            told: Vec::new(),
            positions: self.positions.clone(),
            rows: self.rows,
        };
        table.type_columns();
        Cow::Owned(table)
    }

    fn type_columns(&mut self) {
        let known = std::cell::OnceCell::new();
        let of_file = || *known.get_or_init(|| decimals::decimal_of_file(self.cells.iter()));
        let typed = self.names.iter().zip(self.cells.iter());
        let typed: Vec<_> =
            typed.map(|(name, cells)| typing::typed(name, cells, &self.reading, &of_file)).collect();
        (self.doubts, self.told) = (Vec::new(), Vec::new());
        for column in typed {
            self.columns.push(column.column);
            self.doubts.push(column.doubt);
            self.told.push(column.told);
        }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The place of the column called `name` among the others.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The column called `name`.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.position(name).map(|k| &self.columns[k])
    }

    /// The column called `name`, or an error that lists the existing ones.
    ///
    /// # Errors
    /// No such column; `asked_by` (the key that names it) is the error's place.
    pub fn require(&self, name: &str, asked_by: &str) -> Result<&Column> {
        self.column(name).ok_or_else(|| self.no_column(name, asked_by))
    }

    /// Checks that the file has a column, read or not.
    ///
    /// # Errors
    /// As [`Table::require`].
    pub fn check_name(&self, name: &str, asked_by: &str) -> Result<()> {
        let known = self.positions.contains_key(name) || self.unread.iter().any(|unread| unread == name);
        if known { Ok(()) } else { Err(self.no_column(name, asked_by)) }
    }

    fn no_column(&self, name: &str, asked_by: &str) -> Error {
        let (found, expected) = self.lacks(name);
        Error::input(&self.file, asked_by, found, expected)
    }

    /// That there is no such column, and what is there instead: the one that is written nearly so, or all of them.
    pub(super) fn lacks(&self, name: &str) -> (String, String) {
        /// More names are no help.
        const LISTED: usize = 60;
        let plain = |name: &str| -> String {
            name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
        };
        let known: Vec<&str> = self.names.iter().chain(&self.unread).map(String::as_str).collect();
        let found = format!("no column `{name}`");
        if let Some(alike) = known.iter().find(|other| plain(other) == plain(name)) {
            return (found, format!("`{alike}`, as the table's header has it"));
        }
        let more =
            if known.len() > LISTED { format!(" and {} more", known.len() - LISTED) } else { String::new() };
        (found, format!("one of {}{more}", known[..known.len().min(LISTED)].join(", ")))
    }

    /// Why the column at a position cannot be taken for numbers or categories as it is.
    pub fn doubt(&self, position: usize) -> Option<&Doubt> {
        self.doubts[position].as_ref()
    }

    /// The error that a doubtful column is where it is used.
    ///
    /// # Errors
    /// The column has a [`Doubt`].
    pub fn certain(&self, position: usize) -> Result<()> {
        match &self.doubts[position] {
            None => Ok(()),
            Some(doubt) => {
                let place = format!("column `{}`", self.names[position]);
                let expected = if self.scored { self.mend(doubt) } else { doubt.expected.clone() };
                Err(Error::input(&self.file, place, &doubt.found, expected))
            }
        }
    }

    /// What settles a doubt about a table that a model reads: keys that say how this file is written, in a file beside it.
    fn mend(&self, doubt: &Doubt) -> String {
        match &doubt.reading {
            None => "the column as the table has it that the model was trained on".into(),
            Some(keys) => {
                let spec = source::spec_path(Path::new(&self.file));
                format!("numbers alone, or {keys} in {}, which may hold such keys alone", spec.display())
            }
        }
    }

    /// What was read in another way than it is written, in the columns at these positions.
    pub fn told(&self, positions: impl Iterator<Item = usize>) -> Vec<Remark> {
        typing_remarks(positions.map(|k| (self.names[k].as_str(), &self.told[k])))
    }

    /// Cells of a column that a code of the spec made missing values.
    pub fn coded(&self, position: usize) -> usize {
        self.told[position].iter().filter(|((kind, _), _)| *kind == Told::Code).map(|(_, count)| count).sum()
    }

    /// What identifies the value of `row`: the text as the file has it, a whole number with all its digits. `None` if missing.
    pub fn exact(&self, position: usize, row: usize) -> Option<String> {
        let text = |texts: &Texts| {
            let text = texts.get(row);
            (!reading::is_missing(text, false)).then(|| text.to_string())
        };
        match &self.cells[position] {
            Cells::Text(texts) | Cells::Number { exact: Some(texts), .. } | Cells::Other { texts, .. } => {
                text(texts)
            }
            Cells::Number { values, exact: None } => values[row].map(|value| value.to_string()),
        }
    }

    /// Whether the column at a position holds whole numbers that no feature could tell apart.
    pub fn beyond_floats(&self, position: usize) -> bool {
        let large = |value: &f64| value.abs() > 2f64.powi(53) && value.fract() == 0.0;
        match (&self.cells[position], &self.columns[position]) {
            (Cells::Number { exact, .. }, _) => exact.is_some(),
            (Cells::Text(texts), Column::Number(values)) => {
                let digits = |row: usize| texts.get(row).bytes().all(|b| b.is_ascii_digit() || b == b'-');
                values.iter().enumerate().any(|(row, value)| value.as_ref().is_some_and(large) && digits(row))
            }
            _ => false,
        }
    }
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Self::Text(texts) | Self::Other { texts, .. } => texts.len(),
            Self::Number { values, .. } => values.len(),
        }
    }

    /// Adds the rows of `more`, which must be of the same kind: else what it is.
    /// Bytes of its texts.
    fn text_bytes(&self) -> usize {
        match self {
            Self::Text(texts) | Self::Other { texts, .. } => texts.bytes(),
            Self::Number { exact, .. } => exact.as_ref().map_or(0, Texts::bytes),
        }
    }

    fn append(&mut self, more: Self) -> Result<(), String> {
        match (self, more) {
            (Self::Text(all), Self::Text(more)) => all.append(&more),
            (Self::Number { values: all, exact }, Self::Number { values: more, exact: others }) => {
                if exact.is_some() || others.is_some() {
                    let digits = |values: &[Option<f64>]| {
                        values.iter().map(|v| v.map(|v| v.to_string()).unwrap_or_default()).collect::<Texts>()
                    };
                    let mut whole = exact.take().unwrap_or_else(|| digits(all));
                    whole.append(&others.unwrap_or_else(|| digits(&more)));
                    *exact = Some(whole);
                }
                all.extend(more);
            }
            (Self::Other { texts: all, what }, Self::Other { texts: more, what: other })
                if *what == other =>
            {
                all.append(&more)
            }
            (_, Self::Text(_)) => return Err("texts".into()),
            (_, Self::Number { .. }) => return Err("numbers".into()),
            (_, Self::Other { what, .. }) => return Err(what),
        }
        Ok(())
    }
}

/// One sentence for each way of reading, with the columns and counts.
fn typing_remarks<'a>(columns: impl Iterator<Item = (&'a str, &'a Counts)>) -> Vec<Remark> {
    /// Columns that a sentence names.
    const NAMED: usize = 8;
    let mut kinds: std::collections::BTreeMap<(Told, &str), Vec<(&str, usize)>> = Default::default();
    for (name, counts) in columns {
        for ((kind, text), count) in counts {
            kinds.entry((*kind, text)).or_default().push((name, *count));
        }
    }
    let sentence = |((kind, text), columns): ((Told, &str), Vec<(&str, usize)>)| {
        let named: Vec<String> =
            columns.iter().take(NAMED).map(|(name, count)| format!("{name} ({count})")).collect();
        let more = if columns.len() > NAMED {
            format!(" and {} more columns", columns.len() - NAMED)
        } else {
            String::new()
        };
        let list = format!("{}{more}", named.join(", "));
        Remark::note(match kind {
            Told::Marker => format!("`{text}` taken for a missing value: {list}"),
            Told::Code => format!("the code {text} taken for a missing value, as the spec says: {list}"),
            Told::Kept => format!(
                "`{text}` is a category of its own, no missing value: {list}; missing = {{ {} = [{text:?}] }} changes that",
                typing::bare(columns[0].0)
            ),
            Told::Thousands => {
                format!("thousands parted (1,234 or 1.234 or 1 234) read as one number: {list}")
            }
            Told::DecimalComma => format!("decimal commas read: {list}"),
            Told::Percent => format!("per cents read: {list}"),
            Told::Limit => format!("limits of measurement (<0.5, >300) read by `limits`: {list}"),
            Told::Truth => format!("True and False read as 1 and 0: {list}"),
            Told::LeadingZero => format!(
                "zeros before whole numbers (007) left out, as they are numbers: {list}; one_hot makes categories of them, drop leaves them out"
            ),
        })
    };
    kinds.into_iter().map(sentence).collect()
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

    /// Whether `row` has no value.
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Number(values) => values[row].is_none(),
            Self::Category(values) => values[row].is_none(),
        }
    }

    /// The value of `row` as a text (whole numbers without a fraction), `None` if missing. Identifiers are [`Table::exact`].
    pub fn text(&self, row: usize) -> Option<String> {
        match self {
            Self::Number(values) => values[row].map(|v| v.to_string()),
            Self::Category(values) => values[row].clone(),
        }
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
        let missing = Missing::Everywhere(vec![Code::Number(3.0)]);
        let coded = table.read_as(&Reading { missing, ..Reading::default() });
        // A column without any value could be anything; no numbers are claimed for it.
        assert_eq!(coded.column("c"), Some(&Column::Category(vec![None; 3])));
        assert_eq!(coded.coded(2), 1);
    }

    #[test]
    fn bad_csv_is_refused_with_its_line() {
        let error = Table::from_csv("t.csv", b"a,b\n1,2\n3\n").unwrap_err().to_string();
        assert!(error.starts_with("t.csv: line 3:"), "{error}");
        assert!(Table::from_csv("t.csv", b"a,a\n1,2\n").unwrap_err().to_string().contains("`a` twice"));
        assert!(Table::from_csv("t.csv", b"").is_err());
        let infinite = Table::from_csv("t.csv", b"a\n1\ninf\n").unwrap();
        let error = infinite.certain(0).unwrap_err().to_string();
        assert!(error.contains("column `a`") && error.contains("`inf`"), "{error}");
    }
}
