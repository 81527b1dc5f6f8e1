//! Stretches of a recording as samples: where they begin, at which rate they are read, what becomes of missing values.

use super::leads::Chosen;
use super::options::Gaps;
use super::recording::{Lead, Recording};
use super::resample::Resampler;
use crate::Result;

/// Where a sample begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    /// A moment of the recording, in seconds.
    pub moment: f64,
    /// Values from there to the first one, at the final rate; negative if it comes before.
    pub values: i64,
}

/// What all samples of a data set have in common.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    /// Samples a second.
    pub rate: f64,
    /// Values of each lead.
    pub length: usize,
    /// What happens to missing values.
    pub gaps: Gaps,
}

/// What was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// `[length, leads]`, row-major.
    pub values: Vec<f32>,
    /// Samples that were interpolated.
    pub interpolated: usize,
    /// Values behind the end, which are 0.
    pub padded: usize,
}

/// Values of a lead at `rate` from its start to its end.
pub fn values_in(lead: &Lead, rate: f64) -> f64 {
    // A value may stand behind the last sample by less than a sample.
    (lead.len as f64 * rate / lead.rate - 1e-6).ceil().max(0.0)
}

/// Where the first value stands among the samples of `lead`.
fn position(lead: &Lead, start: Start, rate: f64) -> f64 {
    let at = start.moment * lead.rate;
    let whole = at.round();
    // Without resampling a moment between two samples belongs to the nearest.
    let at = if lead.rate == rate || (at - whole).abs() < 1e-6 { whole } else { at };
    at + start.values as f64 * (lead.rate / rate)
}

/// Whether all values of a window lie in the recording.
pub fn is_whole(lead: &Lead, start: Start, form: &Form) -> bool {
    let first = position(lead, start, form.rate);
    let last = first + (form.length as f64 - 1.0) * (lead.rate / form.rate);
    first >= 0.0 && last < lead.len as f64
}

/// Reads a window; `None` where a value is missing and not interpolated. Values behind the end are 0.
///
/// # Errors
/// A signal file that cannot be opened.
pub fn read(recording: &Recording, chosen: &Chosen, start: Start, form: &Form) -> Result<Option<Window>> {
    let leads = &chosen.positions;
    let mut window = Window { values: vec![0.0; form.length * leads.len()], interpolated: 0, padded: 0 };
    for (channel, &k) in leads.iter().enumerate() {
        let lead = &recording.leads[k];
        let mut resampler = Resampler::new(lead.rate, form.rate);
        let step = resampler.step();
        let first = position(lead, start, form.rate);
        let inside = (((lead.len as f64 - first) / step - 1e-9).ceil().max(0.0) as usize).min(form.length);
        // A second on either side has neighbours for what is interpolated.
        let margin =
            resampler.reach() as f64 + if form.gaps == Gaps::Interpolate { lead.rate.ceil() } else { 0.0 };
        let from = (first.floor() - margin).max(0.0) as u64;
        let to = ((first + inside as f64 * step).ceil() + margin + 1.0).min(lead.len as f64) as u64;
        let mut samples = recording.read(k, from..to)?;
        if form.gaps == Gaps::Interpolate {
            let own = &samples[((first.floor() - from as f64) as usize).min(samples.len())..];
            let own = &own[..((inside as f64 * step).ceil() as usize).min(own.len())];
            let missing = own.iter().filter(|value| value.is_nan()).count();
            // What is mostly a straight line is no recording.
            if 2 * missing > own.len() {
                return Ok(None);
            }
            window.interpolated += missing;
            bridge(&mut samples);
        }
        for j in 0..inside {
            let value = resampler.value(&samples, first - from as f64 + j as f64 * step);
            if value.is_nan() {
                return Ok(None);
            }
            window.values[j * leads.len() + channel] = (value * chosen.factors[channel]) as f32;
        }
        window.padded += form.length - inside;
    }
    Ok(Some(window))
}

/// Puts a straight line between the neighbours of missing samples, the nearest one at the ends. Without any neighbour they stay.
fn bridge(samples: &mut [f64]) {
    let known: Vec<usize> = (0..samples.len()).filter(|&at| !samples[at].is_nan()).collect();
    let (Some(&first), Some(&last)) = (known.first(), known.last()) else { return };
    let (start, end) = (samples[first], samples[last]);
    samples[..first].fill(start);
    samples[last + 1..].fill(end);
    for pair in known.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let (low, high) = (samples[a], samples[b]);
        for (at, sample) in samples.iter_mut().enumerate().take(b).skip(a + 1) {
            *sample = low + (high - low) * (at - a) as f64 / (b - a) as f64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_bridged_by_straight_lines() {
        let mut samples = [f64::NAN, 1.0, f64::NAN, f64::NAN, 4.0, f64::NAN];
        bridge(&mut samples);
        assert_eq!(samples, [1.0, 1.0, 2.0, 3.0, 4.0, 4.0]);
        bridge(&mut [f64::NAN; 3]);
    }

    #[test]
    fn a_recording_has_as_many_values_as_scipy_gives_it() {
        let lead = |rate: f64, len: u64| Lead {
            name: String::new(),
            written_unit: String::new(),
            unit: String::new(),
            rate,
            len,
            range: None,
            uncalibrated: false,
        };
        for (from, len, to, right) in [
            (500.0, 5000, 100.0, 1000.0),
            (100.0, 1000, 500.0, 5000.0),
            (360.0, 7, 360.0, 7.0),
            (500.0, 5001, 100.0, 1001.0),
        ] {
            assert_eq!(values_in(&lead(from, len), to), right);
        }
    }
}
