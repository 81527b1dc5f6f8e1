//! HotFlip: one word after the other is replaced by the one that adds most to the loss, by the gradient of the words' embeddings.

use percuss_kernels::ops::Reduction;

use super::StepContext;
use super::parameters::{LOSS, STEPS, whole};
use crate::attacks::{Attack, Knowledge, Norm, Value};
use crate::graph::{Graph, Tensor};

/// HotFlip.
pub static HOTFLIP: Attack = Attack {
    name: "hotflip",
    aliases: &["token-flip"],
    summary: "Replaces the word whose substitute adds most to the loss, by the gradient of its embedding; one a step.",
    paper: "Ebrahimi et al. 2018, HotFlip: white-box adversarial examples for text classification (arXiv 1712.06751), \
            sections 3 and 5",
    knowledge: Knowledge::WhiteBox,
    revision: 3,
    norms: &[Norm::Tokens],
    parameters: &[STEPS, LOSS],
    deterministic: |_| true,
    step: flip,
    steps: |get| whole(get("steps")),
    step_size: |_| Value::Absolute(1.0),
};

/// The text with at most one word changed: of all that are allowed the change with the largest first-order gain `(e' - e) . g`, if that is
/// positive. Where the loss is lower than before the last change, that one is taken back and its place is closed: a gain to first order often
/// is none, and without this the same places would be changed to and fro. Once the budget is spent, a word that was replaced may still be
/// replaced by another.
pub(super) fn flip(context: &mut StepContext) -> Tensor {
    let Some(reading) = context.reading.clone() else {
        unreachable!("a budget in tokens is for an input of tokens")
    };
    let [before, height, tried, closed] =
        ["words before", "loss before", "place tried", "places closed"].map(|name| context.state(name));
    let (read, clean, region) = (context.x, context.region.x0, context.region);
    let gradient = context.gradient;
    let graph = &mut *context.graph;
    let tokens = graph.dims(read)[0];
    let vocabulary = graph.dims(reading.table)[0];
    let (zero, one, lowest) = (graph.scalar(0.0), graph.scalar(1.0), graph.scalar(f32::MIN));

    let loss = graph.expand(context.loss, 1);
    let earlier = graph.load(height);
    let lower = graph.less(loss, earlier);
    let last = graph.load(tried);
    let failed = graph.mul(last, lower);
    let base = graph.load(before);
    let ids = graph.select(failed, base, read);
    let any = graph.sum_lane(failed);
    let any = graph.expand(any, 1);
    let reached = graph.select(any, earlier, loss);
    let shut = graph.load(closed);
    let shut = graph.max(shut, failed);

    let ids_wide = graph.reshape(ids, &[tokens, 1]);
    let number = graph.index(&[tokens, vocabulary], 1);
    let along = graph.matmul(gradient, false, reading.table, true);
    let embedded = graph.embed(reading.table, ids);
    let own = graph.mul(gradient, embedded);
    let own = graph.sum(own, 1..2);
    let own = graph.reshape(own, &[tokens, 1]);
    let gain = graph.sub(along, own);

    let allowed = graph.constant(&reading.substitutes.allowed, &[vocabulary]);
    let same = graph.equal(number, ids_wide);
    let mut may = graph.select(same, zero, allowed);
    if let Some(limit) = reading.substitutes.distance {
        let near = near(graph, reading.table, clean, limit);
        may = graph.mul(may, near);
    }
    let span = graph.sub(region.high, region.low);
    let mut open = graph.less(zero, span);
    if let Some(words) = reading.open {
        open = graph.mul(open, words);
    }
    let kept = graph.equal(ids, clean);
    let changed = graph.sub(one, kept);
    let count = graph.sum_lane(changed);
    let left = graph.less(count, region.radius);
    let left = graph.expand(left, 1);
    let paid = graph.max(changed, left);
    let open = graph.mul(open, paid);
    let untried = graph.sub(one, shut);
    let open = graph.mul(open, untried);
    let open = graph.reshape(open, &[tokens, 1]);
    let may = graph.mul(may, open);
    let gain = graph.select(may, gain, lowest);

    // The best substitute of each word, then the best word: of equal ones the first.
    let best = graph.reduce(Reduction::Max, gain, 1..2);
    let best_wide = graph.reshape(best, &[tokens, 1]);
    let hit = graph.equal(gain, best_wide);
    let beyond = graph.scalar(vocabulary as f32);
    let places = graph.select(hit, number, beyond);
    let substitute = graph.reduce(Reduction::Min, places, 1..2);
    let most = graph.reduce(Reduction::Max, best, 0..1);
    let most_wide = graph.expand(most, 1);
    let hit = graph.equal(best, most_wide);
    let place = graph.index(&[tokens], 0);
    let beyond = graph.scalar(tokens as f32);
    let places = graph.select(hit, place, beyond);
    let first = graph.reduce(Reduction::Min, places, 0..1);
    let chosen = graph.one_hot(first, tokens);
    let gains = graph.less(zero, most_wide);
    let chosen = graph.mul(chosen, gains);
    let next = graph.select(chosen, substitute, ids);
    for (state, value) in [(before, ids), (height, reached), (tried, chosen), (closed, shut)] {
        context.assign(state, value);
    }
    next
}

/// 1 where the embeddings of a text's word and of a token are no farther apart than `limit`: `[tokens, vocabulary]`.
fn near(graph: &mut Graph, table: Tensor, clean: Tensor, limit: f32) -> Tensor {
    let vocabulary = graph.dims(table)[0];
    let tokens = graph.dims(clean)[0];
    let square = graph.mul(table, table);
    let lengths = graph.sum(square, 1..2);
    let words = graph.embed(table, clean);
    let products = graph.matmul(words, false, table, true);
    let square = graph.mul(words, words);
    let own = graph.sum(square, 1..2);
    let own = graph.reshape(own, &[tokens, 1]);
    let twice = graph.scale(products, -2.0);
    let lengths = graph.reshape(lengths, &[1, vocabulary]);
    let sum = graph.add(own, lengths);
    let squares = graph.add(sum, twice);
    let limit = graph.scalar(limit * limit);
    let far = graph.less(limit, squares);
    let one = graph.scalar(1.0);
    graph.sub(one, far)
}
