//! The image in work: each class changes it by one of a few operations, which are kept when the layers are wanted.

use image::Rgb32FImage;
use mdsd3_words::weather::Space;
use rayon::prelude::*;

use crate::layers::{Light, Operation, Step};
use crate::light::convert;
use crate::plane::Plane;
use crate::sensor::{SensorParameters, add_noise};
use crate::stream::Stream;

/// Pixels that one task changes at a time.
const CHUNK: usize = 4096;

/// The image in work, in the space of the last operation, so that neighbouring operations in one space convert nothing.
pub(crate) struct Canvas<'a> {
    image: Rgb32FImage,
    space: Space,
    /// The operations so far, when they are wanted.
    steps: Option<Vec<Step>>,
    /// Where operations act, and how much; everywhere when absent.
    region: Option<&'a Plane>,
    /// Noise that comes in where the signal is read.
    unread: Option<Unread<'a>>,
}

/// How the signal is to be read.
struct Unread<'a> {
    class: &'static str,
    sensor: SensorParameters,
    frame: u32,
    stream: Stream,
    region: Option<&'a Plane>,
}

impl<'a> Canvas<'a> {
    /// A canvas that shows `scene`, sRGB-encoded.
    pub(crate) fn new(scene: &Rgb32FImage, keeps_steps: bool) -> Self {
        Self {
            image: scene.clone(),
            space: Space::Srgb,
            steps: keeps_steps.then(Vec::new),
            region: None,
            unread: None,
        }
    }

    /// What follows acts only in `region`: by its value there, 0 not at all and 1 fully.
    pub(crate) fn within(&mut self, region: Option<&'a Plane>) {
        self.region = region;
    }

    /// The signal is read by this sensor: behind the lens, and before anything else that reads or processes it.
    pub(crate) fn read_later(&mut self, class: &'static str, sensor: SensorParameters, frame: u32, stream: Stream) {
        self.unread = Some(Unread {
            class,
            sensor,
            frame,
            stream,
            region: self.region,
        });
    }

    /// Reads the signal if that is still to be done.
    pub(crate) fn read(&mut self) {
        if let Some(unread) = self.unread.take() {
            self.within(unread.region);
            add_noise(self, unread.class, &unread.sensor, unread.frame, &unread.stream);
        }
    }

    /// Whether the layers are wanted, so that maps which only describe are worth making.
    pub(crate) fn keeps_steps(&self) -> bool {
        self.steps.is_some()
    }

    /// Columns and rows.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.image.width() as usize, self.image.height() as usize)
    }

    /// The image as it is now, in `space`.
    pub(crate) fn image_in(&mut self, space: Space) -> &Rgb32FImage {
        if self.space != space {
            self.image
                .as_mut()
                .par_chunks_mut(3 * CHUNK)
                .for_each(|values| convert(values, space));
            self.space = space;
        }
        &self.image
    }

    /// Carries out one operation in `space`.
    ///
    /// # Arguments
    /// - `class`, `name`: whose operation it is and what it is called among the layers, such as `rain` and `streaks`
    /// - `maps`: what describes the operation and isn't needed to repeat it, such as a radius of blur
    pub(crate) fn apply(
        &mut self,
        (class, name): (&'static str, &'static str),
        space: Space,
        operation: Operation,
        maps: Vec<(&'static str, Plane)>,
    ) {
        self.image_in(space);
        let before = self.region.map(|_| self.image.clone());
        carry_out(&mut self.image, &operation);
        if let (Some(region), Some(before)) = (self.region, &before) {
            blend(&mut self.image, before, region);
        }
        if let Some(steps) = &mut self.steps {
            steps.push(Step {
                class,
                name,
                space,
                operation,
                region: self.region.cloned(),
                maps,
            });
        }
    }

    /// The finished image, sRGB-encoded and held to `0..=1`, and the operations that led to it.
    pub(crate) fn finish(mut self) -> (Rgb32FImage, Option<Vec<Step>>) {
        self.read();
        self.image_in(Space::Srgb);
        self.image.as_mut().par_chunks_mut(3 * CHUNK).for_each(|values| {
            for value in values {
                *value = value.clamp(0.0, 1.0);
            }
        });
        (self.image, self.steps)
    }
}

/// Repeats an operation on an image that is in the operation's space.
pub(crate) fn carry_out(image: &mut Rgb32FImage, operation: &Operation) {
    match operation {
        Operation::Blend { keep, light } => keep_and_add(image, keep, light),
        Operation::Gain(gain) => for_each_pixel(image, |_, pixel| {
            pixel.iter_mut().zip(gain).for_each(|(value, gain)| *value *= gain);
        }),
        Operation::Add(residual) => {
            let values = image.as_mut().par_iter_mut().zip(residual.as_raw().par_iter());
            values.for_each(|(value, more)| *value += more);
        }
        Operation::Convolve(kernel) => *image = kernel.convolve(image),
        Operation::Replace(other) => image.clone_from(other),
    }
}

fn keep_and_add(image: &mut Rgb32FImage, keep: &Plane, light: &Light) {
    match light {
        Light::Uniform { colour, amount } => for_each_pixel(image, |at, pixel| {
            let (keep, amount) = (
                keep.values[at],
                amount.as_ref().map_or(1.0 - keep.values[at], |a| a.values[at]),
            );
            pixel
                .iter_mut()
                .zip(colour)
                .for_each(|(value, light)| *value = *value * keep + light * amount);
        }),
        Light::PerPixel(light) => for_each_pixel(image, |at, pixel| {
            let lights = &light.as_raw()[3 * at..3 * at + 3];
            pixel
                .iter_mut()
                .zip(lights)
                .for_each(|(value, light)| *value = *value * keep.values[at] + light);
        }),
    }
}

/// Blends the image with what it was before, by the region's share.
pub(crate) fn blend(image: &mut Rgb32FImage, before: &Rgb32FImage, region: &Plane) {
    for_each_pixel(image, |at, pixel| {
        let share = region.values[at];
        let old = &before.as_raw()[3 * at..3 * at + 3];
        pixel
            .iter_mut()
            .zip(old)
            .for_each(|(value, old)| *value = old + (*value - old) * share);
    });
}

/// Changes each pixel by itself, on all cores; the function gets the pixel's place in a [`Plane`].
fn for_each_pixel(image: &mut Rgb32FImage, change: impl Fn(usize, &mut [f32]) + Sync) {
    image
        .as_mut()
        .par_chunks_mut(3 * CHUNK)
        .enumerate()
        .for_each(|(chunk, values)| {
            for (i, pixel) in values.chunks_exact_mut(3).enumerate() {
                change(chunk * CHUNK + i, pixel);
            }
        });
}
