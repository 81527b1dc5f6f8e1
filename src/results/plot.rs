//! Robustness curves as one SVG: a panel a model, data set and norm, a line an attack, bands for the intervals.

use std::path::Path;

use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::panels::{Line, Panel, panels, short};
use super::records::{CellRow, CurveRow};
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
const PANEL: (u32, u32) = (440, 310);
/// Height of one row of the legend, and of the title above it.
const LEGEND_ROW: u32 = 22;
const TITLE: u32 = 40;
/// Width of a character over its font size; generous, since no font is measured.
const CHARACTER: f64 = 0.58;
const FONT: &str = "Helvetica, Arial, DejaVu Sans, sans-serif";

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The robustness curves of `cells`, with the worst case over attacks where `curves` has it, as an SVG document;
/// `None` where no cell has a budget.
///
/// An attack is shown by its strongest configuration at each budget; where it ran with several seeds the line is their
/// mean and small dots are the seeds. Bands are the 95% intervals of the cells. Budgets stand on a logarithmic axis
/// where their ladder is nearer to geometric than to arithmetic.
///
/// # Errors
/// [`Error::Failed`] where the picture cannot be drawn.
pub fn robustness_svg(title: &str, cells: &[CellRow], curves: &[CurveRow]) -> Result<Option<String>> {
    let panels = panels(cells, curves);
    if panels.is_empty() {
        return Ok(None);
    }
    let mut svg = String::new();
    draw(&mut svg, title, &panels)
        .map_err(|e| Error::Failed(format!("drawing the robustness curves: {e}")))?;
    Ok(Some(svg))
}

/// [`robustness_svg`], written to a file; whether there was anything to draw.
pub fn write_robustness_svg(
    path: &Path,
    title: &str,
    cells: &[CellRow],
    curves: &[CurveRow],
) -> Result<bool> {
    let Some(svg) = robustness_svg(title, cells, curves)? else { return Ok(false) };
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

fn draw(svg: &mut String, title: &str, panels: &[Panel]) -> Result<(), Box<dyn std::error::Error>> {
    let (places, (columns, rows)) = grid(panels);
    let width = (columns * PANEL.0 + 20).max(560);
    let mut attacks: Vec<&str> = panels.iter().flat_map(|p| &p.lines).map(|l| l.attack.as_str()).collect();
    attacks.sort_unstable();
    attacks.dedup();
    let entries = legend(&attacks, panels, width);
    let header = TITLE + LEGEND_ROW * entries.last().map_or(1, |e| e.row + 1) + 8;
    let root = SVGBackend::with_string(svg, (width, header + rows * PANEL.1 + 8)).into_drawing_area();
    root.fill(&WHITE)?;
    root.draw(&Text::new(fitted(title, 18, width - 40), (20, 12), font(18, &INK)))?;
    for entry in &entries {
        draw_entry(&root, entry)?;
    }
    for (panel, (x, y)) in panels.iter().zip(places) {
        let corner = (10 + (x * PANEL.0) as i32, (header + y * PANEL.1) as i32);
        let area = root.clone().shrink(corner, PANEL);
        draw_panel(&area, panel, &attacks)?;
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
    wanted.push((Mark::Clean, "clean accuracy".to_owned()));
    let (mut x, mut row) = (20, 0);
    wanted
        .into_iter()
        .map(|(mark, text)| {
            let needed = 34 + (text.chars().count() as f64 * 13.0 * CHARACTER) as i32 + 22;
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
        Mark::Worst => root.draw(&PathElement::new(ends, INK.stroke_width(3)))?,
        Mark::Clean => dashed(root, ends[0], ends[1])?,
    }
    let style = anchored(font(13, &INK), HPos::Left, VPos::Center);
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

/// The attack's own shape, so that colour is not all that tells lines apart.
fn draw_marker(area: &Area, (x, y): (i32, i32), attack: usize) -> Result<(), Box<dyn std::error::Error>> {
    let style = colour(attack).filled();
    match attack % 4 {
        0 => area.draw(&Circle::new((x, y), 4, style))?,
        1 => area.draw(&Rectangle::new([(x - 3, y - 3), (x + 4, y + 4)], style))?,
        2 => area.draw(&TriangleMarker::new((x, y), 5, style))?,
        _ => area.draw(&Polygon::new([(x, y - 5), (x + 5, y), (x, y + 5), (x - 5, y)], style))?,
    }
    Ok(())
}

/// The horizontal axis of a panel.
struct Axis {
    log: bool,
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Axis {
    fn of(panel: &Panel) -> Self {
        let mut ladder: Vec<f64> = panel.lines.iter().flat_map(|l| &l.points).map(|p| p.eps).collect();
        ladder.sort_by(f64::total_cmp);
        ladder.dedup();
        let log = is_geometric(&ladder);
        let place = |eps: f64| if log { eps.log10() } else { eps };
        let (first, last) =
            (place(ladder.first().copied().unwrap_or(0.0)), place(ladder.last().copied().unwrap_or(1.0)));
        // A linear ladder starts at no budget; a lone budget stands in the middle.
        let first = if log { first } else { first.min(0.0) };
        let room = if last > first { (last - first) * 0.04 } else { 0.5 };
        Self { log, low: first - if log { room } else { 0.0 }, high: last + room, ticks: ladder }
    }

    fn place(&self, eps: f64) -> f64 {
        if self.log { eps.log10() } else { eps }
    }
}

/// Whether budgets are nearer to a geometric than to an arithmetic ladder.
fn is_geometric(ladder: &[f64]) -> bool {
    // Spread of the steps relative to their mean: 0 for an exact ladder.
    let unevenness = |values: Vec<f64>| {
        let steps: Vec<f64> = values.windows(2).map(|w| w[1] - w[0]).collect();
        let mean = steps.iter().sum::<f64>() / steps.len() as f64;
        steps.iter().map(|s| (s - mean).powi(2)).sum::<f64>().sqrt() / mean
    };
    ladder.len() >= 3
        && ladder[0] > 0.0
        && unevenness(ladder.iter().map(|eps| eps.ln()).collect()) < unevenness(ladder.to_vec())
}

fn draw_panel(area: &Area, panel: &Panel, attacks: &[&str]) -> Result<(), Box<dyn std::error::Error>> {
    let title = fitted(&panel.subject.title(panel.synthetic), 15, PANEL.0 - 66);
    area.draw(&Text::new(title, (52, 6), font(15, &INK)))?;
    let details = panel.subject.details();
    let about = [format!("{} norm", panel.norm), format!("n = {}", panel.n), details];
    let about = about.iter().filter(|part| !part.is_empty()).cloned().collect::<Vec<_>>().join(", ");
    area.draw(&Text::new(fitted(&about, 12, PANEL.0 - 66), (52, 26), font(12, &GREY)))?;
    let axis = Axis::of(panel);
    let mut chart = ChartBuilder::on(area)
        .margin_top(50)
        .margin_right(14)
        .margin_bottom(4)
        .set_label_area_size(LabelAreaPosition::Left, 52)
        .set_label_area_size(LabelAreaPosition::Bottom, 46)
        .build_cartesian_2d(axis.low..axis.high, 0.0..1.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|y| format!("{y:.1}"))
        .y_desc("robust accuracy")
        .axis_desc_style(font(12, &INK))
        .label_style(font(11, &INK))
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
    let centre = (52 + (PANEL.0 as i32 - 66) / 2, PANEL.1 as i32 - 18);
    let style = anchored(font(12, &INK), HPos::Center, VPos::Center);
    area.draw(&Text::new(format!("budget eps{unit}"), centre, style))?;
    if let Some(clean) = panel.clean {
        let y = pixel(axis.ticks.first().copied().unwrap_or(1.0), clean).1;
        dashed(area, (52, y), (PANEL.0 as i32 - 14, y))?;
    }
    let index = |line: &Line| attacks.iter().position(|attack| *attack == line.attack).unwrap_or(0);
    for line in &panel.lines {
        draw_band(area, line, colour(index(line)), pixel)?;
    }
    if attacks.len() > 1 {
        let worst: Vec<(i32, i32)> = panel.worst.iter().map(|(eps, y)| pixel(*eps, *y)).collect();
        area.draw(&PathElement::new(worst, INK.stroke_width(3)))?;
    }
    for line in &panel.lines {
        draw_line(area, line, index(line), pixel)?;
    }
    Ok(())
}

/// Ticks at the budgets themselves, as many as have room.
fn draw_ticks(
    area: &Area,
    axis: &Axis,
    pixel: impl Fn(f64, f64) -> (i32, i32),
) -> Result<(), Box<dyn std::error::Error>> {
    let style = anchored(font(11, &INK), HPos::Center, VPos::Top);
    let mut free_from = i32::MIN;
    for eps in &axis.ticks {
        let (x, y) = pixel(*eps, 0.0);
        area.draw(&PathElement::new([(x, y), (x, y + 4)], GREY))?;
        let text = short(*eps);
        let half = (text.len() as f64 * 11.0 * CHARACTER / 2.0) as i32;
        if x - half > free_from {
            area.draw(&Text::new(text, (x, y + 7), style.clone()))?;
            free_from = x + half + 6;
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
    area.draw(&Polygon::new(outline, colour.mix(0.13).filled()))?;
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
