//! Golden cases recomputed, for `mdsd3 parity`.

use std::path::Path;

use mdsd3_model::parity;

use crate::error::EngineError;

pub use mdsd3_model::parity::{Case, Report};

/// Recomputes every case in a folder (one folder per case, or a case itself).
///
/// # Errors
/// [`EngineError::Model`] when the folder holds no case or a file in it can't be used.
pub fn run(goldens: &Path) -> Result<Report, EngineError> {
    Ok(parity::run(goldens)?)
}
