//! Everything that reads what others have written, each as a function of bytes that must come back: the targets of `fuzz/`, and of
//! the short run that is part of the tests.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use image::{Rgb, Rgb32FImage};
use mdsd3_dataset::{Plan, verify};
use mdsd3_gui::prefs::Prefs;
use mdsd3_model::adapter::Adapter;
use mdsd3_model::autoencoder::KlConfig;
use mdsd3_model::config::{MiniConfig, MmditConfig};
use mdsd3_model::io::checkpoint::Weights;
use mdsd3_model::io::layout::Family;
use mdsd3_model::io::photo;
use mdsd3_model::text::PromptTokenizer;
use mdsd3_model::train;
use mdsd3_render::metadata;
use mdsd3_weather::depth;
use mdsd3_words::ModelSettings;
use mdsd3_words::weather::DepthKind;
use sha2::{Digest, Sha256};

/// A parser: its name, what it is given, and files of `tests/fixtures` and `tests/goldens` that it reads when they are whole.
pub struct Target {
    /// As `cargo fuzz run` takes it.
    pub name: &'static str,
    /// Reads bytes; whatever comes of it is dropped.
    pub read: fn(&[u8]),
    /// From the folder `tests`.
    pub seeds: &'static [&'static str],
}

/// All of them.
pub const TARGETS: [Target; 10] = [
    Target {
        name: "photo",
        read: photo,
        seeds: &[
            "fixtures/photo.png",
            "fixtures/reside/hazy/photo_0.75_1.jpg",
            "fixtures/finished/train/lq/photo-b_0.png",
        ],
    },
    Target {
        name: "settings",
        read: settings,
        seeds: &[
            "fixtures/branch.png",
            "fixtures/adapter.png",
            "fixtures/reside/hazy/photo_0.75_1.jpg",
        ],
    },
    Target {
        name: "journal",
        read: journal,
        seeds: &[
            "fixtures/finished/.mdsd3/journal.jsonl",
            "fixtures/webdataset/.mdsd3/journal.jsonl",
        ],
    },
    Target {
        name: "plan",
        read: plan,
        seeds: &[
            "fixtures/network.toml",
            "fixtures/finished.toml",
            "fixtures/unfinished.toml",
        ],
    },
    Target {
        name: "recipe",
        read: recipe,
        seeds: &["fixtures/model.toml", "fixtures/adapter.toml"],
    },
    Target {
        name: "config",
        read: config,
        seeds: &[
            "fixtures/model/config.json",
            "goldens/sd3_pipeline_tiny/pipeline/transformer/config.json",
            "goldens/sd3_pipeline_tiny/pipeline/vae/config.json",
        ],
    },
    Target {
        name: "tokenizer",
        read: tokenizer,
        seeds: &["goldens/sd3_pipeline_tiny/pipeline/tokenizer_3/tokenizer.json"],
    },
    Target {
        name: "checkpoint",
        read: checkpoint,
        seeds: &[
            "fixtures/adapter.safetensors",
            "fixtures/model/model.safetensors",
            "goldens/gguf_tiny/blocks.gguf",
        ],
    },
    Target {
        name: "depth",
        read: depth,
        seeds: &[
            "../model/weather/tests/depth/u16.png",
            "../model/weather/tests/depth/f32.tiff",
            "../model/weather/tests/depth/f4.npy",
            "../model/weather/tests/depth/f2_fortran.npy",
        ],
    },
    Target {
        name: "preferences",
        read: preferences,
        seeds: &["fixtures/preferences.ron"],
    },
];

/// Gives bytes to the parser of that name.
pub fn read(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of that name").read)(bytes);
}

/// A photo, by our own loader.
fn photo(bytes: &[u8]) {
    photo::decode_photo(bytes, "fuzz").ok();
}

/// The settings in an image.
fn settings(bytes: &[u8]) {
    with_file("image.png", bytes, |_, path| {
        metadata::find_settings(path).ok();
        if let Ok(settings) = metadata::read_settings(path) {
            settings.in_words();
            settings.request.check_settings().ok();
        }
    });
}

/// A dataset's journal; each line gets the check that it would have been written with.
fn journal(bytes: &[u8]) {
    let mut text = String::new();
    for line in String::from_utf8_lossy(bytes).lines() {
        let json = line.get(17..).unwrap_or(line);
        let digest = Sha256::digest(json);
        for byte in &digest[..8] {
            write!(text, "{byte:02x}").ok();
        }
        writeln!(text, " {json}").ok();
    }
    with_file("plan", b"", |folder, plan| {
        let state = folder.join(".mdsd3");
        fs::create_dir_all(&state).expect("a folder");
        fs::rename(plan, state.join("plan")).expect("renamed");
        fs::write(state.join("journal.jsonl"), text).expect("written");
        verify::verify(folder, |_, _| {}).ok();
    });
}

/// A plan beside two photos.
fn plan(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    with_file("photo.png", b"", |folder, _| {
        fs::write(folder.join("photo b.png"), b"").expect("written");
        if let Ok(plan) = Plan::parse(&text, "fuzz", folder.to_owned()) {
            mdsd3_dataset::open::physical(plan).ok();
        }
    });
}

/// A recipe of either kind.
fn recipe(bytes: &[u8]) {
    with_file("recipe.toml", bytes, |_, path| {
        train::Job::open(path).ok();
    });
}

/// The `config.json` of a model, a transformer or an autoencoder.
fn config(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(config) = MiniConfig::parse(&text) {
        config.predicted();
        config.guidance_of_channels();
    }
    let Ok(json) = serde_json::from_str::<serde_json::Value>(&text) else {
        return;
    };
    KlConfig::from_json(&json).ok();
    if let Ok(config) = serde_json::from_value::<MmditConfig>(json)
        && config.check().is_ok()
    {
        config.unread_layer();
    }
}

/// A `tokenizer.json`, which a prompt then goes through.
fn tokenizer(bytes: &[u8]) {
    with_file("tokenizer.json", bytes, |folder, _| {
        for open in [PromptTokenizer::t5, PromptTokenizer::clip] {
            if let Ok(tokenizer) = open(folder, 16) {
                tokenizer.encode("heavy rain in a street").ok();
            }
        }
    });
}

/// A safetensors or GGUF file: weights or an adapter.
fn checkpoint(bytes: &[u8]) {
    if let Ok(weights) = Weights::parse(bytes, "fuzz") {
        Family::of_keys(weights.keys());
        weights.tensors().ok();
    }
    Adapter::parse(bytes, "fuzz").ok();
}

/// A depth map, laid over a small scene.
fn depth(bytes: &[u8]) {
    let scene = Rgb32FImage::from_fn(8, 6, |x, y| Rgb([x as f32 / 8.0, y as f32 / 6.0, 0.5]));
    for kind in [DepthKind::Distance, DepthKind::Disparity] {
        if let Ok(map) = depth::file::read(bytes, "fuzz", kind, None) {
            let metres = map.of_scene(&scene, [0.0, 0.0, 1.0, 1.0]).metres;
            let is_distance = |metres: &f32| metres.is_finite() && *metres > 0.0;
            assert!(metres.values.iter().all(is_distance), "a distance is no distance");
        }
    }
}

/// The studio's preferences.
fn preferences(bytes: &[u8]) {
    if let Some(remembered) = Prefs::of_file(&String::from_utf8_lossy(bytes)) {
        // Whether there is such a model is found out when it is opened.
        let mut settings = remembered.prefs.settings;
        (settings.model, settings.branch) = (ModelSettings::default(), None);
        settings.check_settings().expect("what is unusable is replaced");
    }
}

/// Gives `read` a folder with one file in it, and the file.
fn with_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path, &Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    read(folder.path(), &path);
}
