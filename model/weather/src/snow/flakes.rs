//! Snowflakes in the air around the camera: how many, how large, how fast, where.
//!
//! Melted diameters follow `N(D) = N0 exp(-lambda D)`, `N0 = 3800 R^-0.87` per cubic metre and millimetre and
//! `lambda = 2.55 R^-0.48` per millimetre, at `R` millimetres of melted snow per hour (Gunn and Marshall 1958), up to
//! [`LARGEST_MELTED_MM`], where flakes break. A flake's own diameter follows from its density, `0.178 D^-0.922` grams per
//! cubic centimetre at `D` millimetres (Brandes et al. 2007), and its speed from that diameter, `0.79 D^0.27` metres per second
//! (Locatelli and Hobbs 1974, aggregates of densely rimed dendrites).
//!
//! A flake keeps its *rank* at every rate: how many flakes of a cubic metre are larger. So a heavier snowfall has the flakes of
//! a lighter one, all of them larger, and more of them large enough to be seen.

use std::sync::LazyLock;

use crate::air::ByDoublings;
use crate::shot::{Camera, Shot};
use crate::stream::Stream;

/// Melted diameter of the largest flakes, in millimetres.
const LARGEST_MELTED_MM: f32 = 4.0;
/// The heaviest snowfall that the distribution was measured in, in millimetres per hour; heavier ones have more flakes of the
/// sizes of this one.
const HEAVIEST_MEASURED_MM_PER_HOUR: f32 = 2.5;
/// Snowfall that flakes' speeds are those of, in millimetres per hour, so that a flake moves alike at every severity.
const SPEEDS_AT_MM_PER_HOUR: f32 = 2.0;
/// Exponent of a flake's cross-section over its melted diameter: 6 / (3 - 0.922).
const AREA_EXPONENT: f32 = 6.0 / 2.078;

/// The distribution of sizes at one snowfall rate.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    /// Flakes per cubic metre.
    per_cubic_metre: f32,
    /// Per millimetre of melted diameter.
    lambda: f32,
    /// Share of the flakes that an unlimited distribution has beyond the largest.
    beyond: f32,
}

impl Sizes {
    /// At a rate in millimetres of melted snow per hour, above 0.
    pub(super) fn at(mm_per_hour: f32) -> Self {
        let measured = mm_per_hour.min(HEAVIEST_MEASURED_MM_PER_HOUR);
        let lambda = 2.55 * libm::powf(measured, -0.48);
        Self {
            per_cubic_metre: 3800.0 * libm::powf(measured, -0.87) / lambda * (mm_per_hour / measured),
            lambda,
            beyond: libm::expf(-lambda * LARGEST_MELTED_MM),
        }
    }

    /// Melted diameter in millimetres of the flake that `rank` flakes of a cubic metre are larger than; 0 where there are
    /// not so many.
    fn melted_mm(&self, rank: f32) -> f32 {
        let share = rank / self.per_cubic_metre + self.beyond;
        (-libm::logf(share) / self.lambda).max(0.0)
    }

    /// Diameters in millimetres by rank.
    pub(super) fn diameters_mm(&self) -> ByDoublings {
        by_rank(|rank| self.diameter_mm(rank))
    }

    /// Diameter in millimetres of the flake of a rank.
    fn diameter_mm(&self, rank: f32) -> f32 {
        let melted = self.melted_mm(rank);
        libm::powf(melted * melted * melted / 0.178, 1.0 / 2.078)
    }

    /// The rank of flakes of a diameter in millimetres.
    fn rank(&self, diameter_mm: f32) -> f32 {
        let melted = libm::powf(0.178 * libm::powf(diameter_mm, 2.078), 1.0 / 3.0);
        self.per_cubic_metre * (libm::expf(-self.lambda * melted) - self.beyond).max(0.0)
    }

    /// Cross-section of all flakes of at least a rank, in square metres per cubic metre: light that they take from a sight
    /// line, per metre of it.
    pub(super) fn cross_section_from(&self, rank: f32) -> f32 {
        // The integral of N(D) pi/4 (D^3 / 0.178)^(2 / 2.078) from 0 to the melted diameter of the rank.
        let up_to = incomplete_gamma(self.lambda * self.melted_mm(rank));
        let square = libm::powf(0.178, -2.0 / 2.078) * libm::powf(self.lambda, -AREA_EXPONENT);
        1e-6 * 0.25 * std::f32::consts::PI * self.per_cubic_metre * square * up_to
    }
}

/// Fall speed in metres per second of the flake of a rank.
fn fall_speed(rank: f32) -> f32 {
    static BY_RANK: LazyLock<ByDoublings> = LazyLock::new(|| {
        let sizes = Sizes::at(SPEEDS_AT_MM_PER_HOUR);
        by_rank(|rank| 0.79 * libm::powf(sizes.diameter_mm(rank), 0.27))
    });
    BY_RANK.at(rank)
}

/// A table over all ranks of flakes that are drawn: from 1/4096 to 256 per cubic metre.
fn by_rank(value: impl Fn(f32) -> f32) -> ByDoublings {
    ByDoublings::of(1.0 / 4096.0, 20, value)
}

/// The lower incomplete gamma function of `1 + AREA_EXPONENT`, by the rule of trapezoids in steps of 1/64 up to 16.
fn incomplete_gamma(x: f32) -> f32 {
    const PER_UNIT: usize = 64;
    static TABLE: LazyLock<Vec<f32>> = LazyLock::new(|| {
        let value = |i: usize| {
            let x = i as f32 / PER_UNIT as f32;
            libm::powf(x, AREA_EXPONENT) * libm::expf(-x)
        };
        let mut sum = 0.0;
        let mut table = vec![0.0];
        for i in 0..=16 * PER_UNIT {
            sum += 0.5 * (value(i) + value(i + 1)) / PER_UNIT as f32;
            table.push(sum);
        }
        table
    });
    let at = x.clamp(0.0, 16.0) * PER_UNIT as f32;
    let index = at as usize;
    TABLE[index] + (TABLE[index + 1] - TABLE[index]) * (at - index as f32)
}

/// Distances in metres at which layers of flakes begin: each layer is a box around the view, filled evenly.
const NEAREST_METRES: f32 = 0.3;
/// The far end of a layer over its near end.
const LAYER_RATIO: f32 = 1.45;
/// Layers; what is farther is a veil.
pub(super) const LAYERS: usize = 14;
/// Most flakes that are drawn one by one, per cubic metre: the rank up to which a flake of more snow is larger, so that
/// neither flakes nor veil thin out anywhere when it snows more.
const MOST_PER_CUBIC_METRE: f32 = 250.0;
/// Opacity of the faintest flakes that are drawn one by one.
const FAINTEST: f32 = 0.06;
/// Most flakes that are drawn in one layer, per pixel of the image.
const MOST_PER_PIXEL: f32 = 0.004;
/// Snowfall at which [`FAINTEST`] and [`MOST_PER_PIXEL`] are judged, so that they are the same flakes at every severity.
const JUDGED_AT_MM_PER_HOUR: f32 = 4.0;

/// Swaying of falling flakes: amplitude in metres and turns per second.
const FLUTTER_METRES: (f32, f32) = (0.005, 0.03);
const FLUTTER_PER_SEC: (f32, f32) = (0.6, 2.2);
/// Speeds of flakes of one size over the mean.
const SPEED_SPREAD: (f32, f32) = (0.8, 1.2);

/// A layer of air in front of the camera.
#[derive(Debug, Clone, Copy)]
pub(super) struct AirLayer {
    /// Metres from the camera to its near end.
    pub(super) near: f32,
    /// And to its far end.
    pub(super) far: f32,
    /// Flakes per cubic metre that are drawn one by one: the largest ones. The others are a veil.
    pub(super) drawn_per_cubic_metre: f32,
    /// Width and height in metres of the box that flakes move in; what leaves it on one side comes in on the other.
    size: (f32, f32),
}

/// A flake as the camera sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flake {
    /// Metres from the camera.
    pub(super) metres: f32,
    /// Centre in pixels from the image's top left corner, in the middle of the exposure.
    pub(super) centre: (f32, f32),
    /// Radius in pixels of the flake itself, sharp.
    pub(super) radius_px: f32,
    /// Way in pixels during the exposure.
    pub(super) way_px: (f32, f32),
    /// Where its lobes point, a unit vector.
    pub(super) lobes: (f32, f32),
}

/// The layers for an image of `width` by `height` pixels.
pub(super) fn layers(camera: Camera, (width, height): (f32, f32)) -> [AirLayer; LAYERS] {
    let judged = Sizes::at(JUDGED_AT_MM_PER_HOUR);
    let focal_px = camera.focal_px;
    let mut near = NEAREST_METRES;
    std::array::from_fn(|_| {
        let far = near * LAYER_RATIO;
        // What flutter, flakes' sizes and lack of focus reach beyond the view.
        let margin = 1.1 * far + 0.1;
        let size = (width / focal_px * margin, height / focal_px * margin);
        // A flake covers pi/4 (f D / z)^2 pixels, spread over about as many as it passes during the exposure.
        let passed = 1.0 + focal_px * 1.2 * camera.exposure_secs / far;
        let smallest_mm = 1e3 * far / focal_px * (FAINTEST * passed * 4.0 / std::f32::consts::PI).sqrt();
        let volume = size.0 * size.1 * (far - near);
        let layer = AirLayer {
            near,
            far,
            drawn_per_cubic_metre: judged
                .rank(smallest_mm)
                .min(MOST_PER_CUBIC_METRE)
                .min(MOST_PER_PIXEL * width * height / volume),
            size,
        };
        near = far;
        layer
    })
}

/// The flakes of a layer that an image of `width` by `height` pixels shows, at a distribution of sizes.
pub(super) fn flakes(
    layer: &AirLayer,
    diameters_mm: &ByDoublings,
    shot: &Shot<'_>,
    size: (f32, f32),
    mut stream: Stream,
) -> Vec<Flake> {
    let volume = layer.size.0 * layer.size.1 * (layer.far - layer.near);
    let count = (layer.drawn_per_cubic_metre * volume).ceil() as usize;
    let mut flakes = Vec::with_capacity(count);
    for index in 0..count {
        let drawn = Drawn::draw(layer, index as f32 / volume, volume, &mut stream);
        if drawn.rank >= layer.drawn_per_cubic_metre {
            continue;
        }
        if let Some(flake) = drawn.seen(layer, diameters_mm, shot, size) {
            flakes.push(flake);
        }
    }
    flakes
}

/// What is drawn for a flake; always the same numbers, so that flake `n` is the same at every severity and size of image.
struct Drawn {
    rank: f32,
    place: (f32, f32),
    metres: f32,
    flutter_metres: f32,
    turns_per_sec: f32,
    phase: f32,
    speed: f32,
}

impl Drawn {
    fn draw(layer: &AirLayer, rank: f32, volume: f32, stream: &mut Stream) -> Self {
        Self {
            rank: rank + stream.unit() / volume,
            place: (stream.unit(), stream.unit()),
            metres: stream.between(layer.near, layer.far),
            flutter_metres: stream.between(FLUTTER_METRES.0, FLUTTER_METRES.1),
            turns_per_sec: stream.between(FLUTTER_PER_SEC.0, FLUTTER_PER_SEC.1),
            phase: std::f32::consts::TAU * stream.unit(),
            speed: stream.between(SPEED_SPREAD.0, SPEED_SPREAD.1),
        }
    }

    /// The flake as the camera sees it; `None` outside the image.
    fn seen(
        &self,
        layer: &AirLayer,
        diameters_mm: &ByDoublings,
        shot: &Shot<'_>,
        (width, height): (f32, f32),
    ) -> Option<Flake> {
        let secs = shot.options.frame.0;
        let turn = std::f32::consts::TAU * self.turns_per_sec;
        let (sin, cos) = libm::sincosf(self.phase + turn * secs);
        let fall = self.speed * fall_speed(self.rank);
        let inside = |start: f32, moved: f32, size: f32| {
            let at = start + moved / size;
            (at - at.floor() - 0.5) * size
        };
        let x = inside(self.place.0, shot.wind_metres_per_sec * secs, layer.size.0) + self.flutter_metres * sin;
        let y = inside(self.place.1, fall * secs, layer.size.1);
        let px_per_metre = shot.camera.focal_px / self.metres;
        let centre = (0.5 * width + x * px_per_metre, 0.5 * height + y * px_per_metre);
        // Flakes beyond the image by more than a tenth of it can't reach it with their blur.
        let outside = |at: f32, size: f32| at < -0.1 * size || at > 1.1 * size;
        if outside(centre.0, width) || outside(centre.1, height) {
            return None;
        }
        let along = shot.camera.exposure_secs * px_per_metre;
        Some(Flake {
            metres: self.metres,
            centre,
            radius_px: 0.5e-3 * diameters_mm.at(self.rank) * px_per_metre,
            way_px: (
                (shot.wind_metres_per_sec + self.flutter_metres * turn * cos) * along,
                fall * along,
            ),
            lobes: (sin, cos),
        })
    }
}
