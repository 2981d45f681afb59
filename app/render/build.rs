//! Tells the crate whether the bundled model is in assets/, so that it also builds from a tree without one (that is how the
//! model is trained in the first place); such a build says so when the model is asked for.

use std::path::Path;

fn main() {
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../assets");
    println!("cargo::rerun-if-changed={}", assets.display());
    println!("cargo::rustc-check-cfg=cfg(bundled_model)");
    let files = [
        "models/mini/calibration.json",
        "models/mini/config.json",
        "models/mini/model.safetensors",
    ];
    if files.iter().all(|file| assets.join(file).is_file()) {
        println!("cargo::rustc-cfg=bundled_model");
    }
}
