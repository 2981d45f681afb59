//! Low light: too little of it for the exposure, and a signal that is amplified.
//!
//! The scene's linear light is multiplied by `2^-stops`, everywhere alike: what less light or a shorter exposure does.
//! CDD-11 (Guo et al. 2024) darkens by Retinex instead, `v L^(gamma - 1)` with gamma of 2 to 3 on encoded
//! values; two and a half stops leave mid grey where a gamma of 2.2 does (0.214), and highlights darker. Colours keep
//! their saturation: that eyes lose it in the dark is no property of cameras.
//!
//! A camera makes up for half of the light that is missing by its gain and underexposes by the rest, so the signal is
//! read at ISO `200 * 2^stops` with the noise of that gain, less what a photo at ISO 200 has in it already. The noise
//! comes in where the signal is read: behind air, rain and lens.
//!
//! | severity | 0.25 | 0.5 | 1 | 1.5 |
//! |---|---|---|---|---|
//! | stops | 0.5 to 0.75 | 1 to 1.5 | 2 to 3 | 3 to 4.5 |
//! | ISO | 280 to 340 | 400 to 570 | 800 to 1600 | 1600 to 4500 |

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;
use crate::sensor::SensorParameters;
use crate::shot::Shot;
use crate::stream::Stream;

/// Stops of light that are missing at severity 1.
const STOPS_AT_ONE: (f32, f32) = (2.0, 3.0);
/// Gain at which the photo is taken to have been made.
const BASE_ISO: f32 = 200.0;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct LowLightParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Exposure value against the scene's, in stops: below 0.
    pub exposure_stops: f32,
    /// Factor on linear light: 2 to the power of the stops.
    pub light: f32,
    /// How the signal is read. Its variances are what is added to the photo's own noise.
    #[serde(flatten)]
    pub sensor: SensorParameters,
}

/// Takes light away; the noise follows when the canvas is read.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> LowLightParameters {
    let exposure_stops = -severity * stream.within(STOPS_AT_ONE);
    let light = libm::exp2f(exposure_stops);
    let operation = Operation::Gain([light; 3]);
    canvas.apply(("low_light", "exposure"), Space::Linear, operation, Vec::new());
    let sensor = SensorParameters::draw(BASE_ISO / light, &mut stream).beyond(BASE_ISO);
    canvas.read_later("low_light", sensor, shot.options.frame.1, stream);
    LowLightParameters {
        severity,
        exposure_stops,
        light,
        sensor,
    }
}

#[cfg(test)]
mod tests {
    use image::{Rgb, Rgb32FImage};

    use crate::depth::estimate;
    use crate::light::linear_from_encoded;
    use crate::{Drawn, Options, degrade, layers};

    #[test]
    fn light_is_taken_by_stops_and_the_noise_comes_last() {
        let grey = Rgb32FImage::from_pixel(128, 128, Rgb([0.5; 3]));
        let options = Options {
            layers: true,
            ..Options::default()
        };
        let mix = "low_light=1,motion_blur=1,jpeg=0.5".parse().expect("mix");
        let degraded = degrade(&grey, &estimate(&grey), &mix, 3, &options).expect("degraded");
        let steps = degraded.steps.expect("layers");
        let names: Vec<_> = steps.iter().map(|step| (step.class, step.name)).collect();
        let expected = [
            ("low_light", "exposure"),
            ("motion_blur", "shake"),
            ("low_light", "noise"),
            ("jpeg", "compression"),
        ];
        assert_eq!(names, expected);
        let Some(Drawn::LowLight(drawn)) = degraded.parameters.classes.iter().flatten().next() else {
            panic!("low light comes first of these classes");
        };
        assert!((-3.0..=-2.0).contains(&drawn.exposure_stops));
        let noisy = layers::put_together(&grey, &steps[..3]);
        let light = noisy.iter().map(|v| f64::from(linear_from_encoded(*v))).sum::<f64>() / noisy.len() as f64;
        let expected = 0.214_041 * f64::from(drawn.exposure_stops).exp2();
        // What would be below black is cut, which brightens a little.
        assert!(
            (0.995..1.03).contains(&(light / expected)),
            "{light}, expected {expected}"
        );
        assert!((f64::from(drawn.sensor.iso) - 200.0 / f64::from(drawn.light)).abs() < 1.0);
    }
}
