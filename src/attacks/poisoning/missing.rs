//! Dropped values: some values of some samples go missing and are imputed, as if they had never been measured.

use super::selection::{by_aim, stream, under_aim};
use super::{Needs, Order, Poisoned, Poisoning, Victim};
use crate::Result;
use crate::attacks::Knowledge;
use crate::attacks::columns::{removable, remove};

/// Dropped values.
pub static MISSING: Poisoning = Poisoning {
    name: "missing",
    aliases: &["missing-values", "drop"],
    summary: "Values of some samples dropped and imputed, so that they look like ordinary missingness.",
    paper: "Rubin 1976, Inference and missing data (Biometrika 63:581), missing completely at random",
    knowledge: Knowledge::BlackBox,
    needs: Needs::Nothing,
    revision: 1,
    parameters: &[],
    magnitude: Some("Chance that a column of a poisoned sample is dropped, 0 to 1."),
    most: 1.0,
    candidates: under_aim,
    craft,
};

/// A missing value looks as preprocessing makes it look, see [`imputed`](crate::attacks::columns::imputed); immutable columns stay. The values that a smaller magnitude
/// drops are among those of a larger one.
fn craft(victim: &mut Victim, order: &Order) -> Result<Poisoned> {
    let train = victim.train;
    let columns = removable(train, victim.imputed)?;
    let dropped = |position: usize| {
        let mut stream = stream(train, order.seed, "missing", position);
        let mut values = train.sample(position).to_vec();
        for (column, stand_in) in &columns {
            if f64::from(stream.unit()) < order.magnitude {
                remove(column, stand_in, &mut values);
            }
        }
        (position, values)
    };
    let chosen = by_aim(train, MISSING.name, order)?;
    let values = chosen.into_iter().map(dropped).collect();
    Ok(Poisoned::new(train, Default::default(), values))
}
