//! Membership cells: a target trained on a random half of its pool, and an adversary who says of every sample of the pool whether the
//! target learnt from it.

use std::collections::BTreeMap;

use super::asking::{classes_of, varied};
use super::knowledge::{Knowledge, halved, shadow_lessons};
use super::membership_rows::{Report, right};
use super::shadows::Half;
use super::{Class, School, Taker, TrainedCell};
use crate::attacks::privacy::{self, Asks, Evidence, MembershipAttack, NoiseDecisions, Population, Shadow};
use crate::data::Dataset;
use crate::results::Text;
use crate::statistics::roc::Roc;
use crate::sweep::rows::{Rows, named_groups};
use crate::{Error, Result};

/// What cells must have in common to share shadow models, targets and what those were asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Setting {
    knowledge: Knowledge,
    /// The recipe of the shadow models.
    shadow_recipe: usize,
    shadows: u64,
    queries: u64,
}

impl Setting {
    fn of(cell: &TrainedCell) -> Self {
        let shadow_recipe = cell.shadow_recipe.as_ref().map_or(cell.recipe, |(position, _)| *position);
        let (shadows, queries) = (cell.whole("shadows"), cell.whole("queries").max(1));
        Self { knowledge: cell.knows(), shadow_recipe, shadows, queries }
    }
}

/// A target with what it said.
struct Target {
    half: Half,
    /// Told as of a shadow model.
    said: Shadow,
}

/// What the attacks of one setting on one recipe share.
pub(super) struct Ground {
    /// What models are asked about: the train split.
    pub(super) candidates: Dataset,
    /// Of those the candidates that the target may have learnt from, whom results are about.
    pub(super) pool: Vec<usize>,
    pub(super) labels: Vec<u32>,
    pub(super) groups: Option<Vec<Text>>,
    population_labels: Vec<u32>,
    shadows: Vec<Shadow>,
    targets: BTreeMap<u64, Target>,
}

/// What a target's decisions alone told: asked once for a target and the attack's settings.
#[derive(Default)]
struct LabelOnly {
    right: BTreeMap<String, Vec<u32>>,
    distances: BTreeMap<String, Vec<f64>>,
}

impl Class<'_> {
    /// Runs the membership cells at these positions: setting by setting, so that models are trained and asked once.
    pub(super) fn infer_members(&self, cells: &[usize], taker: &mut Taker) -> Result<()> {
        let mut by_setting: BTreeMap<Setting, Vec<usize>> = BTreeMap::new();
        for &i in cells {
            by_setting.entry(Setting::of(&self.all.cells[i])).or_default().push(i);
        }
        let mut label_only = LabelOnly::default();
        for (setting, cells) in by_setting {
            let ground = self.ground(setting, &cells)?;
            let thresholds = self.thresholds(&ground, &cells)?;
            for &i in &cells {
                self.ask_decisions(i, &ground, &mut label_only)?;
            }
            // Some at a time, so that what is finished is put away while there is more to do.
            for some in cells.chunks(4 * self.workshop.threads.max(1)) {
                let made = self.each(some.len(), |k| {
                    let cell = &self.all.cells[some[k]];
                    self.inferred(some[k], &ground, thresholds[&without_seed(cell)], &label_only)
                })?;
                some.iter().zip(made).try_for_each(|(&i, rows)| taker(i, rows))?;
            }
        }
        Ok(())
    }

    fn ground(&self, setting: Setting, cells: &[usize]) -> Result<Ground> {
        let pools = setting.knowledge.pools(self.school)?;
        let candidates = self.school.prepared.splits.train.clone();
        let labels = classes_of(&candidates)?;
        let (varied, queries) = (varied(&candidates, setting.queries as usize), setting.queries as usize);
        let adversary = Class { school: self.shadow_school(setting.shadow_recipe), ..*self };
        let halves = adversary.halves(shadow_lessons(&pools.shadows, setting.shadows))?;
        let shadows = self.asked(&halves, &varied, queries)?;
        let mut seeds: Vec<u64> = cells.iter().map(|&i| self.all.cells[i].seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        let lessons = seeds.iter().map(|&seed| (seed, halved(&pools.target, seed, "target"))).collect();
        let halves = self.halves(lessons)?;
        let said = self.asked(&halves, &varied, queries)?;
        let targets = halves.into_iter().zip(said).map(|(half, said)| Target { half, said });
        let targets = seeds.into_iter().zip(targets).collect();
        let groups = named_groups(&candidates, self.all.out)?;
        let population_labels = classes_of(&self.school.test)?;
        Ok(Ground { candidates, pool: pools.target, labels, groups, population_labels, shadows, targets })
    }

    fn shadow_school(&self, recipe: usize) -> &School {
        let found = self.all.schools.iter().find(|school| school.recipe == recipe);
        found.unwrap_or(self.school)
    }

    /// The threshold that each configuration takes from the shadow models; it depends on no target.
    fn thresholds(&self, ground: &Ground, cells: &[usize]) -> Result<BTreeMap<String, Option<f64>>> {
        let mut first: BTreeMap<String, usize> = BTreeMap::new();
        for &i in cells {
            first.entry(without_seed(&self.all.cells[i])).or_insert(i);
        }
        let cells: Vec<usize> = first.values().copied().collect();
        let found = self.each(cells.len(), |k| {
            let cell = &self.all.cells[cells[k]];
            let target = &ground.targets[&cell.seed];
            attack_of(cell).transferred_threshold(&ground.evidence(target), &|name| cell.get(name))
        })?;
        Ok(first.into_keys().zip(found).collect())
    }

    /// Asks the target for decisions, where a cell's attack needs some and they were not asked for yet.
    fn ask_decisions(&self, i: usize, ground: &Ground, known: &mut LabelOnly) -> Result<()> {
        let cell = &self.all.cells[i];
        let (key, model) = (settings_of(cell), &ground.targets[&cell.seed].half.model);
        match attack_of(cell).asks {
            Asks::NoisyCopies if !known.right.contains_key(&key) => {
                let settings = (cell.seed, cell.real("noise"), cell.whole("copies"));
                let right = self.right_under_noise(model, &ground.pool, settings)?;
                known.right.insert(key, right);
            }
            Asks::Boundary if !known.distances.contains_key(&key) => {
                let queries = cell.whole("decisions") as usize;
                let distances = self.distances(model, &ground.pool, cell.seed, queries)?;
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
        let target = &ground.targets[&cell.seed];
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
        let mut row = self.row(i);
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

impl Ground {
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
