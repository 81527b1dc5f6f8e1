//! Grids: how studies multiply out, what names their cells, what a plan adds up.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::Value;
use percuss::models::Head;
use percuss::sweep::grid::{Cell, Grid, Outputs};
use percuss::sweep::identity::{Contents, cell_id, distinct, lane_key, lane_stream};
use percuss::sweep::plan::{Plan, Samples, StepCost, Subject};
use percuss::sweep::study::{Aim, Amount, Save, Study};
use support::studies::{BUDGET, HEAD, grid, numbers, parse, study, two_classes};

#[test]
fn the_arithmetic_of_the_grid_adds_up() {
    let study = study(
        r#"
[[attack]]
kind = ["fgsm", "bim", "pgd"]
aim = ["any", "hide"]
target = ["pneumonia"]
budget = [{ norm = ["linf", "l2"], eps = { linspace = [1, 2, 5] } }]
steps = [10, 20, 10]
random_start = [true, false]
restarts = [1, 5]
[[attack]]
kind = "fgsm"
budget = [{ norm = "linf", eps = [1, 3] }]
save = "all"
"#,
    );
    let grid = grid(&study);
    let [first, second] = &grid.tables[..] else { panic!("two tables") };
    let subjects = 3 * 2 * 5;
    assert_eq!(first.product, 3 * subjects * (3 * 2 * 2) * 3);
    // FGSM: 1. BIM: 2 step numbers. PGD: 2 step numbers x (2 restarts x 3 seeds at random, else 1).
    assert_eq!(first.cells, subjects * (1 + 2 + 2 * (2 * 3 + 1)));
    for table in &grid.tables {
        let left_out = table.norm_lacking + table.keys_lacking + table.seeds_alike + table.repeated;
        assert_eq!(table.product, left_out + table.cells, "{table:?}");
    }
    // eps 1 of the second table is in the first; its inputs are then stored as the second asks.
    assert_eq!((second.product, second.seeds_alike, second.repeated, second.cells), (6, 4, 1, 1));
    assert_eq!(grid.cells[0].attack.name, "fgsm");
    assert_eq!((grid.cells[0].save, grid.cells[1].save), (Save::All, Save::None));
    assert_eq!(grid.cells.len() as u64, first.cells + second.cells);
    let mut all: Vec<String> = grid.cells.iter().map(Cell::params_json).collect();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), grid.cells.len());
}

#[test]
fn ladders_are_inclusive_and_short() {
    let study = study(
        "[[attack]]\nkind = \"pgd\"\nbudget = [{ norm = \"linf\", eps = { logspace = [0.01, 10, 4] } }]\n\
         steps = { logspace = [1, 100, 5] }\nstep_size = [{ rel = [0.1, 0.25] }, 2]\nrandom_start = false\n",
    );
    assert_eq!(study.attacks[0].budgets[0].eps, [0.01, 0.1, 1.0, 10.0].map(Amount::Units));
    let values =
        |name: &str| study.attacks[0].settings.iter().find(|s| s.name == name).unwrap().values[0].clone();
    assert_eq!(values("steps"), [1, 3, 10, 32, 100].map(Value::Whole));
    assert_eq!(values("step_size"), [Value::Relative(0.1), Value::Relative(0.25), Value::Absolute(2.0)]);
    let grid = grid(&study);
    assert_eq!(grid.cells.len(), 4 * 5 * 3);
    let cell = grid.cells.iter().find(|cell| cell.eps == 0.01 && cell.steps() == 32).unwrap();
    assert_eq!(cell.step_size(), 0.001);
    assert_eq!(
        cell.params_json(),
        "{\"attack\":\"pgd\",\"revision\":3,\"norm\":\"linf\",\"eps\":0.01,\"aim\":\"any\",\"target\":null,\
         \"finding\":null,\"stop\":\"success\",\"seed\":null,\"steps\":32,\"step_size\":0.001,\"random_start\":false,\
         \"restarts\":1,\"loss\":\"cross-entropy\",\"projection\":\"exact\"}"
    );
}

#[test]
fn aims_say_which_samples_they_concern() {
    let text = format!(
        "[[attack]]\nkind = \"fgsm\"\naim = [\"any\", \"hide\", \"raise\"]\ntarget = [1, \"pneumonia\"]\n{BUDGET}\n"
    );
    let grid = grid(&study(&text));
    // The class by number and by name is the same cell.
    assert_eq!(grid.tables[0].repeated, 1);
    let aims: Vec<(Aim, Option<u32>, bool, bool)> =
        grid.cells.iter().map(|c| (c.aim, c.wanted(), c.concerns(0), c.concerns(1))).collect();
    assert_eq!(
        aims,
        [
            (Aim::Any, None, true, true),
            (Aim::Hide, Some(0), false, true),
            (Aim::Raise, None, true, false),
            (Aim::Target, Some(1), true, false)
        ]
    );
}

#[test]
fn findings_are_attacked_one_by_one_and_targets_are_checked() {
    let study = study(&format!("[[attack]]\nkind = \"fgsm\"\ntarget = \"absent\"\n{BUDGET}\n"));
    let names = vec!["edema".to_string(), "effusion".into(), "nodule".into()];
    let findings = |_, _| {
        Some(Outputs {
            head: Head::Sigmoid,
            count: 3,
            names: names.clone(),
            unlabelled: vec![],
            inputs: vec![numbers()],
            ranges: vec![],
        })
    };
    let grid = Grid::new(&study, findings).unwrap();
    assert_eq!(grid.cells.iter().map(|c| c.finding).collect::<Vec<_>>(), [Some(0), Some(1), Some(2)]);
    assert!(grid.cells.iter().all(|cell| cell.target == Some(0)));
    let single = Grid::new(&study, |_, _| {
        Some(Outputs {
            head: Head::Sigmoid,
            count: 1,
            names: vec![],
            unlabelled: vec![],
            inputs: vec![numbers()],
            ranges: vec![],
        })
    })
    .unwrap();
    assert_eq!(single.cells.iter().map(|c| c.finding).collect::<Vec<_>>(), [None]);
    let error = Grid::new(&study, |_, _| Some(two_classes())).unwrap_err();
    assert_eq!(error.exit_code(), 2);
    assert_eq!(
        error.to_string(),
        "studies/s.toml: line 15, attack.target: found \"absent\", \
         expected a class from 0 to 1, or one of normal, pneumonia (model v3)"
    );
}

fn contents() -> Contents<'static> {
    Contents { model_sha256: "aa", data_sha256: "bb", sample_set_sha256: "cc", threshold: Some(0.5) }
}

fn ids(study: &Study) -> Vec<percuss::results::Text> {
    grid(study).cells.iter().map(|cell| cell_id(study, cell, &contents())).collect()
}

#[test]
fn a_cell_s_id_is_its_content_and_nothing_else() {
    let table = format!("[[attack]]\nkind = [\"pgd\", \"fgsm\"]\nsteps = [10, 20]\n{BUDGET}\n");
    let base = study(&table);
    let mut one = ids(&base);
    assert_eq!(one.len(), 2 * 3 + 1);
    assert_eq!(one[0], "51ec22aaf60887016448207fa515f842");
    assert!(one.iter().all(|id| id.len() == 32));
    distinct(&base, &grid(&base).cells, &one).unwrap();
    // Other names, another order, a comment, the default said aloud: the same cells.
    let other = HEAD
        .replace("cxr-v3", "other")
        .replace("\"v3\"", "\"w\"")
        .replace("test-A", "t")
        .replace("[0, 1, 2]", "[2, 1, 0]");
    let table = table
        .replace("\"pgd\", \"fgsm\"", "\"fgsm\", \"pgd\"")
        .replace("[10, 20]", "[20, 10]\nloss = \"cross-entropy\"");
    let mut two = ids(&parse(&format!("{other}# moved\n{table}save = \"all\"\n")).unwrap());
    assert_ne!(one, two);
    one.sort();
    two.sort();
    assert_eq!(one, two);
}

#[test]
fn whatever_changes_an_answer_changes_the_id() {
    let base = study(&format!("[[attack]]\nkind = \"pgd\"\n{BUDGET}\n"));
    let cell = &grid(&base).cells[0];
    let id = cell_id(&base, cell, &contents());
    for other in [
        Contents { model_sha256: "retrained", ..contents() },
        Contents { data_sha256: "x", ..contents() },
        Contents { sample_set_sha256: "x", ..contents() },
        Contents { threshold: Some(0.4), ..contents() },
        Contents { threshold: None, ..contents() },
    ] {
        assert_ne!(cell_id(&base, cell, &other), id);
    }
    for (from, to) in [
        ("path = \"models/v3\"", "path = \"models/v3\"\ninput = { mean = 1, std = 2 }"),
        ("name = \"pneumoniamnist\"", "name = \"pneumoniamnist\"\ngroup = \"patient\""),
        ("eps = 1", "eps = 1.5"),
        ("kind = \"pgd\"", "kind = \"pgd\"\nsteps = 41"),
        ("kind = \"pgd\"", "kind = \"pgd\"\nstop = \"steps\""),
        ("kind = \"pgd\"", "kind = \"pgd\"\naim = \"hide\""),
        ("[0, 1, 2]", "[7]"),
    ] {
        assert!(base.text.contains(from));
        let changed = parse(&base.text.replacen(from, to, 1)).unwrap();
        assert_ne!(cell_id(&changed, &grid(&changed).cells[0], &contents()), id, "{to}");
    }
}

#[test]
fn two_models_of_equal_content_are_refused() {
    let twice =
        HEAD.replace("[[defense]]", "[[model]]\nid = \"copy\"\npath = \"c\"\ndata = \"test-A\"\n[[defense]]");
    let study = parse(&format!("{twice}[[attack]]\nkind = \"fgsm\"\n{BUDGET}\n")).unwrap();
    let error = distinct(&study, &grid(&study).cells, &ids(&study)).unwrap_err().to_string();
    assert_eq!(
        error,
        "studies/s.toml: model: found v3 and copy with equal contents, expected each model once"
    );
}

#[test]
fn random_streams_are_fixed_and_apart() {
    let stream = lane_stream("pgd", "bb");
    let key = lane_key(0, &stream, 0, 0);
    assert_eq!(key, [1_880_566_362, 3_882_569_772]);
    let others = [
        lane_key(1, &stream, 0, 0),
        lane_key(0, &stream, 1, 0),
        lane_key(0, &stream, 0, 1),
        lane_key(0, &lane_stream("bim", "bb"), 0, 0),
        lane_key(0, &lane_stream("pgd", "cc"), 0, 0),
        lane_key(11, &stream, 0, 0),
        lane_key(1, &stream, 10, 0),
    ];
    for (i, other) in others.iter().enumerate() {
        assert_ne!(*other, key);
        assert!(!others[..i].contains(other));
    }
}

#[test]
fn ten_thousand_cells_plan_with_the_right_sums() {
    let text = "[[attack]]\nkind = \"pgd\"\naim = [\"any\", \"raise\"]\nbudget = [{ norm = \"linf\", eps = { linspace = [1, 300, 100] } }]\n\
                steps = { linspace = [1, 17, 17] }\nstep_size = { rel = 1 }\n";
    let study = study(text);
    let samples = Samples {
        n: 30,
        class_counts: vec![vec![10, 20]],
        groups: Some(4),
        unit: "pixel".into(),
        synthetic: true,
        span: [255.0, 7140.0, 199_920.0],
        resolution: Vec::new(),
        sample_len: 784,
        description: Vec::new(),
    };
    let subject = Subject {
        model: 0,
        data: 0,
        outputs: Some(two_classes()),
        samples: Some(samples),
        gradient_flops: Some(1000),
        step: Some(StepCost { seconds: 1e-3, bytes: 5_000_000 }),
        to_model_units: Some([0.5, 0.5]),
    };
    let plan = Plan::with_subjects(&study, vec![subject], vec!["first".into()]).unwrap();
    let page = plan.to_string();
    // 2 aims x 100 budgets x 17 step numbers x 3 seeds; 30 samples under `any`, 10 of class 0 under `raise`.
    let totals = &plan.totals;
    assert_eq!(totals.cells, 2 * 100 * 17 * 3);
    assert_eq!(totals.sample_rows, totals.cells * 30);
    assert_eq!(totals.lanes, 100 * 17 * 3 * (30 + 10));
    assert_eq!(totals.gradient_calls, 100 * 3 * (30 + 10) * (1..=17).sum::<u64>());
    assert_eq!(totals.gradients_shared, 100 * 3 * (30 + 10) * 17, "17 steps yield 1 to 16 on their way");
    assert_eq!(totals.flops, totals.gradients_shared as f64 * 1000.0);
    let judged = totals.lanes as f64 / 3.0;
    assert!(
        (totals.seconds - (totals.gradients_shared as f64 + judged) * 1e-3).abs() < 1e-6 * totals.seconds
    );
    assert_eq!(totals.memory_bytes, 5_000_000);
    assert_eq!(
        plan.warnings,
        [
            "first",
            "no black-box check: gradients that mislead would go unnoticed",
            "stop = \"success\": scores after the attack (auroc, brier, ece, ...) are null; stop = \"steps\" gives them",
            "600 cells cannot cross their ball, such as pgd: 1 step of 1 for eps 1; leave step_size out, or give it 2 eps over steps at least",
            "data test-A: linf eps 300 is more than the whole range of values, 255.000000",
            "data test-A: 4 groups only, so intervals are rough",
            "data test-A is synthetic",
            "model v3: no expect, so clean metrics are not checked first",
        ]
    );
    for line in ["      10,200 cells altogether", "in pixel          1  ", "at the input      0.5  "] {
        assert!(page.contains(line), "{line} in {page}");
    }
}

#[test]
fn steps_that_cannot_work_are_told_before_they_are_taken() {
    let told = |steps: &str| {
        let budget = "budget = [{ norm = \"linf\", eps = [0.5, 2] }]";
        let study = study(&format!("[[attack]]\nkind = [\"bim\", \"pgd\"]\n{budget}\n{steps}\n"));
        let warnings = Plan::with_subjects(&study, Vec::new(), Vec::new()).unwrap().warnings;
        warnings.into_iter().filter(|warning| warning.contains("ball")).collect::<Vec<_>>()
    };
    let short = told("steps = 5\nstep_size = { rel = 0.3 }");
    assert!(short.len() == 1 && short[0].contains("cannot cross their ball"), "{short:?}");
    // BIM once, PGD with three seeds: 4 cells a budget; 1.5 is longer than the ball of eps 0.5 and shorter than that of 2.
    let long = told("steps = 5\nstep_size = 1.5");
    assert!(long.len() == 1 && long[0].contains("longer than the ball is wide in 4 of 8 cells"), "{long:?}");
    assert!(long[0].contains("bim: steps of 1.5 for eps 0.5"), "{long:?}");
    for sound in ["", "steps = 1\nstep_size = 9", "steps = 5\nstep_size = { rel = 1 }"] {
        assert_eq!(told(sound), Vec::<String>::new(), "{sound}");
    }
}
