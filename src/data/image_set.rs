//! Data sets of image files: which of them are read, and how files of several sizes, colours and depths become samples of one shape.

use std::collections::BTreeMap;
use std::path::PathBuf;

use rayon::prelude::*;

use super::picture::{self, Picture, Stored};
use super::subset::sha256;
use super::{Colours, Dataset, Domain, ImageOptions, Labels, Remark, Request};
use crate::{Error, Result};

/// More values than these are refused: they take 8 GiB.
const MAX_VALUES: usize = 1 << 31;

/// Samples whose images are not read yet.
pub(super) struct Listed {
    /// The list, for errors.
    pub(super) name: String,
    pub(super) split: String,
    /// SHA-256 of the list.
    pub(super) sha256: String,
    pub(super) labels: Labels,
    pub(super) classes: Vec<String>,
    /// A stable number for every sample.
    pub(super) index: Vec<u64>,
    /// Columns that results may be broken down by; `patient` is the group.
    pub(super) subgroups: BTreeMap<String, Vec<String>>,
    pub(super) remarks: Vec<Remark>,
}

/// Reads the images of those samples that `request.limit` leaves; `file` says where the image of an index is.
///
/// # Errors
/// What `file` refuses; an image that is damaged, too large, or of another size than the first where no size is stated; colour where grey is
/// needed; 16-bit numbers of which nothing says how many bits are used; more than 2^31 values.
pub(super) fn read(
    listed: Listed,
    file: &dyn Fn(u64) -> Result<PathBuf>,
    request: &Request,
) -> Result<Dataset> {
    let options = &request.images;
    let mut dataset = unread(listed);
    dataset.check()?;
    if let Some(limit) = request.limit.filter(|&limit| limit < dataset.len()) {
        dataset = dataset.limited(limit, request.seed)?;
    }
    let files: Vec<PathBuf> = dataset.index.iter().map(|&index| file(index)).collect::<Result<_>>()?;
    let reader = Reader { dataset: &dataset, files: &files, options };
    let (first, first_sum) = reader.picture(0, None)?;
    let size = options.resize.map_or(first.size, |resize| resize.size);
    let values = size[0].saturating_mul(size[1]).saturating_mul(first.channels).saturating_mul(files.len());
    if values > MAX_VALUES {
        let found = format!("{} images of {} x {}, {values} values", files.len(), size[0], size[1]);
        let expected = format!("at most {MAX_VALUES}: limit = N or resize = [ROWS, COLUMNS] in [[data]]");
        return Err(Error::input(&dataset.name, "images", found, expected));
    }
    // As they are stored, as numbers, and all of them joined.
    let mend = ": limit = N or resize = [ROWS, COLUMNS] in [[data]]";
    let taken = values as u128 * if options.resize.is_some() { 8 } else { 10 };
    request.memory.afford(&dataset.name, "images", taken, mend)?;
    let read: Vec<(Picture, String)> = (1..files.len())
        .into_par_iter()
        .map(|position| reader.picture(position, Some(first.size)))
        .collect::<Result<_>>()?;
    let mut sums = dataset.sha256.clone() + &first_sum;
    let mut pictures = Vec::with_capacity(files.len());
    pictures.push(first);
    for (picture, sum) in read {
        sums += &sum;
        pictures.push(picture);
    }
    let mut told = Told::of(&pictures);
    let pictures = to_channels(pictures, &reader, &mut told)?;
    let pictures = to_pixels(pictures, &reader, &mut told)?;
    let pictures: Vec<Picture> = match options.resize {
        Some(resize) => pictures.into_par_iter().map(|picture| resize.apply(picture)).collect(),
        None => pictures,
    };
    offer(&mut dataset, &pictures);
    join(&mut dataset, pictures)?;
    dataset.sha256 = sha256(sums.as_bytes());
    told.say(&mut dataset, options);
    Ok(dataset)
}

/// The samples with nothing in them, so that some can be chosen before an image is opened.
fn unread(listed: Listed) -> Dataset {
    let n = listed.index.len();
    Dataset {
        name: listed.name,
        split: listed.split,
        synthetic: false,
        sha256: listed.sha256,
        shape: vec![1],
        inputs: Vec::new(),
        values: vec![0.0; n],
        labels: listed.labels,
        classes: listed.classes,
        unit: "pixel".to_string(),
        group: listed.subgroups.get("patient").cloned(),
        subgroups: listed.subgroups,
        index: listed.index,
        samples_per_second: None,
        domain: Domain::uniform(0.0, 255.0),
        remarks: listed.remarks,
    }
}

struct Reader<'r> {
    dataset: &'r Dataset,
    files: &'r [PathBuf],
    options: &'r ImageOptions,
}

impl Reader<'_> {
    /// Where an error says that an image is.
    fn place(&self, position: usize) -> String {
        format!("image (sample {} of {})", self.dataset.index[position], self.dataset.name)
    }

    fn error(&self, position: usize, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(self.files[position].display(), self.place(position), found, expected)
    }

    /// An image and the SHA-256 of its file; one of another size than `expected` is refused unless a size is stated.
    fn picture(&self, position: usize, expected: Option<[usize; 2]>) -> Result<(Picture, String)> {
        let file = &self.files[position];
        let bytes = picture::bytes(file)?;
        let expected = expected.filter(|_| self.options.resize.is_none());
        let check = move |size: [usize; 2]| match expected {
            Some(expected) if expected != size => {
                let found = format!("{} x {} pixels", size[0], size[1]);
                Err((
                    found,
                    format!(
                        "{} x {} as the first image, or {}",
                        expected[0],
                        expected[1],
                        self.mend(expected)
                    ),
                ))
            }
            _ => Ok(()),
        };
        let picture =
            picture::decode(file, &bytes, &self.place(position), &self.options.reading, Some(&check))?;
        // Colour is looked at before resizing: interpolation keeps grey grey, but not to the last bit.
        let picture = match picture.is_grey_as_colour() && self.grey_is_grey() {
            true => {
                let mut picture = picture.first_channel();
                picture.peculiarities.push(GREY_AS_COLOUR);
                picture
            }
            false => picture,
        };
        let picture = match self.options.resize {
            Some(resize) => {
                let other = picture.size != resize.size;
                let mut picture = resize.apply(picture);
                if other {
                    picture.peculiarities.push(RESIZED);
                }
                picture
            }
            None => picture,
        };
        Ok((picture, sha256(&bytes)))
    }

    /// The line that brings images of several sizes to one: the model's, if it is known.
    fn mend(&self, first: [usize; 2]) -> String {
        let [rows, columns] = match self.options.shape.as_deref() {
            Some(&[rows, columns, _]) => [rows, columns],
            _ => first,
        };
        format!(
            "resize = [{rows}, {columns}] in [[data]], which brings all images to one size while they are read (budgets are then in the \
             resized pixels); or a [[data]] and a [[model]] of its own for each size, whose input = {{ shape = [ROWS, COLUMNS, CHANNELS] }} \
             resizes it in the attacked graph"
        )
    }

    /// Channels that the samples shall have, where anyone says so.
    fn wanted(&self) -> Option<Colours> {
        self.options.colours.or(match self.options.shape.as_deref() {
            Some([_, _, 1]) => Some(Colours::Grey),
            Some([_, _, 3]) => Some(Colours::Rgb),
            _ => None,
        })
    }

    fn grey_is_grey(&self) -> bool {
        self.wanted() != Some(Colours::Rgb)
    }
}

const GREY_AS_COLOUR: &str = "grey stored as colour, which is grey again";
const RESIZED: &str = "another size";

/// What is counted of the images.
struct Told {
    counts: BTreeMap<&'static str, usize>,
    remarks: Vec<Remark>,
    images: usize,
    spacing: Option<(f64, f64, usize)>,
    /// DICOM files of grey, which are read through a window or as values.
    dicom: usize,
    /// The smallest and largest step of stored numbers that files state.
    slopes: Option<(f64, f64)>,
    /// DICOM files of colour, which are bytes as they are.
    dicom_colour: usize,
}

impl Told {
    fn of(pictures: &[Picture]) -> Self {
        let mut counts = BTreeMap::new();
        for &peculiarity in pictures.iter().flat_map(|picture| &picture.peculiarities) {
            *counts.entry(peculiarity).or_default() += 1;
        }
        let of_dicom = |channels: usize| {
            pictures.iter().filter(|own| !own.about.is_empty() && own.channels == channels).count()
        };
        let (dicom, dicom_colour) = (of_dicom(1), of_dicom(3));
        let spacings: Vec<f64> = pictures
            .iter()
            .filter_map(|picture| picture.about.get("pixel_spacing")?.split('\\').next()?.trim().parse().ok())
            .collect();
        let steps = pictures.iter().filter_map(|picture| picture.slope).map(|step| (step, step));
        let slopes = steps.reduce(|(low, high), (step, _)| (low.min(step), high.max(step)));
        let range = spacings
            .iter()
            .fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), &s| (low.min(s), high.max(s)));
        let spacing = (!spacings.is_empty()).then_some((range.0, range.1, spacings.len()));
        Self { counts, remarks: Vec::new(), images: pictures.len(), spacing, dicom, dicom_colour, slopes }
    }

    fn say(self, dataset: &mut Dataset, options: &ImageOptions) {
        let all = self.images;
        for (what, count) in self.counts {
            let text = match (what, options.resize) {
                (RESIZED, Some(resize)) => format!(
                    "{count} of {all} images are of another size and become {} x {} while they are read ({}, {}): budgets are in the \
                     resized pixels, the attacked graph holds no resizing of them",
                    resize.size[0],
                    resize.size[1],
                    resize.filter.name(),
                    resize.fit.name()
                ),
                _ => format!("{count} of {all} images: {what}"),
            };
            dataset.remarks.push(Remark::note(text));
        }
        if self.dicom > 0 {
            let text = match options.reading.values {
                Some(picture::Values::Window) => {
                    let window =
                        options.reading.window.map_or("its own window".to_string(), |[centre, width]| {
                            format!("the window of centre {centre} and width {width}")
                        });
                    format!("{} DICOM files: pixels from 0 to 255 through {window}", self.dicom)
                }
                Some(picture::Values::Stored) => {
                    format!("{} DICOM files: stored numbers as pixels from 0 to 255, no window", self.dicom)
                }
                _ if dataset.unit == "value" => format!(
                    "{} DICOM files: values whose unit the files do not state, from {} to {}",
                    self.dicom, dataset.domain.low[0], dataset.domain.high[0]
                ),
                _ => format!(
                    "{} DICOM files: values in {}, from {} to {}",
                    self.dicom, dataset.unit, dataset.domain.low[0], dataset.domain.high[0]
                ),
            };
            dataset.remarks.push(Remark::note(text));
        }
        if let Some((low, high)) = self.slopes.filter(|(low, high)| low < high) {
            let text = format!(
                "one step of the stored numbers is {low} to {high} of the files' unit (RescaleSlope), which values = \"stored\" leaves aside: \
                 equal numbers of two files mean different values; values = \"rescaled\" makes them one unit"
            );
            dataset.remarks.push(Remark::note(text));
        }
        if self.dicom_colour > 0 {
            let text =
                format!("{} DICOM files of colour: pixels as they are, through no window", self.dicom_colour);
            dataset.remarks.push(Remark::note(text));
        }
        if let Some((low, high, count)) = self.spacing {
            let range = if low == high { format!("{low} mm") } else { format!("from {low} to {high} mm") };
            let text =
                format!("pixel spacing {range} ({count} files say it); no image is brought to another");
            dataset.remarks.push(Remark::note(text));
        }
        dataset.remarks.extend(self.remarks);
    }
}

/// All images with as many channels.
fn to_channels(pictures: Vec<Picture>, reader: &Reader, told: &mut Told) -> Result<Vec<Picture>> {
    let first_colour = pictures.iter().position(|picture| picture.channels == 3);
    let Some(colour) = first_colour else {
        if reader.wanted() != Some(Colours::Rgb) {
            return Ok(pictures);
        }
        told.remarks.push(copied(pictures.len(), reader));
        return Ok(pictures.into_iter().map(in_colour).collect());
    };
    match reader.wanted() {
        Some(Colours::Grey) if reader.options.colours.is_none() => {
            let expected = "grey, as the model takes it, or colours = \"grey\" in [[data]], which makes luminance of colour";
            Err(reader.error(colour, "a colour image", expected))
        }
        Some(Colours::Grey) => {
            let count = pictures.iter().filter(|picture| picture.channels == 3).count();
            let text = format!("{count} colour images become grey: (299 R + 587 G + 114 B) / 1000");
            told.remarks.push(Remark::note(text));
            let grey = |picture: Picture| if picture.channels == 3 { picture.luminance() } else { picture };
            Ok(pictures.into_iter().map(grey).collect())
        }
        _ => {
            let grey = pictures.iter().filter(|picture| picture.channels == 1).count();
            if grey > 0 {
                told.remarks.push(copied(grey, reader));
            }
            Ok(pictures.into_iter().map(in_colour).collect())
        }
    }
}

fn copied(count: usize, reader: &Reader) -> Remark {
    let shape = match reader.options.shape.as_deref() {
        Some(&[rows, columns, 3]) => {
            format!("; input = {{ shape = [{rows}, {columns}, 1] }} of the model moves grey itself")
        }
        _ => String::new(),
    };
    Remark::note(format!(
        "{count} grey images are copied to three channels, which an attack moves each by itself{shape}"
    ))
}

fn in_colour(picture: Picture) -> Picture {
    fn three<T: Copy>(values: Vec<T>) -> Vec<T> {
        values.into_iter().flat_map(|value| [value; 3]).collect()
    }
    if picture.channels == 3 {
        return picture;
    }
    let stored = match picture.stored {
        Stored::Bytes(values) => Stored::Bytes(three(values)),
        Stored::Words(values) => Stored::Words(three(values)),
        Stored::Pixels(values) => Stored::Pixels(three(values)),
        Stored::Physical { values, unit, bounds } => Stored::Physical { values: three(values), unit, bounds },
    };
    Picture { channels: 3, stored, ..picture }
}

/// Words as pixels from 0 to 255, by how many of their bits are used.
fn to_pixels(pictures: Vec<Picture>, reader: &Reader, told: &mut Told) -> Result<Vec<Picture>> {
    let largest = |picture: &Picture| match &picture.stored {
        Stored::Words(words) => words.iter().max().copied(),
        _ => None,
    };
    let words = pictures.iter().filter(|picture| matches!(picture.stored, Stored::Words(_))).count();
    let Some(most) = pictures.iter().filter_map(largest).max() else { return Ok(pictures) };
    let bits = match reader.options.bits {
        Some(bits) if u32::from(most) >= 1 << bits => {
            let position = pictures.iter().position(|picture| largest(picture) == Some(most)).unwrap_or(0);
            let found = format!("a value of {most}");
            return Err(reader.error(
                position,
                found,
                format!("values below {}, as bits = {bits} says", 1u32 << bits),
            ));
        }
        Some(bits) => bits,
        None => {
            let bits = used_bits(most).ok_or_else(|| {
                let position =
                    pictures.iter().position(|picture| largest(picture) == Some(most)).unwrap_or(0);
                let found = format!("16-bit files whose largest value is {most}");
                let expected =
                    "a line in [[data]] that says how many bits are used: bits = 8, 10, 12, 14 or 16";
                reader.error(position, found, expected)
            })?;
            if bits < 16 {
                let text = format!(
                    "{words} files of 16 bits hold {bits}: the largest value is {most}, and {} becomes 255 (bits = 16 in [[data]] scales \
                     65535 to it)",
                    (1u32 << bits) - 1
                );
                told.remarks.push(Remark::note(text));
            }
            bits
        }
    };
    let full = f64::from((1u32 << bits) - 1);
    let pixel = |word: u16| (f64::from(word) * 255.0 / full) as f32;
    let scaled = |picture: Picture| match picture.stored {
        Stored::Words(words) => {
            let stored = Stored::Pixels(words.into_iter().map(pixel).collect());
            Picture { stored, ..picture }
        }
        _ => picture,
    };
    Ok(pictures.into_iter().map(scaled).collect())
}

/// How many bits are used where the largest value of all files is `most`; `None` where it may be one number as well as another.
fn used_bits(most: u16) -> Option<u32> {
    match most {
        1024..4096 => Some(12),
        16384.. => Some(16),
        _ => None,
    }
}

/// What DICOM files say of themselves, as columns that the list does not have.
fn offer(dataset: &mut Dataset, pictures: &[Picture]) {
    if pictures.iter().all(|picture| picture.about.is_empty()) {
        return;
    }
    for name in picture::dicom_columns() {
        if dataset.subgroups.contains_key(name) {
            continue;
        }
        let value = |picture: &Picture| picture.about.get(name).cloned().unwrap_or_else(|| "missing".into());
        let values: Vec<String> = pictures.iter().map(value).collect();
        if values.iter().all(|value| value == "missing") {
            continue;
        }
        if name == "patient" && dataset.group.is_none() {
            dataset.group = Some(values.clone());
        }
        dataset.subgroups.insert(name.to_string(), values);
    }
}

/// The values of all images, one after the other, with their unit and bounds.
fn join(dataset: &mut Dataset, pictures: Vec<Picture>) -> Result<()> {
    let (size, channels) = (pictures[0].size, pictures[0].channels);
    let unit_of = |picture: &Picture| match &picture.stored {
        Stored::Physical { unit, .. } => unit.clone(),
        _ => "pixel".to_string(),
    };
    let unit = unit_of(&pictures[0]);
    let mut bounds = [f32::INFINITY, f32::NEG_INFINITY];
    for (position, picture) in pictures.iter().enumerate() {
        let own = unit_of(picture);
        if own != unit {
            let place = format!("unit of sample {}", dataset.index[position]);
            return Err(Error::input(&dataset.name, place, own, format!("{unit}, as the first image")));
        }
        let own = match &picture.stored {
            Stored::Physical { bounds, .. } => *bounds,
            _ => [0.0, 255.0],
        };
        bounds = [bounds[0].min(own[0]), bounds[1].max(own[1])];
    }
    let mut values = Vec::with_capacity(pictures.len() * size[0] * size[1] * channels);
    for picture in pictures {
        values.extend(picture.stored.into_numbers());
    }
    dataset.values = values;
    dataset.shape = vec![size[0], size[1], channels];
    dataset.unit = unit;
    dataset.domain = Domain::uniform(bounds[0], bounds[1]);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::used_bits;

    #[test]
    fn bits_are_told_where_one_number_alone_fits() {
        let bits = [255, 1023, 1024, 4095, 4096, 16383, 16384, 65535].map(used_bits);
        assert_eq!(bits, [None, None, Some(12), Some(12), None, None, Some(16), Some(16)]);
    }
}
