//! Models spread over several files, and files that are cut or changed anywhere: read whole, or refused with file and place, never a panic
//! and never much memory.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use percuss::Error;
use percuss::models::{Config, Model, WeightTensor, Weights};
use serde_json::json;
use support::{classes, formula_weights};

thread_local! {
    /// Bytes in use by this thread, and at most.
    static WEIGHED: Cell<[isize; 2]> = const { Cell::new([0; 2]) };
}

/// The system's allocator, which weighs what each thread takes.
struct Weighing;

fn weigh(bytes: isize) {
    // A thread that ends has no cell any more.
    let _ = WEIGHED.try_with(|cell| {
        let [now, most] = cell.get();
        cell.set([now + bytes, most.max(now + bytes)]);
    });
}

// SAFETY: everything is the system's own.
unsafe impl GlobalAlloc for Weighing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        weigh(layout.size() as isize);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        weigh(-(layout.size() as isize));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Weighing = Weighing;

const CONFIG: &str = r#"{"architecture": "mlp", "inputs": 3, "hidden": [4], "classes": 2}"#;

fn tensors() -> BTreeMap<String, WeightTensor> {
    formula_weights(&Model::declare(&Config::parse(CONFIG, "test").unwrap()))
}

/// A folder of the model in two files, `first` tensors in the first; `edit` changes the index.
fn sharded(files: [&[&str]; 2], edit: impl Fn(&mut serde_json::Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), CONFIG).unwrap();
    let all = tensors();
    let mut index = json!({ "metadata": { "total_size": 1 }, "weight_map": {} });
    for (i, names) in files.into_iter().enumerate() {
        let file = format!("model-0000{}-of-00002.safetensors", i + 1);
        let part = names.iter().map(|name| (name.to_string(), all[*name].clone())).collect();
        Weights::new(part).write(&folder.path().join(&file)).unwrap();
        names.iter().for_each(|name| index["weight_map"][*name] = json!(file));
    }
    edit(&mut index);
    std::fs::write(folder.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    folder
}

const FILES: [&[&str]; 2] = [&["0.weight", "2.bias"], &["0.bias", "2.weight"]];
const SECOND: &str = "model-00002-of-00002.safetensors";

fn refused(folder: &Path, parts: &[&str]) {
    let error = Model::load(folder).expect_err("this must be refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn shards_are_the_model_that_they_are_parts_of() {
    let folder = sharded(FILES, |_| {});
    let model = Model::load(folder.path()).unwrap();
    assert_eq!(model.weights.tensors, tensors());
    let whole = Model::new(Config::parse(CONFIG, "test").unwrap(), Weights::new(tensors())).unwrap();
    assert_eq!(model.sha256, whole.sha256, "where a tensor lies is not what a model is");
}

#[test]
fn shards_that_are_not_what_the_index_says_are_refused() {
    let folder = sharded(FILES, |_| {});
    std::fs::remove_file(folder.path().join(SECOND)).unwrap();
    refused(folder.path(), &["index.json", "weight_map, tensor 0.bias", SECOND, "beside the index"]);

    let wrong = sharded(FILES, |index| index["weight_map"]["0.weight"] = json!(SECOND));
    refused(wrong.path(), &["index.json", "tensor 0.weight", "it in model-00001", "model-00002"]);

    let unnamed = sharded(FILES, |index| {
        index["weight_map"].as_object_mut().unwrap().remove("0.weight");
    });
    refused(unnamed.path(), &["tensor 0.weight", "does not name"]);

    let missing = sharded(FILES, |index| index["weight_map"]["4.weight"] = json!(SECOND));
    refused(missing.path(), &["tensor 4.weight", "no such tensor in model-00002"]);

    let twice = sharded([&["0.weight", "2.bias"], &["0.bias", "2.weight", "0.weight"]], |_| {});
    refused(twice.path(), &["tensor 0.weight", "model-00002", "alone"]);

    for place in ["../model.safetensors", "/etc/passwd", "a/b.safetensors", "..", ""] {
        let outside = sharded(FILES, |index| index["weight_map"]["0.bias"] = json!(place));
        refused(outside.path(), &["tensor 0.bias", place, "beside the index"]);
    }

    let broken = sharded(FILES, |index| *index = json!({ "weights": {} }));
    refused(broken.path(), &["index.json", "line 1", "weight_map"]);

    let cut = sharded(FILES, |_| {});
    let file = cut.path().join(SECOND);
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 4]).unwrap();
    refused(cut.path(), &[SECOND, "header"]);
}

#[test]
fn one_file_goes_before_an_index() {
    let folder = sharded(FILES, |index| *index = json!({}));
    Weights::new(tensors()).write(&folder.path().join("model.safetensors")).unwrap();
    assert_eq!(Model::load(folder.path()).unwrap().weights.tensors, tensors());
}

/// A safetensors file with this header and so many bytes of data.
fn file(header: &str, data: usize) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; data]].concat()
}

fn read(path: &Path, bytes: &[u8]) -> Result<Weights, Error> {
    std::fs::write(path, bytes).unwrap();
    Weights::read(path)
}

#[test]
fn a_header_that_lies_is_told_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let one = |dtype: &str, shape: &str, offsets: &str| {
        format!(r#"{{"a.b":{{"dtype":{dtype},"shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let two =
        |second: &str| format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},{second}}}"#);
    let cases: [(String, usize, &[&str]); 14] = [
        (one(r#""Q7""#, "[2]", "[0,8]"), 8, &["tensor a.b", "Q7", "F32, F16"]),
        (one("7", "[2]", "[0,8]"), 8, &["tensor a.b", "dtype 7"]),
        (one(r#""I64""#, "[1]", "[0,8]"), 8, &["tensor a.b", "dtype I64", "F32, F16, BF16 or F64"]),
        (one(r#""F32""#, "[3]", "[0,8]"), 8, &["tensor a.b", "8 bytes", "12 bytes for shape [3]"]),
        (one(r#""F32""#, "[-2]", "[0,8]"), 8, &["tensor a.b", "shape [-2]"]),
        (
            one(r#""F32""#, "[4611686018427387904,4]", "[0,8]"),
            8,
            &["tensor a.b", "more bytes than can be counted"],
        ),
        (one(r#""F32""#, "[2]", "[8,0]"), 8, &["tensor a.b", "[8, 0]"]),
        (one(r#""F32""#, "[2]", "[0,8,9]"), 8, &["tensor a.b", "[0, 8, 9]"]),
        (one(r#""F32""#, "[2]", "[0,18446744073709551615]"), 8, &["tensor a.b", "18446744073709551615"]),
        (one(r#""F32""#, "[2]", "[0,8]"), 12, &["header", "8 bytes, then 4 more"]),
        (
            two(r#""b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}"#),
            8,
            &["tensor b", "data at 4", "8, where"],
        ),
        (two(r#""b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}"#), 16, &["tensor b", "data at 12"]),
        (two(r#""a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}"#), 16, &["tensor a", "a second time"]),
        (r#"{"__metadata__":{"a":1}}"#.into(), 0, &["__metadata__"]),
    ];
    for (header, data, parts) in cases {
        let error = read(&path, &file(&header, data)).expect_err(&header);
        let text = error.to_string();
        assert_eq!(error.exit_code(), 2, "{text}");
        for part in ["w.safetensors"].iter().chain(parts) {
            assert!(text.contains(part), "{text:?} does not say {part:?}");
        }
    }
    assert!(read(&path, &[]).is_err());
    assert!(Weights::read(folder.path()).is_err(), "a folder is no file");
}

/// A file with every type that is read, a scalar, an empty tensor, and what is skipped.
fn varied() -> Vec<u8> {
    let header = r#"{"__metadata__":{"format":"pt"},
        "half":{"dtype":"F16","shape":[2,3],"data_offsets":[0,12]},"brain":{"dtype":"BF16","shape":[4],"data_offsets":[12,20]},
        "single":{"dtype":"F32","shape":[],"data_offsets":[20,24]},"none":{"dtype":"F32","shape":[0,5],"data_offsets":[24,24]},
        "double":{"dtype":"F64","shape":[3],"data_offsets":[24,48]},
        "bn.num_batches_tracked":{"dtype":"I64","shape":[],"data_offsets":[48,56]},
        "op_threshs":{"dtype":"F32","shape":[1],"data_offsets":[56,60]}}"#;
    let mut bytes = file(header, 60);
    let len = bytes.len();
    bytes[len - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    bytes
}

#[test]
fn cut_and_mutated_files_are_read_or_refused_with_file_and_place() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let whole = varied();
    let names: Vec<String> = read(&path, &whole).unwrap().tensors.into_keys().collect();
    assert_eq!(names, ["brain", "double", "half", "none", "single"]);
    let refusals = Cell::new(0);
    let try_one = |bytes: &[u8], what: &dyn Fn() -> String| {
        let [before, _] = WEIGHED.get();
        WEIGHED.set([before; 2]);
        let result = Weights::parse(bytes, "w.safetensors");
        let most = (WEIGHED.get()[1] - before) as usize;
        // JSON numbers of two bytes each become values of 32, in lists that grow by doubling, and messages repeat them.
        assert!(most < 4096 + 128 * bytes.len(), "{}: {most} bytes for {}", what(), bytes.len());
        if let Err(error) = result {
            refusals.set(refusals.get() + 1);
            let Error::Input { file, place, .. } = &error else { panic!("{}: {error}", what()) };
            assert!(file.ends_with("w.safetensors") && !place.is_empty(), "{}: {error}", what());
        }
    };
    for len in 0..whole.len() {
        try_one(&whole[..len], &|| format!("cut to {len}"));
    }
    let header_end = whole.len() - 60;
    for seed in 0..6000 {
        let draw = |what: &str, below: u64| classes(&format!("mutation {seed} {what}"), 1, below)[0] as usize;
        let mut bytes = whole.clone();
        for change in 0..=draw("changes", 3) {
            let draw = |what: &str, below: usize| draw(&format!("{change} {what}"), below as u64);
            // Mostly in the header, where everything means something.
            let at =
                if draw("where", 8) == 0 { draw("any", bytes.len()) } else { draw("header", header_end) };
            let at = at.min(bytes.len() - 1);
            match draw("kind", 6) {
                0 => bytes[at] ^= 1 << draw("bit", 8),
                1 => bytes[at] = draw("byte", 256) as u8,
                2 => bytes[at] = b"0123456789[]{}\",:-eE"[draw("sign", 20)],
                3 => {
                    bytes.remove(at);
                }
                4 => bytes.insert(at, b"0123456789[]{}\",:-eE"[draw("sign", 20)]),
                _ => {
                    let end = (at + draw("length", 40)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = draw("to", bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
        }
        if draw("honest", 2) == 0 && bytes.len() > 68 {
            // A length that fits what follows, so that the header's inside is looked at.
            let length = (bytes.len() - 68) as u64;
            bytes[..8].copy_from_slice(&length.to_le_bytes());
        }
        try_one(&bytes, &|| format!("mutation {seed}"));
    }
    assert!(refusals.get() > 5000, "{}", refusals.get());
    // Numbers, nesting and lengths that are far too large.
    for header in [
        "[".repeat(100_000),
        format!("{{\"a\":{}", "{\"a\":".repeat(50_000)),
        format!("{{\"a\":1{}}}", "0".repeat(100_000)),
    ] {
        try_one(&file(&header, 0), &|| header[..20].to_string());
    }
    for length in [u64::MAX, u64::MAX - 7, 1 << 63, 99_999_999, 100_000_001] {
        try_one(&[&length.to_le_bytes()[..], b"{}"].concat(), &|| format!("length {length}"));
    }
}

#[test]
fn only_the_tensors_take_memory() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.safetensors");
    let values = 1 << 20;
    let header =
        format!(r#"{{"half":{{"dtype":"F16","shape":[{values}],"data_offsets":[0,{}]}}}}"#, 2 * values);
    std::fs::write(&path, file(&header, 2 * values)).unwrap();
    let [before, _] = WEIGHED.get();
    WEIGHED.set([before; 2]);
    let weights = Weights::read(&path).unwrap();
    let most = (WEIGHED.get()[1] - before) as usize;
    assert_eq!(weights.tensors["half"].data.len(), values);
    assert!(most < 4 * values + 10_000, "{most} bytes for {values} values");
}
