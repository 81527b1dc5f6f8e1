//! Crafted poisons from a study file: they reach the patient whom they are made for.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::data::Labels;
use percuss::results::CellRow;
use percuss::sweep::options::SweepOptions;
use percuss::training::{Options, TrainFile, prepare};
use percuss_kernels::Device;
use support::threats::{Fixture, PATIENTS, check_company, metrics_of, param};

/// Places in the test split of patients of class 0.
fn patients(count: usize) -> Vec<usize> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recipe.toml");
    std::fs::write(&path, PATIENTS).unwrap();
    let device = Device::Cpu { threads: 1 };
    let prepared = prepare(TrainFile::read(&path).unwrap(), &Options::new(device, 1)).unwrap();
    let test = prepared.splits.test.unwrap();
    let Labels::Class(labels) = test.labels else { panic!("SUPPORT2 has classes") };
    (0..labels.len()).filter(|&at| labels[at] == 0).step_by(11).take(count).collect()
}

#[test]
fn crafted_poisons_move_their_patients_towards_the_wanted_class() {
    let fixture = Fixture::new(
        PATIENTS,
        &format!(
            "[[poisoning]]\nkind = \"gradient-matching\"\nsurrogate = [\"twin\", \"own\"]\nsteps = 40\n\
             aim = \"patient\"\nclass = 1\npatient = {0:?}\nmagnitude = 1.5\nrate = 0.1\n\
             [[poisoning]]\nkind = \"feature-collision\"\nsteps = 60\n\
             aim = \"patient\"\nclass = 1\npatient = {0:?}\nmagnitude = 3\nrate = [0, 0.1]\nbeta = 0.1\n",
            patients(6)
        ),
    );
    fixture.run("all", SweepOptions::default());
    let (cells, metrics, _) = fixture.rows("all");
    assert_eq!(cells.len(), 2 * 6 * 4);
    let wins = |of: &dyn Fn(&CellRow) -> bool| -> (f64, Vec<f64>) {
        let own: Vec<f64> = cells
            .iter()
            .filter(|cell| of(cell))
            .map(|cell| {
                let found = metrics_of(cell, &metrics);
                let row = found[&("target_wanted_loss", "patient")];
                row.value.unwrap() - row.value_clean.unwrap()
            })
            .collect();
        assert_eq!(own.len(), 12);
        (own.iter().sum::<f64>() / 12.0, own)
    };
    for (kind, surrogate, knowledge) in [
        ("gradient-matching", "twin", "white"),
        ("gradient-matching", "own", "grey"),
        ("feature-collision", "twin", "white"),
    ] {
        let of = |cell: &CellRow| {
            cell.attack == kind && param(cell, "surrogate") == surrogate && param(cell, "rate") == 0.1
        };
        assert!(cells.iter().filter(|cell| of(cell)).all(|cell| cell.knowledge == knowledge));
        let (mean, each) = wins(&of);
        let fell = each.iter().filter(|change| **change < 0.0).count();
        println!("{kind} {surrogate}: {mean} {fell} {each:?}");
        assert!(mean < 0.0 && fell >= 9, "{kind} by {surrogate}: {each:?}");
    }
    let (_, untouched) = wins(&|cell| param(cell, "rate") == 0.0);
    assert!(untouched.iter().all(|change| *change == 0.0), "rate 0 is the twin");
    for cell in &cells {
        let found = metrics_of(cell, &metrics);
        let [error, wanted, loss] =
            ["target_error", "target_wanted", "target_loss"].map(|metric| found[&(metric, "patient")]);
        // Of two classes the wanted one is the error.
        assert_eq!((error.value, error.value_clean), (wanted.value, wanted.value_clean));
        assert_eq!(error.value == Some(1.0), loss.value > Some(2f64.ln()));
    }
}

#[test]
fn crafted_poisons_are_the_same_in_any_company() {
    check_company(&Fixture::new(
        PATIENTS,
        &format!(
            "[[poisoning]]\nkind = [\"gradient-matching\", \"feature-collision\"]\nsteps = 6\n\
             aim = \"patient\"\nclass = 1\npatient = {:?}\nrate = [0.02, 0.1]\n",
            patients(1)
        ),
    ));
}

#[test]
fn a_patient_is_needed_to_craft_for() {
    let fixture = Fixture::new(PATIENTS, "[[poisoning]]\nkind = \"feature-collision\"\n");
    let error = fixture.try_run("all", SweepOptions::default()).unwrap_err();
    assert!(error.to_string().contains("feature-collision: aim") && error.exit_code() == 2, "{error}");
}
