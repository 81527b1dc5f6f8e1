//! Data sets from npz files: layouts, splits, labels, beats; what bad files get.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use npyz::WriterBuilder;
use percuss::data::beats::{self, Beat};
use percuss::data::{Labels, Request, open};
use support::files::{at, message};

/// Writes arrays of one type each: name, shape, values.
struct Writer(npyz::npz::NpzWriter<std::io::BufWriter<std::fs::File>>);

impl Writer {
    fn new(path: &Path) -> Self {
        Self(npyz::npz::NpzWriter::create(path).unwrap())
    }

    fn put<T: npyz::AutoSerialize + Copy>(mut self, name: &str, shape: &[u64], values: &[T]) -> Self {
        let array = self.0.array(name, Default::default()).unwrap();
        let mut array = array.default_dtype().shape(shape).begin_nd().unwrap();
        array.extend(values.iter().copied()).unwrap();
        array.finish().unwrap();
        self
    }
}

/// Four 2x2 images in train, two in test.
fn mnist_like(path: &Path) {
    let pixels = |n: u8| (0..n * 4).collect::<Vec<u8>>();
    Writer::new(path)
        .put("train_images", &[4, 2, 2], &pixels(4))
        .put("train_labels", &[4, 1], &[0u8, 1, 1, 0])
        .put("test_images", &[2, 2, 2], &pixels(2))
        .put("test_labels", &[2, 1], &[1u8, 0])
        .put("test_site", &[2], &[7i32, 9]);
}

#[test]
fn images_are_read_as_pixels_with_channels_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    mnist_like(&path);
    let mut request = at(&path, "test");
    request.subgroups = vec!["site".into()];
    let test = open(&request, None).unwrap();
    assert_eq!(test.shape, [2, 2, 1]);
    assert_eq!(test.values, (0..8).map(|v| v as f32).collect::<Vec<_>>());
    assert_eq!(test.labels, Labels::Class(vec![1, 0]));
    assert_eq!(test.index, [4, 5]);
    assert_eq!((test.unit.as_str(), test.domain.low[0], test.domain.high[0]), ("pixel", 0.0, 255.0));
    assert_eq!(test.subgroups["site"], ["7", "9"]);
    assert_eq!(open(&at(&path, "all"), None).unwrap().len(), 6);
    request.subgroups = vec!["sex".into()];
    assert!(message(open(&request, None)).contains("one of site"));
    request.subgroups.clear();
    request.group = Some("site".into());
    assert_eq!(open(&request, None).unwrap().group.unwrap(), ["7", "9"]);
}

#[test]
fn plain_x_and_y_hold_findings_and_their_own_range() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    Writer::new(&path).put("x", &[3, 2], &[0.5f32, -1.0, 2.0, 0.0, 0.25, 1.5]).put(
        "y",
        &[3, 2],
        &[0i64, 1, 1, 1, 0, 0],
    );
    let all = open(&at(&path, "all"), None).unwrap();
    assert_eq!((all.shape.clone(), all.labels.clone()), (vec![2], Labels::Findings(vec![0, 1, 1, 1, 0, 0])));
    assert_eq!((all.domain.low[0], all.domain.high[0], all.unit.as_str()), (-1.0, 2.0, "value"));
    assert!(message(open(&at(&path, "test"), None)).contains("this file has none"));
    let unsaid = open(&Request { split_given: false, ..at(&path, "test") }, None).unwrap();
    assert_eq!((unsaid.len(), unsaid.split.as_str()), (3, "all"));
    assert!(unsaid.remarks.iter().any(|remark| remark.text.contains("no splits")));
    assert_eq!(all.limited(2, 0).unwrap().classes.len(), 2);
}

#[test]
fn bounds_of_floats_are_those_of_the_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    drop(
        Writer::new(&path)
            .put("x_train", &[2, 2], &[-3.5f32, 1.0, 2.0, 3.0])
            .put("y_train", &[2], &[0u8, 1])
            .put("x_test", &[2, 2], &[0.5f32, 1.0, 2.0, 9.25])
            .put("y_test", &[2], &[0u8, 1]),
    );
    for split in ["train", "test", "all"] {
        let set = open(&at(&path, split), None).unwrap();
        assert_eq!((&set.domain.low[..], &set.domain.high[..]), (&[-3.5][..], &[9.25][..]), "{split}");
    }
}

#[test]
fn bad_npz_files_name_the_file_and_the_array() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.npz");
    let fails = |needles: &[&str]| {
        let text = message(open(&at(&path, "all"), None));
        assert!(text.contains("a.npz") && needles.iter().all(|n| text.contains(n)), "{needles:?}: {text}");
    };
    std::fs::write(&path, b"not a zip at all").unwrap();
    fails(&["npz file"]);
    std::fs::write(&path, b"").unwrap();
    fails(&["npz file"]);
    mnist_like(&path);
    let whole = std::fs::read(&path).unwrap();
    for cut in [whole.len() / 4, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        message(open(&at(&path, "all"), None));
    }
    drop(Writer::new(&path).put("x", &[2, 2], &[f64::NAN, 1.0, 2.0, 3.0]).put("y", &[2], &[0u8, 1]));
    fails(&["sample 0, value 0", "finite"]);
    drop(Writer::new(&path).put("x", &[2, 2], &[f32::INFINITY, 1.0, 2.0, 3.0]).put("y", &[2], &[0u8, 1]));
    fails(&["sample 0, value 0", "inf"]);
    drop(Writer::new(&path).put("x", &[2], &[1.0, 2.0]).put("y", &[2], &[0u8, 1]));
    fails(&["array `x`", "shape [2]"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[3], &[0u8, 1, 1]));
    fails(&["array `y`", "shape [3]"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[2], &[0.5, 1.0]));
    fails(&["array `y`, entry 0", "0.5"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[2], &[-1i8, 1]));
    fails(&["array `y`", "-1"]);
    drop(Writer::new(&path).put("x", &[2, 1], &[1.0, 2.0]).put("y", &[2, 2], &[0u8, 1, 2, 0]));
    fails(&["array `y`, entry 1", "0 or 1"]);
    drop(Writer::new(&path).put::<f32>("x", &[0, 2], &[]).put::<u8>("y", &[0], &[]));
    fails(&["array `y`", "at least one"]);
    drop(Writer::new(&path).put("weights", &[1], &[1.0f32]));
    fails(&["weights"]);
    let absent = open(&at(&dir.path().join("b.npz"), "all"), None).unwrap_err();
    assert!(absent.to_string().contains("b.npz") && absent.exit_code() == 2);
}

#[test]
fn registry_names_reject_labels_outside_their_classes() {
    let dir = tempfile::tempdir().unwrap();
    Writer::new(&dir.path().join("pneumoniamnist.npz")).put("test_images", &[1, 2, 2], &[1u8, 2, 3, 4]).put(
        "test_labels",
        &[1, 1],
        &[2u8],
    );
    let mut request = Request::named("pneumoniamnist", "test");
    request.data_dir = Some(dir.path().to_path_buf());
    let text = message(open(&request, None));
    assert!(text.contains("array `test_labels`, entry 0") && text.contains("normal, pneumonia"), "{text}");
}

#[test]
fn beats_npz_is_written_and_read_back_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (path, twin) = (dir.path().join("a.npz"), dir.path().join("b.npz"));
    let beat = |k: usize, record: u16| Beat {
        signal: (0..beats::LENGTH).map(|s| (s * k % 2048) as i16 - 3).collect(),
        class: (k % 5) as u8,
        record,
        rr_samples: 300 + k as i32,
    };
    let all: Vec<Beat> = (0..40).map(|k| beat(k, [101, 109, 100, 234][k % 4])).collect();
    beats::write(&all, &path).unwrap();
    beats::write(&all, &twin).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(&twin).unwrap());
    assert_eq!(beats::read(&path).unwrap(), all);
    let val = open(&at(&path, "val"), None).unwrap();
    assert_eq!((val.shape.clone(), val.unit.as_str(), val.len()), (vec![1, 256, 1], "mV", 10));
    assert!(val.group.as_ref().unwrap().iter().all(|record| record == "109"));
    assert_eq!(val.sample(0)[5], (f32::from(all[1].signal[5]) - 1024.0) / 200.0);
    assert_eq!((val.domain.low[0], val.domain.high[0]), (-5.12, 5.115));
    assert_eq!(open(&at(&path, "test"), None).unwrap().len(), 20);
    let mut swapped = all.clone();
    swapped[0].class = 9;
    beats::write(&swapped, &path).unwrap();
    assert!(message(open(&at(&path, "all"), None)).contains("array `label`, entry 0"));
}
