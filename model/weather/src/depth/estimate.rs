//! Depth without weights.

use image::Rgb32FImage;

use super::{DepthSource, MEDIAN_METRES, SceneDepth};
use crate::plane::Plane;

/// Guesses a scene's depth from its pixels (sRGB-encoded, `0..=1`).
pub fn estimate(scene: &Rgb32FImage) -> SceneDepth {
    let (width, height) = (scene.width() as usize, scene.height() as usize);
    let metres = Plane::from_rows(width, height, |y, row| {
        let v = (y as f32 + 0.5) / height as f32;
        row.fill(MEDIAN_METRES * (1.5 - v));
    });
    SceneDepth {
        metres,
        sky: Plane::filled(width, height, 0.0),
        source: DepthSource::Estimate,
        notes: Vec::new(),
    }
}
