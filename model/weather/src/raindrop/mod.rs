//! Drops of rain that cling to the lens or to a pane close before it.
//!
//! A drop is a cap of water on glass. Light leaves towards the camera through its flat side, so a ray that comes back from the
//! camera meets the round side from within at an angle `i` that grows from the middle to the rim, and is bent by
//! `asin(n sin i) - i` towards the middle (Snell): the drop shows a small, inverted wide-angle view of the scene (the
//! refraction of von Bernuth et al. 2019, section III). Near the rim light is reflected rather than let through (Fresnel), so
//! the rim is dark. The camera is focused far away, so the glass with all that its drops show is out of focus. `v (1 - cover) +
//! view * cover` is the composition of Qian et al. 2018, equation 1, and Quan et al. 2019.
//!
//! Drops stay where they are in a sequence. Sizes are shares of the photo's longer side: the same at any number of pixels.

mod glass;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::air::SceneLight;
use crate::canvas::Canvas;
use crate::layers::{Light, Operation};
use crate::shot::Shot;
use crate::stream::{Scatter, Stream};
use glass::{Glass, Layer, View};

/// Drops at severity 1 on a square of the longer side.
const DROPS_AT_ONE: f32 = 420.0;
/// Share of them that are droplets.
const DROPLETS: f32 = 0.68;
/// Radii of droplets over the longer side.
const DROPLET_RADIUS: (f32, f32) = (0.0025, 0.006);
/// Least radius of the others, and the mean of what they have above it, which is distributed exponentially.
const RADIUS: (f32, f32) = (0.007, 0.011);
/// Largest radius: heavier drops run off.
const LARGEST_RADIUS: f32 = 0.045;
/// Refractive index of water.
const WATER: f32 = 1.333;
/// Sines of the angles at which drops meet the glass, 25 to 46 degrees: flat ones to those whose rim nearly reflects totally,
/// which is at 48.6 degrees.
const SINE_OF_CONTACT: (f32, f32) = (0.42, 0.72);
/// Distances of the glass in metres: a lens's front to a pane.
const GLASS_METRES: (f32, f32) = (0.09, 0.25);
/// Light of the sky's reflection in the round side over the scene's bright parts, where it is seen: at this place and radius,
/// as shares of the drop's radius.
const GLINT: f32 = 0.3;
const GLINT_PLACE: (f32, f32) = (-0.3, -0.42);
const GLINT_RADIUS: f32 = 0.2;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct RaindropParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Drops on the glass, those partly outside the image included.
    pub drops: usize,
    /// Radius of the largest in pixels.
    pub largest_radius_px: f32,
    /// Distance of the glass in metres.
    pub glass_metres: f32,
    /// Diameter of its circle of confusion in pixels.
    pub confusion_px: f32,
    /// Mean share of each pixel that drops cover.
    pub coverage: f32,
}

/// A drop; lengths in pixels.
struct Drop {
    centre: (f32, f32),
    radius: f32,
    /// Height over width.
    stretch: f32,
    /// How the outline differs from an ellipse: twice and three times around, cosine and sine each.
    lobes: [f32; 4],
    sine_of_contact: f32,
    /// How much it is there: the last one of a severity only partly.
    presence: f32,
}

/// Puts drops on the lens.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> RaindropParameters {
    let (width, height) = canvas.size();
    let glass_metres = stream.within(GLASS_METRES);
    let confusion_px = shot.camera.confusion_px(glass_metres);
    let drops = drops(severity, (width as f32, height as f32), stream.scatter());
    let image = canvas.image_in(Space::Linear);
    let glint = GLINT * SceneLight::of(image, Space::Linear, shot.depth).bright;
    let glass = Glass {
        drops: &drops,
        view: View::of(image),
        focal_px: shot.camera.focal_px,
        glint,
    };
    let (keep, light) = Layer::of(&glass, (width, height), confusion_px).enlarged(width, height);
    let coverage = 1.0 - keep.mean();
    let mut maps = Vec::new();
    if canvas.keeps_steps() {
        maps = glass.maps(width, height);
    }
    let operation = Operation::Blend {
        keep,
        light: Light::PerPixel(light),
    };
    canvas.apply(("raindrop", "drops"), Space::Linear, operation, maps);
    RaindropParameters {
        severity,
        drops: drops.len(),
        largest_radius_px: drops.iter().map(|drop| drop.radius).fold(0.0, f32::max),
        glass_metres,
        confusion_px,
        coverage,
    }
}

/// The drops of a severity; those of a lower one are among them.
fn drops(severity: f32, (width, height): (f32, f32), places: Scatter) -> Vec<Drop> {
    let longer = width.max(height).max(1.0);
    let expected = severity * DROPS_AT_ONE * width * height / (longer * longer);
    let drop = |n: usize| {
        let mut own = places.at(n as u64);
        let centre = (own.unit() * width, own.unit() * height);
        let size = own.unit();
        let share = if own.unit() < DROPLETS {
            DROPLET_RADIUS.0 + (DROPLET_RADIUS.1 - DROPLET_RADIUS.0) * size * size
        } else {
            (RADIUS.0 - RADIUS.1 * libm::logf(1.0 - size)).min(LARGEST_RADIUS)
        };
        let lobes = [0.13, 0.13, 0.07, 0.07].map(|most| most * (2.0 * own.unit() - 1.0));
        Drop {
            centre,
            radius: share * longer,
            stretch: 1.0 + 0.35 * own.unit(),
            lobes,
            sine_of_contact: SINE_OF_CONTACT.0 + (SINE_OF_CONTACT.1 - SINE_OF_CONTACT.0) * own.unit(),
            presence: (expected - n as f32).min(1.0),
        }
    };
    let all: Vec<Drop> = (0..expected.ceil() as usize).map(drop).collect();
    // What meets a larger drop has run into it.
    let alone = |drop: &Drop| {
        !all.iter()
            .any(|other| other.radius > drop.radius && other.holds(drop.centre))
    };
    let kept: Vec<bool> = all.iter().map(alone).collect();
    let mut kept = kept.into_iter();
    all.into_iter().filter(|_| kept.next() == Some(true)).collect()
}

/// What a ray from the camera meets in a drop.
struct Met {
    cover: f32,
    /// Bend in radians and its direction, towards the middle.
    bend: f32,
    towards: (f32, f32),
    /// Share of light that the round side lets through.
    passes: f32,
    glint: f32,
}

impl Drop {
    fn holds(&self, (x, y): (f32, f32)) -> bool {
        let (x, y) = (x - self.centre.0, (y - self.centre.1) / self.stretch);
        x * x + y * y < self.radius * self.radius
    }

    /// Half the side of a square that the drop doesn't leave.
    fn reach(&self) -> f32 {
        1.4 * self.radius * self.stretch
    }

    /// What there is at `(x, y)` from the centre, seen in pixels of a size; `None` outside.
    fn at(&self, x: f32, y: f32, pixel: f32) -> Option<Met> {
        let ys = y / self.stretch;
        let distance = (x * x + ys * ys).sqrt();
        let (c, s) = if distance > 0.0 {
            (x / distance, ys / distance)
        } else {
            (0.0, 1.0)
        };
        let [c2, s2, c3, s3] = self.lobes;
        // Cosines and sines of twice and three times the angle.
        let lobes =
            c2 * (c * c - s * s) + s2 * 2.0 * c * s + c3 * c * (4.0 * c * c - 3.0) + s3 * s * (3.0 - 4.0 * s * s);
        // Water sags.
        let outline = self.radius * (1.0 + lobes + 0.08 * s);
        let inside = (0.5 + (outline - distance) / pixel).clamp(0.0, 1.0);
        if inside <= 0.0 {
            return None;
        }
        let from_middle = (distance / outline).min(1.0);
        let (bend, passes) = refraction(from_middle * self.sine_of_contact);
        // A drop smaller than a pixel can't cover it fully.
        let fill = (2.0 * outline / pixel).min(1.0);
        let (gx, gy) = (x / outline - GLINT_PLACE.0, ys / outline - GLINT_PLACE.1);
        let near_glint = (1.0 - (gx * gx + gy * gy) / (GLINT_RADIUS * GLINT_RADIUS)).max(0.0);
        Some(Met {
            cover: self.presence * fill * fill * inside,
            bend,
            towards: (-c, -s),
            passes,
            glint: near_glint * near_glint,
        })
    }
}

/// Bend in radians and share of light that passes, for a sine of the angle in the water.
fn refraction(sine_within: f32) -> (f32, f32) {
    const INTERVALS: usize = 256;
    static TABLE: LazyLock<Vec<(f32, f32)>> = LazyLock::new(|| {
        let sine = |i: usize| SINE_OF_CONTACT.1 * i.min(INTERVALS) as f32 / INTERVALS as f32;
        (0..=INTERVALS + 1).map(|i| refracted(sine(i))).collect()
    });
    let at = (sine_within / SINE_OF_CONTACT.1).min(1.0) * INTERVALS as f32;
    let index = at as usize;
    let (share, below, above) = (at - index as f32, TABLE[index], TABLE[index + 1]);
    (
        below.0 + share * (above.0 - below.0),
        below.1 + share * (above.1 - below.1),
    )
}

/// Bend and transmittance of unpolarised light that leaves water at an angle with this sine (Snell; Fresnel 1823, in Born and
/// Wolf 1999, section 1.5.2).
fn refracted(sine_within: f32) -> (f32, f32) {
    let sine_outside = (WATER * sine_within).min(1.0);
    let (within, outside) = (libm::asinf(sine_within), libm::asinf(sine_outside));
    let (cos_within, cos_outside) = (libm::cosf(within), libm::cosf(outside));
    let across = (WATER * cos_within - cos_outside) / (WATER * cos_within + cos_outside);
    let along = (WATER * cos_outside - cos_within) / (WATER * cos_outside + cos_within);
    (outside - within, 1.0 - 0.5 * (across * across + along * along))
}
