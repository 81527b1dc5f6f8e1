//! Learning rates over the steps of a run.

/// How the learning rate changes; all times are in epochs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Schedule {
    /// Always the same.
    Constant,
    /// Rises linearly over `warmup`, then falls along a half cosine (Loshchilov & Hutter 2017, eq. 5, without restarts)
    /// to `floor` times the base rate at the end.
    Cosine {
        /// Epochs of the linear rise.
        warmup: f64,
        /// What is left at the end, a share of the base rate.
        floor: f64,
    },
    /// Multiplied by `factor` after every `every` epochs.
    Step {
        /// Epochs between changes.
        every: f64,
        /// The factor.
        factor: f64,
    },
}

impl Schedule {
    /// The rate at `step` (from 0) of `total` steps, of which an epoch has `per_epoch`.
    pub fn rate(&self, base: f64, step: u64, per_epoch: u64, total: u64) -> f64 {
        let (step, per_epoch, total) = (step as f64, per_epoch as f64, total as f64);
        match *self {
            Self::Constant => base,
            Self::Cosine { warmup, floor } => {
                let rise = warmup * per_epoch;
                if step < rise {
                    return base * ((step + 1.0) / rise).min(1.0);
                }
                let share = (step - rise) / (total - rise).max(1.0);
                base * (floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos()))
            }
            Self::Step { every, factor } => base * factor.powf((step / (every * per_epoch)).floor()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cosine_rises_then_falls_to_its_floor() {
        let schedule = Schedule::Cosine { warmup: 2.0, floor: 0.1 };
        let rate = |step| schedule.rate(1.0, step, 10, 100);
        assert!((rate(0) - 0.05).abs() < 1e-12 && (rate(19) - 1.0).abs() < 1e-12);
        assert!((rate(20) - 1.0).abs() < 1e-12 && (rate(60) - 0.55).abs() < 1e-12);
        assert!((20..99).all(|step| rate(step + 1) < rate(step)) && rate(99) < 0.101 && rate(99) > 0.1);
    }

    #[test]
    fn step_multiplies_at_whole_intervals() {
        let schedule = Schedule::Step { every: 3.0, factor: 0.5 };
        let rates = [0, 29, 30, 60].map(|step| schedule.rate(0.8, step, 10, 100));
        assert_eq!(rates, [0.8, 0.8, 0.4, 0.2]);
        assert_eq!(Schedule::Constant.rate(0.3, 77, 10, 100), 0.3);
    }
}
