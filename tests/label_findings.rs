//! Findings in columns, in one text, in rows of their own: what is labelled, and what nobody says anything of.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::data::Labels;
use support::labelled::{ILL, Place, classes, told};
use support::npz::{encoded, npy};

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

/// RSNA's and VinDr's layout: a row a box.
#[test]
fn an_image_with_several_rows_is_one_sample_where_the_study_says_so() {
    let once = "repeated = \"once\"";
    let rsna = Place::new(1, "sigmoid", &["opacity"]);
    let data = rsna.csv("path,x,Target\n0.png,1,1\n0.png,2,1\n1.png,,0\n2.png,3,1\n");
    let target = "columns = { label = \"Target\" }";
    let read = rsna.read(&format!("{data}\n{target}\n{once}"), "").unwrap();
    assert_eq!((classes(&read), read.index.clone()), (vec![1, 0, 1], vec![0, 2, 3]));
    assert!(told(&read).contains("4 rows list 3 images: each counts once"), "{}", told(&read));
    assert!(read.remarks.iter().all(|remark| remark.flag != Some("repeated")));
    assert_eq!(rsna.read(&format!("{data}\n{target}"), "").unwrap().len(), 4);
    assert!(!told(&read).contains("counted by row"), "{}", told(&read));
    // 2 rows of 1 image are uncertain: the count is of rows, and says so.
    let data = rsna.csv("path,x,Target\n0.png,1,-1\n0.png,2,-1\n1.png,,0\n2.png,3,1\n");
    let read = rsna.read(&format!("{data}\n{target}\n{once}\nuncertain = \"positive\""), "").unwrap();
    assert_eq!(classes(&read), [1, 0, 1]);
    assert!(told(&read).contains("2 uncertain labels count as positive"), "{}", told(&read));
    assert!(told(&read).contains("each counts once; labels are counted by row"), "{}", told(&read));
    let data = rsna.csv("path,x,Target\n0.png,1,1\n1.png,,0\n0.png,2,0\n");
    let error = rsna.read(&format!("{data}\n{target}\n{once}"), "").unwrap_err();
    assert!(error.contains("row 2") && error.contains("the image of row 0"), "{error}");
    // Findings add up; where the key is not said the refusal says it.
    let vindr = Place::new(3, "sigmoid", &["Mass", "Edema", "Hernia"]);
    let rows = "0.png,Mass\n1.png,No finding\n0.png,Edema\n2.png,Hernia\n0.png,Mass\n1.png,No finding\n";
    let data =
        format!("{}\ncolumns = {{ label = \"class_name\" }}", vindr.csv(&format!("path,class_name\n{rows}")));
    let error = vindr.read(&data, "").unwrap_err();
    assert!(error.contains(once), "{error}");
    let read = vindr.read(&format!("{data}\n{once}"), "").unwrap();
    assert_eq!(read.labels, Labels::Findings([[1, 1, 0], [0, 0, 0], [0, 0, 1]].concat()));
    assert_eq!(read.index, [0, 1, 3]);
    assert!(told(&read).contains("with the findings of all its rows"), "{}", told(&read));
    vindr.csv(&format!("path,class_name\n{rows}1.png,Mass\n"));
    let error = vindr.read(&format!("{data}\n{once}"), "").unwrap_err();
    assert!(error.contains("row 6") && error.contains("a finding beside none"), "{error}");
    // Several findings in such a text must not pass for one that no output has.
    vindr.csv("path,class_name\n0.png,Mass; Edema\n1.png,Edema\n2.png,Hernia\n");
    let error = vindr.read(&format!("{data}\n{once}"), "").unwrap_err();
    assert!(error.contains("separator = \";\""), "{error}");
    let read = vindr.read(&format!("{data}\nseparator = \";\""), "").unwrap();
    assert_eq!(read.labels, Labels::Findings([[1, 1, 0], [0, 1, 0], [0, 0, 1]].concat()));
}

/// PadChest's and ODIR's texts.
#[test]
fn lists_in_texts_are_read_as_they_are_quoted() {
    let place = Place::new(2, "sigmoid", &["opacity, left", "Mass"]);
    let data = place.csv(
        "path,label\n0.png,\"['opacity, left', 'Mass']\"\n1.png,\"[\"\"Mass\"\"]\"\n2.png,[]\n3.png,\"[\"\"opacity, left\"\", \"\"normal\"\"]\"\n",
    );
    let read = place.read(data, "").unwrap();
    assert_eq!(read.labels, Labels::Findings([[1, 1], [0, 1], [0, 0], [1, 0]].concat()));
    // Answers in a list are no names.
    let place = Place::new(2, "sigmoid", &["0", "1"]);
    let error = place.read(place.csv("path,label\n0.png,\"[0, 1]\"\n1.png,\"[1, 1]\"\n"), "").unwrap_err();
    assert!(error.contains("a column of 0 and 1 for each"), "{error}");
    // One class a sample: a list of one.
    let place = Place::new(2, "softmax", &["N", "D"]);
    let data = place.csv("path,label\n0.png,['D']\n1.png,['N']\n");
    assert_eq!(classes(&place.read(data, "").unwrap()), [1, 0]);
    let data = place.csv("path,label\n0.png,['D']\n1.png,\"['N', 'D']\"\n");
    let error = place.read(data, "").unwrap_err();
    assert!(
        error.contains("row 1: found 2 labels in one text") && error.contains("head = \"sigmoid\""),
        "{error}"
    );
    let read = place.read(data, "head = \"sigmoid\"").unwrap();
    assert_eq!(read.labels, Labels::Findings(vec![0, 1, 1, 1]));
}

/// Values of an array that are no answer, under every policy, one split of two.
#[test]
fn archives_of_one_class_have_policies() {
    let numbers = [1.0, 0.0, -1.0, f64::NAN, 0.0, 1.0];
    for (names, clear) in [(&["normal", "ill"][..], true), (&["a", "b"], false)] {
        let place = Place::new(2, "softmax", names);
        let data = place.array(npy("<f4", false, &[6], &encoded("<f4", &numbers)));
        let error = place.read(data, "").unwrap_err();
        assert!(error.contains("entry 2") && error.contains("uncertain = \"drop\""), "{error}");
        assert_eq!(error.contains("counts as that class"), clear, "{error}");
        let error = place.read(&format!("{data}\nuncertain = \"drop\""), "").unwrap_err();
        assert!(error.contains("entry 3") && error.contains("missing = \"drop\""), "{error}");
        for policy in ["drop", "ignore"] {
            let read =
                place.read(&format!("{data}\nuncertain = {policy:?}\nmissing = {policy:?}"), "").unwrap();
            assert_eq!((classes(&read), read.index.clone()), (vec![1, 0, 0, 1], vec![0, 1, 4, 5]));
            assert_eq!(read.values, [0.0, 1.0, 4.0, 5.0]);
            let text = told(&read);
            assert!(
                text.contains("1 uncertain label leaves") && text.contains("4 of 6 samples have a label"),
                "{text}"
            );
        }
        let counted = place.read(&format!("{data}\nuncertain = \"positive\"\nmissing = \"negative\""), "");
        match counted {
            Ok(read) => {
                assert!(clear);
                assert_eq!(classes(&read), [1, 0, 1, 0, 0, 1]);
            }
            Err(error) => assert!(!clear && error.contains("uncertain = \"drop\""), "{error}"),
        }
    }
    // Findings: the whole sample, or this finding of it.
    let place = Place::new(2, "sigmoid", &["A", "B"]);
    let rows = [1.0, 0.0, -1.0, 1.0, 0.0, f64::NAN, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0];
    let data = place.array(npy("<f4", false, &[6, 2], &encoded("<f4", &rows)));
    let read = place.read(&format!("{data}\nuncertain = \"drop\"\nmissing = \"ignore\""), "").unwrap();
    const U: u8 = percuss::data::UNLABELLED;
    assert_eq!(read.labels, Labels::Findings([[1, 0], [0, U], [1, 1], [0, 0], [0, 1]].concat()));
    assert_eq!(read.index, [0, 2, 3, 4, 5]);
}
