//! Membership cells: a target trained on a random half of its pool, and an adversary who says of every sample of the pool whether the
//! target learnt from it.

use std::collections::BTreeMap;
use std::path::Path;

use super::asking::{Inquiry, classes_of, each, varied};
use super::knowledge::{Knowledge, halved, shadow_lessons};
use super::membership_rows::{Report, right};
use super::shadows::Half;
use super::{Audit, Class, Taker, Trained, TrainedCell};
use crate::attacks::privacy::{self, Asks, Evidence, MembershipAttack, NoiseDecisions, Population, Shadow};
use crate::data::Dataset;
use crate::models::Model;
use crate::results::Text;
use crate::statistics::roc::Roc;
use crate::sweep::rows::{Provenance, Rows, named_groups};
use crate::training::Workshop;
use crate::{Error, Result};

/// What cells must have in common to share shadow models, targets and what those were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    knowledge: Knowledge,
    /// The recipe of the shadow models, if there are any.
    shadow_recipe: Option<usize>,
    shadows: u64,
    queries: u64,
}

impl Setting {
    fn of(cell: &TrainedCell) -> Self {
        let (shadows, queries) = (cell.whole("shadows"), cell.whole("queries").max(1));
        Self { knowledge: cell.knows(), shadow_recipe: cell.shadows_by(), shadows, queries }
    }
}

/// A target with what it said.
struct Target {
    model: Model,
    /// Told as of a shadow model.
    said: Shadow,
}

/// What the attacks of one setting share.
pub(super) struct Ground<'a> {
    /// What the targets are asked about.
    pub(super) candidates: &'a Dataset,
    /// Of those the candidates that a target may have learnt from, whom results are about.
    pub(super) pool: Vec<usize>,
    pub(super) labels: Vec<u32>,
    pub(super) groups: Option<Vec<Text>>,
    /// Samples that no model learnt from.
    population: Option<&'a Dataset>,
    population_labels: Vec<u32>,
    shadows: Vec<Shadow>,
    targets: Vec<Target>,
    /// Which target a seed has; a given target is that of all seeds.
    of_seed: BTreeMap<u64, usize>,
}

/// What a target's decisions alone told: asked once for a target and the attack's settings.
#[derive(Default)]
struct LabelOnly {
    right: BTreeMap<String, Vec<u32>>,
    distances: BTreeMap<String, Vec<f64>>,
}

impl Class<'_> {
    /// Runs the membership cells at these positions on targets that the recipe trains.
    pub(super) fn infer_members(&self, cells: &[usize], taker: &mut Taker) -> Result<()> {
        let Self { all, workshop, provenance, .. } = *self;
        let inference = Inference { all, workshop, provenance };
        inference.run(cells, &|setting, cells| self.ground(setting, cells), taker)
    }

    fn ground(&self, setting: Setting, cells: &[usize]) -> Result<Ground<'_>> {
        let pools = setting.knowledge.pools(self.school)?;
        let (candidates, population) = (&self.school.prepared.splits.train, Some(&self.school.test));
        let inquiry = Inquiry { workshop: self.workshop, candidates, population };
        let (varied, queries) = (varied(candidates, setting.queries as usize), setting.queries as usize);
        let asked = |halves: &[Half]| {
            let models: Vec<(&Model, Vec<bool>)> =
                halves.iter().map(|half| (&half.model, half.members(candidates.len()))).collect();
            inquiry.asked(&models, &varied, queries)
        };
        let teacher = setting.shadow_recipe.and_then(|recipe| self.all.school(recipe)).unwrap_or(self.school);
        let adversary = Class { school: teacher, ..*self };
        let shadows = asked(&adversary.halves(shadow_lessons(&pools.shadows, setting.shadows))?)?;
        let mut seeds: Vec<u64> = cells.iter().map(|&i| self.all.cells[i].seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let lessons = seeds.iter().map(|&seed| (seed, halved(&pools.target, seed, "target"))).collect();
        let halves = self.halves(lessons)?;
        let said = asked(&halves)?;
        let targets = halves.into_iter().zip(said).map(|(half, said)| Target { model: half.model, said });
        let (targets, of_seed) = (targets.collect(), seeds.into_iter().zip(0..).collect());
        let about = Ground::about(candidates, population, pools.target, self.all.out)?;
        Ok(Ground { shadows, targets, of_seed, ..about })
    }
}

impl Trained<'_> {
    /// Runs the membership cells at these positions on a target that is given.
    pub(super) fn infer_given(
        &self,
        audit: &Audit,
        cells: &[usize],
        workshop: &Workshop,
        provenance: &Provenance,
        taker: &mut Taker,
    ) -> Result<()> {
        let inference = Inference { all: *self, workshop, provenance };
        inference.run(cells, &|setting, _| inference.given_ground(audit, setting), taker)
    }
}

/// What membership cells are run by.
#[derive(Clone, Copy)]
struct Inference<'a> {
    all: Trained<'a>,
    workshop: &'a Workshop<'a>,
    provenance: &'a Provenance,
}

impl<'a> Inference<'a> {
    /// Runs cells setting by setting, so that models are trained and asked once.
    fn run<'g>(
        &self,
        cells: &[usize],
        ground: &dyn Fn(Setting, &[usize]) -> Result<Ground<'g>>,
        taker: &mut Taker,
    ) -> Result<()> {
        let mut by_setting: BTreeMap<Setting, Vec<usize>> = BTreeMap::new();
        for &i in cells {
            by_setting.entry(Setting::of(&self.all.cells[i])).or_default().push(i);
        }
        let mut label_only = LabelOnly::default();
        for (setting, cells) in by_setting {
            let ground = ground(setting, &cells)?;
            let thresholds = self.thresholds(&ground, &cells)?;
            for &i in &cells {
                self.ask_decisions(i, &ground, &mut label_only)?;
            }
            // Some at a time, so that what is finished is put away while there is more to do.
            for some in cells.chunks(4 * self.workshop.threads.max(1)) {
                let made = each(self.workshop, some.len(), |k| {
                    let cell = &self.all.cells[some[k]];
                    self.inferred(some[k], &ground, thresholds[&without_seed(cell)], &label_only)
                })?;
                some.iter().zip(made).try_for_each(|(&i, rows)| taker(i, rows))?;
            }
        }
        Ok(())
    }

    /// A given target with its shadow models, each asked about the candidates as it reads them.
    fn given_ground<'g>(&self, audit: &'g Audit, setting: Setting) -> Result<Ground<'g>> {
        let school = setting.shadow_recipe.and_then(|recipe| self.all.school(recipe));
        let pools = audit.pools(self.all.study, setting.knowledge, school)?;
        let queries = setting.queries as usize;
        let asked = |(candidates, population): (&Dataset, Option<&Dataset>),
                     models: &[(&Model, Vec<bool>)]| {
            let inquiry = Inquiry { workshop: self.workshop, candidates, population };
            inquiry.asked(models, &varied(candidates, queries), queries)
        };
        let shadows = match school {
            Some(school) if setting.shadows > 0 => {
                let Self { all, workshop, provenance } = *self;
                let adversary = Class { all, school, privacy: None, workshop, provenance };
                let halves = adversary.halves(shadow_lessons(&pools.shadows, setting.shadows))?;
                let member = |half: &Half| audit.shadow_members(school.recipe, &half.samples);
                let models: Vec<(&Model, Vec<bool>)> =
                    halves.iter().map(|half| (&half.model, member(half))).collect();
                asked(audit.people(school.recipe), &models)?
            }
            _ => Vec::new(),
        };
        let (candidates, population) = (&audit.candidates, audit.population.as_ref());
        let said = asked((candidates, population), &[(&audit.model, audit.member.clone())])?;
        let targets = said.into_iter().map(|said| Target { model: audit.model.clone(), said }).collect();
        Ok(Ground { shadows, targets, ..Ground::about(candidates, population, pools.target, self.all.out)? })
    }

    /// The threshold that each configuration takes from the shadow models; it depends on no target.
    fn thresholds(&self, ground: &Ground, cells: &[usize]) -> Result<BTreeMap<String, Option<f64>>> {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for &i in cells {
            first.entry(without_seed(&self.all.cells[i])).or_insert(i);
        }
        let cells: Vec<usize> = first.values().copied().collect();
        let found = each(self.workshop, cells.len(), |k| {
            let cell = &self.all.cells[cells[k]];
            let target = ground.target(cell.seed);
            attack_of(cell).transferred_threshold(&ground.evidence(target), &|name| cell.get(name))
        })?;
        Ok(first.into_keys().zip(found).collect())
    }

    /// Asks the target for decisions, where a cell's attack needs some and they were not asked for yet.
    fn ask_decisions(&self, i: usize, ground: &Ground, known: &mut LabelOnly) -> Result<()> {
        let cell = &self.all.cells[i];
        let (key, model) = (settings_of(cell), &ground.target(cell.seed).model);
        let Ground { candidates, population, .. } = *ground;
        let inquiry = Inquiry { workshop: self.workshop, candidates, population };
        match attack_of(cell).asks {
            Asks::NoisyCopies if !known.right.contains_key(&key) => {
                let settings = (cell.seed, cell.real("noise"), cell.whole("copies"));
                let right = inquiry.right_under_noise(model, &ground.pool, settings)?;
                known.right.insert(key, right);
            }
            Asks::Boundary if !known.distances.contains_key(&key) => {
                let queries = cell.whole("decisions") as usize;
                let distances = inquiry.distances(model, &ground.pool, cell.seed, queries)?;
                known.distances.insert(key, distances);
            }
            _ => {}
        }
        Ok(())
    }

    fn inferred(
        &self,
        i: usize,
        ground: &Ground,
        transferred: Option<f64>,
        label_only: &LabelOnly,
    ) -> Result<Rows> {
        let cell = &self.all.cells[i];
        let target = ground.target(cell.seed);
        let (key, copies) = (settings_of(cell), cell.whole("copies") as u32);
        let right_under_noise = label_only.right.get(&key);
        let evidence = Evidence {
            noise: right_under_noise.map(|right| NoiseDecisions { copies, right }),
            boundary: label_only.distances.get(&key).map(Vec::as_slice),
            ..ground.evidence(target)
        };
        let scores = attack_of(cell).score(&evidence, &|name| cell.get(name))?;
        let scores: Vec<f64> = ground.pool.iter().map(|&i| scores[i]).collect();
        let member: Vec<bool> = ground.pool.iter().map(|&i| target.said.member[i]).collect();
        let roc = Roc::new(&scores, &member)
            .ok_or_else(|| Error::Failed(format!("{}: no ROC of members and others", cell.kind)))?;
        let (id, target) = (&self.all.ids[i], &target.said);
        let said = &target.candidates;
        let report =
            Report { id, ground, target: said, scores: &scores, member: &member, roc: &roc, transferred };
        let samples = report.samples();
        let mut row = self.all.row(i, self.provenance);
        row.split = ground.candidates.split.as_str().into();
        row.n = samples.len() as u64;
        row.n_attacked = row.n;
        row.n_success = samples.iter().filter(|sample| sample.success == Some(true)).count() as u64;
        row.attack_success_rate = Some(row.n_success as f64 / row.n.max(1) as f64);
        row.clean_accuracy =
            target.population.as_ref().map(|answers| right(answers, &ground.population_labels));
        row.threshold = report.threshold().filter(|threshold| threshold.is_finite());
        Ok(Rows { cell: row, metrics: report.metrics(), samples })
    }
}

impl<'g> Ground<'g> {
    /// Whom it is about; no model was asked yet.
    fn about(
        candidates: &'g Dataset,
        population: Option<&'g Dataset>,
        pool: Vec<usize>,
        out: &Path,
    ) -> Result<Self> {
        Ok(Self {
            candidates,
            pool,
            labels: classes_of(candidates)?,
            groups: named_groups(candidates, out)?,
            population,
            population_labels: population.map_or(Ok(Vec::new()), classes_of)?,
            shadows: Vec::new(),
            targets: Vec::new(),
            of_seed: BTreeMap::new(),
        })
    }

    /// The target of a seed.
    fn target(&self, seed: u64) -> &Target {
        &self.targets[self.of_seed.get(&seed).copied().unwrap_or(0)]
    }

    /// What an adversary of this knowledge holds of a target, decisions on noisy copies and distances aside.
    fn evidence<'a>(&'a self, target: &'a Target) -> Evidence<'a> {
        let population = target.said.population.as_ref();
        Evidence {
            shadows: self.shadows.iter().collect(),
            population: population.map(|said| Population { labels: &self.population_labels, target: said }),
            ..Evidence::new(&self.labels, &target.said.candidates)
        }
    }
}

fn attack_of(cell: &TrainedCell) -> &'static MembershipAttack {
    let Some(attack) = privacy::find(cell.kind) else { unreachable!("a cell's attack is registered") };
    attack
}

/// A configuration, whatever its seed.
fn without_seed(cell: &TrainedCell) -> String {
    format!("{} {:?}", cell.kind, cell.parameters)
}

/// What decides the answers of a cell's target to a label-only attack.
fn settings_of(cell: &TrainedCell) -> String {
    let own = ["noise", "copies", "decisions"].map(|name| cell.parameter(name));
    format!("{} {} {:?} {own:?}", cell.kind, cell.seed, cell.knows().targets())
}
