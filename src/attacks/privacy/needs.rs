//! How many shadow models a score takes.

/// Shadow models that an attack compares a target with, at least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Altogether.
    pub models: usize,
    /// That learnt from each candidate.
    pub with: usize,
    /// That did not learn from it.
    pub without: usize,
    /// Whether some candidate must be a member of one, and some not.
    pub both: bool,
}

impl Needs {
    /// Of an attack that looks at the target alone.
    pub const NOTHING: Self = Self { models: 0, with: 0, without: 0, both: false };
    /// Of an attack that learns how answers about members look.
    pub const BOTH: Self = Self { models: 1, both: true, ..Self::NOTHING };

    /// What the shadow models lack, of each of which `members` says whether it learnt from each candidate. Every shadow model is attacked with the
    /// help of the others, too, so that there must be enough without it.
    pub fn lacking(&self, members: &[Vec<bool>]) -> Option<String> {
        if *self == Self::NOTHING {
            return None;
        }
        if members.len() <= self.models {
            return Some(format!(
                "{} shadow models, of which each is held against the others",
                members.len()
            ));
        }
        let several = |wanted: bool| members.iter().filter(|of| of.contains(&wanted)).count() > 1;
        if self.both && !(several(true) && several(false)) {
            return Some("no shadow models of which some learnt from candidates and some did not".into());
        }
        let candidates = members.first().map_or(0, Vec::len);
        let fewest = |wanted: bool| {
            let count = |i: usize| members.iter().filter(|of| of[i] == wanted).count();
            (0..candidates).map(count).min().unwrap_or(0).saturating_sub(1)
        };
        let side = |wanted: bool, needed: usize, what: &str| {
            let there = if needed == 0 { 0 } else { fewest(wanted) };
            (there < needed).then(|| {
                format!(
                    "{} shadow models, of which {there} besides any one {what} some candidate",
                    members.len()
                )
            })
        };
        side(true, self.with, "learnt from").or_else(|| side(false, self.without, "did not learn from"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `count` shadow models in pairs, of which the second learns from what the first leaves.
    fn pairs(count: usize) -> Vec<Vec<bool>> {
        (0..count).map(|k| (0..7).map(|i| (i + k / 2) % 2 == k % 2).collect()).collect()
    }

    #[test]
    fn every_shadow_model_can_be_attacked_with_the_help_of_the_others() {
        let lira = Needs { models: 1, with: 2, without: 2, both: false };
        let rmia = Needs { models: 1, without: 1, ..Needs::NOTHING };
        for (needs, fewest) in [(Needs::NOTHING, 0), (Needs::BOTH, 2), (rmia, 4), (lira, 6)] {
            for count in 0..12 {
                assert_eq!(needs.lacking(&pairs(count)).is_none(), count >= fewest, "{needs:?} {count}");
            }
        }
        let strangers = vec![vec![false; 5]; 8];
        assert!(lira.lacking(&strangers).is_some() && Needs::BOTH.lacking(&strangers).is_some());
        assert_eq!(rmia.lacking(&strangers), None);
    }
}
