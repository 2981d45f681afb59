//! What a model is, without loading it: for `mdsd3 info` and the Model pane.

use std::path::Path;

use mdsd3_model::family::own_files;
use mdsd3_words::{ModelParts, ModelSettings};

pub use mdsd3_model::inspect::{MemoryReport, ModelReport, PartReport};

use crate::bundled;
use crate::error::RenderError;
use crate::loaded;

/// Looks at a model folder or file, or at the bundled model.
///
/// # Errors
/// [`RenderError::Model`] when it is no model, damaged, or of another family.
pub fn inspect(path: Option<&Path>, parts: &ModelParts) -> Result<ModelReport, RenderError> {
    match path {
        Some(path) => Ok(mdsd3_model::family::inspect(path, parts)?),
        None => bundled::inspect_model(),
    }
}

/// SHA-256 of a model: of its weights file, or over the hashes of its files when they are several.
pub fn sha256(path: Option<&Path>, parts: &ModelParts) -> Result<String, RenderError> {
    match path {
        Some(path) => loaded::sha256_of_model(path, parts.adapter.as_deref()),
        None => bundled::model_sha256(),
    }
}

/// [`sha256`] of a model that is small, which those of this program are; `None` for others and for what can't be read.
pub fn quick_sha256(key: &ModelSettings) -> Option<String> {
    let path = key.path.as_deref();
    let is_small = path.is_none_or(|path| own_files(path).is_some());
    is_small.then(|| sha256(path, &key.parts).ok())?
}
