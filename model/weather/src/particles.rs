//! Antialiased particles (rain drops, snow flakes), blurred by their motion, each only in front of what is farther away.

use rayon::prelude::*;

use crate::depth::SceneDepth;
use crate::plane::Plane;

/// Rows that one thread renders at a time.
const BAND_ROWS: usize = 16;
/// Values compared at a time.
const LANES: usize = 16;
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
}

/// A particle with what its drawing needs in every row.
struct Brush<'a> {
    particle: &'a Particle,
    /// 1 / the direction's y; 0 where the path is too flat for it to be of use.
    per_y: f32,
    per_radius: f32,
    per_metre: f32,
}

impl<'a> Brush<'a> {
    fn of(particle: &'a Particle) -> Self {
        let y = particle.direction.1;
        Self {
            particle,
            per_y: if y.abs() > 0.1 { 1.0 / y } else { 0.0 },
            per_radius: 1.0 / particle.radius_px,
            per_metre: 1.0 / (SOFT_SHARE * particle.metres),
        }
    }

    /// Lays the particle over a row whose middle is `below` its centre, `opacity` being what lies there already. `behind` says
    /// what is behind the row: distances and shares of sky; nothing near where absent.
    fn draw(&self, below: f32, opacity: &mut [f32], behind: Option<(&[f32], &[f32])>) {
        let Particle {
            centre,
            direction: (dx, dy),
            half_length_px: half,
            radius_px: radius,
            ..
        } = *self.particle;
        let on_path = below * self.per_y;
        let slant = (radius * dx * self.per_y).abs();
        if self.per_y != 0.0 && on_path.abs() + slant < half {
            // Between the ends only the distance from the path counts.
            let (x, reach) = (centre.0 + on_path * dx, (radius * self.per_y).abs());
            let columns = pixels(x - reach, x + reach, opacity.len());
            let step = dy * self.per_radius;
            let across = (columns.start as f32 + 0.5 - x) * step;
            let bump = |i: usize| {
                let across = across + i as f32 * step;
                (1.0 - across * across).max(0.0)
            };
            self.lay(columns, opacity, behind, bump);
            return;
        }
        // The part of the path that is within a radius of the row.
        let (from, to) = if self.per_y == 0.0 {
            (-half, half)
        } else {
            let reach = (radius * self.per_y).abs();
            ((on_path - reach).max(-half), (on_path + reach).min(half))
        };
        let (left, right) = ((from * dx).min(to * dx), (from * dx).max(to * dx));
        let columns = pixels(centre.0 + left - radius, centre.0 + right + radius, opacity.len());
        let start = columns.start as f32 + 0.5 - centre.0;
        let (along, across) = (start * dx + below * dy, start * dy - below * dx);
        let per_square = self.per_radius * self.per_radius;
        let bump = |i: usize| {
            let beyond = ((along + i as f32 * dx).abs() - half).max(0.0);
            let across = across + i as f32 * dy;
            (1.0 - (beyond * beyond + across * across) * per_square).max(0.0)
        };
        self.lay(columns, opacity, behind, bump);
    }

    /// Lays the square of `bump(i)` over the columns, `i` counting them.
    fn lay(
        &self,
        columns: std::ops::Range<usize>,
        opacity: &mut [f32],
        behind: Option<(&[f32], &[f32])>,
        bump: impl Fn(usize) -> f32,
    ) {
        let most = self.particle.opacity;
        let Some((metres, sky)) = behind else {
            for (i, here) in opacity[columns].iter_mut().enumerate() {
                let bump = bump(i);
                *here += most * bump * bump * (1.0 - *here);
            }
            return;
        };
        let behind = metres[columns.clone()].iter().zip(&sky[columns.clone()]);
        for (i, (here, (behind, sky))) in opacity[columns].iter_mut().zip(behind).enumerate() {
            let seen = ((behind - self.particle.metres) * self.per_metre).clamp(0.0, 1.0);
            let seen = seen + sky * (1.0 - seen);
            let bump = bump(i);
            *here += most * bump * bump * seen * (1.0 - *here);
        }
    }
}

/// Pixels whose middles lie between two places.
fn pixels(from: f32, to: f32, size: usize) -> std::ops::Range<usize> {
    // The first middle from a place on is that of the pixel half a pixel further.
    let pixel = |place: f32| ((place + 0.5).max(0.0) as usize).min(size);
    pixel(from)..pixel(to).max(pixel(from))
}

/// How much of what is behind them the particles cover, per pixel.
///
/// # Arguments
/// - `width`, `height`: columns and rows of the image
/// - `depth`: what is behind the particles, of the image's size; nothing near where absent
pub(crate) fn opacity(particles: &[Particle], (width, height): (usize, usize), depth: Option<&SceneDepth>) -> Plane {
    let mut plane = Plane::filled(width, height, 0.0);
    let bands = Bands::sort(particles, height);
    plane
        .values
        .par_chunks_mut((BAND_ROWS * width).max(1))
        .enumerate()
        .for_each(|(band, values)| {
            let rows = band * BAND_ROWS..band * BAND_ROWS + values.len() / width;
            let nearest = depth.map_or(f32::INFINITY, |depth| nearest_metres(depth, rows.clone()));
            for index in bands.of(band) {
                let particle = &particles[*index as usize];
                let depth = depth.filter(|_| particle.metres * (1.0 + SOFT_SHARE) > nearest);
                let brush = Brush::of(particle);
                let reach = particle.reach_px().1;
                let touched = pixels(particle.centre.1 - reach, particle.centre.1 + reach, height);
                for y in touched.start.max(rows.start)..touched.end.min(rows.end) {
                    let at = (y - rows.start) * width;
                    let behind = depth.map(|depth| (depth.metres.row(y), depth.sky.row(y)));
                    brush.draw(y as f32 + 0.5 - particle.centre.1, &mut values[at..at + width], behind);
                }
            }
        });
    plane
}

/// The smallest distance in some rows.
fn nearest_metres(depth: &SceneDepth, rows: std::ops::Range<usize>) -> f32 {
    let width = depth.metres.width;
    let values = depth.metres.values[rows.start * width..rows.end * width].chunks_exact(LANES);
    let rest = values.remainder().iter().copied().fold(f32::INFINITY, f32::min);
    let mut nearest = [f32::INFINITY; LANES];
    for values in values {
        for (nearest, value) in nearest.iter_mut().zip(values) {
            *nearest = if value < nearest { *value } else { *nearest };
        }
    }
    nearest.into_iter().fold(rest, f32::min)
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Rendered over nothing near: 200 by 100 pixels.
    fn rendered(ball: Particle) -> Plane {
        opacity(&[ball], (200, 100), None)
    }

    /// Pixels that are at least half as opaque as the middle one, down and across it.
    fn extent(plane: &Plane) -> (usize, usize) {
        let half = 0.5 * plane.row(50)[100];
        let down = (0..100).filter(|y| plane.row(*y)[100] >= half).count();
        (down, plane.row(50).iter().filter(|value| **value >= half).count())
    }

    #[test]
    fn a_moving_ball_covers_what_it_covers_at_rest() {
        for (diameter, confusion, motion) in [
            (0.2, 0.0, (0.0, 30.0)),
            (0.7, 0.0, (6.0, 40.0)),
            (6.0, 0.0, (3.0, 50.0)),
            (4.0, 9.0, (-20.0, 40.0)),
            (3.0, 2.0, (40.0, 0.0)),
            (2.0, 5.0, (0.0, 0.0)),
        ] {
            for place in [(100.5, 50.5), (100.1, 50.3)] {
                let covered: f32 = rendered(Particle::ball(place, motion, diameter, confusion, 1.0))
                    .values
                    .iter()
                    .sum();
                let area = 0.25 * std::f32::consts::PI * diameter * diameter;
                assert!(
                    (covered / area - 1.0).abs() < 0.03,
                    "{diameter} px moved by {motion:?}: {covered} of {area}"
                );
            }
        }
    }

    #[test]
    fn streaks_are_as_long_as_the_way_and_as_wide_as_ball_and_blur() {
        for (diameter, confusion) in [(8.0, 0.0), (2.0, 12.0), (5.0, 5.0)] {
            let streak = rendered(Particle::ball((100.5, 50.5), (0.0, 40.0), diameter, confusion, 1.0));
            let (length, width) = extent(&streak);
            // The ends are round: half as opaque about half a radius beyond the way.
            let round = (diameter * diameter + confusion * confusion).sqrt();
            assert!(
                (40.0..41.0 + round).contains(&(length as f32)),
                "{length} px long for {round} px"
            );
            assert!(
                (0.6 * round..1.1 * round + 1.0).contains(&(width as f32)),
                "{width} px wide for {round} px"
            );
        }
    }

    #[test]
    fn a_ball_in_focus_is_opaque_for_the_share_of_the_exposure_that_it_needs_to_pass() {
        for (diameter, way) in [(6.0, 60.0), (8.0, 64.0), (5.0, 80.0)] {
            let streak = rendered(Particle::ball((100.5, 50.5), (0.0, way), diameter, 0.0, 1.0));
            let (most, share) = (streak.row(50)[100], diameter / way);
            assert!((most / share - 1.0).abs() < 0.12, "{most} instead of {share}");
        }
    }
}
