//! Training a model from a recipe, for `mdsd3 train`.

use std::path::Path;

use mdsd3_model::train;

use crate::error::EngineError;

pub use mdsd3_model::train::{Outcome, Progress, TrainObserver};

/// Runs a recipe, or resumes it where its saved state is, and writes the model folder.
///
/// # Errors
/// [`EngineError::Model`] for a recipe or photos that can't be used, and for a loss that is no longer a number.
pub fn run(recipe: &Path, observer: &mut dyn TrainObserver) -> Result<Outcome, EngineError> {
    Ok(train::run(recipe, observer)?)
}
