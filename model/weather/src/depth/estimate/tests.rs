use image::Rgb;

use super::super::SceneDepth;
use super::*;

/// Noise in `0..1` that depends on the place alone.
fn hash(x: u32, y: u32) -> f32 {
    let mixed = (x.wrapping_mul(0x9E37_79B1) ^ y.wrapping_mul(0x85EB_CA77)).wrapping_mul(0xC2B2_AE3D);
    ((mixed ^ (mixed >> 15)).wrapping_mul(0x27D4_EB2F) >> 8) as f32 / 16_777_216.0
}

fn sky_colour(y: u32) -> Rgb<f32> {
    let v = y as f32 / 128.0;
    Rgb([0.35 + 0.4 * v, 0.55 + 0.3 * v, 0.9])
}

fn ground_colour(x: u32, y: u32) -> Rgb<f32> {
    let grain = 0.7 + 0.6 * hash(x, y);
    Rgb([0.25 * grain, 0.32 * grain, 0.15 * grain])
}

const BORDER: u32 = 70;

/// A sky above a field.
fn field(x: u32, y: u32) -> Rgb<f32> {
    if y < BORDER { sky_colour(y) } else { ground_colour(x, y) }
}

/// A brick tower whose foot is in row 95, before that sky and field.
fn tower(x: u32, y: u32) -> Rgb<f32> {
    if (80..104).contains(&x) && (20..95).contains(&y) {
        let joint = if y % 6 < 1 || x % 8 < 1 { 0.75 } else { 1.0 };
        Rgb([0.55, 0.3, 0.22].map(|value: f32| value * joint))
    } else {
        field(x, y)
    }
}

fn scene(colour: impl Fn(u32, u32) -> Rgb<f32>) -> Rgb32FImage {
    Rgb32FImage::from_fn(192, 128, colour)
}

fn at(plane: &Plane, x: usize, y: usize) -> f32 {
    plane.row(y)[x]
}

fn row_mean(plane: &Plane, y: usize) -> f32 {
    plane.row(y).iter().sum::<f32>() / plane.width as f32
}

#[test]
fn a_sky_is_found_to_the_pixel() {
    let SceneDepth { sky, .. } = estimate(&scene(field));
    let is_above = |at: usize| at / 192 < BORDER as usize;
    let (mut both, mut either) = (0, 0);
    for (at, share) in sky.values.iter().enumerate() {
        both += u32::from(*share > 0.5 && is_above(at));
        either += u32::from(*share > 0.5 || is_above(at));
    }
    assert!(f64::from(both) / f64::from(either) > 0.98, "{both} of {either}");
    for x in 0..192 {
        let end = (0..128).find(|y| at(&sky, x, *y) <= 0.5).expect("sky ends");
        assert!(end.abs_diff(BORDER as usize) <= 1, "column {x} ends at {end}");
    }
    let inside = &sky.values[..192 * (BORDER as usize - 4)];
    assert!(inside.iter().all(|share| *share >= 0.999), "full inside");
    let below = &sky.values[192 * (BORDER as usize + 4)..];
    assert!(below.iter().all(|share| *share <= 0.001), "nothing below");
}

#[test]
fn ground_is_the_nearer_the_lower_it_lies() {
    let SceneDepth { metres, .. } = estimate(&scene(field));
    let rows: Vec<f32> = (BORDER as usize + 4..124)
        .step_by(4)
        .map(|y| row_mean(&metres, y))
        .collect();
    assert!(rows.windows(2).all(|pair| pair[1] < pair[0]), "{rows:?}");
    let (far, near) = (rows[0], rows[rows.len() - 1]);
    assert!(far > 3.0 * near, "from {near} m to {far} m");
    let mut sorted = metres.values[192 * BORDER as usize..].to_vec();
    sorted.sort_unstable_by(f32::total_cmp);
    let median = sorted[sorted.len() / 2];
    assert!((median / MEDIAN_METRES - 1.0).abs() < 0.1, "median {median} m");
}

#[test]
fn a_tower_stands_where_its_foot_is() {
    let SceneDepth { metres, sky, .. } = estimate(&scene(tower));
    let ground_at_foot = at(&metres, 40, 94);
    for y in (24..92).step_by(4) {
        let (depth, share) = (at(&metres, 92, y), at(&sky, 92, y));
        assert!(share < 0.02, "row {y} of the tower is sky by {share}");
        let ratio = depth / ground_at_foot;
        assert!(
            (0.75..1.33).contains(&ratio),
            "row {y}: {depth} m, its foot {ground_at_foot} m"
        );
    }
    assert!(
        at(&sky, 92, 10) > 0.99 && at(&sky, 40, 40) > 0.99,
        "the sky is around it"
    );
}

#[test]
fn walls_and_noise_have_no_sky_and_little_depth() {
    let noise = |x: u32, y: u32| Rgb([hash(x, y), hash(x + 999, y), hash(x, y + 999)]);
    let grey = |_: u32, _: u32| Rgb([0.5; 3]);
    let wall = |x: u32, y: u32| {
        let joint = if y % 18 < 3 || (x + y / 18 * 15) % 30 < 3 {
            0.75
        } else {
            0.9
        };
        Rgb([joint, joint * 0.95, joint * 0.86])
    };
    for (name, image) in [("noise", scene(noise)), ("grey", scene(grey)), ("wall", scene(wall))] {
        let SceneDepth { metres, sky, .. } = estimate(&image);
        assert!(sky.values.iter().all(|share| *share < 0.01), "{name} has a sky");
        let (near, far) = metres
            .values
            .iter()
            .fold((f32::MAX, 0.0_f32), |(a, b), m| (a.min(*m), b.max(*m)));
        assert!(far < 4.0 * near, "{name} goes from {near} m to {far} m");
    }
}

#[test]
fn a_mirrored_photo_has_the_mirrored_depth() {
    for picture in [tower, field] {
        let image = scene(picture);
        let mirrored = estimate(&image::imageops::flip_horizontal(&image)).mirrored();
        let depth = estimate(&image);
        for (a, b) in depth.metres.values.iter().zip(&mirrored.metres.values) {
            assert!((a / b - 1.0).abs() < 1e-3, "{a} m and {b} m");
        }
        for (a, b) in depth.sky.values.iter().zip(&mirrored.sky.values) {
            assert!((a - b).abs() < 1e-3, "{a} and {b}");
        }
    }
}

#[test]
fn any_size_has_the_same_depth() {
    let small = estimate(&scene(tower));
    for factor in [2, 5] {
        let large = Rgb32FImage::from_fn(192 * factor, 128 * factor, |x, y| tower(x / factor, y / factor));
        let large = estimate(&large);
        let (mut worst, mut sum) = (0.0_f32, 0.0);
        for y in 0..128 {
            for x in 0..192 {
                let there = factor as usize * (y * large.metres.width + x) + factor as usize / 2;
                let metres = large.metres.values[there];
                let difference = (at(&small.metres, x, y) / metres).ln().abs();
                if at(&small.sky, x, y) < 0.5 {
                    worst = worst.max(difference);
                    sum += difference;
                }
            }
        }
        let mean = sum / (192.0 * 128.0);
        assert!(
            mean < 0.02,
            "{factor} times the size differs by {mean}, at most {worst}"
        );
    }
}

#[test]
fn the_smallest_images_have_a_depth() {
    for (width, height) in [(0, 0), (1, 1), (1, 300), (300, 1), (7, 9)] {
        let depth = estimate(&Rgb32FImage::from_pixel(width, height, Rgb([0.4, 0.5, 0.6])));
        assert_eq!(depth.metres.values.len(), (width * height) as usize);
        assert!(
            depth
                .metres
                .values
                .iter()
                .all(|metres| metres.is_finite() && *metres > 0.0)
        );
    }
}

fn photo(name: &str) -> Rgb32FImage {
    let path = format!("{}/../../assets/photos/{name}.jpg", env!("CARGO_MANIFEST_DIR"));
    let photo = image::open(&path).expect(&path).into_rgb8();
    let (width, height) = (photo.width() / 4, photo.height() / 4);
    let small = image::imageops::thumbnail(&photo, width, height);
    image::DynamicImage::from(small).into_rgb32f()
}

/// Mean of metres in a rectangle given in shares of the width and height: left, top, right, bottom.
fn metres_in(depth: &SceneDepth, [left, top, right, bottom]: [f32; 4]) -> f32 {
    let metres = depth.metres_with_sky();
    let to = |share: f32, side: usize| (share * side as f32) as usize;
    let (mut sum, mut count) = (0.0, 0.0);
    for y in to(top, metres.height)..to(bottom, metres.height) {
        for value in &metres.row(y)[to(left, metres.width)..to(right, metres.width)] {
            sum += value;
            count += 1.0;
        }
    }
    sum / count
}

/// Photos, how much of each is sky (counted by hand within 0.05), and a near and a far part.
const PHOTOS: [(&str, f32, [f32; 4], [f32; 4]); 6] = [
    ("aizkorri-ridge", 0.17, [0.1, 0.75, 0.9, 0.98], [0.25, 0.15, 0.9, 0.35]),
    ("machu-picchu", 0.21, [0.45, 0.7, 0.95, 0.95], [0.02, 0.3, 0.25, 0.5]),
    ("great-wall", 0.38, [0.1, 0.75, 0.6, 0.97], [0.3, 0.3, 0.6, 0.4]),
    ("pont-du-gard", 0.12, [0.6, 0.8, 0.98, 0.98], [0.3, 0.12, 0.95, 0.22]),
    ("maldives-jetty", 0.56, [0.4, 0.85, 0.7, 0.98], [0.35, 0.68, 0.7, 0.74]),
    ("woodland-stream", 0.0, [0.1, 0.75, 0.9, 0.98], [0.3, 0.02, 0.6, 0.25]),
];

#[test]
fn photos_have_their_sky_and_are_near_in_front_and_far_behind() {
    for (name, sky, near, far) in PHOTOS {
        let depth = estimate(&photo(name));
        let share = depth.sky.mean();
        assert!((share - sky).abs() < 0.05, "{name}: {share} of it is sky");
        let (near, far) = (metres_in(&depth, near), metres_in(&depth, far));
        assert!(near < 20.0 && far > 2.0 * near, "{name}: near {near} m, far {far} m");
    }
}

#[test]
fn depth_jumps_only_where_the_photo_does() {
    for (name, ..) in PHOTOS {
        let image = photo(name);
        let depth = estimate(&image);
        let metres = depth.metres_with_sky();
        let (mut jumps, mut even) = (0_u32, 0_u32);
        for y in 0..image.height() {
            for x in 1..image.width() {
                let (a, b) = (image.get_pixel(x - 1, y), image.get_pixel(x, y));
                let differs = a.0.iter().zip(b.0).any(|(a, b)| (a - b).abs() > 0.02);
                if !differs {
                    let (x, y) = (x as usize, y as usize);
                    even += 1;
                    let veil = |x: usize| (-0.035 * at(&metres, x, y)).exp();
                    jumps += u32::from((veil(x - 1) - veil(x)).abs() > 0.03);
                }
            }
        }
        let share = f64::from(jumps) / f64::from(even);
        assert!(share < 0.01, "{name}: depth jumps at {share} of the even places");
    }
}
