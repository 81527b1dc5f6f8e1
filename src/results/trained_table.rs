//! The short table of the threats that train models: what each configuration did, over its seeds.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use super::panels::short;
use super::records::SeedRow;
use super::table::{aligned, share, spread};
use super::text::Text;

/// Lines that the table never exceeds.
pub const MAX_LINES: usize = 60;
/// Places of its ladder (rates, amplitudes) that a line shows.
const PLACES: usize = 3;

/// For every recipe, data set and defence a paragraph a threat. Poisoning: the twins' metrics, and for each attack at up to three rates the
/// AUC (accuracy where there is none) with its difference from the twins and half the width of the 95% interval of that. Backdoors: at up
/// to three amplitudes the trigger's success with that of the twins, which never saw it, and what it costs in clean accuracy. Membership
/// inference: AUC and the true positive rates at false positive rates of 1% and 0.1%, with half the width of their intervals over seeds.
///
/// At most [`MAX_LINES`] lines; what is left out is counted at the end. Empty where there are no rows.
pub fn trained_table(rows: &[SeedRow]) -> String {
    let mut lines: Vec<String> = Vec::new();
    for group in groups(rows) {
        if !lines.is_empty() {
            lines.push(String::new());
        }
        let points = points(&group);
        let Body { heading, rows, firm } = match group[0].threat.as_str() {
            "poisoning" => poisoning(&points),
            "backdoor" => backdoor(&points),
            _ => membership(&points),
        };
        lines.push(format!("{}: {heading}", title(group[0], &points)));
        lines.extend(aligned(&rows, firm));
    }
    if lines.len() > MAX_LINES {
        let left = lines.split_off(MAX_LINES - 1);
        let left = left.iter().filter(|line| !line.is_empty()).count();
        lines.push(format!("... and {left} more lines: see seeds.parquet"));
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Rows of one recipe, data set, defence and threat, in the order of their first.
fn groups(rows: &[SeedRow]) -> Vec<Vec<&SeedRow>> {
    let key = |row: &SeedRow| {
        let SeedRow { model_sha256, data_sha256, defense, threat, .. } = row.clone();
        (row.model.clone(), model_sha256, data_sha256, defense, threat)
    };
    let (mut index, mut groups) = (HashMap::new(), Vec::<Vec<&SeedRow>>::new());
    for row in rows {
        let at = *index.entry(key(row)).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[at].push(row);
    }
    groups
}

/// One configuration with its metrics, by name and scope.
struct Point<'a> {
    attack: &'a str,
    params: Map<String, Value>,
    classes: &'a [Text],
    metrics: HashMap<(&'a str, &'a str), &'a SeedRow>,
}

impl<'a> Point<'a> {
    fn metric(&self, metric: &'a str, scope: &'a str) -> Option<&'a SeedRow> {
        self.metrics.get(&(metric, scope)).copied()
    }

    fn value(&self, metric: &'a str, scope: &'a str) -> Option<f64> {
        self.metric(metric, scope)?.value
    }

    fn difference(&self, metric: &'a str) -> Option<f64> {
        self.metric(metric, "all")?.difference
    }

    fn number(&self, parameter: &str) -> f64 {
        self.params.get(parameter).and_then(Value::as_f64).unwrap_or(f64::NAN)
    }
}

/// The configurations of a group, in its order.
fn points<'a>(group: &[&'a SeedRow]) -> Vec<Point<'a>> {
    let (mut index, mut points) = (HashMap::new(), Vec::<Point>::new());
    for &row in group {
        let at = *index.entry(row.params.as_str()).or_insert_with(|| {
            let params = serde_json::from_str(&row.params).unwrap_or_default();
            let classes = row.classes.as_slice();
            points.push(Point { attack: &row.attack, params, classes, metrics: HashMap::new() });
            points.len() - 1
        });
        points[at].metrics.insert((&row.metric, &row.scope), row);
    }
    points
}

/// `recipe on data, threat, n seeds`.
fn title(row: &SeedRow, points: &[Point]) -> String {
    let synthetic = if row.synthetic { " (synthetic)" } else { "" };
    let defense = if row.defense == "none" { String::new() } else { format!(", defense {}", row.defense) };
    let of = |point: &Point| point.metrics.values().map(|row| row.n_seeds).max().unwrap_or(0);
    let (fewest, most) =
        points.iter().map(of).fold((u64::MAX, 0), |(low, high), n| (low.min(n), high.max(n)));
    let seeds = if fewest == most { most.to_string() } else { format!("{fewest} to {most}") };
    let unit = if seeds == "1" { "seed" } else { "seeds" };
    let threat = if row.threat == "privacy" { "membership inference" } else { row.threat.as_str() };
    format!("{} on {}{synthetic}{defense}, {threat}, {seeds} {unit}", row.model, row.data)
}

/// An attack under one setting, along its ladder.
struct Line<'p> {
    name: String,
    /// By ascending place.
    points: Vec<&'p Point<'p>>,
}

/// The configurations that differ in `ladder` alone stand in one line.
fn lines<'p>(points: &'p [Point<'p>], ladder: &str) -> Vec<Line<'p>> {
    let mut lines: Vec<Line> = Vec::new();
    for (point, name) in points.iter().zip(names(points, ladder)) {
        match lines.iter_mut().find(|line| line.name == name) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name, points: vec![point] }),
        }
    }
    for line in &mut lines {
        line.points.sort_by(|a, b| a.number(ladder).total_cmp(&b.number(ladder)));
    }
    lines
}

/// The attack's name and those of its parameters that tell its configurations apart, `ladder` left out. Words come first; a parameter that
/// only goes along with others is left out, too.
fn names(points: &[Point], ladder: &str) -> Vec<String> {
    let mut names: Vec<String> = points.iter().map(|point| point.attack.to_owned()).collect();
    let mut keys: Vec<&String> = Vec::new();
    for key in points.iter().flat_map(|point| point.params.keys()) {
        if key != ladder && !keys.contains(&key) {
            keys.push(key);
        }
    }
    let is_word = |key: &&String| points.iter().any(|p| p.params.get(*key).is_some_and(Value::is_string));
    keys.sort_by_key(|key| !is_word(key));
    for key in keys {
        let apart = told_apart(points, &names, key);
        for (point, name) in points.iter().zip(&mut names) {
            if apart.contains(name)
                && let Some(value) = point.params.get(key)
            {
                *name += &said(key, value, point.classes);
            }
        }
    }
    names
}

/// The names under which two configurations differ in this parameter.
fn told_apart(points: &[Point], names: &[String], key: &str) -> HashSet<String> {
    let (mut first, mut apart) = (HashMap::new(), HashSet::new());
    for (point, name) in points.iter().zip(names) {
        let value = point.params.get(key);
        if *first.entry(name).or_insert(value) != value {
            apart.insert(name.clone());
        }
    }
    apart
}

/// Parameters that are classes, by their numbers.
const CLASSES: [&str; 4] = ["from", "to", "class", "target"];

/// A parameter in a line's name: words stand alone, and so does what is true; what is false goes without saying; a class has its name.
fn said(key: &str, value: &Value, classes: &[Text]) -> String {
    let class = value.as_u64().filter(|_| CLASSES.contains(&key)).and_then(|k| classes.get(k as usize));
    if let Some(name) = class {
        return format!(" {key} {name}");
    }
    match value {
        Value::String(word) => format!(" {word}"),
        Value::Bool(true) => format!(" {}", key.replace('_', "-")),
        Value::Bool(false) => String::new(),
        other => format!(" {key} {}", other.as_f64().map_or(other.to_string(), short)),
    }
}

/// `value (difference ±half)` of a metric at some places of a line.
fn along(line: &Line, ladder: &str, shown: impl Fn(&Point) -> String) -> Vec<String> {
    let mut cells: Vec<String> = spread(line.points.len(), PLACES)
        .into_iter()
        .map(|i| format!("{}: {}", short(line.points[i].number(ladder)), shown(line.points[i])))
        .collect();
    cells.resize(PLACES, String::new());
    cells
}

/// Half the width of a 95% interval, as ` ±0.012`; empty where there is none.
fn half(low: Option<f64>, high: Option<f64>) -> String {
    low.zip(high).map_or(String::new(), |(low, high)| format!(" ±{:.3}", (high - low) / 2.0))
}

/// A difference with its sign.
fn signed(value: Option<f64>) -> String {
    // What rounds to nothing has no sign.
    value.map_or("-".to_owned(), |v| if v.abs() < 5e-4 { "0.000".to_owned() } else { format!("{v:+.3}") })
}

/// The difference from the twins with its interval.
fn differs(row: &SeedRow) -> String {
    format!("{}{}", signed(row.difference), half(row.difference_low, row.difference_high))
}

/// A paragraph: what stands after its title, and its rows, headings first.
struct Body {
    heading: String,
    rows: Vec<Vec<String>>,
    /// Columns that are as wide as their headings; those after them may have headings that run on.
    firm: usize,
}

fn poisoning(points: &[Point]) -> Body {
    let has = |metric: &str| points.iter().any(|point| point.metric(metric, "all").is_some());
    let (metric, name) = if has("auroc") { ("auroc", "AUC") } else { ("accuracy", "accuracy") };
    let others: Vec<[&str; 2]> = [
        ["accuracy", "accuracy"],
        ["sensitivity", "sens."],
        ["specificity", "spec."],
        ["balanced_accuracy", "balanced"],
        ["ece", "calibration error"],
    ]
    .into_iter()
    .filter(|[other, _]| {
        *other != metric && has(other) && (*other != "balanced_accuracy" || !has("sensitivity"))
    })
    .collect();
    let twin = |metric: &str| {
        let rows = points.iter().find_map(|point| point.metric(metric, "all")?.value_clean);
        share(rows)
    };
    let mut heading = format!("twins' {name} {}", twin(metric));
    for [other, name] in &others {
        heading += &format!(", {name} {}", twin(other));
    }
    let mut rows = vec![headings(
        "attack",
        &format!("{name} at rate (difference from the twins)"),
        "differences at the largest rate",
    )];
    for line in lines(points, "rate") {
        let mut row = vec![line.name.clone()];
        row.extend(along(&line, "rate", |point| match point.metric(metric, "all") {
            Some(one) => format!("{} ({})", share(one.value), differs(one)),
            None => "-".to_owned(),
        }));
        let last = line.points.last();
        let parts = others
            .iter()
            .filter_map(|[other, name]| Some(format!("{name} {}", signed(Some(last?.difference(other)?)))));
        row.push(parts.filter(|part| !part.starts_with("calibration")).collect::<Vec<_>>().join(" "));
        rows.push(row);
    }
    Body { heading, rows, firm: 1 }
}

fn backdoor(points: &[Point]) -> Body {
    let twin = points.iter().find_map(|point| point.metric("accuracy", "all")?.value_clean);
    let heading = format!("twins' clean accuracy {}", share(twin));
    let mut rows = vec![headings(
        "trigger",
        "success at amplitude (the twins', which never saw it)",
        "clean accuracy at the largest",
    )];
    for line in lines(points, "amplitude") {
        let mut row = vec![line.name.clone()];
        row.extend(along(&line, "amplitude", |point| match point.metric("trigger_success", "all") {
            Some(one) => {
                format!("{}{} ({})", share(one.value), half(one.low, one.high), share(one.value_clean))
            }
            None => "-".to_owned(),
        }));
        let last = line.points.last();
        let cost = last.and_then(|point| point.metric("accuracy", "all"));
        let mut cost = cost.map_or("-".to_owned(), |one| format!("{} ({})", share(one.value), differs(one)));
        // Under a detector: how well it tells what was stamped.
        if let Some(area) = last.and_then(|point| point.value("detector_auc", "all")) {
            cost += &format!(", detector AUC {}", share(Some(area)));
        }
        row.push(cost);
        rows.push(row);
    }
    Body { heading, rows, firm: 1 }
}

fn membership(points: &[Point]) -> Body {
    let right = |whom: &'static str| share(points.iter().find_map(|point| point.value("accuracy", whom)));
    let heading = format!("right on {} of members, {} of others", right("members"), right("others"));
    let mut rows = vec![["attack", "AUC", "TPR at 1% FPR", "TPR at 0.1% FPR"].map(str::to_owned).to_vec()];
    for (point, name) in points.iter().zip(names(points, "")) {
        let with_interval = |metric: &'static str, scope: &'static str| match point.metric(metric, scope) {
            Some(one) => format!("{}{}", share(one.value), half(one.low, one.high)),
            None => "-".to_owned(),
        };
        rows.push(vec![
            name,
            with_interval("auc", "all"),
            with_interval("tpr", "fpr=0.01"),
            with_interval("tpr", "fpr=0.001"),
        ]);
    }
    Body { heading, rows, firm: 4 }
}

/// Headings of a line's name, of its places and of what follows.
fn headings(name: &str, places: &str, last: &str) -> Vec<String> {
    let mut row = vec![name.to_owned(), places.to_owned()];
    row.resize(1 + PLACES, String::new());
    row.push(last.to_owned());
    row
}
