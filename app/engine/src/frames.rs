//! From float images to what the studio shows and the CLI writes: 8-bit pixels and spectra.

use image::Rgb32FImage;
use mdsd3_model::spectrum::{self, Window};

use crate::error::EngineError;
use crate::loaded::{Decoder, Latents};
use crate::protocol::{Rgba8, SpectrumFrame};

/// A decoded image beside its spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The image.
    pub image: Rgba8,
    /// The spectrum of its luma, taken before rounding to 8 bits.
    pub spectrum: SpectrumFrame,
}

/// Decodes latents to an image and its spectrum.
pub fn decode(decoder: &Decoder, latents: &Latents) -> Result<Decoded, EngineError> {
    let rgb = decoder.rgb_from_latents(latents)?;
    from_rgb(&rgb)
}

/// Decodes latents for the preview, where speed counts more than the last detail.
pub fn preview(decoder: &Decoder, latents: &Latents) -> Result<Decoded, EngineError> {
    let rgb = decoder.preview_from_latents(latents)?;
    from_rgb(&rgb)
}

/// Rounds an image (sRGB in `0..=1`) to 8 bits and takes its spectrum.
pub fn from_rgb(rgb: &Rgb32FImage) -> Result<Decoded, EngineError> {
    Ok(Decoded {
        image: rgba8_from_rgb(rgb),
        spectrum: spectrum_from_rgb(rgb)?,
    })
}

/// Rounds sRGB values in `0..=1` to 8 bits; values outside (the decoder overshoots a little) are clamped.
pub fn rgba8_from_rgb(rgb: &Rgb32FImage) -> Rgba8 {
    let byte = |value: f32| (value.clamp(0.0, 1.0) * 255.0).round() as u8;
    let pixels = rgb
        .pixels()
        .flat_map(|pixel| [byte(pixel[0]), byte(pixel[1]), byte(pixel[2]), 255])
        .collect();
    Rgba8 {
        width: rgb.width(),
        height: rgb.height(),
        pixels,
    }
}

/// The 2-D log power spectrum of luma and its radial average, under a Hann window.
pub fn spectrum_from_rgb(rgb: &Rgb32FImage) -> Result<SpectrumFrame, EngineError> {
    let (width, height) = rgb.dimensions();
    let luma = spectrum::luma_from_rgb(rgb);
    let full = spectrum::log_power_spectrum(&luma, width as usize, height as usize, Window::Hann)?;
    // More rings than half the shorter side would leave some empty.
    let rings = (width.min(height) / 2).max(1) as usize;
    let radial = spectrum::radial_average(&full, rings).into();
    Ok(SpectrumFrame {
        width,
        height,
        log_power: full.log_power.into(),
        radial,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_clamps_and_keeps_order() {
        let rgb = Rgb32FImage::from_raw(2, 1, vec![-0.1, 0.5, 1.2, 0.0, 1.0, f32::NAN]).expect("two pixels");
        let image = rgba8_from_rgb(&rgb);
        assert_eq!(&image.pixels[..], &[0, 128, 255, 255, 0, 255, 0, 255]);
    }
}
