//! Invariants of the sampler on the bundled model, in latents.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use image::{Rgb, Rgb32FImage};
use mdsd3_model::io::photo::scene_key;
use mdsd3_model::pipeline::{Lane, Pipeline, Scene, Start};
use mdsd3_model::sampler::noise::gaussian;
use mdsd3_words::{Sampler, Sampling};

/// Largest difference between two ways to the same latents, f32 on the CPU.
const TOLERANCE: f32 = 1e-4;

pub fn pipeline() -> Pipeline {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../assets/models/mini");
    Pipeline::open(&folder, &Device::Cpu, DType::F32).unwrap()
}

pub fn photo() -> Rgb32FImage {
    Rgb32FImage::from_fn(64, 48, |x, y| {
        Rgb([x as f32 / 64.0, y as f32 / 48.0, ((x * y) % 17) as f32 / 17.0])
    })
}

pub fn settings() -> Sampling {
    Sampling {
        steps: 3,
        seed: 4,
        ..Sampling::default()
    }
}

pub fn lane(mix: &str) -> Lane {
    Lane {
        mix: mix.parse().unwrap(),
        noise_lane: 0,
    }
}

pub fn sample(pipeline: &Pipeline, scene: &Scene, lanes: &[Lane], settings: &Sampling) -> Tensor {
    pipeline
        .sample(scene, lanes, settings, &mut |_| ControlFlow::Continue(()))
        .unwrap()
        .unwrap()
}

fn distance(a: &Tensor, b: &Tensor) -> f32 {
    (a - b)
        .unwrap()
        .abs()
        .unwrap()
        .flatten_all()
        .unwrap()
        .max(0)
        .unwrap()
        .to_scalar()
        .unwrap()
}

#[test]
fn alpha_one_beta_zero_is_plain_euler_sampling() {
    let (pipeline, photo) = (pipeline(), photo());
    let scene = pipeline.encode_scene(&photo).unwrap();
    let shape = scene.latents().shape().clone();
    let noise = Tensor::from_vec(
        gaussian(4, scene_key(&photo), 0, shape.elem_count()),
        shape,
        &Device::Cpu,
    )
    .unwrap();
    let mut x = noise;
    let result = pipeline.sample(&scene, &[lane("rain=1,haze=0.5")], &settings(), &mut |step| {
        assert!(
            distance(&step.x_t, &x) < TOLERANCE,
            "step {} does not start where plain sampling does",
            step.index
        );
        let velocity = ((&x - &step.x0_hat).unwrap() / f64::from(step.sigma)).unwrap();
        x = (&x + (velocity * f64::from(step.next_sigma - step.sigma)).unwrap()).unwrap();
        ControlFlow::Continue(())
    });
    assert!(distance(&result.unwrap().unwrap(), &x) < TOLERANCE);
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
        sample(&pipeline, &scene, &[lane("rain=1,haze=0.5")], &settings)
    };
    let fine = run(Sampler::Heun, 60);
    let apart = |a: &Tensor| {
        (a - &fine)
            .unwrap()
            .sqr()
            .unwrap()
            .mean_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
            .sqrt()
    };
    let (euler, heun) = (apart(&run(Sampler::Euler, 12)), apart(&run(Sampler::Heun, 12)));
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
    let still = Pipeline::open(folder.path(), &Device::Cpu, DType::F32).unwrap();
    let x0_hat = |pipeline: &Pipeline, first_step: usize| {
        let scene = pipeline.encode_scene(&photo()).unwrap();
        let latents = pipeline.initial(&scene, &[lane("rain=1")], &settings()).unwrap();
        let start = Start {
            first_step,
            ..Start::at_first_step(latents)
        };
        let mut seen = None;
        pipeline
            .sample_from(start, &scene, &[lane("rain=1")], &settings(), &mut |step| {
                seen = Some(step.x0_hat.clone());
                ControlFlow::Break(())
            })
            .unwrap();
        seen.unwrap()
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
    let clean = sample(&pipeline, &scene, &[lane("rain=0")], &settings());
    // v = v_clean + 0 (v_mix - v_clean): the clean branch alone, whatever the mix.
    let unguided = sample(
        &pipeline,
        &scene,
        &[lane("rain=1,snow=1")],
        &Sampling {
            guidance: 0.0,
            ..settings()
        },
    );
    assert!(distance(&clean, &unguided) < TOLERANCE);
    let rain = sample(&pipeline, &scene, &[lane("rain=1")], &settings());
    assert!(distance(&clean, &rain) > 0.1, "a mix must differ from the clean branch");
}

#[test]
fn a_lane_does_not_depend_on_its_neighbours() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let together = sample(&pipeline, &scene, &[lane("haze=1"), lane("rain=0.7")], &settings());
    for (i, mix) in ["haze=1", "rain=0.7"].into_iter().enumerate() {
        let alone = sample(&pipeline, &scene, &[lane(mix)], &settings());
        assert!(
            distance(&alone, &together.narrow(0, i, 1).unwrap()) < TOLERANCE,
            "{mix}"
        );
    }
}

#[test]
fn the_scene_weight_changes_the_start_in_every_regime() {
    let pipeline = pipeline();
    let scene = pipeline.encode_scene(&photo()).unwrap();
    let start = |alpha: f32, beta: f32| {
        let mut first = None;
        let settings = Sampling {
            alpha,
            beta,
            steps: 1,
            ..settings()
        };
        pipeline
            .sample(&scene, &[lane("rain=1")], &settings, &mut |step| {
                first = Some(step.x_t.clone());
                ControlFlow::Continue(())
            })
            .unwrap();
        first.unwrap()
    };
    let noise = start(1.0, 0.0);
    for (alpha, beta) in [(0.5, 0.2), (0.7, 0.3), (1.0, 0.4)] {
        let expected = ((&noise * f64::from(alpha)).unwrap() + (scene.latents() * f64::from(beta)).unwrap()).unwrap();
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
        let result = pipeline.sample(&scene, &[lane("rain=1")], &settings, &mut |step| {
            levels.push(step.sigma);
            ControlFlow::Continue(())
        });
        (levels, result.unwrap().unwrap())
    };
    let (plain, later) = (run(1.0, 0.0, false), run(1.0, 0.0, true));
    assert_eq!(plain.0, later.0, "without the scene the share is 1");
    assert!(distance(&plain.1, &later.1) == 0.0);
    let added = |share: f32| {
        let (levels, result) = run(share, 1.0 - share, true);
        assert!(levels.len() == 8 && (levels[0] - share).abs() < 1e-6, "{levels:?}");
        let change = (result - scene.latents()).unwrap().sqr().unwrap().mean_all().unwrap();
        change.to_scalar::<f32>().unwrap().sqrt()
    };
    let (little, half, most) = (added(0.1), added(0.5), added(0.9));
    assert!(
        little < half && half < most,
        "the less noise, the more of the scene is left: {little} {half} {most}"
    );
    let (half, double) = (run(0.5, 0.5, true), run(1.0, 1.0, true));
    assert_eq!(half.0, double.0, "the ratio counts");
    assert!(distance(&half.1, &double.1) == 0.0);
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
    let result = pipeline.sample(&scene, &[lane("rain=1")], &settings(), &mut |_| {
        seen += 1;
        ControlFlow::Break(())
    });
    assert!(result.unwrap().is_none());
    assert_eq!(seen, 1);
}
