//! Downsampling: the image is made smaller and brought back to its size, as benchmarks of single-image super-resolution
//! do.
//!
//! Both ways by cubic convolution (Keys 1981, equation 15), on encoded values and stretched over the pixels it skips
//! when it reduces, which is what MATLAB's `imresize` does (Timofte et al. 2017, "NTIRE 2017 challenge").
//! The factor is `4^severity`, to the nearest whole pixel: a stronger mix takes more, whatever the image's size.
//! Nothing is drawn: the result is that of every seed.
//!
//! | severity | 0.25 | 0.5 | 1 | 1.5 |
//! |---|---|---|---|---|
//! | factor | 1.4 | 2 | 4 | 8 |

use image::Rgb32FImage;
use image::imageops::{FilterType, resize};
use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;

/// The factor at severity 1.
const FACTOR_AT_ONE: f32 = 4.0;

/// What was chosen for one image.
#[derive(Debug, Clone, Serialize)]
pub struct DownsampleParameters {
    /// Severity asked for.
    pub severity: f32,
    /// By how much width and height were divided, before rounding to whole pixels.
    pub factor: f32,
    /// Columns of the small image.
    pub width_px: u32,
    /// Rows of the small image.
    pub height_px: u32,
}

/// Takes the image down and up.
pub(super) fn apply(canvas: &mut Canvas<'_>, severity: f32) -> DownsampleParameters {
    let factor = libm::powf(FACTOR_AT_ONE, severity);
    let image = canvas.image_in(Space::Srgb);
    let smaller = |length: u32| ((length as f32 / factor).round() as u32).clamp(length.min(1), length);
    let (width_px, height_px) = (smaller(image.width()), smaller(image.height()));
    let operation = Operation::Replace(down_and_up(image, (width_px, height_px)));
    canvas.apply(("downsample", "resampling"), Space::Srgb, operation, Vec::new());
    DownsampleParameters {
        severity,
        factor,
        width_px,
        height_px,
    }
}

fn down_and_up(image: &Rgb32FImage, (width, height): (u32, u32)) -> Rgb32FImage {
    let small = resize(image, width, height, FilterType::CatmullRom);
    resize(&small, image.width(), image.height(), FilterType::CatmullRom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Pillow: `image.resize((3, 2), BICUBIC).resize((12, 8), BICUBIC)` of `F` images, rows 3 and 7.
    #[test]
    fn resampling_is_that_of_pillow() {
        let scene = Rgb32FImage::from_fn(12, 8, |x, y| {
            let value = ((x * x + 3 * y) % 29) as f32 / 40.0 + 0.1;
            Rgb([value, 1.0 - value, 0.5])
        });
        let out = down_and_up(&scene, (3, 2));
        let expected = [
            [
                0.4029, 0.4069, 0.4157, 0.4323, 0.4530, 0.4711, 0.4775, 0.4734, 0.4654, 0.4584, 0.4553, 0.4541,
            ],
            [
                0.5651, 0.5598, 0.5479, 0.5255, 0.4976, 0.4732, 0.4650, 0.4712, 0.4826, 0.4927, 0.4971, 0.4988,
            ],
        ];
        for (y, row) in [3, 7].into_iter().zip(expected) {
            for (x, expected) in row.into_iter().enumerate() {
                let pixel = out.get_pixel(x as u32, y).0;
                assert!(
                    (pixel[0] - expected).abs() < 1e-4,
                    "({x}, {y}): {}, expected {expected}",
                    pixel[0]
                );
                assert!((pixel[0] + pixel[1] - 1.0).abs() < 1e-4 && (pixel[2] - 0.5).abs() < 1e-5);
            }
        }
    }
}
