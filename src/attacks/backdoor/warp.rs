//! A slight, smooth warping of the whole image.

use super::pattern::PATTERN;
use super::{Modality, Setting, Stamp, Trigger};
use crate::Result;
use crate::attacks::chosen::whole;
use crate::attacks::{Kind, Knowledge, Parameter, Value};
use crate::training::random::{Stream, name_number};

/// WaNet.
pub static WARP: Trigger = Trigger {
    name: "warp",
    aliases: &["wanet"],
    summary: "An elastic warping along a fixed smooth field.",
    paper: "Nguyen & Tran 2021, WaNet - imperceptible warping-based backdoor attack (arXiv 2102.10369), without its noise mode",
    knowledge: Knowledge::BlackBox,
    revision: 1,
    modality: Modality::Image,
    amplitude: "Strength of the field (s): the control points move by s/2 pixels on average along each axis, but for a factor 1 - 1/side.",
    most: 1e3,
    parameters: &[
        Parameter {
            name: "grid",
            doc: "Control points along each axis (k).",
            kind: Kind::Whole(2, 1000),
            default: Value::Whole(4),
        },
        PATTERN,
    ],
    prepare,
};

/// The control field is uniform on [-1, 1], divided by its mean size, and interpolated to the image.
fn prepare(setting: &Setting) -> Result<Stamp> {
    let [height, width, channels] = setting.extents();
    let grid = whole(setting.get, "grid") as usize;
    let mut stream = Stream::new(whole(setting.get, "pattern"), &[name_number("warp")]);
    let control: Vec<f64> = (0..2 * grid * grid).map(|_| f64::from(stream.signed())).collect();
    let mean_size = control.iter().map(|c| c.abs()).sum::<f64>() / control.len() as f64;
    let control: Vec<f64> = control.iter().map(|c| c / mean_size).collect();
    let sources = sources(&control, grid, setting.amplitude, [height, width]);
    Ok(Stamp::new(setting.data, move |values| {
        let warped = warped(values, &sources, [height, width, channels]);
        values.copy_from_slice(&warped);
    }))
}

/// From where each pixel takes its value: row and column, `[height * width]`, within the image.
///
/// `control` is the field `[2, grid, grid]`, rows' part first, whose corners are the image's; between control points it is interpolated by
/// cubic convolution. The field moves a pixel by `strength * field / side` where the image runs from -1 to 1 along each axis.
pub fn sources(control: &[f64], grid: usize, strength: f64, [height, width]: [usize; 2]) -> Vec<[f64; 2]> {
    let (rows, columns) = control.split_at(grid * grid);
    let place = |at: usize, side: usize| {
        if side > 1 { at as f64 * (grid - 1) as f64 / (side - 1) as f64 } else { 0.0 }
    };
    let moved = |at: usize, side: usize, field: f64| {
        let last = (side - 1) as f64;
        (at as f64 + strength * field / side as f64 * last / 2.0).clamp(0.0, last)
    };
    let mut found = Vec::with_capacity(height * width);
    for y in 0..height {
        for x in 0..width {
            let (v, u) = (place(y, height), place(x, width));
            found.push([
                moved(y, height, cubic(rows, grid, v, u)),
                moved(x, width, cubic(columns, grid, v, u)),
            ]);
        }
    }
    found
}

/// Cubic convolution (Keys 1981, with a = -0.75) of a field `[grid, grid]` at row v and column u; beyond the edge the edge's value holds.
fn cubic(field: &[f64], grid: usize, v: f64, u: f64) -> f64 {
    let taps = |at: f64| {
        let first = at.floor();
        (-1..=2).map(move |k: i32| {
            let place = (first as i64 + i64::from(k)).clamp(0, grid as i64 - 1) as usize;
            (place, kernel(at - first - f64::from(k)))
        })
    };
    taps(v).map(|(row, a)| a * taps(u).map(|(column, b)| b * field[row * grid + column]).sum::<f64>()).sum()
}

fn kernel(distance: f64) -> f64 {
    const A: f64 = -0.75;
    let d = distance.abs();
    match d {
        _ if d <= 1.0 => ((A + 2.0) * d - (A + 3.0)) * d * d + 1.0,
        _ if d < 2.0 => ((A * d - 5.0 * A) * d + 8.0 * A) * d - 4.0 * A,
        _ => 0.0,
    }
}

/// The image `[height, width, channels]` taken at these places, bilinearly.
pub fn warped(image: &[f32], sources: &[[f64; 2]], [height, width, channels]: [usize; 3]) -> Vec<f32> {
    let mut found = Vec::with_capacity(image.len());
    for &[y, x] in sources {
        let (top, left) = (y.floor() as usize, x.floor() as usize);
        let (bottom, right) = ((top + 1).min(height - 1), (left + 1).min(width - 1));
        let (down, across) = (y - top as f64, x - left as f64);
        for channel in 0..channels {
            let at =
                |row: usize, column: usize| f64::from(image[(row * width + column) * channels + channel]);
            let upper = at(top, left) * (1.0 - across) + at(top, right) * across;
            let lower = at(bottom, left) * (1.0 - across) + at(bottom, right) * across;
            found.push((upper * (1.0 - down) + lower * down) as f32);
        }
    }
    found
}
