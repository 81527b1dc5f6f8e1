//! What crafted poisons are made against: the features and gradients of a surrogate, as the attacks ask for them.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::poisoning::Twin;
use super::{Class, TrainedCell};
use crate::Result;
use crate::attacks::Value;
use crate::attacks::poisoning::{
    Approach, Features, Gradients, Needs, Order, Poisoned, Poisoning, SURROGATE, Victim,
};
use crate::models::{FeatureSpace, Model};
use crate::training::Surrogate;
use crate::training::random::name_number;

impl Class<'_> {
    /// The adversary's own models, by the seed of the cells that they are for.
    pub(super) fn own_surrogates(&self, cells: &[usize]) -> Result<BTreeMap<u64, Model>> {
        let own = |&i: &usize| self.all.cells[i].parameter(SURROGATE) == Some(Value::Word("own"));
        let mut seeds: Vec<u64> = cells.iter().copied().filter(own).map(|i| self.all.cells[i].seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let others: Vec<u64> = seeds.iter().map(|seed| name_number(&format!("surrogate {seed}"))).collect();
        let mut surrogates = BTreeMap::new();
        self.unpoisoned(&others, |at, model| {
            surrogates.insert(seeds[at], model);
            Ok(())
        })?;
        Ok(surrogates)
    }

    /// The model that a cell's poisons are crafted against, if they are crafted.
    pub(super) fn surrogate<'m>(
        cell: &TrainedCell,
        twin: &'m Twin,
        own: &'m BTreeMap<u64, Model>,
    ) -> Option<&'m Model> {
        match cell.parameter(SURROGATE)? {
            Value::Word("own") => own.get(&cell.seed),
            _ => Some(&twin.subject.model),
        }
    }

    /// What an attack makes of `victim` against a surrogate.
    pub(super) fn crafted(
        &self,
        attack: &Poisoning,
        mut victim: Victim,
        order: &Order,
        model: &Model,
    ) -> Result<Poisoned> {
        let device = self.workshop.device;
        match attack.needs {
            Needs::Nothing => attack.poison(&mut victim, order),
            Needs::Features => {
                let space = RefCell::new(FeatureSpace::new(model, device)?);
                let dimensions = space.borrow().dimensions();
                let mut of = |samples: &[f32]| space.borrow_mut().of(samples);
                let mut approach = |samples: &[f32], goal: &[f32]| {
                    let (distance, gradient) = space.borrow_mut().approach(samples, goal)?;
                    Ok(Approach { distance, gradient })
                };
                let features = Features { dimensions, of: &mut of, approach: &mut approach };
                let Victim { train, scores, imputed, .. } = victim;
                let mut victim = Victim { scores, imputed, features: Some(features), ..Victim::new(train) };
                attack.poison(&mut victim, order)
            }
            Needs::Gradients => {
                let surrogate = RefCell::new(Surrogate::new(model, device)?);
                let parameter_length = surrogate.borrow().parameter_length();
                let mut to_parameters =
                    |samples: &[f32], labels: &[u32]| surrogate.borrow_mut().to_parameters(samples, labels);
                let mut to_inputs = |samples: &[f32], labels: &[u32], shift: &[f32]| {
                    surrogate.borrow_mut().to_inputs(samples, labels, shift)
                };
                let gradients = Gradients {
                    parameter_length,
                    to_parameters: &mut to_parameters,
                    to_inputs: &mut to_inputs,
                };
                let Victim { train, scores, imputed, .. } = victim;
                let mut victim = Victim { scores, imputed, gradients: Some(gradients), ..Victim::new(train) };
                attack.poison(&mut victim, order)
            }
        }
    }
}
