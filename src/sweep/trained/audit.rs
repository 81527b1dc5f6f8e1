//! Membership inference on a model of the study: its members and others as data, shadow models by a recipe.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use sha2::{Digest, Sha256};

use super::asking::classes_of;
use super::cell::Target;
use super::knowledge::{Knowledge, Pools};
use super::{School, TrainedCell};
use crate::Result;
use crate::data::{self, Dataset};
use crate::models::{Config, Head, Model, hex};
use crate::results::Text;
use crate::sweep::load;
use crate::sweep::study::{Given, Study};

/// A sample's values and class, hashed: what tells that two are the same.
type Content = [u8; 32];

/// A model that is there, and whom its adversary asks about.
#[derive(Debug)]
pub struct Audit {
    /// Which of the study's models and data.
    pub given: Given,
    /// The target.
    pub model: Model,
    /// Members and others as the target reads them, by their index.
    pub candidates: Dataset,
    /// Whether the target learnt from each candidate.
    pub member: Vec<bool>,
    /// Samples that no model learns from, as the target reads them.
    pub population: Option<Dataset>,
    /// Candidates of the same values and class that are among members and others: nobody can be right about both.
    pub on_both_sides: usize,
    /// SHA-256 of the target and of everybody that it is asked about.
    pub sha256: String,
    /// The same people as the shadow models of a recipe read them, by its position in the study.
    views: BTreeMap<usize, View>,
}

/// Candidates and population as the models of a recipe read them.
#[derive(Debug)]
struct View {
    candidates: Dataset,
    population: Option<Dataset>,
    /// For each candidate the training samples of the recipe that are the same.
    same: Vec<Vec<usize>>,
}

impl Audit {
    /// All targets that are given, each once, with the shadow models' recipes that cells ask for.
    ///
    /// # Errors
    /// As [`Audit::open`].
    pub fn all(
        study: &Study,
        cells: &[TrainedCell],
        schools: &[School],
        data_dir: Option<&Path>,
    ) -> Result<Vec<Self>> {
        let mut recipes: BTreeMap<Given, BTreeSet<usize>> = BTreeMap::new();
        for cell in cells {
            if let Target::Given(given) = cell.target {
                recipes.entry(given).or_default().extend(cell.shadows_by());
            }
        }
        let open = |(given, recipes): (&Given, &BTreeSet<usize>)| {
            let own: Vec<&School> =
                schools.iter().filter(|school| recipes.contains(&school.recipe)).collect();
            Self::open(study, *given, &own, data_dir)
        };
        recipes.iter().map(open).collect()
    }

    /// Opens a target with its data, once for itself and once for each recipe of its shadow models.
    ///
    /// # Errors
    /// A model or data that do not load or fit; more than one finding a sample; members and others of different shape; a recipe whose models
    /// read other samples or decide between other classes.
    pub fn open(study: &Study, given: Given, schools: &[&School], data_dir: Option<&Path>) -> Result<Self> {
        let model = load::model(study, given.model)?;
        let open = |data: usize| load::data(study, data, given.model, &model, data_dir);
        let (candidates, member) = joined(study, &open(given.members)?, &open(given.nonmembers)?)?;
        let population = given.population.map(open).transpose()?;
        let model = load::fitted(study, given.model, &model, &candidates)?;
        let contents = contents(&candidates)?;
        let inside: BTreeSet<&Content> = of(&contents, &member, true).collect();
        let on_both_sides = of(&contents, &member, false).filter(|content| inside.contains(content)).count();
        let mut hash = Sha256::new();
        for part in [model.sha256.as_str(), &candidates.sha256, &candidates.sample_set_sha256()] {
            hash.update(part.as_bytes());
        }
        hash.update(member.iter().map(|&member| u8::from(member)).collect::<Vec<u8>>());
        hash.update(population.as_ref().map(Dataset::sample_set_sha256).unwrap_or_default().as_bytes());
        let sha256 = hex(&hash.finalize());
        let views = BTreeMap::new();
        let mut audit = Self { given, model, candidates, member, population, on_both_sides, sha256, views };
        for school in schools {
            let view = audit.view(study, school, data_dir)?;
            audit.views.insert(school.recipe, view);
        }
        Ok(audit)
    }

    /// What the user should know before starting.
    pub fn warning(&self, study: &Study) -> Option<String> {
        let (id, count) = (&study.models[self.given.model].id, self.on_both_sides);
        let text = format!(
            "model {id}: {count} samples are among members and nonmembers: nobody can be right about both"
        );
        (count > 0).then_some(text)
    }

    /// Flags of every cell.
    pub(super) fn flags(&self) -> Vec<Text> {
        let both = (self.on_both_sides > 0).then(|| Text::from("members-among-others"));
        both.into_iter().collect()
    }

    /// The target as its data name it: `members / nonmembers`.
    pub(super) fn data_name(&self, study: &Study) -> String {
        format!("{} / {}", study.data[self.given.members].id, study.data[self.given.nonmembers].id)
    }

    /// Candidates and population as the models of a recipe read them.
    pub(super) fn people(&self, recipe: usize) -> (&Dataset, Option<&Dataset>) {
        match self.views.get(&recipe) {
            Some(view) => (&view.candidates, view.population.as_ref()),
            None => (&self.candidates, self.population.as_ref()),
        }
    }

    /// Whether a shadow model of a recipe, which learnt from the training samples at `samples` (ascending), learnt from each candidate.
    pub(super) fn shadow_members(&self, recipe: usize, samples: &[usize]) -> Vec<bool> {
        let Some(view) = self.views.get(&recipe) else { return vec![false; self.candidates.len()] };
        let learnt = |same: &Vec<usize>| same.iter().any(|at| samples.binary_search(at).is_ok());
        view.same.iter().map(learnt).collect()
    }

    /// All candidates, and what shadow models may learn from: of the recipe's training samples all (exact), or those that are no candidates
    /// (distribution).
    ///
    /// # Errors
    /// Exact knowledge by a recipe that does not have every candidate; a recipe that has nobody but candidates.
    pub(super) fn pools(
        &self,
        study: &Study,
        knowledge: Knowledge,
        school: Option<&School>,
    ) -> Result<Pools> {
        let target: Vec<usize> = (0..self.candidates.len()).collect();
        let Some((school, view)) = school.and_then(|school| Some((school, self.views.get(&school.recipe)?)))
        else {
            return Ok(Pools { target, shadows: Vec::new() });
        };
        let all = 0..school.prepared.splits.train.len();
        let error = |found: String, expected: &str| {
            Err(study.error(
                "membership.knows",
                found,
                format!("{expected} (recipe {})", study.recipes[school.recipe].id),
            ))
        };
        if knowledge == Knowledge::Exact {
            let missing = view.same.iter().filter(|same| same.is_empty()).count();
            if missing > 0 {
                let found = format!(
                    "\"exact\", with {missing} of {} candidates not among the recipe's training samples",
                    target.len()
                );
                return error(
                    found,
                    "knows = \"distribution\" (lira and rmia then with mode = \"offline\"), or a recipe whose training samples hold all candidates",
                );
            }
            return Ok(Pools { target, shadows: all.collect() });
        }
        let candidates: BTreeSet<usize> = view.same.iter().flatten().copied().collect();
        let shadows: Vec<usize> = all.filter(|at| !candidates.contains(at)).collect();
        if shadows.len() < 2 {
            let found =
                format!("\"distribution\", with {} training samples that are no candidates", shadows.len());
            return error(found, "knows = \"exact\", or a recipe with other samples, too");
        }
        Ok(Pools { target, shadows })
    }

    /// The same people as the models of `school` read them.
    fn view(&self, study: &Study, school: &School, data_dir: Option<&Path>) -> Result<View> {
        let train = &school.prepared.splits.train;
        let open = |position: usize, own: Option<&Dataset>| -> Result<Dataset> {
            let mut request = study.data[position].request.clone();
            request.data_dir = data_dir.map(Path::to_path_buf);
            let config = &school.prepared.config;
            if !config.class_names.is_empty() {
                request.classes.clone_from(&config.class_names);
                request.classes_of_data = false;
            }
            request.outputs = Some(load::outputs(config));
            request.images.shape = Some(config.values_shape());
            let dataset = data::open(&request, school.prepared.splits.preprocess.as_ref())?;
            // What both read alike has the same variants, too.
            Ok(own.filter(|own| own.values == dataset.values).cloned().unwrap_or(dataset))
        };
        let (members, others) = (open(self.given.members, None)?, open(self.given.nonmembers, None)?);
        let (candidates, _) = joined(study, &members, &others)?;
        let candidates =
            if candidates.values == self.candidates.values { self.candidates.clone() } else { candidates };
        let population = self.given.population.map(|at| open(at, self.population.as_ref())).transpose()?;
        let recipe = &study.recipes[school.recipe].id;
        let misfit =
            |found: String, expected: String| Err(study.error(format!("recipe {recipe}"), found, expected));
        if candidates.shape != train.shape {
            return misfit(
                format!("training samples of shape {:?}", train.shape),
                format!("{:?}, as the members of the target have", candidates.shape),
            );
        }
        if candidates.index != self.candidates.index
            || classes_of(&candidates)? != classes_of(&self.candidates)?
        {
            return misfit(
                "other rows or classes of the same data".into(),
                "preprocessing and class names as the target has them".into(),
            );
        }
        let (own, theirs) = (decided(&school.prepared.config), decided(&self.model.config));
        if own != theirs {
            return misfit(format!("models of {own} classes"), format!("{theirs}, as the target has"));
        }
        let mut places: HashMap<Content, Vec<usize>> = HashMap::new();
        for (at, content) in contents(train)?.into_iter().enumerate() {
            places.entry(content).or_default().push(at);
        }
        let theirs = contents(&candidates)?;
        let same = theirs.iter().map(|content| places.get(content).cloned().unwrap_or_default());
        Ok(View { same: same.collect(), candidates, population })
    }
}

/// Classes that a model decides between.
fn decided(config: &Config) -> usize {
    match config.head {
        Head::Sigmoid if config.classes() == 1 => 2,
        _ => config.classes(),
    }
}

/// Members and others as one data set, by index, with who is a member.
fn joined(study: &Study, members: &Dataset, others: &Dataset) -> Result<(Dataset, Vec<bool>)> {
    if (&members.shape, &members.unit) != (&others.shape, &others.unit) {
        let about = |data: &Dataset| format!("samples of shape {:?} in {}", data.shape, data.unit);
        return Err(study.error(
            "membership.nonmembers",
            about(others),
            format!("{}, as the members are", about(members)),
        ));
    }
    let (inside, outside) = (classes_of(members)?, classes_of(others)?);
    let mut order: Vec<(u64, bool, usize)> = Vec::with_capacity(members.len() + others.len());
    order.extend(members.index.iter().enumerate().map(|(at, &index)| (index, true, at)));
    order.extend(others.index.iter().enumerate().map(|(at, &index)| (index, false, at)));
    order.sort_unstable();
    let from = |member: bool| if member { members } else { others };
    let group = |&(_, member, at): &(u64, bool, usize)| Some(from(member).group.as_ref()?[at].clone());
    let label = |&(_, member, at): &(u64, bool, usize)| if member { inside[at] } else { outside[at] };
    let values = order.iter().flat_map(|&(_, member, at)| from(member).sample(at).iter().copied()).collect();
    let both =
        |own: &str, theirs: &str| if own == theirs { own.to_string() } else { format!("{own} / {theirs}") };
    let dataset = Dataset {
        name: both(&members.name, &others.name),
        split: both(&members.split, &others.split),
        sha256: both(&members.sha256, &others.sha256),
        synthetic: members.synthetic || others.synthetic,
        labels: data::Labels::Class(order.iter().map(label).collect()),
        classes: [members, others]
            .map(|data| &data.classes)
            .into_iter()
            .max_by_key(|names| names.len())
            .cloned()
            .unwrap_or_default(),
        group: order.iter().map(group).collect(),
        index: order.iter().map(|(index, ..)| *index).collect(),
        subgroups: BTreeMap::new(),
        values,
        ..members.subset(&[])?
    };
    Ok((dataset, order.iter().map(|(_, member, _)| *member).collect()))
}

/// The contents of candidates that are members, or not.
fn of<'c>(contents: &'c [Content], member: &'c [bool], wanted: bool) -> impl Iterator<Item = &'c Content> {
    contents.iter().zip(member).filter(move |(_, member)| **member == wanted).map(|(content, _)| content)
}

fn contents(data: &Dataset) -> Result<Vec<Content>> {
    let labels = classes_of(data)?;
    let one = |(at, label): (usize, &u32)| {
        let mut hash = Sha256::new();
        hash.update(label.to_le_bytes());
        data.sample(at).iter().for_each(|value| hash.update(value.to_bits().to_le_bytes()));
        hash.finalize().into()
    };
    Ok(labels.iter().enumerate().map(one).collect())
}
