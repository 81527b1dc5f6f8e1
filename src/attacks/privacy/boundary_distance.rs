//! Distance to the decision boundary as a label-only score: members lie further from it.

use super::evidence::SOURCE;
use super::{Access, Asks, Evidence, MembershipAttack, Needs};
use crate::attacks::{Chosen, Kind, Parameter, Value};
use crate::{Error, Result};

/// The boundary distance attack; [`super::hop_skip_jump`] searches for the distances.
pub static BOUNDARY_DISTANCE: MembershipAttack = MembershipAttack {
    name: "boundary-distance",
    aliases: &["decision-boundary"],
    summary: "The distance to the nearest point found that the target does not classify as the label; 0 where it is wrong already.",
    paper: "Choquette-Choo et al. 2021, Label-only membership inference attacks (arXiv 2007.14321); Li & Zhang 2021 (arXiv 2007.15528)",
    access: Access::Labels,
    asks: Asks::Boundary,
    needs: |_| Needs::NOTHING,
    revision: 1,
    parameters: &[Parameter {
        name: "decisions",
        doc: "Decisions asked of the target for each candidate, at most. The search runs in the data's scaled units; categories and what \
              cannot change stay as they are.",
        kind: Kind::Whole(1, 1_000_000),
        default: Value::Whole(500),
    }],
    rule,
};

fn rule(evidence: &Evidence, _get: Chosen) -> Result<Vec<f64>> {
    evidence.boundary.map(<[f64]>::to_vec).ok_or_else(|| {
        Error::input(SOURCE, BOUNDARY_DISTANCE.name, "no distances", "a distance for each candidate")
    })
}
