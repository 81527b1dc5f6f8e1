//! What data give away that changes the meaning of a number, or names somebody: samples and groups in two splits, subgroups that are patients.

use std::collections::HashSet;
use std::path::Path;

use super::load;
use super::study::Study;
use crate::data::{Dataset, Remark, Source};
use crate::models::Model;
use crate::telling::counted;

/// A subgroup of fewer samples on average may be somebody.
const SOMEBODY: usize = 5;
/// Values of a column that are no names yet.
const FEW: usize = 20;

/// What two splits have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Samples of the first that are in the second, too.
    pub samples: usize,
    /// Groups that are in both; unknown where samples have none.
    pub groups: Option<usize>,
}

impl Shared {
    /// Of `own` with `other`.
    pub fn of(own: &Dataset, other: &Dataset) -> Self {
        let theirs: HashSet<u64> = other.fingerprints().into_iter().collect();
        let samples = own.fingerprints().iter().filter(|sample| theirs.contains(sample)).count();
        let groups = own.group.as_ref().zip(other.group.as_ref()).map(|(own, other)| {
            let other: HashSet<&String> = other.iter().collect();
            own.iter().filter(|group| other.contains(group)).collect::<HashSet<_>>().len()
        });
        Self { samples, groups }
    }

    /// Whether there is anything.
    pub fn any(&self) -> bool {
        self.samples > 0 || self.groups.is_some_and(|groups| groups > 0)
    }

    /// What it means for numbers from `own`; `None` where nothing is shared.
    pub fn warning(&self, own: &Dataset, other: &Dataset) -> Option<Remark> {
        let samples =
            (self.samples > 0).then(|| format!("{} of {}", self.samples, counted(own.len(), "sample")));
        let groups = self.groups.filter(|groups| *groups > 0).map(|groups| counted(groups, "group"));
        let shared: Vec<String> = samples.into_iter().chain(groups).collect();
        let text = format!(
            "{} of split {} are in split {}, too: a model that learnt from them may know them by heart",
            shared.join(" and "),
            own.split,
            other.split
        );
        self.any().then(|| Remark::warning("shared-with-train", text))
    }
}

/// What a data set of the study shares with its train split, where reading that costs no more than reading itself: arrays and tables.
pub fn with_train(
    study: &Study,
    position: usize,
    of: usize,
    model: &Model,
    own: &Dataset,
    data_dir: Option<&Path>,
) -> Option<Remark> {
    let cheap = match &study.data[position].request.source {
        Source::Path(path) => {
            let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
            ["npz", "csv", "tsv", "txt", "gz", "parquet"].contains(&ending)
        }
        _ => false,
    };
    if !cheap || ["train", "all"].contains(&own.split.as_str()) {
        return None;
    }
    // A train split that is not there, or does not fit, has nothing in common.
    let train = load::data_split(study, position, of, model, data_dir, Some("train")).ok()?;
    Shared::of(own, &train).warning(own, &train)
}

/// Columns of subgroups whose values are so many that they name somebody.
pub fn names(data: &Dataset) -> Option<Remark> {
    let of_somebody = |values: &&Vec<String>| {
        let distinct = values.iter().collect::<HashSet<_>>().len();
        data.group.as_ref() == Some(*values) && distinct > 1
            || distinct > FEW && distinct * SOMEBODY > values.len()
    };
    let columns: Vec<String> = data
        .subgroups
        .iter()
        .filter(|(_, values)| of_somebody(values))
        .map(|(name, values)| format!("`{name}` ({} values)", values.iter().collect::<HashSet<_>>().len()))
        .collect();
    let text = format!(
        "subgroups by {}: each value stands in the results as it is written, and may name a patient; take the column out of subgroups, or \
         results say who was in them",
        columns.join(", ")
    );
    (!columns.is_empty()).then(|| Remark::warning("subgroup-names-somebody", text))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn data(values: &[f32], groups: &[&str]) -> Dataset {
        let names = |texts: &[&str]| texts.iter().map(|text| (*text).to_string()).collect::<Vec<_>>();
        let table: String =
            values.iter().zip(groups).map(|(v, g)| format!("{v},{g},{}\n", u8::from(*v > 1.0))).collect();
        let table = crate::data::table::Table::from_csv("t", format!("a,pid,y\n{table}").as_bytes()).unwrap();
        let spec = crate::data::spec::Spec::from_toml(
            "t",
            "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\ngroup = \"pid\"\nsplit = { test = 0, val = 0 }\n",
        );
        let fitted = crate::data::Preprocess::fit(&spec.unwrap(), &table).unwrap();
        let mut data = fitted.apply(&table, "all").unwrap();
        data.subgroups.retain(|name, _| name == "pid");
        assert_eq!(data.group.as_ref().unwrap(), &names(groups));
        data
    }

    #[test]
    fn shared_samples_and_groups_are_counted_and_patients_named() {
        let own = data(&[1.0, 2.0, 2.5, 3.0], &["p1", "p2", "p2", "p3"]);
        let other = data(&[2.0, 5.0, 0.5], &["p9", "p2", "p8"]);
        assert_eq!(Shared::of(&own, &other), Shared { samples: 1, groups: Some(1) });
        assert!(
            Shared::of(&own, &other)
                .warning(&own, &other)
                .unwrap()
                .text
                .starts_with("1 of 4 samples and 1 group")
        );
        let apart = data(&[7.0, 0.1], &["p7", "p6"]);
        assert_eq!(Shared::of(&own, &apart).warning(&own, &apart), None);
        assert!(names(&own).unwrap().text.contains("`pid` (3 values)"));
    }
}
