//! Sensor noise: shot and read noise, the Poissonian-Gaussian model in its normal approximation.
//!
//! `sigma^2 = severity^2 (shot^2 v + read^2)` at value `v` (Foi et al. 2008, equation 5), applied to sRGB-encoded
//! values as the denoising benchmarks do. A part of the noise is common to the three channels, since demosaicking
//! spreads each photosite's noise over all of them.

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;
use crate::shot::Shot;
use crate::stream::Stream;

/// Standard deviation of the shot noise of a white pixel at severity 1.
const SHOT_SIGMA: f32 = 0.09;
/// Standard deviation of the read noise at severity 1.
const READ_SIGMA: f32 = 0.035;
/// Share of the variance that is common to the three channels.
const COMMON_VARIANCE: f32 = 0.3;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct NoiseParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Standard deviation of the shot noise of a white pixel, sRGB-encoded values.
    pub shot_sigma: f32,
    /// Standard deviation of the read noise, sRGB-encoded values.
    pub read_sigma: f32,
}

/// Adds sensor noise to `image` in place; the caller clips, as the sensor does.
pub(super) fn apply(canvas: &mut Canvas<'_>, _: &Shot<'_>, severity: f32, mut stream: Stream) -> NoiseParameters {
    let mut degraded = canvas.image_in(Space::Srgb).clone();
    let (shot_sigma, read_sigma) = (severity * SHOT_SIGMA, severity * READ_SIGMA);
    let (shot, read) = (shot_sigma * shot_sigma, read_sigma * read_sigma);
    let (common_share, own_share) = (COMMON_VARIANCE.sqrt(), (1.0 - COMMON_VARIANCE).sqrt());
    for pixel in degraded.pixels_mut() {
        let (common, red) = stream.normal_pair();
        let (green, blue) = stream.normal_pair();
        for (value, own) in pixel.0.iter_mut().zip([red, green, blue]) {
            let sigma = (shot * value.max(0.0) + read).sqrt();
            *value += sigma * (common_share * common + own_share * own);
        }
    }
    canvas.apply(
        ("noise", "noise"),
        Space::Srgb,
        Operation::Replace(degraded),
        Vec::new(),
    );
    NoiseParameters {
        severity,
        shot_sigma,
        read_sigma,
    }
}
