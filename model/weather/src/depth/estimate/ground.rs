//! The ground plane and what stands on it.

use crate::plane::Plane;

/// Distance at the horizon over that at the bottom of the photo is about 1 over this.
const NEAREST: f32 = 0.06;

/// Row of the horizon as a share of the height: no lower than the lowest sky, as sky is only seen above it.
pub(super) fn horizon(sky: Option<&Plane>) -> f32 {
    let Some(sky) = sky else { return -0.15 };
    let mut lowest: Vec<usize> = (0..sky.width)
        .filter_map(|x| (0..sky.height).rev().find(|y| sky.values[y * sky.width + x] > 0.5))
        .collect();
    lowest.sort_unstable();
    let at = lowest.get(lowest.len() * 9 / 10).map_or(0, |y| y + 1);
    (at as f32 / sky.height as f32).min(0.85)
}

/// Natural logarithm of the ground's distance in row `v` (share of the height), over that at the bottom.
pub(super) fn ground(v: f32, horizon: f32) -> f32 {
    let below = ((v - horizon) / (1.0 - horizon)).max(0.0);
    -libm::logf((below + NEAREST) / (1.0 + NEAREST))
}
