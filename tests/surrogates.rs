//! What crafted poisons and detectors ask of a model, against PyTorch in float64 and against finite differences.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::models::{Config, FeatureSpace, Model, Weights, from_training_layout};
use percuss::training::{Probe, Surrogate};
use percuss_kernels::Device;
use support::{classes, formula_weights, golden, parameter, relative_error, signed};

/// f32 through at most eight layers of sums of up to a few hundred terms.
const TOLERANCE: f32 = 2e-5;

const CPU: Device = Device::Cpu { threads: 1 };

struct Case {
    name: String,
    model: Model,
    samples: Vec<f32>,
    labels: Vec<u32>,
    golden: Weights,
}

/// Every model of the golden, with its inputs; samples of one channel lie as in PyTorch.
fn cases() -> Vec<Case> {
    let file = golden("surrogate");
    let configs: serde_json::Value = serde_json::from_str(&file.metadata["configs"]).unwrap();
    let n: usize = serde_json::from_str(&file.metadata["samples"]).unwrap();
    let configs: Vec<(String, Config)> = configs
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, config)| (name.clone(), Config::parse(&config.to_string(), name).unwrap()))
        .collect();
    configs
        .into_iter()
        .map(|(name, config)| {
            let weights = Weights::new(formula_weights(&Model::declare(&config)));
            let len: usize = config.input_shape().iter().product();
            let sorts = config.classes().max(2) as u64;
            Case {
                samples: signed(&format!("surrogate {name}"), n * len, 1.0),
                labels: classes(&format!("surrogate labels {name}"), n, sorts),
                model: Model::new(config, weights).unwrap(),
                golden: golden("surrogate"),
                name,
            }
        })
        .collect()
}

impl Case {
    fn expected(&self, what: &str) -> &[f32] {
        &self.golden.tensors[&format!("{}.{what}", self.name)].data
    }

    fn check(&self, what: &str, found: &[f32]) {
        let error = relative_error(found, self.expected(what));
        assert!(error < TOLERANCE, "{} {what}: {error}", self.name);
    }

    /// A vector of all trained parameters, from one of each tensor in PyTorch's layout and back.
    fn parts(&self, all: &[f32]) -> Vec<(String, Vec<f32>)> {
        let mut at = 0;
        let trained = Model::declare(&self.model.config).into_iter().filter(|one| one.role.trained());
        trained
            .map(|one| {
                let len: usize = one.shape.iter().product();
                at += len;
                let part = from_training_layout(one.role, &one.shape, &all[at - len..at]);
                (one.name, part)
            })
            .collect()
    }
}

#[test]
fn features_and_the_way_to_a_goal_are_pytorchs() {
    for case in cases() {
        let mut space = FeatureSpace::new(&case.model, &CPU).unwrap();
        case.check("features", &space.of(&case.samples).unwrap());
        let goal = signed(&format!("surrogate goal {}", case.name), space.dimensions(), 1.0);
        let (distance, slope) = space.approach(&case.samples, &goal).unwrap();
        case.check("distance", &distance);
        case.check("slope", &slope);
        // One sample alone has the same bits.
        let len = slope.len() / distance.len();
        let (alone, _) = space.approach(&case.samples[35 * len..36 * len], &goal).unwrap();
        assert_eq!(alone, [distance[35]]);
        assert!(space.of(&case.samples[1..]).is_err() && space.approach(&case.samples, &goal[1..]).is_err());
    }
}

#[test]
fn the_way_to_a_goal_is_the_slope_of_the_distance() {
    for case in cases() {
        let mut space = FeatureSpace::new(&case.model, &CPU).unwrap();
        let goal = signed("surrogate other goal", space.dimensions(), 1.0);
        let (_, slope) = space.approach(&case.samples, &goal).unwrap();
        let direction = signed("surrogate direction", case.samples.len(), 1.0);
        let moved =
            |by: f32| -> Vec<f32> { case.samples.iter().zip(&direction).map(|(x, d)| x + by * d).collect() };
        const STEP: f32 = 1e-3;
        let up = space.approach(&moved(STEP), &goal).unwrap().0;
        let down = space.approach(&moved(-STEP), &goal).unwrap().0;
        let len = direction.len() / up.len();
        let along: Vec<f32> = slope
            .chunks_exact(len)
            .zip(direction.chunks_exact(len))
            .map(|(s, d)| s.iter().zip(d).map(|(s, d)| s * d).sum())
            .collect();
        let difference: Vec<f32> = up.iter().zip(&down).map(|(a, b)| (a - b) / (2.0 * STEP)).collect();
        // Where no ReLU turns between the two ends, they agree to rounding over the step, about 1e-7 / 1e-3; few samples meet one that does.
        let scale = along.iter().fold(0f32, |most, v| most.max(v.abs()));
        let near = along.iter().zip(&difference).filter(|(a, b)| (*a - *b).abs() < 2e-3 * scale).count();
        assert!(10 * near >= 9 * along.len(), "{}: {near} of {}", case.name, along.len());
    }
}

#[test]
fn a_surrogates_gradients_are_pytorchs() {
    let shift_scale = serde_json::from_str::<f32>(&golden("surrogate").metadata["shift"]).unwrap();
    for case in cases() {
        let mut surrogate = Surrogate::new(&case.model, &CPU).unwrap();
        let length: f64 = case
            .parts(surrogate.parameters())
            .iter()
            .flat_map(|(name, part)| {
                let shape = &case.model.weights.tensors[name].shape;
                assert_eq!(*part, parameter(name, shape), "{name}");
                part.iter().map(|v| f64::from(*v).powi(2))
            })
            .sum();
        assert!((surrogate.parameter_length() - length.sqrt()).abs() < 1e-9);
        let gradient = surrogate.to_parameters(&case.samples, &case.labels).unwrap();
        for (name, part) in case.parts(&gradient) {
            case.check(&format!("parameters.{name}"), &part);
        }
        let still = vec![0.0; gradient.len()];
        let before = surrogate.to_inputs(&case.samples, &case.labels, &still).unwrap();
        let shift = shifted(&case, &surrogate, shift_scale);
        let slopes = surrogate.to_inputs(&case.samples, &case.labels, &shift).unwrap();
        case.check("inputs", &slopes);
        // The shift is gone afterwards.
        assert_eq!(surrogate.to_parameters(&case.samples, &case.labels).unwrap(), gradient);
        assert_eq!(surrogate.to_inputs(&case.samples, &case.labels, &still).unwrap(), before);
        assert!(surrogate.to_inputs(&case.samples, &case.labels, &still[1..]).is_err());
        assert!(surrogate.to_parameters(&case.samples, &case.labels[1..]).is_err());
    }
}

/// The golden's shift in the surrogate's order: found by matching each tensor's own, which PyTorch's layout has.
fn shifted(case: &Case, surrogate: &Surrogate, scale: f32) -> Vec<f32> {
    // Where an element of a tensor lies is told by numbering the elements.
    let numbers: Vec<f32> = (0..surrogate.parameters().len()).map(|i| i as f32).collect();
    let mut shift = vec![0.0; numbers.len()];
    for (name, places) in case.parts(&numbers) {
        let own = signed(&format!("surrogate shift {name}"), places.len(), scale);
        places.iter().zip(own).for_each(|(place, value)| shift[*place as usize] = value);
    }
    shift
}

#[test]
fn a_probe_says_what_the_model_says_and_how_near_it_is() {
    for case in cases() {
        let mut probe = Probe::new(&case.model, &CPU).unwrap();
        let n = case.labels.len();
        let samples: Vec<Vec<f32>> =
            case.samples.chunks_exact(case.samples.len() / n).map(<[f32]>::to_vec).collect();
        let logits = probe.logits(&samples).unwrap();
        let own: Vec<f32> = match case.name.as_str() {
            // Of a single logit z the class logits are [0, z].
            "binary" => {
                assert!(logits.chunks_exact(2).all(|pair| pair[0] == 0.0));
                logits.chunks_exact(2).map(|pair| pair[1]).collect()
            }
            _ => logits.clone(),
        };
        case.check("logits", &own);
        let still = vec![0.0; Surrogate::new(&case.model, &CPU).unwrap().parameters().len()];
        let pull = probe.pull(&samples, 1).unwrap();
        assert_eq!(pull.logits, logits);
        let of_class: Vec<usize> = (0..n).filter(|&i| case.labels[i] == 1).collect();
        let expected = case.expected("losses");
        assert!(!of_class.is_empty());
        for &i in &of_class {
            assert!((pull.loss[i] - expected[i]).abs() < 1e-5 * expected[i].max(1.0), "{}", case.name);
        }
        let mut surrogate = Surrogate::new(&case.model, &CPU).unwrap();
        let slopes = surrogate.to_inputs(&case.samples, &vec![1; n], &still).unwrap();
        assert!(relative_error(&pull.gradient, &slopes) < TOLERANCE);
        assert!(probe.logits(&[vec![0.0]]).is_err());
    }
}

#[test]
fn what_has_no_features_or_no_single_class_is_refused() {
    let text = r#"{"architecture": "cnn", "input": [4, 4, 1], "classes": 2,
                   "layers": [{"kind": "conv", "out": 2, "kernel": 3}, {"kind": "global_avg_pool"}]}"#;
    let no_linear = model(text);
    assert_eq!(FeatureSpace::new(&no_linear, &CPU).unwrap_err().exit_code(), 2);
    assert!(Surrogate::new(&no_linear, &CPU).is_ok());
    let findings =
        model(r#"{"architecture": "mlp", "inputs": 3, "hidden": [2], "classes": 4, "head": "sigmoid"}"#);
    assert_eq!(Surrogate::new(&findings, &CPU).unwrap_err().exit_code(), 2);
    assert_eq!(Probe::new(&findings, &CPU).unwrap_err().exit_code(), 2);
}

fn model(text: &str) -> Model {
    let config = Config::parse(text, "test").unwrap();
    let weights = Weights::new(formula_weights(&Model::declare(&config)));
    Model::new(config, weights).unwrap()
}
