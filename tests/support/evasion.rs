//! Small models, samples and jobs to attack.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;

use percuss::attacks::evasion::Settings;
use percuss::attacks::evasion::loss::Loss;
use percuss::attacks::{self, Norm};
use percuss::data::{Domain, Labels};
use percuss::models::{Config, Model, WeightTensor, Weights};
use percuss::sweep::engine::{Engine, Event, Goal, Job, Outcome, Work};
use percuss::sweep::subject::{Subject, clean_logits, prediction};
use percuss_kernels::Device;

use super::{dataset, formula_weights};

pub const CPU: Device = Device::Cpu { threads: 1 };
pub const NORMS: [Norm; 3] = [Norm::Linf, Norm::L2, Norm::L1];

/// The first adapter, software or not.
pub fn gpu() -> Device {
    Device::select("gpu:0", 1).unwrap()
}

fn config(inputs: usize, hidden: &[usize], outputs: usize, head: &str) -> Config {
    let text = serde_json::json!({
        "architecture": "mlp", "inputs": inputs, "hidden": hidden, "classes": outputs, "head": head,
    });
    Config::parse(&text.to_string(), "test").unwrap()
}

/// A network with formula weights.
pub fn mlp(inputs: usize, hidden: &[usize], outputs: usize, head: &str) -> Model {
    let config = config(inputs, hidden, outputs, head);
    let weights = formula_weights(&Model::declare(&config));
    Model::new(config, Weights::new(weights)).unwrap()
}

/// One linear layer: a row of weights and a bias for each output.
pub fn linear(rows: &[(&[f32], f32)], head: &str) -> Model {
    let inputs = rows[0].0.len();
    let weight = rows.iter().flat_map(|(row, _)| row.iter().copied()).collect();
    let bias = rows.iter().map(|(_, bias)| *bias).collect();
    let tensors = BTreeMap::from([
        ("0.weight".to_string(), WeightTensor { shape: vec![rows.len(), inputs], data: weight }),
        ("0.bias".to_string(), WeightTensor { shape: vec![rows.len()], data: bias }),
    ]);
    Model::new(config(inputs, &[], rows.len(), head), Weights::new(tensors)).unwrap()
}

/// The model on samples of its input's length.
pub fn subject(model: Model, values: Vec<f32>, labels: Labels, domain: Domain) -> Subject {
    let shape = model.config.input_shape();
    let classes = match &labels {
        Labels::Class(_) => model.config.classes().max(2),
        Labels::Findings(_) => model.config.classes(),
    };
    let data = dataset(shape, values, labels, classes, domain);
    let clean = clean_logits(&model, &data, &CPU).unwrap();
    Subject { model, data, clean, thresholds: vec![] }
}

/// As [`subject`], every sample labelled as the model predicts.
pub fn right_subject(model: Model, values: Vec<f32>, domain: Domain) -> Subject {
    let n = values.len() / model.config.input_shape().iter().product::<usize>();
    let mut subject = subject(model, values, Labels::Class(vec![0; n]), domain);
    let predicted = (0..n).map(|i| prediction(&subject.deciding(subject.clean_logits(i), 0))).collect();
    subject.data.labels = Labels::Class(predicted);
    subject
}

/// Twenty steps of a quarter of eps (FGSM: one whole), run to the end, for any wrong class; PGD starts at random.
pub fn job(subject: &Subject, attack: &str, norm: Norm, eps: f64) -> Job {
    let single = attack == "fgsm";
    Job {
        settings: Settings {
            attack: attacks::find(attack).unwrap(),
            norm,
            input: None,
            beside: [].into(),
            loss: Loss::CrossEntropy,
            targeted: false,
            exact: true,
            choices: vec![],
            scale: subject.data.domain.scale.as_slice().into(),
            one_hot: subject.data.domain.one_hot.as_slice().into(),
            precision: percuss_kernels::Precision::F32,
        },
        eps,
        beside: [].into(),
        step_size: if single { eps } else { 0.25 * eps },
        steps: if single { 1 } else { 20 },
        restarts: 1,
        random_start: attack == "pgd",
        stop_on_success: false,
        goal: Goal::Any,
        finding: 0,
        parameters: vec![("decay", 1.0)],
        stream: "test".into(),
        seed: 0,
        bisected: None,
        keeps_inputs: true,
    }
}

/// Towards class `class`.
pub fn targeted(mut job: Job, class: u32) -> Job {
    job.settings.targeted = true;
    job.goal = Goal::Target(class);
    job
}

/// Every attack under every norm of numbers that it has, at each of these budgets.
pub fn all_jobs(subject: &Subject, budgets: &[f64]) -> Vec<Job> {
    let mut jobs = Vec::new();
    for attack in attacks::REGISTRY {
        for &norm in attack.norms.iter().filter(|norm| **norm != Norm::Tokens) {
            jobs.extend(budgets.iter().map(|&eps| job(subject, attack.name, norm, eps)));
        }
    }
    jobs
}

/// The outcomes of every job, in their order.
pub fn attack(subject: &Subject, jobs: &[Job], device: &Device) -> Vec<Vec<Outcome>> {
    attack_by(&Engine::new(device.clone(), 2), subject, jobs)
}

/// As [`attack`], by an engine that the caller chose.
pub fn attack_by(engine: &Engine, subject: &Subject, jobs: &[Job]) -> Vec<Vec<Outcome>> {
    let mut all = vec![Vec::new(); jobs.len()];
    engine
        .run(
            &[Work { subject, jobs }],
            &AtomicBool::new(false),
            |_, _, outcomes| Ok(outcomes),
            |event| {
                if let Event::Finished { job, made, .. } = event {
                    all[job] = made;
                }
                Ok(())
            },
        )
        .unwrap();
    all
}

/// How a job is called in messages.
pub fn name(job: &Job) -> String {
    format!("{} {} eps {}", job.settings.attack.name, job.settings.norm.name(), job.eps)
}

/// The norm of a change in scaled units, in f64, straight from its definition.
pub fn size(norm: Norm, x: &[f32], clean: &[f32], scale: &[f32]) -> f64 {
    let mut sum = 0.0f64;
    for (i, (x, clean)) in x.iter().zip(clean).enumerate() {
        let unit = f64::from(if scale.len() == 1 { scale[0] } else { scale[i] });
        let moved = ((f64::from(*x) - f64::from(*clean)) / unit).abs();
        match norm {
            Norm::Linf => sum = sum.max(moved),
            Norm::L2 => sum += moved * moved,
            Norm::L1 => sum += moved,
            Norm::Tokens => sum += f64::from(u8::from(x != clean)),
        }
    }
    if norm == Norm::L2 { sum.sqrt() } else { sum }
}

/// Fails where a perturbation is larger than its budget, or an outcome says another size than it has.
pub fn check_budget(subject: &Subject, job: &Job, outcomes: &[Outcome]) {
    let scale = &subject.data.domain.scale;
    for (i, outcome) in outcomes.iter().enumerate() {
        let measure = |norm| size(norm, &outcome.x, subject.data.sample(i), scale);
        let found = measure(job.settings.norm);
        assert!(found <= job.eps, "{}: sample {i} moved by {found}", name(job));
        for (norm, said) in [Norm::L1, Norm::L2, Norm::Linf].into_iter().zip(outcome.norms) {
            // f64 sums of at most a few hundred terms, perhaps in another order.
            assert!((measure(norm) - said).abs() <= 1e-12 * said, "{}: sample {i}", name(job));
        }
        let changed = outcome.x.iter().zip(subject.data.sample(i)).filter(|(x, clean)| x != clean).count();
        assert_eq!(outcome.l0, changed as u64, "{}: sample {i}", name(job));
    }
}

/// Samples that were attacked with success.
pub fn successes(outcomes: &[Outcome]) -> usize {
    outcomes.iter().filter(|outcome| outcome.attacked && outcome.success).count()
}
