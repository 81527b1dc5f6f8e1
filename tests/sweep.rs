//! A study from file to Parquet, on the generators and the embedded table: what it writes.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::Error;
use percuss::results::SampleRow;
use percuss::sweep::options::SweepOptions;
use percuss::sweep::run::sweep;
use percuss::sweep::study::Study;
use support::sweeps::{Fixture, Rows, STUDY};

#[test]
fn a_study_becomes_rows_that_keep_their_promises() {
    let fixture = Fixture::new(STUDY);
    let report = fixture.run("out", SweepOptions { threads: Some(2), ..SweepOptions::default() });
    // fgsm and mi-fgsm have no seeds: 5 + 5 + 2 * 5; the table's pgd: 7 budgets, 2 aims, 2 stops, 2 seeds.
    assert_eq!(report.cells, 20 + 56);
    assert_eq!(report.done, report.cells);
    let Rows { cells, samples, .. } = fixture.rows("out");
    assert_eq!(cells.len(), report.cells);
    for cell in &cells {
        let own: Vec<&SampleRow> = samples.iter().filter(|s| s.cell_id == cell.cell_id).collect();
        assert_eq!(own.len() as u64, cell.n);
        let robust = own.iter().filter(|s| s.robust).count() as f64 / own.len() as f64;
        // The other aim of the study is to hide the finding, class 1, from which alone samples are attacked.
        let any = cell.aim.as_deref() == Some("any");
        assert_eq!(cell.robust_accuracy, any.then_some(robust), "{:?}", cell.aim);
        let concerned: Vec<&&SampleRow> = own.iter().filter(|s| any || s.label != 0).collect();
        let held = concerned.iter().filter(|s| s.clean_pred == s.label && s.success != Some(true)).count();
        assert_eq!(cell.asked_robust, Some(held as f64 / concerned.len() as f64), "{:?}", cell.aim);
        let eps = cell.eps.unwrap();
        for sample in own {
            let size = match cell.norm.as_deref() {
                Some("linf") => sample.linf,
                Some("l2") => sample.l2,
                _ => sample.l1,
            };
            assert!(size <= eps, "{size} exceeds {eps}");
            if sample.success == Some(true) && cell.aim.as_deref() == Some("any") {
                assert_ne!(sample.adv_pred, sample.label);
            }
        }
    }
    assert!(fixture.out("out").join("curves.parquet").is_file());
    assert!(fixture.out("out").join("robustness.svg").is_file());
    let weakest = cells.iter().find(|c| c.attack == "pgd" && c.model == "cnn" && c.eps == Some(0.5)).unwrap();
    let strongest = cells
        .iter()
        .find(|c| {
            c.attack == "pgd" && c.model == "cnn" && c.norm.as_deref() == Some("linf") && c.eps == Some(8.0)
        })
        .unwrap();
    assert!(strongest.asked_robust <= weakest.asked_robust);
}

#[test]
fn a_model_that_misses_what_the_study_expects_is_not_attacked() {
    let fixture = Fixture::new(STUDY);
    let file = fixture.folder.path().join("strict.toml");
    let text = STUDY.replace("path = \"cnn\"\n", "path = \"cnn\"\nexpect = { auroc = [0.99, 1.0] }\n");
    std::fs::write(&file, text).unwrap();
    let study = Study::read(&file).unwrap();
    let out = fixture.out("never");
    let options =
        SweepOptions { out: Some(out.clone()), quiet: true, device: "cpu".into(), ..SweepOptions::default() };
    let error = sweep(&study, &options).unwrap_err();
    assert!(matches!(error, Error::Input { .. }));
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("expect.auroc"), "{error}");
    assert!(!out.exists(), "nothing is written");
}

#[test]
fn both_executors_give_the_same_predictions_and_robust_accuracies() {
    let fixture = Fixture::new(STUDY);
    let file = fixture.folder.path().join("few.toml");
    let text = STUDY.replace("seeds = [0, 1]", "seeds = [0]").replace("limit = 60", "limit = 40");
    std::fs::write(&file, text).unwrap();
    let study = Study::read(&file).unwrap();
    let run = |out: &str, device: &str| {
        let options = SweepOptions {
            out: Some(fixture.out(out)),
            quiet: true,
            device: device.into(),
            threads: Some(2),
            ..SweepOptions::default()
        };
        sweep(&study, &options).unwrap();
        fixture.rows(out)
    };
    let cpu = run("cpu", "cpu");
    // The first adapter, software or not: these tests need one, and fail without.
    let gpu = run("gpu", "gpu:0");
    assert_eq!(cpu.cells.len(), gpu.cells.len());
    for (a, b) in cpu.cells.iter().zip(&gpu.cells) {
        assert_eq!(a.cell_id, b.cell_id);
        let difference = (a.asked_robust.unwrap() - b.asked_robust.unwrap()).abs();
        // Half a point; with so few samples that is none of them.
        assert!(difference <= 0.005, "{}: {:?} and {:?}", a.params, a.asked_robust, b.asked_robust);
    }
    for (a, b) in cpu.samples.iter().zip(&gpu.samples) {
        assert_eq!((a.sample, a.clean_pred), (b.sample, b.clean_pred));
    }
}
