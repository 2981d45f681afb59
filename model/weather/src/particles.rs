//! A layer of antialiased particles (rain streaks, snow flakes) in front of the scene.

use image::Rgb32FImage;

/// A capsule: a line segment with a radius, hard or soft at its edge and ends. Lengths in pixels.
pub(super) struct Capsule {
    /// Centre, pixels from the top left corner of the image.
    pub(super) centre: (f32, f32),
    /// Unit vector along the segment.
    pub(super) direction: (f32, f32),
    /// Half of the segment, without the round ends.
    pub(super) half_length: f32,
    /// Distance from the segment at which the particle is half transparent.
    pub(super) radius: f32,
    /// Width of the edge over which the particle fades; at least 1, one pixel being the antialiasing filter.
    pub(super) softness: f32,
    /// Length at each end over which the particle fades, 0 for round ends.
    pub(super) taper: f32,
    /// Opacity in the middle.
    pub(super) opacity: f32,
}

impl Capsule {
    /// Share of the light blocked at `(x, y)`.
    fn alpha_at(&self, x: f32, y: f32) -> f32 {
        let (dx, dy) = (x - self.centre.0, y - self.centre.1);
        let along = (dx * self.direction.0 + dy * self.direction.1).abs();
        let across = dx * self.direction.1 - dy * self.direction.0;
        let beyond = (along - self.half_length).max(0.0);
        let distance = (beyond * beyond + across * across).sqrt();
        // A particle thinner than the filter can't fill a pixel.
        let fill = (2.0 * self.radius).min(1.0);
        let edge = ((self.radius + 0.5 * self.softness - distance) / self.softness).clamp(0.0, fill);
        let end = if self.taper > 0.0 {
            ease(((self.half_length - along) / self.taper).clamp(0.0, 1.0))
        } else {
            1.0
        };
        self.opacity * ease_if(self.softness > 1.0, edge) * end
    }

    /// Half of the side of the bounding box along x and y.
    fn reach(&self) -> (f32, f32) {
        let margin = self.radius + 0.5 * self.softness;
        (
            self.half_length * self.direction.0.abs() + margin,
            self.half_length * self.direction.1.abs() + margin,
        )
    }
}

fn ease(x: f32) -> f32 {
    x * x * (3.0 - 2.0 * x)
}

fn ease_if(soft: bool, x: f32) -> f32 {
    if soft { ease(x) } else { x }
}

/// Opacity of all particles, before it is laid over an image.
pub(super) struct Layer {
    width: usize,
    height: usize,
    alpha: Vec<f32>,
}

impl Layer {
    /// An empty layer of the size of `image`.
    pub(super) fn like(image: &Rgb32FImage) -> Self {
        let (width, height) = (image.width() as usize, image.height() as usize);
        Self {
            width,
            height,
            alpha: vec![0.0; width * height],
        }
    }

    /// Adds a particle in front of those that are there.
    pub(super) fn add(&mut self, particle: &Capsule) {
        let (reach_x, reach_y) = particle.reach();
        let columns = covered(particle.centre.0, reach_x, self.width);
        for y in covered(particle.centre.1, reach_y, self.height) {
            let row = &mut self.alpha[y * self.width..(y + 1) * self.width];
            for x in columns.clone() {
                let alpha = particle.alpha_at(x as f32 + 0.5, y as f32 + 0.5);
                row[x] += alpha * (1.0 - row[x]);
            }
        }
    }

    /// Blends `colour` over `image` by the layer's opacity.
    pub(super) fn composite(&self, image: &mut Rgb32FImage, colour: [f32; 3]) {
        for (pixel, alpha) in image.pixels_mut().zip(&self.alpha) {
            for (value, light) in pixel.0.iter_mut().zip(colour) {
                *value += alpha * (light - *value);
            }
        }
    }

    /// Adds `light` to `image` by the layer's opacity.
    pub(super) fn add_light(&self, image: &mut Rgb32FImage, light: f32) {
        for (pixel, alpha) in image.pixels_mut().zip(&self.alpha) {
            pixel.0.iter_mut().for_each(|value| *value += alpha * light);
        }
    }

    /// Mean opacity.
    pub(super) fn coverage(&self) -> f32 {
        let sum: f64 = self.alpha.iter().map(|alpha| f64::from(*alpha)).sum();
        (sum / self.alpha.len() as f64) as f32
    }
}

/// Pixels whose centres lie within `reach` of `centre`, cut to the image.
fn covered(centre: f32, reach: f32, size: usize) -> std::ops::Range<usize> {
    let first = (centre - reach - 0.5).ceil().max(0.0) as usize;
    let end = ((centre + reach - 0.5).floor() + 1.0).max(0.0) as usize;
    first..end.min(size)
}

/// How many particles there are at `severity`, and the weight of the last one, which fades in so that the
/// layer is continuous in severity. Particles `0..count` are the same at every severity: a stronger
/// mix adds to a weaker one.
pub(super) fn count_at(severity: f32, per_pixel: f32, area: (f32, f32)) -> (usize, f32) {
    let expected = severity * per_pixel * area.0 * area.1;
    let count = expected.ceil();
    (count as usize, 1.0 - (count - expected))
}
