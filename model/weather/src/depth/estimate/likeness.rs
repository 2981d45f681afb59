//! Which pixels are more like one region than like the rest, by what both look like around them.

use rayon::prelude::*;

use super::filters::{Colour, box_mean, exp};
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
        let looks: Vec<[Look; 2]> = (0..inside.windows[0].values.len())
            .into_par_iter()
            .map(|half| {
                let near = |k: usize| (inside.windows[k].values[half], inside.picture[k]);
                let rest = |k: usize| {
                    let (window, picture) = (self.all.windows[k].values[half], self.all.picture[k]);
                    (window - near(k).0, picture - near(k).1)
                };
                [Look::new(near, 0.035), Look::new(rest, 0.05)]
            })
            .collect();
        Plane::from_rows(share.width, share.height, |y, row| {
            for (x, value) in row.iter_mut().enumerate() {
                let (at, half) = (y * share.width + x, y / 2 * columns + x / 2);
                let pixel = self.features.map(|feature| feature.values[at]);
                let [near, rest] = &looks[half];
                let prior = 0.3 * inside.windows[0].values[half] + 0.7 * of_segment[self.segments.labels[at] as usize];
                let prior = prior.clamp(0.01, 0.99);
                let evidence = 0.5 * (rest.misfit(&pixel) - near.misfit(&pixel));
                let odds = near.density / rest.density * prior / (1.0 - prior) * exp(evidence);
                *value = odds / (1.0 + odds);
            }
        })
    }
}

/// A normal distribution of the features, each by itself.
struct Look {
    mean: [f32; FEATURES],
    /// 1 over each variance.
    precision: [f32; FEATURES],
    /// At the mean, up to a constant factor.
    density: f32,
}

impl Look {
    /// The distribution whose `sums(k)` of a window and of the picture are given; each spread is at least `floor`.
    fn new(sums: impl Fn(usize) -> (f32, f32), floor: f32) -> Self {
        let (weight, whole) = sums(0);
        let total = 1.0 / (weight.max(0.0) + PRIOR);
        let whole = PRIOR / whole.max(1e-6);
        let moment = |k: usize| {
            let (window, picture) = sums(k);
            (window + whole * picture) * total
        };
        let mut look = Self {
            mean: [0.0; FEATURES],
            precision: [0.0; FEATURES],
            density: 1.0,
        };
        for k in 0..FEATURES {
            let (mean, square) = (moment(1 + k), moment(1 + FEATURES + k));
            let variance = (square - mean * mean).max(0.0) + floor * floor;
            look.mean[k] = mean;
            look.precision[k] = 1.0 / variance;
            look.density *= look.precision[k];
        }
        look.density = look.density.sqrt();
        look
    }

    /// Squared distance in spreads.
    fn misfit(&self, pixel: &[f32; FEATURES]) -> f32 {
        let mut distance = 0.0;
        for ((value, mean), precision) in pixel.iter().zip(&self.mean).zip(&self.precision) {
            distance += (value - mean) * (value - mean) * precision;
        }
        distance
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
        let windows = windows.par_iter().map(|window| box_mean(window, radius)).collect();
        Self { windows, picture }
    }
}
