use image::{Rgb, Rgb32FImage};
use mdsd3_words::weather::Composition;

use super::drops::{LARGEST_MM, Rainfall, fall_speed, shells};
use super::*;
use crate::depth::{DepthSource, SceneDepth};
use crate::layers::Step;
use crate::shot::{Camera, Options};
use crate::stream::Scatter;
use crate::{Degraded, Drawn, degrade};

/// A depth of one distance everywhere, without sky.
fn wall(width: usize, height: usize, metres: f32) -> SceneDepth {
    SceneDepth {
        metres: Plane::filled(width, height, metres),
        sky: Plane::filled(width, height, 0.0),
        source: DepthSource::Estimate,
        notes: Vec::new(),
    }
}

fn grey(width: usize, height: usize, value: f32) -> Rgb32FImage {
    Rgb32FImage::from_pixel(width as u32, height as u32, Rgb([value; 3]))
}

fn rained(scene: &Rgb32FImage, depth: &SceneDepth, mix: &str, options: &Options<'_>) -> Degraded {
    degrade(scene, depth, &mix.parse().expect(mix), 5, options).expect(mix)
}

fn parameters(degraded: &Degraded) -> &RainParameters {
    match &degraded.parameters.classes[0] {
        Some(Drawn::Rain(parameters)) => parameters,
        other => panic!("no rain: {other:?}"),
    }
}

/// The opacity of the streaks and the last step of rain on a scene.
fn layers(scene: &Rgb32FImage, depth: &SceneDepth, mix: &str, composition: Composition) -> (Plane, Step) {
    let options = Options {
        layers: true,
        rain: composition,
        ..Options::default()
    };
    let mut steps = rained(scene, depth, mix, &options).steps.expect("layers");
    let at = steps.iter().position(|step| step.class == "rain").expect("rain");
    let mut step = steps.swap_remove(at);
    let map = step
        .maps
        .iter()
        .position(|(name, _)| *name == "streaks")
        .expect("streaks");
    (step.maps.swap_remove(map).1, step)
}

/// Gunn and Kinzer 1949, table 2, as Atlas et al. fitted it.
#[test]
fn drops_fall_as_fast_as_measured() {
    for (mm, metres_per_sec) in [(1.0, 4.03), (2.0, 6.49), (3.0, 8.06), (5.0, 9.09)] {
        let ratio = fall_speed(mm) / metres_per_sec;
        assert!((ratio - 1.0).abs() < 0.04, "{mm} mm: {ratio}");
    }
}

/// Python: `N0, s = 8000, 4.1 * 25**-0.21; N0 / s * exp(-s)` and
/// `2 * pi / 4 * 1e-6 * scipy.integrate.quad(lambda d: N0 * d * d * exp(-s * d), 0, 2)[0]`, then up to 6.
#[test]
fn drops_are_as_many_as_marshall_and_palmer_say() {
    let rainfall = Rainfall::of(25.0);
    let close = |is: f32, should: f32| assert!((is / should - 1.0).abs() < 1e-3, "{is} instead of {should}");
    close(rainfall.drops_above(1.0), 476.584);
    close(rainfall.extinction_per_metre(2.0), 2.177_51e-3);
    close(rainfall.extinction_per_metre(LARGEST_MM), 2.769_77e-3);
}

#[test]
fn sizes_have_the_exponential_distribution() {
    let rainfall = Rainfall::of(25.0);
    let mut numbers = Scatter::of_key(7);
    let drawn: Vec<f32> = (0..40_000)
        .map(|_| rainfall.diameter_mm(1.0, 1.0 - numbers.unit()))
        .collect();
    for bin in 0..8_u8 {
        let from = 1.0 + 0.25 * f64::from(bin);
        let to = from + 0.25;
        let inside = |mm: &&f32| (from..to).contains(&f64::from(**mm));
        let counted = drawn.iter().filter(inside).count() as f64;
        let share = |mm: f64| (-2.085_53 * (mm - 1.0)).exp();
        let expected = 40_000.0 * (share(from) - share(to));
        assert!(
            (counted - expected).abs() < 4.0 * expected.sqrt(),
            "{from} mm: {counted}, expected {expected}"
        );
    }
}

/// A camera of 1/250 s and a wind of 1 m/s before the depth.
fn shot<'a>(depth: &'a SceneDepth, options: &'a Options<'a>) -> Shot<'a> {
    Shot {
        depth,
        camera: Camera {
            focal_px: 0.87 * depth.metres.width as f32,
            exposure_secs: 0.004,
        },
        wind_metres_per_sec: 1.0,
        options,
    }
}

fn drops(depth: &SceneDepth, time: f32) -> Vec<Particle> {
    let options = Options {
        frame: (time, 0),
        ..Options::default()
    };
    let shot = shot(depth, &options);
    let places = Scatter::of_key(3);
    let shells = shells(&shot);
    let shells = shells.iter().zip(0..);
    shells
        .flat_map(|(shell, n)| shell.in_view(Rainfall::of(50.0), &shot, places.at(n)))
        .collect()
}

/// From the height of a streak follows the speed, from the speed the diameter (Atlas et al. 1973, turned round), from the
/// diameter how much of the image the drop covers at each moment: as much as its whole streak does over the exposure.
#[test]
fn streaks_are_as_long_and_as_opaque_as_their_drops_ask_for() {
    let depth = wall(1024, 683, 100.0);
    let focal = 0.87 * 1024.0;
    let drops = drops(&depth, 0.0);
    assert!(drops.len() > 5000, "{} drops", drops.len());
    let mut partly = 0;
    for drop in &drops {
        let path = 2.0 * drop.half_length_px;
        let speed = path * drop.direction.1 * drop.metres / (focal * 0.004);
        let mm = -libm::log(f64::from((9.65 - speed) / 10.3)) as f32 / 0.6;
        assert!((0.45..6.1).contains(&mm), "{mm} mm at {speed} m/s");
        let diameter = focal * mm * 1e-3 / drop.metres;
        let (radius, opacity) = (drop.radius_px, drop.opacity / OPACITY_GAIN);
        let covered = opacity * (16.0 / 15.0 * radius * path + std::f32::consts::PI / 3.0 * radius * radius);
        let expected = std::f32::consts::PI / 4.0 * diameter * diameter;
        partly += usize::from((covered / expected - 1.0).abs() > 0.02);
        assert!(covered < 1.02 * expected, "{covered} px covered, expected {expected}");
    }
    // The last drop of each of the ten shells is only partly there yet.
    assert!(partly <= 10, "{partly} cover less");
}

#[test]
fn drops_move_as_they_fall_and_stay_the_same() {
    let depth = wall(512, 341, 100.0);
    let (first, second) = (drops(&depth, 0.0), drops(&depth, 0.002));
    let key = |drop: &Particle| (drop.metres.to_bits(), drop.half_length_px.to_bits());
    let mut found = 0;
    for before in &first {
        let same = |after: &&Particle| key(after) == key(before);
        let Some(after) = second.iter().find(same) else {
            continue;
        };
        found += 1;
        // Half the exposure: half the streak.
        let moved = (after.centre.0 - before.centre.0, after.centre.1 - before.centre.1);
        let expected = (
            before.direction.0 * before.half_length_px,
            before.direction.1 * before.half_length_px,
        );
        let wrong = (moved.0 - expected.0).abs().max((moved.1 - expected.1).abs());
        assert!(wrong < 0.02, "moved by {moved:?} instead of {expected:?}");
    }
    assert!(found as f32 > 0.9 * first.len() as f32, "{found} of {}", first.len());
}

#[test]
fn nothing_is_before_what_is_nearer() {
    let mut depth = wall(160, 120, 80.0);
    for row in depth.metres.values.chunks_exact_mut(160) {
        row[..80].fill(0.3);
    }
    let (streaks, _) = layers(&grey(160, 120, 0.2), &depth, "rain=1", Composition::Alpha);
    let half = |from: usize| {
        (0..120)
            .map(|y| streaks.row(y)[from..from + 80].iter().sum::<f32>())
            .sum::<f32>()
    };
    assert!(half(0) <= 0.0, "rain before what is at 0.3 m");
    assert!(half(80) > 50.0, "no rain before what is at 80 m: {}", half(80));
    // And with the distance of what is behind it, more.
    let mean = |metres: f32| {
        layers(
            &grey(160, 120, 0.2),
            &wall(160, 120, metres),
            "rain=1",
            Composition::Alpha,
        )
        .0
        .mean()
    };
    let means = [0.5, 1.0, 2.0, 4.0, 8.0, 16.0].map(mean);
    assert!(means.is_sorted_by(|a, b| a < b), "{means:?}");
}

#[test]
fn more_rain_changes_more() {
    let scene = Rgb32FImage::from_fn(192, 128, |x, y| {
        Rgb([0.1 + 0.5 * y as f32 / 128.0, 0.3, 0.2 + x as f32 / 400.0])
    });
    let depth = wall(192, 128, 30.0);
    for rain in [Composition::Alpha, Composition::Additive] {
        let options = Options {
            rain,
            ..Options::default()
        };
        let change = |severity: f32| {
            let image = rained(&scene, &depth, &format!("rain={severity}"), &options).image;
            image
                .iter()
                .zip(scene.iter())
                .map(|(a, b)| f64::from(a - b).powi(2))
                .sum::<f64>()
        };
        let changes = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5].map(change);
        assert!(changes.is_sorted_by(|a, b| a < b), "{changes:?}");
    }
}

#[test]
fn drops_that_only_add_light_never_darken_and_add_alike_behind_haze() {
    let scene = Rgb32FImage::from_fn(96, 80, |x, _| Rgb([if x < 8 { 0.98 } else { 0.2 }; 3]));
    let depth = wall(96, 80, 40.0);
    let options = Options {
        rain: Composition::Additive,
        ..Options::default()
    };
    let rainy = rained(&scene, &depth, "rain=0.8", &options);
    assert!(
        rainy
            .image
            .iter()
            .zip(scene.iter())
            .all(|(wet, dry)| *wet >= dry - 1e-4)
    );
    let covering = rained(&scene, &depth, "rain=0.8", &Options::default()).image;
    assert!(
        covering.iter().zip(scene.iter()).any(|(wet, dry)| *wet < dry - 0.01),
        "drops cover what is bright"
    );
    let amount = |mix: &str| {
        let (_, step) = layers(&scene, &depth, mix, Composition::Additive);
        match step.operation {
            Operation::Blend {
                keep,
                light: Light::Uniform {
                    amount: Some(amount), ..
                },
            } => {
                assert_eq!(keep, Plane::filled(96, 80, 1.0));
                amount
            }
            other => panic!("{other:?}"),
        }
    };
    assert!(amount("rain=0.8").values.iter().any(|amount| *amount > 0.1));
    let streaks = |mix: &str| layers(&scene, &depth, mix, Composition::Additive).0;
    assert_eq!(streaks("rain=0.8"), streaks("rain=0.8,haze=1"));
}

/// The mean of squares of `width` pixels.
fn smaller(plane: &Plane, by: usize) -> Plane {
    Plane::from_rows(plane.width / by, plane.height / by, |y, row| {
        for (x, mean) in row.iter_mut().enumerate() {
            let block = (0..by * by).map(|i| plane.row(by * y + i / by)[by * x + i % by]);
            *mean = block.sum::<f32>() / (by * by) as f32;
        }
    })
}

fn correlation(a: &Plane, b: &Plane) -> f64 {
    let (mean_a, mean_b) = (f64::from(a.mean()), f64::from(b.mean()));
    let sums = a.values.iter().zip(&b.values).fold([0.0; 3], |sums, (a, b)| {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        [sums[0] + a * b, sums[1] + a * a, sums[2] + b * b]
    });
    sums[0] / (sums[1] * sums[2]).sqrt()
}

fn deviation(plane: &Plane) -> f64 {
    let mean = f64::from(plane.mean());
    let squares = plane.values.iter().map(|value| (f64::from(*value) - mean).powi(2));
    (squares.sum::<f64>() / plane.values.len() as f64).sqrt()
}

#[test]
fn a_photo_shows_the_same_rain_at_any_size() {
    let kept = |size: usize| {
        let (scene, depth) = (grey(3 * size, 2 * size, 0.2), wall(3 * size, 2 * size, 60.0));
        match layers(&scene, &depth, "rain=0.7", Composition::Alpha).1.operation {
            Operation::Blend { keep, .. } => keep,
            other => panic!("{other:?}"),
        }
    };
    // A small photo's veil has the drops that only a large one shows as streaks.
    let difference = kept(80).mean() - kept(320).mean();
    assert!(difference.abs() < 0.01, "keeps {difference} more of the light");
    // From about a thousand pixels on the drops are the same; the tiles of distant rain have a whole number of pixels, so that
    // fine streaks lie up to half a pixel elsewhere.
    let (small, large) = (kept(342), smaller(&kept(684), 2));
    let alike = correlation(&small, &large);
    assert!(alike > 0.65, "correlation {alike}");
    let contrast = deviation(&small) / deviation(&large);
    assert!(
        (contrast - 1.0).abs() < 0.1,
        "contrast over that of the larger photo: {contrast}"
    );
}

/// Across the streaks the opacity changes much more than along them, and they lean as the wind blows.
#[test]
fn streaks_have_one_direction_and_it_is_the_winds() {
    let depth = wall(768, 512, 60.0);
    let scene = grey(768, 512, 0.2);
    let options = Options {
        layers: true,
        ..Options::default()
    };
    for seed in [1, 2, 3] {
        let degraded = degrade(&scene, &depth, &"rain=0.7".parse().expect("mix"), seed, &options).expect("rain");
        let step = &degraded.steps.as_ref().expect("layers")[0];
        let streaks = &step.maps[0].1;
        let mut tensor = [0.0_f64; 3];
        for y in 1..511 {
            for x in 1..767 {
                let right = f64::from(streaks.row(y)[x + 1] - streaks.row(y)[x - 1]);
                let down = f64::from(streaks.row(y + 1)[x] - streaks.row(y - 1)[x]);
                tensor = [
                    tensor[0] + right * right,
                    tensor[1] + right * down,
                    tensor[2] + down * down,
                ];
            }
        }
        let [xx, xy, yy] = tensor;
        let (mean, spread) = (0.5 * (xx + yy), (0.25 * (xx - yy).powi(2) + xy * xy).sqrt());
        assert!(
            (mean + spread) / (mean - spread) > 2.0,
            "energies across over along: {tensor:?}"
        );
        // The direction across the streaks; they themselves lean from vertical by as much.
        let lean = -(0.5 * (2.0 * xy).atan2(xx - yy)).to_degrees() as f32;
        let wind = parameters(&degraded).wind_metres_per_sec;
        let lean_of = |mm: f32| (wind / fall_speed(mm)).atan().to_degrees();
        let (least, most) = (lean_of(3.0).abs() - 1.0, lean_of(1.0).abs() + 1.0);
        assert!(
            (least..most).contains(&(lean * wind.signum())),
            "lean {lean} in a wind of {wind} m/s"
        );
    }
}
