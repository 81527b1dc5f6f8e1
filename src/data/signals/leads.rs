//! Which leads of a recording are the model's channels.

use std::path::Path;

use super::recording::{Lead, Recording};
use crate::data::{Remark, beats};
use crate::{Error, Result};

/// The leads that were chosen, in the order of the channels.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// Their positions in the recording.
    pub positions: Vec<usize>,
    /// Themselves.
    pub leads: Vec<Lead>,
}

/// The leads called so, without regard to case, or numbered from 0; without names the only lead, MLII, or II.
///
/// # Errors
/// A lead that is not there, or twice; none named where there are several and neither is usual; leads of several units; a rate that is none.
pub fn choose(
    path: &Path,
    recording: &Recording,
    names: &[String],
    remarks: &mut Vec<Remark>,
) -> Result<Chosen> {
    let all = || recording.leads.iter().map(|lead| lead.name.as_str()).collect::<Vec<_>>().join(", ");
    let error = |place: &str, found: String, expected: String| {
        Err(Error::input(path.display(), place, found, expected))
    };
    let positions = if names.is_empty() {
        match (recording.leads.len(), usual(recording)) {
            (1, _) => vec![0],
            (_, Some(lead)) => {
                let name = &recording.leads[lead].name;
                remarks.push(Remark::note(format!("no leads are named: lead {name} of {}", all())));
                vec![lead]
            }
            _ => {
                let quoted: Vec<String> =
                    recording.leads.iter().map(|lead| format!("{:?}", lead.name)).collect();
                let expected = format!(
                    "those of the model, in its order: leads = [{}] in the [[data]] table",
                    quoted.join(", ")
                );
                return error("leads", all(), expected);
            }
        }
    } else {
        let mut positions = Vec::new();
        for name in names {
            match find(recording, name) {
                Ok(lead) => positions.push(lead),
                Err(several) if several.is_empty() => {
                    return error(
                        "leads",
                        format!("no `{name}`, but {}", all()),
                        format!("leads of these, instead of `{name}`"),
                    );
                }
                Err(several) => {
                    let numbers: Vec<String> = several.iter().map(usize::to_string).collect();
                    let expected =
                        format!("one of them by its number, counted from 0: {}", numbers.join(" or "));
                    return error(
                        "leads",
                        format!("{} called `{name}` among {}", several.len(), all()),
                        expected,
                    );
                }
            }
        }
        positions
    };
    let leads: Vec<Lead> = positions.iter().map(|&k| recording.leads[k].clone()).collect();
    if let Some(odd) = leads.iter().find(|lead| lead.unit != leads[0].unit) {
        let found = format!("{} in {}, {} in {}", leads[0].name, leads[0].unit, odd.name, odd.unit);
        return error("units", found, "leads of one unit, or all of them voltages".into());
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
            remarks.push(Remark::note(format!(
                "lead {} is converted from {} to {}",
                lead.name, lead.written_unit, lead.unit
            )));
        }
    }
    Ok(Chosen { positions, leads })
}

/// The lead that most models of a single one are made for: MLII, or II.
pub(super) fn usual(recording: &Recording) -> Option<usize> {
    [beats::LEAD, "II"].iter().find_map(|name| find(recording, name).ok())
}

/// The lead called so; else those that are, none or several.
fn find(recording: &Recording, name: &str) -> std::result::Result<usize, Vec<usize>> {
    let same = |own: &str, exact: bool| {
        if exact { own == name } else { own.trim().eq_ignore_ascii_case(name.trim()) }
    };
    for exact in [true, false] {
        let found: Vec<usize> =
            (0..recording.leads.len()).filter(|&k| same(&recording.leads[k].name, exact)).collect();
        match found.as_slice() {
            [] => {}
            &[lead] => return Ok(lead),
            _ => return Err(found),
        }
    }
    // A number stands for the lead there, if no lead has it for a name.
    name.parse::<usize>().ok().filter(|&k| k < recording.leads.len()).ok_or_else(Vec::new)
}
