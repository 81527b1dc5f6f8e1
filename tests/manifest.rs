//! Data sets of image files that a manifest lists.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::data::{Bins, ImageOptions, LabelOptions, Labels, Request, Source, open};
use support::files::message;

#[test]
fn manifest_lists_images() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, side: u32, bytes: &[u8], depth: png::BitDepth| {
        let file = std::fs::File::create(dir.path().join(name)).unwrap();
        let mut encoder = png::Encoder::new(file, side, side);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(bytes).unwrap();
    };
    write("a.png", 2, &[0, 10, 20, 255], png::BitDepth::Eight);
    write("b.png", 2, &[0, 0, 255, 255, 0x01, 0x01, 0x80, 0x80], png::BitDepth::Sixteen);
    let path = dir.path().join("m.csv");
    std::fs::write(&path, "path,label,patient,sex,split\na.png,ill,p1,F,test\nb.png,well,p2,M,train\n")
        .unwrap();
    let mut request = Request::new(Source::Manifest(path.clone()), "all");
    request.subgroups = vec!["sex".into()];
    assert!(message(open(&request, None)).contains("classes = [\"ill\", \"well\"]"));
    request.classes = vec!["well".into(), "ill".into()];
    let all = open(&request, None).unwrap();
    assert_eq!(
        (all.shape.clone(), all.classes.clone()),
        (vec![2, 2, 1], vec!["well".to_string(), "ill".into()])
    );
    assert_eq!(all.values, [0.0, 10.0, 20.0, 255.0, 0.0, 255.0, 1.0, 128.0]);
    assert_eq!(
        (all.group.clone().unwrap(), all.subgroups["sex"].clone()),
        (vec!["p1".to_string(), "p2".into()], vec!["F".to_string(), "M".into()])
    );
    assert_eq!(all.labels, Labels::Class(vec![1, 0]));
    assert_eq!(open(&Request { split: "test".into(), ..request.clone() }, None).unwrap().index, [0]);
    write("b.png", 3, &[1; 9], png::BitDepth::Eight);
    assert!(
        message(open(&request, None)).contains("2 x 2 as the first image, or resize = [2, 2] in [[data]]")
    );
    std::fs::write(dir.path().join("b.png"), b"\x89PNG\r\n\x1a\nxx").unwrap();
    assert!(message(open(&request, None)).contains("b.png"));
    std::fs::remove_file(dir.path().join("b.png")).unwrap();
    assert!(message(open(&request, None)).contains("column `path`, row 1: found no file"));
}

/// Files `0.png` to `7.png` and a CSV beside them.
struct List {
    folder: tempfile::TempDir,
}

impl List {
    fn new(csv: &str) -> Self {
        let list = Self { folder: tempfile::tempdir().unwrap() };
        for value in 0..8 {
            let file = std::fs::File::create(list.folder.path().join(format!("{value}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, 1, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(&[value]).unwrap();
        }
        std::fs::write(list.folder.path().join("m.csv"), csv).unwrap();
        list
    }

    fn request(&self, keys: &str, classes: &[&str]) -> Request {
        let mut request = Request::new(Source::Manifest(self.folder.path().join("m.csv")), "all");
        for (key, value) in &keys.parse::<toml::Table>().unwrap() {
            if LabelOptions::KEYS.contains(&key.as_str()) {
                request.labels.set(key, value).unwrap();
                continue;
            }
            let key = ImageOptions::KEYS.into_iter().find(|own| own == key).unwrap();
            request.images.set(key, value, self.folder.path()).unwrap();
        }
        request.classes = classes.iter().map(|name| name.to_string()).collect();
        request
    }

    /// Labels, the rows that are left, and what was said.
    fn read(&self, keys: &str, classes: &[&str]) -> Result<(Labels, Vec<u64>, String), String> {
        match open(&self.request(keys, classes), None) {
            Ok(set) => Ok((set.labels, set.index, set.remarks.iter().map(|r| format!("{r}; ")).collect())),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn findings(rows: &[[u8; 2]]) -> Labels {
    Labels::Findings(rows.concat())
}

/// CheXpert's layout: a column a finding; 1, 0, -1 and nothing.
const CHEXPERT: &str = "Path,Sex,Age,Edema,Pleural Effusion\n\
    0.png,Female,68,1.0,0.0\n1.png,Male,30,0.0,1.0\n2.png,Male,12,-1.0,1.0\n3.png,Female,50,,0.0\n4.png,Female,90,1.0,1.0\n";

#[test]
fn findings_in_columns_are_matched_by_name_under_every_policy() {
    let list = List::new(CHEXPERT);
    let names = ["Pleural Effusion", "Edema"];
    let columns = "columns = { path = \"Path\", label = [\"Edema\", \"Pleural Effusion\"] }\n";
    // Each refusal says the line that is added next.
    assert!(list.read("", &names).unwrap_err().contains("columns = { path = \"Path\" }"));
    let unnamed = list.read("columns = { path = \"Path\" }", &names).unwrap_err();
    assert!(unnamed.contains("columns = { label = [NAME, ...] }"), "{unnamed}");
    let unordered = list.read(columns, &[]).unwrap_err();
    assert!(unordered.contains("classes = [\"Edema\", \"Pleural Effusion\"]"), "{unordered}");
    let uncertain = list.read(columns, &names).unwrap_err();
    assert!(uncertain.contains("column `Edema`, row 2: found -1"), "{uncertain}");
    assert!(uncertain.contains("uncertain = \"negative\", \"positive\", \"drop\""), "{uncertain}");
    let missing = list.read(&format!("{columns}uncertain = \"drop\""), &names).unwrap_err();
    assert!(missing.contains("column `Edema`, row 3: found no label (1 are missing"), "{missing}");
    // Effusion is output 0 here, Edema output 1.
    for (uncertain, missing, expected, rows) in [
        ("positive", "negative", findings(&[[0, 1], [1, 0], [1, 1], [0, 0], [1, 1]]), vec![0, 1, 2, 3, 4]),
        ("negative", "positive", findings(&[[0, 1], [1, 0], [1, 0], [0, 1], [1, 1]]), vec![0, 1, 2, 3, 4]),
        ("drop", "negative", findings(&[[0, 1], [1, 0], [0, 0], [1, 1]]), vec![0, 1, 3, 4]),
        ("drop", "drop", findings(&[[0, 1], [1, 0], [1, 1]]), vec![0, 1, 4]),
    ] {
        let keys = format!("{columns}uncertain = \"{uncertain}\"\nmissing = \"{missing}\"");
        let (labels, index, told) = list.read(&keys, &names).unwrap();
        assert_eq!((labels, index), (expected, rows), "{keys}");
        assert!(told.contains("1 uncertain label ") && told.contains("1 missing label "), "{told}");
    }
    // Under another name.
    let renamed = "columns = { path = \"Path\", label = { Effusion = \"Pleural Effusion\", Oedema = \"Edema\" } }\n\
                   uncertain = \"drop\"\nmissing = \"drop\"";
    let (labels, ..) = list.read(renamed, &["Effusion", "Oedema"]).unwrap();
    assert_eq!(labels, findings(&[[0, 1], [1, 0], [1, 1]]));
    let other = List::new("path,A,B\n0.png,1,2\n").read("columns = { label = [\"A\", \"B\"] }", &["A", "B"]);
    assert!(other.unwrap_err().contains("column `B`, row 0: found `2`, expected 1 (there)"));
}

#[test]
fn a_single_column_of_answers_has_the_same_policies() {
    let list = List::new(CHEXPERT);
    let columns = "columns = { path = \"Path\", label = \"Edema\" }\n";
    assert!(list.read(columns, &["none", "Edema"]).unwrap_err().contains("uncertain = "));
    let keys = format!("{columns}uncertain = \"positive\"\nmissing = \"drop\"");
    let (labels, index, told) = list.read(&keys, &["none", "Edema"]).unwrap();
    assert_eq!((labels, index), (Labels::Class(vec![1, 0, 1, 1]), vec![0, 1, 2, 4]));
    assert!(told.contains("1 of 5 samples is left out for its label"), "{told}");
    // Classes of -1 and 1 are no answers: the labels' own matter.
    let signs = List::new("path,label\n0.png,-1\n1.png,1\n");
    assert!(signs.read("", &["a", "b"]).unwrap_err().contains("classes = [\"-1\", \"1\"]"));
    let named = List::new("path,label\n0.png,ill\n1.png,\n2.png,well\n");
    assert!(named.read("", &["well", "ill"]).unwrap_err().contains("missing = "));
    let (labels, ..) = named.read("missing = \"drop\"", &["well", "ill"]).unwrap();
    assert_eq!(labels, Labels::Class(vec![1, 0]));
    assert!(named.read("missing = \"positive\"", &["well", "ill"]).is_err());
}

#[test]
fn findings_in_one_text_are_parted() {
    let list = List::new(
        "Image Index,Finding Labels\n0.png,No Finding\n1.png,Mass|Effusion\n2.png,Effusion\n3.png,Hernia|Mass\n",
    );
    let columns = "columns = { path = \"Image Index\", label = \"Finding Labels\" }\n";
    assert!(list.read(columns, &["Mass", "Effusion"]).unwrap_err().contains("separator = \"|\" in [[data]]"));
    let keys = format!("{columns}separator = \"|\"");
    let (labels, _, told) = list.read(&keys, &["Mass", "Effusion"]).unwrap();
    assert_eq!(labels, findings(&[[0, 0], [1, 1], [0, 1], [1, 0]]));
    assert!(told.contains("Hernia"), "{told}");
    assert!(list.read(&keys, &["Mass", "Oedema"]).unwrap_err().contains("`Oedema`"));
    assert!(list.read(&keys, &[]).unwrap_err().contains("classes = ["));
    let (labels, ..) = list.read(&keys, &["No Finding", "Mass"]).unwrap();
    assert_eq!(labels, findings(&[[1, 0], [0, 1], [0, 0], [0, 1]]));
}

#[test]
fn the_lines_that_errors_name_find_the_files() {
    for (path, moved) in [
        ("CheXpert-v1.0-small/train/0.png", "train/0.png"),
        ("0", "images/0.png"),
        ("deep\\\\0.png", "deep/0.png"),
    ] {
        let list = List::new(&format!("path,label\n{},1\n", path.replace("\\\\", "\\")));
        let to = list.folder.path().join(moved);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(list.folder.path().join("0.png"), to).unwrap();
        let error = match list.read("", &[]) {
            Ok(_) => continue,
            Err(error) => error,
        };
        assert!(error.contains("column `path`, row 0: found no file"), "{error}");
        if path == "0" {
            assert_eq!(list.read("files = { base = \"images\", suffix = \".png\" }", &[]).unwrap().1, [0]);
            continue;
        }
        let line = error.split("expected ").nth(1).unwrap().split(" in [[data]]").next().unwrap();
        assert_eq!(list.read(line, &[]).unwrap_or_else(|error| panic!("{line}: {error}")).1, [0]);
    }
}

#[test]
fn columns_have_any_names_and_ages_come_in_ranges() {
    let list = List::new(
        "File,Class,Subject,Years,Gender,Fold\n0.png,0,p1,17,F,valid\n1.png,1,p1,18,M,test\n2.png,1,p2,,M,validation\n",
    );
    let keys = "columns = { path = \"File\", label = \"Class\", patient = \"Subject\", age = \"Years\", sex = \"Gender\", split = \"Fold\" }";
    let mut request = list.request(keys, &[]);
    request.split = "val".into();
    request.subgroups = vec!["sex".into()];
    request.bins = vec![Bins { column: "age".into(), edges: vec![0.0, 18.0, 40.0] }];
    let set = open(&request, None).unwrap();
    assert_eq!((set.index, set.labels), (vec![0, 2], Labels::Class(vec![0, 1])));
    assert_eq!(set.group.unwrap(), ["p1", "p2"]);
    assert_eq!(
        (&set.subgroups["age"][..], &set.subgroups["sex"][..]),
        (&["[0, 18)".to_string(), "missing".into()][..], &["F".to_string(), "M".into()][..])
    );
    request.bins[0].column = "weight".into();
    assert!(message(open(&request, None)).contains("bins: found `weight`, expected one of"));
    assert!(
        list.read("columns = { path = \"File\", label = \"Class\", split = \"Split\" }", &[])
            .unwrap_err()
            .contains("columns.split: found no column `Split`")
    );
}

#[test]
fn folds_are_splits_by_the_line_of_the_refusal() {
    let list = List::new("path,label,strat_fold\n0.png,0,1\n1.png,1,9\n2.png,1,10\n3.png,0,0\n4.png,0,\n");
    let mut request = list.request("", &[]);
    request.split = "test".into();
    let error = message(open(&request, None));
    assert!(error.contains("columns = { split = \"strat_fold\" }"), "{error}");
    let mut request = list.request("columns = { split = \"strat_fold\" }", &[]);
    request.split = "test".into();
    let error = message(open(&request, None));
    assert!(
        error.contains("which has 0, 1, 10, 9") && error.contains("splits = { val = [9], test = [10] }"),
        "{error}"
    );
    for (splits, split, rows) in [
        ("val = [9]\ntest = [10]", "test", vec![2]),
        ("val = [9]\ntest = [10]", "val", vec![1]),
        ("val = [9]\ntest = [10]", "train", vec![0, 3]),
        ("test = [10, 0]", "test", vec![2, 3]),
        ("train = 1\ntest = \"10\"", "train", vec![0]),
    ] {
        request.splits = toml::from_str(splits).unwrap();
        request.split = split.into();
        assert_eq!(open(&request, None).unwrap().index, rows, "{splits} {split}");
    }
}

#[test]
fn patients_of_chexpert_are_the_folders_of_its_paths() {
    let list = List::new(
        "path,label\ntrain/patient00001/0.png,1\ntrain/patient00002/1.png,0\ntrain/patient00001/2.png,0\n",
    );
    for (value, patient) in [(0, 1), (1, 2), (2, 1)] {
        let to = list.folder.path().join(format!("train/patient0000{patient}/{value}.png"));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(list.folder.path().join(format!("{value}.png")), to).unwrap();
    }
    let set = open(&list.request("", &[]), None).unwrap();
    assert_eq!(set.group.unwrap(), ["patient00001", "patient00002", "patient00001"]);
    assert!(set.remarks.iter().any(|remark| remark.text.contains("there is no column `patient`")));
}
