//! The physical baseline: degrading a photo by formulas, without any network.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use image::Rgb32FImage;
use mdsd3_weather::depth::SceneDepth;
use mdsd3_weather::{Degraded, Options, Parameters, degrade, in_physical_order};
use mdsd3_words::weather::{MapFormat, WEATHER_VERSION, WeatherSettings};
use mdsd3_words::{Fit, Mix};
use sha2::{Digest, Sha256};

use crate::error::RenderError;
use crate::scene::{self, FittedScene, SceneLoader};
use crate::weather::{SceneWeather, WeatherLoader, write_layers};

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
    /// Depth, order, regions and how things are composed.
    #[command(flatten)]
    pub weather: WeatherSettings,
}

impl DegradeRequest {
    /// The request in words, for the PNG's `parameters` chunk.
    pub fn in_words(&self) -> String {
        format!(
            "Physical degradation: {}\nSeed: {}, Weather: {WEATHER_VERSION}, Version: mdsd3 {}",
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
        format!("\n  {name:<11} 0 to {most}: {formula} ({source})")
    });
    let heading = "Classes in the order in which they are applied, v a pixel's value and s the severity:";
    std::iter::once(heading.to_owned()).chain(words).collect()
}

/// Refuses classes that a network lacks and there are formulas for, naming what has them; all others are judged elsewhere.
pub fn check_classes(mix: &Mix, model: &[String], instead: &str) -> Result<(), RenderError> {
    let is_lacking = |class: &&str| CLASSES.contains(class) && !model.iter().any(|known| known == class);
    let lacking: Vec<&str> = mix.iter().map(|(class, _)| class).filter(is_lacking).collect();
    if model.is_empty() || lacking.is_empty() {
        return Ok(());
    }
    Err(RenderError::BadInput(format!(
        "this model has no {} (its classes: {}); {instead} has: it degrades by formulas",
        lacking.join(", "),
        model.join(", ")
    )))
}

/// The physical baseline of a fitted scene, whose key is `scene_key(scene)`: the same in the studio and in a dataset.
pub fn baseline(
    scene: &Rgb32FImage,
    scene_key: u64,
    (mix, seed): (&Mix, u64),
    weather: &SceneWeather,
    keeps_layers: bool,
) -> Result<Degraded, RenderError> {
    let options = Options {
        layers: keeps_layers,
        ..weather.options()
    };
    let seed = scene_seed(seed, scene_key);
    Ok(degrade(scene, &weather.depth, mix, seed, &options)?)
}

/// The seed of the formulas: keyed by scene too, or every photo of a dataset would get the same rain.
fn scene_seed(seed: u64, scene: u64) -> u64 {
    let digest = Sha256::digest(format!("mdsd3 physical v1\n{seed}\n{scene}"));
    digest[..8].iter().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// A photo to degrade, with its depth and masks: read once for any number of frames.
pub struct PhotoInWork<'a> {
    request: &'a DegradeRequest,
    scene: FittedScene,
    weather: SceneWeather,
}

impl<'a> PhotoInWork<'a> {
    /// Reads the photo of a request, and what its weather is made of.
    ///
    /// # Errors
    /// [`RenderError`] with the class, size or file that is wrong.
    pub fn open(request: &'a DegradeRequest) -> Result<Self, RenderError> {
        request.mix.check_classes(&CLASSES)?;
        if let Some(size_px) = request.size
            && !(1..=MAX_SIZE_PX).contains(&size_px)
        {
            return Err(RenderError::BadInput(format!(
                "size {size_px} is outside 1 to {MAX_SIZE_PX} px"
            )));
        }
        mdsd3_weather::check_settings(&request.weather)?;
        let scene = match request.size {
            Some(size_px) => {
                let loaded = SceneLoader::default().load(Some(&request.photo), size_px, Fit::Square, 1)?;
                Arc::unwrap_or_clone(loaded)
            }
            None => scene::at_own_size(&request.photo)?,
        };
        let mut weather = WeatherLoader::default().load(&scene, Some(&request.photo), &request.weather)?;
        weather.notes.extend(request.weather.notes_on(&request.mix));
        Ok(Self {
            request,
            scene,
            weather,
        })
    }

    /// Degrades it.
    ///
    /// # Arguments
    /// - `frame`: seconds since the first frame of a sequence, and the frame's number; `(0.0, 0)` for a single image
    /// - `keeps_layers`: whether what each class did is kept, which takes memory
    ///
    /// # Errors
    /// [`RenderError`] with the class, order or region that is wrong.
    pub fn degraded(&self, frame: (f32, u32), keeps_layers: bool) -> Result<Degraded, RenderError> {
        let options = Options {
            frame,
            layers: keeps_layers,
            ..self.weather.options()
        };
        let (mix, seed) = (&self.request.mix, self.request.seed);
        Ok(degrade(&self.scene.rgb, &self.weather.depth, mix, seed, &options)?)
    }

    /// Writes what each class did into a folder, which is made when it isn't there.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn write_layers(&self, degraded: &Degraded, (folder, format): (&Path, MapFormat)) -> Result<(), RenderError> {
        write_layers((&self.scene.rgb, &self.weather.depth), degraded, (folder, format))
    }

    /// The clean scene.
    pub fn scene(&self) -> &Rgb32FImage {
        &self.scene.rgb
    }

    /// How far away everything is.
    pub fn depth(&self) -> &SceneDepth {
        &self.weather.depth
    }

    /// What was drawn, with the depth's source, as an object.
    ///
    /// # Errors
    /// None for what formulas draw.
    pub fn parameters_as_json(&self, parameters: &Parameters) -> Result<serde_json::Value, RenderError> {
        let no_json = |error| RenderError::BadInput(format!("the parameters can't be written as JSON: {error}"));
        let mut json = serde_json::to_value(parameters).map_err(no_json)?;
        json["depth"] = self.weather.depth_as_json();
        Ok(json)
    }

    /// What had to be converted or guessed when the photo was read, such as its colours; one sentence each.
    pub fn photo_notes(&self) -> &[String] {
        &self.scene.notes
    }

    /// What a user should know of its depth and masks; one sentence each.
    pub fn weather_notes(&self) -> &[String] {
        &self.weather.notes
    }
}
