//! Rain of a rate: single drops as motion-blurred streaks where they can be seen, all others as a veil over distance.
//!
//! Drop sizes follow Marshall and Palmer 1948 and fall speeds Atlas et al. 1973. A drop covers a pixel for a share of the
//! exposure and shows light from nearly half of its surroundings meanwhile (Garg and Nayar 2007), sky above all: streaks are
//! brighter than most of what they pass, and hardly seen before bright sky. Each is only in front of what is farther away, and
//! out of focus when it is near. Drops that are too small or too far to be seen by themselves dim what is behind them by their
//! extinction and scatter light towards the camera (the rain layers and the veil of Hu et al. 2019).
//!
//! Everything is in metres in front of the camera, so that a photo shows the same rain at any size; and moves there, so that
//! the frames of a sequence show the same drops.

mod curtain;
mod drops;
#[cfg(test)]
mod tests;
mod veil;

use mdsd3_words::weather::{Composition, Space};
use rayon::prelude::*;
use serde::Serialize;

use crate::air::{SceneLight, luminance};
use crate::canvas::Canvas;
use crate::depth::SceneDepth;
use crate::layers::{Light, Operation};
use crate::light::encoded_from_linear;
use crate::particles::{Particle, opacity};
use crate::plane::Plane;
use crate::shot::Shot;
use crate::stream::Stream;
use curtain::curtains;
use drops::{OPACITY_GAIN, Rainfall, Shell, fall_speed, shells};
use veil::Veil;

/// Rate at severity 1, in mm/h: a cloudburst. The Met Office calls showers heavy from 10 mm/h and violent from 50 mm/h.
const RATE_AT_ONE: f32 = 150.0;

/// A rainy sky is greyer than a blue one by this share.
const GREYER: f32 = 0.7;

/// Drops are at most this much brighter than the veil, whatever lamps there are in the scene.
const MOST_OVER_VEIL: f32 = 3.0;

/// The rate in mm/h at a severity: 19 at 0.25 (a heavy shower), 53 at 0.5 (a violent one), 150 at 1, 276 at 1.5 (cloudbursts).
fn rate_mm_per_h(severity: f32) -> f32 {
    RATE_AT_ONE * severity * severity.sqrt()
}

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct RainParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Millimetres of rain per hour.
    pub rate_mm_per_h: f32,
    /// How many times as opaque as physics has it drops are drawn.
    pub opacity_gain: f32,
    /// Drops in view that are drawn one by one.
    pub drops: usize,
    /// Exposure time in seconds.
    pub exposure_secs: f32,
    /// Wind across the picture in metres per second, positive to the right.
    pub wind_metres_per_sec: f32,
    /// Lean from vertical of a 2 mm drop in degrees, positive towards the bottom right; larger drops lean less.
    pub lean_degrees: f32,
    /// Distance in metres at which a veil of all drops leaves 2 % of contrast (Koschmieder 1924).
    pub visibility_metres: f32,
    /// Light of the veil, sRGB-encoded, red, green, blue.
    pub veil_light: [f32; 3],
    /// Light of a drop over light of the veil, in linear light.
    pub drop_over_veil: f32,
    /// Mean opacity of the drops that are drawn one by one.
    pub coverage: f32,
    /// Mean transmission of the veil; 1 where drops only add light.
    pub mean_transmission: f32,
}

/// Lets it rain on the image.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> RainParameters {
    let rate_mm_per_h = rate_mm_per_h(severity);
    let rainfall = Rainfall::of(rate_mm_per_h);
    let shells = shells(shot);
    let drops = drops_in_view(&shells, rainfall, shot, &mut stream);
    let mut streaks = opacity(&drops, canvas.size(), Some(shot.depth));
    let curtains = curtains(rainfall, shot, stream.scatter());
    streaks.change_rows(|y, row| curtains.iter().for_each(|curtain| curtain.draw(y, row, shot.depth)));
    let scene = SceneLight::of(canvas.image_in(Space::Linear), Space::Linear, shot.depth);
    let (colour, drop_over_veil) = (veil_light(&scene), drop_over_veil(&scene));
    let coverage = streaks.mean();
    let curtain_mm = curtain::veil_up_to_mm(shot.camera);
    let covers = shot.options.rain == Composition::Alpha;
    let veil = covers.then(|| Veil::of(rainfall, &shells, curtain_mm));
    let mut maps = Vec::new();
    if canvas.keeps_steps() {
        maps.push(("streaks", streaks.clone()));
        maps.extend(veil.as_ref().map(|veil| ("transmission", veil.over(shot.depth))));
    }
    let (keep, amount, mean_transmission) = composed(streaks, veil.as_ref(), shot.depth, drop_over_veil);
    let light = Light::Uniform {
        colour,
        amount: Some(amount),
    };
    canvas.apply(("rain", "rain"), Space::Linear, Operation::Blend { keep, light }, maps);
    RainParameters {
        severity,
        rate_mm_per_h,
        opacity_gain: OPACITY_GAIN,
        drops: drops.len(),
        exposure_secs: shot.camera.exposure_secs,
        wind_metres_per_sec: shot.wind_metres_per_sec,
        lean_degrees: libm::atan2f(shot.wind_metres_per_sec, fall_speed(2.0)).to_degrees(),
        visibility_metres: 3.912 / rainfall.extinction_per_metre(drops::LARGEST_MM),
        veil_light: colour.map(encoded_from_linear),
        drop_over_veil,
        coverage,
        mean_transmission,
    }
}

/// What the veil scatters towards the camera: the horizon's light under a sky that rains.
fn veil_light(scene: &SceneLight) -> [f32; 3] {
    let grey = luminance(scene.horizon);
    scene.horizon.map(|value| value + GREYER * (grey - value))
}

/// Light of a drop over that of the veil. A drop shows nearly all of the half space behind it: above the horizon an overcast
/// sky, which is twice as bright on average as at the horizon (`1 + 2 sin(elevation)`, Moon and Spencer 1942), and as much of
/// the ground. Where the horizon is hidden, the sky is at least as bright as the scene's bright parts, which it lights.
fn drop_over_veil(scene: &SceneLight) -> f32 {
    let veil = luminance(scene.horizon);
    let (sky, ground) = (veil.max(scene.bright), luminance(scene.mean));
    if veil > 0.0 {
        ((sky + 0.5 * ground) / veil).min(MOST_OVER_VEIL)
    } else {
        1.0
    }
}

/// All drops in view, from the nearest shell; each shell has random numbers of its own.
fn drops_in_view(shells: &[Shell], rainfall: Rainfall, shot: &Shot<'_>, stream: &mut Stream) -> Vec<Particle> {
    let places = stream.scatter();
    let shells = shells.iter().enumerate();
    shells
        .flat_map(|(number, shell)| shell.in_view(rainfall, shot, places.at(number as u64)))
        .collect()
}

/// What a pixel keeps of its light, how much of the veil's light it gets, and the veil's mean transmission. Drops are in front
/// of the veil; without a veil they only add light.
fn composed(streaks: Plane, veil: Option<&Veil>, depth: &SceneDepth, drop_over_veil: f32) -> (Plane, Plane, f32) {
    let (mut keep, mut amount) = (streaks, Plane::filled(depth.metres.width, depth.metres.height, 0.0));
    let width = keep.width.max(1);
    let rows = keep
        .values
        .par_chunks_mut(width)
        .zip(amount.values.par_chunks_mut(width));
    let compose = |(y, (keep, amount)): (usize, (&mut [f32], &mut [f32]))| {
        let behind = depth.metres.row(y).iter().zip(depth.sky.row(y));
        let mut sum = 0.0_f64;
        for ((keep, amount), (metres, sky)) in keep.iter_mut().zip(amount).zip(behind) {
            let covered = *keep;
            *amount = drop_over_veil * covered;
            *keep = 1.0;
            if let Some(veil) = veil {
                let passes = veil.before(*metres, *sky);
                *amount += (1.0 - passes) * (1.0 - covered);
                *keep = passes * (1.0 - covered);
                sum += f64::from(passes);
            }
        }
        sum
    };
    let sums: Vec<f64> = rows.enumerate().map(compose).collect();
    let pixels = (depth.metres.width * depth.metres.height) as f64;
    let mean = if veil.is_some() && pixels > 0.0 {
        sums.iter().sum::<f64>() / pixels
    } else {
        1.0
    };
    (keep, amount, mean as f32)
}
