//! The header of a safetensors file: names, types, shapes and places of its tensors, checked against the bytes that there are.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::{Error, Result};

/// Bytes of the number that a file begins with: the header's length.
const PREFIX: usize = 8;
/// The format's own limit of a header.
const LONGEST: u64 = 100_000_000;
/// Bytes of a value of every type that the format knows and that fills whole bytes.
const TYPES: [(&str, usize); 16] = [
    ("F32", 4),
    ("F16", 2),
    ("BF16", 2),
    ("F64", 8),
    ("I64", 8),
    ("I32", 4),
    ("I16", 2),
    ("I8", 1),
    ("U64", 8),
    ("U32", 4),
    ("U16", 2),
    ("U8", 1),
    ("BOOL", 1),
    ("F8_E4M3", 1),
    ("F8_E5M2", 1),
    ("C64", 8),
];

/// Where a tensor lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Its type, as the format spells it.
    pub(super) dtype: &'static str,
    /// PyTorch's shape.
    pub(super) shape: Vec<usize>,
    /// Its bytes within the file.
    pub(super) bytes: Range<usize>,
}

/// What a header says, once it is known to be true.
#[derive(Debug, Default)]
pub(super) struct Header {
    /// The file's string metadata.
    pub(super) metadata: BTreeMap<String, String>,
    /// Tensors by name: they fill what follows the header, with neither gaps nor overlaps.
    pub(super) tensors: BTreeMap<String, Entry>,
}

impl Header {
    /// Reads the header of a file that holds `bytes`; nothing is allocated that the header's own length does not bound.
    ///
    /// # Errors
    /// A header that is cut off, is no JSON, or does not fit the bytes that follow it: the place says `header`, and the tensor where it
    /// is about one.
    pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let broken = |place: &str, found: String, expected: &str| Error::input(file, place, found, expected);
        let Some((prefix, rest)) = bytes.split_first_chunk::<PREFIX>() else {
            let found = format!("{} bytes", bytes.len());
            return Err(broken(
                "header",
                found,
                "a whole safetensors file, which begins with its header's length",
            ));
        };
        let length = u64::from_le_bytes(*prefix);
        if length > LONGEST || length > rest.len() as u64 {
            let found = format!("a length of {length} in a file of {} bytes", bytes.len());
            return Err(broken("header", found, "a whole safetensors file"));
        }
        let (text, data) = rest.split_at(length as usize);
        let entries: Entries = serde_json::from_slice(text).map_err(|e| {
            broken("header", e.to_string(), "a whole safetensors file, whose header is a JSON object")
        })?;
        let start = PREFIX + text.len();
        let mut header = Self::default();
        for (name, value) in entries.0 {
            if name == "__metadata__" {
                header.metadata = serde_json::from_value(value)
                    .map_err(|e| broken("header, __metadata__", e.to_string(), "texts by name"))?;
                continue;
            }
            let place = format!("header, tensor {name}");
            let entry = entry(&value, start, data.len())
                .map_err(|(found, expected)| Error::input(file, &place, found, expected))?;
            if header.tensors.insert(name, entry).is_some() {
                return Err(broken(&place, "the name a second time".into(), "every tensor once"));
            }
        }
        header.check_cover(start..bytes.len(), file)?;
        Ok(header)
    }

    /// Every byte belongs to one tensor: a file that was cut and one that hides something are refused alike.
    fn check_cover(&self, data: Range<usize>, file: &str) -> Result<()> {
        let mut order: Vec<(&String, &Entry)> = self.tensors.iter().collect();
        order.sort_by_key(|(_, entry)| (entry.bytes.start, entry.bytes.end));
        let mut at = data.start;
        for (name, entry) in order {
            if entry.bytes.start != at {
                let found = format!("data at {}", entry.bytes.start - data.start);
                let expected = format!("{}, where the tensor before it ends", at - data.start);
                return Err(Error::input(file, format!("header, tensor {name}"), found, expected));
            }
            at = entry.bytes.end;
        }
        if at != data.end {
            let found = format!("tensors of {} bytes, then {} more", at - data.start, data.end - at);
            return Err(Error::input(
                file,
                "header",
                found,
                "a whole safetensors file, which its tensors fill",
            ));
        }
        Ok(())
    }
}

/// A tensor's entry: `start` is where data begin in the file, `len` how many bytes of them there are.
fn entry(value: &Value, start: usize, len: usize) -> Result<Entry, (String, String)> {
    let known = || TYPES.map(|(name, _)| name).join(", ");
    let spelt = value.get("dtype").and_then(Value::as_str);
    let Some((dtype, size)) = spelt.and_then(|spelt| TYPES.into_iter().find(|(name, _)| *name == spelt))
    else {
        let found = value.get("dtype").map_or("no dtype".into(), |dtype| format!("dtype {dtype}"));
        return Err((found, known()));
    };
    let numbers = |key: &str| -> Option<Vec<usize>> {
        value.get(key)?.as_array()?.iter().map(|n| n.as_u64().and_then(|n| usize::try_from(n).ok())).collect()
    };
    let missing = |key: &str| {
        let found = value.get(key).map_or("nothing".into(), Value::to_string);
        (format!("{key} {found}"), "whole numbers that are not negative".to_string())
    };
    let shape = numbers("shape").ok_or_else(|| missing("shape"))?;
    let offsets = numbers("data_offsets").ok_or_else(|| missing("data_offsets"))?;
    let &[from, to] = offsets.as_slice() else {
        return Err((format!("data_offsets {offsets:?}"), "a first byte and an end".into()));
    };
    let bytes = shape.iter().try_fold(size, |product, &side| product.checked_mul(side));
    if from > to || to > len {
        return Err((
            format!("data_offsets {offsets:?}"),
            format!("a range of the {len} bytes that there are"),
        ));
    }
    if bytes != Some(to - from) {
        let found = format!("data_offsets {offsets:?}, {} bytes", to - from);
        let needed = bytes.map_or("more bytes than can be counted".into(), |bytes| format!("{bytes} bytes"));
        return Err((found, format!("{needed} for shape {shape:?} of {dtype}")));
    }
    Ok(Entry { dtype, shape, bytes: start + from..start + to })
}

/// A JSON object's entries as they stand, so that a name that occurs twice is seen.
struct Entries(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Entries;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}
