//! Bisection: a sample's smallest breaking budget on a ladder, for the price of a few of its rungs.
//!
//! A change that breaks a sample within one budget lies within every larger one: that is certain. That a sample which withstood the attack
//! at one budget withstands it at smaller ones is assumed: an attack is not always stronger for having more room.

use std::collections::BTreeMap;

use super::job::Outcome;

/// A search on a ladder of budgets, ascending.
#[derive(Debug)]
pub(super) struct Search {
    /// Rungs below withstand the attack.
    low: usize,
    /// Rungs from here on break.
    high: usize,
    /// The rung that is tried.
    at: usize,
    tried: BTreeMap<usize, Outcome>,
    /// The best of earlier restarts on this rung.
    best: Option<Outcome>,
}

impl Search {
    /// Nothing known yet of `rungs` budgets, one at least.
    pub(super) fn new(rungs: usize) -> Self {
        Self { low: 0, high: rungs, at: rungs / 2, tried: BTreeMap::new(), best: None }
    }

    /// Rungs that a search tries at most: `ceil(log2(rungs + 1))`.
    pub(super) fn tries(rungs: usize) -> u64 {
        u64::from(usize::BITS - rungs.leading_zeros())
    }

    /// The rung to try.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// What to start from: what the rung tried last came to.
    pub(super) fn warm(&self) -> Option<&[f32]> {
        let (below, above) = (self.low.checked_sub(1), Some(self.high));
        // The nearest rung that was tried; of two the broken one, which is an adversarial already.
        let known = [above, below].into_iter().flatten().find_map(|rung| self.tried.get(&rung));
        known.map(|outcome| outcome.x.as_slice())
    }

    /// The best of earlier restarts on this rung.
    pub(super) fn best(&mut self) -> Option<Outcome> {
        self.best.take()
    }

    /// Keeps the best so far, for another restart on the same rung.
    pub(super) fn stay(&mut self, best: Outcome) {
        self.best = Some(best);
    }

    /// Takes what came of the rung; whether there is another to try.
    pub(super) fn go_on(&mut self, outcome: Outcome) -> bool {
        if outcome.success {
            self.high = self.at;
        } else {
            self.low = self.at + 1;
        }
        self.tried.insert(self.at, outcome);
        self.at = self.low + (self.high - self.low) / 2;
        self.low < self.high
    }

    /// What is known of a rung once the search is over: what was computed there; above the smallest breaking rung what broke that; below
    /// it the clean sample, `untouched`.
    pub(super) fn outcome(&self, rung: usize, untouched: impl FnOnce() -> Outcome) -> Outcome {
        if let Some(outcome) = self.tried.get(&rung) {
            return outcome.clone();
        }
        let known = if rung < self.high { None } else { self.tried.get(&self.high) };
        Outcome {
            steps_used: 0,
            forward_calls: 0,
            gradient_calls: 0,
            zero_gradients: 0.0,
            rising: false,
            seconds: 0.0,
            inferred: true,
            ..known.cloned().unwrap_or_else(untouched)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(success: bool, x: f32) -> Outcome {
        Outcome {
            x: vec![x],
            logits: vec![],
            attacked: true,
            success,
            l0: 0,
            norms: [0.0; 3],
            steps_used: 7,
            forward_calls: 7,
            gradient_calls: 7,
            zero_gradients: 0.0,
            rising: false,
            seconds: 0.0,
            inferred: false,
        }
    }

    #[test]
    fn finds_every_place_in_at_most_log2_tries() {
        for rungs in 1..70 {
            for breaks in 0..=rungs {
                let mut search = Search::new(rungs);
                let mut tries = 0;
                loop {
                    tries += 1;
                    let at = search.at();
                    assert!(at < rungs);
                    if !search.go_on(outcome(at >= breaks, at as f32)) {
                        break;
                    }
                }
                assert!(tries <= Search::tries(rungs), "{tries} of {rungs}");
                let mut computed = 0;
                for rung in 0..rungs {
                    let found = search.outcome(rung, || outcome(false, -1.0));
                    assert_eq!(found.success, rung >= breaks);
                    computed += u64::from(!found.inferred);
                    match (found.inferred, found.success) {
                        // The change of the smallest breaking budget fits every larger one.
                        (true, true) => assert_eq!(found.x, [breaks as f32]),
                        (true, false) => assert_eq!(found.x, [-1.0]),
                        (false, _) => assert_eq!(found.x, [rung as f32]),
                    }
                    assert_eq!(found.steps_used == 0, found.inferred);
                }
                assert_eq!(computed, tries);
            }
        }
    }

    #[test]
    fn starts_from_the_nearest_rung_that_was_tried_the_broken_one_first() {
        let mut search = Search::new(8);
        assert_eq!(search.warm(), None);
        search.go_on(outcome(false, 4.0));
        assert_eq!(search.warm(), Some(&[4.0][..]));
        search.go_on(outcome(true, 6.0));
        assert_eq!(search.warm(), Some(&[6.0][..]));
    }
}
