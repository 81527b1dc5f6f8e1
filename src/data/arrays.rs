//! Samples in npz archives: MedMNIST's layout (`train_images`, `train_labels`, ...), plain `x`, `y`, and any other names that a study says.

use std::collections::BTreeMap;
use std::path::Path;

use super::array_labels;
use super::array_options::Bounds;
use super::layout::{self, Lying};
use super::npz::{Header, Npz, file_sha256};
use super::request::Request;
use super::rounding::{self, Feature};
use super::splits::{self, Member};
use super::{Dataset, Domain, InputArray, Known, Labels, Remark, subset};
use crate::{Error, Result};

/// Columns that say who a sample came from, unless the study names one.
const GROUPS: [&str; 2] = ["group", "patient"];

/// Reads the samples that `request` asks for of the archive at `path`, and no others' values.
///
/// Layouts: `{split}_images` (n, h, w), (n, h, w, c) or (n, c, h, w) with `{split}_labels` (n), (n, 1) or (n, k), as MedMNIST v2
/// (Yang et al. 2023) has them; or `x_{split}` and `y_{split}`; or `x` and `y`, which are a split of their own. Unsigned bytes of images are
/// pixels from 0 to 255; other numbers keep their value, within stated bounds or the range of the file, all splits together. Any further
/// array of n entries named `{split}_NAME` (or `NAME`) is offered as the column `NAME`. `classes` are the fixed names of a registry's set.
///
/// # Errors
/// A missing array or split, a shape or a label that does not fit, samples that take too much memory.
pub fn open(path: &Path, request: &Request, classes: Option<&[&str]>) -> Result<Dataset> {
    let options = &request.arrays;
    let mut npz = Npz::open(path)?.within(request.memory);
    let inputs: Vec<String> = request.inputs.iter().map(|input| input.array.clone()).collect();
    let members = splits::members(&npz, options, &inputs)?;
    let (split, mut remarks) = chosen_split(&members, request, path)?;
    let known = classes.map_or_else(|| request.known(), Known::named);
    let read = array_labels::read(&mut npz, &members, &request.labels, &known)?;
    remarks.extend(read.remarks.iter().cloned());
    let rows = Rows::of(&members, &read, &split, request).ok_or_else(|| {
        Error::input(path.display(), format!("split {split}"), "no sample with a label", "at least one")
    })?;
    let labels = rows.labels(&read.labels, read.names.len());
    let mut columns = Vec::new();
    for place in 0..members[0].samples.len() {
        let column = Samples::read(&mut npz, &members, place, &rows, request)?;
        remarks.extend(column.remarks.iter().cloned());
        columns.push(column);
    }
    let subgroups = subgroups(&mut npz, &members, &rows, request)?;
    let group = GROUPS.iter().find_map(|name| subgroups.get(*name)).cloned();
    let dataset = Dataset {
        name: path.display().to_string(),
        split,
        synthetic: false,
        sha256: file_sha256(path)?,
        shape: Vec::new(),
        inputs: Vec::new(),
        values: Vec::new(),
        labels,
        classes: read.names,
        unit: String::new(),
        group,
        subgroups,
        index: rows.index(),
        samples_per_second: None,
        domain: Domain::uniform(0.0, 1.0),
        remarks,
    };
    Ok(if request.inputs.is_empty() {
        single(dataset, columns)
    } else {
        several(dataset, columns, &request.inputs)
    })
}

/// The split that is read: what the request says; where it says nothing, `test`, or all of a file that has no splits.
fn chosen_split(members: &[Member], request: &Request, path: &Path) -> Result<(String, Vec<Remark>)> {
    let existing: Vec<&str> = members.iter().map(|member| member.split).collect();
    let asked = request.split.as_str();
    if asked == "all" || existing.contains(&asked) {
        return Ok((asked.to_string(), vec![]));
    }
    if request.split_given {
        let expected = match existing[..] {
            ["all"] => "split = \"all\" of a study's [[data]], or no split: this file has none. A TRAIN.toml, or a [[recipe]], learns from a file of \
                        arrays x_train, y_train, x_test, y_test (and x_val, y_val, or val = \"none\"), as numpy.savez(FILE, x_train=x[:n], ...) \
                        writes it"
                .to_string(),
            _ => format!("one of {}, all", existing.join(", ")),
        };
        return Err(Error::input(path.display(), "split", format!("no split `{asked}`"), expected));
    }
    match existing[..] {
        ["all"] => Ok(("all".into(), vec![Remark::note("the file has no splits: all of it is read")])),
        [only] => {
            Ok((only.into(), vec![Remark::note(format!("`{only}` is read, the only split of the file"))]))
        }
        _ => {
            let expected = format!("split = one of {}, all", existing.join(", "));
            Err(Error::input(path.display(), "split", format!("no split `{asked}`, and none said"), expected))
        }
    }
}

/// Which rows of which split are read.
struct Rows {
    /// Of each member that is read its number and its rows, ascending.
    parts: Vec<(usize, Vec<usize>)>,
    /// Where each member's samples begin in the archive.
    starts: Vec<usize>,
}

impl Rows {
    /// Of the samples that have a label; `None` where none does.
    fn of(members: &[Member], read: &array_labels::Read, split: &str, request: &Request) -> Option<Self> {
        let (counts, labels, classes) = (&read.counts, &read.labels, read.names.len());
        let starts: Vec<usize> =
            counts.iter().scan(0, |sum, n| Some(std::mem::replace(sum, *sum + n))).collect();
        let wanted = |at: &usize| split == "all" || members[*at].split == split;
        let mut rows = Self { parts: vec![], starts };
        for at in (0..members.len()).filter(wanted) {
            let labelled = |row: &usize| read.labelled.get(rows.starts[at] + row).copied().unwrap_or(true);
            rows.parts.push((at, (0..counts[at]).filter(labelled).collect()));
        }
        if rows.parts.iter().all(|(_, rows)| rows.is_empty()) {
            return None;
        }
        let all = rows.positions();
        let Some(limit) = request.limit.filter(|limit| *limit < all.len()) else { return Some(rows) };
        let index: Vec<u64> = all.iter().map(|&at| at as u64).collect();
        let own = rows.labels(labels, classes);
        // What is no class at all is told by the check of the whole, not here.
        if matches!(&own, Labels::Class(labels) if labels.iter().any(|&label| label as usize >= classes)) {
            return Some(rows);
        }
        let kept = subset::limited(&own, classes, &index, limit, request.seed);
        let kept: Vec<usize> = kept.iter().map(|&position| all[position]).collect();
        for (member, part) in &mut rows.parts {
            let start = rows.starts[*member];
            part.retain(|row| kept.binary_search(&(start + row)).is_ok());
        }
        Some(rows)
    }

    /// Places in the archive, all splits one after the other.
    fn positions(&self) -> Vec<usize> {
        self.parts
            .iter()
            .flat_map(|(member, rows)| rows.iter().map(|row| self.starts[*member] + row))
            .collect()
    }

    fn index(&self) -> Vec<u64> {
        self.positions().iter().map(|&at| at as u64).collect()
    }

    /// The first member that rows are read from.
    fn first_member(&self) -> usize {
        self.parts.first().map_or(0, |(member, _)| *member)
    }

    fn labels(&self, labels: &Labels, width: usize) -> Labels {
        let positions = self.positions();
        match labels {
            Labels::Class(all) => Labels::Class(positions.iter().map(|&at| all[at]).collect()),
            Labels::Findings(all) => Labels::Findings(
                positions.iter().flat_map(|&at| all[at * width..][..width].iter().copied()).collect(),
            ),
        }
    }
}

/// Values of one array of samples.
struct Samples {
    lying: Lying,
    values: Vec<f32>,
    bounds: [f32; 2],
    pixels: bool,
    remarks: Vec<Remark>,
}

impl Samples {
    fn read(npz: &mut Npz, members: &[Member], place: usize, rows: &Rows, request: &Request) -> Result<Self> {
        // An input of one number a sample may be a plain list.
        let least = if request.inputs.is_empty() { 2 } else { 1 };
        let headers = headers(npz, members, place, least)?;
        let (first, name) = (&headers[0], &members[rows.first_member()].samples[place]);
        let own = request.inputs.get(place);
        let layout = own.and_then(|own| own.layout).or(request.arrays.layout);
        let lying = layout::lie(&first.shape[1..], layout, request.arrays.wanted.get(place))
            .map_err(|(found, expected)| npz.error(name, found, expected))?;
        let mut values = Vec::new();
        // Pixels and signals are of one kind, features each of their own.
        let mut seen = vec![Feature::default(); if first.shape.len() > 2 { 1 } else { first.row_len() }];
        for (member, positions) in &rows.parts {
            let more = npz.rows(&members[*member].samples[place], &headers[*member], positions, &mut seen)?;
            if values.is_empty() { values = more } else { values.extend(more) }
        }
        lying.apply(&mut values);
        let mut remarks: Vec<Remark> = lying.remark.clone().into_iter().collect();
        let several = seen.len() > 1;
        let called = |(at, feature)| match several {
            true => (format!("value {at} of `{name}`"), feature),
            false => (format!("`{name}`"), feature),
        };
        remarks.extend(rounding::remark(seen.into_iter().enumerate().map(called)));
        let pixels = headers.iter().all(|header| header.descr.ends_with("u1")) && is_image(&lying.shape);
        let stated = match own.map(|own| own.bounds) {
            Some(Some(bounds)) => Bounds::Stated(bounds),
            Some(None) if request.inputs.len() > 1 => Bounds::File,
            _ => request.arrays.bounds,
        };
        let bounds = match stated {
            Bounds::Stated(bounds) => bounds,
            _ if pixels => {
                remarks.push(Remark::note(format!("bytes of `{name}` are pixels from 0 to 255")));
                [0.0, 255.0]
            }
            Bounds::Elsewhere => range_of(&values),
            Bounds::File => {
                let range = whole_range(npz, members, place, &headers)?;
                remarks.push(Remark::note(format!(
                    "no bounds are stated for `{name}`: an attack may go from {} to {}, the range of the file; bounds = [LOW, HIGH] says them",
                    range[0], range[1]
                )));
                range
            }
        };
        if let (Bounds::Stated([low, high]), Some(at)) = (
            stated,
            values.iter().position(|value| value.is_finite() && !(bounds[0]..=bounds[1]).contains(value)),
        ) {
            let found = format!("{} (value {at} of those that are read)", values[at]);
            return Err(npz.error(
                name,
                found,
                format!("values within the bounds, from {low} to {high}, or bounds that hold them"),
            ));
        }
        Ok(Self { lying, values, bounds, pixels, remarks })
    }

    fn len(&self) -> usize {
        self.lying.shape.iter().product()
    }
}

/// An image has height, width and few colours; a dtype says nothing of anything else.
fn is_image(shape: &[usize]) -> bool {
    matches!(shape, [height, width, 1..=4] if *height > 1 && *width > 1)
}

/// The headers of an array in every split, of `least` axes at least: shapes alike, but for the number of samples.
fn headers(npz: &mut Npz, members: &[Member], place: usize, least: usize) -> Result<Vec<Header>> {
    let mut headers: Vec<Header> = Vec::new();
    for member in members {
        let name = &member.samples[place];
        let header = npz.header(name)?;
        let numbers = !header.descr.contains(['U', 'S']);
        if !numbers || header.shape.len() < least || header.shape.contains(&0) {
            let found = format!("shape {:?} of {}", header.shape, header.descr);
            return Err(npz.error(
                name,
                found,
                "(n, features), (n, h, w), (n, h, w, channels) of numbers, no extent 0",
            ));
        }
        let n = npz.header(&member.labels)?.shape.first().copied().unwrap_or(0);
        if header.shape[0] != n {
            let expected = format!("{n}, as there are labels");
            return Err(npz.error(name, format!("{} samples", header.shape[0]), expected));
        }
        if let Some(first) = headers.first().filter(|first| first.shape[1..] != header.shape[1..]) {
            let expected = format!("samples of shape {:?} in every split", &first.shape[1..]);
            return Err(npz.error(name, format!("shape {:?}", header.shape), expected));
        }
        headers.push(header);
    }
    Ok(headers)
}

/// The smallest and largest value of all splits: what an attack may do must not depend on the split that is opened.
fn whole_range(npz: &mut Npz, members: &[Member], place: usize, headers: &[Header]) -> Result<[f32; 2]> {
    let mut range = [f32::INFINITY, f32::NEG_INFINITY];
    for (member, header) in members.iter().zip(headers) {
        let (low, high) = npz.range(&member.samples[place], header)?;
        range = [range[0].min(low), range[1].max(high)];
    }
    Ok(range)
}

fn range_of(values: &[f32]) -> [f32; 2] {
    let finite = values.iter().filter(|value| value.is_finite());
    finite.fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &value| [low.min(value), high.max(value)])
}

/// The columns that are asked for, and who samples came from.
fn subgroups(
    npz: &mut Npz,
    members: &[Member],
    rows: &Rows,
    request: &Request,
) -> Result<BTreeMap<String, Vec<String>>> {
    let mut out = BTreeMap::new();
    let asked = request.subgroups.iter().chain(&request.group).map(String::as_str);
    let mut wanted: Vec<&str> = asked.collect();
    let read: Vec<&Member> = rows.parts.iter().map(|(member, _)| &members[*member]).collect();
    let offered = offered(npz, &read)?;
    if let Some(missing) = wanted.iter().find(|name| !offered.contains(&name.to_string())) {
        let expected = if offered.is_empty() {
            "no column: this file has none".into()
        } else {
            format!("one of {}", offered.join(", "))
        };
        let place = if request.group.as_deref() == Some(missing) { "group" } else { "subgroups" };
        return Err(Error::input(npz.path().display(), place, format!("`{missing}`"), expected));
    }
    wanted.extend(GROUPS.iter().filter(|name| offered.contains(&name.to_string())));
    wanted.sort_unstable();
    wanted.dedup();
    for name in wanted {
        let mut values = Vec::new();
        for (member, positions) in &rows.parts {
            let Some(array) = members[*member].column(npz, name) else { continue };
            let texts = npz.column(&array)?.1.texts();
            values.extend(positions.iter().map(|&row| texts[row].clone()));
        }
        out.insert(name.to_string(), values);
    }
    Ok(out)
}

/// Arrays with one entry a sample in every split that is read. What cannot be read is some other program's.
fn offered(npz: &mut Npz, members: &[&Member]) -> Result<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    for (at, member) in members.iter().enumerate() {
        let n = npz.header(&member.labels)?.shape.first().copied().unwrap_or(0);
        let mut own = Vec::new();
        for array in npz.names().to_vec() {
            let Some(column) = member.column_of(&array) else { continue };
            let fits = npz.header(&array).is_ok_and(|header| {
                header.shape.first() == Some(&n) && header.shape.iter().product::<usize>() == n
            });
            if fits {
                own.push(column.to_string());
            }
        }
        out = if at == 0 { own } else { out.into_iter().filter(|column| own.contains(column)).collect() };
    }
    Ok(out)
}

fn single(dataset: Dataset, columns: Vec<Samples>) -> Dataset {
    let mut columns = columns.into_iter();
    let Some(samples) = columns.next() else { return dataset };
    Dataset {
        shape: samples.lying.shape.clone(),
        unit: if samples.pixels { "pixel" } else { "value" }.into(),
        domain: Domain::uniform(samples.bounds[0], samples.bounds[1]),
        values: samples.values,
        ..dataset
    }
}

/// The values of each sample one after the other, in the order of the model's inputs.
fn several(dataset: Dataset, columns: Vec<Samples>, inputs: &[InputArray]) -> Dataset {
    let mut domain = Domain { low: vec![], high: vec![], scale: vec![], ..Domain::uniform(0.0, 1.0) };
    for (column, input) in columns.iter().zip(inputs) {
        let fill =
            |values: &mut Vec<f32>, value: f32| values.extend(std::iter::repeat_n(value, column.len()));
        fill(&mut domain.low, column.bounds[0]);
        fill(&mut domain.high, column.bounds[1]);
        fill(&mut domain.scale, input.scale);
    }
    let row =
        |i: usize| columns.iter().flat_map(move |column| &column.values[i * column.len()..][..column.len()]);
    let lens: Vec<usize> = columns.iter().map(Samples::len).collect();
    Dataset {
        values: (0..dataset.len()).flat_map(row).copied().collect(),
        shape: vec![lens.iter().sum()],
        inputs: lens,
        unit: "value".into(),
        domain,
        ..dataset
    }
}
