//! Draws comparisons on the graphics card: images go up as they are, `shaders/compare.wgsl` wipes between them or gives
//! their sum colours.

use std::sync::Arc;

use eframe::egui_wgpu::{Callback, CallbackResources, CallbackTrait, ScreenDescriptor};
use egui::{PaintCallbackInfo, Rect, Shape};
use mdsd3_words::image::Rgba8;

use crate::colormap::difference_table;
use crate::gpu::{self, Drawn, TextureData};

/// The shader, as the tests validate it.
pub const SHADER: &str = concat!(
    include_str!("../../../shaders/color.wgsl"),
    include_str!("../../../shaders/compare.wgsl")
);

/// Numbers in the shader's `Uniforms`.
const UNIFORMS: usize = 20;

/// The most images in one comparison; the shader has as many weights.
pub const MAX_LAYERS: usize = 8;

/// How images are compared.
#[derive(Debug, Clone, PartialEq)]
pub enum Operation {
    /// The first image left of `split` (in shares of the width), the second right of it.
    Wipe {
        /// Where it changes over.
        split: f32,
        /// Whether magnified pixels stay squares, rather than being smoothed.
        squares: bool,
    },
    /// Luma of the weighted sum of all images, from `-range` to `range` (1 is 255 levels).
    Sum {
        /// One weight per image.
        weights: Vec<f32>,
        /// The value at the upper end of the colours.
        range: f32,
    },
}

/// A comparison to be drawn.
#[derive(Debug, Clone)]
pub struct CompareImage {
    /// Images of one size, two to [`MAX_LAYERS`].
    pub images: Vec<Rgba8>,
    /// What is done with them.
    pub operation: Operation,
    /// The part that is shown, in shares of the images' sides.
    pub window: Rect,
    /// Tells comparisons of the same images in one frame apart.
    pub place: usize,
    /// Pixel format of the window.
    pub target: wgpu::TextureFormat,
}

impl CompareImage {
    /// A shape that fills `rect` with the comparison; nothing for images that can't be compared.
    pub fn into_shape(self, rect: Rect) -> Shape {
        let size = |image: &Rgba8| (image.width, image.height);
        let alike = self.images.windows(2).all(|pair| size(&pair[0]) == size(&pair[1]));
        if alike && (2..=MAX_LAYERS).contains(&self.images.len()) {
            Shape::Callback(Callback::new_paint_callback(rect, self))
        } else {
            Shape::Noop
        }
    }

    fn key(&self) -> Key {
        Key {
            place: self.place,
            images: self.images.iter().map(|image| image.pixels.as_ptr().addr()).collect(),
        }
    }

    fn uniforms(&self) -> [f32; UNIFORMS] {
        let (mode, split, range, squares, weights) = match &self.operation {
            Operation::Wipe { split, squares } => (0.0, *split, 1.0, *squares, [].as_slice()),
            Operation::Sum { weights, range } => (1.0, 0.0, *range, true, weights.as_slice()),
        };
        let mut values = [0.0; UNIFORMS];
        values[..9].copy_from_slice(&[
            self.window.min.x,
            self.window.min.y,
            self.window.max.x,
            self.window.max.y,
            mode,
            split,
            range,
            f32::from(u8::from(squares)),
            gpu::linear_flag(self.target),
        ]);
        let room = &mut values[UNIFORMS - MAX_LAYERS..];
        room.iter_mut().zip(weights).for_each(|(slot, weight)| *slot = *weight);
        values
    }
}

/// What decides a bind group's contents, but for its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    place: usize,
    images: Vec<usize>,
}

/// The comparisons drawn lately, and the colours of their sums.
struct Resources {
    drawn: Drawn<Key, Group>,
    table: wgpu::TextureView,
}

/// A comparison on the card.
struct Group {
    bindings: wgpu::BindGroup,
    uniforms: wgpu::Buffer,
    /// Keeps the images' addresses, which are the key, from being reused.
    _images: Vec<Arc<[u8]>>,
}

impl AsRef<wgpu::BindGroup> for Group {
    fn as_ref(&self) -> &wgpu::BindGroup {
        &self.bindings
    }
}

impl CallbackTrait for CompareImage {
    fn prepare(
        &self,
        device: &wgpu::Device,
        queue: &wgpu::Queue,
        _screen: &ScreenDescriptor,
        _encoder: &mut wgpu::CommandEncoder,
        resources: &mut CallbackResources,
    ) -> Vec<wgpu::CommandBuffer> {
        let resources = resources
            .entry::<Resources>()
            .or_insert_with(|| Resources::new(device, queue, self.target));
        resources.touch(device, queue, self);
        Vec::new()
    }

    fn paint(&self, _info: PaintCallbackInfo, pass: &mut wgpu::RenderPass<'static>, resources: &CallbackResources) {
        if let Some(resources) = resources.get::<Resources>() {
            resources.drawn.paint(&self.key(), pass);
        }
    }
}

impl Resources {
    fn new(device: &wgpu::Device, queue: &wgpu::Queue, target: wgpu::TextureFormat) -> Self {
        let views = [wgpu::TextureViewDimension::D2Array, wgpu::TextureViewDimension::D2];
        let layout = gpu::layout(device, "compare", (UNIFORMS * size_of::<f32>()) as u64, &views);
        Self {
            drawn: Drawn::new(gpu::pipeline(device, ("compare", SHADER), &layout, target), layout),
            table: gpu::color_table(device, queue, difference_table()),
        }
    }

    /// Makes sure that the bind group of `image` exists and has its numbers.
    fn touch(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, image: &CompareImage) {
        let values = image.uniforms();
        let table = &self.table;
        let group = self.drawn.touch(image.key(), |layout| {
            let layers = layers(device, queue, &image.images);
            let uniforms = gpu::uniforms(device, "compare", &values);
            Group {
                bindings: gpu::bind_group(device, "compare", layout, &uniforms, &[&layers, table]),
                uniforms,
                _images: image.images.iter().map(|image| Arc::clone(&image.pixels)).collect(),
            }
        });
        queue.write_buffer(&group.uniforms, 0, &gpu::float_bytes(&values));
    }
}

/// The images as layers of one texture.
fn layers(device: &wgpu::Device, queue: &wgpu::Queue, images: &[Rgba8]) -> wgpu::TextureView {
    let size = images.first().map_or((1, 1), |image| (image.width, image.height));
    let mut bytes: Vec<u8> = images.iter().flat_map(|image| image.pixels.iter().copied()).collect();
    let mut count = images.len() as u32;
    if count.is_multiple_of(6) {
        // OpenGL takes six layers for the faces of a cube; one more, whose weight is 0, is taken for what it is.
        bytes.extend_from_slice(&images[0].pixels);
        count += 1;
    }
    let data = TextureData {
        size,
        layers: Some(count),
        format: wgpu::TextureFormat::Rgba8Unorm,
        bytes: &bytes,
    };
    gpu::texture(device, queue, &data)
}
