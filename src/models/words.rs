//! Which words of a text an adversary may replace, and by what.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::config::Architecture;
use super::input::Substitutes;
use super::net::Net;
use super::tokens::Tokens;
use super::{Model, hex};
use crate::graph::Tensor;
use crate::{Error, Result};

/// Which words an adversary may put into texts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenWords {
    /// These, one token each; empty means every whole word of the vocabulary.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub substitutes: Vec<String>,
    /// The largest euclidean distance between the embeddings of a word and of what takes its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub distance: Option<f32>,
}

impl OpenWords {
    /// The numbers of the tokens that may be put in, of which `words` are all whole words.
    ///
    /// # Errors
    /// A substitute that is not one token of the vocabulary, or no word at all.
    pub(super) fn numbers(&self, tokens: &Tokens, words: &[u32], vocabulary: usize) -> Result<Vec<u32>> {
        match self.substitutes.as_slice() {
            [] => Ok(words.to_vec()),
            named => named.iter().map(|word| tokens.word(word, vocabulary)).collect(),
        }
    }
}

/// What an adversary knows of a classifier's vocabulary.
#[derive(Clone, Debug, PartialEq)]
pub struct Vocabulary {
    /// Numbers of the tokens that are whole words, where no piece follows them.
    words: Vec<u32>,
    /// Numbers of the tokens that go on with a word.
    pieces: Vec<u32>,
    /// Numbers of the tokens that may be put in.
    substitutes: Vec<u32>,
    /// The largest distance of a substitute, if there is one.
    distance: Option<f32>,
}

impl Vocabulary {
    /// What may be put in, out of so many tokens.
    pub(super) fn substitutes(&self, vocabulary: usize) -> Substitutes {
        Substitutes::only(&self.substitutes, vocabulary, self.distance)
    }

    /// 1 where a text of these token numbers `[tokens]` has a whole word, out of so many tokens; replaced words stay words.
    pub(super) fn open(&self, net: &mut Net, ids: Tensor, vocabulary: usize) -> Tensor {
        let tokens = net.graph.dims(ids)[0];
        let mut marked = |numbers: &[u32]| {
            let table = net.graph.constant(&Substitutes::marks(numbers, vocabulary), &[vocabulary, 1]);
            let found = net.graph.embed(table, ids);
            net.graph.reshape(found, &[tokens])
        };
        let (word, piece) = (marked(&self.words), marked(&self.pieces));
        let graph = &mut net.graph;
        let one = graph.scalar(1.0);
        let alone = graph.sub(one, piece);
        let last = graph.constant(&Arc::new(vec![1.0]), &[1]);
        let followed = match tokens {
            1 => last,
            _ => {
                let next = graph.slice(alone, 0, 1..tokens);
                graph.concat(&[next, last], 0)
            }
        };
        graph.mul(word, followed)
    }
}

impl Model {
    /// The classifier of texts whose words are open to an adversary. The tokenizer beside the model says which tokens are words; what was
    /// opened becomes part of the digest.
    ///
    /// # Errors
    /// Another architecture, no tokenizer beside the model, a substitute that is not one token of the vocabulary.
    pub fn open_words(mut self, open: &OpenWords) -> Result<Self> {
        let Architecture::Bert(bert) = &mut self.config.architecture else {
            let found = format!("a model of the family {}", self.config.architecture.name());
            let expected = "a classifier of texts; prompts have zero_shot.words";
            return Err(Error::input(self.path.display(), "words", found, expected));
        };
        let size = bert.bert.vocabulary;
        let tokens = Tokens::read(&self.path)?;
        let words = tokens.words(size);
        let substitutes = open.numbers(&tokens, &words, size)?;
        let read = Vocabulary { words, pieces: tokens.pieces(size), substitutes, distance: open.distance };
        self.sha256 = hex(&Sha256::digest(format!("{} {read:?}", self.sha256)));
        bert.words = Some(read);
        Ok(self)
    }
}
