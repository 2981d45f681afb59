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
//! | `full` | what a step, a validation and a strip of phase 2 are |
//! | `adapter` | the other kind of recipe: an adapter over a Stable Diffusion 3 checkpoint |
//! | `steps` | the loop of both kinds |
//! | `report` | what it tells: tables, `TensorBoard`, validation, sample strips |
//! | `variables`, `gradients`, `optimizer` | seeded variables; sums over batches; `AdamW`, EMA, clipping, learning rate |
//! | `start` | a trained model to go on from |
//! | `state`, `keep` | atomic checkpoints, exact resume; which are kept |
//! | `table`, `room` | CSV files that grow; a full disk |
//!
//! Everything random is keyed by (recipe seed, phase, step), so a resumed run draws what an unbroken one would have.

pub mod adapter;
mod autoencoder;
mod full;
mod gradients;
mod keep;
pub(crate) mod optimizer;
mod pairs;
mod photos;
mod recipe;
pub mod report;
mod room;
mod start;
mod state;
mod steps;
mod table;
mod transform;
mod transformer;
pub(crate) mod variables;

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use mdsd3_words::regular;

pub use adapter::AdapterRecipe;
pub use recipe::Recipe;
pub use report::Report;

use crate::device::Place;
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

    /// Called when the run has something else to tell.
    fn report(&mut self, _report: &Report) {}
}

impl<F: FnMut(&Progress) -> ControlFlow<()>> TrainObserver for F {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self(progress)
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The model folder, or the adapter, is written.
    Finished(PathBuf),
    /// The observer stopped it; the state is saved.
    Stopped,
}

/// A recipe of either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Job {
    /// A whole small model, on the processor in f32.
    Full(Box<Recipe>),
    /// An adapter, on the device and in the dtype that its `base` names.
    Adapter(Box<AdapterRecipe>),
}

impl Job {
    /// Reads a recipe: an adapter's when it says `mode = "adapter"`.
    ///
    /// # Errors
    /// Bad input for a recipe that can't be read, or holds values outside their ranges.
    pub fn open(path: &Path) -> Result<Self, ModelError> {
        let bad = |message: String| ModelError::BadInput(format!("{}: {message}", path.display()));
        let text = regular::read_text(path).map_err(|e| bad(format!("cannot read the recipe ({e})")))?;
        let table: toml::Table = toml::from_str(&text).map_err(|e| bad(e.to_string().trim().replace('\n', " ")))?;
        match table.get("mode").map(|mode| mode.as_str().unwrap_or_default()) {
            None => Ok(Self::Full(Box::new(Recipe::open(path)?))),
            Some("adapter") => Ok(Self::Adapter(Box::new(AdapterRecipe::parse(&text, path)?))),
            Some(other) => Err(bad(format!(
                "mode is {other:?}: write \"adapter\", or leave it out to train a whole small model"
            ))),
        }
    }

    /// Runs it, or resumes it where its saved state is. `device` and `dtype` are an adapter's; a whole model is trained on the
    /// processor in f32.
    ///
    /// # Errors
    /// Bad input for photos or a checkpoint that can't be used, and when the loss is not a number.
    pub fn run(&self, place: &Place, observer: &mut dyn TrainObserver) -> Result<Outcome, ModelError> {
        match self {
            Self::Full(recipe) => run_full(recipe, observer),
            Self::Adapter(recipe) => adapter::run(recipe, place, observer),
        }
    }
}

/// Runs (or resumes) a recipe on the processor in f32.
///
/// # Errors
/// As [`Job::open`] and [`Job::run`].
pub fn run(recipe: &Path, observer: &mut dyn TrainObserver) -> Result<Outcome, ModelError> {
    Job::open(recipe)?.run(&Place::processor(), observer)
}

fn run_full(recipe: &Recipe, observer: &mut dyn TrainObserver) -> Result<Outcome, ModelError> {
    std::fs::create_dir_all(&recipe.output).map_err(|e| ModelError::Io {
        path: recipe.output.clone(),
        source: e,
    })?;
    // Photos take a while; a wrong start is told before.
    start::Start::of(recipe)?;
    let photos = photos::Photos::load(recipe)?;
    if autoencoder::train(recipe, &photos, observer)?.is_break() {
        return Ok(Outcome::Stopped);
    }
    if full::train(recipe, &photos, observer)?.is_break() {
        return Ok(Outcome::Stopped);
    }
    Ok(Outcome::Finished(recipe.output.clone()))
}

#[cfg(test)]
mod tests;
