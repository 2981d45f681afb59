use super::*;
use image::Rgb;
use mdsd3_words::weather::Space;

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

fn made(scene: &Rgb32FImage, mix: &str, seed: u64) -> Degraded {
    let depth = depth::estimate(scene);
    degrade(scene, &depth, &mix.parse().expect(mix), seed, &Options::default()).expect(mix)
}

fn run(scene: &Rgb32FImage, mix: &str, seed: u64) -> Rgb32FImage {
    made(scene, mix, seed).image
}

fn every_class(severity: f32) -> String {
    CLASSES.map(|class| format!("{class}={severity}")).join(",")
}

fn difference_rms(a: &Rgb32FImage, b: &Rgb32FImage) -> f64 {
    let sum: f64 = a.iter().zip(b.iter()).map(|(a, b)| f64::from(a - b).powi(2)).sum();
    (sum / a.len() as f64).sqrt()
}

#[test]
fn severity_zero_is_the_exact_scene() {
    let scene = scene(64, 48);
    for mix in ["", "rain=0,haze=0,noise=0,snow=0"] {
        let degraded = made(&scene, mix, 3);
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
        if !["jpeg", "downsample"].contains(&class) {
            assert_ne!(run(&scene, &mix, 5), run(&scene, &mix, 6), "{class} differs by seed");
        }
    }
}

#[test]
fn all_values_stay_in_range_even_when_extrapolating() {
    let image = run(&scene(96, 96), &every_class(1.5), 1);
    assert!(image.iter().all(|value| (0.0..=1.0).contains(value)));
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
fn a_stronger_class_changes_more_on_any_number_of_cores_alike() {
    let scene = scene(96, 80);
    let severities = [0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5];
    let on = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        pool.install(|| CLASSES.map(|class| severities.map(|severity| run(&scene, &format!("{class}={severity}"), 2))))
    };
    let (alone, together) = (on(1), on(3));
    assert!(alone == together, "the number of cores shows");
    for (class, images) in CLASSES.iter().zip(&alone) {
        let levels = images.each_ref().map(|image| difference_rms(&scene, image));
        assert!(levels.is_sorted() && levels[0] > 0.0, "{class}: {levels:?}");
    }
}

#[test]
fn the_layers_put_together_are_the_image() {
    let scene = scene(64, 48);
    let depth = depth::estimate(&scene);
    let mask = plane::Plane::from_rows(64, 48, |_, row| row[..20].fill(0.5));
    let regions = [Region {
        class: "haze".to_owned(),
        mask,
    }];
    for space in [Space::Srgb, Space::Linear] {
        let options = Options {
            space,
            layers: true,
            regions: &regions,
            ..Options::default()
        };
        let degraded = degrade(&scene, &depth, &every_class(0.6).parse().expect("mix"), 5, &options).expect("degraded");
        let again = layers::put_together(&scene, &degraded.steps.expect("layers"));
        let largest = again
            .iter()
            .zip(degraded.image.iter())
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f32::max);
        assert!(largest < 0.5 / 255.0, "{space:?}: {largest}");
    }
}

#[test]
fn an_order_is_followed_and_the_rest_keeps_to_physics() {
    let order = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        in_order(&names).map(|classes| classes.iter().map(|(_, class)| class.name).collect::<Vec<_>>())
    };
    let place = |names: &[&str], class: &str| {
        order(names)
            .expect("an order")
            .iter()
            .position(|name| *name == class)
            .expect("every class")
    };
    assert!(place(&[], "haze") < place(&[], "rain") && place(&[], "snow") < place(&[], "noise"));
    assert!(place(&["rain", "haze"], "rain") < place(&["rain", "haze"], "haze"));
    assert!(place(&["rain", "haze"], "haze") < place(&["rain", "haze"], "noise"));
    for (names, fault) in [(["rain", "rain"], "twice"), (["rain", "fog"], "no class")] {
        let error = order(&names).expect_err("bad order").to_string();
        assert!(error.contains(fault), "{error}");
    }
}

#[test]
fn tiny_and_empty_images_work() {
    for (width, height) in [(1, 1), (7, 3), (15, 15), (2, 40), (0, 0)] {
        let out = run(&scene(width, height), &every_class(1.0), 8);
        assert_eq!(out.dimensions(), (width, height));
        assert!(out.iter().all(|value| value.is_finite()));
    }
}

#[test]
fn unknown_classes_are_refused() {
    let error = {
        let scene = scene(16, 16);
        let hail = "hail=1".parse().expect("parses");
        degrade(&scene, &depth::estimate(&scene), &hail, 0, &Options::default()).expect_err("unknown class")
    };
    assert!(error.is_bad_input());
    assert_eq!(
        error.to_string(),
        format!("unknown class hail (known classes: {})", CLASSES.join(", "))
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
