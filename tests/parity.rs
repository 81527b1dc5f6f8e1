//! FGSM, BIM, PGD and MI-FGSM against Foolbox and torchattacks: the same weights, inputs, budgets and steps.
//!
//! Elementwise where an element's gradient is not zero to rounding (`sure` in the goldens), and robust accuracies over a ladder of
//! budgets. Random starts are off and `stop = "steps"`, as those tools run.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::evasion::Settings;
use percuss::attacks::evasion::loss::Loss;
use percuss::attacks::{self, Norm};
use percuss::data::{Domain, Labels};
use percuss::models::Weights;
use percuss::sweep::engine::{Goal, Job};
use percuss::sweep::subject::{Subject, prediction};
use percuss_kernels::Device;
use serde_json::Value;
use support::evasion::attack;
use support::{channels_last, formula_model, golden, inputs_for, layout};

fn subject(golden: &Weights) -> Subject {
    let model = formula_model(golden);
    let values = inputs_for(golden, &model.config.input_shape());
    let [low, high]: [f32; 2] = serde_json::from_str(&golden.metadata["bounds"]).unwrap();
    let labels = golden.tensors["labels"].data.iter().map(|&label| label as u32).collect();
    support::evasion::subject(model, values, Labels::Class(labels), Domain::uniform(low, high))
}

fn job(record: &Value, rung: &Value) -> Job {
    let name = record["attack"].as_str().unwrap();
    let number = |key: &str| rung[key].as_f64().unwrap();
    Job {
        settings: Settings {
            attack: attacks::find(name).unwrap(),
            norm: Norm::parse(record["norm"].as_str().unwrap()).unwrap(),
            input: None,
            beside: [].into(),
            loss: Loss::CrossEntropy,
            targeted: false,
            exact: false,
            // Foolbox accumulates signs, which is not the paper's rule.
            choices: if record["tool"] == "foolbox" { vec![("accumulate", "sign")] } else { vec![] },
            scale: [1.0].into(),
            one_hot: [].into(),
            precision: percuss_kernels::Precision::F32,
        },
        eps: number("eps"),
        beside: [].into(),
        step_size: number("step_size"),
        steps: record["steps"].as_u64().unwrap(),
        restarts: 1,
        random_start: false,
        stop_on_success: false,
        goal: Goal::Any,
        finding: 0,
        parameters: vec![("decay", 1.0)],
        stream: "parity".into(),
        seed: 0,
        bisected: None,
        keeps_inputs: true,
    }
}

fn check(setting: &str, device: &Device) {
    let golden = golden(&format!("parity_{setting}"));
    let subject = subject(&golden);
    let records: Vec<Value> = serde_json::from_str(&golden.metadata["attacks"]).unwrap();
    let rungs: Vec<(&Value, usize)> = records
        .iter()
        .flat_map(|r| (0..r["ladder"].as_array().unwrap().len()).map(move |k| (r, k)))
        .collect();
    let jobs: Vec<Job> = rungs.iter().map(|(r, k)| job(r, &r["ladder"][*k])).collect();
    let found = attack(&subject, &jobs, device);
    let (channels, spatial) = layout(&subject.data.shape);
    let n = subject.data.len();
    for (((record, k), job), outcomes) in rungs.iter().zip(&jobs).zip(&found) {
        let name = record["name"].as_str().unwrap();
        let right = |i: usize| prediction(&outcomes[i].logits) == subject.label(i, 0);
        let robust =
            outcomes.iter().enumerate().filter(|(i, o)| o.attacked && right(*i)).count() as f64 / n as f64;
        let expected = record["ladder"][*k]["robust_accuracy"].as_f64().unwrap();
        assert!(
            (robust - expected).abs() <= 0.005,
            "{setting} {name} eps {}: robust accuracy {robust}, not {expected}",
            job.eps
        );
        for outcome in outcomes {
            let [l1, l2, linf] = outcome.norms;
            let size = match job.settings.norm {
                Norm::L1 | Norm::Tokens => l1,
                Norm::L2 => l2,
                Norm::Linf => linf,
            };
            assert!(size <= job.eps, "{setting} {name}: a perturbation of {size} exceeds {}", job.eps);
        }
        let Some(stored) = golden.tensors.get(&format!("{name}.{k}.adversarials")) else { continue };
        let expected = channels_last(&stored.data, channels, spatial);
        let sure = channels_last(&golden.tensors[&format!("{name}.{k}.sure")].data, channels, spatial);
        let len = subject.data.sample_len();
        let mut compared = 0;
        for i in 0..expected.len() / len {
            for j in 0..len {
                if sure[i * len + j] == 0.0 {
                    continue;
                }
                compared += 1;
                let (a, b) = (f64::from(outcomes[i].x[j]), f64::from(expected[i * len + j]));
                // The goldens themselves differ by up to 1e-4 eps between f32 and f64 where they are sure.
                assert!(
                    (a - b).abs() <= 3e-4 * job.eps + 1e-6,
                    "{setting} {name} {k}: sample {i} element {j}: {a}, not {b}"
                );
            }
        }
        assert!(
            compared * 2 > expected.len(),
            "{setting} {name} {k}: only {compared} elements are comparable"
        );
    }
}

#[test]
fn mlp_adversarials_equal_the_other_tools() {
    check("mlp", &Device::Cpu { threads: 1 });
}

#[test]
fn cnn_adversarials_equal_the_other_tools() {
    check("cnn", &Device::Cpu { threads: 1 });
}

#[test]
fn pixel_units_behind_a_normalised_model_equal_the_other_tools() {
    check("cnn_pixels", &Device::Cpu { threads: 1 });
}

#[test]
fn ecg_adversarials_equal_the_other_tools() {
    check("resnet1d", &Device::Cpu { threads: 1 });
}
