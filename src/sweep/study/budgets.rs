//! Budgets in a study: ladders of them, and those of inputs that move beside.

use std::sync::Arc;

use super::amount::{Amount, amount};
use super::document::{Item, Table};
use super::ladder::{Rung, rungs};
use crate::Result;
use crate::attacks::{Attack, Norm};
use crate::spelling::hint;

/// One norm's ladder of budgets.
#[derive(Clone, Debug, PartialEq)]
pub struct Budget {
    /// The norm.
    pub norm: Norm,
    /// Budgets.
    pub eps: Vec<Amount>,
}

/// The budget of an input that moves beside the one that the ladder is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Beside {
    /// The input's name.
    pub input: String,
    /// The norm.
    pub norm: Norm,
    /// The budget in the input's unit, positive.
    pub eps: f64,
}

/// The same as it is written, where the data need not be known.
#[derive(Clone, Debug, PartialEq)]
pub struct BesideAmount {
    /// The input's name.
    pub input: String,
    /// The norm.
    pub norm: Norm,
    /// The budget: in the input's unit, or a fraction of its range.
    pub eps: Amount,
}

/// The ladders of `budget`.
pub(super) fn budgets(table: &Table) -> Result<Vec<Budget>> {
    let example = "[{ norm = \"linf\", eps = [1, 2, 4] }]";
    let mut budgets = Vec::new();
    for value in table.require("budget", example)?.values()? {
        let budget = value.table(example)?;
        budget.allow(&["norm", "eps"])?;
        let eps = rungs(&budget.require("eps", "a positive number, or several")?)?;
        for norm in budget.require("norm", "linf, l2, l1 or tokens")?.values()? {
            let norm = known_norm(&norm)?;
            let eps = eps.iter().map(|eps| size(eps, norm)).collect::<Result<Vec<Amount>>>()?;
            budgets.push(Budget { norm, eps });
        }
    }
    Ok(budgets)
}

/// A norm by any of its names; the number of a norm may be written without quotes.
fn known_norm(item: &Item) -> Result<Norm> {
    let written = item.word().map_or_else(|_| item.found(), str::to_string);
    let names = Norm::ALL.map(Norm::name);
    let expected = || format!("one of {}{}", names.join(", "), hint(&written, &names));
    Norm::parse(&written).ok_or_else(|| item.error(expected()))
}

/// Tables of inputs with their budgets, one or a list of alternatives: `[{}, { age = { norm = "linf", eps = 1 } }]`.
pub(super) fn beside(item: &Item) -> Result<Vec<Arc<[BesideAmount]>>> {
    let example = "{ INPUT = { norm = \"linf\", eps = 1 } }";
    let one = |(input, budget): (&str, Item)| -> Result<BesideAmount> {
        let table = budget.table(example)?;
        table.allow(&["norm", "eps"])?;
        let norm = known_norm(&table.require("norm", "linf, l2, l1 or tokens")?)?;
        let eps = rungs(&table.require("eps", "a positive number")?)?;
        let [eps] = eps.as_slice() else {
            return Err(budget.error("one eps; another one is another table of the list"));
        };
        Ok(BesideAmount { input: input.to_string(), norm, eps: size(eps, norm)? })
    };
    let all = |value: &Item| value.table(example)?.entries().map(one).collect::<Result<_>>();
    item.values()?.iter().map(all).collect()
}

/// How large a budget is: a positive amount, of words a whole number.
fn size(rung: &Rung, norm: Norm) -> Result<Amount> {
    match amount(rung)? {
        Amount::Units(eps) => whole_words(rung, norm, eps).map(Amount::Units),
        Amount::Fraction { .. } if norm == Norm::Tokens => Err(rung.item.error("a whole number of words")),
        fraction => Ok(fraction),
    }
}

fn whole_words(rung: &Rung, norm: Norm, eps: f64) -> Result<f64> {
    if norm == Norm::Tokens && eps.fract() != 0.0 {
        return Err(rung.item.error_found(rung.found(), "a whole number of words"));
    }
    Ok(eps)
}

/// A norm that none of the attacks has is an error; one that some lack is left out for them, and the plan says so.
pub(super) fn refuse_norms(table: &Table, attacks: &[&'static Attack], budgets: &[Budget]) -> Result<()> {
    for budget in budgets {
        if !attacks.iter().any(|attack| attack.norms.contains(&budget.norm)) {
            let names: Vec<String> = attacks
                .iter()
                .map(|attack| {
                    format!(
                        "{} ({})",
                        attack.name,
                        attack.norms.iter().map(|n| n.name()).collect::<Vec<_>>().join(", ")
                    )
                })
                .collect();
            let expected = format!("a norm that the attack has: {}", names.join("; "));
            return Err(match table.get("budget") {
                Some(item) => norm_item(&item, budget.norm)
                    .unwrap_or(item)
                    .error_found(format!("\"{}\"", budget.norm.name()), expected),
                None => table.error("budget", budget.norm.name(), expected),
            });
        }
    }
    Ok(())
}

/// What moves beside moves by the attack's own step, or word by word: a norm that an attack lacks is an error.
pub(super) fn refuse_beside(
    table: &Table,
    attacks: &[&'static Attack],
    beside: &[Arc<[BesideAmount]>],
) -> Result<()> {
    for budget in beside.iter().flat_map(|all| all.iter()).filter(|budget| budget.norm != Norm::Tokens) {
        if let Some(attack) = attacks.iter().find(|attack| !attack.norms.contains(&budget.norm)) {
            let norms: Vec<&str> = attack.norms.iter().map(|norm| norm.name()).collect();
            let found = format!("{} for {}", budget.norm.name(), budget.input);
            let expected = format!("a norm that {} has, or tokens: {}", attack.name, norms.join(", "));
            return Err(table.error("beside", found, expected));
        }
    }
    Ok(())
}

/// Where a budget table names `norm`.
fn norm_item<'t>(budget: &Item<'t>, norm: Norm) -> Option<Item<'t>> {
    let tables = budget.values().ok()?.into_iter().filter_map(|item| item.as_table());
    let norms = tables.filter_map(|table| table.get("norm")).filter_map(|item| item.values().ok()).flatten();
    let mut named = norms.filter(|item| known_norm(item).is_ok_and(|named| named == norm));
    named.next()
}
