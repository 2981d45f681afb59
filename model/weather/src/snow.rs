//! Snow: soft flakes of varying size, each blurred a little along its own path.
//!
//! Built like rain (particles in front of the veil, sizes in pixels, constant flakes per area), after the
//! size and opacity statistics of the snow masks of Liu et al. 2018 (Desnownet): many small faint flakes, few large
//! ones. Flakes tumble, so each moves in a direction of its own and the layer as a whole has none.

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;
use crate::particles::{Capsule, Layer, count_at};
use crate::shot::Shot;
use crate::stream::Stream;

/// Flakes per pixel of area at severity 1.
const FLAKES_PER_PIXEL: f32 = 0.0052;
/// Smallest and largest radius, pixels.
const RADIUS: (f32, f32) = (0.7, 3.0);
/// Flakes start this far outside the image, pixels.
const MARGIN: f32 = 6.0;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct SnowParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Flakes, those outside the border included.
    pub flakes: usize,
    /// Colour of the flakes, sRGB-encoded, red, green, blue: white with a little sky in it.
    pub colour: [f32; 3],
    /// Factor on every flake's opacity.
    pub opacity_scale: f32,
    /// Mean opacity over the image.
    pub coverage: f32,
}

/// Lets it snow on `image` in place.
pub(super) fn apply(canvas: &mut Canvas<'_>, _: &Shot<'_>, severity: f32, mut stream: Stream) -> SnowParameters {
    let mut degraded = canvas.image_in(Space::Srgb).clone();
    let white = stream.between(0.92, 0.99);
    let colour = [white - 0.01, white, white + 0.01];
    // As for rain: the residual's root mean square grows with severity.
    let opacity_scale = severity.sqrt();
    let area = (
        degraded.width() as f32 + 2.0 * MARGIN,
        degraded.height() as f32 + 2.0 * MARGIN,
    );
    let (flakes, last_weight) = count_at(severity, FLAKES_PER_PIXEL, area);
    let mut layer = Layer::like(&degraded);
    for index in 0..flakes {
        let mut flake = draw_flake(&mut stream, area);
        flake.opacity *= opacity_scale * if index + 1 == flakes { last_weight } else { 1.0 };
        flake.opacity = flake.opacity.min(1.0);
        layer.add(&flake);
    }
    layer.composite(&mut degraded, colour);
    canvas.apply(
        ("snow", "flakes"),
        Space::Srgb,
        Operation::Replace(degraded),
        Vec::new(),
    );
    SnowParameters {
        severity,
        flakes,
        colour,
        opacity_scale,
        coverage: layer.coverage(),
    }
}

/// Draws one flake; always the same number of draws, so that flake `n` is the same at every severity.
fn draw_flake(stream: &mut Stream, area: (f32, f32)) -> Capsule {
    let centre = (stream.unit() * area.0 - MARGIN, stream.unit() * area.1 - MARGIN);
    let (sin, cos) = libm::sincosf(stream.between(0.0, std::f32::consts::TAU));
    // The square of a uniform number makes small (far) flakes the rule.
    let nearness = stream.unit();
    let nearness = nearness * nearness;
    let radius = RADIUS.0 + (RADIUS.1 - RADIUS.0) * nearness;
    let half_length = stream.unit() * (0.4 + 0.5 * radius);
    let opacity = stream.between(0.45, 0.75) + 0.1 * nearness;
    Capsule {
        centre,
        direction: (sin, cos),
        half_length,
        radius,
        softness: 1.0 + radius,
        taper: 0.0,
        opacity,
    }
}
