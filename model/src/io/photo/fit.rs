//! Photos become scenes of the size a model takes: cropped at the centre and resampled, never stretched.

use image::Rgb32FImage;
use image::imageops::{self, FilterType};

/// The part of a photo that a scene shows, in the photo's pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Columns left of it.
    pub left: u32,
    /// Rows above it.
    pub top: u32,
    /// Columns.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

impl Window {
    /// All of a photo.
    pub fn whole((width, height): (u32, u32)) -> Self {
        Self {
            left: 0,
            top: 0,
            width,
            height,
        }
    }

    /// The part that [`fit_square`] shows of a photo of this size.
    pub fn square((width, height): (u32, u32)) -> Self {
        let side = width.min(height);
        Self::centre((width, height), (side, side))
    }

    /// The part that [`fit_aspect`] shows of a photo of this size, and the size that it makes of it.
    pub fn aspect((width, height): (u32, u32), size_px: u32, multiple_px: u32) -> (Self, (u32, u32)) {
        let (size_px, multiple_px) = (size_px.max(1), multiple_px.max(1));
        let (short, long) = (width.min(height), width.max(height));
        if short == 0 {
            return (Self::whole((width, height)), (size_px, size_px));
        }
        let scale = f64::from(size_px) / f64::from(short);
        // A photo that is a rounding error short of the next multiple counts as having it.
        let multiples = (f64::from(long) * scale / f64::from(multiple_px) + 1e-6).floor() as u32;
        let fitted_long = (multiples * multiple_px).max(size_px);
        let cropped_long = ((f64::from(fitted_long) / scale).round() as u32).clamp(short, long);
        if width <= height {
            (
                Self::centre((width, height), (width, cropped_long)),
                (size_px, fitted_long),
            )
        } else {
            (
                Self::centre((width, height), (cropped_long, height)),
                (fitted_long, size_px),
            )
        }
    }

    fn centre((width, height): (u32, u32), (wide, high): (u32, u32)) -> Self {
        Self {
            left: (width - wide) / 2,
            top: (height - high) / 2,
            width: wide,
            height: high,
        }
    }

    /// That part of a photo.
    pub fn cut(self, rgb: &Rgb32FImage) -> Rgb32FImage {
        imageops::crop_imm(rgb, self.left, self.top, self.width, self.height).to_image()
    }

    /// A window in this one, from the outer one's corner.
    #[must_use]
    pub fn within(self, outer: Self) -> Self {
        Self {
            left: outer.left + self.left,
            top: outer.top + self.top,
            ..self
        }
    }
}

/// Crops the largest centred square and resamples it to `size_px` by `size_px` (at least 1).
///
/// Shrinking uses Lanczos with three lobes, enlarging Catmull-Rom, which rings less. Both work on the encoded values,
/// as the tools do that made the data sets results are compared with. Overshoot is clamped to `0..=1`.
pub fn fit_square(rgb: &Rgb32FImage, size_px: u32) -> Rgb32FImage {
    resample(
        &Window::square(rgb.dimensions()).cut(rgb),
        size_px.max(1),
        size_px.max(1),
    )
}

/// Makes the shorter side `size_px` and crops the longer one, at the centre, to the largest multiple of `multiple_px`
/// that the photo's aspect allows (but not below `size_px`).
///
/// `size_px` should itself be a multiple of `multiple_px` if the model needs multiples. Resampling as [`fit_square`].
pub fn fit_aspect(rgb: &Rgb32FImage, size_px: u32, multiple_px: u32) -> Rgb32FImage {
    let (window, (width, height)) = Window::aspect(rgb.dimensions(), size_px, multiple_px);
    resample(&window.cut(rgb), width, height)
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
