//! Labels in every form, under every head and every order of names: the right classes, or a refusal whose lines, followed, give what they say.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::data::{Dataset, Labels};
use percuss::models::Config;
use percuss::sweep::load;
use percuss::sweep::study::Study;
use support::npz::{encoded, npy, wide, write};
use support::write_model;

/// Which samples have what is looked for.
const ILL: [bool; 6] = [true, false, true, true, false, false];
/// Classes of a model of three.
const THREE: [usize; 6] = [2, 0, 1, 1, 2, 0];

/// A model of one value, and its data.
struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new(outputs: usize, head: &str, names: &[&str]) -> Self {
        let place = Self { folder: tempfile::tempdir().unwrap() };
        let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
        let names = if names.is_empty() {
            String::new()
        } else {
            format!(", \"class_names\": [{}]", names.join(", "))
        };
        let config = format!(
            r#"{{"architecture": "mlp", "inputs": 1, "hidden": [2], "classes": {outputs}, "head": "{head}",
                "input_scaling": {{"mean": [2.5], "std": [1.7]}}{names}}}"#
        );
        write_model(&place.folder.path().join("model"), &Config::parse(&config, "model").unwrap());
        for value in 0..6u8 {
            let file = std::fs::File::create(place.folder.path().join(format!("{value}.png"))).unwrap();
            let mut encoder = png::Encoder::new(file, 1, 1);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(&[value]).unwrap();
        }
        place
    }

    /// The data as a study reads them for the model.
    fn read(&self, data: &str, model: &str) -> Result<Dataset, String> {
        let text = format!(
            "name = \"s\"\n[[data]]\nid = \"d\"\nsplit = \"all\"\n{data}\n[[model]]\nid = \"m\"\npath = \"model\"\ndata = [\"d\"]\n{model}\n\
             [[attack]]\nkind = \"fgsm\"\nbudget = [{{ norm = \"linf\", eps = 0.1 }}]\n"
        );
        let path = self.folder.path().join("s.toml");
        std::fs::write(&path, text).unwrap();
        let read = Study::read(&path).and_then(|study| {
            load::model(&study, 0).and_then(|model| load::data(&study, 0, 0, &model, None))
        });
        read.map_err(|error| error.to_string())
    }

    fn array(&self, labels: Vec<u8>) -> &'static str {
        let x: Vec<f64> = (0..6).map(f64::from).collect();
        let arrays = [("x", npy("<f4", false, &[6, 1], &encoded("<f4", &x))), ("y", labels)];
        write(&self.folder.path().join("d.npz"), true, &arrays);
        "path = \"d.npz\""
    }

    /// A list of the images with a column of labels.
    fn list(&self, column: &str, labels: &[String]) -> &'static str {
        let rows: Vec<String> =
            labels.iter().enumerate().map(|(k, label)| format!("{k}.png,{label}")).collect();
        self.csv(&format!("path,{column}\n{}\n", rows.join("\n")))
    }

    fn csv(&self, text: &str) -> &'static str {
        std::fs::write(self.folder.path().join("m.csv"), text).unwrap();
        "manifest = \"m.csv\""
    }
}

fn classes(data: &Dataset) -> Vec<usize> {
    match &data.labels {
        Labels::Class(labels) => labels.iter().map(|&label| label as usize).collect(),
        Labels::Findings(_) => panic!("findings"),
    }
}

fn told(data: &Dataset) -> String {
    data.remarks.iter().map(|remark| format!("{remark}\n")).collect()
}

/// Every `classes = [...]` of a message.
fn lines(error: &str) -> Vec<(String, Vec<String>)> {
    let ends = error.match_indices("classes = [").map(|(at, _)| &error[at..]);
    let line = |text: &str| -> Option<(String, Vec<String>)> {
        let line = &text[..=text.find(']')?];
        let table: toml::Table = line.parse().ok()?;
        let names = table["classes"].as_array()?.iter().map(|name| name.as_str().unwrap().to_string());
        Some((line.to_string(), names.collect()))
    };
    ends.filter_map(line).collect()
}

fn as_texts<T: ToString>(labels: impl IntoIterator<Item = T>) -> Vec<String> {
    labels.into_iter().map(|label| label.to_string()).collect()
}

/// What a form of labels must come to.
enum Right {
    /// These classes.
    Classes(Vec<usize>),
    /// Refused; so many lines say what may be meant, and each gives what it says.
    Lines(usize),
    /// Refused with these words.
    Words(&'static str),
}

fn check(place: &Place, data: &str, texts: &[String], right: &Right, what: &str) {
    let found = place.read(data, "");
    match right {
        Right::Classes(right) => {
            let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(classes(&found), *right, "{what}");
        }
        Right::Words(words) => {
            let error = found.map(|found| classes(&found)).expect_err(what);
            assert!(error.contains(words), "{what}: {error}");
        }
        Right::Lines(count) => {
            let error = found.map(|found| classes(&found)).expect_err(what);
            let lines = lines(&error);
            assert_eq!(lines.len(), *count, "{what}: {error}");
            for (line, names) in lines {
                let read = place.read(&format!("{data}\n{line}"), "");
                let read = read.unwrap_or_else(|error| panic!("{what}, {line}: {error}"));
                let place = |text: &String| {
                    let same = |name: &String| {
                        let number = |text: &str| text.parse::<f64>().ok();
                        name.eq_ignore_ascii_case(text)
                            || number(name).is_some() && number(name) == number(text)
                    };
                    names.iter().position(same).unwrap()
                };
                assert_eq!(classes(&read), texts.iter().map(place).collect::<Vec<_>>(), "{what}, {line}");
            }
        }
    }
}

/// Labels as texts in both kinds of files.
fn check_texts(place: &Place, texts: &[String], right: &Right, what: &str) {
    let words: Vec<&str> = texts.iter().map(String::as_str).collect();
    let (descr, bytes) = wide(&words);
    for shape in [&[6][..], &[6, 1]] {
        let data = place.array(npy(&descr, false, shape, &bytes));
        check(place, data, texts, right, &format!("{what} in an array {shape:?}"));
    }
    let data = place.list("label", texts);
    check(place, data, texts, right, &format!("{what} in a list"));
}

/// Labels as numbers in arrays of every type that holds them, and in a list.
fn check_numbers(place: &Place, values: &[f64], right: &Right, what: &str) {
    let texts = as_texts(values);
    let whole = values.iter().all(|value| value.fract() == 0.0);
    let signed = values.iter().any(|value| *value < 0.0);
    for descr in ["|u1", "|i1", "<i8", "<f4", "<f8"] {
        if !whole && !descr.starts_with("<f") || signed && descr == "|u1" {
            continue;
        }
        for shape in [&[6][..], &[6, 1]] {
            let data = place.array(npy(descr, false, shape, &encoded(descr, values)));
            check(place, data, &texts, right, &format!("{what} as {descr} {shape:?}"));
        }
    }
    if values.iter().all(|value| value.is_finite()) {
        check_texts(place, &texts, right, &format!("{what} as texts"));
    }
}

#[test]
fn two_classes_in_every_form_under_every_order_of_names() {
    let place_of = |ill: bool| usize::from(ill);
    // Outputs, head, names, which output is the finding by its names, and how clear `yes` is without a word of the study.
    let models: [(usize, &str, &[&str], Option<usize>, bool); 6] = [
        (2, "softmax", &[], None, false),
        (2, "softmax", &["normal", "ill"], Some(1), true),
        (2, "softmax", &["ill", "normal"], Some(0), false),
        (2, "softmax", &["ill", "well"], Some(0), false),
        (1, "sigmoid", &[], None, true),
        (1, "sigmoid", &["ill"], Some(1), true),
    ];
    for (outputs, head, names, finding, clear) in models {
        let place = Place::new(outputs, head, names);
        let what = |form: &str| format!("{form} under {head} of {outputs} {names:?}");
        let yes = || Right::Classes(ILL.map(place_of).to_vec());
        // Numbers are places, whatever the names are.
        let numbers = ILL.map(|ill| f64::from(u8::from(ill)));
        check_numbers(&place, &numbers, &yes(), &what("0 and 1"));
        check_numbers(&place, &numbers.map(|n| n + 1.0), &Right::Lines(1), &what("1 and 2"));
        check_numbers(&place, &numbers.map(|n| 2.0 * n - 1.0), &Right::Lines(1), &what("-1 and 1"));
        check_numbers(
            &place,
            &numbers.map(|n| 0.3 + 0.5 * n),
            &Right::Words("y >= 0.5"),
            &what("probabilities"),
        );
        let hole = [f64::NAN, 0.0, 1.0, 1.0, 0.0, 0.0];
        check_numbers(&place, &hole, &Right::Words("a class by its number"), &what("NaN"));
        // Answers.
        let answers = || match (clear, names) {
            (true, _) => yes(),
            (false, _) => Right::Lines(2),
        };
        let truths = npy("|b1", false, &[6], &encoded("|b1", &numbers));
        let custom = if names.is_empty() { yes() } else { answers() };
        let data = place.array(truths);
        check(&place, data, &as_texts(ILL), &custom, &what("truths"));
        if matches!(custom, Right::Classes(_)) {
            assert!(
                told(&place.read(data, "").unwrap()).contains("true of array `y` is"),
                "{}",
                what("truths")
            );
        }
        check_texts(&place, &as_texts(ILL), &custom, &what("true and false"));
        for [no, yes] in [["no", "yes"], ["N", "Y"], ["Negative", "Positive"], ["absent", "present"]] {
            let texts = as_texts(ILL.map(|ill| if ill { yes } else { no }));
            check_texts(&place, &texts, &answers(), &what(yes));
        }
        // Names: the model's, in another case, others, or of nobody's.
        let Some(finding) = finding else {
            let texts = as_texts(ILL.map(|ill| if ill { "ill" } else { "normal" }));
            check_texts(&place, &texts, &Right::Lines(2), &what("names"));
            // Nobody says whether 1 is pneumonia: what it was taken for is said.
            let data = format!("{}\ncolumns = {{ label = \"ill\" }}", place.list("ill", &as_texts(numbers)));
            check(&place, &data, &[], &yes(), &what("a column called like nothing that is known"));
            let text = told(&place.read(&data, "").unwrap());
            assert!(text.contains("column `ill`: 1 is output 1, 0 is output 0"), "{text}");
            continue;
        };
        let named = Right::Classes(ILL.map(|ill| if ill { finding } else { 1 - finding }).to_vec());
        let other = if names.len() == 2 { names[1 - finding] } else { "not ill" };
        for (form, no, yes) in [
            ("names", other.to_string(), "ill".to_string()),
            ("names in capitals", other.to_uppercase(), "Ill".into()),
        ] {
            let texts: Vec<String> =
                ILL.iter().map(|&ill| if ill { yes.clone() } else { no.clone() }).collect();
            check_texts(&place, &texts, &named, &what(form));
        }
        let texts = as_texts(ILL.map(|ill| if ill { "sick" } else { "fine" }));
        check_texts(&place, &texts, &Right::Lines(2), &what("other names"));
        // A column that is called like a class asks for it; with -1 and nothing, too.
        let data = place.list("Ill", &as_texts(numbers));
        let keys = format!("{data}\ncolumns = {{ label = \"Ill\" }}");
        check(&place, &keys, &[], &named, &what("a column called like a class"));
        let graded = ["1", "0", "-1", "1", "", "0"].map(String::from).to_vec();
        let data = place.list("ill", &graded);
        let keys = format!("{data}\ncolumns = {{ label = \"ill\" }}");
        let error = place.read(&keys, "").unwrap_err();
        assert!(error.contains("uncertain = "), "{}: {error}", what("-1"));
        let keys = format!("{keys}\nuncertain = \"positive\"\nmissing = \"negative\"");
        check(&place, &keys, &[], &named, &what("uncertain answers"));
    }
}

#[test]
fn an_uncertain_answer_counts_as_a_class_that_is_said_or_is_refused() {
    let graded = ["1", "0", "-1", "1", "0", "0"].map(String::from).to_vec();
    for (names, clear) in
        [(&["normal", "ill"][..], true), (&["ill", "normal"], false), (&["a", "b"], false), (&[], true)]
    {
        let place = Place::new(2, "softmax", names);
        let data = format!("{}\nuncertain = \"positive\"", place.list("label", &graded));
        match place.read(&data, "") {
            Ok(read) => {
                assert!(clear, "{names:?}");
                assert_eq!(classes(&read), ILL.map(usize::from), "{names:?}");
                let class = names.get(1).copied().unwrap_or("output 1");
                assert!(
                    told(&read).contains(&format!("column `label`: 1 is {class}, 0 is")),
                    "{}",
                    told(&read)
                );
            }
            Err(error) => {
                assert!(!clear, "{names:?}: {error}");
                for (at, name) in names.iter().enumerate() {
                    let line = format!("label = {{ {name:?} = \"label\" }}");
                    assert!(error.contains(&format!("`{line}` if 1 is {name}")), "{error}");
                    let read = place.read(&format!("{data}\ncolumns = {{ {line} }}"), "").unwrap();
                    assert_eq!(classes(&read), ILL.map(|ill| if ill { at } else { 1 - at }), "{name}");
                }
            }
        }
    }
    // Of three classes nothing is positive.
    let place = Place::new(3, "softmax", &[]);
    let data = place.list("label", &["1", "0", "-1", "2", "0", "0"].map(String::from));
    let error = place.read(&format!("{data}\nuncertain = \"positive\""), "").unwrap_err();
    assert!(error.contains("uncertain = \"drop\""), "{error}");
    let read = place.read(&format!("{data}\nuncertain = \"drop\""), "").unwrap();
    assert_eq!((classes(&read), read.index), (vec![1, 0, 2, 0, 0], vec![0, 1, 3, 4, 5]));
}

#[test]
fn three_classes_by_number_by_name_and_one_hot() {
    let names = ["bkl", "mel", "nv"];
    let numbers = THREE.map(|class| class as f64);
    for known in [&names[..], &[]] {
        let place = Place::new(3, "softmax", known);
        let what = |form: &str| format!("{form} under {known:?}");
        let right = || Right::Classes(THREE.to_vec());
        check_numbers(&place, &numbers, &right(), &what("from 0"));
        check_numbers(&place, &numbers.map(|n| n + 1.0), &Right::Lines(1), &what("from 1"));
        // One class that does not occur, and the largest does.
        let some = [3.0, 1.0, 1.0, 3.0, 3.0, 1.0];
        check_numbers(&place, &some, &Right::Lines(1), &what("1 and 3"));
        check_numbers(
            &place,
            &[-1.0, 0.0, 1.0, 2.0, 0.0, 1.0],
            &Right::Words("a class by its number"),
            &what("-1"),
        );
        check_numbers(
            &place,
            &[0.1, 0.9, 0.2, 0.0, 0.4, 0.6],
            &Right::Words("y >= 0.5"),
            &what("probabilities"),
        );
        let truths = place.array(npy("|b1", false, &[6], &encoded("|b1", &[1.0, 0.0, 1.0, 1.0, 0.0, 0.0])));
        check(&place, truths, &[], &Right::Words("answers, false and true"), &what("truths"));
        let texts = as_texts(THREE.map(|class| names[class]));
        match known {
            [] => {
                let error = place.read(place.list("label", &texts), "").unwrap_err();
                assert!(
                    error.contains("classes = [OUTPUT 0, OUTPUT 1, OUTPUT 2]") && lines(&error).is_empty(),
                    "{error}"
                );
            }
            _ => check_texts(&place, &texts, &right(), &what("names")),
        }
        let one_hot: Vec<f64> =
            THREE.iter().flat_map(|&class| (0..3).map(move |k| f64::from(u8::from(k == class)))).collect();
        for descr in ["|b1", "|u1", "<f4"] {
            let data = place.array(npy(descr, false, &[6, 3], &encoded(descr, &one_hot)));
            check(&place, data, &[], &right(), &what("one-hot"));
        }
        let mut none = one_hot.clone();
        none[2] = 0.0;
        let mut two = one_hot.clone();
        two[0] = 1.0;
        let mut soft = one_hot.clone();
        soft[..3].copy_from_slice(&[0.1, 0.2, 0.7]);
        for (values, words) in [(none, "0 of 3 findings"), (two, "2 of 3 findings"), (soft, "argmax(1)")] {
            let data = place.array(npy("<f4", false, &[6, 3], &encoded("<f4", &values)));
            check(&place, data, &[], &Right::Words(words), &what(words));
        }
        let wider: Vec<f64> = one_hot.chunks(3).flat_map(|row| [row, &[0.0]].concat()).collect();
        let data = place.array(npy("<f4", false, &[6, 4], &encoded("<f4", &wider)));
        check(&place, data, &[], &Right::Words("one of 3, as many as the model has"), &what("four columns"));
    }
}

#[test]
fn numbers_that_never_are_0_are_flagged_and_both_lines_do_what_they_say() {
    for known in [&["bkl", "mel", "nv"][..], &[]] {
        let place = Place::new(3, "softmax", known);
        let values = [1.0, 2.0, 2.0, 1.0, 1.0, 2.0];
        for data in [
            place.array(npy("<i8", false, &[6], &encoded("<i8", &values))),
            place.list("label", &as_texts(values)),
        ] {
            let read = place.read(data, "").unwrap();
            assert_eq!(classes(&read), values.map(|value| value as usize));
            let warning = read.remarks.iter().find(|remark| remark.flag == Some("labels-from-1")).unwrap();
            let lines = lines(&warning.text);
            assert_eq!(lines.len(), 2, "{warning}");
            for ((line, _), less) in lines.iter().zip([1, 0]) {
                let read = place.read(&format!("{data}\n{line}"), "").unwrap();
                assert_eq!(classes(&read), values.map(|value| value as usize - less), "{line}");
                assert!(read.remarks.iter().all(|remark| remark.flag != Some("labels-from-1")), "{line}");
            }
        }
    }
}

#[test]
fn a_column_a_class_is_read_by_its_name() {
    let place = Place::new(3, "softmax", &["nv", "mel", "bkl"]);
    let columns = ["MEL", "NV", "BKL", "UNK"];
    let table = |rows: &[[u8; 4]]| {
        let row = |(k, row): (usize, &[u8; 4])| {
            format!("{k}.png,{}.0,{}.0,{}.0,{}.0\n", row[0], row[1], row[2], row[3])
        };
        let rows: String = rows.iter().enumerate().map(row).collect();
        place.csv(&format!("path,{}\n{rows}", columns.join(",")))
    };
    let all = "columns = { label = [\"MEL\", \"NV\", \"BKL\", \"UNK\"] }";
    let data = table(&[[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0]]);
    let read = place.read(&format!("{data}\n{all}"), "").unwrap();
    assert_eq!(classes(&read), [1, 0, 2, 0]);
    assert!(told(&read).contains("4 columns of labels are classes"), "{}", told(&read));
    let data = table(&[[1, 0, 0, 0], [0, 0, 0, 1]]);
    let error = place.read(&format!("{data}\n{all}"), "").unwrap_err();
    assert!(error.contains("row 1: found 1 in column `UNK`"), "{error}");
    let renamed = "columns = { label = { mel = \"MEL\", nv = \"NV\", bkl = \"UNK\" } }";
    assert_eq!(classes(&place.read(&format!("{data}\n{renamed}"), "").unwrap()), [1, 2]);
    for (row, words) in [([1, 1, 0, 0], "1 in 2 of 4"), ([0, 0, 0, 0], "1 in 0 of 4")] {
        let error = place.read(&format!("{}\n{all}", table(&[row])), "").unwrap_err();
        assert!(error.contains(words) && error.contains("head = \"sigmoid\""), "{error}");
    }
    // The line of the refusal, under a model whose outputs they are.
    let data = table(&[[1, 1, 0, 0], [0, 0, 0, 0]]);
    let three = "columns = { label = [\"MEL\", \"NV\", \"BKL\"] }";
    let read = place.read(&format!("{data}\n{three}"), "head = \"sigmoid\"").unwrap();
    assert_eq!(read.labels, Labels::Findings(vec![1, 1, 0, 0, 0, 0]));
    let unnamed = Place::new(3, "softmax", &[]);
    unnamed.csv("path,a,b,c\n0.png,1,0,0\n");
    let error =
        unnamed.read("manifest = \"m.csv\"\ncolumns = { label = [\"a\", \"b\", \"c\"] }", "").unwrap_err();
    assert!(error.contains("classes = [OUTPUT 0, OUTPUT 1, OUTPUT 2]"), "{error}");
}

/// CheXpert's columns, for a model of more findings than the list has.
const CHEXPERT: &str = "Path,Sex,Age,Frontal/Lateral,AP/PA,Edema,Pleural Effusion,Fracture\n\
    0.png,Female,68,Frontal,AP,1.0,0.0,\n1.png,Male,30,Frontal,PA,-1.0,1.0,0.0\n2.png,Male,12,Lateral,,,,\n3.png,Female,50,Frontal,AP,0.0,-1.0,\n";

#[test]
fn findings_without_a_column_or_a_label_are_neither_absent_nor_present() {
    const U: u8 = percuss::data::UNLABELLED;
    let place = Place::new(4, "sigmoid", &["Fracture", "Pneumonia", "edema", "Effusion"]);
    let csv = place.csv(CHEXPERT);
    let columns = |label: &str| {
        format!(
            "{csv}\nuncertain = \"ignore\"\nmissing = \"ignore\"\ncolumns = {{ path = \"Path\", label = {label} }}"
        )
    };
    // Effusion has another name: it must not pass for unlabelled.
    let error = place.read(&columns("[\"Edema\", \"Pleural Effusion\"]"), "").unwrap_err();
    assert!(
        error.contains("but Pleural Effusion") && error.contains("{ FINDING = \"Pleural Effusion\", ... }"),
        "{error}"
    );
    let mended = columns("{ Effusion = \"Pleural Effusion\", Edema = \"Edema\", Fracture = \"Fracture\" }");
    let read = place.read(&mended, "").unwrap();
    assert_eq!(read.index, [0, 1, 3]);
    assert_eq!(read.labels, Labels::Findings([[U, U, 1, 0], [0, U, U, 1], [U, U, 0, U]].concat()));
    let text = told(&read);
    assert!(text.contains("3 of 4 findings are labelled") && text.contains("attacked: Pneumonia"), "{text}");
    assert!(text.contains("2 uncertain labels leave their finding out"), "{text}");
    let described = read.describe().join("\n");
    assert!(described.contains("1 is Pneumonia (not labelled), 2 is edema (1 of 2 labelled)"), "{described}");
    // NIH's texts: what no sample has may be rare, or not labelled.
    let place = Place::new(4, "sigmoid", &["Mass", "Hernia", "Edema", "Fracture"]);
    let nih = place.csv("path,label\n0.png,Mass|Edema\n1.png,No Finding\n2.png,Edema\n");
    let nih = format!("{nih}\nseparator = \"|\"");
    let error = place.read(&nih, "").unwrap_err();
    assert!(error.contains("findings = [\"Mass\", \"Edema\"]"), "{error}");
    let read = place.read(&format!("{nih}\nfindings = [\"Mass\", \"Edema\", \"Hernia\"]"), "").unwrap();
    assert_eq!(read.labels, Labels::Findings([[1, 0, 1, U], [0, 0, 0, U], [0, 0, 1, U]].concat()));
    assert!(
        place
            .read(&format!("{nih}\nfindings = [\"Mass\", \"Nodule\"]"), "")
            .unwrap_err()
            .contains("`Nodule`")
    );
}

#[test]
fn one_column_and_lists_in_a_text_are_findings_or_a_class() {
    const U: u8 = percuss::data::UNLABELLED;
    let place = Place::new(3, "sigmoid", &["Mass", "Edema", "Hernia"]);
    let csv = place.csv("path,edema,text,lists\n0.png,1,Mass,\"['Mass', 'normal']\"\n1.png,0,Edema,['Edema']\n2.png,1,Hernia,\"['Hernia', 'Mass']\"\n");
    let label = |column: &str| format!("{csv}\ncolumns = {{ label = {column:?} }}");
    let read = place.read(&label("edema"), "").unwrap();
    assert_eq!(read.labels, Labels::Findings([[U, 1, U], [U, 0, U], [U, 1, U]].concat()));
    let error = place.read(&label("text"), "").unwrap_err();
    assert!(error.contains("separator = \"|\""), "{error}");
    let read = place.read(&format!("{}\nseparator = \"|\"", label("text")), "").unwrap();
    assert_eq!(read.labels, Labels::Findings([[1, 0, 0], [0, 1, 0], [0, 0, 1]].concat()));
    let read = place.read(&label("lists"), "").unwrap();
    assert_eq!(read.labels, Labels::Findings([[1, 0, 0], [0, 1, 0], [1, 0, 1]].concat()));
    assert!(told(&read).contains("no output has the name: normal"), "{}", told(&read));
    let place = Place::new(3, "softmax", &["N", "D", "G"]);
    let csv = place.csv("path,label\n0.png,['G']\n1.png,['N']\n2.png,['D']\n");
    assert_eq!(classes(&place.read(csv, "").unwrap()), [2, 0, 1]);
}

#[test]
fn folders_are_called_as_the_classes_or_refused_with_the_line() {
    let place = Place::new(2, "softmax", &["NORMAL", "PNEUMONIA"]);
    for (no, yes, named) in
        [("normal", "pneumonia", true), ("Normal", "Pneumonia", true), ("NORMAL", "pneumonias", false)]
    {
        let root = place.folder.path().join(yes);
        for (class, value) in [(no, 1), (yes, 2), (yes, 3)] {
            std::fs::create_dir_all(root.join(class)).unwrap();
            std::fs::copy(
                place.folder.path().join(format!("{value}.png")),
                root.join(class).join(format!("{value}.png")),
            )
            .unwrap();
        }
        let data = format!("path = {yes:?}");
        let read = place.read(&data, "");
        if named {
            assert_eq!(classes(&read.unwrap()), [0, 1, 1], "{yes}");
            continue;
        }
        let error = read.map(|read| classes(&read)).unwrap_err();
        let (line, _) = lines(&error).remove(0);
        assert_eq!(classes(&place.read(&format!("{data}\n{line}"), "").unwrap()), [0, 1, 1], "{line}");
    }
    assert!(Path::new(place.folder.path()).join("pneumonias").is_dir());
}

/// Every `label = { CLASS = COLUMN, ... }` of a message.
fn label_lines(error: &str) -> Vec<String> {
    let ends = error.match_indices("`label = {").map(|(at, _)| &error[at + 1..]);
    ends.filter_map(|text| text.split('`').next()).map(str::to_string).collect()
}

#[test]
fn a_column_called_for_what_is_not_there_is_the_class_where_nothing_is_found() {
    let healthy = ILL.map(|ill| u8::from(!ill));
    let models: [(usize, &str, &[&str]); 7] = [
        (2, "softmax", &["normal", "ill"]),
        (2, "softmax", &["ill", "normal"]),
        (2, "softmax", &["healthy", "melanoma"]),
        (2, "softmax", &["melanoma", "nevus"]),
        (2, "softmax", &[]),
        (1, "sigmoid", &["ill"]),
        (1, "sigmoid", &[]),
    ];
    for (outputs, head, names) in models {
        let place = Place::new(outputs, head, names);
        for column in ["No Finding", "Healthy", "benign", "normal", "no_finding"] {
            let what = format!("{column} under {head} of {outputs} {names:?}");
            let data = place.list(column, &as_texts(healthy));
            for label in [format!("{column:?}"), format!("[{column:?}]")] {
                let keys = format!("{data}\ncolumns = {{ label = {label} }}");
                let clear = !names.is_empty() && names[0] != "melanoma";
                let negative = usize::from(names.first() == Some(&"ill") && names.len() == 2);
                if clear {
                    let read = place.read(&keys, "").unwrap_or_else(|error| panic!("{what}: {error}"));
                    let right = healthy.map(|yes| if yes == 1 { negative } else { 1 - negative });
                    assert_eq!(classes(&read), right, "{what}");
                    assert!(told(&read).contains(&format!("column `{column}`: 1 is ")), "{what}");
                    continue;
                }
                let error = place.read(&keys, "").map(|read| classes(&read)).expect_err(&what);
                let lines = label_lines(&error);
                assert_eq!(lines.len(), 2, "{what}: {error}");
                for (there, line) in lines.iter().enumerate() {
                    let read = place.read(&format!("{data}\ncolumns = {{ {line} }}"), "");
                    let read = read.unwrap_or_else(|error| panic!("{what}, {line}: {error}"));
                    let right = healthy.map(|yes| if yes == 1 { there } else { 1 - there });
                    assert_eq!(classes(&read), right, "{what}, {line}");
                }
            }
        }
        let data = place.list("other", &as_texts(healthy));
        let error = place.read(&format!("{data}\ncolumns = {{ label = \"other\" }}"), "").unwrap_err();
        assert_eq!(label_lines(&error).len(), 2, "{names:?}: {error}");
    }
}

#[test]
fn a_single_output_has_one_name_or_two_and_data_agree_with_them() {
    let numbers = as_texts(ILL.map(u8::from));
    let right = ILL.map(usize::from);
    let (one, two) = ("classes = [\"ill\"]", "classes = [\"normal\", \"ill\"]");
    let swapped = "classes = [\"ill\", \"normal\"]";
    for (names, lines, wrong) in [
        (&["ill"][..], &[one, two, ""][..], &[swapped][..]),
        (&["normal", "ill"], &[one, two, ""], &[swapped, "classes = [\"normal\"]"]),
        (&[], &[one, two, swapped, ""], &["classes = [\"a\", \"b\", \"c\"]"]),
    ] {
        let place = Place::new(1, "sigmoid", names);
        let data = place.list("label", &numbers);
        for line in lines {
            let of_data = place.read(&format!("{data}\n{line}"), "");
            assert_eq!(classes(&of_data.unwrap()), right, "{names:?} {line}");
            let of_model = place.read(data, line);
            assert_eq!(classes(&of_model.unwrap()), right, "{names:?} {line}");
        }
        for line in wrong {
            assert!(place.read(&format!("{data}\n{line}"), "").is_err(), "{names:?} {line}");
            assert!(place.read(data, line).is_err(), "{names:?} {line}");
        }
    }
    for (outputs, names) in [(2, "\"A\", \"A\""), (2, "\"A\", \" a\""), (1, "\"A\", \"A\"")] {
        let config = format!(
            r#"{{"architecture": "mlp", "inputs": 1, "hidden": [2], "classes": {outputs}, "head": "sigmoid", "class_names": [{names}]}}"#
        );
        let error = Config::parse(&config, "model").unwrap_err().to_string();
        assert!(error.contains("twice"), "{error}");
    }
}

#[test]
fn one_value_a_sample_is_the_finding_that_is_named() {
    const U: u8 = percuss::data::UNLABELLED;
    let numbers = ILL.map(|ill| f64::from(u8::from(ill)));
    let named = Place::new(3, "sigmoid", &["A", "B", "C"]);
    let unnamed = Place::new(2, "sigmoid", &[]);
    for shape in [&[6][..], &[6, 1]] {
        for descr in ["|b1", "|u1", "<i8", "<f4"] {
            let y = || npy(descr, false, shape, &encoded(descr, &numbers));
            let read = named.read(&format!("{}\nfindings = [\"B\"]", named.array(y())), "").unwrap();
            let right: Vec<u8> = ILL.iter().flat_map(|&ill| [U, u8::from(ill), U]).collect();
            assert_eq!(read.labels, Labels::Findings(right), "{descr} {shape:?}");
            assert!(told(&read).contains("1 of 3 findings is labelled"), "{}", told(&read));
        }
        let data = named.array(npy("<i8", false, shape, &encoded("<i8", &numbers)));
        let error = named.read(data, "").unwrap_err();
        assert!(error.contains("`findings = [\"C\"]`") && error.contains("head = \"softmax\""), "{error}");
        assert!(named.read(&format!("{data}\nfindings = [\"C\"]"), "").is_ok());
        let data = unnamed.array(npy("<i8", false, shape, &encoded("<i8", &numbers)));
        let error = unnamed.read(data, "").unwrap_err();
        let lines = ["classes = [\"0\", \"1\"]", "findings = [\"1\"]"];
        assert!(lines.iter().all(|line| error.contains(&format!("`{line}`"))), "{error}");
        let read = unnamed.read(&format!("{data}\n{}", lines.join("\n")), "").unwrap();
        let right: Vec<u8> = ILL.iter().flat_map(|&ill| [U, u8::from(ill)]).collect();
        assert_eq!(read.labels, Labels::Findings(right));
    }
}

#[test]
fn a_class_without_a_column_is_asked_for() {
    let place = Place::new(3, "softmax", &["normal", "bacterial", "viral"]);
    let rows = "0.png,0,1,0\n1.png,1,0,0\n2.png,0,0,1\n";
    let data = place.csv(&format!("path,Normal,bacterial,viral\n{rows}"));
    let two = "columns = { label = [\"bacterial\", \"viral\"] }";
    let error = place.read(&format!("{data}\n{two}"), "").unwrap_err();
    assert!(!error.contains("sigmoid"), "{error}");
    let line = label_lines(&error).remove(0);
    let read = place.read(&format!("{data}\ncolumns = {{ {line} }}"), "").unwrap();
    assert_eq!(classes(&read), [1, 0, 2]);
    for column in ["bacterial", "No Finding"] {
        let data = place.list(column, &as_texts([1, 0, 1, 0, 1, 0]));
        let error = place.read(&format!("{data}\ncolumns = {{ label = {column:?} }}"), "").unwrap_err();
        assert!(error.contains("one class of several") && error.contains("`label = [COLUMN"), "{error}");
    }
    let data = place.csv("path,bacterial,viral\n0.png,1,0\n1.png,0,0\n");
    let error = place.read(&format!("{data}\n{two}"), "").unwrap_err();
    assert!(error.contains("a column for normal") && !error.contains("sigmoid"), "{error}");
}

#[test]
fn images_that_several_rows_list_are_flagged() {
    let place = Place::new(2, "softmax", &["normal", "ill"]);
    let flagged = |rows: &str| -> Vec<String> {
        let read = place.read(place.csv(&format!("path,label\n{rows}")), "").unwrap();
        let own = read.remarks.iter().filter(|remark| remark.flag == Some("repeated"));
        own.map(|remark| remark.text.clone()).collect()
    };
    assert!(flagged("0.png,1\n1.png,0\n2.png,1\n").is_empty());
    let same = flagged("0.png,1\n0.png,1\n1.png,0\n0.png,1\n");
    assert!(same.len() == 1 && same[0].starts_with("4 rows list 2 images"), "{same:?}");
    let other = flagged("0.png,1\n0.png,0\n1.png,0\n");
    assert!(other.len() == 1 && other[0].starts_with("labels contradict each other: 1 "), "{other:?}");
}
