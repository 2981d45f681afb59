//! The physical baseline: degrading a photo by formulas, without any network.

use std::path::PathBuf;

use image::Rgb32FImage;
use mdsd3_model::io::photo;
use mdsd3_weather::depth::estimate;
use mdsd3_weather::{Degraded, Options, degrade, in_physical_order};
use mdsd3_words::Mix;
use mdsd3_words::image::Rgba8;
use sha2::{Digest, Sha256};

use crate::error::RenderError;
use crate::frames;

pub use mdsd3_weather::CLASSES;

/// The largest side a photo is fitted to, in pixels.
const MAX_SIZE_PX: u32 = 16_384;

/// What to degrade, and how.
#[derive(Debug, Clone, PartialEq, clap::Args)]
pub struct DegradeRequest {
    /// Clean photo
    #[arg(value_name = "PHOTO")]
    pub photo: PathBuf,
    /// Severities, such as haze=0.7,rain=0.4 (0 off, 1 strong, up to 1.5)
    #[arg(long, value_name = "CLASS=SEVERITY,...")]
    pub mix: Mix,
    /// Seed of everything that is drawn at random
    #[arg(long, default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
    /// Centre crop to a square of this side in pixels; the photo's own size when absent
    #[arg(long, allow_negative_numbers = true)]
    pub size: Option<u32>,
}

/// A degraded photo.
#[derive(Debug, Clone)]
pub struct DegradeOutput {
    /// The image.
    pub image: Rgba8,
    /// What was drawn for each class: physical parameters with units in their names.
    pub parameters: serde_json::Value,
    /// What had to be converted or guessed when the photo was read, such as its colours; one sentence each.
    pub notes: Vec<String>,
}

impl DegradeRequest {
    /// The request in words, for the PNG's `parameters` chunk.
    pub fn in_words(&self) -> String {
        format!(
            "Physical degradation: {}\nSeed: {}, Version: mdsd3 {}",
            self.mix,
            self.seed,
            mdsd3_words::VERSION
        )
    }
}

/// The classes for the command's help, in the order in which they are applied.
pub fn classes_in_words() -> String {
    let words = in_physical_order().into_iter().map(|(_, class)| {
        let (name, formula, source, most) = (class.name, class.formula, class.source, class.max_severity);
        format!("\n  {name:<6} 0 to {most}: {formula} ({source})")
    });
    let heading = "Classes in the order in which they are applied, v a pixel's value and s the severity:";
    std::iter::once(heading.to_owned()).chain(words).collect()
}

/// The physical baseline of a fitted scene, whose key is `scene_key(scene)`: the same in the studio and in a dataset.
pub fn baseline(scene: &Rgb32FImage, scene_key: u64, mix: &Mix, seed: u64) -> Result<Degraded, RenderError> {
    let seed = scene_seed(seed, scene_key);
    Ok(degrade(scene, &estimate(scene), mix, seed, &Options::default())?)
}

/// The seed of the formulas: keyed by scene too, or every photo of a dataset would get the same rain.
fn scene_seed(seed: u64, scene: u64) -> u64 {
    let digest = Sha256::digest(format!("mdsd3 physical v1\n{seed}\n{scene}"));
    digest[..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Degrades a photo.
///
/// # Errors
/// [`RenderError`] with the class, size or file that is wrong.
pub fn run(request: &DegradeRequest) -> Result<DegradeOutput, RenderError> {
    request.mix.check_classes(&CLASSES)?;
    if let Some(size_px) = request.size
        && !(1..=MAX_SIZE_PX).contains(&size_px)
    {
        return Err(RenderError::BadInput(format!(
            "size {size_px} is outside 1 to {MAX_SIZE_PX} px"
        )));
    }
    let photo = photo::load_photo(&request.photo)?;
    let scene = match request.size {
        Some(size_px) => photo::fit_square(&photo.rgb, size_px),
        None => photo.rgb,
    };
    let degraded = degrade(
        &scene,
        &estimate(&scene),
        &request.mix,
        request.seed,
        &Options::default(),
    )?;
    let parameters = serde_json::to_value(&degraded.parameters)
        .map_err(|error| RenderError::BadInput(format!("the parameters can't be written as JSON: {error}")))?;
    Ok(DegradeOutput {
        image: frames::rgba8_from_rgb(&degraded.image),
        parameters,
        notes: photo.notes,
    })
}
