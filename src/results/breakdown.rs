//! What is asked by class and by subgroup, of one attack at one budget.

use super::panels::{Panel, short};
use super::records::MetricRow;
use super::text::Text;

/// Classes and subgroups that are shown of a panel.
const MOST_GROUPS: usize = 12;

/// The groups of a panel under its strongest attack, at the budget that says most of its samples.
#[derive(Clone, Debug)]
pub(super) struct Breakdown {
    /// Attack, norm and budget.
    pub(super) about: String,
    /// In the order of the metrics.
    pub(super) groups: Vec<Group>,
    /// Groups that are not shown.
    pub(super) left_out: usize,
}

/// A class or a subgroup.
#[derive(Clone, Debug)]
pub(super) struct Group {
    /// `class pneumonia`, `site A`.
    pub(super) name: String,
    /// Its samples that the aim concerns.
    pub(super) n: u64,
    /// Share of them that is right when clean.
    pub(super) clean: Option<f64>,
    /// What is asked, under attack.
    pub(super) robust: Option<f64>,
    /// Its 95% interval.
    pub(super) interval: Option<(f64, f64)>,
}

impl Breakdown {
    /// `None` where fewer than two groups have numbers: the panel itself says it.
    pub(super) fn of(panel: &Panel, metrics: &[MetricRow]) -> Option<Self> {
        let (line, point) = panel.telling()?;
        let metric = if panel.concerns_all() { "robust_accuracy" } else { "asked_robust" };
        let own =
            |m: &&MetricRow| m.cell_id == point.cell_id && m.metric == metric && m.scope.as_str() != "all";
        let groups: Vec<Group> = metrics.iter().filter(own).map(|row| group(panel, row)).collect();
        (groups.len() > 1).then(|| Self {
            about: format!("{}, {} eps {}", line.attack, panel.norm, short(point.eps)),
            left_out: groups.len().saturating_sub(MOST_GROUPS),
            groups: groups.into_iter().take(MOST_GROUPS).collect(),
        })
    }
}

fn group(panel: &Panel, row: &MetricRow) -> Group {
    let class = row.scope.strip_prefix("class:").and_then(|class| class.parse::<usize>().ok());
    let name = match class {
        Some(class) => {
            format!("class {}", panel.classes.get(class).map_or(class.to_string(), Text::to_string))
        }
        None => row.scope.replacen('=', " ", 1),
    };
    Group { name, n: row.n, clean: row.value_clean, robust: row.value, interval: row.low.zip(row.high) }
}
