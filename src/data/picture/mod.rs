//! One image file and its pixels: which format it is, told by its content.

mod dicom;
mod dicom_codecs;
mod dicom_frames;
mod dicom_lengths;
mod dicom_values;
mod png_file;
mod raster;
pub mod resize;

use std::collections::BTreeMap;
use std::path::Path;

pub(in crate::data) use dicom::columns as dicom_columns;
pub use dicom_values::Values;
pub use resize::Resize;

use crate::{Error, Result};

/// The largest image that is read, in pixels: no model here takes larger ones, and a header may lie.
pub const MAX_PIXELS: u64 = 1 << 26;

/// The largest image file, in bytes.
const MAX_BYTES: u64 = 1 << 30;

/// How files are read that do not say it themselves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// What the values of DICOM files shall be.
    pub values: Option<Values>,
    /// Centre and width of the window of DICOM files, in rescaled values; `None` is each file's own first one.
    pub window: Option<[f64; 2]>,
    /// Which frame of a file of several, from 0.
    pub frame: Option<u32>,
}

/// What is stored in a file for each pixel and channel.
#[derive(Clone, Debug, PartialEq)]
pub enum Stored {
    /// Bytes, 0 to 255.
    Bytes(Vec<u8>),
    /// Whole numbers of up to 16 bits; how many of them are used is known of a whole data set alone.
    Words(Vec<u16>),
    /// Pixels from 0 to 255, with fractions.
    Pixels(Vec<f32>),
    /// Values in a unit of their own.
    Physical {
        /// The values.
        values: Vec<f32>,
        /// What one of them is: `HU`.
        unit: String,
        /// The smallest and largest that a file of this kind can hold.
        bounds: [f32; 2],
    },
}

/// An image.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Rows and columns.
    pub size: [usize; 2],
    /// 1 or 3.
    pub channels: usize,
    /// `rows * columns * channels` values, channels last.
    pub stored: Stored,
    /// What a reader of many files counts, each a few words: `alpha that is not opaque`.
    pub peculiarities: Vec<&'static str>,
    /// What the file itself says of patient, sex, age, ...: names of columns and their values.
    pub about: BTreeMap<&'static str, String>,
    /// What one step of the stored numbers is in the file's own unit, where the numbers are taken as stored and the file says it.
    pub slope: Option<f64>,
}

/// A refusal: what was found, and what is expected.
type Refused<T> = std::result::Result<T, (String, String)>;

/// The bytes of an image file.
///
/// # Errors
/// A file that is missing, no regular file, or larger than 1 GiB.
pub fn bytes(path: &Path) -> Result<Vec<u8>> {
    crate::files::read_bytes(path, MAX_BYTES)
}

/// The image that `bytes`, the content of the file at `path`, are; `place` is where an error says that it is. Where `expected` is given, an image of another size is refused before it is decoded.
///
/// # Errors
/// No PNG, JPEG, TIFF, BMP or DICOM; a damaged file; more than 2^26 pixels; a kind of pixels that has no plain meaning.
pub fn decode(
    path: &Path,
    bytes: &[u8],
    place: &str,
    reading: &Reading,
    expected: Option<&SizeCheck>,
) -> Result<Picture> {
    let admit = |size: [usize; 2]| -> Refused<()> {
        let pixels = (size[0] as u64).saturating_mul(size[1] as u64);
        if pixels == 0 || pixels > MAX_PIXELS {
            let found = format!("{} x {} pixels", size[0], size[1]);
            return Err((found, format!("1 to {MAX_PIXELS} pixels")));
        }
        expected.map_or(Ok(()), |check| check(size))
    };
    let format = Format::of(bytes);
    let read = || match format {
        Some(Format::Png) => png_file::read(bytes, &admit),
        Some(Format::Jpeg) => raster::jpeg(bytes, &admit),
        Some(Format::Bmp) => raster::bmp(bytes, &admit),
        Some(Format::Tiff) => raster::tiff(bytes, reading, &admit),
        Some(Format::Dicom) => dicom::read(bytes, reading, &admit),
        None => {
            let expected = "a PNG, JPEG, TIFF, BMP or DICOM file; Pillow writes one of many kinds: Image.open(IN).save(\"OUT.png\")";
            Err((named(bytes).to_string(), expected.to_string()))
        }
    };
    // Decoders of other crates: a file that one of them trips over is a damaged file.
    let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(("a file that its decoder fails on".into(), "an undamaged one".into())));
    read.map_err(|(found, expected)| Error::input(path.display(), place, found, expected))
}

/// Looks at the size of an image before it is decoded.
pub type SizeCheck<'c> = dyn Fn([usize; 2]) -> Refused<()> + 'c;

/// Whether a file that begins with `bytes` looks like an image that can be read.
pub fn is_image(bytes: &[u8]) -> bool {
    Format::of(bytes).is_some()
}

/// Whether it is an image of a kind that is not read: a folder of such is one of images, and what is read is said of its first file.
pub fn is_unread_image(bytes: &[u8]) -> bool {
    let other_riff = bytes.starts_with(b"RIFF") && bytes.get(8..12) != Some(b"WEBP".as_slice());
    let kinds = ["a GIF file", "a WebP file", "a JPEG 2000 file", "a HEIC or AVIF file"];
    !is_image(bytes) && !other_riff && kinds.contains(&named(bytes))
}

/// Whether a file that begins with `bytes` (132 are enough) is DICOM.
pub fn is_dicom(bytes: &[u8]) -> bool {
    Format::of(bytes) == Some(Format::Dicom)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Png,
    Jpeg,
    Bmp,
    Tiff,
    Dicom,
}

impl Format {
    fn of(bytes: &[u8]) -> Option<Self> {
        Some(match bytes {
            [0x89, b'P', b'N', b'G', ..] => Self::Png,
            [0xff, 0xd8, 0xff, ..] => Self::Jpeg,
            [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Self::Tiff,
            [b'B', b'M', ..] => Self::Bmp,
            _ if bytes.get(128..132) == Some(b"DICM".as_slice()) => Self::Dicom,
            _ => return None,
        })
    }
}

/// What a file is that cannot be read, in words.
fn named(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "an empty file",
        [b'G', b'I', b'F', b'8', ..] => "a GIF file",
        [b'R', b'I', b'F', b'F', ..] => "a WebP file",
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => "a JPEG 2000 file",
        [0x1f, 0x8b, ..] => "a file compressed by gzip",
        [b'P', b'K', 3, 4, ..] => "a zip archive",
        [0x93, b'N', b'U', b'M', ..] => "an array of NumPy",
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => "a HEIC or AVIF file",
        [2 | 8, 0, _, 0, ..] => "DICOM without its preamble (dcmconv of DCMTK writes one)",
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', b'h', ..] => {
            "a pointer of Git LFS, not the file itself"
        }
        [b'<', ..] => "a web page or XML",
        _ => "a file of another kind",
    }
}

impl Picture {
    /// An image without peculiarities.
    fn plain(size: [usize; 2], channels: usize, stored: Stored) -> Self {
        Self { size, channels, stored, peculiarities: Vec::new(), about: BTreeMap::new(), slope: None }
    }

    /// Whether the file stores colour, and all of it is grey.
    pub fn is_grey_as_colour(&self) -> bool {
        fn grey<T: PartialEq>(values: &[T]) -> bool {
            values.chunks_exact(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2])
        }
        self.channels == 3
            && match &self.stored {
                Stored::Bytes(values) => grey(values),
                Stored::Words(values) => grey(values),
                Stored::Pixels(values) | Stored::Physical { values, .. } => grey(values),
            }
    }

    /// The first channel alone.
    pub fn first_channel(self) -> Self {
        self.map(
            1,
            |values| values.iter().step_by(3).copied().collect(),
            |values| values.iter().step_by(3).copied().collect(),
            |values| values.iter().step_by(3).copied().collect(),
        )
    }

    /// Colour as luminance, (299 R + 587 G + 114 B) / 1000 as Pillow's `L`, but without rounding.
    pub fn luminance(self) -> Self {
        let luminance = |pixel: [f32; 3]| (299.0 * pixel[0] + 587.0 * pixel[1] + 114.0 * pixel[2]) / 1000.0;
        match self.stored {
            // Words stay words: how many of their bits are used is not known yet.
            Stored::Words(words) => {
                let grey = |p: &[u16]| luminance([0, 1, 2].map(|k| f32::from(p[k]))).round() as u16;
                let words = words.chunks_exact(3).map(grey).collect();
                Self { channels: 1, stored: Stored::Words(words), ..self }
            }
            stored => {
                let values = stored.into_numbers();
                let grey = |p: &[f32]| luminance([p[0], p[1], p[2]]);
                let values = values.chunks_exact(3).map(grey).collect();
                Self { channels: 1, stored: Stored::Pixels(values), ..self }
            }
        }
    }

    fn map(
        self,
        channels: usize,
        bytes: impl Fn(&[u8]) -> Vec<u8>,
        words: impl Fn(&[u16]) -> Vec<u16>,
        numbers: impl Fn(&[f32]) -> Vec<f32>,
    ) -> Self {
        let stored = match self.stored {
            Stored::Bytes(values) => Stored::Bytes(bytes(&values)),
            Stored::Words(values) => Stored::Words(words(&values)),
            Stored::Pixels(values) => Stored::Pixels(numbers(&values)),
            Stored::Physical { values, unit, bounds } => {
                Stored::Physical { values: numbers(&values), unit, bounds }
            }
        };
        Self { channels, stored, ..self }
    }
}

impl Stored {
    /// The numbers as they are stored.
    pub fn into_numbers(self) -> Vec<f32> {
        match self {
            Self::Bytes(values) => values.into_iter().map(f32::from).collect(),
            Self::Words(values) => values.into_iter().map(f32::from).collect(),
            Self::Pixels(values) | Self::Physical { values, .. } => values,
        }
    }
}
