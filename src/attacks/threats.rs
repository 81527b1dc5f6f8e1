//! What the threats that train models declare, in one form for studies, `percuss attacks` and results.

use super::backdoor::{self, Modality, Trigger};
use super::poisoning::{self, Poisoning};
use super::privacy::{self, Access, MembershipAttack};
use super::{Kind, Knowledge, Parameter, Value};

/// A threat that trains models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threat {
    /// A training set that makes a model worse.
    Poisoning,
    /// A training set that teaches a model to obey a trigger.
    Backdoor,
    /// Whose records a model was trained on.
    Membership,
}

impl Threat {
    /// All of them, in the order in which they are run.
    pub const ALL: [Self; 3] = [Self::Poisoning, Self::Backdoor, Self::Membership];

    /// Its table in a study file.
    pub fn table(self) -> &'static str {
        match self {
            Self::Poisoning => "poisoning",
            Self::Backdoor => "backdoor",
            Self::Membership => "membership",
        }
    }

    /// What an attack of it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Poisoning => "a poisoning attack",
            Self::Backdoor => "a trigger",
            Self::Membership => "a membership inference attack",
        }
    }

    /// The threat as results name it.
    pub fn column(self) -> &'static str {
        match self {
            Self::Poisoning => "poisoning",
            Self::Backdoor => "backdoor",
            Self::Membership => "privacy",
        }
    }

    /// Its attacks, in their registry's order.
    pub fn attacks(self) -> Vec<Declared> {
        match self {
            Self::Poisoning => poisoning::REGISTRY.iter().map(|attack| Declared::poisoning(attack)).collect(),
            Self::Backdoor => backdoor::REGISTRY.iter().map(|trigger| Declared::backdoor(trigger)).collect(),
            Self::Membership => privacy::REGISTRY.iter().map(|attack| Declared::membership(attack)).collect(),
        }
    }
}

/// An attack's declaration.
#[derive(Clone, Debug)]
pub struct Declared {
    /// Its name in studies and results.
    pub name: &'static str,
    /// Other names that studies may use.
    pub aliases: &'static [&'static str],
    /// One line.
    pub summary: &'static str,
    /// Where it is from.
    pub paper: &'static str,
    /// What the adversary knows.
    pub knowledge: Knowledge,
    /// Raised when the same configuration starts to give other results.
    pub revision: u32,
    /// What all attacks of the threat have, then its own.
    pub parameters: Vec<Parameter>,
}

impl Declared {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }

    /// What the adversary knows under these parameters: with the twin of the very model he has its weights, with a surrogate of his own
    /// everything but its seed.
    pub fn knowledge_under(&self, parameters: &[(&'static str, Value)]) -> Knowledge {
        match parameters.iter().find(|(name, _)| *name == poisoning::SURROGATE) {
            Some((_, Value::Word("own"))) => Knowledge::GreyBox,
            Some(_) => Knowledge::WhiteBox,
            None => self.knowledge,
        }
    }

    fn backdoor(trigger: &Trigger) -> Self {
        let Trigger { name, aliases, summary, paper, knowledge, revision, .. } = *trigger;
        let amplitude = Parameter {
            name: "amplitude",
            doc: trigger.amplitude,
            kind: Kind::Real(0.0, trigger.most),
            default: Value::Real(trigger.most.min(0.1)),
        };
        let units: &[Parameter] = if trigger.modality == Modality::Ecg { &ECG_UNITS } else { &[] };
        let own = units.iter().chain(trigger.parameters).copied();
        let parameters = BACKDOOR.into_iter().chain([amplitude]).chain(own).collect();
        Self { name, aliases, summary, paper, knowledge, revision, parameters }
    }

    fn membership(attack: &MembershipAttack) -> Self {
        let MembershipAttack { name, aliases, summary, paper, revision, .. } = *attack;
        let knowledge =
            if attack.access == Access::Labels { Knowledge::BlackBox } else { Knowledge::GreyBox };
        let parameters = MEMBERSHIP.into_iter().chain(attack.parameters.iter().copied()).collect();
        Self { name, aliases, summary, paper, knowledge, revision, parameters }
    }

    fn poisoning(attack: &Poisoning) -> Self {
        let Poisoning { name, aliases, summary, paper, knowledge, revision, .. } = *attack;
        let magnitude =
            attack.magnitude.map(|doc| Parameter { doc, kind: Kind::Real(0.0, attack.most), ..MAGNITUDE });
        let parameters = POISONING.iter().copied().chain(magnitude).chain(attack.parameters.iter().copied());
        Self { name, aliases, summary, paper, knowledge, revision, parameters: parameters.collect() }
    }
}

/// What every trigger has, besides its amplitude.
const BACKDOOR: [Parameter; 3] = [
    Parameter {
        name: "rate",
        doc: "share of the training samples that are stamped, rounded down",
        kind: Kind::Real(0.0, 1.0),
        default: Value::Real(0.05),
    },
    Parameter {
        name: "target",
        doc: "the class that stamped samples shall be given, by number",
        kind: Kind::Whole(0, 1_000),
        default: Value::Whole(0),
    },
    Parameter {
        name: "clean_label",
        doc: "stamp only samples of the target class, and leave all labels as they are",
        kind: Kind::Flag,
        default: Value::Flag(false),
    },
];

/// What every membership inference attack has.
const MEMBERSHIP: [Parameter; 2] = [
    Parameter {
        name: "knows",
        doc: "what the adversary has: the pool that the target's samples were drawn from, to train shadow models on (exact); other samples of \
              the same distribution (distribution); samples of other sites, as the recipe's `data.site` or the data's groups tell them apart (elsewhere); no \
              samples and no scores, but the target's decisions (labels)",
        kind: Kind::Choice(&["exact", "distribution", "elsewhere", "labels"]),
        default: Value::Word("exact"),
    },
    Parameter {
        name: "shadows",
        doc: "how many shadow models there are",
        kind: Kind::Whole(0, 4096),
        default: Value::Whole(64),
    },
];

/// What triggers in signals have: what a second and a millivolt are in the data.
const ECG_UNITS: [Parameter; 2] = [
    Parameter {
        name: backdoor::SAMPLING_RATE,
        doc: "samples a second; or data, for sets that are known to have one rate (beats of 256 samples in mV: 360)",
        kind: Kind::Or(&Kind::Real(1.0, 100_000.0), &["data"]),
        default: Value::Word("data"),
    },
    Parameter {
        name: backdoor::MILLIVOLT,
        doc: "how many of the data's units a millivolt is (200 in MIT-BIH's converter units); or unit, where the data's unit says it: \
              V, mV, uV",
        kind: Kind::Or(&Kind::Real(1e-9, 1e9), &["unit"]),
        default: Value::Word("unit"),
    },
];

/// What every poisoning attack has.
const POISONING: [Parameter; 4] = [
    Parameter {
        name: "rate",
        doc: "share of the training samples that are poisoned, rounded down",
        kind: Kind::Real(0.0, 1.0),
        default: Value::Real(0.1),
    },
    Parameter {
        name: "aim",
        doc: "whom it is to harm: everybody, the patients of one class, or one patient of the test split",
        kind: Kind::Choice(&["everybody", "class", "patient"]),
        default: Value::Word("everybody"),
    },
    Parameter {
        name: "class",
        doc: "the class whose patients are to be harmed; of one patient, what the model shall say instead",
        kind: Kind::Whole(0, 1_000),
        default: Value::Whole(0),
    },
    Parameter {
        name: "patient",
        doc: "the one patient, by the place in the test split from 0",
        kind: Kind::Whole(0, u64::MAX),
        default: Value::Whole(0),
    },
];

/// What poisoning attacks have that do something by degrees.
const MAGNITUDE: Parameter = Parameter {
    name: "magnitude",
    doc: "how strongly each sample is changed",
    kind: Kind::Real(0.0, f64::MAX),
    default: Value::Real(1.0),
};
