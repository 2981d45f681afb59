//! Blur by depth in layers.
//!
//! Pixels are shared out among layers by their disc's radius, each between the two next to it. From the farthest to the
//! nearest, every layer is blurred by its disc and laid over what is behind it (Kraus and Strengert 2007,
//! "Depth-of-field rendering by pyramidal image processing"). Its colour is that of its own pixels alone, so
//! nothing sharp leaks into the blur behind it. It covers what it holds of the disc among all that is as far or
//! farther, so that neighbouring layers of one slope leave no gap. Before the layers in front of the focus come, what
//! they hide is filled from around it, as they do, since their blurred edges let it through.
//!
//! A wide disc is gathered at a reduced size, at which it is at least 3 pixels wide.

use std::ops::Range;

use image::Rgb32FImage;
use rayon::prelude::*;

use crate::kernel::Kernel;
use crate::plane::{Plane, image_from_rows};

/// Radii of the layers up to the size at which discs are gathered at half the size; after that the last two double on.
const FIRST_RADII: [f32; 5] = [1.0, 2.0, 3.0, 4.5, 6.0];
/// Smallest radius that is gathered at half the size.
const HALVED_FROM: f32 = 6.0;
/// Rows of the image that are worked on at once; a power of two, as reduced pixels are counted in.
const STRIP: usize = 128;
/// Values of a pixel of a layer: its colour times its share, its share, and the share of all that is as far or farther.
const CHANNELS: usize = 5;

/// Red, green and blue times the share of the pixel that is known, and that share.
type Pixel = [f32; 4];

/// The image, linear, with each pixel spread over the disc of its radius in `behind`, which is below 0 in front of the
/// focus.
pub(super) fn blurred(image: &Rgb32FImage, behind: &Plane) -> Rgb32FImage {
    let scene = Scene::new(image, behind);
    let farthest = scene.spans.iter().fold(0.0, |far: f32, span| far.max(span.1));
    let nearest = scene.spans.iter().fold(0.0, |near: f32, span| near.min(span.0));
    let places = places(farthest, -nearest);
    let shares: Vec<_> = (0..places.len()).map(|layer| Share::of(&places, layer)).collect();
    let (up_to_focus, in_front) = shares.split_at(places.iter().filter(|place| **place >= 0.0).count());
    let mut picture = vec![[0.0; 4]; behind.values.len()];
    scene.lay(up_to_focus, &mut picture);
    if !in_front.is_empty() {
        fill(&mut picture, (behind.width, behind.height));
        scene.lay(in_front, &mut picture);
    }
    image_from_rows(image.width(), image.height(), |y, row| {
        let pixels = &picture[y * behind.width..];
        for (value, [red, green, blue, known]) in row.chunks_exact_mut(3).zip(pixels) {
            let known = known.max(f32::MIN_POSITIVE);
            value.copy_from_slice(&[red / known, green / known, blue / known]);
        }
    })
}

/// What layers are made from.
struct Scene<'a> {
    image: &'a Rgb32FImage,
    behind: &'a Plane,
    /// The least and the largest of `behind` in each row.
    spans: Vec<(f32, f32)>,
}

impl<'a> Scene<'a> {
    fn new(image: &'a Rgb32FImage, behind: &'a Plane) -> Self {
        let span = |row: &[f32]| {
            let ends = (f32::INFINITY, f32::NEG_INFINITY);
            row.iter()
                .fold(ends, |(least, most), place| (place.min(least), place.max(most)))
        };
        Self {
            image,
            behind,
            spans: behind.values.par_chunks(behind.width.max(1)).map(span).collect(),
        }
    }

    /// Lays the layers over the picture, strip by strip, so that they take little memory.
    fn lay(&self, layers: &[Share], picture: &mut [Pixel]) {
        let columns = self.behind.width.max(1);
        picture
            .par_chunks_mut(STRIP * columns)
            .enumerate()
            .for_each(|(strip, pixels)| {
                let rows = strip * STRIP..strip * STRIP + pixels.len() / columns;
                for share in layers {
                    if let Some(layer) = self.gathered(share, &rows) {
                        layer.lay_over(pixels, rows.start, columns);
                    }
                }
            });
    }

    /// The part of a layer that these rows need, blurred; `None` where it has no share.
    fn gathered(&self, share: &Share, rows: &Range<usize>) -> Option<Layer> {
        let mut scale = 1;
        while share.place.abs() / scale as f32 >= HALVED_FROM && scale < STRIP {
            scale *= 2;
        }
        let radius = share.place.abs() / scale as f32;
        let kernel = (radius > 0.0).then(|| Kernel::disc(radius));
        // One more for what lies between two reduced rows.
        let margin = kernel.as_ref().map_or(0, |kernel| kernel.height / 2) + 1;
        let end = (rows.end.div_ceil(scale) + margin).min(self.behind.height.div_ceil(scale));
        let reduced = (rows.start / scale).saturating_sub(margin)..end;
        let full = reduced.start * scale..(end * scale).min(self.behind.height);
        let is_in = |span: &(f32, f32)| span.1 > share.nearer && span.0 < share.farther;
        if !self.spans[full].iter().any(is_in) {
            return None;
        }
        let mut layer = self.reduced(share, scale, reduced);
        if let Some(kernel) = kernel {
            let size = (layer.width, layer.rows.len());
            let mut blurred = vec![0.0; layer.values.len()];
            kernel.convolve_values(&layer.values, size, &mut blurred);
            layer.values = blurred;
        }
        Some(layer)
    }

    /// The layer before it is blurred: means over squares of `scale` pixels.
    fn reduced(&self, share: &Share, scale: usize, rows: Range<usize>) -> Layer {
        let (columns, width) = (self.behind.width, self.behind.width.div_ceil(scale));
        let last_columns = columns - (width - 1) * scale;
        let mut values = vec![0.0; width * rows.len() * CHANNELS];
        for (y, row) in rows.clone().zip(values.chunks_exact_mut(width * CHANNELS)) {
            let covered = scale * y..(scale * (y + 1)).min(self.behind.height);
            for line in covered.clone() {
                let pixels = self.image.as_raw()[3 * columns * line..].chunks_exact(3);
                for (x, (place, pixel)) in self.behind.row(line).iter().zip(pixels).enumerate() {
                    let (own, reached) = share.at(*place);
                    let parts = [own * pixel[0], own * pixel[1], own * pixel[2], own, reached];
                    let sums = &mut row[x / scale * CHANNELS..][..CHANNELS];
                    sums.iter_mut().zip(parts).for_each(|(sum, part)| *sum += part);
                }
            }
            for (x, sums) in row.chunks_exact_mut(CHANNELS).enumerate() {
                let columns = if x + 1 == width { last_columns } else { scale };
                for sum in sums {
                    *sum /= (columns * covered.len()) as f32;
                }
            }
        }
        Layer {
            width,
            rows,
            height: self.behind.height.div_ceil(scale),
            scale,
            values,
        }
    }
}

/// Radii of the layers from the farthest to the nearest, below 0 in front of the focus, which has a layer of its own.
fn places(farthest: f32, nearest: f32) -> Vec<f32> {
    let up_to = |largest: f32| {
        let mut radii = vec![0.0];
        while radii[radii.len() - 1] < largest {
            let next = FIRST_RADII.get(radii.len() - 1).copied();
            radii.push(next.unwrap_or_else(|| 2.0 * radii[radii.len() - 2]));
        }
        radii
    };
    let far = up_to(farthest).into_iter().rev();
    let near = up_to(nearest).into_iter().skip(1).map(|radius| -radius);
    far.chain(near).collect()
}

/// Which pixels are a layer's.
struct Share {
    farther: f32,
    place: f32,
    nearer: f32,
}

impl Share {
    fn of(places: &[f32], layer: usize) -> Self {
        Self {
            farther: layer.checked_sub(1).map_or(f32::INFINITY, |i| places[i]),
            place: places[layer],
            nearer: places.get(layer + 1).copied().unwrap_or(f32::NEG_INFINITY),
        }
    }

    /// The layer's share of a pixel there, and that of the layer and all behind it.
    fn at(&self, place: f32) -> (f32, f32) {
        if place >= self.place {
            let away = (place - self.place) / (self.farther - self.place);
            ((1.0 - away).max(0.0), 1.0)
        } else {
            let away = (self.place - place) / (self.place - self.nearer);
            let share = (1.0 - away).max(0.0);
            (share, share)
        }
    }
}

/// Some rows of a layer, blurred, at its size.
struct Layer {
    width: usize,
    rows: Range<usize>,
    /// Rows of the whole layer.
    height: usize,
    /// How many of the image's pixels are one of its pixels, along each side.
    scale: usize,
    values: Vec<f32>,
}

impl Layer {
    /// Lays the layer over what is behind it, on rows of the image from `first` on.
    fn lay_over(&self, picture: &mut [Pixel], first: usize, columns: usize) {
        for (y, row) in picture.chunks_exact_mut(columns).enumerate() {
            let (above, below, down) = between(first + y, self.scale, self.height);
            let line =
                |y: usize| &self.values[(y - self.rows.start) * self.width * CHANNELS..][..self.width * CHANNELS];
            let (above, below) = (line(above), line(below));
            for (x, pixel) in row.iter_mut().enumerate() {
                let (left, right, along) = between(x, self.scale, self.width);
                let value = |channel: usize| {
                    let (left, right) = (left * CHANNELS + channel, right * CHANNELS + channel);
                    mix(
                        mix(above[left], above[right], along),
                        mix(below[left], below[right], along),
                        down,
                    )
                };
                let own = value(3);
                if own > 0.0 {
                    let cover = own / value(4).max(own);
                    for (channel, behind) in pixel.iter_mut().take(3).enumerate() {
                        *behind = mix(*behind, value(channel) / own, cover);
                    }
                    pixel[3] = mix(pixel[3], 1.0, cover);
                }
            }
        }
    }
}

fn mix(a: f32, b: f32, share: f32) -> f32 {
    a + (b - a) * share
}

/// Which two places of a reduced row a place of the full one is between, and how far it is from the first to the
/// second.
fn between(at: usize, scale: usize, length: usize) -> (usize, usize, f32) {
    if scale == 1 {
        return (at, at, 0.0);
    }
    let place = ((at as f32 + 0.5) / scale as f32 - 0.5).max(0.0);
    let first = (place as usize).min(length - 1);
    (first, (first + 1).min(length - 1), place - first as f32)
}

/// Fills what isn't known from what is around it: by means over squares that grow until something is known in them.
fn fill(picture: &mut [Pixel], (width, height): (usize, usize)) {
    if picture.par_iter().all(|pixel| pixel[3] >= 1.0) {
        return;
    }
    if picture.len() <= 1 {
        for pixel in picture {
            let known = pixel[3].max(f32::MIN_POSITIVE);
            *pixel = pixel.map(|value| value / known);
        }
        return;
    }
    let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
    let mut half = vec![[0.0; 4]; half_width * half_height];
    half.par_chunks_mut(half_width).enumerate().for_each(|(y, row)| {
        for (x, pixel) in row.iter_mut().enumerate() {
            for (column, line) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                let from = (2 * y + line).min(height - 1) * width + (2 * x + column).min(width - 1);
                pixel
                    .iter_mut()
                    .zip(picture[from])
                    .for_each(|(sum, value)| *sum += 0.25 * value);
            }
        }
    });
    fill(&mut half, (half_width, half_height));
    picture.par_chunks_mut(width).enumerate().for_each(|(y, row)| {
        let (above, below, down) = between(y, 2, half_height);
        for (x, pixel) in row.iter_mut().enumerate().filter(|(_, pixel)| pixel[3] < 1.0) {
            let (left, right, along) = between(x, 2, half_width);
            let missing = 1.0 - pixel[3];
            for (channel, value) in pixel.iter_mut().enumerate() {
                let at = |column: usize, row: usize| half[row * half_width + column][channel];
                let upper = mix(at(left, above), at(right, above), along);
                *value += missing * mix(upper, mix(at(left, below), at(right, below), along), down);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_share_every_pixel_out_and_leave_no_gap() {
        let places = places(20.0, 3.5);
        assert_eq!(
            places,
            [
                24.0, 18.0, 12.0, 9.0, 6.0, 4.5, 3.0, 2.0, 1.0, 0.0, -1.0, -2.0, -3.0, -4.5
            ]
        );
        for step in -70..=400 {
            let place = step as f32 / 20.0;
            let shares = (0..places.len()).map(|layer| Share::of(&places, layer).at(place));
            let (mut sum, mut hidden) = (0.0, 1.0);
            for (own, reached) in shares {
                sum += own;
                if own > 0.0 {
                    hidden *= 1.0 - own / reached;
                }
            }
            assert!((sum - 1.0).abs() < 1e-5 && hidden == 0.0, "{place}: {sum}, {hidden}");
        }
    }
}
