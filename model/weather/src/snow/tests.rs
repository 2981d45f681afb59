use image::{Rgb, Rgb32FImage};

use super::*;
use crate::Options;
use crate::depth::DepthSource;
use crate::layers::Step;
use crate::stream::Stream;

/// Everything at one distance, and a part of each column from the top that is sky.
fn scene_depth(width: usize, height: usize, metres: f32, sky_rows: usize) -> SceneDepth {
    SceneDepth {
        metres: Plane::filled(width, height, metres),
        sky: Plane::from_rows(width, height, |y, row| row.fill(if y < sky_rows { 1.0 } else { 0.0 })),
        source: DepthSource::Estimate,
        notes: Vec::new(),
    }
}

fn drawn(depth: &SceneDepth, mm_per_hour: f32, secs: f32) -> Vec<Flake> {
    let options = Options {
        frame: (secs, 0),
        ..Options::default()
    };
    let shot = Shot::draw(depth, &options, Stream::new(5, 99, 1.0));
    let size = (depth.metres.width as f32, depth.metres.height as f32);
    let diameters_mm = Sizes::at(mm_per_hour).diameters_mm();
    let stream = Stream::new(7, 3, 1.0);
    let layers = layers(shot.camera, size);
    let of_layer = |(place, layer)| flakes(layer, &diameters_mm, &shot, size, stream.of_part(0, place as u32));
    layers.iter().enumerate().flat_map(of_layer).collect()
}

fn snowed(scene: &Rgb32FImage, depth: &SceneDepth, severity: f32) -> (Rgb32FImage, Vec<Step>, SnowParameters) {
    let options = Options {
        layers: true,
        ..Options::default()
    };
    let mix = format!("snow={severity}").parse().expect("mix");
    let degraded = crate::degrade(scene, depth, &mix, 4, &options).expect("degraded");
    let parameters = degraded.parameters.classes.into_iter().flatten().next();
    let Some(crate::Drawn::Snow(parameters)) = parameters else {
        panic!("snow was asked for");
    };
    (degraded.image, degraded.steps.expect("layers"), parameters)
}

fn keep(step: &Step) -> &Plane {
    match &step.operation {
        Operation::Blend { keep, .. } => keep,
        other => panic!("not a blend: {other:?}"),
    }
}

/// Expected by numpy: `n0 / l * (exp(-l * a) - exp(-l * b))` for melted diameters from `a` to `b` millimetres,
/// `n0, l = 3800, 2.55` at 1 mm/h; the diameters are `(a ** 3 / 0.178) ** (1 / 2.078)`.
#[test]
fn the_drawn_sizes_are_those_of_gunn_and_marshall() {
    let depth = scene_depth(2048, 2048, 1e3, 0);
    let flakes = drawn(&depth, 1.0, 0.0);
    let focal_px = 0.87 * 2048.0;
    // What the camera sees between 0.63 m (the second layer's end) and 1.9 m (the fifth's), in cubic metres.
    let (near, far) = (0.63_f32, 1.92_f32);
    let volume = (far.powi(3) - near.powi(3)) / 3.0 / (0.87 * 0.87);
    for (from, to, expected) in [
        (2.2946, 4.1201, 83.85),
        (4.1201, 6.2418, 23.43),
        (6.2418, 11.2079, 8.377),
    ] {
        let count = flakes.iter().filter(|flake| {
            let inside = |at: f32| (0.0..2048.0).contains(&at);
            let diameter_mm = 2e3 * flake.radius_px * flake.metres / focal_px;
            (near..far).contains(&flake.metres)
                && inside(flake.centre.0)
                && inside(flake.centre.1)
                && (from..to).contains(&diameter_mm)
        });
        let (count, expected) = (count.count() as f32, expected * volume);
        let deviation = (count - expected).abs() / expected.sqrt();
        assert!(
            deviation < 3.0,
            "{from} to {to} mm: {count} flakes, expected {expected}"
        );
    }
}

/// Expected by `scipy.integrate.quad` of N(D) times the cross-section, from 0 to 4 mm melted, at 0.5, 1 and 2 mm/h.
#[test]
fn snow_takes_as_much_light_as_its_flakes_cover() {
    for (mm_per_hour, expected) in [(0.5, 1.080_168e-3), (1.0, 2.138_192e-3), (2.0, 4.038_876e-3)] {
        let extinction = Sizes::at(mm_per_hour).cross_section_from(0.0);
        assert!(
            (extinction / expected - 1.0).abs() < 0.01,
            "{mm_per_hour} mm/h: {extinction}"
        );
    }
}

#[test]
fn flakes_fall_at_one_to_one_and_a_half_metres_per_second_and_move_so_between_frames() {
    let depth = scene_depth(512, 384, 1e3, 0);
    let (before, after) = (drawn(&depth, 3.0, 0.0), drawn(&depth, 3.0, 0.04));
    let options = Options::default();
    let shot = Shot::draw(&depth, &options, Stream::new(5, 99, 1.0));
    let (mut sum, mut moved) = (0.0, 0);
    for flake in &before {
        let fall = flake.way_px.1 / shot.camera.exposure_secs;
        sum += fall * flake.metres / shot.camera.focal_px;
        let same = after
            .iter()
            .find(|other| other.metres.to_bits() == flake.metres.to_bits());
        let Some(same) = same.filter(|same| same.centre.1 > flake.centre.1) else {
            continue; // out of the view, or in again at its top
        };
        moved += 1;
        let fallen_px = same.centre.1 - flake.centre.1;
        assert!((fallen_px - 0.04 * fall).abs() < 0.01, "{flake:?} {same:?}");
    }
    let mean = sum / before.len() as f32;
    assert!((1.0..1.5).contains(&mean), "{mean} m/s");
    assert!(
        moved * 10 > before.len() * 8,
        "{moved} of {} flakes stayed",
        before.len()
    );
}

#[test]
fn nothing_falls_in_front_of_what_is_nearer() {
    let all = scene_depth(240, 160, 60.0, 0);
    let mut step = all.clone();
    for row in step.metres.values.chunks_exact_mut(240) {
        row[..120].fill(1.0);
    }
    let flakes = drawn(&all, 6.0, 0.0);
    let nearer: Vec<Flake> = flakes.iter().filter(|flake| flake.metres < 1.0).copied().collect();
    let lens = Lens {
        focus_metres: 10.0,
        aperture_px: 0.004 * 0.87 * 240.0,
    };
    let [behind, front, before_step] =
        [(&flakes, &all), (&nearer, &all), (&flakes, &step)].map(|(flakes, depth)| render(flakes, &lens, depth));
    assert!(!nearer.is_empty() && nearer.len() < flakes.len());
    for y in 0..160 {
        assert_eq!(before_step.row(y)[..120], front.row(y)[..120], "row {y}");
        assert_eq!(before_step.row(y)[120..], behind.row(y)[120..], "row {y}");
    }
    assert!(
        1.0 - behind.mean() > 1.1 * (1.0 - front.mean()),
        "there is snow behind the step"
    );
}

#[test]
fn more_snow_covers_more_everywhere() {
    let scene = Rgb32FImage::from_pixel(160, 120, Rgb([0.2, 0.25, 0.2]));
    let mut depth = scene_depth(160, 120, 20.0, 30);
    for (i, metres) in depth.metres.values.iter_mut().enumerate() {
        *metres = 0.5 * 1.03_f32.powi((i % 160) as i32);
    }
    let mut before: Option<Vec<Step>> = None;
    for severity in [0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.2, 1.35, 1.5] {
        let (_, steps, parameters) = snowed(&scene, &depth, severity);
        if let Some(before) = &before {
            for (less, more) in before.iter().zip(&steps) {
                let (less, more) = (keep(less), keep(more));
                let thinner = less.values.iter().zip(&more.values).map(|(less, more)| more - less);
                let largest = thinner.fold(0.0, f32::max);
                assert!(largest < 1e-5, "{severity}: thinner by {largest}");
                assert!(more.mean() < less.mean());
            }
        }
        assert!(parameters.flakes > 50);
        before = Some(steps);
    }
}

#[test]
fn the_flakes_of_light_snow_are_part_of_heavy_snow() {
    let depth = scene_depth(320, 240, 40.0, 0);
    let (light, heavy) = (drawn(&depth, 1.0, 0.0), drawn(&depth, 6.0, 0.0));
    assert_eq!(light.len(), heavy.len());
    for (light, heavy) in light.iter().zip(&heavy) {
        assert_eq!(
            (light.centre, light.way_px, light.metres),
            (heavy.centre, heavy.way_px, heavy.metres)
        );
        assert!(light.radius_px < heavy.radius_px, "{light:?} {heavy:?}");
    }
}

/// The same photo at 256 and at 1024 pixels: as much is covered, and the large flakes are the same ones.
#[test]
fn the_snowfall_is_the_same_at_every_size() {
    let of_size = |width: u32| {
        let scene = Rgb32FImage::from_pixel(width, width / 4 * 3, Rgb([0.2, 0.25, 0.2]));
        let depth = scene_depth(width as usize, (width / 4 * 3) as usize, 30.0, 0);
        let (_, steps, parameters) = snowed(&scene, &depth, 1.0);
        let (veil, flakes) = (keep(&steps[0]).clone(), keep(&steps[1]).clone());
        (veil, flakes, parameters)
    };
    let (small_veil, small, small_drawn) = of_size(256);
    let (large_veil, large, large_drawn) = of_size(1024);
    let reduced = Plane::from_rows(256, 192, |y, row| {
        for (x, value) in row.iter_mut().enumerate() {
            let block = (0..16).map(|i| large.row(4 * y + i / 4)[4 * x + i % 4]);
            *value = block.sum::<f32>() / 16.0;
        }
    });
    let covered = |veil: &Plane, flakes: &Plane| 1.0 - veil.mean() * flakes.mean();
    let (small_covered, large_covered) = (covered(&small_veil, &small), covered(&large_veil, &large));
    assert!(
        (small_covered / large_covered - 1.0).abs() < 0.1,
        "{small_covered} {large_covered}"
    );
    let about_mean = |plane: &Plane| {
        let mean = plane.mean();
        plane.values.iter().map(|value| value - mean).collect::<Vec<f32>>()
    };
    let (a, b) = (about_mean(&small), about_mean(&reduced));
    let product = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let correlation = product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt();
    assert!(correlation > 0.7, "{correlation}");
    assert!((small_drawn.colour[1] - large_drawn.colour[1]).abs() < 0.01);
}

#[test]
fn a_flake_takes_the_light_of_its_cross_section_however_blurred() {
    let depth = scene_depth(96, 96, 1e3, 0);
    for (radius_px, aperture_px, way_px) in [
        (0.3, 0.0, (0.0, 0.0)),
        (0.3, 0.0, (3.0, 9.0)),
        (1.0, 2.0, (0.0, 4.0)),
        (2.0, 16.0, (5.0, 12.0)),
        (6.0, 0.0, (0.0, 0.0)),
        (6.0, 8.0, (4.0, 20.0)),
    ] {
        let mut sum = 0.0;
        // In several places between the pixels and turned several ways: on average, as in an image.
        for place in 0..16 {
            let flake = Flake {
                metres: 1.0,
                centre: (48.0 + 0.25 * (place % 4) as f32, 48.0 + 0.25 * (place / 4) as f32),
                radius_px,
                way_px,
                lobes: (0.6, -0.8),
            };
            let lens = Lens {
                focus_metres: 1e6,
                aperture_px,
            };
            sum += render(&[flake], &lens, &depth)
                .values
                .iter()
                .map(|keep| 1.0 - keep)
                .sum::<f32>()
                / 16.0;
        }
        let expected = std::f32::consts::PI * radius_px * radius_px;
        assert!(
            (sum / expected - 1.0).abs() < 0.06,
            "{radius_px} {aperture_px} {way_px:?}: {sum}, {expected}"
        );
    }
}

#[test]
fn flakes_are_as_light_as_their_surroundings_allow() {
    let scene =
        |sky: f32, ground: f32| Rgb32FImage::from_fn(96, 72, |_, y| Rgb([if y < 30 { sky } else { ground }; 3]));
    let depth = scene_depth(96, 72, 25.0, 30);
    let light = |sky, ground| snowed(&scene(sky, ground), &depth, 0.5).2;
    let (day, dusk, night) = (light(0.93, 0.4), light(0.4, 0.2), light(0.08, 0.05));
    assert!(day.colour[1] > 0.75 && day.colour[1] <= 0.93, "{day:?}");
    assert!(day.veil_colour[1] >= day.colour[1]);
    assert!(dusk.colour[1] > 0.25 && dusk.colour[1] < 0.6, "{dusk:?}");
    assert!(night.colour[1] < 0.2, "{night:?}");
}

#[test]
fn tiny_and_empty_images_are_snowed_on() {
    for (width, height) in [(0, 0), (1, 1), (3, 1), (1, 40)] {
        let scene = Rgb32FImage::from_pixel(width, height, Rgb([0.3; 3]));
        let depth = scene_depth(width as usize, height as usize, 10.0, 0);
        let (image, ..) = snowed(&scene, &depth, 1.5);
        assert!(
            image.iter().all(|value| (0.0..=1.0).contains(value)),
            "{width}x{height}"
        );
    }
}
