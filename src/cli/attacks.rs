//! `percuss attacks [NAME]`: the registry.

use std::io::Write;

use clap::Args;

use super::print;
use crate::attacks::{self, Attack, Kind, Knowledge, REGISTRY};
use crate::{Error, Result};

/// Arguments of `percuss attacks`.
#[derive(Args, Debug)]
pub struct AttacksCommand {
    /// An attack, by its name or an alias
    pub name: Option<String>,
}

/// Runs it.
///
/// # Errors
/// No attack by that name.
pub fn run(command: &AttacksCommand, out: &mut dyn Write) -> Result<()> {
    let Some(name) = &command.name else { return print(out, &table()) };
    let attack = attacks::find(name).ok_or_else(|| {
        let names: Vec<&str> = REGISTRY.iter().map(|attack| attack.name).collect();
        Error::input("percuss attacks", "NAME", format!("{name:?}"), format!("one of {}", names.join(", ")))
    })?;
    print(out, &page(attack))
}

fn table() -> String {
    let mut text = format!("{:<10} {:<12} {:<14} {}\n", "attack", "knowledge", "norms", "what it does");
    for attack in REGISTRY {
        text += &format!(
            "{:<10} {:<12} {:<14} {}\n",
            attack.name,
            knowledge(attack),
            norms(attack),
            attack.summary
        );
    }
    text
}

fn page(attack: &Attack) -> String {
    let mut text = format!("{}: {}\n", attack.name, attack.summary);
    text += &format!("  paper      {}\n", attack.paper);
    text += &format!("  knowledge  {}\n", knowledge(attack));
    text += &format!("  norms      {}\n", norms(attack));
    text += &format!("  aliases    {}\n", attack.aliases.join(", "));
    text += &format!("  revision   {}\n", attack.revision);
    text += "  parameters\n";
    for parameter in attack.parameters {
        text += &format!("    {} = {}\n", parameter.name, parameter.default);
        text += &format!("        {} {}\n", kind(parameter.kind), parameter.doc);
    }
    text
}

fn norms(attack: &Attack) -> String {
    attack.norms.iter().map(|norm| norm.name()).collect::<Vec<_>>().join(", ")
}

fn knowledge(attack: &Attack) -> &'static str {
    match attack.knowledge {
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
