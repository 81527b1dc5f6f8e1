//! What the labels of a file mean for a model: names and numbers as they are written, in the order of the model's outputs.
//!
//! Which name is which output is the model's to say (`class_names`) or the study's (`classes`): a file holds the names, not their order, and
//! often not all of them. Numbers are the outputs' own.

mod agreement;
mod findings;
mod mends;
mod names;
mod numbers;
mod statements;
mod truths;
mod unanswered;

pub use agreement::{agree, mapping};
pub use findings::{Listed, Standing, findings};
pub use mends::{list, quoted};
pub use numbers::folders_in_order;
pub use statements::{Statement, listed, statements};
pub use truths::{Yes, is_negative, nothing_found, yes_or_no};
pub use unanswered::{Answered, FindingAnswers, LEFT_OUT, answered};

use super::Remark;
use crate::{Error, Result};

/// Labels as a file writes them, one a sample, none of them missing.
#[derive(Clone, Debug, PartialEq)]
pub enum Written {
    /// Texts; such as are all numbers, or all answers (`true`, `no`, `positive`), are taken for those.
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
    /// Whether the study says these names of these very data.
    pub of_data: bool,
    /// Findings that the data are labelled with, where the study says them; the others of the model are then unlabelled.
    pub findings: Vec<String>,
    /// The model's outputs, where there is a model.
    pub outputs: Option<Outputs>,
    /// The file that has the model's own names, or would, where that is known.
    pub configuration: Option<String>,
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
    pub(super) fn error(&self, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(self.file, self.column, found, expected)
    }

    pub(super) fn error_at(&self, position: usize, found: impl ToString, expected: impl ToString) -> Error {
        Error::input(self.file, format!("{}, {}", self.column, (self.entry)(position)), found, expected)
    }
}

impl Known {
    /// Only these names.
    pub fn named(names: &[&str]) -> Self {
        Self { names: names.iter().map(|name| name.to_string()).collect(), ..Self::default() }
    }

    /// Names of so many findings in the order of the outputs: those that are known, else those of a file.
    pub fn names_of(&self, count: usize, of_file: impl Fn(usize) -> String) -> Vec<String> {
        if self.names.is_empty() { (0..count).map(of_file).collect() } else { self.names.clone() }
    }

    /// What samples of several labels ask for: one class each, or a head that makes findings of the outputs, which a single one cannot be.
    pub fn one_class(&self) -> &'static str {
        match self.outputs {
            Some(Outputs { count: 1, .. }) => {
                "one class a sample, as the model's single output has; other samples left out of the data"
            }
            _ => {
                "one class a sample, as the model's softmax head has; head = \"sigmoid\" in the [[model]] table (of a TRAIN.toml: in [model]) makes each \
                 of its outputs a finding"
            }
        }
    }

    /// What a class of outputs without names is called: of a single output there is none to point to.
    pub fn unnamed(&self, class: usize) -> String {
        match self.outputs {
            Some(Outputs { count: 1, .. }) => {
                format!("class {class} (the output is {})", if class == 1 { "high" } else { "low" })
            }
            _ => format!("output {class}"),
        }
    }

    /// Names of all classes: those that are known, else numbers, `at_least` of them.
    pub fn all_names(&self, at_least: usize) -> Vec<String> {
        match &self.names[..] {
            [] => {
                let count = self.outputs.map_or(at_least.max(2), Outputs::classes).max(at_least);
                (0..count).map(|class| class.to_string()).collect()
            }
            // The other side of a single finding.
            [positive] if self.outputs.is_none_or(|outputs| outputs.count == 1) => sides(positive),
            names => names.to_vec(),
        }
    }
}

/// The class of every label.
///
/// # Errors
/// Names whose order nobody says, with the lines that say it; a name that the model does not have; names beside numbers; a number that is no
/// class; numbers that could be names as well as places; answers to a question that nobody asked.
pub fn classes(written: &Written, known: &Known, place: &Place) -> Result<Classes> {
    let named = |texts: &[String]| texts.iter().any(|text| known.names.iter().any(|name| same(text, name)));
    match written {
        Written::Numbers(values) => numbers::classes(values, known, place),
        Written::Truths(values) => {
            let texts: Vec<String> = values.iter().map(bool::to_string).collect();
            if named(&texts) {
                return names::classes(&texts, known, place);
            }
            truths::classes(values, ["false", "true"], known, place)
        }
        Written::Texts(texts) => {
            let number = |text: &String| text.trim().parse::<f64>().ok();
            if let Some(values) = texts.iter().map(number).collect::<Option<Vec<f64>>>() {
                return numbers::classes(&values, known, place);
            }
            match truths::answers(texts) {
                Some((pair, answers)) if !named(texts) => truths::classes(&answers, pair, known, place),
                _ => names::classes(texts, known, place),
            }
        }
    }
}

/// Both classes of a single output that has the name of the present one alone.
fn sides(present: &str) -> Vec<String> {
    let absent = if present.trim() == "1" { "0".to_string() } else { format!("not {present}") };
    vec![absent, present.to_string()]
}

/// Whether two names are one but for case and the blanks around them.
pub fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
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
        assert!(error.contains("classes = [\"normal\", \"abnormal\"]"), "{error}");
        let own = read(&texts(&["normal", "abnormal"]), &["normal", "abnormal"], Some(2));
        assert_eq!(own, Ok(vec![0, 1]));
        let third = read(&texts(&["normal", "pneumonia", "unclear"]), &names, Some(2)).unwrap_err();
        assert!(third.contains("no output left"), "{third}");
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
        for name in ["1", "2", "pneumonia"] {
            assert_eq!(read(&Written::Numbers(vec![1.0, 1.0]), &[name], Some(1)), Ok(vec![1, 1]));
            assert_eq!(read(&Written::Numbers(vec![0.0, 0.0]), &[name], Some(1)), Ok(vec![0, 0]));
        }
        assert_eq!(read(&Written::Numbers(vec![1.0, 0.0]), &["pneumonia"], Some(1)), Ok(vec![1, 0]));
        let error = read(&texts(&["pneumonia", "normal"]), &["pneumonia"], Some(1)).unwrap_err();
        assert!(error.contains("classes = [\"normal\", \"pneumonia\"]"), "{error}");
        assert_eq!(read(&texts(&["pneumonia", "normal"]), &["normal", "pneumonia"], Some(1)), Ok(vec![1, 0]));
    }
}
