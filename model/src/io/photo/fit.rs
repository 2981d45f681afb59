//! Photos become scenes of the size a model takes: cropped at the centre and resampled, never stretched.

use image::Rgb32FImage;
use image::imageops::{self, FilterType};

/// Crops the largest centred square and resamples it to `size_px` by `size_px` (at least 1).
///
/// Shrinking uses Lanczos with three lobes, enlarging Catmull-Rom, which rings less. Both work on the encoded values,
/// as the tools do that made the data sets results are compared with. Overshoot is clamped to `0..=1`.
pub fn fit_square(rgb: &Rgb32FImage, size_px: u32) -> Rgb32FImage {
    let side = rgb.width().min(rgb.height());
    resample(&crop_centre(rgb, side, side), size_px.max(1), size_px.max(1))
}

/// Makes the shorter side `size_px` and crops the longer one, at the centre, to the largest multiple of `multiple_px`
/// that the photo's aspect allows (but not below `size_px`).
///
/// `size_px` should itself be a multiple of `multiple_px` if the model needs multiples. Resampling as [`fit_square`].
pub fn fit_aspect(rgb: &Rgb32FImage, size_px: u32, multiple_px: u32) -> Rgb32FImage {
    let (size_px, multiple_px) = (size_px.max(1), multiple_px.max(1));
    let (width, height) = rgb.dimensions();
    let (short, long) = (width.min(height), width.max(height));
    if short == 0 {
        return fit_square(rgb, size_px);
    }
    let scale = f64::from(size_px) / f64::from(short);
    // A photo that is a rounding error short of the next multiple counts as having it.
    let multiples = (f64::from(long) * scale / f64::from(multiple_px) + 1e-6).floor() as u32;
    let fitted_long = (multiples * multiple_px).max(size_px);
    let cropped_long = ((f64::from(fitted_long) / scale).round() as u32).clamp(short, long);
    if width <= height {
        resample(&crop_centre(rgb, width, cropped_long), size_px, fitted_long)
    } else {
        resample(&crop_centre(rgb, cropped_long, height), fitted_long, size_px)
    }
}

fn crop_centre(rgb: &Rgb32FImage, width: u32, height: u32) -> Rgb32FImage {
    let (left, top) = ((rgb.width() - width) / 2, (rgb.height() - height) / 2);
    imageops::crop_imm(rgb, left, top, width, height).to_image()
}

fn resample(rgb: &Rgb32FImage, width: u32, height: u32) -> Rgb32FImage {
    let filter = if width > rgb.width() {
        FilterType::CatmullRom
    } else {
        FilterType::Lanczos3
    };
    let mut resampled = imageops::resize(rgb, width, height, filter);
    resampled.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    resampled
}
