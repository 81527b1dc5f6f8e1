//! Attacks on confident and on faint models: directions of every loss at any scale of the logits, against f64.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::Norm;
use percuss::attacks::evasion::loss::Loss;
use percuss::data::{Domain, Labels};
use percuss::results::Results;
use percuss::sweep::engine::{Goal, Job};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::run::sweep;
use percuss::sweep::study::Study;
use percuss::sweep::subject::Subject;
use percuss_kernels::Device;
use support::evasion::*;
use support::signed;

const INPUTS: usize = 12;
const SAMPLES: usize = 24;
const EPS: f64 = 0.25;
/// What the logits are multiplied by, from the least normal numbers of f32 on.
const SCALES: [f32; 9] = [1e-38, 1e-30, 1e-12, 1e-3, 1.0, 30.0, 1e4, 1e12, 1e30];

/// A linear head in f64: rows of weights and biases.
struct Reference {
    rows: Vec<(Vec<f32>, f32)>,
    scale: f64,
    sigmoid: bool,
}

impl Reference {
    fn new(outputs: usize, scale: f32, sigmoid: bool) -> Self {
        let weights = signed("scales", outputs * INPUTS, 1.0);
        let rows = weights.chunks(INPUTS).enumerate();
        let row = |(c, row): (usize, &[f32])| {
            (row.iter().map(|w| w * scale).collect(), (0.3 * (c as f32) - 0.4) * scale)
        };
        Self { rows: rows.map(row).collect(), scale: f64::from(scale), sigmoid }
    }

    fn subject(&self, values: Vec<f32>) -> Subject {
        let rows: Vec<(&[f32], f32)> = self.rows.iter().map(|(row, bias)| (row.as_slice(), *bias)).collect();
        let model = linear(&rows, if self.sigmoid { "sigmoid" } else { "softmax" });
        let domain = Domain::uniform(-3.0, 3.0);
        if !self.sigmoid || self.rows.len() == 1 {
            return right_subject(model, values, domain);
        }
        let findings = values
            .chunks(INPUTS)
            .flat_map(|x| (0..self.rows.len()).map(|f| u8::from(self.logit(f, x) > 0.0)).collect::<Vec<_>>());
        subject(model, values.clone(), Labels::Findings(findings.collect()), domain)
    }

    fn logit(&self, output: usize, x: &[f32]) -> f64 {
        let (row, bias) = &self.rows[output];
        row.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum::<f64>() + f64::from(*bias)
    }

    /// The deciding logits and their gradients, in units of the scale; `z` is the true logits.
    fn decision(&self, x: &[f32], finding: usize) -> (Vec<f64>, Vec<Vec<f64>>) {
        let gradient =
            |c: usize| self.rows[c].0.iter().map(|w| f64::from(*w) / self.scale).collect::<Vec<f64>>();
        if self.sigmoid {
            return (vec![0.0, self.logit(finding, x)], vec![vec![0.0; INPUTS], gradient(finding)]);
        }
        (0..self.rows.len()).map(|c| (self.logit(c, x), gradient(c))).unzip()
    }

    /// How far the boundary between two classes is, where no bound is in the way: the margin over the dual norm of its gradient.
    fn distance(&self, x: &[f32], norm: Norm) -> f64 {
        let margin = (self.logit(0, x) - self.logit(1, x)).abs();
        let slopes = self.rows[0].0.iter().zip(&self.rows[1].0).map(|(a, b)| f64::from(a - b).abs());
        margin
            / match norm {
                Norm::L2 => slopes.map(|s| s * s).sum::<f64>().sqrt(),
                Norm::L1 => slopes.fold(0.0, f64::max),
                Norm::Linf | Norm::Tokens => slopes.sum(),
            }
    }

    /// The direction of the ascended loss: by its weights of the logits' gradients.
    fn ascent(&self, job: &Job, label: usize, x: &[f32]) -> Vec<f64> {
        let (z, gradients) = self.decision(x, job.finding);
        let target = match job.goal {
            Goal::Target(class) => Some(class as usize),
            _ => None,
        };
        let class = target.unwrap_or(label);
        let sign = if target.is_some() { -1.0 } else { 1.0 };
        let mut order: Vec<usize> = (0..z.len()).collect();
        order.sort_by(|&a, &b| z[b].total_cmp(&z[a]));
        let best = *order.iter().find(|&&c| c != class).unwrap();
        let mut weights = vec![0.0; z.len()];
        match job.settings.loss {
            Loss::CrossEntropy => {
                let others = || (0..z.len()).filter(|&c| c != class);
                let sum: f64 = others().map(|c| (z[c] - z[best]).exp()).sum();
                others().for_each(|c| weights[c] = sign * (z[c] - z[best]).exp() / sum);
                weights[class] = -sign;
            }
            Loss::Margin => (weights[best], weights[class]) = (sign, -sign),
            Loss::Dlr => {
                // The gradient of a / b is along b da - a db; here a is the ascended difference.
                let (a, up, down) = match target {
                    None => (z[best] - z[label], best, label),
                    Some(target) => (z[target] - z[label], target, label),
                };
                let lower: &[usize] = if target.is_some() { &order[2..4] } else { &order[2..3] };
                let b = z[order[0]] - lower.iter().map(|&c| z[c]).sum::<f64>() / lower.len() as f64;
                weights[up] += 1.0;
                weights[down] -= 1.0;
                weights[order[0]] -= a / b;
                lower.iter().for_each(|&c| weights[c] += a / b / lower.len() as f64);
            }
        }
        let along = |j: usize| weights.iter().zip(&gradients).map(|(w, g)| w * g[j]).sum();
        (0..INPUTS).map(along).collect()
    }

    /// A step of the whole budget, as FGSM takes it.
    fn step(&self, job: &Job, label: usize, x: &[f32]) -> Vec<f64> {
        let along = self.ascent(job, label, x);
        let length = match job.settings.norm {
            Norm::L2 => along.iter().map(|a| a * a).sum::<f64>().sqrt(),
            Norm::L1 => along.iter().map(|a| a.abs()).sum(),
            _ => 1.0,
        };
        let unit = |a: &f64| if job.settings.norm == Norm::Linf { a.signum() } else { a / length };
        along.iter().map(|a| EPS * unit(a)).collect()
    }
}

/// Every loss and aim that a head has, under every norm.
fn jobs(subject: &Subject, outputs: usize, sigmoid: bool) -> Vec<Job> {
    let classes = if sigmoid { 2 } else { outputs };
    let mut jobs = Vec::new();
    for norm in NORMS {
        for loss in [Loss::CrossEntropy, Loss::Margin, Loss::Dlr] {
            for aimed in [false, true] {
                if loss == Loss::Dlr && classes < if aimed { 4 } else { 3 } {
                    continue;
                }
                let mut one = job(subject, "fgsm", norm, EPS);
                one.settings.loss = loss;
                one.finding = if sigmoid { outputs - 1 } else { 0 };
                jobs.push(if aimed { targeted(one, 1) } else { one });
            }
        }
    }
    jobs
}

fn check(device: &Device, scales: &[f32]) {
    let values = signed("scale samples", SAMPLES * INPUTS, 2.0);
    for (outputs, sigmoid) in [(2, false), (5, false), (1, true), (3, true)] {
        for &scale in scales {
            let reference = Reference::new(outputs, scale, sigmoid);
            let subject = reference.subject(values.clone());
            let jobs = jobs(&subject, outputs, sigmoid);
            for (job, outcomes) in jobs.iter().zip(attack(&subject, &jobs, device)) {
                let what = format!(
                    "{outputs} outputs, sigmoid {sigmoid}, logits times {scale:e}, {:?} {:?} {:?}",
                    job.settings.norm, job.settings.loss, job.goal
                );
                let mut compared = 0;
                for (i, outcome) in outcomes.iter().enumerate() {
                    let x = subject.data.sample(i);
                    let label = subject.label(i, job.finding);
                    if job.goal == Goal::Target(label) {
                        continue;
                    }
                    let step = reference.step(job, label as usize, x);
                    assert_eq!(outcome.zero_gradients, 0.0, "{what}: sample {i}");
                    let largest = step.iter().fold(0.0, |most: f64, s| most.max(s.abs()));
                    for (j, step) in step.iter().enumerate() {
                        let found = f64::from(outcome.x[j]) - f64::from(x[j]);
                        // Signs of entries that are next to nothing are rounding.
                        let tiny = job.settings.norm == Norm::Linf && {
                            let along = reference.ascent(job, label as usize, x);
                            along[j].abs() < 1e-3
                        };
                        assert!(
                            tiny || (found - step).abs() <= 2e-3 * largest,
                            "{what}: sample {i} moves by {found} along {j}, not by {step}"
                        );
                    }
                    compared += 1;
                }
                assert!(compared >= SAMPLES / 4, "{what}: {compared} samples");
            }
        }
    }
}

#[test]
fn steps_follow_the_gradient_at_any_scale_of_the_logits() {
    check(&CPU, &SCALES);
}

#[test]
fn steps_follow_the_gradient_at_any_scale_of_the_logits_on_the_gpu_executor() {
    // A GPU may take numbers below 1.2e-38 for zero.
    check(&gpu(), &[1e-30, 1.0, 1e4, 1e30]);
}

#[test]
fn iterated_attacks_break_a_confident_model_as_they_break_a_faint_one() {
    let values = signed("scale samples", SAMPLES * INPUTS, 2.0);
    for attack_name in ["bim", "pgd", "mi-fgsm"] {
        for norm in NORMS {
            if attack_name == "mi-fgsm" && norm == Norm::L1 {
                continue;
            }
            let mut found = Vec::new();
            for scale in SCALES {
                let subject = Reference::new(2, scale, false).subject(values.clone());
                let jobs = [0.3, 0.8, 2.0].map(|eps| {
                    let mut job = job(&subject, attack_name, norm, eps);
                    if attack_name != "mi-fgsm" {
                        job.settings.choices = vec![("l1_step", "sparse")];
                    }
                    job
                });
                let broken: Vec<usize> =
                    attack(&subject, &jobs, &CPU).iter().map(|outcomes| successes(outcomes)).collect();
                found.push(broken);
            }
            assert!(found.iter().all(|broken| *broken == found[4]), "{attack_name} {norm:?}: {found:?}");
            assert!(found[4][2] > found[4][0], "{attack_name} {norm:?}: {found:?}");
            let reference = Reference::new(2, 1.0, false);
            let within =
                |eps: f64| values.chunks(INPUTS).filter(|x| reference.distance(x, norm) < eps).count();
            assert_eq!(found[4][..2], [within(0.3), within(0.8)], "{attack_name} {norm:?}");
        }
    }
}

#[test]
fn runs_that_end_while_their_loss_rises_say_so() {
    let values = signed("scale samples", SAMPLES * INPUTS, 2.0);
    let subject = Reference::new(2, 1.0, false).subject(values);
    // Steps that together are a fifth of the budget rise to the end; those that cross the ball come to rest in a corner or on the sphere.
    for (step_size, rises) in [(0.01, true), (0.125, false)] {
        for norm in NORMS {
            let mut bim = job(&subject, "bim", norm, 0.05);
            bim.step_size = step_size * bim.eps;
            bim.settings.choices = vec![("l1_step", "sparse")];
            let outcomes = attack(&subject, &[bim], &CPU).remove(0);
            let unbroken: Vec<_> = outcomes.iter().filter(|o| !o.success).collect();
            assert!(unbroken.len() > SAMPLES / 2);
            let rising = unbroken.iter().filter(|o| o.rising).count();
            assert_eq!(rising, if rises { unbroken.len() } else { 0 }, "{norm:?} {step_size}");
        }
    }
}

/// Accuracies under attack of a study on two linear models in ONNX files, whose logits differ by hundreds, by attack, loss, norm and budget. The
/// logistic regression's are the share of samples whose margin is larger than eps times the dual norm of the weights; those of three classes come
/// of steps that numpy took in f64.
#[test]
fn confident_models_in_files_have_the_accuracies_of_exact_arithmetic() {
    let cases = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/confident");
    let right: [(&str, &str, Norm, f64, f64); 8] = [
        ("logistic", "pgd", Norm::L2, 0.25, 202.0 / 228.0),
        ("logistic", "pgd", Norm::L2, 0.5, 174.0 / 228.0),
        ("logistic", "pgd", Norm::L2, 1.0, 112.0 / 228.0),
        ("logistic", "pgd", Norm::Linf, 0.1, 181.0 / 228.0),
        ("steep", "fgsm", Norm::Linf, 0.5, 0.015),
        ("steep", "fgsm", Norm::L2, 1.0, 0.175),
        ("steep", "fgsm", Norm::L1, 3.0, 0.265),
        ("steep", "bim", Norm::L2, 1.0, 0.175),
    ];
    for name in ["logistic", "steep"] {
        let out = tempfile::tempdir().unwrap();
        let mut study = format!(
            "name = \"{name}\"\nseeds = [0]\n[[data]]\nid = \"d\"\npath = \"{name}.npz\"\nsplit = \"all\"\n\
             [[model]]\nid = \"m\"\npath = \"{name}.onnx\"\ndata = [\"d\"]\ninput = {{ bounds = [-50, 50] }}\n"
        );
        for (of, attack, norm, eps, _) in right {
            if of == name {
                study += &format!(
                    "[[attack]]\nkind = \"{attack}\"\nloss = \"cross-entropy\"\nbudget = [ {{ norm = \"{}\", eps = {eps} }} ]\n",
                    norm.name()
                );
            }
        }
        let file = out.path().join("study.toml");
        let study = ["npz", "onnx"].iter().fold(study, |text, end| {
            let beside = cases.join(format!("{name}.{end}"));
            text.replace(&format!("\"{name}.{end}\""), &format!("{beside:?}"))
        });
        std::fs::write(&file, study).unwrap();
        let options = SweepOptions {
            out: Some(out.path().join("out")),
            quiet: true,
            device: "cpu".into(),
            ..SweepOptions::default()
        };
        sweep(&Study::read(&file).unwrap(), &options).unwrap();
        let results = Results::open(&out.path().join("out")).unwrap();
        let cells = results.cells().unwrap();
        for (of, attack, norm, eps, expected) in right {
            let found: Vec<f64> = cells
                .iter()
                .filter(|cell| {
                    of == name
                        && cell.attack == attack
                        && cell.norm.as_deref() == Some(norm.name())
                        && cell.eps == Some(eps)
                })
                .map(|cell| cell.robust_accuracy.unwrap())
                .collect();
            assert_eq!(found.len(), usize::from(of == name), "{name} {attack} {norm:?} {eps}");
            let equal = found.iter().all(|share| (share - expected).abs() < 1e-9);
            assert!(equal, "{name} {attack} {norm:?} {eps}: {found:?} for {expected}");
        }
    }
}
