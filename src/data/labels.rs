//! What the labels of a file mean for a model: names and numbers as they are written, in the order of the model's outputs.
//!
//! Which name is which output is the model's to say (`class_names`) or the study's (`classes`): a file holds the names, not their order, and
//! often not all of them. Numbers are the outputs' own.

use std::collections::BTreeMap;

use super::Remark;
use super::check::MAX_CLASSES;
use crate::{Error, Result};

/// A class that the file shows nothing of, in a line to be pasted.
const UNSEEN: &str = "other";
/// More names than this are not listed in an error.
const LISTED: usize = 60;

/// Labels as a file writes them, one a sample, none of them missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Texts; such as are all whole numbers or all `true` and `false` are taken for those.
    Texts(Vec<String>),
    /// Numbers, of an array or of a column that holds nothing else.
    Numbers(Vec<f64>),
    /// Truth values: false is 0.
    Truths(Vec<bool>),
}

/// What a model has to say about labels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outputs {
    /// How many outputs it has. A single one tells two classes apart.
    pub count: usize,
    /// Whether each output is a finding of its own (a sigmoid head of several outputs).
    pub findings: bool,
}

impl Outputs {
    /// Classes that they tell apart, or findings.
    pub fn classes(self) -> usize {
        if self.count == 1 { 2 } else { self.count }
    }
}

/// What is known of the classes before a file is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Names of the outputs in their order; a single output may have the name of its positive class alone. Empty where nobody says them.
    pub names: Vec<String>,
    /// The model's outputs, where there is a model.
    pub outputs: Option<Outputs>,
    /// No model is going to answer: names that nobody put into an order are numbered by alphabet, only to be looked at.
    pub unordered: bool,
}

/// Where labels stand, for errors.
pub struct Place<'a> {
    /// The file.
    pub file: &'a str,
    /// The column or array in it.
    pub column: &'a str,
    /// Where the label at a position stands in it: `row 3`.
    pub entry: &'a dyn Fn(usize) -> String,
}

/// Labels in the order of the outputs.
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// A class a sample, below `names.len()`.
    pub labels: Vec<u32>,
    /// The classes' names, in the order of the outputs.
    pub names: Vec<String>,
    /// What was assumed.
    pub remarks: Vec<Remark>,
}

impl Place<'_> {
    fn error(&self, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(self.file, self.column, found, expected)
    }

    fn error_at(&self, position: usize, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(self.file, format!("{}, {}", self.column, (self.entry)(position)), found, expected)
    }
}

impl Known {
    /// Only these names.
    pub fn named(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| name.to_string()).collect(), ..Self::default() }
    }

    /// Names of all classes: those that are known, else numbers, `at_least` of them.
    pub fn all_names(&self, at_least: usize) -> Vec<String> {
        match &self.names[..] {
            [] => {
                let count = self.outputs.map_or(at_least.max(2), Outputs::classes).max(at_least);
                (0..count).map(|class| class.to_string()).collect()
            }
            // The other side of a single finding.
            [positive] if self.outputs.is_none_or(|outputs| outputs.count == 1) => {
                vec![format!("not {positive}"), positive.clone()]
            }
            names => names.to_vec(),
        }
    }
}

/// The class of every label.
///
/// # Errors
/// Names whose order nobody says, with the lines that say it; a name that the model does not have; names beside numbers; a number that is no
/// class; numbers that could be names as well as places.
pub fn classes(written: &Written, known: &Known, place: &Place) -> Result<Classes> {
    match written {
        Written::Truths(values) => numbered(
            &values.iter().map(|&truth| f64::from(u8::from(truth))).collect::<Vec<_>>(),
            known,
            place,
        ),
        Written::Numbers(values) => numbers(values, known, place),
        Written::Texts(texts) => {
            let truth = |text: &String| match text.trim().to_lowercase().as_str() {
                "true" => Some(1.0),
                "false" => Some(0.0),
                _ => None,
            };
            let number = |text: &String| text.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            let named = |name: &String| texts.iter().any(|text| same(text, name));
            if let Some(values) = texts.iter().map(number).collect::<Option<Vec<f64>>>() {
                return numbers(&values, known, place);
            }
            match texts.iter().map(truth).collect::<Option<Vec<f64>>>() {
                Some(values) if !known.names.iter().any(named) => numbered(&values, known, place),
                _ => names(texts, known, place),
            }
        }
    }
}

/// Whether two names are one but for case and the blanks around them.
pub fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// Labels that are names: each must be one that is known.
fn names(texts: &[String], known: &Known, place: &Place) -> Result<Classes> {
    let mut found: BTreeMap<&str, usize> = BTreeMap::new();
    texts.iter().enumerate().for_each(|(at, text)| {
        found.entry(text.trim()).or_insert(at);
    });
    if found.len() > MAX_CLASSES {
        return Err(place.error(format!("{} names", found.len()), format!("at most {MAX_CLASSES} classes")));
    }
    let listed: Vec<&str> = found.keys().copied().collect();
    let numeral = |text: &&&str| text.parse::<f64>().is_ok();
    if let Some(number) =
        listed.iter().find(|text| numeral(text) && !known.names.iter().any(|n| same(n, text)))
    {
        let name = listed.iter().find(|text| !numeral(text)).copied().unwrap_or_default();
        let expected =
            "names alone or numbers alone: a number is the place of an output, a name is looked up";
        return Err(place.error_at(
            found[number],
            format!("`{number}` beside names such as `{name}`"),
            expected,
        ));
    }
    let (order, mut remarks) = match known.names.len() {
        0 if known.unordered => {
            let order: Vec<String> = listed.iter().map(|name| name.to_string()).collect();
            (
                order,
                vec![Remark::note(format!(
                    "{} classes by alphabet: which is which output is a model's to say",
                    listed.len()
                ))],
            )
        }
        0 => return Err(place.error(format!("names ({})", list(&listed)), mend(&listed, known))),
        _ => (known.all_names(0), Vec::new()),
    };
    let mut classes = BTreeMap::new();
    for (&name, &at) in &found {
        let exact = order.iter().position(|own| own == name);
        let alike: Vec<usize> = (0..order.len()).filter(|&class| same(&order[class], name)).collect();
        let class = match (exact, alike.as_slice()) {
            (Some(class), _) => class,
            (None, &[class]) => {
                let text = format!(
                    "`{name}` of {} is taken for `{}`: they differ in case alone",
                    place.column, order[class]
                );
                remarks.push(Remark::note(text));
                class
            }
            _ => {
                let own = order.iter().map(String::as_str).collect::<Vec<_>>();
                let expected = format!("one of {}, or {}", list(&own), mend(&listed, known));
                return Err(place.error_at(at, format!("`{name}`"), expected));
            }
        };
        classes.insert(name, class as u32);
    }
    Ok(Classes { labels: texts.iter().map(|text| classes[text.trim()]).collect(), names: order, remarks })
}

/// Labels that are numbers: places of outputs, unless all of them are names that are known.
fn numbers(values: &[f64], known: &Known, place: &Place) -> Result<Classes> {
    let as_number = |name: &String| name.trim().parse::<f64>().ok();
    let by_name = |value: &f64| known.names.iter().position(|name| as_number(name) == Some(*value));
    let numerals = known.names.iter().filter_map(as_number).enumerate();
    // Names that say nothing but their own place are no names.
    let renumbered = numerals.filter(|&(at, number)| at as f64 != number).count() > 0;
    if !renumbered {
        return numbered(values, known, place);
    }
    let named: Option<Vec<usize>> = values.iter().map(by_name).collect();
    let count = known.names.len();
    let placed = values.iter().all(|value| value.fract() == 0.0 && (0.0..count as f64).contains(value));
    match named {
        Some(_) if placed => {
            let found = format!("{}, which may be names as well as places of outputs", spread(values));
            let expected = format!(
                "labels that are names in words, or `classes` in words where they are places from 0 (the names are {})",
                known.names.join(", ")
            );
            Err(place.error(found, expected))
        }
        Some(named) => {
            let text = format!("numbers of {} are names: {}", place.column, mapping(&known.names));
            let labels = named.iter().map(|&class| class as u32).collect();
            Ok(Classes { labels, names: known.all_names(0), remarks: vec![Remark::note(text)] })
        }
        None => numbered(values, known, place),
    }
}

/// Labels that are places of outputs.
fn numbered(values: &[f64], known: &Known, place: &Place) -> Result<Classes> {
    let most = match (&known.names[..], known.outputs) {
        (_, Some(outputs)) => outputs.classes(),
        ([], None) => MAX_CLASSES,
        (names, None) => known.all_names(0).len().max(names.len()),
    };
    let fits = |value: &f64| value.fract() == 0.0 && (0.0..most as f64).contains(value);
    if let Some(at) = values.iter().position(|value| !fits(value)) {
        let expected = format!("a class by its number, from 0 to {}{}", most - 1, renaming(values, most));
        return Err(place.error_at(at, values[at], expected));
    }
    let labels: Vec<u32> = values.iter().map(|&value| value as u32).collect();
    let names = known.all_names(labels.iter().max().map_or(0, |&most| most as usize + 1));
    Ok(Classes { labels, names, remarks: Vec::new() })
}

/// The line that makes names of numbers that are no places: 1 to 5 for five outputs, or -1 and 1 for two.
fn renaming(values: &[f64], classes: usize) -> String {
    let mut distinct = values.to_vec();
    distinct.sort_by(f64::total_cmp);
    distinct.dedup();
    if distinct.len() != classes || distinct.iter().any(|value| value.fract() != 0.0) {
        return String::new();
    }
    let names: Vec<String> = distinct.iter().map(f64::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    format!(", or, if {} is output 0 and so on, {}", names[0], line(&names))
}

/// What says the order of these names, to be pasted.
fn mend(found: &[&str], known: &Known) -> String {
    let classes = known.outputs.map_or(found.len().max(2), Outputs::classes).max(known.names.len());
    let mut names: Vec<&str> = found.to_vec();
    // The positive class of a single output is known: the other name is what stands before it.
    if let [positive] = &known.names[..] {
        names.sort_by_key(|name| same(name, positive));
    }
    let where_to = "in the [[data]] table of the study (of a TRAIN.toml: in [data])";
    if names.len() > LISTED {
        return format!(
            "classes = [...] {where_to}, with all {} names in the order of the model's outputs",
            names.len()
        );
    }
    let fill: Vec<String> = (names.len()..classes.min(LISTED))
        .map(|k| if classes == 2 { UNSEEN.into() } else { format!("{UNSEEN} {k}") })
        .collect();
    names.extend(fill.iter().map(String::as_str));
    if let [a, b] = names[..]
        && known.names.len() != 1
    {
        return format!(
            "a line {where_to} that says which output is which: {} or {}; or \"class_names\" in the model's own configuration",
            line(&[a, b]),
            line(&[b, a])
        );
    }
    format!(
        "a line {where_to} with the names in the order of the model's outputs: {}; or \"class_names\" in the model's own configuration",
        line(&names)
    )
}

fn line(names: &[&str]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| toml::Value::from(*name).to_string()).collect();
    format!("classes = [{}]", quoted.join(", "))
}

fn list(names: &[&str]) -> String {
    match names.len() {
        n if n > LISTED => format!("{}, ... ({n})", names[..LISTED].join(", ")),
        _ => names.join(", "),
    }
}

/// `0 normal, 1 pneumonia`.
pub fn mapping(names: &[String]) -> String {
    let pairs: Vec<String> = names.iter().enumerate().map(|(at, name)| format!("{at} {name}")).collect();
    pairs.join(", ")
}

fn spread(values: &[f64]) -> String {
    let (low, high) =
        values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
    format!("numbers from {low} to {high}")
}

/// Which column each output's finding stands in, and what was assumed: `columns` are the findings that a file has, by name.
///
/// # Errors
/// Outputs without names, with the line that names them; an output whose finding the file does not have.
pub fn findings(columns: &[String], known: &Known, place: &Place) -> Result<(Vec<usize>, Vec<Remark>)> {
    let own: Vec<&str> = columns.iter().map(String::as_str).collect();
    if known.names.is_empty() {
        if known.unordered {
            return Ok(((0..columns.len()).collect(), Vec::new()));
        }
        return Err(place.error(format!("findings called {}", list(&own)), mend(&own, known)));
    }
    let (mut order, mut remarks) = (Vec::new(), Vec::new());
    for name in &known.names {
        let exact = columns.iter().position(|column| column == name);
        let alike: Vec<usize> = (0..columns.len()).filter(|&at| same(&columns[at], name)).collect();
        order.push(match (exact, alike.as_slice()) {
            (Some(at), _) => at,
            (None, &[at]) => {
                remarks.push(Remark::note(format!(
                    "`{}` is taken for `{name}`: they differ in case alone",
                    columns[at]
                )));
                at
            }
            _ => {
                let expected = format!(
                    "a column for every output of the model ({}), or {}",
                    known.names.join(", "),
                    mend(&own, known)
                );
                return Err(place.error(format!("no column `{name}`, but {}", list(&own)), expected));
            }
        });
    }
    let left: Vec<&str> = (0..columns.len()).filter(|at| !order.contains(at)).map(|at| own[at]).collect();
    if !left.is_empty() {
        remarks.push(Remark::note(format!("left out, since no output has the name: {}", list(&left))));
    }
    Ok((order, remarks))
}

/// What the names of a model and of its data have to do with each other: the same name must be the same output.
///
/// # Errors
/// A name of the data that is another output's in the model.
pub fn agree(model: &[String], data: &[String], file: &str) -> Result<Vec<Remark>> {
    if model.len() != data.len() {
        return Ok(Vec::new());
    }
    let elsewhere =
        |(at, name): &(usize, &String)| !same(&model[*at], name) && model.iter().any(|own| same(own, name));
    if let Some((at, name)) = data.iter().enumerate().find(elsewhere) {
        let place = format!("class {at}");
        let expected = format!("the names in the order of the model's outputs: {}", mapping(model));
        return Err(Error::input(file, place, format!("`{name}` (classes {})", mapping(data)), expected));
    }
    let numbered = data.iter().enumerate().all(|(at, name)| *name == at.to_string());
    let other = |(own, name): &(&String, &String)| !same(own, name);
    let differ: Vec<String> = model
        .iter()
        .zip(data)
        .filter(other)
        .map(|(own, name)| format!("`{own}` is `{name}` in the data"))
        .collect();
    Ok(if numbered || differ.is_empty() {
        vec![]
    } else {
        vec![Remark::note(format!("other names: {}", differ.join(", ")))]
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn texts(values: &[&str]) -> Written {
        Written::Texts(values.iter().map(|value| value.to_string()).collect())
    }

    fn read(written: &Written, names: &[&str], count: Option<usize>) -> Result<Vec<u32>, String> {
        let outputs = count.map(|count| Outputs { count, findings: false });
        let known = Known { outputs, ..Known::named(names) };
        let place = Place { file: "f", column: "column `label`", entry: &|at| format!("row {at}") };
        match classes(written, &known, &place) {
            Ok(read) => {
                assert!(read.labels.iter().all(|&label| (label as usize) < read.names.len()));
                Ok(read.labels)
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// Every form of the same labels, under every order of names: the right numbers, whatever the file's order is.
    #[test]
    fn a_name_is_the_output_that_the_model_calls_so() {
        for names in [["normal", "pneumonia"], ["pneumonia", "normal"]] {
            for column in [&["pneumonia", "pneumonia"][..], &["normal", "pneumonia", "normal"], &["normal"]] {
                let right: Vec<u32> = column.iter().map(|label| u32::from(label == &names[1])).collect();
                let capital: Vec<String> = column.iter().map(|label| label.to_uppercase()).collect();
                assert_eq!(read(&texts(column), &names, Some(2)), Ok(right.clone()));
                assert_eq!(read(&Written::Texts(capital), &names, None), Ok(right));
            }
        }
    }

    #[test]
    fn names_in_no_order_are_refused_with_both_lines_and_either_works() {
        let column = texts(&["pneumonia", "normal", "pneumonia"]);
        let error = read(&column, &[], Some(2)).unwrap_err();
        for (line, right) in [
            ("classes = [\"normal\", \"pneumonia\"]", [1, 0, 1]),
            ("classes = [\"pneumonia\", \"normal\"]", [0, 1, 0]),
        ] {
            assert!(error.contains(line), "{error}");
            let parsed: toml::Table = line.parse().unwrap();
            let names: Vec<&str> =
                parsed["classes"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
            assert_eq!(read(&column, &names, Some(2)), Ok(right.to_vec()));
        }
        let one = read(&texts(&["pneumonia"]), &[], Some(2)).unwrap_err();
        assert!(one.contains("classes = [\"other\", \"pneumonia\"]"), "{one}");
    }

    #[test]
    fn what_is_no_name_of_the_model_is_refused() {
        let names = ["normal", "pneumonia"];
        let error = read(&texts(&["normal", "abnormal"]), &names, Some(2)).unwrap_err();
        assert!(error.contains("row 1") && error.contains("`abnormal`"), "{error}");
        assert!(error.contains("classes = [\"abnormal\", \"normal\"]"), "{error}");
        let mixed = read(&texts(&["normal", "1"]), &names, Some(2)).unwrap_err();
        assert!(mixed.contains("row 1") && mixed.contains("names alone or numbers alone"), "{mixed}");
    }

    #[test]
    fn numbers_are_places_in_every_form() {
        let names = ["normal", "pneumonia"];
        for written in [
            Written::Numbers(vec![1.0, 0.0, 1.0]),
            Written::Truths(vec![true, false, true]),
            texts(&["1", "0", "1"]),
            texts(&["1.0", "0.0", "1.0"]),
            texts(&["True", "False", "TRUE"]),
        ] {
            for known in [&names[..], &[]] {
                assert_eq!(read(&written, known, Some(2)), Ok(vec![1, 0, 1]), "{written:?}");
                assert_eq!(read(&written, known, None), Ok(vec![1, 0, 1]), "{written:?}");
            }
        }
        for bad in [-1.0, 0.5, 2.0, 1e9, f64::NAN, f64::INFINITY] {
            assert!(read(&Written::Numbers(vec![0.0, bad]), &names, Some(2)).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_that_are_no_places_become_names_by_the_line_that_the_error_has() {
        for (values, line) in [
            (vec![1.0, 2.0, 2.0], "classes = [\"1\", \"2\"]"),
            (vec![-1.0, 1.0, 1.0], "classes = [\"-1\", \"1\"]"),
            (vec![0.0, 4.0, 4.0], "classes = [\"0\", \"4\"]"),
        ] {
            let error = read(&Written::Numbers(values.clone()), &[], Some(2)).unwrap_err();
            assert!(error.contains(line), "{error}");
            let names: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
            assert_eq!(read(&Written::Numbers(values), &names, Some(2)), Ok(vec![0, 1, 1]));
        }
        let either = read(&Written::Numbers(vec![1.0, 1.0]), &["1", "2"], Some(2)).unwrap_err();
        assert!(either.contains("names as well as places"), "{either}");
    }

    #[test]
    fn a_single_finding_has_another_side() {
        assert_eq!(read(&Written::Numbers(vec![1.0, 0.0]), &["pneumonia"], Some(1)), Ok(vec![1, 0]));
        let error = read(&texts(&["pneumonia", "normal"]), &["pneumonia"], Some(1)).unwrap_err();
        assert!(error.contains("classes = [\"normal\", \"pneumonia\"]"), "{error}");
        assert_eq!(read(&texts(&["pneumonia", "normal"]), &["normal", "pneumonia"], Some(1)), Ok(vec![1, 0]));
    }

    #[test]
    fn findings_stand_in_the_order_of_the_outputs() {
        let place = Place { file: "f", column: "columns", entry: &|at| format!("row {at}") };
        let columns = ["Edema", "Cardiomegaly", "Age"].map(str::to_string);
        let known = Known::named(&["Cardiomegaly", "edema"]);
        let (order, remarks) = findings(&columns, &known, &place).unwrap();
        assert_eq!((order, remarks.len()), (vec![1, 0], 2));
        assert!(
            findings(&columns, &Known::default(), &place).unwrap_err().to_string().contains("classes = [")
        );
        assert!(findings(&columns, &Known::named(&["Pneumonia"]), &place).is_err());
    }

    #[test]
    fn the_same_name_is_the_same_output_of_model_and_data() {
        let names = |names: [&str; 2]| names.map(str::to_string);
        let model = names(["normal", "pneumonia"]);
        assert!(agree(&model, &names(["pneumonia", "normal"]), "d").is_err());
        assert_eq!(agree(&model, &names(["Normal", "pneumonia"]), "d").unwrap(), []);
        assert_eq!(agree(&model, &names(["0", "1"]), "d").unwrap(), []);
        assert_eq!(agree(&model, &names(["normal", "abnormal"]), "d").unwrap().len(), 1);
    }
}
