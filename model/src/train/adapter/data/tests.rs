//! Every layout that this program exports is read back, and photos of every kind.

use std::cell::Cell;
use std::path::Path;

use candle_core::Tensor;
use image::{Rgb, Rgb32FImage, RgbImage};

use super::super::recipe::{AdapterRecipe, DataLayout, Mixes};
use super::{Cache, Encoder, Prepared, items, prepare};
use crate::error::ModelError;
use crate::pair_layout::LayoutKind;
use crate::pair_layout::source::{Item, Source};

fn save(root: &Path, path: &str, level: u8) {
    let path = root.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    RgbImage::from_fn(40, 32, |x, y| Rgb([level, (x * 5) as u8, (y * 7) as u8]))
        .save(path)
        .unwrap();
}

fn kind(layout: &str) -> DataLayout {
    DataLayout::Pairs(LayoutKind::named(layout).unwrap())
}

fn classes() -> Vec<String> {
    ["rain", "haze"].map(str::to_owned).into()
}

/// Clean and degraded file names with their mixes.
fn found(root: &Path, layout: DataLayout) -> Vec<(String, String, String)> {
    let name = |source: &Source| match source {
        Source::File(path) => path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/"),
        Source::Member { name, .. } => name.clone(),
    };
    let row = |item: &Item| {
        let mix = item.mix.as_ref().map_or("?".to_owned(), ToString::to_string);
        (
            name(&item.clean),
            item.degraded.as_ref().map(name).unwrap_or_default(),
            mix,
        )
    };
    items(root, layout, &classes()).unwrap().0.iter().map(row).collect()
}

#[track_caller]
fn assert_pairs(root: &Path, layout: DataLayout, expected: &[(&str, &str, &str)]) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(a, b, c)| ((*a).to_owned(), (*b).to_owned(), (*c).to_owned()))
        .collect();
    assert_eq!(found(root, layout), expected);
    assert_eq!(found(root, DataLayout::Auto), expected, "detected");
}

#[test]
fn folders_of_equal_names() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    for path in [
        "train/gt/a_0.png",
        "train/lq/a_0.jpg",
        "train/lq/lonely.png",
        "val/gt/b.png",
        "val/lq/b.png",
    ] {
        save(root, path, 9);
    }
    std::fs::create_dir(root.join("info")).unwrap();
    let info = r#"{"lq": "train/lq/a_0.jpg", "request": {"mix": {"rain": 0.4, "haze": 0.7}}}"#;
    std::fs::write(root.join("info/a_0.json"), info).unwrap();
    // JSON tables have no order.
    let pair = ("train/gt/a_0.png", "train/lq/a_0.jpg", "haze=0.7,rain=0.4");
    assert_pairs(root, kind("basicsr"), &[pair]);
}

#[test]
fn images_without_a_partner_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["gt/a.png", "lq/a.png", "lq/lonely.png", "gt/b.png", "gt/a.bmp"] {
        save(folder.path(), path, 9);
    }
    let (items, unpaired) = items(folder.path(), DataLayout::Auto, &classes()).unwrap();
    let reasons: Vec<&str> = unpaired.iter().map(|one| one.reason.as_str()).collect();
    assert_eq!((items.len(), reasons.len()), (1, 3), "{reasons:?}");
    assert!(reasons[0].contains("a.bmp: another image"), "{reasons:?}");
    assert!(reasons[1].contains("lonely.png: no clean image in"), "{reasons:?}");
    assert!(reasons[2].contains("b.png: no degraded image in"), "{reasons:?}");
}

#[test]
fn folders_that_name_their_mix() {
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "train/HazeRain/target/a.png",
        "train/HazeRain/input/a.png",
        "train/Clean/target/a.png",
        "train/Clean/input/a.png",
    ] {
        save(folder.path(), path, 9);
    }
    let pairs = [
        ("train/Clean/target/a.png", "train/Clean/input/a.png", ""),
        (
            "train/HazeRain/target/a.png",
            "train/HazeRain/input/a.png",
            "haze=1,rain=1",
        ),
    ];
    assert_pairs(folder.path(), kind("restormer"), &pairs);
    let folder = tempfile::tempdir().unwrap();
    for path in ["clear/a.png", "haze/a.png", "haze_rain/a.png", "low/a.png"] {
        save(folder.path(), path, 9);
    }
    // A class that the recipe doesn't know is nothing to train on.
    let pairs = [
        ("clear/a.png", "haze/a.png", "haze=1"),
        ("clear/a.png", "haze_rain/a.png", "haze=1,rain=1"),
    ];
    assert_pairs(folder.path(), kind("cdd11"), &pairs);
}

#[test]
fn names_that_point_to_their_clean_image() {
    let folder = tempfile::tempdir().unwrap();
    for path in ["clear/pier_3.png", "hazy/pier_3_0.8_2.png"] {
        save(folder.path(), path, 9);
    }
    assert_pairs(
        folder.path(),
        kind("reside"),
        &[("clear/pier_3.png", "hazy/pier_3_0.8_2.png", "haze=0.8")],
    );
    let folder = tempfile::tempdir().unwrap();
    for path in [
        "Dehaze/original/s.png",
        "Dehaze/synthetic/s_1.png",
        "Derain/gt/norain-7.png",
        "Derain/rainy/rain-7.png",
    ] {
        save(folder.path(), path, 9);
    }
    let pairs = [
        ("Dehaze/original/s.png", "Dehaze/synthetic/s_1.png", "haze=1"),
        ("Derain/gt/norain-7.png", "Derain/rainy/rain-7.png", "rain=1"),
    ];
    assert_pairs(folder.path(), kind("promptir"), &pairs);
}

#[test]
fn imagefolders_of_other_trainers_and_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let jsonl = concat!(
        r#"{"image": "lq/a.png", "conditioning_image": "gt/a.png", "text": "a street in heavy rain"}"#,
        "\n\n",
        r#"{"file_name": "lq/b.png", "gt_file_name": "gt/b.png", "rain": 0.25, "haze": 0}"#,
        "\n"
    );
    std::fs::create_dir(folder.path().join("train")).unwrap();
    std::fs::write(folder.path().join("train/metadata.jsonl"), jsonl).unwrap();
    let pairs = [
        ("train/gt/a.png", "train/lq/a.png", "rain=1"),
        ("train/gt/b.png", "train/lq/b.png", "rain=0.25,haze=0"),
    ];
    assert_pairs(folder.path(), kind("imagefolder"), &pairs);
    let prompts: Vec<_> = items(folder.path(), DataLayout::Auto, &classes())
        .unwrap()
        .0
        .into_iter()
        .map(|i| i.prompt)
        .collect();
    assert_eq!(prompts, [Some("a street in heavy rain".to_owned()), None]);
    let folder = tempfile::tempdir().unwrap();
    let csv = "image,conditioning_image,text\nlq/a.png,gt/a.png,\"haze, much of it\"\n";
    std::fs::write(folder.path().join("metadata.csv"), csv).unwrap();
    assert_pairs(
        folder.path(),
        kind("imagefolder"),
        &[("gt/a.png", "lq/a.png", "haze=1")],
    );
    std::fs::write(folder.path().join("metadata.csv"), "image,text\nlq/a.png,rain\n").unwrap();
    let error = items(folder.path(), DataLayout::Auto, &classes())
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("metadata.csv, row 1") && error.contains("conditioning_image"),
        "{error}"
    );
}

fn tar(members: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, bytes) in members {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, &bytes[..]).unwrap();
    }
    tar.into_inner().unwrap()
}

#[test]
fn tar_shards() {
    let folder = tempfile::tempdir().unwrap();
    save(folder.path(), "x.png", 50);
    let png = std::fs::read(folder.path().join("x.png")).unwrap();
    let info = br#"{"request": {"mix": {"haze": 0.3}}}"#.to_vec();
    let members = [
        ("a.gt.png", png.clone()),
        ("a.json", info),
        ("a.lq.png", png.clone()),
        ("b.gt.png", png.clone()),
    ];
    let out = tempfile::tempdir().unwrap();
    std::fs::write(out.path().join("train-000000.tar"), tar(&members)).unwrap();
    assert_pairs(out.path(), kind("webdataset"), &[("a.gt.png", "a.lq.png", "haze=0.3")]);
    let (mut found, unpaired) = items(out.path(), DataLayout::Auto, &classes()).unwrap();
    assert!(
        unpaired.len() == 1 && unpaired[0].reason.contains("train-000000.tar: b: lacks"),
        "{unpaired:?}"
    );
    let item = found.remove(0);
    assert_eq!(item.degraded.unwrap().read().unwrap(), png);
    std::fs::write(out.path().join("train-000000.tar"), vec![b'x'; 700]).unwrap();
    assert!(
        items(out.path(), DataLayout::Auto, &classes())
            .unwrap_err()
            .to_string()
            .contains("tar")
    );
}

#[test]
fn folders_without_pairs_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let message = |path: &Path| items(path, DataLayout::Auto, &classes()).unwrap_err().to_string();
    assert!(message(&folder.path().join("nowhere")).contains("no such folder"));
    assert!(message(folder.path()).contains("data.layout"));
}

/// Counts what it encodes; latents are the image's mean.
struct Counting(Cell<usize>);

impl Encoder for Counting {
    fn key(&self) -> &'static str {
        "counting"
    }

    fn encode(&self, rgb: &Rgb32FImage) -> Result<Tensor, ModelError> {
        self.0.set(self.0.get() + 1);
        let mean = rgb.as_raw().iter().sum::<f32>() / rgb.as_raw().len() as f32;
        Ok(Tensor::full(mean, (1, 1, 2, 2), &candle_core::Device::Cpu)?)
    }
}

fn prepared(recipe: &AdapterRecipe, encoder: &Counting) -> Result<Prepared, ModelError> {
    let (items, _) = items(&recipe.data.path, recipe.data.layout, &recipe.classes)?;
    let cache = Cache::open(&recipe.cache())?;
    Ok(prepare(recipe, &items, encoder, &cache, &mut |_| true)?.unwrap())
}

#[test]
fn images_are_encoded_once_and_again_when_a_setting_changes() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = super::super::tests::recipe(folder.path(), "");
    let encoder = Counting(Cell::new(0));
    let first = prepared(&recipe, &encoder).unwrap();
    assert_eq!(
        encoder.0.get(),
        3 * 2 * 2 * 2,
        "scene and target of 3 photos, 2 views, 2 variants"
    );
    let mixes: Vec<String> = first.training.iter().map(|s| s.mix.to_string()).collect();
    assert!(mixes.iter().any(|m| m != &mixes[0]), "{mixes:?}");
    prepared(&recipe, &encoder).unwrap();
    assert_eq!(encoder.0.get(), 24);
    recipe.data.side = 48;
    prepared(&recipe, &encoder).unwrap();
    assert_eq!(encoder.0.get(), 48);
}

#[test]
fn odd_pairs_are_used_or_listed() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = super::super::tests::recipe(folder.path(), "");
    let root = folder.path().join("pairs");
    for (name, level) in [("a", 10), ("b", 200), ("mixed", 90), ("unsaid", 60)] {
        save(&root, &format!("gt/{name}.png"), level);
        save(&root, &format!("lq/{name}.png"), level);
    }
    // 16 bits, and an odd size.
    let deep = image::ImageBuffer::<Rgb<u16>, _>::from_fn(37, 53, |x, y| Rgb([(x * 900) as u16, (y * 700) as u16, 9]));
    for part in ["gt", "lq"] {
        deep.save(root.join(part).join("deep.png")).unwrap();
    }
    save(&root, "gt/small.png", 3);
    RgbImage::new(20, 20).save(root.join("lq/small.png")).unwrap();
    std::fs::write(root.join("lq/b.png"), b"no image").unwrap();
    std::fs::create_dir(root.join("info")).unwrap();
    for (name, mix) in [
        ("a", r#"{"rain": 0.5}"#),
        ("b", "{}"),
        ("mixed", r#"{"rain": 1, "haze": 1}"#),
        ("deep", r#"{"haze": 1}"#),
        ("small", "{}"),
    ] {
        let info = format!(r#"{{"lq": "lq/{name}.png", "request": {{"mix": {mix}}}}}"#);
        std::fs::write(root.join("info").join(format!("{name}.json")), info).unwrap();
    }
    (recipe.data.path, recipe.data.mixes, recipe.data.views) = (root, Mixes::Single, 1);
    let prepared = prepared(&recipe, &Counting(Cell::new(0))).unwrap();
    let mut used: Vec<String> = prepared
        .training
        .iter()
        .chain(&prepared.validation)
        .map(|s| format!("{} {} {}", s.name.rsplit('/').next().unwrap(), s.mix, s.prompt))
        .collect();
    used.sort();
    assert_eq!(used, ["a.png rain=0.5 rain", "deep.png haze=1 haze"]);
    let reasons: Vec<&str> = prepared.skipped.iter().map(|s| s.reason.as_str()).collect();
    assert_eq!(reasons.len(), 3, "{reasons:?}");
    assert!(
        reasons[0].contains("b.png") && reasons[1].contains("20x20 px") && reasons[2].contains("data.mix"),
        "{reasons:?}"
    );
}
