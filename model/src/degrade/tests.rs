use super::*;
use image::Rgb;

/// A mid-tone scene with gradients and detail, so that nothing clips.
fn scene(width: u32, height: u32) -> Rgb32FImage {
    Rgb32FImage::from_fn(width, height, |x, y| {
        let (u, v) = (x as f32 / width as f32, y as f32 / height as f32);
        let detail = if (x / 5 + y / 7) % 2 == 0 { 0.05 } else { -0.05 };
        Rgb([
            0.3 + 0.2 * u + detail,
            0.35 + 0.2 * v - detail,
            0.5 - 0.2 * u * v + detail,
        ])
    })
}

fn run(scene: &Rgb32FImage, mix: &str, seed: u64) -> Rgb32FImage {
    degrade(scene, &mix.parse().expect(mix), seed).expect(mix).image
}

fn difference_rms(a: &Rgb32FImage, b: &Rgb32FImage) -> f64 {
    let sum: f64 = a.iter().zip(b.iter()).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / a.len() as f64).sqrt()
}

#[test]
fn severity_zero_is_the_exact_scene() {
    let scene = scene(64, 48);
    for mix in ["", "rain=0,haze=0,noise=0,snow=0"] {
        let degraded = degrade(&scene, &mix.parse().expect(mix), 3).expect(mix);
        assert_eq!(degraded.image, scene);
        let parameters = serde_json::to_value(&degraded.parameters).expect("serialises");
        assert_eq!(parameters, serde_json::json!({ "seed": 3 }));
    }
}

#[test]
fn seeds_decide_everything() {
    let scene = scene(64, 64);
    for class in CLASSES {
        let mix = format!("{class}=0.7");
        assert_eq!(run(&scene, &mix, 5), run(&scene, &mix, 5), "{class} is repeatable");
        assert_ne!(run(&scene, &mix, 5), run(&scene, &mix, 6), "{class} differs by seed");
    }
}

#[test]
fn all_values_stay_in_range_even_when_extrapolating() {
    let image = run(&scene(96, 96), "rain=1.5,haze=1.5,noise=1.5,snow=1.5", 1);
    assert!(image.iter().all(|value| (0.0..=1.0).contains(value)));
}

#[test]
fn rain_adds_the_same_light_with_and_without_haze() {
    let scene = scene(96, 80);
    let (rainy, veiled) = (run(&scene, "rain=0.6", 5), run(&scene, "haze=0.8", 5));
    let both = run(&scene, "rain=0.6,haze=0.8", 5);
    let light = |behind: &Rgb32FImage, out: &Rgb32FImage| {
        behind.iter().zip(out.iter()).map(|(b, o)| o - b).collect::<Vec<f32>>()
    };
    let (alone, mixed) = (light(&scene, &rainy), light(&veiled, &both));
    assert!(alone.iter().any(|light| *light > 0.15), "there is rain");
    let unclipped = both.iter().map(|value| *value < 1.0);
    let differences = alone
        .iter()
        .zip(&mixed)
        .zip(unclipped)
        .filter(|(_, kept)| *kept)
        .map(|((a, b), _)| (a - b).abs());
    let largest = differences.fold(0.0, f32::max);
    assert!(largest < 1e-4, "light differs by {largest}");
}

#[test]
fn weaker_rain_is_a_part_of_stronger_rain() {
    let scene = scene(96, 80);
    let (half, full) = (run(&scene, "rain=0.5", 9), run(&scene, "rain=1", 9));
    let (wet, lost) =
        half.iter()
            .zip(full.iter())
            .zip(scene.iter())
            .fold((0, 0), |(wet, lost), ((half, full), dry)| {
                let is_wet = half - dry > 0.02;
                (wet + i32::from(is_wet), lost + i32::from(is_wet && full < half))
            });
    assert!(
        wet > 50 && lost == 0,
        "{lost} of {wet} wet values are drier at full severity"
    );
}

#[test]
fn residual_grows_in_proportion_to_severity() {
    let scene = scene(256, 256);
    for class in ["rain", "snow", "noise"] {
        let rms = |severity: f32| difference_rms(&scene, &run(&scene, &format!("{class}={severity}"), 2));
        let levels = [0.1, 0.25, 0.5, 0.75, 1.0, 1.5].map(rms);
        assert!(levels.is_sorted(), "{class}: {levels:?}");
        let ratio = levels[2] / levels[4];
        assert!((0.45..=0.6).contains(&ratio), "{class}: half over full is {ratio}");
    }
}

#[test]
fn haze_lets_through_what_its_optical_depth_says() {
    let scene = scene(128, 96);
    for seed in 0..20 {
        let transmission = |mix: &str| {
            let degraded = degrade(&scene, &mix.parse().expect(mix), seed).expect(mix);
            let [None, Some(Drawn::Haze(haze)), None, None] = &degraded.parameters.classes[..] else {
                panic!("haze alone was asked for")
            };
            haze.mean_transmission
        };
        let (half, full) = (1.0 - transmission("haze=0.5"), 1.0 - transmission("haze=1"));
        assert!(
            (0.41..0.47).contains(&half) && (0.65..0.72).contains(&full),
            "seed {seed}: veil {half}, {full}"
        );
    }
}

#[test]
fn noise_is_unbiased_and_has_the_stated_variance() {
    let grey = Rgb32FImage::from_pixel(128, 128, Rgb([0.5; 3]));
    let noisy = run(&grey, "noise=1", 4);
    let mean = noisy.iter().map(|value| f64::from(*value)).sum::<f64>() / noisy.len() as f64;
    assert!((mean - 0.5).abs() < 2e-3, "mean {mean}");
    let expected = (0.09_f64.powi(2) * 0.5 + 0.035_f64.powi(2)).sqrt();
    let measured = difference_rms(&grey, &noisy);
    assert!(
        (measured / expected - 1.0).abs() < 0.03,
        "sigma {measured}, expected {expected}"
    );
}

#[test]
fn tiny_and_empty_images_work() {
    for (width, height) in [(1, 1), (7, 3), (15, 15), (2, 40), (0, 0)] {
        let out = run(&scene(width, height), "rain=1,haze=1,noise=1,snow=1", 8);
        assert_eq!(out.dimensions(), (width, height));
        assert!(out.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn unknown_classes_are_refused() {
    let error = degrade(&scene(16, 16), &"hail=1".parse().expect("parses"), 0).expect_err("unknown class");
    assert!(error.is_bad_input());
    assert_eq!(
        error.to_string(),
        "unknown class hail (known classes: rain, haze, noise, snow)"
    );
}

#[test]
fn a_severity_beyond_a_formula_is_refused() {
    let weak = Degradation {
        max_severity: 1.0,
        ..TABLE[0]
    };
    let severity = |mix: &str| weak.severity_in(&mix.parse().expect(mix));
    assert_eq!(severity("rain=1").expect("in range"), Some(1.0));
    assert_eq!(severity("haze=1").expect("another class"), None);
    let error = severity("rain=1.2").expect_err("too much");
    assert_eq!(error.to_string(), "rain is 1.2, and its formula goes up to 1");
}
