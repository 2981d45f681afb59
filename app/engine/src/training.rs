//! Training from a recipe: a whole small model, or an adapter over a Stable Diffusion 3 checkpoint.
//!
//! `mdsd3 train` runs a [`Job`] on its own thread of execution; the studio's Training pane has a [`Trainer`] run it on one
//! beside the worker, so that a mix can be made while a training goes on.

mod trainer;

use std::path::Path;

use mdsd3_model::device::Place;
use mdsd3_model::train;
use mdsd3_words::device::{ComputeDevice, ComputeDtype};
use mdsd3_words::{ModelParts, ModelSettings};

use crate::error::EngineError;

pub use mdsd3_model::train::adapter::{Budget, Part, Skipped};
pub use mdsd3_model::train::report::{BINS, StepNumbers, ValidationNumbers, bin_name};
pub use mdsd3_model::train::{Outcome, Progress, Report, TrainObserver};
pub use trainer::{Trainer, TrainingEvent, TrainingRequest};

/// A recipe that has been read, with the device it runs on.
pub struct Job {
    recipe: train::Job,
    device: ComputeDevice,
    dtype: ComputeDtype,
}

impl Job {
    /// Reads a recipe. `device` and `dtype` take the place of an adapter recipe's own.
    ///
    /// # Errors
    /// [`EngineError`] for a recipe that can't be read, and for a device that this build doesn't have.
    pub fn open(recipe: &Path, device: Option<&str>, dtype: Option<&str>) -> Result<Self, EngineError> {
        let job = train::Job::open(recipe)?;
        let (own_device, own_dtype) = match &job {
            train::Job::Full(_) if device.is_some() || dtype.is_some() => {
                return Err(EngineError::bad_input(format!(
                    "{}: a whole small model is trained on the processor in f32; device and dtype are for adapters",
                    recipe.display()
                )));
            }
            train::Job::Full(_) => ("cpu", "f32"),
            train::Job::Adapter(recipe) => (recipe.base.device.as_str(), recipe.base.dtype.as_str()),
        };
        let device: ComputeDevice = device.unwrap_or(own_device).parse()?;
        let dtype = dtype.unwrap_or(own_dtype).parse()?;
        device.check_built_in()?;
        Ok(Self {
            recipe: job,
            device,
            dtype,
        })
    }

    /// The memory that it will need, from headers alone; `None` for a whole small model.
    ///
    /// # Errors
    /// [`EngineError`] for a checkpoint that can't be used.
    pub fn budget(&self) -> Result<Option<Budget>, EngineError> {
        match &self.recipe {
            train::Job::Full(_) => Ok(None),
            train::Job::Adapter(recipe) => Ok(Some(train::adapter::budget(recipe, self.dtype)?)),
        }
    }

    /// The model to load to use what was written to `path`: the folder of a small model, or the base with its new adapter.
    fn trained(&self, path: &Path) -> ModelSettings {
        let (model, parts) = match &self.recipe {
            train::Job::Full(_) => (path, ModelParts::default()),
            train::Job::Adapter(recipe) => {
                let base = &recipe.base;
                let parts = ModelParts {
                    vae: base.vae.clone(),
                    text_encoder: base.text_encoder.iter().cloned().collect(),
                    tokenizer: base.tokenizer.clone(),
                    adapter: Some(path.to_owned()),
                    heads: base.heads,
                    ..ModelParts::default()
                };
                (base.model.as_path(), parts)
            }
        };
        ModelSettings {
            path: Some(model.to_owned()),
            parts,
            device: self.device.to_string(),
            dtype: self.dtype.to_string(),
        }
    }

    /// Runs it, or resumes it where its saved state is.
    ///
    /// # Errors
    /// [`EngineError`] for data or a checkpoint that can't be used, and for a loss that is no longer a number.
    pub fn run(&self, observer: &mut dyn TrainObserver) -> Result<Outcome, EngineError> {
        Ok(self.recipe.run(&Place::open(self.device, self.dtype)?, observer)?)
    }
}
