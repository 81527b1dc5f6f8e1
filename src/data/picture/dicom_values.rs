//! What the stored numbers of a DICOM file mean: values in their unit, or pixels as a viewer shows them.

use dicom_object::{InMemDicomObject, Tag};

use super::dicom::Layout;
use super::dicom_frames::{Frame, numbers};
use super::{Reading, Refused, Stored};

/// What the values of DICOM files shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// Pixels from 0 to 255, as a viewer shows them: rescaled, windowed, MONOCHROME1 inverted.
    Window,
    /// Slope and intercept applied and nothing else: Hounsfield units of a CT.
    Rescaled,
    /// Pixels from 0 to 255: the stored numbers, the largest that their bits can hold being 255, MONOCHROME1 inverted.
    Stored,
}

impl Values {
    /// All names.
    pub const NAMES: [&'static str; 3] = ["window", "rescaled", "stored"];

    /// By its name.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "window" => Self::Window,
            "rescaled" => Self::Rescaled,
            "stored" => Self::Stored,
            _ => return None,
        })
    }
}

/// What becomes of a stored number.
pub(super) enum Meaning {
    /// Colour: bytes as they are.
    Colour,
    Stored,
    Rescaled {
        rescale: Rescale,
        unit: String,
    },
    Window {
        rescale: Rescale,
        shown: Shown,
    },
}

pub(super) enum Rescale {
    Line { slope: f64, intercept: f64 },
    Lut(Lut),
}

/// From rescaled values to what is shown, 0 to 1.
pub(super) enum Shown {
    Window { function: Function, centre: f64, width: f64, several: bool },
    Lut(Lut),
}

#[derive(Clone, Copy)]
pub(super) enum Function {
    Linear,
    LinearExact,
    Sigmoid,
}

/// A table of values, of the first number and those after it.
pub(super) struct Lut {
    first: f64,
    /// The largest number that its bits can hold.
    most: f64,
    entries: Vec<u16>,
}

impl Meaning {
    pub(super) fn of(frame: &Frame, layout: &Layout, reading: &Reading) -> Refused<Self> {
        if layout.channels == 3 {
            return Ok(Self::Colour);
        }
        let Some(values) = reading.values else {
            let expected = "a line in [[data]] that says what its numbers shall be: values = \"window\" (pixels from 0 to 255 as a viewer \
                            shows them), values = \"rescaled\" (slope and intercept applied: Hounsfield units of a CT) or values = \"stored\" \
                            (stored numbers, scaled to 0 to 255)";
            return Err(("a DICOM file".into(), expected.into()));
        };
        match values {
            Values::Stored if layout.signed => {
                Err(("signed numbers, which have no range of pixels".into(), others(frame, layout)))
            }
            Values::Stored => Ok(Self::Stored),
            Values::Rescaled if inverted(layout) => {
                let found = "MONOCHROME1, whose large values are dark".to_string();
                Err((found, format!("what inverts it: {}", others(frame, layout))))
            }
            Values::Rescaled => Ok(Self::Rescaled { rescale: rescale(frame, layout)?, unit: unit(frame) }),
            Values::Window if !inverted(layout) && is_turned(frame) => {
                let found =
                    "MONOCHROME2 with a PresentationLUTShape of INVERSE, which viewers show in two ways";
                let expected = "the wrong one of the two mended: with pydicom del ds.PresentationLUTShape where large numbers are bright, else \
                                ds.PhotometricInterpretation = \"MONOCHROME1\"; or values = \"rescaled\", which looks at neither";
                Err((found.into(), expected.into()))
            }
            Values::Window => {
                let rescale = rescale(frame, layout)?;
                let shown = shown(frame, layout, reading, &rescale)?;
                Ok(Self::Window { rescale, shown })
            }
        }
    }
}

/// Whether large numbers are dark.
fn inverted(layout: &Layout) -> bool {
    layout.photometric == "MONOCHROME1"
}

/// Whether the file says so in another place, where it has to say the same.
fn is_turned(frame: &Frame) -> bool {
    frame.text(Tag(0x2050, 0x0020)).as_deref() == Some("INVERSE")
}

/// The number that fills what lies outside of the field that was imaged.
pub(super) fn padding(frame: &Frame, layout: &Layout) -> Option<i32> {
    let value = frame.get(Tag(0x0028, 0x0120))?.to_int::<i32>().ok()?;
    Some(if layout.signed && value > 32767 { value - 65536 } else { value })
}

/// The readings that such a file allows, as lines of `[[data]]`.
fn others(frame: &Frame, layout: &Layout) -> String {
    let windowed = [Tag(0x0028, 0x1050), Tag(0x0028, 0x3010)].iter().any(|tag| frame.get(*tag).is_some());
    let window = if windowed {
        "values = \"window\""
    } else {
        "values = \"window\" with window = [CENTRE, WIDTH], in rescaled values (the file states none)"
    };
    let rescaled = (!inverted(layout)).then_some("values = \"rescaled\"");
    let stored = (!layout.signed).then_some("values = \"stored\"");
    [Some(window), rescaled, stored].into_iter().flatten().collect::<Vec<_>>().join(" or ")
}

fn rescale(frame: &Frame, layout: &Layout) -> Refused<Rescale> {
    if let Some(item) = frame.first_item(Tag(0x0028, 0x3000)) {
        return Ok(Rescale::Lut(Lut::of(item, layout.signed)?));
    }
    let stored = if layout.signed { "" } else { ", or values = \"stored\"" };
    match (slope(frame), frame.numbers(Tag(0x0028, 0x1052))) {
        (None, None) => Ok(Rescale::Line { slope: 1.0, intercept: 0.0 }),
        (Some(0.0), _) => Err(("a RescaleSlope of 0".into(), "one that values can be told apart by".into())),
        (Some(slope), Some(intercept)) => Ok(Rescale::Line { slope, intercept: intercept[0] }),
        (Some(_), None) => {
            let expected = format!("both: with pydicom ds.RescaleIntercept = 0, ds.save_as(..){stored}");
            Err(("a RescaleSlope without a RescaleIntercept".into(), expected))
        }
        (None, Some(_)) => {
            let expected = format!("both: with pydicom ds.RescaleSlope = 1, ds.save_as(..){stored}");
            Err(("a RescaleIntercept without a RescaleSlope".into(), expected))
        }
    }
}

/// What one step of the stored numbers is in the file's unit, where it says that.
pub(super) fn slope(frame: &Frame) -> Option<f64> {
    frame.numbers(Tag(0x0028, 0x1053)).map(|values| values[0])
}

fn unit(frame: &Frame) -> String {
    if slope(frame).is_none() && frame.get(Tag(0x0028, 0x3000)).is_none() {
        return "value".into();
    }
    let stated = [Tag(0x0028, 0x1054), Tag(0x0054, 0x1001)].iter().find_map(|tag| frame.text(*tag));
    match (stated.as_deref(), frame.text(Tag(0x0008, 0x0060)).as_deref()) {
        (Some("HU"), _) | (None, Some("CT")) => "HU".into(),
        (Some("US") | None, _) => "value".into(),
        (Some(unit), _) => unit.into(),
    }
}

fn shown(frame: &Frame, layout: &Layout, reading: &Reading, rescale: &Rescale) -> Refused<Shown> {
    let function = match frame.text(Tag(0x0028, 0x1056)).as_deref() {
        None | Some("LINEAR") => Function::Linear,
        Some("LINEAR_EXACT") => Function::LinearExact,
        Some("SIGMOID") => Function::Sigmoid,
        Some(other) => {
            return Err((format!("a window of kind {other}"), "LINEAR, LINEAR_EXACT or SIGMOID".into()));
        }
    };
    if let Some([centre, width]) = reading.window {
        return Ok(Shown::Window { function: Function::Linear, centre, width, several: false });
    }
    if let Some(item) = frame.first_item(Tag(0x0028, 0x3010)) {
        let [low, _] = rescale.range(layout);
        return Ok(Shown::Lut(Lut::of(item, low < 0.0)?));
    }
    let (centre, width) = (frame.numbers(Tag(0x0028, 0x1050)), frame.numbers(Tag(0x0028, 0x1051)));
    let (Some(centre), Some(width)) = (centre, width) else {
        return Err(("a DICOM file that states no window".into(), others(frame, layout)));
    };
    let least = if matches!(function, Function::Linear) { 1.0 } else { f64::MIN_POSITIVE };
    if width[0] < least {
        let expected = "a wider one: window = [CENTRE, WIDTH] in [[data]]".to_string();
        return Err((format!("a window of width {}", width[0]), expected));
    }
    Ok(Shown::Window { function, centre: centre[0], width: width[0], several: centre.len() > 1 })
}

impl Lut {
    fn of(item: &InMemDicomObject, signed: bool) -> Refused<Self> {
        let bad = || ("a table of values (LUT) of another kind".to_string(), "one of 16 bits".to_string());
        let descriptor =
            item.get(Tag(0x0028, 0x3002)).and_then(numbers).filter(|d| d.len() == 3).ok_or_else(bad)?;
        let data = item.get(Tag(0x0028, 0x3006)).ok_or_else(bad)?;
        let entries: Vec<u16> = match data.value().uint16_slice() {
            Ok(words) => words.to_vec(),
            Err(_) => data.to_multi_int::<u16>().map_err(|_| bad())?,
        };
        // 2^16 entries are written as 0, and signed numbers in unsigned words.
        let count = if descriptor[0] == 0.0 { 65536 } else { descriptor[0] as usize };
        let first = descriptor[1] - if signed && descriptor[1] > 32767.0 { 65536.0 } else { 0.0 };
        let bits = descriptor[2] as u32;
        if entries.len() != count || !(8..=16).contains(&bits) {
            return Err(bad());
        }
        Ok(Self { first, most: f64::from((1u32 << bits) - 1), entries })
    }

    fn at(&self, value: f64) -> f64 {
        let place = (value - self.first).round().clamp(0.0, (self.entries.len() - 1) as f64);
        f64::from(self.entries[place as usize])
    }
}

impl Rescale {
    fn of(&self, stored: i32) -> f64 {
        match self {
            Self::Line { slope, intercept } => f64::from(stored) * slope + intercept,
            Self::Lut(lut) => lut.at(f64::from(stored)),
        }
    }

    /// The smallest and largest value that a file of this kind can hold.
    fn range(&self, layout: &Layout) -> [f64; 2] {
        if let Self::Lut(lut) = self {
            return [0.0, lut.most];
        }
        let [low, high] = stored_range(layout).map(|stored| self.of(stored));
        [low.min(high), low.max(high)]
    }
}

fn stored_range(layout: &Layout) -> [i32; 2] {
    match (layout.signed, layout.bits_stored) {
        (true, bits) => [-(1 << (bits - 1)), (1 << (bits - 1)) - 1],
        (false, bits) => [0, ((1u32 << bits) - 1) as i32],
    }
}

impl Shown {
    /// PS3.3 C.11.2.
    fn of(&self, x: f64) -> f64 {
        match self {
            Self::Lut(lut) => lut.at(x) / lut.most,
            Self::Window { function: Function::Linear, centre, width, .. } => {
                let (c, w) = (centre - 0.5, width - 1.0);
                match x {
                    x if x <= c - w / 2.0 => 0.0,
                    x if x > c + w / 2.0 => 1.0,
                    x => (x - c) / w + 0.5,
                }
            }
            Self::Window { function: Function::LinearExact, centre, width, .. } => {
                ((x - centre) / width + 0.5).clamp(0.0, 1.0)
            }
            Self::Window { function: Function::Sigmoid, centre, width, .. } => {
                1.0 / (1.0 + (-4.0 * (x - centre) / width).exp())
            }
        }
    }
}

/// The values of a frame, and what is to be told of it.
pub(super) fn convert(
    samples: Vec<i32>,
    layout: &Layout,
    meaning: &Meaning,
    padding: Option<i32>,
) -> (Stored, Vec<&'static str>) {
    let inverted = inverted(layout);
    let mut peculiarities = Vec::new();
    if padding.is_some_and(|padding| samples.contains(&padding)) {
        peculiarities
            .push("padding around what was imaged (PixelPaddingValue), which is read as any other number");
    }
    if inverted {
        peculiarities.push("MONOCHROME1, which is inverted");
    }
    let pixel = |shown: f64| (255.0 * if inverted { 1.0 - shown } else { shown }) as f32;
    let stored = match meaning {
        Meaning::Colour => Stored::Bytes(samples.into_iter().map(|value| value as u8).collect()),
        Meaning::Stored => {
            let most = f64::from(stored_range(layout)[1]);
            Stored::Pixels(samples.into_iter().map(|value| pixel(f64::from(value) / most)).collect())
        }
        Meaning::Window { rescale, shown } => {
            if matches!(shown, Shown::Window { several: true, .. }) {
                peculiarities.push("several windows, the first of which is taken");
            }
            if matches!(shown, Shown::Lut(_)) {
                peculiarities.push("a table of grey levels (VOI LUT), which is taken for the window");
            }
            Stored::Pixels(samples.into_iter().map(|value| pixel(shown.of(rescale.of(value)))).collect())
        }
        Meaning::Rescaled { rescale, unit } => Stored::Physical {
            values: samples.into_iter().map(|value| rescale.of(value) as f32).collect(),
            unit: unit.clone(),
            bounds: rescale.range(layout).map(|bound| bound as f32),
        },
    };
    (stored, peculiarities)
}
