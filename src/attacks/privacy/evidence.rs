//! What an adversary holds when it asks whose records a model was trained on: what models said, as plain arrays.

use crate::{Error, Result};

/// What error messages call the arrays of this file.
pub(super) const SOURCE: &str = "membership evidence";
/// The logarithm of the smallest positive f32, which a probability of exactly 0 is taken for.
const LOG_SMALLEST: f64 = -103.278_929_903_431_85;
/// How far the probabilities of an answer may be from adding up to 1.
const SUM_TOLERANCE: f64 = 1e-3;

/// What one model said of `n` samples, each asked under `queries` variants of itself (query 0 is the sample as it is).
///
/// Logits rather than probabilities are kept, since differences between them lose nothing where a probability is 0 or 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    n: usize,
    queries: usize,
    classes: usize,
    /// `n * queries * classes` finite values, row-major.
    logits: Vec<f64>,
}

impl Answers {
    /// Answers given as softmax logits: `n * queries * classes` finite values, row-major; two classes or more.
    pub fn from_logits(n: usize, queries: usize, classes: usize, logits: &[f32]) -> Result<Self> {
        Self::new(n, queries, classes, logits, |row| Ok(row.iter().map(|&z| f64::from(z)).collect()))
    }

    /// Answers of a sigmoid head given as its logit: `n * queries` finite values. Class 1 is the finding, class 0 its absence.
    pub fn from_sigmoid_logits(n: usize, queries: usize, logits: &[f32]) -> Result<Self> {
        let pairs: Vec<f32> = logits.iter().flat_map(|&z| [0.0, z]).collect();
        Self::from_logits(n, queries, 2, &pairs)
    }

    /// Answers given as probabilities that add up to 1 (within 1e-3) over the classes: `n * queries * classes` values, row-major.
    ///
    /// A 0 counts as the smallest positive f32, 2^-149. Where the logits are at hand they are better: what rounds to 1 here keeps
    /// only what the other classes' probabilities say.
    pub fn from_probabilities(
        n: usize,
        queries: usize,
        classes: usize,
        probabilities: &[f32],
    ) -> Result<Self> {
        Self::new(n, queries, classes, probabilities, |row| {
            let sum: f64 = row.iter().map(|&p| f64::from(p)).sum();
            if row.iter().any(|p| !(0.0..=1.0).contains(p)) || (sum - 1.0).abs() > SUM_TOLERANCE {
                return Err((format!("{row:?}"), "probabilities that add up to 1"));
            }
            Ok(row.iter().map(|&p| f64::from(p).ln().max(LOG_SMALLEST)).collect())
        })
    }

    fn new(
        n: usize,
        queries: usize,
        classes: usize,
        values: &[f32],
        logits_of: impl Fn(&[f32]) -> Result<Vec<f64>, (String, &'static str)>,
    ) -> Result<Self> {
        if queries == 0 || classes < 2 {
            let found = format!("{queries} queries and {classes} classes");
            return Err(Error::input(SOURCE, "answers", found, "one query or more and two classes or more"));
        }
        if values.len() != n * queries * classes {
            let expected = format!("{n} samples x {queries} queries x {classes} classes");
            return Err(Error::input(SOURCE, "answers", format!("{} values", values.len()), expected));
        }
        let mut logits = Vec::with_capacity(values.len());
        for (i, row) in values.chunks_exact(classes).enumerate() {
            let place = || format!("answers of sample {}, query {}", i / queries, i % queries);
            if row.iter().any(|value| !value.is_finite()) {
                return Err(Error::input(SOURCE, place(), format!("{row:?}"), "finite numbers"));
            }
            let row =
                logits_of(row).map_err(|(found, expected)| Error::input(SOURCE, place(), found, expected))?;
            logits.extend(row);
        }
        Ok(Self { n, queries, classes, logits })
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.n
    }

    /// Whether there is no sample.
    pub fn is_empty(&self) -> bool {
        self.n == 0
    }

    /// Variants that each sample was asked under, 1 or more.
    pub fn queries(&self) -> usize {
        self.queries
    }

    /// Number of classes, 2 or more.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The answer to a query of a sample whose label is `label`; positions below [`Self::len`], [`Self::queries`] and
    /// [`Self::classes`].
    pub fn answer(&self, sample: usize, query: usize, label: u32) -> Answer<'_> {
        let start = (sample * self.queries + query) * self.classes;
        Answer { logits: &self.logits[start..start + self.classes], label: label as usize }
    }
}

/// What a model said of one query, with the sample's label.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// One logit a class.
    pub logits: &'a [f64],
    /// The sample's class.
    pub label: usize,
}

impl Answer<'_> {
    /// `log p_c - log(1 - p_c)`, as the logit of class `c` against the log-sum-exp of the others, so that nothing cancels.
    pub fn log_odds_of(&self, class: usize) -> f64 {
        let others = || self.logits.iter().enumerate().filter(|(k, _)| *k != class).map(|(_, &z)| z);
        let largest = others().fold(f64::NEG_INFINITY, f64::max);
        let rest: f64 = others().map(|z| (z - largest).exp()).sum();
        self.logits[class] - largest - rest.ln()
    }

    /// The log-odds of the label: the logit scaling phi of Carlini et al. 2022.
    pub fn log_odds(&self) -> f64 {
        self.log_odds_of(self.label)
    }

    /// `log p_y`, minus the cross-entropy; at most 0.
    pub fn log_probability(&self) -> f64 {
        -softplus(-self.log_odds())
    }

    /// Whether the largest logit (the first of several) is the label's.
    pub fn right(&self) -> bool {
        let mut best = 0;
        for (class, logit) in self.logits.iter().enumerate() {
            if *logit > self.logits[best] {
                best = class;
            }
        }
        best == self.label
    }
}

/// `log(1 + exp(x))` without overflow.
pub(super) fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// What one shadow model said, and which candidates it was trained on.
#[derive(Clone, Debug)]
pub struct Shadow {
    /// Its answers on the candidates, in their order.
    pub candidates: Answers,
    /// Whether it was trained on each candidate.
    pub member: Vec<bool>,
    /// Its answers on the population, in its order, if there is one.
    pub population: Option<Answers>,
}

/// Samples of the same distribution that neither the target nor any shadow model was trained on.
#[derive(Clone, Copy, Debug)]
pub struct Population<'a> {
    /// Their classes.
    pub labels: &'a [u32],
    /// What the target said of them.
    pub target: &'a Answers,
}

/// How often the target stayed right when each candidate was asked under noise.
#[derive(Clone, Copy, Debug)]
pub struct NoiseDecisions<'a> {
    /// Noisy copies asked of each candidate, 1 or more.
    pub copies: u32,
    /// Of these, how many the target classified as the candidate's label.
    pub right: &'a [u32],
}

/// Everything that a membership attack may look at. Arrays about candidates are in one order.
///
/// Answers are borrowed, so that every model of a pool can be the target in turn while the rest are its shadows.
#[derive(Clone, Debug)]
pub struct Evidence<'a> {
    /// The candidates' classes.
    pub labels: &'a [u32],
    /// What the target said of the candidates.
    pub target: &'a Answers,
    /// Shadow models; empty for an adversary that trains none.
    pub shadows: Vec<&'a Shadow>,
    /// Samples that are known not to be members, where the adversary has some.
    pub population: Option<Population<'a>>,
    /// Decisions on noisy copies, where they were asked for.
    pub noise: Option<NoiseDecisions<'a>>,
    /// Distance of each candidate to the target's decision boundary, 0 if it is wrong already, infinite if none was found.
    pub boundary: Option<&'a [f64]>,
}

impl<'a> Evidence<'a> {
    /// Evidence on the target alone.
    pub fn new(labels: &'a [u32], target: &'a Answers) -> Self {
        Self { labels, target, shadows: Vec::new(), population: None, noise: None, boundary: None }
    }

    /// Whether all arrays belong together; an error names the one that does not.
    pub fn check(&self) -> Result<()> {
        let classes = self.target.classes;
        check_answers("the target's answers", self.labels, self.target, classes)?;
        for (s, shadow) in self.shadows.iter().enumerate() {
            let place = format!("answers of shadow model {s}");
            check_answers(&place, self.labels, &shadow.candidates, classes)?;
            check_number(&place, "queries", shadow.candidates.queries, self.target.queries)?;
            let place = format!("membership in shadow model {s}");
            check_number(&place, "flags", shadow.member.len(), self.labels.len())?;
        }
        if let Some(population) = &self.population {
            check_answers(
                "the target's answers on the population",
                population.labels,
                population.target,
                classes,
            )?;
            for (s, shadow) in self.shadows.iter().enumerate() {
                let place = format!("answers of shadow model {s} on the population");
                match &shadow.population {
                    Some(answers) => check_answers(&place, population.labels, answers, classes)?,
                    None => return Err(Error::input(SOURCE, place, "none", "answers on every sample of it")),
                }
            }
        }
        self.check_label_only()
    }

    fn check_label_only(&self) -> Result<()> {
        if let Some(noise) = &self.noise {
            check_number("decisions on noisy copies", "counts", noise.right.len(), self.labels.len())?;
            if let Some(right) = noise.right.iter().find(|&&right| right > noise.copies || noise.copies == 0)
            {
                let found = format!("{right} right of {} copies", noise.copies);
                return Err(Error::input(
                    SOURCE,
                    "decisions on noisy copies",
                    found,
                    "a part of one copy or more",
                ));
            }
        }
        if let Some(distances) = self.boundary {
            check_number("distances to the boundary", "numbers", distances.len(), self.labels.len())?;
            if let Some(found) = distances.iter().find(|d| d.is_nan() || **d < 0.0) {
                return Err(Error::input(SOURCE, "distances to the boundary", found, "0 or more"));
            }
        }
        Ok(())
    }

    /// `statistic` of query 0 of every candidate, from one model's answers.
    pub(super) fn statistics(&self, answers: &Answers, statistic: fn(Answer) -> f64) -> Vec<f64> {
        self.labels.iter().enumerate().map(|(i, &label)| statistic(answers.answer(i, 0, label))).collect()
    }

    /// The same evidence about shadow model `s`, attacked with the help of the others; label-only evidence is about the target alone and
    /// is left out.
    pub fn about_shadow(&self, s: usize) -> Self {
        let target = self.shadows[s];
        let others = self.shadows.iter().enumerate().filter(|(k, _)| *k != s).map(|(_, &shadow)| shadow);
        let population = self.population.and_then(|population| {
            Some(Population { labels: population.labels, target: target.population.as_ref()? })
        });
        Self {
            labels: self.labels,
            target: &target.candidates,
            shadows: others.collect(),
            population,
            noise: None,
            boundary: None,
        }
    }
}

/// Whether answers are about as many samples as there are labels, and about the same classes.
fn check_answers(place: &str, labels: &[u32], answers: &Answers, classes: usize) -> Result<()> {
    check_number(place, "samples", answers.n, labels.len())?;
    check_number(place, "classes", answers.classes, classes)?;
    match labels.iter().position(|&label| label as usize >= classes) {
        Some(i) => {
            let found = format!("class {} of sample {i}", labels[i]);
            Err(Error::input(SOURCE, place, found, format!("a class below {classes}")))
        }
        None => Ok(()),
    }
}

fn check_number(place: &str, what: &str, found: usize, expected: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::input(SOURCE, place, format!("{found} {what}"), format!("{expected}")))
}
