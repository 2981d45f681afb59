//! `mdsd3 train`: a recipe so small that it takes seconds.

use std::fs;
use std::path::Path;

use crate::program::{files_in, mdsd3, photo, repository};

/// Writes a manifest of demo photos and the small model's recipe, far smaller, on them; the split it trains on is `split`.
fn write_recipe(folder: &Path, split: &str) {
    let manifest = "split\tpath\ntrain\tgreat-wall.jpg\ntrain\tpont-du-gard.jpg\nheldout\tmachu-picchu.jpg\n";
    fs::write(folder.join("manifest.tsv"), manifest).expect("written");
    let recipe = fs::read_to_string(repository().join("assets/recipes/small.toml")).expect("the recipe");
    let photos = format!("'{}'", photo("").display());
    let smaller = [
        ("\"target/photos\"", photos.as_str()),
        ("assets/recipes/manifest.tsv", "manifest.tsv"),
        ("\"train\"", &format!("\"{split}\"")),
        ("runs/small", "model"),
        ("side = 64", "side = 32"),
        ("side = 128", "side = 64"),
        ("steps = 60", "steps = 2"),
        ("steps = 1200", "steps = 2"),
        ("count = 400", "count = 16"),
        ("batch = 16", "batch = 2"),
        ("num_layers = 2", "num_layers = 1"),
    ];
    let recipe = smaller.iter().fold(recipe, |text, (from, to)| {
        assert!(text.contains(from), "the recipe has no {from}");
        text.replace(from, to)
    });
    fs::write(folder.join("tiny.toml"), recipe).expect("written");
}

#[test]
fn a_trained_model_renders() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_recipe(folder.path(), "train");
    let said = mdsd3(folder.path(), ["train", "tiny.toml"]).succeeded();
    assert!(said.contains("wrote model"), "{said}");
    let files = files_in(&folder.path().join("model"));
    for name in [
        "autoencoder.csv",
        "best.safetensors",
        "config.json",
        "model.safetensors",
        "train.csv",
        "validation.csv",
    ] {
        assert!(files.iter().any(|file| file == name), "{name} is not among {files:?}");
    }
    let args = [
        "render", "--model", "model", "--size", "64", "--steps", "2", "-o", "out.png",
    ];
    mdsd3(folder.path(), args).succeeded();
    let said = mdsd3(folder.path(), ["info", "model"]).succeeded();
    assert!(
        said.contains("small") && said.contains("rain (heads 0") && said.contains("haze (heads 2"),
        "{said}"
    );
    let line = mdsd3(
        folder.path(),
        ["render", "--model", "model", "--mix", "snow=1", "-o", "no.png"],
    )
    .refused(2);
    assert!(line.contains("snow") && line.contains("rain, haze"), "{line}");
}

#[test]
fn recipes_that_cannot_be_used() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_recipe(folder.path(), "no-such-split");
    fs::write(folder.path().join("broken.toml"), "seed = ").expect("written");
    for (recipe, what) in [
        ("missing.toml", "missing.toml"),
        ("broken.toml", "broken.toml"),
        ("tiny.toml", "no-such-split"),
    ] {
        let line = mdsd3(folder.path(), ["train", recipe]).refused(2);
        assert!(line.contains(what), "should name {what:?}: {line}");
    }
}
