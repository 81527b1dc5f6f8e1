//! Study files: what good ones say, and what bad ones are told.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::attacks::Norm;
use percuss::sweep::grid::Grid;
use percuss::sweep::study::{Rate, Stop, Study};
use support::studies::{BUDGET, HEAD, grid, parse, study};

/// The message that `text` gets; every one names the file and is bad input.
fn refusal(text: &str) -> String {
    let error = parse(text).expect_err("it is a bad study");
    assert_eq!(error.exit_code(), 2);
    let message = error.to_string();
    message.strip_prefix("studies/s.toml: ").unwrap_or_else(|| panic!("{message} names the file")).to_string()
}

/// The message that an attack table gets; its header is on line 13.
fn attack_refusal(table: &str) -> String {
    refusal(&format!("{HEAD}[[attack]]\n{table}\n"))
}

#[test]
fn the_study_of_the_design_page_is_read() {
    let text = r#"
name = "cxr-v3"
seeds = [0, 1, 2]
[[data]]
id = "test-A"
name = "pneumoniamnist"
split = "test"
limit = 2000
group = "patient"
subgroups = ["sex", "site"]
[[model]]
id = "v3"
path = "models/v3"
data = ["test-A"]
output = "logits"
input = { unit = "pixel", bounds = [0, 255], mean = 123.7, std = 58.4 }
operating_point = { sensitivity = 0.95, fit_on = "val" }
expect = { auroc = [0.90, 0.94] }
[[defense]]
id = "none"
[[attack]]
kind = ["fgsm", "pgd"]
aim = ["any", "hide", "raise"]
budget = [ { norm = "linf", eps = [1, 2, 4, 8] }, { norm = "l2", eps = { logspace = [50, 2000, 8] } } ]
steps = [10, 40]
step_size = { rel = 0.1 }
stop = "success"
"#;
    let study = parse(text).unwrap();
    assert_eq!((study.name.as_str(), &study.seeds[..]), ("cxr-v3", &[0, 1, 2][..]));
    let request = &study.data[0].request;
    assert_eq!(
        (request.split.as_str(), request.limit, request.group.as_deref()),
        ("test", Some(2000), Some("patient"))
    );
    assert_eq!(request.subgroups, ["sex", "site"]);
    let model = &study.models[0];
    assert_eq!(model.path, Path::new("studies/models/v3"));
    let input = model.input.as_ref().unwrap();
    assert_eq!((input.unit.as_deref(), input.bounds), (Some("pixel"), Some([0.0, 255.0])));
    assert_eq!((input.mean.as_deref(), input.std.as_deref()), (Some(&[123.7][..]), Some(&[58.4][..])));
    assert_eq!(model.operating_point.as_ref().unwrap().rate, Rate::Sensitivity(0.95));
    assert_eq!(model.expect["auroc"], [0.90, 0.94]);
    // 3 aims x 12 budgets x (1 FGSM + 2 step numbers x 3 seeds of PGD).
    let grid = grid(&study);
    assert_eq!(grid.cells.len(), 3 * 12 * (1 + 2 * 3));
    assert_eq!(grid.cells[0].stop, Stop::Success);
    assert_eq!(grid.tables[0].notes, ["step_size is ignored by fgsm", "steps is ignored by fgsm"]);
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    assert_eq!(
        refusal("name = \"a\"\nsedes = [1]\n"),
        "line 2, sedes: found an unknown key, \
         expected one of the keys name, seeds, data, model, defense, attack, recipe, poisoning, backdoor, membership; the nearest is \"seeds\""
    );
    let message = attack_refusal(&format!("kind = \"pgd\"\n{BUDGET}\nstepz = 4"));
    assert!(
        message.starts_with("line 16, attack.stepz: found an unknown key, expected one of the keys kind, "),
        "{message}"
    );
    assert!(message.ends_with("; the nearest is \"steps\""), "{message}");
    let message = refusal(&HEAD.replace("path =", "paht ="));
    assert!(message.starts_with("line 8, model.paht: found an unknown key"), "{message}");
    assert!(message.ends_with("the nearest is \"path\""), "{message}");
    let message = refusal(&HEAD.replace("id = \"test-A\"", "id = \"test-A\"\nlimt = 3"));
    assert!(message.starts_with("line 5, data.limt: found an unknown key"), "{message}");
    assert!(message.ends_with("the nearest is \"limit\""), "{message}");
    assert_eq!(
        attack_refusal("kind = \"pgd\"\neps = 4"),
        "line 13, attack.budget: found no such key, expected [{ norm = \"linf\", eps = [1, 2, 4] }]"
    );
    assert_eq!(
        attack_refusal(&format!("kind = \"pgd\"\n{BUDGET}\neps = 4")),
        "line 16, attack.eps: found an unknown key, expected budget = [{ norm = \"linf\", eps = [1, 2, 4] }]"
    );
    assert_eq!(
        attack_refusal("kind = \"pgd\"\nbudget = [{ norm = \"linf\", epz = 1 }]"),
        "line 15, attack.budget.epz: found an unknown key, expected one of the keys norm, eps; the nearest is \"eps\""
    );
}

#[test]
fn a_budget_is_a_positive_number() {
    for (written, found) in [
        ("-1", "-1"),
        ("nan", "nan"),
        ("0", "0"),
        ("0.0", "0.0"),
        ("inf", "inf"),
        ("1e-60", "1e-60"),
        ("true", "true"),
        ("[1, 2, -4]", "-4"),
    ] {
        assert_eq!(
            attack_refusal(&format!(
                "kind = \"pgd\"\nbudget = [\n  {{ norm = \"linf\", eps = {written} }},\n]"
            )),
            format!("line 16, attack.budget.eps: found {found}, expected a positive number")
        );
    }
    assert_eq!(
        attack_refusal("kind = \"pgd\"\nbudget = [{ norm = \"linf\", eps = [] }]"),
        "line 15, attack.budget.eps: found an empty list, expected at least one value"
    );
    assert_eq!(
        attack_refusal("kind = \"pgd\"\nbudget = [{ norm = \"linf\", eps = { linspace = [0, 1, 5] } }]"),
        "line 15, attack.budget.eps: found 0, expected a positive number"
    );
    assert_eq!(
        attack_refusal("kind = \"pgd\"\nbudget = [{ norm = \"linf\", eps = { logspace = [0, 1, 5] } }]"),
        "line 15, attack.budget.eps.logspace: found 0, expected a positive number"
    );
    assert_eq!(
        attack_refusal(
            "kind = \"pgd\"\nbudget = [{ norm = \"linf\", eps = { logspace = [1, 2, 1000000] } }]"
        ),
        "line 15, attack.budget.eps.logspace: found 1000000, expected a whole number from 2 to 10000"
    );
}

#[test]
fn a_norm_that_no_listed_attack_has_is_an_error_and_one_that_some_lack_is_a_note() {
    assert_eq!(
        attack_refusal("kind = \"mi-fgsm\"\nbudget = [{ norm = [\"linf\", \"l1\"], eps = 1 }]"),
        "line 15, attack.budget.norm: found \"l1\", expected a norm that the attack has: mi-fgsm (linf, l2)"
    );
    assert_eq!(
        attack_refusal("kind = \"pgd\"\nbudget = [{ norm = \"l3\", eps = 1 }]"),
        "line 15, attack.budget.norm: found \"l3\", expected one of linf, l2, l1, tokens; the nearest is \"l2\""
    );
    let study = study(
        "[[attack]]\nkind = [\"mi-fgsm\", \"bim\"]\nbudget = [{ norm = [\"linf\", \"l1\"], eps = [1, 2] }]\n",
    );
    let grid = grid(&study);
    assert_eq!(grid.cells.len(), 2 + 4);
    assert!(grid.cells.iter().all(|cell| cell.norm != Norm::L1 || cell.attack.name == "bim"));
    assert_eq!(grid.tables[0].notes, ["mi-fgsm has no l1"]);
    assert_eq!(grid.tables[0].norm_lacking, 2 * 3);
}

/// What a step size may be.
const STEP_SIZE: &str =
    "a positive number in the data's unit, a fraction such as \"2/255\", or { rel = NUMBER } times eps";

#[test]
fn values_of_another_type_or_out_of_range_are_errors() {
    for (key, found, expected) in [
        ("steps = 0", "0", "a whole number from 1 to 100000"),
        ("steps = 2.5", "2.5", "a whole number from 1 to 100000"),
        ("steps = [10, -1]", "-1", "a whole number from 1 to 100000"),
        ("steps = [[10]]", "a list", "a value, not a list within a list"),
        ("restarts = { linspace = [0, 4, 3] }", "0", "a whole number from 1 to 10000"),
        ("random_start = \"no\"", "\"no\"", "true or false"),
        (
            "loss = \"crossentropy\"",
            "\"crossentropy\"",
            "one of cross-entropy, margin, dlr; the nearest is \"cross-entropy\"",
        ),
        ("step_size = -1", "-1", "a positive number"),
        ("step_size = \"a\"", "\"a\"", STEP_SIZE),
        ("stop = \"never\"", "\"never\"", "one of success, steps"),
        ("save = \"everything\"", "\"everything\"", "one of none, successes, all"),
        ("aim = \"hidde\"", "\"hidde\"", "any, hide or raise; the nearest is \"hide\""),
        ("aim = \"target\"", "\"target\"", "any, hide or raise; a class is given as target = CLASS"),
        ("target = -1", "-1", "a class, by number or name"),
        ("models = [\"v2\"]", "\"v2\"", "the id of a [[model]] table: v3; the nearest is \"v3\""),
    ] {
        let name = key.split(' ').next().unwrap();
        assert_eq!(
            attack_refusal(&format!("kind = \"pgd\"\n{BUDGET}\n{key}")),
            format!("line 16, attack.{name}: found {found}, expected {expected}")
        );
    }
    assert_eq!(
        attack_refusal(&format!("kind = \"pgd\"\n{BUDGET}\nstep_size = {{ rel = nan }}")),
        "line 16, attack.step_size.rel: found nan, expected a positive number"
    );
    assert_eq!(
        attack_refusal(&format!("kind = \"pdg\"\n{BUDGET}")),
        "line 14, attack.kind: found \"pdg\", expected an attack: fgsm, bim, pgd, mi-fgsm, hotflip; the nearest is \"pgd\""
    );
    assert_eq!(
        attack_refusal(&format!("kind = [\"pgd\", \"projected-gradient\"]\n{BUDGET}")),
        "line 14, attack.kind: found \"projected-gradient\", expected each attack once"
    );
    // Real parameters, and the range of another attack.
    assert_eq!(
        attack_refusal(&format!("kind = \"mi-fgsm\"\n{BUDGET}\ndecay = 11")),
        "line 16, attack.decay: found 11, expected a number from 0 to 10"
    );
}

#[test]
fn what_is_wrong_with_models_and_data_is_named() {
    let swap = |from: &str, to: &str| {
        assert!(HEAD.contains(from));
        refusal(&HEAD.replacen(from, to, 1))
    };
    assert_eq!(swap("name = \"cxr-v3\"\n", ""), "line 1, name: found no such key, expected the study's name");
    assert_eq!(
        swap("cxr-v3", "../x"),
        "line 1, name: found \"../x\", expected 1 to 100 letters, digits, '-', '_' or '.', not starting with '.'"
    );
    assert_eq!(swap("[0, 1, 2]", "[0, 0]"), "line 2, seeds: found 0, expected each seed once");
    assert_eq!(swap("[0, 1, 2]", "[-1]"), "line 2, seeds: found -1, expected a whole number from 0");
    let message = swap("pneumoniamnist", "pneumonia-mnist");
    assert!(
        message.starts_with("line 5, data.name: found \"pneumonia-mnist\", expected one of "),
        "{message}"
    );
    assert!(message.ends_with("; the nearest is \"pneumoniamnist\""), "{message}");
    assert_eq!(
        swap("name = \"pneumoniamnist\"", "split = \"tset\"\nname = \"pneumoniamnist\""),
        "line 5, data.split: found \"tset\", expected one of train, val, test, all; the nearest is \"test\""
    );
    assert_eq!(
        swap("name = \"pneumoniamnist\"\n", ""),
        "line 3, data.name: found none of name, path, manifest, records, expected one of them"
    );
    assert_eq!(
        swap("name = \"pneumoniamnist\"", "path = \"a.npz\"\nmanifest = \"a.csv\""),
        "line 3, data.name: found more than one of name, path, manifest, records, expected one of them"
    );
    assert_eq!(
        swap("data = [\"test-A\"]", "data = [\"test-B\"]"),
        "line 9, model.data: found \"test-B\", expected the id of a [[data]] table: test-A; the nearest is \"test-A\""
    );
    assert_eq!(
        swap("[[defense]]\nid = \"none\"", "[[defense]]\nid = \"jpeg75\""),
        "line 11, defense.id: found \"jpeg75\", expected a defence that this version has: none, dp-sgd, \
         spectral-signatures, activation-clustering, strip, neural-cleanse"
    );
    let with =
        |line: &str| refusal(&HEAD.replacen("path = \"models/v3\"", &format!("path = \"m\"\n{line}"), 1));
    for (line, place, found, expected) in [
        (
            "output = \"logit\"",
            "output",
            "\"logit\"",
            "one of logits, probabilities; the nearest is \"logits\"",
        ),
        ("threshold = 1", "threshold", "1", "a probability between 0 and 1, neither of them"),
        ("threshold = nan", "threshold", "nan", "a probability between 0 and 1, neither of them"),
        ("input = { std = 0, mean = 1 }", "input.std", "0", "a positive number"),
        ("input = { mean = 1 }", "input.std", "no such key", "a standard deviation beside the mean"),
        (
            "input = { bounds = [255, 0] }",
            "input.bounds",
            "[255, 0]",
            "[smallest, largest], the first not above the second",
        ),
        (
            "operating_point = { sensitivity = 1.5, fit_on = \"val\" }",
            "operating_point.sensitivity",
            "1.5",
            "a share above 0, at most 1",
        ),
        (
            "operating_point = { sensitivity = 0.9 }",
            "operating_point.fit_on",
            "no such key",
            "the split that it is fitted on",
        ),
        ("expect = { auroc = 0.9 }", "expect.auroc", "0.9", "[lowest, highest] between 0 and 1"),
        (
            "expect = { auroc = [0.9, 0.8] }",
            "expect.auroc",
            "[0.9, 0.8]",
            "[lowest, highest] between 0 and 1, the first not above the second",
        ),
        (
            "expect = { acuracy = [0, 1] }",
            "expect.acuracy",
            "an unknown key",
            "one of the keys accuracy, balanced_accuracy, macro_f1, auroc, sensitivity, specificity, brier, ece; the nearest is \"accuracy\"",
        ),
    ] {
        assert_eq!(with(line), format!("line 9, model.{place}: found {found}, expected {expected}"));
    }
}

#[test]
fn broken_toml_and_other_threats_are_named() {
    let message = refusal("name = \"a\"\nseeds = [1,\n[[data]]\n");
    assert!(message.starts_with("line 3: found ") && message.ends_with(", expected TOML"), "{message}");
    for threat in ["poisoning", "backdoor", "membership"] {
        let more = match threat {
            "membership" => "; or target = MODEL with members = DATA and nonmembers = DATA",
            _ => "",
        };
        assert_eq!(
            refusal(&format!("{HEAD}[[{threat}]]\nkind = \"x\"\n")),
            format!(
                "line 13, {threat}: found no [[recipe]] table, \
                 expected one at least: it says what models are trained by{more}"
            )
        );
    }
    for threat in ["inversion", "availability"] {
        assert_eq!(
            refusal(&format!("{HEAD}[[{threat}]]\nkind = \"x\"\n")),
            format!(
                "line 13, {threat}: found a threat that this version does not have, \
                 expected [[attack]], [[poisoning]], [[backdoor]] or [[membership]] tables"
            )
        );
    }
    let empty = parse(HEAD).unwrap();
    let error = Grid::new(&empty, |_, _| None).unwrap_err().to_string();
    assert_eq!(
        error,
        "studies/s.toml: attack: found no such table, expected at least one [[attack]] table, or one of another threat"
    );
    let missing = Study::read(Path::new("no/such/study.toml")).unwrap_err();
    assert_eq!(missing.exit_code(), 2);
    assert!(missing.to_string().starts_with("no/such/study.toml: "));
}
