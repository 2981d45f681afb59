//! The trainer on a tiny model: gradients reach everything, and a stopped run resumes to the same bits.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::path::Path;

use candle_core::Tensor;
use image::{Rgb32FImage, RgbImage};

use super::autoencoder::{self, batch_tensor};
use super::pairs::{self, Pair};
use super::photos::Photos;
use super::recipe::{Frame, Recipe};
use super::transformer::{self, Network};
use super::variables::Variables;
use super::{Job, Outcome, Progress, Report, TrainObserver, optimizer};
use crate::autoencoder::MiniAutoencoder;
use crate::device::Place;
use crate::mmdit::is_neighbours;
use crate::sampler::noise::gaussian;

/// A recipe that trains in a second, with photos of its own in `folder`.
fn recipe(folder: &Path) -> Recipe {
    let photo = RgbImage::from_fn(48, 40, |x, y| {
        image::Rgb([(x * 5) as u8, (y * 6) as u8, ((x * y) % 251) as u8])
    });
    photo.save(folder.join("photo.png")).unwrap();
    std::fs::write(folder.join("manifest.tsv"), "split\tpath\ntrain\tphoto.png\n").unwrap();
    let text = include_str!("tests.toml").replace("FOLDER", &folder.display().to_string());
    std::fs::write(folder.join("recipe.toml"), &text).unwrap();
    Recipe::open(&folder.join("recipe.toml")).unwrap()
}

fn photos() -> Photos {
    let ramp = Rgb32FImage::from_fn(48, 40, |x, y| image::Rgb([x as f32 / 48.0, y as f32 / 40.0, 0.4]));
    Photos::from_images(vec![ramp], 32)
}

#[test]
fn pairs_from_wide_frames_keep_the_place_of_their_corner() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path());
    recipe.pairs.frames = vec![Frame {
        width: 1.5,
        ..Frame::SQUARE
    }];
    let model = MiniAutoencoder::new(&recipe.model.autoencoder, Variables::new(1).builder()).unwrap();
    let mut quiet = |_: &Progress| ControlFlow::Continue(());
    let ControlFlow::Continue(pairs) = pairs::prepare(&recipe, &model, &photos(), &mut quiet).unwrap() else {
        panic!("nobody stopped it");
    };
    // The table has 8 tokens a side; 48 x 32 px are 6 x 4 tokens in its middle, and a pair is 4 x 4 of them.
    let places: HashSet<_> = pairs.iter().map(|p| p.place).collect();
    assert_eq!(places, HashSet::from([(2, 1), (2, 3)]));
}

fn silent_variables(variables: &Variables, loss: &Tensor) -> Vec<String> {
    let grads = loss.backward().unwrap();
    let silent = |var: &candle_core::Var| match grads.get(var) {
        Some(g) => g.abs().unwrap().sum_all().unwrap().to_scalar::<f32>().unwrap() == 0.0,
        None => true,
    };
    variables
        .all()
        .into_iter()
        .filter(|(_, var)| silent(var))
        .map(|(name, _)| name)
        .collect()
}

#[test]
fn every_transformer_variable_gets_a_gradient() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    let network = Network::new(&recipe).unwrap();
    let mut optimizer = network.optimizer(&recipe).unwrap();
    let channels = recipe.model.transformer.in_channels * 8 * 8;
    let pair = |i: u64, mask: [f32; 4]| Pair {
        scene: gaussian(i, 0, 0, channels),
        degraded: gaussian(i, 1, 0, channels),
        mask: mask.to_vec(),
        place: (0, 0),
    };
    let pairs = [pair(1, [1.0, 0.5, 0.3, 0.7]), pair(2, [0.4, 0.9, 1.0, 0.2])];
    let row = |v: f32| vec![vec![v; recipe.model.transformer.in_channels]; 4];
    let priors = crate::sampler::prediction::ClassPriors {
        gain: row(0.9),
        offset: row(0.1),
        variance: row(0.5),
    };
    // Zero projections start at 0 and hide the clean path; one step opens them.
    for step in 0..2 {
        let batch = transformer::batch(&recipe, &pairs, &recipe.stages[0], step).unwrap();
        let losses = transformer::losses(&network, &priors, &batch, recipe.transformer.focal_weight).unwrap();
        if step == 1 {
            let silent = silent_variables(&network.variables, &losses.total);
            // The last block's context queries lead nowhere, in SD3 as here: their attention output is dropped.
            let expected = [
                "transformer.transformer_blocks.1.attn.add_q_proj.bias",
                "transformer.transformer_blocks.1.attn.add_q_proj.weight",
            ];
            assert_eq!(silent, expected);
        }
        let rates = optimizer::Rates {
            learning_rate: 1e-2,
            weight_decay: 0.0,
            clip: 1.0,
            ema: 0.9,
        };
        optimizer.apply(&losses.total.backward().unwrap(), rates).unwrap();
    }
}

#[test]
fn every_autoencoder_variable_gets_a_gradient() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    let variables = Variables::new(1);
    let model = MiniAutoencoder::new(&recipe.model.autoencoder, variables.builder()).unwrap();
    let mut optimizer = optimizer::Optimizer::new(&variables).unwrap();
    let mut rng = crate::sampler::noise::stream(0, 0, 0);
    let target = batch_tensor(&[photos().crop((32, 32), &mut rng).0]).unwrap();
    let loss = || autoencoder::loss(&model, &target, 1.0).unwrap();
    // The corrections' output layers start at 0 and hide what is before them; one step opens them.
    let rates = optimizer::Rates {
        learning_rate: 1e-2,
        weight_decay: 0.0,
        clip: 1.0,
        ema: 0.9,
    };
    optimizer.apply(&loss().backward().unwrap(), rates).unwrap();
    assert_eq!(silent_variables(&variables, &loss()), Vec::<String>::new());
}

#[test]
fn a_stopped_run_resumes_to_the_same_bits() {
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |folder: &Path, stop_at: Option<(&str, usize)>| {
        recipe(folder);
        super::run(&folder.join("recipe.toml"), &mut |p: &Progress| match stop_at {
            Some((phase, step)) if p.phase == phase && p.step >= step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        })
        .unwrap()
    };
    assert_eq!(run(whole.path(), None), Outcome::Finished(whole.path().join("out")));
    assert_eq!(run(stopped.path(), Some(("autoencoder", 20))), Outcome::Stopped);
    assert_eq!(run(stopped.path(), Some(("transformer 16 px", 20))), Outcome::Stopped);
    assert_eq!(run(stopped.path(), None), Outcome::Finished(stopped.path().join("out")));
    let model = |folder: &Path| std::fs::read(folder.join("out/model.safetensors")).unwrap();
    assert!(
        model(whole.path()) == model(stopped.path()),
        "the resumed model differs"
    );
    let losses = |folder: &Path| -> Vec<String> {
        let table = std::fs::read_to_string(folder.join("out/train.csv")).unwrap();
        let start = |line: &str| line.split(',').take(3).collect::<Vec<_>>().join(",");
        table.lines().map(start).collect()
    };
    assert_eq!(losses(whole.path()), losses(stopped.path()));
}

/// Remembers what a run told.
#[derive(Default)]
struct Watch {
    reports: Vec<Report>,
    phases: HashSet<String>,
}

impl TrainObserver for Watch {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        self.phases.insert(progress.phase.clone());
        ControlFlow::Continue(())
    }

    fn report(&mut self, report: &Report) {
        self.reports.push(report.clone());
    }
}

#[test]
fn a_trained_folder_opens_as_a_model_and_its_run_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    recipe(folder.path());
    let mut watch = Watch::default();
    super::run(&folder.path().join("recipe.toml"), &mut watch).unwrap();
    let out = folder.path().join("out");
    for weights in [out.clone(), out.join("best.safetensors")] {
        let pipeline = crate::pipeline::Pipeline::open(&weights, &Place::processor()).unwrap();
        assert_eq!(pipeline.info().classes, ["rain", "haze", "noise", "snow"]);
    }
    let phases = [
        "autoencoder",
        "preparing pairs",
        "transformer 16 px",
        "transformer 32 px",
    ];
    assert_eq!(watch.phases, HashSet::from(phases.map(str::to_owned)));
    let count = |is: fn(&Report) -> bool| watch.reports.iter().filter(|r| is(r)).count();
    // 45 steps, a row every fifth and a validation every twentieth, and the last one.
    assert_eq!(count(|r| matches!(r, Report::Step(_))), 9);
    assert_eq!(count(|r| matches!(r, Report::Validation(_))), 3);
    assert_eq!(count(|r| matches!(r, Report::Strip { .. })), 1);
    assert_eq!(
        count(|r| matches!(r, Report::Warning(_))),
        0,
        "every layer that can has a gradient"
    );
    assert!(
        matches!(
            watch.reports[0],
            Report::Prepared {
                training: 6,
                validation: 0,
                ..
            }
        ),
        "{:?}",
        watch.reports[0]
    );
    let rows = |name: &str| std::fs::read_to_string(out.join(name)).unwrap().lines().count();
    assert_eq!(
        (rows("autoencoder.csv"), rows("train.csv"), rows("validation.csv")),
        (9, 10, 7)
    );
    assert!(rows("gradients.csv") > 10);
    // A row per sample: scene, target and sample.
    assert_eq!(
        image::image_dimensions(out.join("samples/step-000045.png")).unwrap(),
        (96, 64)
    );
}

/// The recipe again, from the folder's finished model on, with other learning rates and sampled otherwise, into another folder.
fn further(folder: &Path, learning_rate: f64) -> Recipe {
    let mut recipe = recipe(folder);
    recipe.model.alternating_grid = true;
    recipe.model.prior_guidance = [("snow".to_owned(), 1.5)].into();
    recipe.start_from = Some(folder.join("out"));
    recipe.output = folder.join("further");
    for stage in &mut recipe.stages {
        (stage.learning_rate, stage.final_learning_rate) = (learning_rate, learning_rate);
    }
    recipe
}

fn finish(recipe: Recipe) -> Result<Outcome, crate::error::ModelError> {
    Job::Full(Box::new(recipe)).run(&Place::processor(), &mut Watch::default())
}

/// The tensors of a model folder by name.
fn values(folder: &Path) -> Vec<(String, Vec<f32>)> {
    let weights = crate::io::checkpoint::Weights::open(&folder.join("model.safetensors")).unwrap();
    let flat = |t: &Tensor| t.flatten_all().unwrap().to_dtype(candle_core::DType::F32).unwrap();
    let tensors = weights.tensors().unwrap();
    tensors
        .iter()
        .map(|(name, t)| (name.clone(), flat(t).to_vec1().unwrap()))
        .collect()
}

#[test]
fn training_goes_on_from_a_finished_model() {
    let folder = tempfile::tempdir().unwrap();
    finish(recipe(folder.path())).unwrap();
    let values = |out: &str| values(&folder.path().join(out));
    finish(further(folder.path(), 0.0)).unwrap();
    assert_eq!(
        values("out"),
        values("further"),
        "without a learning rate nothing changes"
    );
    std::fs::remove_dir_all(folder.path().join("further")).unwrap();
    finish(further(folder.path(), 1e-3)).unwrap();
    let changed: Vec<String> = std::iter::zip(values("out"), values("further"))
        .filter(|(a, b)| a.1 != b.1)
        .map(|(a, _)| a.0)
        .collect();
    assert!(changed.iter().any(|name| name.starts_with("transformer.")));
    assert!(
        !changed
            .iter()
            .any(|name| name.starts_with("autoencoder.") || name.starts_with("prediction.")),
        "latents keep their meaning: {changed:?}"
    );
}

/// They start at zero, so a model goes on from where it was; without them it can't.
#[test]
fn a_model_can_be_given_neighbour_projections_but_not_rid_of_them() {
    let folder = tempfile::tempdir().unwrap();
    let mut without = recipe(folder.path());
    without.model.transformer.neighbours = false;
    finish(without).unwrap();
    finish(further(folder.path(), 0.0)).unwrap();
    let before: HashMap<_, _> = values(&folder.path().join("out")).into_iter().collect();
    for (name, value) in values(&folder.path().join("further")) {
        if let Some(expected) = before.get(&name) {
            assert_eq!(&value, expected, "{name}");
        } else {
            assert!(is_neighbours(&name) && value.iter().all(|&v| v == 0.0), "{name}");
        }
    }
    let mut back = further(folder.path(), 0.0);
    back.start_from = Some(folder.path().join("further"));
    back.output = folder.path().join("back");
    back.model.transformer.neighbours = false;
    let error = finish(back).unwrap_err().to_string();
    assert!(error.contains("start_from") && error.contains("differ"), "{error}");
}

/// Also when the model that it began with is gone by then.
#[test]
fn a_run_from_a_model_resumes_to_the_same_bits() {
    let (whole, stopped) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let model = |folder: &Path| std::fs::read(folder.join("further/model.safetensors")).unwrap();
    for folder in [whole.path(), stopped.path()] {
        finish(recipe(folder)).unwrap();
    }
    finish(further(whole.path(), 1e-3)).unwrap();
    let mut early = |p: &Progress| {
        if p.phase == "transformer 16 px" && p.step >= 20 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let begun = Job::Full(Box::new(further(stopped.path(), 1e-3)));
    let outcome = begun.run(&Place::processor(), &mut early).unwrap();
    assert_eq!(outcome, Outcome::Stopped);
    std::fs::remove_dir_all(stopped.path().join("out")).unwrap();
    finish(further(stopped.path(), 1e-3)).unwrap();
    assert!(
        model(whole.path()) == model(stopped.path()),
        "the resumed model differs"
    );
}

#[test]
fn a_model_of_other_classes_is_no_start() {
    let folder = tempfile::tempdir().unwrap();
    finish(recipe(folder.path())).unwrap();
    let mut other = further(folder.path(), 1e-3);
    other.model.transformer.classes.swap(0, 1);
    let error = finish(other).unwrap_err().to_string();
    assert!(error.contains("start_from") && error.contains("classes"), "{error}");
    let mut missing = further(folder.path(), 1e-3);
    missing.start_from = Some(folder.path().to_owned());
    let error = finish(missing).unwrap_err().to_string();
    assert!(error.contains("no model of this program"), "{error}");
    let mut itself = further(folder.path(), 1e-3);
    itself.output = folder.path().join("out");
    let error = finish(itself).unwrap_err().to_string();
    assert!(error.contains("another folder"), "{error}");
}

#[test]
fn held_out_photos_are_another_split_of_the_manifest() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    assert!(Photos::load_held_out(&recipe, 2).unwrap().is_none());
    std::fs::write(
        folder.path().join("manifest.tsv"),
        "split\tpath\ntrain\tphoto.png\nheldout\tphoto.png\n",
    )
    .unwrap();
    assert!(Photos::load_held_out(&recipe, 2).unwrap().is_some());
}

#[test]
fn a_loss_that_is_no_number_stops_with_its_batch_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path());
    recipe.stages[0].learning_rate = 1e30;
    let output = recipe.output.clone();
    let error = Job::Full(Box::new(recipe))
        .run(&Place::processor(), &mut Watch::default())
        .unwrap_err()
        .to_string();
    let name = error
        .split_once("its batch is in ")
        .unwrap()
        .1
        .split(';')
        .next()
        .unwrap();
    let batch = crate::io::checkpoint::Weights::open(Path::new(name)).unwrap();
    assert_eq!(batch.get("scene").unwrap().dims(), [2, 24, 4, 4]);
    assert!(name.starts_with(output.to_str().unwrap()));
}

#[test]
fn every_number_of_a_recipe_has_a_range() {
    let folder = tempfile::tempdir().unwrap();
    recipe(folder.path());
    let path = folder.path().join("recipe.toml");
    let good = std::fs::read_to_string(&path).unwrap();
    for (from, to, what) in [
        (
            "learning_rate = 1e-3",
            "learning_rate = nan",
            "autoencoder.learning_rate is NaN: give 0 to",
        ),
        (
            "final_learning_rate = 1e-4",
            "final_learning_rate = inf",
            "stage.final_learning_rate is inf",
        ),
        ("side = 16", "side = 0", "side is 0: give 1 to 16384"),
        ("count = 6", "count = 9999999999", "pairs.count is 9999999999"),
        (
            "least_severity = 0.1",
            "least_severity = -1.0",
            "pairs.least_severity is -1: give 0 to 1",
        ),
        (
            "class_weights = [1, 1, 1, 1]",
            "class_weights = [0, 0, 0, 0]",
            "class_weights are all 0",
        ),
        (
            "class_weights = [1, 1, 1, 1]",
            "class_weights = [1, nan, 1, 1]",
            "class_weights is NaN",
        ),
        ("ema = 0.99", "ema = nan", "transformer.ema is NaN"),
        ("shift = 3.0", "shift = inf", "shift is inf"),
        ("context_tokens = 3", "context_tokens = 0", "context_tokens is 0"),
        ("in_channels = 24", "in_channels = 0", "in_channels is 0"),
        ("factor = 4", "factor = 2147483648", "factor is 2147483648"),
        ("every = 5", "every = 0", "report.every is 0"),
        ("batch = 2", "batch = 0", "autoencoder.batch is 0"),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        std::fs::write(&path, text).unwrap();
        let error = Recipe::open(&path).expect_err(to).to_string();
        assert!(error.contains("recipe.toml") && error.contains(what), "{to}: {error}");
    }
}

#[test]
fn mixes_follow_the_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path());
    let mut rng = crate::sampler::noise::stream(7, 0, 0);
    let counts: Vec<usize> = (0..400)
        .map(|_| pairs::random_mix(&recipe, &mut rng).iter().count())
        .collect();
    let share = |n: usize| counts.iter().filter(|&&c| c == n).count() as f32 / 400.0;
    assert!(
        (share(0) - 0.1).abs() < 0.06 && (share(2) - 0.3).abs() < 0.08,
        "{} clean, {} mixed",
        share(0),
        share(2)
    );
}
