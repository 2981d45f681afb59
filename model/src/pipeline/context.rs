//! What the context stream hears: learned tokens, or an encoded prompt.

use candle_core::{DType, Device, Result, Tensor};

use super::{Lane, SampleSettings};
use crate::config::MiniConfig;
use crate::error::ModelError;
use crate::io::builder::Builder;
use crate::mix::Mix;
use crate::text::{EncodedPrompt, TextEncoders};

/// The prompt of the clean branch (the notes' word for a scene without degradation).
pub(crate) const CLEAN_PROMPT: &str = "clean";

/// Learned tokens that stand in for encoded text: `[1, tokens, width]` and `[1, pooled width]`.
pub struct LearnedContext {
    /// Context tokens.
    pub tokens: Tensor,
    /// Pooled vector.
    pub pooled: Tensor,
}

impl LearnedContext {
    /// From a checkpoint's tensors or fresh variables.
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

/// Where a pipeline's context comes from.
pub(super) enum Context {
    Learned(LearnedContext),
    Text(Box<TextEncoders>),
}

/// The context of one batch of branches.
pub(super) struct BatchContext {
    /// `[branches, tokens, joint_attention_dim]`
    pub tokens: Tensor,
    /// `[branches, pooled_projection_dim]`, one row when it is the same for all
    pub pooled: Tensor,
}

impl Context {
    /// The context of the lanes and, when `guided`, of as many clean branches behind them.
    ///
    /// `masked` says whether the checkpoint has classes, whose mask silences the clean branch's context.
    pub fn batch(
        &self,
        lanes: &[Lane],
        settings: &SampleSettings,
        masked: bool,
        on: (DType, &Device),
    ) -> std::result::Result<BatchContext, ModelError> {
        let guided = super::is_guided(settings.guidance);
        match self {
            Self::Learned(learned) => {
                let batch = lanes.len() * if guided { 2 } else { 1 };
                let (_, tokens, width) = learned.tokens.dims3()?;
                Ok(BatchContext {
                    tokens: learned.tokens.broadcast_as((batch, tokens, width))?.contiguous()?,
                    pooled: learned.pooled.clone(),
                })
            }
            Self::Text(encoder) => {
                let mut prompts: Vec<String> = lanes
                    .iter()
                    .map(|lane| prompt_of(settings.prompt.as_deref(), &lane.mix))
                    .collect();
                if guided {
                    prompts.extend(vec![clean_prompt(settings, masked); lanes.len()]);
                }
                let encoded: Vec<EncodedPrompt> = prompts
                    .iter()
                    .map(|prompt| encoder.encode(prompt))
                    .collect::<std::result::Result<_, _>>()?;
                let join = |encoded: &[EncodedPrompt], part: fn(&EncodedPrompt) -> &Tensor| -> Result<Tensor> {
                    Tensor::cat(&encoded.iter().map(part).collect::<Vec<_>>(), 0)?
                        .to_device(on.1)?
                        .to_dtype(on.0)
                };
                let same = prompts.iter().all(|prompt| *prompt == prompts[0]);
                Ok(BatchContext {
                    tokens: join(&encoded, |e| &e.embeds)?,
                    pooled: join(
                        if same {
                            &encoded[..encoded.len().min(1)]
                        } else {
                            &encoded
                        },
                        |e| &e.pooled,
                    )?,
                })
            }
        }
    }
}

/// What the user typed, or the names of the classes with a ratio above 0.
pub(super) fn prompt_of(prompt: Option<&str>, mix: &Mix) -> String {
    let named = || mix.active().map(|(class, _)| class).collect::<Vec<_>>().join(" ");
    prompt.map_or_else(named, str::to_owned)
}

/// The clean branch's prompt. A checkpoint without classes has no mask to silence its context, so there the branch is
/// plain classifier-free guidance, whose prompt is empty.
fn clean_prompt(settings: &SampleSettings, masked: bool) -> String {
    let default = if masked { CLEAN_PROMPT } else { "" };
    settings.negative_prompt.clone().unwrap_or_else(|| default.to_owned())
}
