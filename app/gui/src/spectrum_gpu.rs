//! Draws a log spectrum on the graphics card: bins go up as 32-bit floats, `shaders/spectrum.wgsl` gives them colours.

use std::sync::Arc;

use eframe::egui_wgpu::{Callback, CallbackResources, CallbackTrait, ScreenDescriptor};
use egui::{PaintCallbackInfo, Rect, Shape};
use mdsd3_words::image::SpectrumFrame;

use crate::colormap::ColorMap;
use crate::gpu::{self, Drawn, TextureData};

/// The shader, as the tests validate it.
pub const SHADER: &str = concat!(
    include_str!("../../../shaders/color.wgsl"),
    include_str!("../../../shaders/spectrum.wgsl")
);

/// Bytes of the shader's `Uniforms`.
const UNIFORM_BYTES: u64 = 16;

/// A spectrum to be drawn.
#[derive(Debug, Clone)]
pub struct SpectrumImage {
    /// The bins.
    pub spectrum: SpectrumFrame,
    /// log10 power at the two ends of the colour table.
    pub range: (f32, f32),
    /// The colour table.
    pub map: ColorMap,
    /// Pixel format of the window.
    pub target: wgpu::TextureFormat,
}

impl SpectrumImage {
    /// A shape that fills `rect` with the spectrum.
    pub fn into_shape(self, rect: Rect) -> Shape {
        Shape::Callback(Callback::new_paint_callback(rect, self))
    }

    fn key(&self) -> Key {
        Key {
            bins: self.spectrum.log_power.as_ptr().addr(),
            map: self.map,
            low_bits: self.range.0.to_bits(),
            high_bits: self.range.1.to_bits(),
        }
    }
}

/// What decides a bind group's contents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    bins: usize,
    map: ColorMap,
    low_bits: u32,
    high_bits: u32,
}

/// A spectrum on the card.
struct Group {
    bindings: wgpu::BindGroup,
    /// Keeps the bins' address, which is part of the key, from being reused.
    _bins: Arc<[f32]>,
}

impl AsRef<wgpu::BindGroup> for Group {
    fn as_ref(&self) -> &wgpu::BindGroup {
        &self.bindings
    }
}

type Resources = Drawn<Key, Group>;

impl CallbackTrait for SpectrumImage {
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
            .or_insert_with(|| new_resources(device, self.target));
        resources.touch(self.key(), |layout| Group {
            bindings: bind_group(device, queue, layout, self),
            _bins: Arc::clone(&self.spectrum.log_power),
        });
        Vec::new()
    }

    fn paint(&self, _info: PaintCallbackInfo, pass: &mut wgpu::RenderPass<'static>, resources: &CallbackResources) {
        if let Some(resources) = resources.get::<Resources>() {
            resources.paint(&self.key(), pass);
        }
    }
}

fn new_resources(device: &wgpu::Device, target: wgpu::TextureFormat) -> Resources {
    let layout = gpu::layout(device, "spectrum", UNIFORM_BYTES, &[wgpu::TextureViewDimension::D2; 2]);
    Drawn::new(gpu::pipeline(device, ("spectrum", SHADER), &layout, target), layout)
}

fn bind_group(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    layout: &wgpu::BindGroupLayout,
    image: &SpectrumImage,
) -> wgpu::BindGroup {
    let (low, high) = image.range;
    let uniforms = gpu::uniforms(device, "spectrum", &[low, high, gpu::linear_flag(image.target), 0.0]);
    let data = TextureData {
        size: (image.spectrum.width, image.spectrum.height),
        layers: None,
        format: wgpu::TextureFormat::R32Float,
        bytes: &gpu::float_bytes(&image.spectrum.log_power),
    };
    let bins = gpu::texture(device, queue, &data);
    let table = gpu::color_table(device, queue, image.map.table());
    gpu::bind_group(device, "spectrum", layout, &uniforms, &[&bins, &table])
}
