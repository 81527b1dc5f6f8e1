//! The numbers of a cell, worst cases and sanity checks, on cases small enough to count by hand.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use percuss::results::company::{Bits, check_across};
use percuss::results::curves::{worst_cases, write_curves};
use percuss::results::flags::*;
use percuss::results::summary::{Context, Head, summarise};
use percuss::results::{CellRow, MetricRow, Results, SampleRow, Shard, Store, StudyText, Text};

/// Label, clean and adversarial answer, probability of class 1 before and after, success, l2.
type Case = (u32, u32, u32, f32, f32, Option<bool>, f64);

const CASES: [Case; 8] = [
    (1, 1, 0, 0.9, 0.2, Some(true), 1.0),
    (1, 1, 1, 0.8, 0.7, Some(false), 5.0),
    (1, 0, 0, 0.3, 0.1, None, 0.0),
    (1, 1, 0, 0.6, 0.4, Some(true), 3.0),
    (0, 0, 1, 0.2, 0.8, Some(true), 2.0),
    (0, 0, 0, 0.1, 0.3, Some(false), 5.0),
    (0, 1, 0, 0.7, 0.35, None, 0.5),
    (0, 0, 0, 0.4, 0.45, Some(false), 5.0),
];

fn samples(cell: &str, cases: &[Case]) -> Vec<SampleRow> {
    let row = |(i, (label, clean, adv, p, q, success, l2)): (usize, &Case)| SampleRow {
        cell_id: cell.into(),
        sample: i as u64,
        label: *label,
        clean_pred: *clean,
        adv_pred: *adv,
        scores_clean: vec![1.0 - p, *p].into(),
        scores_adv: vec![1.0 - q, *q],
        success: *success,
        robust: clean == label && adv == label,
        l2: *l2,
        linf: l2 / 10.0,
        forward_calls: 10,
        ..Default::default()
    };
    cases.iter().enumerate().map(row).collect()
}

fn metric<'a>(metrics: &'a [MetricRow], name: &str, scope: &str) -> Option<&'a MetricRow> {
    metrics.iter().find(|m| m.metric == name && m.scope == scope)
}

fn cell(stop: &str) -> CellRow {
    CellRow { cell_id: "c".into(), stop: Some(stop.into()), threshold: Some(0.5), ..Default::default() }
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.expect("a value");
    // Scores are f32, so that sums of eight of them are exact to about 1e-7.
    assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
}

#[test]
fn counts_rates_and_medians_are_those_of_the_design() {
    let mut cell = cell("steps");
    let sex: Vec<String> = ["F", "M", "F", "M", "F", "M", "F", "M"].map(str::to_owned).to_vec();
    let subgroups = [("sex".to_owned(), sex)];
    let rows = samples("c", &CASES);
    let metrics = summarise(&mut cell, &rows, &Context { head: Head::Binary, subgroups: &subgroups });
    assert_eq!(
        (cell.n, cell.n_attacked, cell.n_success, cell.n_recovered, cell.n_groups),
        (8, 6, 3, 1, None)
    );
    near(cell.clean_accuracy, 6.0 / 8.0);
    // The recovered sample counts for accuracy_adv and never for robust_accuracy.
    near(cell.accuracy_adv, 4.0 / 8.0);
    near(cell.robust_accuracy, 3.0 / 8.0);
    near(cell.attack_success_rate, 3.0 / 6.0);
    assert_eq!(cell.ci_method.as_deref(), Some("wilson"));
    assert!(
        cell.robust_accuracy_low < cell.robust_accuracy && cell.robust_accuracy < cell.robust_accuracy_high
    );
    // To break: 1, 2, 3, inf, inf, inf.
    assert_eq!(cell.median_l2, Some(f64::INFINITY));
    near(metric(&metrics, "median_l2_success", "all").unwrap().value, 2.0);
    near(metric(&metrics, "median_linf_success", "all").unwrap().value, 0.2);
    near(cell.forward_calls, 10.0);
    let sensitivity = metric(&metrics, "sensitivity", "all").unwrap();
    near(sensitivity.value_clean, 3.0 / 4.0);
    near(sensitivity.value, 1.0 / 4.0);
    let specificity = metric(&metrics, "specificity", "all").unwrap();
    near(specificity.value_clean, 3.0 / 4.0);
    near(specificity.value, 3.0 / 4.0);
    let auroc = metric(&metrics, "auroc", "all").unwrap();
    // Clean: of 16 pairs the positive .3 loses to .7 and .4, and .6 to .7.
    near(auroc.value_clean, 13.0 / 16.0);
    // After: .2 beats none; .7 beats three; .1 none; .4 beats .3 and .35.
    near(auroc.value, 5.0 / 16.0);
    let brier = metric(&metrics, "brier", "all").unwrap();
    near(brier.value_clean, (0.01 + 0.04 + 0.49 + 0.16 + 0.04 + 0.01 + 0.49 + 0.16) / 8.0);
    near(metric(&metrics, "robust_accuracy", "class:1").unwrap().value, 1.0 / 4.0);
    near(metric(&metrics, "robust_accuracy", "class:0").unwrap().value, 2.0 / 4.0);
    let women = metric(&metrics, "robust_accuracy", "sex=F").unwrap();
    near(women.value, 0.0);
    near(women.value_clean, 2.0 / 4.0);
    assert_eq!((women.n, women.low), (4, Some(0.0)));
    let rate = metric(&metrics, "attack_success_rate", "sex=F").unwrap();
    assert_eq!((rate.value, rate.n), (Some(1.0), 2));
}

#[test]
fn scores_of_lanes_that_stopped_are_null_and_never_flatter() {
    let mut cell = cell("success");
    let metrics =
        summarise(&mut cell, &samples("c", &CASES), &Context { head: Head::Binary, subgroups: &[] });
    for name in ["auroc", "brier", "ece", "sensitivity", "specificity", "balanced_accuracy", "macro_f1"] {
        let row = metric(&metrics, name, "all").unwrap();
        assert!(row.value_clean.is_some() && row.value.is_none(), "{name}");
    }
    assert!(metric(&metrics, "robust_accuracy", "class:0").unwrap().value.is_some());
}

#[test]
fn nothing_attacked_and_nothing_at_all_are_nulls() {
    let mut only_wrong = cell("steps");
    summarise(&mut only_wrong, &samples("c", &CASES[2..3]), &Context { head: Head::Binary, subgroups: &[] });
    assert_eq!((only_wrong.attack_success_rate, only_wrong.median_l2), (None, None));
    assert_eq!(only_wrong.robust_accuracy, Some(0.0));
    let mut empty = cell("steps");
    let metrics = summarise(&mut empty, &[], &Context { head: Head::Binary, subgroups: &[] });
    assert_eq!((empty.robust_accuracy, empty.clean_accuracy, empty.ci_method), (None, None, None));
    assert!(metrics.is_empty());
}

#[test]
fn declared_groups_widen_the_interval_and_few_of_them_get_a_flag() {
    let mut rows = samples("c", &CASES);
    rows.iter_mut().for_each(|row| row.group = Some(format!("patient{}", row.sample / 2).into()));
    let mut cell = cell("steps");
    let metrics = summarise(&mut cell, &rows, &Context { head: Head::Binary, subgroups: &[] });
    let marked = metrics.iter().filter(|row| row.low.is_some());
    assert!(marked.clone().count() > 2, "classes have intervals of their own");
    assert!(marked.clone().all(|row| row.method.as_deref().is_some_and(|m| m.ends_with(", few-groups"))));
    assert_eq!((cell.n_groups, cell.ci_method.as_deref()), (Some(4), Some("wilson-groups")));
    assert_eq!(cell.flags, ["few-groups"]);
}

#[test]
fn several_classes_have_metrics_a_class() {
    let scores = [
        [0.7, 0.2, 0.1],
        [0.1, 0.6, 0.3],
        [0.2, 0.2, 0.6],
        [0.5, 0.4, 0.1],
        [0.3, 0.4, 0.3],
        [0.2, 0.5, 0.3],
    ];
    let labels = [0, 1, 2, 0, 2, 1];
    let row = |i: usize| {
        let largest = (0..3).max_by(|a, b| f32::total_cmp(&scores[i][*a], &scores[i][*b])).unwrap() as u32;
        SampleRow {
            sample: i as u64,
            label: labels[i],
            clean_pred: largest,
            adv_pred: largest,
            scores_clean: scores[i].to_vec().into(),
            scores_adv: scores[i].to_vec(),
            robust: largest == labels[i],
            ..Default::default()
        }
    };
    let rows: Vec<SampleRow> = (0..6).map(row).collect();
    let metrics = summarise(&mut cell("steps"), &rows, &Context { head: Head::Classes(3), subgroups: &[] });
    near(metric(&metrics, "balanced_accuracy", "all").unwrap().value, (1.0 + 1.0 + 0.5) / 3.0);
    near(metric(&metrics, "macro_f1", "all").unwrap().value, (1.0 + 0.8 + 2.0 / 3.0) / 3.0);
    near(metric(&metrics, "sensitivity", "class:2").unwrap().value, 0.5);
    near(metric(&metrics, "specificity", "class:1").unwrap().value, 0.75);
    // Class 2: .6 beats all four others; .3 beats .1 and .1 and ties with .3 and .3.
    near(metric(&metrics, "auroc", "class:2").unwrap().value, 7.0 / 8.0);
    assert!(metric(&metrics, "auroc", "all").unwrap().method.as_deref().unwrap().contains("macro"));
}

#[test]
fn findings_are_told_together_and_one_by_one() {
    // Three samples, two findings with thresholds .5 and .2; the cell attacks the second.
    let truth = [1, 0, 0, 1, 1, 1];
    let clean = [[0.9f32, 0.1], [0.2, 0.4], [0.4, 0.3]];
    let adv = [[0.9f32, 0.3], [0.2, 0.4], [0.6, 0.1]];
    let row = |i: usize| {
        let said = |p: f32| u32::from(p >= 0.2);
        let label = truth[2 * i + 1];
        SampleRow {
            sample: i as u64,
            label: u32::from(label),
            clean_pred: said(clean[i][1]),
            adv_pred: said(adv[i][1]),
            scores_clean: clean[i].to_vec().into(),
            scores_adv: adv[i].to_vec(),
            ..Default::default()
        }
    };
    let rows: Vec<SampleRow> = (0..3).map(row).collect();
    let said = |scores: [[f32; 2]; 3]| scores.map(|[a, b]| [u32::from(a > 0.5), u32::from(b > 0.2)]).concat();
    let (said_clean, said_adv) = (said(clean), said(adv));
    let head = Head::Findings { index: 1, said_clean: &said_clean, said_adv: &said_adv, labels: &truth };
    let metrics = summarise(&mut cell("steps"), &rows, &Context { head, subgroups: &[] });
    near(metric(&metrics, "any_flip", "all").unwrap().value, 2.0 / 3.0);
    let exact = metric(&metrics, "exact_match", "all").unwrap();
    near(exact.value_clean, 2.0 / 3.0);
    near(exact.value, 1.0 / 3.0);
    near(metric(&metrics, "auroc", "all").unwrap().value_clean, 1.0);
}

/// Writes cells whose samples are given as (robust?, linf) for each of four samples, the last wrong when clean.
fn folder(cells: &[(CellRow, [(bool, f64); 3])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let study = StudyText { name: "a".into(), text: "name = \"a\"".into() };
    let mut store = Store::open(dir.path(), &study, Shard::WHOLE).unwrap();
    for (cell, outcomes) in cells {
        let row = |(i, (robust, linf)): (usize, &(bool, f64))| SampleRow {
            cell_id: cell.cell_id.clone(),
            sample: i as u64,
            label: 1,
            clean_pred: 1,
            adv_pred: u32::from(*robust),
            success: Some(!robust),
            robust: *robust,
            linf: *linf,
            ..Default::default()
        };
        let mut samples: Vec<SampleRow> = outcomes.iter().enumerate().map(row).collect();
        let wrong = SampleRow { cell_id: cell.cell_id.clone(), sample: 3, label: 1, ..Default::default() };
        samples.push(wrong);
        store.push(cell.clone(), vec![], samples).unwrap();
    }
    let plan: Vec<Text> = cells.iter().map(|(cell, _)| cell.cell_id.clone()).collect();
    store.finish(&plan).unwrap();
    dir
}

fn attack(id: &str, attack: &str, eps: f64, seed: u64) -> CellRow {
    CellRow {
        cell_id: id.into(),
        model: "m".into(),
        attack: attack.into(),
        norm: Some("linf".into()),
        eps: Some(eps),
        seed: Some(seed),
        ..Default::default()
    }
}

#[test]
fn a_curve_has_the_flags_of_all_its_cells() {
    let all = [(true, 0.0), (true, 0.0), (true, 0.0)];
    let flagged = |id: &str, eps: f64, flags: &[&str]| CellRow {
        flags: flags.iter().map(|flag| Text::from(*flag)).collect(),
        ..attack(id, "pgd", eps, 0)
    };
    let cells = [
        (flagged("a", 0.1, &["zero-gradients", "one-answer"]), all),
        (
            CellRow {
                attack: "fgsm".into(),
                ..flagged("b", 0.1, &["one-answer", "budget-below-resolution"])
            },
            all,
        ),
        (flagged("c", 0.2, &[]), all),
    ];
    let folder = folder(&cells);
    write_curves(&Results::open(folder.path()).unwrap()).unwrap();
    let rows = worst_cases(&Results::open(folder.path()).unwrap()).unwrap();
    let flags: Vec<Vec<&str>> =
        rows.iter().map(|row| row.flags.iter().map(|flag| flag.as_str()).collect()).collect();
    assert_eq!(flags, [vec!["budget-below-resolution", "one-answer", "zero-gradients"], vec![]]);
}

#[test]
fn the_worst_case_is_per_sample_and_not_the_worst_cell() {
    let dir = folder(&[
        (attack("a", "pgd", 2.0, 0), [(false, 2.0), (true, 2.0), (true, 2.0)]),
        (attack("b", "pgd", 2.0, 1), [(false, 1.5), (true, 2.0), (true, 2.0)]),
        (attack("c", "fgsm", 2.0, 0), [(false, 1.5), (false, 2.0), (true, 2.0)]),
        (attack("d", "fgsm", 1.0, 0), [(true, 1.0), (true, 1.0), (false, 1.0)]),
    ]);
    let results = Results::open(dir.path()).unwrap();
    let outlines = write_curves(&results).unwrap();
    let rows = worst_cases(&results).unwrap();
    assert_eq!(results.curves().unwrap(), rows);
    for (outline, row) in outlines.iter().zip(&rows) {
        assert!(outline.samples.is_empty() && outline.robust.is_empty() && outline.broken_by.is_empty());
        assert_eq!((outline.robust_accuracy, outline.eps), (row.robust_accuracy, row.eps));
    }
    assert_eq!(outlines.len(), rows.len());
    assert_eq!(rows.iter().map(|row| row.eps).collect::<Vec<_>>(), [1.0, 2.0]);
    let row = &rows[1];
    assert_eq!((row.n, row.n_cells), (4, 3));
    // Cells alone leave 2/4, 2/4 and 1/4 robust; together they leave 1/4, and a sample wrong when clean is never robust.
    assert_eq!(row.robust, [false, false, true, false]);
    assert_eq!((row.robust_accuracy, row.clean_accuracy), (Some(0.25), Some(0.75)));
    // Sample 0 was broken at 1.5 by both: the first name.
    let broken_by: Vec<Option<&str>> = row.broken_by.iter().map(Option::as_deref).collect();
    assert_eq!(broken_by, [Some("fgsm"), Some("fgsm"), None, None]);
    assert_eq!(
        (row.attacks.clone(), row.attack_broke.clone()),
        (vec!["fgsm".into(), "pgd".into()], vec![2, 0])
    );
    assert_eq!(row.worst_attack.as_deref(), Some("fgsm"));
}

#[test]
fn a_curve_of_an_aim_counts_what_reached_it() {
    let hide = |id: &str, eps: f64| CellRow { aim: Some("hide".into()), ..attack(id, "pgd", eps, 0) };
    let dir = folder(&[(hide("a", 1.0), [(false, 1.0), (true, 1.0), (true, 1.0)])]);
    let row = &worst_cases(&Results::open(dir.path()).unwrap()).unwrap()[0];
    assert_eq!((row.robust_accuracy, row.robust_accuracy_low), (None, None));
    // All four have the finding; one is wrong when clean, one was hidden.
    assert_eq!((row.n_concerned, row.asked_robust), (Some(4), Some(0.5)));
    assert_eq!(
        (row.robust.as_slice(), row.attack_broke.as_slice()),
        (&[false, true, true, false][..], &[1][..])
    );
}

#[test]
fn a_wrong_answer_that_is_not_the_aims_breaks_nothing() {
    // Of three classes: the first sample's finding became another finding, which hides nothing.
    let dir = tempfile::tempdir().unwrap();
    let study = StudyText { name: "a".into(), text: "name = \"a\"".into() };
    let mut store = Store::open(dir.path(), &study, Shard::WHOLE).unwrap();
    let cell = CellRow { aim: Some("hide".into()), ..attack("a", "pgd", 1.0, 0) };
    let row = |sample: u64, label: u32, adv: u32, success: Option<bool>| SampleRow {
        cell_id: "a".into(),
        sample,
        label,
        clean_pred: label,
        adv_pred: adv,
        success,
        robust: label == adv,
        ..Default::default()
    };
    let samples = vec![row(0, 1, 2, Some(false)), row(1, 2, 0, Some(true)), row(2, 0, 0, None)];
    store.push(cell, vec![], samples).unwrap();
    store.finish(&["a".into()]).unwrap();
    let row = &worst_cases(&Results::open(dir.path()).unwrap()).unwrap()[0];
    assert_eq!((row.n, row.n_concerned, row.asked_robust), (3, Some(2), Some(0.5)));
    assert_eq!(row.robust, [true, false, true]);
}

fn robust(id: &str, knowledge: &str, steps: u64, eps: f64, robust: f64) -> CellRow {
    let params =
        format!("{{\"kind\":\"x\",\"steps\":{steps},\"budget\":{{\"norm\":\"linf\",\"eps\":{eps}}}}}");
    CellRow {
        knowledge: knowledge.into(),
        n: 100,
        steps: Some(steps),
        robust_accuracy: Some(robust),
        params: params.into(),
        ..attack(id, "x", eps, 0)
    }
}

fn flagged(cells: &[CellRow], flag: &str) -> Vec<Text> {
    cells.iter().filter(|c| c.flags.iter().any(|f| f == flag)).map(|c| c.cell_id.clone()).collect()
}

/// The robust samples of cells: the first so many of a hundred, so that cells differ in as many samples as their shares say.
fn robust_bits(cells: &[CellRow]) -> Vec<(Text, Bits)> {
    let bits = |cell: &CellRow| {
        let robust = (cell.robust_accuracy.unwrap() * 100.0).round() as usize;
        (cell.cell_id.clone(), (0..100).map(|i| i < robust).collect())
    };
    cells.iter().map(bits).collect()
}

#[test]
fn a_difference_counts_where_chance_would_rarely_make_it() {
    let cells = |more: f64| {
        let single = CellRow { attack: "one".into(), ..robust("one", "white", 1, 1.0, 0.5) };
        vec![single, CellRow { step_size: Some(0.25), ..robust("many", "white", 40, 1.0, more) }]
    };
    // Six of a hundred more: 2^-6 is above one percent; seven are below.
    for (more, fires) in [(0.51, false), (0.56, false), (0.57, true), (0.4, false)] {
        let mut cells = cells(more);
        let bits = robust_bits(&cells);
        check_across(&mut cells, |_| Ok(bits.iter().cloned().collect())).unwrap();
        assert_eq!(flagged(&cells, ITERATED_WEAKER) == ["many"], fires, "{more}");
    }
    // The counts alone say ten; but 40 samples went one way and 30 the other.
    let mut cells = cells(0.6);
    let uneven: Vec<(Text, Bits)> = vec![
        ("one".into(), (0..100).map(|i| (40..90).contains(&i)).collect()),
        ("many".into(), (0..100).map(|i| i < 60).collect()),
    ];
    check_across(&mut cells, |_| Ok(uneven.iter().cloned().collect())).unwrap();
    assert!(flagged(&cells, ITERATED_WEAKER).is_empty());
}

#[test]
fn cells_of_an_aim_are_held_against_each_other_by_what_it_asks() {
    // A hundred samples, half of which have the finding: a larger budget hides fewer of them.
    let cell = |id: &str, eps: f64, held: f64| CellRow {
        aim: Some("hide".into()),
        n_concerned: Some(50),
        asked_robust: Some(held),
        robust_accuracy: None,
        ..robust(id, "white", 10, eps, 0.0)
    };
    let bits = |held: usize| (0..100).map(|i| i % 2 == 0 || i / 2 < held).collect::<Bits>();
    for (larger, fires) in [(0.5, true), (0.1, false)] {
        let mut cells = vec![cell("small", 1.0, 0.2), cell("large", 2.0, larger)];
        let held =
            [("small", 0.2), ("large", larger)].map(|(id, share)| (id.into(), bits((share * 50.0) as usize)));
        check_across(&mut cells, |_| Ok(held.into_iter().collect())).unwrap();
        assert_eq!(flagged(&cells, LARGER_BUDGET_WEAKER) == ["large"], fires, "{larger}");
    }
}

#[test]
fn a_ladder_that_breaks_nothing_is_flat_and_short_steps_are_told() {
    let cell = |id: &str, eps: f64, success: u64| CellRow {
        n_attacked: 100,
        n_success: success,
        ..robust(id, "white", 10, eps, 1.0 - success as f64 / 100.0)
    };
    // Three budgets, four times apart at least, and thirty samples are enough.
    for (budgets, attacked, fires) in
        [(&[1.0, 2.0, 4.0][..], 30, 3), (&[1.0, 2.0, 4.0], 29, 0), (&[1.0, 2.0, 3.0], 30, 0)]
    {
        let mut cells: Vec<CellRow> = budgets
            .iter()
            .map(|eps| CellRow { n_attacked: attacked, ..cell(&format!("e{eps}"), *eps, 0) })
            .collect();
        check_across(&mut cells, |_| Ok([].into())).unwrap();
        assert_eq!(flagged(&cells, FLAT_CURVE).len(), fires, "{budgets:?} {attacked}");
    }
    for (last, success, flat) in [(10.0, 0, true), (10.0, 1, false), (9.0, 0, false)] {
        let mut cells = vec![cell("a", 1.0, 0), cell("b", last, success)];
        check_across(&mut cells, |_| Ok([].into())).unwrap();
        assert_eq!(flagged(&cells, FLAT_CURVE).len(), if flat { 2 } else { 0 }, "{last} {success}");
    }
    for (steps, size, short) in [(10, 0.1, true), (10, 0.2, false), (40, 0.1, false), (1, 1.0, false)] {
        let cell = CellRow { step_size: Some(size), ..robust("c", "white", steps, 1.0, 0.5) };
        assert_eq!(check_alone(&cell, false, false) == [SHORT_STEPS], short, "{steps} of {size}");
    }
    // From one side of the ball to the other, a single step is one of two budgets.
    for (size, short) in [(1.0, true), (2.0, false)] {
        let random =
            CellRow { step_size: Some(size), random_start: Some(true), ..robust("c", "white", 1, 1.0, 0.5) };
        assert_eq!(check_alone(&random, false, false) == [SHORT_STEPS], short, "{size}");
    }
}

#[test]
fn a_finding_taken_for_another_is_seen_until_it_is_hidden() {
    // Of normal, bacterial and viral: right and hidden; taken for the other and kept so; taken for the other and hidden; missed when clean; normal.
    let cases: [Case; 5] = [
        (1, 1, 0, 0.5, 0.5, Some(true), 1.0),
        (1, 2, 2, 0.5, 0.5, Some(false), 1.0),
        (2, 1, 0, 0.5, 0.5, Some(true), 1.0),
        (2, 0, 0, 0.5, 0.5, None, 0.0),
        (0, 0, 0, 0.5, 0.5, None, 0.0),
    ];
    for (aim, target) in [("hide", None), ("target", Some(0))] {
        let classes = ["normal", "bacterial", "viral"].map(Text::from).to_vec();
        let mut cell = CellRow { aim: Some(aim.into()), target, classes, ..attack("a", "pgd", 1.0, 0) };
        let rows = samples("a", &cases);
        let metrics = summarise(&mut cell, &rows, &Context { head: Head::Classes(3), subgroups: &[] });
        assert_eq!((cell.n_concerned, cell.n_attacked, cell.n_success), (Some(4), 3, 2), "{aim}");
        assert_eq!((cell.asked_clean, cell.asked_robust), (Some(0.75), Some(0.25)), "{aim}");
        let bacterial = metric(&metrics, "asked_robust", "class:1").unwrap();
        assert_eq!((bacterial.value_clean, bacterial.value), (Some(1.0), Some(0.5)), "{aim}");
        let dir = tempfile::tempdir().unwrap();
        let study = StudyText { name: "a".into(), text: "name = \"a\"".into() };
        let mut store = Store::open(dir.path(), &study, Shard::WHOLE).unwrap();
        store.push(cell, vec![], rows).unwrap();
        store.finish(&["a".into()]).unwrap();
        let row = &worst_cases(&Results::open(dir.path()).unwrap()).unwrap()[0];
        assert_eq!(
            (row.asked_clean, row.asked_robust, row.clean_accuracy),
            (Some(0.75), Some(0.25), Some(0.4))
        );
        assert_eq!(row.robust, [false, true, false, false, true], "{aim}");
    }
}

#[test]
fn an_aim_leads_with_the_samples_that_it_concerns() {
    let summarised = |aim: &str, target: Option<u32>, labels: &[Case]| {
        let mut cell = CellRow {
            cell_id: "c".into(),
            aim: Some(aim.into()),
            target,
            classes: vec!["none".into(), "edema".into()],
            ..CellRow::default()
        };
        let head = Context { head: Head::Binary, subgroups: &[] };
        let metrics = summarise(&mut cell, &samples("c", labels), &head);
        (cell, metrics)
    };
    // Samples of class 0 are not attacked when findings are to be hidden.
    let hidden: Vec<Case> =
        CASES.iter().map(|c| if c.0 == 0 { (c.0, c.1, c.1, c.3, c.3, None, 0.0) } else { *c }).collect();
    let (cell, metrics) = summarised("hide", None, &hidden);
    assert_eq!(cell.asked.as_deref(), Some("sensitivity under attack"));
    assert_eq!((cell.n_concerned, cell.asked_clean, cell.asked_robust), (Some(4), Some(0.75), Some(0.25)));
    // Of all samples it would be 0.5, since those that nobody attacked are in it.
    assert_eq!(
        (cell.robust_accuracy, cell.robust_accuracy_low, cell.robust_accuracy_high),
        (None, None, None)
    );
    assert_eq!(cell.ci_method.as_deref(), Some("wilson"));
    let own: Vec<&MetricRow> = metrics.iter().filter(|m| m.metric == "asked_robust").collect();
    let scopes: Vec<&str> = own.iter().map(|m| m.scope.as_str()).collect();
    assert_eq!(scopes, ["all", "class:1"]);
    assert!(metrics.iter().all(|m| m.metric != "robust_accuracy"));
    let (cell, _) = summarised("target", Some(1), &CASES);
    assert_eq!((cell.asked.as_deref(), cell.n_concerned), (Some("share not made edema"), Some(4)));
    let (cell, _) = summarised("any", None, &CASES);
    assert_eq!((cell.asked_robust, cell.n_concerned), (cell.robust_accuracy, Some(8)));
    // A finding without positives has no sensitivity.
    let negatives: Vec<Case> = hidden.iter().filter(|c| c.0 == 0).copied().collect();
    let (cell, _) = summarised("hide", None, &negatives);
    assert_eq!((cell.robust_accuracy, cell.asked_robust, cell.n_concerned), (None, None, Some(0)));
    assert_eq!(check_alone(&cell, false, false), [NONE_CONCERNED]);
}

#[test]
fn checks_across_cells_name_those_that_contradict_each_other() {
    let mut cells = vec![
        robust("w10", "white", 10, 1.0, 0.5),
        robust("w40", "white", 40, 1.0, 0.6),
        robust("w40-2", "white", 40, 2.0, 0.6),
        robust("w40-4", "white", 40, 4.0, 0.7),
        CellRow { attack: "square".into(), ..robust("b", "black", 10, 1.0, 0.4) },
        CellRow { attack: "square".into(), ..robust("b4", "black", 10, 4.0, 0.7) },
        CellRow { model: "other".into(), ..robust("o", "white", 90, 9.0, 1.0) },
    ];
    cells[0].flags = vec![MORE_STEPS_WEAKER.into(), "kept".into()];
    let bits = robust_bits(&cells);
    let across = |cells: &mut Vec<CellRow>| {
        check_across(cells, |asked| Ok(bits.iter().filter(|(id, _)| asked.contains(id)).cloned().collect()))
            .unwrap();
    };
    across(&mut cells);
    assert_eq!(flagged(&cells, MORE_STEPS_WEAKER), ["w40"]);
    // 2.0 leaves as much as 1.0: equal is no contradiction.
    assert_eq!(flagged(&cells, LARGER_BUDGET_WEAKER), ["w40-4", "b4"]);
    assert_eq!(flagged(&cells, BLACK_BOX_STRONGER), ["w10", "b"]);
    assert_eq!(cells[0].flags, [BLACK_BOX_STRONGER, "kept"]);
    let once = cells.clone();
    across(&mut cells);
    assert_eq!(cells, once, "checking again changes nothing");
}

#[test]
fn checks_of_a_cell_alone() {
    let mut cell = robust("c", "white", 10, 255.0, 0.01);
    assert_eq!(check_alone(&cell, true, true), [HUGE_BUDGET_NOT_ZERO, FINAL_SOFTMAX]);
    assert!(check_alone(&cell, false, false).is_empty());
    cell.robust_accuracy = Some(0.0);
    // What zeros mean is known of samples, see `led_nowhere`.
    cell.zero_gradient_share = Some(0.9);
    assert!(check_alone(&cell, true, false).is_empty());
}
