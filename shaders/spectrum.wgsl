// Colour-maps a 2-D log power spectrum: one texel per frequency bin, never interpolated, so that what is seen is what was
// computed. The table is sRGB-encoded, like everything the studio draws.

struct Uniforms {
    // log10 power at the two ends of the colour table.
    low: f32,
    high: f32,
    // 1 when the frame buffer encodes to sRGB by itself and therefore wants linear values.
    linear_target: f32,
    padding: f32,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var log_power: texture_2d<f32>;

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
}

// One triangle that covers the viewport, which the paint callback has set to the image's rectangle.
@vertex
fn vs_main(@builtin(vertex_index) index: u32) -> Corner {
    let uv = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    var corner: Corner;
    corner.position = vec4<f32>(uv.x * 2.0 - 1.0, 1.0 - uv.y * 2.0, 0.0, 1.0);
    corner.uv = uv;
    return corner;
}

@fragment
fn fs_main(corner: Corner) -> @location(0) vec4<f32> {
    let size = textureDimensions(log_power);
    let bin = min(vec2<u32>(corner.uv * vec2<f32>(size)), size - vec2<u32>(1u, 1u));
    let value = textureLoad(log_power, bin, 0).r;
    let span = max(uniforms.high - uniforms.low, 1e-6);
    let color = table_color((value - uniforms.low) / span);
    return vec4<f32>(select(color, srgb_to_linear(color), uniforms.linear_target > 0.5), 1.0);
}
