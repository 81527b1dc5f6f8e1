//! Image-text models against open_clip and transformers: tokens, features of both sides, logits, gradients to pixels and to words.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod support;

use percuss::graph::{Compiled, Graph, Phase, Shape, State, Tensor, Uploads};
use percuss::models::Tokens;
use percuss::models::clip::{Clip, ZeroShot};
use percuss::models::{Architecture, Model, Net, Weights};
use percuss_kernels::Device;
use support::clip::{folder, json, prompts, tokenizers};
use support::{channels_last, golden, relative_error, unit};

const NAMES: [&str; 8] = [
    "clip_open_clip",
    "clip_open_clip_apart",
    "clip_biomed",
    "clip_biomed_mean",
    "clip_biomed_pooler",
    "clip_biomed_silent",
    "clip_biomed_null",
    "clip_hugging_face",
];

fn clip(model: &Model) -> &Clip {
    match &model.config.architecture {
        Architecture::Clip(clip) => clip,
        other => panic!("{}", other.name()),
    }
}

/// Images `[3, height, width, 3]` in pixels.
fn pixels(golden: &Weights) -> Vec<f32> {
    let size: [usize; 2] = json(golden, "size");
    let places = size[0] * size[1];
    let values: Vec<f32> = unit("pixels", 9 * places).into_iter().map(|u| u * 255.0).collect();
    channels_last(&values, 3, places)
}

/// The tokens of all prompts.
fn texts(model: &Model, prompts: &ZeroShot) -> Vec<Vec<u32>> {
    let tokens = Tokens::read(&model.path).unwrap();
    let text = &clip(model).text;
    let all = prompts.classes.iter().flat_map(|class| &class.prompts);
    all.map(|prompt| tokens.of(prompt, text.context(), text.vocabulary()).unwrap()).collect()
}

/// Runs one phase with these inputs; the outputs.
fn run(graph: &mut Graph, inputs: &[(State, &[f32])], outputs: &[Tensor], lanes: usize) -> Vec<Vec<f32>> {
    let mut phase = Phase::new();
    let states: Vec<State> = outputs
        .iter()
        .map(|&tensor| {
            let state = graph.state("output", graph.shape(tensor).clone());
            phase.assign(graph, state, tensor);
            state
        })
        .collect();
    let compiled = Compiled::new(graph, &[phase], lanes).unwrap();
    let mut exe = compiled.instantiate(&Device::Cpu { threads: 1 }, &mut Uploads::default(), 1).unwrap();
    for (state, values) in inputs {
        exe.write(*state, values).unwrap();
    }
    exe.run(0, 1).unwrap();
    states.into_iter().map(|state| exe.read(state).unwrap()).collect()
}

fn close(what: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    let error = relative_error(found, expected);
    assert!(error < tolerance, "{what} is off by {error}");
}

#[test]
fn tokens_are_those_of_the_ecosystem() {
    for name in NAMES {
        let golden = golden(name);
        let folder = folder(&golden);
        let model = Model::load(folder.path()).unwrap();
        let context: usize = json(&golden, "context");
        assert_eq!(clip(&model).text.context(), context);
        let tokens = Tokens::read(folder.path()).unwrap();
        let odd: Vec<String> = json(&golden, "odd");
        let wanted = golden.tensors["odd_ids"].data.chunks_exact(context);
        for (text, wanted) in odd.iter().zip(wanted) {
            let found = tokens.of(text, 1000, 10_000).unwrap();
            let shared = found.len().min(context);
            let as_numbers: Vec<f32> = found.iter().map(|&id| id as f32).collect();
            // A text that is too long is refused here and cut there, all but its end.
            assert_eq!(as_numbers[..shared - 1], wanted[..shared - 1], "{name}: {text:?}");
            assert_eq!(tokens.of(text, context, 10_000).is_ok(), found.len() <= context);
        }
    }
}

#[test]
fn a_bert_vocabulary_alone_reads_as_its_tokenizer_does() {
    let folder = tempfile::TempDir::new().unwrap();
    std::fs::copy(tokenizers().join("wordpiece/vocab.txt"), folder.path().join("vocab.txt")).unwrap();
    let (words, whole) =
        (Tokens::read(folder.path()).unwrap(), Tokens::read(&tokenizers().join("wordpiece")).unwrap());
    let golden = golden("clip_biomed");
    for text in json::<Vec<String>>(&golden, "odd") {
        assert_eq!(words.of(&text, 100, 1000).unwrap(), whole.of(&text, 100, 1000).unwrap(), "{text:?}");
    }
}

#[test]
fn features_of_both_sides_equal_pytorch() {
    for name in NAMES {
        let golden = golden(name);
        let folder = folder(&golden);
        let model = Model::load(folder.path()).unwrap();
        let clip = clip(&model);

        let mut graph = Graph::new();
        let x = graph.state("x", Shape::lanes(&model.config.input_shape()));
        let input = graph.load(x);
        let mut net = Net::with_weights(&mut graph, &model.weights);
        let input = model.config.prepare(&mut net, input);
        let image = clip.image_features(&mut net, input);
        let found = run(&mut graph, &[(x, &pixels(&golden))], &[image], 3);
        close(&format!("{name}: image"), &found[0], &golden.tensors["image_features"].data, 5e-6);

        // Texts as lanes, as an attack on them has it.
        let encoded = clip.text.encoded(&texts(&model, &prompts(&golden)), 0);
        let mut graph = Graph::new();
        let states =
            ["ids", "attended", "pooled"].map(|name| graph.state(name, Shape::lanes(&[encoded.tokens])));
        let [ids, attended, pooled] = states.map(|state| graph.load(state));
        let mut net = Net::with_weights(&mut graph, &model.weights);
        let table = clip.word_table(&mut net);
        let words = net.graph.embed(table, ids);
        let text = clip.text_features(&mut net, words, attended, pooled);
        let inputs =
            [(states[0], &encoded.ids[..]), (states[1], &encoded.attended), (states[2], &encoded.pooled)];
        let lanes = encoded.ids.len() / encoded.tokens;
        // The same of the numbers alone.
        let mut net = Net::with_weights(&mut graph, &model.weights);
        let [attended, pooled] = clip.text.places(net.graph, ids);
        let same = clip.text_features(&mut net, words, attended, pooled);
        let found = run(&mut graph, &inputs, &[text, same], lanes);
        assert_eq!(found[0], found[1], "{name}: attended and pooled by the graph");
        close(&format!("{name}: text"), &found[0], &golden.tensors["text_features"].data, 5e-6);
    }
}

#[test]
fn logits_and_gradients_to_words_equal_pytorch() {
    for name in NAMES {
        let golden = golden(name);
        let folder = folder(&golden);
        let model = Model::load(folder.path()).unwrap();
        let clip = clip(&model);
        let encoded = clip.text.encoded(&texts(&model, &prompts(&golden)), 0);
        let tokens = encoded.tokens;
        let count = encoded.ids.len() / tokens;
        let shape = model.config.input_shape();

        let mut graph = Graph::new();
        let x = graph.state("x", Shape::shared(&[&[3], &shape[..]].concat()));
        let [ids, attended, pooled] =
            ["ids", "attended", "pooled"].map(|name| graph.state(name, Shape::shared(&[count, tokens])));
        let words = graph.state("words", Shape::shared(&[count, tokens, clip.text.width()]));
        let loaded = [ids, attended, pooled].map(|state| graph.load(state));
        let (input, word) = (graph.load(x), graph.load(words));
        let mut net = Net::with_weights(&mut graph, &model.weights);
        let table = clip.word_table(&mut net);
        let looked_up = net.graph.embed(table, loaded[0]);
        let input = model.config.prepare(&mut net, input);
        let image = clip.image_features(&mut net, input);
        let text = clip.text_features(&mut net, word, loaded[1], loaded[2]);
        let logits = clip.logits(&mut net, image, text);
        let logarithms = graph.softmax(logits, true);
        let fourth = graph.slice(logarithms, 1, 3..4);
        let loss = graph.sum_lane(fourth);
        let gradient = graph.gradients(loss, &[word])[0];

        let rows = run(&mut graph, &[(ids, &encoded.ids)], &[looked_up], 1).remove(0);
        let inputs = [
            (x, &pixels(&golden)[..]),
            (attended, &encoded.attended),
            (pooled, &encoded.pooled),
            (words, &rows),
        ];
        let found = run(&mut graph, &inputs, &[logits, gradient], 1);
        close(&format!("{name}: logits"), &found[0], &golden.tensors["logits"].data, 5e-6);
        // Those of the first four texts are kept.
        let expected = &golden.tensors["grad_words"].data;
        close(&format!("{name}: gradient to words"), &found[1][..expected.len()], expected, 2e-5);
    }
}

#[test]
fn zero_shot_logits_and_gradients_to_pixels_equal_pytorch() {
    for name in NAMES {
        let golden = golden(name);
        let folder = folder(&golden);
        let model = Model::load(folder.path()).unwrap().zero_shot(&prompts(&golden)).unwrap();
        assert_eq!(model.config.class_names, ["pneumonia", "normal", "heart"]);
        let shape = model.config.input_shape();
        let mut graph = Graph::new();
        let x = graph.state("x", Shape::lanes(&shape));
        let label = graph.state("label", Shape::lanes(&[]));
        let (input, target) = (graph.load(x), graph.load(label));
        let logits = model.logits(&mut graph, input);
        let loss = graph.cross_entropy(logits, target);
        let gradient = graph.gradients(loss, &[input])[0];
        let inputs = [(x, &pixels(&golden)[..]), (label, &golden.tensors["labels"].data)];
        let found = run(&mut graph, &inputs, &[logits, gradient], 3);
        close(&format!("{name}: logits"), &found[0], &golden.tensors["zero_shot"].data, 5e-6);
        let (places, gradient) = (shape[0] * shape[1], &golden.tensors["grad_pixels"].data);
        close(&format!("{name}: gradient"), &found[1], &channels_last(gradient, 3, places), 2e-5);
    }
}

#[test]
fn prompts_are_part_of_a_models_digest() {
    let golden = golden("clip_open_clip");
    let folder = folder(&golden);
    let prompts = prompts(&golden);
    let with = |prompts: &ZeroShot| Model::load(folder.path()).unwrap().zero_shot(prompts).unwrap();
    let mut other = prompts.clone();
    other.classes[0].prompts[0] = "a lung".into();
    let (one, two) = (with(&prompts), with(&other));
    assert_eq!(one.sha256, with(&prompts).sha256);
    assert_ne!(one.sha256, two.sha256);
    assert_ne!(one.sha256, Model::load(folder.path()).unwrap().sha256);
    // The text's side is no longer there.
    assert!(
        !one.weights
            .tensors
            .keys()
            .any(|name| name.contains("token_embedding") || name.starts_with("transformer"))
    );
}

#[test]
fn a_bert_that_classifies_equals_transformers() {
    let golden = golden("bert");
    let folder = folder(&golden);
    let model = Model::load(folder.path()).unwrap();
    let Architecture::Bert(bert) = &model.config.architecture else { panic!("a BERT") };
    let shape = model.config.input_shape();
    let mut graph = Graph::new();
    let ids = graph.state("ids", Shape::lanes(&shape));
    let words = graph.state("words", Shape::lanes(&[shape[0], bert.bert.encoder.width]));
    let label = graph.state("label", Shape::lanes(&[]));
    let (number, word, target) = (graph.load(ids), graph.load(words), graph.load(label));
    let whole = model.logits(&mut graph, number);
    let mut net = Net::with_weights(&mut graph, &model.weights);
    let table = bert.word_table(&mut net);
    let looked_up = net.graph.embed(table, number);
    let logits = bert.logits(&mut net, word, number);
    let loss = graph.cross_entropy(logits, target);
    let gradient = graph.gradients(loss, &[word])[0];
    let numbers = &golden.tensors["ids"].data[..];
    let rows = run(&mut graph, &[(ids, numbers)], &[looked_up], 4).remove(0);
    let inputs = [(ids, numbers), (words, &rows[..]), (label, &golden.tensors["labels"].data)];
    let found = run(&mut graph, &inputs, &[logits, gradient, whole], 4);
    close("logits", &found[0], &golden.tensors["logits"].data, 5e-6);
    assert_eq!(found[0], found[2]);
    let expected = &golden.tensors["grad_words"].data;
    close("gradient to words", &found[1][..expected.len()], expected, 2e-5);
}
