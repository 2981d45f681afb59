//! How the physical weather is made, beside the mix.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{WordsError, bad};
use crate::mix::Mix;

/// Version of the formulas: it changes when the same scene, mix and seed would give another image.
pub const WEATHER_VERSION: u32 = 2;

/// The values in which something is composed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Space {
    /// Values as images have them, encoded with sRGB's curve: what the dehazing benchmarks do.
    #[default]
    Srgb,
    /// Linear light: what air does.
    Linear,
}

/// How the maps of a degraded image's layers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum MapFormat {
    /// 16-bit PNG for shares and lights; NPY for depth, radii, kernels and residuals, which have a sign or no upper end.
    #[default]
    Png,
    /// NPY for all, 32-bit floats: nothing is rounded.
    Npy,
}

/// How rain meets what is behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Composition {
    /// Drops cover what is behind them for their share of the exposure, and shine with their surroundings' light.
    #[default]
    Alpha,
    /// Drops only add light.
    Additive,
}

/// What the numbers of a depth file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum DepthKind {
    /// Larger is farther: metres, millimetres, or any unit.
    #[default]
    Distance,
    /// Larger is nearer: inverse distance, as stereo rigs and Depth Anything give.
    Disparity,
}

/// Where a class acts: white in an image. Written `rain=mask.png`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClassMask {
    /// The class.
    pub class: String,
    /// The image, of the whole photo or of the scene.
    pub mask: PathBuf,
}

impl FromStr for ClassMask {
    type Err = WordsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('=') {
            Some((class, mask)) if !class.trim().is_empty() && !mask.is_empty() => Ok(Self {
                class: class.trim().to_owned(),
                mask: mask.into(),
            }),
            _ => Err(bad(format!(
                "{text:?} is no class with its mask; write it as rain=mask.png"
            ))),
        }
    }
}

impl fmt::Display for ClassMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.class, self.mask.display())
    }
}

impl TryFrom<String> for ClassMask {
    type Error = WordsError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClassMask> for String {
    fn from(mask: ClassMask) -> Self {
        mask.to_string()
    }
}

settings! {
    /// What the weather of a run is made of beside its mix. All of it is left out of files where it is at its default, so that
    /// files without it stay what they were.
    #[derive(Debug, Clone, PartialEq, clap::Args)]
    pub struct WeatherSettings {
        /// Depth map of the whole photo: PNG, TIFF or NPY of any size [default: NAME.depth.png, .tiff or .npy beside the photo,
        /// else estimated from it]
        #[arg(long, value_name = "FILE", conflicts_with = "depth_model")]
        pub depth: Option<PathBuf>, "depth", path_if_set;
        /// What its numbers are
        #[arg(long, value_enum)]
        pub depth_kind: DepthKind = DepthKind::Distance, "depth", if_set;
        /// Metres in one unit of a distance, or the metres times the unit of a disparity (focal length times baseline); without it the
        /// middle of the scene is put at 18 m
        #[arg(long, value_name = "METRES", allow_negative_numbers = true)]
        pub depth_metres_per_unit: Option<f32>, "depth", if_set;
        /// Depth Anything V2 as a safetensors file, for photos without a depth map
        #[arg(long, value_name = "FILE")]
        pub depth_model: Option<PathBuf>, "depth", path_if_set;
        /// Values in which haze is composed: srgb as the dehazing benchmarks, or linear light as air
        #[arg(long, value_enum)]
        pub space: Space = Space::Srgb, "space", if_set;
        /// How rain meets what is behind it: alpha covers and shines, additive only adds light
        #[arg(long, value_enum)]
        pub rain_composition: Composition = Composition::Alpha, "rain", if_set;
        /// Classes in the order in which they act, such as rain,haze; the rest keeps to physics
        #[arg(long, value_name = "CLASS,...", value_delimiter = ',')]
        pub order: Vec<String>, "order", if_set;
        /// Where a class acts: white in an image of the photo; again for each class
        #[arg(long = "where", value_name = "CLASS=MASK")]
        pub regions as "where": Vec<ClassMask>, "regions", if_set;
    }
}

impl WeatherSettings {
    /// Checks what can be judged without files and classes.
    ///
    /// # Errors
    /// [`WordsError::BadInput`] for a scale that is no number above 0, and a class with two masks.
    pub fn check(&self) -> Result<(), WordsError> {
        if let Some(scale) = self.depth_metres_per_unit
            && !(scale > 0.0 && scale.is_finite())
        {
            return Err(bad(format!(
                "depth_metres_per_unit {scale} is no length; give metres above 0, such as 0.001 for millimetres"
            )));
        }
        for (index, region) in self.regions.iter().enumerate() {
            if self.regions[..index].iter().any(|other| other.class == region.class) {
                return Err(bad(format!(
                    "{} has two masks; put them together in one image",
                    region.class
                )));
            }
        }
        Ok(())
    }

    /// What there is to say of masks whose class `mix` doesn't have, one sentence each.
    pub fn notes_on(&self, mix: &Mix) -> Vec<String> {
        let idle = self.regions.iter().filter(|region| mix.ratio(&region.class) == 0.0);
        idle.map(|region| {
            let class = &region.class;
            format!(
                "the mix has no {class}, so its mask {} does nothing",
                region.mask.display()
            )
        })
        .collect()
    }

    /// All paths of files that are read.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files = self.depth.iter_mut().chain(&mut self.depth_model);
        files.chain(self.regions.iter_mut().map(|region| &mut region.mask))
    }

    /// The same with `{stem}` in its paths replaced by the name of `photo` without its extension: how a plan names one depth map and
    /// one mask for each of its photos.
    #[must_use]
    pub fn for_photo(&self, photo: &Path) -> Self {
        let stem = photo.file_stem().unwrap_or_default().to_string_lossy();
        let mut own = self.clone();
        for path in own.paths_mut() {
            if let Some(text) = path.to_str().filter(|text| text.contains(STEM)) {
                *path = text.replace(STEM, &stem).into();
            }
        }
        own
    }
}

/// What stands for a photo's name in the paths of a plan.
const STEM: &str = "{stem}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_plan_are_those_of_a_photo() {
        let settings = WeatherSettings {
            depth: Some("depth/{stem}.png".into()),
            regions: vec!["rain=masks/{stem}-rain.png".parse().expect("a mask")],
            ..WeatherSettings::default()
        };
        let dry: Mix = "haze=1,rain=0".parse().expect("a mix");
        assert_eq!(settings.notes_on(&dry).len(), 1);
        assert!(settings.notes_on(&"rain=1".parse().expect("a mix")).is_empty());
        let own = settings.for_photo(Path::new("photos/a.b.jpg"));
        assert_eq!(own.depth.as_deref(), Some(Path::new("depth/a.b.png")));
        assert_eq!(own.regions[0].to_string(), "rain=masks/a.b-rain.png");
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let with = |change: fn(&mut WeatherSettings)| {
            let mut settings = WeatherSettings::default();
            change(&mut settings);
            settings.check().expect_err("refused").to_string()
        };
        assert!(with(|w| w.depth_metres_per_unit = Some(0.0)).contains("above 0"));
        assert!(with(|w| w.depth_metres_per_unit = Some(f32::NAN)).contains("NaN"));
        let twice =
            |w: &mut WeatherSettings| w.regions = ["rain=a", "rain=b"].map(|text| text.parse().expect("a mask")).into();
        assert!(with(twice).contains("two masks"));
        for text in ["rain", "=a.png", "rain="] {
            assert!(text.parse::<ClassMask>().is_err(), "{text}");
        }
        WeatherSettings::default().check().expect("defaults are good");
    }
}
