//! What a network was trained on, by the running statistics of its first batch norm: they hold of the values as the layers before it left them,
//! also where these layers hide the scale that values have to have.

use percuss_kernels::Device;

use super::images::SPANS;
use super::seen::{Seen, number};
use super::{LINE, line};
use crate::Result;
use crate::data::Dataset;
use crate::graph::{Compiled, Graph, Phase, Shape, Uploads};
use crate::models::{FirstNorm, InputScaling, Model, Standardisation};

/// Samples that are looked at.
const SAMPLES: usize = 64;
/// Factor between deviations, and deviations between means, beyond which values are of another unit.
const SPREAD: f64 = 2.5;
const SHIFT: f64 = 3.0;
/// Factor between deviations within which no other unit is.
const ALIKE: f64 = 1.5;

/// How the first batch norm's channels lie, against training.
#[derive(Clone, Copy, Debug)]
struct Lying {
    /// The median of the channels' deviations, in those of training.
    spread: f64,
    /// The median distance of the channels' means from those of training, in its deviations.
    shift: f64,
    channels: usize,
}

impl Lying {
    /// How far it is from training: 0 where it is the same.
    fn distance(self) -> f64 {
        self.spread.ln().abs() + self.shift.ln_1p()
    }

    fn is_strange(self) -> bool {
        !(SPREAD.recip()..=SPREAD).contains(&self.spread) || self.shift > SHIFT
    }

    fn is_alike(self) -> bool {
        (0.5..=2.0).contains(&self.spread) && self.shift <= 1.0
    }

    fn is_the_same(self) -> bool {
        (ALIKE.recip()..=ALIKE).contains(&self.spread) && self.shift <= 1.0
    }
}

/// Whether samples come to the first batch norm as those of training did.
///
/// # Errors
/// A device failure.
pub(super) fn fits(model: &Model, data: &Dataset) -> Result<bool> {
    Ok(lying(model, data)?.is_some_and(Lying::is_the_same))
}

/// What is strange about samples of a model with a batch norm, and the line that fits them.
///
/// # Errors
/// A device failure.
pub(super) fn doubt(model: &Model, data: &Dataset, seen: &Seen) -> Result<Option<(String, String)>> {
    let Some(own) = lying(model, data)?.filter(|own| own.is_strange()) else { return Ok(None) };
    let mut best: Option<(Lying, Standardisation)> = None;
    for scaling in candidates(seen, model.config.model_shape().last() == Some(&3)) {
        let mut other = model.clone();
        let number = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        let scaled = InputScaling { mean: number(&scaling.mean), std: number(&scaling.std), unit: None };
        other.config.input_scaling = Some(scaled);
        let found = lying(&other, data)?.filter(|own| own.is_alike());
        let nearer = |found: &Lying| best.as_ref().is_none_or(|best| found.distance() < best.0.distance());
        if let Some(found) = found.filter(nearer) {
            best = Some((found, scaling));
        }
    }
    let why = format!(
        "at the network's first batch norm they have {} times the deviation of what it was trained on, and a mean {} of its deviations away \
         (medians of {}): another unit, or a scaling that is missing?",
        number(own.spread),
        number(own.shift),
        match own.channels {
            1 => "1 channel".to_string(),
            n => format!("{n} channels"),
        }
    );
    let mend = match best {
        Some((_, scaling)) => line(&scaling),
        None => LINE.into(),
    };
    Ok(Some((why, mend)))
}

/// Scalings of the trade that may be missing, in the data's own unit.
fn candidates(seen: &Seen, colours: bool) -> Vec<Standardisation> {
    let one = |mean: f64, std: f64| Standardisation { mean: vec![mean], std: vec![std] };
    if !seen.is_image {
        return [1000.0, 0.001, 1e6, 1e-6].map(|std| one(0.0, std)).into();
    }
    let whole = match seen.all.high {
        high if high <= 1.1 => 1.0,
        high if high <= 510.0 => 255.0,
        high if high <= 4505.0 => 4095.0,
        _ => 65535.0,
    };
    let list = |own: [f64; 3], shift: f64, width: f64| own.iter().map(|own| shift + own * width).collect();
    let deviations = || list([0.229, 0.224, 0.225], 0.0, whole);
    // A mean was subtracted, and the deviation was not divided by.
    if seen.all.low < -0.1 * whole && seen.all.low > -SPANS * whole {
        let mut all = [0.226 * whole, whole, whole / 255.0, 1.0].map(|std| one(0.0, std)).to_vec();
        if colours {
            all.push(Standardisation { mean: vec![0.0; 3], std: deviations() });
        }
        return all;
    }
    let low = if seen.all.low < -0.1 * whole { -whole } else { 0.0 };
    let width = whole - low;
    let mut all = vec![
        one(low, width),
        one((low + whole) / 2.0, width / 2.0),
        one(low, width / 255.0),
        one(low + 0.449 * width, 0.226 * width),
        one(0.0, 1.0),
    ];
    if colours {
        all.push(Standardisation {
            mean: list([0.485, 0.456, 0.406], low, width),
            std: list([0.229, 0.224, 0.225], 0.0, width),
        });
    }
    all
}

/// How the channels of the first batch norm lie; `None` without one, or where nothing varies.
fn lying(model: &Model, data: &Dataset) -> Result<Option<Lying>> {
    let mut graph = Graph::new();
    let input = graph.state("sample", Shape::lanes(&model.config.input_shape()));
    let x = graph.load(input);
    let Some(norm) = model.first_norm(&mut graph, x) else { return Ok(None) };
    if !model.config.takes(&data.shape) || !graph.shape(norm.after).lane {
        return Ok(None);
    }
    let dims = graph.dims(norm.after).to_vec();
    let out = graph.state("norm", Shape::lanes(&dims));
    let mut phase = Phase::new();
    phase.assign(&mut graph, out, norm.after);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let lanes = 2 * threads.clamp(1, 4);
    let compiled = Compiled::new(&graph, &[phase], lanes)?;
    let mut run = compiled.instantiate(&Device::Cpu { threads }, &mut Uploads::default(), threads)?;
    let step = data.len().div_ceil(SAMPLES).max(1);
    let samples: Vec<usize> = (0..data.len()).step_by(step).collect();
    let (channels, inner) = (dims[norm.axis], dims[norm.axis + 1..].iter().product::<usize>());
    let mut sums = vec![[0.0f64; 3]; channels];
    let len = data.sample_len();
    for block in samples.chunks(lanes) {
        let mut values = vec![0.0; lanes * len];
        for (place, &i) in values.chunks_exact_mut(len).zip(block) {
            place.copy_from_slice(data.sample(i));
        }
        run.write(input, &values)?;
        run.run(0, 1)?;
        let all = run.read(out)?;
        let each = all.len() / lanes;
        for (at, &value) in all[..block.len() * each].iter().enumerate() {
            let sum = &mut sums[at / inner % channels];
            let value = f64::from(value);
            *sum = [sum[0] + 1.0, sum[1] + value, sum[2] + value * value];
        }
    }
    Ok(against(&norm, &sums))
}

/// The medians over the channels that training says something of, from counts, sums and sums of squares.
fn against(norm: &FirstNorm, sums: &[[f64; 3]]) -> Option<Lying> {
    let (mut spreads, mut shifts) = (Vec::new(), Vec::new());
    for ([count, sum, squares], [mean, deviation]) in sums.iter().zip(&norm.trained) {
        if *deviation > 0.0 && *count > 0.0 {
            let own = sum / count;
            spreads.push((squares / count - own * own).max(0.0).sqrt() / deviation);
            shifts.push((own - mean).abs() / deviation);
        }
    }
    let median = |mut all: Vec<f64>| {
        all.sort_unstable_by(f64::total_cmp);
        all.get(all.len() / 2).copied().filter(|value| value.is_finite())
    };
    let channels = spreads.len();
    Some(Lying { spread: median(spreads)?.max(f64::MIN_POSITIVE), shift: median(shifts)?, channels })
}
