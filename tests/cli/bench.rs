//! `mdsd3 bench`: what it reports, and what it refuses.

use std::path::Path;

use serde_json::Value;

use crate::program::mdsd3;

/// The smallest run there is, with more arguments.
fn bench(args: &[&str]) -> Value {
    let small = [
        "bench",
        "--layers",
        "1",
        "--latent",
        "8",
        "--context",
        "3",
        "--repeats",
        "1",
        "--json",
    ];
    let output = mdsd3(Path::new("."), small.into_iter().chain(args.iter().copied())).succeeded();
    serde_json::from_str(&output).expect("one JSON object")
}

#[test]
fn figures_have_the_documented_names() {
    let report = bench(&["--batch", "2", "--profile", "--train"]);
    for key in [
        "seconds_per_evaluation",
        "seconds_per_evaluation_uncached",
        "encoder_seconds",
        "decoder_seconds",
        "training_samples_per_second",
        "tokens_per_second",
        "gflop_per_evaluation",
        "gflop_per_second",
    ] {
        assert!(report[key].as_f64() > Some(0.0), "{key} in {report}");
    }
    for key in ["parameters", "peak_bytes", "threads"] {
        assert!(report[key].as_u64() > Some(0), "{key} in {report}");
    }
    assert_eq!(
        (&report["dtype"], &report["device"], &report["preset"]),
        (&"f32".into(), &"cpu".into(), &"mini".into())
    );
    let operations = report["profile"].as_array().expect("a list");
    let named = |name: &str| operations.iter().any(|line| line["operation"] == name);
    assert!(
        named("attention") && named("linear") && named("other"),
        "{operations:?}"
    );
    let shares: f64 = operations.iter().filter_map(|line| line["share"].as_f64()).sum();
    assert!((shares - 1.0).abs() < 1e-6, "shares add up to {shares}");
}

#[test]
fn a_plain_transformer_is_smaller_and_has_no_clean_path_to_cache() {
    let (with, without) = (bench(&[]), bench(&["--no-clean", "--skip-autoencoder"]));
    assert!(without["parameters"].as_u64() < with["parameters"].as_u64());
    assert_eq!(
        without["seconds_per_evaluation"],
        without["seconds_per_evaluation_uncached"]
    );
    assert_eq!(without["clean"], false);
    assert!(without["decoder_seconds"].is_null(), "{without}");
}

#[test]
fn half_precision_runs() {
    assert_eq!(bench(&["--dtype", "bf16"])["dtype"], "bf16");
}

#[test]
fn the_table_names_its_units() {
    let args = ["bench", "--layers", "1", "--latent", "8", "--repeats", "1", "--profile"];
    let table = mdsd3(Path::new("."), args).succeeded();
    for words in ["without clean cache", "GFLOP/s", "MB", "attention"] {
        assert!(table.contains(words), "{words} in {table}");
    }
}

#[test]
fn sizes_that_cannot_be_measured_are_refused() {
    for (args, what) in [
        (&["--layers", "0"][..], "layers"),
        (&["--latent", "7"], "latent 7"),
        (&["--latent", "100000"], "at most"),
        (&["--context", "0"], "context"),
        (&["--batch", "0"], "batch"),
        (&["--repeats", "0"], "repeats"),
        (&["--dtype", "f64"], "f64"),
        (&["--device", "gpu"], "gpu"),
        (&["--preset", "sd9"], "sd9"),
    ] {
        let line = mdsd3(Path::new("."), ["bench"].into_iter().chain(args.iter().copied())).refused(2);
        assert!(line.contains(what), "should name {what:?}: {line}");
    }
}
