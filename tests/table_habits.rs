//! Habits of people and programs that write tables: what is read is what was meant, or a refusal whose mend, followed, gives it.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::data::{Dataset, Labels, open_fitted};
use support::files::at;

const ROWS: usize = 48;

fn read(folder: &Path, text: &str, keys: &str, outcome: &str) -> Result<Dataset, String> {
    let path = folder.join("t.csv");
    std::fs::write(&path, text).unwrap();
    let spec = format!(
        "{keys}\noutcome = \"{outcome}\"\nclasses = [\"no\", \"yes\"]\n[impute]\nindicators = true\nnumber = \"mean\"\n"
    );
    std::fs::write(folder.join("t.toml"), spec).unwrap();
    open_fitted(&at(&path, "all"), None).map(|(data, _)| data).map_err(|error| error.to_string())
}

/// From -3.96 to 5.64, never whole.
fn lab(row: usize) -> f64 {
    ((row * 37 % 97) * 10) as f64 / 100.0 - 3.96
}

fn labels(data: &Dataset) -> Vec<u32> {
    let Labels::Class(labels) = &data.labels else { panic!() };
    labels.clone()
}

fn has(data: &Dataset, flag: &str) -> bool {
    data.remarks.iter().any(|remark| remark.flag == Some(flag))
}

/// A table of `x`, in which `cell` writes a row's value, and `y`.
fn lines(header: &str, separator: char, cell: &dyn Fn(usize) -> String) -> String {
    (0..ROWS).fold(header.to_string(), |text, row| text + &format!("\n{}{separator}{}", cell(row), row % 2))
        + "\n"
}

type Writer = fn(usize) -> String;

#[test]
fn numbers_are_read_as_they_are_written_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let forms: [(&str, char, Writer); 12] = [
        ("x,y", ',', |row| format!("\"{}\"", lab(row))),
        ("x ,y", ',', |row| format!("\u{a0}{}\u{a0}", lab(row))),
        ("\u{200b}x,y", ',', |row| format!("\u{200b}{}", lab(row))),
        ("x,y", ',', |row| lab(row).to_string().replace('-', "\u{2013}")),
        ("x,y", ',', |row| lab(row).to_string().replace('-', "- ")),
        ("x;y", ';', |row| format!("{:.3e}", lab(row)).replace('.', ",")),
        ("x;y", ';', |row| format!("{:.3E}", lab(row)).replace('.', ",")),
        ("sep=;\nx;y", ';', |row| lab(row).to_string().replace('.', ",")),
        ("\"sep=;\"\nx;y", ';', |row| lab(row).to_string().replace('.', ",")),
        ("SEP=;\nx;y", ';', |row| lab(row).to_string()),
        ("# exported 2024-03-01, ward 7\n# by lab\nx,y", ',', |row| lab(row).to_string()),
        ("\u{feff}## v2\nx,y", ',', |row| lab(row).to_string()),
    ];
    for (header, separator, cell) in forms {
        let text = lines(header, separator, &cell);
        let data =
            read(folder.path(), &text, "", "y == 1").unwrap_or_else(|error| panic!("{header}: {error}"));
        assert_eq!(data.domain.features, ["x"], "{header}");
        for row in 0..ROWS {
            assert!((f64::from(data.sample(row)[0]) - lab(row)).abs() < 1e-6, "{header}: {}", cell(row));
        }
    }
}

#[test]
fn signs_of_programs_for_no_value_are_missing_among_numbers_and_told() {
    let folder = tempfile::tempdir().unwrap();
    for sign in ["#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "-nan", "-1.#IND", "\\N", "(null)", "…", "–", "nil"]
    {
        let cell = |row: usize| if row % 8 == 3 { sign.to_string() } else { lab(row).to_string() };
        let data = read(folder.path(), &lines("x,y", ',', &cell), "", "y == 1").unwrap();
        let missing: Vec<bool> = (0..ROWS).map(|row| data.sample(row)[1] == 1.0).collect();
        assert_eq!(missing, (0..ROWS).map(|row| row % 8 == 3).collect::<Vec<_>>(), "{sign}");
        assert!(
            data.remarks.iter().any(|r| r.text.contains(&format!("`{sign}` taken for"))),
            "{:?}",
            data.remarks
        );
    }
}

#[test]
fn what_is_no_category_is_refused_and_each_mend_works() {
    let folder = tempfile::tempdir().unwrap();
    // What a cell is, and what is said of it; all of these were categories, or refused with a line that made them such.
    let forms: [(Writer, &str); 11] = [
        (|row| format!("{} mg", row % 5), "numbers with a unit"),
        (|row| format!("{} mmol/L", lab(row)), "numbers with a unit"),
        (|row| ["120/80", "130/85", "140/90"][row % 3].into(), "two numbers in a cell"),
        (|row| format!("'{}", lab(row)), "numbers behind a mark"),
        (|row| format!("\"=\"\"{}\"\"\"", lab(row)), "numbers behind a mark"),
        (|row| ["01-Jan-2024", "05-Mar-2024", "07-MAY-2023"][row % 3].into(), "dates or times"),
        (|row| format!("{}:30 PM", row % 12 + 1), "dates or times"),
        (
            |row| if row % 5 == 0 { format!("({})", row + 1) } else { format!("{row}") },
            "if `(1)` is -1, write it so",
        ),
        (
            |row| if row % 5 == 0 { format!("{}-", row + 1) } else { format!("{row}") },
            "if `1-` is -1, write it so",
        ),
        (
            |row| if row % 9 == 2 { format!("{row}*") } else { format!("{row}") },
            "if `11*` is 11, write it so",
        ),
        (
            |row| if row % 9 == 2 { format!("{row} H") } else { format!("{row}") },
            "if `11 H` is 11, write it so",
        ),
    ];
    for (cell, found) in forms {
        let text = lines("z,x,y", ',', &|row| format!("{},{}", lab(row), cell(row)));
        let error = read(folder.path(), &text, "", "y == 1").unwrap_err();
        assert!(error.contains("column `x`") && error.contains(found), "{found}: {error}");
        assert!(!error.contains("unseen") && error.contains("drop = [\"x\"]"), "{error}");
        assert_eq!(read(folder.path(), &text, "drop = [\"x\"]", "y == 1").unwrap().domain.features, ["z"]);
    }
    for cells in
        [["10-20", "20-30", "30-40"], ["1a", "2b", "3c"], ["type 1", "type 2", "type 3"], ["I", "II", "IV"]]
    {
        let text = lines("z,x,y", ',', &|row| format!("{},{}", lab(row), cells[row % 3]));
        assert_eq!(read(folder.path(), &text, "", "y == 1").unwrap().domain.features.len(), 4, "{cells:?}");
    }
}

#[test]
fn a_line_that_sums_up_the_others_is_no_sample() {
    let folder = tempfile::tempdir().unwrap();
    let text = lines("id,x,y", ',', &|row| format!("P{row},{}", lab(row)));
    for total in ["Total,300,24\n", "Gesamt:,300,24\n", "Average,3.2,0.5\n"] {
        let error = read(folder.path(), &(text.clone() + total), "drop = [\"id\"]", "y == 1").unwrap_err();
        assert!(
            error.contains("in column `id`: a row that sums up") && error.contains("take this line out"),
            "{error}"
        );
    }
    assert_eq!(read(folder.path(), &text, "drop = [\"id\"]", "y == 1").unwrap().len(), ROWS);
    // A category of other rows, too, is one.
    let text =
        lines("hip,x,y", ',', &|row| format!("{},{}", ["total", "partial"][row * row % 3 % 2], lab(row)));
    assert_eq!(read(folder.path(), &(text + "total,1.5,1\n"), "", "y == 1").unwrap().len(), ROWS + 1);
}

#[test]
fn columns_without_a_name_are_said_to_be_what_they_are() {
    let folder = tempfile::tempdir().unwrap();
    for (third, said) in [
        (Box::new(|_| String::new()) as Box<dyn Fn(usize) -> String>, "neither a name nor a value"),
        (Box::new(|row| format!("{}", row * 7 % 5)), "has no name in the header"),
        (Box::new(|row| format!("{}", row * 7 % 48 + 900)), "numbers the rows"),
    ] {
        let text = (0..ROWS).fold("x,y,".to_string(), |text, row| {
            text + &format!("\n{},{},{}", lab(row), row % 2, third(row))
        });
        let data = read(folder.path(), &text, "", "y == 1").unwrap();
        assert_eq!(data.domain.features, ["x"]);
        assert!(data.remarks.iter().any(|r| r.text.contains(said)), "{said}: {:?}", data.remarks);
    }
}

#[test]
fn features_and_identifiers_that_mislead_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let rows = 240;
    // A column, its flag, and a line after which nothing is said.
    let columns: [(Writer, Option<&str>, &str); 8] = [
        (|row| format!("{}", 40_017 + 3 * row), Some("running-number"), "drop = [\"v17\"]"),
        (|row| format!("{}", 9_000 - 2 * row), Some("running-number"), "keep = [\"v17\"]"),
        (
            |row| format!("{}", 10_000_000 + row * 7_919_317 % 80_000_001),
            Some("running-number"),
            "drop = [\"v17\"]",
        ),
        (|row| format!("202401{:02}", row % 28 + 1), Some("running-number"), "drop = [\"v17\"]"),
        (|row| ["male", "Male", "female"][row % 3].into(), Some("alike-categories"), "drop = [\"v17\"]"),
        (|row| format!("{}", 20 + row * 7 % 70), None, ""),
        (|row| format!("{}.5", row * 7919 % 240), None, ""),
        (|row| format!("{}", 100 + row * 53 % 211), None, ""),
    ];
    for (cell, flag, mend) in columns {
        let text = (0..rows).fold("x,v17,y".to_string(), |text, row| {
            text + &format!("\n{},{},{}", lab(row), cell(row), row / 3 % 2)
        });
        let data = read(folder.path(), &text, "", "y == 1").unwrap();
        for known in ["running-number", "alike-categories"] {
            assert_eq!(has(&data, known), flag == Some(known), "{}: {:?}", cell(1), data.remarks);
        }
        if let Some(flag) = flag {
            assert!(!has(&read(folder.path(), &text, mend, "y == 1").unwrap(), flag), "{mend}");
        }
    }
    let text = lines("pid,x,y", ',', &|row| {
        format!("{}E+15,{}", ["1.23", "1.24", "1.25", "1.26", "1.27"][row % 5], lab(row))
    });
    assert!(has(&read(folder.path(), &text, "group = \"pid\"", "y == 1").unwrap(), "rounded-identifiers"));
}

#[test]
fn folders_of_partitions_are_refused_with_the_line_that_joins_them() {
    let folder = tempfile::tempdir().unwrap();
    let cohort = folder.path().join("cohort");
    for (site, year, rows) in [("A", 2019, 0..20), ("A", 2020, 20..30), ("B", 2019, 30..48)] {
        let part = cohort.join(format!("site={site}")).join(format!("year={year}"));
        std::fs::create_dir_all(&part).unwrap();
        let text = rows
            .fold("id,x,y".to_string(), |text, row| text + &format!("\n{row:03},{},{}", lab(row), row % 2));
        std::fs::write(part.join("part-0.csv"), text).unwrap();
    }
    std::fs::write(
        folder.path().join("cohort.toml"),
        "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\ngroup = \"id\"\n",
    )
    .unwrap();
    let error = open_fitted(&at(&cohort, "all"), None).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("the partition `site=A`") && error.contains("path = \""), "{error}");
    let line = error.split("python -c '").nth(1).unwrap().split('\'').next().unwrap();
    // pandas need not be here.
    let ran = std::process::Command::new("python3").args(["-c", line]).output();
    if ran.is_ok_and(|ran| ran.status.success()) {
        let data = open_fitted(&at(&folder.path().join("cohort.csv"), "all"), None).unwrap().0;
        assert_eq!(
            (data.len(), data.domain.features),
            (ROWS, ["x", "site=A", "site=B", "year"].map(String::from).to_vec())
        );
        assert_eq!(data.group.unwrap()[7], "007");
    }
}

#[test]
fn whether_there_is_a_value_may_be_the_outcome() {
    let folder = tempfile::tempdir().unwrap();
    let table = |none: &str| {
        lines("x,dod,y", ',', &|row| {
            let dod = if row % 3 == 0 { format!("2024-02-{:02}", row % 28 + 1) } else { none.to_string() };
            format!("{},{dod}", lab(row))
        })
    };
    let wanted: Vec<u32> = (0..ROWS).map(|row| u32::from(row % 3 == 0)).collect();
    assert_eq!(labels(&read(folder.path(), &table(""), "drop = [\"y\"]", "dod != ''").unwrap()), wanted);
    let error = read(folder.path(), &table("-"), "drop = [\"y\"]", "dod != ''").unwrap_err();
    let mend = "`dod` != '' && `dod` != '-'";
    assert!(error.contains(mend), "{error}");
    assert_eq!(labels(&read(folder.path(), &table("-"), "drop = [\"y\"]", mend).unwrap()), wanted);
    let error = read(folder.path(), &table(""), "", "Y == 1").unwrap_err();
    assert!(error.contains("no column `Y`, expected `y`"), "{error}");
    // A cross where it happened, and nothing where not.
    let crosses =
        lines("x,died,y", ',', &|row| format!("{},{}", lab(row), if row % 3 == 0 { "x" } else { "" }));
    let data = read(folder.path(), &crosses, "drop = [\"y\"]", "died == 'x'").unwrap();
    assert!(has(&data, "one-outcome") && data.len() == ROWS / 3, "{:?}", data.remarks);
    assert_eq!(labels(&read(folder.path(), &crosses, "drop = [\"y\"]", "died != ''").unwrap()), wanted);
}
