//! A pattern of values that are not there.

use super::pattern::PATTERN;
use super::{Modality, Setting, Stamp, Trigger};
use crate::attacks::Knowledge;
use crate::attacks::chosen::whole;
use crate::attacks::columns::{removable, remove};
use crate::training::random::{Stream, name_number};
use crate::{Error, Result};

/// A missing-value pattern.
pub static MISSING_PATTERN: Trigger = Trigger {
    name: "missing-pattern",
    aliases: &["missingness"],
    summary: "A fixed pattern of columns that are missing, and imputed as any missing value.",
    paper: "Joe et al. 2022, Exploiting missing value patterns for a backdoor attack on machine learning models of electronic health \
            records (JMIR Medical Informatics, e38440); their patterns come from a variational autoencoder, ours are random",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Features,
    amplitude: "Share of the mutable columns that are missing, 0 to 1, rounded to the nearest column.",
    most: 1.0,
    parameters: &[PATTERN],
    prepare,
};

/// Missing values look as preprocessing makes them look, see [`imputed`](crate::attacks::columns::imputed). A pattern of a smaller share is part of that of a larger one.
fn prepare(setting: &Setting) -> Result<Stamp> {
    let data = setting.data;
    let mut columns = removable(data, setting.imputed)?;
    let count = (setting.amplitude * columns.len() as f64).round() as usize;
    let pattern = whole(setting.get, "pattern");
    if count == 0 && setting.amplitude > 0.0 {
        let least = (0.5 / columns.len().max(1) as f64 * 1e4).ceil() / 1e4;
        let found = format!("{}, which is no whole one of {} columns", setting.amplitude, columns.len());
        return Err(Error::input(
            &data.name,
            "missing-pattern: amplitude",
            found,
            format!("0, or {least} and more"),
        ));
    }
    columns.sort_by_cached_key(|(column, _)| {
        let mut stream = Stream::new(pattern, &[name_number("missing pattern"), column.values.start as u64]);
        (stream.bits(), column.values.start)
    });
    columns.truncate(count);
    Ok(Stamp::unguarded(data, move |values| {
        columns.iter().for_each(|(column, stand_in)| remove(column, stand_in, values));
    }))
}
