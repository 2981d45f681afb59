//! Haze: the atmospheric scattering model over a pseudo-depth map.
//!
//! `I = J t + A (1 - t)`, `t = exp(-beta d)` (Koschmieder 1924; Narasimhan and Nayar 2002, equation 1), applied to
//! sRGB-encoded values as the dehazing benchmarks do (RESIDE, Li et al. 2019).

use image::Rgb32FImage;
use serde::Serialize;

use super::stream::Stream;

/// Scattering coefficient at severity 1, per unit of pseudo-depth.
const BETA_AT_ONE: f32 = 1.2;
/// Mean pseudo-depth; the same for every seed, so that severity alone sets the mean optical depth.
const MEAN_DEPTH: f32 = 0.95;
/// Pseudo-depth stays within these bounds.
const DEPTH_RANGE: (f32, f32) = (0.6, 1.3);
/// Cells per side of the random part of the depth map: three bumps across are low-frequency at every size.
const GRID: usize = 3;
const POINTS: usize = GRID + 1;

/// Grey of the airlight, sRGB-encoded.
const AIRLIGHT: (f32, f32) = (0.72, 0.8);
/// Factor on each channel of the airlight.
const AIRLIGHT_TINT: (f32, f32) = (0.98, 1.02);
/// Pseudo-depth of the top row minus that of the bottom row.
const DEPTH_SLOPE: (f32, f32) = (0.1, 0.4);
/// Bumps of the random part of the depth map.
const DEPTH_BUMPS: (f32, f32) = (-0.12, 0.12);

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct HazeParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Scattering coefficient per unit of pseudo-depth.
    pub beta: f32,
    /// Airlight, sRGB-encoded, red, green, blue.
    pub airlight: [f32; 3],
    /// Pseudo-depth of the top row minus that of the bottom row, before the random field.
    pub depth_slope: f32,
    /// Mean transmission over the image.
    pub mean_transmission: f32,
}

/// Lays the veil over `image` in place.
pub(super) fn apply(image: &mut Rgb32FImage, severity: f32, mut stream: Stream) -> HazeParameters {
    let grey = stream.within(AIRLIGHT);
    let airlight = [(); 3].map(|()| (grey * stream.within(AIRLIGHT_TINT)).min(1.0));
    let depth = Depth::draw(&mut stream);
    let beta = severity * BETA_AT_ONE;
    let mut transmission_sum = 0.0;
    let (width, height) = image.dimensions();
    for (y, row) in image.enumerate_rows_mut() {
        let depth_row = depth.row((y as f32 + 0.5) / height as f32);
        for (x, _, pixel) in row {
            let t = libm::expf(-beta * depth_row.at((x as f32 + 0.5) / width as f32));
            transmission_sum += f64::from(t);
            for (value, light) in pixel.0.iter_mut().zip(airlight) {
                *value = *value * t + light * (1.0 - t);
            }
        }
    }
    let pixels = f64::from(width) * f64::from(height);
    let mean_transmission = (transmission_sum / pixels) as f32;
    HazeParameters {
        severity,
        beta,
        airlight,
        depth_slope: depth.slope,
        mean_transmission,
    }
}

/// A smooth pseudo-depth map: far at the top, plus a random field without fine detail.
struct Depth {
    slope: f32,
    field: [[f32; POINTS]; POINTS],
}

impl Depth {
    fn draw(stream: &mut Stream) -> Self {
        let slope = stream.within(DEPTH_SLOPE);
        let mut field = [[0.0; POINTS]; POINTS];
        field
            .iter_mut()
            .flatten()
            .for_each(|value| *value = stream.within(DEPTH_BUMPS));
        let mean = field.iter().flatten().sum::<f32>() / (POINTS * POINTS) as f32;
        field.iter_mut().flatten().for_each(|value| *value -= mean);
        Self { slope, field }
    }

    /// The map along one row; `v` is the height in the image, 0 at the top edge to 1 at the bottom edge.
    fn row(&self, v: f32) -> DepthRow {
        let (cell, share) = cell_of(v);
        let mut values = [0.0; POINTS];
        for (column, value) in values.iter_mut().enumerate() {
            let (above, below) = (self.field[cell][column], self.field[cell + 1][column]);
            *value = MEAN_DEPTH + self.slope * (0.5 - v) + above + (below - above) * share;
        }
        DepthRow(values)
    }
}

/// One row of the depth map, still as grid values.
struct DepthRow([f32; POINTS]);

impl DepthRow {
    /// Depth at `u`, 0 at the left edge to 1 at the right edge.
    fn at(&self, u: f32) -> f32 {
        let (cell, share) = cell_of(u);
        let depth = self.0[cell] + (self.0[cell + 1] - self.0[cell]) * share;
        depth.clamp(DEPTH_RANGE.0, DEPTH_RANGE.1)
    }
}

/// Grid cell that `position` in `0..=1` falls in, and how far through it, eased so that no crease shows at cell
/// borders.
fn cell_of(position: f32) -> (usize, f32) {
    let scaled = position * GRID as f32;
    let cell = (scaled as usize).min(GRID - 1);
    let share = scaled - cell as f32;
    (cell, share * share * (3.0 - 2.0 * share))
}
