//! Which pixels are more like one region than like the rest, by what both look like around them.

use super::filters::{Colour, box_mean};
use super::segments::Segments;
use crate::plane::Plane;

/// Colours and roughness.
const FEATURES: usize = 4;
/// Weight of the whole picture's statistics beside those of a window.
const PRIOR: f32 = 0.02;

/// Compares pixels with windows around them.
pub(super) struct Likeness<'a> {
    segments: &'a Segments,
    features: [&'a Plane; FEATURES],
    /// Half the side of a window, in pixels of half the size.
    radius: usize,
    /// Of the whole picture.
    all: Sums,
}

/// Means over windows of `share`, `share feature` and `share feature^2`, at half the size, and the same over the picture.
struct Sums {
    windows: Vec<Plane>,
    picture: Vec<f32>,
}

impl<'a> Likeness<'a> {
    pub(super) fn new(colour: &'a Colour, roughness: &'a Plane, segments: &'a Segments) -> Self {
        let [red, green, blue] = colour;
        let features = [red, green, blue, roughness];
        let radius = (red.width.max(red.height) / 16).max(1);
        let everything = Plane::filled(red.width, red.height, 1.0);
        Self {
            segments,
            features,
            radius,
            all: Sums::new(&features, &everything, radius),
        }
    }

    /// How likely each pixel belongs to what `share` says belongs: by two normal distributions of the features per window, one
    /// of what belongs and one of the rest (quadratic discriminant analysis), and as the prior the share of its segment and
    /// of the window that belongs.
    pub(super) fn refined(&self, share: &Plane) -> Plane {
        let inside = Sums::new(&self.features, share, self.radius);
        let of_segment = self.segments.means(share);
        let columns = share.width.div_ceil(2);
        Plane::from_rows(share.width, share.height, |y, row| {
            for (x, value) in row.iter_mut().enumerate() {
                let (at, half) = (y * share.width + x, y / 2 * columns + x / 2);
                let look = self.features.map(|feature| feature.values[at]);
                let (near, volume) = misfit(&look, |k| (inside.windows[k].values[half], inside.picture[k]), 0.035);
                let rest = |k: usize| {
                    let window = self.all.windows[k].values[half] - inside.windows[k].values[half];
                    (window, self.all.picture[k] - inside.picture[k])
                };
                let (far, rest_volume) = misfit(&look, rest, 0.05);
                let window = inside.windows[0].values[half];
                let prior = 0.3 * window + 0.7 * of_segment[self.segments.labels[at] as usize];
                let prior = prior.clamp(0.01, 0.99);
                let odds = (rest_volume / volume).sqrt() * prior / (1.0 - prior);
                let odds = odds * libm::expf((0.5 * (far - near)).clamp(-40.0, 40.0));
                *value = odds / (1.0 + odds);
            }
        })
    }
}

impl Sums {
    fn new(features: &[&Plane; FEATURES], share: &Plane, radius: usize) -> Self {
        let (width, height) = (share.width, share.height);
        let (columns, rows) = (width.div_ceil(2), height.div_ceil(2));
        let mut windows = vec![Plane::filled(columns, rows, 0.0); 2 * FEATURES + 1];
        for y in 0..rows {
            for x in 0..columns {
                let mut sums = [0.0_f32; 2 * FEATURES + 1];
                let mut count = 0.0;
                for (y, x) in [
                    (2 * y, 2 * x),
                    (2 * y, 2 * x + 1),
                    (2 * y + 1, 2 * x),
                    (2 * y + 1, 2 * x + 1),
                ] {
                    if y >= height || x >= width {
                        continue;
                    }
                    let at = y * width + x;
                    let weight = share.values[at];
                    count += 1.0;
                    sums[0] += weight;
                    for (k, feature) in features.iter().enumerate() {
                        let value = feature.values[at];
                        sums[1 + k] += weight * value;
                        sums[1 + FEATURES + k] += weight * value * value;
                    }
                }
                for (window, sum) in windows.iter_mut().zip(sums) {
                    window.values[y * columns + x] = sum / count;
                }
            }
        }
        let picture = windows.iter().map(Plane::mean).collect();
        let windows = windows.iter().map(|window| box_mean(window, radius)).collect();
        Self { windows, picture }
    }
}

/// How far `look` is from a normal distribution: the squared distance in its spreads, and the product of its variances, each
/// at least `floor` squared. `sums(k)` gives the sums of the window and of the picture.
fn misfit(look: &[f32; FEATURES], sums: impl Fn(usize) -> (f32, f32), floor: f32) -> (f32, f32) {
    let (weight, whole) = sums(0);
    let total = weight.max(0.0) + PRIOR;
    let whole = PRIOR / whole.max(1e-6);
    let (mut distance, mut volume) = (0.0, 1.0);
    for (k, value) in look.iter().enumerate() {
        let (first, all_first) = sums(1 + k);
        let (second, all_second) = sums(1 + FEATURES + k);
        let mean = (first + whole * all_first) / total;
        let square = (second + whole * all_second) / total;
        let variance = (square - mean * mean).max(0.0) + floor * floor;
        distance += (value - mean) * (value - mean) / variance;
        volume *= variance;
    }
    (distance, volume)
}
