//! Lines that refusals of labels offer, followed to their end.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use support::labelled::{ILL, Place, THREE, as_texts, classes, label_lines, lines, told};
use support::npz::{encoded, npy};

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

/// Lists as RSNA, APTOS, Messidor, HAM10000, ISIC, COVIDx and hospitals write them: the classes that they are by construction, or a refusal with
/// these words.
#[test]
fn lists_of_public_sets_are_read_as_they_are_meant() {
    let (one, softmax) = ("sigmoid", "softmax");
    let inverse = ["COVID-19", "Normal"];
    let grades = ["No DR", "Mild", "Severe"];
    let dr = |own: [usize; 6]| own.map(|grade| grades[grade].to_string());
    let word = |no: &str, yes: &str| ILL.map(|ill| if ill { yes } else { no }.to_string());
    let (right, turned) = (ILL.map(usize::from), ILL.map(|ill| usize::from(!ill)));
    type Row<'a> = (usize, &'a str, &'a [&'a str], &'a str, [String; 6], Result<[usize; 6], &'a str>);
    let rows: [Row; 24] = [
        (1, one, &["pneumonia"], "Target", word("0", "1"), Ok(right)),
        (1, one, &["pneumonia"], "Normal", word("no", "yes"), Ok(turned)),
        (1, one, &["No Finding"], "No Finding", word("0.0", "1.0"), Ok(right)),
        (1, one, &["No Finding"], "label", word("0", "1"), Ok(right)),
        (
            1,
            one,
            &["No Finding"],
            "label",
            word("no", "yes"),
            Err("classes = [\"no\", \"yes\"] if it is `No Finding`"),
        ),
        (1, one, &["healthy"], "label", word("negative", "positive"), Err("if it is `not healthy`")),
        (1, one, &["normal"], "disease", word("0", "1"), Err("`label = { \"not normal\" = \"disease\" }`")),
        (1, one, &[], "No Finding", word("0", "1"), Err("if 1 is class 0 (the output is low)")),
        // Numbers are places; a column that asks for something of its own is another matter.
        (2, softmax, &inverse, "Target", word("0", "1"), Ok(right)),
        (2, softmax, &inverse, "label", word("0", "1"), Ok(right)),
        (
            2,
            softmax,
            &inverse,
            "covid",
            word("0", "1"),
            Err("`label = { \"COVID-19\" = \"covid\" }` if 1 is COVID-19"),
        ),
        (2, softmax, &inverse, "covid-19", word("0", "1"), Ok(turned)),
        (2, softmax, &["normal", "ill"], "Negative for pneumonia", word("0", "1"), Ok(turned)),
        (2, softmax, &["normal", "ill"], "Normal", word("absent", "present"), Ok(turned)),
        (2, softmax, &["NORM", "MI"], "label", word("No", "Yes"), Ok(right)),
        (2, softmax, &["benign", "malignant"], "melanoma", word("0", "1"), Ok(right)),
        (2, softmax, &["benign", "malignant"], "benign", word("0", "1"), Ok(turned)),
        (
            2,
            softmax,
            &["benign", "malignant"],
            "label",
            word("B", "M"),
            Err("classes = [\"B\", \"M\"] if `B` is `benign`"),
        ),
        (
            2,
            softmax,
            &["normal", "ill"],
            "diagnosis",
            ["4", "0", "2", "1", "3", "0"].map(String::from),
            Err("`grade >= 2`"),
        ),
        (3, softmax, &grades, "diagnosis", THREE.map(|grade| grade.to_string()), Ok(THREE)),
        (3, softmax, &grades, "grade", dr(THREE), Ok(THREE)),
        (
            3,
            softmax,
            &grades,
            "grade",
            THREE.map(|grade| format!("R{grade}")),
            Err("classes = [OUTPUT 0, OUTPUT 1, OUTPUT 2]"),
        ),
        (
            3,
            softmax,
            &["akiec", "mel", "nv"],
            "dx",
            THREE.map(|k| ["akiec", "mel", "NV"][k].to_string()),
            Ok(THREE),
        ),
        (
            3,
            softmax,
            &["normal", "pneumonia", "COVID-19"],
            "label",
            word("negative", "positive"),
            Err("a class by its name"),
        ),
    ];
    for (outputs, head, names, column, cells, expected) in rows {
        let what = format!("{column} {cells:?} under {names:?}");
        let place = Place::new(outputs, head, names);
        let data = format!("{}\ncolumns = {{ label = {column:?} }}", place.list(column, &cells));
        match (place.read(&data, ""), expected) {
            (Ok(read), Ok(right)) => assert_eq!(classes(&read), right, "{what}"),
            (Err(error), Err(words)) => assert!(error.contains(words), "{what}: {error}"),
            (read, _) => panic!("{what}: {:?}", read.map(|read| classes(&read))),
        }
    }
}
