//! Values of a study as people write them: fractions, names of norms and attacks, lists wherever a value may be one.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::attacks::{Norm, Value};
use percuss::sweep::grid::{Cell, Grid, Outputs};
use percuss::sweep::study::{Amount, Study};
use support::studies::{BUDGET, HEAD, grid, parse, study, two_classes};

fn refusal(text: &str) -> String {
    parse(text).unwrap_err().to_string()
}

/// Cells of a study on data whose values lie in `range`.
fn on(study: &Study, range: Option<[f64; 2]>) -> percuss::Result<Grid> {
    Grid::new(study, |_, _| Some(Outputs { ranges: vec![range], ..two_classes() }))
}

#[test]
fn a_fraction_is_grey_levels_of_pixels_and_a_quotient_of_what_ends_at_one() {
    for norm in ["linf", "l2", "l1"] {
        let written = study(&format!(
            "[[attack]]\nkind = \"pgd\"\nrandom_start = false\nstep_size = \"2/255\"\n\
             budget = [{{ norm = \"{norm}\", eps = [\"8/255\", \" 0.5 / 255 \"] }}]\n"
        ));
        for (high, eps, step) in [(255.0, [8.0, 0.5], 2.0), (1.0, [8.0 / 255.0, 0.5 / 255.0], 2.0 / 255.0)] {
            let cells = on(&written, Some([0.0, high])).unwrap().cells;
            assert_eq!(cells.iter().map(|cell| cell.eps).collect::<Vec<_>>(), eps);
            assert!(cells.iter().all(|cell| cell.step_size() == step));
            // The same cells as those of the number itself.
            let plain = study(&format!(
                "[[attack]]\nkind = \"pgd\"\nrandom_start = false\nstep_size = {step:?}\n\
                 budget = [{{ norm = \"{norm}\", eps = [{:?}, {:?}] }}]\n",
                eps[0], eps[1]
            ));
            let ids = |cells: &[Cell]| cells.iter().map(Cell::params_json).collect::<Vec<_>>();
            assert_eq!(ids(&on(&plain, Some([0.0, high])).unwrap().cells), ids(&cells));
        }
        for range in [Some([-1.0, 1.0]), Some([0.0, 4095.0]), Some([0.0, 0.98]), None] {
            let refused = on(&written, range).unwrap_err().to_string();
            assert!(refused.contains("found \"8/255\" for data test-A, whose "), "{refused}");
            assert!(
                refused.contains("expected a number in the data's unit; a fraction is for values"),
                "{refused}"
            );
        }
    }
    // Of data that are not known, in a plan, the number of cells is right.
    assert_eq!(
        grid(&study(&format!("[[attack]]\nkind = \"fgsm\"\n{}\n", BUDGET.replace('1', "\"1/255\""))))
            .cells
            .len(),
        1
    );
}

#[test]
fn what_is_no_fraction_is_refused() {
    for written in
        ["8/0", "0/255", "-8/255", "8/", "/255", "8", "a/b", "8/255/2", "1e-60/1e60", "nan/1", "inf/inf"]
    {
        let found = refusal(&format!(
            "{HEAD}[[attack]]\nkind = \"pgd\"\nbudget = [{{ norm = \"linf\", eps = \"{written}\" }}]\n"
        ));
        let expected = "expected a positive number, or a fraction such as \"8/255\"";
        assert!(found.ends_with(expected) && found.contains(written), "{found}");
    }
    let words = refusal(&format!(
        "{HEAD}[[attack]]\nkind = \"hotflip\"\nbudget = [{{ norm = \"tokens\", eps = \"1/2\" }}]\n"
    ));
    assert!(words.ends_with("found \"1/2\", expected a whole number of words"), "{words}");
}

#[test]
fn norms_and_attacks_have_the_names_that_other_tools_give_them() {
    for (written, norm) in [
        ("\"linf\"", Norm::Linf),
        ("\"Linf\"", Norm::Linf),
        ("\"LINF\"", Norm::Linf),
        ("\"inf\"", Norm::Linf),
        ("\"l_inf\"", Norm::Linf),
        ("\"L-inf\"", Norm::Linf),
        ("inf", Norm::Linf),
        ("\"l2\"", Norm::L2),
        ("\"L2\"", Norm::L2),
        ("\"2\"", Norm::L2),
        ("2", Norm::L2),
        ("\"L_1\"", Norm::L1),
        ("1", Norm::L1),
    ] {
        let read =
            study(&format!("[[attack]]\nkind = \"PGD\"\nbudget = [{{ norm = {written}, eps = 1 }}]\n"));
        assert_eq!(read.attacks[0].budgets[0].norm, norm, "{written}");
        let cells = grid(&read).cells;
        assert!(cells[0].params_json().contains(&format!("\"norm\":\"{}\"", norm.name())), "{written}");
    }
    for unknown in ["\"l3\"", "3", "\"infinite\"", "true", "2.5"] {
        let found = refusal(&format!(
            "{HEAD}[[attack]]\nkind = \"pgd\"\nbudget = [{{ norm = {unknown}, eps = 1 }}]\n"
        ));
        assert!(
            found.contains("attack.budget.norm: found ")
                && found.contains("expected one of linf, l2, l1, tokens"),
            "{found}"
        );
    }
    for (written, name) in [
        ("FGSM", "fgsm"),
        ("Pgd", "pgd"),
        ("MI_FGSM", "mi-fgsm"),
        ("mi-fgsm", "mi-fgsm"),
        ("BIM", "bim"),
        ("HotFlip", "hotflip"),
    ] {
        assert_eq!(percuss::attacks::find(written).unwrap().name, name);
    }
    assert_eq!(percuss::attacks::privacy::find("LiRA").unwrap().name, "lira");
    assert_eq!(percuss::attacks::poisoning::find("Label_Flip").unwrap().name, "label-flip");
}

/// Every key of an attack: as a list, and as a ladder where its values are numbers. Those that take one value say so.
#[test]
fn every_key_of_an_attack_takes_a_list_or_says_that_it_does_not() {
    let head = HEAD
        .replace("name = \"pneumoniamnist\"", "name = \"pneumoniamnist\"\nsubgroups = []")
        .replace("subgroups = []\n", "");
    let read = |lines: &str| parse(&format!("{head}[[attack]]\n{lines}\n"));
    for (lines, cells) in [
        ("kind = [\"fgsm\", \"pgd\"]\nrandom_start = false", 2),
        ("kind = \"fgsm\"\naim = [\"any\", \"hide\", \"raise\"]", 3),
        ("kind = \"fgsm\"\ntarget = [0, \"pneumonia\"]", 2),
        ("kind = \"fgsm\"\ntarget = { linspace = [0, 1, 2] }", 2),
        ("kind = \"fgsm\"\nstop = [\"success\", \"steps\"]", 2),
        ("kind = \"fgsm\"\nmodels = [\"v3\"]\ndata = [\"test-A\"]\ndefenses = [\"none\"]", 1),
        ("kind = \"bim\"\nsteps = [5, 10]", 2),
        ("kind = \"bim\"\nsteps = { logspace = [1, 100, 3] }", 3),
        ("kind = \"bim\"\nstep_size = [0.5, { rel = 0.1 }, \"2/255\"]", 3),
        ("kind = \"bim\"\nstep_size = { rel = { linspace = [0.1, 0.5, 3] } }", 3),
        ("kind = \"bim\"\nstep_size = { abs = [1, \"2/255\"] }", 2),
        ("kind = \"bim\"\nloss = [\"cross-entropy\", \"margin\", \"dlr\"]", 3),
        ("kind = \"bim\"\nprojection = [\"exact\", \"scale\"]", 2),
        ("kind = \"pgd\"\nrandom_start = [true, false]", 3 + 1),
        ("kind = \"pgd\"\nrestarts = { linspace = [1, 3, 3] }", 3 * 3),
        ("kind = \"mi-fgsm\"\ndecay = { linspace = [0, 1, 5] }", 5),
    ] {
        let study = read(&format!("{lines}\n{BUDGET}")).unwrap_or_else(|error| panic!("{lines}: {error}"));
        assert_eq!(grid(&study).cells.len(), cells, "{lines}");
    }
    for budget in [
        "norm = [\"linf\", 2], eps = [1, 2]",
        "norm = \"linf\", eps = { linspace = [1, 4, 4] }",
        "norm = \"l2\", eps = [{ logspace = [1, 4, 3] }, 9]",
    ] {
        let study = read(&format!("kind = \"fgsm\"\nbudget = [{{ {budget} }}]")).unwrap();
        assert_eq!(grid(&study).cells.len(), 4, "{budget}");
    }
    for one in ["input = [\"a\", \"b\"]", "curve = [\"grid\", \"bisect\"]", "save = [\"none\", \"all\"]"] {
        let refused = read(&format!("kind = \"fgsm\"\n{BUDGET}\n{one}")).unwrap_err().to_string();
        assert!(refused.ends_with("found a list, expected one value: this key takes no list; another value is another [[attack]] table"), "{refused}");
    }
}

/// The same of the threats that train models: whatever their attacks declare.
#[test]
fn every_key_of_a_threat_takes_a_list() {
    use percuss::attacks::Kind;
    use percuss::attacks::threats::Threat;
    let values = |kind: Kind| -> Vec<String> {
        fn of(kind: Kind) -> Vec<String> {
            match kind {
                Kind::Whole(low, high) => vec![
                    format!("[{low}, {}]", (low + 1).min(high)),
                    format!("{{ linspace = [{low}, {}, 2] }}", (low + 1).min(high)),
                ],
                Kind::Real(low, high) => {
                    let next = if high < low + 1.0 { high } else { low + 1.0 };
                    vec![format!("[{low:?}, {next:?}]"), format!("{{ linspace = [{low:?}, {next:?}, 3] }}")]
                }
                Kind::Flag => vec!["[true, false]".into()],
                Kind::Choice(words) => vec![format!("{words:?}")],
                Kind::Or(other, words) => {
                    let mut all = of(*other);
                    all.push(format!("{words:?}"));
                    all
                }
                Kind::StepSize => vec!["[1, { rel = 0.1 }]".into()],
            }
        }
        of(kind)
    };
    for threat in Threat::ALL {
        for attack in threat.attacks() {
            for parameter in &attack.parameters {
                for written in values(parameter.kind) {
                    let (table, kind, key) = (threat.table(), attack.name, parameter.name);
                    let text = format!(
                        "name = \"s\"\n[[recipe]]\nid = \"r\"\ntrain = \"t.toml\"\n[[{table}]]\nkind = [\"{kind}\"]\n{key} = {written}\n"
                    );
                    let study =
                        parse(&text).unwrap_or_else(|error| panic!("{kind}, {key} = {written}: {error}"));
                    let values: &Vec<Value> = &study.threats[0].settings[0].values[0];
                    assert!(!values.is_empty(), "{kind}, {key} = {written}");
                }
            }
        }
    }
}

#[test]
fn amounts_are_shown_as_they_were_written() {
    assert_eq!(Amount::Fraction { over: 8.0, under: 255.0 }.to_string(), "\"8/255\"");
    assert_eq!(Amount::Units(0.5).to_string(), "0.5");
}
