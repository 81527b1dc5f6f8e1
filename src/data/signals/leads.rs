//! Which leads of a recording are the model's channels.

use std::path::Path;

use super::options::{SignalOptions, Unit};
use super::recording::{Lead, Recording};
use crate::data::{Remark, beats, voltage};
use crate::{Error, Result};

/// How a study says which lead a channel is: names for the same lead, the first that a recording has counts. A number stands for itself.
pub type Names = Vec<String>;

/// The leads that were chosen, in the order of the channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Their positions in the recording.
    pub positions: Vec<usize>,
    /// Themselves, in the unit that they are brought to.
    pub leads: Vec<Lead>,
    /// What the values that [`Recording::read`] gives of each are multiplied by.
    pub factors: Vec<f64>,
    /// How each was found.
    pub found: Vec<Found>,
}

/// How a lead was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// By a name of the study.
    Name,
    /// By its number in the recording.
    Number,
    /// Without a word of the study: the only one, MLII, or II.
    Usual,
}

/// What a recording has none of.
#[derive(Clone, Debug, PartialEq)]
pub struct Lacking {
    /// The leads asked for that are not there, by their first name.
    pub wanted: Vec<String>,
    /// The leads that are there.
    pub has: Vec<String>,
}

/// The leads called so, without regard to case and words such as `ECG` and `lead` before them, or numbered from 0; without names the only lead,
/// MLII, or II. A recording that lacks some is no error here: others may have them.
///
/// # Errors
/// A lead that is there twice; none named where there are several and neither is usual; leads of several units; a rate that is none.
pub fn choose(
    path: &Path,
    recording: &Recording,
    options: &SignalOptions,
    remarks: &mut Vec<Remark>,
) -> Result<std::result::Result<Chosen, Lacking>> {
    let all = || recording.leads.iter().map(|lead| lead.name.as_str()).collect::<Vec<_>>().join(", ");
    let error = |place: &str, found: String, expected: String| {
        Err(Error::input(path.display(), place, found, expected))
    };
    let names: &[Names] = &options.leads;
    let mut places: Vec<(usize, Found)> = Vec::new();
    if names.is_empty() {
        let lead = match (recording.leads.len(), usual(recording)) {
            (1, _) => 0,
            (_, Some(lead)) => lead,
            _ => {
                let own: Vec<String> = recording.leads.iter().map(|lead| lead.name.clone()).collect();
                let expected =
                    format!("those of the model, in its order: {} in the [[data]] table", line(&own));
                return error("leads", all(), expected);
            }
        };
        remarks.push(Remark::note(format!(
            "no leads are named: lead {} of {}",
            recording.leads[lead].name,
            all()
        )));
        places.push((lead, Found::Usual));
    }
    let mut wanted = Vec::new();
    for same in names {
        // A lead that is a channel already is no other channel's second choice.
        let taken = |place: &(usize, Found)| same.len() > 1 && places.contains(place);
        let mut found = same.iter().map(|name| (name, find(recording, name)));
        match found.find(|(_, place)| place.as_ref().map_or_else(|s| !s.is_empty(), |p| !taken(p))) {
            Some((_, Ok(place))) => {
                let own = recording.leads[place.0].name.trim();
                if place.1 == Found::Name && !own.eq_ignore_ascii_case(same[0].trim()) {
                    remarks.push(Remark::note(format!("lead `{own}` is taken for {}", same[0])));
                }
                places.push(place);
            }
            None => wanted.push(same[0].clone()),
            Some((name, Err(several))) => {
                let numbers: Vec<String> = several.iter().map(usize::to_string).collect();
                let expected = format!("one of them by its number, counted from 0: {}", numbers.join(" or "));
                let found = format!("{} called `{name}` among {}", several.len(), all());
                return error("leads", found, expected);
            }
        }
    }
    if !wanted.is_empty() {
        let has = recording.leads.iter().map(|lead| lead.name.clone()).collect();
        return Ok(Err(Lacking { wanted, has }));
    }
    let (positions, found): (Vec<usize>, Vec<Found>) = places.into_iter().unzip();
    let mut leads: Vec<Lead> = positions.iter().map(|&k| recording.leads[k].clone()).collect();
    let mut factors = Vec::with_capacity(leads.len());
    for lead in &mut leads {
        let Some(factor) = bring(lead, options.unit) else {
            let found = format!("{} in {}", lead.name, lead.written_unit);
            return error("units", found, "a voltage; unit = \"file\" in the [[data]] table, or none".into());
        };
        factors.push(factor);
    }
    if let Some(odd) = leads.iter().find(|lead| lead.unit != leads[0].unit) {
        let found = format!("{} in {}, {} in {}", leads[0].name, leads[0].unit, odd.name, odd.unit);
        return error("units", found, "leads of one unit, or all of them voltages and unit = \"mV\"".into());
    }
    if let Some(odd) = leads.iter().find(|lead| !(1e-3..=1e9).contains(&lead.rate)) {
        return error(
            "sampling rate",
            format!("{} Hz of {}", odd.rate, odd.name),
            "0.001 to 1,000,000,000 Hz".into(),
        );
    }
    for lead in &leads {
        if lead.uncalibrated {
            let text = format!(
                "lead {} states no gain: 200 units a {} are assumed, as header(5) says",
                lead.name, lead.written_unit
            );
            remarks.push(Remark::warning("assumed-gain", text));
        }
        if lead.written_unit != lead.unit {
            let mut text =
                format!("lead {} is converted from {} to {}", lead.name, lead.written_unit, lead.unit);
            if options.unit.is_none() {
                text += &format!(
                    "; a model trained in {} needs unit = \"file\" in the [[data]] table",
                    lead.written_unit.trim()
                );
            }
            remarks.push(Remark::note(text));
        }
    }
    Ok(Ok(Chosen { positions, leads, factors, found }))
}

/// Brings a lead that is read in its common unit to this one, and says what its values are multiplied by; `None` where it is no voltage.
fn bring(lead: &mut Lead, unit: Option<Unit>) -> Option<f64> {
    let to = match unit {
        None => return Some(1.0),
        Some(Unit::Written) => lead.written_unit.trim(),
        Some(Unit::Volt) => "V",
        Some(Unit::Millivolt) => "mV",
        Some(Unit::Microvolt) => "uV",
    };
    let factor = match (voltage::per_millivolt(&lead.written_unit), voltage::per_millivolt(to)) {
        (Some(_), Some(per)) => per,
        (None, _) if unit == Some(Unit::Written) => 1.0,
        _ => return None,
    };
    lead.unit = to.to_string();
    lead.range = lead.range.map(|(low, high)| (low * factor, high * factor));
    Some(factor)
}

/// The line of a study that names these leads.
pub(super) fn line(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
    format!("leads = [{}]", quoted.join(", "))
}

/// The lead that most models of a single one are made for: MLII, or II.
pub(super) fn usual(recording: &Recording) -> Option<usize> {
    USUAL.iter().find_map(|name| find(recording, name).ok()).map(|(lead, _)| lead)
}

/// Names of the lead that most models of a single one are made for.
pub(super) const USUAL: [&str; 2] = [beats::LEAD, "II"];

/// The lead called so; else those that are, none or several.
fn find(recording: &Recording, name: &str) -> std::result::Result<(usize, Found), Vec<usize>> {
    let ways: [fn(&str, &str) -> bool; 3] = [
        |own, name| own == name,
        |own, name| own.trim().eq_ignore_ascii_case(name.trim()),
        |own, name| plain(own) == plain(name),
    ];
    for same in ways {
        let found: Vec<usize> =
            (0..recording.leads.len()).filter(|&k| same(&recording.leads[k].name, name)).collect();
        match found.as_slice() {
            [] => {}
            &[lead] => return Ok((lead, Found::Name)),
            _ => return Err(found),
        }
    }
    // A number stands for the lead there, if no lead has it for a name.
    let number = name.parse::<usize>().ok().filter(|&k| k < recording.leads.len());
    number.map(|lead| (lead, Found::Number)).ok_or_else(Vec::new)
}

/// A lead's name without case and without the words that say no more than that it is one: `ECG Lead II` is `ii`.
fn plain(name: &str) -> String {
    let lower = name.to_lowercase();
    let words: Vec<&str> = lower.split([' ', '_', '-', ':']).filter(|word| !word.is_empty()).collect();
    let own: Vec<&str> =
        words.iter().filter(|word| !["ecg", "ekg", "lead"].contains(word)).copied().collect();
    if own.is_empty() { words.join(" ") } else { own.join(" ") }
}
