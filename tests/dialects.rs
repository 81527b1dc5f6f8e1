//! Configurations of other ecosystems: what they come to, what is refused by name, and that networks of full size have the names and
//! shapes that the ecosystem's files have.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use std::path::Path;

use percuss::Error;
use percuss::models::{Architecture, Config, Head, Model};
use serde_json::{Value, json};
use support::digest;

fn read(config: &Value, preprocessor: Option<&Value>) -> Result<Config, Error> {
    let folder = tempfile::tempdir().unwrap();
    let write =
        |name: &str, value: &Value| std::fs::write(folder.path().join(name), value.to_string()).unwrap();
    write("config.json", config);
    if let Some(preprocessor) = preprocessor {
        write("preprocessor_config.json", preprocessor);
    }
    Config::read(&folder.path().join("config.json"))
}

/// The configuration with `key` (`a.b` is b within a) set to `value`.
fn with(config: &Value, key: &str, value: Value) -> Value {
    let mut changed = config.clone();
    changed[key.split('.').next().unwrap()] = match key.split_once('.') {
        None => value,
        Some((outer, inner)) => with(&config[outer], inner, value),
    };
    changed
}

fn refused(config: &Value, parts: &[&str]) {
    let error = read(config, None).expect_err(&format!("{config} must be refused"));
    assert_eq!(error.exit_code(), 2, "{error}");
    let text = error.to_string();
    for part in ["config.json"].iter().chain(parts) {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

#[test]
fn networks_of_full_size_have_their_ecosystems_names() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/names.json");
    let rows: Vec<Value> = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    assert_eq!(rows.len(), 16);
    for row in rows {
        let declared = Model::declare(&read(&row["config"], None).unwrap());
        let values: usize = declared.iter().map(|one| one.shape.iter().product::<usize>()).sum();
        assert_eq!(row["tensors"], declared.len(), "{}", row["name"]);
        assert_eq!(row["values"], values, "{}", row["name"]);
        assert_eq!(row["sha256"], digest(&declared), "{}", row["name"]);
    }
}

fn hugging_face() -> Value {
    json!({
        "architectures": ["ViTForImageClassification"], "model_type": "vit", "hidden_act": "gelu", "hidden_size": 24,
        "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 40, "image_size": 32, "patch_size": 8,
        "num_channels": 3, "layer_norm_eps": 1e-12, "qkv_bias": true, "id2label": { "1": "mass", "0": "clear" },
        "attention_probs_dropout_prob": 0.1, "transformers_version": "4.30.0", "initializer_range": 0.02,
    })
}

#[test]
fn hugging_face_names_classes_and_says_how_pixels_are_scaled() {
    let preprocessor =
        json!({ "image_mean": [0.5, 0.4, 0.3], "image_std": [0.2, 0.25, 0.5], "do_resize": true });
    let config = read(&hugging_face(), Some(&preprocessor)).unwrap();
    assert_eq!(config.class_names, ["clear", "mass"]);
    assert_eq!((config.head, config.input_shape()), (Head::Softmax, vec![32, 32, 3]));
    let scaling = config.input_scaling.unwrap();
    assert_eq!((scaling.mean, scaling.std), (vec![127.5, 102.0, 76.5], vec![51.0, 63.75, 127.5]));
    assert_eq!(scaling.unit.as_deref(), Some("pixel"));
    let Architecture::Vit(vit) = config.architecture else { panic!("a ViT") };
    assert_eq!((vit.epsilon, vit.mlp, vit.depth), (1e-12, 40, 1));

    // An older processor without the keys that are usual now, one that does not rescale, one that does nothing.
    let plain = with(&with(&preprocessor, "do_rescale", json!(false)), "do_normalize", json!(true));
    let scaling = read(&hugging_face(), Some(&plain)).unwrap().input_scaling.unwrap();
    assert_eq!((scaling.mean[0], scaling.unit), (0.5, None));
    let nothing = json!({ "do_rescale": false, "do_normalize": false });
    assert_eq!(read(&hugging_face(), Some(&nothing)).unwrap().input_scaling, None);
    let only_rescaled = json!({ "do_normalize": false });
    let scaling = read(&hugging_face(), Some(&only_rescaled)).unwrap().input_scaling.unwrap();
    assert_eq!((scaling.mean, scaling.std), (vec![0.0], vec![255.0]));
    assert_eq!(read(&hugging_face(), None).unwrap().input_scaling, None);

    let findings = with(&hugging_face(), "problem_type", json!("multi_label_classification"));
    assert_eq!(read(&findings, None).unwrap().head, Head::Sigmoid);
    let made_up =
        with(&hugging_face(), "id2label", json!({ "0": "LABEL_0", "1": "LABEL_1", "2": "LABEL_2" }));
    let config = read(&made_up, None).unwrap();
    assert_eq!((config.classes(), config.class_names), (3, vec![]));
}

#[test]
fn hugging_face_keys_without_an_answer_are_refused_by_name() {
    let with = |key: &str, value: Value| with(&hugging_face(), key, value);
    refused(&with("model_type", json!("swin")), &["model_type", "swin", "vit, convnext, bert or clip"]);
    refused(&with("hidden_act", json!("mish")), &["hidden_act", "mish", "gelu"]);
    refused(
        &with("architectures", json!(["ViTModel"])),
        &["architectures", "ViTModel", "ViTForImageClassification"],
    );
    refused(&with("problem_type", json!("regression")), &["problem_type", "regression"]);
    let one = with("id2label", json!({ "0": "severity" }));
    refused(&one, &["problem_type", "no such key", "one label alone is regression"]);
    let finding = self::with(&one, "problem_type", json!("multi_label_classification"));
    assert_eq!(read(&finding, None).unwrap().classes(), 1);
    refused(&with("patch_size", json!([8, 4])), &["patch_size", "[8,4]", "a square"]);
    refused(&with("image_size", json!(33)), &["input[0]", "33", "a multiple of the patch, 8"]);
    refused(&with("num_attention_heads", json!(5)), &["heads", "5", "24"]);
    refused(&with("hidden_size", json!("wide")), &["hidden_size", "wide", "a whole number"]);
    refused(&with("hidden_size", json!(-24)), &["hidden_size", "-24"]);
    refused(&with("id2label", json!({ "0": "a", "2": "b" })), &["id2label", "0 to 1"]);
    // What an answer exists to is taken.
    assert!(read(&with("qkv_bias", json!(false)), None).is_ok());
}

fn timm() -> Value {
    json!({
        "architecture": "vit_tiny_patch16_224", "num_classes": 2, "num_features": 192, "global_pool": "token",
        "model_args": { "img_size": [64, 64], "drop_path_rate": 0.1, "depth": 2 }, "label_names": ["clear", "mass"],
        "pretrained_cfg": { "input_size": [3, 224, 224], "mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25], "crop_pct": 0.9 },
    })
}

#[test]
fn timm_arguments_come_on_top_of_the_builder() {
    let config = read(&timm(), None).unwrap();
    assert_eq!((config.input_shape(), config.classes()), (vec![64, 64, 3], 2));
    assert_eq!(config.class_names, ["clear", "mass"]);
    let scaling = config.input_scaling.unwrap();
    assert_eq!((scaling.mean, scaling.std), (vec![127.5; 3], vec![63.75; 3]));
    let Architecture::Vit(vit) = config.architecture else { panic!("a ViT") };
    assert_eq!((vit.width, vit.depth, vit.heads, vit.mlp), (192, 2, 3, 768));
}

#[test]
fn timm_s_largest_vits_have_heads_and_layers_of_their_own() {
    for (name, sizes) in [("giant", (1408, 40, 16, 6144)), ("gigantic", (1664, 48, 16, 8192))] {
        let named = with(&timm(), "architecture", json!(format!("vit_{name}_patch14_224")));
        // With other arguments than the MLP's width, and without any.
        for arguments in [json!({ "img_size": 224 }), json!(null)] {
            let config = read(&with(&named, "model_args", arguments), None).unwrap();
            let Architecture::Vit(vit) = config.architecture else { panic!("a ViT") };
            assert_eq!((vit.width, vit.depth, vit.heads, vit.mlp), sizes, "{name}");
        }
    }
}

#[test]
fn hugging_face_clip_says_everything_twice_in_older_files() {
    let clip = json!({
        "model_type": "clip", "projection_dim": 24,
        "text_config": { "hidden_size": 96, "num_attention_heads": 3, "vocab_size": 200 },
        "vision_config": { "hidden_size": 96, "num_attention_heads": 3, "image_size": 64 },
    });
    let towers = |config: &Value| {
        let Architecture::Clip(clip) = read(config, None).unwrap().architecture else { panic!("a CLIP") };
        (clip.text.width(), clip.text.vocabulary(), clip.image.encoder.width, clip.image.size)
    };
    assert_eq!(towers(&clip), (96, 200, 96, [64, 64]));
    // transformers takes what the second says, and its defaults for what it does not.
    let twice = with(&clip, "text_config_dict", json!({ "vocab_size": 300 }));
    assert_eq!(towers(&twice), (512, 300, 96, [64, 64]));
    let twice = with(&clip, "vision_config_dict", json!({}));
    assert_eq!(towers(&twice), (96, 200, 768, [224, 224]));
    assert_eq!(towers(&with(&clip, "vision_config_dict", Value::Null)), (96, 200, 96, [64, 64]));
}

#[test]
fn timm_keys_without_an_answer_are_refused_by_name() {
    let with = |key: &str, value: Value| with(&timm(), key, value);
    for name in [
        "vit_base_patch16_clip_224",
        "deit_base_distilled_patch16_224",
        "swin_tiny_patch4_window7_224",
        "resnet101",
    ] {
        refused(&with("architecture", json!(name)), &["architecture", name, "resnet18, 34, 50"]);
    }
    refused(
        &with("model_args.reg_tokens", json!(4)),
        &["model_args.reg_tokens", "4", "percuss has nothing else"],
    );
    refused(&with("model_args.qk_norm", json!(true)), &["model_args.qk_norm", "true"]);
    refused(&with("model_args.fc_norm", json!(true)), &["model_args.fc_norm", "true"]);
    refused(&with("model_args.norm_layer", json!("rmsnorm")), &["model_args.norm_layer", "rmsnorm"]);
    refused(&with("model_args.act_layer", json!("mish")), &["model_args.act_layer", "mish"]);
    refused(&with("global_pool", json!("map")), &["global_pool", "map"]);
    refused(&with("pretrained_cfg.input_size", json!([224, 224])), &["pretrained_cfg.input_size"]);
    let dense = json!({ "architecture": "densenet121", "pretrained_cfg": {}, "model_args": { "memory": 1 } });
    refused(&dense, &["model_args.memory", "growth_rate"]);
}

#[test]
fn torchvision_and_torchxrayvision_are_named_by_hand() {
    let config =
        read(&json!({ "architecture": "vit_b_16", "names": "torchvision", "classes": 2 }), None).unwrap();
    assert_eq!((config.architecture.names(), config.input_shape()), (Some("torchvision"), vec![224, 224, 3]));
    refused(
        &json!({ "architecture": "vit_b_16", "names": "torchvision", "clases": 2 }),
        &["clases", "classes"],
    );
    refused(&json!({ "architecture": "swin_t", "names": "torchvision" }), &["swin_t"]);
    refused(
        &json!({ "architecture": "convnext", "names": "torch", "input": [32, 32, 1], "classes": 2 }),
        &["torch"],
    );

    let config = read(&json!({ "architecture": "densenet121", "names": "torchxrayvision" }), None).unwrap();
    assert_eq!((config.head, config.classes(), config.input_shape()), (Head::Sigmoid, 18, vec![224, 224, 1]));
    assert_eq!(
        (config.class_names[3].as_str(), config.class_names[17].as_str()),
        ("Pneumothorax", "Enlarged Cardiomediastinum")
    );
    let scaling = config.input_scaling.unwrap();
    // 0, 127.5 and 255 become -1024, 0 and 1024.
    let scaled = |x: f32| (x - scaling.mean[0]) / scaling.std[0];
    assert_eq!([0.0, 127.5, 255.0].map(scaled), [-1024.0, 0.0, 1024.0]);
    let own = json!({
        "architecture": "densenet121", "names": "torchxrayvision", "classes": 2, "class_names": ["a", "b"],
        "input_scaling": { "mean": [0.5], "std": [0.25] },
    });
    let config = read(&own, None).unwrap();
    assert_eq!((config.class_names.len(), config.input_scaling.unwrap().unit), (2, None));
    refused(&with(&own, "input", json!([224, 224, 3])), &["input", "1 channel"]);
    refused(&with(&own, "input_scaling", json!({ "mean": 0.5 })), &["input_scaling"]);
}

#[test]
fn what_a_family_cannot_be_is_refused() {
    let own = |more: Value| {
        let mut config = json!({ "input": [32, 32, 3], "classes": 2 });
        more.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
        config
    };
    let vit = |more: Value| {
        let mut config =
            own(json!({ "architecture": "vit", "patch": 8, "width": 24, "heads": 2, "mlp": 40, "depth": 1 }));
        more.as_object().unwrap().iter().for_each(|(key, value)| config[key] = value.clone());
        config
    };
    assert!(read(&vit(json!({})), None).is_ok());
    refused(&vit(json!({ "class_token": false })), &["class_token", "the classifier reads it"]);
    refused(&vit(json!({ "names": "torchvision", "qkv_bias": false })), &["qkv_bias", "torchvision"]);
    refused(
        &vit(json!({ "names": "huggingface", "pooling": "average" })),
        &["pooling", "average", "huggingface"],
    );
    refused(&vit(json!({ "widht": 24 })), &["widht", "width"]);
    refused(&vit(json!({ "width": 600, "heads": 7 })), &["heads", "7", "a divisor of the width, 600"]);
    let bert = json!({
        "model_type": "bert", "architectures": ["BertForSequenceClassification"], "hidden_size": 24, "num_attention_heads": 2,
        "intermediate_size": 40, "vocab_size": 60, "max_position_embeddings": 8, "num_hidden_layers": 1,
    });
    refused(&with(&bert, "hidden_size", json!(25)), &["encoder.heads", "2", "a divisor of the width, 25"]);
    let bert = serde_json::to_value(read(&bert, None).unwrap()).unwrap();
    assert!(read(&bert, None).is_ok());
    let scaled = with(&bert, "input_scaling", json!({ "mean": [0.0], "std": [2.0] }));
    refused(&scaled, &["input_scaling.std", "2", "1 for input_ids", "stay as they are"]);
    let efficientnet = own(json!({ "architecture": "efficientnet", "names": "huggingface" }));
    refused(&efficientnet, &["names", "huggingface", "timm or torchvision"]);
    refused(
        &own(json!({ "architecture": "densenet", "blocks": [1, 1, 1, 1, 1, 1, 1] })),
        &["input[0]", "32"],
    );
    refused(&own(json!({ "architecture": "convnext", "blocks": [1] })), &["blocks", "4, one a width"]);
    refused(
        &own(json!({ "architecture": "gru", "hidden": 4 })),
        &["input[0]", "32", "1: a series has one row"],
    );
    let series =
        json!({ "architecture": "lstm", "input": [1, 5, 3], "classes": 2, "hidden": 4, "time_axis": 3 });
    refused(&series, &["time_axis", "3", "1 or 2"]);
}

#[test]
fn names_of_another_count_than_the_outputs_are_told() {
    let config = |names: &str| {
        let text = format!(
            r#"{{"architecture": "resnet18", "num_classes": 2, "label_names": {names}, "pretrained_cfg": {{"input_size": [3, 32, 32]}}}}"#
        );
        Config::parse(&text, "config.json").unwrap()
    };
    let own = config(r#"["normal", "pneumonia"]"#);
    assert_eq!((own.class_names, own.remarks), (vec!["normal".to_string(), "pneumonia".into()], vec![]));
    let other = config(r#"["a", "b", "c"]"#);
    assert!(other.class_names.is_empty());
    assert!(
        other.remarks[0].contains("3 names in label_names are left aside: the model has 2 outputs"),
        "{:?}",
        other.remarks
    );
}
