//! Noise as a sensor makes it and a camera develops it: the class `noise`, and what `low_light` reads its signal by.
//!
//! The scene is taken back to raw values behind an RGGB mosaic (Brooks et al. 2019, "Unprocessing images for learned
//! raw denoising"): linear light, the camera's colours, its white balance and gain undone. There each
//! photosite gets normal noise of variance `shot x + read`, and what it holds beyond saturation is
//! lost. The noise is then developed as the signal is: demosaicked (Malvar et al. 2004), white balance, colours. All of
//! that is linear, so that what development makes of the noise alone is the noisy picture less the clean one developed
//! alike, and the scene keeps the sharpness that demosaicking would take. Grain is therefore correlated over pixels and
//! channels, and per pixel whatever the image's size. It has no bias in light; in encoded values it has that of their
//! curve, -0.004 at mid grey and severity 1.
//!
//! | severity | 0.25 | 0.5 | 1 | 1.5 |
//! |---|---|---|---|---|
//! | ISO | 156 | 625 | 2500 | 5625 |
//! | root mean square at mid grey, 255ths | 3 | 6.5 | 14 | 22 |

use image::Rgb32FImage;
use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;
use crate::plane::{Plane, image_from_rows};
use crate::shot::Shot;
use crate::stream::Stream;

/// Gain at severity 1. Its shot noise, 0.0025, is in the upper half of what Brooks et al. draw (0.0001 to 0.012, by its
/// logarithm).
const ISO_AT_ONE: f32 = 2500.0;
/// Variance of the shot noise per raw value at ISO 100: that of a full well of 10 000 electrons, a phone's or a compact
/// camera's.
const SHOT_AT_ISO_100: f32 = 1e-4;
/// Gains of red and blue over green that balance daylight (Brooks et al. 2019, on digital gain and white balance).
const RED_GAIN: (f32, f32) = (1.9, 2.4);
const BLUE_GAIN: (f32, f32) = (1.5, 1.9);
/// Raw value of green in white: the mean inverse gain of Brooks et al. 2019.
const EXPOSURE: f32 = 0.8;
/// Linear light from which on a pixel counts as overexposed: what was brighter than white is white in a photo.
const HIGHLIGHT: f32 = 0.9;
/// How much brighter than it shows a pixel at white is taken to have been.
const BEYOND_WHITE: f32 = 4.0;
/// The camera's colours of linear sRGB: the Sony DSC-RX100M4's matrix for daylight from Adobe's DNG converter, as the
/// Darmstadt noise dataset has it, times that of sRGB to XYZ, rows brought to sum 1.
const CAMERA_FROM_RGB: [[f32; 3]; 3] = [
    [0.6337, 0.2249, 0.1414],
    [0.0788, 0.7403, 0.1809],
    [0.0058, 0.2224, 0.7718],
];
/// The inverse of [`CAMERA_FROM_RGB`].
const RGB_FROM_CAMERA: [[f32; 3]; 3] = [
    [1.6342, -0.4373, -0.1969],
    [-0.1839, 1.5024, -0.3185],
    [0.0408, -0.4297, 1.3889],
];

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct NoiseParameters {
    /// Severity asked for.
    pub severity: f32,
    /// How the signal is read.
    #[serde(flatten)]
    pub sensor: SensorParameters,
}

/// How a sensor's signal is read.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct SensorParameters {
    /// The gain as cameras name it, for a sensor whose photosites hold 10 000 electrons at ISO 100.
    pub iso: f32,
    /// Variance of the shot noise per raw value; raw values are 1 at saturation.
    pub shot_variance: f32,
    /// Variance of the read noise, raw values squared.
    pub read_variance: f32,
    /// Gain of red over green.
    pub red_gain: f32,
    /// Gain of blue over green.
    pub blue_gain: f32,
}

/// Adds sensor noise.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> NoiseParameters {
    // The residual grows in proportion to the severity.
    let sensor = SensorParameters::draw(severity * severity * ISO_AT_ONE, &mut stream);
    add_noise(canvas, "noise", &sensor, shot.options.frame.1, &stream);
    NoiseParameters { severity, sensor }
}

impl SensorParameters {
    /// A sensor at this gain, and white balance for a light that is drawn.
    pub(crate) fn draw(iso: f32, stream: &mut Stream) -> Self {
        let shot_variance = SHOT_AT_ISO_100 * iso / 100.0;
        Self {
            iso,
            shot_variance,
            read_variance: read_variance(shot_variance),
            red_gain: stream.within(RED_GAIN),
            blue_gain: stream.within(BLUE_GAIN),
        }
    }

    /// The same gain less what a photo taken at `iso` has in it: variances add up.
    pub(crate) fn beyond(self, iso: f32) -> Self {
        let shot_variance = SHOT_AT_ISO_100 * iso / 100.0;
        Self {
            shot_variance: (self.shot_variance - shot_variance).max(0.0),
            read_variance: (self.read_variance - read_variance(shot_variance)).max(0.0),
            ..self
        }
    }

    /// What raw values of red, green and blue are multiplied by.
    fn gains(&self) -> [f32; 3] {
        [self.red_gain, 1.0, self.blue_gain].map(|gain| gain / EXPOSURE)
    }
}

/// The middle of what cameras show beside that shot noise (the log-linear fit of Brooks et al. 2019).
fn read_variance(shot_variance: f32) -> f32 {
    libm::expf(2.18 * libm::logf(shot_variance) + 1.20)
}

/// Reads what is on the canvas by a sensor: its noise is added in linear light, where the result is held to what a
/// sensor has. Each frame of a sequence gets noise of its own.
pub(crate) fn add_noise(
    canvas: &mut Canvas<'_>,
    class: &'static str,
    sensor: &SensorParameters,
    frame: u32,
    stream: &Stream,
) {
    let image = canvas.image_in(Space::Linear);
    let noise = raw_noise(image, sensor, frame, stream);
    let residual = developed(&noise, image, sensor.gains());
    canvas.apply((class, "noise"), Space::Linear, Operation::Add(residual), Vec::new());
}

/// The noise of each photosite, saturation included, in raw values.
fn raw_noise(image: &Rgb32FImage, sensor: &SensorParameters, frame: u32, stream: &Stream) -> Plane {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let gains = sensor.gains();
    Plane::from_rows(width, height, |y, row| {
        let mut stream = stream.of_part(frame, y as u32);
        let pixels = image.as_raw()[3 * width * y..].chunks_exact(3);
        let mut spare = None;
        for (x, (noise, pixel)) in row.iter_mut().zip(pixels).enumerate() {
            let normal = spare.take().unwrap_or_else(|| {
                let (now, next) = stream.normal_pair();
                spare = Some(next);
                now
            });
            let channel = channel_at(x, y);
            let light = dot(CAMERA_FROM_RGB[channel], pixel) * beyond_white(pixel) / gains[channel];
            let signal = light.clamp(0.0, 1.0);
            let sigma = (sensor.shot_variance * signal + sensor.read_variance).sqrt();
            *noise = (light + sigma * normal).min(1.0) - signal;
        }
    })
}

/// The channel that an RGGB mosaic lets through.
fn channel_at(x: usize, y: usize) -> usize {
    (x & 1) + (y & 1)
}

/// How much brighter than it shows a pixel was: photos show all that is overexposed as white (Brooks et al. 2019,
/// on white balance).
fn beyond_white(pixel: &[f32]) -> f32 {
    let mean = (pixel[0] + pixel[1] + pixel[2]) / 3.0;
    let into = ((mean - HIGHLIGHT) / (1.0 - HIGHLIGHT)).clamp(0.0, 1.0);
    1.0 + (BEYOND_WHITE - 1.0) * into * into
}

/// The noise in linear sRGB: demosaicked, balanced, in the screen's colours, and cut where it would leave `0..=1`.
fn developed(noise: &Plane, image: &Rgb32FImage, gains: [f32; 3]) -> Rgb32FImage {
    let width = noise.width;
    let columns: Vec<usize> = (0..width + 4).map(|x| mirrored(x as isize - 2, width)).collect();
    image_from_rows(image.width(), image.height(), |y, out| {
        let rows: [&[f32]; 5] = std::array::from_fn(|i| noise.row(mirrored((y + i) as isize - 2, noise.height)));
        let scene = &image.as_raw()[3 * width * y..];
        for (x, (residual, pixel)) in out.chunks_exact_mut(3).zip(scene.chunks_exact(3)).enumerate() {
            let at = |dx: usize, dy: usize| rows[dy][columns[x + dx]];
            let camera = demosaicked(at, x, y);
            let camera: [f32; 3] = std::array::from_fn(|channel| camera[channel] * gains[channel]);
            for channel in 0..3 {
                let developed = pixel[channel] + dot(RGB_FROM_CAMERA[channel], &camera);
                residual[channel] = developed.clamp(0.0, 1.0) - pixel[channel];
            }
        }
    })
}

/// Red, green and blue at a photosite by the linear filters of Malvar et al. 2004 (figure 2); `at` reads the 5 x 5
/// photosites around it, `(2, 2)` being itself.
fn demosaicked(at: impl Fn(usize, usize) -> f32, x: usize, y: usize) -> [f32; 3] {
    let here = at(2, 2);
    let beside = at(1, 2) + at(3, 2);
    let above = at(2, 1) + at(2, 3);
    let corners = at(1, 1) + at(3, 1) + at(1, 3) + at(3, 3);
    let far_beside = at(0, 2) + at(4, 2);
    let far_above = at(2, 0) + at(2, 4);
    if channel_at(x, y) == 1 {
        let along = |near: f32, far: f32, across: f32| (5.0 * here + 4.0 * near - corners - far + 0.5 * across) / 8.0;
        let (of_row, of_column) = (
            along(beside, far_beside, far_above),
            along(above, far_above, far_beside),
        );
        return if y & 1 == 0 {
            [of_row, here, of_column]
        } else {
            [of_column, here, of_row]
        };
    }
    let green = (4.0 * here + 2.0 * (beside + above) - far_beside - far_above) / 8.0;
    let opposite = (6.0 * here + 2.0 * corners - 1.5 * (far_beside + far_above)) / 8.0;
    if y & 1 == 0 {
        [here, green, opposite]
    } else {
        [opposite, green, here]
    }
}

/// A place beyond the border is mirrored at it without repeating the pixel there, which keeps the mosaic's order.
fn mirrored(at: isize, length: usize) -> usize {
    let last = length as isize - 1;
    let inside = |at: isize| (at.abs() - 2 * (at.abs() - last).max(0)).abs();
    inside(at).min(last) as usize
}

fn dot(row: [f32; 3], pixel: &[f32]) -> f32 {
    row[0] * pixel[0] + row[1] * pixel[1] + row[2] * pixel[2]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::depth::estimate;
    use crate::light::linear_from_encoded;
    use crate::{Options, degrade};
    use image::Rgb;

    fn noisy(scene: &Rgb32FImage, severity: f32, frame: u32) -> Rgb32FImage {
        let options = Options {
            frame: (0.0, frame),
            ..Options::default()
        };
        let mix = format!("noise={severity}").parse().expect("mix");
        degrade(scene, &estimate(scene), &mix, 4, &options)
            .expect("noise")
            .image
    }

    fn grey(size: u32) -> Rgb32FImage {
        Rgb32FImage::from_pixel(size, size, Rgb([0.5; 3]))
    }

    /// Covariance of two channels of an image, one shifted to the right.
    fn covariance(image: &Rgb32FImage, (a, b): (usize, usize), shift: u32) -> f64 {
        let middle =
            |channel: usize| image.pixels().map(|p| f64::from(p.0[channel])).sum::<f64>() / image.pixels().len() as f64;
        let (mean_a, mean_b) = (middle(a), middle(b));
        let products = image.enumerate_pixels().filter(|(x, ..)| x + shift < image.width());
        let (sum, count) = products.fold((0.0, 0), |(sum, count), (x, y, pixel)| {
            let other = image.get_pixel(x + shift, y).0[b];
            (
                sum + (f64::from(pixel.0[a]) - mean_a) * (f64::from(other) - mean_b),
                count + 1,
            )
        });
        sum / f64::from(count)
    }

    #[test]
    fn noise_is_unbiased_in_light_and_as_strong_as_stated() {
        let image = noisy(&grey(192), 1.0, 0);
        let count = image.len() as f64;
        let light = image
            .iter()
            .map(|value| f64::from(linear_from_encoded(*value)))
            .sum::<f64>()
            / count;
        assert!((light - f64::from(linear_from_encoded(0.5))).abs() < 2e-3, "{light}");
        let square = image.iter().map(|value| f64::from(value - 0.5).powi(2)).sum::<f64>() / count;
        let levels = 255.0 * square.sqrt();
        assert!((12.0..14.0).contains(&levels), "{levels}/255");
    }

    /// Channels of neighbouring pixels share photosites, and what demosaicking adds to green it adds to red.
    #[test]
    fn grain_is_correlated_over_pixels_and_channels() {
        let image = noisy(&grey(192), 1.0, 0);
        let share = |channels, shift| {
            let (a, b) = channels;
            covariance(&image, channels, shift) / (covariance(&image, (a, a), 0) * covariance(&image, (b, b), 0)).sqrt()
        };
        assert!(share((0, 0), 1) > 0.2, "red beside red: {}", share((0, 0), 1));
        assert!(share((0, 0), 8).abs() < 0.03, "red far from red: {}", share((0, 0), 8));
        assert!(
            covariance(&image, (0, 0), 0) > 1.3 * covariance(&image, (1, 1), 0),
            "red is noisier"
        );
    }

    #[test]
    fn variance_grows_with_light_as_shot_noise_does() {
        // On raw values: 0.0075 x + 2.2e-4 * (0.0075 / 0.012)^2.18, by hand from the equations.
        let sensor = SensorParameters::draw(7500.0, &mut Stream::new(1, 2, 0.0));
        assert!(
            (sensor.read_variance - 7.74e-5).abs() < 1e-6,
            "{}",
            sensor.read_variance
        );
        for light in [0.05_f32, 0.4] {
            let image = Rgb32FImage::from_pixel(256, 256, Rgb([light; 3]));
            let noise = raw_noise(&image, &sensor, 0, &Stream::new(1, 2, 1.0));
            let green = noise
                .values
                .iter()
                .enumerate()
                .filter(|(i, _)| channel_at(i % 256, i / 256) == 1);
            let (sum, count) = green.fold((0.0, 0.0), |(sum, n), (_, v)| (sum + f64::from(*v).powi(2), n + 1.0));
            let expected = f64::from(0.0075 * 0.8 * light) + 7.74e-5;
            assert!(
                (sum / count / expected - 1.0).abs() < 0.03,
                "{light}: {}, {expected}",
                sum / count
            );
        }
    }

    #[test]
    fn overexposed_white_has_no_noise_and_each_frame_its_own() {
        let white = Rgb32FImage::from_pixel(32, 32, Rgb([1.0; 3]));
        let least = noisy(&white, 1.0, 0).iter().copied().fold(1.0, f32::min);
        assert!(least > 0.98, "{least}");
        let grey = grey(32);
        assert_ne!(noisy(&grey, 1.0, 0), noisy(&grey, 1.0, 1));
    }

    /// Values of the `colour-demosaicing` package: `demosaicing_CFA_Bayer_Malvar2004(mosaic, "RGGB")[3:5, 3:5]`.
    #[test]
    fn demosaicking_is_that_of_malvar() {
        let mosaic = [
            [1.0, 0.98, 0.69, 0.65, 0.69, 0.39, 0.14, 0.72],
            [0.93, 0.36, 0.57, 0.32, 0.59, 0.34, 0.39, 0.89],
            [0.79, 0.24, 0.88, 0.06, 0.34, 0.15, 0.45, 0.8],
            [0.09, 0.58, 0.3, 0.67, 0.2, 0.94, 0.37, 0.11],
            [0.5, 0.43, 0.62, 1.0, 0.95, 0.46, 0.76, 0.5],
            [0.71, 0.93, 0.11, 0.73, 0.93, 0.97, 0.01, 0.86],
        ];
        let expected = [
            ((3, 3), [0.718_125, 0.403_75, 0.67]),
            ((4, 3), [0.413_125, 0.2, 0.7325]),
            ((3, 4), [1.124_375, 1.0, 1.151_875]),
            // One row more is needed than is above for the fourth.
        ];
        let mosaic: Vec<[f32; 8]> = mosaic
            .into_iter()
            .chain([[0.89, 0.82, 0.48, 0.23, 0.8, 0.92, 0.27, 0.54]])
            .collect();
        for ((x, y), expected) in expected {
            let found = demosaicked(|dx, dy| mosaic[y + dy - 2][x + dx - 2], x, y);
            for (found, expected) in found.iter().zip(expected) {
                assert!(
                    (found - expected).abs() < 1e-5,
                    "({x}, {y}): {found}, expected {expected}"
                );
            }
        }
    }

    #[test]
    fn the_cameras_colours_and_back_are_the_same() {
        for i in 0..9 {
            let column = [0, 1, 2].map(|k| RGB_FROM_CAMERA[k][i % 3]);
            let expected = f32::from(i / 3 == i % 3);
            assert!((dot(CAMERA_FROM_RGB[i / 3], &column) - expected).abs() < 2e-4, "{i}");
        }
    }

    #[test]
    fn places_beyond_the_border_keep_the_mosaics_order() {
        let at = |length: usize| [-2, -1, 0, length as isize, length as isize + 1].map(|at| mirrored(at, length));
        assert_eq!(at(6), [2, 1, 0, 4, 3]);
        assert_eq!(at(2), [0, 1, 0, 0, 1]);
        assert_eq!(at(1), [0, 0, 0, 0, 0]);
    }
}
