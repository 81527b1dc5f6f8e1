//! Image files of every kind, against what Pillow, tifffile and pydicom read from them (`tests/cases/images/make.py`).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};

use percuss::data::{ImageOptions, LabelOptions, Labels, Request, Source, open};
use serde_json::Value;
use support::files::message;

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/images")
}

/// A manifest beside nothing, and what a study says of it.
fn request(folder: &Path, csv: &str, keys: &str) -> Request {
    let path = folder.join("list.csv");
    std::fs::write(&path, csv).unwrap();
    with_keys(Request::new(Source::Manifest(path), "all"), keys)
}

fn with_keys(mut request: Request, keys: &str) -> Request {
    for (key, value) in &keys.parse::<toml::Table>().unwrap() {
        if key == "bins" {
            request.bins = percuss::data::image_keys::bins(value).unwrap();
            continue;
        }
        if let Some(own) = LabelOptions::KEYS.into_iter().find(|own| own == key) {
            request.labels.set(own, value).unwrap();
            continue;
        }
        let key = ImageOptions::KEYS.into_iter().find(|own| own == key).unwrap();
        request.images.set(key, value, &cases()).unwrap();
    }
    request
}

fn told(request: &Request) -> String {
    let set = open(request, None).unwrap();
    set.remarks.iter().map(|remark| format!("{remark}\n")).collect()
}

#[test]
fn every_kind_of_file_gives_the_right_pixels_or_a_mend() {
    let folder = tempfile::tempdir().unwrap();
    let right: Vec<Value> =
        serde_json::from_str(&std::fs::read_to_string(cases().join("right.json")).unwrap()).unwrap();
    assert!(right.len() > 90);
    for case in right {
        let (file, keys) = (case["file"].as_str().unwrap(), case["keys"].as_str().unwrap());
        let csv = format!("path,label\n{},0\n", cases().join(file).display());
        let request = request(folder.path(), &csv, keys);
        if let Some(mend) = case["refused"].as_str() {
            let message = message(open(&request, None));
            assert!(message.contains(mend) && message.contains(file), "{file} {keys}: {message}");
            continue;
        }
        let set = open(&request, None).unwrap_or_else(|error| panic!("{file} {keys}: {error}"));
        let shape: Vec<usize> =
            case["shape"].as_array().unwrap().iter().map(|side| side.as_u64().unwrap() as usize).collect();
        assert_eq!((set.shape, set.unit.as_str()), (shape, case["unit"].as_str().unwrap()), "{file} {keys}");
        let values: Vec<f64> =
            case["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
        assert_eq!(set.values.len(), values.len(), "{file} {keys}");
        let off = set.values.iter().zip(&values).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
        assert!(off <= case["within"].as_f64().unwrap(), "{file} {keys}: {off}");
        assert!(
            set.values.iter().all(|value| (set.domain.low[0]..=set.domain.high[0]).contains(value)),
            "{file}"
        );
        let remarks: String = set.remarks.iter().map(|remark| remark.to_string()).collect();
        assert!(remarks.contains(case["told"].as_str().unwrap_or_default()), "{file} {keys}: {remarks}");
    }
}

#[test]
fn images_beyond_the_limit_of_memory_are_refused_before_they_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = cases().join("grey.png").display().to_string();
    let csv = format!("path,label\n{}", format!("{file},0\n").repeat(50));
    let within = |bytes| {
        let memory = percuss::memory::Room::of(Some(bytes));
        open(&Request { memory, ..request(folder.path(), &csv, "") }, None)
    };
    // 50 images of 48 pixels.
    assert_eq!(within(100_000).unwrap().len(), 50);
    let error = message(within(20_000));
    assert!(error.contains("24.0 kB") && error.contains("--memory") && error.contains("resize"), "{error}");
}

#[test]
fn damaged_files_are_refused_and_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    for name in [
        "grey.png",
        "palette4.png",
        "colour.jpg",
        "palette.bmp",
        "bit.tif",
        "ct.dcm",
        "rle.dcm",
        "deflated.dcm",
        "big-endian.dcm",
        "jpeg2000.dcm",
        "lossless12.dcm",
    ] {
        let whole = std::fs::read(cases().join(name)).unwrap();
        for step in 0..24 {
            let mut bytes = whole.clone();
            let at = step * bytes.len() / 24;
            match step % 3 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 0xff,
                _ => bytes[at..].fill(0xff),
            }
            std::fs::write(&file, bytes).unwrap();
            let request = request(folder.path(), "path,label\nx,0\n", "values = \"rescaled\"");
            if let Err(error) = open(&request, None) {
                assert_eq!(error.exit_code(), 2, "{name} {step}: {error}");
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn pipes_and_folders_are_no_images() {
    let folder = tempfile::tempdir().unwrap();
    assert!(std::process::Command::new("mkfifo").arg(folder.path().join("pipe")).status().unwrap().success());
    std::fs::create_dir(folder.path().join("folder")).unwrap();
    for name in ["pipe", "folder"] {
        let request = request(folder.path(), &format!("path,label\n{name},0\n"), "");
        assert!(message(open(&request, None)).contains("a regular file"));
    }
}

#[test]
fn several_sizes_and_colours_become_samples_of_one_shape() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| cases().join(name).display().to_string();
    let list = |names: &[&str]| {
        names.iter().fold("path,label\n".to_string(), |csv, name| csv + &format!("{},0\n", file(name)))
    };
    std::fs::write(folder.path().join("big.png"), std::fs::read(cases().join("bomb.png")).unwrap()).unwrap();
    // Another size is refused by its header, with the size that the model takes.
    let mixed = list(&["grey.png", "bomb.png"]);
    let mut request_of = request(folder.path(), &mixed, "");
    request_of.images.shape = Some(vec![12, 10, 1]);
    let text = message(open(&request_of, None));
    assert!(
        text.contains("6 x 8 as the first image") && text.contains("resize = [12, 10] in [[data]]"),
        "{text}"
    );
    // Grey and colour: all become colour unless the model takes grey.
    let both = list(&["grey.png", "colour.png", "grey-as-colour.png"]);
    let mut all = request(folder.path(), &both, "");
    let set = open(&all, None).unwrap();
    assert_eq!(set.shape, [6, 8, 3]);
    assert_eq!(set.values[..3], [set.values[0]; 3]);
    all.images.shape = Some(vec![6, 8, 1]);
    assert!(message(open(&all, None)).contains("colours = \"grey\" in [[data]]"));
    let mended = with_keys(all, "colours = \"grey\"");
    assert_eq!(open(&mended, None).unwrap().shape, [6, 8, 1]);
    // Grey stored as colour is grey for a grey model and where nobody says, and stays three channels for a colour model.
    for (shape, channels) in [(None, 1), (Some(vec![6, 8, 1]), 1), (Some(vec![6, 8, 3]), 3)] {
        let mut one = request(folder.path(), &list(&["grey-as-colour.png", "grey.png"]), "");
        one.images.shape = shape;
        assert_eq!(open(&one, None).unwrap().shape, [6, 8, channels]);
    }
    // Units do not mix.
    let units = request(folder.path(), &list(&["ct.dcm", "grey.png"]), "values = \"rescaled\"");
    assert!(message(open(&units, None)).contains("HU, as the first image"));
}

#[test]
fn only_the_images_of_the_limit_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let good = cases().join("grey.png").display().to_string();
    // Which sample stays is chosen by its index; the files of all others may be missing.
    let rows = |kept: u64| -> String {
        (0..8).fold("path,label\n".into(), |csv: String, row| {
            csv + &format!("{},{}\n", if row == kept { &good } else { "nowhere.png" }, row % 2)
        })
    };
    let opened = (0..8).filter(|&kept| {
        let mut one = request(folder.path(), &rows(kept), "");
        one.limit = Some(1);
        open(&one, None).is_ok_and(|set| set.index == [kept])
    });
    assert_eq!(opened.count(), 1);
}

#[test]
fn dicom_files_say_whose_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let csv = format!("path,label\n{},0\n", cases().join("ct.dcm").display());
    let mut own = request(folder.path(), &csv, "values = \"rescaled\"\nbins = { age = [0, 18, 40, 65] }");
    own.subgroups = vec!["sex".into(), "modality".into()];
    let set = open(&own, None).unwrap();
    assert_eq!(set.group, Some(vec!["p-7".to_string()]));
    let column = |name: &str| set.subgroups[name][0].clone();
    assert_eq!([column("sex"), column("age"), column("modality")], ["F", "[40, 65)", "CT"]);
    // The list's own columns come first.
    let csv = format!("path,label,patient,sex\n{},0,mine,M\n", cases().join("ct.dcm").display());
    let mut listed = request(folder.path(), &csv, "values = \"rescaled\"");
    listed.subgroups = vec!["sex".into()];
    let set = open(&listed, None).unwrap();
    assert_eq!(
        (set.group.unwrap(), set.subgroups["sex"].clone()),
        (vec!["mine".to_string()], vec!["M".to_string()])
    );
}

#[test]
fn folders_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (path, from) in [
        ("train/Normal/a.png", "grey.png"),
        ("train/Pneumonia/p1/b.png", "grey-as-colour.png"),
        ("train/Pneumonia/c.jpg", "grey.jpg"),
        ("valid/Pneumonia/d.bmp", "grey.bmp"),
    ] {
        let to = folder.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(cases().join(from), to).unwrap();
    }
    std::fs::write(folder.path().join("train/Normal/.DS_Store"), "x").unwrap();
    let mut all = Request::new(Source::Path(folder.path().to_path_buf()), "all");
    assert!(message(open(&all, None)).contains("classes = [\"Normal\", \"Pneumonia\"]"));
    all.classes = vec!["pneumonia".into(), "normal".into()];
    let set = open(&all, None).unwrap();
    assert_eq!((set.labels, set.index), (Labels::Class(vec![1, 0, 0, 0]), vec![0, 1, 2, 3]));
    assert_eq!((set.shape, set.classes), (vec![6, 8, 1], vec!["pneumonia".to_string(), "normal".into()]));
    let valid = open(&Request { split: "val".into(), ..all.clone() }, None).unwrap();
    assert_eq!((valid.labels, valid.index), (Labels::Class(vec![0]), vec![3]));
    let test = message(open(&Request { split: "test".into(), ..all.clone() }, None));
    assert!(test.contains("found train, val") && test.contains("split = \"all\""), "{test}");
    // A single split has no folders of its own, and keys about lists say nothing here.
    let train = Request { source: Source::Path(folder.path().join("train")), ..all.clone() };
    assert_eq!(open(&train, None).unwrap().labels, Labels::Class(vec![1, 0, 0]));
    let refused = |keys: &str| message(open(&with_keys(all.clone(), keys), None));
    assert!(refused("separator = \"|\"").contains("folders are the classes"));
    assert!(refused("missing = \"drop\"").contains("labels of a manifest"));
    assert!(told(&all).contains("1 of 4 images: JPEG"));
}

/// As texts, which is torchvision's order, 10 stands before 2.
#[test]
fn eleven_folders_called_by_numbers_are_refused_until_the_order_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for class in 0..11 {
        let own = folder.path().join(class.to_string());
        std::fs::create_dir(&own).unwrap();
        std::fs::copy(cases().join("grey.png"), own.join("a.png")).unwrap();
    }
    let mut all = Request::new(Source::Path(folder.path().to_path_buf()), "all");
    all.outputs = Some(percuss::data::labels::Outputs { count: 11, findings: false });
    let error = message(open(&all, None));
    // In the order of paths: 0, 1, 10, 2, ...
    for (order, tenth) in [("\"0\", \"1\", \"10\", \"2\", ", 2), ("\"0\", \"1\", \"2\", ", 10)] {
        let line = error.split("classes = ").find(|text| text.starts_with(&format!("[{order}"))).unwrap();
        let names: Vec<String> =
            line[1..line.find(']').unwrap()].split(", ").map(|name| name.trim_matches('"').into()).collect();
        let said = Request { classes: names, classes_of_data: true, ..all.clone() };
        let Labels::Class(labels) = open(&said, None).unwrap().labels else { panic!("classes") };
        assert_eq!((labels.len(), labels[2]), (11, tenth));
    }
    std::fs::remove_dir_all(folder.path().join("10")).unwrap();
    all.outputs = Some(percuss::data::labels::Outputs { count: 10, findings: false });
    assert_eq!(open(&all, None).unwrap().labels, Labels::Class((0..10).collect()));
}

#[test]
fn segmentations_in_a_class_folder_are_no_samples_and_are_told() {
    let rows: [(&[&str], usize, usize); 12] = [
        // The COVID-19 Radiography Database and BUSI.
        (&["N/images/1.png", "N/masks/1.png", "P/images/2.png", "P/masks/2.png"], 2, 2),
        (&["N/n (1).png", "N/n (1)_mask.png", "N/n (1)_mask_1.png", "P/p (3).png", "P/p (3)_mask.png"], 2, 3),
        (&["train/N/1.png", "train/N/segmentation/1.png", "test/P/2.png", "test/P/2-mask.png"], 2, 2),
        (&["N/a/1.png", "N/a/1_seg.png", "P/2.png"], 2, 1),
        // Nothing that they would be segmentations of.
        (&["N/1_mask.png", "N/masks/1.png", "P/masks/2.png"], 2, 1),
        (&["mask/1.png", "mask/1_2.png", "no_mask/1.png"], 3, 0),
        (&["mask/a/1.png", "mask/b/2.png", "no_mask/a/1.png", "no_mask/b/2.png"], 4, 0),
        // A folder of all segmentations beside one of all images, or beside the classes.
        (&["images/N/1.png", "images/P/2.png", "masks/N/1.png", "masks/P/2.png"], 2, 2),
        (&["N/1.png", "P/2.png", "masks/N/1.png", "masks/P/2.png"], 2, 2),
        (&["train/images/N/1.png", "train/masks/N/1.png", "test/img/P/2.png", "test/seg/P/2.png"], 2, 2),
        (&["images/train/N/1.png", "images/test/P/2.png", "Masks/train/N/1.png"], 2, 1),
        (&["train/N/1.png", "test/P/2.png", "masks/train/N/1.png"], 2, 1),
    ];
    for (files, samples, masks) in rows {
        let folder = tempfile::tempdir().unwrap();
        for path in files {
            let to = folder.path().join(path);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(cases().join("grey.png"), to).unwrap();
        }
        let mut all = Request::new(Source::Path(folder.path().to_path_buf()), "all");
        all.classes = match files[0].starts_with("mask") {
            true => vec!["mask".into(), "no_mask".into()],
            false => vec!["N".into(), "P".into()],
        };
        assert_eq!(open(&all, None).unwrap().len(), samples, "{files:?}");
        let said = told(&all);
        assert_eq!(said.contains("masks of images beside them are left out"), masks > 0, "{files:?}: {said}");
        assert!(masks == 0 || said.contains(&format!("left out: {masks},")), "{files:?}: {said}");
    }
}

#[test]
fn images_beside_masks_without_classes_are_refused_with_a_mend_that_works() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["images/1.png", "images/2.png", "masks/1.png", "masks/2.png"] {
        let to = folder.path().join(path);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(cases().join("grey.png"), to).unwrap();
    }
    let mut all = Request::new(Source::Path(folder.path().to_path_buf()), "all");
    all.classes = vec!["N".into(), "P".into()];
    let error = message(open(&all, None));
    assert!(
        error.contains("images beside segmentation masks") && error.contains("manifest = \"FILE.csv\""),
        "{error}"
    );
    let mut listed = request(folder.path(), "path,label\nimages/1.png,N\nimages/2.png,P\n", "");
    listed.classes = all.classes;
    assert_eq!(open(&listed, None).unwrap().labels, Labels::Class(vec![0, 1]));
}

#[test]
fn what_is_said_of_files_is_true_of_their_kind() {
    let folder = tempfile::tempdir().unwrap();
    let window = "values = \"window\"";
    let rows = [
        ("ct.dcm", "values = \"rescaled\"", "values in HU, from", "do not state"),
        (
            "no-window.dcm",
            "values = \"rescaled\"",
            "values whose unit the files do not state, from",
            "in value",
        ),
        ("colour.dcm", window, "of colour: pixels as they are, through no window", "its own window"),
        ("ct.dcm", window, "through its own window", "of colour"),
    ];
    for (file, keys, said, unsaid) in rows {
        let csv = format!("path,label\n{},0\n", cases().join(file).display());
        let told = told(&request(folder.path(), &csv, keys));
        assert!(told.contains(said) && !told.contains(unsaid), "{file} {keys}: {told}");
    }
    // The same file with a slope of 3, and with its own of 1.
    let [one, two] = ["one.dcm", "two.dcm"].map(|name| folder.path().join(name));
    let mut bytes = std::fs::read(cases().join("ct.dcm")).unwrap();
    std::fs::write(&one, &bytes).unwrap();
    let tag = [0x28, 0, 0x53, 0x10, b'D', b'S'];
    let at = bytes.windows(6).position(|own| own == tag).unwrap() + 8;
    let len = usize::from(bytes[at - 2]);
    bytes[at..at + len].fill(b' ');
    bytes[at] = b'3';
    std::fs::write(&two, &bytes).unwrap();
    for (files, differ) in [([&one, &two], true), ([&one, &one], false)] {
        let csv = format!("path,label\n{},0\n{},1\n", files[0].display(), files[1].display());
        let said = told(&request(folder.path(), &csv, "values = \"stored\""));
        assert_eq!(said.contains("equal numbers of two files mean different values"), differ, "{said}");
    }
    let csv = format!("path,label\n{},0\n", cases().join("grey.png").display());
    let resized = told(&request(folder.path(), &csv, "resize = [4, 4]"));
    assert!(resized.contains("(bicubic, crop)"), "{resized}");
}

#[test]
fn folders_of_other_images_and_names_as_paths_are_refused_with_a_mend() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| message(open(&Request::new(Source::Path(path.to_path_buf()), "all"), None));
    for (ending, bytes) in [("gif", &b"GIF89a....."[..]), ("webp", b"RIFF\x10\0\0\0WEBPVP8 ")] {
        let class = folder.path().join(ending).join("normal");
        std::fs::create_dir_all(&class).unwrap();
        std::fs::write(class.join(format!("a.{ending}")), bytes).unwrap();
        let mut all = Request::new(Source::Path(folder.path().join(ending)), "all");
        all.classes = vec!["normal".into(), "sick".into()];
        let class_folders = message(open(&all, None));
        assert!(class_folders.contains("a PNG, JPEG, TIFF, BMP or DICOM file"), "{class_folders}");
        assert!(refused(&class).contains("images (PNG, JPEG, TIFF, BMP, DICOM) in a folder for each class"));
    }
    let name = refused(&folder.path().join("breastmnist"));
    assert!(name.contains("name = \"breastmnist\" in the place of path"), "{name}");
    let missing = refused(&folder.path().join("breast"));
    assert!(missing.contains("No such file"), "{missing}");
}

#[test]
fn dicom_files_whose_first_group_has_no_true_length_are_read() {
    let folder = tempfile::tempdir().unwrap();
    for file in ["implicit.dcm", "inverted.dcm", "rle.dcm", "deflated.dcm"] {
        let read = |path: &Path| {
            let csv = format!("path,label\n{},0\n", path.display());
            open(&request(folder.path(), &csv, "values = \"stored\""), None).unwrap().values
        };
        let whole = std::fs::read(cases().join(file)).unwrap();
        assert_eq!(whole[132..140], [2, 0, 0, 0, b'U', b'L', 4, 0], "{file}");
        let right = read(&cases().join(file));
        let path = folder.path().join(file);
        std::fs::write(&path, [&whole[..132], &whole[144..]].concat()).unwrap();
        assert_eq!(read(&path), right, "{file} without it");
        for wrong in [0_u32, 7, 4096, u32::MAX] {
            std::fs::write(&path, [&whole[..140], &wrong.to_le_bytes(), &whole[144..]].concat()).unwrap();
            assert_eq!(read(&path), right, "{file} with {wrong}");
        }
    }
}
