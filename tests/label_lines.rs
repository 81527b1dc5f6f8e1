//! Lines that refusals of labels offer, followed to their end.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use support::labelled::{ILL, Place, as_texts, classes, label_lines, lines, told};
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
