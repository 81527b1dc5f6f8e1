//! Texts to token numbers, by the tokenizer that lies beside a model.

use std::path::Path;

use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::processors::bert::BertProcessing;
use tokenizers::{Encoding, Tokenizer};

use crate::{Error, Result};

/// A model's tokenizer.
#[derive(Debug)]
pub struct Tokens {
    tokenizer: Tokenizer,
    file: String,
}

impl Tokens {
    /// Reads `tokenizer.json` of a model's folder, or the `vocab.txt` of an uncased or cased BERT (`do_lower_case` of
    /// `tokenizer_config.json`, true where that says nothing). Padding and truncation that the file asks for are left aside.
    ///
    /// # Errors
    /// A folder without either, a file that is no tokenizer.
    pub fn read(folder: &Path) -> Result<Self> {
        let json = folder.join("tokenizer.json");
        let words = folder.join("vocab.txt");
        let (mut tokenizer, file) = if json.is_file() {
            let bytes = crate::files::read_bytes(&json, crate::files::TEXT_LIMIT)?;
            let read = Tokenizer::from_bytes(bytes);
            (
                read.map_err(|e| {
                    Error::input(json.display(), "tokenizer", e, "a tokenizer of Hugging Face")
                })?,
                json,
            )
        } else if words.is_file() {
            (bert(folder, &words)?, words)
        } else {
            let expected = "tokenizer.json, or the vocab.txt of a BERT, to read prompts with";
            return Err(Error::input(
                folder.display(),
                "tokenizer",
                "neither tokenizer.json nor vocab.txt",
                expected,
            ));
        };
        let file = file.display().to_string();
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(|e| Error::Failed(format!("{file}: {e}")))?;
        Ok(Self { tokenizer, file })
    }

    /// The numbers of a text's tokens, with those that the model wants at its ends.
    ///
    /// # Errors
    /// More tokens than `context`, a number that is not below `vocabulary`, no token at all, each with the text.
    pub fn of(&self, text: &str, context: usize, vocabulary: usize) -> Result<Vec<u32>> {
        let ids = self.encode(text)?.get_ids().to_vec();
        let misfit = |found: String, expected: String| {
            Err(Error::input(&self.file, format!("prompt {text:?}"), found, expected))
        };
        if ids.is_empty() || ids.len() > context {
            return misfit(format!("{} tokens", ids.len()), format!("1 to {context}, the model's context"));
        }
        match ids.iter().find(|&&id| id as usize >= vocabulary) {
            Some(id) => {
                misfit(format!("token {id}"), format!("a token below {vocabulary}, the model's vocabulary"))
            }
            None => Ok(ids),
        }
    }

    /// Which of a text's tokens, as [`of`](Self::of) has them, are words of their own: not special, and not a piece beside others.
    ///
    /// # Errors
    /// A text that the tokenizer cannot read.
    pub(super) fn whole(&self, text: &str) -> Result<Vec<bool>> {
        let encoding = self.encode(text)?;
        let words = encoding.get_word_ids();
        let alone =
            |word: &Option<u32>| word.is_some() && words.iter().filter(|own| *own == word).count() == 1;
        Ok(words.iter().map(alone).collect())
    }

    fn encode(&self, text: &str) -> Result<Encoding> {
        // Line breaks and runs of spaces are one space, as open_clip cleans its texts.
        let clean: Vec<&str> = text.split_whitespace().collect();
        let failed = |e| Error::Failed(format!("{}: {text:?}: {e}", self.file));
        self.tokenizer.encode(clean.join(" "), true).map_err(failed)
    }

    /// The file that it was read from.
    pub(super) fn file(&self) -> &str {
        &self.file
    }

    /// The numbers of the tokens that are whole words of letters, ascending: not special ones, and no pieces of words.
    pub fn words(&self, vocabulary: usize) -> Vec<u32> {
        // CLIP's pieces say where a word ends, BERT's where one goes on.
        let ends = self.number("</w>").is_some() || self.number("a</w>").is_some();
        let is_word = |number: &u32| {
            let Some(token) = self.spelling(*number) else { return false };
            let stem = if ends { token.strip_suffix("</w>") } else { Some(token.as_str()) };
            let letters = stem.is_some_and(|stem| !stem.is_empty() && stem.chars().all(char::is_alphabetic));
            letters && !self.is_special(*number)
        };
        (0..vocabulary as u32).filter(is_word).collect()
    }

    /// The numbers of the tokens that go on with a word, as BERT spells them (`##ing`), ascending.
    pub(super) fn pieces(&self, vocabulary: usize) -> Vec<u32> {
        let goes_on = |number: &u32| {
            self.spelling(*number).is_some_and(|token| token.len() > 2 && token.starts_with("##"))
        };
        (0..vocabulary as u32).filter(goes_on).collect()
    }

    /// Whether a token stands for something else than its letters: an end, a gap, what the vocabulary lacks.
    fn is_special(&self, number: u32) -> bool {
        let added = self.tokenizer.get_added_vocabulary();
        let named = |token: &str| ["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]", "<unk>"].contains(&token);
        self.spelling(number).is_some_and(|token| added.is_special_token(&token) || named(&token))
    }

    /// The number of a word that is one token.
    ///
    /// # Errors
    /// Another word, or one that the vocabulary lacks.
    pub fn word(&self, word: &str, vocabulary: usize) -> Result<u32> {
        let encoding = self
            .tokenizer
            .encode(word, false)
            .map_err(|e| Error::Failed(format!("{}: {word:?}: {e}", self.file)))?;
        match encoding.get_ids() {
            [number] if (*number as usize) < vocabulary && !self.is_special(*number) => Ok(*number),
            [number] => {
                let found = format!("token {:?}", self.spelling(*number).unwrap_or_default());
                Err(Error::input(
                    &self.file,
                    format!("substitute {word:?}"),
                    found,
                    "one token of the vocabulary",
                ))
            }
            numbers => {
                let found = format!("{} tokens", numbers.len());
                Err(Error::input(
                    &self.file,
                    format!("substitute {word:?}"),
                    found,
                    "one token of the vocabulary",
                ))
            }
        }
    }

    /// The number of a token by its own spelling, if the vocabulary has it.
    pub fn number(&self, token: &str) -> Option<u32> {
        self.tokenizer.token_to_id(token)
    }

    /// The spelling of a token.
    pub fn spelling(&self, number: u32) -> Option<String> {
        self.tokenizer.id_to_token(number)
    }
}

/// The tokenizer of a BERT whose folder has the words alone.
fn bert(folder: &Path, words: &Path) -> Result<Tokenizer> {
    let place = words.display().to_string();
    let expected = "a vocabulary of BERT, a token a line";
    let misfit = |found: String| Error::input(&place, "vocabulary", found, expected);
    let name = words.to_str().ok_or_else(|| misfit("a path that is no text".into()))?;
    let model = WordPiece::from_file(name).unk_token("[UNK]".into()).build();
    let mut tokenizer = Tokenizer::new(model.map_err(|e| misfit(e.to_string()))?);
    let number = |token: &str| {
        let known = tokenizer.token_to_id(token).map(|number| (token.to_string(), number));
        known.ok_or_else(|| misfit(format!("no {token}")))
    };
    let (end, start, _) = (number("[SEP]")?, number("[CLS]")?, number("[UNK]")?);
    let normalizer = BertNormalizer::new(true, true, None, lower_case(folder)?);
    tokenizer.with_normalizer(Some(normalizer)).map_err(|e| misfit(e.to_string()))?;
    tokenizer.with_pre_tokenizer(Some(BertPreTokenizer));
    tokenizer.with_post_processor(Some(BertProcessing::new(end, start)));
    Ok(tokenizer)
}

fn lower_case(folder: &Path) -> Result<bool> {
    let path = folder.join("tokenizer_config.json");
    if !path.is_file() {
        return Ok(true);
    }
    let text = crate::files::read_text(&path)?;
    let config: serde_json::Value = serde_json::from_str(&text)
        .map_err(|e| Error::input(path.display(), format!("line {}", e.line()), e, "JSON"))?;
    Ok(config.get("do_lower_case").and_then(serde_json::Value::as_bool).unwrap_or(true))
}
