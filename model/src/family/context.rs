//! What the context stream hears: learned tokens, or an encoded prompt.

use candle_core::{Result, Tensor};

use crate::config::MiniConfig;
use crate::device::Place;
use crate::error::ModelError;
use crate::io::builder::Builder;
use crate::pipeline::Words;
use crate::text::{EncodedPrompt, TextEncoders};

/// Learned tokens that stand in for encoded text: `[1, tokens, width]` and `[1, pooled width]`.
pub struct LearnedContext {
    /// Context tokens.
    pub tokens: Tensor,
    /// Pooled vector.
    pub pooled: Tensor,
}

impl LearnedContext {
    /// From a checkpoint's tensors or fresh variables.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn new(config: &MiniConfig, vb: Builder) -> Result<Self> {
        let init = candle_nn::Init::Randn { mean: 0.0, stdev: 1.0 };
        let transformer = &config.transformer;
        Ok(Self {
            tokens: vb.get_with_hints(
                (1, config.context_tokens, transformer.joint_attention_dim),
                "tokens",
                init,
            )?,
            pooled: vb.get_with_hints((1, transformer.pooled_projection_dim), "pooled", init)?,
        })
    }
}

/// Where a transformer's context comes from.
pub(super) enum Context {
    Learned(LearnedContext),
    Text(Box<TextEncoders>),
}

impl Context {
    /// What becomes of prompts, one per branch.
    ///
    /// # Errors
    /// Bad input for text encoders that can't be read.
    pub fn words(&self, prompts: &[String], place: &Place) -> std::result::Result<Words, ModelError> {
        match self {
            Self::Learned(learned) => {
                let (_, tokens, width) = learned.tokens.dims3()?;
                Ok(Words {
                    tokens: learned
                        .tokens
                        .broadcast_as((prompts.len(), tokens, width))?
                        .contiguous()?,
                    pooled: learned.pooled.clone(),
                })
            }
            Self::Text(encoder) => {
                let encoded = prompts.iter().map(|prompt| encoder.encode(prompt));
                let encoded: Vec<EncodedPrompt> = encoded.collect::<std::result::Result<_, _>>()?;
                let join = |encoded: &[EncodedPrompt], part: fn(&EncodedPrompt) -> &Tensor| -> Result<Tensor> {
                    Tensor::cat(&encoded.iter().map(part).collect::<Vec<_>>(), 0)?
                        .to_device(&place.device)?
                        .to_dtype(place.dtype)
                };
                let same = prompts.iter().all(|prompt| *prompt == prompts[0]);
                let pooled = if same {
                    &encoded[..encoded.len().min(1)]
                } else {
                    &encoded
                };
                Ok(Words {
                    tokens: join(&encoded, |e| &e.embeds)?,
                    pooled: join(pooled, |e| &e.pooled)?,
                })
            }
        }
    }
}
