//! Prompts as part of the sample: their tokens stand behind the image's values, so that an attack may change them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Clip, SHORTEST, ZeroShot};
use crate::graph::Tensor;
use crate::models::net::Net;
use crate::models::{OpenWords, Reading, Substitutes, Tokens};
use crate::{Error, Result};

/// All prompts as the text's side reads them, padded to the longest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompts {
    /// Prompts of each class, in the order in which they were read.
    pub counts: Vec<usize>,
    /// Tokens of each prompt.
    pub tokens: usize,
    /// Token numbers `[prompts, tokens]`: a sample's own values.
    pub ids: Vec<f32>,
    /// 1 for a token, 0 behind the end of a prompt, `[prompts, tokens]`.
    pub attended: Vec<f32>,
    /// How much a token's last state counts for the prompt's, `[prompts, tokens]`.
    pub pooled: Vec<f32>,
    /// Whether a token is a word that may be replaced, `[prompts, tokens]`.
    pub open: Vec<bool>,
    /// Numbers of the tokens that may be put in.
    pub substitutes: Vec<u32>,
    /// The largest distance of a substitute, if there is one.
    pub distance: Option<f32>,
}

impl Prompts {
    /// The prompts of `zero_shot`, whose words `open` says what may be done to.
    ///
    /// # Errors
    /// A prompt that is longer than the model's context, a substitute that is not one token of the vocabulary.
    pub(super) fn new(clip: &Clip, zero_shot: &ZeroShot, open: &OpenWords, tokens: &Tokens) -> Result<Self> {
        let (context, vocabulary) = (clip.text.context(), clip.text.vocabulary());
        let prompts = || zero_shot.classes.iter().flat_map(|class| &class.prompts);
        let texts: Vec<Vec<u32>> =
            prompts().map(|text| tokens.of(text, context, vocabulary)).collect::<Result<_>>()?;
        let encoded = clip.text.encoded(&texts, 0);
        let words = tokens.words(vocabulary);
        let substitutes = open.numbers(tokens, &words, vocabulary)?;
        let mut is_word = vec![false; encoded.ids.len()];
        for (text, row) in prompts().zip(is_word.chunks_mut(encoded.tokens)) {
            let whole = tokens.whole(text)?;
            row.iter_mut().zip(whole).for_each(|(is_word, whole)| *is_word = whole);
        }
        for (is_word, id) in is_word.iter_mut().zip(&encoded.ids) {
            *is_word &= words.binary_search(&(*id as u32)).is_ok();
        }
        if !is_word.contains(&true) {
            return Err(Error::input(
                tokens.file(),
                "prompts",
                "no whole word",
                "a word that can be replaced",
            ));
        }
        Ok(Self {
            counts: zero_shot.classes.iter().map(|class| class.prompts.len()).collect(),
            tokens: encoded.tokens,
            open: is_word,
            ids: encoded.ids,
            attended: encoded.attended,
            pooled: encoded.pooled,
            substitutes,
            distance: open.distance,
        })
    }

    /// Values behind those of the image.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }
}

impl Clip {
    /// Logits `[classes]` of an image in the model's own scaling, `[height, width, 3]`, against prompts of these token numbers
    /// `[prompts * tokens]`, each lane's own; the net is told where they are read.
    pub(in crate::models) fn forward_prompts(
        &self,
        net: &mut Net,
        image: Tensor,
        ids: Tensor,
        prompts: &Prompts,
    ) -> Tensor {
        let image = self.image_features(net, image);
        let table = self.word_table(net);
        let embedded = net.graph.embed(table, ids);
        let vocabulary = net.graph.dims(table)[0];
        let substitutes = Substitutes::only(&prompts.substitutes, vocabulary, prompts.distance);
        net.reads_words(Reading { embedded, table, substitutes, open: None });
        let count: usize = prompts.counts.iter().sum();
        let width = net.graph.dims(embedded)[1];
        let words = net.graph.reshape(embedded, &[count, prompts.tokens, width]);
        let [attended, pooled] = [&prompts.attended, &prompts.pooled]
            .map(|values| net.graph.constant(&Arc::new(values.clone()), &[count, prompts.tokens]));
        let features = self.text_features(net, words, attended, pooled);
        let features = net.graph.l2_normalize(features, SHORTEST);
        let rows = self.class_means(net, features, &prompts.counts);
        self.logits(net, image, rows)
    }

    /// The mean of each class's features `[classes, features]`, in the order of the logits.
    fn class_means(&self, net: &mut Net, features: Tensor, counts: &[usize]) -> Tensor {
        let mut first = 0;
        let mut means = Vec::new();
        for &count in counts {
            let own = net.graph.slice(features, 0, first..first + count);
            let mean = net.graph.mean(own, 0..1);
            means.push(net.graph.reshape(mean, &[1, self.features]));
            first += count;
        }
        let order = self.zero_shot.as_ref().map_or(&[][..], |zero_shot| &zero_shot.order);
        let ordered: Vec<Tensor> = match order {
            [] => means,
            order => order.iter().map(|&row| means[row]).collect(),
        };
        net.graph.concat(&ordered, 0)
    }
}
