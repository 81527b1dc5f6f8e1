//! A trigger made ready: the change that it makes to a sample, within what the data allow.

use std::fmt;

use crate::attacks::columns::{is_immutable, within_bounds};
use crate::data::{Dataset, Domain};

type Change = Box<dyn Fn(&mut [f32]) + Send + Sync>;

/// A prepared trigger. It is a pure function of a sample.
pub struct Stamp {
    change: Change,
    domain: Domain,
    /// Whether immutable features stay as they are, whatever the change does to them.
    guarded: bool,
}

impl fmt::Debug for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.debug_struct("Stamp").field("guarded", &self.guarded).finish_non_exhaustive()
    }
}

impl Stamp {
    /// A stamp that makes this change; immutable features stay, and values that changed are cut to the data's bounds (widened to hold what
    /// was there).
    pub(super) fn new(data: &Dataset, change: impl Fn(&mut [f32]) + Send + Sync + 'static) -> Self {
        Self { change: Box::new(change), domain: data.domain.clone(), guarded: true }
    }

    /// A stamp whose change knows which features it may touch.
    pub(super) fn unguarded(data: &Dataset, change: impl Fn(&mut [f32]) + Send + Sync + 'static) -> Self {
        Self { guarded: false, ..Self::new(data, change) }
    }

    /// A stamp that adds `pattern`, one number for each value of a sample, in the data's unit.
    pub(super) fn additive(data: &Dataset, pattern: Vec<f32>) -> Self {
        Self::new(data, move |values| values.iter_mut().zip(&pattern).for_each(|(value, add)| *value += add))
    }

    /// Stamps a sample, `sample_len` values in the data's unit, in place.
    pub fn apply(&self, values: &mut [f32]) {
        let before = values.to_vec();
        (self.change)(values);
        for (i, (value, before)) in values.iter_mut().zip(before).enumerate() {
            if *value == before {
                continue;
            }
            *value = if self.guarded && is_immutable(&self.domain, i) {
                before
            } else {
                within_bounds(&self.domain, i, before, *value)
            };
        }
    }

    /// A stamped copy of a sample.
    pub fn applied(&self, sample: &[f32]) -> Vec<f32> {
        let mut values = sample.to_vec();
        self.apply(&mut values);
        values
    }
}
