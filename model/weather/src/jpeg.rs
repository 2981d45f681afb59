//! JPEG compression: the image is written as a JPEG file and read again.
//!
//! The quality is that of libjpeg (ITU-T T.81, annex K's tables scaled), chosen so that the quantisation steps grow in
//! proportion to the severity: five times annex K's at severity 1. Chroma is sampled 4:2:0, as cameras and web sites
//! do. Blocks are of 8 x 8 pixels (16 x 16 in chroma) whatever the image's size.
//!
//! | severity | 0.05 | 0.1 | 0.25 | 0.5 | 1 | 1.5 |
//! |---|---|---|---|---|---|---|
//! | quality | 88 | 75 | 40 | 20 | 10 | 7 |
//!
//! Encoder and decoder are built without the instructions of one processor, so that the same bits come out on every
//! platform. Nothing is drawn: the result is that of every seed.

use image::Rgb32FImage;
use jpeg_decoder::Decoder;
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder, SamplingFactor};
use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;

/// Scale of annex K's quantisation steps at severity 1.
const SCALE_AT_ONE: f32 = 5.0;
/// Rows and columns that are compressed at once, a multiple of chroma's blocks: a JPEG file has at most 65 535.
const TILE: u32 = 65_520;

/// What was chosen for one image.
#[derive(Debug, Clone, Serialize)]
pub struct JpegParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Quality as libjpeg counts it, 1 to 100.
    pub quality: u8,
}

/// Compresses and opens the image.
pub(super) fn apply(canvas: &mut Canvas<'_>, severity: f32) -> JpegParameters {
    let quality = quality_at(severity);
    let compressed = compressed(canvas.image_in(Space::Srgb), quality);
    let operation = Operation::Replace(compressed);
    canvas.apply(("jpeg", "compression"), Space::Srgb, operation, Vec::new());
    JpegParameters { severity, quality }
}

/// The quality whose steps are nearest to the severity's: `5000 / quality` % of annex K's below 50, `200 - 2 quality` %
/// above.
fn quality_at(severity: f32) -> u8 {
    let percent = 100.0 * SCALE_AT_ONE * severity;
    let quality = if percent > 100.0 {
        5000.0 / percent
    } else {
        100.0 - percent / 2.0
    };
    quality.round().clamp(1.0, 100.0) as u8
}

fn compressed(image: &Rgb32FImage, quality: u8) -> Rgb32FImage {
    let mut out = image.clone();
    for top in (0..image.height()).step_by(TILE as usize) {
        for left in (0..image.width()).step_by(TILE as usize) {
            let (width, height) = (TILE.min(image.width() - left), TILE.min(image.height() - top));
            let tile = image::imageops::crop_imm(image, left, top, width, height).to_image();
            image::imageops::replace(&mut out, &through_a_file(&tile, quality), left.into(), top.into());
        }
    }
    out
}

fn through_a_file(tile: &Rgb32FImage, quality: u8) -> Rgb32FImage {
    let bytes: Vec<u8> = tile
        .iter()
        .map(|value| (255.0 * value.clamp(0.0, 1.0)).round() as u8)
        .collect();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, quality);
    encoder.set_sampling_factor(SamplingFactor::F_2_2);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder
        .encode(&bytes, tile.width() as u16, tile.height() as u16, ColorType::Rgb)
        .expect("memory takes a JPEG of a size that JPEG has");
    let decoded = Decoder::new(&file[..])
        .decode()
        .expect("a JPEG that was just written can be read");
    let values = decoded.iter().map(|value| f32::from(*value) / 255.0).collect();
    Rgb32FImage::from_raw(tile.width(), tile.height(), values).expect("the size that was written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn quality_falls_as_the_steps_grow() {
        let qualities = [0.001, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 1.5].map(quality_at);
        assert_eq!(qualities, [100, 88, 75, 50, 40, 20, 10, 7]);
    }

    fn scene(size: u32) -> Rgb32FImage {
        Rgb32FImage::from_fn(size, size, |x, y| {
            let (x, y) = (x as f32, y as f32);
            Rgb([
                0.5 + 0.4 * (x / 5.0).sin(),
                0.5 + 0.4 * (y / 3.0).cos(),
                0.5 + 0.4 * ((x + y) / 11.0).sin(),
            ])
        })
    }

    /// Root mean square over 255 of what Pillow 13.0.0 (libjpeg-turbo) changes in `scene(64)` rounded to bytes at the
    /// same qualities: `image.save(file, quality=q, subsampling=2)`, opened again.
    #[test]
    fn compression_loses_what_libjpeg_loses() {
        let scene = scene(64);
        for (quality, expected) in [(88, 3.526), (40, 6.258), (10, 14.954)] {
            let out = compressed(&scene, quality);
            let square: f64 = out
                .iter()
                .zip(scene.iter())
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum();
            let levels = 255.0 * (square / out.len() as f64).sqrt();
            assert!(
                (levels / expected - 1.0).abs() < 0.05,
                "{quality}: {levels}, expected {expected}"
            );
        }
    }

    #[test]
    fn any_size_is_compressed() {
        for (width, height) in [(0, 0), (1, 1), (3, 17), (65_521, 2)] {
            let image = Rgb32FImage::from_pixel(width, height, Rgb([0.5; 3]));
            let out = compressed(&image, 10);
            assert!(out.iter().all(|value| (value - 0.5).abs() < 0.02), "{width}x{height}");
        }
    }
}
