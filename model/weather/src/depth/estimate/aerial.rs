//! Haze that is in a photo already.

use super::filters::{Colour, box_min};
use super::segments::Segments;
use crate::plane::Plane;

/// Optical thickness that is put down to pale things rather than to haze.
const PALE: f32 = 0.15;

/// How much farther each segment is than the clear ones for the haze it is seen through, as a natural logarithm, 0 to 1.2.
///
/// The dark channel (He et al. 2009, equations 9 and 12) gives a transmission, and Koschmieder's law its optical thickness,
/// which grows with distance. Pale walls and snow have no dark channel either; they are told from air by its blue.
pub(super) fn farther_by_haze(colour: &Colour, segments: &Segments, sky: &Plane) -> Plane {
    let (width, height) = (sky.width, sky.height);
    let sky_pixels = sky.values.iter().sum::<f32>().max(1.0);
    let airlight = colour.each_ref().map(|plane| {
        let sum: f32 = plane
            .values
            .iter()
            .zip(&sky.values)
            .map(|(value, sky)| value * sky)
            .sum();
        (sum / sky_pixels).max(0.3)
    });
    let least = Plane::from_rows(width, height, |y, row| {
        row.fill(1.0);
        for (channel, airlight) in colour.iter().zip(airlight) {
            for (value, pixel) in row.iter_mut().zip(channel.row(y)) {
                *value = value.min(pixel / airlight);
            }
        }
    });
    let dark = segments.means(&box_min(&least, (width.max(height) / 64).max(1)));
    let [red, _, blue] = colour.each_ref().map(|plane| segments.means(plane));
    let thickness: Vec<f32> = (0..segments.count)
        .map(|s| {
            let transmission = (1.0 - 0.95 * dark[s]).clamp(0.05, 1.0);
            let is_air = ((blue[s] - red[s] + 0.05) / 0.15).clamp(0.0, 1.0);
            -libm::logf(transmission) * is_air
        })
        .collect();
    let pixels = segments.labels.iter().zip(&sky.values).filter(|(_, sky)| **sky < 0.5);
    let mut seen: Vec<f32> = pixels.map(|(label, _)| thickness[*label as usize]).collect();
    let place = seen.len() / 4;
    let clear = if seen.is_empty() {
        0.0
    } else {
        *seen.select_nth_unstable_by(place, f32::total_cmp).1
    };
    let farther: Vec<f32> = thickness
        .iter()
        .map(|thickness| libm::logf((thickness + PALE) / (clear + PALE)).clamp(0.0, 1.2))
        .collect();
    Plane {
        values: segments.labels.iter().map(|label| farther[*label as usize]).collect(),
        ..*sky
    }
}
