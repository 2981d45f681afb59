// What every shader of the studio ends with: a colour from its table, and what the frame buffer wants of it. The program puts
// it before each of the others.

@group(0) @binding(2) var color_table: texture_2d<f32>;

fn table_color(share: f32) -> vec3<f32> {
    let last = f32(textureDimensions(color_table).x - 1u);
    let at = clamp(share, 0.0, 1.0) * last;
    let lower = u32(floor(at));
    let upper = min(lower + 1u, u32(last));
    let a = textureLoad(color_table, vec2<u32>(lower, 0u), 0).rgb;
    let b = textureLoad(color_table, vec2<u32>(upper, 0u), 0).rgb;
    return mix(a, b, fract(at));
}

fn srgb_to_linear(color: vec3<f32>) -> vec3<f32> {
    let low = color / 12.92;
    let high = pow((color + vec3<f32>(0.055)) / 1.055, vec3<f32>(2.4));
    return select(high, low, color <= vec3<f32>(0.04045));
}

