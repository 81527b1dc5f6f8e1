//! The keys that say how data are read: the same in a study's `[[data]]` and in a TRAIN.toml's `[data]`.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::data::Request;
use percuss::sweep::study::Study;
use percuss::training::{Options, TrainFile, prepare};
use percuss_kernels::Device;
use support::npz::{encoded, npy, write};

fn train_file(folder: &Path, keys: &str) -> percuss::Result<TrainFile> {
    let text = format!(
        "epochs = 1\nbatch = 4\n[data]\n{keys}\nval = \"none\"\ntest = \"none\"\n[model]\narchitecture = \"mlp\"\nhidden = [4]\n\
         [optimizer]\nkind = \"adamw\"\nlearning_rate = 0.01\n"
    );
    let file = folder.join("train.toml");
    std::fs::write(&file, text).unwrap();
    TrainFile::read(&file)
}

fn study(folder: &Path, keys: &str) -> percuss::Result<Study> {
    let text = format!(
        "name = \"s\"\n[[data]]\nid = \"d\"\nsplit = \"test\"\n{keys}\n[[model]]\nid = \"m\"\npath = \"m\"\ndata = [\"d\"]\n\
         [[attack]]\nkind = \"fgsm\"\nbudget = [ {{ norm = \"linf\", eps = 1 }} ]\n"
    );
    let file = folder.join("s.toml");
    std::fs::write(&file, text).unwrap();
    Study::read(&file)
}

const KEYS: [&str; 13] = [
    "manifest = \"a.csv\"\nsplits = { val = [9], test = [10, \"x\"] }\nrepeated = \"once\"",
    "name = \"mitbih_beats\"",
    "path = \"a.npz\"\narrays = { x = \"images\", y = \"target\" }\nlayout = \"nchw\"\nbounds = [0, 255]",
    "path = \"a.npz\"\ninputs = [ { array = \"x\", bounds = [0, 1] }, \"age\" ]",
    "path = \"folder\"\nresize = [32, 32]\ncolours = \"grey\"\nclasses = [\"a\", \"b\"]",
    "manifest = \"a.csv\"\ncolumns = { path = \"Path\", label = [\"Edema\"] }\nuncertain = \"drop\"\nmissing = \"negative\"",
    "manifest = \"a.csv\"\nvalues = \"window\"\nwindow = [40, 400]\nframe = 1\nfiles = { base = \"b\" }\ngroup = \"patient\"",
    "manifest = \"a.csv\"\nbits = 12\nseparator = \"|\"",
    "path = \"records\"\nleads = [\"I\", \"V2\"]\nrate = 100\ncut = \"windows\"\nlength = 500\nstride = 250",
    "path = \"100.hea\"\ncut = \"beats\"\nbeats = { normal = [\"N\"], other = [\"V\"] }\npeak = 90\nannotator = \"qrs\"",
    "records = { csv = \"list.csv\", path = \"file\", labels = \"rhythm\", patient = \"who\" }\ncut = \"records\"",
    "records = \"list.csv\"\ngaps = \"interpolate\"\npad = true\nchecksums = false",
    "path = \"t.csv\"\ngroup = \"patient\"",
];

#[test]
fn both_files_read_every_key_alike() {
    let dir = tempfile::tempdir().unwrap();
    for keys in KEYS {
        let of_study = study(dir.path(), keys).unwrap().data.remove(0).request;
        let of_training = train_file(dir.path(), keys).unwrap().request;
        let plain = |request: Request| {
            format!("{:?}", Request { split: "test".into(), split_given: true, ..request })
        };
        assert_eq!(plain(of_training), plain(of_study), "{keys}");
    }
}

#[test]
fn both_files_refuse_the_same_values_with_their_line() {
    let dir = tempfile::tempdir().unwrap();
    let bad = [
        ("path = \"a.npz\"\nlayout = \"chw\"", "data.layout", "nchw"),
        ("path = \"a.npz\"\nbounds = [1, 0]", "data.bounds", "not above the second"),
        ("path = \"a\"\nleads = []", "data.leads", "at least one"),
        ("name = \"pnuemoniamnist\"", "data.name", "pneumoniamnist"),
        ("path = \"a\"\nmanifest = \"b\"", "data.name", "one of them"),
        ("manifest = \"a\"\nsplits = { val = [9], test = [9] }", "data.splits", "the values of each split"),
        ("manifest = \"a\"\nrepeated = \"twice\"", "data.repeated", "a sample an image"),
        ("path = \"a\"\nlayuot = \"nchw\"", "data.layuot", "layout"),
    ];
    for (keys, place, mend) in bad {
        let errors = [study(dir.path(), keys).unwrap_err(), train_file(dir.path(), keys).unwrap_err()];
        for error in errors.map(|error| error.to_string()) {
            assert!(error.contains(place) && error.contains(mend), "{keys}: {error}");
        }
    }
}

#[test]
fn a_value_of_a_column_is_no_split_but_may_be_called_one() {
    let dir = tempfile::tempdir().unwrap();
    for (split, line) in [("\"10\"", "test = \"10\""), ("[9, 10]", "test = [9, 10]"), ("10", "test = 10")] {
        let text = format!("name = \"s\"\n[[data]]\nid = \"d\"\nsplit = {split}\nmanifest = \"a.csv\"\n");
        let file = dir.path().join("s.toml");
        std::fs::write(&file, text).unwrap();
        let error = Study::read(&file).unwrap_err().to_string();
        assert!(error.contains(&format!("splits = {{ {line} }}")), "{error}");
        assert!(study(dir.path(), &format!("manifest = \"a.csv\"\nsplits = {{ {line} }}")).is_ok(), "{line}");
    }
}

#[test]
fn bytes_under_other_names_with_channels_first_are_learnt_from() {
    let dir = tempfile::tempdir().unwrap();
    let n = 8;
    let value = |i: usize, c: usize, at: usize| ((i * 48 + c * 16 + at) * 37 % 251) as f64;
    let first: Vec<f64> = (0..n).flat_map(|i| (0..48).map(move |at| value(i, at / 16, at % 16))).collect();
    let labels: Vec<f64> = (0..n).map(|i| (i % 2) as f64).collect();
    let arrays = [
        ("images_train", npy("|u1", false, &[n, 3, 4, 4], &encoded("|u1", &first))),
        ("target_train", npy("|u1", false, &[n], &encoded("|u1", &labels))),
    ];
    write(&dir.path().join("a.npz"), false, &arrays);
    let keys = "path = \"a.npz\"\narrays = { x = \"images\", y = \"target\" }\nlayout = \"nchw\"";
    let options = Options::new(Device::select("cpu", 1).unwrap(), 1);
    let prepared = prepare(train_file(dir.path(), keys).unwrap(), &options).unwrap();
    let train = &prepared.splits.train;
    assert_eq!((train.shape.as_slice(), train.unit.as_str()), (&[4, 4, 3][..], "pixel"));
    assert_eq!(train.values[1], value(0, 1, 0) as f32);
}
