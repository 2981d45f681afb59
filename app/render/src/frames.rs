//! From float images to what the studio shows and the CLI writes: 8-bit pixels and spectra.

use image::Rgb32FImage;
use mdsd3_model::pipeline::Latents;
use mdsd3_model::spectrum::{self, Spectrum, Window};
use mdsd3_words::image::{Rgba8, SpectrumFrame};

use crate::error::RenderError;
use crate::loaded::Decoder;

/// A decoded image beside its spectrum.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The image.
    pub image: Rgba8,
    /// The spectrum of its luma, taken before rounding to 8 bits.
    pub spectrum: SpectrumFrame,
}

/// Decodes latents to an image and its spectrum.
pub fn decode(decoder: &Decoder, latents: &Latents) -> Result<Decoded, RenderError> {
    let rgb = decoder.rgb_from_latents(latents)?;
    from_rgb(&rgb)
}

/// Decodes latents for the preview, where speed counts more than the last detail.
pub fn preview(decoder: &Decoder, latents: &Latents) -> Result<Decoded, RenderError> {
    let rgb = decoder.preview_from_latents(latents)?;
    from_rgb(&rgb)
}

/// Rounds an image (sRGB in `0..=1`) to 8 bits and takes its spectrum.
pub fn from_rgb(rgb: &Rgb32FImage) -> Result<Decoded, RenderError> {
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
pub fn spectrum_from_rgb(rgb: &Rgb32FImage) -> Result<SpectrumFrame, RenderError> {
    let (width, height) = rgb.dimensions();
    spectrum_of_luma(&spectrum::luma_from_rgb(rgb), width, height)
}

fn spectrum_of_luma(luma: &[f32], width: u32, height: u32) -> Result<SpectrumFrame, RenderError> {
    let full = spectrum::log_power_spectrum(luma, width as usize, height as usize, Window::Hann)?;
    // More rings than half the shorter side would leave some empty.
    let rings = (width.min(height) / 2).max(1) as usize;
    Ok(spectrum_frame(full, rings))
}

/// The spectrum of the difference of two images of one size, as the studio has them: 8 bits per channel, so that the
/// rounding of both leaves a floor of about 10^-5.8 in every bin. `None` when the sizes differ.
pub fn difference_spectrum(image: &Rgba8, minus: &Rgba8) -> Option<SpectrumFrame> {
    if (image.width, image.height) != (minus.width, minus.height) {
        return None;
    }
    let luma = |image: &Rgba8| Some(spectrum::luma_from_rgb(&rgb_from_rgba8(image)?));
    let difference: Vec<f32> = luma(image)?.iter().zip(luma(minus)?).map(|(a, b)| a - b).collect();
    spectrum_of_luma(&difference, image.width, image.height).ok()
}

/// Values of an 8-bit image in `0..=1`.
fn rgb_from_rgba8(image: &Rgba8) -> Option<Rgb32FImage> {
    let channels = image
        .pixels
        .chunks_exact(4)
        .flat_map(|pixel| [pixel[0], pixel[1], pixel[2]]);
    let values = channels.map(|value| f32::from(value) / 255.0).collect();
    Rgb32FImage::from_raw(image.width, image.height, values)
}

/// A spectrum as plain data, with a radial average of at most `rings`.
pub fn spectrum_frame(spectrum: Spectrum, rings: usize) -> SpectrumFrame {
    SpectrumFrame {
        width: spectrum.width as u32,
        height: spectrum.height as u32,
        radial: spectrum::radial_average(&spectrum, rings).into(),
        log_power: spectrum.log_power.into(),
    }
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

    #[test]
    fn a_difference_of_images_has_the_spectrum_of_what_differs() {
        let image =
            |of: &dyn Fn(u32) -> f32| rgba8_from_rgb(&Rgb32FImage::from_fn(64, 64, |x, _| image::Rgb([of(x); 3])));
        let wave = |x: u32| 0.2 * (std::f32::consts::TAU * 0.25 * x as f32).cos();
        let ramp = |x: u32| 0.3 + 0.4 * x as f32 / 64.0;
        let spectrum = difference_spectrum(&image(&|x| ramp(x) + wave(x)), &image(&ramp)).expect("one size");
        let peak = spectrum
            .radial
            .iter()
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .expect("rings");
        assert!((peak.0 - 0.25).abs() < 0.02, "{peak:?}");
        assert!(
            spectrum.radial[0].1 < 1e-3 * peak.1,
            "the ramp is gone: {:?}",
            spectrum.radial[0]
        );
        let other = rgba8_from_rgb(&Rgb32FImage::new(32, 64));
        assert!(difference_spectrum(&image(&ramp), &other).is_none());
    }
}
