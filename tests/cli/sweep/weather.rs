//! Depth maps, masks, orders and layers of plans.

use std::fs;

use image::{ImageBuffer, Luma};
use serde_json::Value;

use super::support::{Project, tree};
use crate::program::{files_in, mdsd3};

/// A depth map that is near at the top and far at the bottom, unlike any estimate.
fn upside_down(project: &Project, name: &str) {
    let path = project.root().join(name);
    fs::create_dir_all(path.parent().expect("a folder")).expect("created");
    let map = ImageBuffer::<Luma<u16>, Vec<u16>>::from_fn(40, 35, |_, y| Luma([1000 + 1000 * y as u16]));
    map.save(path).expect("saved");
}

fn info(project: &Project, pair: &str) -> Value {
    let path = project.root().join(format!("out/info/{pair}.json"));
    serde_json::from_slice(&fs::read(path).expect("there")).expect("JSON")
}

fn mean_of_rows(project: &Project, image: &str, from: u32, to: u32) -> f64 {
    let image = image::open(project.root().join(image)).expect("an image").to_luma8();
    let rows = image.enumerate_pixels().filter(|(_, y, _)| (from..to).contains(y));
    let values: Vec<f64> = rows.map(|(.., value)| f64::from(value[0])).collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn each_photo_has_its_own_depth_and_says_where_it_is_from() {
    let project = Project::new("mixes = [{ haze = 1.0 }]\ndepth = \"depth/{stem}.png\"");
    upside_down(&project, "depth/a.png");
    upside_down(&project, "b.depth.png");
    project.sweep(&["-o", "out"]).succeeded();
    assert_eq!(
        files_in(&project.root().join("out/lq")),
        ["a.png", "b.png", "c.png"],
        "a depth map is no photo"
    );
    let sources = ["a", "b", "c"].map(|pair| {
        let info = info(&project, pair);
        (
            info["depth"]["source"].clone(),
            info["request"]["depth"].clone(),
            info["weather_version"].clone(),
        )
    });
    assert_eq!(sources[0], ("file".into(), "depth/a.png".into(), 2.into()));
    assert_eq!(sources[1], ("file".into(), "b.depth.png".into(), 2.into()));
    assert_eq!(sources[2], ("estimate".into(), Value::Null, 2.into()));
    let note = &info(&project, "c")["weather_notes"][0];
    assert!(
        note.as_str()
            .is_some_and(|note| note.contains("depth/c.png is not there")),
        "{note}"
    );
    // All photos darken downwards by little; haze lightens what is far.
    assert!(mean_of_rows(&project, "out/lq/a.png", 40, 64) > mean_of_rows(&project, "out/lq/a.png", 0, 20));
}

#[test]
fn a_pair_with_depth_and_masks_is_made_again_and_watches_its_files() {
    let plan = "mixes = [{ haze = 1.0, rain = 0.5 }]\nseeds = [0, 1]\ncrop = 50\ndepth = \"depth/{stem}.png\"\n\
                order = [\"rain\", \"haze\"]\nspace = \"linear\"\nrain_composition = \"additive\"\nwhere = { rain = \"mask.png\" }";
    let project = Project::new(plan);
    for name in ["a", "b", "c"] {
        upside_down(&project, &format!("depth/{name}.png"));
    }
    fs::create_dir(project.root().join("masks")).expect("created");
    let mask = ImageBuffer::<Luma<u8>, Vec<u8>>::from_fn(80, 70, |x, _| Luma([if x < 40 { 255 } else { 0 }]));
    mask.save(project.root().join("masks/mask.png")).expect("saved");
    let text = fs::read_to_string(project.root().join("plan.toml")).expect("a plan");
    let text = text.replace("\"mask.png\"", "\"masks/mask.png\"");
    fs::write(project.root().join("plan.toml"), text).expect("written");
    project.sweep(&["-o", "out", "--shard", "0/2"]).succeeded();
    let source = files_in(&project.root().join("out/lq"));
    let source = format!("out/lq/{}", source.first().expect("a pair"));
    mdsd3(&project.root(), ["render", "--from", &source, "-o", "masks/again.png"]).succeeded();
    let read = |path: &str| fs::read(project.root().join(path)).expect("a file");
    assert!(read("masks/again.png") == read(&source));
    let white = ImageBuffer::<Luma<u8>, Vec<u8>>::from_pixel(80, 70, Luma([255]));
    white.save(project.root().join("masks/mask.png")).expect("saved");
    let line = mdsd3(&project.root(), ["render", "--from", &source, "-o", "masks/again.png"]).refused(2);
    assert!(line.contains("has changed since it was made"), "{line}");
    let ended = project.sweep(&["-o", "out", "--shard", "0/2", "--resume"]);
    assert_eq!(ended.code, Some(0), "all of its pairs are there: {ended:?}");
    let ended = project.sweep(&["-o", "out", "--shard", "1/2"]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(
        ended.stderr.contains("has changed since this dataset was begun"),
        "{ended:?}"
    );
}

#[test]
fn what_decides_the_weather_decides_the_hash() {
    let hash = |more: &str| {
        let project = Project::new(&format!("mixes = [{{ haze = 1.0, rain = 1.0 }}]\n{more}"));
        let said = project.sweep(&["--dry-run"]).succeeded();
        said.lines()
            .find(|line| line.starts_with("plan "))
            .expect("a hash")
            .to_owned()
    };
    let plain = hash("");
    for more in [
        "order = [\"rain\", \"haze\"]",
        "space = \"linear\"",
        "depth = \"{stem}.npy\"",
        "rain_composition = \"additive\"",
    ] {
        assert_ne!(plain, hash(more), "{more}");
    }
    assert_eq!(plain, hash("space = \"srgb\""), "defaults are left out");
}

#[test]
fn the_eleven_folders_of_cdd11_are_made_by_formulas() {
    let classes = ["low_light", "haze", "rain", "snow"];
    let mut mixes: Vec<String> = classes.iter().map(|class| format!("{{ {class} = 0.5 }}")).collect();
    for weather in ["rain", "snow"] {
        mixes.push(format!("{{ low_light = 0.5, {weather} = 0.5 }}"));
        mixes.push(format!("{{ haze = 0.5, {weather} = 0.5 }}"));
        mixes.push(format!("{{ low_light = 0.5, haze = 0.5, {weather} = 0.5 }}"));
    }
    mixes.push("{ low_light = 0.5, haze = 0.5 }".to_owned());
    let project = Project::new(&format!("layout = \"cdd11\"\nmixes = [{}]", mixes.join(", ")));
    project.sweep(&["-o", "out"]).succeeded();
    let mut folders = files_in(&project.root().join("out"));
    folders.retain(|name| project.root().join("out").join(name).join("a.png").is_file());
    // https://github.com/gy65896/OneRestore, README, "CDD-11".
    let expected = [
        "clear",
        "haze",
        "haze_rain",
        "haze_snow",
        "low",
        "low_haze",
        "low_haze_rain",
        "low_haze_snow",
        "low_rain",
        "low_snow",
        "rain",
        "snow",
    ];
    assert_eq!(folders, expected);
    mdsd3(&project.root(), ["sweep", "--verify", "out"]).succeeded();
}

#[test]
fn layers_are_in_the_journal_and_verified() {
    for layout in ["basicsr", "webdataset"] {
        let plan = format!("layout = \"{layout}\"\nmixes = [{{ haze = 1.0, rain = 0.5 }}]\nsave = [\"layers\"]");
        let project = Project::new(&plan);
        project.sweep(&["-o", "out"]).succeeded();
        let said = mdsd3(&project.root(), ["sweep", "--verify", "out"]).succeeded();
        assert!(said.contains("3 pairs"), "{said}");
        let names: Vec<String> = tree(&project.root().join("out"))
            .keys()
            .map(|path| path.to_string_lossy().into_owned())
            .filter(|path| path.contains("layers"))
            .collect();
        if layout == "webdataset" {
            continue;
        }
        for wanted in ["depth", "haze", "rain", ".json"] {
            assert!(names.iter().any(|name| name.contains(wanted)), "{wanted} in {names:?}");
        }
        let damaged = project.root().join("out").join(&names[0]);
        fs::write(&damaged, "changed").expect("written");
        let ended = mdsd3(&project.root(), ["sweep", "--verify", "out"]);
        assert_ne!(ended.code, Some(0), "{ended:?}");
        project.sweep(&["-o", "out", "--resume"]).succeeded();
        mdsd3(&project.root(), ["sweep", "--verify", "out"]).succeeded();
    }
}

#[test]
fn pairs_of_the_network_have_depth_and_the_residual_of_each_class() {
    let project = Project::with_engine(
        "mdsd3",
        "mixes = [{ rain = 1.0, haze = 0.8 }]\nsteps = 2\nsave = { images = [\"layers\"] }",
    );
    project.sweep(&["-o", "out"]).succeeded();
    let names = files_in(&project.root().join("out/extra/layers/a"));
    for wanted in ["depth", "rain-residual", "haze-residual", ".json"] {
        assert!(names.iter().any(|name| name.contains(wanted)), "{wanted} in {names:?}");
    }
    mdsd3(&project.root(), ["sweep", "--verify", "out"]).succeeded();
}
