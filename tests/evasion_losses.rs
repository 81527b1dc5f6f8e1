//! The losses that evasion ascends, through small networks: values and gradients against f64, on both executors.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::evasion::loss::{Loss, ascended, decision_logits};
use percuss::graph::{Compiled, Graph, Phase, Shape, Uploads};
use percuss::models::{Head, Model};
use percuss_kernels::Device;
use support::evasion::{CPU, gpu, mlp};
use support::signed;

const INPUTS: usize = 5;
const SAMPLES: usize = 12;
const LOSSES: [Loss; 3] = [Loss::CrossEntropy, Loss::Margin, Loss::Dlr];

/// What a loss is asked about, a sample.
struct Question {
    label: usize,
    target: Option<usize>,
    finding: usize,
    threshold_logit: f64,
}

/// A network of one hidden layer in f64.
fn forward(model: &Model, x: &[f64]) -> Vec<f64> {
    let layer = |name: &str, x: &[f64]| -> Vec<f64> {
        let weight = &model.weights.tensors[&format!("{name}.weight")];
        let bias = &model.weights.tensors[&format!("{name}.bias")].data;
        let rows = weight.data.chunks_exact(weight.shape[1]);
        let dot = |row: &[f32]| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>();
        rows.zip(bias).map(|(row, bias)| dot(row) + f64::from(*bias)).collect()
    };
    let hidden: Vec<f64> = layer("0", x).into_iter().map(|h| h.max(0.0)).collect();
    layer("2", &hidden)
}

/// The logits that decide: a finding against 0, or two classes, each shifted by the threshold; else the logits themselves.
fn deciding(model: &Model, logits: &[f64], question: &Question) -> Vec<f64> {
    match (model.config.head, logits) {
        (Head::Sigmoid, _) => vec![0.0, logits[question.finding] - question.threshold_logit],
        (Head::Softmax, [absent, present]) => vec![*absent, present - question.threshold_logit],
        _ => logits.to_vec(),
    }
}

/// The log odds against a class, which rise with its cross-entropy; the margin of Carlini & Wagner; DLR, equations 6 and 7 of Croce & Hein. All ascend away from the label, or towards the
/// target.
fn reference(loss: Loss, z: &[f64], question: &Question) -> f64 {
    let odds_against = |class: usize| {
        let others = || z.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, z)| *z);
        let largest = others().fold(f64::MIN, f64::max);
        largest + others().map(|z| (z - largest).exp()).sum::<f64>().ln() - z[class]
    };
    let margin = |class: usize| {
        let others = z.iter().enumerate().filter(|(i, _)| *i != class).map(|(_, z)| *z);
        z[class] - others.fold(f64::MIN, f64::max)
    };
    let mut sorted = z.to_vec();
    sorted.sort_by(|a, b| b.total_cmp(a));
    let label = question.label;
    match (loss, question.target) {
        (Loss::CrossEntropy, None) => odds_against(label),
        (Loss::CrossEntropy, Some(target)) => -odds_against(target),
        (Loss::Margin, None) => -margin(label),
        (Loss::Margin, Some(target)) => margin(target),
        (Loss::Dlr, None) => -margin(label) / (sorted[0] - sorted[2]),
        (Loss::Dlr, Some(target)) => -(z[label] - z[target]) / (sorted[0] - (sorted[2] + sorted[3]) / 2.0),
    }
}

/// The loss of every sample and its gradient to the input, as an attack has them.
fn computed(
    model: &Model,
    loss: Loss,
    x: &[f32],
    questions: &[Question],
    device: &Device,
) -> (Vec<f32>, Vec<f32>) {
    let mut graph = Graph::new();
    let targeted = questions[0].target.is_some();
    let [input, slope] = ["x", "gradient"].map(|name| graph.state(name, Shape::lanes(&[INPUTS])));
    let [label, target, finding, threshold, value] =
        ["label", "target", "finding", "threshold", "loss"].map(|name| graph.state(name, Shape::lanes(&[])));
    let at = graph.load(input);
    let logits = model.logits(&mut graph, at);
    let (asked, shift) = (graph.load(finding), graph.load(threshold));
    let z = decision_logits(&mut graph, logits, model.config.head == Head::Sigmoid, asked, shift);
    let (own, wanted) = (graph.load(label), targeted.then(|| graph.load(target)));
    let found = ascended(&mut graph, loss, z, own, wanted);
    let lifted = graph.mul(found.value, found.lift);
    let gradient = graph.gradients(lifted, &[at])[0];
    let mut phase = Phase::new();
    phase.assign(&mut graph, value, found.value);
    phase.assign(&mut graph, slope, gradient);
    let compiled = Compiled::new(&graph, &[phase], questions.len()).unwrap();
    let mut executable = compiled.instantiate(device, &mut Uploads::default(), 1).unwrap();
    executable.write(input, x).unwrap();
    let numbers = |number: &dyn Fn(&Question) -> f32| questions.iter().map(number).collect::<Vec<f32>>();
    executable.write(label, &numbers(&|q| q.label as f32)).unwrap();
    if targeted {
        executable.write(target, &numbers(&|q| q.target.unwrap() as f32)).unwrap();
    }
    executable.write(finding, &numbers(&|q| q.finding as f32)).unwrap();
    executable.write(threshold, &numbers(&|q| q.threshold_logit as f32)).unwrap();
    executable.run(0, 1).unwrap();
    (executable.read(value).unwrap(), executable.read(slope).unwrap())
}

/// Every loss that `model`'s head has, with and without a target.
fn check(model: &Model, device: &Device) {
    let outputs = model.config.classes();
    let sigmoid = model.config.head == Head::Sigmoid;
    let classes = if sigmoid { 2 } else { outputs };
    let x = signed("loss inputs", SAMPLES * INPUTS, 2.0);
    for loss in LOSSES {
        for targeted in [false, true] {
            if loss == Loss::Dlr && classes < if targeted { 4 } else { 3 } {
                continue;
            }
            let questions: Vec<Question> = (0..SAMPLES)
                .map(|i| Question {
                    label: i % classes,
                    target: targeted.then_some((i + 1 + i / classes % (classes - 1)) % classes),
                    finding: if sigmoid { i / 2 % outputs } else { 0 },
                    // Representable in f32, so that both sides have the same threshold.
                    threshold_logit: if classes == 2 { [0.0, -1.25, 0.75][i % 3] } else { 0.0 },
                })
                .collect();
            let (values, slopes) = computed(model, loss, &x, &questions, device);
            for (i, question) in questions.iter().enumerate() {
                let at: Vec<f64> = x[i * INPUTS..][..INPUTS].iter().map(|&v| f64::from(v)).collect();
                let exact =
                    |x: &[f64]| reference(loss, &deciding(model, &forward(model, x), question), question);
                let what = format!(
                    "{loss:?}, {outputs} outputs, sigmoid {sigmoid}, targeted {targeted}, sample {i}"
                );
                let expected = exact(&at);
                // Sums of at most nine products in f32 give logits to about 1e-6; DLR divides by a spread, which may be small.
                let allowed = if loss == Loss::Dlr { 1e-4 } else { 4e-6 } * (1.0 + expected.abs());
                let found = f64::from(values[i]);
                assert!((found - expected).abs() <= allowed, "{what}: {found}, not {expected}");
                let slope = |j: usize| {
                    let moved = |by: f64| {
                        let mut x = at.clone();
                        x[j] += by;
                        exact(&x)
                    };
                    (moved(1e-6) - moved(-1e-6)) / 2e-6
                };
                let expected: Vec<f64> = (0..INPUTS).map(slope).collect();
                let largest = expected.iter().fold(1e-3, |most: f64, s| most.max(s.abs()));
                for (j, expected) in expected.iter().enumerate() {
                    let found = f64::from(slopes[i * INPUTS + j]);
                    assert!(
                        (found - expected).abs() <= 1e-4 * largest,
                        "{what}: the slope along {j} is {found}, not {expected}"
                    );
                }
            }
        }
    }
}

fn check_all(device: &Device) {
    for classes in [2, 3, 4, 7] {
        check(&mlp(INPUTS, &[8], classes, "softmax"), device);
    }
    for findings in [1, 3] {
        check(&mlp(INPUTS, &[8], findings, "sigmoid"), device);
    }
}

#[test]
fn losses_and_their_slopes_equal_f64() {
    check_all(&CPU);
}

#[test]
fn losses_and_their_slopes_equal_f64_on_the_gpu_executor() {
    check_all(&gpu());
}

#[test]
fn dlr_gives_way_to_the_margin_where_classes_are_too_few_and_says_so() {
    for (classes, targeted, there) in
        [(2, false, false), (3, false, true), (2, true, false), (3, true, false), (4, true, true)]
    {
        let expected = if there { Loss::Dlr } else { Loss::Margin };
        assert_eq!(Loss::resolve("dlr", classes, targeted), expected);
        let column = Loss::column("dlr", classes, targeted);
        assert_eq!(column, if there { "dlr" } else { "margin (for dlr: too few classes)" });
    }
    for (word, loss) in [("cross-entropy", Loss::CrossEntropy), ("margin", Loss::Margin)] {
        assert_eq!((Loss::resolve(word, 2, true), Loss::column(word, 2, true)), (loss, word.to_string()));
    }
}
