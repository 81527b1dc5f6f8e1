//! Attacks that multiply 16-bit floats: other cells than those of f32, refused where a device cannot, judged in f32.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]
#![allow(dead_code, reason = "modules that several test programs share")]

mod support;

use std::path::Path;

use percuss::results::{CellRow, Results};
use percuss::sweep::grid::Cell;
use percuss::sweep::identity::{Contents, cell_id};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::run::sweep;
use percuss::sweep::study::Study;
use percuss_kernels::Precision;
use support::studies::{BUDGET, grid, study};

#[test]
fn precision_is_part_of_a_cell_only_where_it_is_not_f32() {
    let attack = format!("[[attack]]\nkind = \"pgd\"\n{BUDGET}");
    let contents =
        Contents { model_sha256: "aa", data_sha256: "bb", sample_set_sha256: "cc", threshold: Some(0.5) };
    let of = |study: &Study| {
        let cells: Vec<Cell> = grid(study).cells;
        let ids: Vec<percuss::results::Text> =
            cells.iter().map(|cell| cell_id(study, cell, &contents)).collect();
        (ids, cells[0].params_json())
    };
    let (plain, params) = of(&study(&attack));
    assert!(!params.contains("precision"));
    assert_eq!(of(&study(&attack).in_precision(Precision::F32)).0, plain);
    let half = study(&attack).in_precision(Precision::F16);
    let (others, params) = of(&half);
    assert!(params.contains("\"precision\":\"f16\""), "{params}");
    assert!(others.len() == plain.len() && others.iter().all(|id| !plain.contains(id)));
    assert_eq!((half.folder().as_str(), study(&attack).folder().as_str()), ("cxr-v3-f16", "cxr-v3"));
}

fn patients() -> Study {
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/models/support2-mlp");
    let text = format!(
        r#"name = "patients"
[[data]]
id = "patients"
name = "support2"
split = "test"
limit = 200
[[model]]
id = "mlp"
path = {model:?}
data = ["patients"]
[[attack]]
kind = "pgd"
budget = [ {{ norm = "linf", eps = [0.1, 0.3] }} ]
steps = 10
stop = ["success", "steps"]
"#
    );
    Study::parse(&text, Path::new("patients.toml")).unwrap()
}

/// The cells of a sweep on a device, by budget and stop.
fn cells(device: &str, precision: Precision) -> percuss::Result<Vec<CellRow>> {
    let folder = tempfile::tempdir().unwrap();
    let options = SweepOptions {
        out: Some(folder.path().to_path_buf()),
        device: device.into(),
        quiet: true,
        ..SweepOptions::default()
    };
    sweep(&patients().in_precision(precision), &options)?;
    let mut cells = Results::open(folder.path())?.cells()?.to_vec();
    let key = |cell: &CellRow| (cell.stop.clone(), cell.eps.map(f64::to_bits));
    cells.sort_by_key(key);
    Ok(cells)
}

#[test]
fn a_device_without_16_bit_floats_is_bad_usage() {
    let error = cells("cpu", Precision::F16).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert!(error.to_string().contains("f16") && error.to_string().contains("cpu"), "{error}");
}

/// On Mesa's software adapter, which has 16-bit floats.
#[test]
fn attacks_in_f16_break_what_attacks_in_f32_break() {
    let exact = cells("gpu:0", Precision::F32).unwrap();
    let half = cells("gpu:0", Precision::F16).unwrap();
    assert_eq!((exact.len(), half.len()), (4, 4));
    for (half, exact) in half.iter().zip(&exact) {
        assert_eq!((half.precision.as_str(), exact.precision.as_str()), ("f16", "f32"));
        assert_eq!((half.n, half.eps, &half.stop), (exact.n, exact.eps, &exact.stop));
        // Clean logits are f32 whatever the attack.
        assert_eq!(half.clean_accuracy, exact.clean_accuracy);
        // Rounding moves samples on the edge of the budget alone: two of 200.
        let [found, expected] = [half, exact].map(|cell| cell.robust_accuracy.unwrap());
        assert!(
            (found - expected).abs() <= 0.01,
            "{:?} {:?}: {found}, in f32 {expected}",
            half.stop,
            half.eps
        );
    }
    assert!(exact.iter().any(|cell| cell.robust_accuracy.unwrap() < 0.9 * cell.clean_accuracy.unwrap()));
}
