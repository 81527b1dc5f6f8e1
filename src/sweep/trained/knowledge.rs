//! What a membership adversary has besides the target, and so which samples the target may learn from and which the shadow models.

use std::collections::BTreeMap;

use super::School;
use crate::attacks::Value;
use crate::training::random::{Stream, name_number};
use crate::{Error, Result};

/// What the adversary has to train shadow models on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Knowledge {
    /// The pool that the target's training samples were drawn from.
    Exact,
    /// Other samples of the same distribution: half of the pool is theirs, the other half the target's.
    Distribution,
    /// Samples from elsewhere: about half of the sites are theirs, the others the target's. Where the recipe names no `data.site`, sites are the
    /// data's groups (patients, records).
    Elsewhere,
    /// Nothing: the adversary has the target's decisions alone.
    Labels,
}

/// Positions among the samples of the train split, each ascending.
#[derive(Clone, Debug, PartialEq)]
pub struct Pools {
    /// What the target may learn from: the candidates that results are about.
    pub target: Vec<usize>,
    /// What shadow models may learn from.
    pub shadows: Vec<usize>,
}

impl Knowledge {
    /// What the value of `knows` says.
    pub fn of(value: Option<Value>) -> Self {
        match value {
            Some(Value::Word("distribution")) => Self::Distribution,
            Some(Value::Word("elsewhere")) => Self::Elsewhere,
            Some(Value::Word("labels")) => Self::Labels,
            _ => Self::Exact,
        }
    }

    /// The same for knowledge that goes with the same targets.
    pub fn targets(self) -> Self {
        if self == Self::Labels { Self::Exact } else { self }
    }

    /// Who may learn from what, at a school.
    ///
    /// # Errors
    /// Knowledge of other sites where neither the recipe nor the data tell any, or where there is one only.
    pub fn pools(self, school: &School) -> Result<Pools> {
        let n = school.prepared.splits.train.len();
        let all: Vec<usize> = (0..n).collect();
        match self {
            Self::Exact => Ok(Pools { target: all.clone(), shadows: all }),
            Self::Labels => Ok(Pools { target: all, shadows: Vec::new() }),
            Self::Distribution => {
                let target = halved(&all, 0, "pools");
                let shadows = all.into_iter().filter(|i| target.binary_search(i).is_err()).collect();
                Ok(Pools { target, shadows })
            }
            Self::Elsewhere => {
                let (file, train) = (&school.prepared.file, &school.prepared.splits.train);
                let expected = "the column that tells sites apart, for knows = \"elsewhere\"";
                let bad = |found: &str| Error::input(file.path.display(), "data.site", found, expected);
                let sites = match &file.site {
                    Some(site) => &train.subgroups[site],
                    None => {
                        train.group.as_ref().ok_or_else(|| bad("no such key, and samples without groups"))?
                    }
                };
                parted(sites).ok_or_else(|| bad("one site alone"))
            }
        }
    }
}

/// What `count` shadow models learn from, with the seed of each: random halves of their pool and what those leave in turn, so that every sample
/// is in every other model (Carlini et al. 2022, section VI). Fewer models are the first of more.
pub(super) fn shadow_lessons(pool: &[usize], count: u64) -> Vec<(u64, Vec<usize>)> {
    let lesson = |k: u64| {
        let half = halved(pool, k / 2, "shadow");
        let rest = || pool.iter().copied().filter(|i| half.binary_search(i).is_err()).collect();
        (name_number(&format!("shadow {k}")), if k % 2 == 1 { rest() } else { half })
    };
    (0..count).map(lesson).collect()
}

/// A random half of some positions, rounded down, ascending.
pub(super) fn halved(positions: &[usize], seed: u64, purpose: &str) -> Vec<usize> {
    let mut stream = Stream::new(seed, &[name_number("half"), name_number(purpose)]);
    let mut order = positions.to_vec();
    shuffle(&mut order, &mut stream);
    order.truncate(positions.len() / 2);
    order.sort_unstable();
    order
}

/// Whole sites, in random order, each to whom has fewer samples so far; `None` for a single site.
fn parted(sites: &[String]) -> Option<Pools> {
    let mut samples: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    sites.iter().enumerate().for_each(|(i, site)| samples.entry(site).or_default().push(i));
    let mut order: Vec<Vec<usize>> = samples.into_values().collect();
    shuffle(&mut order, &mut Stream::new(0, &[name_number("sites")]));
    let mut pools = Pools { target: Vec::new(), shadows: Vec::new() };
    for site in order {
        let smaller =
            if pools.target.len() <= pools.shadows.len() { &mut pools.target } else { &mut pools.shadows };
        smaller.extend(site);
    }
    pools.target.sort_unstable();
    pools.shadows.sort_unstable();
    (!pools.shadows.is_empty()).then_some(pools)
}

fn shuffle<T>(order: &mut [T], stream: &mut Stream) {
    for last in (1..order.len()).rev() {
        order.swap(last, stream.below(last + 1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sample_is_in_every_other_shadow_model() {
        let pool: Vec<usize> = (3..24).collect();
        let lessons = shadow_lessons(&pool, 8);
        let of = |i: &usize| lessons.iter().filter(|(_, samples)| samples.contains(i)).count();
        assert!(pool.iter().all(|i| of(i) == 4));
        assert_eq!(shadow_lessons(&pool, 3), lessons[..3]);
        assert_ne!(lessons[0].1, lessons[2].1);
    }

    #[test]
    fn sites_are_never_parted_and_both_sides_have_about_half() {
        let sites: Vec<String> = (0..400).map(|i| format!("hospital {}", (i * i) % 23)).collect();
        let pools = parted(&sites).unwrap_or_else(|| panic!("there are several"));
        assert_eq!(pools.target.len() + pools.shadows.len(), 400);
        assert!(pools.target.iter().all(|&i| pools.shadows.iter().all(|&j| sites[i] != sites[j])));
        assert!(pools.target.len().abs_diff(pools.shadows.len()) < 100);
        assert_eq!(parted(&vec!["one".to_string(); 5]), None);
    }
}
