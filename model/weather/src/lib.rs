//! Physical degradations: what a mix looks like without any network, and what the network is trained on.
//!
//! Light reaches the camera through haze, then past rain and snow and through the lens, then becomes an electronic signal
//! that is processed; classes act in this order unless another is asked for. Every class draws from a stream of its own keyed
//! by (seed, class): the rain of seed 5 is the same rain with or without haze, and at severity 0.5 it is a part of the rain at
//! severity 1. What lies how far away is the scene's [`depth`].
//!
//! Severity 0 is off and 1 is strong; values up to [`MAX_RATIO`] extrapolate.
//!
//! ```
//! use image::{Rgb, Rgb32FImage};
//! use mdsd3_weather::depth::estimate;
//! use mdsd3_weather::{Options, degrade};
//!
//! let scene = Rgb32FImage::from_fn(64, 64, |x, y| Rgb([((x / 8 + y / 8) % 2) as f32; 3]));
//! let hazy = degrade(&scene, &estimate(&scene), &"haze=1".parse()?, 7, &Options::default())?;
//! assert_ne!(hazy.image, scene);
//! # Ok::<(), mdsd3_words::WordsError>(())
//! ```

#![warn(clippy::missing_errors_doc)] // what fails here is worth more than the one line of an enum

mod air;
mod canvas;
mod defocus;
pub mod depth;
mod downsample;
mod field;
mod haze;
mod jpeg;
mod kernel;
pub mod layers;
pub mod light;
mod low_light;
mod motion_blur;
mod particles;
pub mod plane;
mod rain;
mod raindrop;
mod sensor;
mod shot;
mod snow;
mod stream;

use image::Rgb32FImage;
use mdsd3_words::weather::WeatherSettings;
use mdsd3_words::{MAX_RATIO, Mix, WordsError};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use canvas::Canvas;
pub use defocus::DefocusParameters;
use depth::SceneDepth;
pub use downsample::DownsampleParameters;
pub use haze::HazeParameters;
pub use jpeg::JpegParameters;
pub use kernel::Kernel;
use layers::Step;
pub use low_light::LowLightParameters;
pub use motion_blur::MotionBlurParameters;
pub use rain::RainParameters;
pub use raindrop::RaindropParameters;
pub use sensor::{NoiseParameters, SensorParameters};
use shot::Shot;
pub use shot::{Options, Region};
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
    /// Degrades what is on the canvas by a severity above 0. Values may leave `0..=1`; they are clipped when all classes are
    /// done.
    apply: fn(&mut Canvas<'_>, &Shot<'_>, f32, Stream) -> Drawn,
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
        formula: "v t (1 - opacity) + light, streaks and a veil of the drops of 150 s^1.5 mm/h",
        source: "Marshall and Palmer 1948; Atlas et al. 1973; Garg and Nayar 2007",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::Rain(rain::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "haze",
        stage: Stage::Haze,
        formula: "v t + airlight (1 - t), t = exp(-0.055 s metres) through uneven air",
        source: "Koschmieder 1924; Narasimhan and Nayar 2002, equation 1",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::Haze(haze::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "noise",
        stage: Stage::Sensor,
        formula: "v + demosaicked raw noise of variance s^2 0.0025 x + read noise, in linear light",
        source: "Brooks et al. 2019; Malvar et al. 2004",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::Noise(sensor::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "snow",
        stage: Stage::Snow,
        formula: "v (1 - opacity) + white * opacity, flakes of 6 s^1.1 mm/h and a veil of the far ones",
        source: "Gunn and Marshall 1958; Brandes et al. 2007; Locatelli and Hobbs 1974",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::Snow(snow::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "low_light",
        stage: Stage::Light,
        formula: "v 2^-(2.5 s) in linear light, then the sensor's noise at ISO 200 * 2^(2.5 s)",
        source: "Brooks et al. 2019; Guo et al. 2024 for the class",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::LowLight(low_light::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "motion_blur",
        stage: Stage::Lens,
        formula: "v convolved with a random path of s * 0.028 focal lengths, in linear light",
        source: "Boracchi and Foi 2012; Kupyn et al. 2018",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::MotionBlur(motion_blur::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "defocus",
        stage: Stage::Lens,
        formula: "v over discs of radius r |1 / depth - 1 / focus|, s * 1.2 % of the longer side for 9 / 10 of the image",
        source: "Potmesil and Chakravarty 1981; Kraus and Strengert 2007",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::Defocus(defocus::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "raindrop",
        stage: Stage::Lens,
        formula: "v (1 - cover) + what s * 420 drops refract, per square of the longer side",
        source: "Qian et al. 2018, equation 1; von Bernuth et al. 2019; Quan et al. 2019",
        max_severity: MAX_RATIO,
        apply: |canvas, shot, severity, stream| Drawn::Raindrop(raindrop::apply(canvas, shot, severity, stream)),
    },
    Degradation {
        name: "jpeg",
        stage: Stage::Processing,
        formula: "JPEG 4:2:0 with quantisation steps of 5 s times the standard's: quality 10 at 1",
        source: "ITU-T T.81, annex K",
        max_severity: MAX_RATIO,
        apply: |canvas, _, severity, _| Drawn::Jpeg(jpeg::apply(canvas, severity)),
    },
    Degradation {
        name: "downsample",
        stage: Stage::Processing,
        formula: "made smaller by 4^s and brought back, by cubic convolution",
        source: "Keys 1981; Timofte et al. 2017",
        max_severity: MAX_RATIO,
        apply: |canvas, _, severity, _| Drawn::Downsample(downsample::apply(canvas, severity)),
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
    /// Missing light.
    LowLight(LowLightParameters),
    /// Camera shake.
    MotionBlur(MotionBlurParameters),
    /// Blur by depth.
    Defocus(DefocusParameters),
    /// Drops on the lens.
    Raindrop(RaindropParameters),
    /// Compression.
    Jpeg(JpegParameters),
    /// Lost resolution.
    Downsample(DownsampleParameters),
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
    fn severity_in(&self, mix: &Mix) -> Result<Option<f32>, WordsError> {
        let severity = mix.ratio(self.name);
        if severity > self.max_severity {
            return Err(WordsError::BadInput(format!(
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
    /// The operations that led from the scene to the image, when they were asked for.
    pub steps: Option<Vec<Step>>,
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

/// The stream that camera and wind are drawn from; classes have their places in [`TABLE`].
const SHOT_STREAM: u64 = 1 << 32;

/// Degrades `scene` (sRGB-encoded values in `0..=1`, any size) by the severities of `mix`.
///
/// The same scene, depth, mix, seed and options give the same bits on every platform. A clean mix returns the scene untouched.
///
/// # Errors
/// [`WordsError::BadInput`] when `mix`, an order or a region names a class that is not in [`TABLE`], when more of a class is
/// asked than its formula gives, and when depth or a region is of another size than the scene.
pub fn degrade(
    scene: &Rgb32FImage,
    depth: &SceneDepth,
    mix: &Mix,
    seed: u64,
    options: &Options<'_>,
) -> Result<Degraded, WordsError> {
    check(scene, depth, mix, options)?;
    let variety = |name: &str| {
        let found = options.variety.iter().find(|(class, _)| *class == name);
        found.map_or(1.0, |(_, share)| *share)
    };
    let shot = Shot::draw(depth, options, Stream::new(seed, SHOT_STREAM, variety("shot")));
    let mut canvas = Canvas::new(scene, options.layers);
    let mut classes = vec![None; TABLE.len()];
    for (place, class) in in_order(options.order)? {
        if let Some(severity) = class.severity_in(mix)? {
            if class.stage >= Stage::Sensor {
                canvas.read();
            }
            let region = options.regions.iter().find(|region| region.class == class.name);
            canvas.within(region.map(|region| &region.mask));
            let stream = Stream::new(seed, place as u64, variety(class.name));
            classes[place] = Some((class.apply)(&mut canvas, &shot, severity, stream));
        }
    }
    let parameters = Parameters { seed, classes };
    let (image, steps) = if mix.is_clean() {
        (scene.clone(), options.layers.then(Vec::new))
    } else {
        canvas.finish()
    };
    Ok(Degraded {
        image,
        parameters,
        steps,
    })
}

/// The classes in the order in which they act, each with its place in [`TABLE`]: those of `order` first where it says so, and
/// every other class where physics puts it, behind the last class of `order` that physics puts before it.
fn in_order(order: &[String]) -> Result<Vec<(usize, &'static Degradation)>, WordsError> {
    let mut classes = in_physical_order();
    if order.is_empty() {
        return Ok(classes);
    }
    let mut wanted = Vec::new();
    for name in order {
        let Some(at) = classes.iter().position(|(_, class)| class.name == name) else {
            let fault = if CLASSES.contains(&name.as_str()) {
                "twice"
            } else {
                "and it is no class"
            };
            let known = CLASSES.join(", ");
            return Err(WordsError::BadInput(format!(
                "order names {name} {fault} (known classes: {known})"
            )));
        };
        wanted.push(classes.remove(at));
    }
    for class in classes {
        let behind = wanted.iter().rposition(|(_, other)| other.stage <= class.1.stage);
        wanted.insert(behind.map_or(0, |at| at + 1), class);
    }
    Ok(wanted)
}

/// Checks what settings say of classes, before their files are read.
///
/// # Errors
/// [`WordsError::BadInput`] for an order or a mask of a class that is not in [`TABLE`], and for a class that is ordered twice.
pub fn check_settings(settings: &WeatherSettings) -> Result<(), WordsError> {
    settings.check()?;
    in_order(&settings.order)?;
    settings
        .regions
        .iter()
        .try_for_each(|region| check_region(&region.class))
}

fn check_region(class: &str) -> Result<(), WordsError> {
    if CLASSES.contains(&class) {
        return Ok(());
    }
    let known = CLASSES.join(", ");
    Err(WordsError::BadInput(format!(
        "a region is of {class}, which is no class (known classes: {known})"
    )))
}

fn check(scene: &Rgb32FImage, depth: &SceneDepth, mix: &Mix, options: &Options<'_>) -> Result<(), WordsError> {
    mix.check_classes(&CLASSES)?;
    let size = (scene.width() as usize, scene.height() as usize);
    let check_size = |what: &str, plane: &plane::Plane| {
        if (plane.width, plane.height) == size {
            return Ok(());
        }
        Err(WordsError::BadInput(format!(
            "{what} is {}x{} px and the scene {}x{} px; give it the scene's size",
            plane.width, plane.height, size.0, size.1
        )))
    };
    check_size("depth", &depth.metres)?;
    check_size("the sky", &depth.sky)?;
    for region in options.regions {
        check_region(&region.class)?;
        check_size(&format!("the mask of {}", region.class), &region.mask)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
