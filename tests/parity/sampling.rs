//! Invariants of the sampler on the bundled model, in latents.

use std::convert::Infallible;
use std::ops::ControlFlow;
use std::path::Path;

use image::{Rgb, Rgb32FImage};
use mdsd3_model::device::Place;
use mdsd3_model::io::photo::scene_key;
use mdsd3_model::pipeline::{Batch, BranchPoint, BranchStart, LaneStep, Latents, Pipeline, Scene};
use mdsd3_model::sampler::noise::gaussian;
use mdsd3_words::{Mix, Sampler, Sampling};

/// Largest difference between two ways to the same latents, f32 on the CPU.
const TOLERANCE: f32 = 1e-4;

pub fn pipeline() -> Pipeline {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/mini");
    Pipeline::open(&folder, &Place::processor()).unwrap()
}

pub fn photo() -> Rgb32FImage {
    Rgb32FImage::from_fn(64, 48, |x, y| {
        Rgb([x as f32 / 64.0, y as f32 / 48.0, ((x * y) % 17) as f32 / 17.0])
    })
}

pub fn settings() -> Sampling {
    Sampling {
        mix: Mix::new(),
        steps: 3,
        seed: 4,
        ..Sampling::default()
    }
}

/// Lanes of these mixes under the same settings.
fn batch(mixes: &[&str], settings: &Sampling) -> Batch {
    let lane = |mix: &&str| Sampling {
        mix: mix.parse().unwrap(),
        ..settings.clone()
    };
    Batch::of(mixes.iter().map(lane).collect())
}

fn sampled(pipeline: &Pipeline, scene: &Scene, batch: &Batch, mut seen: impl FnMut(&[LaneStep])) -> Vec<Vec<f32>> {
    let on_step = |steps: Vec<LaneStep>| {
        seen(&steps);
        ControlFlow::<Infallible>::Continue(())
    };
    let ControlFlow::Continue(ends) = pipeline.sample(scene, batch, on_step).unwrap();
    ends.iter().map(values).collect()
}

/// The latents that each mix ends in.
pub fn sample(pipeline: &Pipeline, scene: &Scene, mixes: &[&str], settings: &Sampling) -> Vec<Vec<f32>> {
    sampled(pipeline, scene, &batch(mixes, settings), |_| {})
}

fn values(latents: &Latents) -> Vec<f32> {
    latents.values().unwrap()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn rms_distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / a.len() as f64).sqrt() as f32
}

/// `a + share * b`, value by value.
fn sum(a: &[f32], share: f32, b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + share * b).collect()
}

#[test]
fn alpha_one_beta_zero_is_plain_euler_sampling() {
    let (pipeline, photo) = (pipeline(), photo());
    let scene = pipeline.encode_scene(&photo).unwrap();
    let mut x = gaussian(4, scene_key(&photo), 0, values(&scene.latents()).len());
    let sigmas = pipeline.sigmas(&settings()).unwrap();
    let ends = sampled(&pipeline, &scene, &batch(&["rain=1,haze=0.5"], &settings()), |steps| {
        let (step, next_sigma) = (&steps[0], sigmas[steps[0].index + 1]);
        assert!(
            distance(&values(&step.x_t), &x) < TOLERANCE,
            "step {} does not start where plain sampling does",
            step.index
        );
        let along = sum(&x, -1.0, &values(&step.x0_hat));
        x = sum(&x, (next_sigma - step.sigma) / step.sigma, &along);
    });
    assert!(distance(&ends[0], &x) < TOLERANCE);
}

/// Judged by many small steps of Heun.
#[test]
fn heun_is_nearer_to_the_flow_than_euler_with_as_many_steps() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let run = |sampler, steps| {
        let settings = Sampling {
            sampler,
            steps,
            ..settings()
        };
        sample(&pipeline, &scene, &["rain=1,haze=0.5"], &settings).remove(0)
    };
    let fine = run(Sampler::Heun, 60);
    let apart = |sampler| rms_distance(&run(sampler, 12), &fine);
    let (euler, heun) = (apart(Sampler::Euler), apart(Sampler::Heun));
    assert!(heun < euler, "12 steps of Heun end {heun} away, 12 of Euler {euler}");
}

/// So that where two tokens meet in one step is the middle of a token in the next.
#[test]
fn the_grid_of_tokens_moves_every_second_step() {
    let folder = tempfile::tempdir().unwrap();
    let bundled = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/mini");
    let config = std::fs::read_to_string(bundled.join("config.json")).unwrap();
    let still = config.replace("\"alternating_grid\": true", "\"alternating_grid\": false");
    assert_ne!(config, still);
    std::fs::write(folder.path().join("config.json"), still).unwrap();
    std::fs::copy(
        bundled.join("model.safetensors"),
        folder.path().join("model.safetensors"),
    )
    .unwrap();
    let still = Pipeline::open(folder.path(), &Place::processor()).unwrap();
    let first_step = |pipeline: &Pipeline, scene: &Scene, batch: &Batch| {
        let flow = pipeline.sample(scene, batch, |mut steps| ControlFlow::Break(steps.remove(0)));
        flow.unwrap().break_value().unwrap()
    };
    let x0_hat = |pipeline: &Pipeline, step: usize| {
        let scene = pipeline.encode_scene(&photo()).unwrap();
        let mut batch = batch(&["rain=1"], &settings());
        let start = BranchStart {
            x_t: first_step(pipeline, &scene, &batch).x_t,
            previous_x0_hat: None,
        };
        let starts = vec![start];
        batch.branch = Some(BranchPoint { step, starts });
        values(&first_step(pipeline, &scene, &batch).x0_hat)
    };
    let apart = |step| distance(&x0_hat(&pipeline(), step), &x0_hat(&still, step));
    assert!(apart(0) > 0.01, "the first step's grid is the moved one");
    assert!(apart(1) < TOLERANCE, "the second step's is where it always was");
    assert!(apart(2) > 0.01);
}

#[test]
fn a_zero_mask_is_the_clean_branch() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let run = |mix: &str, guidance: f32| {
        let settings = Sampling { guidance, ..settings() };
        sample(&pipeline, &scene, &[mix], &settings).remove(0)
    };
    let clean = run("rain=0", 1.0);
    // v = v_clean + 0 (v_mix - v_clean): the clean branch alone, whatever the mix.
    assert!(distance(&clean, &run("rain=1,snow=1", 0.0)) < TOLERANCE);
    assert!(
        distance(&clean, &run("rain=1", 1.0)) > 0.1,
        "a mix must differ from the clean branch"
    );
}

#[test]
fn a_lane_does_not_depend_on_its_neighbours() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let mixes = ["haze=1", "rain=0.7"];
    let mut together = batch(&mixes, &settings());
    // Lanes have seeds and weights of their own, and may be fewer than the batch.
    (together.lanes[1].seed, together.lanes[1].beta, together.fill_to) = (9, 0.2, 4);
    let ends = sampled(&pipeline, &scene, &together, |steps| assert_eq!(steps.len(), 2));
    assert_eq!(ends.len(), 2);
    for (lane, end) in together.lanes.into_iter().zip(ends) {
        let alone = sampled(&pipeline, &scene, &Batch::of(vec![lane.clone()]), |_| {});
        assert!(distance(&alone[0], &end) < TOLERANCE, "{}", lane.mix);
    }
}

#[test]
fn lanes_that_differ_in_more_are_no_batch() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let refused = |change: fn(&mut Sampling)| {
        let mut batch = batch(&["haze=1", "rain=1"], &settings());
        change(&mut batch.lanes[0]);
        let flow = pipeline.sample(&scene, &batch, |_| ControlFlow::<Infallible>::Continue(()));
        flow.err().expect("refused").to_string()
    };
    assert!(refused(|lane| lane.steps = 4).contains("one batch"));
    assert!(refused(|lane| lane.guidance = 2.0).contains("one batch"));
    assert!(refused(|lane| lane.mix = "hail=1".parse().unwrap()).contains("unknown class hail"));
}

#[test]
fn the_scene_weight_changes_the_start_in_every_regime() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let start = |alpha: f32, beta: f32| {
        let mut first = Vec::new();
        let settings = Sampling {
            alpha,
            beta,
            steps: 1,
            ..settings()
        };
        sampled(&pipeline, &scene, &batch(&["rain=1"], &settings), |steps| {
            first = values(&steps[0].x_t);
        });
        first
    };
    let noise = start(1.0, 0.0);
    for (alpha, beta) in [(0.5, 0.2), (0.7, 0.3), (1.0, 0.4)] {
        let noise: Vec<f32> = noise.iter().map(|value| value * alpha).collect();
        let expected = sum(&noise, beta, &values(&scene.latents()));
        assert!(
            distance(&start(alpha, beta), &expected) < TOLERANCE,
            "alpha {alpha}, beta {beta}"
        );
    }
}

#[test]
fn a_start_at_the_noise_share_follows_the_flow_from_there() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let run = |alpha: f32, beta: f32, start_at_noise_share: bool| {
        let settings = Sampling {
            alpha,
            beta,
            start_at_noise_share,
            steps: 8,
            ..settings()
        };
        let mut levels = Vec::new();
        let mut ends = sampled(&pipeline, &scene, &batch(&["rain=1"], &settings), |steps| {
            levels.push(steps[0].sigma);
        });
        (levels, ends.remove(0))
    };
    let (plain, later) = (run(1.0, 0.0, false), run(1.0, 0.0, true));
    assert_eq!(plain, later, "without the scene the share is 1");
    let added = |share: f32| {
        let (levels, result) = run(share, 1.0 - share, true);
        assert!(levels.len() == 8 && (levels[0] - share).abs() < 1e-6, "{levels:?}");
        rms_distance(&result, &values(&scene.latents()))
    };
    let (little, half, most) = (added(0.1), added(0.5), added(0.9));
    assert!(
        little < half && half < most,
        "the less noise, the more of the scene is left: {little} {half} {most}"
    );
    assert_eq!(run(0.5, 0.5, true), run(1.0, 1.0, true), "the ratio counts");
    let nothing = Sampling {
        alpha: 0.0,
        beta: 1.0,
        start_at_noise_share: true,
        ..settings()
    };
    let error = pipeline.sigmas(&nothing).unwrap_err();
    assert!(error.to_string().contains("raise alpha"), "{error}");
}

#[test]
fn a_stop_ends_the_run_at_that_step() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let mut seen = 0;
    let flow = pipeline.sample(&scene, &batch(&["rain=1"], &settings()), |_| {
        seen += 1;
        ControlFlow::Break("enough")
    });
    assert_eq!((flow.unwrap().break_value(), seen), (Some("enough"), 1));
}
