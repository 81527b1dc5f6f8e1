//! Words of prompts that an adversary replaces, alone and beside the image: equal to an implementation of its own in PyTorch.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::fs;
use std::path::Path;

use percuss::models::Weights;
use percuss::results::{CellRow, Results, SampleRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::study::Study;
use support::sweeps::Fixture;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const PIXELS: usize = 784;

fn study(words: &str, attack: &str) -> String {
    format!(
        r#"
name = "words"
[[data]]
id = "images"
path = "{ROOT}/tests/golden/hotflip.npz"
split = "all"
[[model]]
id = "clip"
path = "{ROOT}/experiments/clip-evasion/model"
data = ["images"]
input = {{ shape = [28, 28, 1] }}
[model.zero_shot]
templates = ["a chest x-ray of {{}}", "findings: {{}}"]
classes = {{ normal = ["normal lungs", "no finding"], pneumonia = ["pneumonia", "lung opacity"] }}
words = {words}
[[attack]]
stop = "steps"
save = "all"
{attack}
"#
    )
}

/// The adversarial samples of a study's one cell, its row and its samples' rows.
fn run(words: &str, attack: &str) -> (Vec<f32>, CellRow, Vec<SampleRow>) {
    only(&Fixture::new(&study(words, attack)))
}

/// Those of the one cell of a fixture's study.
fn only(fixture: &Fixture) -> (Vec<f32>, CellRow, Vec<SampleRow>) {
    assert_eq!(fixture.run("out", SweepOptions::default()).done, 1);
    let folder = fixture.out("out");
    let results = Results::open(&folder).unwrap();
    let cell = results.cells().unwrap()[0].clone();
    let samples = results.samples(&cell.cell_id).unwrap();
    let file = fs::read_dir(folder.join("adversarials")).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(file).unwrap();
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    (bytemuck::pod_collect_to_vec(tensors.tensor("x").unwrap().data()), cell, samples)
}

fn golden() -> Weights {
    Weights::read(Path::new(&format!("{ROOT}/tests/golden/hotflip.safetensors"))).unwrap()
}

/// The tokens of every sample are those of the golden `name`, and no more of them changed than the budget allows.
fn same_words(x: &[f32], name: &str, most: usize) {
    let golden = golden();
    let clean = &golden.tensors["clean.ids"].data;
    let expected = &golden.tensors[&format!("{name}.ids")].data;
    let samples = x.chunks(PIXELS + clean.len());
    assert_eq!(samples.len() * clean.len(), expected.len());
    let mut changed = 0;
    for (i, (sample, expected)) in samples.zip(expected.chunks(clean.len())).enumerate() {
        assert_eq!(&sample[PIXELS..], expected, "{name}: the words of sample {i}");
        let own = expected.iter().zip(clean).filter(|(a, b)| a != b).count();
        assert!(own <= most, "{name}: {own} words of sample {i}");
        changed += own;
    }
    assert!(changed > 0, "{name}: nothing changed");
}

#[test]
fn the_words_that_gain_most_are_replaced_one_a_step() {
    for (name, words, most) in [
        ("words", "{}", 2),
        ("more", "{}", 4),
        (
            "list",
            r#"{ substitutes = ["mild", "severe", "old", "normal", "infection", "clear", "film", "baby", "without", "effusion"] }"#,
            2,
        ),
        ("near", "{ distance = 0.6 }", 3),
    ] {
        let attack =
            format!("kind = \"hotflip\"\nsteps = 9\nbudget = [{{ norm = \"tokens\", eps = {most} }}]");
        let (x, cell, samples) = run(words, &attack);
        same_words(&x, name, most);
        assert_eq!((cell.eps_unit.as_deref(), cell.inputs.as_deref()), (Some("tokens"), Some("text")));
        assert!(samples.iter().all(|sample| sample.l0 as usize <= most && sample.l1 == sample.l0 as f64));
        let images = x.chunks(x.len() / samples.len()).flat_map(|sample| &sample[..PIXELS]);
        assert!(images.copied().all(|value| value.fract() == 0.0), "images stay");
    }
}

#[test]
fn image_and_words_move_at_once() {
    let attack = r#"kind = "bim"
steps = 9
step_size = { rel = 0.25 }
budget = [{ norm = "linf", eps = 1 }]
beside = { text = { norm = "tokens", eps = 2 } }"#;
    let (x, cell, samples) = run("{}", attack);
    same_words(&x, "both", 2);
    assert_eq!(cell.inputs.as_deref(), Some("image; text tokens 2"));
    assert_eq!(cell.eps_unit.as_deref(), Some("pixel"));
    let golden = golden();
    let expected = golden.tensors["both.x"].data.chunks(PIXELS);
    let (mut same, mut all) = (0, 0);
    for (sample, expected) in x.chunks(x.len() / samples.len()).zip(expected) {
        // A gradient near 0 may have another sign in another order of sums.
        same += sample[..PIXELS].iter().zip(expected).filter(|(a, b)| (*a - *b).abs() < 1e-3).count();
        all += PIXELS;
    }
    assert!(same * 1000 >= all * 998, "{same} of {all} pixels");
    assert!(samples.iter().all(|sample| sample.linf <= 1.0));
}

#[test]
fn of_a_classifier_of_texts_words_alone_are_replaced() {
    let folder = format!("{ROOT}/tests/golden/hotflip_text");
    let golden = Weights::read(Path::new(&format!("{folder}/expected.safetensors"))).unwrap();
    let study = |words: &str, most: usize| {
        format!(
            r#"
name = "texts"
[[data]]
id = "texts"
path = "{folder}/texts.npz"
split = "all"
[[model]]
id = "bert"
path = "{folder}"
data = ["texts"]
{words}
[[attack]]
kind = "hotflip"
steps = 9
stop = "steps"
save = "all"
budget = [{{ norm = "tokens", eps = {most} }}]
"#
        )
    };
    for (name, words, most) in [
        ("words", "words = {}", 3),
        ("list", r#"words = { substitutes = ["no", "mild", "severe"] }"#, 2),
        ("near", "words = { distance = 2.7 }", 2),
    ] {
        let (x, cell, samples) = only(&Fixture::new(&study(words, most)));
        // No end of a text, no padding and no piece of a word is among them: the implementation leaves them alone.
        assert_eq!(x, golden.tensors[&format!("{name}.ids")].data, "{name}");
        assert_eq!(cell.eps_unit.as_deref(), Some("tokens"));
        assert!(samples.iter().all(|sample| sample.l0 as usize <= most), "{name}");
        assert!(samples.iter().any(|sample| sample.l0 as usize == most), "{name}");
    }
    let refused =
        |text: &str| Fixture::new(text).attempt("out", SweepOptions::default()).unwrap_err().to_string();
    let closed = refused(&study("", 1));
    assert!(closed.contains("`words` of the model"), "{closed}");
    for special in ["[MASK]", "unheard"] {
        let error = refused(&study(&format!("words = {{ substitutes = [\"{special}\"] }}"), 1));
        assert!(error.contains(special) && error.contains("one token of the vocabulary"), "{error}");
    }
    let half = study("words = {}", 1).replace("eps = 1 ", "eps = 1.5 ");
    let half = Study::parse(&half, Path::new("study.toml")).unwrap_err().to_string();
    assert!(half.contains("1.5") && half.contains("a whole number of words"), "{half}");
}

#[test]
fn pieces_of_words_in_prompts_stay() {
    let attack = "kind = \"hotflip\"\nsteps = 9\nbudget = [{ norm = \"tokens\", eps = 9 }]";
    let whole = study("{}", attack).replace("\"pneumonia\"", "\"pneumonias\"");
    let tokens =
        percuss::models::Tokens::read(Path::new(&format!("{ROOT}/experiments/clip-evasion/model"))).unwrap();
    let ids = tokens.of("findings: pneumonias", 64, 1 << 20).unwrap();
    let spelt: Vec<String> = ids.iter().map(|&id| tokens.spelling(id).unwrap()).collect();
    assert!(spelt.iter().any(|token| token.starts_with("##")), "{spelt:?}");
    let (x, _, samples) = only(&Fixture::new(&whole));
    assert!(samples.iter().any(|sample| sample.l0 > 3));
    let piece = spelt.iter().position(|token| token.starts_with("##")).unwrap();
    let run = [ids[piece - 1] as f32, ids[piece] as f32];
    for sample in x.chunks(x.len() / samples.len()) {
        // Both templates of the class still hold the word and its piece.
        assert_eq!(sample[PIXELS..].windows(2).filter(|pair| *pair == run).count(), 2);
    }
}

#[test]
fn words_that_nobody_may_change_and_unknown_substitutes_are_refused() {
    let closed = study("{}", "kind = \"hotflip\"\nbudget = [{ norm = \"tokens\", eps = 1 }]")
        .replace("words = {}\n", "");
    let error = Fixture::new(&closed).attempt("out", SweepOptions::default()).unwrap_err().to_string();
    assert!(error.contains("attack.budget") && error.contains("texts need `words`"), "{error}");
    let unknown = study(
        r#"{ substitutes = ["pneumonoultramicroscopic"] }"#,
        "kind = \"hotflip\"\nbudget = [{ norm = \"tokens\", eps = 1 }]",
    );
    let error = Fixture::new(&unknown).attempt("out", SweepOptions::default()).unwrap_err().to_string();
    assert!(error.contains("pneumonoultramicroscopic") && error.contains("one token"), "{error}");
}

#[test]
fn distances_of_words_are_measured_in_f32_alone() {
    let near = study("{ distance = 0.6 }", "kind = \"hotflip\"\nbudget = [{ norm = \"tokens\", eps = 1 }]");
    let near = Study::parse(&near, Path::new("study.toml")).unwrap();
    assert!(percuss::sweep::load::model(&near, 0).is_ok());
    let error = percuss::sweep::load::model(&near.in_precision(percuss_kernels::Precision::F16), 0);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("model.zero_shot.words.distance") && error.contains("f16"), "{error}");
}

#[test]
fn rows_do_not_depend_on_what_shares_their_lanes() {
    let attack = r#"kind = ["fgsm", "pgd", "mi-fgsm"]
steps = 3
restarts = 2
step_size = { rel = 0.4 }
budget = [{ norm = "linf", eps = [1, 3] }, { norm = "l2", eps = 40 }]
beside = [{}, { text = { norm = "tokens", eps = 2 } }]
[[attack]]
kind = "hotflip"
steps = [1, 3]
budget = [{ norm = "tokens", eps = [1, 2] }]
[[attack]]
kind = "hotflip"
steps = 3
curve = "bisect"
budget = [{ norm = "tokens", eps = [1, 2, 3] }]"#;
    let study = study("{}", attack).replace("stop = \"steps\"\nsave = \"all\"\n", "");
    let fixture = Fixture::new(&study);
    fixture.run("shared", SweepOptions { threads: Some(2), ..SweepOptions::default() });
    let alone = SweepOptions { threads: Some(1), lanes: Some(3), sharing: false, ..SweepOptions::default() };
    fixture.run("alone", alone);
    assert_eq!(fixture.rows("shared"), fixture.rows("alone"));
}
