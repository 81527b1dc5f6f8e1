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
    /// In the order of the metrics, ranges of a column by their numbers.
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
    /// Share of them whose clean answer keeps what the aim is after.
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
        let rows: Vec<&MetricRow> = metrics.iter().filter(own).collect();
        let groups: Vec<Group> = ordered(rows).into_iter().map(|row| group(panel, row)).collect();
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
        None => name_of(&row.scope),
    };
    Group { name, n: row.n, clean: row.value_clean, robust: row.value, interval: row.low.zip(row.high) }
}

/// A subgroup as it is shown.
pub fn name_of(scope: &str) -> String {
    match scope.split_once('=') {
        Some((column, "")) => format!("{column} (blank)"),
        _ => scope.replacen('=', " ", 1),
    }
}

/// Ranges of a column by where they begin, what is no range behind them; everything else as it stands.
fn ordered(mut rows: Vec<&MetricRow>) -> Vec<&MetricRow> {
    let mut columns: Vec<Text> = Vec::new();
    for row in &rows {
        let column = Text::from(split(&row.scope).0);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    rows.sort_by(|a, b| {
        let key = |row: &MetricRow| {
            let (column, value) = split(&row.scope);
            (columns.iter().position(|own| own.as_str() == column), range_start(value))
        };
        let ((a, first), (b, second)) = (key(a), key(b));
        a.cmp(&b).then(first.total_cmp(&second))
    });
    rows
}

/// Column and value of a scope; a class has no column.
fn split(scope: &str) -> (&str, &str) {
    scope.split_once('=').unwrap_or(("", scope))
}

/// Where a range of a binned column begins: of `< 18`, `[18, 40)`, `>= 65`. Infinite where `value` is no range.
pub fn range_start(value: &str) -> f64 {
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or(f64::INFINITY);
    match (value.strip_prefix("< "), value.strip_prefix(">= "), value.strip_prefix('[')) {
        (Some(end), ..) if end.parse::<f64>().is_ok() => f64::NEG_INFINITY,
        (_, Some(start), _) => number(start),
        (.., Some(range)) => number(range.split(',').next().unwrap_or_default()),
        _ => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_is_empty_is_called_blank() {
        assert_eq!([name_of("sub="), name_of("sub=B")], ["sub (blank)", "sub B"]);
    }

    #[test]
    fn ranges_stand_in_the_order_of_their_numbers() {
        let scopes = [
            "class:0",
            "class:1",
            "age=< 0",
            "age=>= 80",
            "age=[0, 40)",
            "age=[40, 80)",
            "age=missing",
            "site=B",
            "site=A",
        ];
        let rows: Vec<MetricRow> =
            scopes.iter().map(|&scope| MetricRow { scope: scope.into(), ..Default::default() }).collect();
        let sorted: Vec<&str> =
            ordered(rows.iter().collect()).into_iter().map(|row| row.scope.as_str()).collect();
        let right = [
            "class:0",
            "class:1",
            "age=< 0",
            "age=[0, 40)",
            "age=[40, 80)",
            "age=>= 80",
            "age=missing",
            "site=B",
            "site=A",
        ];
        assert_eq!(sorted, right);
    }
}
