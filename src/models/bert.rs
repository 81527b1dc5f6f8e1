//! BERT (Devlin et al. 2019) with Hugging Face's names: the encoder, and the classifier of texts.

use serde::{Deserialize, Serialize};

use super::config::{Misfit, positive};
use super::input::Reading;
use super::net::{Net, Role};
use super::transformer::{BlockNames, Encoder, FORBIDDEN};
use super::words::Vocabulary;
use crate::graph::Tensor;

/// Token, position and type embeddings and the blocks over them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bert {
    /// What stands before the names of all tensors: nothing, `bert.`, `text.transformer.`
    pub prefix: String,
    /// Tokens of the vocabulary.
    pub vocabulary: usize,
    /// Longest text.
    pub positions: usize,
    /// Kinds of segments; every token here is of the first.
    pub types: usize,
    /// The blocks.
    pub encoder: Encoder,
}

impl Bert {
    pub(super) fn check(&self, place: &str) -> Result<(), Misfit> {
        for (key, value) in
            [("vocabulary", self.vocabulary), ("positions", self.positions), ("types", self.types)]
        {
            positive(&format!("{place}.{key}"), value)?;
        }
        if self.encoder.names != BlockNames::Bert {
            let found = format!("{:?}", self.encoder.names);
            return Err((format!("{place}.encoder.names"), found, "bert".into()));
        }
        self.encoder.check(&format!("{place}.encoder"))
    }

    /// The table of word embeddings `[vocabulary, width]`.
    pub(super) fn table(&self, net: &mut Net) -> Tensor {
        self.embeddings(net, "word", self.vocabulary)
    }

    /// The last hidden states `[.., tokens, width]` of word embeddings `[.., tokens, width]`; `attended` `[.., tokens]` is 1 for a token and
    /// 0 for padding, which nothing sees.
    pub(super) fn forward(&self, net: &mut Net, words: Tensor, attended: Tensor) -> Tensor {
        let tokens = net.graph.dims(attended).last().copied().unwrap_or(1);
        let positions = self.embeddings(net, "position", self.positions);
        let positions = net.graph.slice(positions, 0, 0..tokens);
        let types = self.embeddings(net, "token_type", self.types);
        let kind = net.graph.slice(types, 0, 0..1);
        let x = net.graph.add(words, kind);
        let x = net.graph.add(x, positions);
        let x = net.layer_norm(&format!("{}embeddings.LayerNorm", self.prefix), x, self.encoder.epsilon);
        let absent = net.graph.shift(attended, -1.0);
        let mask = net.graph.scale(absent, -FORBIDDEN);
        let mut dims = net.graph.dims(mask).to_vec();
        dims.insert(dims.len() - 1, 1);
        let mask = net.graph.reshape(mask, &dims);
        self.encoder.forward(net, &format!("{}encoder.layer", self.prefix), x, Some(mask))
    }

    /// `tanh` of a linear layer of the first token's state `[.., width]`.
    pub(super) fn pooler(&self, net: &mut Net, first: Tensor) -> Tensor {
        let y = net.linear(&format!("{}pooler.dense", self.prefix), first, self.encoder.width);
        net.graph.unary(percuss_kernels::ops::Unary::Tanh, y)
    }

    fn embeddings(&self, net: &mut Net, what: &str, rows: usize) -> Tensor {
        let name = format!("{}embeddings.{what}_embeddings.weight", self.prefix);
        net.tensor(&name, &[rows, self.encoder.width], Role::Embedding, self.encoder.width)
    }
}

/// BertForSequenceClassification: a linear layer on the pooled first token. A sample is a text as numbers of tokens, `[positions]`, filled up
/// with the padding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BertClassifier {
    /// The encoder.
    pub bert: Bert,
    /// The token that fills up shorter texts: nothing sees it.
    #[serde(default)]
    pub padding: u32,
    /// Outputs.
    pub classes: usize,
    /// What an adversary may do to the texts' words, once they are open.
    #[serde(skip)]
    pub words: Option<Vocabulary>,
}

impl BertClassifier {
    pub(super) fn check(&self) -> Result<(), Misfit> {
        positive("classes", self.classes)?;
        self.bert.check("bert")
    }

    /// Logits `[.., classes]` of token numbers `[.., tokens]`.
    pub(super) fn forward(&self, net: &mut Net, ids: Tensor) -> Tensor {
        let table = self.bert.table(net);
        let words = net.graph.embed(table, ids);
        if let Some(open) = &self.words {
            let substitutes = open.substitutes(self.bert.vocabulary);
            let open = Some(open.open(net, ids, self.bert.vocabulary));
            net.reads_words(Reading { embedded: words, table, substitutes, open });
        }
        self.logits(net, words, ids)
    }

    /// The table of word embeddings `[vocabulary, width]`.
    pub fn word_table(&self, net: &mut Net) -> Tensor {
        self.bert.table(net)
    }

    /// Logits `[.., classes]` of word embeddings `[.., tokens, width]`; the numbers `[.., tokens]` say where the text has ended.
    pub fn logits(&self, net: &mut Net, words: Tensor, ids: Tensor) -> Tensor {
        let padding = net.graph.scalar(self.padding as f32);
        let absent = net.graph.equal(ids, padding);
        let one = net.graph.scalar(1.0);
        let attended = net.graph.sub(one, absent);
        let states = self.bert.forward(net, words, attended);
        let dims = net.graph.dims(states).to_vec();
        let axis = dims.len() - 2;
        let first = net.graph.slice(states, axis, 0..1);
        let first = net.graph.reshape(first, &[&dims[..axis], &dims[axis + 1..]].concat());
        let pooled = self.bert.pooler(net, first);
        net.linear("classifier", pooled, self.classes)
    }
}
