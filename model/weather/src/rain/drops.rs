//! Which drops there are in the air, how fast they fall, and where those in view are.

use std::sync::LazyLock;

use rayon::prelude::*;

use crate::particles::Particle;
use crate::shot::{Camera, Shot};
use crate::stream::Scatter;

use super::curtain;

/// Drops per cubic metre and millimetre of diameter, for diameters near 0 (Marshall and Palmer 1948, equation 2).
const N0: f32 = 8000.0;
/// Largest drop in millimetres; larger ones break up in the air (Pruppacher and Klett 1997).
pub(super) const LARGEST_MM: f32 = 6.0;
/// Smallest drop that is ever drawn by itself, in millimetres.
const SMALLEST_MM: f32 = 0.5;
/// Distances between which drops are drawn one by one, in metres: nearer ones would hit the lens.
const NEAREST_METRES: f32 = 0.3;
/// A shell of drops ends this much farther away than it begins.
const SHELL_RATIO: f32 = 1.3;
/// Drops are drawn by themselves where they cover a pixel for at least this share of the exposure...
const LEAST_OPACITY: f32 = 1.0 / 40.0;
/// ...in a photo with this many pixels along its longer side, so that the drops don't depend on the photo's size.
const REFERENCE_FOCAL_PX: f32 = 0.87 * 1024.0;
/// Exposure for which that holds, so that a shorter one shows the same drops.
const TYPICAL_EXPOSURE_SECS: f32 = 1.0 / 250.0;
/// How many times as opaque as physics has it drops are drawn: what is seen at once in moving pictures is faint in a single
/// one, and a photographer who wants rain in it waits for light from behind.
pub(super) const OPACITY_GAIN: f32 = 2.0;
/// Extinction cross-section over geometric cross-section of what is much larger than light waves (van de Hulst 1957).
const EXTINCTION_EFFICIENCY: f32 = 2.0;
/// Turbulence: the largest speed by which a drop's differs from wind and fall, in metres per second.
pub(super) const TURBULENCE_METRES_PER_SEC: f32 = 0.8;

/// The drops of rain of one rate: `N(D) = N0 exp(-slope D)` per cubic metre and millimetre (Marshall and Palmer 1948).
#[derive(Debug, Clone, Copy)]
pub(super) struct Rainfall {
    /// Per millimetre.
    pub(super) slope: f32,
}

impl Rainfall {
    /// Rain of `mm_per_h`, above 0: `slope = 4.1 R^-0.21` (equation 3).
    pub(super) fn of(mm_per_h: f32) -> Self {
        Self {
            slope: 4.1 * libm::powf(mm_per_h, -0.21),
        }
    }

    /// Drops per cubic metre that are larger than `mm`.
    pub(super) fn drops_above(self, mm: f32) -> f32 {
        N0 / self.slope * libm::expf(-self.slope * mm)
    }

    /// The diameter in millimetres that a share of the drops above `least_mm` exceeds, the share being above 0.
    pub(super) fn diameter_mm(self, least_mm: f32, share: f32) -> f32 {
        (least_mm - libm::logf(share) / self.slope).min(LARGEST_MM)
    }

    /// Extinction per metre by drops up to `mm` of diameter: their cross-sections, added up.
    pub(super) fn extinction_per_metre(self, mm: f32) -> f32 {
        let x = self.slope * mm;
        // The integral of D^2 exp(-slope D) from 0 to `mm`.
        let moment = (2.0 - libm::expf(-x) * (x * x + 2.0 * x + 2.0)) / (self.slope * self.slope * self.slope);
        EXTINCTION_EFFICIENCY * 0.25 * std::f32::consts::PI * N0 * moment * 1e-6
    }
}

/// Fall speed of a drop in metres per second (Atlas et al. 1973, equation 1; for 0.6 mm to 5.8 mm), by a table within 1e-4.
pub(super) fn fall_speed(mm: f32) -> f32 {
    const PER_MM: f32 = 128.0;
    static TABLE: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let speed = |i: usize| (9.65 - 10.3 * libm::expf(-0.6 * i as f32 / PER_MM)).max(0.1);
        (0..=(LARGEST_MM * PER_MM) as usize + 1).map(speed).collect()
    });
    let at = mm.clamp(0.0, LARGEST_MM) * PER_MM;
    let index = at as usize;
    TABLE[index] + (TABLE[index + 1] - TABLE[index]) * (at - index as f32)
}

/// Drops between two distances: they live in a box around the line of sight that holds all that is in view there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shell {
    pub(super) nearest_metres: f32,
    pub(super) farthest_metres: f32,
    /// Smaller drops can't be seen by themselves and are part of the veil.
    pub(super) least_mm: f32,
    width_metres: f32,
    height_metres: f32,
}

/// The shells, from the nearest.
pub(super) fn shells(shot: &Shot<'_>) -> Vec<Shell> {
    let (columns, rows) = (shot.depth.metres.width as f32, shot.depth.metres.height as f32);
    let camera = &shot.camera;
    // Half a path of the fastest drop, so that drops that are partly in view are there.
    let margin = camera.exposure_secs * 6.0 + 0.01;
    let shell = |near: f32| {
        let far = (near * SHELL_RATIO).min(curtain::NEAREST_METRES);
        Shell {
            nearest_metres: near,
            farthest_metres: far,
            least_mm: least_visible_mm(near, shot.camera),
            width_metres: far * columns / camera.focal_px + 2.0 * margin,
            height_metres: far * rows / camera.focal_px + 2.0 * margin,
        }
    };
    std::iter::successors(Some(NEAREST_METRES), |near| Some(near * SHELL_RATIO))
        .take_while(|near| *near < curtain::NEAREST_METRES)
        .map(shell)
        .collect()
}

/// How much larger than in the reference photo the least of drops is that is drawn by itself: a photo of fewer pixels shows
/// smaller ones only as a veil. 1 for photos that are larger.
pub(super) fn coarseness(camera: Camera) -> f32 {
    (REFERENCE_FOCAL_PX / camera.focal_px.max(1.0)).max(1.0).sqrt()
}

/// The diameter from which a drop covers a pixel of the reference photo for [`LEAST_OPACITY`] of the exposure:
/// `(f D / z) D / (v T)`, its width in pixels by its time in each.
fn least_visible_mm(metres: f32, camera: Camera) -> f32 {
    let enough = LEAST_OPACITY * metres * TYPICAL_EXPOSURE_SECS / REFERENCE_FOCAL_PX * coarseness(camera);
    let (mut low, mut high) = (SMALLEST_MM, LARGEST_MM);
    for _ in 0..20 {
        let middle = 0.5 * (low + high);
        if middle * middle * 1e-6 / fall_speed(middle) < enough {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

impl Shell {
    /// Drops in the box; the fraction is the last one, which is only partly there yet, so that rain is continuous in severity.
    fn drops(&self, rainfall: Rainfall) -> f32 {
        let volume = self.width_metres * self.height_metres * (self.farthest_metres - self.nearest_metres);
        rainfall.drops_above(self.least_mm) * volume
    }

    /// Those of the shell's drops that are in view.
    pub(super) fn in_view(&self, rainfall: Rainfall, shot: &Shot<'_>, places: Scatter) -> Vec<Particle> {
        let drops = self.drops(rainfall);
        let drop = |n: u32| self.drop(rainfall, shot, places.at(u64::from(n)), (drops - n as f32).min(1.0));
        (0..drops.ceil() as u32)
            .into_par_iter()
            .with_min_len(512)
            .filter_map(drop)
            .collect()
    }

    /// One drop, when it is in view. Place and rank among the sizes are the same at every rate.
    fn drop(&self, rainfall: Rainfall, shot: &Shot<'_>, places: Scatter, presence: f32) -> Option<Particle> {
        let (camera, time, mut own) = (&shot.camera, shot.options.frame.0, places);
        let mm = rainfall.diameter_mm(self.least_mm, 1.0 - own.unit());
        let turbulence = TURBULENCE_METRES_PER_SEC * (own.unit() + own.unit() - 1.0);
        let (across, down) = (shot.wind_metres_per_sec + turbulence, fall_speed(mm));
        // A drop that falls out of the box comes in again at the top, at another place.
        let fallen = own.unit() * self.height_metres + down * time;
        let rounds = (fallen / self.height_metres).floor();
        let y = fallen - rounds * self.height_metres - 0.5 * self.height_metres;
        let mut place = places.at(1 + rounds as u64);
        let blown = place.unit() * self.width_metres + across * time;
        let x = blown - ((blown / self.width_metres).floor() + 0.5) * self.width_metres;
        let z = self.nearest_metres + place.unit() * (self.farthest_metres - self.nearest_metres);
        let (columns, rows) = (shot.depth.metres.width as f32, shot.depth.metres.height as f32);
        let px_per_metre = camera.focal_px / z;
        let centre = (0.5 * columns + x * px_per_metre, 0.5 * rows + y * px_per_metre);
        let path = px_per_metre * camera.exposure_secs;
        let diameter_px = mm * 1e-3 * px_per_metre * presence.sqrt();
        let confusion_px = camera.confusion_px(z);
        let particle =
            Particle::ball(centre, (across * path, down * path), diameter_px, confusion_px, z).denser(OPACITY_GAIN);
        let reach = particle.reach_px();
        let inside = |at: f32, reach: f32, size: f32| at + reach > 0.0 && at - reach < size;
        (inside(centre.0, reach.0, columns) && inside(centre.1, reach.1, rows)).then_some(particle)
    }
}
