//! Antialiased particles (rain drops, snow flakes), blurred by their motion, each only in front of what is farther away.

use crate::depth::SceneDepth;
use crate::plane::Plane;

/// Rows that one thread renders at a time.
const BAND_ROWS: usize = 16;
/// Variance of the pixel as a filter, in square pixels. A thin line's opacities then add up to the same across the line
/// wherever it runs between the pixels, within 2 %.
const PIXEL_VARIANCE: f32 = 1.0 / 8.0;
/// A particle is fully seen before what is farther than it by this share of its distance, and not at all before what is
/// nearer than it.
const SOFT_SHARE: f32 = 0.1;

/// A particle during the exposure. Lengths in pixels, places from the top left corner of the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Particle {
    /// Where it is in the middle of the exposure.
    pub(crate) centre: (f32, f32),
    /// Unit vector along its path.
    pub(crate) direction: (f32, f32),
    /// Half of its path.
    pub(crate) half_length_px: f32,
    /// Distance from the path at which its blurred image ends.
    pub(crate) radius_px: f32,
    /// Opacity on the path.
    pub(crate) opacity: f32,
    /// Distance from the camera.
    pub(crate) metres: f32,
}

impl Particle {
    /// A ball that moves during the exposure and may be out of focus.
    ///
    /// On average over the exposure it covers as much as the ball does at rest, spread over its path (Garg and Nayar 2007,
    /// section 3: the share of the exposure that a drop covers a pixel). Across the path the opacity is a smooth bump with the
    /// variance of ball, circle of confusion and pixel together.
    ///
    /// # Arguments
    /// - `motion`: how far it moves during the exposure
    /// - `diameter_px`, `confusion_px`: of the ball in focus and of the circle of confusion
    pub(crate) fn ball(
        centre: (f32, f32),
        motion: (f32, f32),
        diameter_px: f32,
        confusion_px: f32,
        metres: f32,
    ) -> Self {
        let length = (motion.0 * motion.0 + motion.1 * motion.1).sqrt();
        // A disc seen from the side has the variance diameter^2 / 16; the bump (1 - r^2)^2 has 1 / 7.
        let variance = (diameter_px * diameter_px + confusion_px * confusion_px) / 16.0 + PIXEL_VARIANCE;
        let radius_px = (7.0 * variance).sqrt();
        let area = 0.25 * std::f32::consts::PI * diameter_px * diameter_px;
        // Integrals of the bump over the width of the path and over its two round ends.
        let spread = 16.0 / 15.0 * radius_px * length + std::f32::consts::PI / 3.0 * radius_px * radius_px;
        Self {
            centre,
            direction: if length > 0.0 {
                (motion.0 / length, motion.1 / length)
            } else {
                (0.0, 1.0)
            },
            half_length_px: 0.5 * length,
            radius_px,
            opacity: (area / spread).min(1.0),
            metres,
        }
    }

    /// As it is, and more opaque by a factor.
    pub(crate) fn denser(self, factor: f32) -> Self {
        Self {
            opacity: (self.opacity * factor).min(1.0),
            ..self
        }
    }

    /// Half the sides of its bounding box.
    pub(crate) fn reach_px(&self) -> (f32, f32) {
        let (x, y) = self.direction;
        (
            self.half_length_px * x.abs() + self.radius_px,
            self.half_length_px * y.abs() + self.radius_px,
        )
    }

    /// Columns that it may touch in the row whose middle is `below` its centre.
    fn columns(&self, below: f32, width: usize) -> std::ops::Range<usize> {
        let (x, y) = self.direction;
        let half = self.half_length_px;
        // The part of the path that is within a radius of the row.
        let (from, to) = if y.abs() > 1e-3 {
            let (a, b) = ((below - self.radius_px) / y, (below + self.radius_px) / y);
            (a.min(b).max(-half), a.max(b).min(half))
        } else {
            (-half, half)
        };
        let (left, right) = ((from * x).min(to * x), (from * x).max(to * x));
        pixels(
            self.centre.0 + left - self.radius_px,
            self.centre.0 + right + self.radius_px,
            width,
        )
    }

    /// Lays it over row `y`, `opacity` being what lies there already.
    fn draw(&self, y: usize, opacity: &mut [f32], depth: &SceneDepth) {
        let below = y as f32 + 0.5 - self.centre.1;
        let columns = self.columns(below, opacity.len());
        let (behind, sky) = (
            &depth.metres.row(y)[columns.clone()],
            &depth.sky.row(y)[columns.clone()],
        );
        let (dx, dy) = self.direction;
        let per_square = 1.0 / (self.radius_px * self.radius_px);
        let per_metre = 1.0 / (SOFT_SHARE * self.metres);
        let start = columns.start as f32 + 0.5 - self.centre.0;
        for (i, (here, (behind, sky))) in opacity[columns].iter_mut().zip(behind.iter().zip(sky)).enumerate() {
            let right = start + i as f32;
            let beyond = ((right * dx + below * dy).abs() - self.half_length_px).max(0.0);
            let across = right * dy - below * dx;
            let bump = (1.0 - (beyond * beyond + across * across) * per_square).max(0.0);
            let seen = ((behind - self.metres) * per_metre).clamp(0.0, 1.0);
            let seen = seen + sky * (1.0 - seen);
            let own = self.opacity * bump * bump * seen;
            *here += own * (1.0 - *here);
        }
    }
}

/// Pixels whose middles lie between two places.
fn pixels(from: f32, to: f32, size: usize) -> std::ops::Range<usize> {
    let first = (from - 0.5).ceil().max(0.0) as usize;
    let end = ((to - 0.5).floor() + 1.0).max(0.0) as usize;
    first.min(size)..end.min(size).max(first.min(size))
}

/// How much of what is behind them the particles cover, per pixel.
pub(crate) fn opacity(particles: &[Particle], depth: &SceneDepth) -> Plane {
    use rayon::prelude::*;
    let (width, height) = (depth.metres.width, depth.metres.height);
    let mut plane = Plane::filled(width, height, 0.0);
    let bands = Bands::sort(particles, height);
    plane
        .values
        .par_chunks_mut((BAND_ROWS * width).max(1))
        .enumerate()
        .for_each(|(band, values)| {
            let rows = band * BAND_ROWS..band * BAND_ROWS + values.len() / width;
            for index in bands.of(band) {
                let particle = &particles[*index as usize];
                let reach = particle.reach_px().1;
                let touched = pixels(particle.centre.1 - reach, particle.centre.1 + reach, height);
                for y in touched.start.max(rows.start)..touched.end.min(rows.end) {
                    let at = (y - rows.start) * width;
                    particle.draw(y, &mut values[at..at + width], depth);
                }
            }
        });
    plane
}

/// Which particles touch which band of rows, in the particles' order.
struct Bands {
    /// Where each band's particles start in `order`, and where the last ends.
    starts: Vec<usize>,
    order: Vec<u32>,
}

impl Bands {
    fn sort(particles: &[Particle], height: usize) -> Self {
        let touched = |particle: &Particle| {
            let reach = particle.reach_px().1;
            let rows = pixels(particle.centre.1 - reach, particle.centre.1 + reach, height);
            rows.start / BAND_ROWS..rows.end.div_ceil(BAND_ROWS)
        };
        let mut starts = vec![0; height.div_ceil(BAND_ROWS) + 1];
        for particle in particles {
            touched(particle).for_each(|band| starts[band + 1] += 1);
        }
        for band in 1..starts.len() {
            starts[band] += starts[band - 1];
        }
        let mut next = starts.clone();
        let mut order = vec![0; starts[starts.len() - 1]];
        for (index, particle) in particles.iter().enumerate() {
            for band in touched(particle) {
                order[next[band]] = index as u32;
                next[band] += 1;
            }
        }
        Self { starts, order }
    }

    fn of(&self, band: usize) -> &[u32] {
        &self.order[self.starts[band]..self.starts[band + 1]]
    }
}
