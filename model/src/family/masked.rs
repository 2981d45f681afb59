//! The masked transformer as a pipeline's denoiser: what the families have in common.

use candle_core::{DType, Result, Tensor};

use super::context::Context;
use crate::adapter::Strength;
use crate::device::Place;
use crate::error::ModelError;
use crate::mmdit::{CleanCache, Conditioning, Mmdit};
use crate::pipeline::{Conditions, Denoiser, SceneMemory, Words};
use crate::sampler::prediction::Prediction;
use crate::sampler::schedule;

/// A transformer, its words, and what its output means.
pub(super) struct MaskedTransformer {
    pub transformer: Mmdit,
    pub context: Context,
    pub prediction: Prediction,
    /// Whether the grid of tokens moves by half a token every second step.
    pub alternating_grid: bool,
    pub strength: Option<Strength>,
    pub place: Place,
}

impl Denoiser for MaskedTransformer {
    fn look_at(&self, latents: &Tensor) -> Result<SceneMemory> {
        let caches = if self.transformer.has_clean_path() {
            let latents = latents.to_dtype(self.place.dtype)?;
            self.transformer.clean_caches(&latents, None, self.alternating_grid)?
        } else {
            Vec::new()
        };
        Ok(Box::new(caches))
    }

    fn words(&self, prompts: &[String]) -> std::result::Result<Words, ModelError> {
        self.context.words(prompts, &self.place)
    }

    fn x0_hat(&self, x: &Tensor, on: &Conditions) -> Result<Tensor> {
        let Some(caches) = on.scene.memory.downcast_ref::<Vec<CleanCache>>() else {
            candle_core::bail!("this scene was encoded by a model of another family")
        };
        let (batch, sigma) = (x.dim(0)?, on.at.sigma);
        let config = self.transformer.config();
        let heads = (batch, config.num_attention_heads);
        let mask = Tensor::from_vec(on.masks.concat(), heads, &self.place.device)?.to_dtype(self.place.dtype)?;
        let conditioning = Conditioning {
            timestep: &Tensor::full(schedule::timestep(sigma), 1, &self.place.device)?,
            context: &on.words.tokens,
            pooled: &on.words.pooled,
            mask: (!config.classes.is_empty()).then_some(&mask),
            clean: caches.get(on.at.step % caches.len().max(1)),
            origin: None,
        };
        let network = |input: &Tensor| {
            let output = self
                .transformer
                .forward(&input.to_dtype(self.place.dtype)?, &conditioning)?;
            output.to_dtype(DType::F32)
        };
        self.prediction
            .x0_hat(x, &on.scene.latents, &vec![sigma; batch], on.masks, network)
    }

    fn prompt_note(&self, prompt: &str) -> std::result::Result<Option<String>, ModelError> {
        let Context::Text(encoders) = &self.context else {
            return Ok(None);
        };
        let dropped = encoders.dropped_tokens(prompt)?;
        Ok((dropped > 0).then(|| {
            format!("the prompt is {dropped} tokens too long for CLIP, which reads its beginning only; shorten it")
        }))
    }

    fn set_strength(&self, strength: f32) -> std::result::Result<bool, ModelError> {
        let Some(factor) = &self.strength else {
            return Ok(false);
        };
        // An adapter may have updates of the text encoders too.
        if let Context::Text(encoders) = &self.context {
            encoders.forget();
        }
        factor.set(strength)?;
        Ok(true)
    }
}
