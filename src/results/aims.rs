//! What an aim asks of a model: of which samples, and what the answer is called.

use super::records::CellRow;

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
