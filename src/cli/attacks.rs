//! `percuss attacks [NAME]`: the registries.

use std::io::Write;

use clap::Args;

use super::print;
use crate::attacks::threats::{Declared, Threat};
use crate::attacks::{self, Attack, Kind, Knowledge, Parameter, REGISTRY, is_called};
use crate::defenses::{self, DETECTORS, Detector};
use crate::spelling::one_of;
use crate::{Error, Result};

/// Arguments of `percuss attacks`.
#[derive(Args, Debug)]
pub struct AttacksCommand {
    /// An attack or a detector, by its name or an alias
    pub name: Option<String>,
}

/// Runs it.
///
/// # Errors
/// No attack by that name.
pub fn run(command: &AttacksCommand, out: &mut dyn Write) -> Result<()> {
    let Some(name) = &command.name else { return print(out, &(table() + &trained_tables() + &detectors())) };
    if let Some(attack) = attacks::find(name) {
        return print(out, &page(attack));
    }
    if let Some(detector) = defenses::find(name) {
        return print(out, &detector_page(detector));
    }
    let trained = Threat::ALL.into_iter().find_map(|threat| {
        let named = |attack: &Declared| is_called(name, attack.name, attack.aliases);
        Some((threat, threat.attacks().into_iter().find(named)?))
    });
    let (threat, attack) = trained.ok_or_else(|| unknown(name))?;
    print(out, &trained_page(threat, &attack))
}

fn unknown(name: &str) -> Error {
    let of_threats = Threat::ALL.into_iter().flat_map(Threat::attacks).map(|attack| attack.name);
    let names = REGISTRY.iter().map(|attack| attack.name).chain(of_threats);
    let names: Vec<&str> = names.chain(DETECTORS.iter().map(|detector| detector.name)).collect();
    Error::input("percuss attacks", "NAME", format!("{name:?}"), one_of(&names, name))
}

/// The attacks that train models, threat by threat.
fn trained_tables() -> String {
    let mut text = String::new();
    for threat in Threat::ALL {
        text += &format!("\n{:<18} {:<12} {}\n", threat.table(), "knowledge", "what it does");
        for attack in threat.attacks() {
            let knowledge = shown(attack.knowledge);
            text += &format!("{:<18} {knowledge:<12} {}\n", attack.name, attack.summary);
        }
    }
    text
}

fn trained_page(threat: Threat, attack: &Declared) -> String {
    let mut text = format!("{}: {}\n", attack.name, attack.summary);
    text += &format!("  threat     {}, [[{}]] in a study\n", threat.name(), threat.table());
    text += &format!("  paper      {}\n", attack.paper);
    text += &format!("  knowledge  {}\n", shown(attack.knowledge));
    text += &format!("  aliases    {}\n", attack.aliases.join(", "));
    text += &format!("  revision   {}\n", attack.revision);
    text + &parameters(&attack.parameters)
}

/// What looks for backdoors.
fn detectors() -> String {
    let mut text = format!("\n{:<23} {}\n", "defense, of backdoors", "what it does");
    for detector in DETECTORS {
        text += &format!("{:<23} {}\n", detector.name, detector.summary);
    }
    text
}

fn detector_page(detector: &Detector) -> String {
    let mut text = format!("{}: {}\n", detector.name, detector.summary);
    text += "  threat     a detector of backdoors, the kind of a [[defense]] in a study\n";
    text += &format!("  paper      {}\n", detector.paper);
    text += &format!("  needs      {}\n", detector.needs);
    text += &format!("  aliases    {}\n", detector.aliases.join(", "));
    text += &format!("  revision   {}\n", detector.revision);
    text + &parameters(detector.parameters)
}

fn table() -> String {
    let mut text = format!("{:<10} {:<12} {:<14} {}\n", "attack", "knowledge", "norms", "what it does");
    for attack in REGISTRY {
        text += &format!(
            "{:<10} {:<12} {:<14} {}\n",
            attack.name,
            shown(attack.knowledge),
            norms(attack),
            attack.summary
        );
    }
    text
}

fn page(attack: &Attack) -> String {
    let mut text = format!("{}: {}\n", attack.name, attack.summary);
    text += &format!("  paper      {}\n", attack.paper);
    text += &format!("  knowledge  {}\n", shown(attack.knowledge));
    text += &format!("  norms      {}\n", norms(attack));
    text += &format!("  aliases    {}\n", attack.aliases.join(", "));
    text += &format!("  revision   {}\n", attack.revision);
    text + &parameters(attack.parameters)
}

fn parameters(all: &[Parameter]) -> String {
    let mut text = String::from("  parameters\n");
    for parameter in all {
        text += &format!("    {} = {}\n", parameter.name, parameter.default);
        text += &format!("        {} {}\n", kind(parameter.kind), parameter.doc);
    }
    text
}

fn norms(attack: &Attack) -> String {
    attack.norms.iter().map(|norm| norm.name()).collect::<Vec<_>>().join(", ")
}

fn shown(knowledge: Knowledge) -> &'static str {
    match knowledge {
        Knowledge::WhiteBox => "white box",
        Knowledge::GreyBox => "grey box",
        Knowledge::BlackBox => "black box",
    }
}

fn kind(kind: Kind) -> String {
    match kind {
        Kind::Whole(low, high) => format!("A whole number from {low} to {high}."),
        Kind::Real(low, high) => format!("A number from {low} to {high}."),
        Kind::Flag => "true or false.".into(),
        Kind::Choice(words) => format!("One of {}.", words.join(", ")),
        Kind::Or(other, words) => {
            format!("{} Or {}.", self::kind(*other), words.join(", "))
        }
        Kind::StepSize => "A positive number, { abs = NUMBER } or { rel = NUMBER }.".into(),
    }
}
