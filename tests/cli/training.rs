//! `mdsd3 train`: a recipe so small that it takes seconds.

use std::fs;
use std::path::Path;

use crate::program::{files_in, mdsd3, photo};

/// Writes a manifest of two demo photos and a recipe on them; the split it trains on is `split`.
fn write_recipe(folder: &Path, split: &str) {
    let manifest = "split\tpath\ntrain\tgreat-wall.jpg\ntrain\tpont-du-gard.jpg\nheldout\tmachu-picchu.jpg\n";
    fs::write(folder.join("manifest.tsv"), manifest).expect("written");
    let photos = photo("");
    let photos = photos.display();
    let recipe = format!(
        r#"
seed = 1
photos = '{photos}'
manifest = "manifest.tsv"
split = "{split}"
output = "model"

[autoencoder]
steps = 2
batch = 1
side = 32
learning_rate = 5e-4
focal_weight = 1.0
whitening = 0.5

[pairs]
count = 16
side = 64
clean_share = 0.1
mixed_share = 0.25
class_weights = [0.5, 0.5]
least_severity = 0.1

[transformer]
sigma_mean = -0.8
sigma_deviation = 1.2
high_sigma_share = 0.1
focal_weight = 0.2
weight_decay = 0.01
clip = 1.0
ema = 0.999
save_every = 1

[[stage]]
steps = 2
batch = 2
side = 32
learning_rate = 1e-3
final_learning_rate = 2e-4
warm_up = 1

[model]
name = "tiny"
prediction = "scene_residual"
shift = 3.0
context_tokens = 2

[model.transformer]
sample_size = 16
patch_size = 2
in_channels = 24
out_channels = 24
num_layers = 1
num_attention_heads = 2
attention_head_dim = 16
joint_attention_dim = 16
caption_projection_dim = 32
pooled_projection_dim = 16
pos_embed_max_size = 16
classes = ["rain", "haze"]

[model.autoencoder]
factor = 4
latent_channels = 24
hidden_channels = 16
blocks = 1
"#
    );
    fs::write(folder.join("tiny.toml"), recipe).expect("written");
}

#[test]
fn a_trained_model_renders() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write_recipe(folder.path(), "train");
    let said = mdsd3(folder.path(), ["train", "tiny.toml"]).succeeded();
    assert!(said.contains("wrote model"), "{said}");
    let files = files_in(&folder.path().join("model"));
    for name in ["config.json", "loss.csv", "model.safetensors"] {
        assert!(files.iter().any(|file| file == name), "{name} is not among {files:?}");
    }
    let args = [
        "render", "--model", "model", "--size", "64", "--steps", "2", "-o", "out.png",
    ];
    mdsd3(folder.path(), args).succeeded();
    let said = mdsd3(folder.path(), ["info", "model"]).succeeded();
    assert!(
        said.contains("tiny") && said.contains("rain (heads 0), haze (heads 1)"),
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
