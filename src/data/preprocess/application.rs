//! Rows of a table as samples: features, labels, and what is to be said of them.

use std::collections::BTreeMap;

use super::codes;
use super::identity::Rule;
use super::running;
use super::strangeness::{Strangeness, index_remark};
use super::{Fitted, FittedScaling, Preprocess, are_truths, bit, decided_rows};
use crate::data::rounding::Feature;
use crate::data::spec::Unseen;
use crate::data::table::{Column, Missing, Table, spec_path};
use crate::data::{Dataset, Labels, Remark};
use crate::{Error, Result};

/// What is asked of a table.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// `train`, `val`, `test` or `all`.
    pub split: &'a str,
    /// Columns and bands that are to stand beside the samples.
    pub beside: &'a [String],
    /// Whether values beyond the range of the train split are cut to it.
    pub clip: bool,
    /// Whether missing values become nothing that the spec does not state: of what its training filled in, the model's file says nothing.
    pub stated: bool,
    /// Whether the model was trained elsewhere: no range of these rows was fitted with it.
    pub others: bool,
}

/// Where a column's features go: `n` samples of `width` values, this column's beginning at `first`.
struct Out<'a> {
    values: &'a mut [f32],
    width: usize,
    first: usize,
}

impl Out<'_> {
    fn set(&mut self, sample: usize, feature: usize, value: f32) {
        self.values[sample * self.width + self.first + feature] = value;
    }
}

impl Preprocess {
    /// The samples of a split as features and labels; rows without an outcome are left out.
    ///
    /// # Errors
    /// As [`Preprocess::apply`], and a column that is to stand beside the samples and is not there.
    pub fn apply_to(&self, table: &Table, asked: &Asked) -> Result<Dataset> {
        let table = &*table.read_as(&self.reading(&table.file)?);
        let columns: Vec<String> = self.columns.iter().map(|fitted| fitted.column().to_string()).collect();
        let rule = Rule {
            spec: &self.spec,
            first_format: self.is_of_first_format(),
            recorded: Some(&self.table_sha256),
        };
        let splits = match asked.split {
            "all" => Vec::new(),
            _ => rule.splits(table, &columns)?,
        };
        let decided = decided_rows(&self.spec, table, &splits, asked.split)?;
        let positions: Vec<usize> = decided.rows.iter().map(|&(row, _)| row).collect();
        let features = self.features();
        let mut values = vec![0f32; positions.len() * features.len()];
        let mut domain = self.domain(features);
        let width = domain.features.len();
        let mut first = 0;
        let mut strange = Strangeness::default();
        for fitted in &self.columns {
            let out = Out { values: &mut values, width, first };
            self.write(fitted, table, &positions, asked.clip, out, &mut strange)?;
            if let Fitted::Number { .. } = fitted {
                let fed = values.iter().skip(first).step_by(width);
                let (low, high) =
                    fed.fold((f32::INFINITY, f32::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
                domain.low[first] = domain.low[first].min(low);
                domain.high[first] = domain.high[first].max(high);
            }
            first += fitted.width();
        }
        if asked.stated {
            strange.check_stated(table, &self.spec)?;
        }
        let group = self.group_of(table).map(|name| beside(table, name, &positions)).transpose()?;
        let subgroups =
            asked.beside.iter().map(|name| Ok((name.clone(), self.column_beside(table, name, &positions)?)));
        let mut dataset = Dataset {
            name: table.file.clone(),
            split: asked.split.to_string(),
            synthetic: false,
            sha256: table.sha256.clone(),
            shape: vec![width],
            inputs: Vec::new(),
            values,
            labels: Labels::Class(decided.rows.iter().map(|&(_, label)| label).collect()),
            classes: self.spec.classes.clone(),
            unit: self.unit().to_string(),
            group,
            subgroups: subgroups.collect::<Result<BTreeMap<_, _>>>()?,
            index: positions.iter().map(|&row| row as u64).collect(),
            domain,
            samples_per_second: None,
            remarks: Vec::new(),
        };
        dataset.check()?;
        dataset.remarks = self.remarks(table, &dataset, &columns, decided.open);
        dataset.remarks.extend(codes::check(&self.spec, table, &positions, self.outcome_codes.as_ref())?);
        dataset.remarks.extend(strange.filling(self.lacking.as_ref()));
        dataset.remarks.extend(strange.remarks(asked));
        Ok(dataset)
    }

    /// Writes a column's features of these rows.
    fn write(
        &self,
        fitted: &Fitted,
        table: &Table,
        rows: &[usize],
        clip: bool,
        mut out: Out,
        strange: &mut Strangeness,
    ) -> Result<()> {
        let column = table.require(fitted.column(), "preprocessing")?;
        match fitted {
            Fitted::Number { column: name, log1p, fill, indicator, low, high, scaling, .. } => {
                let values = self.numbers(table, name)?;
                let mut known = Vec::with_capacity(rows.len());
                let mut beyond = 0;
                let mut rounded = Feature::default();
                for (sample, &row) in rows.iter().enumerate() {
                    let value = values.get(row).copied().flatten();
                    if *log1p && value.is_some_and(|value| value < 0.0) && !clip {
                        let place = format!("log1p of column `{name}`, row {row}");
                        return Err(Error::input(&table.file, place, value.unwrap_or_default(), "0 or more"));
                    }
                    let raw = value.unwrap_or(*fill);
                    let shifted = if *log1p { raw.max(0.0).ln_1p() } else { raw };
                    // What was fitted is f64, what is fed f32: rounding alone is not beyond.
                    let outside = (shifted as f32) < *low as f32 || (shifted as f32) > *high as f32;
                    beyond += usize::from(outside);
                    let fed = if clip { shifted.clamp(*low, *high) } else { shifted };
                    known.extend(value.map(|_| shifted));
                    if matches!(scaling, FittedScaling::None) {
                        rounded.see(fed);
                    }
                    out.set(sample, 0, scaling.of(fed));
                    if *indicator {
                        out.set(sample, 1, f32::from(u8::from(value.is_none())));
                    }
                }
                strange.rounded(name, rounded);
                strange.fill(name, rows.len() - known.len(), rows.len(), fill.to_string(), false);
                strange.number(name, &known, rows.len(), beyond, (*low, *high), scaling, *log1p);
            }
            Fitted::Category { column: name, categories, fill, mode, .. } => {
                if self.spec.one_hot.iter().all(|chosen| chosen != name)
                    && let Some(position) = table.position(name)
                    && !matches!(&table.columns[position], Column::Category(values) if values.iter().all(Option::is_none))
                {
                    table.certain(position)?;
                }
                let (mut known, mut unseen) = (0, BTreeMap::new());
                for (sample, &row) in rows.iter().enumerate() {
                    let text = column.text(row).map(|text| known_as(text, categories));
                    known += usize::from(text.is_some());
                    let text = text.as_ref().unwrap_or(fill);
                    let at = match (categories.binary_search(text), self.spec.unseen) {
                        (Ok(at), _) => at,
                        (Err(_), Unseen::Mode) => {
                            *unseen.entry(text.clone()).or_default() += 1;
                            categories.binary_search(mode).unwrap_or(0)
                        }
                        (Err(_), Unseen::Error) => {
                            let is_known = |&row: &usize| {
                                let text = column.text(row).map(|text| known_as(text, categories));
                                text.is_some_and(|text| categories.binary_search(&text).is_ok())
                            };
                            let any = rows.iter().any(is_known);
                            return Err(unseen_category(table, name, (row, text), categories, any));
                        }
                    };
                    out.set(sample, at, 1.0);
                }
                strange.fill(name, rows.len() - known, rows.len(), format!("`{fill}`"), true);
                strange.categories(table, name, known, rows.len(), unseen, categories)?;
            }
        }
        Ok(())
    }

    /// The numbers of a column that was fitted as such: none at all where every cell is missing.
    fn numbers<'t>(&self, table: &'t Table, name: &str) -> Result<&'t [Option<f64>]> {
        let position = table.position(name).unwrap_or_default();
        match &table.columns[position] {
            Column::Number(values) => table.certain(position).map(|()| values.as_slice()),
            Column::Category(values) if values.iter().all(Option::is_none) => Ok(&[]),
            Column::Category(values) => {
                table.certain(position)?;
                let example = values.iter().flatten().next().cloned().unwrap_or_default();
                let place = format!("column `{name}`");
                Err(Error::input(
                    &table.file,
                    place,
                    format!("texts, such as `{example}`"),
                    "numbers, as in train",
                ))
            }
        }
    }

    /// A column or band beside the samples.
    fn column_beside(&self, table: &Table, name: &str, rows: &[usize]) -> Result<Vec<String>> {
        let Some(band) = self.spec.bands.get(name).filter(|_| table.column(name).is_none()) else {
            return texts(table, name, rows);
        };
        let Column::Number(values) = table.require(&band.column, "bands")? else {
            return Err(Error::input(
                &table.file,
                format!("band `{name}`"),
                format!("texts in `{}`", band.column),
                "numbers",
            ));
        };
        Ok(rows.iter().map(|&row| values[row].map_or("missing".to_string(), |v| band.name(v))).collect())
    }

    /// The column of the groups; none where a table that the model only reads has no such column.
    fn group_of(&self, table: &Table) -> Option<&String> {
        self.spec.group.as_ref().filter(|name| !table.scored || table.position(name).is_some())
    }

    /// What is to be said of the rows as a whole.
    fn remarks(&self, table: &Table, data: &Dataset, columns: &[String], open: usize) -> Vec<Remark> {
        let mut remarks = table.remarks.clone();
        // Identifiers are compared as they are written, however their columns were read.
        let outcome = self.spec.outcome_columns(&table.file).unwrap_or_default();
        let used = columns.iter().chain(&outcome).filter_map(|name| table.position(name));
        remarks.extend(table.told(used));
        remarks.extend(index_remark(self, table, columns));
        remarks.extend(running::remarks(self, table));
        if open > 0 {
            remarks.push(Remark::note(format!("{open} rows have no known outcome and are left out")));
            if data.counts().iter().filter(|count| **count > 0).count() == 1 {
                let text = format!(
                    "all rows whose outcome is known are of one class, and the {open} others have none: where an empty cell says that it did not \
                     happen, outcome = \"COLUMN != ''\" in the spec counts it so"
                );
                remarks.push(Remark::warning("one-outcome", text));
            }
        }
        remarks.extend(self.alike());
        remarks.extend(self.group_of(table).and_then(|name| rounded(table, name)));
        remarks.extend(self.emptied(table, columns));
        for (name, how_well) in &self.telling {
            let text = format!(
                "column `{name}` tells the outcome by itself ({how_well:.4} on the rows that were fitted): is it known before the outcome is? \
                 drop = [{name:?}] leaves it out"
            );
            remarks.push(Remark::warning("tells-outcome", text));
        }
        if let Some(name) = &self.spec.group
            && let Some(position) = table.position(name)
        {
            let without =
                data.index.iter().filter(|row| table.exact(position, **row as usize).is_none()).count();
            if without > 0 {
                let text =
                    format!("{without} samples have no value of `{name}`: each counts as a group of its own");
                remarks.push(Remark::note(text));
            }
        }
        if let (Some(name), None) = (&self.spec.group, self.group_of(table)) {
            let text = format!(
                "no column `{name}`, which names the groups where the model was trained: samples are taken as independent here; group = \
                 \"COLUMN\" of [[data]] names another column"
            );
            remarks.push(Remark::note(text));
        }
        if self.table_sha256 != table.sha256 {
            remarks.push(Remark::note("another file than the one that the preprocessing was fitted on"));
        }
        remarks.extend(self.seen_remark(data));
        remarks
    }

    /// Categories that differ in case or blanks alone.
    fn alike(&self) -> Option<Remark> {
        let pair = |fitted: &Fitted| {
            let Fitted::Category { column, categories, .. } = fitted else { return None };
            let mut plain: BTreeMap<String, &String> = BTreeMap::new();
            let twin = categories.iter().find_map(|category| {
                let bare = category.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
                plain.insert(bare, category).map(|other| (other, category))
            });
            twin.map(|(a, b)| format!("{column} (`{a}` and `{b}`)"))
        };
        let found: Vec<String> = self.columns.iter().filter_map(pair).take(5).collect();
        let text = format!(
            "categories that differ in case or blanks alone are taken for different ones: {}; one way to write each mends it",
            found.join(", ")
        );
        (!found.is_empty()).then(|| Remark::warning("alike-categories", text))
    }

    /// Columns that a code for all columns leaves with one value: the code was their other one.
    fn emptied(&self, table: &Table, columns: &[String]) -> Option<Remark> {
        let one_value = |name: &&String| {
            let Some(position) = table.position(name).filter(|position| table.coded(*position) > 0) else {
                return false;
            };
            let Column::Number(values) = &table.columns[position] else { return true };
            let mut known = values.iter().flatten();
            let first = known.next();
            known.all(|value| Some(value) == first)
        };
        let names: Vec<String> = columns.iter().filter(one_value).map(|name| format!("`{name}`")).collect();
        let codes = matches!(self.spec.missing, Missing::Everywhere(_)) && !names.is_empty();
        let text = format!(
            "the codes of `missing` leave one value or none in {}: if they are values there, name the columns that they are codes of, \
             missing = {{ COLUMN = [CODE] }}",
            names.join(", ")
        );
        codes.then(|| Remark::warning("missing-code", text))
    }

    /// How many of the samples the model has seen.
    fn seen_remark(&self, data: &Dataset) -> Option<Remark> {
        if self.forgot() {
            let text = "which rows the model was trained on is not known here, so none of these samples is told to be one: \
                        MODEL.seen.json, which is kept beside a model's folder where it was trained, is not there";
            return Some(Remark::note(text));
        }
        let seen = self.seen.of(data);
        if seen == 0 || data.split == "train" {
            return None;
        }
        let text = format!(
            "{seen} of {} samples {} that the model was trained on or chosen by: it may know them by heart",
            data.len(),
            if seen == 1 { "is a row" } else { "are rows" }
        );
        // Single rows are alike by chance, and in tables of few different rows most of them are.
        let by_chance = seen < 10 && seen * 100 < data.len();
        Some(if by_chance || !self.tells_rows_apart() {
            Remark::note(format!("{text}, or rows that are like them"))
        } else {
            Remark::warning("seen-in-training", text)
        })
    }
}

/// Identifiers that a spreadsheet has rounded, so that several are one: `1.23E+15`.
fn rounded(table: &Table, name: &str) -> Option<Remark> {
    let position = table.position(name)?;
    let is_rounded = |text: &String| {
        let Some((mantissa, exponent)) = text.split_once("E+") else { return false };
        let digits = |part: &str| {
            !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b','))
        };
        digits(mantissa) && mantissa.contains(['.', ',']) && digits(exponent) && exponent.len() == 2
    };
    let count = (0..table.rows()).filter_map(|row| table.exact(position, row)).filter(is_rounded).count();
    let text = format!(
        "{count} values of `{name}` are written as 1.23E+15, as a spreadsheet rounds long numbers: several patients may have become one. Save \
         the column as text"
    );
    (count > 0).then(|| Remark::warning("rounded-identifiers", text))
}

/// Values of a column as the file has them.
fn texts(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<String>> {
    table.require(name, "columns")?;
    let position = table.position(name).unwrap_or_default();
    Ok(rows.iter().map(|&row| table.exact(position, row).unwrap_or_else(|| "missing".into())).collect())
}

/// Values of a column that identifies groups: rows without one are groups of their own.
fn beside(table: &Table, name: &str, rows: &[usize]) -> Result<Vec<String>> {
    table.require(name, "group")?;
    let position = table.position(name).unwrap_or_default();
    Ok(rows
        .iter()
        .map(|&row| table.exact(position, row).unwrap_or_else(|| format!("missing in row {row}")))
        .collect())
}

/// `True` is the category `1`, and the other way round, among categories that are nothing else.
fn known_as(text: String, categories: &[String]) -> String {
    if categories.contains(&text) || !are_truths(categories) {
        return text;
    }
    let same = bit(&text).and_then(|own| categories.iter().find(|other| bit(other).as_ref() == Some(&own)));
    same.cloned().unwrap_or(text)
}

/// `any`: whether other rows have a known one; where none has, the column is written in another way, and no filling in helps.
fn unseen_category(
    table: &Table,
    name: &str,
    (row, text): (usize, &str),
    categories: &[String],
    any: bool,
) -> Error {
    /// More categories are no help.
    const LISTED: usize = 30;
    let more = if categories.len() > LISTED { ", ..." } else { "" };
    let listed = categories[..categories.len().min(LISTED)].join(", ");
    let place = match table.scored {
        true => spec_path(std::path::Path::new(&table.file)).display().to_string(),
        false => "the spec".to_string(),
    };
    Error::input(
        &table.file,
        format!("column `{name}`, row {row}"),
        format!("`{text}`"),
        match any {
            true => format!(
                "{listed}{more}, as in train, or unseen = \"mode\" in {place}, which takes others for the commonest"
            ),
            false => format!(
                "{listed}{more}, as in train: no row has one of them, so that the column is written in another way than in train; write its \
                 values as there"
            ),
        },
    )
}
