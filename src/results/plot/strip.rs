//! The strip below a panel: a row a class or subgroup, with what is right when clean and under attack, from 0 to 1.

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

use super::{Area, FAINT, GREY, INK, PANEL, SIDES, SMALL, TICK, anchored, fitted, font};
use crate::results::breakdown::{Breakdown, Group};

/// Height of the strip's heading, and of a row of it, in pixels.
const HEADING: u32 = 26;
const ROW: u32 = 18;
/// Room for the names of groups, in pixels.
const NAMES: u32 = 150;

/// Pixels that a strip takes.
pub(super) fn height(breakdown: &Breakdown) -> u32 {
    HEADING + breakdown.groups.len() as u32 * ROW + 24
}

/// Draws a strip over all of `area`.
pub(super) fn draw(area: &Area, breakdown: &Breakdown) -> Result<(), Box<dyn std::error::Error>> {
    let (left, right) = (SIDES.0 as i32, (PANEL.0 - SIDES.1) as i32);
    let about = format!("by group: under {} (filled), clean (open)", breakdown.about);
    let about = fitted(&about, SMALL, PANEL.0 - SIDES.0 - SIDES.1);
    area.draw(&Text::new(about, (left, 4), font(SMALL, &GREY)))?;
    let from = left + NAMES as i32;
    let x = |share: f64| from + (share * f64::from(right - 6 - from)).round() as i32;
    let below = (HEADING + breakdown.groups.len() as u32 * ROW) as i32;
    for share in [0.0, 0.5, 1.0] {
        area.draw(&PathElement::new([(x(share), HEADING as i32), (x(share), below)], FAINT))?;
        let style = anchored(font(TICK, &INK), HPos::Center, VPos::Top);
        area.draw(&Text::new(format!("{share:.1}"), (x(share), below + 2), style))?;
    }
    for (i, group) in breakdown.groups.iter().enumerate() {
        let y = (HEADING + i as u32 * ROW + ROW / 2) as i32;
        draw_group(area, group, [left, y], &x)?;
    }
    if breakdown.left_out > 0 {
        let text = format!("and {} more: see metrics", breakdown.left_out);
        area.draw(&Text::new(text, (left, below + 2), font(TICK, &GREY)))?;
    }
    Ok(())
}

fn draw_group(
    area: &Area,
    group: &Group,
    [left, y]: [i32; 2],
    x: &dyn Fn(f64) -> i32,
) -> Result<(), Box<dyn std::error::Error>> {
    let name = fitted(&format!("{} ({})", group.name, group.n), TICK, NAMES - 8);
    let style = anchored(font(TICK, &INK), HPos::Left, VPos::Center);
    area.draw(&Text::new(name, (left, y), style))?;
    if let Some((low, high)) = group.interval {
        area.draw(&PathElement::new([(x(low), y), (x(high), y)], GREY.stroke_width(2)))?;
    }
    if let Some(clean) = group.clean {
        area.draw(&Circle::new((x(clean), y), 4, WHITE.filled()))?;
        area.draw(&Circle::new((x(clean), y), 4, INK.stroke_width(1)))?;
    }
    if let Some(robust) = group.robust {
        area.draw(&Circle::new((x(robust), y), 4, INK.filled()))?;
    }
    Ok(())
}
