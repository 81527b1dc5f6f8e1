//! The lengths that a DICOM file states, looked at before anything is allocated for them.

use super::Refused;

const SEQUENCE_ITEM: u16 = 0xfffe;
const UNDEFINED: u32 = u32::MAX;
/// Value representations whose length takes four bytes.
const LONG: [&[u8; 2]; 13] =
    [b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"];

/// Walks the elements of a little-endian file in the order in which they stand, into its sequences. Others are deflated or rare: their
/// elements are not looked at.
pub(super) fn check(bytes: &[u8]) -> Refused<()> {
    let mut at = 132;
    let mut syntax = Vec::new();
    while let Some(element) = Element::at(bytes, at, true).filter(|element| element.group == 2) {
        let value = element.value(bytes)?;
        if element.element == 0x0010 {
            syntax = value.iter().copied().filter(|byte| !matches!(byte, 0 | b' ')).collect();
        }
        at = element.start + value.len();
    }
    let explicit = match syntax.as_slice() {
        b"1.2.840.10008.1.2" => false,
        b"1.2.840.10008.1.2.1.99" | b"1.2.840.10008.1.2.2" => return Ok(()),
        _ => true,
    };
    while let Some(element) = Element::at(bytes, at, explicit) {
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

fn fragments(bytes: &[u8], mut at: usize) -> Refused<()> {
    while let Some(item) = Element::at(bytes, at, false) {
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
    fn at(bytes: &[u8], at: usize, explicit: bool) -> Option<Self> {
        let two = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let four = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        let (group, element) = (two(at)?, two(at + 2)?);
        if !explicit || group == SEQUENCE_ITEM {
            return Some(Self { group, element, sequence: false, length: four(at + 4)?, start: at + 8 });
        }
        let kind: &[u8; 2] = bytes.get(at + 4..at + 6)?.try_into().ok()?;
        let (length, start) = match LONG.contains(&kind) {
            true => (four(at + 8)?, at + 12),
            false => (u32::from(two(at + 6)?), at + 8),
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
