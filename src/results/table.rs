//! The short table that a sweep prints when it is done.

use std::collections::HashMap;

use super::breakdown::Breakdown;
use super::overview::Overview;
use super::panels::{Line, Panel, short};
use super::records::MetricRow;
use super::text::Text;

/// Lines that the table never exceeds.
pub const MAX_LINES: usize = 60;
/// Budgets that a line shows of its ladder.
const BUDGETS: usize = 3;

/// Headings of the columns; the fourth, which says what is shown, spans the budgets.
const HEADINGS: [&str; 4 + BUDGETS] = ["norm", "attack", "half at", "", "", "", "and at the largest eps"];

/// For every model: clean accuracy with sensitivity and specificity (balanced accuracy and macro-F1 for several classes),
/// and for every norm and attack the first budget at which robust accuracy is below half of clean accuracy, and robust
/// accuracy at up to three budgets with its 95% interval; then, of the strongest attack at the budget that says most, the same by class and by
/// subgroup. At most [`MAX_LINES`] lines of plain text; what is left out is counted at the end. `metrics` are those of
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
        let mut headings: Vec<String> = HEADINGS.iter().take(columns).map(|h| (*h).to_owned()).collect();
        if let (Some(heading), Some(panel)) = (headings.get_mut(3), subject.first()) {
            *heading = format!("{} at eps", panel.asked);
        }
        rows.insert(0, headings);
        lines.extend(aligned(&rows, 3));
        lines.extend(subject.first().map(|panel| breakdown(panel, metrics)).unwrap_or_default());
    }
    if lines.is_empty() {
        return "No cell with a budget.\n".to_owned();
    }
    let legend = legend(&panels);
    let room = MAX_LINES - legend.len();
    if lines.len() > room {
        let left = lines.split_off(room - 1);
        let left = left.iter().filter(|line| !line.is_empty()).count();
        lines.push(format!("... and {left} more lines: see the results"));
    }
    lines.extend(legend);
    lines.join("\n") + "\n"
}

/// What the words of the table mean, those that are in it.
fn legend(panels: &[Panel]) -> Vec<String> {
    let beyond = panels.iter().flat_map(|panel| panel.lines.iter().map(move |line| half_at(panel, line)));
    let beyond = beyond.into_iter().find(|text| text.starts_with("> "));
    let said = beyond.map_or(String::new(), |text| {
        format!("; \"{text}\": at none, up to {}", text.trim_start_matches("> "))
    });
    let half =
        "half at: the smallest eps that was run at which what is shown is below half of its clean value";
    let seeds = panels.iter().flat_map(|panel| &panel.lines).flat_map(|line| &line.points);
    let seeds = seeds.map(|point| point.seeds.len()).max().unwrap_or(0);
    let means = if seeds > 1 { format!(" Means over seeds, up to {seeds} of them.") } else { String::new() };
    vec![String::new(), format!("{half}{said}."), format!("In brackets: 95% intervals.{means}")]
}

/// The smallest budget of a line's ladder at which what is shown is below half of its clean value, in words.
fn half_at(panel: &Panel, line: &Line) -> String {
    // Of nothing there is no half.
    let half = panel.clean.filter(|clean| *clean > 0.0).map(|clean| clean / 2.0);
    let fell = line.points.iter().find(|p| half.is_some_and(|half| p.robust < half));
    match (fell, line.points.last().filter(|_| half.is_some())) {
        (Some(point), _) => short(point.eps),
        (None, Some(last)) => format!("> {}", short(last.eps)),
        (None, None) => "-".to_owned(),
    }
}

/// The groups of a panel, a row each.
fn breakdown(panel: &Panel, metrics: &[MetricRow]) -> Vec<String> {
    let Some(breakdown) = Breakdown::of(panel, metrics) else { return Vec::new() };
    let headings = [&format!("by group ({})", breakdown.about), "n", "clean", "robust"];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    rows.extend(breakdown.groups.into_iter().map(|group| {
        let robust = share(group.robust) + &between(group.interval);
        vec![group.name, group.n.to_string(), share(group.clean), robust]
    }));
    if breakdown.left_out > 0 {
        rows.push(vec![format!("... and {} more: see metrics", breakdown.left_out)]);
    }
    aligned(&rows, usize::MAX)
}

/// The cells whose metrics [`table`] and the picture show.
pub fn shown_cells(overview: &Overview) -> Vec<Text> {
    let mut cells: Vec<Text> = Vec::new();
    let panels = overview.panels(&[]);
    for line in panels.iter().flat_map(|panel| &panel.lines) {
        cells.extend(
            [line.points.first(), line.points.last()].into_iter().flatten().map(|p| p.cell_id.clone()),
        );
    }
    let telling = panels.iter().filter_map(Panel::telling);
    cells.extend(telling.map(|(_, point)| point.cell_id.clone()));
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
    let details = panel.subject.details(&panel.classes);
    if !details.is_empty() {
        text += &format!(", {details}");
    }
    if !panel.concerns_all() {
        text += &format!(
            ": n {} that the aim concerns, {} {} without attack",
            panel.n,
            panel.asked.trim_end_matches(" under attack"),
            share(panel.clean)
        );
        return Some(text);
    }
    text += &format!(": n {}, clean accuracy {}", panel.n, share(panel.clean));
    for (metric, name) in pair.into_iter().zip(names) {
        text += &format!(", {name} {}", share(clean(metric)));
    }
    Some(text)
}

fn row(panel: &Panel, line: &Line, metrics: &HashMap<(&str, &str), &MetricRow>) -> Vec<String> {
    let half_at = half_at(panel, line);
    let norm = if panel.unit.is_empty() {
        panel.norm.to_string()
    } else {
        format!("{} ({})", panel.norm, panel.unit)
    };
    let mut row = vec![norm, line.attack.clone(), half_at];
    row.extend(spread(line.points.len(), BUDGETS).into_iter().map(|i| {
        let point = &line.points[i];
        let interval = between(Some((point.low, point.high)));
        format!("{}: {}{interval}", short(point.eps), share(Some(point.robust)))
    }));
    row.resize(3 + BUDGETS, String::new());
    if let Some(last) = line.points.last().filter(|_| !panel.concerns_all()) {
        row.push(format!("success rate {}", share(last.success)));
    } else if let Some(last) = line.points.last() {
        let under = |metric: &str| metrics.get(&(last.cell_id.as_str(), metric)).and_then(|m| m.value);
        if let (Some(sensitivity), Some(specificity)) = (under("sensitivity"), under("specificity")) {
            row.push(format!("sens. {} spec. {}", share(Some(sensitivity)), share(Some(specificity))));
        }
    }
    row
}

/// Up to `most` (2 at least) of `n` positions, evenly spread, first and last among them.
pub(super) fn spread(n: usize, most: usize) -> Vec<usize> {
    if n <= most {
        return (0..n).collect();
    }
    (0..most).map(|i| (i * (n - 1) + (most - 1) / 2) / (most - 1)).collect()
}

/// Both ends of an interval in brackets; empty where there is none.
fn between(interval: Option<(f64, f64)>) -> String {
    interval.map_or(String::new(), |(low, high)| format!(" ({low:.2}-{high:.2})"))
}

/// A share to three places.
pub(super) fn share(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |v| format!("{v:.3}"))
}

/// Rows with their columns aligned to the left, indented by two. The first row has the headings; from the column `firm` on they may run over
/// the columns after them.
pub(crate) fn aligned(rows: &[Vec<String>], firm: usize) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |k: usize| {
        // A heading that spans columns does not widen the first of them.
        let body = rows.iter().enumerate().filter(|(i, _)| k < firm || *i > 0);
        body.filter_map(|(_, row)| row.get(k)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let mut text = String::new();
        let mut column = 0;
        for (cell, width) in row.iter().zip(&widths) {
            // Each cell starts where its column does, unless the heading before it still runs.
            let gap = (column + 2_usize).saturating_sub(text.chars().count());
            let least = if text.is_empty() { 0 } else { 2 };
            text += &" ".repeat(if cell.is_empty() { 0 } else { gap.max(least) });
            text += cell;
            column += width + 2;
        }
        text
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_heading_that_runs_over_its_columns_ends_before_the_next() {
        let rows = [["trigger", "success at amplitude", "", "clean"], ["pulse", "0.5", "0.7", "0.9"]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec());
        let right = ["  trigger  success at amplitude  clean", "  pulse    0.5  0.7  0.9"];
        assert_eq!(aligned(&rows, 1), right);
    }
}
