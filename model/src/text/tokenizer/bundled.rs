//! CLIP's and T5's own tokenizers, which are in the program: single files and most encoders come without any.
//!
//! Both encoders of CLIP have `OpenAI`'s byte-pair encoding, all T5 encoders of version 1.1 Google's pieces (`ASSETS.md` says
//! whose they are). They are unpacked when an encoder is opened.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::{Map, Value};
use tokenizers::Tokenizer;

use super::{CLIP_END, CLIP_START, clip_encoding, unreadable};
use crate::error::ModelError;

/// What stands for a folder in messages about these tokenizers.
pub const PLACE: &str = "the tokenizer in the program";

/// A line per merge, first ones first.
const CLIP_MERGES: &[u8] = include_bytes!("../../../../assets/tokenizers/clip_merges.txt.gz");
/// Hugging Face's `tokenizer.json`.
const T5_TOKENIZER: &[u8] = include_bytes!("../../../../assets/tokenizers/t5.json.gz");

/// CLIP's byte-pair encoding.
pub fn clip() -> Result<Tokenizer, ModelError> {
    let text = String::from_utf8(unpacked(CLIP_MERGES)?).map_err(unusable)?;
    let merges: Vec<&str> = text.lines().collect();
    clip_encoding(clip_vocabulary(&merges), &merges, CLIP_END).map_err(unusable)
}

/// T5's unigram model.
pub fn t5() -> Result<Tokenizer, ModelError> {
    Tokenizer::from_bytes(unpacked(T5_TOKENIZER)?).map_err(unusable)
}

/// Ids of CLIP's tokens (Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.2): a letter for
/// every byte, the same at the end of a word, what merges make in their order, start and end.
fn clip_vocabulary(merges: &[&str]) -> Value {
    let letters = letters_of_bytes();
    let ends = letters.iter().map(|letter| format!("{letter}</w>"));
    let merged = merges.iter().map(|pair| pair.replace(' ', ""));
    let special = [CLIP_START, CLIP_END].map(str::to_owned);
    let tokens = letters
        .iter()
        .map(char::to_string)
        .chain(ends)
        .chain(merged)
        .chain(special);
    Value::Object(
        tokens
            .zip(0_u32..)
            .map(|(token, id)| (token, id.into()))
            .collect::<Map<_, _>>(),
    )
}

/// A printable letter for every byte, printable bytes first: those have their own, the others are counted from U+0100.
fn letters_of_bytes() -> Vec<char> {
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let own = (0..=u8::MAX).filter(is_printable).map(char::from);
    let others = (0..=u8::MAX).filter(|byte| !is_printable(byte)).zip('\u{100}'..);
    own.chain(others.map(|(_, letter)| letter)).collect()
}

fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, ModelError> {
    let mut unpacked = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut unpacked).map_err(unusable)?;
    Ok(unpacked)
}

fn unusable(reason: impl ToString) -> ModelError {
    unreadable(PLACE.as_ref(), reason)
}
