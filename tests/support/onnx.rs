//! ONNX files put together by hand: the few messages that tests need, in protobuf's wire format.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::path::PathBuf;

use percuss::models::Model;

/// A field of bytes: a text, a message.
fn bytes(number: u64, content: &[u8]) -> Vec<u8> {
    [varint(number << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn int(number: u64, value: i64) -> Vec<u8> {
    [varint(number << 3), varint(value as u64)].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value > 127 {
        out.push(value as u8 & 127 | 128);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// `attribute = value`, whole numbers.
pub fn ints(name: &str, values: &[i64]) -> Vec<u8> {
    let values: Vec<u8> = values.iter().flat_map(|&value| int(8, value)).collect();
    bytes(5, &[bytes(1, name.as_bytes()), values, int(20, 7)].concat())
}

/// `attribute = value`, reals.
pub fn floats(name: &str, values: &[f32]) -> Vec<u8> {
    let one = |value: &f32| [varint(7 << 3 | 5), value.to_le_bytes().to_vec()].concat();
    let values: Vec<u8> = values.iter().flat_map(one).collect();
    bytes(5, &[bytes(1, name.as_bytes()), values, int(20, 6)].concat())
}

/// `attribute = value`, a real number.
pub fn real(name: &str, value: f32) -> Vec<u8> {
    let value = [varint(2 << 3 | 5), value.to_le_bytes().to_vec()].concat();
    bytes(5, &[bytes(1, name.as_bytes()), value, int(20, 1)].concat())
}

/// `attribute = value`, a whole number.
pub fn whole(name: &str, value: i64) -> Vec<u8> {
    bytes(5, &[bytes(1, name.as_bytes()), int(3, value), int(20, 2)].concat())
}

/// `attribute = value`, a text.
pub fn text(name: &str, value: &str) -> Vec<u8> {
    bytes(5, &[bytes(1, name.as_bytes()), bytes(4, value.as_bytes()), int(20, 3)].concat())
}

/// `attribute = graph`, of these parts.
pub fn branch(name: &str, parts: &[Vec<u8>]) -> Vec<u8> {
    bytes(5, &[bytes(1, name.as_bytes()), bytes(6, &parts.concat()), int(20, 5)].concat())
}

/// Among a node's attributes: its domain.
pub fn domain(name: &str) -> Vec<u8> {
    bytes(7, name.as_bytes())
}

/// A node; its name is its first output's.
pub fn node(op: &str, inputs: &[&str], outputs: &[&str], attributes: &[Vec<u8>]) -> Vec<u8> {
    let mut message: Vec<u8> = inputs.iter().flat_map(|name| bytes(1, name.as_bytes())).collect();
    message.extend(outputs.iter().flat_map(|name| bytes(2, name.as_bytes())));
    message.extend(bytes(3, format!("node_{}", outputs[0]).as_bytes()));
    message.extend(bytes(4, op.as_bytes()));
    message.extend(attributes.concat());
    bytes(1, &message)
}

fn tensor(name: &str, dims: &[i64], dtype: i64, data: Vec<u8>) -> Vec<u8> {
    let dims: Vec<u8> = dims.iter().flat_map(|&size| int(1, size)).collect();
    bytes(5, &[dims, int(2, dtype), bytes(8, name.as_bytes()), data].concat())
}

/// An initialiser of reals.
pub fn reals(name: &str, dims: &[i64], values: &[f32]) -> Vec<u8> {
    tensor(name, dims, 1, bytes(9, &values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()))
}

/// An initialiser of whole numbers along one axis.
pub fn numbers(name: &str, values: &[i64]) -> Vec<u8> {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, &[values.len() as i64], 7, bytes(9, &raw))
}

/// An initialiser whose data lie in another file.
pub fn elsewhere(name: &str, dims: &[i64], location: &str, offset: i64) -> Vec<u8> {
    let entry =
        |key: &str, value: &str| bytes(13, &[bytes(1, key.as_bytes()), bytes(2, value.as_bytes())].concat());
    let data = [entry("location", location), entry("offset", &offset.to_string()), int(14, 1)].concat();
    tensor(name, dims, 1, data)
}

fn value(field: u64, name: &str, dtype: i64, dims: &[i64]) -> Vec<u8> {
    // A negative size is one that is left open.
    let size = |&size: &i64| if size < 0 { bytes(1, &bytes(2, b"batch")) } else { bytes(1, &int(1, size)) };
    let shape: Vec<u8> = dims.iter().flat_map(size).collect();
    let kind = bytes(1, &[int(1, dtype), bytes(2, &shape)].concat());
    bytes(field, &[bytes(1, name.as_bytes()), bytes(2, &kind)].concat())
}

/// An input of reals; a size of -1 is left open.
pub fn input(name: &str, dims: &[i64]) -> Vec<u8> {
    value(11, name, 1, dims)
}

/// An input of whole numbers.
pub fn integers(name: &str, dims: &[i64]) -> Vec<u8> {
    value(11, name, 7, dims)
}

/// An input of reals `[first, len]`, whose first axis is open and has this name.
pub fn series(name: &str, first: &str, len: i64) -> Vec<u8> {
    let shape = [bytes(1, &bytes(2, first.as_bytes())), bytes(1, &int(1, len))].concat();
    let kind = bytes(1, &[int(1, 1), bytes(2, &shape)].concat());
    bytes(11, &[bytes(1, name.as_bytes()), bytes(2, &kind)].concat())
}

/// An output of reals.
pub fn output(name: &str, dims: &[i64]) -> Vec<u8> {
    value(12, name, 1, dims)
}

/// A file of these parts.
pub fn file(opset: i64, parts: &[Vec<u8>]) -> Vec<u8> {
    let opset = bytes(8, &[bytes(1, b""), int(2, opset)].concat());
    [int(1, 8), bytes(2, b"tests"), opset, bytes(7, &parts.concat())].concat()
}

/// A model file in a folder of its own.
pub fn saved(bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.onnx");
    std::fs::write(&path, bytes).unwrap();
    (folder, path)
}

/// What a file is refused with, which says all of `parts`.
pub fn refused(bytes: &[u8], parts: &[&str]) {
    let (_folder, path) = saved(bytes);
    let error = Model::load(&path).expect_err("this must be refused");
    assert_eq!(error.exit_code(), 2, "{error}");
    for part in parts {
        assert!(error.to_string().contains(part), "{error} does not say {part:?}");
    }
}

/// `y = f(x)` with these nodes and tensors, x `[batch, 4]`.
pub fn graph(parts: &[Vec<u8>]) -> Vec<u8> {
    file(17, &[parts, &[input("x", &[-1, 4]), output("y", &[-1, 4])]].concat())
}
