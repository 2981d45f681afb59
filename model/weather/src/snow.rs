//! Snow: flakes one by one where they can be seen, and a veil of all others over the scene's depth.
//!
//! The severity says how much falls: `6 s^1.1` millimetres of melted snow per hour.
//!
//! | severity | 0.25 | 0.5 | 1 | 1.5 |
//! |---|---|---|---|---|
//! | snowfall, mm/h melted | 1.3 | 2.8 | 6 | 9.4 |

use mdsd3_words::weather::Space;
use rayon::prelude::*;
use serde::Serialize;

use crate::air::{ByDoublings, SceneLight, luminance, transmission};
use crate::canvas::Canvas;
use crate::depth::SceneDepth;
use crate::flakes::{AirLayer, Flake, LAYERS, Sizes, flakes, layers};
use crate::layers::{Light, Operation};
use crate::light::encoded_from_linear;
use crate::plane::Plane;
use crate::shot::Shot;
use crate::stream::Stream;

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
    let streams: Vec<Stream> = (0..LAYERS).map(|_| stream.fork()).collect();
    let drawn: Vec<Vec<Flake>> = layers
        .par_iter()
        .zip(streams)
        .map(|(layer, stream)| flakes(layer, &diameters_mm, shot, size, stream))
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
    let sky = luminance(light.horizon).clamp(0.7, 0.85);
    paled(light.mean, whiteness * lit.min(sky))
}

/// The light of far snow, that of the horizon; flakes in front of it look darker or alike, never brighter.
fn veil_light(light: &SceneLight, flakes: [f32; 3]) -> [f32; 3] {
    let horizon = luminance(light.horizon);
    let level = (0.5 * (horizon + horizon.max(light.bright)))
        .max(luminance(flakes))
        .min(0.85);
    paled(light.horizon, level)
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

/// The lens that flakes are seen through.
struct Lens {
    focus_metres: f32,
    /// Diameter of its opening in pixels of the image: metres times focal length.
    aperture_px: f32,
}

impl Lens {
    /// Radius in pixels of the circle that a point at a distance becomes (Potmesil and Chakravarty 1982, equation 8, for a
    /// focal length that is small beside the distances).
    fn blur_radius_px(&self, metres: f32) -> f32 {
        0.5 * self.aperture_px * (1.0 / metres - 1.0 / self.focus_metres).abs()
    }
}

/// Rows that are drawn together.
const BAND: usize = 32;

/// What all flakes let through, each only in front of what is farther than it.
fn render(flakes: &[Flake], lens: &Lens, depth: &SceneDepth) -> Plane {
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
            full_px,
            end_px,
            lobes: (radius > LOBED_FROM_PX && radius > blur).then(|| lobes(flake.lobes, 1.0 - blur / radius)),
        }
    }

    /// Pixels along one side of the image that the blot reaches, lobes included.
    fn covered(&self, centre: f32, half_way: f32, size: usize) -> std::ops::Range<usize> {
        let reach = half_way.abs()
            + self.end_px
                * if self.lobes.is_some() {
                    1.0 / (1.0 - 2.0 * LOBE)
                } else {
                    1.0
                };
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
        for x in columns {
            if metres[x] <= self.metres && sky[x] < 0.5 {
                continue;
            }
            let right = x as f32 + 0.5 - self.centre.0;
            let at = ((right * along_x + down * along_y) * per_square).clamp(-1.0, 1.0);
            let (dx, dy) = (right - at * along_x, down - at * along_y);
            let distance = (dx * dx + dy * dy).sqrt() * self.lobes.map_or(1.0, |lobes| rim(lobes, dx, dy));
            let fallen = ((distance - self.full_px) * slope).clamp(0.0, 1.0);
            row[x] *= 1.0 - self.peak * (1.0 - fallen * fallen * (3.0 - 2.0 * fallen));
        }
    }
}

/// Radius in pixels from which the shape of a flake can be seen.
const LOBED_FROM_PX: f32 = 1.2;
/// How much a flake's rim departs from a circle, twice and thrice around: aggregates of crystals have no shape of their own.
const LOBE: f32 = 0.16;

/// The lobes of a flake that point along a unit vector; less of them out of focus.
fn lobes((sin, cos): (f32, f32), focus: f32) -> [f32; 4] {
    let amount = LOBE * focus;
    // The lobes of both kinds turn against each other, so that no two flakes look alike.
    [sin * amount, cos * amount, cos * amount, -sin * amount]
}

/// Distance to the middle over that of a circle, at a place that far right and down of the middle.
fn rim(lobes: [f32; 4], right: f32, down: f32) -> f32 {
    let square = right * right + down * down;
    if square < 1e-6 {
        return 1.0;
    }
    let length = square.sqrt();
    let (x, y) = (right / length, down / length);
    let (xx, yy) = (x * x, y * y);
    let waves = [xx - yy, 2.0 * x * y, x * (xx - 3.0 * yy), y * (3.0 * xx - yy)];
    1.0 + lobes.iter().zip(waves).map(|(amount, wave)| amount * wave).sum::<f32>()
}
