//! What a device keeps in files for later runs: whatever happens to the files, programs run, with the same results.
#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(unreachable_pub, reason = "modules that several test programs share")]
#![allow(dead_code, unused_imports, reason = "modules that several test programs share")]

mod cases;
mod folder;
mod reference;
mod runner;
mod shapes;

use std::path::Path;

use cases::drawn;
use folder::Folder;
use percuss_kernels::Device;
use percuss_kernels::gpu::{GpuDevice, Tuning};
use percuss_kernels::ops::*;
use runner::bits;

fn open(cache: &Path) -> Device {
    let tuning = Tuning { software: Some(false), cache: Some(cache.to_owned()), ..Tuning::default() };
    Device::Gpu(GpuDevice::open("gpu:0", tuning).unwrap())
}

/// A product and its bits on a device opened anew.
fn product(cache: &Path) -> Vec<u32> {
    let plain = Layout { transposed: false, shared: false };
    let op = Matmul { batch: 1, m: 33, n: 20, k: 50, a: plain, b: plain, epilogue: Epilogue::NONE };
    let (op, inputs) = drawn(op);
    bits(&runner::run(&open(cache), op, &inputs, false, 1)[0])
}

/// Every way in which a file can be wrong, by name.
fn damages(whole: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut flipped = whole.to_vec();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    vec![
        ("empty", vec![]),
        ("text", b"not ours".to_vec()),
        ("half", whole[..whole.len() / 2].to_vec()),
        ("flipped", flipped),
        ("longer", [whole, b"more"].concat()),
    ]
}

#[test]
fn compiled_kernels_are_kept_and_a_damaged_file_is_replaced() {
    let folder = Folder::new("pipelines");
    let first = product(&folder.path());
    // Only Vulkan hands out what its driver compiled.
    let file = folder.file("wgpu_pipeline_cache_vulkan");
    let whole = std::fs::read(&file).unwrap();
    assert!(whole.starts_with(b"percuss1"));
    assert!(product(&folder.path()) == first);
    for (damage, bytes) in damages(&whole) {
        std::fs::write(&file, bytes).unwrap();
        assert!(product(&folder.path()) == first, "{damage}");
        let again = std::fs::read(&file).unwrap();
        assert!(again.starts_with(b"percuss1") && again.len() > 16, "{damage}: not written anew");
    }
    assert!(folder.files().iter().all(|path| path.extension().is_none_or(|end| end != "tmp")));
}

#[test]
fn a_folder_that_cannot_be_written_is_no_error() {
    let folder = Folder::new("unwritable");
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let first = product(&file);
    assert!(product(&file.join("below")) == first);
}
