//! What a mix did to a scene, in a few numbers: those of `tests/bench/measure_mix.py`, and a colour distance.

use image::Rgb32FImage;

use super::fourier::HalfPlane;
use super::{Window, luma_from_rgb};
use crate::error::ModelError;

/// Side of the blocks that contrast is compared in, in pixels.
const BLOCK_PX: usize = 32;
/// Mean square that a block of the scene needs to have contrast to lose.
const MIN_BLOCK_POWER: f64 = 1e-4;
/// Bins per channel of the colour histograms.
const HISTOGRAM_BINS: usize = 64;

/// Measures of a result against its scene.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measures {
    /// Haze, 0 to 1: 1 minus the share of the scene's mid-frequency contrast (between blurs of 4 and 24 px) that is left.
    pub veil: f64,
    /// RMS in units of 0..255 of what is new at high frequency (finer than a 2 px blur).
    pub streak: f64,
    /// How far that new energy lies along one direction, 0 to 1: rain near 0.5 and above, noise and snow near 0.
    pub anisotropy: f64,
    /// Share of that new energy that lies at 0.25 cycles per pixel and above: how crisp it is.
    pub high_band: f64,
    /// Earth mover's distance between the colour histograms of result and scene, mean over channels, 0 to 1.
    pub color_distance: f64,
}

/// Measures a result.
///
/// # Errors
/// Bad input when the sizes differ.
pub fn measure(scene: &Rgb32FImage, result: &Rgb32FImage) -> Result<Measures, ModelError> {
    if scene.dimensions() != result.dimensions() || scene.as_raw().is_empty() {
        return Err(ModelError::BadInput(
            "measuring a result against a scene of another size: give them the same size".into(),
        ));
    }
    let width = scene.width() as usize;
    let (s, r) = (luma_from_rgb(scene), luma_from_rgb(result));
    let transmission = transmission(&s, &r, width);
    let detail = |luma: &[f32]| difference(luma, &blurred(luma, width, 2.0));
    let (scene_detail, result_detail) = (detail(&s), detail(&r));
    let new: Vec<f32> = result_detail
        .iter()
        .zip(&scene_detail)
        .map(|(r, s)| r - transmission as f32 * s)
        .collect();
    let mean_square = new.iter().map(|v| f64::from(v * v)).sum::<f64>() / new.len() as f64;
    let (anisotropy, high_band) = direction_and_crispness(&new, width);
    Ok(Measures {
        veil: 1.0 - transmission,
        streak: mean_square.sqrt() * 255.0,
        anisotropy,
        high_band,
        color_distance: color_distance(scene, result),
    })
}

/// Least squares share of the scene's contrast in the result per block, median over blocks with contrast.
fn transmission(scene: &[f32], result: &[f32], width: usize) -> f64 {
    let band = |luma: &[f32]| difference(&blurred(luma, width, 4.0), &blurred(luma, width, 24.0));
    let (scene, result) = (band(scene), band(result));
    let height = scene.len() / width;
    let mut shares = Vec::new();
    for top in (0..(height + 1).saturating_sub(BLOCK_PX)).step_by(BLOCK_PX) {
        for left in (0..(width + 1).saturating_sub(BLOCK_PX)).step_by(BLOCK_PX) {
            let (mut cross, mut power) = (0.0, 0.0);
            for row in top..top + BLOCK_PX {
                let line = row * width + left..row * width + left + BLOCK_PX;
                for (s, r) in scene[line.clone()].iter().zip(&result[line]) {
                    cross += f64::from(s * r);
                    power += f64::from(s * s);
                }
            }
            if power / (BLOCK_PX * BLOCK_PX) as f64 > MIN_BLOCK_POWER {
                shares.push(cross / power);
            }
        }
    }
    median(shares).map_or(1.0, |share| share.clamp(0.0, 1.2))
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len().is_multiple_of(2) {
        f64::midpoint(values[middle - 1], upper)
    } else {
        upper
    })
}

/// Modulus of the second angular moment of power between 0.05 and 0.35 cycles per pixel, and the share of power at 0.25
/// and above in what is below 0.5.
fn direction_and_crispness(new: &[f32], width: usize) -> (f64, f64) {
    let plane = HalfPlane::new(new, width, new.len() / width, Window::Hann);
    let (mut cos, mut sin, mut ring, mut high, mut all) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for column in 0..=plane.width / 2 {
        for row in 0..plane.height {
            let (across, down) = plane.frequency(column, row);
            let radius = across.hypot(down);
            let power = plane.multiplicity(column) as f64 * f64::from(plane.coefficient(column, row).norm_sqr());
            if radius > 0.05 && radius < 0.35 {
                let double_angle = f64::from(2.0 * down.atan2(across));
                cos += power * double_angle.cos();
                sin += power * double_angle.sin();
                ring += power;
            }
            if radius > 0.0 && radius <= 0.5 {
                all += power;
                high += if radius >= 0.25 { power } else { 0.0 };
            }
        }
    }
    let share = |part: f64, whole: f64| if whole > 0.0 { part / whole } else { 0.0 };
    (share(cos.hypot(sin), ring), share(high, all))
}

/// Mean over channels of the area between the cumulative histograms.
fn color_distance(scene: &Rgb32FImage, result: &Rgb32FImage) -> f64 {
    let pixels = f64::from(scene.width()) * f64::from(scene.height());
    let mut total = 0.0;
    for channel in 0..3 {
        let mut difference = [0.0; HISTOGRAM_BINS];
        for (image, sign) in [(scene, 1.0), (result, -1.0)] {
            for pixel in image.pixels() {
                let bin = (pixel[channel].clamp(0.0, 1.0) * HISTOGRAM_BINS as f32) as usize;
                difference[bin.min(HISTOGRAM_BINS - 1)] += sign / pixels;
            }
        }
        let mut cumulative = 0.0;
        for part in difference {
            cumulative += part;
            total += f64::abs(cumulative) / HISTOGRAM_BINS as f64;
        }
    }
    total / 3.0
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

/// Gaussian blur out to four standard deviations, mirrored at the borders (as scipy's `gaussian_filter` by default).
fn blurred(luma: &[f32], width: usize, sigma_px: f32) -> Vec<f32> {
    let radius = (4.0 * sigma_px + 0.5) as usize;
    let mut kernel: Vec<f32> = (0..=2 * radius)
        .map(|i| (-0.5 * ((i as f32 - radius as f32) / sigma_px).powi(2)).exp())
        .collect();
    let sum: f32 = kernel.iter().sum();
    for weight in &mut kernel {
        *weight /= sum;
    }
    let height = luma.len() / width;
    let across = filtered_rows(luma, width, &kernel);
    transposed(&filtered_rows(&transposed(&across, width), height, &kernel), height)
}

fn filtered_rows(values: &[f32], width: usize, kernel: &[f32]) -> Vec<f32> {
    let radius = kernel.len() / 2;
    let mut padded = vec![0.0; width + 2 * radius];
    let mut out = Vec::with_capacity(values.len());
    for row in values.chunks_exact(width) {
        for (index, value) in padded.iter_mut().enumerate() {
            let period = 2 * width;
            let folded = (index + period * radius.div_ceil(period) - radius) % period;
            *value = row[if folded < width { folded } else { period - 1 - folded }];
        }
        out.extend((0..width).map(|x| {
            padded[x..]
                .iter()
                .zip(kernel)
                .map(|(value, weight)| value * weight)
                .sum::<f32>()
        }));
    }
    out
}

fn transposed(values: &[f32], width: usize) -> Vec<f32> {
    let height = values.len() / width;
    (0..values.len())
        .map(|i| values[i % height * width + i / height])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spectrum::tests::texture;

    fn gray(luma: &[f32], side: u32) -> Rgb32FImage {
        Rgb32FImage::from_raw(side, side, luma.iter().flat_map(|v| [*v; 3]).collect()).expect("a square")
    }

    fn smooth_scene() -> Vec<f32> {
        blurred(&texture(128, 128), 128, 4.0)
            .iter()
            .map(|v| 0.5 + 5.0 * v)
            .collect()
    }

    #[test]
    fn the_blur_keeps_the_sum_and_is_the_gaussian() {
        let mut dot = vec![0.0; 64 * 64];
        dot[32 * 64 + 32] = 1.0;
        let blurred = blurred(&dot, 64, 2.0);
        assert!((blurred.iter().sum::<f32>() - 1.0).abs() < 1e-4);
        let centre = blurred[32 * 64 + 32];
        assert!((centre - 1.0 / (8.0 * std::f32::consts::PI)).abs() < 1e-4, "{centre}");
        assert!((blurred[32 * 64 + 34] / centre - (-0.5f32).exp()).abs() < 1e-3);
    }

    #[test]
    fn an_even_veil_is_measured_as_such() {
        let scene = smooth_scene();
        let veiled: Vec<f32> = scene.iter().map(|v| 0.6 * v + 0.4 * 0.9).collect();
        let measures = measure(&gray(&scene, 128), &gray(&veiled, 128)).expect("same size");
        assert!(
            (measures.veil - 0.4).abs() < 1e-3 && measures.streak < 0.01,
            "{measures:?}"
        );
        let shift = scene.iter().zip(&veiled).map(|(s, v)| v - s).sum::<f32>() / scene.len() as f32;
        assert!(
            (measures.color_distance - f64::from(shift)).abs() < 0.02,
            "{measures:?} against {shift}"
        );
    }

    #[test]
    fn stripes_have_a_direction_and_noise_has_none() {
        let scene = smooth_scene();
        let add =
            |what: &dyn Fn(usize) -> f32| -> Vec<f32> { scene.iter().enumerate().map(|(i, v)| v + what(i)).collect() };
        let stripes = add(&|i| if (i % 128 + i / 512) % 8 == 0 { 0.2 } else { 0.0 });
        let noise = texture(128, 128);
        let noisy = add(&|i| 0.2 * noise[i]);
        let of = |image: &[f32]| measure(&gray(&scene, 128), &gray(image, 128)).expect("same size");
        let (striped, noisy) = (of(&stripes), of(&noisy));
        assert!(
            striped.anisotropy > 0.7 && noisy.anisotropy < 0.1,
            "{striped:?} {noisy:?}"
        );
        assert!(
            striped.streak > 5.0 && noisy.streak > 5.0 && noisy.high_band > 0.6,
            "{striped:?} {noisy:?}"
        );
    }

    #[test]
    fn nothing_changed_measures_nothing_and_sizes_must_agree() {
        let scene = gray(&smooth_scene(), 128);
        let same = measure(&scene, &scene).expect("same size");
        assert!(
            same.veil.abs() < 1e-6 && same.streak < 1e-3 && same.color_distance < 1e-9,
            "{same:?}"
        );
        assert!(measure(&scene, &gray(&[0.5; 64 * 64], 64)).is_err());
    }
}
