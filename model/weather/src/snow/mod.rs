//! Snow: flakes one by one where they can be seen, and a veil of all others over the scene's depth.
//!
//! The severity says how much falls: `6 s^1.1` millimetres of melted snow per hour.
//!
//! | severity | 0.25 | 0.5 | 1 | 1.5 |
//! |---|---|---|---|---|
//! | snowfall, mm/h melted | 1.3 | 2.8 | 6 | 9.4 |

mod blots;
mod flakes;

use mdsd3_words::weather::Space;
use rayon::prelude::*;
use serde::Serialize;

use crate::air::{ByDoublings, SceneLight, luminance, transmission};
use crate::canvas::Canvas;
use crate::depth::SceneDepth;
use crate::layers::{Light, Operation};
use crate::light::encoded_from_linear;
use crate::plane::Plane;
use crate::shot::Shot;
use crate::stream::Stream;
use blots::{Lens, render};
use flakes::{AirLayer, Flake, LAYERS, Sizes, flakes, layers};

/// Melted snow per hour at severity 1, in millimetres: heavy snow.
const MM_PER_HOUR_AT_ONE: f32 = 6.0;
/// Exponent of the severity.
const SEVERITY_EXPONENT: f32 = 1.1;
/// How far a sight line into the sky goes through snow, in metres.
const SKY_METRES: f32 = 700.0;
/// Distance that the lens is focused at, in metres.
const FOCUS_METRES: (f32, f32) = (5.0, 30.0);
/// Diameter of the lens's opening, in metres: that of a compact camera to that of a fast lens.
const APERTURE_METRES: (f32, f32) = (0.002, 0.007);
/// Light of white over that of a scene's bright parts, which are pale stone and the like.
const WHITE_OVER_BRIGHT: f32 = 1.6;
/// Luminance of the brightest flakes over the scene's mean: a scene that is dark but for a sunset or lamps has dark flakes.
const MOST_OVER_MEAN: f32 = 4.5;
/// What of that light a flake shows: it is lit from above and seen from the side.
const WHITENESS: (f32, f32) = (0.85, 1.0);
/// How much of the surroundings' colour flakes and veil show.
const COLOUR_KEPT: f32 = 0.3;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct SnowParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Snowfall as water, in millimetres per hour.
    pub mm_per_hour: f32,
    /// Flakes drawn one by one, those just outside the image included.
    pub flakes: usize,
    /// Share of light that a metre of snow takes.
    pub extinction_per_metre: f32,
    /// Distance in metres that the lens is focused at.
    pub focus_metres: f32,
    /// Diameter of the lens's opening in metres.
    pub aperture_metres: f32,
    /// Light of the flakes, sRGB-encoded, red, green, blue.
    pub colour: [f32; 3],
    /// Light of the veil, likewise.
    pub veil_colour: [f32; 3],
    /// Mean opacity of the flakes over the image.
    pub coverage: f32,
    /// Mean opacity of the veil over the image.
    pub mean_veil: f32,
}

/// Lets it snow.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> SnowParameters {
    let light = SceneLight::of(canvas.image_in(Space::Linear), Space::Linear, shot.depth);
    let mm_per_hour = MM_PER_HOUR_AT_ONE * libm::powf(severity, SEVERITY_EXPONENT);
    let lens = Lens {
        focus_metres: stream.within(FOCUS_METRES),
        aperture_px: stream.within(APERTURE_METRES) * shot.camera.focal_px,
    };
    let whiteness = stream.within(WHITENESS);
    let colour = flake_light(&light, whiteness);
    let veil_colour = veil_light(&light, colour);
    let (width, height) = canvas.size();
    let sizes = Sizes::at(mm_per_hour);
    let size = (width as f32, height as f32);
    let layers = layers(shot.camera, size);
    let veil = veil_plane(shot.depth, &layers, &sizes);
    let mean_veil = 1.0 - veil.mean();
    let diameters_mm = sizes.diameters_mm();
    let drawn: Vec<Vec<Flake>> = layers
        .par_iter()
        .enumerate()
        .map(|(place, layer)| flakes(layer, &diameters_mm, shot, size, stream.of_part(0, place as u32)))
        .collect();
    let drawn = drawn.concat();
    let opacity = render(&drawn, &lens, shot.depth);
    let coverage = 1.0 - opacity.mean();
    for (name, keep, colour) in [("veil", veil, veil_colour), ("flakes", opacity, colour)] {
        let operation = Operation::Blend {
            keep,
            light: Light::Uniform { colour, amount: None },
        };
        canvas.apply(("snow", name), Space::Linear, operation, Vec::new());
    }
    SnowParameters {
        severity,
        mm_per_hour,
        flakes: drawn.len(),
        extinction_per_metre: sizes.cross_section_from(0.0),
        focus_metres: lens.focus_metres,
        aperture_metres: lens.aperture_px / shot.camera.focal_px,
        colour: colour.map(encoded_from_linear),
        veil_colour: veil_colour.map(encoded_from_linear),
        coverage,
        mean_veil,
    }
}

/// The light of flakes: white, so brighter than what the scene's light shows as bright, but no brighter than a bright sky,
/// which is where their light comes from.
fn flake_light(light: &SceneLight, whiteness: f32) -> [f32; 3] {
    let lit = WHITE_OVER_BRIGHT * (0.8 * light.bright + 0.2 * luminance(light.mean));
    let sky = luminance(light.air).clamp(0.7, 0.85);
    let most = MOST_OVER_MEAN * luminance(light.mean);
    paled(light.mean, whiteness * lit.min(sky).min(most))
}

/// The light of far snow, that of the horizon; flakes in front of it look darker or alike, never brighter.
fn veil_light(light: &SceneLight, flakes: [f32; 3]) -> [f32; 3] {
    let horizon = luminance(light.air);
    let level = (0.5 * (horizon + horizon.max(light.bright)))
        .max(luminance(flakes))
        .min(0.85);
    paled(light.air, level)
}

/// A pale version of a colour, of a luminance.
fn paled(colour: [f32; 3], level: f32) -> [f32; 3] {
    let grey = luminance(colour).max(1e-4);
    colour.map(|value| (level * (1.0 + COLOUR_KEPT * ((value / grey).min(3.0) - 1.0))).clamp(0.0, 0.9))
}

/// What the flakes that aren't drawn one by one let through.
fn veil_plane(depth: &SceneDepth, layers: &[AirLayer; LAYERS], sizes: &Sizes) -> Plane {
    let everything = sizes.cross_section_from(0.0);
    let undrawn = layers.map(|layer| sizes.cross_section_from(layer.drawn_per_cubic_metre));
    let tau = |metres: f32| {
        let mut tau = everything * metres.min(layers[0].near);
        for (layer, undrawn) in layers.iter().zip(undrawn) {
            tau += undrawn * (metres.min(layer.far) - layer.near).max(0.0);
        }
        tau + everything * (metres - layers[LAYERS - 1].far).max(0.0)
    };
    let through = ByDoublings::of(0.125, 14, |metres| transmission(tau(metres)));
    let through_sky = through.at(SKY_METRES);
    Plane::from_rows(depth.metres.width, depth.metres.height, |y, row| {
        let (metres, sky) = (depth.metres.row(y), depth.sky.row(y));
        for (x, keep) in row.iter_mut().enumerate() {
            let share = sky[x].clamp(0.0, 1.0);
            let near = through.at(metres[x]);
            *keep = near + (through_sky - near) * share;
        }
    })
}

#[cfg(test)]
mod tests;
