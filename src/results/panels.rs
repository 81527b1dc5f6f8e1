//! Cells arranged as a reader looks at them: a panel a model, data set and norm, in it a line an attack over the budgets.

use std::collections::BTreeMap;

use super::records::{CellRow, CurveRow};
use super::text::Text;

/// What a panel is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Subject {
    pub(super) model: String,
    pub(super) data: String,
    pub(super) defense: String,
    pub(super) aim: String,
    pub(super) finding: String,
}

impl Subject {
    fn new(
        model: &str,
        data: &str,
        defense: &str,
        aim: (Option<&str>, Option<u32>),
        finding: Option<&str>,
    ) -> Self {
        let aim = match aim {
            (Some(aim), Some(target)) => format!("{aim} {target}"),
            (aim, _) => aim.unwrap_or("any").to_owned(),
        };
        let finding = finding.unwrap_or("").to_owned();
        Self { model: model.to_owned(), data: data.to_owned(), defense: defense.to_owned(), aim, finding }
    }

    fn of_cell(cell: &CellRow) -> Self {
        let aim = (cell.aim.as_deref(), cell.target);
        Self::new(&cell.model, &cell.data, &cell.defense, aim, cell.finding.as_deref())
    }

    fn of_curve(row: &CurveRow) -> Self {
        Self::new(
            &row.model,
            &row.data,
            &row.defense,
            (row.aim.as_deref(), row.target),
            row.finding.as_deref(),
        )
    }

    /// `model on data`, saying that data are synthetic.
    pub(super) fn title(&self, synthetic: bool) -> String {
        let synthetic = if synthetic { " (synthetic)" } else { "" };
        format!("{} on {}{synthetic}", self.model, self.data)
    }

    /// What else tells this subject from others: finding, aim and defense where they are not the usual ones.
    pub(super) fn details(&self) -> String {
        let finding = (!self.finding.is_empty()).then(|| format!("finding {}", self.finding));
        let aim = (self.aim != "any").then(|| format!("aim {}", self.aim));
        let defense = (self.defense != "none").then(|| format!("defense {}", self.defense));
        finding.into_iter().chain(aim).chain(defense).collect::<Vec<_>>().join(", ")
    }
}

/// One subject under one norm.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) subject: Subject,
    pub(super) norm: Text,
    pub(super) unit: Text,
    pub(super) synthetic: bool,
    pub(super) n: u64,
    pub(super) clean: Option<f64>,
    /// By name.
    pub(super) lines: Vec<Line>,
    /// The worst case over all attacks: (eps, robust accuracy), ascending.
    pub(super) worst: Vec<(f64, f64)>,
}

/// One attack, by its strongest configuration at each budget and seed.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) attack: String,
    /// By ascending budget.
    pub(super) points: Vec<Point>,
}

/// One budget of a [`Line`].
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) eps: f64,
    /// Robust accuracy, the mean over seeds.
    pub(super) robust: f64,
    /// Mean lower end of the seeds' own intervals.
    pub(super) low: f64,
    /// Mean upper end of the seeds' own intervals.
    pub(super) high: f64,
    /// Robust accuracy of every seed: shown, not pooled.
    pub(super) seeds: Vec<f64>,
    /// One of the cells behind the point: the first seed's.
    pub(super) cell_id: Text,
}

/// How many norms come before others in a row of panels.
const NORMS: [&str; 4] = ["linf", "l2", "l1", "l0"];

/// The panels of all evasion cells: subjects in the cells' order, norms in the usual one.
pub(super) fn panels(cells: &[CellRow], curves: &[CurveRow]) -> Vec<Panel> {
    let mut found: Vec<(Subject, Text, Vec<&CellRow>)> = Vec::new();
    for cell in cells {
        let (Some(norm), Some(_), Some(_)) = (&cell.norm, cell.eps, cell.robust_accuracy) else { continue };
        let subject = Subject::of_cell(cell);
        match found.iter_mut().find(|(s, n, _)| *s == subject && n == norm) {
            Some((_, _, members)) => members.push(cell),
            None => found.push((subject, norm.clone(), vec![cell])),
        }
    }
    let mut subjects: Vec<Subject> = Vec::new();
    for (subject, _, _) in &found {
        if !subjects.contains(subject) {
            subjects.push(subject.clone());
        }
    }
    let rank = |norm: &str| NORMS.iter().position(|n| *n == norm).unwrap_or(NORMS.len());
    found.sort_by_key(|(subject, norm, _)| {
        (subjects.iter().position(|s| s == subject), rank(norm), norm.clone())
    });
    found.into_iter().filter_map(|(subject, norm, members)| panel(subject, norm, &members, curves)).collect()
}

fn panel(subject: Subject, norm: Text, cells: &[&CellRow], curves: &[CurveRow]) -> Option<Panel> {
    let first = *cells.first()?;
    let mut attacks: BTreeMap<&str, Vec<&CellRow>> = BTreeMap::new();
    for cell in cells {
        attacks.entry(&cell.attack).or_default().push(cell);
    }
    let lines = attacks.into_iter().map(|(attack, cells)| line(attack, &cells)).collect();
    let mut worst: Vec<(f64, f64)> = curves
        .iter()
        .filter(|row| row.norm == norm && Subject::of_curve(row) == subject)
        .filter_map(|row| Some((row.eps, row.robust_accuracy?)))
        .collect();
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    Some(Panel {
        subject,
        norm,
        unit: first.eps_unit.clone().unwrap_or_default(),
        synthetic: cells.iter().any(|cell| cell.synthetic),
        n: first.n,
        clean: first.clean_accuracy,
        lines,
        worst,
    })
}

fn line(attack: &str, cells: &[&CellRow]) -> Line {
    // The strongest configuration of each (budget, seed).
    let mut strongest: Vec<&CellRow> = Vec::new();
    for cell in cells {
        match strongest.iter_mut().find(|other| other.eps == cell.eps && other.seed == cell.seed) {
            Some(other) if cell.robust_accuracy < other.robust_accuracy => *other = cell,
            Some(_) => {}
            None => strongest.push(cell),
        }
    }
    strongest.sort_by(|a, b| a.eps.unwrap_or(0.0).total_cmp(&b.eps.unwrap_or(0.0)).then(a.seed.cmp(&b.seed)));
    let points = strongest.chunk_by(|a, b| a.eps == b.eps).filter_map(point).collect();
    Line { attack: attack.to_owned(), points }
}

fn point(seeds: &[&CellRow]) -> Option<Point> {
    let first = *seeds.first()?;
    let mean =
        |of: &dyn Fn(&CellRow) -> f64| seeds.iter().map(|cell| of(cell)).sum::<f64>() / seeds.len() as f64;
    let robust = |cell: &CellRow| cell.robust_accuracy.unwrap_or(f64::NAN);
    Some(Point {
        eps: first.eps?,
        robust: mean(&robust),
        low: mean(&|cell| cell.robust_accuracy_low.unwrap_or(robust(cell))),
        high: mean(&|cell| cell.robust_accuracy_high.unwrap_or(robust(cell))),
        seeds: seeds.iter().map(|cell| robust(cell)).collect(),
        cell_id: first.cell_id.clone(),
    })
}

/// A number as short as it can be said: `0.031`, `2`, `1e-5`.
pub(super) fn short(value: f64) -> String {
    if value != 0.0 && !(1e-4..1e6).contains(&value.abs()) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let digits = if value == 0.0 { 0 } else { (2 - value.abs().log10().floor() as i32).max(0) as usize };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}
