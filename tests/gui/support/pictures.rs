//! Pictures and spectra that are drawn rather than computed.
use mdsd3_words::image::{Rgba8, SpectrumFrame};

/// Side of the pictures, in pixels.
pub const SIDE_PX: u32 = 256;

/// A street of grey houses under a sky, veiled, noisy and rained on by shares from 0 to 1.
pub fn picture(veil: f32, noise: f32, rain: f32) -> Rgba8 {
    let mut random = 1_u32;
    let mut pixels = Vec::with_capacity((SIDE_PX * SIDE_PX * 4) as usize);
    for y in 0..SIDE_PX {
        for x in 0..SIDE_PX {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let grain = ((random >> 24) as f32 / 255.0 - 0.5) * 2.0 * noise;
            let color = house_color(x, y).map(|value| {
                let veiled = value * (1.0 - veil) + 0.85 * veil + 0.3 * rain * streak(x, y);
                ((veiled * (1.0 - noise) + 0.5 * noise + grain * 0.5).clamp(0.0, 1.0) * 255.0) as u8
            });
            pixels.extend_from_slice(&[color[0], color[1], color[2], 255]);
        }
    }
    Rgba8 {
        width: SIDE_PX,
        height: SIDE_PX,
        pixels: pixels.into(),
    }
}

/// 1 on thin slanted streaks, 0 elsewhere.
fn streak(x: u32, y: u32) -> f32 {
    f32::from(u8::from((3 * x + y) % 57 < 2 && (x / 19 + y / 43).is_multiple_of(2)))
}

fn house_color(x: u32, y: u32) -> [f32; 3] {
    let roof = [90, 130, 70, 150, 110][(x / 52) as usize];
    let fade = y as f32 / SIDE_PX as f32;
    if y < roof {
        return [0.45 + 0.3 * fade, 0.6 + 0.2 * fade, 0.8];
    }
    if y > 215 {
        return [0.3, 0.3, 0.32];
    }
    let window = x % 52 % 16 > 7 && y % 22 > 10;
    let tone = 0.35 + 0.08 * ((x / 52) as f32);
    if window {
        [0.15, 0.17, 0.2]
    } else {
        [tone + 0.12, tone, tone - 0.08]
    }
}

/// A spectrum that falls with the square of the frequency down to a floor of noise.
pub fn spectrum(noise: f32) -> SpectrumFrame {
    let side = SIDE_PX as f32;
    let power = |radius: f32| 40.0 / (radius * radius + 1e-4) + 2e4 * noise * noise + 1.0;
    let cycles = |bin: u32| (bin as f32 - side / 2.0) / side;
    let bins = (0..SIDE_PX).flat_map(|y| (0..SIDE_PX).map(move |x| power(cycles(x).hypot(cycles(y))).log10()));
    SpectrumFrame {
        width: SIDE_PX,
        height: SIDE_PX,
        log_power: bins.collect(),
        radial: (0..=SIDE_PX / 2)
            .map(|bin| (bin as f32 / side, power(bin as f32 / side)))
            .collect(),
    }
}
