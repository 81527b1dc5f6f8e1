//! Weights in forms that only other programs can read: refused with the lines of Python that convert them.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::{Error, Result, files};

/// Who can read a file of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A pickle of tensors, or a whole model.
    PyTorch,
    /// HDF5 or an archive with a configuration and HDF5.
    Keras,
    /// A pickle of an estimator.
    ScikitLearn,
    /// A program of TensorFlow's.
    TensorFlow,
}

/// What a file is by its ending, and, where that says too little, by what is in it.
fn kind(path: &Path) -> Option<Kind> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "pt" | "pth" | "ckpt" | "bin" | "tar" => Some(Kind::PyTorch),
        "h5" | "hdf5" | "keras" => Some(Kind::Keras),
        "pkl" | "pickle" | "joblib" => {
            Some(if mentions(path, b"torch") { Kind::PyTorch } else { Kind::ScikitLearn })
        }
        "tflite" | "pb" => Some(Kind::TensorFlow),
        _ => None,
    }
}

/// Whether the first megabyte of a file holds these bytes.
fn mentions(path: &Path, wanted: &[u8]) -> bool {
    let mut start = Vec::new();
    let read = files::open(path).map(|file| file.take(1 << 20).read_to_end(&mut start));
    matches!(read, Ok(Ok(_))) && start.windows(wanted.len()).any(|window| window == wanted)
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::PyTorch => "weights as PyTorch saves them, a pickle",
            Self::Keras => "a model as Keras saves it",
            Self::ScikitLearn => "a pickle, as of scikit-learn",
            Self::TensorFlow => "a program of TensorFlow's",
        }
    }

    /// What makes a file of it that percuss reads, as lines of Python, and what has to stand beside.
    fn conversion(self, file: &str, target: &str) -> String {
        match self {
            Self::PyTorch => format!(
                "model.safetensors with a config.json beside it. From a file that you trust, these lines make it (pip install torch safetensors; for \
                 a model that was saved whole, import its class first):\n\
                 import torch, safetensors.torch\n\
                 state = torch.load({file:?}, map_location=\"cpu\", weights_only=False)\n\
                 holds = lambda part: hasattr(part, \"state_dict\") or isinstance(part, dict) and any(map(torch.is_tensor, part.values()))\n\
                 keys = (\"state_dict\", \"model_state_dict\", \"model\")\n\
                 state = state if holds(state) else next(filter(holds, [state[key] for key in keys if key in state] + list(state.values())))\n\
                 state = state.state_dict() if hasattr(state, \"state_dict\") else state\n\
                 safetensors.torch.save_file({{name: tensor.clone().contiguous() for name, tensor in state.items() if torch.is_tensor(tensor)}}, {:?})",
                format!("{target}model.safetensors")
            ),
            Self::Keras => format!(
                "an ONNX file. These lines make it (pip install tensorflow tf2onnx):\n\
                 import tensorflow as tf, tf2onnx\n\
                 model = tf.keras.models.load_model({file:?}, compile=False)\n\
                 tf2onnx.convert.from_function(tf.function(lambda x: model(x, training=False)), input_signature=[tf.TensorSpec(model.inputs[0].shape, tf.float32)], output_path={:?})",
                format!("{target}model.onnx")
            ),
            Self::ScikitLearn => format!(
                "an ONNX file. From a file that you trust, these lines make it (pip install skl2onnx):\n\
                 import joblib, numpy, skl2onnx\n\
                 model = joblib.load({file:?})\n\
                 model = next(part for part in model.values() if hasattr(part, \"predict\")) if isinstance(model, dict) else model\n\
                 options = {{\"zipmap\": False}} if hasattr(model, \"classes_\") else None\n\
                 open({:?}, \"wb\").write(skl2onnx.to_onnx(model, numpy.zeros((1, model.n_features_in_), \"float32\"), options=options).SerializeToString())",
                format!("{target}model.onnx")
            ),
            Self::TensorFlow => {
                let source = if file.ends_with(".tflite") {
                    format!("--tflite {file:?}")
                } else if file.ends_with("saved_model.pb") {
                    format!(
                        "--saved-model {:?}",
                        Path::new(file).parent().unwrap_or(Path::new(".")).display().to_string()
                    )
                } else {
                    format!("--graphdef {file:?} --inputs INPUT:0 --outputs OUTPUT:0")
                };
                let names = match source.contains("INPUT:0") {
                    true => "; INPUT and OUTPUT are the names of its first and last node",
                    false => "",
                };
                format!(
                    "an ONNX file. This line makes it (pip install tensorflow tf2onnx{names}):\n\
                     python -m tf2onnx.convert {source} --output {:?}",
                    format!("{target}model.onnx")
                )
            }
        }
    }
}

/// Refuses a model that is only there in a form of others: the file itself, or what lies in a folder without what percuss reads.
///
/// # Errors
/// The file, what it is, and the lines that convert it.
pub(crate) fn refuse(path: &Path) -> Result<()> {
    for file in ours(path) {
        if starts(&file, POINTER) {
            let found = "a pointer of Git LFS, not the file itself";
            return Err(Error::input(
                file.display(),
                "file",
                found,
                "the file: git lfs pull, in its repository, brings it",
            ));
        }
    }
    let renamed = || ours(path).into_iter().find(|file| is_renamed(file)).map(|file| (file, Kind::PyTorch));
    let Some((file, kind)) = foreign(path).or_else(renamed) else { return Ok(()) };
    // Made where the model lies.
    let target = match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => format!("{}/", folder.display()),
        None => String::new(),
    };
    let expected = kind.conversion(&file.display().to_string(), &target);
    Err(Error::input(file.display(), "file", kind.name(), expected))
}

/// How a pointer of Git LFS begins.
const POINTER: &[u8] = b"version https://git-lfs";

/// The files of weights among what `path` is or holds.
fn ours(path: &Path) -> Vec<PathBuf> {
    let is_weights = |file: &PathBuf| {
        let ending =
            file.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
        file.is_file() && (["safetensors", "onnx"].contains(&ending.as_str()) || kind(file).is_some())
    };
    let mut files: Vec<PathBuf> = match std::fs::read_dir(path) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => vec![path.to_path_buf()],
    };
    files.retain(is_weights);
    files.sort();
    files
}

/// Whether a file begins with these bytes.
fn starts(path: &Path, wanted: &[u8]) -> bool {
    let mut start = vec![0; wanted.len()];
    files::open(path).is_ok_and(|mut file| file.read_exact(&mut start).is_ok()) && start == wanted
}

/// Whether what is called `.safetensors` is an archive of PyTorch's, or its earlier pickle.
fn is_renamed(file: &Path) -> bool {
    let is_called = file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("safetensors"));
    is_called && (starts(file, b"PK\x03\x04") || starts(file, b"\x80\x02"))
}

/// Refuses a folder in which nothing is a model's.
///
/// # Errors
/// The folder, and what a model's has.
pub(super) fn refuse_empty(path: &Path) -> Result<()> {
    let Ok(mut entries) = std::fs::read_dir(path) else { return Ok(()) };
    let is_model = |name: &str| name.ends_with(".json") || name.ends_with(".safetensors");
    if entries.any(|entry| entry.is_ok_and(|entry| is_model(&entry.file_name().to_string_lossy()))) {
        return Ok(());
    }
    let expected = "a model's folder: config.json and model.safetensors, or a file that ends in .onnx";
    Err(Error::input(path.display(), "folder", "neither configuration nor weights", expected))
}

fn foreign(path: &Path) -> Option<(PathBuf, Kind)> {
    if !path.is_dir() {
        return path.is_file().then(|| kind(path).map(|kind| (path.to_path_buf(), kind))).flatten();
    }
    let mut names: Vec<PathBuf> = std::fs::read_dir(path).ok()?.flatten().map(|entry| entry.path()).collect();
    let read = |file: &PathBuf| {
        let ending = file.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        matches!(ending, "safetensors" | "onnx") || file.ends_with("model.safetensors.index.json")
    };
    if names.iter().any(read) {
        return None;
    }
    names.sort();
    // Files of other purposes end in these, too.
    let weights = |file: &PathBuf| {
        let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        // A SavedModel's program stands beside its fingerprint.
        let beside = ["fingerprint.pb", "keras_metadata.pb"].contains(&name);
        file.is_file()
            && !beside
            && (!name.ends_with(".bin") || name.contains("model"))
            && !name.contains("optimizer")
    };
    names.into_iter().filter(weights).find_map(|file| kind(&file).map(|kind| (file, kind)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn refusal(path: &Path) -> String {
        refuse(path).unwrap_err().to_string()
    }

    #[test]
    fn files_that_are_not_what_they_are_called_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            path
        };
        for name in ["a.safetensors", "a.onnx", "a.pt"] {
            let path = write(name, b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\n");
            let text = refusal(&path);
            assert!(text.contains("pointer of Git LFS") && text.contains("git lfs pull"), "{text}");
            assert!(refusal(folder.path()).contains(name));
            std::fs::remove_file(path).unwrap();
        }
        let archive = write("b.safetensors", b"PK\x03\x04rest");
        assert!(refusal(&archive).contains("weights as PyTorch saves them"));
        let sound = write("b.safetensors", &[8, 0, 0, 0, 0, 0, 0, 0]);
        assert!(refuse(&sound).is_ok());
    }

    #[test]
    fn an_empty_folder_says_what_a_model_is() {
        let folder = tempfile::tempdir().unwrap();
        let text = refuse_empty(folder.path()).unwrap_err().to_string();
        assert!(text.contains("config.json and model.safetensors"), "{text}");
        std::fs::write(folder.path().join("config.json"), "{}").unwrap();
        assert!(refuse_empty(folder.path()).is_ok());
    }
}
