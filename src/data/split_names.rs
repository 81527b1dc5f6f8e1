//! Which values of a column are which split: the words that others use, or the values that a study says (`splits = { val = [9], test = [10] }`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Values of a column by the split that they are: `train`, `val` or `test`. Empty where nobody says them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, Values>")]
pub struct SplitNames(pub BTreeMap<String, Vec<String>>);

/// One value or several, texts or numbers.
#[derive(Deserialize)]
#[serde(untagged)]
enum Values {
    Number(f64),
    Text(String),
    List(Vec<Values>),
}

impl Values {
    fn texts(&self) -> Vec<String> {
        match self {
            Self::Number(number) => vec![number.to_string()],
            Self::Text(text) => vec![text.clone()],
            Self::List(values) => values.iter().flat_map(Self::texts).collect(),
        }
    }
}

impl TryFrom<BTreeMap<String, Values>> for SplitNames {
    type Error = String;

    fn try_from(values: BTreeMap<String, Values>) -> Result<Self, String> {
        let names: BTreeMap<String, Vec<String>> =
            values.iter().map(|(split, own)| (split.clone(), own.texts())).collect();
        if let Some(split) = names.keys().find(|split| !Self::SPLITS.contains(&split.as_str())) {
            return Err(format!("`{split}`, expected values of {}", Self::SPLITS.join(", ")));
        }
        let mut all: Vec<&String> = names.values().flatten().collect();
        all.sort();
        match all.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} in two splits, expected every value in one", pair[0])),
            None => Ok(Self(names)),
        }
    }
}

impl SplitNames {
    /// The splits that may be said.
    pub const SPLITS: [&'static str; 3] = ["train", "val", "test"];

    /// Whether the study says values.
    pub fn are_stated(&self) -> bool {
        !self.0.is_empty()
    }

    /// The split that a cell says: by the stated values, whose rest is `train` unless that has values of its own; else by the usual words.
    /// `None` of a cell that says none.
    pub fn of(&self, cell: &str) -> Option<&'static str> {
        let cell = cell.trim();
        if !self.are_stated() {
            return usual(cell);
        }
        let named = |split: &&&str| {
            self.0.get(**split).is_some_and(|values| values.iter().any(|own| alike(own, cell)))
        };
        let rest = (!cell.is_empty() && !self.0.contains_key("train")).then_some("train");
        Self::SPLITS.iter().find(named).copied().or(rest)
    }

    /// The line that says values, for errors.
    pub const LINE: &'static str = "splits = { val = [9], test = [10] }";
}

/// Splits as others call them: `valid`, `validate`, `validation` and `dev` are `val`, `training` is `train`, `testing` is `test`.
pub fn usual(text: &str) -> Option<&'static str> {
    Some(match text.trim().to_lowercase().as_str() {
        "train" | "training" => "train",
        "val" | "valid" | "validate" | "validation" | "dev" => "val",
        "test" | "testing" => "test",
        _ => return None,
    })
}

/// `9` is `9.0`, `A` is `a`.
fn alike(a: &str, b: &str) -> bool {
    match (a.trim().parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => a == b,
        _ => super::labels::same(a, b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_texts_or_numbers_each_in_one_split() {
        let read = |text: &str| toml::from_str::<SplitNames>(text).map_err(|error| error.to_string());
        let names =
            read("val = 9\ntest = [10, \"x\"]").map(|names| (names.of("9.0"), names.of("X"), names.of("1")));
        assert_eq!(names, Ok((Some("val"), Some("test"), Some("train"))));
        assert!(read("val = 9\ntest = [9.0]").is_err_and(|error| error.contains("two splits")));
        assert!(read("valid = 9").is_err_and(|error| error.contains("train, val, test")));
    }

    #[test]
    fn stated_values_leave_the_rest_to_train_unless_train_is_stated() {
        let names = |pairs: &[(&str, &[&str])]| {
            let own = |values: &[&str]| values.iter().map(|value| value.to_string()).collect();
            SplitNames(pairs.iter().map(|(split, values)| (split.to_string(), own(values))).collect())
        };
        let folds = names(&[("val", &["9"]), ("test", &["10", "0"])]);
        for (cell, right) in [
            ("9.0", Some("val")),
            ("10", Some("test")),
            ("0", Some("test")),
            ("3", Some("train")),
            (" ", None),
        ] {
            assert_eq!(folds.of(cell), right, "{cell}");
        }
        let all = names(&[("train", &["A"]), ("test", &["B"])]);
        assert_eq!((all.of("a"), all.of("B"), all.of("C")), (Some("train"), Some("test"), None));
        let none = SplitNames::default();
        assert_eq!((none.of("Validation"), none.of("1")), (Some("val"), None));
    }
}
