//! The horizontal axis of a panel: budgets on a linear or logarithmic scale, and which of them are labelled.

use super::panels::{Panel, short};

/// Mean width of a label's characters over the size that is given to plotters, which makes an em of size / 1.24; DejaVu
/// Sans, the widest of our fonts, has digits of 0.64 em and a point of half that.
const DIGIT: f64 = 0.48;
/// Room between labels in pixels.
const GAP: f64 = 6.0;

/// The horizontal axis of a panel.
pub(super) struct Axis {
    /// Whether it is logarithmic.
    pub(super) log: bool,
    /// Left end, a place.
    pub(super) low: f64,
    /// Right end, a place.
    pub(super) high: f64,
    /// The budgets, ascending.
    pub(super) ticks: Vec<f64>,
}

impl Axis {
    /// The axis of a panel's budgets.
    pub(super) fn of(panel: &Panel) -> Self {
        let mut ladder: Vec<f64> = panel.lines.iter().flat_map(|l| &l.points).map(|p| p.eps).collect();
        ladder.sort_by(f64::total_cmp);
        ladder.dedup();
        let log = is_geometric(&ladder);
        let place = |eps: f64| if log { eps.log10() } else { eps };
        let (first, last) =
            (place(ladder.first().copied().unwrap_or(0.0)), place(ladder.last().copied().unwrap_or(1.0)));
        // A linear ladder starts at no budget; a lone budget stands in the middle.
        let first = if log { first } else { first.min(0.0) };
        let room = if last > first { (last - first) * 0.04 } else { 0.5 };
        Self { log, low: first - if log { room } else { 0.0 }, high: last + room, ticks: ladder }
    }

    /// Where a budget stands, in the axis's own coordinate.
    pub(super) fn place(&self, eps: f64) -> f64 {
        if self.log { eps.log10() } else { eps }
    }
}

/// Whether budgets are nearer to a geometric than to an arithmetic ladder.
fn is_geometric(ladder: &[f64]) -> bool {
    // Spread of the steps relative to their mean: 0 for an exact ladder.
    let unevenness = |values: Vec<f64>| {
        let steps: Vec<f64> = values.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        steps.iter().map(|s| (s - mean).powi(2)).sum::<f64>().sqrt() / mean
    };
    ladder.len() >= 3
        && ladder[0] > 0.0
        && unevenness(ladder.iter().map(|eps| eps.ln()).collect()) < unevenness(ladder.to_vec())
}

/// Which of the labels, centred on ascending pixels `x`, are shown at a font size: none overlaps another.
///
/// All of them if they fit. Else every second, third and so on where they stand evenly, so that no lone one seems to be
/// missing; and where they do not, each that does not meet the one before it.
pub(super) fn shown(labels: &[(i32, String)], size: u32) -> Vec<bool> {
    let half = |text: &str| text.chars().count() as f64 * f64::from(size) * DIGIT / 2.0;
    let apart = |a: &(i32, String), b: &(i32, String)| {
        f64::from(b.0) - half(&b.1) >= f64::from(a.0) + half(&a.1) + GAP
    };
    let gaps = || labels.windows(2).map(|pair| pair[1].0 - pair[0].0);
    // Half as much again covers what rounding to pixels does to an even ladder.
    let even = gaps().max().unwrap_or(0) * 2 <= gaps().min().unwrap_or(0) * 3;
    let kept: Vec<usize> = if even {
        let every = |step: usize| (0..labels.len()).step_by(step).collect::<Vec<usize>>();
        let fits = |kept: &Vec<usize>| kept.windows(2).all(|pair| apart(&labels[pair[0]], &labels[pair[1]]));
        (1..=labels.len()).map(every).find(fits).unwrap_or_default()
    } else {
        let mut kept: Vec<usize> = Vec::new();
        for (i, label) in labels.iter().enumerate() {
            if kept.last().is_none_or(|last| apart(&labels[*last], label)) {
                kept.push(i);
            }
        }
        kept
    };
    (0..labels.len()).map(|i| kept.contains(&i)).collect()
}

/// The label of a budget.
pub(super) fn label(eps: f64) -> String {
    short(eps)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Labels of budgets on a logarithmic axis over so many pixels.
    fn ladder(budgets: &[f64], pixels: f64) -> Vec<(i32, String)> {
        let (first, last) = (budgets[0].log10(), budgets[budgets.len() - 1].log10());
        let x = |eps: f64| ((eps.log10() - first) / (last - first) * pixels) as i32;
        budgets.iter().map(|eps| (x(*eps), label(*eps))).collect()
    }

    fn geometric(from: f64, to: f64, n: usize) -> Vec<f64> {
        (0..n).map(|i| from * (to / from).powf(i as f64 / (n - 1) as f64)).collect()
    }

    #[test]
    fn eight_budgets_over_two_decades_are_all_labelled() {
        let labels = ladder(&geometric(0.002, 0.2, 8), 370.0);
        assert_eq!(labels[2].1, "0.00746");
        assert_eq!(shown(&labels, 13), [true; 8]);
    }

    #[test]
    fn labels_without_room_are_left_out_evenly() {
        let shown = shown(&ladder(&geometric(0.002, 0.2, 15), 370.0), 13);
        let expected: Vec<bool> = (0..15).map(|i| i % 2 == 0).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn uneven_budgets_keep_what_fits() {
        // Two budgets side by side must not cost the far ones their labels.
        let labels = ladder(&[1.0, 4.0, 4.01, 16.0, 64.0, 65.0, 256.0, 1024.0], 370.0);
        let shown = shown(&labels, 13);
        assert_eq!(shown, [true, true, false, true, true, false, true, true]);
        assert_eq!(super::shown(&[], 13), [false; 0]);
    }
}
