//! Draws a log spectrum on the graphics card: bins go up as 32-bit floats, `shaders/spectrum.wgsl` gives them colours.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::sync::Arc;

use eframe::egui_wgpu::{Callback, CallbackResources, CallbackTrait, ScreenDescriptor};
use egui::{PaintCallbackInfo, Rect, Shape};
use mdsd3_engine::protocol::SpectrumFrame;
use wgpu::util::DeviceExt as _;

use crate::colormap::{ColorMap, TABLE_LEN};

/// The shader, as the tests validate it.
pub const SHADER: &str = include_str!("../../../shaders/spectrum.wgsl");

/// Bytes of the shader's `Uniforms`.
const UNIFORM_BYTES: u64 = 16;

/// Textures of this many spectra stay on the card; more than are ever on screen at once.
const KEPT_TEXTURES: usize = 32;

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

/// The pipeline, and the bind groups of the spectra drawn lately.
struct Resources {
    pipeline: wgpu::RenderPipeline,
    layout: wgpu::BindGroupLayout,
    groups: HashMap<Key, Group>,
    clock: u64,
}

struct Group {
    bindings: wgpu::BindGroup,
    last_used: u64,
    /// Keeps the bins' address, which is part of the key, from being reused.
    _bins: Arc<[f32]>,
}

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
            .or_insert_with(|| Resources::new(device, self.target));
        resources.touch(device, queue, self);
        Vec::new()
    }

    fn paint(&self, _info: PaintCallbackInfo, pass: &mut wgpu::RenderPass<'static>, resources: &CallbackResources) {
        let Some(resources) = resources.get::<Resources>() else {
            return;
        };
        if let Some(group) = resources.groups.get(&self.key()) {
            pass.set_pipeline(&resources.pipeline);
            pass.set_bind_group(0, &group.bindings, &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

impl Resources {
    fn new(device: &wgpu::Device, target: wgpu::TextureFormat) -> Self {
        let layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("spectrum"),
            entries: &[uniform_entry(0), texture_entry(1), texture_entry(2)],
        });
        Self {
            pipeline: pipeline(device, &layout, target),
            layout,
            groups: HashMap::new(),
            clock: 0,
        }
    }

    /// Makes sure that the bind group of `image` exists, and forgets the ones that were not drawn for longest.
    fn touch(&mut self, device: &wgpu::Device, queue: &wgpu::Queue, image: &SpectrumImage) {
        self.clock += 1;
        let clock = self.clock;
        let layout = &self.layout;
        let group = self.groups.entry(image.key()).or_insert_with(|| Group {
            bindings: bind_group(device, queue, layout, image),
            last_used: clock,
            _bins: Arc::clone(&image.spectrum.log_power),
        });
        group.last_used = clock;
        if self.groups.len() > KEPT_TEXTURES {
            let oldest = clock - KEPT_TEXTURES as u64;
            self.groups.retain(|_, group| group.last_used > oldest);
        }
    }
}

fn uniform_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: NonZeroU64::new(UNIFORM_BYTES),
        },
        count: None,
    }
}

fn texture_entry(binding: u32) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Texture {
            // 32-bit float textures can't be filtered everywhere, and bins must not be.
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension: wgpu::TextureViewDimension::D2,
            multisampled: false,
        },
        count: None,
    }
}

fn pipeline(
    device: &wgpu::Device,
    layout: &wgpu::BindGroupLayout,
    target: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some("spectrum"),
        source: wgpu::ShaderSource::Wgsl(SHADER.into()),
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some("spectrum"),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some("spectrum"),
        layout: Some(&pipeline_layout),
        vertex: wgpu::VertexState {
            module: &module,
            entry_point: Some("vs_main"),
            buffers: &[],
            compilation_options: wgpu::PipelineCompilationOptions::default(),
        },
        primitive: wgpu::PrimitiveState::default(),
        depth_stencil: None,
        multisample: wgpu::MultisampleState::default(),
        fragment: Some(wgpu::FragmentState {
            module: &module,
            entry_point: Some("fs_main"),
            targets: &[Some(target.into())],
            compilation_options: wgpu::PipelineCompilationOptions::default(),
        }),
        multiview_mask: None,
        cache: None,
    })
}

fn bind_group(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    layout: &wgpu::BindGroupLayout,
    image: &SpectrumImage,
) -> wgpu::BindGroup {
    let linear_target = f32::from(u8::from(image.target.is_srgb()));
    let uniforms = float_bytes(&[image.range.0, image.range.1, linear_target, 0.0]);
    let uniforms = device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some("spectrum range"),
        contents: &uniforms,
        usage: wgpu::BufferUsages::UNIFORM,
    });
    let bins = float_bytes(&image.spectrum.log_power);
    let size = (image.spectrum.width, image.spectrum.height);
    let bins = texture(device, queue, size, wgpu::TextureFormat::R32Float, &bins);
    let table: Vec<u8> = image.map.table().iter().flat_map(egui::Color32::to_array).collect();
    let table = texture(
        device,
        queue,
        (TABLE_LEN as u32, 1),
        wgpu::TextureFormat::Rgba8Unorm,
        &table,
    );
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some("spectrum"),
        layout,
        entries: &[
            wgpu::BindGroupEntry {
                binding: 0,
                resource: uniforms.as_entire_binding(),
            },
            wgpu::BindGroupEntry {
                binding: 1,
                resource: wgpu::BindingResource::TextureView(&bins),
            },
            wgpu::BindGroupEntry {
                binding: 2,
                resource: wgpu::BindingResource::TextureView(&table),
            },
        ],
    })
}

/// A texture of 4-byte texels with `bytes` in it.
fn texture(
    device: &wgpu::Device,
    queue: &wgpu::Queue,
    size: (u32, u32),
    format: wgpu::TextureFormat,
    bytes: &[u8],
) -> wgpu::TextureView {
    let descriptor = wgpu::TextureDescriptor {
        label: Some("spectrum data"),
        size: wgpu::Extent3d {
            width: size.0,
            height: size.1,
            depth_or_array_layers: 1,
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    let texture = device.create_texture_with_data(queue, &descriptor, wgpu::util::TextureDataOrder::LayerMajor, bytes);
    texture.create_view(&wgpu::TextureViewDescriptor::default())
}

fn float_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}
