//! The lengths that a DICOM file states, looked at before anything is allocated for them.

use std::borrow::Cow;
use std::io::Read;

use super::Refused;

/// Bytes of the preamble and of `DICM`.
const BEGIN: usize = 132;
const SEQUENCE_ITEM: u16 = 0xfffe;
const UNDEFINED: u32 = u32::MAX;
/// Value representations whose length takes two bytes; of all others, unknown ones among them, it takes four.
const SHORT: [&[u8; 2]; 21] = [
    b"AE", b"AS", b"AT", b"CS", b"DA", b"DS", b"DT", b"FD", b"FL", b"IS", b"LO", b"LT", b"PN", b"SH", b"SL",
    b"SS", b"ST", b"TM", b"UI", b"UL", b"US",
];

/// Walks the elements of a file in the order in which they stand, into its sequences.
pub(super) fn check(bytes: &[u8]) -> Refused<()> {
    let meta = Layout { explicit: true, big: false };
    let mut at = BEGIN;
    let mut syntax = Vec::new();
    while let Some(element) = Element::at(bytes, at, meta).filter(|element| element.group == 2) {
        let value = element.value(bytes)?;
        if element.element == 0x0010 {
            syntax = value.iter().copied().filter(|byte| !matches!(byte, 0 | b' ')).collect();
        }
        at = element.start + value.len();
    }
    match syntax.as_slice() {
        b"1.2.840.10008.1.2" => elements(bytes, at, Layout { explicit: false, big: false }),
        b"1.2.840.10008.1.2.2" => elements(bytes, at, Layout { explicit: true, big: true }),
        b"1.2.840.10008.1.2.1.99" => {
            let mut inflated = Vec::new();
            let stream = flate2::read::DeflateDecoder::new(bytes.get(at..).unwrap_or_default());
            stream
                .take(super::MAX_BYTES)
                .read_to_end(&mut inflated)
                .map_err(|error| (error.to_string(), "an undamaged deflated DICOM file".to_string()))?;
            elements(&inflated, 0, meta)
        }
        _ => elements(bytes, at, meta),
    }
}

/// The file with a true length of its first group, which some writers leave out or count wrongly and readers need not.
pub(super) fn with_group_length(bytes: &[u8]) -> Cow<'_, [u8]> {
    let meta = Layout { explicit: true, big: false };
    let stated = Element::at(bytes, BEGIN, meta)
        .filter(|first| (first.group, first.element, first.length) == (2, 0, 4));
    let start = stated.as_ref().map_or(BEGIN, |first| first.start + 4);
    let mut end = start;
    while let Some(element) = Element::at(bytes, end, meta).filter(|element| element.group == 2) {
        let Ok(value) = element.value(bytes) else { return Cow::Borrowed(bytes) };
        end = element.start + value.len();
    }
    let Ok(length) = u32::try_from(end - start) else { return Cow::Borrowed(bytes) };
    let length = length.to_le_bytes();
    if end == start || stated.is_some() && bytes[start - 4..start] == length {
        return Cow::Borrowed(bytes);
    }
    let group_length = [&[2, 0, 0, 0, b'U', b'L', 4, 0][..], &length].concat();
    Cow::Owned([&bytes[..BEGIN], &group_length, &bytes[start..]].concat())
}

/// How elements are written.
#[derive(Clone, Copy)]
struct Layout {
    /// Their kinds of values are.
    explicit: bool,
    /// Big-endian.
    big: bool,
}

fn elements(bytes: &[u8], mut at: usize, layout: Layout) -> Refused<()> {
    while let Some(element) = Element::at(bytes, at, layout) {
        let holds_elements =
            element.length == UNDEFINED || element.sequence || element.group == SEQUENCE_ITEM;
        let pixels = element.group == 0x7fe0 && element.length == UNDEFINED;
        at = match (pixels, holds_elements) {
            (true, _) => return fragments(bytes, element.start),
            (false, true) => element.start,
            (false, false) => element.start + element.value(bytes)?.len(),
        };
    }
    Ok(())
}

/// Fragments of compressed pixels, which are always little-endian.
fn fragments(bytes: &[u8], mut at: usize) -> Refused<()> {
    while let Some(item) = Element::at(bytes, at, Layout { explicit: false, big: false }) {
        if item.element == 0xe0dd {
            return Ok(());
        }
        at = item.start + item.value(bytes)?.len();
    }
    Ok(())
}

struct Element {
    group: u16,
    element: u16,
    /// A sequence of a stated length.
    sequence: bool,
    length: u32,
    /// Where its value begins.
    start: usize,
}

impl Element {
    fn at(bytes: &[u8], at: usize, layout: Layout) -> Option<Self> {
        let Layout { explicit, big } = layout;
        let two = |at: usize| {
            let two = bytes.get(at..at + 2)?.try_into().ok()?;
            Some(if big { u16::from_be_bytes(two) } else { u16::from_le_bytes(two) })
        };
        let four = |at: usize| {
            let four = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(if big { u32::from_be_bytes(four) } else { u32::from_le_bytes(four) })
        };
        let (group, element) = (two(at)?, two(at + 2)?);
        if !explicit || group == SEQUENCE_ITEM {
            return Some(Self { group, element, sequence: false, length: four(at + 4)?, start: at + 8 });
        }
        let kind: &[u8; 2] = bytes.get(at + 4..at + 6)?.try_into().ok()?;
        let (length, start) = match SHORT.contains(&kind) {
            true => (u32::from(two(at + 6)?), at + 8),
            false => (four(at + 8)?, at + 12),
        };
        Some(Self { group, element, sequence: kind == b"SQ", length, start })
    }

    fn value<'b>(&self, bytes: &'b [u8]) -> Refused<&'b [u8]> {
        let rest = bytes.get(self.start..).unwrap_or_default();
        rest.get(..self.length as usize).ok_or_else(|| {
            let found = format!(
                "element ({:04x},{:04x}) of {} bytes where {} are left",
                self.group,
                self.element,
                self.length,
                rest.len()
            );
            (found, "an undamaged DICOM file".to_string())
        })
    }
}
