//! The program, run as a user runs it.

mod adapter;
mod analyze;
mod bad_copies;
mod bad_input;
mod bench;
mod frozen;
mod photos;
mod program;
#[path = "../skipped.rs"]
mod skipped;
mod studio;
mod sweep;
mod training;
mod weather;

use std::fs;
use std::path::Path;

use mdsd3_render::metadata;
use program::{files_in, mdsd3, photo, repository};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("one JSON object")
}

fn size_of(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).expect("a readable image")
}

#[test]
fn render_without_arguments_mixes_the_demo_photo_and_says_where_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for _ in 0..2 {
        // The second time it replaces its own file.
        let said = mdsd3(folder.path(), ["render"]).succeeded();
        assert!(said.contains("demo photo") && said.contains("mdsd3-mix.png"), "{said}");
    }
    assert_eq!(files_in(folder.path()), ["mdsd3-mix.png"]);
    assert_eq!(size_of(&folder.path().join("mdsd3-mix.png")), (256, 256));
}

#[test]
fn render_writes_steps_spectra_and_settings_that_restore_the_run() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scene = photo("great-wall.jpg");
    let scene = scene.to_string_lossy();
    let args = [
        "render",
        &scene,
        "--mix",
        "haze=0.8,rain=0.5",
        "--size",
        "64",
        "--steps",
        "3",
        "--seed",
        "9",
        "--beta",
    ];
    let args = args.into_iter().chain([
        "0.2",
        "--sampler",
        "heun",
        "-o",
        "out.png",
        "--steps-dir",
        "steps",
        "--spectra",
        "--json",
    ]);
    let report = json(&mdsd3(folder.path(), args).succeeded());
    assert_eq!(
        files_in(folder.path()),
        ["out-radial.csv", "out-spectrum.png", "out.png", "steps"]
    );
    let mut expected: Vec<String> = ["spectrum", "x0_hat", "x_t"]
        .iter()
        .flat_map(|what| (0..3).map(move |step| format!("step-{step:02}-{what}.png")))
        .collect();
    expected.push("radial.csv".to_owned());
    expected.sort();
    assert_eq!(files_in(&folder.path().join("steps")), expected);
    assert_eq!(size_of(&folder.path().join("steps/step-02-x0_hat.png")), (64, 64));

    assert_eq!(report["output"], "out.png");
    assert_eq!(report["sigmas"].as_array().map(Vec::len), Some(4));
    assert_eq!(report["step_secs"].as_array().map(Vec::len), Some(3));
    assert!(report["elapsed_secs"].as_f64() > Some(0.0) && report["peak_memory_bytes"].as_u64() > Some(1 << 20));
    let settings = metadata::read_settings(&folder.path().join("out.png")).expect("settings");
    assert_eq!(
        serde_json::to_value(&settings.request).expect("plain data"),
        report["request"]
    );
    assert_eq!(
        (
            settings.request.sampling.seed,
            settings.request.sampling.mix.to_string().as_str()
        ),
        (9, "haze=0.8,rain=0.5")
    );
    assert_eq!(settings.model.sha256.len(), 64);

    let info = mdsd3(folder.path(), ["info", "out.png"]).succeeded();
    assert!(
        info.contains("Mix: haze=0.8,rain=0.5") && info.contains("Sampler: heun") && info.contains("Seed: 9"),
        "{info}"
    );
}

#[test]
fn the_same_command_writes_the_same_file() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for output in ["one.png", "two.png"] {
        mdsd3(folder.path(), ["render", "--size", "64", "--steps", "2", "-o", output]).succeeded();
    }
    let read = |name: &str| fs::read(folder.path().join(name)).expect("written");
    assert!(read("one.png") == read("two.png"));
}

/// A name that is no Unicode, which only Unix has.
#[cfg(unix)]
#[test]
fn files_whose_names_are_no_unicode_work() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scene = OsStr::from_bytes(b"scene\xff.jpg");
    fs::copy(photo("great-wall.jpg"), folder.path().join(scene)).expect("copied");
    let args = [
        OsStr::new("render"),
        scene,
        OsStr::new("--json"),
        OsStr::new("-o"),
        OsStr::from_bytes(b"out\xff.png"),
    ];
    let report = json(&mdsd3(folder.path(), args).succeeded());
    assert_eq!(report["request"]["scene"], "scene\u{fffd}.jpg");
    assert_eq!(files_in(folder.path()).len(), 2);
}

#[test]
fn aspect_keeps_the_shape_of_the_photo() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    mdsd3(
        folder.path(),
        [
            "render", "--size", "64", "--fit", "aspect", "--steps", "1", "-o", "out.png",
        ],
    )
    .succeeded();
    let (width, height) = size_of(&folder.path().join("out.png"));
    assert_eq!(width.min(height), 64);
    assert!(
        width > height,
        "the demo photo is wider than high, the result is {width}x{height}"
    );
}

#[test]
fn degrade_writes_the_photo_at_its_own_size_and_its_parameters() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let scene = photo("great-wall.jpg");
    let scene_text = scene.to_string_lossy();
    let args = [
        "degrade",
        &scene_text,
        "--mix",
        "haze=0.7,rain=0.4",
        "-o",
        "x.png",
        "--json",
    ];
    let report = json(&mdsd3(folder.path(), args).succeeded());
    assert_eq!(size_of(&folder.path().join("x.png")), size_of(&scene));
    assert!(
        report["parameters"]["rain"].is_object() && report["parameters"]["haze"].is_object(),
        "{report}"
    );
    assert!(report["parameters"]["snow"].is_null());
    let args = [
        "degrade",
        &scene_text,
        "--mix",
        "haze=0.7,rain=0.4",
        "--size",
        "96",
        "-o",
        "small.png",
    ];
    mdsd3(folder.path(), args).succeeded();
    assert_eq!(size_of(&folder.path().join("small.png")), (96, 96));
    assert_eq!(files_in(folder.path()), ["small.png", "x.png"]);
}

#[test]
fn info_describes_the_bundled_model() {
    let said = mdsd3(&repository(), ["info"]).succeeded();
    for word in ["rain", "haze", "noise", "snow", "sha256"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn doctor_names_the_display_and_the_devices() {
    let said = mdsd3(&repository(), ["doctor"]).succeeded();
    for word in ["cores", "display", "graphics", "cpu", "cuda:0", "model"] {
        assert!(said.contains(word), "{said}");
    }
}

#[test]
fn parity_passes_on_the_goldens_and_fails_when_one_is_altered() {
    let goldens = repository().join("tests/goldens");
    let report = json(&mdsd3(&goldens, ["parity", ".", "--json"]).succeeded());
    let cases = report["cases"].as_array().expect("cases");
    for folder in ["mdsd3_tiny", "mdsd35_tiny", "flow_match_euler", "focal_frequency_loss"] {
        assert!(
            cases.iter().any(|case| case["folder"] == folder),
            "{folder} was not checked"
        );
    }

    let folder = tempfile::tempdir().expect("a temporary folder");
    let copy = folder.path().join("mdsd3_tiny");
    fs::create_dir(&copy).expect("a folder");
    for name in ["config.json", "weights.safetensors"] {
        fs::copy(goldens.join("mdsd3_tiny").join(name), copy.join(name)).expect("copied");
    }
    bad_copies::change_file(
        &goldens.join("mdsd3_tiny/case.safetensors"),
        &copy.join("case.safetensors"),
        |tensors| {
            let expected = tensors.get_mut("out_masked").expect("the golden has this tensor");
            let first = f32::from_le_bytes(expected.data[..4].try_into().expect("four bytes"));
            expected.data[..4].copy_from_slice(&(first + 0.01).to_le_bytes());
        },
    );
    let ended = mdsd3(folder.path(), ["parity", "."]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let differing: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("DIFFERS")).collect();
    assert!(differing.len() == 1 && differing[0].contains("out_masked"), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
}

#[cfg(all(unix, not(target_os = "macos")))]
#[test]
fn without_a_display_the_bare_command_names_its_headless_twin() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let line = mdsd3(folder.path(), [""; 0]).refused(1);
    assert!(
        line.contains("display") && line.contains("cargo run --release -- render"),
        "{line}"
    );
    assert_eq!(files_in(folder.path()), [""; 0]);
}

#[test]
fn help_goes_to_stdout() {
    let said = mdsd3(&repository(), ["--help"]).succeeded();
    for command in [
        "studio", "render", "degrade", "sweep", "train", "parity", "info", "doctor",
    ] {
        assert!(said.contains(command), "{said}");
    }
    let said = mdsd3(&repository(), ["degrade", "--help"]).succeeded();
    let places = ["haze", "rain", "snow", "noise"].map(|class| said.find(&format!("\n  {class} ")));
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "light meets haze first and the sensor last: {said}"
    );
}
