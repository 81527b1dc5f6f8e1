//! Images of several sizes: each size as data of its own, attacked at its own size, or all brought to one while they are read, which the attacked
//! graph then resizes. Right values are Pillow's (`Image.resize` of mode F).
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::{Path, PathBuf};

use percuss::sweep::load;
use percuss::sweep::study::Study;
use support::evaluate::evaluate;
use support::files::message;
use support::onnx::{file, input, node, output, whole};

fn cases() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/images")
}

/// A model whose logits are the nine pixels that it takes, images of two sizes in lists of one size and of both, and a study.
fn study(folder: &Path, tables: &str) -> Study {
    let parts = [
        node("MaxPool", &["x"], &["p"], &[support::onnx::ints("kernel_shape", &[1, 1])]),
        node("Flatten", &["p"], &["y"], &[whole("axis", 1)]),
        input("x", &[-1, 1, 3, 3]),
        output("y", &[-1, 9]),
    ];
    std::fs::write(folder.join("model.onnx"), file(17, &parts)).unwrap();
    let row = |name: &str| format!("{},0\n", cases().join(name).display());
    let (grey, tall) = (row("grey.png"), row("tall.png"));
    for (list, rows) in [("grey", grey.clone()), ("tall", tall.clone()), ("both", grey + &tall)] {
        std::fs::write(folder.join(format!("{list}.csv")), format!("path,label\n{rows}")).unwrap();
    }
    let text = format!(
        "name = \"s\"\n{tables}[[attack]]\nkind = \"fgsm\"\nbudget = [ {{ norm = \"linf\", eps = 1 }} ]\n"
    );
    let path = folder.join("s.toml");
    std::fs::write(&path, text).unwrap();
    Study::read(&path).unwrap()
}

fn data(list: &str, keys: &str) -> String {
    format!("[[data]]\nid = \"{list}\"\nmanifest = \"{list}.csv\"\nsplit = \"all\"\n{keys}\n")
}

fn model(id: &str, data: &str, shape: &str) -> String {
    format!(
        "[[model]]\nid = \"{id}\"\npath = \"model.onnx\"\ndata = [\"{data}\"]\ninput = {{ shape = {shape}, resize = \"bilinear\", fit = \"squash\" }}\n"
    )
}

/// The logits of every sample of data set `position` under the study's model `of`.
fn logits(study: &Study, position: usize, of: usize) -> Vec<Vec<f32>> {
    let model = load::model(study, of).unwrap();
    let data = load::data(study, position, of, &model, None).unwrap();
    let shape = model.config.input_shape();
    let one = |i: usize| {
        let sample = data.sample(i);
        evaluate(1, &[(&shape, sample)], |graph, x| vec![model.logits(graph, x[0])]).remove(0)
    };
    (0..data.len()).map(one).collect()
}

fn assert_near(found: &[f32], right: [f32; 9], what: &str) {
    let off = found.iter().zip(right).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off < 2e-3, "{what}: {found:?}");
}

#[test]
fn each_size_is_attacked_at_its_own_as_data_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let tables = [
        data("grey", ""),
        data("tall", ""),
        model("m6x8", "grey", "[6, 8, 1]"),
        model("m9x7", "tall", "[9, 7, 1]"),
    ];
    let study = study(dir.path(), &tables.concat());
    let grey = [89.6128, 90.9592, 129.218, 146.5099, 105.9226, 145.9408, 141.109, 110.0884, 113.3308];
    let tall = [165.4286, 132.6838, 170.0357, 138.6587, 128.4314, 146.4206, 142.9375, 101.9706, 109.6964];
    assert_near(&logits(&study, 0, 0)[0], grey, "6 x 8");
    assert_near(&logits(&study, 1, 1)[0], tall, "9 x 7");
}

#[test]
fn a_common_size_while_they_are_read_is_resized_again_in_the_graph() {
    let dir = tempfile::tempdir().unwrap();
    let plain = "[[model]]\nid = \"m\"\npath = \"model.onnx\"\ndata = [\"both\"]\n";
    let mixed = study(dir.path(), &(data("both", "") + plain));
    let model_of_mixed = load::model(&mixed, 0).unwrap();
    let refused = message(load::data(&mixed, 0, 0, &model_of_mixed, None));
    for part in [
        "found 9 x 7 pixels",
        "6 x 8 as the first image",
        "resize = [3, 3] in [[data]]",
        "a [[data]] and a [[model]] of its own for each size",
    ] {
        assert!(refused.contains(part), "{refused} does not say {part:?}");
    }
    let resize = "resize = { shape = [12, 12], resize = \"bicubic\", fit = \"squash\" }";
    let chained = study(dir.path(), &(data("both", resize) + &model("m", "both", "[12, 12, 1]")));
    let found = logits(&chained, 0, 0);
    let grey = [89.4252, 91.2388, 128.9711, 148.0962, 105.799, 147.7577, 143.7355, 109.4523, 115.2448];
    let tall = [163.1396, 133.8538, 169.0824, 136.4404, 128.4085, 144.758, 145.6191, 106.1954, 110.7702];
    assert_near(&found[0], grey, "6 x 8 by 12 x 12");
    assert_near(&found[1], tall, "9 x 7 by 12 x 12");
    // Budgets are in the pixels of the common size: 144 values a sample.
    let model = load::model(&chained, 0).unwrap();
    assert_eq!(load::data(&chained, 0, 0, &model, None).unwrap().sample_len(), 144);
}
