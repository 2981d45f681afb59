//! What the studio's shaders share: one triangle over a rectangle, one block of numbers, some textures that are never
//! filtered.

use std::collections::HashMap;
use std::hash::Hash;
use std::num::NonZeroU64;

use egui::Color32;
use wgpu::util::DeviceExt as _;

/// Contents of a texture with texels of 4 bytes.
pub(crate) struct TextureData<'a> {
    /// Width and height in texels.
    pub size: (u32, u32),
    /// How many images of that size; `None` for a plain texture.
    pub layers: Option<u32>,
    /// What the bytes mean.
    pub format: wgpu::TextureFormat,
    /// Row by row, layer by layer.
    pub bytes: &'a [u8],
}

/// Pictures that stay on the card; more than are ever on screen at once.
const KEPT: usize = 32;

/// A pipeline with what it lately drew: bind groups and what belongs to them, by what decides their contents.
pub(crate) struct Drawn<K, G> {
    pub pipeline: wgpu::RenderPipeline,
    pub layout: wgpu::BindGroupLayout,
    groups: HashMap<K, (G, u64)>,
    clock: u64,
}

impl<K: Eq + Hash, G: AsRef<wgpu::BindGroup>> Drawn<K, G> {
    pub fn new(pipeline: wgpu::RenderPipeline, layout: wgpu::BindGroupLayout) -> Self {
        Self {
            pipeline,
            layout,
            groups: HashMap::new(),
            clock: 0,
        }
    }

    /// The group of `key`, made when it isn't there; those not drawn for longest are forgotten.
    pub fn touch(&mut self, key: K, make: impl FnOnce(&wgpu::BindGroupLayout) -> G) -> &G {
        self.clock += 1;
        let clock = self.clock;
        if self.groups.len() >= KEPT && !self.groups.contains_key(&key) {
            let oldest = clock - KEPT as u64;
            self.groups.retain(|_, (_, last_used)| *last_used > oldest);
        }
        let layout = &self.layout;
        let (group, last_used) = self.groups.entry(key).or_insert_with(|| (make(layout), clock));
        *last_used = clock;
        group
    }

    /// Draws the group of `key`, if it is there.
    pub fn paint(&self, key: &K, pass: &mut wgpu::RenderPass<'static>) {
        if let Some((group, _)) = self.groups.get(key) {
            pass.set_pipeline(&self.pipeline);
            pass.set_bind_group(0, group.as_ref(), &[]);
            pass.draw(0..3, 0..1);
        }
    }
}

/// The layout of a bind group: `uniform_bytes` at binding 0, then one texture per view.
pub(crate) fn layout(
    device: &wgpu::Device,
    label: &str,
    uniform_bytes: u64,
    views: &[wgpu::TextureViewDimension],
) -> wgpu::BindGroupLayout {
    let textures = (1..).zip(views).map(|(binding, view)| texture_entry(binding, *view));
    let entries: Vec<wgpu::BindGroupLayoutEntry> =
        std::iter::once(uniform_entry(uniform_bytes)).chain(textures).collect();
    device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
        label: Some(label),
        entries: &entries,
    })
}

fn uniform_entry(bytes: u64) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding: 0,
        visibility: wgpu::ShaderStages::VERTEX_FRAGMENT,
        ty: wgpu::BindingType::Buffer {
            ty: wgpu::BufferBindingType::Uniform,
            has_dynamic_offset: false,
            min_binding_size: NonZeroU64::new(bytes),
        },
        count: None,
    }
}

fn texture_entry(binding: u32, view_dimension: wgpu::TextureViewDimension) -> wgpu::BindGroupLayoutEntry {
    wgpu::BindGroupLayoutEntry {
        binding,
        visibility: wgpu::ShaderStages::FRAGMENT,
        ty: wgpu::BindingType::Texture {
            // 32-bit float textures can't be filtered everywhere, and what was computed must not be.
            sample_type: wgpu::TextureSampleType::Float { filterable: false },
            view_dimension,
            multisampled: false,
        },
        count: None,
    }
}

/// A pipeline that draws `source` over the viewport.
pub(crate) fn pipeline(
    device: &wgpu::Device,
    (label, source): (&str, &str),
    layout: &wgpu::BindGroupLayout,
    target: wgpu::TextureFormat,
) -> wgpu::RenderPipeline {
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(label),
        source: wgpu::ShaderSource::Wgsl(source.into()),
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(layout)],
        immediate_size: 0,
    });
    device.create_render_pipeline(&wgpu::RenderPipelineDescriptor {
        label: Some(label),
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

/// A bind group of [`layout`].
pub(crate) fn bind_group(
    device: &wgpu::Device,
    label: &str,
    layout: &wgpu::BindGroupLayout,
    uniforms: &wgpu::Buffer,
    textures: &[&wgpu::TextureView],
) -> wgpu::BindGroup {
    let resources = textures.iter().map(|view| wgpu::BindingResource::TextureView(view));
    let entries: Vec<wgpu::BindGroupEntry<'_>> = (0..)
        .zip(std::iter::once(uniforms.as_entire_binding()).chain(resources))
        .map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource })
        .collect();
    device.create_bind_group(&wgpu::BindGroupDescriptor {
        label: Some(label),
        layout,
        entries: &entries,
    })
}

/// A buffer of numbers that can be written again.
pub(crate) fn uniforms(device: &wgpu::Device, label: &str, values: &[f32]) -> wgpu::Buffer {
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some(label),
        contents: &float_bytes(values),
        usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
    })
}

/// A texture on the card.
pub(crate) fn texture(device: &wgpu::Device, queue: &wgpu::Queue, data: &TextureData<'_>) -> wgpu::TextureView {
    let descriptor = wgpu::TextureDescriptor {
        label: Some("image data"),
        size: wgpu::Extent3d {
            width: data.size.0,
            height: data.size.1,
            depth_or_array_layers: data.layers.unwrap_or(1),
        },
        mip_level_count: 1,
        sample_count: 1,
        dimension: wgpu::TextureDimension::D2,
        format: data.format,
        usage: wgpu::TextureUsages::TEXTURE_BINDING | wgpu::TextureUsages::COPY_DST,
        view_formats: &[],
    };
    let order = wgpu::util::TextureDataOrder::LayerMajor;
    let texture = device.create_texture_with_data(queue, &descriptor, order, data.bytes);
    texture.create_view(&wgpu::TextureViewDescriptor {
        dimension: data.layers.map(|_| wgpu::TextureViewDimension::D2Array),
        ..wgpu::TextureViewDescriptor::default()
    })
}

/// A colour table as a texture of one row.
pub(crate) fn color_table(device: &wgpu::Device, queue: &wgpu::Queue, table: &[Color32]) -> wgpu::TextureView {
    let bytes: Vec<u8> = table.iter().flat_map(Color32::to_array).collect();
    let data = TextureData {
        size: (table.len() as u32, 1),
        layers: None,
        format: wgpu::TextureFormat::Rgba8Unorm,
        bytes: &bytes,
    };
    texture(device, queue, &data)
}

/// 1 when a frame buffer encodes to sRGB by itself and therefore wants linear values, else 0.
pub(crate) fn linear_flag(target: wgpu::TextureFormat) -> f32 {
    f32::from(u8::from(target.is_srgb()))
}

/// Numbers as the card reads them.
pub(crate) fn float_bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_ne_bytes()).collect()
}
