//! Far rain, too fine to be seen drop by drop: a veil.

use crate::depth::SceneDepth;
use crate::plane::Plane;

use super::curtain;
use super::drops::{LARGEST_MM, Rainfall, Shell};

/// Rain is taken to end here: a shower has a far side and a cloud above it, in metres.
pub(super) const FAR_SIDE_METRES: f32 = 400.0;
/// Intervals of the table.
const INTERVALS: usize = 1024;
/// Distance in the middle of the table, in metres.
const MIDDLE_METRES: f32 = 20.0;

/// Transmission over distance of all drops that aren't drawn by themselves.
pub(super) struct Veil {
    /// At distances `MIDDLE_METRES * i / (INTERVALS - i)`.
    table: Vec<f32>,
    at_sky: f32,
}

impl Veil {
    /// The veil behind and between what is drawn: single drops in shells, and those of curtains above `curtain_mm`.
    pub(super) fn of(rainfall: Rainfall, shells: &[Shell], curtain_mm: f32) -> Self {
        let transmission = |metres: f32| libm::expf(-optical_depth(metres, rainfall, shells, curtain_mm));
        let metres = |i: usize| MIDDLE_METRES * i as f32 / (INTERVALS - i) as f32;
        let mut table: Vec<f32> = (0..INTERVALS).map(|i| transmission(metres(i))).collect();
        let at_sky = transmission(FAR_SIDE_METRES);
        table.extend([at_sky, at_sky]);
        Self { table, at_sky }
    }

    /// What passes from `metres` away.
    fn at(&self, metres: f32) -> f32 {
        let place = INTERVALS as f32 * metres / (metres + MIDDLE_METRES);
        let index = (place as usize).min(INTERVALS);
        let (near, far) = (self.table[index], self.table[index + 1]);
        near + (far - near) * (place - index as f32)
    }

    /// What passes from a pixel that is partly sky.
    pub(super) fn before(&self, metres: f32, sky: f32) -> f32 {
        let land = self.at(metres);
        land + sky * (self.at_sky - land)
    }

    /// What passes from each pixel of a scene.
    pub(super) fn over(&self, depth: &SceneDepth) -> Plane {
        Plane::from_rows(depth.metres.width, depth.metres.height, |y, row| {
            for (passes, (metres, sky)) in row.iter_mut().zip(depth.metres.row(y).iter().zip(depth.sky.row(y))) {
                *passes = self.before(*metres, *sky);
            }
        })
    }
}

/// Optical depth up to `metres` of the drops too small to be drawn, shell by shell.
fn optical_depth(metres: f32, rainfall: Rainfall, shells: &[Shell], curtain_mm: f32) -> f32 {
    let metres = metres.min(FAR_SIDE_METRES);
    let curtains = (curtain::NEAREST_METRES, curtain::FARTHEST_METRES, curtain_mm);
    let beyond = (curtain::FARTHEST_METRES, f32::INFINITY, LARGEST_MM);
    let shells = shells
        .iter()
        .map(|shell| (shell.nearest_metres, shell.farthest_metres, shell.least_mm));
    let ranges = shells.chain([curtains, beyond]);
    ranges
        .map(|(near, far, up_to_mm)| (metres.min(far) - near).max(0.0) * rainfall.extinction_per_metre(up_to_mm))
        .sum()
}
