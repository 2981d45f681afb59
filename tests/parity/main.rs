//! Numerical parity with diffusers and the reference code, on the committed goldens.

#![allow(clippy::unwrap_used)] // a test may panic, and so may what it calls

mod independent;
mod sampling;
mod work;

use std::path::{Path, PathBuf};

use mdsd3_model::device::Place;
use mdsd3_model::parity;

fn goldens() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("goldens")
}

/// Copies one golden folder, so that a test may damage it.
fn copy_of(folder: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(goldens().join(folder)).unwrap() {
        let path = entry.unwrap().path();
        std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    }
    copy
}

#[test]
fn every_golden_is_within_the_tolerance() {
    let report = parity::run(&goldens(), &Place::processor()).unwrap();
    for case in &report.cases {
        println!("{:24} {:20} {:.2e}", case.folder, case.tensor, case.max_abs_error);
        assert!(
            case.ok,
            "{}/{} is off by {:e}",
            case.folder, case.tensor, case.max_abs_error
        );
    }
    let folders = [
        "clip_g_tiny",
        "clip_l_tiny",
        "depth_anything_tiny",
        "flow_match_euler",
        "focal_frequency_loss",
        "mdsd35_tiny",
        "mdsd3_neighbours_tiny",
        "mdsd3_tiny",
        "sd3_pipeline_tiny",
        "t5_tiny",
        "taesd3_tiny",
        "vae_tiny",
    ];
    for folder in folders {
        assert!(
            report.cases.iter().any(|c| c.folder == folder),
            "{folder} was not recomputed"
        );
    }
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
}

#[test]
fn an_altered_golden_fails() {
    let copy = copy_of("flow_match_euler");
    let file = copy.path().join("case.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 0x40; // the exponent of the last value
    std::fs::write(&file, bytes).unwrap();
    let report = parity::run(copy.path(), &Place::processor()).unwrap();
    assert!(!report.passed());
}
