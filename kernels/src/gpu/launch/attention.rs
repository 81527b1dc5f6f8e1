//! Attention over several heads and its gradients: in tiles of workgroup memory, or a token an invocation on software adapters.

use super::{Adapter, Binding, Kernel, Template, declare, grid, operands, per_item, unroll};
use crate::ops::Attention;

/// Rows and columns of a tile; two of them and a little more fit into the workgroup memory that every adapter has.
const TILE: usize = 32;
/// Invocations of a workgroup, a quarter of a tile's elements.
const SIZE: usize = 256;

const SCORES: &str = include_str!("../../../../shaders/attention_scores.wgsl");
const PRODUCT: &str = include_str!("../../../../shaders/attention_product.wgsl");
const GATHER: &str = include_str!("../../../../shaders/attention_gather.wgsl");

/// The launch of [`Attention`].
pub(crate) fn attention(op: &Attention, adapter: &Adapter) -> Vec<Kernel> {
    let mut names = vec!["q", "k", "v"];
    names.extend(op.mask.map(|_| "mask"));
    names.extend(["y", "statistics"]);
    let texts = [
        product(["q", "QUERIES"], ["k", "KEYS"]),
        gather("sums", "first_tile", ["v", "KEYS"], ["y", "QUERIES"]),
        include_str!("../../../../shaders/attention.wgsl").to_owned(),
    ];
    let bindings = operands(3 + usize::from(op.mask.is_some()), 2);
    if adapter.software {
        return vec![direct(op, [op.queries, op.keys], &names, bindings, &[["q", "k"]], adapter)];
    }
    vec![tiles(op, op.queries, &names, bindings, &texts, adapter)]
}

/// The launches of [`crate::ops::AttentionGrad`]: rows, then dq, then dk and dv.
pub(crate) fn attention_grad(op: &Attention, adapter: &Adapter) -> Vec<Kernel> {
    let rows = op.images * op.queries * op.heads;
    let declared = declare(&[("y", "f32"), ("dy", "f32"), ("statistics", "f32"), ("state", "f32")]);
    let text = include_str!("../../../../shaders/attention_rows.wgsl");
    let template = Template::new(&[&declared, text]).sizes(&[("FEATURES", op.size)]);
    let state = Binding::Scratch(3 * rows);
    let bindings = vec![Binding::Input(3), Binding::Input(5), Binding::Input(4), state];
    let first = per_item(template, rows, bindings, adapter);

    let mut names = vec!["q", "k", "v", "dy", "state"];
    let mut bindings: Vec<Binding> = [0, 1, 2, 5].map(Binding::Input).to_vec();
    bindings.push(state);
    if op.mask.is_some() {
        names.push("mask");
        bindings.push(Binding::Input(6));
    }
    let with = |more: &[&'static str], outputs: &[usize]| {
        let names = [&names[..], more].concat();
        let outputs = outputs.iter().map(|&output| Binding::Output(output));
        (names, bindings.iter().copied().chain(outputs).collect())
    };
    let of_queries = with(&["dq"], &[0]);
    let of_keys = with(&["dk", "dv"], &[1, 2]);
    if adapter.software {
        let (names, bindings) = of_queries;
        let pairs = [["q", "k"], ["dy", "v"]];
        let queries = direct(op, [op.queries, op.keys], &names, bindings, &pairs, adapter);
        let (names, bindings) = of_keys;
        let pairs = [["k", "q"], ["v", "dy"]];
        return vec![first, queries, direct(op, [op.keys, op.queries], &names, bindings, &pairs, adapter)];
    }
    let (names, bindings) = of_queries;
    let texts = [
        product(["q", "QUERIES"], ["k", "KEYS"]),
        product(["dy", "QUERIES"], ["v", "KEYS"]),
        gather("sums", "first_tile", ["k", "KEYS"], ["dq", "QUERIES"]),
        include_str!("../../../../shaders/attention_query_grad.wgsl").to_owned(),
    ];
    let queries = tiles(op, op.queries, &names, bindings, &texts, adapter);
    let (names, bindings) = of_keys;
    let texts = [
        product(["k", "KEYS"], ["q", "QUERIES"]),
        product(["v", "KEYS"], ["dy", "QUERIES"]),
        gather("values", "first_tile", ["dy", "QUERIES"], ["dv", "KEYS"]),
        gather("keys", "second_tile", ["q", "QUERIES"], ["dk", "KEYS"]),
        include_str!("../../../../shaders/attention_key_grad.wgsl").to_owned(),
    ];
    vec![first, queries, tiles(op, op.keys, &names, bindings, &texts, adapter)]
}

/// A kernel with a workgroup for each tile of `rows` tokens of each head of each image.
fn tiles(
    op: &Attention,
    rows: usize,
    names: &[&str],
    bindings: Vec<Binding>,
    texts: &[String],
    adapter: &Adapter,
) -> Kernel {
    let declared: Vec<(&str, &str)> = names.iter().map(|&name| (name, "f32")).collect();
    let declared = declare(&declared);
    let blocks = op.images * op.heads * rows.div_ceil(TILE);
    let workgroups = grid(blocks, adapter);
    let mut all = vec![declared.as_str(), SCORES, include_str!("../../../../shaders/attention_tile.wgsl")];
    all.extend(texts.iter().map(String::as_str));
    let source = sized(Template::new(&all), op)
        .sizes(&[
            ("TILE", TILE),
            ("SIZE", SIZE),
            ("GRID_X", workgroups[0] as usize),
            ("BLOCKS", blocks),
            ("COLUMNS", op.size.div_ceil(TILE)),
            ("PARTS", SIZE / TILE),
        ])
        .render();
    Kernel { source, entry: "main", bindings, workgroups }
}

/// A kernel with an invocation for each of `rows` tokens of each head of each image, which looks at `others` by products of `pairs`.
fn direct(
    op: &Attention,
    [rows, others]: [usize; 2],
    names: &[&str],
    bindings: Vec<Binding>,
    pairs: &[[&str; 2]],
    adapter: &Adapter,
) -> Kernel {
    let declared: Vec<(&str, &str)> = names.iter().map(|&name| (name, "f32")).collect();
    let declared = declare(&declared);
    let dot = include_str!("../../../../shaders/attention_dot.wgsl");
    let dots: Vec<String> =
        pairs.iter().map(|[own, other]| dot.replace("{OWN}", own).replace("{OTHER}", other)).collect();
    let mut all = vec![declared.as_str(), SCORES];
    all.extend(dots.iter().map(String::as_str));
    all.push(include_str!("../../../../shaders/attention_direct.wgsl"));
    let steps = (pairs.len() + 1) * others * op.size;
    let template = sized(Template::new(&all), op)
        .sizes(&[("ROWS", rows), ("OTHERS", others), ("UNROLL", unroll(steps, adapter).min(op.size))])
        .flags(&[("FORWARD", names.contains(&"y")), ("KEY_GRAD", names.contains(&"dk"))]);
    per_item(template, op.images * op.heads * rows, bindings, adapter)
}

/// What attention_scores.wgsl asks.
fn sized(template: Template, op: &Attention) -> Template {
    let mask = op.mask;
    template
        .sizes(&[
            ("QUERIES", op.queries),
            ("KEYS", op.keys),
            ("HEADS", op.heads),
            ("FEATURES", op.size),
            ("SHARING", mask.map_or(1, |mask| op.images / mask.count)),
        ])
        .flags(&[("MASK", mask.is_some()), ("MASK_ROWS", mask.is_some_and(|mask| mask.rows))])
        .word("SCALE", format!("{:#010x}", op.scale.to_bits()))
}

/// The product of the features of two kinds of tokens.
fn product([own, own_tokens]: [&str; 2], [other, other_tokens]: [&str; 2]) -> String {
    PRODUCT
        .replace("{OWN}", own)
        .replace("{OTHER}", other)
        .replace("{OWN_TOKENS}", own_tokens)
        .replace("{OTHER_TOKENS}", other_tokens)
}

/// Sums of tokens `other` by the weights in a tile, for rows of `own`.
fn gather(sums: &str, tile: &str, [other, other_tokens]: [&str; 2], [own, own_tokens]: [&str; 2]) -> String {
    GATHER
        .replace("{SUMS}", sums)
        .replace("{TILE_OF}", tile)
        .replace("{OTHER}", other)
        .replace("{OTHER_TOKENS}", other_tokens)
        .replace("{TO}", own)
        .replace("{OWN_TOKENS}", own_tokens)
}
