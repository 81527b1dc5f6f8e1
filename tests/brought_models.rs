//! Models as users bring them: weights that only others can read, names that a framework put in front, sizes that nothing has.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use percuss::models::{Config, Model, WeightTensor, Weights};
use percuss::sweep::load;
use percuss::sweep::study::Study;
use support::{formula_weights, npz};

const MLP: &str = r#"{ "architecture": "mlp", "inputs": 3, "hidden": [], "classes": 2 }"#;

/// A folder with this configuration and tensors of the linear layer under a prefix each, filled with a number.
fn linear(sets: &[(&str, f32)], config: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let tensors: BTreeMap<String, WeightTensor> = sets
        .iter()
        .flat_map(|(prefix, value)| {
            let tensor = |shape: &[usize]| WeightTensor {
                shape: shape.to_vec(),
                data: vec![*value; shape.iter().product()],
            };
            [(format!("{prefix}0.weight"), tensor(&[2, 3])), (format!("{prefix}0.bias"), tensor(&[2]))]
        })
        .collect();
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    Weights::new(tensors).write(&folder.path().join("model.safetensors")).unwrap();
    folder
}

#[test]
fn wrappers_make_no_other_model() {
    let plain = Model::load(linear(&[("", 1.0)], MLP).path()).unwrap();
    assert!(plain.remarks.is_empty());
    for prefix in ["module.", "model.", "_orig_mod.", "net.", "backbone.", "module._orig_mod.", "ema_model."]
    {
        let wrapped = Model::load(linear(&[(prefix, 1.0)], MLP).path()).unwrap();
        assert_eq!(wrapped.sha256, plain.sha256, "{prefix}");
        assert!(wrapped.remarks[0].contains(prefix), "{:?}", wrapped.remarks);
    }
    for ema in ["ema_model.", "model_ema.", "model_ema.module.", "ema.module."] {
        let both = Model::load(linear(&[(ema, 1.0), ("model.", 2.0)], MLP).path()).unwrap();
        assert_eq!(both.sha256, plain.sha256, "the averaged copy {ema}");
        assert!(both.remarks[0].contains(ema) && both.remarks[0].contains("averaged"), "{:?}", both.remarks);
    }
    let error = Model::load(linear(&[("a.", 1.0), ("b.", 2.0)], MLP).path()).unwrap_err();
    assert_eq!(error.exit_code(), 2, "two sets of equal right: {error}");
    assert!(error.to_string().contains("the model 2 times, under a., b."), "{error}");
}

#[test]
fn weights_of_others_are_refused_with_what_converts_them() {
    let forms = [
        ("m.pt", "torch.load"),
        ("m.pth", "torch.load"),
        ("m.ckpt", "safetensors.torch.save_file"),
        ("pytorch_model.bin", "torch.load"),
        ("m.h5", "tf.keras.models.load_model"),
        ("m.keras", "tf2onnx.convert.from_function"),
        ("m.pkl", "skl2onnx.to_onnx"),
        ("m.joblib", "joblib.load"),
        ("m.tflite", "--tflite"),
        ("m.pb", "first and last node"),
        ("saved_model.pb", "--saved-model"),
    ];
    for (name, line) in forms {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        std::fs::write(&file, b"\x80\x04 not read").unwrap();
        let refused = |path: &Path| {
            let error = Model::load(path).expect_err(name);
            assert_eq!(error.exit_code(), 2, "{name}: {error}");
            assert!(error.to_string().contains(line), "{name}: {error}");
            assert!(error.to_string().contains(name), "{name}: {error}");
        };
        refused(&file);
        refused(folder.path());
        std::fs::write(folder.path().join("config.json"), MLP).unwrap();
        refused(folder.path());
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("m.pkl"), b"ctorch._utils").unwrap();
    assert!(
        Model::load(folder.path()).unwrap_err().to_string().contains("torch.load"),
        "a pickle of PyTorch's"
    );
    // What a SavedModel has beside its program is not taken for it.
    let saved = tempfile::tempdir().unwrap();
    for name in ["fingerprint.pb", "keras_metadata.pb", "saved_model.pb"] {
        std::fs::write(saved.path().join(name), b"x").unwrap();
    }
    assert!(Model::load(saved.path()).unwrap_err().to_string().contains("--saved-model"));
    // Beside what percuss reads they are nobody's business.
    let both = linear(&[("", 1.0)], MLP);
    std::fs::write(both.path().join("pytorch_model.bin"), b"old").unwrap();
    assert!(Model::load(both.path()).is_ok());
}

#[test]
fn sizes_that_nothing_has_are_refused_at_once() {
    let vit = r#"{ "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 16, "image_size": 8,
        "intermediate_size": 32, "num_attention_heads": 2, "num_channels": 1, "patch_size": 4, "num_hidden_layers": LARGE }"#;
    let configs = [
        vit,
        r#"{ "model_type": "bert", "architectures": ["BertForSequenceClassification"], "num_hidden_layers": LARGE }"#,
        r#"{ "architecture": "vit", "names": "timm", "input": [32, 32, 3], "patch": 4, "width": 64, "depth": LARGE, "heads": 4, "mlp": 64,
            "classes": 2 }"#,
        r#"{ "architecture": "gru", "input": [1, 10, 3], "hidden": 4, "layers": LARGE, "classes": 2 }"#,
        r#"{ "architecture": "lstm", "input": [1, LARGE, 3], "hidden": 4, "layers": 1000, "classes": 2 }"#,
        r#"{ "architecture": "densenet", "input": [32, 32, 3], "growth": 4, "stem": 8, "blocks": [LARGE], "classes": 2 }"#,
        r#"{ "architecture": "resnet1d", "length": 64, "in_channels": 1, "classes": 2, "stem_kernel": 7, "stem_stride": 2, "widths": [4],
            "blocks": [LARGE], "kernel": 3 }"#,
        r#"{ "architecture": "resnet", "depth": 18, "input": [LARGE, LARGE, 3], "classes": 2, "stem": "7x7" }"#,
        r#"{ "architecture": "mlp", "inputs": LARGE, "hidden": [LARGE], "classes": 2 }"#,
    ];
    for config in configs {
        for large in ["10000", "1000000", "18446744073709551615"] {
            let text = config.replace("LARGE", large);
            let started = Instant::now();
            let error = Model::load(linear(&[("", 1.0)], &text).path()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{text}: {error}");
            assert!(started.elapsed() < Duration::from_secs(2), "{text}: {:?}", started.elapsed());
        }
    }
    let layers = vec!["1"; 200_000].join(", ");
    let text = format!(r#"{{ "architecture": "mlp", "inputs": 3, "hidden": [{layers}], "classes": 2 }}"#);
    assert_eq!(Config::parse(&text, "deep").unwrap_err().exit_code(), 2);
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(
        Config::parse(&format!("{{ \"architecture\": {nested} }}"), "nested").unwrap_err().exit_code(),
        2
    );
}

#[test]
fn raw_pixels_without_a_scaling_are_refused_in_every_number_type() {
    let folder = tempfile::tempdir().unwrap();
    let text =
        r#"{ "architecture": "resnet18", "names": "torchvision", "classes": 2, "input": [16, 16, 3] }"#;
    let config = Config::parse(text, "test").unwrap();
    let model = folder.path().join("m");
    std::fs::create_dir(&model).unwrap();
    std::fs::write(model.join("config.json"), text).unwrap();
    Weights::new(formula_weights(&Model::declare(&config))).write(&model.join("model.safetensors")).unwrap();
    let shape = [4, 16, 16, 3];
    let pixels: Vec<f64> = (0..shape.iter().product()).map(|i: usize| (i * 37 % 256) as f64).collect();
    let load = |descr: &str, values: &[f64], input: &str| {
        let path = folder.path().join("data.npz");
        let x = npz::npy(descr, false, &shape, &npz::encoded(descr, values));
        let y = npz::npy("<i8", false, &[4], &npz::encoded("<i8", &[0.0, 1.0, 0.0, 1.0]));
        npz::write(&path, false, &[("x", x), ("y", y)]);
        let study = format!(
            "name = \"s\"\n[[data]]\nid = \"t\"\npath = \"data.npz\"\n[[model]]\nid = \"m\"\npath = \"m\"\ndata = [\"t\"]\n{input}\n\
             [[attack]]\nkind = \"fgsm\"\nbudget = [{{ norm = \"linf\", eps = 0.01 }}]\n"
        );
        let file = folder.path().join("s.toml");
        std::fs::write(&file, study).unwrap();
        let study = Study::read(&file).unwrap();
        load::model(&study, 0)
            .and_then(|model| load::data(&study, 0, 0, &model, None))
            .map_err(|e| e.to_string())
    };
    let unit: Vec<f64> = pixels.iter().map(|value| value / 255.0).collect();
    let standard: Vec<f64> = pixels.iter().map(|value| value / 58.0 - 2.0).collect();
    for (descr, values, range, mean) in [
        ("|u1", &pixels, "0 to 255", "[123.675, 116.28, 103.53]"),
        ("<i8", &pixels, "0 to 255", "[123.675, 116.28, 103.53]"),
        ("<f4", &pixels, "0 to 255", "[123.675, 116.28, 103.53]"),
        ("<f4", &unit, "0 to 1", "[0.485, 0.456, 0.406]"),
    ] {
        let text = load(descr, values, "").err().unwrap();
        assert!(text.contains(&format!("pixels from {range}")) && text.contains(mean), "{descr}: {text}");
        // The mend, followed.
        let (_, line) = text.split_once("it is input = ").unwrap();
        let line = line.split_once(" under this").unwrap().0;
        assert!(load(descr, values, &format!("input = {line}")).is_ok(), "{descr}: {line}");
        assert!(load(descr, values, "input = { mean = [0], std = [1] }").is_ok());
    }
    assert!(load("<f4", &standard, "").is_ok(), "standardised values");
}
