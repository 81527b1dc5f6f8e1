//! The forms that tables come in: marks between fields, encodings, signs of missing values, numbers, identifiers. One table is written in all
//! of them; what is read is what was written, or a refusal whose mend, followed, gives it.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::io::Write;
use std::path::Path;

use percuss::data::{Dataset, open_fitted};
use support::files::at;

const ROWS: usize = 40;
const SPEC: &str = "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\ngroup = \"pid\"\n[impute]\nindicators = true\nnumber = \"mean\"\n";

/// Hundredths from -3,000 to 60,000; every ninth is missing.
fn lab(row: usize) -> Option<i64> {
    (row % 9 != 4).then_some((row * row * 3713 % 63_000) as i64 - 3000)
}

fn city(row: usize) -> &'static str {
    ["Köln", "Aachen", "Zürich"][row % 3]
}

type Writer = fn(i64) -> String;

fn thousands(value: i64, separator: &str, decimal: &str) -> String {
    let (sign, value) = (if value < 0 { "-" } else { "" }, value.abs());
    let (whole, rest) = (value / 100, value % 100);
    let whole = if whole < 1000 {
        whole.to_string()
    } else {
        format!("{}{separator}{:03}", whole / 1000, whole % 1000)
    };
    format!("{sign}{whole}{decimal}{rest:02}")
}

const NUMBERS: [(&str, Writer); 6] = [
    ("plain", |v| format!("{}", v as f64 / 100.0)),
    ("exponent", |v| format!("{:e}", v as f64 / 100.0)),
    ("decimal comma", |v| format!("{}", v as f64 / 100.0).replace('.', ",")),
    ("thousands", |v| thousands(v * 100, ",", ".")),
    ("continental", |v| thousands(v * 100, ".", ",")),
    ("spaces", |v| thousands(v * 100, " ", ".")),
];

/// What the last three write are hundred times as much.
fn value(form: &str, row: usize) -> Option<f64> {
    let times = if ["thousands", "continental", "spaces"].contains(&form) { 100.0 } else { 1.0 };
    lab(row).map(|v| v as f64 * times / 100.0)
}

/// Identifiers that are one as numbers, or beyond what an f64 tells apart.
const IDS: [fn(usize) -> String; 4] = [
    |row| format!("{}{}", "0".repeat(row % 4), row / 4 + 1),
    |row| format!("{}", 864_691_135_341_199_281u64 + row as u64),
    |row| ["1E2", "100", "1e2", "100.0"][row % 4].to_string() + &"0".repeat(row / 4),
    |row| format!("P-{row}"),
];

const MARKERS: [&str; 8] = ["", "NA", "?", ".", "None", "-", "missing", "n/a"];

fn text(delimiter: char, marker: &str, number: Writer, id: fn(usize) -> String) -> String {
    let quoted = |cell: String| if cell.contains(delimiter) { format!("\"{cell}\"") } else { cell };
    let mut lines = ["pid", "lab", "city", "y"].join(&delimiter.to_string());
    for row in 0..ROWS {
        let lab = lab(row).map_or(marker.to_string(), number);
        let cells = [id(row), lab, city(row).to_string(), (row % 2).to_string()].map(quoted);
        lines += &format!("\r\n{}", cells.join(&delimiter.to_string()));
    }
    lines + "\r\n"
}

const ENCODINGS: [(&str, fn(&str) -> Vec<u8>); 6] = [
    ("utf-8", |text| text.as_bytes().to_vec()),
    ("utf-8 with its mark", |text| [b"\xef\xbb\xbf", text.as_bytes()].concat()),
    ("utf-16le", |text| {
        [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
    }),
    ("utf-16be", |text| {
        [vec![0xfe, 0xff], text.encode_utf16().flat_map(u16::to_be_bytes).collect()].concat()
    }),
    // Latin-1's letters have the numbers of Unicode's.
    ("latin-1", |text| text.chars().map(|c| u8::try_from(c as u32).unwrap()).collect()),
    ("gzip", |text| {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(text.as_bytes()).unwrap();
        gz.finish().unwrap()
    }),
];

fn read(folder: &Path, name: &str, bytes: &[u8], spec: &str) -> percuss::Result<Dataset> {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    std::fs::write(folder.join("t.toml"), spec).unwrap();
    open_fitted(&at(&path, "all"), None).map(|(data, _)| data)
}

fn check(data: &Dataset, form: &str, id: fn(usize) -> String, what: &str) {
    assert_eq!(
        data.domain.features,
        ["lab", "lab is missing", "city=Aachen", "city=Köln", "city=Zürich"],
        "{what}"
    );
    assert_eq!(data.group.as_ref().unwrap(), &(0..ROWS).map(id).collect::<Vec<_>>(), "{what}");
    for row in 0..ROWS {
        let sample = data.sample(row);
        match value(form, row) {
            Some(value) => assert_eq!((sample[0], sample[1]), (value as f32, 0.0), "{what}, row {row}"),
            None => assert_eq!(sample[1], 1.0, "{what}, row {row}"),
        }
        let cities = [0.0, 0.0, 0.0]
            .iter()
            .zip(["Aachen", "Köln", "Zürich"])
            .map(|(_, c)| f32::from(u8::from(c == city(row))));
        assert!(sample[2..].iter().copied().eq(cities), "{what}, row {row}");
    }
}

#[test]
fn a_table_is_the_same_in_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let mut seen = 0;
    for (d, delimiter) in [',', ';', '\t', '|'].into_iter().enumerate() {
        for (m, marker) in MARKERS.into_iter().enumerate() {
            for (form, number) in NUMBERS {
                let text = text(delimiter, marker, number, IDS[(d + m) % 4]);
                let (encoding, encode) = ENCODINGS[(d * 3 + m + seen) % 6];
                let name = if encoding == "gzip" { "t.csv.gz" } else { "t.csv" };
                let what = format!("{delimiter:?}, {marker:?}, {form}, {encoding}");
                let data =
                    read(folder.path(), name, &encode(&text), SPEC).unwrap_or_else(|e| panic!("{what}: {e}"));
                check(&data, form, IDS[(d + m) % 4], &what);
                let told = data.remarks.iter().any(|remark| remark.text.contains(&format!("`{marker}`")));
                // What every program writes for a missing value needs no word.
                assert_eq!(
                    told,
                    ["?", ".", "None", "-", "missing"].contains(&marker),
                    "{what}: {:?}",
                    data.remarks
                );
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 192);
}

/// A table of two classes whose column `x` has these cells, over and over.
fn with_cells(cells: &[&str]) -> String {
    (0..40).fold("x;z;y".to_string(), |text, row| {
        text + &format!("\n{};{};{}", cells[row % cells.len()], row as f64 / 7.0, usize::from(row % 4 < 2))
    })
}

/// What the first feature of the samples is, one for each of the cells; `None` where it is said to be missing.
fn first_features(data: &Dataset, cells: usize) -> Vec<Option<f32>> {
    let missing = |i: usize| {
        data.domain.features.get(1).is_some_and(|f| f == "x is missing") && data.sample(i)[1] == 1.0
    };
    (0..cells).map(|i| (!missing(i)).then(|| data.sample(i)[0])).collect()
}

#[test]
fn what_may_be_two_things_is_refused_and_each_mend_works() {
    let folder = tempfile::tempdir().unwrap();
    let plain = ["7", "8", "9.5"];
    let read_with = |cells: &[&str], keys: &str| {
        let spec = format!(
            "{keys}\noutcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n[impute]\nindicators = true\n"
        );
        read(folder.path(), "t.csv", with_cells(cells).as_bytes(), &spec)
    };
    // Cells beside the plain ones, a key, and what the first of them becomes.
    let mends: [(&[&str], &str, Option<f32>); 9] = [
        (&["<0.5"], "limits = \"value\"", Some(0.5)),
        (&["<0.5"], "limits = \"half\"", Some(0.25)),
        (&["> 300"], "limits = \"value\"", Some(300.0)),
        (&["90+"], "limits = \"missing\"", None),
        (&["12%"], "percent = \"number\"", Some(12.0)),
        (&["12 %"], "percent = \"share\"", Some(0.12)),
        (&["ND", "hemolysed"], "missing = { x = [\"ND\", \"hemolysed\"] }", None),
        (&["ND"], "missing = [\"ND\"]", None),
        (&["-99"], "missing = { x = [-99] }", None),
    ];
    for (odd, key, wanted) in mends {
        let cells = [odd, &plain].concat();
        let key_name = key.split(' ').next().unwrap();
        if odd[0] != "-99" {
            let error = read_with(&cells, "").map(|_| ()).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            let error = error.to_string();
            assert!(
                error.contains("column `x`") && error.contains(odd[0]) && error.contains(key_name),
                "{error}"
            );
        }
        let data = read_with(&cells, key).unwrap();
        let features = first_features(&data, cells.len());
        assert_eq!(features[0], wanted, "{key}");
        assert_eq!(features[odd.len()..], [Some(7.0), Some(8.0), Some(9.5)], "{key}");
        assert!(data.remarks.iter().any(|remark| remark.text.contains("x (")), "{key}: {:?}", data.remarks);
    }
    // Nothing in this file tells thousands from decimals.
    let lone = |keys: &str| {
        let spec = format!("{keys}\noutcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n");
        let text = (0..40)
            .fold("x;y".to_string(), |text, row| text + &format!("\n1,{:03};{}", 100 + row * 7, row % 2));
        read(folder.path(), "t.csv", text.as_bytes(), &spec)
    };
    let error = lone("").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("decimal = \".\"") && error.contains("decimal = \",\""), "{error}");
    assert_eq!(lone("decimal = \".\"").unwrap().sample(1)[0], 1107.0);
    assert_eq!(lone("decimal = \",\"").unwrap().sample(1)[0], 1.107);
    // Stages are categories if somebody says so.
    let stages = ["1", "2", "3a"];
    let error = read_with(&stages, "").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("one_hot = [\"x\"]"), "{error}");
    assert_eq!(read_with(&stages, "one_hot = [\"x\"]").unwrap().domain.features[..3], ["x=1", "x=2", "x=3a"]);
    // Codes with zeros stay codes.
    assert_eq!(read_with(&["007", "7"], "one_hot = [\"x\"]").unwrap().domain.features[..2], ["x=007", "x=7"]);
    for (cells, found) in
        [(["2021-03-04", "2021-12-31"], "dates"), (["03/04/2021 10:00", "31.12.2021 9:30"], "dates")]
    {
        let error = read_with(&cells, "").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(found) && error.contains("drop = [\"x\"]"), "{error}");
        assert_eq!(read_with(&cells, "drop = [\"x\"]").unwrap().domain.features, ["z"]);
    }
    for strict in ["?", "1,5", "12%"] {
        let error = read_with(&[&plain[..], &[strict]].concat(), "numbers = \"strict\"")
            .map(|_| ())
            .unwrap_err()
            .to_string();
        assert!(error.contains("column `x`") && error.contains(strict), "{error}");
    }
    // Signs that are answers among texts stay so, and it is told.
    let kept = read_with(&["None", "some", "much"], "").unwrap();
    assert_eq!(kept.domain.features[..3], ["x=None", "x=much", "x=some"]);
    assert!(
        kept.remarks.iter().any(|remark| remark.text.contains("`None` is a category")),
        "{:?}",
        kept.remarks
    );
}

#[test]
fn a_mark_between_fields_that_nothing_tells_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let text = (0..40).fold("a,mmol;b,mmol;y,n".to_string(), |text, row| {
        text + &format!("\n{row},5;{row},25;{},0", row % 2)
    });
    let spec = |keys: &str| format!("{keys}\noutcome = \"`y,n` == 1\"\nclasses = [\"no\", \"yes\"]\n");
    let error = read(folder.path(), "t.csv", text.as_bytes(), &spec("")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("delimiter = \";\""), "{error}");
    let data = read(folder.path(), "t.csv", text.as_bytes(), &spec("delimiter = \";\"")).unwrap();
    assert_eq!(data.domain.features, ["a,mmol", "b,mmol"]);
    assert_eq!(data.sample(3), [3.5, 3.25]);
}

#[test]
fn codes_of_missing_values_are_never_of_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let text = (0..60).fold("chol,smoker,y".to_string(), |text, row| {
        text + &format!("\n{},{},{}", if row % 3 == 0 { 0 } else { 180 + row }, row / 2 % 2, row % 2)
    });
    let read = |keys: &str| {
        let spec = format!(
            "{keys}\noutcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n[impute]\nindicators = true\n"
        );
        read(folder.path(), "t.csv", text.as_bytes(), &spec)
    };
    let everywhere = read("missing = [0]").unwrap();
    let percuss::data::Labels::Class(labels) = &everywhere.labels else { panic!() };
    assert_eq!((labels.len(), labels.iter().filter(|l| **l == 0).count()), (60, 30));
    let told = |needle: &str, flag: Option<&str>| {
        everywhere.remarks.iter().any(|r| r.text.contains(needle) && r.flag == flag)
    };
    assert!(
        told("chol (20), smoker (30)", None) && told("`smoker`", Some("missing-code")),
        "{:?}",
        everywhere.remarks
    );
    let one = read("missing = { chol = [0] }").unwrap();
    assert_eq!(one.domain.features, ["chol", "chol is missing", "smoker"]);
    assert_eq!((one.sample(0)[1], one.sample(2)[2]), (1.0, 1.0));
    let error = read("missing = { y = [0] }").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("missing") && error.contains("`y`"), "{error}");
}

/// The table as a model that percuss did not train is fed it.
fn fed(folder: &Path, text: &str, spec: &str) -> percuss::Result<Dataset> {
    let path = folder.join("t.csv");
    std::fs::write(&path, text).unwrap();
    std::fs::write(folder.join("t.toml"), spec).unwrap();
    let request = percuss::data::Request { fed: Some(percuss::data::Fed::default()), ..at(&path, "all") };
    open_fitted(&request, None).map(|(data, _)| data)
}

#[test]
fn a_model_of_others_is_given_no_fill_that_nobody_states() {
    let folder = tempfile::tempdir().unwrap();
    let sex = |row: usize| if row % 10 == 3 { "" } else { ["f", "m"][row % 2] };
    let text = (0..60).fold("lab,sex,y".to_string(), |text, row| {
        let lab = if row % 3 == 0 { String::new() } else { format!("{}.5", row * 7 % 60) };
        text + &format!("\n{lab},{},{}", sex(row), row / 2 % 2)
    });
    let spec = "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n[scale]\ndefault = \"none\"\n";
    let error = fed(folder.path(), &text, spec).map(|_| ()).unwrap_err().to_string();
    for part in ["lab (20 of 60), sex (6 of 60)", "lab = VALUE under [impute.columns]", "column = \"COLUMN\""]
    {
        assert!(error.contains(part), "{error}");
    }
    // A rule that this file's own rows decide is no statement: another file would be filled otherwise.
    for (rules, found) in [
        (
            "[impute]\nnumber = \"median\"\ncategory = \"mode\"\n",
            "lab (20 of 60, to become their median), sex (6 of 60, to",
        ),
        ("[impute.columns]\nlab = \"mean\"\n", "lab (20 of 60, to become their mean), sex (6 of 60)"),
        ("[impute.columns]\nlab = 5.25\n", "found sex (6 of 60)"),
    ] {
        let error = fed(folder.path(), &text, &format!("{spec}{rules}")).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(found), "{error}");
    }
    let error =
        fed(folder.path(), &text, &spec.replace("none", "quantile")).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("scale of column `lab`"), "{error}");
    // A column that says which rows are training's says of which rows the median is.
    let parted = text.lines().enumerate().fold(String::new(), |all, (line, text)| {
        all + text
            + [",fold", ",test", ",train"][if line == 0 { 0 } else { 1 + usize::from(line % 5 > 0) }]
            + "\n"
    });
    let rules = "[impute]\nnumber = \"median\"\ncategory = \"mode\"\n[split]\ncolumn = \"fold\"\n";
    let data = fed(folder.path(), &parted, &format!("{spec}{rules}")).unwrap();
    let mut train: Vec<f32> = (0..60)
        .filter(|row| (row + 1) % 5 > 0 && row % 3 > 0)
        .map(|row| (row * 7 % 60) as f32 + 0.5)
        .collect();
    train.sort_by(f32::total_cmp);
    let middle = train.len() / 2;
    assert_eq!(data.sample(0)[0], (train[middle - 1] + train[middle]) / 2.0);
    for (stated, fill) in [
        ("[impute]\ncategory = \"own\"\n[impute.columns]\nlab = 5.25\n", 5.25),
        ("[impute]\ncategory = \"f\"\nnumber = 7\n", 7.0),
    ] {
        let data = fed(folder.path(), &text, &format!("{spec}{stated}")).unwrap();
        assert_eq!((data.sample(0)[0], data.sample(1)[0]), (fill, 7.5));
        let told = format!("missing values filled: lab (20 of 60 with {fill}), sex (6 of 60 with `");
        assert!(data.remarks.iter().any(|r| r.text.starts_with(&told)), "{:?}", data.remarks);
    }
}

#[test]
fn fills_are_counted_and_far_more_of_them_than_in_training_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let text = |every: usize| {
        (0..80).fold("lab,z,y".to_string(), |text, row| {
            let lab = if row % every == 0 { String::new() } else { format!("{}.5", row * 7 % 60) };
            text + &format!("\n{lab},{},{}", row * 11 % 80, row / 2 % 2)
        })
    };
    let spec = "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n";
    let path = folder.path().join("t.csv");
    std::fs::write(folder.path().join("t.toml"), spec).unwrap();
    std::fs::write(&path, text(20)).unwrap();
    let fitted = open_fitted(&at(&path, "all"), None).unwrap().1.unwrap();
    for (every, count, flagged) in [(20, 4, false), (10, 8, false), (2, 40, true)] {
        std::fs::write(&path, text(every)).unwrap();
        let data = open_fitted(&at(&path, "all"), Some(&fitted)).unwrap().0;
        let told = format!("missing values filled: lab ({count} of 80 with");
        assert!(data.remarks.iter().any(|r| r.text.starts_with(&told)), "{:?}", data.remarks);
        let warned = data.remarks.iter().any(|r| r.flag == Some("more-missing"));
        assert_eq!(warned, flagged, "{every}: {:?}", data.remarks);
    }
}

fn coded(values: &[&str], spec: &str) -> percuss::Result<Dataset> {
    let folder = tempfile::tempdir().unwrap();
    let text = (0..60).fold("x,y".to_string(), |text, row| {
        text + &format!("\n{}.5,{}", row * 7 % 60, values[row % values.len()])
    });
    let spec = format!("classes = [\"no\", \"yes\"]\n{spec}\n");
    read(folder.path(), "t.csv", text.as_bytes(), &spec)
}

#[test]
fn codes_of_the_outcome_that_nobody_names_are_told() {
    // The column's values, the outcome, what is said of it.
    let told: [(&[&str], &str, Option<&str>); 8] = [
        (&["0", "1"], "outcome = \"y == 1\"", None),
        (&["True", "False"], "outcome = \"y == 1\"", None),
        (&["1", "2"], "outcome = \"y == 2\"", None),
        (&["0", "1", "9"], "outcome = \"y == 1\"", Some("0 (20), 9 (20)")),
        (&["0", "1", "-1"], "outcome = \"y == 1\"", Some("-1 (20), 0 (20)")),
        (&["0", "1", "9"], "outcome = \"y == 1\"\nundecided = \"y == 9\"", None),
        (&["0", "1", "2"], "outcome = \"y >= 1\"", None),
        (&["Yes", "No", "Nope"], "outcome = \"y == 'Yes'\"", Some("No (20), Nope (20)")),
    ];
    for (values, outcome, said) in told {
        let data = coded(values, outcome).unwrap();
        let remark = data.remarks.iter().find(|remark| remark.flag == Some("outcome-codes"));
        assert_eq!(remark.is_some(), said.is_some(), "{values:?}: {:?}", data.remarks);
        assert!(said.is_none_or(|said| remark.unwrap().text.contains(said)), "{remark:?}");
    }
    for (values, literal, other) in
        [(["Yes", "No", "yes"], "Yes", "yes"), (["Dead", "No", "No"], "dead", "Dead")]
    {
        let error =
            coded(&values, &format!("outcome = \"y == '{literal}'\"")).map(|_| ()).unwrap_err().to_string();
        let both = format!("`y` == '{literal}' || `y` == '{other}'");
        assert!(error.contains(&both), "{error}");
        let data = coded(&values, &format!("outcome = \"{both}\"")).unwrap();
        let percuss::data::Labels::Class(labels) = &data.labels else { panic!() };
        let dead = values.iter().filter(|v| [literal, other].contains(v)).count() * 20;
        assert_eq!(labels.iter().filter(|l| **l == 1).count(), dead);
    }
}

#[test]
fn identifiers_and_row_numbers_are_features_only_if_kept() {
    let folder = tempfile::tempdir().unwrap();
    let with = |name: &str, value: &dyn Fn(usize) -> usize, keys: &str| {
        let text = (0..60).fold(format!("{name},x,y"), |text, row| {
            text + &format!("\n{},{}.5,{}", value(row), row * 7 % 60, row / 2 % 2)
        });
        let spec = format!("{keys}\noutcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n");
        read(folder.path(), "t.csv", text.as_bytes(), &spec)
    };
    for name in ["patient_id", "mrn", "MRN", "subject", "hospital-mrn", "caseId"] {
        let value = |row: usize| 40_000 + row * 37 % 60 / 2;
        let error = with(name, &value, "").map(|_| ()).unwrap_err().to_string();
        let mends = [
            (format!("group = \"{name}\""), false),
            (format!("drop = [\"{name}\"]"), false),
            (format!("keep = [\"{name}\"]"), true),
        ];
        for (mend, feature) in mends {
            assert!(error.contains(&mend), "{mend}: {error}");
            let features = with(name, &value, &mend).unwrap().domain.features;
            assert_eq!(features.iter().any(|f| f == name), feature, "{mend}");
        }
    }
    for name in ["age", "paid", "ward_id", "case"] {
        let data = with(name, &|row| row * 37 % 60 / 10, "").unwrap();
        assert_eq!(data.domain.features, [name, "x"]);
    }
    let data = with("week", &|row| row + 1, "").unwrap();
    assert_eq!(data.domain.features, ["x"]);
    assert!(data.remarks.iter().any(|r| r.text.contains("keep = [\"week\"]")), "{:?}", data.remarks);
    let data = with("week", &|row| row + 1, "keep = [\"week\"]").unwrap();
    assert_eq!((data.domain.features.clone(), data.sample(4)[0]), (vec!["week".into(), "x".into()], 5.0));
    assert!(
        data.describe().contains(&"features week, x, in this order".to_string()),
        "{:?}",
        data.describe()
    );
}

#[test]
fn true_and_false_are_the_same_feature_however_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let text = |yes: &str, no: &str| {
        (0..60).fold("vent,x,y".to_string(), |text, row| {
            let vent = if row % 3 == 0 { yes } else { no };
            text + &format!("\n{vent},{}.5,{}", row * 7 % 60, row / 2 % 2)
        })
    };
    let forms = [("1", "0"), ("True", "False"), ("TRUE", "FALSE"), ("true", "false"), ("1.0", "0.0")];
    for (keys, features) in [("", 2), ("one_hot = [\"vent\"]", 3)] {
        let spec = format!("{keys}\noutcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n");
        std::fs::write(folder.path().join("t.toml"), spec).unwrap();
        for (yes, no) in forms {
            std::fs::write(&path, text(yes, no)).unwrap();
            let (own, fitted) = open_fitted(&at(&path, "test"), None).unwrap();
            assert_eq!(own.domain.features.len(), features, "{yes}");
            let (all, _) = open_fitted(&at(&path, "all"), fitted.as_ref()).unwrap();
            for (other, none) in forms {
                std::fs::write(&path, text(other, none)).unwrap();
                let (read, _) = open_fitted(&at(&path, "all"), fitted.as_ref()).unwrap();
                assert_eq!(read.values, all.values, "{keys}: {yes} as {other}");
            }
        }
    }
    // A minus of typesetters parts no thousands.
    let spec = "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n";
    let minus = read(folder.path(), "t.csv", text("\u{2212}3", "4").as_bytes(), spec).unwrap();
    assert_eq!((minus.sample(0)[0], minus.sample(1)[0]), (-3.0, 4.0));
    assert!(minus.remarks.iter().all(|r| !r.text.contains("thousands")), "{:?}", minus.remarks);
    let error = coded(&["0", "1"], "outcome = \"y == 1 and x > 2\"").map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the word `and` too many"), "{error}");
}
