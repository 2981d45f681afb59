//! Every parser, given damaged copies of good files for some seconds: it comes back, soon, and never by a panic.
//!
//! The damage is seeded, so that a failure can be repeated; what failed is kept in the system's temporary folder. `fuzz/` looks longer
//! and cleverer.

mod damage;
mod targets;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use damage::Damage;
use targets::TARGETS;

/// How long each parser is tried.
const LENGTH: Duration = Duration::from_secs(3);
/// Longer than any of these small files takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tries one parser.
fn survives(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect(name);
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    let seeds: Vec<Vec<u8>> = target
        .seeds
        .iter()
        .map(|seed| fs::read(tests.join(seed)).expect(seed))
        .collect();
    for seed in &seeds {
        targets::read(name, seed);
    }
    let start = Instant::now();
    let mut tried = 0;
    for bytes in Damage::new(1, &seeds) {
        let begun = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.read)(&bytes)));
        tried += 1;
        let (is_well, secs) = (outcome.is_ok(), begun.elapsed().as_secs_f32());
        assert!(
            is_well && begun.elapsed() < PATIENCE,
            "{name}: after {secs} s, at case {tried}: {}",
            kept(name, &bytes).display()
        );
        if start.elapsed() > LENGTH {
            break;
        }
    }
    println!("{name}: {tried} damaged files");
    assert!(tried > 20, "{name}: {tried} files in {LENGTH:?}");
}

fn kept(name: &str, bytes: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("mdsd3-{name}-{}.bin", std::process::id()));
    fs::write(&path, bytes).expect("written");
    path
}

#[test]
fn photos() {
    survives("photo");
}

#[test]
fn settings_in_images() {
    survives("settings");
}

#[test]
fn journals() {
    survives("journal");
}

#[test]
fn plans() {
    survives("plan");
}

#[test]
fn recipes() {
    survives("recipe");
}

#[test]
fn configs() {
    survives("config");
}

#[test]
fn tokenizers() {
    survives("tokenizer");
}

#[test]
fn checkpoints_and_adapters() {
    survives("checkpoint");
}

#[test]
fn depth_maps() {
    survives("depth");
}

#[test]
fn preferences() {
    survives("preferences");
}

/// A target that no test runs would be forgotten.
#[test]
fn every_target_is_fuzzed_and_tried() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).expect("the fuzzing crate");
    let source = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("parsers/main.rs")).expect("this file");
    for target in &TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{}\"", target.name)),
            "{}",
            target.name
        );
        assert!(
            source.contains(&format!("survives(\"{}\")", target.name)),
            "{}",
            target.name
        );
    }
}
