//! What an aim asks of a model: of which samples, and what the answer is called.

use super::records::CellRow;
use super::text::Text;

/// Whether an aim concerns every sample; else a share of all samples would count those that are never attacked.
pub(super) fn concerns_all(aim: Option<&str>) -> bool {
    aim.is_none_or(|aim| aim == "any")
}

/// Whether an aim concerns samples of a class: to hide, any but class 0; to raise, class 0; at a target, any other class.
pub(super) fn concerns(aim: Option<&str>, target: Option<u32>, class: u32) -> bool {
    match aim {
        Some("hide") => class != 0,
        Some("raise") => class == 0,
        Some("target") => target != Some(class),
        _ => true,
    }
}

/// Whether an answer keeps what an aim is after: to hide, any finding does, the wrong one too; at a target, any other class. Elsewhere, and of samples
/// that the aim does not concern, the true class alone does.
pub(super) fn keeps(aim: Option<&str>, target: Option<u32>, label: u32, answer: u32) -> bool {
    match aim {
        Some("hide") if label != 0 => answer != 0,
        Some("target") if target != Some(label) => target != Some(answer),
        _ => answer == label,
    }
}

/// The direction of an aim in the names of the classes, since it is by their order alone that 0 is where nothing is found: `hide (alive answered as
/// dead)`. Nothing of `any`, and nothing more than the aim where classes have no names.
pub(crate) fn direction(aim: &str, target: Option<u32>, classes: &[Text]) -> String {
    let name = |class: usize| classes.get(class).map_or(class.to_string(), ToString::to_string);
    let others = || match classes {
        [_, rest @ ..] if rest.len() <= 3 => rest.join(" or "),
        _ => "any other class".to_owned(),
    };
    match (aim, target) {
        ("hide" | "raise", _) if classes.len() < 2 => aim.to_owned(),
        ("hide", _) => format!("hide ({} answered as {})", others(), name(0)),
        ("raise", _) => format!("raise ({} answered as {})", name(0), others()),
        (_, Some(target)) => format!("target {}", name(target as usize)),
        _ => aim.to_owned(),
    }
}

/// What is asked of a cell's samples, in words.
pub(super) fn asked(cell: &CellRow) -> String {
    match (cell.aim.as_deref(), cell.target) {
        (Some("hide"), _) => "sensitivity under attack".into(),
        (Some("raise"), _) => "specificity under attack".into(),
        (Some("target"), Some(target)) => {
            let name = cell.classes.get(target as usize).map_or(target.to_string(), ToString::to_string);
            format!("share not made {name}")
        }
        _ => "robust accuracy".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_direction_is_said_in_the_names_of_the_classes() {
        let names = |all: &[&str]| all.iter().map(|&name| name.into()).collect::<Vec<Text>>();
        let (two, three) = (names(&["dead", "alive"]), names(&["normal", "bacterial", "viral"]));
        let many = names(&["a", "b", "c", "d", "e"]);
        for (aim, target, classes, said) in [
            ("hide", None, &two, "hide (alive answered as dead)"),
            ("raise", None, &two, "raise (dead answered as alive)"),
            ("hide", None, &three, "hide (bacterial or viral answered as normal)"),
            ("raise", None, &many, "raise (a answered as any other class)"),
            ("target", Some(2), &three, "target viral"),
            ("hide", None, &names(&[]), "hide"),
        ] {
            assert_eq!(direction(aim, target, classes), said);
        }
    }
}
