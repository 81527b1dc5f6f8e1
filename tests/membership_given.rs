//! Membership inference on a model that is there already: its members and others as data, shadow models by a recipe.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use percuss::attacks::privacy::REGISTRY;
use percuss::data::{Labels, Request, Source, open};
use percuss::models::Model;
use percuss::results::{CellRow, MetricRow, Results, SampleRow};
use percuss::sweep::options::SweepOptions;
use percuss::sweep::run::sweep;
use percuss::sweep::study::Study;
use percuss::training::evaluate;
use percuss_kernels::Device;

/// Images of noise with labels by chance, learnt by heart: `CANDIDATES` of them, then a population.
const CANDIDATES: usize = 120;
const ALL: usize = 160;
const SIDE: usize = 6;

const RECIPE: &str = r#"
epochs = 120
batch = 20
seed = 0
[data]
manifest = "MANIFEST"
val = "none"
[model]
architecture = "mlp"
hidden = [32]
input_scaling = { mean = [127.5], std = [64.0] }
[optimizer]
kind = "adamw"
learning_rate = 1e-2
weight_decay = 0.0
"#;

/// Writes the images, and a manifest that puts each into the split that `split` says.
fn manifest(folder: &Path, name: &str, split: impl Fn(usize) -> &'static str) {
    let mut text = String::from("path,label,split\n");
    for i in 0..ALL {
        let image = format!("{i}.png");
        if !folder.join(&image).exists() {
            let pixels: Vec<u8> =
                support::unit(&image, SIDE * SIDE).iter().map(|u| (u * 255.0) as u8).collect();
            let file = std::fs::File::create(folder.join(&image)).unwrap();
            let mut encoder = png::Encoder::new(file, SIDE as u32, SIDE as u32);
            encoder.set_color(png::ColorType::Grayscale);
            encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
        }
        text += &format!("{image},{},{}\n", (i * i / 7 + i / 3) % 2, split(i));
    }
    std::fs::write(folder.join(name), text).unwrap();
}

type Rows = (Vec<CellRow>, Vec<MetricRow>, BTreeMap<(String, u64), SampleRow>);

/// Runs a study; its cells, metrics, and sample rows by attack (with its knowledge) and sample.
fn run(folder: &Path, name: &str, text: &str) -> percuss::Result<Rows> {
    let file = folder.join(format!("{name}.toml"));
    std::fs::write(&file, text).unwrap();
    let out = folder.join(name);
    let options =
        SweepOptions { out: Some(out.clone()), quiet: true, device: "cpu".into(), ..Default::default() };
    sweep(&Study::read(&file)?, &options)?;
    let results = Results::open(&out)?;
    let mut samples = BTreeMap::new();
    for cell in results.cells()? {
        for row in results.samples(&cell.cell_id)? {
            assert!(
                samples.insert((cell.attack.to_string(), row.sample), row).is_none(),
                "one cell an attack"
            );
        }
    }
    Ok((results.cells()?.to_vec(), results.metrics()?, samples))
}

fn attacks() -> String {
    let names: Vec<&str> = REGISTRY.iter().map(|attack| attack.name).collect();
    format!("kind = {names:?}\nshadows = 8\nnoise = 40.0\ncopies = 20\ndecisions = 100\n")
}

fn metric(rows: &Rows, attack: &str, metric: &str, scope: &str) -> MetricRow {
    let cell = rows.0.iter().find(|cell| cell.attack == attack).unwrap();
    let same = |row: &&MetricRow| row.cell_id == cell.cell_id && row.metric == metric && row.scope == scope;
    rows.1.iter().find(same).unwrap_or_else(|| panic!("{attack}: no {metric} of {scope}")).clone()
}

/// The study of a model that is there, its tables after `[[membership]]`.
fn given(membership: &str) -> String {
    let data = |id: &str, split: &str| {
        format!("[[data]]\nid = \"{id}\"\nmanifest = \"audit.csv\"\nsplit = \"{split}\"\n")
    };
    let sets = data("in", "train") + &data("out", "val") + &data("rest", "test");
    format!(
        "name = \"given\"\nseeds = [0]\n{sets}[[model]]\nid = \"mine\"\npath = \"mine\"\ndata = [\"in\", \"out\"]\n\
         [[recipe]]\nid = \"r\"\ntrain = \"recipe.toml\"\n[[membership]]\n{membership}"
    )
}

/// A recipe's own target, and the same model as `percuss train` makes it: its folder, and the rows of the recipe's target.
fn trained(folder: &Path) -> Rows {
    manifest(folder, "pool.csv", |i| if i < CANDIDATES { "train" } else { "test" });
    std::fs::write(folder.join("recipe.toml"), RECIPE.replace("MANIFEST", "pool.csv")).unwrap();
    let study = format!(
        "name = \"own\"\nseeds = [0]\n[[recipe]]\nid = \"r\"\ntrain = \"recipe.toml\"\n[[membership]]\n{}",
        attacks()
    );
    let rows = run(folder, "own", &study).unwrap();
    let members: Vec<bool> = (0..CANDIDATES as u64).map(|i| rows.2[&("loss".into(), i)].label == 1).collect();
    manifest(folder, "audit.csv", |i| match members.get(i) {
        Some(true) => "train",
        Some(false) => "val",
        None => "test",
    });
    let recipe = format!("out = \"mine\"{}", RECIPE.replace("MANIFEST", "audit.csv"));
    std::fs::write(folder.join("mine.toml"), recipe).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_percuss"));
    let output =
        command.args(["train", "mine.toml", "--device", "cpu"]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    rows
}

#[test]
fn a_given_target_has_the_scores_of_the_same_target_trained_by_a_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let own = trained(folder.path());
    let tables = "target = \"mine\"\nmembers = \"in\"\nnonmembers = \"out\"\npopulation = \"rest\"\nshadow_recipe = \"r\"\n";
    let given = run(folder.path(), "given", &given(&(attacks() + tables))).unwrap();
    assert_eq!((own.0.len(), given.0.len()), (REGISTRY.len(), REGISTRY.len()));
    assert_eq!(own.2.len(), REGISTRY.len() * CANDIDATES);
    for (key, row) in &own.2 {
        let other = &given.2[key];
        assert_eq!(
            (row.label, row.adv_pred, &row.scores_adv),
            (other.label, other.adv_pred, &other.scores_adv),
            "{key:?}"
        );
        assert_eq!((&row.scores_clean, row.margin_adv), (&other.scores_clean, other.margin_adv), "{key:?}");
    }
    for attack in REGISTRY {
        for (name, scope) in
            [("auc", "all"), ("tpr", "fpr=0.01"), ("accuracy", "members"), ("accuracy", "others")]
        {
            let [one, other] = [&own, &given].map(|rows| metric(rows, attack.name, name, scope));
            assert_eq!(
                (one.value, one.low, one.high, one.n),
                (other.value, other.low, other.high, other.n),
                "{}",
                attack.name
            );
        }
    }
    assert!(
        given
            .0
            .iter()
            .all(|cell| cell.model == "mine" && cell.data == "in / out" && cell.threat == "privacy")
    );
    // Seeds change what an attack draws itself, and nothing else.
    let seeded = |cell: &&CellRow| cell.seed.is_some();
    let drawn: Vec<&str> = given.0.iter().filter(seeded).map(|cell| cell.attack.as_str()).collect();
    assert_eq!(drawn.len(), 2, "{drawn:?}");
    let area = metric(&given, "loss", "auc", "all").value.unwrap();
    assert!(area > 0.75, "learnt by heart: {area}");

    // The area once more, from the model's own logits: the share of pairs in which the member has the smaller loss.
    let model = Model::load(&folder.path().join("mine")).unwrap();
    let losses = |split: &str| -> Vec<f64> {
        let data =
            open(&Request::new(Source::Manifest(folder.path().join("audit.csv")), split), None).unwrap();
        let logits = evaluate::logits(&model, &data, &Device::Cpu { threads: 1 }, 1).unwrap();
        let Labels::Class(labels) = &data.labels else { panic!("one class a sample") };
        let loss = |(z, &label): (&[f32], &u32)| {
            let [own, other] = [z[label as usize], z[1 - label as usize]].map(f64::from);
            (1.0 + (other - own).exp()).ln()
        };
        logits.chunks_exact(2).zip(labels).map(loss).collect()
    };
    let (inside, outside) = (losses("train"), losses("val"));
    let wins: f64 = inside
        .iter()
        .flat_map(|a| {
            outside.iter().map(move |b| {
                if a < b {
                    1.0
                } else if a == b {
                    0.5
                } else {
                    0.0
                }
            })
        })
        .sum();
    let pairs = wins / (inside.len() * outside.len()) as f64;
    assert!((area - pairs).abs() < 1e-3, "{area} {pairs}");
}

#[test]
fn what_needs_shadow_models_or_a_population_says_which_line_to_add() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    let base = "target = \"mine\"\nmembers = \"in\"\nnonmembers = \"out\"\n";
    // Attacks on the target alone need no recipe.
    let alone = "kind = [\"gap\", \"loss\", \"confidence\", \"entropy\", \"modified-entropy\"]\n";
    let without =
        given(&format!("{alone}{base}")).replace("[[recipe]]\nid = \"r\"\ntrain = \"recipe.toml\"\n", "");
    let rows = run(folder.path(), "alone", &without).unwrap();
    assert_eq!((rows.0.len(), rows.2.len()), (5, 5 * CANDIDATES));
    for (lines, found, mend) in [
        ("kind = \"lira\"\n", "found lira without shadow models", "shadow_recipe = \"r\"\n"),
        ("kind = \"shadow\"\n", "found shadow without shadow models", "shadow_recipe = \"r\"\n"),
        (
            "kind = \"confidence\"\nthreshold = \"class\"\n",
            "found confidence without shadow models",
            "shadow_recipe = \"r\"\n",
        ),
        (
            "kind = \"rmia\"\nshadow_recipe = \"r\"\n",
            "found rmia without samples that no model learnt from",
            "population = \"rest\"\n",
        ),
        ("kind = \"loss\"\nshadows = 4\n", "found shadow models without a recipe", "shadow_recipe = \"r\"\n"),
    ] {
        let more = if lines.contains("shadows") { "" } else { "shadows = 6\n" };
        let more = if mend.contains("shadow_recipe") || lines.contains("shadow_recipe") { more } else { "" };
        match run(folder.path(), "refused", &given(&format!("{lines}{base}"))) {
            Ok(_) => assert!(mend.is_empty(), "{lines}"),
            Err(error) => {
                let said = error.to_string();
                assert!(said.contains(found) && said.contains(mend.trim_end()), "{said}");
                // The line that it names mends it.
                if !mend.is_empty() {
                    run(folder.path(), "mended", &given(&format!("{lines}{more}{base}{mend}"))).unwrap();
                    std::fs::remove_dir_all(folder.path().join("mended")).unwrap();
                }
            }
        }
    }
    for (lines, found) in [
        ("kind = \"loss\"\ntarget = \"mine\"\n", "membership.members: found no such key"),
        (
            "kind = \"loss\"\ntarget = \"mine\"\nmembers = \"in\"\n",
            "membership.nonmembers: found no such key",
        ),
        ("kind = \"loss\"\nmembers = \"in\"\n", "expected target = MODEL beside it"),
        (
            "kind = \"loss\"\ntarget = \"mine\"\nmembers = \"in\"\nnonmembers = \"in\"\n",
            "a data set that is named before",
        ),
        (
            "kind = \"loss\"\ntarget = \"yours\"\nmembers = \"in\"\nnonmembers = \"out\"\n",
            "the id of a [[model]] table: mine",
        ),
        (
            "kind = \"loss\"\ntarget = \"mine\"\nmembers = [\"in\", \"rest\"]\nnonmembers = \"out\"\n",
            "one data set; others are another [[membership]] table",
        ),
        (
            "kind = \"loss\"\nrecipes = \"r\"\ntarget = \"mine\"\nmembers = \"in\"\nnonmembers = \"out\"\n",
            "found recipes beside a target",
        ),
        (
            "kind = \"loss\"\nknows = \"elsewhere\"\ntarget = \"mine\"\nmembers = \"in\"\nnonmembers = \"out\"\n",
            "found \"elsewhere\"",
        ),
        // Nobody of the recipe's samples is left who is no candidate.
        (
            "kind = \"lira\"\nmode = \"offline\"\nknows = \"distribution\"\nshadow_recipe = \"r\"\ntarget = \"mine\"\nmembers = \"in\"\nnonmembers = \"out\"\n",
            "found \"distribution\", with 0 training samples that are no candidates",
        ),
        // The population is not among the recipe's training samples.
        (
            "kind = \"lira\"\nshadow_recipe = \"r\"\ntarget = \"mine\"\nmembers = \"in\"\nnonmembers = \"rest\"\n",
            "candidates not among the recipe's training samples",
        ),
    ] {
        let said = run(folder.path(), "refused", &given(lines)).unwrap_err().to_string();
        assert!(said.contains(found), "{lines}: {said}");
        assert!(!folder.path().join("refused").exists(), "nothing is written");
    }
}

#[test]
fn shadow_models_of_other_samples_learn_from_no_candidate() {
    let folder = tempfile::tempdir().unwrap();
    trained(folder.path());
    // The recipe has half of the candidates, and others.
    manifest(folder.path(), "pool.csv", |i| if i % 2 == 0 || i >= CANDIDATES { "train" } else { "test" });
    let lines = "kind = [\"lira\", \"loss\"]\nmode = \"offline\"\nknows = [\"distribution\", \"exact\"]\nshadows = 4\nshadow_recipe = \"r\"\n\
                 target = \"mine\"\nmembers = \"in\"\nnonmembers = \"out\"\n";
    let said = run(folder.path(), "both", &given(lines)).unwrap_err().to_string();
    assert!(said.contains("found \"exact\", with 60 of 120 candidates not among"), "{said}");
    let rows = run(folder.path(), "other", &given(&lines.replace(", \"exact\"", ""))).unwrap();
    assert_eq!(rows.0.len(), 2);
    // A model of 20 others tells nothing of whom it never saw: the threshold is the best on the target, not one of shadow models.
    assert!(rows.1.iter().all(|row| row.scope != "shadow-threshold"));
    assert!(metric(&rows, "lira", "auc", "all").value.unwrap() > 0.8);
}
