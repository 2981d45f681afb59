//! Physical degradations: what a mix looks like without any network, and what the network is trained on.
//!
//! Light reaches the camera through haze, then past rain and snow, then becomes an electronic signal; the order here
//! is the same, so rain stays crisp in front of a veil. Every class draws from a stream of its own keyed by (seed,
//! class): the rain of seed 5 is the same rain with or without haze, and at severity 0.5 it is a part of the rain at
//! severity 1.
//!
//! Severity 0 is off and 1 is strong; values up to [`MAX_RATIO`] extrapolate.
//!
//! # Calibration
//! Means over twelve photos at 256 px that no model was trained on, two seeds each. *Veil* is the share of
//! mid-frequency contrast (4 to 24 px) that is lost; *streak* is the root mean square, of 255, of what is new at high
//! frequency; *anisotropy* says how far that lies along one direction, 0 to 1 (meaningless for haze, which adds
//! nothing there); *brightening* is the change of the mean, of 1.
//!
//! | mix | veil | streak | anisotropy | brightening |
//! |---|---|---|---|---|
//! | `rain=0.5` | 0.00 | 5.4 | 0.94 | 0.007 |
//! | `rain=1` | 0.01 | 10.3 | 0.93 | 0.018 |
//! | `haze=0.5` | 0.441 | 0.6 | | 0.107 |
//! | `haze=1` | 0.688 | 0.7 | | 0.168 |
//! | `noise=0.5` | 0.00 | 6.8 | 0.02 | -0.001 |
//! | `noise=1` | 0.01 | 13.4 | 0.02 | -0.002 |
//! | `snow=0.5` | 0.01 | 5.2 | 0.04 | 0.007 |
//! | `snow=1` | 0.04 | 10.2 | 0.04 | 0.021 |
//! | `haze=1,rain=1` | 0.683 | 10.7 | 0.94 | 0.187 |

mod haze;
mod noise;
mod particles;
mod rain;
mod snow;
mod stream;

use image::Rgb32FImage;
use mdsd3_words::{MAX_RATIO, Mix};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::error::ModelError;
pub use haze::HazeParameters;
pub use noise::NoiseParameters;
pub use rain::RainParameters;
pub use snow::SnowParameters;
use stream::Stream;

/// A class of degradation.
///
/// To add one: a file beside this one with its formula, and here its `mod` line, its entry in [`TABLE`] and its variant of
/// [`Drawn`].
#[derive(Clone, Copy)]
pub struct Degradation {
    /// What mixes call it.
    pub name: &'static str,
    /// Where in a photo's making it acts.
    pub stage: Stage,
    /// The formula in a line, `v` being a pixel's value and `s` the severity.
    pub formula: &'static str,
    /// Who published it.
    pub source: &'static str,
    /// Severities go from 0 (off) over 1 (strong) to this.
    pub max_severity: f32,
    /// Degrades an image in place by a severity above 0. Values may leave `0..=1`; they are clipped when all classes are done.
    apply: fn(&mut Rgb32FImage, f32, Stream) -> Drawn,
}

/// Where in a photo's making a class acts, in the order in which light meets them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// How much light the scene gets.
    Light,
    /// The air between scene and camera.
    Haze,
    /// Drops in front of that air.
    Rain,
    /// Flakes, likewise.
    Snow,
    /// The camera's lens and its motion.
    Lens,
    /// Light becomes an electronic signal.
    Sensor,
    /// What becomes of the signal afterwards.
    Processing,
}

/// The classes there is physics for. Their places here key their random numbers, so a new one goes to the end.
pub const TABLE: &[Degradation] = &[
    Degradation {
        name: "rain",
        stage: Stage::Rain,
        formula: "v + opacity * light, streaks in three layers of distance, s * 0.0052 per pixel",
        source: "Garg and Nayar 2007",
        max_severity: MAX_RATIO,
        apply: |image, severity, stream| Drawn::Rain(rain::apply(image, severity, stream)),
    },
    Degradation {
        name: "haze",
        stage: Stage::Haze,
        formula: "v t + airlight (1 - t), t = exp(-1.2 s depth)",
        source: "Koschmieder 1924; Narasimhan and Nayar 2002, equation 1",
        max_severity: MAX_RATIO,
        apply: |image, severity, stream| Drawn::Haze(haze::apply(image, severity, stream)),
    },
    Degradation {
        name: "noise",
        stage: Stage::Sensor,
        formula: "v + Gaussian of variance s^2 (0.09^2 v + 0.035^2)",
        source: "Foi et al. 2008, equation 5",
        max_severity: MAX_RATIO,
        apply: |image, severity, stream| Drawn::Noise(noise::apply(image, severity, stream)),
    },
    Degradation {
        name: "snow",
        stage: Stage::Snow,
        formula: "v (1 - opacity) + white * opacity, s * 0.0052 flakes per pixel",
        source: "Liu et al. 2018",
        max_severity: MAX_RATIO,
        apply: |image, severity, stream| Drawn::Snow(snow::apply(image, severity, stream)),
    },
];

/// What was drawn for one class.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Drawn {
    /// Rain streaks.
    Rain(RainParameters),
    /// The veil.
    Haze(HazeParameters),
    /// Sensor noise.
    Noise(NoiseParameters),
    /// Snow flakes.
    Snow(SnowParameters),
}

/// The names in [`TABLE`], in its order, which is the one the bundled model knows them in.
pub const CLASSES: [&str; TABLE.len()] = {
    let mut names = [""; TABLE.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = TABLE[place].name;
        place += 1;
    }
    names
};

/// The classes in the order in which they are applied, each with its place in [`TABLE`].
pub fn in_physical_order() -> Vec<(usize, &'static Degradation)> {
    let mut order: Vec<_> = TABLE.iter().enumerate().collect();
    order.sort_by_key(|(_, class)| class.stage);
    order
}

impl Degradation {
    /// Its severity in `mix`; `None` when it is off.
    fn severity_in(&self, mix: &Mix) -> Result<Option<f32>, ModelError> {
        let severity = mix.ratio(self.name);
        if severity > self.max_severity {
            return Err(ModelError::BadInput(format!(
                "{} is {severity}, and its formula goes up to {}",
                self.name, self.max_severity
            )));
        }
        Ok((severity > 0.0).then_some(severity))
    }
}

/// A degraded scene with the parameters that made it.
#[derive(Debug, Clone)]
pub struct Degraded {
    /// Size of the scene; sRGB-encoded values in `0..=1`.
    pub image: Rgb32FImage,
    /// What was drawn.
    pub parameters: Parameters,
}

/// What was drawn for a mix. As JSON an object with the seed and, by name, the parameters of each class that is on.
#[derive(Debug, Clone)]
pub struct Parameters {
    /// The seed they were drawn from.
    pub seed: u64,
    /// One per class of [`TABLE`], in its order; `None` for classes with severity 0.
    pub classes: Vec<Option<Drawn>>,
}

impl Serialize for Parameters {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("seed", &self.seed)?;
        for (name, drawn) in CLASSES.iter().zip(&self.classes) {
            if let Some(drawn) = drawn {
                map.serialize_entry(name, drawn)?;
            }
        }
        map.end()
    }
}

/// Degrades `scene` (sRGB-encoded values in `0..=1`, any size) by the severities of `mix`.
///
/// The same scene, mix and seed give the same bits on every platform. A clean mix returns the scene untouched.
///
/// # Errors
/// [`ModelError::BadInput`] when `mix` names a class that is not in [`TABLE`], or asks more of one than its formula gives.
pub fn degrade(scene: &Rgb32FImage, mix: &Mix, seed: u64) -> Result<Degraded, ModelError> {
    degrade_with_variety(scene, mix, seed, &[])
}

/// [`degrade`], where named classes draw what a whole image shares (haze's airlight and depth, the rain's lean) from only a
/// share of its range, 0 to 1, around the middle. A network that learns from such pairs need not agree with itself, over the
/// whole image, on a light or a wind that it can't know.
///
/// # Errors
/// As [`degrade`].
pub fn degrade_with_variety(
    scene: &Rgb32FImage,
    mix: &Mix,
    seed: u64,
    variety: &[(&str, f32)],
) -> Result<Degraded, ModelError> {
    mix.check_classes(&CLASSES)?;
    let mut image = scene.clone();
    let mut classes = vec![None; TABLE.len()];
    for (place, class) in in_physical_order() {
        if let Some(severity) = class.severity_in(mix)? {
            let share = variety.iter().find(|(name, _)| *name == class.name);
            let stream = Stream::new(seed, place as u64, share.map_or(1.0, |(_, share)| *share));
            classes[place] = Some((class.apply)(&mut image, severity, stream));
        }
    }
    if !mix.is_clean() {
        image.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    }
    let parameters = Parameters { seed, classes };
    Ok(Degraded { image, parameters })
}

#[cfg(test)]
mod tests;
