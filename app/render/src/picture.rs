//! PNGs of a dataset: 8 or 16 bits per channel, with the texts that restore them.

use image::Rgb32FImage;

use crate::error::{RenderError, bad};

/// Encodes sRGB values in `0..=1` (held to it) with `bits` per channel, 8 or 16.
///
/// # Arguments
/// - `texts`: keyword and text of each iTXt chunk
pub fn encode(rgb: &Rgb32FImage, bits: u8, texts: &[(&str, String)]) -> Result<Vec<u8>, RenderError> {
    let failed = |error: png::EncodingError| bad(format!("a PNG could not be encoded ({error})"));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, rgb.width(), rgb.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(if bits == 16 {
        png::BitDepth::Sixteen
    } else {
        png::BitDepth::Eight
    });
    encoder.set_source_srgb(png::SrgbRenderingIntent::Perceptual);
    for (keyword, text) in texts {
        encoder
            .add_itxt_chunk((*keyword).to_owned(), text.clone())
            .map_err(failed)?;
    }
    let mut writer = encoder.write_header().map_err(failed)?;
    writer.write_image_data(&samples(rgb, bits)).map_err(failed)?;
    writer.finish().map_err(failed)?;
    Ok(bytes)
}

/// The bytes of sRGB values in `0..=1` (held to it), `bits` per channel, 16 bits big-endian.
pub fn samples(rgb: &Rgb32FImage, bits: u8) -> Vec<u8> {
    let level = |value: f32, most: f32| (value.clamp(0.0, 1.0) * most).round();
    if bits == 16 {
        rgb.iter()
            .flat_map(|value| (level(*value, 65_535.0) as u16).to_be_bytes())
            .collect()
    } else {
        rgb.iter().map(|value| level(*value, 255.0) as u8).collect()
    }
}

/// `gt + decoded - autoencoded`: what the degradation changed, without what the autoencoder did.
pub fn composited(gt: &Rgb32FImage, decoded: &Rgb32FImage, autoencoded: &Rgb32FImage) -> Rgb32FImage {
    let mut image = gt.clone();
    for ((value, with), without) in image.iter_mut().zip(decoded.iter()).zip(autoencoded.iter()) {
        *value = (*value + with - without).clamp(0.0, 1.0);
    }
    image
}

/// Peak signal-to-noise ratio in dB, peak 1; infinite for equal images.
pub fn psnr_db(one: &Rgb32FImage, other: &Rgb32FImage) -> f64 {
    let squares = one.iter().zip(other.iter()).map(|(a, b)| f64::from(a - b).powi(2));
    let mean = squares.sum::<f64>() / (one.len().max(1)) as f64;
    -10.0 * mean.log10()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(values: [f32; 6]) -> Rgb32FImage {
        Rgb32FImage::from_raw(2, 1, values.to_vec()).expect("two pixels")
    }

    #[test]
    fn sixteen_bits_keep_what_eight_round_away() {
        let rgb = image([0.0, 0.25, 0.5001, 1.0, 1.5, -0.5]);
        for (bits, expected) in [(8, 0.5001 * 255.0), (16, 0.5001 * 65_535.0)] {
            let bytes = encode(&rgb, bits, &[("parameters", "雨".to_owned())]).expect("encoded");
            let decoded = image::load_from_memory(&bytes).expect("readable");
            assert_eq!(decoded.color().bits_per_pixel(), u16::from(bits) * 3);
            let level = if bits == 16 {
                f32::from(decoded.to_rgb16().get_pixel(0, 0)[2])
            } else {
                f32::from(decoded.to_rgb8().get_pixel(0, 0)[2])
            };
            assert!((level - expected as f32).abs() <= 0.5);
        }
    }

    #[test]
    fn compositing_removes_the_error_of_the_autoencoder() {
        let gt = image([0.2, 0.4, 0.6, 0.8, 0.5, 0.5]);
        let autoencoded = image([0.25, 0.35, 0.6, 0.8, 0.5, 0.5]);
        assert!((psnr_db(&composited(&gt, &autoencoded, &autoencoded), &gt)) > 120.0);
        let floor = psnr_db(&gt, &autoencoded);
        assert!((floor - 10.0 * (6.0f64 / 0.005).log10()).abs() < 0.01, "{floor}");
    }
}
