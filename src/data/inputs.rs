//! Samples of several inputs: arrays of one npz archive, the values of each sample one after the other.

use std::path::Path;

use super::images;
use super::npz::{Npz, Numbers};
use super::{Dataset, Domain};
use crate::{Error, Result};

/// An array that is one of a model's inputs.
#[derive(Clone, Debug, PartialEq)]
pub struct InputArray {
    /// Its name: `NAME` of `{split}_NAME`, `NAME_{split}` or, in an archive without splits, `NAME`.
    pub array: String,
    /// The smallest and largest value that an attack may give it; `None` is the array's own range (of bytes 0 to 255).
    pub bounds: Option<[f32; 2]>,
    /// What a budget of 1 means, in the array's own unit.
    pub scale: f32,
}

/// Reads one split of the archive at `path` with these arrays as inputs: labels and columns are those of [`images::open`]. A sample's shape
/// is flat.
///
/// # Errors
/// As [`images::open`]; an array that is missing, has another number of samples or another number of values in another split, or values
/// outside its bounds.
pub fn open(path: &Path, split: &str, inputs: &[InputArray]) -> Result<Dataset> {
    let mut dataset = images::open(path, split, None)?;
    let mut npz = Npz::open(path)?;
    let splits = images::splits(&npz);
    let wanted: Vec<&str> = splits.iter().copied().filter(|own| split == "all" || *own == split).collect();
    let mut columns = Vec::new();
    let mut domain = Domain { low: vec![], high: vec![], scale: vec![], ..Domain::uniform(0.0, 1.0) };
    for input in inputs {
        let column = Column::read(&mut npz, input, &splits, &wanted, dataset.len())?;
        let fill = |values: &mut Vec<f32>, value: f32| values.extend(std::iter::repeat_n(value, column.len));
        fill(&mut domain.low, column.bounds[0]);
        fill(&mut domain.high, column.bounds[1]);
        fill(&mut domain.scale, input.scale);
        columns.push(column);
    }
    let row =
        |i: usize| columns.iter().flat_map(move |column| &column.values[i * column.len..][..column.len]);
    dataset.values = (0..dataset.len()).flat_map(row).copied().collect();
    dataset.inputs = columns.iter().map(|column| column.len).collect();
    dataset.shape = vec![dataset.inputs.iter().sum()];
    dataset.unit = "value".into();
    dataset.domain = domain;
    Ok(dataset)
}

impl Dataset {
    /// Puts the same values behind every sample's own, such as a prompt's tokens: those that are `open` may become anything from 0 to `most`,
    /// the others stay. A sample's shape becomes flat.
    pub fn append(&mut self, values: &[f32], open: &[bool], most: f32) {
        let len = self.sample_len();
        let longer = |own: &mut Vec<f32>, value: f32| {
            if own.len() == 1 {
                own.resize(len, own[0]);
            }
            own.resize(len + values.len(), value);
        };
        longer(&mut self.domain.low, 0.0);
        longer(&mut self.domain.high, values.iter().copied().fold(most, f32::max));
        longer(&mut self.domain.scale, 1.0);
        self.domain.immutable.resize(len, false);
        self.domain.immutable.extend(open.iter().map(|open| !open));
        self.values =
            self.values.chunks(len).flat_map(|sample| sample.iter().chain(values)).copied().collect();
        self.shape = vec![len + values.len()];
    }
}

struct Column {
    values: Vec<f32>,
    /// Values of one sample.
    len: usize,
    bounds: [f32; 2],
}

impl Column {
    fn read(
        npz: &mut Npz,
        input: &InputArray,
        splits: &[&str],
        wanted: &[&str],
        samples: usize,
    ) -> Result<Self> {
        let file = npz.path().display().to_string();
        let fail = |found: String, expected: String| {
            Error::input(&file, format!("array `{}` of inputs", input.array), found, expected)
        };
        let (mut values, mut len, mut range) = (Vec::new(), None, [f32::INFINITY, f32::NEG_INFINITY]);
        for split in splits {
            let array = npz.array(&name(npz, &input.array, split)?)?;
            let own: usize = array.shape.iter().skip(1).product();
            if own == 0 || array.shape.is_empty() || *len.get_or_insert(own) != own {
                let expected = format!("(n, ...), {} values a sample in every split", len.unwrap_or(1));
                return Err(fail(format!("shape {:?}", array.shape), expected));
            }
            let numbers = array.numbers.to_f32();
            if matches!(array.numbers, Numbers::U8(_)) && own > 1 {
                range = [0.0, 255.0];
            }
            let finite = numbers.iter().filter(|value| value.is_finite());
            range = finite.fold(range, |[low, high], &value| [low.min(value), high.max(value)]);
            if wanted.contains(split) {
                values.extend(numbers);
            }
        }
        let len = len.unwrap_or(1);
        if values.len() != samples * len {
            return Err(fail(
                format!("{} samples", values.len() / len),
                format!("{samples}, as there are labels"),
            ));
        }
        let bounds = input.bounds.unwrap_or(range);
        if range[0] < bounds[0] || range[1] > bounds[1] {
            return Err(fail(
                format!("values from {} to {}", range[0], range[1]),
                format!("values within its bounds, {} to {}", bounds[0], bounds[1]),
            ));
        }
        Ok(Self { values, len, bounds })
    }
}

/// The name in the archive of an array's split.
fn name(npz: &Npz, array: &str, split: &str) -> Result<String> {
    let known = match split {
        "all" => vec![array.to_string()],
        split => vec![format!("{split}_{array}"), format!("{array}_{split}")],
    };
    known.iter().find(|name| npz.has(name)).cloned().ok_or_else(|| {
        let found = format!("no such array, but {}", npz.names().join(", "));
        Error::input(npz.path().display(), format!("array `{array}` of inputs"), found, known.join(" or "))
    })
}
