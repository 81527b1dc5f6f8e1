//! What training frameworks put around a model: their names in front of its tensors' names, and averaged copies of all tensors.

use std::collections::BTreeSet;

use super::net::Declared;
use super::weights::{Weights, is_skipped};

/// Wrappers' names of averaged copies (exponential moving averages): timm, Lightning, ema_pytorch.
const AVERAGED: [&str; 4] = ["ema_model", "model_ema", "ema", "module_ema"];
/// First parts of names of what is needed for training alone.
const ASIDE: [&str; 6] = ["criterion", "loss", "loss_fn", "loss_func", "initted", "step"];

/// Takes away what stands before the names of all declared tensors, as DataParallel (`module.`), Lightning (`model.`), torch.compile
/// (`_orig_mod.`) and others put it there, and copies beside them. What was done, in a sentence; `None` where the names are the model's own, or
/// where no such prefix leads to all of its tensors.
pub(super) fn see_through(weights: &mut Weights, declared: &[Declared]) -> Option<String> {
    let prefixes = complete(weights, declared);
    let averaged = |prefix: &&String| prefix.split('.').any(|part| AVERAGED.contains(&part));
    let (copies, plain): (Vec<&String>, Vec<&String>) = prefixes.iter().partition(averaged);
    // An averaged copy is what such a model is used with, as timm has it. Two of a kind say nothing of which is meant.
    let chosen = match (copies.as_slice(), plain.as_slice()) {
        ([copy], _) => (*copy).clone(),
        ([], [only]) => (*only).clone(),
        _ => return None,
    };
    let others: Vec<&String> = prefixes.iter().filter(|prefix| **prefix != chosen).collect();
    if chosen.is_empty() && others.is_empty() {
        return None;
    }
    let of_other =
        |name: &str| others.iter().any(|prefix| !prefix.is_empty() && name.starts_with(prefix.as_str()));
    let bare = |name: &str| {
        others.iter().any(|prefix| prefix.is_empty()) && declared.iter().any(|one| one.name == name)
    };
    let aside = |name: &str| name.split('.').next().is_some_and(|first| ASIDE.contains(&first));
    let mut left = 0;
    for (name, tensor) in std::mem::take(&mut weights.tensors) {
        match name.strip_prefix(chosen.as_str()) {
            Some(own) if !(is_skipped(own) || of_other(&name) || (chosen.is_empty() && aside(own))) => {
                weights.insert(own, tensor);
            }
            _ if of_other(&name) || bare(&name) || aside(&name) || is_skipped(&name) => left += 1,
            // Whatever else there is stays under its name, where it is told.
            _ => weights.insert(&name, tensor),
        }
    }
    let mut told = format!("the tensors named {chosen}... are the model's: that prefix is taken off");
    if chosen.is_empty() {
        told = "the tensors without a prefix are the model's".into();
    }
    if !others.is_empty() {
        let names: Vec<String> = others
            .iter()
            .map(
                |prefix| {
                    if prefix.is_empty() { "those without a prefix".into() } else { format!("{prefix}...") }
                },
            )
            .collect();
        let why = if copies.is_empty() { "" } else { ", an averaged copy, which is what is evaluated" };
        told = format!("{told}{why}; another set, {}, is left aside", names.join(", "));
    }
    if left > 0 {
        told = format!("{told} ({left} tensors not used)");
    }
    Some(told)
}

/// What stands before the names of all declared tensors, once for each set of them that the file has.
fn complete(weights: &Weights, declared: &[Declared]) -> BTreeSet<String> {
    let is_complete = |prefix: &&str| {
        declared.iter().all(|one| weights.tensors.contains_key(&format!("{prefix}{}", one.name)))
    };
    let Some(first) = declared.first() else { return BTreeSet::new() };
    let ends = weights.tensors.keys().filter_map(|name| name.strip_suffix(first.name.as_str()));
    let ends = ends.filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
    ends.filter(is_complete).map(String::from).collect()
}

/// The prefixes of a file that holds the model several times, none of them under its own names; as many as [`see_through`] cannot choose among.
pub(super) fn several(weights: &Weights, declared: &[Declared]) -> Option<Vec<String>> {
    let prefixes = complete(weights, declared);
    (prefixes.len() > 1 && !prefixes.contains("")).then(|| prefixes.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::net::Role;
    use crate::models::weights::WeightTensor;

    fn declared() -> Vec<Declared> {
        let one = |name: &str| Declared { name: name.into(), shape: vec![1], role: Role::Bias, fan_in: 1 };
        vec![one("0.weight"), one("0.bias")]
    }

    fn weights(names: &[(&str, f32)]) -> Weights {
        let tensor = |value: f32| WeightTensor { shape: vec![1], data: vec![value] };
        Weights::new(names.iter().map(|(name, value)| (name.to_string(), tensor(*value))).collect())
    }

    /// The weights' value and names once wrappers are seen through.
    fn seen(names: &[(&str, f32)]) -> (Option<String>, Vec<(String, f32)>) {
        let mut weights = weights(names);
        let told = see_through(&mut weights, &declared());
        (told, weights.tensors.into_iter().map(|(name, tensor)| (name, tensor.data[0])).collect())
    }

    #[test]
    fn wrappers_are_seen_through_and_said() {
        let own = vec![("0.bias".to_string(), 2.0), ("0.weight".to_string(), 1.0)];
        for prefix in
            ["module.", "model.", "_orig_mod.", "net.", "backbone.", "model._orig_mod.", "module.model."]
        {
            let (weight, bias) = (format!("{prefix}0.weight"), format!("{prefix}0.bias"));
            let (told, found) = seen(&[(&weight, 1.0), (&bias, 2.0)]);
            assert_eq!(found, own, "{prefix}");
            assert!(told.unwrap_or_default().contains(prefix));
        }
        assert_eq!(seen(&[("0.weight", 1.0), ("0.bias", 2.0)]), (None, own));
    }

    #[test]
    fn averaged_copies_are_taken_and_the_others_named() {
        let all = [("model.0.weight", 3.0), ("model.0.bias", 4.0), ("model_ema.module.0.weight", 1.0)];
        let (told, found) =
            seen(&[&all[..], &[("model_ema.module.0.bias", 2.0), ("criterion.w", 9.0)]].concat());
        assert_eq!(found, [("0.bias".to_string(), 2.0), ("0.weight".to_string(), 1.0)]);
        let told = told.unwrap_or_default();
        assert!(
            told.contains("model_ema.module.") && told.contains("model....") && told.contains("averaged"),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_whole_set_stays_as_it_is() {
        let head = [("backbone.0.weight", 1.0), ("head.weight", 2.0)];
        assert_eq!(seen(&head).0, None);
        let twice = [("a.0.weight", 1.0), ("a.0.bias", 1.0), ("b.0.weight", 2.0), ("b.0.bias", 2.0)];
        assert_eq!(seen(&twice).0, None, "two sets of which none is averaged");
        assert_eq!(several(&weights(&twice), &declared()), Some(vec!["a.".to_string(), "b.".to_string()]));
        assert_eq!(several(&weights(&twice[..2]), &declared()), None);
        let more = [("model.0.weight", 1.0), ("model.0.bias", 2.0), ("head.weight", 3.0)];
        assert!(seen(&more).1.iter().any(|(name, _)| name == "head.weight"), "kept, to be refused by name");
    }
}
