//! Attacks: what one declares, and the ordered registry of all of them.
//!
//! `percuss attacks`, the study file's schema and its validation are generated from [`REGISTRY`]. A new attack is one file under
//! its threat's folder, one line here, and one row in the parity tests.

pub mod backdoor;
pub(crate) mod chosen;
pub mod columns;
pub mod evasion;
pub mod poisoning;
pub mod privacy;
pub mod threats;

use std::fmt;

/// Every attack, in the order in which it is listed.
pub static REGISTRY: &[&Attack] = &[
    &evasion::fgsm::FGSM,
    &evasion::bim::BIM,
    &evasion::pgd::PGD,
    &evasion::mifgsm::MI_FGSM,
    &evasion::hotflip::HOTFLIP,
];

/// What the adversary knows of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// Weights and gradients.
    WhiteBox,
    /// Scores of chosen inputs; of a model that is yet to be trained, how it will be but for the seed.
    GreyBox,
    /// Decisions of chosen inputs.
    BlackBox,
}

impl Knowledge {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::WhiteBox => "white",
            Self::GreyBox => "grey",
            Self::BlackBox => "black",
        }
    }
}

/// How a perturbation is measured, in the data's scaled units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Norm {
    /// Largest change of any feature.
    Linf,
    /// Euclidean length.
    L2,
    /// Sum of absolute changes.
    L1,
    /// Number of words that changed, of an input of tokens.
    Tokens,
}

impl Norm {
    /// Its name in studies and results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linf => "linf",
            Self::L2 => "l2",
            Self::L1 => "l1",
            Self::Tokens => "tokens",
        }
    }

    /// All of them.
    pub const ALL: [Self; 4] = [Self::Linf, Self::L2, Self::L1, Self::Tokens];

    /// The norm called `name`, as other tools write it, too: `Linf`, `inf`, `l_inf`, `L2`, `2`.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.to_lowercase().replace(['_', '-', ' '], "");
        let bare = |norm: &Self| norm.name().strip_prefix('l').is_some_and(|bare| bare == name);
        match name.as_str() {
            "linfinity" | "infinity" | "l∞" | "∞" | "max" | "chebyshev" => Some(Self::Linf),
            "euclidean" => Some(Self::L2),
            "manhattan" => Some(Self::L1),
            "words" => Some(Self::Tokens),
            _ => Self::ALL.into_iter().find(|norm| norm.name() == name || bare(norm)),
        }
    }
}

/// What values a parameter takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A whole number in this range, inclusive.
    Whole(u64, u64),
    /// A real number in this range, inclusive.
    Real(f64, f64),
    /// `true` or `false`.
    Flag,
    /// One of these words.
    Choice(&'static [&'static str]),
    /// A value of this kind, or one of these words.
    Or(&'static Kind, &'static [&'static str]),
    /// A step size: an absolute number in the data's units or a fraction such as `"2/255"`, `{ abs = NUMBER }`, or `{ rel = NUMBER }` times
    /// eps. Positive.
    StepSize,
}

/// A parameter's value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// A whole number.
    Whole(u64),
    /// A real number.
    Real(f64),
    /// A flag.
    Flag(bool),
    /// A word, from the parameter's own list.
    Word(&'static str),
    /// A step size as a multiple of eps.
    Relative(f64),
    /// A step size in the data's units.
    Absolute(f64),
    /// A step size by which the steps cross the ball, see [`evasion::crossing`].
    Crossing,
    /// A step size as the fraction of two numbers, of which the data's range makes units.
    Fraction(f64, f64),
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Self::Whole(value) => write!(f, "{value}"),
            Self::Real(value) => write!(f, "{value}"),
            Self::Flag(value) => write!(f, "{value}"),
            Self::Word(value) => f.write_str(value),
            Self::Relative(value) => write!(f, "{{ rel = {value} }}"),
            Self::Absolute(value) => write!(f, "{value}"),
            Self::Crossing => f.write_str("{ rel = 2.5 / steps }, at least { rel = 0.1 }"),
            Self::Fraction(over, under) => write!(f, "\"{over}/{under}\""),
        }
    }
}

/// A hyper-parameter of an attack.
#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    /// Its key in a study file.
    pub name: &'static str,
    /// One line for `percuss attacks NAME`.
    pub doc: &'static str,
    /// Type and range.
    pub kind: Kind,
    /// Used where the study says nothing.
    pub default: Value,
}

/// The value of each parameter, by name.
pub type Chosen<'a> = &'a dyn Fn(&str) -> Value;

/// An attack's declaration.
#[derive(Debug)]
pub struct Attack {
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
    /// The norms it supports.
    pub norms: &'static [Norm],
    /// Its hyper-parameters.
    pub parameters: &'static [Parameter],
    /// Whether seeds change nothing under these parameters (so that a study's seeds do not multiply it).
    pub deterministic: fn(Chosen) -> bool,
    /// From an iterate and the loss's gradient there to the next candidate, before projection.
    pub step: evasion::Step,
    /// The number of steps under these parameters.
    pub steps: fn(Chosen) -> u64,
    /// The step size under these parameters.
    pub step_size: fn(Chosen) -> Value,
}

impl Attack {
    /// The parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&'static Parameter> {
        self.parameters.iter().find(|parameter| parameter.name == name)
    }
}

/// Whether `written` is this name or one of its aliases, whatever the case, with `-` or `_` between words.
pub fn is_called(written: &str, name: &str, aliases: &[&str]) -> bool {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let written = plain(written);
    std::iter::once(&name).chain(aliases).any(|known| plain(known) == written)
}

/// The attack called `name`, by its name or an alias.
pub fn find(name: &str) -> Option<&'static Attack> {
    REGISTRY.iter().copied().find(|attack| is_called(name, attack.name, attack.aliases))
}
