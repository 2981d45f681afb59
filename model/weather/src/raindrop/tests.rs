use image::{Rgb, Rgb32FImage};

use super::*;
use crate::depth::estimate;
use crate::plane::Plane;
use crate::shot::Options;
use crate::{Degraded, degrade};

fn dropped(scene: &Rgb32FImage, severity: f32, options: &Options<'_>) -> Degraded {
    let mix = format!("raindrop={severity}").parse().expect("mix");
    degrade(scene, &estimate(scene), &mix, 4, options).expect("drops")
}

fn keep(scene: &Rgb32FImage, severity: f32) -> Plane {
    let options = Options {
        layers: true,
        ..Options::default()
    };
    match dropped(scene, severity, &options)
        .steps
        .expect("layers")
        .swap_remove(0)
        .operation
    {
        Operation::Blend { keep, .. } => keep,
        other => panic!("{other:?}"),
    }
}

fn halves(width: u32, height: u32) -> Rgb32FImage {
    Rgb32FImage::from_fn(width, height, |x, _| Rgb([if x < width / 2 { 0.1 } else { 0.9 }; 3]))
}

/// Degrees within the water, bend in radians, share that passes. Python: `i = radians(a); o = arcsin(1.333 * sin(i)); o - i` and, by Fresnel's sines and tangents,
/// `1 - (sin(i - o) / sin(i + o))**2 / 2 - (tan(i - o) / tan(i + o))**2 / 2`.
const GOLDEN: [(f32, f32, f32); 3] = [
    (10.0, 0.059_059, 0.979_592),
    (30.0, 0.205_905, 0.974_481),
    (45.0, 0.444_855, 0.860_542),
];

#[test]
fn light_is_bent_and_reflected_as_by_water() {
    for (degrees, bend, passes) in GOLDEN {
        let (is_bend, is_passes) = refracted(f32::sin(f32::to_radians(degrees)));
        assert!((is_bend - bend).abs() < 1e-4, "{degrees}: bent by {is_bend}");
        assert!((is_passes - passes).abs() < 1e-4, "{degrees}: {is_passes} passes");
        let (by_table, _) = refraction(f32::sin(f32::to_radians(degrees)));
        assert!(
            (by_table - bend).abs() < 1e-3,
            "{degrees}: bent by {by_table} in the table"
        );
    }
}

#[test]
fn a_drop_shows_the_scene_upside_down_with_a_dark_rim() {
    let scene = halves(200, 100);
    let drops = [Drop {
        centre: (100.0, 50.0),
        radius: 20.0,
        stretch: 1.0,
        lobes: [0.0; 4],
        sine_of_contact: SINE_OF_CONTACT.1,
        presence: 1.0,
    }];
    let glass = Glass {
        drops: &drops,
        view: View::of(&scene),
        focal_px: 174.0,
        glint: 0.0,
    };
    let (keep, light) = Layer::of(&glass, (200, 100), 1.0).enlarged(200, 100);
    let at = |x: usize| light.get_pixel(x as u32, 50).0[0];
    assert!(
        (keep.row(50)[100], keep.row(50)[60]) == (0.0, 1.0),
        "covered where the drop is"
    );
    assert!(
        (at(90) - 0.9).abs() < 0.05 && (at(110) - 0.1).abs() < 0.05,
        "{} and {}",
        at(90),
        at(110)
    );
    assert!(
        at(80) < 0.93 * at(90),
        "the rim at {} and the inside at {}",
        at(80),
        at(90)
    );
}

#[test]
fn more_drops_cover_more_and_stay() {
    let scene = halves(192, 128);
    let planes = [0.05, 0.25, 0.5, 1.0, 1.5].map(|severity| keep(&scene, severity));
    let covers = planes.each_ref().map(|keep| 1.0 - keep.mean());
    assert!(covers.is_sorted_by(|a, b| a < b), "{covers:?}");
    assert!((0.1..0.3).contains(&covers[3]), "{covers:?}");
    let lost = planes[2]
        .values
        .iter()
        .zip(&planes[3].values)
        .filter(|(half, full)| **half < 0.1 && **full > 0.5);
    assert!(lost.count() < 30, "drops went away");
    let still = |frame| {
        dropped(
            &scene,
            0.5,
            &Options {
                frame,
                ..Options::default()
            },
        )
        .image
    };
    assert_eq!(still((0.0, 0)), still((2.0, 48)));
}

#[test]
fn what_no_drop_covers_is_as_it_was() {
    let scene = halves(192, 128);
    let (keep, image) = (keep(&scene, 0.4), dropped(&scene, 0.4, &Options::default()).image);
    let dry = keep
        .values
        .iter()
        .zip(scene.pixels().zip(image.pixels()))
        .filter(|(keep, _)| **keep >= 1.0);
    let wrong = dry
        .map(|(_, (before, after))| (before.0[0] - after.0[0]).abs())
        .fold(0.0, f32::max);
    assert!(wrong < 1e-4, "differs by {wrong}");
}

#[test]
fn a_photo_has_the_same_drops_at_any_size() {
    let (small, large) = (keep(&halves(240, 160), 0.8), keep(&halves(960, 640), 0.8));
    let smaller = Plane::from_rows(240, 160, |y, row| {
        for (x, mean) in row.iter_mut().enumerate() {
            *mean = (0..16).map(|i| large.row(4 * y + i / 4)[4 * x + i % 4]).sum::<f32>() / 16.0;
        }
    });
    let differences = small
        .values
        .iter()
        .zip(&smaller.values)
        .map(|(a, b)| f64::from(a - b).powi(2));
    let rms = (differences.sum::<f64>() / small.values.len() as f64).sqrt();
    assert!(rms < 0.05, "cover differs by {rms}");
}
