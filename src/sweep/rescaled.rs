//! Whether a network that hides what values it expects is right far more often under a scaling of the trade than without one: where every batch norm
//! is folded into a convolution, the answers alone can tell.

use percuss_kernels::Device;

use super::likeness::{FLAG, line};
use super::subject::{Subject, clean_logits, prediction};
use crate::Result;
use crate::data::{Dataset, Labels, Remark};
use crate::graph::{Graph, Shape};
use crate::models::{InputScaling, Model, Standardisation};
use crate::statistics::sign_test;

/// Samples that are asked again.
const SAMPLES: usize = 128;
/// Fewer say nothing.
const ENOUGH: usize = 20;
/// Share of right answers above which nothing is asked.
const GOOD: f64 = 0.95;
/// What another scaling has to be better by, than the answers and than the commonest class, and the level of the test by pairs.
const BETTER: f64 = 0.05;
const LEVEL: f64 = 1e-4;

/// What is doubtful about the scale of images, by answers under other scales.
///
/// # Errors
/// A device failure.
pub(super) fn doubt(subject: &Subject, device: &Device) -> Result<Option<Remark>> {
    let (model, data) = (&subject.model, &subject.data);
    let said = data.remarks.iter().any(|remark| remark.flag == Some(FLAG));
    if said || !matches!(data.labels, Labels::Class(_)) || data.len() < ENOUGH || !hides_its_scale(model) {
        return Ok(None);
    }
    let some: Vec<usize> = (0..data.len()).step_by(data.len().div_ceil(SAMPLES)).collect();
    let outputs = subject.outputs();
    let clean: Vec<f32> = some.iter().flat_map(|&i| subject.clean_logits(i).iter().copied()).collect();
    let own = right(subject, &some, &clean);
    let share = |own: &[bool]| own.iter().filter(|right| **right).count() as f64 / own.len() as f64;
    if share(&own) >= GOOD || some.len() < ENOUGH {
        return Ok(None);
    }
    let classes = (0..subject.classes() as u32)
        .map(|class| some.iter().filter(|&&i| subject.label(i, 0) == class).count());
    let commonest = classes.max().unwrap_or(0) as f64 / some.len() as f64;
    let asked = data.subset(&some)?;
    let mut best: Option<(f64, Standardisation)> = None;
    for scaling in candidates(data, model.config.model_shape().last() == Some(&3)) {
        let number = |values: &[f64]| values.iter().map(|&value| value as f32).collect();
        let mut other = model.clone();
        other.config.input_scaling =
            Some(InputScaling { mean: number(&scaling.mean), std: number(&scaling.std), unit: None });
        // Logits that overflow under a scaling are no better ones.
        let Ok(logits) = clean_logits(&other, &asked, device) else { continue };
        debug_assert_eq!(logits.len(), some.len() * outputs);
        let found = right(subject, &some, &logits);
        let count =
            |better: bool| own.iter().zip(&found).filter(|(a, b)| a != b && **b == better).count() as u64;
        let gained = share(&found) - share(&own).max(commonest) >= BETTER;
        if gained
            && sign_test(count(true), count(false)) < LEVEL
            && best.as_ref().is_none_or(|(most, _)| share(&found) > *most)
        {
            best = Some((share(&found), scaling));
        }
    }
    Ok(best.map(|(most, scaling)| {
        let text = format!(
            "of {} samples the model is right on {:.3} as they are and on {most:.3} under another scaling, and its file says nothing of any: if it was \
             trained so, {}",
            some.len(),
            share(&own),
            line(&scaling)
        );
        Remark::warning(FLAG, text)
    }))
}

/// Whether nothing says what values of images the network expects: neither a scaling nor a batch norm.
fn hides_its_scale(model: &Model) -> bool {
    if model.config.input_scaling.is_some() || model.standardisation().is_some() {
        return false;
    }
    let mut graph = Graph::new();
    let input = graph.state("sample", Shape::lanes(&model.config.input_shape()));
    let x = graph.load(input);
    model.first_norm(&mut graph, x).is_none()
}

/// Which of these samples are right by these logits.
fn right(subject: &Subject, samples: &[usize], logits: &[f32]) -> Vec<bool> {
    let each = logits.chunks_exact(subject.outputs());
    let one =
        |(&i, logits): (&usize, &[f32])| prediction(&subject.deciding(logits, 0)) == subject.label(i, 0);
    samples.iter().zip(each).map(one).collect()
}

/// Scalings of images from 0 to 1 and from 0 to 255 that a network may expect; none of other data.
fn candidates(data: &Dataset, colours: bool) -> Vec<Standardisation> {
    if !matches!(data.shape[..], [height, width, 1..=4] if height > 1 && width > 1) {
        return Vec::new();
    }
    let range = data
        .values
        .iter()
        .fold([f32::INFINITY, f32::NEG_INFINITY], |[low, high], &v| [low.min(v), high.max(v)]);
    let (whole, other) = match range {
        [low, high] if low >= -0.1 && high <= 1.1 => (1.0, 1.0 / 255.0),
        [low, high] if low >= -25.0 && high <= 280.0 => (255.0, 255.0),
        _ => return Vec::new(),
    };
    let one = |mean: f64, std: f64| Standardisation { mean: vec![mean * whole], std: vec![std * whole] };
    let image_net = match colours {
        true => Standardisation {
            mean: [0.485, 0.456, 0.406].map(|mean| mean * whole).to_vec(),
            std: [0.229, 0.224, 0.225].map(|std| std * whole).to_vec(),
        },
        false => one(0.449, 0.226),
    };
    vec![Standardisation { mean: vec![0.0], std: vec![other] }, one(0.5, 0.5), image_net]
}
