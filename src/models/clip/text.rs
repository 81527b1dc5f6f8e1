//! The text's side: CLIP's causal transformer, or BERT.

use std::sync::Arc;

use percuss_kernels::ops::Reduction;
use serde::{Deserialize, Serialize};

use super::projection::Projection;
use crate::graph::{Graph, Tensor};
use crate::models::bert::Bert;
use crate::models::config::{Misfit, positive};
use crate::models::net::{Net, Role};
use crate::models::transformer::{BlockNames, Encoder, FORBIDDEN};

/// The text's side of an image-text model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "tower", rename_all = "snake_case")]
pub enum TextTower {
    /// CLIP's own.
    Causal(CausalText),
    /// Hugging Face's BERT.
    Bert(BertText),
}

/// Whose names the tensors have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TextNames {
    /// `token_embedding`, `transformer.*`, as OpenAI's and open_clip's CLIP has them.
    OpenClip,
    /// `text.*`, where open_clip keeps the towers apart.
    OpenClipApart,
    /// `text_model.*`, `text_projection`
    HuggingFace,
}

/// Which token stands for the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndOfText {
    /// The one of the highest number, the first of them.
    Highest,
    /// The first of this number.
    Token(u32),
    /// The first one.
    First,
}

/// A transformer in which a token sees those before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CausalText {
    /// Whose names the tensors have.
    pub names: TextNames,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Longest text in tokens, start and end included.
    pub context: usize,
    /// The blocks.
    pub encoder: Encoder,
    /// What stands for the text.
    pub end: EndOfText,
    /// To the shared features.
    pub projection: Projection,
}

/// What stands for the text, by open_clip's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BertPooler {
    /// The first token's last hidden state.
    First,
    /// BERT's own pooler of it.
    Pooler,
    /// The mean over the tokens.
    Mean,
}

/// BERT as a text's side.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BertText {
    /// The encoder.
    pub bert: Bert,
    /// Longest text in tokens, those at its ends included.
    pub context: usize,
    /// The token that fills up shorter texts: nothing sees it.
    #[serde(default)]
    pub padding: u32,
    /// What stands for the text.
    pub pooler: BertPooler,
    /// To the shared features: `text.proj`.
    pub projection: Projection,
}

/// Texts as the tower reads them, all of the same length.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoded {
    /// Tokens of each.
    pub tokens: usize,
    /// Numbers of the tokens, `[texts, tokens]`, the padding where a shorter text has ended.
    pub ids: Vec<f32>,
    /// 1 for a token, 0 where the text has ended.
    pub attended: Vec<f32>,
    /// How much each token's last state counts for the text's: they add up to 1.
    pub pooled: Vec<f32>,
}

impl TextTower {
    /// Longest text in tokens, special ones included.
    pub fn context(&self) -> usize {
        match self {
            Self::Causal(text) => text.context,
            Self::Bert(text) => text.context,
        }
    }

    /// Tokens of the vocabulary.
    pub fn vocabulary(&self) -> usize {
        match self {
            Self::Causal(text) => text.vocabulary,
            Self::Bert(text) => text.bert.vocabulary,
        }
    }

    /// Values of a word embedding.
    pub fn width(&self) -> usize {
        match self {
            Self::Causal(text) => text.encoder.width,
            Self::Bert(text) => text.bert.encoder.width,
        }
    }

    /// Texts of token numbers, special tokens included, padded to the longest of them (or to `at_least` tokens, at most the context). No
    /// text's features depend on what follows its end: a causal tower never looks there, BERT is kept from it by its mask.
    pub fn encoded(&self, texts: &[Vec<u32>], at_least: usize) -> Encoded {
        let tokens = texts.iter().map(Vec::len).max().unwrap_or(0).max(at_least);
        let padding = match self {
            Self::Bert(text) => text.padding as f32,
            Self::Causal(_) => 0.0,
        };
        let mut ids = vec![padding; texts.len() * tokens];
        let (mut attended, mut pooled) = (vec![0.0; ids.len()], vec![0.0; ids.len()]);
        for (i, text) in texts.iter().enumerate() {
            let at = i * tokens..i * tokens + text.len();
            ids[at.clone()].iter_mut().zip(text).for_each(|(place, &id)| *place = id as f32);
            attended[at.clone()].fill(1.0);
            match self {
                Self::Bert(BertText { pooler: BertPooler::Mean, .. }) => {
                    pooled[at].fill(1.0 / text.len() as f32);
                }
                Self::Bert(_) => pooled[at.start] = 1.0,
                Self::Causal(causal) => pooled[at.start + causal.end.of(text)] = 1.0,
            }
        }
        Encoded { tokens, ids, attended, pooled }
    }

    /// What [`Self::encoded`] says of texts beside their numbers, for texts that only the graph knows: of `ids` `[.., tokens]`, `attended` and
    /// `pooled`, of the same shape. Texts end with their padding, if there is any.
    pub fn places(&self, graph: &mut Graph, ids: Tensor) -> [Tensor; 2] {
        let axis = graph.dims(ids).len() - 1;
        let tokens = graph.dims(ids)[axis];
        match self {
            Self::Bert(text) => {
                let padding = graph.scalar(text.padding as f32);
                let absent = graph.equal(ids, padding);
                let one = graph.scalar(1.0);
                let attended = graph.sub(one, absent);
                let pooled = if text.pooler == BertPooler::Mean {
                    let count = graph.sum(attended, axis..axis + 1);
                    let count = graph.expand(count, 1);
                    graph.div(attended, count)
                } else {
                    first(graph, attended)
                };
                [attended, pooled]
            }
            Self::Causal(text) => {
                let seen = graph.equal(ids, ids);
                let hits = match text.end {
                    EndOfText::Highest => {
                        let highest = graph.reduce(Reduction::Max, ids, axis..axis + 1);
                        let highest = graph.expand(highest, 1);
                        graph.equal(ids, highest)
                    }
                    EndOfText::Token(number) => {
                        let number = graph.scalar(number as f32);
                        graph.equal(ids, number)
                    }
                    EndOfText::First => {
                        let place = graph.index(&[tokens], 0);
                        let zero = graph.scalar(0.0);
                        graph.equal(place, zero)
                    }
                };
                [seen, first(graph, hits)]
            }
        }
    }

    pub(super) fn check(&self, place: &str, features: usize) -> Result<(), Misfit> {
        positive(&format!("{place}.context"), self.context())?;
        let projection = match self {
            Self::Causal(text) => {
                positive(&format!("{place}.vocabulary"), text.vocabulary)?;
                text.encoder.check(&format!("{place}.encoder"))?;
                let expected = match text.names {
                    TextNames::HuggingFace => BlockNames::HuggingFaceClip,
                    _ => BlockNames::OpenClip,
                };
                if text.encoder.names != expected {
                    let found = format!("{:?}", text.encoder.names);
                    return Err((format!("{place}.encoder.names"), found, format!("{expected:?}")));
                }
                text.projection
            }
            Self::Bert(text) => {
                text.bert.check(&format!("{place}.bert"))?;
                if text.context > text.bert.positions {
                    let expected = format!("at most {}, BERT's positions", text.bert.positions);
                    return Err((format!("{place}.context"), text.context.to_string(), expected));
                }
                text.projection
            }
        };
        if projection == Projection::None && self.width() != features {
            let found = self.width().to_string();
            return Err((format!("{place}: width"), found, format!("{features}, there is no projection")));
        }
        Ok(())
    }

    pub(super) fn table(&self, net: &mut Net) -> Tensor {
        match self {
            Self::Causal(text) => text.table(net),
            Self::Bert(text) => text.bert.table(net),
        }
    }

    /// Features `[.., features]` of word embeddings `[.., tokens, width]`.
    pub(super) fn forward(
        &self,
        net: &mut Net,
        words: Tensor,
        attended: Tensor,
        pooled: Tensor,
        features: usize,
    ) -> Tensor {
        match self {
            Self::Causal(text) => {
                let states = text.states(net, words);
                let x = pool(net, states, pooled);
                text.projection.forward(net, text.names().projection, x, features)
            }
            Self::Bert(text) => {
                let states = text.bert.forward(net, words, attended);
                let mut x = pool(net, states, pooled);
                if text.pooler == BertPooler::Pooler {
                    x = text.bert.pooler(net, x);
                }
                text.projection.forward(net, "text.proj", x, features)
            }
        }
    }
}

/// 1 at the first place along the last axis where `hits` is 1, else 0.
fn first(graph: &mut Graph, hits: Tensor) -> Tensor {
    let axis = graph.dims(hits).len() - 1;
    let tokens = graph.dims(hits)[axis];
    let (place, beyond) = (graph.index(&[tokens], 0), graph.scalar(tokens as f32));
    let places = graph.select(hits, place, beyond);
    let least = graph.reduce(Reduction::Min, places, axis..axis + 1);
    graph.one_hot(least, tokens)
}

/// The mean of states `[.., tokens, width]` with these weights `[.., tokens]`: `[.., width]`.
fn pool(net: &mut Net, states: Tensor, weights: Tensor) -> Tensor {
    let graph = &mut *net.graph;
    let wide = graph.expand(weights, 1);
    let weighted = graph.mul(states, wide);
    let axis = graph.dims(weighted).len() - 2;
    graph.sum(weighted, axis..axis + 1)
}

impl EndOfText {
    /// The place in a text of at least one token.
    fn of(self, text: &[u32]) -> usize {
        let last = text.len() - 1;
        match self {
            Self::First => 0,
            Self::Token(wanted) => text.iter().position(|&id| id == wanted).unwrap_or(0),
            Self::Highest => {
                let highest = text.iter().max();
                text.iter().position(|id| Some(id) == highest).unwrap_or(last)
            }
        }
    }
}

/// The names of the tensors beside the blocks.
struct Names {
    table: &'static str,
    positions: &'static str,
    blocks: &'static str,
    norm: &'static str,
    projection: &'static str,
}

impl CausalText {
    fn names(&self) -> Names {
        match self.names {
            TextNames::OpenClip => Names {
                table: "token_embedding.weight",
                positions: "positional_embedding",
                blocks: "transformer.resblocks",
                norm: "ln_final",
                projection: "text_projection",
            },
            TextNames::OpenClipApart => Names {
                table: "text.token_embedding.weight",
                positions: "text.positional_embedding",
                blocks: "text.transformer.resblocks",
                norm: "text.ln_final",
                projection: "text.text_projection",
            },
            TextNames::HuggingFace => Names {
                table: "text_model.embeddings.token_embedding.weight",
                positions: "text_model.embeddings.position_embedding.weight",
                blocks: "text_model.encoder.layers",
                norm: "text_model.final_layer_norm",
                projection: "text_projection",
            },
        }
    }

    fn table(&self, net: &mut Net) -> Tensor {
        let shape = [self.vocabulary, self.encoder.width];
        net.tensor(self.names().table, &shape, Role::Embedding, shape[1])
    }

    /// The normalised last states `[.., tokens, width]`.
    fn states(&self, net: &mut Net, words: Tensor) -> Tensor {
        let dims = net.graph.dims(words).to_vec();
        let tokens = dims[dims.len() - 2];
        let shape = [self.context, self.encoder.width];
        let positions = net.tensor(self.names().positions, &shape, Role::Embedding, shape[1]);
        let positions = net.graph.slice(positions, 0, 0..tokens);
        let x = net.graph.add(words, positions);
        let mask = (0..tokens * tokens)
            .map(|at| if at % tokens > at / tokens { FORBIDDEN } else { 0.0 })
            .collect::<Vec<f32>>();
        let mask = net.graph.constant(&Arc::new(mask), &[tokens, tokens]);
        let x = self.encoder.forward(net, self.names().blocks, x, Some(mask));
        net.layer_norm(self.names().norm, x, self.encoder.epsilon)
    }
}

#[cfg(test)]
mod tests {
    use super::EndOfText;

    #[test]
    fn end_of_text_is_found() {
        let text = [7, 3, 9, 2, 9];
        assert_eq!(
            [EndOfText::Highest, EndOfText::Token(3), EndOfText::First].map(|end| end.of(&text)),
            [2, 1, 0]
        );
    }
}
