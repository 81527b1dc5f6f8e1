//! Where a row belongs: by what it is, not by where it stands.

use crate::data::SplitNames;
use crate::data::draw;
use crate::data::spec::{Spec, SplitBy};
use crate::data::table::{Column, Table};
use crate::{Error, Result};

/// How rows are split.
#[derive(Clone, Copy)]
pub(super) struct Rule<'a> {
    pub(super) spec: &'a Spec,
    /// As the first format does it: groups by the number that they read as, other rows by their place in the file.
    pub(super) first_format: bool,
    /// The file that a model was fitted on: places in another one mean nothing. `None` while it is being fitted.
    pub(super) recorded: Option<&'a str>,
}

impl Rule<'_> {
    /// The split of every row; `features` are the names that its content consists of.
    pub(super) fn splits(&self, table: &Table, features: &[String]) -> Result<Vec<&'static str>> {
        if let Some(name) = &self.spec.split.column {
            return stated(table, name, &self.spec.split.values);
        }
        let seed = self.spec.split.seed;
        let by_place = self.first_format || self.spec.split.by == SplitBy::Row;
        let identity = self.spec.group.as_ref().or(self.spec.split.key.as_ref());
        if let Some(name) = identity.filter(|name| table.scored && table.position(name).is_none()) {
            let found = format!("no column `{name}`, by which the model's splits go");
            let expected = "split = \"all\" if no row here was trained on, or a table with the column";
            return Err(Error::input(&table.file, "split", found, expected));
        }
        let identity =
            identity.map(|name| table.require(name, "split").map(|column| (column, table.position(name))));
        let identity = identity.transpose()?;
        if by_place && identity.is_none() && self.recorded.is_some_and(|sha256| sha256 != table.sha256) {
            let expected = "the file that the model was fitted on, since its splits go by the numbers of rows; split = \"all\" if no row here \
                            was trained on, or a model trained anew, whose splits go by what the rows hold";
            return Err(Error::input(&table.file, "split", "another file", expected));
        }
        let contents = if by_place { Vec::new() } else { contents(table, features)? };
        let fraction = |row: usize| {
            let named = identity.and_then(|(column, position)| match self.first_format {
                true => column.text(row),
                false => table.exact(position?, row),
            });
            match named {
                Some(name) => draw::fraction(seed, draw::mix_text(seed, &name)),
                None if by_place => draw::fraction(seed, row as u64),
                None => draw::fraction(seed, contents[row]),
            }
        };
        let split = &self.spec.split;
        Ok((0..table.rows())
            .map(|row| match fraction(row) {
                d if d < split.test => "test",
                d if d < split.test + split.val => "val",
                _ => "train",
            })
            .collect())
    }
}

/// The splits that a column says; rows in no split are of none.
fn stated(table: &Table, name: &str, names: &SplitNames) -> Result<Vec<&'static str>> {
    let column = table.require(name, "split.column")?;
    let split = |row: usize| {
        let said = column.text(row).unwrap_or_else(|| "nothing".into());
        let known = names.of(&said).or(names.are_stated().then_some("none"));
        known.ok_or_else(|| {
            let expected = "train, val or test, or in the spec the values of each split: split = { column = \"COLUMN\", values = { val = [9], \
                            test = [10] } }";
            Error::input(&table.file, format!("column `{name}`, row {row}"), said, expected)
        })
    };
    (0..table.rows()).map(split).collect()
}

/// A hash of what each row says of the features, whatever the order of columns and of rows.
fn contents(table: &Table, features: &[String]) -> Result<Vec<u64>> {
    let mut names: Vec<&String> = features.iter().collect();
    names.sort();
    let mut hashes = vec![0u64; table.rows()];
    for name in names {
        let salt = draw::mix_text(0, name);
        let mut take = |row: usize, value: u64| hashes[row] = draw::mix(hashes[row] ^ salt, value);
        match table.require(name, "features")? {
            // As the model will see it: files with fewer digits than an f64 has agree.
            Column::Number(values) => values.iter().enumerate().for_each(|(row, value)| {
                take(row, value.map_or(1 << 40, |v| u64::from((v as f32 + 0.0).to_bits())))
            }),
            Column::Category(values) => values.iter().enumerate().for_each(|(row, value)| {
                take(row, value.as_ref().map_or(1 << 40, |text| draw::mix_text(1, text)))
            }),
        }
    }
    Ok(hashes)
}
