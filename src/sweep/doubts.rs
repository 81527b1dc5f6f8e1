//! Reasons to distrust what a model says of data, seen before anything is attacked: answers that are all alike, units that do not fit.

use super::resolution::is_below;
use super::subject::{Subject, prediction};
use crate::attacks::Norm;
use crate::data::labels::nothing_found;
use crate::data::{Domain, Remark};
use crate::results::flags::{
    ABOVE_RANGE, ANSWERS_LIKE_PROBABILITIES, BELOW_RESOLUTION, EXTREME_BUDGET, EXTREME_LOGITS,
    FINDING_IS_OUTPUT_0, NO_BETTER_THAN_COMMONEST, ONE_ANSWER, ONE_CLASS_ONLY,
};

/// Samples from which on shares of answers mean something.
const ENOUGH: usize = 20;
/// A share of equal answers that is nearly all, and one that is not.
const NEARLY_ALL: f64 = 0.99;
const NOT_ALL: f64 = 0.9;
/// Lengths beyond which f32 does not hold the squares of their parts, either way.
const SQUARED: [f64; 2] = [1e-16, 1e17];
/// Logits beyond which f32 may lose their gradients, either way.
const EXTREME: [f32; 2] = [1e-30, 1e30];

/// What is doubtful in the model's clean answers, to all findings that any sample is labelled with.
pub fn of_all_answers(subject: &Subject) -> Vec<Remark> {
    let named = |finding: usize, doubt: Remark| match subject.sigmoid() && subject.outputs() > 1 {
        false => doubt,
        true => Remark { text: format!("{}: {}", subject.class_name(finding as u32), doubt.text), ..doubt },
    };
    let of =
        |finding: usize| of_answers(subject, finding).into_iter().map(move |doubt| named(finding, doubt));
    subject.decisions().into_iter().flat_map(of).collect()
}

/// What is doubtful in the model's clean answers, for a finding if there are several.
pub fn of_answers(subject: &Subject, finding: usize) -> Vec<Remark> {
    let samples = subject.samples_of(finding);
    let n = samples.len();
    let labels: Vec<u32> = samples.iter().map(|&i| subject.label(i, finding)).collect();
    let said = |&i: &usize| prediction(&subject.deciding(subject.clean_logits(i), finding));
    let said: Vec<u32> = samples.iter().map(said).collect();
    let share = |count: usize| count as f64 / n.max(1) as f64;
    let count = |all: &[u32], class: u32| all.iter().filter(|&&other| other == class).count();
    let commonest = |all: &[u32]| {
        let most = all.iter().copied().max_by_key(|&class| (count(all, class), std::cmp::Reverse(class)));
        most.map(|class| (class, count(all, class)))
    };
    let names = subject.decision_names();
    let name = |class: u32| match names.get(class as usize) {
        Some(name) if *name != class.to_string() => name.clone(),
        _ => format!("class {class}"),
    };
    let mut remarks = Vec::new();
    let largest = subject.clean.iter().fold(0.0, |most: f32, z| most.max(z.abs()));
    if !(EXTREME[0]..=EXTREME[1]).contains(&largest) {
        let text = format!("the largest logit is {largest:e}: f32 may not hold its gradients");
        remarks.push(Remark::warning(EXTREME_LOGITS, text));
    }
    remarks.extend(direction(&subject.decision_names()));
    let bare = subject.model.network().is_some_and(|network| network.ending.is_none());
    if bare && finding == 0 && n >= ENOUGH && subject.clean.iter().all(|z| (0.0..=1.0).contains(z)) {
        remarks.push(Remark::warning(
            ANSWERS_LIKE_PROBABILITIES,
            "all answers lie between 0 and 1, though the graph ends in neither softmax nor sigmoid: if they are probabilities, export the \
             model with its logits as output",
        ));
    }
    let (Some((answer, answers)), Some((class, members))) = (commonest(&said), commonest(&labels)) else {
        return remarks;
    };
    if members == n {
        let text = format!("every sample is {}: nothing is known of others", name(class));
        remarks.push(Remark::warning(ONE_CLASS_ONLY, text));
    }
    if n < ENOUGH {
        return remarks;
    }
    if share(answers) >= NEARLY_ALL && share(count(&labels, answer)) <= NOT_ALL {
        remarks.push(Remark::warning(
            ONE_ANSWER,
            format!(
                "the model says {} of {answers} of {n} samples: are the data in the model's own unit and order of axes?",
                name(answer)
            ),
        ));
    }
    let right = labels.iter().zip(&said).filter(|(label, said)| label == said).count();
    if members < n && right <= members {
        remarks.push(Remark::warning(
            NO_BETTER_THAN_COMMONEST,
            format!(
                "clean accuracy is {:.3}; to say {} of every sample would give {:.3}",
                share(right),
                name(class),
                share(members)
            ),
        ));
    }
    remarks
}

/// That of two classes the second, which sensitivity is of, calls itself the one where nothing is found.
fn direction(names: &[String]) -> Option<Remark> {
    let [finding, none] = names else { return None };
    (nothing_found(names) == Some(1)).then(|| {
        let text = format!(
            "sensitivity, specificity and threshold take output 1, {none}, for the finding: what is called the sensitivity to {finding} is the \
             specificity here"
        );
        Remark::warning(FINDING_IS_OUTPUT_0, text)
    })
}

/// The flags of a budget that the data's values or f32 cannot show, or that leaves nothing of them. `resolution` as
/// [`resolution`](super::resolution::steps) gives it.
pub fn of_budget(
    domain: &Domain,
    len: usize,
    resolution: Option<f64>,
    norm: Norm,
    eps: f64,
) -> Vec<&'static str> {
    if norm == Norm::Tokens {
        return Vec::new();
    }
    let at = |values: &[f32], i: usize| f64::from(if values.len() == 1 { values[0] } else { values[i] });
    let spans = (0..len).map(|i| (at(&domain.high, i) - at(&domain.low, i)) / at(&domain.scale, i));
    let whole: f64 = match norm {
        Norm::L2 => spans.map(|span| span * span).sum::<f64>().sqrt(),
        Norm::L1 => spans.sum(),
        Norm::Linf | Norm::Tokens => spans.fold(0.0, f64::max),
    };
    let above = eps > whole * (1.0 + 1e-6);
    let below = resolution.is_some_and(|step| is_below(eps, step));
    let fired = [
        (ABOVE_RANGE, above),
        (BELOW_RESOLUTION, below && !above),
        (EXTREME_BUDGET, has_no_square(norm, eps)),
    ];
    fired.into_iter().filter(|(_, fired)| *fired).map(|(flag, _)| flag).collect()
}

/// Whether squares of what a budget allows leave f32 under l2, so that its steps and projections are wrong.
pub(super) fn has_no_square(norm: Norm, eps: f64) -> bool {
    norm == Norm::L2 && !(SQUARED[0]..=SQUARED[1]).contains(&eps)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain() -> Domain {
        Domain {
            low: vec![0.0],
            high: vec![255.0],
            scale: vec![1.0],
            immutable: vec![],
            one_hot: vec![],
            features: vec![],
        }
    }

    #[test]
    fn budgets_below_a_grey_level_and_above_the_range_are_told() {
        const NOTHING: [&str; 0] = [];
        let flag = |norm, eps| of_budget(&domain(), 100, Some(1.0), norm, eps);
        assert_eq!(flag(Norm::Linf, 0.03), [BELOW_RESOLUTION]);
        assert_eq!(flag(Norm::Linf, 1.0), NOTHING);
        assert_eq!(flag(Norm::Linf, 0.98), [BELOW_RESOLUTION]);
        // A step as it is printed.
        assert_eq!(of_budget(&domain(), 100, Some(0.017_123_3), Norm::Linf, 0.017_123), NOTHING);
        assert_eq!(flag(Norm::Linf, 255.0), NOTHING);
        assert_eq!(flag(Norm::Linf, 256.0), [ABOVE_RANGE]);
        assert_eq!(flag(Norm::L2, 2550.0), NOTHING);
        assert_eq!(flag(Norm::L2, 2551.0), [ABOVE_RANGE]);
        assert_eq!(flag(Norm::L1, 25_501.0), [ABOVE_RANGE]);
        assert_eq!(flag(Norm::Tokens, 1e9), NOTHING);
        let wide = Domain { low: vec![-1e21], high: vec![1e21], ..domain() };
        for (norm, eps, flags) in [
            (Norm::L2, 5e19, &[EXTREME_BUDGET][..]),
            (Norm::L2, 5e-31, &[EXTREME_BUDGET]),
            (Norm::Linf, 1e19, &[]),
        ] {
            assert_eq!(of_budget(&wide, 100, None, norm, eps), flags, "{norm:?} {eps}");
        }
        assert_eq!(of_budget(&domain(), 100, None, Norm::Linf, 1e-9), NOTHING);
    }
}
