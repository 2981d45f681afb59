//! Prompts to token ids, by the tokenizer files that come with a checkpoint.
//!
//! CLIP's byte-pair encoding (Sennrich et al. 2016, over bytes) may come as `tokenizer.json`, or as `vocab.json` and
//! `merges.txt` alone; T5's unigram model comes as `tokenizer.json`. Start and end tokens, cutting off and padding
//! are done here, since not every `tokenizer.json` says how. For checkpoints without tokenizer files there are CLIP's and
//! T5's own in the program (`bundled`).

mod bundled;

use std::path::{Path, PathBuf};

use mdsd3_words::regular::{self, MOST_TEXT_BYTES};
use serde_json::{Value, json};
use tokenizers::{AddedToken, Tokenizer};

use crate::error::ModelError;
use crate::guard::guarded;

/// CLIP's start and end tokens, and T5's end and padding.
const CLIP_START: &str = "<|startoftext|>";
const CLIP_END: &str = "<|endoftext|>";
const T5_END: &str = "</s>";
const T5_PADDING: &str = "<pad>";

/// What CLIP splits text into before it looks for pairs: endings of English contractions, runs of letters, single digits,
/// runs of anything else that isn't white space.
const CLIP_WORDS: &str = r"'(?:s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+";

/// Tokenizer files that can't be used; each message is one line.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenizerError {
    /// None of the files that make up a tokenizer.
    #[error("{}: no tokenizer here: {wanted} expected", folder.display())]
    Missing {
        /// The folder.
        folder: PathBuf,
        /// The files that would do.
        wanted: &'static str,
    },
    /// A file that can't be read or understood.
    #[error("{}: this tokenizer file can't be used ({reason}); copy or download it again", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why, in one line.
        reason: String,
    },
    /// A token that prompts are framed with is not in the vocabulary.
    #[error("{}: the vocabulary has no token {token}, which its config names; do these files belong together?", folder.display())]
    NoSuchToken {
        /// The folder.
        folder: PathBuf,
        /// The token.
        token: String,
    },
    /// More tokens than the encoder knows.
    #[error("{}: a vocabulary of {tokens} tokens, and the encoder knows {known}: give the encoder's own with --tokenizer", folder.display())]
    Vocabulary {
        /// The folder.
        folder: PathBuf,
        /// Tokens of the vocabulary.
        tokens: usize,
        /// Tokens of the encoder.
        known: usize,
    },
}

impl From<TokenizerError> for ModelError {
    fn from(error: TokenizerError) -> Self {
        Self::BadInput(error.to_string())
    }
}

/// A prompt in token ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens {
    /// Start and end tokens included, padded to the encoder's length.
    pub ids: Vec<u32>,
    /// Tokens of the prompt that were cut off.
    pub dropped: usize,
}

/// What follows a prompt up to CLIP's length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClipPadding {
    /// The end token again: CLIP-L.
    EndToken,
    /// Token 0: CLIP-G.
    ExclamationMark,
}

/// A tokenizer with the encoder's length, framing and padding.
#[derive(Debug)]
pub struct PromptTokenizer {
    inner: Tokenizer,
    folder: PathBuf,
    length: usize,
    start: Option<u32>,
    end: u32,
    padding: u32,
}

impl PromptTokenizer {
    /// CLIP's tokenizer from a folder with `tokenizer.json`, or with `vocab.json` and `merges.txt`.
    ///
    /// `length` is the encoder's: 77. Padding is the token that the folder's config names: CLIP-L pads with its end token,
    /// CLIP-G with `!`.
    ///
    /// # Errors
    /// Bad input for a file that is no tokenizer.
    pub fn clip(folder: &Path, length: usize) -> Result<Self, ModelError> {
        let names = SpecialTokens::read(folder)?;
        let (json, vocabulary) = (folder.join("tokenizer.json"), folder.join("vocab.json"));
        let end = names.get("eos_token", CLIP_END);
        let unknown = names.get("unk_token", &end);
        let inner = if json.is_file() {
            load(&json)?
        } else if vocabulary.is_file() {
            clip_from_pairs(&vocabulary, &folder.join("merges.txt"), &unknown)?
        } else {
            let wanted = "tokenizer.json, or vocab.json and merges.txt";
            return Err(TokenizerError::Missing {
                folder: folder.to_owned(),
                wanted,
            }
            .into());
        };
        let start = names.get("bos_token", CLIP_START);
        let padding = names.get("pad_token", &end);
        Self::framed(inner, folder, length, Some(&start), &end, &padding)
    }

    /// CLIP's own tokenizer, from the program. `padding` is what the encoder's checkpoint pads with.
    ///
    /// # Errors
    /// A program that is damaged.
    pub fn bundled_clip(length: usize, padding: ClipPadding) -> Result<Self, ModelError> {
        let padding = match padding {
            ClipPadding::EndToken => CLIP_END,
            ClipPadding::ExclamationMark => "!",
        };
        Self::framed(
            bundled::clip()?,
            Path::new(bundled::PLACE),
            length,
            Some(CLIP_START),
            CLIP_END,
            padding,
        )
    }

    /// T5's own tokenizer, from the program; `length` counts the end token and padding.
    ///
    /// # Errors
    /// A program that is damaged.
    pub fn bundled_t5(length: usize) -> Result<Self, ModelError> {
        Self::framed(
            bundled::t5()?,
            Path::new(bundled::PLACE),
            length,
            None,
            T5_END,
            T5_PADDING,
        )
    }

    /// T5's tokenizer from a folder with `tokenizer.json`; `length` counts the end token and padding.
    ///
    /// # Errors
    /// As [`Self::clip`].
    pub fn t5(folder: &Path, length: usize) -> Result<Self, ModelError> {
        let json = folder.join("tokenizer.json");
        if !json.is_file() {
            let wanted = "tokenizer.json (transformers writes one from spiece.model when it saves a fast tokenizer)";
            return Err(TokenizerError::Missing {
                folder: folder.to_owned(),
                wanted,
            }
            .into());
        }
        let names = SpecialTokens::read(folder)?;
        let (end, padding) = (names.get("eos_token", T5_END), names.get("pad_token", T5_PADDING));
        Self::framed(load(&json)?, folder, length, None, &end, &padding)
    }

    fn framed(
        mut inner: Tokenizer,
        folder: &Path,
        length: usize,
        start: Option<&str>,
        end: &str,
        padding: &str,
    ) -> Result<Self, ModelError> {
        let id = |token: &str| {
            let missing = || TokenizerError::NoSuchToken {
                folder: folder.to_owned(),
                token: token.to_owned(),
            };
            inner.token_to_id(token).ok_or_else(missing)
        };
        let (start_id, end_id, padding_id) = (start.map(id).transpose()?, id(end)?, id(padding)?);
        // Written in a prompt, these are the tokens themselves, as in transformers.
        let special = [start, Some(end), Some(padding)].into_iter().flatten();
        inner
            .add_special_tokens(special.map(|token| AddedToken::from(token, true)))
            .map_err(|e| unreadable(folder, e))?;
        Ok(Self {
            inner,
            folder: folder.to_owned(),
            length: length.max(2),
            start: start_id,
            end: end_id,
            padding: padding_id,
        })
    }

    /// Refuses a tokenizer with more tokens than its encoder knows.
    pub(super) fn check_vocabulary(&self, known: usize) -> Result<(), ModelError> {
        let tokens = self
            .inner
            .get_vocab(true)
            .values()
            .max()
            .map_or(0, |&id| id as usize + 1);
        if tokens <= known {
            return Ok(());
        }
        Err(TokenizerError::Vocabulary {
            folder: self.folder.clone(),
            tokens,
            known,
        }
        .into())
    }

    /// Tokenizes a prompt: start token, as much of the prompt as fits, end token, padding.
    ///
    /// # Errors
    /// Text that the tokenizer can't take apart.
    pub fn encode(&self, prompt: &str) -> Result<Tokens, ModelError> {
        let encoding = guarded(|| self.inner.encode_fast(prompt, false))
            .map_err(|e| unreadable(&self.folder, e))?
            .map_err(|e| unreadable(&self.folder, e))?;
        let words = encoding.get_ids();
        let room = self.length - 1 - usize::from(self.start.is_some());
        let kept = &words[..words.len().min(room)];
        let mut ids: Vec<u32> = self.start.into_iter().chain(kept.iter().copied()).collect();
        ids.push(self.end);
        ids.resize(self.length, self.padding);
        Ok(Tokens {
            ids,
            dropped: words.len() - kept.len(),
        })
    }
}

/// Special tokens by name, as `tokenizer_config.json` and `special_tokens_map.json` give them.
struct SpecialTokens {
    files: Vec<Value>,
}

impl SpecialTokens {
    fn read(folder: &Path) -> Result<Self, ModelError> {
        let files = ["tokenizer_config.json", "special_tokens_map.json"].map(|name| folder.join(name));
        let present = files.iter().filter(|path| path.is_file());
        Ok(Self {
            files: present.map(|path| read_json(path)).collect::<Result<_, _>>()?,
        })
    }

    /// A token that is written as a string, or as an object with its content.
    fn get(&self, name: &str, default: &str) -> String {
        let content = |file: &Value| {
            let token = file.get(name)?;
            token
                .as_str()
                .or_else(|| token.get("content")?.as_str())
                .map(str::to_owned)
        };
        self.files
            .iter()
            .find_map(content)
            .unwrap_or_else(|| default.to_owned())
    }
}

/// CLIP's tokenizer out of its vocabulary and merges alone.
fn clip_from_pairs(vocabulary: &Path, merges: &Path, unknown: &str) -> Result<Tokenizer, ModelError> {
    if !merges.is_file() {
        let folder = merges.parent().unwrap_or(Path::new(".")).to_owned();
        return Err(TokenizerError::Missing {
            folder,
            wanted: "merges.txt beside vocab.json",
        }
        .into());
    }
    let text = String::from_utf8(read(merges)?).map_err(|e| unreadable(merges, e))?;
    let pairs: Vec<&str> = text
        .lines()
        .filter(|l| !l.starts_with("#version") && !l.trim().is_empty())
        .collect();
    // What can be wrong from here on is a vocabulary of another shape, or a merge of tokens that it doesn't have.
    clip_encoding(read_json(vocabulary)?, &pairs, unknown).map_err(|e| unreadable(merges, e))
}

/// CLIP's byte-pair encoding with that vocabulary (ids by token) and those merges, first ones first.
fn clip_encoding(vocabulary: Value, merges: &[&str], unknown: &str) -> tokenizers::Result<Tokenizer> {
    let description = json!({
        "version": "1.0",
        "normalizer": { "type": "Sequence", "normalizers": [
            { "type": "NFC" },
            { "type": "Replace", "pattern": { "Regex": r"\s+" }, "content": " " },
            { "type": "Lowercase" },
        ] },
        "pre_tokenizer": { "type": "Sequence", "pretokenizers": [
            { "type": "Split", "pattern": { "Regex": CLIP_WORDS }, "behavior": "Removed", "invert": true },
            { "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true },
        ] },
        "model": {
            "type": "BPE", "unk_token": unknown, "end_of_word_suffix": "</w>", "fuse_unk": false,
            "vocab": vocabulary, "merges": merges,
        },
    });
    Tokenizer::from_bytes(description.to_string())
}

fn load(path: &Path) -> Result<Tokenizer, ModelError> {
    let mut tokenizer = parse(&read(path)?, path)?;
    // Cutting off and padding are the prompt tokenizer's.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(|e| unreadable(path, e))?;
    Ok(tokenizer)
}

/// The library panics on some descriptions, such as one with a syntax error inside `decoder`.
fn parse(json: &[u8], path: &Path) -> Result<Tokenizer, ModelError> {
    guarded(|| Tokenizer::from_bytes(json))
        .map_err(|e| unreadable(path, e))?
        .map_err(|e| unreadable(path, e))
}

fn read(path: &Path) -> Result<Vec<u8>, ModelError> {
    regular::read_regular(path, MOST_TEXT_BYTES).map_err(|e| unreadable(path, e))
}

fn read_json(path: &Path) -> Result<Value, ModelError> {
    serde_json::from_slice(&read(path)?).map_err(|e| unreadable(path, e))
}

fn unreadable(path: &Path, reason: impl ToString) -> ModelError {
    let reason = reason.to_string();
    let reason = reason.lines().next().unwrap_or_default().to_owned();
    TokenizerError::Unreadable {
        path: path.to_owned(),
        reason,
    }
    .into()
}
