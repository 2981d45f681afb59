//! What a pipeline asks of a family's network.

use std::any::Any;

use candle_core::{Result, Tensor};

use super::Scene;
use crate::error::ModelError;
use crate::sampler::follow::At;

/// What a network keeps of a scene; only the family that made it looks inside.
pub(crate) type SceneMemory = Box<dyn Any + Send + Sync>;

/// What the branches of one batch are told in words.
pub(crate) struct Words {
    /// `[branches, tokens, width]`
    pub tokens: Tensor,
    /// `[branches, pooled width]`, one row when it is the same for all
    pub pooled: Tensor,
}

/// What one evaluation is conditioned on.
pub(crate) struct Conditions<'a> {
    pub scene: &'a Scene,
    pub words: &'a Words,
    pub at: At,
    /// One row of heads per branch.
    pub masks: &'a [Vec<f32>],
}

/// A network that tells clean latents from noisy ones, and what its family tells it besides.
pub(crate) trait Denoiser: Send + Sync {
    /// Looks at a scene, once for all steps, branches and lanes.
    ///
    /// # Shapes
    /// `latents: [1, channels, height/factor, width/factor]`, in f32.
    fn look_at(&self, latents: &Tensor) -> Result<SceneMemory>;

    /// What becomes of prompts, one per branch.
    ///
    /// # Errors
    /// Bad input for text encoders that can't be read.
    fn words(&self, prompts: &[String]) -> std::result::Result<Words, ModelError>;

    /// The clean-data prediction of a batch of branches.
    ///
    /// # Shapes
    /// `x: [branches, channels, height/factor, width/factor]`, in f32, result likewise.
    fn x0_hat(&self, x: &Tensor, on: &Conditions) -> Result<Tensor>;

    /// What the user should know about a prompt, if anything.
    ///
    /// # Errors
    /// As [`Self::words`].
    fn prompt_note(&self, _prompt: &str) -> std::result::Result<Option<String>, ModelError> {
        Ok(None)
    }

    /// Sets the factor on an adapter's updates; says whether there is an adapter.
    ///
    /// # Errors
    /// A device that fails.
    fn set_strength(&self, _strength: f32) -> std::result::Result<bool, ModelError> {
        Ok(false)
    }
}
