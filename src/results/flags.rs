//! Sanity checks: signs that a robust accuracy says more about the attack than about the model.
//!
//! They follow Athalye, Carlini and Wagner 2018 (section 3.1) and Carlini et al. 2019 (section 4): gradients that
//! are masked make a white-box attack fail where a weaker one succeeds. Differences between two cells are tested by the samples that they
//! share, see [`LEVEL`](super::company::LEVEL).

use super::records::CellRow;
use super::text::Text;

/// A black-box attack left fewer samples robust than the strongest white-box attack at the same budget (set on both).
pub const BLACK_BOX_STRONGER: &str = "black-box-stronger";
/// More steps left more samples robust than fewer steps of the same configuration.
pub const MORE_STEPS_WEAKER: &str = "more-steps-weaker";
/// A larger budget left more samples robust than a smaller one of the same configuration.
pub const LARGER_BUDGET_WEAKER: &str = "larger-budget-weaker";
/// A budget that covers the whole range of the data left samples robust.
pub const HUGE_BUDGET_NOT_ZERO: &str = "huge-budget-not-zero";
/// Of the samples that an attack did not break, more than half had a gradient of zeros alone at every step, a tenth of all that it attacked at least.
pub const ZERO_GRADIENTS: &str = "zero-gradients";
/// The attack went through a final softmax or sigmoid, which flattens gradients where the model is sure.
pub const FINAL_SOFTMAX: &str = "final-softmax";

/// All budgets of a ladder, the largest four times the smallest at least (ten times, of two), broke nothing of what they attacked.
pub const FLAT_CURVE: &str = "flat-curve";
/// An iterated attack left more samples robust than a single step at the same budget.
pub const ITERATED_WEAKER: &str = "iterated-weaker-than-single-step";
/// The steps of an iterated attack, or of one that starts at random, together are shorter than the ball is wide (2 eps): it may not reach what it looks for.
pub const SHORT_STEPS: &str = "steps-too-short";
/// Of the samples that an iterated attack did not break, more than half still had a rising loss at its last step.
pub const STILL_RISING: &str = "loss-still-rising";
/// Nothing is said: no sample has what is asked about (a finding without positives, say).
pub const NONE_CONCERNED: &str = "nothing-to-attack";
/// The model gives one and the same answer to nearly every clean sample.
pub const ONE_ANSWER: &str = "one-answer";
/// All samples are of one class: nothing is known of the others.
pub const ONE_CLASS_ONLY: &str = "one-class-only";
/// Clean accuracy is no better than calling every sample by the commonest class.
pub const NO_BETTER_THAN_COMMONEST: &str = "no-better-than-commonest-class";
/// The budget is smaller than the steps between the data's own values.
pub const BELOW_RESOLUTION: &str = "budget-below-resolution";
/// The budget is larger than the data's whole range.
pub const ABOVE_RANGE: &str = "budget-above-range";
/// Of two classes the first is the finding, by its name; sensitivity and threshold are of the second.
pub const FINDING_IS_OUTPUT_0: &str = "finding-is-output-0";
/// All clean outputs lie between 0 and 1, although nothing in the graph makes probabilities of logits.
pub const ANSWERS_LIKE_PROBABILITIES: &str = "answers-like-probabilities";
/// Under l2 the budget is so small or large that f32 does not hold the squares of its parts.
pub const EXTREME_BUDGET: &str = "extreme-budget";
/// The clean logits are so small or large that f32 may not hold their gradients.
pub const EXTREME_LOGITS: &str = "extreme-logits";

/// The flags of a cell's company.
const ACROSS: [&str; 5] =
    [BLACK_BOX_STRONGER, MORE_STEPS_WEAKER, LARGER_BUDGET_WEAKER, ITERATED_WEAKER, FLAT_CURVE];
/// Robust accuracies are quotients of counts: they are larger than this or 0.
const EQUAL: f64 = 1e-12;

/// The checks of one cell by itself.
///
/// `huge`: the budget lets every value take any value in its range. `softmax`: a final softmax or sigmoid was
/// attacked through.
pub fn check_alone(cell: &CellRow, huge: bool, softmax: bool) -> Vec<Text> {
    let any = cell.aim.as_deref().is_none_or(|aim| aim == "any");
    let fired = [
        (HUGE_BUDGET_NOT_ZERO, huge && any && cell.robust_accuracy.is_some_and(|share| share > EQUAL)),
        (FINAL_SOFTMAX, softmax),
        (SHORT_STEPS, short_steps(cell)),
        (NONE_CONCERNED, cell.n_concerned == Some(0)),
    ];
    fired.into_iter().filter(|(_, fired)| *fired).map(|(flag, _)| flag.into()).collect()
}

/// Whether the steps of an attack that is iterated, or starts at random, together are shorter than the ball is wide.
fn short_steps(cell: &CellRow) -> bool {
    let away = cell.random_start == Some(true) || cell.steps.is_some_and(|steps| steps > 1);
    let crosses = away && cell.norm.as_deref() != Some("tokens");
    let length = cell.steps.zip(cell.step_size).map(|(steps, size)| steps as f64 * size);
    crosses && length.zip(cell.eps).is_some_and(|(length, eps)| length < 2.0 * eps * (1.0 - 1e-9))
}

/// Sets the flags of a cell among others in the place of those that an earlier check set.
pub(super) fn mark(cell: &mut CellRow, fired: &[&'static str]) {
    cell.flags.retain(|flag| !ACROSS.contains(&flag.as_str()));
    cell.flags.extend(fired.iter().map(|flag| Text::from(*flag)));
    cell.flags.sort();
    cell.flags.dedup();
}
