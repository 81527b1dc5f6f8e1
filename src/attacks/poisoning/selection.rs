//! Which samples are poisoned: a ranking that does not depend on the rate, so that a lower rate's samples are among a higher one's.

use super::{Aim, Order, Patient};
use crate::attacks::columns::entry;
use crate::data::{Dataset, Labels};
use crate::training::random::{Stream, name_number};
use crate::{Error, Result};

/// How many of `n` samples the share `rate` is, rounded down.
pub fn count(rate: f64, n: usize) -> usize {
    // 0.29 * 100 is a hair below 29 in f64.
    (rate * n as f64 + 1e-9).floor() as usize
}

/// # Errors
/// A rate outside [0, 1], or one above 0 of less than a sample: nothing would be poisoned under its name.
pub fn check_rate(data: &Dataset, rate: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&rate) {
        return Err(Error::input(&data.name, "rate", rate, "a share of the training samples from 0 to 1"));
    }
    let n = data.len();
    if rate > 0.0 && count(rate, n) == 0 {
        let found = format!("{rate}, which is less than one of {n} training samples");
        let least = (1e6 / n.max(1) as f64).ceil() / 1e6;
        return Err(Error::input(&data.name, "rate", found, format!("0, or {least} and more")));
    }
    Ok(())
}

/// Of ranked candidates as many as the share `rate` of all samples is.
///
/// # Errors
/// Fewer candidates; `attack` is named.
pub fn take(data: &Dataset, attack: &str, mut ranked: Vec<usize>, rate: f64) -> Result<Vec<usize>> {
    check_room(data, attack, ranked.len(), rate)?;
    ranked.truncate(count(rate, data.len()));
    Ok(ranked)
}

/// # Errors
/// A rate of more samples than there are candidates; `attack` is named.
pub fn check_room(data: &Dataset, attack: &str, candidates: usize, rate: f64) -> Result<()> {
    let (wanted, n) = (count(rate, data.len()), data.len());
    if wanted <= candidates {
        return Ok(());
    }
    let most = (candidates as f64 / n as f64 * 1e4).floor() / 1e4;
    let found = format!("{rate}, which is {wanted} of {n} training samples");
    let expected = format!("at most {most}: {candidates} samples are of the classes that it may poison");
    Err(Error::input(&data.name, format!("{attack}: rate"), found, expected))
}

/// The class of each sample.
///
/// # Errors
/// Data labelled with findings.
pub fn classes_of(data: &Dataset) -> Result<&[u32]> {
    match &data.labels {
        Labels::Class(labels) => Ok(labels),
        Labels::Findings(_) => {
            Err(Error::input(&data.name, "labels", "findings", "one class a sample, for this attack"))
        }
    }
}

/// # Errors
/// A class that the data do not have, named by the `place` it comes from; data labelled with findings.
pub fn check_class(data: &Dataset, place: &str, class: u64) -> Result<u32> {
    classes_of(data)?;
    if class < data.classes.len() as u64 {
        return Ok(class as u32);
    }
    let expected = format!("a class below {} ({})", data.classes.len(), data.classes.join(", "));
    Err(Error::input(&data.name, place, class, expected))
}

/// The stream of one sample for one purpose: it follows the sample's index, not its position.
pub fn stream(data: &Dataset, seed: u64, purpose: &str, position: usize) -> Stream {
    Stream::new(seed, &[name_number(purpose), data.index[position]])
}

/// The candidates in a random order that is the same for every attack: which samples fall does not depend on what befalls them.
pub fn shuffled(data: &Dataset, mut candidates: Vec<usize>, seed: u64) -> Vec<usize> {
    candidates.sort_by_cached_key(|&position| {
        let mut stream = stream(data, seed, "poisoned samples", position);
        (stream.bits(), stream.bits(), position)
    });
    candidates
}

/// The candidates, those most like the patient first (Euclidean in the domain's scaled units).
pub fn nearest_first(data: &Dataset, mut candidates: Vec<usize>, patient: &Patient) -> Vec<usize> {
    let distance = |position: usize| -> f64 {
        let pairs = data.sample(position).iter().zip(patient.values).enumerate();
        let scaled = |(i, (a, b)): (usize, (&f32, &f32))| {
            (f64::from(*a) - f64::from(*b)) / f64::from(entry(&data.domain.scale, i))
        };
        pairs.map(|pair| scaled(pair).powi(2)).sum()
    };
    // Distances are sums of squares, whose bits are in their order.
    candidates.sort_by_cached_key(|&position| (distance(position).to_bits(), position));
    candidates
}

/// The samples of a class.
///
/// # Errors
/// Data labelled with findings.
pub fn of_class(data: &Dataset, class: u32) -> Result<Vec<usize>> {
    let labels = classes_of(data)?;
    Ok((0..data.len()).filter(|&position| labels[position] == class).collect())
}

/// The samples that an attack on values may poison under this aim: of all classes, of one, or those of the patient's class.
///
/// # Errors
/// An aim at a class where the data are labelled with findings.
pub fn under_aim(data: &Dataset, order: &Order) -> Result<Vec<usize>> {
    match &order.aim {
        Aim::Everybody => Ok((0..data.len()).collect()),
        Aim::Class(class) => of_class(data, *class),
        Aim::Patient(patient) => of_class(data, patient.label),
    }
}

/// The samples of the class that a patient shall be given; of any where there is no patient to craft for.
///
/// # Errors
/// Data labelled with findings.
pub fn wanted_class(data: &Dataset, order: &Order) -> Result<Vec<usize>> {
    match &order.aim {
        Aim::Patient(patient) => of_class(data, patient.wanted),
        _ => Ok((0..data.len()).collect()),
    }
}

/// The samples that an attack on values poisons: of those [`under_aim`] the share `rate` of all, the ones most like the patient first.
///
/// # Errors
/// As [`under_aim`]; fewer of them than the rate asks for.
pub fn by_aim(data: &Dataset, attack: &str, order: &Order) -> Result<Vec<usize>> {
    let candidates = under_aim(data, order)?;
    let ranked = match &order.aim {
        Aim::Patient(patient) => nearest_first(data, candidates, patient),
        _ => shuffled(data, candidates, order.seed),
    };
    take(data, attack, ranked, order.rate)
}
