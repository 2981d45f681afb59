use image::{Rgb, Rgb32FImage};

use super::*;

fn plane(width: usize, height: usize, value: impl Fn(usize, usize) -> f32 + Sync) -> Plane {
    Plane::from_rows(width, height, |y, row| {
        row.iter_mut().enumerate().for_each(|(x, v)| *v = value(x, y));
    })
}

/// By hand: focused on 10 m, 5 cm of aperture and 1000 px of focal length give discs of `25 * |1 / d - 0.1|` px in
/// radius.
#[test]
fn discs_are_those_of_a_thin_lens() {
    let lens = Lens {
        focus: 0.1,
        radius_px_metres: 25.0,
        largest_px: 8.0,
    };
    let metres = plane(4, 1, |x, _| [10.0, 5.0, 50.0, 1.0][x]);
    let radii = lens.radii(&metres).values;
    for (found, expected) in radii.iter().zip([0.0, -2.5, 2.0, -8.0]) {
        assert!((found - expected).abs() < 1e-5, "{radii:?}");
    }
}

#[test]
fn nine_tenths_are_below_the_radius_asked_for_and_a_share_is_nearer_than_the_focus() {
    let metres = plane(100, 100, |x, y| 2.0 + 0.1 * x as f32 + 0.3 * y as f32);
    for nearer in [0.1, 0.5, 0.9] {
        let lens = Lens::focused(&metres, nearer, 6.0);
        let radii = lens.radii(&metres).values;
        let share = |is: fn(f32) -> bool| radii.iter().filter(|radius| is(**radius)).count() as f32 / 10_000.0;
        assert!((share(|radius| radius.abs() <= 6.0) - 0.9).abs() < 0.01);
        assert!((share(|radius| radius < 0.0) - nearer).abs() < 0.01);
    }
}

#[test]
fn a_scene_without_depth_is_blurred_as_a_whole() {
    let lens = Lens::focused(&Plane::filled(20, 20, 18.0), 0.4, 3.0);
    assert!(
        lens.radii(&Plane::filled(20, 20, 18.0))
            .values
            .iter()
            .all(|radius| (radius - 3.0).abs() < 1e-4)
    );
}

/// A red square in focus before a green distance: the green stays green up to the edge, and the red stays sharp.
#[test]
fn what_is_sharp_does_not_leak_into_the_blur_behind_it() {
    let is_square = |x: usize, y: usize| (20..44).contains(&x) && (20..44).contains(&y);
    let scene = Rgb32FImage::from_fn(64, 64, |x, y| {
        let red = f32::from(is_square(x as usize, y as usize));
        Rgb([red, 1.0 - red, 0.0])
    });
    let out = blurred(&scene, &plane(64, 64, |x, y| if is_square(x, y) { 0.0 } else { 9.0 }));
    let largest = out
        .iter()
        .zip(scene.iter())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(largest < 1e-3, "{largest}");
}

/// The other way round: the square is near and blurred, and lets the sharp green through on both sides of its edge
/// alike.
#[test]
fn a_blurred_edge_in_front_lets_through_what_it_hides() {
    let is_near = |x: usize| x < 64;
    let scene = Rgb32FImage::from_fn(128, 48, |x, _| {
        let red = f32::from(is_near(x as usize));
        Rgb([red, 1.0 - red, 0.0])
    });
    let radius = 9.0;
    let out = blurred(&scene, &plane(128, 48, |x, _| if is_near(x) { -radius } else { 0.0 }));
    for x in 40..88 {
        // The share of a disc on one side of a line through it.
        let away = ((64.0 - (x as f32 + 0.5)) / radius).clamp(-1.0, 1.0);
        let expected = 0.5 + (away * (1.0 - away * away).sqrt() + away.asin()) / std::f32::consts::PI;
        let [red, green, _] = out.get_pixel(x, 24).0;
        assert!((red - expected).abs() < 0.04, "{x}: {red}, expected {expected}");
        assert!((red + green - 1.0).abs() < 1e-3);
    }
}

/// A slope of depth keeps a constant colour, and the blur of a line is as wide as the disc at its place.
#[test]
fn a_slope_is_blurred_without_seams() {
    let scene = Rgb32FImage::from_pixel(96, 96, Rgb([0.2, 0.5, 0.8]));
    let slope = plane(96, 96, |_, y| 12.0 - 24.0 * y as f32 / 96.0);
    let out = blurred(&scene, &slope);
    let largest = out
        .iter()
        .zip(scene.iter())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    assert!(largest < 1e-4, "{largest}");
}
