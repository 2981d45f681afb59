//! Physical degradations: what a mix looks like without any network, and what the network is trained on.
//!
//! Light reaches the camera through haze, then past rain and snow, then becomes an electronic signal; the order here
//! is the same, so rain stays crisp in front of a veil. Every class draws from a stream of its own keyed by (seed,
//! class): the rain of seed 5 is the same rain with or without haze, and at severity 0.5 it is a part of the rain at
//! severity 1.
//!
//! Severity 0 is off and 1 is strong; values up to [`MAX_RATIO`](crate::mix::MAX_RATIO) extrapolate.
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
use serde::Serialize;

use crate::error::ModelError;
use crate::mix::Mix;
pub use haze::HazeParameters;
pub use noise::NoiseParameters;
pub use rain::RainParameters;
pub use snow::SnowParameters;
use stream::Stream;

/// The classes there is physics for, in the order the bundled model knows them.
pub const CLASSES: [&str; 4] = ["rain", "haze", "noise", "snow"];

/// A degraded scene with the parameters that made it.
#[derive(Debug, Clone)]
pub struct Degraded {
    /// Size of the scene; sRGB-encoded values in `0..=1`.
    pub image: Rgb32FImage,
    /// What was drawn.
    pub parameters: Parameters,
}

/// Physical parameters of each class; `None` for classes with severity 0.
#[derive(Debug, Clone, Serialize)]
pub struct Parameters {
    /// The seed they were drawn from.
    pub seed: u64,
    /// Rain streaks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rain: Option<RainParameters>,
    /// The veil.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub haze: Option<HazeParameters>,
    /// Sensor noise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<NoiseParameters>,
    /// Snow flakes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snow: Option<SnowParameters>,
}

/// Degrades `scene` (sRGB-encoded values in `0..=1`, any size) by the severities of `mix`.
///
/// The same scene, mix and seed give the same bits on every platform. A clean mix returns the scene untouched.
/// Fails with [`ModelError::BadInput`] when `mix` names a class that is not in [`CLASSES`].
pub fn degrade(scene: &Rgb32FImage, mix: &Mix, seed: u64) -> Result<Degraded, ModelError> {
    degrade_with_variety(scene, mix, seed, Variety::WHOLE)
}

/// How much of what a whole image shares is drawn from: the middle part of its range, 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Variety {
    /// Of haze's airlight and depth.
    pub haze: f32,
    /// Of the rain's lean from vertical.
    pub rain: f32,
}

impl Variety {
    /// Whole ranges.
    pub const WHOLE: Self = Self { haze: 1.0, rain: 1.0 };
}

/// [`degrade`], with haze and rain that differ less from seed to seed. A network that learns from such pairs need not agree
/// with itself, over the whole image, on a light or a wind that it can't know.
pub fn degrade_with_variety(
    scene: &Rgb32FImage,
    mix: &Mix,
    seed: u64,
    variety: Variety,
) -> Result<Degraded, ModelError> {
    mix.check_classes(&CLASSES)?;
    let mut image = scene.clone();
    let severity_of = |class: &str| Some(mix.ratio(class)).filter(|severity| *severity > 0.0);
    let haze =
        severity_of("haze").map(|severity| haze::apply(&mut image, severity, variety.haze, stream_of("haze", seed)));
    let rain =
        severity_of("rain").map(|severity| rain::apply(&mut image, severity, variety.rain, stream_of("rain", seed)));
    let snow = severity_of("snow").map(|severity| snow::apply(&mut image, severity, stream_of("snow", seed)));
    let noise = severity_of("noise").map(|severity| noise::apply(&mut image, severity, stream_of("noise", seed)));
    if !mix.is_clean() {
        image.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    }
    Ok(Degraded {
        image,
        parameters: Parameters {
            seed,
            rain,
            haze,
            noise,
            snow,
        },
    })
}

/// The stream of `class`, keyed by its place in [`CLASSES`].
fn stream_of(class: &str, seed: u64) -> Stream {
    let index = CLASSES
        .iter()
        .position(|known| *known == class)
        .unwrap_or(CLASSES.len());
    Stream::new(seed, index as u64)
}

#[cfg(test)]
mod tests;
