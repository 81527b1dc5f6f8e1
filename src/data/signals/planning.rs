//! Which samples recordings have: their rate and length, where each begins, what it is labelled with.

use std::collections::BTreeSet;

use super::labelling::{self, Labelled, Noted};
use super::options::Cut;
use super::rhythm::Rhythm;
use super::windows::{self, Form, Start};
use super::{Candidate, LABELS, Reader, Surveyed};
use crate::data::{Remark, beats};
use crate::{Error, Result};

/// More samples of a lead in one window are refused.
const MAX_WINDOW: f64 = (1u64 << 28) as f64;
/// More windows in one recording are refused.
const MAX_WINDOWS: f64 = 1e7;

impl Reader<'_> {
    /// Rate and length of all samples.
    pub(super) fn form(&self, cut: Cut, surveyed: &[Surveyed], remarks: &mut Vec<Remark>) -> Result<Form> {
        let options = self.options;
        let rates = distinct(surveyed.iter().flat_map(|one| one.chosen.leads.iter().map(|lead| lead.rate)));
        let rate = match (options.rate, cut, options.length) {
            (Some(rate), ..) => rate,
            (None, Cut::Beats, None) => beats::SAMPLES_PER_SECOND,
            _ if rates.len() == 1 => rates[0],
            _ => {
                let found = format!("{} Hz", words(&rates));
                return Err(self.error(
                    "sampling rates",
                    found,
                    format!(
                        "one rate; rate = {} in the [[data]] table resamples all to it: the model's own, at which it was trained",
                        self.commonest_rate(surveyed)
                    ),
                ));
            }
        };
        for other in rates.iter().filter(|&&other| other != rate) {
            let leads =
                surveyed.iter().filter(|one| one.chosen.leads.iter().any(|lead| lead.rate == *other)).count();
            remarks.push(Remark::note(format!(
                "resampled from {other} Hz to {rate} Hz, in {leads} of {} recordings",
                surveyed.len()
            )));
        }
        let whole = |one: &Surveyed| {
            one.chosen.leads.iter().map(|lead| windows::values_in(lead, rate)).fold(f64::INFINITY, f64::min)
        };
        let length = match (options.length, cut) {
            (Some(window), _) => window as f64,
            (None, Cut::Beats) => (beats::LENGTH as f64 * rate / beats::SAMPLES_PER_SECOND).round(),
            (None, Cut::Windows) => {
                let leads = surveyed.first().map_or(1, |one| one.chosen.leads.len());
                let (whose, length) = match self.wanted_form(leads) {
                    Some((length, _)) => ("the model's ", length),
                    None => ("the ", 1000),
                };
                let expected = format!(
                    "{whose}number of samples of a window: length = {length} in the [[data]] table, at the rate that the model was trained at"
                );
                return Err(self.error("length", "no such key", expected));
            }
            (None, Cut::Records) => {
                let lengths = distinct(surveyed.iter().map(whole));
                if lengths.len() > 1 {
                    let found = format!("{} values at {rate} Hz", words(&lengths));
                    let expected = format!(
                        "one length; `length = {}` in the [[data]] table takes the first values of each record (`pad = true` fills \
                         shorter ones with 0)",
                        lengths[0]
                    );
                    return Err(self.error("lengths of records", found, expected));
                }
                lengths.first().copied().unwrap_or(0.0)
            }
        };
        let step = rates.iter().fold(1.0, |most: f64, own| most.max(own / rate));
        if !(length >= 1.0 && length * step <= MAX_WINDOW) {
            return Err(self.error(
                "length",
                format!("{length} values at {rate} Hz"),
                "1 to 2^28 samples of the recording",
            ));
        }
        if cut == Cut::Records && options.length.is_some() {
            let longer = surveyed.iter().filter(|one| whole(one) > length).count();
            if longer > 0 {
                let records = if longer == 1 { "record is" } else { "records are" };
                remarks.push(Remark::note(format!(
                    "{longer} {records} longer: of each its first {length} values at {rate} Hz"
                )));
            }
        }
        Ok(Form { rate, length: length as usize, gaps: options.gaps })
    }

    /// The rate that most recordings have.
    fn commonest_rate(&self, surveyed: &[Surveyed]) -> f64 {
        let rates: Vec<f64> = surveyed.iter().map(|one| one.chosen.leads[0].rate).collect();
        let count = |rate: f64| rates.iter().filter(|&&own| own == rate).count();
        rates.iter().copied().max_by_key(|&rate| count(rate)).unwrap_or(beats::SAMPLES_PER_SECOND)
    }

    /// All samples that lie within their recordings and the split, their numbers and labels.
    pub(super) fn candidates(
        &self,
        cut: Cut,
        form: &Form,
        surveyed: Vec<Surveyed>,
        within: &[usize],
        remarks: &mut Vec<Remark>,
    ) -> Result<(Vec<Candidate>, Vec<u64>, Labelled)> {
        let peak = match self.options.peak {
            Some(peak) => peak as f64,
            None => (beats::PEAK as f64 * form.length as f64 / beats::LENGTH as f64).round(),
        };
        if cut == Cut::Beats && peak >= form.length as f64 {
            return Err(self.error("peak", peak, format!("a place below {}, in the window", form.length)));
        }
        let mut kept: Vec<(Candidate, u64)> = Vec::new();
        let (mut classes, mut sets) = (Vec::new(), Vec::new());
        let (mut number, mut outside, mut first) = (0u64, 0usize, 0usize);
        let (mut mixed, mut others) = (0usize, 0usize);
        let mut unnamed = BTreeSet::new();
        for one in surveyed {
            let mine = within.binary_search(&one.item).is_ok();
            let whole = |start: Start| {
                let fits = one.chosen.leads.iter().all(|lead| windows::is_whole(lead, start, form));
                fits || (cut == Cut::Records
                    && self.options.pad
                    && one.chosen.leads.iter().all(|lead| lead.len > 0))
            };
            let mut add =
                |start: Start, number: u64| kept.push((Candidate { item: one.item, start }, number));
            match (cut, one.noted) {
                (Cut::Beats, Noted::Beats(beats)) => {
                    first += usize::from(mine && !beats.is_empty());
                    for (moment, class) in beats.into_iter().skip(1) {
                        let start = Start { moment, values: -(peak as i64) };
                        if whole(start) {
                            if mine {
                                add(start, number);
                                classes.push(class);
                            }
                            number += 1;
                        } else {
                            outside += usize::from(mine);
                        }
                    }
                }
                (_, mut noted @ (Noted::Diagnoses(_) | Noted::Rhythms(_))) => {
                    if let Noted::Rhythms(rhythms) = &mut noted {
                        unnamed.append(&mut rhythms.unnamed);
                    }
                    let stride = if cut == Cut::Records {
                        form.length
                    } else {
                        self.options.stride.unwrap_or(form.length)
                    };
                    let lengths = one.chosen.leads.iter().map(|lead| windows::values_in(lead, form.rate));
                    let length = lengths.fold(f64::INFINITY, f64::min);
                    let fitting = ((length - form.length as f64) / stride as f64 + 1.0).floor().max(0.0);
                    let count = if cut == Cut::Records { 1.0 } else { fitting };
                    if count > MAX_WINDOWS {
                        let path = self.listing.items[one.item].path.display().to_string();
                        return Err(Error::input(path, "windows", count, format!("at most {MAX_WINDOWS}")));
                    }
                    for window in 0..count as u64 {
                        let start = Start { moment: 0.0, values: (window * stride as u64) as i64 };
                        let own = if cut == Cut::Records { one.item as u64 } else { number };
                        number += 1;
                        if !whole(start) {
                            outside += usize::from(mine);
                            continue;
                        }
                        match &noted {
                            _ if !mine => {}
                            Noted::Rhythms(rhythms) => {
                                let from = (window * stride as u64) as f64 / form.rate;
                                let seconds = from..from + form.length as f64 / form.rate;
                                let share = self.options.share;
                                match rhythms.of(&seconds, share, self.options.rhythms.len()) {
                                    Rhythm::Class(class) => {
                                        add(start, own);
                                        classes.push(class);
                                    }
                                    Rhythm::Mixed => mixed += 1,
                                    Rhythm::Other => others += 1,
                                }
                            }
                            Noted::Diagnoses(set) => {
                                add(start, own);
                                sets.push(set.clone());
                            }
                            Noted::Beats(_) => {}
                        }
                    }
                    outside += usize::from(mine && count == 0.0);
                }
                _ => {}
            }
        }
        if cut == Cut::Beats && outside + first > 0 {
            remarks.push(Remark::note(format!(
                "beats left out: {first} as the first of their record, {outside} too near its ends"
            )));
        } else if outside > 0 {
            let mend = if cut == Cut::Records { " (pad = true fills them with 0)" } else { "" };
            let records = if outside == 1 { "record" } else { "records" };
            let are = if outside == 1 { "is" } else { "are" };
            remarks.push(Remark::note(format!(
                "{outside} {records} shorter than {} values {are} left out{mend}",
                form.length
            )));
        }
        if !self.options.rhythms.is_empty() {
            remarks.push(Remark::note(format!(
                "{} windows have one rhythm for at least {} of their time; {mixed} of several and {others} of other rhythms or none are left out",
                kept.len(),
                self.options.share
            )));
        }
        if kept.is_empty() && mixed + others > 0 {
            let found = format!("{mixed} windows of several rhythms and {others} of others or none");
            let unnamed: Vec<String> = unnamed.iter().map(|name| format!("{name:?}")).collect();
            let expected = format!(
                "one of a class of `rhythms`; a smaller `share` or `length` takes more, and there are rhythms of no class: [{}]",
                unnamed.join(", ")
            );
            return Err(self.error("samples", found, expected));
        }
        if kept.is_empty() {
            let found = format!("none in {} recordings", within.len());
            let expected = format!("at least one of {} values at {} Hz", form.length, form.rate);
            return Err(self.error("samples", found, expected));
        }
        let items: Vec<usize> = kept.iter().map(|(candidate, _)| candidate.item).collect();
        let labelled = match cut {
            _ if cut == Cut::Beats || !self.options.rhythms.is_empty() => {
                labelling::noted_classes(&self.name, self.options, classes, &self.request.known(), remarks)?
            }
            _ => labelling::record_labels(
                &self.name,
                self.listing.labels.as_ref(),
                &items,
                sets,
                &self.request.labels,
                &self.request.known(),
                remarks,
            )?,
        };
        let (kept, labelled) = labelled.without_the_unlabelled(kept);
        if kept.is_empty() {
            return Err(self.error("labels", "no sample with exactly one of the classes", LABELS));
        }
        let (candidates, index) = kept.into_iter().unzip();
        Ok((candidates, index, labelled))
    }
}

fn distinct(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    values
}

fn words(numbers: &[f64]) -> String {
    let shown: Vec<String> = numbers.iter().take(8).map(f64::to_string).collect();
    let more = if numbers.len() > 8 { format!(" and {} others", numbers.len() - 8) } else { String::new() };
    shown.join(", ") + &more
}
