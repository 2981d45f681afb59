//! Defocus: what isn't at the distance that the lens is focused on is blurred, the more the farther from it.
//!
//! A thin lens of aperture diameter `a` focused on distance `f` shows a point at distance `d` as a disc of radius
//! `a / 2 * |1 / d - 1 / f|` focal lengths (the circle of confusion: Potmesil and Chakravarty 1981, for
//! distances that are long against the focal length). Focus is on one of the scene's own distances; what is nearer and
//! farther is blurred.
//!
//! A scene's depth is often a guess whose scale is open, so severity sets the blur and the aperture follows from it:
//! nine tenths of the image have a radius of at most 1.2 % of the longer side at severity 1. The rest, which is very
//! near, is held to twice that. A scene whose depth says next to nothing is blurred as a whole, by a lens that is
//! focused in front of it.
//!
//! Discs are gathered in linear light from layers by depth ([`blurred`]).

mod layers;

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;
use crate::plane::Plane;
use crate::shot::Shot;
use crate::stream::Stream;
use layers::blurred;

/// Radius that nine tenths of the image stay below at severity 1, in longer sides of the image.
const RADIUS_AT_ONE: f32 = 0.012;
/// Largest radius over that one.
const LARGEST: f32 = 2.0;
/// Share of the scene that is nearer than the distance in focus.
const NEARER: (f32, f32) = (0.1, 0.9);
/// The least difference from the focus that counts as depth, as a share of the focus, all as inverse distances.
const LEAST_DEPTH: f32 = 0.05;
/// Distance of the focus from a scene without depth, as a share of its own.
const FOCUSED_IN_FRONT: f32 = 0.5;
/// Pixels whose distances are looked at, at most.
const SAMPLES: usize = 1 << 16;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct DefocusParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Distance that is sharp.
    pub focus_metres: f32,
    /// Diameter of the lens's opening.
    pub aperture_metres: f32,
    /// Radius that nine tenths of the image stay below.
    pub radius_px: f32,
    /// Largest radius anywhere.
    pub largest_radius_px: f32,
}

/// Blurs by depth.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> DefocusParameters {
    let metres = shot.depth.metres_with_sky();
    let longer = metres.width.max(metres.height) as f32;
    let radius_px = severity * RADIUS_AT_ONE * longer;
    let lens = Lens::focused(&metres, stream.within(NEARER), radius_px);
    let behind = lens.radii(&metres);
    let replaced = blurred(canvas.image_in(Space::Linear), &behind);
    let mut radius = behind;
    radius.values.iter_mut().for_each(|value| *value = value.abs());
    let largest_radius_px = radius.values.iter().copied().fold(0.0, f32::max);
    canvas.apply(
        ("defocus", "blur"),
        Space::Linear,
        Operation::Replace(replaced),
        vec![("radius_px", radius)],
    );
    DefocusParameters {
        severity,
        focus_metres: 1.0 / lens.focus,
        aperture_metres: 2.0 * lens.radius_px_metres / shot.camera.focal_px.max(1.0),
        radius_px,
        largest_radius_px,
    }
}

/// A lens and what it is focused on.
struct Lens {
    /// Inverse distance that is sharp, per metre.
    focus: f32,
    /// Radius in pixels over a difference of inverse distances: half the aperture in metres times the focal length in
    /// pixels.
    radius_px_metres: f32,
    largest_px: f32,
}

impl Lens {
    /// The lens that focuses where a share `nearer` of the scene is nearer, with the aperture that `radius_px` asks
    /// for.
    fn focused(metres: &Plane, nearer: f32, radius_px: f32) -> Self {
        let step = metres.values.len().div_ceil(SAMPLES).max(1);
        let mut inverse: Vec<f32> = metres.values.iter().step_by(step).map(|metres| 1.0 / metres).collect();
        inverse.sort_by(f32::total_cmp);
        let mut focus = quantile(&inverse, 1.0 - nearer);
        let mut depth = typical_difference(&inverse, focus);
        if depth < LEAST_DEPTH * focus {
            focus /= FOCUSED_IN_FRONT;
            depth = typical_difference(&inverse, focus);
        }
        Self {
            focus,
            radius_px_metres: radius_px / depth,
            largest_px: LARGEST * radius_px,
        }
    }

    /// Radius of each pixel's disc, below 0 for what is nearer than the focus.
    fn radii(&self, metres: &Plane) -> Plane {
        Plane::from_rows(metres.width, metres.height, |y, row| {
            for (radius, metres) in row.iter_mut().zip(metres.row(y)) {
                let radius_px = self.radius_px_metres * (self.focus - 1.0 / metres);
                *radius = radius_px.clamp(-self.largest_px, self.largest_px);
            }
        })
    }
}

/// What nine tenths of the sorted inverse distances differ from the focus by at most.
fn typical_difference(inverse: &[f32], focus: f32) -> f32 {
    let mut differences: Vec<f32> = inverse.iter().map(|value| (value - focus).abs()).collect();
    differences.sort_by(f32::total_cmp);
    quantile(&differences, 0.9).max(f32::MIN_POSITIVE)
}

/// The value below which `share` of the sorted values are; 1 when there are none.
fn quantile(sorted: &[f32], share: f32) -> f32 {
    let at = (share * sorted.len() as f32) as usize;
    sorted.get(at).or(sorted.last()).copied().unwrap_or(1.0)
}

#[cfg(test)]
mod tests;
