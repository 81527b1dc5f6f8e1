//! Tables under ONNX files: columns by the names that the file has, and missing values by the imputer that it has. What onnxruntime says of such
//! files with NaN in them was compared once, of a file of skl2onnx: the same answers for all samples.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "support/onnx.rs"]
mod onnx;

use std::path::Path;

use percuss::data::Dataset;
use percuss::sweep::load;
use percuss::sweep::study::Study;

const SPEC: &str = "outcome = \"y == 1\"\nclasses = [\"no\", \"yes\"]\n[scale]\ndefault = \"none\"\n";
/// What the imputer fills in, column by column.
const FILLS: [f32; 3] = [60.5, 4.25, 139.0];

/// 40 rows of age, lab and sodium; every fourth lab and every seventh sodium is missing.
fn table(columns: &[&str]) -> String {
    let cell = |row: usize, name: &str| match name {
        "age" => format!("{}.5", 40 + row * 7 % 50),
        "lab" if row % 4 == 1 => String::new(),
        "lab" => format!("{}.75", row * 5 % 13),
        "sodium" if row % 7 == 3 => String::new(),
        "sodium" => format!("{}", 130 + row * 3 % 20),
        _ => format!("{}", row / 2 % 2),
    };
    (0..40).fold(columns.join(","), |text, row| {
        text + "\n" + &columns.iter().map(|name| cell(row, name)).collect::<Vec<_>>().join(",")
    })
}

/// What a model in a file of these parts is fed of the table, or why not.
fn fed(folder: &Path, parts: &[Vec<u8>], table: &str, spec: &str) -> Result<Dataset, String> {
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write("m.onnx", &onnx::file(17, parts));
    write("t.csv", table.as_bytes());
    write("t.toml", spec.as_bytes());
    let study = "name = \"s\"\n[[data]]\nid = \"t\"\npath = \"t.csv\"\nsplit = \"all\"\n[[model]]\nid = \"m\"\npath = \"m.onnx\"\n\
                 data = [\"t\"]\n[[attack]]\nkind = \"fgsm\"\nbudget = [{ norm = \"linf\", eps = 0.1 }]\n";
    write("s.toml", study.as_bytes());
    let study = Study::read(&folder.join("s.toml")).map_err(|error| error.to_string())?;
    let model = load::model(&study, 0).map_err(|error| error.to_string())?;
    load::data(&study, 0, 0, &model, None).map_err(|error| error.to_string())
}

/// Nodes that end in two logits of `from`, of `width` values.
fn logits(from: &str, width: i64) -> Vec<Vec<u8>> {
    let weights: Vec<f32> = (0..2 * width).map(|k| (k * 3 % 7) as f32 * 0.1 - 0.2).collect();
    vec![
        onnx::node("Gemm", &[from, "w"], &["logits"], &[]),
        onnx::reals("w", &[width, 2], &weights),
        onnx::output("logits", &[-1, 2]),
    ]
}

/// Parts of a file that takes `x [batch, 3]` and imputes it, each in its own way.
fn imputers() -> Vec<(&'static str, Vec<Vec<u8>>, bool)> {
    let input = || onnx::input("x", &[-1, 3]);
    let imputer = |x: &str, y: &str, fills: &[f32]| {
        onnx::node(
            "Imputer",
            &[x],
            &[y],
            &[
                onnx::domain("ai.onnx.ml"),
                onnx::floats("imputed_value_floats", fills),
                onnx::real("replaced_value_float", f32::NAN),
            ],
        )
    };
    let median = || onnx::reals("c", &[3], &FILLS);
    let is_nan = || onnx::node("IsNaN", &["x"], &["nan"], &[]);
    let choice = || onnx::node("Where", &["nan", "c", "x"], &["full"], &[]);
    let columns = |name: &str, places: &[i64]| {
        let index = format!("{name} places");
        [
            onnx::node("ArrayFeatureExtractor", &["x", &index], &[name], &[onnx::domain("ai.onnx.ml")]),
            onnx::numbers(&index, places),
        ]
    };
    let two = FILLS[1..].iter().rev().copied().collect::<Vec<_>>();
    let parts = [
        vec![input()],
        columns("a", &[2, 1]).to_vec(),
        columns("b", &[0]).to_vec(),
        vec![
            imputer("a", "full a", &two),
            onnx::node("Concat", &["full a", "b"], &["full"], &[onnx::whole("axis", 1)]),
        ],
        logits("full", 3),
    ]
    .concat();
    let flag = [
        vec![input(), median(), is_nan(), choice()],
        vec![onnx::node("Cast", &["nan"], &["flag"], &[onnx::whole("to", 1)])],
        vec![onnx::node("Concat", &["full", "flag"], &["all"], &[onnx::whole("axis", 1)])],
        logits("all", 6),
    ]
    .concat();
    let beside = [
        vec![input(), median(), is_nan(), choice()],
        vec![onnx::node("Add", &["full", "x"], &["sum"], &[])],
        logits("sum", 3),
    ]
    .concat();
    vec![
        ("an Imputer", [vec![input(), imputer("x", "full", &FILLS)], logits("full", 3)].concat(), true),
        ("Where(IsNaN)", [vec![input(), median(), is_nan(), choice()], logits("full", 3)].concat(), true),
        ("an Imputer of some columns, in another order", parts, true),
        ("a flag beside it", flag, false),
        ("the missing value beside it", beside, false),
        ("no imputer", [vec![input()], logits("x", 3)].concat(), false),
    ]
}

#[test]
fn a_model_s_own_imputer_fills_what_it_fills_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let table = table(&["age", "lab", "sodium", "y"]);
    let spec = format!("{SPEC}[impute]\nnumber = \"model\"\n");
    for (what, parts, fills) in imputers() {
        let found = fed(folder.path(), &parts, &table, &spec);
        if !fills {
            let error = found.map(|_| ()).unwrap_err();
            assert!(
                error.contains("impute of column `lab`") && error.contains("lab = VALUE"),
                "{what}: {error}"
            );
            continue;
        }
        let data = found.unwrap_or_else(|error| panic!("{what}: {error}"));
        for row in 0..40 {
            let (lab, sodium) = (data.sample(row)[1], data.sample(row)[2]);
            assert_eq!(lab == FILLS[1], row % 4 == 1, "{what}, row {row}: {lab}");
            assert_eq!(
                sodium == FILLS[2],
                row % 7 == 3 || 130 + row * 3 % 20 == 139,
                "{what}, row {row}: {sodium}"
            );
        }
        assert!(
            data.remarks.iter().any(|r| r.text.contains("lab (10 of 40 with 4.25)")),
            "{:?}",
            data.remarks
        );
    }
    // A model that percuss trains has no imputer of its own.
    std::fs::write(folder.path().join("t.toml"), &spec).unwrap();
    let request =
        percuss::data::Request::new(percuss::data::Source::Path(folder.path().join("t.csv")), "all");
    let error = percuss::data::open(&request, None).unwrap_err().to_string();
    assert!(error.contains("found model") && error.contains("median, mean, mode or a number"), "{error}");
}

/// Parts of a file with an input for each name.
fn columns(names: &[&str]) -> Vec<Vec<u8>> {
    let mut parts: Vec<Vec<u8>> = names.iter().map(|name| onnx::input(name, &[-1, 1])).collect();
    parts.push(onnx::node("Concat", names, &["all"], &[onnx::whole("axis", 1)]));
    parts.extend(logits("all", names.len() as i64));
    parts
}

#[test]
fn columns_are_fed_by_the_names_that_the_file_has() {
    let folder = tempfile::tempdir().unwrap();
    let stated = format!("{SPEC}[impute.columns]\nlab = 5\nsodium = 140\n");
    let table = table(&["age", "lab", "sodium", "y"]);
    let fed_by = |names: &[&str], spec: &str| fed(folder.path(), &columns(names), &table, spec);
    for (names, order) in [
        (["age", "lab", "sodium"], ["age", "lab", "sodium"]),
        (["Sodium", "age", "LAB"], ["sodium", "age", "lab"]),
        (["num__lab", "num__sodium", "num__age"], ["lab", "sodium", "age"]),
    ] {
        let data = fed_by(&names, &stated).unwrap();
        assert_eq!(data.domain.features, order);
        let at = order.iter().position(|name| *name == "age").unwrap();
        assert_eq!((data.sample(2)[at], data.domain.high[at]), (54.5, 89.5));
        let told = data.remarks.iter().any(|r| r.text.contains("by their names"));
        assert_eq!(told, order[0] != "age", "{:?}", data.remarks);
    }
    // Names that differ in signs alone are no one's but those that they are written like.
    let signs = table.replacen("lab,sodium", "CD4-,CD4+", 1);
    let spec = format!("{SPEC}[impute.columns]\n\"CD4-\" = 5\n\"CD4+\" = 140\n");
    for names in [["CD4+", "age", "CD4-"], ["num__CD4+", "num__age", "num__CD4-"], ["cd4+", "Age", "cd4-"]] {
        let data = fed(folder.path(), &columns(&names), &signs, &spec).unwrap();
        assert_eq!(data.domain.features, ["CD4+", "age", "CD4-"], "{names:?}");
    }
    for names in [["CD4 (+)", "age", "CD4 (-)"], ["CD4_pos", "Age", "CD4"]] {
        let error = fed(folder.path(), &columns(&names), &signs, &spec).map(|_| ()).unwrap_err();
        assert!(error.contains(&format!("no column for `{}`", names[0])), "{names:?}: {error}");
    }
    let error = fed(folder.path(), &columns(&["CD4 (+)", "x1", "CD4 (-)"]), &signs, &spec).map(|_| ());
    assert!(error.is_err(), "no column is called like an input, but two of them nearly are");
    // Names that say nothing of columns leave their order, and it is said.
    let data = fed_by(&["x0", "x1", "x2"], &stated).unwrap();
    assert_eq!(data.domain.features, ["age", "lab", "sodium"]);
    assert!(data.remarks.iter().any(|r| r.text.contains("in the table's order")), "{:?}", data.remarks);
    let error = fed_by(&["age", "lab", "potassium"], &stated).unwrap_err();
    assert!(error.contains("no column for `potassium`, and no input for `sodium`"), "{error}");
    let error = fed_by(&["lab", "age"], &stated).unwrap_err();
    let mend = "drop = [\"sodium\"]";
    assert!(error.contains(mend), "{error}");
    let spec = format!("{mend}\n{SPEC}[impute.columns]\nlab = 5\n");
    assert_eq!(fed_by(&["lab", "age"], &spec).unwrap().domain.features, ["lab", "age"]);
}

#[test]
fn a_file_beside_the_network_may_name_the_features() {
    let folder = tempfile::tempdir().unwrap();
    let stated = format!("{SPEC}[impute.columns]\nlab = 5\nsodium = 140\n");
    let parts = [vec![onnx::input("x", &[-1, 3])], logits("x", 3)].concat();
    let named = |names: &str, table: &str| {
        std::fs::write(folder.path().join("m.json"), format!("{{ \"features\": [{names}] }}")).unwrap();
        fed(folder.path(), &parts, table, &stated)
    };
    let own = table(&["age", "lab", "sodium", "y"]);
    let data = named("\"sodium\", \"lab\", \"age\"", &own).unwrap();
    assert_eq!(data.domain.features, ["sodium", "lab", "age"]);
    assert_eq!(data.sample(2)[2], 54.5);
    let error = named("\"x0\", \"x1\", \"x2\"", &own).unwrap_err();
    assert!(error.contains("no column for `x0`, `x1`, `x2`"), "{error}");
    let error = named("\"age\", \"lab\"", &own).unwrap_err();
    assert!(error.contains("2 names") && error.contains("3 values"), "{error}");
    // Categories are named one by one, as scikit-learn does.
    let sexes = (0..40).fold("sex,age,y".to_string(), |text, row| {
        text + &format!("\n{},{}.5,{}", ["f", "m"][row % 2], 40 + row, row / 2 % 2)
    });
    std::fs::write(folder.path().join("m.json"), "{ \"features\": [\"age\", \"sex_f\", \"sex_m\"] }")
        .unwrap();
    let data = fed(folder.path(), &parts, &sexes, SPEC).unwrap();
    assert_eq!(data.domain.features, ["age", "sex=f", "sex=m"]);
    assert_eq!((data.sample(3), data.domain.one_hot[0].clone()), (&[43.5, 0.0, 1.0][..], 1..3));
    std::fs::write(folder.path().join("m.json"), "{ \"features\": [\"age\", \"sex_m\", \"sex_f\"] }")
        .unwrap();
    let error = fed(folder.path(), &parts, &sexes, SPEC).unwrap_err();
    assert!(error.contains("no column for `sex_m`"), "{error}");
}
