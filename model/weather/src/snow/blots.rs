//! Flakes on the sensor: soft, drawn out along their way, in front of what is farther than they are.

use rayon::prelude::*;

use super::flakes::Flake;
use crate::depth::SceneDepth;
use crate::plane::Plane;

/// Radii in pixels from which the shape of a flake begins to be seen, and is seen fully.
const LOBED_PX: (f32, f32) = (1.2, 2.4);
/// How much a flake's rim departs from a circle, twice and thrice around: aggregates of crystals have no shape of their own.
const LOBE: f32 = 0.16;

/// The lens that flakes are seen through.
pub(super) struct Lens {
    /// Distance in metres that it is focused at.
    pub(super) focus_metres: f32,
    /// Diameter of its opening in pixels of the image: metres times focal length.
    pub(super) aperture_px: f32,
}

impl Lens {
    /// Radius in pixels of the circle that a point at a distance becomes (Potmesil and Chakravarty 1981), for a focal length that
    /// is small beside the distances.
    pub(super) fn blur_radius_px(&self, metres: f32) -> f32 {
        0.5 * self.aperture_px * (1.0 / metres - 1.0 / self.focus_metres).abs()
    }
}

/// Rows that are drawn together.
const BAND: usize = 32;

/// What all flakes let through, each only in front of what is farther than it.
pub(super) fn render(flakes: &[Flake], lens: &Lens, depth: &SceneDepth) -> Plane {
    let (width, height) = (depth.metres.width, depth.metres.height);
    let mut keep = Plane::filled(width, height, 1.0);
    let mut bands: Vec<Vec<Blot>> = vec![Vec::new(); height.div_ceil(BAND)];
    for flake in flakes {
        let blot = Blot::of(flake, lens);
        let rows = blot.covered(blot.centre.1, blot.half_way.1, height);
        if rows.is_empty() {
            continue;
        }
        for band in &mut bands[rows.start / BAND..=(rows.end - 1) / BAND] {
            band.push(blot);
        }
    }
    keep.values
        .par_chunks_mut(BAND * width.max(1))
        .zip(bands)
        .enumerate()
        .for_each(|(band, (values, blots))| {
            let rows = band * BAND..band * BAND + values.len() / width;
            for blot in blots {
                let columns = blot.covered(blot.centre.0, blot.half_way.0, width);
                let drawn = blot.covered(blot.centre.1, blot.half_way.1, height);
                for y in drawn.start.max(rows.start)..drawn.end.min(rows.end) {
                    let row = &mut values[(y - rows.start) * width..(y - rows.start + 1) * width];
                    blot.draw(row, columns.clone(), y, depth);
                }
            }
        });
    keep
}

/// A flake on the sensor: a soft spot drawn out along its way.
#[derive(Debug, Clone, Copy)]
struct Blot {
    metres: f32,
    centre: (f32, f32),
    /// Half of its way during the exposure.
    half_way: (f32, f32),
    /// Opacity in the middle, and the distances from the way at which it begins to fall and is 0.
    peak: f32,
    full_px: f32,
    end_px: f32,
    /// How far from the way it reaches with its lobes.
    reach_px: f32,
    /// Cosine and sine of twice and of thrice the angle at which its rim stands out, times how much; `None` for a round one.
    lobes: Option<[f32; 4]>,
}

impl Blot {
    fn of(flake: &Flake, lens: &Lens) -> Self {
        let (radius, blur) = (flake.radius_px, lens.blur_radius_px(flake.metres));
        // A flake thins out towards its rim; a disc through a lens out of focus is flat to the radii's difference and ends at
        // their sum. Half a pixel more is the sensor's.
        let full_px = ((0.6 * radius - blur).max(blur - radius) - 0.5).max(0.0);
        let end_px = (1.35 * radius + blur + 0.5).max(1.1);
        let lobed = ((radius - LOBED_PX.0) / (LOBED_PX.1 - LOBED_PX.0)).clamp(0.0, 1.0);
        let lobe = LOBE * lobed * (1.0 - blur / radius).max(0.0);
        let half_way = (0.5 * flake.way_px.0, 0.5 * flake.way_px.1);
        let way = 2.0 * (half_way.0 * half_way.0 + half_way.1 * half_way.1).sqrt();
        let slope = end_px - full_px;
        // The integral of the fall (3 u^2 - 2 u^3) over the spot, and what the way adds: the light that the flake takes is
        // that of its cross-section, however it is spread.
        let spot = std::f32::consts::PI * (full_px * (full_px + slope) + 0.3 * slope * slope);
        let area = std::f32::consts::PI * radius * radius;
        Self {
            metres: flake.metres,
            centre: flake.centre,
            half_way,
            peak: (area / (spot + way * (full_px + end_px))).min(1.0),
            // Lobes add as much to the area as this takes away, in the mean over all directions of 1 / rim^2.
            full_px: full_px / (1.0 + 1.5 * lobe * lobe),
            end_px: end_px / (1.0 + 1.5 * lobe * lobe),
            reach_px: end_px / (1.0 - 2.0 * lobe),
            lobes: (lobe > 0.0).then(|| lobes(flake.lobes, lobe)),
        }
    }

    /// Pixels along one side of the image that the blot reaches, lobes included.
    fn covered(&self, centre: f32, half_way: f32, size: usize) -> std::ops::Range<usize> {
        let reach = half_way.abs() + self.reach_px;
        let first = (centre - reach - 0.5).ceil().max(0.0) as usize;
        let end = ((centre + reach - 0.5).floor() + 1.0).max(0.0) as usize;
        first.min(size)..end.min(size)
    }

    fn draw(&self, row: &mut [f32], columns: std::ops::Range<usize>, y: usize, depth: &SceneDepth) {
        let (metres, sky) = (depth.metres.row(y), depth.sky.row(y));
        let (along_x, along_y) = self.half_way;
        let square = along_x * along_x + along_y * along_y;
        let per_square = if square > 0.0 { 1.0 / square } else { 0.0 };
        let down = y as f32 + 0.5 - self.centre.1;
        let slope = 1.0 / (self.end_px - self.full_px);
        let reach = self.reach_px * self.reach_px;
        for x in columns {
            let right = x as f32 + 0.5 - self.centre.0;
            let at = ((right * along_x + down * along_y) * per_square).clamp(-1.0, 1.0);
            let (dx, dy) = (right - at * along_x, down - at * along_y);
            let square = dx * dx + dy * dy;
            if square >= reach || (metres[x] <= self.metres && sky[x] < 0.5) {
                continue;
            }
            let mut distance = square.sqrt();
            if let Some(lobes) = self.lobes {
                distance *= rim(lobes, dx, dy, distance);
            }
            let fallen = ((distance - self.full_px) * slope).clamp(0.0, 1.0);
            row[x] *= 1.0 - self.peak * (1.0 - fallen * fallen * (3.0 - 2.0 * fallen));
        }
    }
}

/// The lobes of a flake that point along a unit vector, that much of them.
fn lobes((sin, cos): (f32, f32), amount: f32) -> [f32; 4] {
    // The lobes of both kinds turn against each other, so that no two flakes look alike.
    [sin * amount, cos * amount, cos * amount, -sin * amount]
}

/// Distance to the middle over that of a circle, at a place that far right and down of the middle and that long from it.
fn rim(lobes: [f32; 4], right: f32, down: f32, length: f32) -> f32 {
    let per_length = 1.0 / length.max(1e-3);
    let (x, y) = (right * per_length, down * per_length);
    let (xx, yy) = (x * x, y * y);
    let waves = [xx - yy, 2.0 * x * y, x * (xx - 3.0 * yy), y * (3.0 * xx - yy)];
    1.0 + lobes.iter().zip(waves).map(|(amount, wave)| amount * wave).sum::<f32>()
}
