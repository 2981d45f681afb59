//! Images of the engine as textures, uploaded once each.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use egui::{ColorImage, Context, TextureFilter, TextureHandle, TextureId, TextureOptions, TextureWrapMode};
use mdsd3_words::image::{Rgba8, SpectrumFrame};

use crate::colormap::ColorMap;
use crate::compare::WeightedSum;

/// Longer side of a thumbnail, in pixels; covers 72 points at a scale factor of 2.
const THUMBNAIL_PX: u32 = 144;

/// Side of the icon in the top bar, in pixels; covers 22 points at a scale factor of 2.
const ICON_PX: u32 = 52;

/// Frames that an unused texture is kept, so that scrubbing back and forth does not upload again.
const KEPT_FRAMES: u64 = 240;

/// What a texture is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Purpose {
    /// Shown small, smoothed.
    Thumbnail,
    /// The program's icon.
    Icon,
    /// Shown at twice its size or more: pixels stay squares.
    Pixels,
    /// Shown between 0 and 2 times its size: smoothed.
    Smooth,
    /// A spectrum coloured on the processor, with the bits of its range.
    Spectrum(ColorMap, u32, u32),
    /// A signed map coloured on the processor, with the range in levels and a hash of its parts.
    Map(u8, u64),
}

/// A cache from an image's pixels to its texture.
#[derive(Default)]
pub struct Textures {
    entries: HashMap<(usize, Purpose), Entry>,
    frame: u64,
}

struct Entry {
    handle: TextureHandle,
    last_used: u64,
    /// Keeps the data's address, which is part of the key, from being reused while the entry lives.
    _source: Source,
}

enum Source {
    Pixels(#[expect(dead_code, reason = "held, never read")] Arc<[u8]>),
    Bins(#[expect(dead_code, reason = "held, never read")] Arc<[f32]>),
    Parts(#[expect(dead_code, reason = "held, never read")] Vec<Arc<[u8]>>),
}

impl Textures {
    /// To be called once per frame: forgets textures that have not been used for a while.
    pub fn begin_frame(&mut self) {
        self.frame += 1;
        let oldest = self.frame.saturating_sub(KEPT_FRAMES);
        self.entries.retain(|_, entry| entry.last_used >= oldest);
    }

    /// The whole image, with square pixels (`pixels` true) or smoothed.
    pub fn full(&mut self, ctx: &Context, image: &Rgba8, pixels: bool) -> TextureId {
        let purpose = if pixels { Purpose::Pixels } else { Purpose::Smooth };
        self.get(ctx, image, purpose, color_image)
    }

    /// A small version for the timeline.
    pub fn thumbnail(&mut self, ctx: &Context, image: &Rgba8) -> TextureId {
        self.get(ctx, image, Purpose::Thumbnail, |image| {
            color_image(&shrink(image, THUMBNAIL_PX))
        })
    }

    /// The program's icon, reduced to what the top bar shows.
    pub fn icon(&mut self, ctx: &Context, icon: &Rgba8) -> TextureId {
        self.get(ctx, icon, Purpose::Icon, |icon| color_image(&shrink(icon, ICON_PX)))
    }

    /// A spectrum in colours, for windows that draw without the graphics library that the shader needs.
    pub fn spectrum(&mut self, ctx: &Context, spectrum: &SpectrumFrame, range: (f32, f32), map: ColorMap) -> TextureId {
        let purpose = Purpose::Spectrum(map, range.0.to_bits(), range.1.to_bits());
        let address = spectrum.log_power.as_ptr().addr();
        let source = || Source::Bins(Arc::clone(&spectrum.log_power));
        self.get_or_load(ctx, address, purpose, source, || {
            let share = |value: &f32| (value - range.0) / (range.1 - range.0).max(1e-6);
            let pixels = spectrum.log_power.iter().map(|value| map.color(share(value))).collect();
            ColorImage::new([spectrum.width as usize, spectrum.height as usize], pixels)
        })
    }

    /// A signed map in colours, for the same windows; `None` when its images differ in size.
    pub fn map(&mut self, ctx: &Context, sum: &WeightedSum, range_levels: u8) -> Option<TextureId> {
        let (first, _) = sum.parts.first()?;
        let mut hasher = DefaultHasher::new();
        for (image, weight) in &sum.parts {
            (image.pixels.as_ptr().addr(), weight.to_bits()).hash(&mut hasher);
            if (image.width, image.height) != (first.width, first.height) {
                return None;
            }
        }
        let purpose = Purpose::Map(range_levels, hasher.finish());
        let source = || Source::Parts(sum.parts.iter().map(|(image, _)| Arc::clone(&image.pixels)).collect());
        Some(
            self.get_or_load(ctx, first.pixels.as_ptr().addr(), purpose, source, || {
                sum.colored(range_levels).as_ref().map(color_image).unwrap_or_default()
            }),
        )
    }

    fn get(
        &mut self,
        ctx: &Context,
        image: &Rgba8,
        purpose: Purpose,
        convert: impl FnOnce(&Rgba8) -> ColorImage,
    ) -> TextureId {
        let source = || Source::Pixels(Arc::clone(&image.pixels));
        self.get_or_load(ctx, image.pixels.as_ptr().addr(), purpose, source, || convert(image))
    }

    fn get_or_load(
        &mut self,
        ctx: &Context,
        address: usize,
        purpose: Purpose,
        source: impl FnOnce() -> Source,
        load: impl FnOnce() -> ColorImage,
    ) -> TextureId {
        let frame = self.frame;
        let entry = self.entries.entry((address, purpose)).or_insert_with(|| Entry {
            handle: ctx.load_texture(format!("{purpose:?}"), load(), options(purpose)),
            last_used: frame,
            _source: source(),
        });
        entry.last_used = frame;
        entry.handle.id()
    }
}

fn options(purpose: Purpose) -> TextureOptions {
    let magnification = if matches!(purpose, Purpose::Pixels | Purpose::Spectrum(..) | Purpose::Map(..)) {
        TextureFilter::Nearest
    } else {
        TextureFilter::Linear
    };
    TextureOptions {
        magnification,
        minification: TextureFilter::Linear,
        wrap_mode: TextureWrapMode::ClampToEdge,
        mipmap_mode: None,
    }
}

fn color_image(image: &Rgba8) -> ColorImage {
    ColorImage::from_rgba_unmultiplied([image.width as usize, image.height as usize], &image.pixels)
}

/// The image reduced by a whole factor to at most `longest_px`, each pixel the mean of a block.
fn shrink(image: &Rgba8, longest_px: u32) -> Rgba8 {
    let factor = image.width.max(image.height).div_ceil(longest_px).max(1);
    if factor == 1 {
        return image.clone();
    }
    let (width, height) = ((image.width / factor).max(1), (image.height / factor).max(1));
    let pixels =
        (0..height).flat_map(|y| (0..width).flat_map(move |x| block_mean(image, x * factor, y * factor, factor)));
    Rgba8 {
        width,
        height,
        pixels: pixels.collect(),
    }
}

/// Mean colour of the block of side `side` at (`left`, `top`), cut off at the image's edge.
fn block_mean(image: &Rgba8, left: u32, top: u32, side: u32) -> [u8; 4] {
    let (right, bottom) = ((left + side).min(image.width), (top + side).min(image.height));
    let mut sums = [0_u32; 4];
    for y in top..bottom {
        let row = (y * image.width) as usize * 4;
        for pixel in image.pixels[row + left as usize * 4..row + right as usize * 4].chunks_exact(4) {
            sums.iter_mut()
                .zip(pixel)
                .for_each(|(sum, &value)| *sum += u32::from(value));
        }
    }
    let count = ((right - left) * (bottom - top)).max(1);
    sums.map(|sum| (sum / count) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_averages_blocks_and_keeps_small_images() {
        let pixels: Vec<u8> = (0..4_u8).flat_map(|value| [value * 40, 0, 0, 255]).collect();
        let image = Rgba8 {
            width: 2,
            height: 2,
            pixels: pixels.into(),
        };
        assert_eq!(shrink(&image, 2), image);
        let small = shrink(&image, 1);
        assert_eq!((small.width, small.height), (1, 1));
        assert_eq!(small.pixels.as_ref(), &[60, 0, 0, 255]);
    }

    #[test]
    fn a_long_thin_image_keeps_one_pixel_across() {
        let image = Rgba8 {
            width: 3,
            height: 400,
            pixels: vec![7; 3 * 400 * 4].into(),
        };
        let small = shrink(&image, 144);
        assert_eq!((small.width, small.height), (1, 133));
        assert_eq!(small.pixels.len(), 133 * 4);
    }
}
