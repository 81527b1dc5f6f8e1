//! Robustness curves as one SVG: a panel a model, data set and norm, a line an attack, bands for the intervals; below it its classes
//! and subgroups.

mod strip;

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, label, shown};
use super::breakdown::Breakdown;
use super::overview::Overview;
use super::panels::{Line, Panel, Subject};
use super::records::{CurveRow, MetricRow};
use crate::{Error, Result};

/// Colours that people with any colour vision tell apart (Okabe and Ito 2008), black and yellow left out.
const PALETTE: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];
const INK: RGBColor = RGBColor(34, 34, 34);
const GREY: RGBColor = RGBColor(110, 110, 110);
const FAINT: RGBColor = RGBColor(228, 228, 228);
/// Size of a panel in pixels.
const PANEL: (u32, u32) = (480, 340);
/// Room left and right of a panel's axes, in pixels.
const SIDES: (u32, u32) = (62, 18);
/// Height of one row of the legend, and of the title above it.
const LEGEND_ROW: u32 = 24;
const TITLE: u32 = 46;
/// Font sizes as plotters takes them: an em is size / 1.24 pixels.
const BIG: u32 = 22;
const HEADING: u32 = 17;
const SMALL: u32 = 14;
const TICK: u32 = 13;
/// Mean width of a character over the font size; generous, since no font is measured.
const CHARACTER: f64 = 0.44;
/// Width of the line of the worst case, which shows on both sides of an attack's own line above it.
const WORST: u32 = 6;
const FONT: &str = "Helvetica, Arial, DejaVu Sans, sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The robustness curves of the cells, with the worst case over attacks where `curves` has it, as an SVG document;
/// `None` where no cell has a budget. `metrics` are those of [`shown_cells`](super::table::shown_cells) at least.
///
/// An attack is shown by its strongest configuration at each budget; where it ran with several seeds the line is their
/// mean and small dots are the seeds. Bands are the 95% intervals of the cells. Budgets stand on a logarithmic axis
/// where their ladder is nearer to geometric than to arithmetic. Below a panel stand its classes and subgroups, at one budget of the
/// strongest attack.
///
/// # Errors
/// [`Error::Failed`] where the picture cannot be drawn.
pub fn robustness_svg(
    title: &str,
    overview: &Overview,
    curves: &[CurveRow],
    metrics: &[MetricRow],
) -> Result<Option<String>> {
    let panels = overview.panels(curves);
    if panels.is_empty() {
        return Ok(None);
    }
    let breakdowns: Vec<_> = panels.iter().map(|panel| Breakdown::of(panel, metrics)).collect();
    let mut svg = String::new();
    draw(&mut svg, title, &panels, &breakdowns)
        .map_err(|e| Error::Failed(format!("drawing the robustness curves: {e}")))?;
    Ok(Some(svg))
}

/// [`robustness_svg`], written to a file; whether there was anything to draw. If not, an older picture goes.
pub fn write_robustness_svg(
    path: &Path,
    title: &str,
    overview: &Overview,
    curves: &[CurveRow],
    metrics: &[MetricRow],
) -> Result<bool> {
    let Some(svg) = robustness_svg(title, overview, curves, metrics)? else {
        // A picture of cells that are no more would be believed.
        return match std::fs::remove_file(path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::io(path)(e)),
            _ => Ok(false),
        };
    };
    std::fs::write(path, svg).map_err(Error::io(path))?;
    Ok(true)
}

fn font<'a>(size: u32, colour: &RGBColor) -> TextStyle<'a> {
    (FONT, size).into_font().color(colour)
}

fn anchored<'a>(style: TextStyle<'a>, h: HPos, v: VPos) -> TextStyle<'a> {
    style.pos(Pos::new(h, v))
}

/// `text`, shortened to about `width` pixels.
fn fitted(text: &str, size: u32, width: u32) -> String {
    let room = (f64::from(width) / (f64::from(size) * CHARACTER)) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    text.chars().take(room.saturating_sub(1)).chain(['…']).collect()
}

/// A panel's title in about `width` pixels: names may be shortened, but never that data are synthetic.
fn heading(subject: &Subject, synthetic: bool, size: u32, width: u32) -> String {
    let whole = subject.title(synthetic);
    let name = subject.title(false);
    let rest = whole.strip_prefix(name.as_str()).unwrap_or("").to_owned();
    let room = (rest.chars().count() as f64 * f64::from(size) * CHARACTER).ceil() as u32;
    fitted(&name, size, width.saturating_sub(room)) + &rest
}

/// Where panels stand: subjects downwards, their norms to the right; a lone norm lets subjects stand side by side.
fn grid(panels: &[Panel]) -> (Vec<(u32, u32)>, (u32, u32)) {
    let rows: Vec<&[Panel]> = panels.chunk_by(|a, b| a.subject == b.subject).collect();
    let widest = rows.iter().map(|row| row.len()).max().unwrap_or(1);
    if widest == 1 {
        let columns = panels.len().min(if panels.len() == 4 { 2 } else { 3 });
        let place = |i: usize| ((i % columns) as u32, (i / columns) as u32);
        return (
            (0..panels.len()).map(place).collect(),
            (columns as u32, panels.len().div_ceil(columns) as u32),
        );
    }
    let mut places = Vec::new();
    for (y, row) in rows.iter().enumerate() {
        places.extend((0..row.len()).map(|x| (x as u32, y as u32)));
    }
    (places, (widest as u32, rows.len() as u32))
}

fn draw(
    svg: &mut String,
    title: &str,
    panels: &[Panel],
    breakdowns: &[Option<Breakdown>],
) -> Result<(), Box<dyn std::error::Error>> {
    let (places, (columns, rows)) = grid(panels);
    // Strips of one row of panels are of one height.
    let mut strips = vec![0; rows as usize];
    for (breakdown, (_, y)) in breakdowns.iter().zip(&places) {
        let needed = breakdown.as_ref().map_or(0, strip::height);
        strips[*y as usize] = needed.max(strips[*y as usize]);
    }
    let top = |y: u32| y * PANEL.1 + strips[..y as usize].iter().sum::<u32>();
    let width = (columns * PANEL.0 + 20).max(560);
    let mut attacks: Vec<&str> = panels.iter().flat_map(|p| &p.lines).map(|l| l.attack.as_str()).collect();
    attacks.sort_unstable();
    attacks.dedup();
    let entries = legend(&attacks, panels, width);
    let header = TITLE + LEGEND_ROW * entries.last().map_or(1, |e| e.row + 1) + 8;
    let root = SVGBackend::with_string(svg, (width, header + top(rows) + 8)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(fitted(title, BIG, width - 40), (20, 14), font(BIG, &INK)))?;
    for entry in &entries {
        draw_entry(&root, entry)?;
    }
    for ((panel, breakdown), (x, y)) in panels.iter().zip(breakdowns).zip(places) {
        let (left, above) = (10 + (x * PANEL.0) as i32, (header + top(y)) as i32);
        draw_panel(&root.clone().shrink((left, above), PANEL), panel, &attacks)?;
        if let Some(breakdown) = breakdown {
            let corner = (left, above + PANEL.1 as i32);
            strip::draw(&root.clone().shrink(corner, (PANEL.0, strip::height(breakdown))), breakdown)?;
        }
    }
    root.present()?;
    Ok(())
}

/// What an entry of the legend shows.
#[derive(Clone, Copy)]
enum Mark {
    Attack(usize),
    Worst,
    Clean,
    Interval,
}

struct Entry {
    mark: Mark,
    text: String,
    x: i32,
    row: u32,
}

/// The legend's entries, flowing into as many rows as they need.
fn legend(attacks: &[&str], panels: &[Panel], width: u32) -> Vec<Entry> {
    let mut wanted: Vec<(Mark, String)> =
        attacks.iter().enumerate().map(|(i, attack)| (Mark::Attack(i), (*attack).to_owned())).collect();
    if panels.iter().any(|panel| !panel.worst.is_empty()) && attacks.len() > 1 {
        wanted.push((Mark::Worst, "worst case over attacks and seeds".to_owned()));
    }
    let clean = if panels.iter().all(Panel::concerns_all) { "clean accuracy" } else { "without attack" };
    wanted.push((Mark::Clean, clean.to_owned()));
    wanted.push((Mark::Interval, "95% interval".to_owned()));
    let (mut x, mut row) = (20, 0);
    wanted
        .into_iter()
        .map(|(mark, text)| {
            let needed = 34 + (text.chars().count() as f64 * f64::from(SMALL) * CHARACTER) as i32 + 22;
            if x > 20 && x + needed > width as i32 {
                (x, row) = (20, row + 1);
            }
            let entry = Entry { mark, text, x, row };
            x += needed;
            entry
        })
        .collect()
}

fn draw_entry(root: &Area, entry: &Entry) -> Result<(), Box<dyn std::error::Error>> {
    let y = (TITLE + entry.row * LEGEND_ROW + LEGEND_ROW / 2) as i32;
    let ends = [(entry.x, y), (entry.x + 28, y)];
    match entry.mark {
        Mark::Attack(i) => {
            root.draw(&PathElement::new(ends, colour(i).stroke_width(2)))?;
            draw_marker(root, (entry.x + 14, y), i)?;
        }
        Mark::Worst => root.draw(&PathElement::new(ends, INK.stroke_width(WORST)))?,
        Mark::Interval => {
            root.draw(&Rectangle::new([(entry.x, y - 6), (entry.x + 28, y + 6)], GREY.mix(0.3).filled()))?
        }
        Mark::Clean => dashed(root, ends[0], ends[1])?,
    }
    let style = anchored(font(SMALL, &INK), HPos::Left, VPos::Center);
    root.draw(&Text::new(entry.text.clone(), (entry.x + 34, y), style))?;
    Ok(())
}

fn colour(attack: usize) -> RGBColor {
    PALETTE[attack % PALETTE.len()]
}

/// A horizontal dashed grey line.
fn dashed(area: &Area, from: (i32, i32), to: (i32, i32)) -> Result<(), Box<dyn std::error::Error>> {
    for x in (from.0..to.0).step_by(8) {
        area.draw(&PathElement::new([(x, from.1), ((x + 5).min(to.0), to.1)], GREY.stroke_width(1)))?;
    }
    Ok(())
}

/// The attack's own shape, so that colour is not all that tells lines apart, on white, so that it stands out from lines.
fn draw_marker(area: &Area, at: (i32, i32), attack: usize) -> Result<(), Box<dyn std::error::Error>> {
    draw_shape(area, at, attack, 1, WHITE.filled())?;
    draw_shape(area, at, attack, 0, colour(attack).filled())
}

/// A marker's shape, larger by `rim` pixels.
fn draw_shape(
    area: &Area,
    (x, y): (i32, i32),
    attack: usize,
    rim: i32,
    style: ShapeStyle,
) -> Result<(), Box<dyn std::error::Error>> {
    let (round, sharp) = (3 + rim, 5 + rim);
    match attack % 4 {
        0 => area.draw(&Circle::new((x, y), 4 + rim, style))?,
        1 => area.draw(&Rectangle::new([(x - round, y - round), (x + round + 1, y + round + 1)], style))?,
        2 => area.draw(&TriangleMarker::new((x, y), sharp + rim, style))?,
        _ => {
            area.draw(&Polygon::new([(x, y - sharp), (x + sharp, y), (x, y + sharp), (x - sharp, y)], style))?
        }
    }
    Ok(())
}

fn draw_panel(area: &Area, panel: &Panel, attacks: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let (left, right) = (SIDES.0 as i32, (PANEL.0 - SIDES.1) as i32);
    let room = PANEL.0 - SIDES.0 - SIDES.1;
    let title = heading(&panel.subject, panel.synthetic, HEADING, room);
    area.draw(&Text::new(title, (left, 6), font(HEADING, &INK)))?;
    let details = panel.subject.details(&panel.classes);
    let about = [format!("{} norm", panel.norm), format!("n = {}", panel.n), details];
    let about = about.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ");
    area.draw(&Text::new(fitted(&about, SMALL, room), (left, 28), font(SMALL, &GREY)))?;
    let axis = Axis::of(panel);
    let mut chart = ChartBuilder::on(area)
        .margin_top(56)
        .margin_right(SIDES.1)
        .margin_bottom(4)
        .set_label_area_size(LabelAreaPosition::Left, SIDES.0)
        .set_label_area_size(LabelAreaPosition::Bottom, 52)
        .build_cartesian_2d(axis.low..axis.high, 0.0..1.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|y| format!("{y:.1}"))
        .y_desc(panel.asked.to_string())
        .axis_desc_style(font(SMALL, &INK))
        .label_style(font(TICK, &INK))
        .axis_style(GREY)
        .bold_line_style(FAINT)
        .light_line_style(WHITE.mix(0.0))
        .draw()?;
    // Chart coordinates to pixels of this panel.
    let base = area.get_base_pixel();
    let pixel = |eps: f64, y: f64| {
        let (px, py) = chart.backend_coord(&(axis.place(eps), y));
        (px - base.0, py - base.1)
    };
    draw_ticks(area, &axis, pixel)?;
    let unit = if panel.unit.is_empty() { String::new() } else { format!(" ({})", panel.unit) };
    let scale = if axis.log { ", logarithmic" } else { "" };
    let centre = ((left + right) / 2, PANEL.1 as i32 - 20);
    let style = anchored(font(SMALL, &INK), HPos::Center, VPos::Center);
    let about = fitted(&format!("budget eps{unit}{scale}"), SMALL, room);
    area.draw(&Text::new(about, centre, style))?;
    if let Some(clean) = panel.clean {
        let y = pixel(axis.ticks.first().copied().unwrap_or(1.0), clean).1;
        dashed(area, (left, y), (right, y))?;
    }
    let index = |line: &Line| attacks.iter().position(|attack| *attack == line.attack).unwrap_or(0);
    for line in &panel.lines {
        draw_band(area, line, colour(index(line)), pixel)?;
    }
    if attacks.len() > 1 {
        let worst: Vec<(i32, i32)> = panel.worst.iter().map(|(eps, y)| pixel(*eps, *y)).collect();
        area.draw(&PathElement::new(worst, INK.stroke_width(WORST)))?;
    }
    for line in &panel.lines {
        draw_line(area, line, index(line), pixel)?;
    }
    Ok(())
}

/// Ticks at the budgets themselves, labels at as many as have room.
fn draw_ticks(
    area: &Area,
    axis: &Axis,
    pixel: impl Fn(f64, f64) -> (i32, i32),
) -> Result<(), Box<dyn std::error::Error>> {
    let style = anchored(font(TICK, &INK), HPos::Center, VPos::Top);
    let Some(y) = axis.ticks.first().map(|eps| pixel(*eps, 0.0).1) else { return Ok(()) };
    let labels: Vec<(i32, String)> = axis.ticks.iter().map(|eps| (pixel(*eps, 0.0).0, label(*eps))).collect();
    let shown = shown(&labels, TICK);
    for ((x, text), shown) in labels.into_iter().zip(shown) {
        area.draw(&PathElement::new([(x, y), (x, y + if shown { 5 } else { 3 })], GREY))?;
        if shown {
            area.draw(&Text::new(text, (x, y + 8), style.clone()))?;
        }
    }
    Ok(())
}

fn draw_band(
    area: &Area,
    line: &Line,
    colour: RGBColor,
    pixel: impl Fn(f64, f64) -> (i32, i32),
) -> Result<(), Box<dyn std::error::Error>> {
    let upper = line.points.iter().map(|p| pixel(p.eps, p.high));
    let lower = line.points.iter().rev().map(|p| pixel(p.eps, p.low));
    let outline: Vec<(i32, i32)> = upper.chain(lower).collect();
    area.draw(&Polygon::new(outline, colour.mix(0.1).filled()))?;
    Ok(())
}

fn draw_line(
    area: &Area,
    line: &Line,
    attack: usize,
    pixel: impl Fn(f64, f64) -> (i32, i32),
) -> Result<(), Box<dyn std::error::Error>> {
    let points: Vec<(i32, i32)> = line.points.iter().map(|p| pixel(p.eps, p.robust)).collect();
    area.draw(&PathElement::new(points.clone(), colour(attack).stroke_width(2)))?;
    for point in &line.points {
        let differ = point.seeds.iter().any(|seed| *seed != point.robust);
        for seed in point.seeds.iter().filter(|_| differ) {
            area.draw(&Circle::new(pixel(point.eps, *seed), 2, colour(attack).mix(0.6).filled()))?;
        }
    }
    points.into_iter().try_for_each(|at| draw_marker(area, at, attack))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_title_is_shortened_but_still_says_synthetic() {
        let subject = |model: &str| Subject {
            model: model.into(),
            data: "ecg-synthetic".into(),
            defense: "none".into(),
            aim: "any".into(),
            finding: String::new(),
            inputs: String::new(),
        };
        let room = PANEL.0 - SIDES.0 - SIDES.1;
        let whole = heading(&subject("ecg-synthetic-resnet1d"), true, HEADING, room);
        assert_eq!(whole, "ecg-synthetic-resnet1d on ecg-synthetic (synthetic)");
        let cut = heading(&subject(&"long-".repeat(20)), true, HEADING, room);
        assert!(cut.starts_with("long-") && cut.ends_with("… (synthetic)"), "{cut}");
        assert!(cut.chars().count() <= whole.chars().count() + 3, "{cut}");
        assert!(!heading(&subject("m"), false, HEADING, room).contains("(synthetic)"));
    }
}
