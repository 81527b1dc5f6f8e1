//! Whether samples look like what a model was made for, by the model's own mean and deviation of its input.

use super::study::{DataEntry, ModelEntry};
use crate::data::{Dataset, Remark};
use crate::models::Model;
use crate::{Error, Result};

/// The word for samples in what seems to be another unit.
pub const FLAG: &str = "input-statistics";
/// Deviations that the samples' mean may lie from the model's.
const FAR: f64 = 3.0;
/// Factor between the samples' deviation and the model's.
const SPREAD: f64 = 10.0;

/// Compares the values with the scaling of the model's input. Tables are left to their own preprocessing.
///
/// # Errors
/// Values far from the scaling of a model that says in what unit it was trained.
pub(super) fn check(
    model: &Model,
    data: &Dataset,
    entry: &ModelEntry,
    of: &DataEntry,
) -> Result<Option<Remark>> {
    let Some(scaling) = &model.config.input_scaling else { return Ok(None) };
    if !data.domain.features.is_empty() || !data.inputs.is_empty() {
        return Ok(None);
    }
    let (channels, len) = (data.shape.last().copied().unwrap_or(1), data.sample_len());
    let average =
        |values: &[f32]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len().max(1) as f64;
    let at = |values: &[f32], place: usize| match values.len() {
        1 => f64::from(values[0]),
        n if n == channels => f64::from(values[place % channels]),
        n if n == len => f64::from(values[place % len]),
        // Grey samples of a model of colours.
        _ => average(values),
    };
    let scaled = |(place, &value): (usize, &f32)| {
        (f64::from(value) - at(&scaling.mean, place % len)) / at(&scaling.std, place % len)
    };
    let n = data.values.len().max(1) as f64;
    let mean = data.values.iter().enumerate().map(scaled).sum::<f64>() / n;
    let square = data.values.iter().enumerate().map(|each| (scaled(each) - mean).powi(2)).sum::<f64>() / n;
    let deviation = square.sqrt();
    if mean.abs() <= FAR && (SPREAD.recip()..=SPREAD).contains(&deviation) {
        return Ok(None);
    }
    let own = average(&data.values);
    let found = format!(
        "values of mean {own:.4} that come to mean {mean:.2} and deviation {deviation:.4} under the model's input scaling (mean {:.4}, deviation {:.4})",
        average(&scaling.mean),
        average(&scaling.std)
    );
    let trained = model
        .config
        .training
        .as_ref()
        .and_then(|training| training.get("unit"))
        .and_then(|unit| unit.as_str());
    let overridden = entry.input.as_ref().is_some_and(|input| input.mean.is_some());
    let unit = scaling.unit.as_deref().or(trained.filter(|_| !overridden));
    match unit {
        Some(unit) => {
            let place = format!("values (data {}, model {})", of.id, entry.id);
            let expected = format!(
                "about 0 and 1: values in {unit}, which the model was trained in; or input = {{ mean = [..], std = [..] }} of the [[model]] \
                 in the data's own unit"
            );
            Err(Error::input(&data.name, place, found, expected))
        }
        None => {
            Ok(Some(Remark::warning(FLAG, format!("{found}: another unit, or an offset that is missing?"))))
        }
    }
}
