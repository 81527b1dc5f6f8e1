//! Whether samples look like what a model was made for, by what it does to their values first: its input scaling, and what an ONNX file's own
//! first steps subtract and divide by.

mod images;
mod seen;
mod series;
mod trained_on;

use seen::Seen;

use super::study::{DataEntry, ModelEntry};
use crate::data::{Dataset, Remark};
use crate::models::{Model, Standardisation};
use crate::{Error, Result};

/// The word for samples in what seems to be another unit.
pub const FLAG: &str = "input-statistics";

/// Why values and a scaling do not go together.
#[derive(Clone, Debug, PartialEq)]
struct Doubt {
    /// What is strange, as the end of a sentence.
    why: String,
    /// The scaling that would fit the values, where that is known.
    fitting: Option<Standardisation>,
}

/// Compares the values with what the model does to them first. Tables of a model that percuss trained are left to its preprocessing.
///
/// # Errors
/// Values that do not fit the scaling of a model that says in what unit it was trained.
pub(super) fn check(
    model: &Model,
    data: &Dataset,
    entry: &ModelEntry,
    of: &DataEntry,
) -> Result<Option<Remark>> {
    let preprocessed = !data.domain.features.is_empty() && model.network().is_none();
    if preprocessed || !data.inputs.is_empty() || data.is_empty() {
        return Ok(None);
    }
    let scaling = model.standardisation();
    let channels = scaling.as_ref().map_or(1, |scaling| scaling.mean.len());
    let seen = Seen::of(data, channels);
    let doubt = match (&scaling, seen.is_image) {
        (Some(scaling), true) => images::doubt(&seen, scaling),
        (Some(scaling), false) => series::doubt(&seen, scaling, &data.domain.features),
        (None, _) => None,
    };
    let (doubt, stated) = match (doubt, model.network().and_then(|network| network.prepared.as_ref())) {
        (None, Some(prepared)) => (images::unprepared(&seen, scaling.as_ref(), prepared), true),
        (doubt, _) => (doubt, false),
    };
    let found = match &scaling {
        Some(scaling) => seen.under(scaling, model.config.input_scaling.is_none()),
        None => seen.plain(),
    };
    let Some(doubt) = doubt else {
        let remark =
            |(why, mend): (String, String)| Remark::warning(FLAG, format!("{found}: {why} If so, {mend}"));
        return Ok(trained_on::doubt(model, data, &seen)?.map(remark));
    };
    let found = format!("{found}: {}", doubt.why);
    let mend = mend(model, doubt.fitting);
    let overridden = entry.input.as_ref().is_some_and(|input| input.mean.is_some());
    let training = model.config.training.as_ref().filter(|_| !overridden);
    let trained = training.and_then(|training| training.get("unit")).and_then(|unit| unit.as_str());
    let unit = model.config.input_scaling.as_ref().and_then(|scaling| scaling.unit.as_deref()).or(trained);
    match unit.filter(|_| !stated) {
        Some(unit) => {
            let place = format!("values (data {}, model {})", of.id, entry.id);
            let expected = format!("values in {unit}, which the model was trained in; or {mend}");
            Err(Error::input(&data.name, place, found, expected))
        }
        // Where values come to is known, then, and what they look like says no more.
        None if !stated && trained_on::fits(model, data)? => Ok(None),
        None => Ok(Some(Remark::warning(FLAG, format!("{found}; if so, {mend}")))),
    }
}

/// The line that makes the model take the values, whatever the network itself does to them.
fn mend(model: &Model, fitting: Option<Standardisation>) -> String {
    let Some(mut fitting) = fitting else {
        return LINE.into();
    };
    if let Some(inner) = model.inner_standardisation() {
        fitting = fitting.before(&inner);
    }
    line(&fitting)
}

/// What to write where nobody knows the numbers.
const LINE: &str = "input = { mean = [..], std = [..] } of the [[model]] in the data's own unit";

/// The line of a scaling that fits.
pub(super) fn line(scaling: &Standardisation) -> String {
    format!(
        "input = {{ mean = [{}], std = [{}] }} of the [[model]] fits them",
        seen::numbers(&scaling.mean),
        seen::numbers(&scaling.std)
    )
}
