//! Spectra: which frequencies an image's energy sits in.
//!
//! Conventions, the same everywhere in the studio: power is `|F|^2 / N` for `N` pixels and the plain sum `F` of the
//! discrete Fourier transform, so that the powers of all bins add up to the sum of squares of the pixels (Parseval)
//! and white noise of variance `s^2` has power `s^2` in every bin, whatever the image's size. Frequencies are in
//! cycles per pixel, -0.5 to 0.5. Zero frequency is at row `height / 2`, column `width / 2`.
//!
//! | module | what |
//! |---|---|
//! | [`bands`] | energy per octave band, correlation with another image per band |
//! | [`formation`] | share of the final energy, "formed at", spectral slope |
//! | [`bootstrap`] | a mean over scenes and seeds with its interval |
//! | [`measures`] | veil, streak, anisotropy, colour distance of a result to its scene |

pub mod bands;
pub mod bootstrap;
pub mod formation;
pub mod measures;

mod fourier;
mod radial;

use image::Rgb32FImage;

use crate::error::ModelError;
use fourier::HalfPlane;
pub use radial::radial_average;

/// Added to power before the logarithm: well below the power of 8-bit rounding (1.3e-6), so that nothing visible is
/// hidden and black is finite.
pub const POWER_FLOOR: f32 = 1e-8;

/// What the image is multiplied with before the transform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Window {
    /// Nothing: Parseval holds exactly, but the jump from one border to the opposite one draws a cross into the
    /// spectrum.
    None,
    /// The Hann window over both axes, which takes the cross away. The mean is taken out before and put into the bin
    /// of zero frequency after (or it would leak into the lowest bins, and they into it); power is divided by the window's mean
    /// square, so that noise keeps its level.
    #[default]
    Hann,
}

/// A 2-D power spectrum, zero frequency in the middle.
#[derive(Debug, Clone, PartialEq)]
pub struct Spectrum {
    /// Frequency bins across, the image's width.
    pub width: usize,
    /// Frequency bins down, the image's height.
    pub height: usize,
    /// Power of each bin, row major.
    ///
    /// # Shapes
    /// `[height, width]`
    pub power: Vec<f32>,
    /// `log10(power + POWER_FLOOR)`, same shape.
    pub log_power: Vec<f32>,
}

impl Spectrum {
    /// Horizontal and vertical frequency of a bin, in cycles per pixel.
    pub fn frequency(&self, column: usize, row: usize) -> (f32, f32) {
        let signed = |index: usize, size: usize| (index as f32 - (size / 2) as f32) / size as f32;
        (signed(column, self.width), signed(row, self.height))
    }
}

/// Luma of every pixel (ITU-R BT.601 weights on the encoded values, as video and JPEG have it), row major.
///
/// # Shapes
/// `[height, width]`
pub fn luma_from_rgb(rgb: &Rgb32FImage) -> Vec<f32> {
    rgb.pixels()
        .map(|pixel| 0.299 * pixel[0] + 0.587 * pixel[1] + 0.114 * pixel[2])
        .collect()
}

/// The power spectrum of a single-channel image and its logarithm.
///
/// # Shapes
/// `luma`: `[height, width]`, row major, any real values (differences of images too)
///
/// # Errors
/// [`ModelError::BadInput`] when `luma` doesn't hold `width * height` values or there are none.
pub fn log_power_spectrum(luma: &[f32], width: usize, height: usize, window: Window) -> Result<Spectrum, ModelError> {
    check_size(luma, width, height)?;
    let power = HalfPlane::new(luma, width, height, window).centred_power();
    let log_power = power.iter().map(|power| (power + POWER_FLOOR).log10()).collect();
    Ok(Spectrum {
        width,
        height,
        power,
        log_power,
    })
}

fn check_size(samples: &[f32], width: usize, height: usize) -> Result<(), ModelError> {
    if !samples.is_empty() && samples.len() == width * height {
        return Ok(());
    }
    Err(ModelError::BadInput(format!(
        "spectrum of {} values as {width}x{height}: give width times height of them",
        samples.len()
    )))
}

#[cfg(test)]
mod tests;
