//! From cells as a file holds them to a column of numbers or of categories, and what had to be assumed for it.

use std::collections::BTreeMap;

use super::decimals::evidence;
use super::forms::{Decimal, Form, form, plain, plain_minus};
use super::nearly::{dates, marked, rewritten};
use super::reading::{Code, Limits, Numbers, Percent, Reading, is_missing, is_missing_among_numbers};
use super::texts::Texts;
use super::{Cells, Column};

/// Why a column is neither numbers nor categories for certain, and what settles it: an error only where the column is used as a feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Doubt {
    /// What stands in the way.
    pub found: String,
    /// What is expected, with the line to add to a spec.
    pub expected: String,
    /// Of these lines those that say how the file is written: they can be said of a table that a model only reads, too.
    pub reading: Option<String>,
}

/// What was read in another way than it is written; the table says it in one sentence for all columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Told {
    /// A sign of a missing value.
    Marker,
    /// A code of missing values that the spec names.
    Code,
    /// A text that means a missing value elsewhere, kept as a category.
    Kept,
    /// `1,234` read as 1234.
    Thousands,
    /// `1,5` read as 1.5.
    DecimalComma,
    /// `12%` read as 12 or 0.12.
    Percent,
    /// `<0.5` read by the spec's `limits`.
    Limit,
    /// `True` read as 1.
    Truth,
    /// `007` read as 7.
    LeadingZero,
}

/// What is told of a column: kind and text, with the number of cells.
pub type Counts = BTreeMap<(Told, String), usize>;

/// The decimal mark of the whole file, asked for only where a column's own cells do not tell.
pub(super) type OfFile<'a> = &'a dyn Fn() -> Option<Decimal>;

/// A column that was read.
pub(super) struct Typed {
    pub(super) column: Column,
    pub(super) doubt: Option<Doubt>,
    pub(super) told: Counts,
}

/// At most this many texts are named in an error.
const NAMED: usize = 4;

/// Reads a column.
pub(super) fn typed(name: &str, cells: &Cells, reading: &Reading, file: OfFile) -> Typed {
    match cells {
        Cells::Text(texts) => {
            let mut typist = Typist::new(name, reading);
            typist.column(texts, file)
        }
        Cells::Number { values, .. } => numbers(name, values, reading),
        Cells::Other { what, texts } => Typed {
            column: Column::Category(present(texts.iter())),
            doubt: Some(Doubt {
                found: what.clone(),
                expected: format!("numbers or categories, or drop = [{name:?}]"),
                reading: None,
            }),
            told: Counts::new(),
        },
    }
}

fn present<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<Option<String>> {
    texts.map(|text| (!text.is_empty()).then(|| text.to_string())).collect()
}

/// A column that the file stores as numbers.
fn numbers(name: &str, values: &[Option<f64>], reading: &Reading) -> Typed {
    let codes: Vec<(f64, &Code)> = reading
        .codes(name)
        .iter()
        .filter_map(|code| match code {
            Code::Number(number) => Some((*number, code)),
            Code::Text(text) => plain(text).map(|number| (number, code)),
        })
        .collect();
    let mut told = Counts::new();
    let mut infinite = None;
    let values: Vec<Option<f64>> = values
        .iter()
        .enumerate()
        .map(|(row, value)| {
            let value = (*value)?;
            if !value.is_finite() {
                infinite.get_or_insert(row);
                return None;
            }
            let code = codes.iter().find(|(number, _)| *number == value);
            if let Some((_, code)) = code {
                *told.entry((Told::Code, code.to_string())).or_default() += 1;
            }
            code.is_none().then_some(value)
        })
        .collect();
    let doubt = infinite.map(|row| Doubt {
        found: format!("an infinite number in row {row}"),
        expected: format!("finite numbers, or drop = [{name:?}]"),
        reading: None,
    });
    Typed { column: Column::Number(values), doubt, told }
}

/// A cell of text, looked at once.
enum Cell {
    Missing,
    /// Missing if the column is of numbers.
    Perhaps,
    Number(Form),
    Word,
}

struct Typist<'a> {
    name: &'a str,
    reading: &'a Reading,
    codes: &'a [Code],
    told: Counts,
}

impl<'a> Typist<'a> {
    fn new(name: &'a str, reading: &'a Reading) -> Self {
        Self { name, reading, codes: reading.codes(name), told: Counts::new() }
    }

    fn tell(&mut self, kind: Told, text: &str) {
        *self.told.entry((kind, text.to_string())).or_default() += 1;
    }

    fn code(&self, text: &str) -> Option<&'a Code> {
        self.codes.iter().find(|code| match code {
            Code::Text(code) => code == text || plain(code).is_some_and(|code| plain(text) == Some(code)),
            Code::Number(number) => plain(text) == Some(*number),
        })
    }

    fn look(&mut self, text: &str) -> Cell {
        let first = self.reading.first_format;
        if is_missing(text, first) {
            return Cell::Missing;
        }
        if let Some(code) = self.code(text) {
            self.tell(Told::Code, &code.to_string());
            return Cell::Missing;
        }
        if first {
            return match plain(text) {
                Some(value) => Cell::Number(Form { point: Some(value), plain: true, ..Form::default() }),
                None => Cell::Word,
            };
        }
        match form(text) {
            Some(form) => Cell::Number(form),
            None if is_missing_among_numbers(text) => Cell::Perhaps,
            None => Cell::Word,
        }
    }

    fn column(&mut self, texts: &Texts, file: OfFile) -> Typed {
        let cells: Vec<Cell> = texts.iter().map(|text| self.look(text)).collect();
        let count = |of: fn(&Cell) -> bool| cells.iter().filter(|cell| of(cell)).count();
        let numeric = count(|cell| matches!(cell, Cell::Number(_)));
        let words = count(|cell| matches!(cell, Cell::Word));
        let perhaps = count(|cell| matches!(cell, Cell::Perhaps));
        let chosen = self.reading.categories.iter().any(|name| name == self.name);
        // Codes such as ZIP codes, said to be categories, keep their zeros.
        let zeros = texts.iter().any(leading_zero) && !self.reading.first_format;
        let strict = self.reading.numbers == Numbers::Strict && perhaps > 0;
        if (words == 0 && numeric == 0) || (chosen && (words > 0 || zeros)) {
            return self.categories(texts, &cells, perhaps > 0 && numeric == 0 && words == 0, None);
        }
        if words == 0 && !strict {
            return match self.values(texts, &cells, file) {
                Ok(values) => {
                    let told = std::mem::take(&mut self.told);
                    Typed { column: Column::Number(values), doubt: None, told }
                }
                Err(doubt) => self.categories(texts, &cells, false, Some(doubt)),
            };
        }
        if numeric == 0 && !chosen && self.are_truths(texts, &cells) {
            return self.truths(texts, &cells);
        }
        let mixed = numeric >= words + if strict { 0 } else { perhaps };
        let doubt = if self.reading.first_format {
            None
        } else if numeric > 0 && (mixed || strict) {
            Some(self.mixed(texts, &cells, numeric))
        } else {
            self.no_categories(texts, &cells)
        };
        self.categories(texts, &cells, false, doubt)
    }

    /// Texts that are neither numbers nor categories: dates, and numbers with something about them.
    fn no_categories(&self, texts: &Texts, cells: &[Cell]) -> Option<Doubt> {
        let words: Vec<&str> = texts
            .iter()
            .zip(cells)
            .filter(|(_, cell)| matches!(cell, Cell::Word))
            .map(|(text, _)| text)
            .collect();
        let doubt = |found: String, expected: String| Some(Doubt { found, expected, reading: None });
        if let Some(example) = dates(&words) {
            let expected = format!("numbers or categories, or drop = [{:?}]", self.name);
            return doubt(format!("dates or times, such as `{example}`"), expected);
        }
        let what = marked(&words)?;
        let expected = format!(
            "numbers alone, which the table is to have in these cells (a unit in the column's name), or one_hot = [{0:?}] if the column is of \
             categories, drop = [{0:?}] if it is no feature",
            self.name
        );
        doubt(format!("{what}, such as `{}`", words.first().copied().unwrap_or_default()), expected)
    }

    /// Whether every word is `True` or `False`, in a feature: Parquet has the same column as numbers, and so has pandas.
    fn are_truths(&self, texts: &Texts, cells: &[Cell]) -> bool {
        let other = |(text, cell): (&str, &Cell)| matches!(cell, Cell::Word) && truth(text).is_none();
        let spared = self.reading.spared.iter().any(|name| name == self.name);
        self.reading.truths && !self.reading.first_format && !spared && !texts.iter().zip(cells).any(other)
    }

    fn truths(&mut self, texts: &Texts, cells: &[Cell]) -> Typed {
        let mut values = Vec::with_capacity(cells.len());
        for (text, cell) in texts.iter().zip(cells) {
            match cell {
                Cell::Word => self.tell(Told::Truth, ""),
                Cell::Perhaps => self.tell(Told::Marker, text),
                _ => {}
            }
            values.push(if matches!(cell, Cell::Word) { truth(text) } else { None });
        }
        Typed { column: Column::Number(values), doubt: None, told: std::mem::take(&mut self.told) }
    }

    /// The texts as they are; `missing` says whether signs of missing values among numbers are missing here, too.
    fn categories(&mut self, texts: &Texts, cells: &[Cell], missing: bool, doubt: Option<Doubt>) -> Typed {
        let mut values = Vec::with_capacity(cells.len());
        for (text, cell) in texts.iter().zip(cells) {
            values.push(match cell {
                Cell::Missing => None,
                Cell::Perhaps if missing => {
                    self.tell(Told::Marker, text);
                    None
                }
                Cell::Perhaps => {
                    self.tell(Told::Kept, text);
                    Some(text.to_string())
                }
                _ => Some(text.to_string()),
            });
        }
        Typed { column: Column::Category(values), doubt, told: std::mem::take(&mut self.told) }
    }

    /// Words among numbers: which, and what to do about them.
    fn mixed(&self, texts: &Texts, cells: &[Cell], numeric: usize) -> Doubt {
        let mut words: BTreeMap<&str, usize> = BTreeMap::new();
        for (text, cell) in texts.iter().zip(cells) {
            if matches!(cell, Cell::Word | Cell::Perhaps) {
                *words.entry(text).or_default() += 1;
            }
        }
        let list = |each: &dyn Fn((&&str, &usize)) -> String| {
            words.iter().take(NAMED).map(each).collect::<Vec<_>>().join(", ")
        };
        let shown = list(&|(word, count)| format!("`{word}` ({count})"));
        let codes = words.keys().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let more = if words.len() > NAMED {
            format!(" and {} other texts", words.len() - NAMED)
        } else {
            String::new()
        };
        if let Some(rewritten) = words.keys().map(|word| rewritten(word)).collect::<Option<Vec<_>>>() {
            let first = words.keys().next().copied().unwrap_or_default();
            let example = rewritten.first().cloned().unwrap_or_default();
            return Doubt {
                found: format!("{shown}{more} among {numeric} numbers"),
                expected: format!(
                    "numbers alone: if `{first}` is {example}, write it so in the table; or one_hot = [{0:?}] in the spec if the column is of \
                     categories, drop = [{0:?}] if it is no feature",
                    self.name
                ),
                reading: None,
            };
        }
        let key = bare(self.name);
        let reading = (words.len() <= 4 * NAMED)
            .then(|| format!("missing = {{ {key} = [{codes}] }} if these stand for missing values"));
        let missing = reading.as_ref().map(|keys| format!("{keys}, ")).unwrap_or_default();
        Doubt {
            found: format!("{shown}{more} among {numeric} numbers"),
            expected: format!(
                "numbers alone, or in the spec {missing}one_hot = [{:?}] if the column is of categories, drop = [{:?}] if it is no \
                 feature",
                self.name, self.name
            ),
            reading,
        }
    }

    /// The numbers of a column of numbers.
    fn values(&mut self, texts: &Texts, cells: &[Cell], file: OfFile) -> Result<Vec<Option<f64>>, Doubt> {
        let forms = || {
            cells.iter().filter_map(|cell| match cell {
                Cell::Number(form) => Some(form),
                _ => None,
            })
        };
        self.refuse_if_strict(texts, cells)?;
        let decimal = self.decimal(texts, cells, evidence(forms()), file)?;
        let percents = forms().filter(|form| form.percent).count();
        let all_percent = percents == forms().count();
        let mut values = Vec::with_capacity(cells.len());
        for (row, (text, cell)) in texts.iter().zip(cells).enumerate() {
            let form = match cell {
                Cell::Number(form) => form,
                Cell::Perhaps => {
                    self.tell(Told::Marker, text);
                    values.push(None);
                    continue;
                }
                _ => {
                    values.push(None);
                    continue;
                }
            };
            let Some(value) = form.value(decimal) else {
                return Err(Doubt {
                    found: format!("`{text}` in row {row}, beside numbers with another decimal mark"),
                    expected: format!("one decimal mark, or drop = [{:?}]", self.name),
                    reading: None,
                });
            };
            let value = self.percent(form, text, value, all_percent)?;
            let value = self.limit(form, text, value)?;
            if !form.plain && !form.percent && form.limit.is_none() {
                let kind = match decimal {
                    Decimal::Comma if text.contains(',') => Told::DecimalComma,
                    _ => Told::Thousands,
                };
                // A minus of typesetters alone makes a number no other one.
                if kind != Told::Thousands || plain(&plain_minus(text)).is_none() {
                    self.tell(kind, "");
                }
            } else if form.plain && decimal == Decimal::Comma && text.contains('.') {
                self.tell(Told::Thousands, "");
            } else if leading_zero(text) {
                self.tell(Told::LeadingZero, "");
            }
            values.push(value);
        }
        Ok(values)
    }

    fn refuse_if_strict(&self, texts: &Texts, cells: &[Cell]) -> Result<(), Doubt> {
        if self.reading.numbers == Numbers::Told {
            return Ok(());
        }
        let other =
            |(_, (_, cell)): &(usize, (&str, &Cell))| matches!(cell, Cell::Number(form) if !form.plain);
        match texts.iter().zip(cells).enumerate().find(other) {
            None => Ok(()),
            Some((row, (text, _))) => Err(Doubt {
                found: format!("`{text}` in row {row}"),
                expected: "plain numbers, as numbers = \"strict\" asks; without that key it is read if it can mean one number alone".into(),
                reading: None,
            }),
        }
    }

    fn decimal(
        &self,
        texts: &Texts,
        cells: &[Cell],
        own: Result<Option<Decimal>, ()>,
        file: OfFile,
    ) -> Result<Decimal, Doubt> {
        if let Some(said) = self.reading.decimal {
            return Ok(said);
        }
        let Ok(own) = own else {
            return Err(Doubt {
                found: "decimal points and decimal commas in one column".into(),
                expected: format!("one of them, or drop = [{:?}]", self.name),
                reading: None,
            });
        };
        if let Some(mark) = own {
            return Ok(mark);
        }
        if !cells.iter().any(|cell| matches!(cell, Cell::Number(form) if form.ambiguous())) {
            return Ok(Decimal::Point);
        }
        if let Some(mark) = file() {
            return Ok(mark);
        }
        let open =
            |(_, cell): &(&str, &Cell)| matches!(cell, Cell::Number(form) if form.ambiguous() && !form.plain);
        match texts.iter().zip(cells).find(open) {
            None => Ok(Decimal::Point),
            Some((text, _)) => Err(Doubt {
                found: format!("`{text}`, which may be thousands or decimals: nothing else in the file tells"),
                expected: "decimal = \".\" in the spec if commas part thousands, decimal = \",\" if decimals follow them".into(),
                reading: Some("decimal = \".\" (commas part thousands) or decimal = \",\" (decimals follow them)".into()),
            }),
        }
    }

    fn percent(&mut self, form: &Form, text: &str, value: f64, all: bool) -> Result<f64, Doubt> {
        if !form.percent {
            return Ok(value);
        }
        self.tell(Told::Percent, "");
        match self.reading.percent {
            Some(Percent::Share) => Ok(value / 100.0),
            Some(Percent::Number) => Ok(value),
            None if all => Ok(value),
            None => Err(Doubt {
                found: format!("`{text}` beside numbers without a per cent sign"),
                expected:
                    "percent = \"number\" in the spec if 12% is 12 there, percent = \"share\" if it is 0.12"
                        .into(),
                reading: Some("percent = \"number\" (12% is 12 there) or percent = \"share\" (0.12)".into()),
            }),
        }
    }

    fn limit(&mut self, form: &Form, text: &str, value: f64) -> Result<Option<f64>, Doubt> {
        let Some(sign) = form.limit else { return Ok(Some(value)) };
        self.tell(Told::Limit, "");
        match self.reading.limits {
            Some(Limits::Value) => Ok(Some(value)),
            Some(Limits::Half) => Ok(Some(if sign == '<' { value / 2.0 } else { value })),
            Some(Limits::Missing) => Ok(None),
            None => Err(Doubt {
                found: format!("`{text}`, a limit of what was measured"),
                expected: "limits = \"value\" in the spec to take the limit itself, \"half\" for half of a lower limit, or \"missing\""
                    .into(),
                reading: Some("limits = \"value\", \"half\" or \"missing\", as the model's own table was read,".into()),
            }),
        }
    }
}

/// `True` is 1 and `False` 0.
fn truth(text: &str) -> Option<f64> {
    if text.eq_ignore_ascii_case("true") {
        return Some(1.0);
    }
    text.eq_ignore_ascii_case("false").then_some(0.0)
}

/// A whole number with zeros before it, as codes have.
fn leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit())
}

/// A key of TOML, quoted where it must be.
pub(in crate::data) fn bare(name: &str) -> String {
    let plain =
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if plain { name.to_string() } else { format!("{name:?}") }
}
