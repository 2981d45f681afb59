//! Families of models: how each is told from others, opened and described.
//!
//! | file | what |
//! |---|---|
//! | `mini` | this program's own model folders |
//! | `sd3` | Stable Diffusion 3 checkpoints, with or without an adapter |
//! | `masked` | the masked transformer as a pipeline's denoiser, which both are |
//! | `context` | what its context stream hears: learned tokens, or encoded prompts |
//!
//! To add one: a `Family` in a folder of its own, and its line in `FAMILIES`. What it must bring is a `Denoiser`
//! (`pipeline/denoiser.rs`) and an autoencoder; sampling, guidance, previews and everything above know no family.
//! ([`io::layout::Family`](crate::io::layout::Family) is another list: what to call the files of models that are refused.)

mod context;
mod masked;
mod mini;
mod sd3;

use std::path::{Path, PathBuf};

use mdsd3_words::ModelParts;

use crate::device::Place;
use crate::error::ModelError;
use crate::inspect::ModelReport;
use crate::io::checkpoint::Weights;
use crate::io::layout::resolved;
use crate::pipeline::Pipeline;
pub use context::LearnedContext;
pub use mini::files as own_files;
pub(crate) use mini::{find as find_mini, priors as mini_priors};

/// What is `None` in an answer is another family's.
type Answer<T> = Result<Option<T>, ModelError>;

/// A family of models.
trait Family: Sync {
    /// Opens the model at a path that exists.
    fn open(&self, path: &Path, parts: &ModelParts, place: &Place) -> Answer<Pipeline>;

    /// Describes the model at a path without loading it.
    fn inspect(&self, path: &Path, parts: &ModelParts) -> Answer<ModelReport>;

    /// The files that tell one model from another, in order.
    fn identity_files(&self, path: &Path) -> Answer<Vec<PathBuf>>;
}

/// In the order in which they are asked. The last takes what is nobody else's, and says what is wrong with it.
const FAMILIES: [&dyn Family; 2] = [&mini::Mini, &sd3::Sd3];

/// The answer of the family that a path belongs to.
fn first<T>(path: &Path, ask: impl Fn(&dyn Family) -> Answer<T>) -> Result<T, ModelError> {
    for family in FAMILIES {
        if let Some(answer) = ask(family)? {
            return Ok(answer);
        }
    }
    Err(at_path(path, ModelError::BadInput("a model of no known family".into())))
}

/// The files that tell one model from another, in order: a Stable Diffusion 3 transformer's weights, or weights and
/// `config.json` of a model of this program.
///
/// # Errors
/// Bad input when there is no model at the path.
pub fn identity_files(path: &Path) -> Result<Vec<PathBuf>, ModelError> {
    first(path, |family| family.identity_files(path))
}

/// Looks at a model folder or file without loading it.
///
/// # Errors
/// Bad input when it is no model, damaged, or of another family.
pub fn inspect(path: &Path, parts: &ModelParts) -> Result<ModelReport, ModelError> {
    first(path, |family| family.inspect(path, parts))
}

/// Looks at a model of this program that is embedded in it.
///
/// # Errors
/// Bad input when it is damaged.
pub fn inspect_embedded(config_json: &str, weights: &[u8]) -> Result<ModelReport, ModelError> {
    mini::report::report(config_json, &Weights::parse(weights, "in the program")?)
}

impl Pipeline {
    /// Opens a model: a folder of this program (`config.json` and `model.safetensors`) or the safetensors file in one, a
    /// diffusers folder, or a single-file checkpoint.
    ///
    /// # Errors
    /// Bad input when a file is missing or damaged, tensors are missing, unknown or of the wrong shape, or the checkpoint
    /// is of another family.
    pub fn open(path: &Path, place: &Place) -> Result<Self, ModelError> {
        Self::open_with(path, &ModelParts::default(), place)
    }

    /// As [`Self::open`], some parts coming from their own paths.
    ///
    /// # Errors
    /// As [`Self::open`], and for parts that the model has no use for.
    pub fn open_with(path: &Path, parts: &ModelParts, place: &Place) -> Result<Self, ModelError> {
        let path = &resolved(path)?;
        first(path, |family| family.open(path, parts, place))
    }

    /// Opens a model of this program that is embedded in it.
    ///
    /// # Errors
    /// Bad input as for [`Self::open`].
    pub fn from_parts(config_json: &str, weights: &[u8], place: &Place) -> Result<Self, ModelError> {
        let weights = Weights::parse(weights, "the bundled model")?;
        mini::build(config_json, &weights, place)
    }
}

/// An error about input, with the path in front unless what read the file named it already.
fn at_path(path: &Path, error: ModelError) -> ModelError {
    let message = error.to_string();
    if error.is_bad_input() && !message.starts_with(&*path.to_string_lossy()) {
        return ModelError::BadInput(format!("{}: {message}", path.display()));
    }
    error
}
