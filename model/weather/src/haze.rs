//! Haze: the atmospheric scattering model over the scene's depth.
//!
//! `I = J t + A (1 - t)`, `t = exp(-beta d)` (Koschmieder 1924; Narasimhan and Nayar 2002, equation 1).

use serde::Serialize;

use crate::canvas::Canvas;
use crate::layers::{Light, Operation};
use crate::plane::Plane;
use crate::shot::Shot;
use crate::stream::Stream;

/// Scattering coefficient at severity 1, per metre.
const BETA_AT_ONE: f32 = 0.05;
/// Grey of the airlight, sRGB-encoded.
const AIRLIGHT: (f32, f32) = (0.72, 0.8);
/// Factor on each channel of the airlight.
const AIRLIGHT_TINT: (f32, f32) = (0.98, 1.02);

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct HazeParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Scattering coefficient per metre.
    pub beta_per_metre: f32,
    /// Airlight, sRGB-encoded, red, green, blue.
    pub airlight: [f32; 3],
    /// Mean transmission over the image.
    pub mean_transmission: f32,
}

/// Lays the veil over the image.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> HazeParameters {
    let grey = stream.within(AIRLIGHT);
    let airlight = [(); 3].map(|()| (grey * stream.within(AIRLIGHT_TINT)).min(1.0));
    let beta_per_metre = severity * BETA_AT_ONE;
    let distances = shot.depth.metres_with_sky();
    let transmission = Plane::from_rows(distances.width, distances.height, |y, row| {
        for (t, metres) in row.iter_mut().zip(distances.row(y)) {
            *t = libm::expf(-beta_per_metre * metres);
        }
    });
    let mean_transmission = transmission.mean();
    let operation = Operation::Blend {
        keep: transmission,
        light: Light::Uniform {
            colour: airlight,
            amount: None,
        },
    };
    canvas.apply(("haze", "veil"), shot.options.space, operation, Vec::new());
    HazeParameters {
        severity,
        beta_per_metre,
        airlight,
        mean_transmission,
    }
}
