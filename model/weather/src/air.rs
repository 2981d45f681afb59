//! What haze and far snow share: the light that a scene's air shines with, and how fast light is lost on its way.

use std::sync::LazyLock;

use image::Rgb32FImage;
use mdsd3_words::weather::Space;

use crate::depth::SceneDepth;
use crate::light::linear_from_encoded;

/// Cells along the longer side from which a scene's light is judged: the same ones at every size of a photo.
const CELLS: usize = 48;
/// Pixels along each side of a cell that its light is the mean of.
const TAPS: usize = 2;
/// Share of a scene that must be sky for its horizon alone to say how light the air is.
const ENOUGH_SKY: f32 = 0.06;
/// Luminance of a sky that isn't in the picture over that of the scene's bright parts, which send back less than they get.
const SKY_OVER_BRIGHT: f32 = 1.3;
/// Height above the horizon at which the sky says half as much about its light, as a share of the image's height.
const HORIZON_HEIGHT: f32 = 0.12;
/// Share of the sky that lies above the horizon: the rest shows below it, as between branches.
const HORIZON_ROW: f32 = 0.9;

/// Light of a scene, linear, red, green, blue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SceneLight {
    /// Of the sky near the horizon or, without sky, of the brighter ones of the farthest parts.
    pub(crate) horizon: [f32; 3],
    /// That horizon with sky; without, what a sky would have to be to light the scene's bright parts.
    pub(crate) air: [f32; 3],
    /// Luminance that 95 % of the scene stay below.
    pub(crate) bright: f32,
    /// Mean of the scene.
    pub(crate) mean: [f32; 3],
    /// Row of the horizon in pixels; 0 without sky.
    pub(crate) horizon_row: f32,
}

/// Relative luminance of linear light (ITU-R BT.709-6, part 1 item 3.2).
pub(crate) fn luminance(rgb: [f32; 3]) -> f32 {
    0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2]
}

struct Sample {
    rgb: [f32; 3],
    metres: f32,
    sky: f32,
    row: f32,
}

impl SceneLight {
    /// Judges the light of an image with values in `space`; black for an empty one.
    pub(crate) fn of(image: &Rgb32FImage, space: Space, depth: &SceneDepth) -> Self {
        let samples = samples(image, space, depth);
        let count = samples.len().max(1) as f32;
        let total = |weight: &dyn Fn(&Sample) -> f32| {
            let mut sum = [0.0; 4];
            for sample in &samples {
                let weight = weight(sample);
                for (sum, value) in sum.iter_mut().zip(sample.rgb) {
                    *sum += weight * value;
                }
                sum[3] += weight;
            }
            sum
        };
        let mean = total(&|_| 1.0);
        let sky_share = total(&|sample| sample.sky)[3] / count;
        let horizon_row = horizon_row(&samples);
        let height = HORIZON_HEIGHT * image.height() as f32;
        let sky = total(&|sample| {
            let above = ((horizon_row - sample.row) / height).max(0.0);
            sample.sky / (1.0 + above * above)
        });
        let farthest = samples.iter().map(|sample| sample.metres).fold(1e-3, f32::max);
        let far = total(&|sample| {
            let nearness = sample.metres / farthest;
            nearness * nearness * (luminance(sample.rgb) + 1e-3) * (1.0 - sample.sky)
        });
        let by_sky = (sky_share / ENOUGH_SKY).min(1.0);
        let bright = percentile(&samples, 0.95);
        let grey = luminance([far[0], far[1], far[2]]).max(1e-9);
        let over = |seen: f32, unseen: f32| by_sky * seen + (1.0 - by_sky) * unseen;
        let at_horizon = |c: usize| sky[c] / sky[3].max(1e-9);
        Self {
            horizon: std::array::from_fn(|c| over(at_horizon(c), far[c] / far[3].max(1e-9))),
            // Half of the colour, since it is as much that of the things there as that of the air before them.
            air: std::array::from_fn(|c| over(at_horizon(c), SKY_OVER_BRIGHT * bright * (0.5 + 0.5 * far[c] / grey))),
            bright,
            mean: std::array::from_fn(|c| mean[c] / count),
            horizon_row,
        }
    }
}

fn samples(image: &Rgb32FImage, space: Space, depth: &SceneDepth) -> Vec<Sample> {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let spacing = (width.max(height) as f32 / CELLS as f32).max(TAPS as f32);
    let along = |size: usize| (size as f32 / spacing).ceil() as usize;
    let place = |at: f32, size: usize| ((at * spacing) as usize).min(size - 1);
    let mut samples = Vec::with_capacity(along(width) * along(height));
    for row in 0..along(height) {
        for column in 0..along(width) {
            let mut sum = [0.0; 3];
            for tap in 0..TAPS * TAPS {
                let within = |i: usize| (i as f32 + 0.5) / TAPS as f32;
                let x = place(column as f32 + within(tap % TAPS), width);
                let y = place(row as f32 + within(tap / TAPS), height);
                let values = image.get_pixel(x as u32, y as u32).0;
                for (sum, value) in sum.iter_mut().zip(values) {
                    *sum += match space {
                        Space::Srgb => linear_from_encoded(value),
                        Space::Linear => value,
                    };
                }
            }
            let (x, y) = (place(column as f32 + 0.5, width), place(row as f32 + 0.5, height));
            samples.push(Sample {
                rgb: sum.map(|sum| sum / (TAPS * TAPS) as f32),
                metres: depth.metres.row(y)[x],
                sky: depth.sky.row(y)[x].clamp(0.0, 1.0),
                row: y as f32 + 0.5,
            });
        }
    }
    samples
}

/// The row that [`HORIZON_ROW`] of the sky is above.
fn horizon_row(samples: &[Sample]) -> f32 {
    let all: f32 = samples.iter().map(|sample| sample.sky).sum();
    let mut above = 0.0;
    for sample in samples {
        above += sample.sky;
        if above > HORIZON_ROW * all {
            return sample.row;
        }
    }
    0.0
}

/// Luminance that `share` of the samples stay below, to 1/512.
fn percentile(samples: &[Sample], share: f32) -> f32 {
    const BINS: usize = 512;
    let mut counts = [0; BINS];
    for sample in samples {
        counts[((luminance(sample.rgb) * BINS as f32) as usize).min(BINS - 1)] += 1;
    }
    let mut below = 0;
    for (bin, count) in counts.iter().enumerate() {
        below += count;
        if below as f32 >= share * samples.len() as f32 {
            return (bin as f32 + 0.5) / BINS as f32;
        }
    }
    0.0
}

/// Optical depth beyond which nothing is left: 1e-5 of the light.
const OPAQUE: f32 = 12.0;
/// Intervals of the table per unit of optical depth.
const PER_UNIT: f32 = 128.0;

/// Intervals of the table.
const INTERVALS: usize = (OPAQUE * PER_UNIT) as usize;

/// Share of light that passes an optical depth of at least 0: `exp(-tau)` (Bouguer 1729), by a table within 1e-5.
#[inline]
pub(crate) fn transmission(tau: f32) -> f32 {
    static TABLE: LazyLock<Box<[f32; INTERVALS + 2]>> =
        LazyLock::new(|| Box::new(std::array::from_fn(|i| libm::expf(-(i as f32) / PER_UNIT))));
    let table: &[f32; INTERVALS + 2] = &TABLE;
    let at = tau.clamp(0.0, OPAQUE) * PER_UNIT;
    let index = (at as usize).min(INTERVALS);
    table[index] + (table[index + 1] - table[index]) * (at - index as f32)
}

/// A smooth function of a number above 0 as a table: 16 values per doubling, linear between them, constant beyond its ends.
pub(crate) struct ByDoublings {
    first: f32,
    last: f32,
    values: Vec<f32>,
}

impl ByDoublings {
    /// Bits of a number's mantissa that say its place in the table; the others say where between two places it is.
    const BITS: u32 = 4;
    const REST: u32 = 23 - Self::BITS;

    /// From `first` over so many doublings.
    pub(crate) fn of(first: f32, doublings: u32, value: impl Fn(f32) -> f32) -> Self {
        let place = |i: u32| f32::from_bits(first.to_bits() + (i << Self::REST));
        let count = doublings << Self::BITS;
        Self {
            first,
            last: place(count),
            values: (0..=count + 1).map(|i| value(place(i))).collect(),
        }
    }

    /// The function's value.
    pub(crate) fn at(&self, x: f32) -> f32 {
        // As integers, the bits of positive numbers grow linearly between powers of two.
        let bits = x.clamp(self.first, self.last).to_bits() - self.first.to_bits();
        let index = (bits >> Self::REST) as usize;
        let share = (bits & ((1 << Self::REST) - 1)) as f32 / (1 << Self::REST) as f32;
        self.values[index] + (self.values[index + 1] - self.values[index]) * share
    }
}
