//! Cells arranged as a reader looks at them: a panel a model, data set and norm, in it a line an attack over the budgets.

use std::collections::BTreeMap;

use super::aims::{asked, direction};
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
    /// The inputs that move, where there are several.
    pub(super) inputs: String,
}

impl Subject {
    fn new(
        model: &str,
        data: &str,
        defense: &str,
        aim: (Option<&str>, Option<u32>),
        [finding, inputs]: [Option<&str>; 2],
    ) -> Self {
        let aim = match aim {
            (Some(aim), Some(target)) => format!("{aim} {target}"),
            (aim, _) => aim.unwrap_or("any").to_owned(),
        };
        let [model, data, defense, finding, inputs] =
            [model, data, defense, finding.unwrap_or(""), inputs.unwrap_or("")].map(str::to_owned);
        Self { model, data, defense, aim, finding, inputs }
    }

    fn of_cell(cell: &CellRow) -> Self {
        let aim = (cell.aim.as_deref(), cell.target);
        let parts = [cell.finding.as_deref(), cell.inputs.as_deref()];
        Self::new(&cell.model, &cell.data, &cell.defense, aim, parts)
    }

    fn of_curve(row: &CurveRow) -> Self {
        Self::new(
            &row.model,
            &row.data,
            &row.defense,
            (row.aim.as_deref(), row.target),
            [row.finding.as_deref(), row.inputs.as_deref()],
        )
    }

    /// `model on data`, saying that data are synthetic.
    pub(super) fn title(&self, synthetic: bool) -> String {
        let synthetic = if synthetic { " (synthetic)" } else { "" };
        format!("{} on {}{synthetic}", self.model, self.data)
    }

    /// What else tells this subject from others: finding, inputs, aim and defense where they are not the usual ones. `classes` say the aim's
    /// direction.
    pub(super) fn details(&self, classes: &[Text]) -> String {
        let finding = (!self.finding.is_empty()).then(|| format!("finding {}", self.finding));
        let target = self.aim.strip_prefix("target ").and_then(|class| class.parse().ok());
        let aim = (self.aim != "any").then(|| format!("aim {}", direction(&self.aim, target, classes)));
        let defense = (self.defense != "none").then(|| format!("defense {}", self.defense));
        let inputs = (!self.inputs.is_empty()).then(|| self.inputs.clone());
        finding.into_iter().chain(inputs).chain(aim).chain(defense).collect::<Vec<_>>().join(", ")
    }
}

/// One subject under one norm.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    pub(super) subject: Subject,
    pub(super) norm: Text,
    pub(super) unit: Text,
    pub(super) synthetic: bool,
    /// What the shares are of, see `cells.asked`.
    pub(super) asked: Text,
    /// Samples that the aim concerns.
    pub(super) n: u64,
    /// Share of them whose clean answer keeps what the aim is after.
    pub(super) clean: Option<f64>,
    /// Names of the classes that decisions are between.
    pub(super) classes: Vec<Text>,
    /// By name.
    pub(super) lines: Vec<Line>,
    /// The worst case over all attacks: (eps, what is asked), ascending.
    pub(super) worst: Vec<(f64, f64)>,
}

impl Panel {
    /// Whether the aim concerns every sample.
    pub(super) fn concerns_all(&self) -> bool {
        self.subject.aim == "any"
    }

    /// The strongest attack where it says most of the samples: at the smallest budget that halves clean accuracy, else at the largest.
    pub(super) fn telling(&self) -> Option<(&Line, &Point)> {
        let points = || self.lines.iter().flat_map(|line| line.points.iter().map(move |point| (line, point)));
        let halved = |point: &Point| self.clean.is_some_and(|clean| point.robust < clean / 2.0);
        let eps = points().filter(|(_, point)| halved(point)).map(|(_, point)| point.eps);
        let eps =
            eps.min_by(f64::total_cmp).or_else(|| points().map(|(_, p)| p.eps).max_by(f64::total_cmp))?;
        points().filter(|(_, p)| p.eps == eps).min_by(|(_, a), (_, b)| a.robust.total_cmp(&b.robust))
    }
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
    /// What is asked, the mean over seeds.
    pub(super) robust: f64,
    /// Mean lower end of the seeds' own intervals.
    pub(super) low: f64,
    /// Mean upper end of the seeds' own intervals.
    pub(super) high: f64,
    /// What is asked, of every seed: shown, not pooled.
    pub(super) seeds: Vec<f64>,
    /// Share of the attacks that reached their aim, the mean over seeds.
    pub(super) success: Option<f64>,
    /// One of the cells behind the point: the first seed's.
    pub(super) cell_id: Text,
}

/// How many norms come before others in a row of panels.
const NORMS: [&str; 5] = ["linf", "l2", "l1", "l0", "tokens"];

/// Cells as they come, of which only what panels show is kept: the strongest configuration of each attack, budget and seed.
#[derive(Clone, Debug, Default)]
pub(super) struct Gallery {
    frames: Vec<Frame>,
}

/// A panel that cells are still added to.
#[derive(Clone, Debug)]
struct Frame {
    subject: Subject,
    norm: Text,
    unit: Text,
    synthetic: bool,
    asked: Text,
    n: u64,
    clean: Option<f64>,
    classes: Vec<Text>,
    attacks: BTreeMap<Text, BTreeMap<Rung, Mark>>,
}

/// A budget and a seed, in the order of the budgets.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rung {
    eps: f64,
    seed: Option<u64>,
}

impl Eq for Rung {}

impl PartialOrd for Rung {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rung {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.eps.total_cmp(&other.eps).then(self.seed.cmp(&other.seed))
    }
}

/// What came of a cell.
#[derive(Clone, Debug)]
struct Mark {
    robust: f64,
    low: f64,
    high: f64,
    success: Option<f64>,
    cell_id: Text,
}

impl Gallery {
    /// One more cell; only evasion cells that have a budget and an answer are shown.
    pub(super) fn add(&mut self, cell: &CellRow) {
        // Rows that say nothing of an aim are of all samples.
        let own = cell.n_concerned.is_some();
        let [robust, low, high] = match own {
            true => [cell.asked_robust, cell.asked_robust_low, cell.asked_robust_high],
            false => [cell.robust_accuracy, cell.robust_accuracy_low, cell.robust_accuracy_high],
        };
        let (Some(norm), Some(eps), Some(robust)) = (&cell.norm, cell.eps, robust) else { return };
        let frame = self.frame(Subject::of_cell(cell), norm, cell);
        frame.synthetic |= cell.synthetic;
        let mark = || Mark {
            robust,
            low: low.unwrap_or(robust),
            high: high.unwrap_or(robust),
            success: cell.attack_success_rate,
            cell_id: cell.cell_id.clone(),
        };
        let rungs = frame.attacks.entry(cell.attack.clone()).or_default();
        let best = rungs.entry(Rung { eps, seed: cell.seed }).or_insert_with(mark);
        if robust < best.robust {
            *best = mark();
        }
    }

    fn frame(&mut self, subject: Subject, norm: &Text, cell: &CellRow) -> &mut Frame {
        let known = self.frames.iter().position(|frame| frame.subject == subject && frame.norm == *norm);
        let at = known.unwrap_or_else(|| {
            self.frames.push(Frame {
                subject,
                norm: norm.clone(),
                unit: cell.eps_unit.clone().unwrap_or_default(),
                synthetic: false,
                asked: cell.asked.clone().unwrap_or_else(|| asked(cell).into()),
                n: cell.n_concerned.unwrap_or(cell.n),
                clean: if cell.n_concerned.is_some() { cell.asked_clean } else { cell.clean_accuracy },
                classes: cell.classes.clone(),
                attacks: BTreeMap::new(),
            });
            self.frames.len() - 1
        });
        &mut self.frames[at]
    }

    /// The panels: subjects in the cells' order, norms in the usual one.
    pub(super) fn panels(&self, curves: &[CurveRow]) -> Vec<Panel> {
        let mut subjects: Vec<&Subject> = Vec::new();
        for frame in &self.frames {
            if !subjects.contains(&&frame.subject) {
                subjects.push(&frame.subject);
            }
        }
        let rank = |norm: &str| NORMS.iter().position(|n| *n == norm).unwrap_or(NORMS.len());
        let mut frames: Vec<&Frame> = self.frames.iter().collect();
        frames.sort_by_key(|frame| {
            let subject = subjects.iter().position(|s| **s == frame.subject);
            (subject, rank(&frame.norm), frame.norm.clone())
        });
        frames.into_iter().map(|frame| panel(frame, curves)).collect()
    }
}

fn panel(frame: &Frame, curves: &[CurveRow]) -> Panel {
    let mut worst: Vec<(f64, f64)> = curves
        .iter()
        .filter(|row| row.norm == frame.norm && Subject::of_curve(row) == frame.subject)
        .filter_map(|row| {
            let robust = if row.n_concerned.is_some() { row.asked_robust } else { row.robust_accuracy };
            Some((row.eps, robust?))
        })
        .collect();
    worst.sort_by(|a, b| a.0.total_cmp(&b.0));
    Panel {
        subject: frame.subject.clone(),
        norm: frame.norm.clone(),
        unit: frame.unit.clone(),
        synthetic: frame.synthetic,
        asked: frame.asked.clone(),
        n: frame.n,
        clean: frame.clean,
        classes: frame.classes.clone(),
        lines: frame.attacks.iter().map(|(attack, rungs)| line(attack, rungs)).collect(),
        worst,
    }
}

fn line(attack: &str, rungs: &BTreeMap<Rung, Mark>) -> Line {
    let rungs: Vec<(&Rung, &Mark)> = rungs.iter().collect();
    let points = rungs.chunk_by(|a, b| a.0.eps == b.0.eps).filter_map(point).collect();
    Line { attack: attack.to_owned(), points }
}

fn point(rungs: &[(&Rung, &Mark)]) -> Option<Point> {
    let (rung, first) = rungs.first()?;
    // What draws nothing at random has no seed and stands first: it is there at every seed.
    let fixed = rung.seed.is_none().then_some(*first);
    let at_seed = |(_, mark): &(&Rung, &'_ Mark)| match fixed {
        Some(fixed) if fixed.robust < mark.robust => fixed.clone(),
        _ => (*mark).clone(),
    };
    let mut seeds: Vec<Mark> = rungs.iter().filter(|(rung, _)| rung.seed.is_some()).map(at_seed).collect();
    if seeds.is_empty() {
        seeds.push((*first).clone());
    }
    let mean = |of: fn(&Mark) -> f64| seeds.iter().map(of).sum::<f64>() / seeds.len() as f64;
    let success = seeds.iter().map(|mark| mark.success).sum::<Option<f64>>();
    Some(Point {
        eps: rung.eps,
        robust: mean(|mark| mark.robust),
        low: mean(|mark| mark.low),
        high: mean(|mark| mark.high),
        success: success.map(|sum| sum / seeds.len() as f64),
        cell_id: seeds[0].cell_id.clone(),
        seeds: seeds.iter().map(|mark| mark.robust).collect(),
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
