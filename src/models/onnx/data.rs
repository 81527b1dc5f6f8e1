//! The data of initialisers: in the file itself, in files beside it, or in a safetensors file beside it under their names.

use std::collections::HashMap;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};

use super::constant::{Constant, Data};
use super::proto::TensorProto;
use crate::{Error, Result};

/// Why a tensor cannot be had.
type Lack = String;

/// Element types that are read, by their numbers in `TensorProto.DataType`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    F32,
    F16,
    Bf16,
    F64,
    /// Whole numbers of this many bytes.
    Signed(usize),
    Unsigned(usize),
    Bool,
}

impl Element {
    fn of(dtype: i64) -> Option<Self> {
        Some(match dtype {
            1 => Self::F32,
            2 => Self::Unsigned(1),
            3 => Self::Signed(1),
            4 => Self::Unsigned(2),
            5 => Self::Signed(2),
            6 => Self::Signed(4),
            7 => Self::Signed(8),
            9 => Self::Bool,
            10 => Self::F16,
            11 => Self::F64,
            12 => Self::Unsigned(4),
            13 => Self::Unsigned(8),
            16 => Self::Bf16,
            _ => return None,
        })
    }

    fn of_safetensors(dtype: Dtype) -> Option<Self> {
        Some(match dtype {
            Dtype::F32 => Self::F32,
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            Dtype::F64 => Self::F64,
            Dtype::I64 => Self::Signed(8),
            Dtype::I32 => Self::Signed(4),
            Dtype::I16 => Self::Signed(2),
            Dtype::I8 => Self::Signed(1),
            Dtype::U64 => Self::Unsigned(8),
            Dtype::U32 => Self::Unsigned(4),
            Dtype::U16 => Self::Unsigned(2),
            Dtype::U8 => Self::Unsigned(1),
            Dtype::BOOL => Self::Bool,
            _ => return None,
        })
    }

    fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::F64 => 8,
            Self::Signed(bytes) | Self::Unsigned(bytes) => bytes,
            Self::Bool => 1,
        }
    }

    /// Little-endian elements; the length is a multiple of an element's.
    fn decode(self, bytes: &[u8]) -> Data {
        let floats = |values: Vec<f32>| Data::Float(Arc::new(values));
        match self {
            Self::F32 => floats(bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()),
            Self::F16 => {
                floats(bytes.as_chunks().0.iter().map(|&b| f16::from_le_bytes(b).to_f32()).collect())
            }
            Self::Bf16 => {
                floats(bytes.as_chunks().0.iter().map(|&b| bf16::from_le_bytes(b).to_f32()).collect())
            }
            Self::F64 => floats(bytes.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b) as f32).collect()),
            Self::Bool => Data::Bool(Arc::new(bytes.iter().map(|&b| i64::from(b != 0)).collect())),
            Self::Signed(width) => {
                Data::Int(Arc::new(bytes.chunks_exact(width).map(|b| whole(b, true)).collect()))
            }
            Self::Unsigned(width) => {
                Data::Int(Arc::new(bytes.chunks_exact(width).map(|b| whole(b, false)).collect()))
            }
        }
    }
}

/// A little-endian whole number of up to eight bytes.
fn whole(bytes: &[u8], signed: bool) -> i64 {
    let negative = signed && bytes.last().is_some_and(|byte| *byte > 127);
    let mut wide = [if negative { 255 } else { 0 }; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    i64::from_le_bytes(wide)
}

/// Where the data of a model's tensors may lie.
pub(super) struct Sources {
    /// The model's folder; a model in memory has none.
    folder: Option<PathBuf>,
    /// Files beside the model, opened once.
    files: HashMap<String, std::fs::File>,
    /// The bytes of the safetensors file beside it, if there is one.
    beside: Option<Vec<u8>>,
}

/// The largest safetensors file that is read beside a model, in bytes.
const WEIGHTS_LIMIT: u64 = 64 << 30;

impl Sources {
    /// The files beside `model`; its weights may be in `model.safetensors` or under its own name with that ending.
    ///
    /// # Errors
    /// A safetensors file that cannot be read.
    pub(super) fn beside(model: &Path) -> Result<Self> {
        let folder = model.parent().unwrap_or(Path::new("")).to_path_buf();
        let candidates = [model.with_extension("safetensors"), folder.join("model.safetensors")];
        let beside = match candidates.iter().find(|path| path.is_file()) {
            Some(path) => {
                let bytes = crate::files::read_bytes(path, WEIGHTS_LIMIT)?;
                SafeTensors::deserialize(&bytes)
                    .map_err(|e| Error::input(path.display(), "header", e, "a whole safetensors file"))?;
                Some(bytes)
            }
            None => None,
        };
        Ok(Self { folder: Some(folder), files: HashMap::new(), beside })
    }

    /// A model in memory, with nothing beside it.
    pub(super) fn none() -> Self {
        Self { folder: None, files: HashMap::new(), beside: None }
    }

    /// A tensor of the safetensors file beside the model.
    pub(super) fn named(&self, name: &str) -> Option<Result<Constant, Lack>> {
        let file = SafeTensors::deserialize(self.beside.as_ref()?).ok()?;
        let view = file.tensor(name).ok()?;
        Some(match Element::of_safetensors(view.dtype()) {
            Some(element) => finished(view.shape().to_vec(), element.decode(view.data())),
            None => Err(format!("elements of type {:?}", view.dtype())),
        })
    }

    /// The tensor that a file describes.
    pub(super) fn tensor(&mut self, proto: &TensorProto) -> Result<Constant, Lack> {
        let dims = dims(proto)?;
        let len = dims.iter().product::<usize>();
        let element = Element::of(proto.dtype).ok_or_else(|| format!("elements of type {}", proto.dtype))?;
        let bytes = len.checked_mul(element.bytes()).ok_or("more elements than there can be")?;
        if proto.is_external {
            return finished(dims, element.decode(&self.external(proto, bytes)?));
        }
        if let Some(raw) = proto.raw {
            if raw.len() != bytes {
                return Err(format!("{} bytes of data for {bytes}", raw.len()));
            }
            return finished(dims, element.decode(raw));
        }
        let listed = listed(proto, element);
        let found = Constant { dims: vec![], data: listed.clone() }.len();
        if found == 0 && len > 0 {
            let named =
                self.named(proto.name).ok_or("no data, in this file or in model.safetensors beside it")??;
            return if named.dims == dims {
                Ok(named)
            } else {
                Err(format!("shape {:?} for {dims:?}", named.dims))
            };
        }
        if found != len {
            return Err(format!("{found} elements of data for {len}"));
        }
        finished(dims, listed)
    }

    /// The bytes of a tensor in another file.
    fn external(&mut self, proto: &TensorProto, bytes: usize) -> Result<Vec<u8>, Lack> {
        let entry = |key: &str| proto.external.iter().find(|(k, _)| *k == key).map(|(_, text)| *text);
        let number = |key: &str| match entry(key) {
            Some(text) => {
                text.parse::<u64>().map(Some).map_err(|_| format!("{key} {text:?} of its external data"))
            }
            None => Ok(None),
        };
        let location = entry("location").ok_or("external data without a location")?;
        let inside =
            Path::new(location).components().all(|c| matches!(c, Component::Normal(_) | Component::CurDir));
        let folder = self.folder.as_ref().filter(|_| inside && !location.is_empty());
        let Some(folder) = folder else {
            return Err(format!("external data in {location:?}, which is not in the model's folder"));
        };
        let (offset, length) = (number("offset")?.unwrap_or(0), number("length")?);
        if length.is_some_and(|length| length != bytes as u64) {
            return Err(format!("{} bytes of external data for {bytes}", length.unwrap_or(0)));
        }
        if !self.files.contains_key(location) {
            let path = folder.join(location);
            let file = crate::files::open(&path).map_err(|e| format!("external data {e}"))?;
            self.files.insert(location.to_string(), file);
        }
        let Some(file) = self.files.get_mut(location) else { return Err("no file".into()) };
        let broken = |e: std::io::Error| format!("external data {location}: {e}");
        let there = file.metadata().map_err(broken)?.len();
        if offset.checked_add(bytes as u64).is_none_or(|end| end > there) {
            return Err(format!("external data {location}: {there} bytes, too few for {bytes} at {offset}"));
        }
        let mut data = vec![0; bytes];
        file.seek(SeekFrom::Start(offset)).map_err(broken)?;
        file.read_exact(&mut data).map_err(broken)?;
        Ok(data)
    }
}

/// Axes whose product fits.
fn dims(proto: &TensorProto) -> Result<Vec<usize>, Lack> {
    let sizes: Option<Vec<usize>> = proto.dims.iter().map(|&size| usize::try_from(size).ok()).collect();
    let sizes = sizes.ok_or_else(|| format!("shape {:?}", proto.dims))?;
    let product = sizes.iter().try_fold(1usize, |product, &size| product.checked_mul(size.max(1)));
    match product {
        Some(product) if product <= 1 << 40 => Ok(sizes),
        _ => Err(format!("shape {sizes:?}")),
    }
}

/// Elements that are listed one by one.
fn listed(proto: &TensorProto, element: Element) -> Data {
    let bits = |wide: fn(u16) -> f32| {
        Data::Float(Arc::new(proto.ints.iter().map(|&bits| wide(bits as u16)).collect()))
    };
    match element {
        Element::F32 => Data::Float(Arc::new(proto.floats.clone())),
        Element::F64 => Data::Float(Arc::new(proto.doubles.iter().map(|&value| value as f32).collect())),
        Element::F16 => bits(|bits| f16::from_bits(bits).to_f32()),
        Element::Bf16 => bits(|bits| bf16::from_bits(bits).to_f32()),
        Element::Bool => {
            Data::Bool(Arc::new(proto.ints.iter().map(|&value| i64::from(value != 0)).collect()))
        }
        _ => Data::Int(Arc::new(proto.ints.clone())),
    }
}

/// Masks may hold infinities, but nothing is computed with what is no number.
fn finished(dims: Vec<usize>, data: Data) -> Result<Constant, Lack> {
    match &data {
        Data::Float(values) if values.iter().any(|value| value.is_nan()) => Err("a value that is NaN".into()),
        _ => Ok(Constant { dims, data }),
    }
}
