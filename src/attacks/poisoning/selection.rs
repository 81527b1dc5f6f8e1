//! Which samples are poisoned: a ranking that does not depend on the rate, so that a lower rate's samples are among a higher one's.

use super::{Aim, Patient};
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
/// A rate outside [0, 1].
pub fn check_rate(data: &Dataset, rate: f64) -> Result<()> {
    if (0.0..=1.0).contains(&rate) {
        return Ok(());
    }
    Err(Error::input(&data.name, "rate", rate, "a share of the training samples from 0 to 1"))
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

/// The samples that an attack on values poisons under this aim: of all classes, of one, or those of the patient's class that are most
/// like the patient; at most the share `rate` of all.
///
/// # Errors
/// An aim at a class where the data are labelled with findings.
pub fn by_aim(data: &Dataset, aim: &Aim, rate: f64, seed: u64) -> Result<Vec<usize>> {
    let of = |class: u32| -> Result<Vec<usize>> {
        let labels = classes_of(data)?;
        Ok((0..data.len()).filter(|&position| labels[position] == class).collect())
    };
    let mut ranked = match aim {
        Aim::Everybody => shuffled(data, (0..data.len()).collect(), seed),
        Aim::Class(class) => shuffled(data, of(*class)?, seed),
        Aim::Patient(patient) => nearest_first(data, of(patient.label)?, patient),
    };
    ranked.truncate(count(rate, data.len()));
    Ok(ranked)
}
