//! Labels in every form, under every head and every order of names: the right classes, or a refusal whose lines, followed, give what they say.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::data::Labels;
use percuss::models::Config;
use support::labelled::{ILL, Place, THREE, as_texts, classes, lines, told};
use support::npz::{encoded, npy, wide};

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
            let right = match outputs {
                1 => "1 is class 1 (the output is high), 0 is class 0 (the output is low)",
                _ => "1 is output 1, 0 is output 0",
            };
            assert!(text.contains(&format!("column `ill`: {right}")), "{text}");
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
