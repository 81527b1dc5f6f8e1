//! The short table that a sweep prints when it is done.

use std::collections::HashMap;

use super::overview::Overview;
use super::panels::{Line, Panel, short};
use super::records::MetricRow;
use super::text::Text;

/// Lines that the table never exceeds.
pub const MAX_LINES: usize = 39;
/// Budgets that a line shows of its ladder.
const BUDGETS: usize = 4;

/// Headings of the columns; the fourth spans the budgets.
const HEADINGS: [&str; 4 + BUDGETS] =
    ["norm", "attack", "half at", "robust accuracy at eps", "", "", "", "and at the largest eps"];

/// For every model: clean accuracy with sensitivity and specificity (balanced accuracy and macro-F1 for several classes),
/// and for every norm and attack the first budget at which robust accuracy is below half of clean accuracy, and robust
/// accuracy at up to four budgets. At most [`MAX_LINES`] lines of plain text; what is left out is counted at the end. `metrics` are those of
/// [`shown_cells`] at least.
pub fn table(overview: &Overview, metrics: &[MetricRow]) -> String {
    let by_cell: HashMap<(&str, &str), &MetricRow> = metrics
        .iter()
        .filter(|m| m.scope == "all")
        .map(|m| ((m.cell_id.as_str(), m.metric.as_str()), m))
        .collect();
    let panels = overview.panels(&[]);
    let mut lines = Vec::new();
    for subject in panels.chunk_by(|a, b| a.subject == b.subject) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        lines.extend(heading(subject, &by_cell));
        let body = subject.iter().flat_map(|panel| panel.lines.iter().map(|line| row(panel, line, &by_cell)));
        let mut rows: Vec<Vec<String>> = body.collect();
        // The last heading only where there is such a column.
        let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
        rows.insert(0, HEADINGS.iter().take(columns).map(|h| (*h).to_owned()).collect());
        lines.extend(aligned(&rows));
    }
    if lines.is_empty() {
        lines.push("No cell with a budget.".to_owned());
    }
    if lines.len() > MAX_LINES {
        let left = lines.split_off(MAX_LINES - 1);
        let left = left.iter().filter(|line| !line.is_empty()).count();
        lines.push(format!("... and {left} more lines: see the results"));
    }
    lines.join("\n") + "\n"
}

/// The cells whose metrics [`table`] shows.
pub fn shown_cells(overview: &Overview) -> Vec<Text> {
    let mut cells: Vec<Text> = Vec::new();
    for line in overview.panels(&[]).iter().flat_map(|panel| &panel.lines) {
        cells.extend(
            [line.points.first(), line.points.last()].into_iter().flatten().map(|p| p.cell_id.clone()),
        );
    }
    cells.sort_unstable();
    cells.dedup();
    cells
}

/// What the model does on clean data.
fn heading(subject: &[Panel], metrics: &HashMap<(&str, &str), &MetricRow>) -> Option<String> {
    let panel = subject.first()?;
    let point = panel.lines.first()?.points.first()?;
    let clean = |metric: &str| metrics.get(&(point.cell_id.as_str(), metric)).and_then(|m| m.value_clean);
    let (pair, names) = match (clean("sensitivity"), clean("specificity")) {
        (None, None) => (["balanced_accuracy", "macro_f1"], ["balanced accuracy", "macro-F1"]),
        _ => (["sensitivity", "specificity"], ["sensitivity", "specificity"]),
    };
    let mut text = panel.subject.title(panel.synthetic);
    let details = panel.subject.details();
    if !details.is_empty() {
        text += &format!(", {details}");
    }
    text += &format!(": n {}, clean accuracy {}", panel.n, share(panel.clean));
    for (metric, name) in pair.into_iter().zip(names) {
        text += &format!(", {name} {}", share(clean(metric)));
    }
    Some(text)
}

fn row(panel: &Panel, line: &Line, metrics: &HashMap<(&str, &str), &MetricRow>) -> Vec<String> {
    let half = panel.clean.map(|clean| clean / 2.0);
    let fell = line.points.iter().find(|p| half.is_some_and(|half| p.robust < half));
    let half_at = match (fell, line.points.last()) {
        (Some(point), _) => short(point.eps),
        (None, Some(last)) => format!("> {}", short(last.eps)),
        (None, None) => "-".to_owned(),
    };
    let norm = if panel.unit.is_empty() {
        panel.norm.to_string()
    } else {
        format!("{} ({})", panel.norm, panel.unit)
    };
    let mut row = vec![norm, line.attack.clone(), half_at];
    row.extend(spread(line.points.len()).into_iter().map(|i| {
        let point = &line.points[i];
        format!("{}: {}", short(point.eps), share(Some(point.robust)))
    }));
    row.resize(3 + BUDGETS, String::new());
    if let Some(last) = line.points.last() {
        let under = |metric: &str| metrics.get(&(last.cell_id.as_str(), metric)).and_then(|m| m.value);
        if let (Some(sensitivity), Some(specificity)) = (under("sensitivity"), under("specificity")) {
            row.push(format!("sens. {} spec. {}", share(Some(sensitivity)), share(Some(specificity))));
        }
    }
    row
}

/// Up to [`BUDGETS`] of `n` positions, evenly spread, first and last among them.
fn spread(n: usize) -> Vec<usize> {
    if n <= BUDGETS {
        return (0..n).collect();
    }
    (0..BUDGETS).map(|i| (i * (n - 1) + (BUDGETS - 1) / 2) / (BUDGETS - 1)).collect()
}

/// A share to three places.
fn share(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |v| format!("{v:.3}"))
}

/// Rows with their columns aligned to the left, indented by two.
fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |k: usize| {
        // The heading that spans the budgets does not widen the first of them.
        let body = rows.iter().enumerate().filter(|(i, _)| k < 3 || *i > 0);
        body.filter_map(|(_, row)| row.get(k)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        let mut column = 0;
        for (cell, width) in row.iter().zip(&widths) {
            // Each cell starts where its column does, unless the heading before it still runs.
            let gap = (column + 2_usize).saturating_sub(text.chars().count());
            text += &" ".repeat(if cell.is_empty() { 0 } else { gap });
            text += cell;
            column += width + 2;
        }
        text
    };
    rows.iter().map(line).collect()
}
