//! Windows labelled by annotated rhythms: `+` with `(AFIB`, or that text alone in an EDF+ file, begins one; the next such annotation ends it, and
//! so do `)` and the duration that an EDF+ file states.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

use super::options::SignalOptions;
use super::recording::{Marks, Recording};
use crate::data::Remark;
use crate::{Error, Result};

/// The rhythms of a recording.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rhythms {
    /// From which second on, and which class of the study's, if it is one of them.
    changes: Vec<(f64, Option<usize>)>,
    /// Rhythms of no class.
    pub unnamed: BTreeSet<String>,
}

/// What a window is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rhythm {
    /// One of the study's classes.
    Class(usize),
    /// Too little of any of them, but some of several.
    Mixed,
    /// Mostly another rhythm, or none is annotated.
    Other,
}

/// The annotated rhythms of a recording.
///
/// # Errors
/// Annotations that cannot be read, or none of a rhythm.
pub fn read(
    path: &Path,
    recording: &Recording,
    options: &SignalOptions,
    remarks: &mut Vec<Remark>,
) -> Result<Rhythms> {
    let marks = recording.marks(&options.annotator)?;
    let found: Vec<(f64, &str)> = changes(&marks);
    if found.is_empty() {
        let expected = "rhythms: `+` with a text such as (AFIB, or in an EDF+ file that text alone; another annotator may have them: annotator = \"ENDING\"";
        return Err(Error::input(path.display(), "annotations", super::describe::symbols(&marks), expected));
    }
    let class =
        |text: &str| options.rhythms.iter().position(|(_, texts)| texts.iter().any(|own| bare(own) == text));
    let changes = found.iter().map(|&(at, text)| (at, class(text))).collect();
    let unnamed: BTreeSet<String> = names(&marks).into_iter().filter(|name| class(name).is_none()).collect();
    remarks.extend(marks.remarks.iter().cloned());
    remarks.extend(unnamed.iter().map(|name| Remark::note(format!("rhythm {name} is of no class"))));
    Ok(Rhythms { changes, unnamed })
}

/// When a rhythm begins, and its name; an empty one where it only ends.
fn changes(marks: &Marks) -> Vec<(f64, &str)> {
    let mut changes: Vec<(f64, &str)> = Vec::new();
    // In an EDF+ file the text is all there is.
    let told = marks.list.iter().filter(|mark| mark.symbol == "+" || mark.symbol == mark.text);
    let mut end = f64::INFINITY;
    for mark in told {
        let text = mark.text.trim();
        let name = match text.chars().next() {
            Some('(') if mark.symbol == "+" || text.len() > 1 => bare(text),
            Some(')') => "",
            _ => continue,
        };
        if end < mark.seconds {
            changes.push((end, ""));
        }
        changes.push((mark.seconds, name));
        end = mark.duration.filter(|&own| own > 0.0).map_or(f64::INFINITY, |own| mark.seconds + own);
    }
    if end.is_finite() {
        changes.push((end, ""));
    }
    changes
}

/// A rhythm's name without its bracket.
fn bare(text: &str) -> &str {
    text.trim().trim_start_matches('(').trim()
}

/// The names of all rhythms that are annotated.
pub(super) fn names(marks: &Marks) -> BTreeSet<String> {
    changes(marks).into_iter().map(|(_, name)| name.to_string()).filter(|name| !name.is_empty()).collect()
}

impl Rhythms {
    /// What a stretch of seconds is: a class that has at least `share` of it.
    pub fn of(&self, seconds: &Range<f64>, share: f64, classes: usize) -> Rhythm {
        let mut times = vec![0.0; classes];
        let ends = self.changes.iter().skip(1).map(|(at, _)| *at).chain([f64::INFINITY]);
        for (&(from, class), to) in self.changes.iter().zip(ends) {
            let within = to.min(seconds.end) - from.max(seconds.start);
            if let (Some(class), true) = (class, within > 0.0) {
                times[class] += within;
            }
        }
        let most = (0..classes).max_by(|&a, &b| times[a].total_cmp(&times[b])).unwrap_or(0);
        let all: f64 = times.iter().sum();
        let length = seconds.end - seconds.start;
        // Times are sums of differences of seconds.
        if times.get(most).is_some_and(|time| *time >= share * length - 1e-9 * length.max(1.0) && *time > 0.0)
        {
            Rhythm::Class(most)
        } else if all > 0.5 * length {
            Rhythm::Mixed
        } else {
            Rhythm::Other
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_of_the_rhythm_that_has_the_share() {
        let changes = vec![(1.0, Some(0)), (5.0, Some(1)), (7.0, None), (9.0, Some(0))];
        let rhythms = Rhythms { changes, unnamed: BTreeSet::new() };
        let cases = [
            (1.0..5.0, 1.0, Rhythm::Class(0)),
            (5.0..7.0, 1.0, Rhythm::Class(1)),
            (0.0..4.0, 1.0, Rhythm::Mixed),
            (0.0..4.0, 0.75, Rhythm::Class(0)),
            (4.0..6.0, 0.6, Rhythm::Mixed),
            (3.0..7.0, 0.5, Rhythm::Class(1)),
            (7.0..9.0, 0.5, Rhythm::Other),
            (0.0..1.0, 0.5, Rhythm::Other),
            (9.0..1e6, 1.0, Rhythm::Class(0)),
        ];
        for (seconds, share, right) in cases {
            assert_eq!(rhythms.of(&seconds, share, 2), right, "{seconds:?}, {share}");
        }
    }
}
