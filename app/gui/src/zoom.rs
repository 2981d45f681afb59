//! Magnification and position of images, the same for all that are shown side by side.

use egui::{Pos2, Rect, Vec2, pos2, vec2};
use mdsd3_words::image::Rgba8;

/// Largest magnification, in screen pixels per image pixel.
const MAX_SCALE: f32 = 32.0;

/// Smallest magnification, in screen pixels per image pixel.
const MIN_SCALE: f32 = 0.1;

/// Magnification and position.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Zoom {
    /// Screen pixels per image pixel; `None` fits the image into its area.
    pub scale: Option<f32>,
    /// The point of the image that is in the middle of its area, in shares of its sides.
    pub center: Vec2,
}

impl Default for Zoom {
    fn default() -> Self {
        Self {
            scale: None,
            center: vec2(0.5, 0.5),
        }
    }
}

impl Zoom {
    /// One screen pixel per image pixel.
    pub fn original() -> Self {
        Self {
            scale: Some(1.0),
            ..Self::default()
        }
    }
}

/// An image and where it may be drawn.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// The image.
    pub image: &'a Rgba8,
    /// The part of the screen that it may cover, in points.
    pub area: Rect,
    /// Screen pixels per point.
    pub pixels_per_point: f32,
}

impl Frame<'_> {
    fn size_px(&self) -> Vec2 {
        vec2(self.image.width as f32, self.image.height as f32)
    }

    /// Size of the whole image at `scale`, in points.
    fn size(&self, scale: f32) -> Vec2 {
        self.size_px() * scale / self.pixels_per_point
    }
}

impl Zoom {
    /// Screen pixels per image pixel. From 2 on it is whole: every image pixel then covers the same number of screen pixels.
    pub fn pixel_scale(self, frame: &Frame<'_>) -> f32 {
        let room = frame.area.size() * frame.pixels_per_point / frame.size_px().max(Vec2::splat(1.0));
        match self.scale {
            Some(scale) if scale >= 2.0 => scale.round(),
            Some(scale) => scale,
            None if room.min_elem() >= 2.0 => room.min_elem().floor(),
            None => room.min_elem().max(MIN_SCALE / 10.0),
        }
    }

    /// Where the whole image lies, on the grid of screen pixels.
    pub fn place(self, frame: &Frame<'_>) -> Rect {
        let size = frame.size(self.pixel_scale(frame));
        let min = frame.area.center() - size * self.center;
        let on_grid = |value: f32| (value * frame.pixels_per_point).round() / frame.pixels_per_point;
        Rect::from_min_size(pos2(on_grid(min.x), on_grid(min.y)), size)
    }

    /// Larger or smaller by `factor`, with the point of the image that is under `pointer` staying there.
    #[must_use]
    pub fn zoomed(self, factor: f32, pointer: Pos2, frame: &Frame<'_>) -> Self {
        let from_middle = pointer - frame.area.center();
        let under_pointer = self.center + from_middle / frame.size(self.pixel_scale(frame));
        // The unrounded scale is kept, so that small turns of the wheel add up.
        let scale = (self.scale.unwrap_or_else(|| self.pixel_scale(frame)) * factor).clamp(MIN_SCALE, MAX_SCALE);
        let larger = Self {
            scale: Some(scale),
            center: self.center,
        };
        Self {
            center: inside(under_pointer - from_middle / frame.size(larger.pixel_scale(frame))),
            ..larger
        }
    }

    /// Moved with the pointer; an image that is fitted stays where it is.
    #[must_use]
    pub fn dragged(self, delta: Vec2, frame: &Frame<'_>) -> Self {
        if self.scale.is_none() {
            return self;
        }
        Self {
            center: inside(self.center - delta / frame.size(self.pixel_scale(frame))),
            ..self
        }
    }

    /// The next magnification that is worth a key press, from the one shown.
    #[must_use]
    pub fn stepped(self, shown: f32, larger: bool) -> Self {
        let scale = match (larger, shown >= 1.0) {
            (true, true) => shown.floor() + 1.0,
            (true, false) => (shown * 1.5).min(1.0),
            (false, _) if shown > 1.0 => shown.ceil() - 1.0,
            (false, _) => shown / 1.5,
        };
        Self {
            scale: Some(scale.clamp(MIN_SCALE, MAX_SCALE)),
            ..self
        }
    }
}

/// Whether pixels are smoothed at a scale: below 2 they can't be squares of equal size, except at 1.
pub fn is_smoothed(scale: f32) -> bool {
    scale < 2.0 && (scale - 1.0).abs() > 1e-3
}

/// At least the middle of the area stays on the image.
fn inside(center: Vec2) -> Vec2 {
    center.clamp(Vec2::ZERO, Vec2::splat(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Rgba8 {
        Rgba8 {
            width: 100,
            height: 50,
            pixels: vec![0; 100 * 50 * 4].into(),
        }
    }

    fn frame(image: &Rgba8, width: f32, height: f32) -> Frame<'_> {
        Frame {
            image,
            area: Rect::from_min_size(pos2(10.0, 20.0), vec2(width, height)),
            pixels_per_point: 2.0,
        }
    }

    #[test]
    fn fitting_takes_whole_multiples_from_two_on() {
        let image = image();
        let scale = |width, height| Zoom::default().pixel_scale(&frame(&image, width, height));
        assert!((scale(178.0, 100.0) - 3.0).abs() < 1e-6);
        assert!((scale(75.0, 100.0) - 1.5).abs() < 1e-6);
    }

    #[test]
    fn a_fitted_image_is_in_the_middle() {
        let image = image();
        let frame = frame(&image, 200.0, 100.0);
        assert_eq!(Zoom::default().place(&frame).center(), frame.area.center());
    }

    #[test]
    fn the_point_under_the_pointer_stays_there() {
        let image = image();
        let frame = frame(&image, 200.0, 100.0);
        let pointer = pos2(60.0, 50.0);
        let share = |zoom: Zoom| (pointer - zoom.place(&frame).min) / zoom.place(&frame).size();
        let before = Zoom {
            scale: Some(4.0),
            ..Zoom::default()
        };
        let after = before.zoomed(2.0, pointer, &frame);
        assert_eq!(after.scale, Some(8.0));
        assert!((share(before) - share(after)).length() < 0.01);
    }

    #[test]
    fn dragging_never_loses_the_image() {
        let image = image();
        let frame = frame(&image, 200.0, 100.0);
        let zoom = Zoom {
            scale: Some(8.0),
            ..Zoom::default()
        }
        .dragged(vec2(1e6, -1e6), &frame);
        assert_eq!(zoom.center, vec2(0.0, 1.0));
        assert_eq!(Zoom::default().dragged(vec2(5.0, 5.0), &frame), Zoom::default());
    }

    #[test]
    fn steps_go_through_whole_multiples() {
        let step = |shown, larger| Zoom::default().stepped(shown, larger).scale;
        assert_eq!(step(1.4, true), Some(2.0));
        assert_eq!(step(3.0, true), Some(4.0));
        assert_eq!(step(3.0, false), Some(2.0));
        assert_eq!(step(1.4, false), Some(1.0));
        assert_eq!(step(32.0, true), Some(32.0));
    }
}
