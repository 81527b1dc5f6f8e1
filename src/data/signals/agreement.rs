//! Whether the recordings of a data set mean the same leads, and the model as many values of as many leads.

use super::leads::{Found, Lacking, USUAL, line};
use super::options::{Cut, Lack};
use super::windows::Form;
use super::{Reader, Survey, Surveyed};
use crate::data::Remark;
use crate::{Error, Result};

/// Recordings that are named in an error.
const NAMED: usize = 4;

impl Reader<'_> {
    /// The recordings that have all leads; the others are left out where the study says so.
    pub(super) fn complete(&self, surveys: Vec<Survey>, remarks: &mut Vec<Remark>) -> Result<Vec<Surveyed>> {
        let all = surveys.len();
        let (mut surveyed, mut lacking) = (Vec::new(), Vec::new());
        for survey in surveys {
            match survey {
                Survey::Whole(one) => surveyed.push(*one),
                Survey::Lacking(item, lack) => lacking.push((item, lack)),
            }
        }
        if lacking.is_empty() {
            return Ok(surveyed);
        }
        let told = self.lacks(&lacking);
        if self.options.lacking == Lack::Drop && !surveyed.is_empty() {
            remarks.push(Remark::note(format!(
                "{} of {all} recordings lack leads and are left out: {told}",
                lacking.len()
            )));
            return Ok(surveyed);
        }
        let has = &lacking[0].1.has;
        let common = has.iter().filter(|own| lacking.iter().all(|(_, other)| other.has.contains(own)));
        let common: Vec<String> = common.cloned().collect();
        let wanted = &lacking[0].1.wanted[0];
        let other = format!("leads = [[{wanted:?}, \"OTHER NAME\"]] for a lead that has several names");
        let expected = match (surveyed.is_empty(), common.is_empty()) {
            (false, _) => format!(
                "all leads in every recording; lacking = \"drop\" in the [[data]] table leaves out those without; {other}"
            ),
            (true, false) => format!("leads of these, in the model's order: {}", line(&common)),
            (true, true) => other,
        };
        let found = format!("{} of {all} recordings without all leads: {told}", lacking.len());
        Err(self.error("leads", found, expected))
    }

    /// `102: no MLII, but V5, V2`
    fn lacks(&self, lacking: &[(usize, Lacking)]) -> String {
        let one = |(item, lack): &(usize, Lacking)| {
            let name = &self.listing.items[*item].name;
            format!("{name} has no `{}`, but {}", lack.wanted.join("`, no `"), lack.has.join(", "))
        };
        let named: Vec<String> = lacking.iter().take(NAMED).map(one).collect();
        let more = lacking.len().saturating_sub(NAMED);
        named.join("; ") + &if more > 0 { format!("; and {more} others") } else { String::new() }
    }

    /// A lead that is found by its place is the same one in all recordings, as far as they name it.
    ///
    /// # Errors
    /// Two names for one channel.
    pub(super) fn same_leads(&self, surveyed: &[Surveyed]) -> Result<()> {
        let Some(first) = surveyed.first() else { return Ok(()) };
        for (channel, own) in first.chosen.leads.iter().enumerate() {
            let usual = |name: &str| USUAL.iter().any(|usual| usual.eq_ignore_ascii_case(name.trim()));
            let same = |other: &Surveyed| {
                let name = &other.chosen.leads[channel].name;
                match other.chosen.found[channel] {
                    Found::Name => true,
                    found => {
                        own.name.trim().eq_ignore_ascii_case(name.trim())
                            || found == Found::Usual && usual(name) && usual(&own.name)
                    }
                }
            };
            let Some(other) = surveyed.iter().find(|other| !same(other)) else { continue };
            return Err(self.other_lead(channel, first, other, surveyed));
        }
        Ok(())
    }

    fn other_lead(&self, channel: usize, first: &Surveyed, other: &Surveyed, surveyed: &[Surveyed]) -> Error {
        let name = |one: &Surveyed, channel: usize| one.chosen.leads[channel].name.clone();
        let place = |one: &Surveyed| self.listing.items[one.item].name.clone();
        let asked = match first.chosen.found[channel] {
            Found::Usual => "the only lead".to_string(),
            _ => format!("lead {}", self.options.leads[channel].join(", ")),
        };
        let found = format!(
            "{asked} is {} in {} and {} in {}",
            name(first, channel),
            place(first),
            name(other, channel),
            place(other)
        );
        let expected = if first.chosen.found[channel] == Found::Usual {
            let mut names: Vec<String> = surveyed.iter().map(|one| name(one, channel)).collect();
            names.sort();
            names.dedup();
            let names: Vec<String> = names.iter().map(|name| format!("{name:?}")).collect();
            format!(
                "one lead; if these are names for the same one: leads = [[{}]] in the [[data]] table",
                names.join(", ")
            )
        } else {
            let own: Vec<String> = (0..first.chosen.leads.len()).map(|at| name(first, at)).collect();
            format!(
                "leads by name: {} in the [[data]] table; lacking = \"drop\" leaves out recordings without them",
                line(&own)
            )
        };
        self.error("leads", found, expected)
    }

    /// Length and number of leads that a model of one signal takes, where its input says them; `own` is the recordings' number of leads.
    pub(super) fn wanted_form(&self, own: usize) -> Option<(usize, usize)> {
        let [wanted] = self.request.arrays.wanted.as_slice() else { return None };
        match *wanted.shape.as_slice() {
            [1, length, leads] => Some((length, leads)),
            [values] if values % own == 0 => Some((values / own, own)),
            _ => None,
        }
    }

    /// A model of one signal that takes another number of leads or values is told apart here, where it is known what else there is.
    ///
    /// # Errors
    /// Another number of leads or values than the model takes, with the keys that bring them together.
    pub(super) fn fits_the_model(&self, cut: Cut, form: &Form, surveyed: &[Surveyed]) -> Result<()> {
        let Some(first) = surveyed.first() else { return Ok(()) };
        let own = first.chosen.leads.len();
        let Some((length, leads)) = self.wanted_form(own) else { return Ok(()) };
        // Another order of axes is judged by the whole shape.
        if length * leads == own * form.length {
            return Ok(());
        }
        if leads != own {
            let line = line(&first.all);
            let expected = match (self.options.leads.is_empty(), first.all.len()) {
                (_, all) if all < leads => {
                    format!(
                        "the model's {leads}, where the recordings have {}: a model of fewer leads",
                        first.all.join(", ")
                    )
                }
                (true, all) if all == leads => {
                    format!("the model's {leads}: {line} in the [[data]] table, put into its order")
                }
                (true, _) => {
                    format!("the model's {leads}, in its order: {leads} of {line} in the [[data]] table")
                }
                (false, _) => format!("the model's {leads}, in its order, of {}", first.all.join(", ")),
            };
            return Err(self.error("leads", format!("{own} in a sample"), expected));
        }
        let mut expected = format!(
            "the model's {length}; length = {length} in the [[data]] table takes so many, at the rate that the model was trained at \
             (rate = {} if that is it)",
            form.rate
        );
        let rate = form.rate * length as f64 / form.length as f64;
        if cut == Cut::Records && self.options.length.is_none() && rate.fract() == 0.0 {
            expected += &format!("; rate = {rate} makes so many of whole records");
        }
        Err(self.error(
            "length",
            format!("{} values of each lead, at {} Hz", form.length, form.rate),
            expected,
        ))
    }
}
