//! Haze: the atmospheric scattering model over the scene's depth, through air that is a little uneven.
//!
//! `I = J t + A (1 - t)`, `t = exp(-beta d)` (Koschmieder 1924; Narasimhan and Nayar 2002, equation 1), where `beta d` is
//! summed along the line of sight over banks of air of different density. The visibility is `3.912 / beta`: where 2 % of an
//! object's contrast are left (Koschmieder's law).
//!
//! | severity | 0.25 | 0.5 | 1 | 1.5 |
//! |---|---|---|---|---|
//! | beta, per metre | 0.014 | 0.028 | 0.055 | 0.083 |
//! | visibility, metres | 285 | 142 | 71 | 47 |

use mdsd3_words::weather::Space;
use serde::Serialize;

use crate::air::{SceneLight, luminance, transmission};
use crate::canvas::Canvas;
use crate::depth::SKY_METRES;
use crate::field::Field;
use crate::layers::{Light, Operation};
use crate::light::encoded_from_linear;
use crate::plane::Plane;
use crate::shot::Shot;
use crate::stream::Stream;

/// Scattering coefficient at severity 1, per metre.
const BETA_AT_ONE: f32 = 0.055;
/// What visibility times scattering coefficient is: the logarithm of 1 / 0.02.
const VISIBILITY_TIMES_BETA: f32 = 3.912;
/// How high haze reaches, in metres: a sight line into the sky leaves it.
const LAYER_METRES: f32 = 70.0;
/// Standard deviation of the air's density in one place, as a share of its mean.
const UNEVENNESS: (f32, f32) = (0.15, 0.35);
/// The least density anywhere, as a share of the mean.
const THINNEST: f32 = 0.2;
/// How much of the airlight's brightness is that of the scene's bright parts, where they are brighter than the horizon: fog in
/// front of a deep blue sky is whiter than the sky.
const BY_BRIGHT_PARTS: f32 = 0.7;
/// Brightness of one image's airlight over what its scene says.
const BRIGHTNESS: (f32, f32) = (0.82, 1.12);
/// Luminance of the brightest airlight on average, linear: fog in the sun is no whiter on a photo.
const WHITEST: f32 = 0.74;
/// Luminance of the brightest airlight over the scene's mean, where the horizon isn't brighter: a scene that is dark but for
/// lamps has dark air.
const MOST_OVER_MEAN: f32 = 3.2;
/// How much of the horizon's colour the airlight keeps: what light scatters on all sides loses colour.
const COLOUR_KEPT: f32 = 0.3;
/// Tint of the air from blue (-1) to yellow (1).
const TINT: (f32, f32) = (-1.0, 1.0);
/// What a tint of 1 does to red and blue, linear; green keeps its light.
const TINT_RED_BLUE: (f32, f32) = (0.08, -0.13);

/// Distances between which air is drawn as one bank, in metres, and the size of its clouds.
const BANKS: [(f32, f32, f32); 4] = [
    (0.0, 14.0, 6.0),
    (14.0, 45.0, 9.0),
    (45.0, 140.0, 20.0),
    (140.0, 500.0, 60.0),
];
/// Height of a cloud of air over its width: air mixes sideways more easily than upwards.
const FLATNESS: f32 = 0.5;
/// Spacing of the grid that density is computed on, in focal lengths; between its points it is interpolated.
const GRID_IN_FOCAL_LENGTHS: f32 = 0.026;

/// What was drawn for one image.
#[derive(Debug, Clone, Serialize)]
pub struct HazeParameters {
    /// Severity asked for.
    pub severity: f32,
    /// Scattering coefficient per metre.
    pub beta_per_metre: f32,
    /// Distance at which 2 % of the contrast are left.
    pub visibility_metres: f32,
    /// Airlight, sRGB-encoded, red, green, blue.
    pub airlight: [f32; 3],
    /// Standard deviation of the air's density in one place, as a share of its mean. Sight lines that are longer than a bank
    /// of air (14 m and more) cross several and vary less.
    pub unevenness: f32,
    /// Mean transmission over the image.
    pub mean_transmission: f32,
}

/// Lays the veil over the image.
pub(super) fn apply(canvas: &mut Canvas<'_>, shot: &Shot<'_>, severity: f32, mut stream: Stream) -> HazeParameters {
    let space = shot.options.space;
    let light = SceneLight::of(canvas.image_in(space), space, shot.depth);
    let airlight = airlight(&light, &mut stream);
    let unevenness = stream.within(UNEVENNESS);
    let beta_per_metre = severity * BETA_AT_ONE;
    let banks = Banks::draw(shot, unevenness, &mut stream);
    let transmission = transmission_plane(shot, &banks, beta_per_metre, light.horizon_row);
    let mean_transmission = transmission.mean();
    let encoded = airlight.map(encoded_from_linear);
    let operation = Operation::Blend {
        keep: transmission,
        light: Light::Uniform {
            colour: match space {
                Space::Srgb => encoded,
                Space::Linear => airlight,
            },
            amount: None,
        },
    };
    canvas.apply(("haze", "veil"), space, operation, Vec::new());
    HazeParameters {
        severity,
        beta_per_metre,
        visibility_metres: VISIBILITY_TIMES_BETA / beta_per_metre,
        airlight: encoded,
        unevenness,
        mean_transmission,
    }
}

/// The light of the air, linear: the horizon's, which is air already, paler and as bright as what the scene's light can make
/// it. A dark scene has dark air.
fn airlight(light: &SceneLight, stream: &mut Stream) -> [f32; 3] {
    let at_horizon = luminance(light.air);
    let bright = at_horizon + BY_BRIGHT_PARTS * (light.bright - at_horizon).max(0.0);
    let most = WHITEST.min((MOST_OVER_MEAN * luminance(light.mean)).max(luminance(light.horizon)));
    let level = bright.min(most) * stream.within(BRIGHTNESS);
    let tint = stream.within(TINT);
    let (red, blue) = TINT_RED_BLUE;
    let tinted = [1.0 + red * tint, 1.0, 1.0 + blue * tint];
    let mut colour: [f32; 3] = std::array::from_fn(|c| {
        let share = light.air[c] / at_horizon.max(1e-4);
        tinted[c] * (1.0 + COLOUR_KEPT * (share.min(3.0) - 1.0))
    });
    // Air is blue, grey, yellow or red; never green or purple, which yellow haze before a blue sky would come out as.
    colour[1] = colour[1].clamp(colour[0].min(colour[2]), colour[0].max(colour[2]));
    let scale = level / luminance(colour);
    colour.map(|value| (value * scale).clamp(0.0, 1.0))
}

/// Densities of the air of one shot, on a grid over the image.
struct Banks {
    columns: usize,
    spacing_px: f32,
    /// Density of each bank minus the mean density, as a share of the mean; row by row.
    excess: Vec<[f32; BANKS.len()]>,
}

impl Banks {
    /// Draws the air, moved by the wind since the first frame.
    fn draw(shot: &Shot<'_>, unevenness: f32, stream: &mut Stream) -> Self {
        let field = Field::draw(stream);
        let (width, height) = (shot.depth.metres.width as f32, shot.depth.metres.height as f32);
        let focal_px = shot.camera.focal_px;
        let spacing_px = (GRID_IN_FOCAL_LENGTHS * focal_px).max(1.0);
        let along = |size: f32| (size / spacing_px).ceil() as usize + 2;
        let drift_metres = shot.wind_metres_per_sec * shot.options.frame.0;
        let columns = along(width);
        let mut excess = Vec::with_capacity(columns * along(height));
        for row in 0..along(height) {
            let up = row as f32 * spacing_px - 0.5 * height;
            for column in 0..columns {
                let right = column as f32 * spacing_px - 0.5 * width;
                excess.push(std::array::from_fn(|bank| {
                    let (near, far, cloud) = BANKS[bank];
                    let metres_per_px = 0.5 * (near + far) / focal_px;
                    // Each bank is another part of the field.
                    let (x, y) = (29.3 * bank as f32, 13.7 * bank as f32);
                    let x = x + (right * metres_per_px - drift_metres) / cloud;
                    let y = y + up * metres_per_px / (FLATNESS * cloud);
                    (unevenness * field.at(x, y)).max(THINNEST - 1.0)
                }));
            }
        }
        Self {
            columns,
            spacing_px,
            excess,
        }
    }

    /// The grid between its rows, at row `y` of the image.
    fn row(&self, y: usize, line: &mut Vec<[f32; BANKS.len()]>) {
        let at = (y as f32 + 0.5) / self.spacing_px;
        let row = at as usize;
        let share = at - row as f32;
        let above = &self.excess[row * self.columns..(row + 1) * self.columns];
        let below = &self.excess[(row + 1) * self.columns..(row + 2) * self.columns];
        line.clear();
        line.extend(above.iter().zip(below).map(|(above, below)| mixed(above, below, share)));
    }
}

fn mixed(a: &[f32; BANKS.len()], b: &[f32; BANKS.len()], share: f32) -> [f32; BANKS.len()] {
    std::array::from_fn(|bank| a[bank] + (b[bank] - a[bank]) * share)
}

/// Metres of air of mean density that veil as much as the banks do over a distance.
fn air_metres(metres: f32, excess: &[f32; BANKS.len()]) -> f32 {
    let more: f32 = BANKS
        .iter()
        .zip(excess)
        .map(|((near, far, _), excess)| excess * (metres.min(*far) - near).max(0.0))
        .sum();
    metres + more
}

fn transmission_plane(shot: &Shot<'_>, banks: &Banks, beta_per_metre: f32, horizon_row: f32) -> Plane {
    let (metres, sky) = (&shot.depth.metres, &shot.depth.sky);
    let focal_px = shot.camera.focal_px;
    Plane::from_rows(metres.width, metres.height, |y, row| {
        let mut line = Vec::with_capacity(banks.columns);
        banks.row(y, &mut line);
        let sky_metres = sky_metres((horizon_row - y as f32) / focal_px);
        let (metres, sky) = (metres.row(y), sky.row(y));
        for (x, t) in row.iter_mut().enumerate() {
            let at = (x as f32 + 0.5) / banks.spacing_px;
            let column = at as usize;
            let excess = mixed(&line[column], &line[column + 1], at - column as f32);
            let through = |metres: f32| transmission(beta_per_metre * air_metres(metres, &excess));
            // A pixel that is partly sky has the light of both.
            let share = sky[x].clamp(0.0, 1.0);
            *t = if share < 1.0 {
                (1.0 - share) * through(metres[x])
            } else {
                0.0
            };
            if share > 0.0 {
                *t += share * through(sky_metres);
            }
        }
    })
}

/// Metres of haze that a sight line into the sky crosses; `slope` is its rise over its run.
fn sky_metres(slope: f32) -> f32 {
    let sine = slope / (1.0 + slope * slope).sqrt();
    LAYER_METRES / sine.max(LAYER_METRES / SKY_METRES)
}

#[cfg(test)]
mod tests;
