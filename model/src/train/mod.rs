//! The trainer behind `mdsd3 train RECIPE.toml`: from photos to a model folder, resumable at any moment.
//!
//! | file | what |
//! |---|---|
//! | `recipe` | the TOML file: every size, rate and seed |
//! | `photos` | clean photos of a split, scaled and cropped |
//! | `transform` | the linear patch transform that the autoencoder starts from |
//! | `autoencoder` | phase 1: the autoencoder's corrections |
//! | `pairs` | scene and degraded latents, prepared once; each class's prior |
//! | `transformer` | phase 2: flow matching plus focal frequency loss |
//! | `variables`, `optimizer` | seeded variables; `AdamW`, EMA, clipping, learning rate |
//! | `state` | atomic checkpoints, exact resume |
//!
//! Everything random is keyed by (recipe seed, phase, step), so a resumed run draws what an unbroken one would have.

mod autoencoder;
mod log;
mod optimizer;
mod pairs;
mod photos;
mod recipe;
mod state;
mod transform;
mod transformer;
mod variables;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use recipe::Recipe;

use crate::error::ModelError;

/// A moment of a training run.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    /// What is being done, such as "transformer, 64 px".
    pub phase: String,
    /// Steps done in this phase.
    pub step: usize,
    /// Steps of this phase.
    pub steps: usize,
    /// Mean loss since the last report; `None` where nothing is being minimised.
    pub loss: Option<f32>,
    /// Training samples per second.
    pub samples_per_sec: f32,
}

/// Sees a run's progress and may stop it; a stopped run is saved and resumes where it was.
pub trait TrainObserver {
    /// Called every few steps.
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()>;
}

impl<F: FnMut(&Progress) -> ControlFlow<()>> TrainObserver for F {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The model folder is written.
    Finished(PathBuf),
    /// The observer stopped it; the state is saved.
    Stopped,
}

/// Runs (or resumes) a recipe and writes the model folder.
///
/// # Errors
/// Bad input for a recipe that cannot be read or photos that are not there; `BadInput` too when the loss is not a number.
pub fn run(recipe: &Path, observer: &mut dyn TrainObserver) -> Result<Outcome, ModelError> {
    let recipe = Recipe::open(recipe)?;
    std::fs::create_dir_all(&recipe.output).map_err(|e| ModelError::Io {
        path: recipe.output.clone(),
        source: e,
    })?;
    let photos = photos::Photos::load(&recipe)?;
    if autoencoder::train(&recipe, &photos, observer)?.is_break() {
        return Ok(Outcome::Stopped);
    }
    if transformer::train(&recipe, &photos, observer)?.is_break() {
        return Ok(Outcome::Stopped);
    }
    Ok(Outcome::Finished(recipe.output))
}

#[cfg(test)]
mod tests;
