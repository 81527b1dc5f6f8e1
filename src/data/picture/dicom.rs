//! DICOM files: one frame of pixels, and what the file says of patient and acquisition.

use std::collections::BTreeMap;
use std::io::Cursor;

use dicom_object::file::ReadPreamble;
use dicom_object::{InMemDicomObject, OpenFileOptions, Tag};

use super::dicom_frames::Frame;
use super::dicom_values::{self, Meaning};
use super::{Picture, Reading, Refused, SizeCheck, dicom_codecs};

/// Columns that a file offers, and the elements that they are read from, the first that is there.
const ABOUT: [(&str, &[Tag]); 11] = [
    ("patient", &[Tag(0x0010, 0x0020)]),
    ("study", &[Tag(0x0020, 0x000d)]),
    ("series", &[Tag(0x0020, 0x000e)]),
    ("sex", &[Tag(0x0010, 0x0040)]),
    ("age", &[Tag(0x0010, 0x1010)]),
    ("site", &[Tag(0x0008, 0x0080)]),
    ("modality", &[Tag(0x0008, 0x0060)]),
    ("manufacturer", &[Tag(0x0008, 0x0070)]),
    ("view", &[Tag(0x0018, 0x5101)]),
    ("body_part", &[Tag(0x0018, 0x0015)]),
    ("pixel_spacing", &[Tag(0x0028, 0x0030), Tag(0x0018, 0x1164)]),
];

/// The columns that a DICOM file offers.
pub(in crate::data) fn columns() -> impl Iterator<Item = &'static str> {
    ABOUT.iter().map(|(name, _)| *name)
}

/// How the pixels of a file are laid out.
pub(super) struct Layout {
    pub(super) size: [usize; 2],
    /// 1 or 3.
    pub(super) channels: usize,
    /// 8 or 16.
    pub(super) bits_allocated: u32,
    pub(super) bits_stored: u32,
    pub(super) high_bit: u32,
    pub(super) signed: bool,
    pub(super) photometric: String,
    /// Colours in planes of their own.
    pub(super) planes: bool,
    pub(super) frames: u32,
}

pub(super) fn read(bytes: &[u8], reading: &Reading, admit: &SizeCheck) -> Refused<Picture> {
    super::dicom_lengths::check(bytes)?;
    let file = OpenFileOptions::new()
        .read_preamble(ReadPreamble::Always)
        .from_reader(Cursor::new(super::dicom_lengths::with_group_length(bytes)))
        .map_err(|error| (chain(&error), "an undamaged DICOM file".to_string()))?;
    let syntax = file.meta().transfer_syntax.trim_end_matches(['\0', ' ']).to_string();
    let layout = Layout::of(&file)?;
    admit(layout.size)?;
    let frame = match reading.frame {
        Some(frame) if frame < layout.frames => frame,
        Some(frame) => {
            return Err((format!("frame {frame} of {} frames", layout.frames), "one that is there".into()));
        }
        None if layout.frames == 1 => 0,
        None => {
            let expected = "frame = N in [[data]], the number of the frame to read from 0".to_string();
            return Err((format!("a DICOM file of {} frames", layout.frames), expected));
        }
    };
    let own = Frame::of(&file, frame);
    let meaning = Meaning::of(&own, &layout, reading)?;
    let samples = dicom_codecs::frame(&file, &syntax, &layout, frame)?;
    let (stored, peculiarities) =
        dicom_values::convert(samples, &layout, &meaning, dicom_values::padding(&own, &layout));
    let slope = dicom_values::slope(&own).filter(|_| matches!(meaning, dicom_values::Meaning::Stored));
    Ok(Picture {
        size: layout.size,
        channels: layout.channels,
        stored,
        peculiarities,
        about: about(&own),
        slope,
    })
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// A whole number of an element.
pub(super) fn whole(object: &InMemDicomObject, tag: Tag) -> Option<u32> {
    object.get(tag)?.to_int::<u32>().ok()
}

impl Layout {
    fn of(object: &InMemDicomObject) -> Refused<Self> {
        let needed = |tag: Tag, name: &str| {
            whole(object, tag).ok_or_else(|| (format!("no {name}"), "a DICOM image".to_string()))
        };
        let size = [needed(Tag(0x0028, 0x0010), "Rows")?, needed(Tag(0x0028, 0x0011), "Columns")?];
        let channels = whole(object, Tag(0x0028, 0x0002)).unwrap_or(1);
        let bits_allocated = needed(Tag(0x0028, 0x0100), "BitsAllocated")?;
        let bits_stored = whole(object, Tag(0x0028, 0x0101)).unwrap_or(bits_allocated);
        let high_bit = whole(object, Tag(0x0028, 0x0102)).unwrap_or(bits_stored.saturating_sub(1));
        let whole_file = Frame::of(object, 0);
        let photometric = whole_file.text(Tag(0x0028, 0x0004)).unwrap_or_default();
        let layout = Self {
            size: size.map(|side| side as usize),
            channels: channels as usize,
            bits_allocated,
            bits_stored,
            high_bit,
            signed: whole(object, Tag(0x0028, 0x0103)) == Some(1),
            planes: whole(object, Tag(0x0028, 0x0006)) == Some(1),
            frames: whole_file.text(Tag(0x0028, 0x0008)).and_then(|n| n.parse().ok()).unwrap_or(1).max(1),
            photometric,
        };
        let grey = matches!(layout.photometric.as_str(), "MONOCHROME1" | "MONOCHROME2") && channels == 1;
        let colour = ["RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT"]
            .contains(&layout.photometric.as_str())
            && channels == 3
            && bits_allocated == 8;
        if !grey && !colour {
            let found = format!("{} of {channels} samples and {bits_allocated} bits", layout.photometric);
            let mend = match layout.photometric.as_str() {
                "PALETTE COLOR" => "; of a palette pydicom makes RGB: apply_color_lut(ds.pixel_array, ds)",
                _ => "",
            };
            return Err((found, format!("MONOCHROME1, MONOCHROME2, or RGB or YBR of 8 bits{mend}")));
        }
        let bits_fit = matches!(bits_allocated, 8 | 16)
            && (1..=bits_allocated).contains(&bits_stored)
            && (bits_stored - 1..bits_allocated).contains(&high_bit);
        if !bits_fit {
            let found = format!("{bits_stored} bits up to bit {high_bit} of {bits_allocated}");
            return Err((found, "8 or 16 bits allocated that hold those stored".into()));
        }
        Ok(layout)
    }
}

fn about(frame: &Frame) -> BTreeMap<&'static str, String> {
    let value = |(name, tags): &(&'static str, &[Tag])| {
        let text = tags.iter().find_map(|tag| frame.text(*tag))?;
        Some((*name, if *name == "age" { crate::data::bins::years_text(&text) } else { text }))
    };
    ABOUT.iter().filter_map(value).collect()
}
