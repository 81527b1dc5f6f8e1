//! `percuss plan`: what a study asks for, before anything runs.

mod estimate;
mod text;
mod training;
mod warnings;

use std::collections::BTreeMap;
use std::path::Path;

use super::doubts;
use super::engine::Engine;
use super::grid::{Grid, Outputs};
use super::leaks;
use super::load;
use super::prepare::named;
use super::resolution;
use super::resolve::{ResolvedSubject, answered, check_expectation, thresholds};
use super::study::{Aim, Study};
use super::subject::{Subject as Answered, clean_logits};
use crate::data::{Dataset, Labels};
use crate::models::Model;
use crate::results::Text;
use crate::results::aims::direction;
use crate::{Error, Result};

pub use estimate::{Totals, UnitLine};
pub(crate) use text::grouped;
pub use training::Training;

/// Seconds that a plan takes at most for a model's clean answers on a data set.
const ANSWERING: f64 = 30.0;

/// A study multiplied out, with what is known of its models and data.
#[derive(Debug)]
pub struct Plan {
    /// The study's name.
    pub study: String,
    /// The cells.
    pub grid: Grid,
    /// Each model of the study on each of its data sets.
    pub subjects: Vec<Subject>,
    /// Sums over all cells.
    pub totals: Totals,
    /// What the threats that train models ask for, if the study has any.
    pub training: Option<Training>,
    /// Budgets in the data's and the model's units.
    pub units: Vec<UnitLine>,
    /// What the user should know before starting.
    pub warnings: Vec<String>,
    /// What was read, for each model and data set.
    pub data: Vec<String>,
    /// What a sweep would refuse, where it was looked for: the first of it.
    pub refusal: Option<Error>,
}

/// What the plan knows of a model on a data set; what could not be loaded is absent, and the warnings say why.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The model's position in the study.
    pub model: usize,
    /// The data set's position in the study.
    pub data: usize,
    /// What the model's outputs are.
    pub outputs: Option<Outputs>,
    /// What is known of the samples.
    pub samples: Option<Samples>,
    /// Floating-point operations of one gradient of one sample.
    pub gradient_flops: Option<u64>,
    /// What a step costs on the device, if it was measured.
    pub step: Option<StepCost>,
    /// Factor from the data's unit to the model's input, smallest and largest over the features.
    pub to_model_units: Option<[f64; 2]>,
}

/// What one attack step costs on a device.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCost {
    /// Seconds for each gradient, with every worker busy.
    pub seconds: f64,
    /// Bytes of all workers' lanes and of the model's weights, which each layout of them holds once.
    pub bytes: u64,
}

/// What the plan keeps of a data set.
#[derive(Clone, Debug)]
pub struct Samples {
    /// How many.
    pub n: usize,
    /// How many have class (or, a finding: absent, present) `k`, for each decision; one entry for a single decision.
    pub class_counts: Vec<Vec<u64>>,
    /// Number of groups, if any are declared.
    pub groups: Option<usize>,
    /// The data's unit.
    pub unit: String,
    /// Made by a generator.
    pub synthetic: bool,
    /// Length of the widest range of values in budget units, for linf, l2 and l1.
    pub span: [f64; 3],
    /// Of each input the step between neighbouring values of quantised data, in units of eps.
    pub resolution: Vec<(std::ops::Range<usize>, Option<f64>)>,
    /// Values in one sample.
    pub sample_len: usize,
    /// What was read, in a few lines.
    pub description: Vec<String>,
}

impl Plan {
    /// Plans a study. A model or data set that does not load is a warning, so that a study can be planned where its data are not.
    ///
    /// # Errors
    /// A target class that a model does not have; a grid that is empty or too large.
    pub fn new(study: &Study, data_dir: Option<&Path>) -> Result<Self> {
        let mut loading = Loading::default();
        let (subjects, _) = subjects(study, data_dir, None, &mut loading);
        Self::with_subjects(study, subjects, loading.warnings)
    }

    /// As [`Plan::new`], measures a step of every model and recipe on `engine`'s device, for a tenth of a second each, and asks everything that
    /// a sweep asks before its first lane: what it would refuse is the plan's `refusal`.
    ///
    /// # Errors
    /// As [`Plan::new`]; what is wrong with the first model, data set or recipe, where none of them loads.
    pub fn measured(study: &Study, data_dir: Option<&Path>, engine: &Engine) -> Result<Self> {
        let mut loading = Loading::default();
        let (subjects, resolved) = subjects(study, data_dir, Some(engine), &mut loading);
        let mut plan = Self::with_subjects(study, subjects, Vec::new())?;
        let whole = loading.failure.is_none();
        let looked_at = |subject: &&ResolvedSubject| !subject.metrics.is_empty();
        loading.holds(
            resolved.iter().filter(looked_at).try_for_each(|subject| check_expectation(study, subject)),
        );
        if whole {
            loading.holds(named(study, &resolved).map(|_| ()));
        }
        if let Some(training) = &mut plan.training {
            training.measure(study, data_dir, engine, &mut loading);
        }
        loading.warnings.append(&mut plan.warnings);
        plan.warnings = loading.warnings;
        match loading.failure {
            Some(error) if !loading.any => Err(error),
            failure => Ok(Self { refusal: failure, ..plan }),
        }
    }

    /// Plans a study of which `subjects` is known; `warnings` come first.
    ///
    /// # Errors
    /// As [`Plan::new`].
    pub fn with_subjects(study: &Study, subjects: Vec<Subject>, mut warnings: Vec<String>) -> Result<Self> {
        let find = |model, data| subjects.iter().find(|s| s.model == model && s.data == data);
        let grid = Grid::new(study, |model, data| find(model, data).and_then(|s| s.outputs.clone()))?;
        let training = Training::of(study)?;
        let totals = estimate::totals(&grid, &subjects);
        let units = estimate::units(study, &grid, &subjects);
        warnings.extend(warnings::of(study, &grid, &subjects));
        let data = subjects.iter().flat_map(|subject| {
            let heading = format!("{} for {}", study.data[subject.data].id, study.models[subject.model].id);
            let described = subject.samples.as_ref().map(|samples| samples.description.as_slice());
            let aims = aims(&grid, subject);
            described.into_iter().flat_map(move |lines| {
                let lines = lines.iter().cloned().chain(aims.clone()).map(|line| format!("  {line}"));
                std::iter::once(heading.clone()).chain(lines)
            })
        });
        let data = data.collect();
        Ok(Self {
            study: study.name.clone(),
            grid,
            subjects,
            totals,
            training,
            units,
            warnings,
            data,
            refusal: None,
        })
    }
}

/// The aims of a subject's cells in the names of its classes, but for `any`.
fn aims(grid: &Grid, subject: &Subject) -> Vec<String> {
    let names = subject.outputs.as_ref().map_or(Vec::new(), |outputs| outputs.decision().0);
    let names: Vec<Text> = names.into_iter().map(Text::from).collect();
    let own = grid.cells.iter().filter(|cell| (cell.model, cell.data) == (subject.model, subject.data));
    let mut aims: Vec<String> = Vec::new();
    for cell in own.filter(|cell| cell.aim != Aim::Any) {
        let aim = format!("aim {}", direction(cell.aim.name(), cell.target, &names));
        if !aims.contains(&aim) {
            aims.push(aim);
        }
    }
    aims
}

/// What came of loading models, data and recipes.
#[derive(Debug, Default)]
struct Loading {
    /// What the user should know of it.
    warnings: Vec<String>,
    /// Whether a model loaded with one of its data sets, or a recipe with its data.
    any: bool,
    /// How many of the warnings are about what a sweep would refuse; they come first.
    refused: usize,
    /// The first of that.
    failure: Option<Error>,
}

impl Loading {
    /// Something that does not load: the rest is planned, as long as anything does.
    fn failed(&mut self, what: &str, error: Error) {
        self.refused(format!("{what} does not load: {error}"), error);
    }

    /// A check of what is loaded.
    fn holds(&mut self, checked: Result<()>) {
        if let Err(error) = checked {
            self.refused(format!("a sweep refuses this: {error}"), error);
        }
    }

    /// Puts what a sweep would refuse before everything else that there is to say.
    fn refused(&mut self, text: String, error: Error) {
        let before = self.refused;
        self.warnings.insert(before, text);
        self.refused += 1;
        self.failure.get_or_insert(error);
    }
}

fn subjects(
    study: &Study,
    data_dir: Option<&Path>,
    engine: Option<&Engine>,
    loading: &mut Loading,
) -> (Vec<Subject>, Vec<ResolvedSubject>) {
    let (mut subjects, mut resolved) = (Vec::new(), Vec::new());
    for (position, entry) in study.models.iter().enumerate() {
        let model = load::model(study, position)
            .map_err(|error| loading.failed(&format!("model {}", entry.id), error))
            .ok();
        if let Some(ending) = model.as_ref().and_then(Model::kept_ending) {
            loading.warnings.push(format!(
                "model {} ends in a {}, through which gradients vanish where it is sure: output = \"probabilities\" takes it off",
                entry.id,
                ending.name()
            ));
        }
        let flops = model.as_ref().and_then(|model| estimate::gradient_flops(model).ok());
        let step = engine.zip(model.as_ref()).and_then(|(engine, model)| {
            let cost = estimate::step_cost(model, study.precision, engine);
            let untimed = |error| format!("model {} could not be timed: {error}", entry.id);
            cost.map_err(|error| loading.warnings.push(untimed(error))).ok()
        });
        for &data in &entry.data {
            let mut subject = Subject {
                model: position,
                data,
                outputs: None,
                samples: None,
                gradient_flops: flops,
                step,
                to_model_units: None,
            };
            if let Some(model) = &model {
                let opened = load::data(study, data, position, model, data_dir);
                match opened.and_then(|data| Ok((load::fitted(study, position, model, &data)?, data))) {
                    Ok((fitted, mut dataset)) => {
                        let id = &study.data[data].id;
                        let leak = leaks::with_train(study, data, position, &fitted, &dataset, data_dir);
                        dataset.remarks.extend(leak);
                        loading.any = true;
                        loading
                            .warnings
                            .extend(dataset.remarks.iter().map(|remark| format!("data {id}: {remark}")));
                        subject.learn(&fitted, &dataset);
                        if let Some(engine) = engine {
                            let known = Known { model: position, data, step, data_dir };
                            match known.answered(study, fitted, dataset, engine, loading) {
                                Ok(answered) => resolved.push(answered),
                                Err(error) => loading.holds(Err(error)),
                            }
                        }
                    }
                    Err(error) => {
                        loading.failed(&format!("data {}", study.data[data].id), error);
                        // Class names may be the data set's, and are unknown then.
                        let named = model.config.names_all_classes();
                        subject.outputs = named.then(|| Outputs::of(&model.config, None));
                    }
                }
            }
            subjects.push(subject);
        }
    }
    (subjects, resolved)
}

/// A model on a data set of a study, and what a step costs it.
struct Known<'a> {
    model: usize,
    data: usize,
    step: Option<StepCost>,
    data_dir: Option<&'a Path>,
}

impl Known<'_> {
    /// The model's clean answers, where they take no longer than a plan should; else none, and the user is told.
    fn answered(
        &self,
        study: &Study,
        model: Model,
        data: Dataset,
        engine: &Engine,
        loading: &mut Loading,
    ) -> Result<ResolvedSubject> {
        let (m, d) = (self.model, self.data);
        // A forward pass is about a third of a gradient.
        let seconds = self.step.map_or(0.0, |step| step.seconds * data.len() as f64 / 3.0);
        let pair = format!("model {} on {}", study.models[m].id, study.data[d].id);
        if seconds <= ANSWERING {
            let told = data.remarks.len();
            let answered = answered(study, [m, d], model, data, &engine.device, self.data_dir)?;
            let new = answered.subject.data.remarks.iter().skip(told).cloned();
            let doubts = new.chain(doubts::of_all_answers(&answered.subject));
            loading.warnings.extend(doubts.map(|remark| format!("{pair}: {remark}")));
            return Ok(answered);
        }
        loading.warnings.push(format!(
            "{pair}: its clean answers take about {seconds:.0} s and are not all looked at here; percuss eval checks expect and thresholds"
        ));
        if study.models[m].operating_point.is_none() {
            // As many samples, evenly taken, as a third of the time allows.
            let some = (data.len() as f64 * ANSWERING / (3.0 * seconds)).max(1.0) as usize;
            let some: Vec<usize> = (0..data.len()).step_by(data.len().div_ceil(some)).collect();
            let part = data.subset(&some)?;
            let clean = clean_logits(&model, &part, &engine.device)?;
            let mut subject = Answered { model: model.clone(), data: part, clean, thresholds: Vec::new() };
            subject.thresholds = thresholds(study, [m, d], &subject, &engine.device, self.data_dir)?;
            let doubts = doubts::of_all_answers(&subject).into_iter();
            let (n, all) = (some.len(), data.len());
            loading.warnings.extend(doubts.map(|remark| format!("{pair}, {n} of {all} samples: {remark}")));
        }
        let subject = Answered { model, data, clean: Vec::new(), thresholds: Vec::new() };
        Ok(ResolvedSubject { model: m, data: d, subject, metrics: BTreeMap::new() })
    }
}

impl Subject {
    fn learn(&mut self, model: &Model, data: &Dataset) {
        let classes = Outputs::of(&model.config, Some(data));
        let domain = &data.domain;
        let (mut widest, mut squares, mut sum) = (0.0f64, 0.0f64, 0.0f64);
        for i in 0..data.sample_len() {
            let at = |values: &[f32]| f64::from(if values.len() == 1 { values[0] } else { values[i] });
            let span = (at(&domain.high) - at(&domain.low)) / at(&domain.scale);
            widest = widest.max(span);
            squares += span * span;
            sum += span;
        }
        self.samples = Some(Samples {
            n: data.len(),
            class_counts: class_counts(&data.labels, classes.count.max(2), data.classes.len()),
            groups: data
                .group
                .as_ref()
                .map(|groups| groups.iter().collect::<std::collections::HashSet<_>>().len()),
            unit: data.unit.clone(),
            synthetic: data.synthetic,
            span: [widest, squares.sqrt(), sum],
            resolution: resolution::steps(data, &classes.inputs),
            sample_len: data.sample_len(),
            description: data.describe(),
        });
        self.to_model_units = Some(estimate::to_model_units(model, data));
        self.outputs = Some(classes);
    }
}

/// Samples of each class; of findings, absent and present for each.
fn class_counts(labels: &Labels, classes: usize, findings: usize) -> Vec<Vec<u64>> {
    match labels {
        Labels::Class(labels) => {
            let mut counts = vec![0; classes];
            labels
                .iter()
                .filter(|&&label| (label as usize) < classes)
                .for_each(|&label| counts[label as usize] += 1);
            vec![counts]
        }
        Labels::Findings(labels) => (0..findings)
            .map(|finding| {
                let own = || labels.iter().skip(finding).step_by(findings);
                let count = |wanted: u8| own().filter(|&&label| label == wanted).count() as u64;
                vec![count(0), count(1)]
            })
            .collect(),
    }
}
