//! Golden cases recomputed, for `mdsd3 parity`.

use std::path::Path;

use mdsd3_model::device::Place;
use mdsd3_model::parity;
use mdsd3_words::device::{ComputeDevice, ComputeDtype};

use crate::error::RenderError;

pub use mdsd3_model::parity::{Case, Report};

/// Recomputes every case in a folder (one folder per case, or a case itself) on a device, in f32.
///
/// # Errors
/// [`RenderError::BadInput`] for a device that can't be opened, [`RenderError::Model`] when the folder holds no case or a file
/// in it can't be used.
pub fn run(goldens: &Path, device: &str) -> Result<Report, RenderError> {
    let device: ComputeDevice = device.parse()?;
    Ok(parity::run(goldens, &Place::open(device, ComputeDtype::F32)?)?)
}
