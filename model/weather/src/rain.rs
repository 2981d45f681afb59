//! Rain: motion-blurred streaks in depth layers, one wind direction per image.
//!
//! The look follows Garg and Nayar 2007: streaks are motion-blurred drops that gather light from a wide angle, and in the
//! exposure time of a photo hide next to nothing, so they *add* light to what is behind them, the veil included
//! (the additive model of the deraining literature). Rain therefore keeps its contrast in front of a veil, as far as
//! white leaves room. Sizes are in pixels and streaks per area are constant, whatever the image's size.

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::Operation;
use crate::particles::{Capsule, Layer, count_at};
use crate::shot::Shot;
use crate::stream::Stream;

/// Streaks per pixel of area at severity 1.
const STREAKS_PER_PIXEL: f32 = 0.0052;
/// The wind leans the rain at most this far from vertical, in degrees.
const MAX_LEAN_DEGREES: f32 = 18.0;
/// Single streaks differ from the wind by at most this, in degrees.
const JITTER_DEGREES: f32 = 2.0;
/// Streaks start this far outside the image, so that the border is as wet as the middle, in pixels.
const MARGIN: f32 = 18.0;

/// Streaks at one distance: near ones are long, wide, opaque and few. Lengths in pixels.
struct DepthLayer {
    /// Share of the streaks in this layer and those before it.
    up_to: f32,
    length: (f32, f32),
    width: (f32, f32),
    opacity: (f32, f32),
}

const LAYERS: [DepthLayer; 3] = [
    DepthLayer {
        up_to: 0.5,
        length: (10.0, 18.0),
        width: (0.8, 1.0),
        opacity: (0.3, 0.5),
    },
    DepthLayer {
        up_to: 0.85,
        length: (16.0, 27.0),
        width: (0.9, 1.4),
        opacity: (0.4, 0.65),
    },
    DepthLayer {
        up_to: 1.0,
        length: (24.0, 36.0),
        width: (1.2, 1.8),
        opacity: (0.5, 0.8),
    },
];

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct RainParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Streaks, those outside the border included.
    pub streaks: usize,
    /// Lean from vertical in degrees, positive towards the bottom right.
    pub lean_degrees: f32,
    /// Light that a fully opaque streak adds, sRGB-encoded grey.
    pub brightness: f32,
    /// Factor on every streak's opacity.
    pub opacity_scale: f32,
    /// Mean opacity over the image.
    pub coverage: f32,
}

/// Rains on `image` in place.
pub(super) fn apply(canvas: &mut Canvas<'_>, _: &Shot<'_>, severity: f32, mut stream: Stream) -> RainParameters {
    let mut degraded = canvas.image_in(Space::Srgb).clone();
    let lean_degrees = stream.within((-MAX_LEAN_DEGREES, MAX_LEAN_DEGREES));
    let brightness = stream.between(0.44, 0.52);
    // Count grows with severity and opacity with its root, so the root mean square of the residual grows with severity.
    let opacity_scale = severity.sqrt();
    let area = (
        degraded.width() as f32 + 2.0 * MARGIN,
        degraded.height() as f32 + 2.0 * MARGIN,
    );
    let (streaks, last_weight) = count_at(severity, STREAKS_PER_PIXEL, area);
    let mut layer = Layer::like(&degraded);
    for index in 0..streaks {
        let mut streak = draw_streak(&mut stream, area, lean_degrees);
        streak.opacity *= opacity_scale * if index + 1 == streaks { last_weight } else { 1.0 };
        streak.opacity = streak.opacity.min(1.0);
        layer.add(&streak);
    }
    layer.add_light(&mut degraded, brightness);
    canvas.apply(
        ("rain", "streaks"),
        Space::Srgb,
        Operation::Replace(degraded),
        Vec::new(),
    );
    RainParameters {
        severity,
        streaks,
        lean_degrees,
        brightness,
        opacity_scale,
        coverage: layer.coverage(),
    }
}

/// Draws one streak; always the same number of draws, so that streak `n` is the same at every severity.
fn draw_streak(stream: &mut Stream, area: (f32, f32), lean_degrees: f32) -> Capsule {
    let centre = (stream.unit() * area.0 - MARGIN, stream.unit() * area.1 - MARGIN);
    let angle = (lean_degrees + stream.between(-JITTER_DEGREES, JITTER_DEGREES)).to_radians();
    let choice = stream.unit();
    let depth = LAYERS
        .iter()
        .find(|layer| choice < layer.up_to)
        .unwrap_or(&LAYERS[LAYERS.len() - 1]);
    let length = stream.between(depth.length.0, depth.length.1);
    let width = stream.between(depth.width.0, depth.width.1);
    let opacity = stream.between(depth.opacity.0, depth.opacity.1);
    let (sin, cos) = libm::sincosf(angle);
    Capsule {
        centre,
        direction: (sin, cos),
        half_length: 0.5 * length,
        radius: 0.5 * width,
        softness: 1.0,
        taper: 0.3 * length,
        opacity,
    }
}
