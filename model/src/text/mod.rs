//! Prompts to what the transformer is conditioned on: SD3's three text encoders (Esser et al. 2024, section 4).
//!
//! | file | what |
//! |---|---|
//! | `tokenizer` | prompts to token ids, by the files that come with a checkpoint or those in the program |
//! | `clip` | the CLIP text encoders L and G (Radford et al. 2021) |
//! | `t5` | the T5 encoder (Raffel et al. 2020) |
//! | `attention` | what both encoders share |
//! | `outline` | weights checked by their headers alone |
//!
//! **Encoders hold no weights.** T5-XXL has 4.7 thousand million parameters, and a prompt is encoded once and then kept:
//! so each layer is read from the mapped checkpoint when its turn comes, runs in f32, and is freed. A prompt costs one
//! pass over the files; memory holds one layer (at most 0.8 GB, in T5-XXL) or one vocabulary table at a time. Names
//! and shapes are checked when the encoders are opened, so a checkpoint that lacks a tensor is refused before any work.

mod attention;
mod clip;
mod outline;
mod t5;
mod tokenizer;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use candle_core::{DType, Device, Tensor};

pub(crate) use attention::Linear;
pub use clip::{ClipConfig, ClipEncoder, ClipOutput};
pub use t5::{T5Config, T5Encoder};
pub use tokenizer::{ClipPadding, PromptTokenizer, TokenizerError, Tokens};

use crate::adapter::Adapted;
use crate::error::ModelError;
use crate::io::layout::{PartSource, TEXT_PARTS, TextSources};

/// Tokens that T5 reads of a prompt, as in diffusers.
pub const T5_TOKENS: usize = 256;
/// Encoded prompts that are kept: at most 90 MB at SD3's sizes.
const KEPT_PROMPTS: usize = 16;

/// A prompt as the transformer takes it.
#[derive(Debug, Clone)]
pub struct EncodedPrompt {
    /// Context tokens: `[1, 77 + 256, joint width]`.
    pub embeds: Tensor,
    /// Both CLIP vectors of the whole prompt: `[1, pooled width]`.
    pub pooled: Tensor,
}

/// Token ids of a prompt, one row per encoder, padded to the encoder's length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PromptIds {
    /// For CLIP-L.
    pub clip_l: Vec<u32>,
    /// For CLIP-G.
    pub clip_g: Vec<u32>,
    /// For T5, when there is one.
    pub t5: Option<Vec<u32>>,
}

struct Clip {
    tokenizer: PromptTokenizer,
    encoder: ClipEncoder,
}

struct T5 {
    tokenizer: PromptTokenizer,
    encoder: T5Encoder,
}

/// The text encoders of a checkpoint, with the prompts encoded last.
pub struct TextEncoders {
    clip_l: Clip,
    clip_g: Clip,
    t5: Option<T5>,
    joint_width: usize,
    dtype: DType,
    device: Device,
    /// Most recently used first.
    kept: Mutex<VecDeque<(String, EncodedPrompt)>>,
}

impl TextEncoders {
    /// Opens the encoders and tokenizers of a checkpoint; only headers and tokenizer files are read.
    ///
    /// `joint_width` is the transformer's `joint_attention_dim`; `dtype` and `device` are those of the results.
    ///
    /// # Errors
    /// Bad input when CLIP-L or CLIP-G is missing, a tokenizer is damaged or another encoder's, or widths don't fit. T5 may be absent: its tokens
    /// are zeros then, as in diffusers.
    pub fn open(sources: &TextSources, joint_width: usize, dtype: DType, device: &Device) -> Result<Self, ModelError> {
        let t5 = sources.encoders[2]
            .as_ref()
            .map(|part| open_t5(part, sources.tokenizers[2].as_deref(), joint_width, device))
            .transpose()?;
        let encoders = Self {
            clip_l: open_clip(sources, 0, device)?,
            clip_g: open_clip(sources, 1, device)?,
            t5,
            joint_width,
            dtype,
            device: device.clone(),
            kept: Mutex::default(),
        };
        let clip_width = encoders.clip_l.encoder.width() + encoders.clip_g.encoder.width();
        if clip_width > joint_width {
            return Err(ModelError::BadInput(format!(
                "the CLIP encoders are {clip_width} wide together and the transformer takes {joint_width}: do they belong to this model?"
            )));
        }
        Ok(encoders)
    }

    /// Reads the weights of encoders through an adapter, where it has updates of them.
    pub fn adapt(&mut self, encoders: &[Option<Adapted>; 3]) {
        let builder = |adapted: &Adapted| adapted.builder(DType::F32, &self.device);
        let [l, g, t5] = encoders.each_ref().map(|adapted| adapted.as_ref().map(builder));
        for (encoder, vb) in [(&mut self.clip_l.encoder, l), (&mut self.clip_g.encoder, g)] {
            if let Some(vb) = vb {
                encoder.read_through(vb);
            }
        }
        if let (Some(own), Some(vb)) = (&mut self.t5, t5) {
            own.encoder.read_through(vb);
        }
    }

    /// Whether T5 takes part; without it its tokens are zeros.
    pub fn has_t5(&self) -> bool {
        self.t5.is_some()
    }

    /// Width of [`EncodedPrompt::pooled`].
    pub fn pooled_width(&self) -> usize {
        self.clip_l.encoder.projection_width() + self.clip_g.encoder.projection_width()
    }

    /// Token ids of a prompt.
    ///
    /// # Errors
    /// Bad input for tokenizers that can't be read.
    pub fn token_ids(&self, prompt: &str) -> Result<PromptIds, ModelError> {
        let t5 = self.t5.as_ref().map(|t5| t5.tokenizer.encode(prompt)).transpose()?;
        Ok(PromptIds {
            clip_l: self.clip_l.tokenizer.encode(prompt)?.ids,
            clip_g: self.clip_g.tokenizer.encode(prompt)?.ids,
            t5: t5.map(|tokens| tokens.ids),
        })
    }

    /// How many of a prompt's tokens CLIP has no room for.
    ///
    /// # Errors
    /// As [`Self::token_ids`].
    pub fn dropped_tokens(&self, prompt: &str) -> Result<usize, ModelError> {
        Ok(self.clip_l.tokenizer.encode(prompt)?.dropped)
    }

    /// Encodes a prompt, or takes it from those encoded last.
    ///
    /// # Errors
    /// Bad input for tokenizers or encoders that can't be read.
    pub fn encode(&self, prompt: &str) -> Result<EncodedPrompt, ModelError> {
        if let Some(kept) = self.recall(prompt) {
            return Ok(kept);
        }
        let encoded = self.encode_now(prompt)?;
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(KEPT_PROMPTS - 1);
        kept.push_front((prompt.to_owned(), encoded.clone()));
        Ok(encoded)
    }

    /// Forgets the prompts that are kept.
    pub fn forget(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn recall(&self, prompt: &str) -> Option<EncodedPrompt> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.iter().position(|(key, _)| key == prompt)?;
        let entry = kept.remove(index)?;
        let encoded = entry.1.clone();
        kept.push_front(entry);
        Some(encoded)
    }

    /// SD3's concatenation: both CLIP sequences side by side, widened with zeros to T5's width, then T5's tokens.
    fn encode_now(&self, prompt: &str) -> Result<EncodedPrompt, ModelError> {
        let l = self.clip_l.encode(prompt, &self.device)?;
        let g = self.clip_g.encode(prompt, &self.device)?;
        let clip = Tensor::cat(&[&l.penultimate, &g.penultimate], 2)?;
        let clip = clip.pad_with_zeros(2, 0, self.joint_width - clip.dim(2)?)?;
        let t5 = match &self.t5 {
            Some(t5) => t5
                .encoder
                .encode(&ids_tensor(&t5.tokenizer.encode(prompt)?.ids, &self.device)?)?,
            None => Tensor::zeros((1, T5_TOKENS, self.joint_width), DType::F32, &self.device)?,
        };
        Ok(EncodedPrompt {
            embeds: Tensor::cat(&[&clip, &t5], 1)?.to_dtype(self.dtype)?,
            pooled: Tensor::cat(&[&l.pooled, &g.pooled], 1)?.to_dtype(self.dtype)?,
        })
    }
}

impl Clip {
    fn encode(&self, prompt: &str, device: &Device) -> Result<ClipOutput, ModelError> {
        self.encoder
            .encode(&ids_tensor(&self.tokenizer.encode(prompt)?.ids, device)?)
    }
}

fn ids_tensor(ids: &[u32], device: &Device) -> candle_core::Result<Tensor> {
    Tensor::new(ids, device)?.unsqueeze(0)
}

/// `index` is 0 for CLIP-L and 1 for CLIP-G.
fn open_clip(sources: &TextSources, index: usize, device: &Device) -> Result<Clip, ModelError> {
    let part = sources.encoders[index].as_ref().ok_or_else(|| {
        ModelError::BadInput(format!(
            "the checkpoint has no {} text encoder: give one with --text-encoder",
            TEXT_PARTS[index]
        ))
    })?;
    let config: ClipConfig = config_of(part, index)?;
    let encoder = ClipEncoder::open(&config, &part.weights, device)?;
    let (length, padding) = (
        config.max_position_embeddings,
        [ClipPadding::EndToken, ClipPadding::ExclamationMark][index],
    );
    let tokenizer = match &sources.tokenizers[index] {
        Some(folder) => PromptTokenizer::clip(folder, length)?,
        None => PromptTokenizer::bundled_clip(length, padding)?,
    };
    tokenizer.check_vocabulary(config.vocab_size)?;
    Ok(Clip { tokenizer, encoder })
}

fn open_t5(part: &PartSource, tokenizer: Option<&Path>, joint_width: usize, device: &Device) -> Result<T5, ModelError> {
    let config: T5Config = config_of(part, 2)?;
    if config.d_model != joint_width {
        return Err(ModelError::BadInput(format!(
            "{}: this T5 is {} wide and the transformer takes {joint_width}: does it belong to this model?",
            part.weights.name(),
            config.d_model
        )));
    }
    let encoder = T5Encoder::open(&config, &part.weights, device)?;
    // Repositories that have sentencepiece's file alone have T5's own, as the program does.
    let tokenizer = match tokenizer
        .filter(|folder| !folder.join("spiece.model").is_file() || folder.join("tokenizer.json").is_file())
    {
        Some(folder) => PromptTokenizer::t5(folder, T5_TOKENS)?,
        None => PromptTokenizer::bundled_t5(T5_TOKENS)?,
    };
    tokenizer.check_vocabulary(config.vocab_size)?;
    Ok(T5 { tokenizer, encoder })
}

fn config_of<T: serde::de::DeserializeOwned>(part: &PartSource, index: usize) -> Result<T, ModelError> {
    serde_json::from_value(part.config.clone()).map_err(|e| {
        ModelError::BadInput(format!(
            "{}: the config of {} can't be used ({e})",
            part.weights.name(),
            TEXT_PARTS[index]
        ))
    })
}

#[cfg(test)]
mod tests;
