use image::{Rgb, Rgb32FImage};

use super::*;
use crate::Options;
use crate::depth::{DepthSource, SceneDepth};
use crate::light::linear_from_encoded;

fn scene_depth(width: usize, height: usize, metres: impl Fn(usize) -> f32 + Sync, sky_rows: usize) -> SceneDepth {
    SceneDepth {
        metres: Plane::from_rows(width, height, |_, row| {
            row.iter_mut().enumerate().for_each(|(x, value)| *value = metres(x));
        }),
        sky: Plane::from_rows(width, height, |y, row| row.fill(if y < sky_rows { 1.0 } else { 0.0 })),
        source: DepthSource::Estimate,
        notes: Vec::new(),
    }
}

struct Hazy {
    image: Rgb32FImage,
    transmission: Plane,
    parameters: HazeParameters,
}

fn hazed(scene: &Rgb32FImage, depth: &SceneDepth, severity: f32, seed: u64, options: &Options<'_>) -> Hazy {
    let options = Options {
        layers: true,
        ..options.clone()
    };
    let mix = format!("haze={severity}").parse().expect("mix");
    let degraded = crate::degrade(scene, depth, &mix, seed, &options).expect("degraded");
    let Some(crate::Drawn::Haze(parameters)) = degraded.parameters.classes.into_iter().flatten().next() else {
        panic!("haze was asked for");
    };
    let step = degraded.steps.expect("layers").remove(0);
    let Operation::Blend { keep, .. } = step.operation else {
        panic!("haze is a blend");
    };
    Hazy {
        image: degraded.image,
        transmission: keep,
        parameters,
    }
}

/// Expected by numpy: `numpy.exp(-0.05 * numpy.array([1, 10, 50, 200]))`.
#[test]
fn even_air_lets_through_what_koschmieder_says() {
    let metres = [1.0, 10.0, 50.0, 200.0];
    let depth = scene_depth(4, 1, |x| metres[x], 0);
    let options = Options::default();
    let shot = Shot::draw(&depth, &options, Stream::new(1, 9, 1.0));
    let even = Banks::draw(&shot, 0.0, &mut Stream::new(1, 1, 1.0));
    let through = transmission_plane(&shot, &even, 0.05, 0.0);
    for (t, expected) in through
        .values
        .iter()
        .zip([0.951_229_4, 0.606_530_7, 0.082_085, 4.539_99e-5])
    {
        assert!((t - expected).abs() < 2e-5, "{t} {expected}");
    }
}

fn unchanged(value: f32) -> f32 {
    value
}

#[test]
fn the_image_is_scene_and_airlight_by_transmission_in_the_space_asked_for() {
    let scene = Rgb32FImage::from_fn(48, 32, |x, y| Rgb([x as f32 / 60.0, 0.3, y as f32 / 40.0]));
    let depth = scene_depth(48, 32, |x| 5.0 + x as f32, 8);
    for space in [Space::Srgb, Space::Linear] {
        let options = Options {
            space,
            ..Options::default()
        };
        let hazy = hazed(&scene, &depth, 0.6, 3, &options);
        let (to, from) = match space {
            Space::Srgb => (unchanged as fn(f32) -> f32, unchanged as fn(f32) -> f32),
            Space::Linear => (
                linear_from_encoded as fn(f32) -> f32,
                encoded_from_linear as fn(f32) -> f32,
            ),
        };
        for ((clean, hazed), t) in scene.pixels().zip(hazy.image.pixels()).zip(&hazy.transmission.values) {
            for c in 0..3 {
                let expected = from(to(clean.0[c]) * t + to(hazy.parameters.airlight[c]) * (1.0 - t));
                assert!(
                    (hazed.0[c] - expected).abs() < 1e-3,
                    "{space:?}: {} {expected}",
                    hazed.0[c]
                );
            }
        }
    }
}

#[test]
fn two_hundredths_of_the_contrast_are_left_at_the_visibility() {
    let depth = scene_depth(8, 8, |_| 10.0, 0);
    let scene = Rgb32FImage::from_pixel(8, 8, Rgb([0.4; 3]));
    for (severity, visibility) in [(0.25, 284.51), (0.5, 142.25), (1.0, 71.13), (1.5, 47.42)] {
        let parameters = hazed(&scene, &depth, severity, 2, &Options::default()).parameters;
        assert!(
            (parameters.visibility_metres - visibility).abs() < 0.01,
            "{parameters:?}"
        );
        let left = transmission(parameters.beta_per_metre * parameters.visibility_metres);
        assert!((left - 0.02).abs() < 1e-4, "{left}");
    }
}

#[test]
fn the_whole_sky_goes_to_airlight() {
    for (width, height) in [(96, 64), (64, 96), (64, 128)] {
        // Blue, clouds, and a sun.
        let scene = Rgb32FImage::from_fn(width, height, |x, y| match (x / 16 + y / 8) % 3 {
            0 => Rgb([0.2, 0.4, 0.8]),
            1 => Rgb([0.8; 3]),
            _ => Rgb([1.0, 1.0, 0.95]),
        });
        let depth = scene_depth(width as usize, height as usize, |_| 40.0, height as usize * 9 / 10);
        for seed in 0..8 {
            let hazy = hazed(&scene, &depth, 1.0, seed, &Options::default());
            let above = hazy.image.pixels().take(width as usize * (height as usize * 9 / 10));
            let largest = above
                .flat_map(|pixel| pixel.0.into_iter().zip(hazy.parameters.airlight))
                .map(|(value, airlight)| 255.0 * (value - airlight).abs())
                .fold(0.0, f32::max);
            assert!(largest < 6.0, "{width}x{height}, seed {seed}: {largest}");
        }
    }
}

#[test]
fn more_haze_veils_more_everywhere() {
    let scene = Rgb32FImage::from_pixel(64, 48, Rgb([0.4; 3]));
    let depth = scene_depth(64, 48, |x| 1.1_f32.powi(x as i32), 12);
    let severities = [0.05, 0.1, 0.25, 0.4, 0.5, 0.7, 0.9, 1.0, 1.2, 1.5];
    let planes = severities.map(|severity| hazed(&scene, &depth, severity, 5, &Options::default()).transmission);
    for pair in planes.windows(2) {
        assert!(
            pair[0]
                .values
                .iter()
                .zip(&pair[1].values)
                .all(|(less, more)| more <= less)
        );
        assert!(pair[1].mean() < pair[0].mean());
    }
}

/// Density of the air over its mean, minus 1, in front of a wall that is nearer than the first bank's end.
fn excess(depth: &SceneDepth, seed: u64, secs: f32) -> (Vec<f32>, f32) {
    let scene = Rgb32FImage::from_pixel(depth.metres.width as u32, depth.metres.height as u32, Rgb([0.4; 3]));
    let options = Options {
        variety: &[("haze", 0.0)],
        frame: (secs, 0),
        ..Options::default()
    };
    let hazy = hazed(&scene, depth, 1.0, seed, &options);
    let mean = hazy.parameters.beta_per_metre * 10.0;
    let density = hazy.transmission.values.iter().map(|t| -libm::logf(*t) / mean - 1.0);
    (density.collect(), hazy.parameters.unevenness)
}

#[test]
fn air_is_as_uneven_as_it_says() {
    let depth = scene_depth(48, 48, |_| 10.0, 0);
    let (mut squares, mut count, mut stated) = (0.0, 0.0, 0.0);
    for seed in 0..60 {
        let (values, unevenness) = excess(&depth, seed, 0.0);
        squares += values.iter().map(|value| value * value).sum::<f32>();
        count += values.len() as f32;
        stated = unevenness;
    }
    let sigma = (squares / count).sqrt();
    assert!((stated - 0.25).abs() < 1e-6, "the middle of its range");
    assert!((sigma / stated - 1.0).abs() < 0.15, "{sigma}, stated {stated}");
}

/// By a discrete Fourier transform of each row minus its mean line: structure below a sixteenth of the width has next to no
/// part in the air's unevenness.
#[test]
fn air_is_uneven_in_large_clouds() {
    const SIDE: usize = 128;
    let depth = scene_depth(SIDE, SIDE, |_| 10.0, 0);
    let (values, _) = excess(&depth, 11, 0.0);
    let (mut coarse, mut fine) = (0.0, 0.0);
    for row in values.chunks_exact(SIDE).step_by(8) {
        // The line through its ends, which a transform would take for a jump.
        let slope = (row[SIDE - 1] - row[0]) / SIDE as f32;
        for frequency in 1..SIDE / 2 {
            let (mut real, mut imaginary) = (0.0, 0.0);
            for (x, value) in row.iter().enumerate() {
                let angle = std::f32::consts::TAU * (frequency * x % SIDE) as f32 / SIDE as f32;
                let value = value - row[0] - slope * x as f32;
                real += value * libm::cosf(angle);
                imaginary += value * libm::sinf(angle);
            }
            let energy = real * real + imaginary * imaginary;
            if frequency <= 8 {
                coarse += energy;
            } else {
                fine += energy;
            }
        }
    }
    assert!(fine < 0.01 * coarse, "{fine} {coarse}");
}

#[test]
fn the_air_drifts_with_the_wind() {
    const SIDE: usize = 100;
    let depth = scene_depth(SIDE, SIDE, |_| 10.0, 0);
    let options = Options::default();
    let shot = Shot::draw(&depth, &options, Stream::new(6, crate::SHOT_STREAM, 1.0));
    // The first bank is drawn at 7 m: a pixel there is 7 / 87 m wide.
    let shift = if shot.wind_metres_per_sec > 0.0 { 20 } else { -20 };
    let secs = shift as f32 * 7.0 / 87.0 / shot.wind_metres_per_sec;
    let (before, after) = (excess(&depth, 6, 0.0).0, excess(&depth, 6, secs).0);
    let mut largest = 0.0_f32;
    for y in 0..SIDE {
        for x in 20..SIDE - 20 {
            let came_from = (x as i32 - shift) as usize;
            largest = largest.max((after[y * SIDE + x] - before[y * SIDE + came_from]).abs());
        }
    }
    let moved = before
        .iter()
        .zip(&after)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(
        largest < 0.01 && moved > 0.05,
        "differs by {largest} where it went, by {moved} in place"
    );
}

#[test]
fn airlight_is_that_of_the_scene() {
    let scene =
        |sky: [f32; 3], ground: f32| Rgb32FImage::from_fn(96, 64, |_, y| Rgb(if y < 24 { sky } else { [ground; 3] }));
    let depth = scene_depth(96, 64, |_| 30.0, 24);
    let airlights = |sky, ground| -> Vec<[f32; 3]> {
        let of_seed = |seed| hazed(&scene(sky, ground), &depth, 0.5, seed, &Options::default());
        (0..40).map(|seed| of_seed(seed).parameters.airlight).collect()
    };
    for [red, green, blue] in airlights([0.05, 0.05, 0.07], 0.03) {
        assert!(
            red.max(green).max(blue) < 0.12,
            "air glows at night: {red} {green} {blue}"
        );
    }
    let day = airlights([0.75, 0.78, 0.82], 0.4);
    assert!(day.iter().all(|[_, green, _]| (0.6..0.9).contains(green)), "{day:?}");
    assert!(
        day.iter().any(|[red, _, blue]| blue > &(red + 0.04)),
        "some air is blue"
    );
    assert!(
        day.iter().any(|[red, _, blue]| red > &(blue + 0.03)),
        "some air is yellow"
    );
    for [red, green, blue] in airlights([0.3, 0.75, 0.8], 0.3) {
        assert!(green <= red.max(blue) + 1e-4, "green air: {red} {green} {blue}");
    }
}

#[test]
fn tiny_and_empty_images_are_veiled() {
    for (width, height) in [(0, 0), (1, 1), (3, 1), (1, 40)] {
        let scene = Rgb32FImage::from_pixel(width, height, Rgb([0.3; 3]));
        let depth = scene_depth(width as usize, height as usize, |_| 10.0, 0);
        let hazy = hazed(&scene, &depth, 1.5, 1, &Options::default());
        assert!(
            hazy.image.iter().all(|value| (0.0..=1.0).contains(value)),
            "{width}x{height}"
        );
    }
}
