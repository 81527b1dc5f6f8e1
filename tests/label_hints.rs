//! Every line that any refusal of labels offers, over forms and heads, followed to its end: labels as the lines say, or a further refusal, for a
//! reason of its own. No line leads back to a refusal that was there before.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;

use percuss::data::{Dataset, Labels, UNLABELLED};
use support::labelled::Place;
use support::npz::{encoded, npy, wide};

/// Lines longer in a row than these lead nowhere.
const DEEPEST: usize = 6;

/// What a study says: keys of `[[data]]` and of `[[model]]`, by name.
type Keys = BTreeMap<&'static str, String>;

/// A form of labels: what stands in the column, the column's name.
struct Form {
    column: &'static str,
    cells: [&'static str; 6],
    array: bool,
}

/// Everything that was read by following lines.
#[derive(Default)]
struct Walk {
    read: usize,
    refused: Vec<String>,
}

/// A label without the brackets of a list.
fn bare(cell: &str) -> &str {
    cell.trim_matches(['[', ']', '\'', '"'])
}

/// The text between `start` and the bracket that closes what it opens.
fn balanced(text: &str) -> Option<&str> {
    let (mut depth, mut quoted) = (0, false);
    for (at, letter) in text.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '[' | '{' if !quoted => depth += 1,
            ']' | '}' if !quoted => {
                depth -= 1;
                if depth == 0 {
                    return Some(&text[..=at]);
                }
            }
            _ => {}
        }
    }
    None
}

/// The lines of a message, each the keys that it sets at once.
fn offered(error: &str, form: &Form) -> Vec<Keys> {
    let mut lines: Vec<Keys> = Vec::new();
    let mut add = |pairs: Vec<(&'static str, String)>| {
        let valid =
            pairs.iter().all(|(key, value)| format!("{key} = {value}").parse::<toml::Table>().is_ok());
        let keys: Keys = pairs.into_iter().collect();
        if valid && !lines.contains(&keys) {
            lines.push(keys);
        }
    };
    let after = |key: &str| -> Vec<&str> {
        error.match_indices(&format!("{key} = ")).map(|(at, found)| &error[at + found.len()..]).collect()
    };
    if let (Some(classes), Some(findings)) = (
        after("`classes").first().and_then(|text| balanced(text)),
        after("`findings").first().and_then(|text| balanced(text)),
    ) {
        add(vec![("classes", classes.to_string()), ("findings", findings.to_string())]);
        return lines;
    }
    for (key, place) in [("classes", "classes"), ("findings", "findings"), ("columns", "columns")] {
        for text in after(place).into_iter().filter_map(balanced) {
            // A place to be filled in is filled with the labels that there are, and others.
            let mut text = text.to_string();
            let mut cells: Vec<&str> = form.cells.iter().map(|cell| bare(cell)).collect();
            cells.sort_unstable();
            cells.dedup();
            cells.retain(|cell| {
                !cell.is_empty() && !cell.contains([',', '|']) && !text.contains(&format!("{cell:?}"))
            });
            for at in (0..3).filter(|at| text.contains(&format!("OUTPUT {at}"))).collect::<Vec<_>>() {
                let name = if cells.is_empty() { format!("other {at}") } else { cells.remove(0).to_string() };
                text = text.replace(&format!("OUTPUT {at}"), &format!("{name:?}"));
            }
            add(vec![(key, text)]);
        }
    }
    for text in after("`label").into_iter().filter_map(balanced) {
        add(vec![("columns", format!("{{ label = {text} }}"))]);
    }
    for key in ["uncertain", "missing"] {
        for text in after(key) {
            let end = text.find([';', '.']).unwrap_or(text.len());
            for word in ["positive", "negative", "drop", "ignore"] {
                if text[..end].contains(&format!("{word:?}")) {
                    add(vec![(if key == "missing" { "missing" } else { "uncertain" }, format!("{word:?}"))]);
                }
            }
        }
    }
    for key in ["head", "separator", "repeated"] {
        for text in after(key) {
            let value: String = text.chars().take_while(|letter| *letter != ' ' && *letter != ',').collect();
            add(vec![(key, value.trim_end_matches(';').to_string())]);
        }
    }
    lines
}

fn read(place: &Place, data: &str, keys: &Keys) -> Result<Dataset, String> {
    let of = |model: bool| -> String {
        let own = keys.iter().filter(|(key, _)| (**key == "head") == model);
        own.map(|(key, value)| format!("{key} = {value}\n")).collect()
    };
    place.read(&format!("{data}\n{}", of(false)), &of(true))
}

/// Follows all lines, from what `keys` say already; `before` are the refusals that led here.
fn follow(
    place: &Place,
    data: &str,
    form: &Form,
    names: &[&str],
    keys: &Keys,
    before: &[String],
    walk: &mut Walk,
) {
    let what = format!("{:?} in {} {names:?} under {keys:?}", form.cells, form.column);
    let error = match read(place, data, keys) {
        Ok(data) => {
            walk.read += 1;
            return agrees(&data, form, names, keys, &what);
        }
        Err(error) => error,
    };
    assert!(!before.contains(&error), "{what}: a circle, {error}");
    assert!(before.len() < DEEPEST, "{what}: no end, {error}, {before:?}");
    let lines = offered(&error, form);
    if lines.is_empty() {
        walk.refused.push(format!("{what}\n    {error}"));
    }
    let trail: Vec<String> = before.iter().cloned().chain([error.clone()]).collect();
    for line in lines {
        let mut next = keys.clone();
        next.extend(line.clone());
        assert_ne!(next, *keys, "{what}: {line:?} is there already, {error}");
        follow(place, data, form, names, &next, &trail, walk);
    }
}

/// The same cell is the same class, other cells are other ones, and what the lines say of a cell is what it is.
fn agrees(data: &Dataset, form: &Form, names: &[&str], keys: &Keys, what: &str) {
    let table = |key: &str| -> Option<toml::Value> {
        let text = format!("{key} = {}", keys.get(key)?);
        text.parse::<toml::Table>().unwrap().remove(key)
    };
    let listed = |key: &str| -> Vec<String> {
        let own = table(key).and_then(|value| value.as_array().cloned()).unwrap_or_default();
        own.iter().map(|name| name.as_str().unwrap().to_string()).collect()
    };
    let number = |text: &str| text.trim().parse::<f64>().ok();
    let alike = |a: &str, b: &str| {
        a.trim().eq_ignore_ascii_case(b.trim()) || number(a).is_some() && number(a) == number(b)
    };
    let cell = |at: usize| bare(form.cells[data.index[at] as usize]);
    let yes = |text: &str| ["1", "1.0", "yes", "true", "y", "positive"].contains(&&*text.to_lowercase());
    let no = |text: &str| ["0", "0.0", "no", "false", "n", "negative"].contains(&&*text.to_lowercase());
    match &data.labels {
        Labels::Class(labels) => {
            let classes = listed("classes");
            let asked = table("columns").and_then(|columns| {
                let label = columns.get("label")?.as_table()?.clone();
                label.keys().next().cloned()
            });
            for (at, &label) in labels.iter().enumerate() {
                for (other, &its) in labels.iter().enumerate() {
                    let counted = number(cell(at)) == Some(-1.0) || cell(at).is_empty();
                    let others = number(cell(other)) == Some(-1.0) || cell(other).is_empty();
                    assert!(
                        counted || others || alike(cell(at), cell(other)) == (label == its),
                        "{what}: {labels:?}"
                    );
                }
                if let Some(class) =
                    classes.iter().position(|name| alike(name, cell(at))).filter(|_| classes.len() > 1)
                {
                    assert_eq!(label as usize, class, "{what}: {}", cell(at));
                }
                if let Some(class) =
                    asked.as_ref().and_then(|asked| data.classes.iter().position(|own| alike(own, asked)))
                {
                    assert!(!yes(cell(at)) || label as usize == class, "{what}: {labels:?}");
                    assert!(!no(cell(at)) || label as usize != class, "{what}: {labels:?}");
                }
                // A name of the model is that output, unless a line says otherwise.
                if classes.is_empty()
                    && asked.is_none()
                    && let Some(class) = names
                        .iter()
                        .position(|name| alike(name, cell(at)))
                        .filter(|_| names.len() > 1 && number(cell(at)).is_none())
                {
                    assert_eq!(label as usize, class, "{what}: {}", cell(at));
                }
            }
        }
        Labels::Findings(labels) => {
            let width = data.classes.len();
            for (at, row) in labels.chunks(width).enumerate() {
                for (finding, &label) in row.iter().enumerate().filter(|(_, label)| **label != UNLABELLED) {
                    // A text that is a name as a whole has no parts.
                    let whole = data.classes.iter().any(|name| alike(name, cell(at)));
                    let part = |part: &str| alike(bare(part.trim()), &data.classes[finding]);
                    let there = if whole { part(cell(at)) } else { cell(at).split([',', '|']).any(part) };
                    let asked = form.array && listed("findings").len() == 1;
                    let answer = (asked || !whole) && (yes(cell(at)) || no(cell(at)));
                    let right = if answer { yes(cell(at)) } else { there };
                    let counted = number(cell(at)) == Some(-1.0) || cell(at).is_empty();
                    assert!(
                        counted || right == (label == 1),
                        "{what}: {} is {label} of {}",
                        cell(at),
                        data.classes[finding]
                    );
                }
            }
        }
    }
}

fn forms() -> Vec<Form> {
    let cells = [
        ["1", "0", "1", "1", "0", "0"],
        ["2", "1", "2", "2", "1", "1"],
        ["1", "-1", "1", "1", "-1", "-1"],
        ["1", "0", "-1", "1", "0", "0"],
        ["1", "0", "", "1", "0", "0"],
        ["1.0", "0.0", "-1.0", "", "0.0", "1.0"],
        ["-1", "0", "1", "1", "0", "-1"],
        ["yes", "no", "yes", "yes", "no", "no"],
        ["Y", "N", "Y", "Y", "N", "N"],
        ["True", "False", "True", "True", "False", "False"],
        ["positive", "negative", "positive", "positive", "negative", "negative"],
        ["ill", "normal", "ill", "ill", "normal", "normal"],
        ["ill", "", "ill", "ill", "normal", "normal"],
        ["sick", "fine", "sick", "sick", "fine", "fine"],
        ["sick", "sick", "sick", "sick", "sick", "sick"],
        ["2", "0", "1", "1", "2", "0"],
        ["3", "1", "2", "2", "3", "1"],
        ["2", "1", "2", "1", "2", "1"],
        ["4", "0", "2", "4", "1", "3"],
        ["2", "0", "-1", "1", "2", "0"],
        ["a", "b", "c", "a", "b", "c"],
        ["a", "b", "u", "a", "b", "u"],
        ["['a']", "['b']", "['c']", "['a']", "['b']", "['c']"],
        ["['a', 'b']", "['b']", "['c']", "['a']", "[]", "['c']"],
        ["a|b", "b", "c", "a", "b", "c"],
        ["0.2", "0.9", "0.4", "0.1", "0.6", "0.7"],
        ["ill", "0", "ill", "ill", "0", "0"],
        ["[0, 1, 0]", "[1, 0, 0]", "[1, 1, 0]", "[0, 0, 1]", "[0, 0, 0]", "[0, 1, 1]"],
    ];
    let columns = ["label", "ill", "No Finding"];
    let in_list =
        columns.into_iter().flat_map(|column| cells.map(|cells| Form { column, cells, array: false }));
    // Python writes lists into CSVs.
    let arrays = cells.into_iter().filter(|cells| !cells[0].starts_with('['));
    in_list.chain(arrays.map(|cells| Form { column: "label", cells, array: true })).collect()
}

fn data(place: &Place, form: &Form) -> String {
    if !form.array {
        let labels: Vec<String> = form
            .cells
            .iter()
            .map(|cell| if cell.contains(',') { format!("\"{cell}\"") } else { cell.to_string() })
            .collect();
        return place.list(form.column, &labels).to_string();
    }
    let numbers: Option<Vec<f64>> = form
        .cells
        .iter()
        .map(|cell| if cell.is_empty() { Some(f64::NAN) } else { cell.parse().ok() })
        .collect();
    match numbers {
        Some(numbers) => place.array(npy("<f8", false, &[6], &encoded("<f8", &numbers))).to_string(),
        None => {
            let (descr, bytes) = wide(&form.cells);
            place.array(npy(&descr, false, &[6], &bytes)).to_string()
        }
    }
}

#[test]
fn every_line_of_every_refusal_leads_to_what_it_says() {
    let models: [(usize, &str, &[&str]); 17] = [
        (2, "softmax", &[]),
        (2, "softmax", &["normal", "ill"]),
        (2, "softmax", &["ill", "normal"]),
        (2, "softmax", &["a", "b"]),
        (2, "softmax", &["1", "2"]),
        (1, "sigmoid", &[]),
        (1, "sigmoid", &["ill"]),
        (1, "sigmoid", &["normal"]),
        (1, "sigmoid", &["No Finding"]),
        (1, "sigmoid", &["normal", "ill"]),
        (1, "sigmoid", &["ill", "normal"]),
        (3, "softmax", &[]),
        (3, "softmax", &["a", "b", "c"]),
        (3, "softmax", &["normal", "viral", "ill"]),
        (3, "sigmoid", &[]),
        (3, "sigmoid", &["a", "b", "c"]),
        (2, "sigmoid", &["ill", "mass"]),
    ];
    let mut walk = Walk::default();
    for (outputs, head, names) in models {
        let place = Place::new(outputs, head, names);
        for form in forms() {
            let data = data(&place, &form);
            let mut keys = Keys::new();
            if form.column != "label" {
                keys.insert("columns", format!("{{ label = {:?} }}", form.column));
            }
            follow(&place, &data, &form, names, &keys, &[], &mut walk);
        }
    }
    // Refusals without a line, to be looked at by `--nocapture`.
    walk.refused.iter().for_each(|refused| println!("{refused}"));
    println!("{} read, {} refused without a line", walk.read, walk.refused.len());
    assert!(walk.read > 1000, "{}", walk.read);
}
