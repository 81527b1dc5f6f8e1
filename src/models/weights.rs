//! Named tensors from and to safetensors files, in PyTorch's layouts.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use half::{bf16, f16};
use memmap2::Mmap;
use safetensors::Dtype;
use sha2::{Digest, Sha256};

use super::header::{Entry, Header};
use super::{Config, shards};
use crate::{Error, Result};

/// A tensor as its file holds it, widened to f32.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTensor {
    /// PyTorch's shape.
    pub shape: Vec<usize>,
    /// Row-major values, finite.
    pub data: Vec<f32>,
}

/// All tensors of a model.
#[derive(Debug, Default)]
pub struct Weights {
    /// By name.
    pub tensors: BTreeMap<String, WeightTensor>,
    /// The file's string metadata.
    pub metadata: BTreeMap<String, String>,
    /// Tensors in the layout of the kernels, made once so that every program shares one copy.
    prepared: Mutex<HashMap<String, Arc<Vec<f32>>>>,
}

impl Weights {
    /// Weights from tensors in memory.
    pub fn new(tensors: BTreeMap<String, WeightTensor>) -> Self {
        Self { tensors, ..Self::default() }
    }

    /// Reads a model folder's tensors: `model.safetensors`, or else the files that `model.safetensors.index.json` names. Also returns the
    /// file that errors about them should name.
    ///
    /// # Errors
    /// Neither file; as [`Self::read`] and, for an index, a file that is missing or whose tensors are not those that the index says.
    pub fn read_folder(folder: &Path) -> Result<(Self, PathBuf)> {
        let (file, index) = (folder.join("model.safetensors"), folder.join(shards::INDEX));
        match !file.is_file() && index.is_file() {
            true => Ok((shards::read(&index)?, index)),
            false => Ok((Self::read(&file)?, file)),
        }
    }

    /// Reads a safetensors file of f32, f16, bf16 or f64 tensors. Buffers that no model here computes with are skipped: step counters of
    /// batch norm, other single whole numbers, position numbers, torchxrayvision's `op_threshs`.
    ///
    /// The file is mapped, not read: only the widened tensors take memory.
    ///
    /// # Errors
    /// A file that is truncated or whose header lies (offsets out of range, overlapping, unknown dtype), or a value that is
    /// not finite, with the tensor and position.
    pub fn read(path: &Path) -> Result<Self> {
        let name = path.display().to_string();
        let file = crate::files::open(path)?;
        // SAFETY: sound while nobody changes the file: cut off, the system ends the process; overwritten, old and new values mix.
        let bytes = unsafe { Mmap::map(&file) }.map_err(Error::io(path))?;
        Self::parse(&bytes, &name)
    }

    /// As [`Self::read`], of a file's bytes; `file` names it in errors.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let Header { metadata, tensors: entries } = Header::parse(bytes, file)?;
        let mut tensors = BTreeMap::new();
        for (name, Entry { dtype, shape, bytes: range }) in entries {
            // A single whole number is a count (of batches, averaged copies, a metric's answers), of which no model here is made.
            let is_count = shape.is_empty() && matches!(dtype, "I64" | "I32" | "U64" | "U32");
            if is_skipped(&name) || is_count {
                continue;
            }
            let data = widen(dtype, &bytes[range]).ok_or_else(|| {
                let found = format!("dtype {dtype}");
                Error::input(file, format!("tensor {name}"), found, "F32, F16, BF16 or F64")
            })?;
            if let Some(position) = data.iter().position(|value| !value.is_finite()) {
                let place = format!("tensor {name}, element {position}");
                return Err(Error::input(file, place, data[position], "a finite number"));
            }
            tensors.insert(name, WeightTensor { shape, data });
        }
        Ok(Self { tensors, metadata, ..Self::default() })
    }

    /// Writes a safetensors file of f32 tensors, whole or not at all.
    pub fn write(&self, path: &Path) -> Result<()> {
        let views: Vec<(String, safetensors::tensor::TensorView)> = self
            .tensors
            .iter()
            .map(|(name, tensor)| {
                let bytes: &[u8] = bytemuck::cast_slice(&tensor.data);
                safetensors::tensor::TensorView::new(Dtype::F32, tensor.shape.clone(), bytes)
                    .map(|view| (name.clone(), view))
                    .map_err(|e| Error::Failed(format!("tensor {name}: {e}")))
            })
            .collect::<Result<_>>()?;
        let metadata = (!self.metadata.is_empty()).then(|| self.metadata.clone().into_iter().collect());
        let bytes = safetensors::serialize(views, metadata).map_err(|e| Error::Failed(e.to_string()))?;
        write_whole(path, &bytes)
    }

    /// SHA-256 over the configuration's meaning and all tensors.
    pub fn sha256(&self, config: &Config) -> String {
        let mut hash = Sha256::new();
        let meaning = Config { training: None, ..config.clone() };
        hash.update(serde_json::to_vec(&meaning).unwrap_or_default());
        for (name, tensor) in &self.tensors {
            hash.update(name.as_bytes());
            hash.update(format!("{:?}", tensor.shape));
            hash.update(bytemuck::cast_slice::<f32, u8>(&tensor.data));
        }
        hex(&hash.finalize())
    }

    /// Adds a tensor, or puts it in the place of the one of this name.
    pub(super) fn insert(&mut self, name: &str, tensor: WeightTensor) {
        self.tensors.insert(name.to_string(), tensor);
        self.forget();
    }

    /// Drops the tensors that `wanted` does not want.
    pub(super) fn keep(&mut self, wanted: impl Fn(&str) -> bool) {
        self.tensors.retain(|name, _| wanted(name));
        self.forget();
    }

    /// Drops what was made of the tensors: it is made again where it is asked for.
    fn forget(&mut self) {
        self.prepared.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// The tensor `key`, made by `make` the first time.
    pub(super) fn prepared(&self, key: &str, make: impl FnOnce(&Self) -> Vec<f32>) -> Arc<Vec<f32>> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = prepared.get(key) {
            return known.clone();
        }
        let made = Arc::new(make(self));
        prepared.insert(key.to_string(), made.clone());
        made
    }
}

/// Writes a file aside and renames it: whoever looks finds all of it or none.
///
/// # Errors
/// [`Error::Io`] naming the file.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Temporary files are private by default; what is published is as readable as any other file.
    let mut builder = tempfile::Builder::new();
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644));
    let mut temporary = builder.tempfile_in(folder).map_err(Error::io(folder))?;
    std::io::Write::write_all(&mut temporary, bytes).map_err(Error::io(path))?;
    temporary.as_file().sync_all().map_err(Error::io(path))?;
    temporary.persist(path).map_err(|e| Error::io(path)(e.error))?;
    Ok(())
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Buffers beside the parameters that no model here computes with.
const SKIPPED: [&str; 6] =
    ["num_batches_tracked", "position_ids", "op_threshs", "n_averaged", "initted", "step"];

/// Whether a tensor of this name is left in its file.
pub(super) fn is_skipped(name: &str) -> bool {
    name.rsplit('.').next().is_some_and(|last| SKIPPED.contains(&last))
}

fn widen(dtype: &str, bytes: &[u8]) -> Option<Vec<f32>> {
    Some(match dtype {
        "F32" => bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
        "F16" => bytes.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        "BF16" => bytes.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        "F64" => bytes
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes([b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7]]) as f32)
            .collect(),
        _ => return None,
    })
}
