//! The ground truth of a degraded image: every operation that led to it, with its maps.

mod files;
mod map;

use image::Rgb32FImage;
use mdsd3_words::weather::Space;

use crate::canvas::{blend, carry_out};
use crate::kernel::Kernel;
use crate::light::convert;
use crate::plane::Plane;
pub use files::files;
pub use map::npy;

/// What one operation does to a pixel's value `v`, per channel.
#[derive(Debug, Clone)]
pub enum Operation {
    /// `v keep + light`: haze (`keep` is its transmission), rain and snow (`keep` is 1 - opacity).
    Blend {
        /// Share of the light behind that passes, 0 to 1.
        keep: Plane,
        /// What is added.
        light: Light,
    },
    /// `v gain`, red, green, blue.
    Gain([f32; 3]),
    /// `v + residual`: noise.
    Add(Rgb32FImage),
    /// `v` convolved with a kernel.
    Convolve(Kernel),
    /// `v` is replaced, where no formula in one line says by what (refraction, compression).
    Replace(Rgb32FImage),
}

/// Light that an operation adds.
#[derive(Debug, Clone)]
pub enum Light {
    /// `colour amount`; the amount is `1 - keep` where it is absent, as for a veil of one colour.
    Uniform {
        /// Red, green, blue, in the operation's space.
        colour: [f32; 3],
        /// Per pixel.
        amount: Option<Plane>,
    },
    /// Red, green, blue at each pixel.
    PerPixel(Rgb32FImage),
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Step {
    /// The class it belongs to.
    pub class: &'static str,
    /// What it is, such as `veil` or `streaks`.
    pub name: &'static str,
    /// The space in which it is carried out.
    pub space: Space,
    /// What it does.
    pub operation: Operation,
    /// Where it acts: `before + (after - before) region`; everywhere when absent.
    pub region: Option<Plane>,
    /// What describes it and isn't needed to repeat it.
    pub maps: Vec<(&'static str, Plane)>,
}

/// Carries out the steps on a clean scene: what a reader of the layers does.
pub fn put_together(scene: &Rgb32FImage, steps: &[Step]) -> Rgb32FImage {
    let mut image = scene.clone();
    let mut space = Space::Srgb;
    for step in steps {
        if step.space != space {
            convert(&mut image, step.space);
            space = step.space;
        }
        let before = step.region.as_ref().map(|region| (image.clone(), region));
        carry_out(&mut image, &step.operation);
        if let Some((before, region)) = before {
            blend(&mut image, &before, region);
        }
    }
    if space == Space::Linear {
        convert(&mut image, Space::Srgb);
    }
    image.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
    image
}

#[cfg(test)]
mod tests;
