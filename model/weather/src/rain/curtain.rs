//! Rain at middle distance: too many drops to place each, and seen as fine streaks all the same.
//!
//! The drops of a range of distances are drawn into a small tile that fits to itself on all sides, at the density, sizes and
//! speeds that drops have there; the tile is laid over the scene again and again, from a place that moves with the rain.

use rayon::prelude::*;

use crate::depth::SceneDepth;
use crate::particles::{Particle, opacity};
use crate::plane::Plane;
use crate::shot::{Camera, Shot};
use crate::stream::Scatter;

use super::drops::{OPACITY_GAIN, Rainfall, TURBULENCE_METRES_PER_SEC, coarseness, fall_speed};

/// Smaller drops are part of the veil, in millimetres: all of them together are a twentieth of the variance of rain's opacity,
/// which goes with the fourth power of the diameter.
const LEAST_MM: f32 = 1.2;
/// The same in photos of few pixels, at most.
const LEAST_SMALL_MM: f32 = 2.0;
/// Where curtains begin and end, in metres, and the side of their tiles over the longer side of the photo. The sides have no
/// common multiple in view, so that no pattern repeats.
const CURTAINS: [(f32, f32, f32); 3] = [(4.0, 6.0, 0.283), (6.0, 9.0, 0.209), (9.0, 13.5, 0.149)];
/// Distance at which curtains begin, in metres.
pub(super) const NEAREST_METRES: f32 = CURTAINS[0].0;
/// And end.
pub(super) const FARTHEST_METRES: f32 = CURTAINS[CURTAINS.len() - 1].1;

/// The diameter in millimetres up to which drops in the curtains are part of the veil, for a camera.
pub(super) fn veil_up_to_mm(camera: Camera) -> f32 {
    (LEAST_MM * coarseness(camera)).min(LEAST_SMALL_MM)
}

/// The drops between two distances.
pub(super) struct Curtain {
    nearest_metres: f32,
    farthest_metres: f32,
    tile: Plane,
    /// Where the tile's top left corner is.
    offset: (usize, usize),
}

/// All curtains, from the nearest.
pub(super) fn curtains(rainfall: Rainfall, shot: &Shot<'_>, places: Scatter) -> Vec<Curtain> {
    let ranges = CURTAINS.iter().enumerate();
    ranges
        .map(|(number, range)| Curtain::hung(*range, rainfall, shot, places.at(number as u64)))
        .collect()
}

impl Curtain {
    fn hung(
        (nearest_metres, farthest_metres, share): (f32, f32, f32),
        rainfall: Rainfall,
        shot: &Shot<'_>,
        places: Scatter,
    ) -> Self {
        let longer = shot.depth.metres.width.max(shot.depth.metres.height) as f32;
        let side = ((share * longer).round() as usize).max(8);
        let least_mm = veil_up_to_mm(shot.camera);
        let middle = (nearest_metres * farthest_metres).sqrt();
        let per_metre = shot.camera.focal_px / middle;
        // The volume behind the tile, of a pyramid without its top.
        let cubes =
            farthest_metres * farthest_metres * farthest_metres - nearest_metres * nearest_metres * nearest_metres;
        let angle = share * longer / shot.camera.focal_px;
        let drops = rainfall.drops_above(least_mm) * angle * angle * cubes / 3.0;
        let drop = |n: u32| {
            let mut own = places.at(u64::from(n));
            let mm = rainfall.diameter_mm(least_mm, 1.0 - own.unit());
            // Equal shares of the volume.
            let z = libm::cbrtf(farthest_metres * farthest_metres * farthest_metres - own.unit() * cubes);
            let px_per_metre = shot.camera.focal_px / z;
            let turbulence = TURBULENCE_METRES_PER_SEC * (own.unit() + own.unit() - 1.0);
            let path = px_per_metre * shot.camera.exposure_secs;
            let motion = ((shot.wind_metres_per_sec + turbulence) * path, fall_speed(mm) * path);
            let centre = (own.unit() * side as f32, own.unit() * side as f32);
            let presence = (drops - n as f32).min(1.0);
            let diameter_px = mm * 1e-3 * px_per_metre * presence.sqrt();
            Particle::ball(centre, motion, diameter_px, shot.camera.confusion_px(z), z).denser(OPACITY_GAIN)
        };
        let particles: Vec<Particle> = (0..drops.ceil() as u32)
            .into_par_iter()
            .with_min_len(256)
            .flat_map_iter(|n| wrapped(drop(n), side as f32))
            .collect();
        let mut place = places.at(u64::MAX);
        let mut offset = |speed: f32| {
            let moved = place.unit() + shot.options.frame.0 * speed * per_metre / side as f32;
            (((moved - moved.floor()) * side as f32) as usize).min(side - 1)
        };
        // The mass of rain falls at the speed of drops of this size.
        let speed = fall_speed(4.0 / rainfall.slope);
        let offset = (offset(shot.wind_metres_per_sec), offset(speed));
        let tile = opacity(&particles, (side, side), None);
        Self {
            nearest_metres,
            farthest_metres,
            tile,
            offset,
        }
    }

    /// Lays the curtain over row `y` of the scene, `covered` being what lies there already.
    pub(super) fn draw(&self, y: usize, covered: &mut [f32], depth: &SceneDepth) {
        let side = self.tile.width;
        let row = self.tile.row((y + side - self.offset.1) % side);
        let (metres, sky) = (depth.metres.row(y), depth.sky.row(y));
        let per_metre = 1.0 / (self.farthest_metres - self.nearest_metres);
        let mut start = 0;
        while start < covered.len() {
            let from = (start + side - self.offset.0) % side;
            let end = (start + side - from).min(covered.len());
            let pixels = covered[start..end].iter_mut().zip(&row[from..]);
            for ((here, own), (metres, sky)) in pixels.zip(metres[start..end].iter().zip(&sky[start..end])) {
                let seen = ((metres - self.nearest_metres) * per_metre).clamp(0.0, 1.0);
                let seen = seen + sky * (1.0 - seen);
                *here += own * seen * (1.0 - *here);
            }
            start = end;
        }
    }
}

/// A particle with its copies on the other sides of the tile, where it reaches over the edge.
fn wrapped(particle: Particle, side: f32) -> impl Iterator<Item = Particle> {
    let reach = particle.reach_px();
    let shifts = [0.0, side, -side];
    let inside = move |at: f32, reach: f32| at + reach > 0.0 && at - reach < side;
    shifts
        .into_iter()
        .flat_map(move |x| shifts.map(|y| (x, y)))
        .map(move |(x, y)| Particle {
            centre: (particle.centre.0 + x, particle.centre.1 + y),
            ..particle
        })
        .filter(move |particle| inside(particle.centre.0, reach.0) && inside(particle.centre.1, reach.1))
}
