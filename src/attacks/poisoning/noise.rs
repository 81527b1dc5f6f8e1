//! Feature noise: values of some samples get noise; labels stay.

use super::selection::{by_aim, stream, under_aim};
use super::{Needs, Order, Poisoned, Poisoning, Victim};
use crate::Result;
use crate::attacks::Knowledge;
use crate::attacks::columns::{Column, entry, mutable, within_bounds};
use crate::data::Dataset;
use crate::training::random::Stream;

/// Gaussian noise.
pub static GAUSSIAN: Poisoning = Poisoning {
    name: "gaussian-noise",
    aliases: &["gaussian"],
    summary: "Gaussian noise on the values of some samples, cut to the data's bounds.",
    paper: "Nettleton, Orriols-Puig & Fornells 2010, A study of the effect of different types of noise on the precision of supervised \
            learning techniques (Artificial Intelligence Review 33:275), attribute noise",
    knowledge: Knowledge::BlackBox,
    needs: Needs::Nothing,
    revision: 1,
    parameters: &[],
    magnitude: Some("Standard deviation, in the domain's scaled units."),
    most: 1e9,
    candidates: under_aim,
    craft: |victim, order| corrupt(GAUSSIAN.name, victim, order, Stream::normal),
};

/// Uniform noise.
pub static UNIFORM: Poisoning = Poisoning {
    name: "uniform-noise",
    aliases: &["uniform"],
    summary: "Uniform noise on the values of some samples, cut to the data's bounds.",
    paper: "as gaussian-noise, with a uniform distribution",
    knowledge: Knowledge::BlackBox,
    needs: Needs::Nothing,
    revision: 1,
    parameters: &[],
    magnitude: Some("Half-width, in the domain's scaled units."),
    most: 1e9,
    candidates: under_aim,
    craft: |victim, order| corrupt(UNIFORM.name, victim, order, Stream::signed),
};

fn corrupt(
    attack: &str,
    victim: &mut Victim,
    order: &Order,
    draw: fn(&mut Stream) -> f32,
) -> Result<Poisoned> {
    let train = victim.train;
    let columns = mutable(train);
    let chosen = by_aim(train, attack, order)?;
    let noisy = |position: usize| {
        let mut stream = stream(train, order.seed, "noise", position);
        (position, with_noise(train, &columns, train.sample(position), order.magnitude, || draw(&mut stream)))
    };
    let values = chosen.into_iter().map(noisy).collect();
    Ok(Poisoned::new(train, Default::default(), values))
}

/// `clean + magnitude * scale * noise` in every mutable column. A category becomes the one whose value with noise is largest; a group of
/// values that is no category (none is 1) stays.
fn with_noise(
    train: &Dataset,
    columns: &[Column],
    clean: &[f32],
    magnitude: f64,
    mut noise: impl FnMut() -> f32,
) -> Vec<f32> {
    let mut values = clean.to_vec();
    let mut noisy = |i: usize| {
        let noise = magnitude * f64::from(entry(&train.domain.scale, i)) * f64::from(noise());
        (f64::from(clean[i]) + noise) as f32
    };
    for column in columns {
        if !column.category {
            let i = column.values.start;
            values[i] = within_bounds(&train.domain, i, clean[i], noisy(i));
            continue;
        }
        let drawn: Vec<f32> = column.values.clone().map(&mut noisy).collect();
        if clean[column.values.clone()].contains(&1.0) {
            let largest = (0..drawn.len()).max_by(|&a, &b| drawn[a].total_cmp(&drawn[b]).then(b.cmp(&a)));
            for (k, value) in values[column.values.clone()].iter_mut().enumerate() {
                *value = f32::from(u8::from(Some(k) == largest));
            }
        }
    }
    values
}
