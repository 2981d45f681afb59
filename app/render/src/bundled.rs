//! What the binary carries: the small model and one demo photo, so that it runs from anywhere, offline.

use std::path::{Path, PathBuf};

use mdsd3_model::config::MiniConfig;
use mdsd3_model::device::Place;
use mdsd3_model::family::inspect_embedded;
use mdsd3_model::inspect::ModelReport;
use mdsd3_model::io::find::check_photo;
use mdsd3_model::pipeline::Pipeline;
use mdsd3_words::hash::{sha256_hex, sha256_of_parts};

use crate::error::RenderError;

#[cfg(bundled_model)]
static MODEL: Option<(&str, &[u8])> = Some((
    include_str!("../../../assets/models/mini/config.json"),
    include_bytes!("../../../assets/models/mini/model.safetensors"),
));
#[cfg(not(bundled_model))]
static MODEL: Option<(&str, &[u8])> = None;

/// The default scene: a far horizon for haze, a dark and contrasty middle for rain (licence in assets/ASSETS.md).
pub static DEMO_PHOTO: &[u8] = include_bytes!("../../../assets/photos/pont-du-gard.jpg");

/// Its file's name, where it is written out.
pub const DEMO_PHOTO_FILE: &str = "pont-du-gard.jpg";

pub use mdsd3_model::io::photo::EXTENSIONS as PHOTO_EXTENSIONS;

/// What ratios of the bundled model amount to.
#[cfg(bundled_model)]
pub(crate) static CALIBRATION: &str = include_str!("../../../assets/models/mini/calibration.json");
#[cfg(not(bundled_model))]
pub(crate) static CALIBRATION: &str = "{}";

/// Size of the bundled model in bytes; `None` when this build has none.
pub fn model_bytes() -> Option<u64> {
    MODEL.map(|(config, weights)| (config.len() + weights.len()) as u64)
}

/// Opens the bundled model.
pub(crate) fn open_model(place: &Place) -> Result<Pipeline, RenderError> {
    let (config, weights) = model()?;
    Ok(Pipeline::from_parts(config, weights, place)?)
}

/// The bundled model's configuration.
pub(crate) fn model_config() -> Result<MiniConfig, RenderError> {
    let (config, _) = model()?;
    Ok(MiniConfig::parse(config)?)
}

/// What the bundled model is.
pub(crate) fn inspect_model() -> Result<ModelReport, RenderError> {
    let (config, weights) = model()?;
    Ok(inspect_embedded(config, weights)?)
}

/// Its hash, as of a folder with the same files.
pub(crate) fn model_sha256() -> Result<String, RenderError> {
    let (config, weights) = model()?;
    let hashes = [weights, config.as_bytes()].map(sha256_hex);
    Ok(sha256_of_parts(hashes.into()))
}

fn model() -> Result<(&'static str, &'static [u8]), RenderError> {
    MODEL.ok_or_else(|| {
        RenderError::BadInput(
            "the bundled model is missing in this build (assets/models/mini was not there); name one with --model DIR"
                .to_owned(),
        )
    })
}

/// Demo photos on disk, sorted by name: `assets/photos` under the working folder or beside or above the binary. Empty when
/// the binary was installed alone; the embedded photo is always there.
pub fn demo_photos() -> Vec<PathBuf> {
    photo_folder().map(|folder| photos_in(&folder)).unwrap_or_default()
}

/// The folder with the demo photos, when there is one.
fn photo_folder() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok();
    let above = beside
        .iter()
        .flat_map(|exe| exe.ancestors().skip(1).map(Path::to_owned));
    let mut roots = std::env::current_dir().into_iter().chain(above);
    roots.find_map(|root| Some(root.join("assets").join("photos")).filter(|folder| folder.is_dir()))
}

fn photos_in(folder: &Path) -> Vec<PathBuf> {
    let is_photo = |path: &PathBuf| path.is_file() && check_photo(path).is_ok();
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut photos: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(is_photo).collect();
    photos.sort();
    photos
}
