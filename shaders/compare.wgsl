// Compares images pixel by pixel: a wipe between two of them, or a weighted sum (a difference, for one) in the colours of a
// signed table. Layers hold sRGB-encoded values as the engine made them; a sum is never interpolated, so that what is seen
// is what was computed.

struct Uniforms {
    // The part of the images that the viewport shows, in shares of their sides.
    uv_min: vec2<f32>,
    uv_max: vec2<f32>,
    // 0 a wipe between layers 0 and 1, 1 a weighted sum of luma.
    mode: f32,
    // Where the wipe changes over, in shares of the width.
    split: f32,
    // The value at the upper end of the table, its negative at the lower; 1 is 255 levels.
    range: f32,
    // 1 where magnified pixels stay squares, 0 where they are smoothed.
    squares: f32,
    // 1 when the frame buffer encodes to sRGB by itself and therefore wants linear values.
    linear_target: f32,
    padding_a: f32,
    padding_b: f32,
    padding_c: f32,
    // One per layer; those beyond the last are 0.
    weights: array<vec4<f32>, 2>,
}

@group(0) @binding(0) var<uniform> uniforms: Uniforms;
@group(0) @binding(1) var images: texture_2d_array<f32>;

struct Corner {
    @builtin(position) position: vec4<f32>,
    @location(0) uv: vec2<f32>,
}

// One triangle that covers the viewport, which the paint callback has set to the visible part of the images.
@vertex
fn vs_main(@builtin(vertex_index) index: u32) -> Corner {
    let corner_uv = vec2<f32>(f32((index << 1u) & 2u), f32(index & 2u));
    var corner: Corner;
    corner.position = vec4<f32>(corner_uv.x * 2.0 - 1.0, 1.0 - corner_uv.y * 2.0, 0.0, 1.0);
    corner.uv = mix(uniforms.uv_min, uniforms.uv_max, corner_uv);
    return corner;
}

fn texel(at: vec2<i32>, layer: u32) -> vec3<f32> {
    let last = vec2<i32>(textureDimensions(images)) - vec2<i32>(1, 1);
    return textureLoad(images, clamp(at, vec2<i32>(0, 0), last), layer, 0).rgb;
}

fn nearest(uv: vec2<f32>, layer: u32) -> vec3<f32> {
    let size = vec2<f32>(textureDimensions(images));
    return texel(vec2<i32>(floor(uv * size)), layer);
}

fn smoothed(uv: vec2<f32>, layer: u32) -> vec3<f32> {
    let at = uv * vec2<f32>(textureDimensions(images)) - vec2<f32>(0.5, 0.5);
    let base = vec2<i32>(floor(at));
    let share = fract(at);
    let top = mix(texel(base, layer), texel(base + vec2<i32>(1, 0), layer), share.x);
    let bottom = mix(texel(base + vec2<i32>(0, 1), layer), texel(base + vec2<i32>(1, 1), layer), share.x);
    return mix(top, bottom, share.y);
}

fn wiped(uv: vec2<f32>) -> vec3<f32> {
    let layer = select(1u, 0u, uv.x < uniforms.split);
    if (uniforms.squares > 0.5) {
        return nearest(uv, layer);
    }
    return smoothed(uv, layer);
}

fn summed(uv: vec2<f32>) -> vec3<f32> {
    var sum = vec3<f32>(0.0);
    let layers = textureNumLayers(images);
    for (var layer = 0u; layer < layers; layer = layer + 1u) {
        sum = sum + nearest(uv, layer) * uniforms.weights[layer / 4u][layer % 4u];
    }
    // Luma of encoded values, as in the spectra.
    let luma = dot(sum, vec3<f32>(0.299, 0.587, 0.114));
    return table_color(0.5 + 0.5 * luma / max(uniforms.range, 1e-6));
}

@fragment
fn fs_main(corner: Corner) -> @location(0) vec4<f32> {
    var color: vec3<f32>;
    if (uniforms.mode < 0.5) {
        color = wiped(corner.uv);
    } else {
        color = summed(corner.uv);
    }
    return vec4<f32>(select(color, srgb_to_linear(color), uniforms.linear_target > 0.5), 1.0);
}
