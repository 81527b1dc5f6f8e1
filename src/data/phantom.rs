//! Synthetic chest X-rays of 28x28 pixels: a thorax, two lungs, a heart, ribs, and in one class an opacity in a lung.
//!
//! A drawing, not a simulation: ellipses with soft edges, added up, with exposure, tilt and noise of their own. It is
//! meant to be learnable by a small network and not by a threshold.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::draw::Draw;
use super::subset::sha256;
use super::{Dataset, Domain, Labels};
use crate::{Error, Result};

/// The seed of the data set `cxr-phantom`.
pub const SEED: u64 = 0;
/// Changes whenever the generator gives other values.
pub const VERSION: u32 = 1;
/// Images of train, val and test; each is a patient.
pub const IMAGES: [usize; 3] = [3000, 500, 800];
/// Height and width in pixels.
pub const SIDE: usize = 28;

/// An ellipse: centre and half axes as fractions of the image, turned by `tilt`; brighter inside by `level`.
#[derive(Clone, Copy, Debug)]
struct Ellipse {
    x: f64,
    y: f64,
    a: f64,
    b: f64,
    tilt: f64,
    level: f64,
    /// How far its edge reaches, as a share of its radius.
    soft: f64,
}

/// Generates a split of `cxr-phantom`: shape `[28, 28, 1]`, pixels from 0 to 255; class 1 has an opacity.
///
/// # Errors
/// A split that is not train, val, test or all.
pub fn generate(split: &str, seed: u64) -> Result<Dataset> {
    let [train, val, test] = IMAGES;
    let numbers = match split {
        "train" => 0..train,
        "val" => train..train + val,
        "test" => train + val..train + val + test,
        "all" => 0..train + val + test,
        other => return Err(Error::input("cxr-phantom", "split", other, "train, val, test or all")),
    };
    let index: Vec<u64> = numbers.map(|n| n as u64).collect();
    let images: Vec<(u32, Vec<f32>)> = index.par_iter().map(|&number| image(seed, number)).collect();
    let group: Vec<String> = index.iter().map(|number| format!("patient-{number}")).collect();
    Ok(Dataset {
        name: "cxr-phantom".to_string(),
        split: split.to_string(),
        synthetic: true,
        sha256: sha256(format!("cxr-phantom version {VERSION} seed {seed}").as_bytes()),
        shape: vec![SIDE, SIDE, 1],
        inputs: Vec::new(),
        labels: Labels::Class(images.iter().map(|&(label, _)| label).collect()),
        classes: vec!["clear".to_string(), "opacity".to_string()],
        unit: "pixel".to_string(),
        subgroups: BTreeMap::from([("patient".to_string(), group.clone())]),
        group: Some(group),
        index,
        domain: Domain::uniform(0.0, 255.0),
        values: images.into_iter().flat_map(|(_, pixels)| pixels).collect(),
        samples_per_second: None,
        remarks: Vec::new(),
    })
}

fn image(seed: u64, number: u64) -> (u32, Vec<f32>) {
    let mut draw = Draw::new(seed ^ 0x0063_6865_7374, number);
    let label = u32::from(draw.unit() < 0.5);
    let mut shapes = anatomy(&mut draw);
    let lungs = [shapes[1], shapes[2]];
    if label == 1 {
        shapes.push(opacity(&lungs, draw.between(28.0, 85.0), &mut draw));
    }
    let (exposure, contrast) = (draw.between(-18.0, 18.0), draw.factor(0.12));
    let (shift_x, shift_y, tilt) = (0.03 * draw.normal(), 0.03 * draw.normal(), 0.05 * draw.normal());
    let ribs = Ribs { spacing: draw.between(0.10, 0.14), phase: draw.unit(), level: draw.between(3.0, 10.0) };
    let noise = draw.between(3.0, 9.0);
    let mut pixels = Vec::with_capacity(SIDE * SIDE);
    for row in 0..SIDE {
        for column in 0..SIDE {
            let (x, y) = ((column as f64 + 0.5) / SIDE as f64 - 0.5, (row as f64 + 0.5) / SIDE as f64 - 0.5);
            let (x, y) =
                (x * tilt.cos() - y * tilt.sin() - shift_x, x * tilt.sin() + y * tilt.cos() - shift_y);
            let tissue: f64 = shapes.iter().map(|shape| shape.level * shape.inside(x, y)).sum();
            let level = 25.0 + tissue + ribs.level(x, y) * shapes[0].inside(x, y);
            let value = 128.0 + contrast * (level - 128.0) + exposure + noise * draw.normal();
            pixels.push(value.round().clamp(0.0, 255.0) as f32);
        }
    }
    (label, pixels)
}

/// Thorax, left and right lung, heart, diaphragm, two hila.
fn anatomy(draw: &mut Draw) -> Vec<Ellipse> {
    let mut near = |centre: f64, sd: f64| centre + sd * draw.normal();
    let width = near(0.45, 0.02);
    let lung_level = near(-100.0, 10.0);
    let (left, right) = (near(-0.19, 0.012), near(0.19, 0.012));
    let mut shapes = vec![
        Ellipse { x: 0.0, y: 0.02, a: width, b: 0.50, tilt: 0.0, level: 145.0, soft: 0.10 },
        Ellipse {
            x: left,
            y: near(-0.04, 0.02),
            a: near(0.135, 0.012),
            b: near(0.31, 0.02),
            tilt: 0.12,
            level: lung_level,
            soft: 0.25,
        },
        Ellipse {
            x: right,
            y: near(-0.04, 0.02),
            a: near(0.125, 0.012),
            b: near(0.29, 0.02),
            tilt: -0.12,
            level: lung_level,
            soft: 0.25,
        },
        Ellipse {
            x: near(0.055, 0.012),
            y: near(0.13, 0.015),
            a: near(0.125, 0.02),
            b: near(0.13, 0.015),
            tilt: 0.5,
            level: 55.0,
            soft: 0.3,
        },
        Ellipse {
            x: 0.0,
            y: near(0.40, 0.02),
            a: 0.40,
            b: near(0.13, 0.02),
            tilt: 0.0,
            level: 40.0,
            soft: 0.3,
        },
    ];
    // The hila are spots in both classes: brightness near the middle is no finding.
    for side in [-1.0, 1.0] {
        let level = draw.between(0.0, 32.0);
        let radius = draw.between(0.03, 0.06);
        let (x, y) = (side * (0.10 + 0.015 * draw.normal()), 0.02 * draw.normal());
        shapes.push(Ellipse { x, y, a: radius, b: 1.3 * radius, tilt: 0.0, level, soft: 0.8 });
    }
    shapes
}

/// A consolidation within one of the lungs.
fn opacity(lungs: &[Ellipse; 2], level: f64, draw: &mut Draw) -> Ellipse {
    let lung = lungs[usize::from(draw.unit() < 0.5)];
    let (angle, reach) = (draw.between(0.0, std::f64::consts::TAU), 0.7 * draw.unit().sqrt());
    Ellipse {
        x: lung.x + reach * lung.a * angle.cos(),
        y: lung.y + reach * lung.b * angle.sin(),
        a: draw.between(0.05, 0.11),
        b: draw.between(0.05, 0.13),
        tilt: draw.between(0.0, std::f64::consts::PI),
        level,
        soft: draw.between(0.4, 0.9),
    }
}

impl Ellipse {
    /// 1 inside, 0 outside, a smooth step between.
    fn inside(&self, x: f64, y: f64) -> f64 {
        let (dx, dy) = (x - self.x, y - self.y);
        let (u, v) =
            (dx * self.tilt.cos() + dy * self.tilt.sin(), dy * self.tilt.cos() - dx * self.tilt.sin());
        let radius = (u / self.a).hypot(v / self.b);
        let t = ((1.0 + self.soft / 2.0 - radius) / self.soft).clamp(0.0, 1.0);
        t * t * (3.0 - 2.0 * t)
    }
}

/// Bright arcs across the thorax.
struct Ribs {
    spacing: f64,
    phase: f64,
    level: f64,
}

impl Ribs {
    fn level(&self, x: f64, y: f64) -> f64 {
        let bent = y - 0.9 * x * x + 0.15 * x.abs();
        let wave = (std::f64::consts::TAU * (bent / self.spacing + self.phase)).cos();
        self.level * wave.max(0.0)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn phantoms_repeat_and_both_classes_occur() {
        let val = generate("val", SEED).unwrap();
        assert_eq!((val.len(), val.shape.clone()), (IMAGES[1], vec![SIDE, SIDE, 1]));
        assert_eq!(val.values, generate("val", SEED).unwrap().values);
        assert_ne!(val.values, generate("val", 9).unwrap().values);
        let Labels::Class(labels) = &val.labels else { panic!() };
        let ill = labels.iter().filter(|&&l| l == 1).count();
        assert!((200..300).contains(&ill), "{ill}");
        assert!(val.synthetic && val.check().is_ok());
        assert!(val.values.iter().all(|v| v.fract() == 0.0));
    }

    #[test]
    fn lungs_are_darker_than_the_heart() {
        let val = generate("val", SEED).unwrap();
        let mean = |row: usize, column: usize| {
            (0..val.len()).map(|i| f64::from(val.sample(i)[row * SIDE + column])).sum::<f64>()
                / val.len() as f64
        };
        assert!(mean(10, 8) + 40.0 < mean(17, 15), "{} {}", mean(10, 8), mean(17, 15));
    }
}
