//! Nothing is computed twice: what a run calls, counted operation by operation.

use mdsd3_model::device::Place;
use mdsd3_model::kernels::{OperationTime, record};
use mdsd3_model::pipeline::Pipeline;
use mdsd3_words::{Sampler, Sampling};

use super::goldens;
use super::sampling::{photo, pipeline, sample, settings};

/// How often each operation ran, but for cheap sums, whose number depends on guidance.
fn calls(record: &[OperationTime]) -> Vec<(&'static str, u64)> {
    let mut calls: Vec<_> = record
        .iter()
        .map(|o| (o.name, o.calls))
        .filter(|(name, _)| *name != "add")
        .collect();
    calls.sort_unstable();
    calls
}

#[test]
fn lanes_and_guidance_are_one_batch_and_the_clean_path_is_the_scenes() {
    let pipeline = pipeline();
    let (scene, encoding) = record(|| pipeline.encode_scene(&photo()).unwrap());
    let one = record(|| sample(&pipeline, &scene, &["rain=1"], &settings())).1;
    let lanes = ["rain=1", "haze=1", "haze=1,rain=1"];
    let guided = Sampling {
        guidance: 3.0,
        ..settings()
    };
    let many = record(|| sample(&pipeline, &scene, &lanes, &guided)).1;
    assert_eq!(calls(&one), calls(&many), "three guided lanes call what one does");
    let steps = |count| Sampling {
        steps: count,
        ..settings()
    };
    let linear = |count| {
        let run = record(|| sample(&pipeline, &scene, &["rain=1"], &steps(count))).1;
        run.iter().find(|o| o.name == "linear").unwrap().calls
    };
    assert_eq!(linear(3), 3 * linear(1), "a run is its steps");
    let heun = Sampling {
        sampler: Sampler::Heun,
        ..settings()
    };
    let run = record(|| sample(&pipeline, &scene, &["rain=1"], &heun)).1;
    let calls = run.iter().find(|o| o.name == "linear").unwrap().calls;
    assert_eq!(
        calls,
        5 * linear(1),
        "three steps of Heun are five evaluations, as the last is one"
    );
    // Four blocks' q, k, v and zero projections at least, with the scene and not with the steps.
    let clean = encoding.iter().find(|o| o.name == "linear").unwrap().calls;
    assert!(clean >= 24, "the clean path has {clean} linear layers");
}

#[test]
fn a_prompt_is_encoded_once() {
    let folder = goldens().join("sd3_pipeline_tiny/pipeline");
    let pipeline = Pipeline::open(&folder, &Place::processor()).unwrap();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let run = |seed| Sampling { seed, ..settings() };
    let first = record(|| sample(&pipeline, &scene, &["rain=1"], &run(1))).1;
    let again = record(|| sample(&pipeline, &scene, &["rain=1"], &run(2))).1;
    let linear = |record: &[OperationTime]| record.iter().find(|o| o.name == "linear").unwrap().calls;
    assert!(
        linear(&again) < linear(&first),
        "{} and {}",
        linear(&first),
        linear(&again)
    );
    let third = record(|| sample(&pipeline, &scene, &["rain=1"], &run(3))).1;
    assert_eq!(calls(&again), calls(&third));
}
