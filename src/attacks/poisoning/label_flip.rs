//! Label flipping: samples keep their values and get another class.

use std::collections::BTreeMap;

use super::selection::{check_class, classes_of, nearest_first, shuffled, stream, take};
use super::{Aim, Needs, Order, Poisoned, Poisoning, Victim};
use crate::attacks::chosen::{whole_if_set, word};
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::data::Dataset;
use crate::{Error, Result};

/// Label flipping.
pub static LABEL_FLIP: Poisoning = Poisoning {
    name: "label-flip",
    aliases: &["label-flipping", "flip"],
    summary: "Another class for some samples: any, one chosen class, the nearest to the boundary or the farthest from it.",
    paper: "Biggio, Nelson & Laskov 2011, Support vector machines under adversarial label noise (ACML); by distance to the boundary: \
            Xiao, Xiao & Eckert 2012, Adversarial label flips attack on support vector machines (ECAI)",
    knowledge: Knowledge::BlackBox,
    needs: Needs::Nothing,
    revision: 1,
    parameters: &[
        Parameter {
            name: "choose",
            doc: "Which samples: uniform, or those nearest to or farthest from the boundary of a clean twin (the gap between the label's \
                  logit and the largest other one, whatever its sign).",
            kind: Kind::Choice(&["uniform", "nearest", "farthest"]),
            default: Value::Word("uniform"),
        },
        Parameter {
            name: "from",
            doc: "Only samples of this class (by number), or any.",
            kind: Kind::Or(&Kind::Whole(0, u32::MAX as u64), &["any"]),
            default: Value::Word("any"),
        },
        Parameter {
            name: "to",
            doc: "The class (by number) that they get; or any other one, uniformly drawn.",
            kind: Kind::Or(&Kind::Whole(0, u32::MAX as u64), &["any"]),
            default: Value::Word("any"),
        },
    ],
    magnitude: None,
    most: 0.0,
    candidates,
    craft,
};

/// Flips; aimed at a class, `from` is that class; aimed at a patient, the samples most like the patient become what the patient shall be.
fn craft(victim: &mut Victim, order: &Order) -> Result<Poisoned> {
    let train = victim.train;
    let labels = classes_of(train)?;
    let (_, to) = ends(train, order)?;
    let candidates = candidates(train, order)?;
    let choose = word(order.get, "choose");
    let mut ranked = match &order.aim {
        Aim::Patient(patient) if choose == "uniform" => nearest_first(train, candidates, patient),
        Aim::Patient(_) => {
            let expected = "uniform: aimed at a patient, the samples most like the patient are flipped";
            return Err(Error::input(&train.name, "label-flip: choose", choose, expected));
        }
        _ => shuffled(train, candidates, order.seed),
    };
    if choose != "uniform" {
        let gaps = gaps(train, labels, victim.scores)?;
        let key = |position: &usize| gaps[*position];
        // Stable: equal gaps stay in random order.
        match choose {
            "nearest" => ranked.sort_by(|a, b| key(a).total_cmp(&key(b))),
            _ => ranked.sort_by(|a, b| key(b).total_cmp(&key(a))),
        }
    }
    ranked = take(train, LABEL_FLIP.name, ranked, order.rate)?;
    let flipped: BTreeMap<usize, u32> = ranked
        .into_iter()
        .map(|position| {
            let label = to.unwrap_or_else(|| another(train, labels[position], order.seed, position));
            (position, label)
        })
        .collect();
    Ok(Poisoned::new(train, flipped, BTreeMap::new()))
}

/// Samples of the class that labels go from, or of any but the one that they go to.
fn candidates(train: &Dataset, order: &Order) -> Result<Vec<usize>> {
    let labels = classes_of(train)?;
    if train.classes.len() < 2 {
        return Err(Error::input(&train.name, "classes", train.classes.len(), "at least 2, to flip between"));
    }
    let (from, to) = ends(train, order)?;
    let eligible = |label: u32| from.is_none_or(|from| label == from) && to != Some(label);
    Ok((0..train.len()).filter(|&i| eligible(labels[i])).collect())
}

/// The classes that samples go from and to, `None` for any.
fn ends(train: &Dataset, order: &Order) -> Result<(Option<u32>, Option<u32>)> {
    let given = |name: &str| {
        let class = whole_if_set(order.get, name);
        class.map(|class| check_class(train, &format!("label-flip: {name}"), class)).transpose()
    };
    let (from, to) = (given("from")?, given("to")?);
    let (from, to) = match &order.aim {
        Aim::Everybody => (from, to),
        Aim::Class(class) => (from.or(Some(*class)), to),
        Aim::Patient(patient) => (from, to.or(Some(patient.wanted))),
    };
    match (from, to) {
        (Some(from), Some(to)) if from == to => {
            Err(Error::input(&train.name, "label-flip: to", to, format!("another class than from = {from}")))
        }
        ends => Ok(ends),
    }
}

/// A uniformly drawn class other than `label`.
fn another(train: &Dataset, label: u32, seed: u64, position: usize) -> u32 {
    let drawn = stream(train, seed, "flipped labels", position).below(train.classes.len() - 1) as u32;
    drawn + u32::from(drawn >= label)
}

/// Each sample's distance to the boundary: |its label's logit - the largest other one|.
fn gaps(train: &Dataset, labels: &[u32], scores: Option<&[f32]>) -> Result<Vec<f32>> {
    let classes = train.classes.len();
    let place = "label-flip: scores of a clean twin";
    let Some(scores) = scores else {
        return Err(Error::input(&train.name, place, "none", "logits, for choose = nearest or farthest"));
    };
    if scores.len() != train.len() * classes {
        let expected = format!("{} samples times {classes} classes", train.len());
        return Err(Error::input(&train.name, place, format!("{} numbers", scores.len()), expected));
    }
    if let Some(bad) = scores.iter().find(|score| !score.is_finite()) {
        return Err(Error::input(&train.name, place, bad, "finite logits"));
    }
    let gap = |(row, &label): (&[f32], &u32)| {
        let others = row.iter().enumerate().filter(|(class, _)| *class != label as usize);
        let rival = others.fold(f32::NEG_INFINITY, |most, (_, &score)| most.max(score));
        (row[label as usize] - rival).abs()
    };
    Ok(scores.chunks_exact(classes).zip(labels).map(gap).collect())
}
