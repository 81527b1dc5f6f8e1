//! Where a DICOM file says what its numbers mean: for the whole file, or in an enhanced one for all frames and for each of them.

use dicom_object::mem::InMemElement;
use dicom_object::{InMemDicomObject, Tag};

/// Functional groups that all frames share, and those of each frame.
const SHARED: Tag = Tag(0x5200, 0x9229);
const EACH: Tag = Tag(0x5200, 0x9230);
/// The groups that say what numbers mean: slope and intercept, window, spacing.
const GROUPS: [Tag; 3] = [Tag(0x0028, 0x9145), Tag(0x0028, 0x9132), Tag(0x0028, 0x9110)];

/// The elements that are about one frame.
pub(super) struct Frame<'o> {
    /// From the frame's own to the file's.
    layers: Vec<&'o InMemDicomObject>,
}

impl<'o> Frame<'o> {
    /// Of frame `number` of a file.
    pub(super) fn of(object: &'o InMemDicomObject, number: u32) -> Self {
        let item = |tag: Tag, at: usize| {
            object.get(tag).and_then(InMemElement::items).and_then(|items| items.get(at))
        };
        let groups = [item(EACH, number as usize), item(SHARED, 0)];
        let within = |group: &'o InMemDicomObject| {
            GROUPS.iter().filter_map(move |tag| group.get(*tag)?.items()?.first())
        };
        let layers = groups.into_iter().flatten().flat_map(within).chain([object]).collect();
        Self { layers }
    }

    /// An element by what stands closest to the frame.
    pub(super) fn get(&self, tag: Tag) -> Option<&'o InMemElement> {
        self.layers.iter().find_map(|layer| layer.get(tag))
    }

    /// The text of an element, without padding; `None` where it is absent or empty.
    pub(super) fn text(&self, tag: Tag) -> Option<String> {
        let text = self.get(tag)?.to_str().ok()?;
        let text = text.trim_matches(['\0', ' ']).to_string();
        (!text.is_empty()).then_some(text)
    }

    /// The numbers of an element.
    pub(super) fn numbers(&self, tag: Tag) -> Option<Vec<f64>> {
        numbers(self.get(tag)?)
    }

    /// The first item of a sequence.
    pub(super) fn first_item(&self, tag: Tag) -> Option<&'o InMemDicomObject> {
        self.get(tag)?.items()?.first()
    }
}

/// An element's numbers, if all are finite.
pub(super) fn numbers(element: &InMemElement) -> Option<Vec<f64>> {
    let numbers = element.to_multi_float64().ok()?;
    (!numbers.is_empty() && numbers.iter().all(|number| number.is_finite())).then_some(numbers)
}
