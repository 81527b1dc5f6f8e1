//! How visible a trigger is.

use crate::attacks::Norm;
use crate::attacks::columns::entry;
use crate::attacks::evasion::start::distance;
use crate::data::Dataset;
use crate::statistics::mean;

/// How much a trigger changes samples, in the domain's scaled units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Visibility {
    /// Signal-to-noise ratio in dB, `10 log10(sum x^2 / sum (x' - x)^2)` of each sample, mean over the samples that changed (and
    /// are not 0 throughout); `None` where there is none.
    pub snr_db: Option<f64>,
    /// Largest change of a value, mean over all samples.
    pub linf: f64,
    /// How many samples changed at all.
    pub changed: usize,
}

/// The visibility over pairs of a clean sample and the stamped one.
pub fn visibility<'a>(data: &Dataset, pairs: impl IntoIterator<Item = (&'a [f32], &'a [f32])>) -> Visibility {
    let scale = &data.domain.scale;
    let (mut n, mut changed, mut ratios, mut linf) = (0usize, 0usize, Vec::new(), 0.0);
    for (clean, stamped) in pairs {
        n += 1;
        let noise = distance(Norm::L2, stamped, clean, scale).powi(2);
        linf += distance(Norm::Linf, stamped, clean, scale);
        if noise > 0.0 {
            let power = |(i, x): (usize, &f32)| (f64::from(*x) / f64::from(entry(scale, i))).powi(2);
            let signal: f64 = clean.iter().enumerate().map(power).sum();
            changed += 1;
            if signal > 0.0 {
                ratios.push(10.0 * (signal / noise).log10());
            }
        }
    }
    Visibility { snr_db: mean(ratios.into_iter()), linf: if n > 0 { linf / n as f64 } else { 0.0 }, changed }
}
