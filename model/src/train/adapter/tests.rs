//! Adapters over the tiny Stable Diffusion 3 pipeline of the goldens.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use image::RgbImage;
use mdsd3_words::ModelParts;
use mdsd3_words::device::ComputeDtype;

use super::base::BaseModel;
use super::gradients::{losses, velocity};
use super::network::Network;
use super::objective::{Batch, Conditions};
use super::recipe::{AdapterRecipe, CleanPathMode};
use crate::device::Place;
use crate::mmdit::{Conditioning, Mmdit};
use crate::pipeline::Pipeline;
use crate::sampler::noise::gaussian;
use crate::train::gradients::GradientSums;
use crate::train::optimizer::{Optimizer, Rates};
use crate::train::{Outcome, Progress, Report, TrainObserver};

fn base_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/goldens/sd3_pipeline_tiny/pipeline")
}

/// A recipe over the tiny pipeline, with two photos and a broken one in `folder`.
pub fn recipe(folder: &Path, more: &str) -> AdapterRecipe {
    let photos = folder.join("photos");
    std::fs::create_dir_all(&photos).unwrap();
    for (name, tint) in [("a.png", 40), ("b.png", 160), ("c.png", 90)] {
        let photo = RgbImage::from_fn(52, 40, |x, y| image::Rgb([(x * 4) as u8, (y * 6) as u8, tint]));
        photo.save(photos.join(name)).unwrap();
    }
    std::fs::write(photos.join("broken.png"), b"\x89PNG\r\n\x1a\n and no more").unwrap();
    let text = format!(
        r#"
mode = "adapter"
seed = 3
output = '{output}'
classes = ["rain", "haze"]
{more}
[base]
model = '{base}'
[data]
path = '{photos}'
side = 32
views = 2
variants = 2
validation_share = 0.3
[training]
steps = 6
batch = 2
learning_rate = 1e-2
ema = 0.5
[report]
every = 1
validate_every = 3
validation_samples = 2
sample_every = 6
sample_steps = 2
samples = 1
save_every = 2
keep = 2
"#,
        output = folder.join("run").display(),
        base = base_folder().display(),
        photos = photos.display(),
    );
    AdapterRecipe::parse(&text, Path::new("recipe.toml")).unwrap()
}

/// Remembers what a run told, and stops it at a step.
#[derive(Default)]
struct Watch {
    stop_before: Option<usize>,
    losses: Vec<(usize, f32)>,
    reports: Vec<Report>,
}

impl TrainObserver for Watch {
    fn progress(&mut self, progress: &Progress) -> ControlFlow<()> {
        match self.stop_before {
            Some(step) if progress.phase == "adapter" && progress.step >= step => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn report(&mut self, report: &Report) {
        if let Report::Step(numbers) = report {
            self.losses.push((numbers.step, numbers.loss));
        }
        self.reports.push(report.clone());
    }
}

fn run(recipe: &AdapterRecipe, stop_before: Option<usize>) -> (Outcome, Watch) {
    let mut watch = Watch {
        stop_before,
        ..Watch::default()
    };
    let outcome = super::run(recipe, &Place::processor(), &mut watch).unwrap();
    (outcome, watch)
}

fn network(recipe: &AdapterRecipe, dtype: DType) -> (BaseModel, Network, Optimizer) {
    let base = BaseModel::open(recipe).unwrap();
    let (network, optimizer) =
        Network::new(recipe, &base.config, &base.checkpoint.transformer, &Device::Cpu, dtype).unwrap();
    (base, network, optimizer)
}

fn tensor(seed: u64, shape: &[usize]) -> Tensor {
    Tensor::from_vec(gaussian(seed, 0, 0, shape.iter().product()), shape, &Device::Cpu).unwrap()
}

/// Two samples of 4x4 tokens.
fn batch(base: &BaseModel, masks: [f32; 2]) -> Batch {
    let (config, latents) = (&base.config, [2, base.config.in_channels, 8, 8]);
    Batch {
        on: Conditions {
            scene: tensor(1, &latents),
            context: tensor(2, &[2, 5, config.joint_attention_dim]),
            pooled: tensor(3, &[2, config.pooled_projection_dim]),
            sigmas: vec![0.3, 0.8],
            masks: masks.map(|m| vec![m; config.num_attention_heads]).to_vec(),
        },
        target: tensor(4, &latents),
        noise: tensor(5, &latents),
        names: vec!["a".into(), "b".into()],
    }
}

fn values(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn step_zero_is_plain_sd3_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "");
    for mode in [CleanPathMode::LowRank, CleanPathMode::Trained] {
        recipe.adapter.clean_path = mode;
        let (base, network, _) = network(&recipe, DType::F32);
        let batch = batch(&base, [1.0, 1.0]);
        let ours = velocity(&network, &batch.noisy().unwrap(), &batch.on).unwrap();
        let plain = Mmdit::new(
            &base.checkpoint.config,
            base.checkpoint.transformer.builder(DType::F32, &Device::Cpu),
        )
        .unwrap();
        assert!(!plain.has_clean_path());
        let on = Conditioning {
            timestep: &Tensor::new(&[300f32, 800.0], &Device::Cpu).unwrap(),
            context: &batch.on.context,
            pooled: &batch.on.pooled,
            mask: None,
            clean: None,
            origin: None,
        };
        let expected = plain.forward(&batch.noisy().unwrap(), &on).unwrap();
        assert_eq!(values(&ours), values(&expected), "{mode:?}");
    }
}

/// Optimises a few steps on one batch, so that nothing is zero any more.
fn opened(recipe: &AdapterRecipe, batch: impl Fn(&BaseModel) -> Batch) -> (BaseModel, Network, Optimizer) {
    let (base, network, mut optimizer) = network(recipe, DType::F32);
    for _ in 0..3 {
        let mut sums = GradientSums::default();
        losses(&network, &batch(&base), &recipe.objective, true, &mut sums).unwrap();
        let gradients = optimizer.slots.iter().map(|s| sums.take_mean(&s.name, 1)).collect();
        let rates = Rates {
            learning_rate: 1e-2,
            weight_decay: 0.0,
            clip: 1.0,
            ema: 0.0,
        };
        optimizer.apply_values(gradients, rates).unwrap();
    }
    (base, network, optimizer)
}

#[test]
fn recomputed_activations_give_the_same_gradients_and_every_tensor_gets_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "");
    for mode in [CleanPathMode::LowRank, CleanPathMode::Trained] {
        recipe.adapter.clean_path = mode;
        let (base, network, optimizer) = opened(&recipe, |base| batch(base, [0.7, 1.0]));
        let batch = batch(&base, [0.7, 1.0]);
        let [mut kept, mut recomputed] = [false, true].map(|checkpointing| {
            let mut sums = GradientSums::default();
            losses(&network, &batch, &recipe.objective, checkpointing, &mut sums).unwrap();
            sums
        });
        for slot in &optimizer.slots {
            let kept = kept
                .take_mean(&slot.name, 1)
                .unwrap_or_else(|| panic!("{}: no gradient", slot.name));
            let recomputed = recomputed.take_mean(&slot.name, 1).unwrap();
            let peak = kept.iter().fold(0f32, |peak, g| peak.max(g.abs()));
            assert!(peak > 0.0, "{}: zero gradient", slot.name);
            let worst = kept
                .iter()
                .zip(&recomputed)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst <= 1e-5 * peak + 1e-9, "{}: {worst} of {peak}", slot.name);
        }
        let has_whole_path = optimizer.slots.iter().any(|s| s.name == "pos_embed_clean.proj.weight");
        assert_eq!(has_whole_path, mode == CleanPathMode::Trained);
    }
}

#[test]
fn half_precision_gives_the_gradients_of_single_precision_nearly() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), "");
    let loss = |dtype: DType| {
        let (base, network, _) = network(&recipe, dtype);
        let mut sums = GradientSums::default();
        let losses = losses(&network, &batch(&base, [1.0, 1.0]), &recipe.objective, true, &mut sums).unwrap();
        let gradient = sums
            .take_mean("transformer_blocks.0.attn.zero_blocks.2.weight", 1)
            .unwrap();
        (losses.total.to_scalar::<f32>().unwrap(), gradient)
    };
    let ((single, full), (half, rounded)) = (loss(DType::F32), loss(DType::BF16));
    assert!((single - half).abs() < 0.02 * single, "{single} against {half}");
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    let cosine = dot(&full, &rounded) / (dot(&full, &full) * dot(&rounded, &rounded)).sqrt();
    assert!(cosine > 0.98, "cosine {cosine}");
}

#[test]
fn batches_add_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "");
    recipe.training.steps = 1;
    let adapter = |recipe: &AdapterRecipe| {
        run(recipe, None);
        let path = recipe.output.join("adapter.safetensors");
        let weights = crate::io::checkpoint::Weights::open(&path).unwrap();
        let bytes: Vec<f32> = weights.keys().flat_map(|k| values(&weights.get(k).unwrap())).collect();
        bytes
    };
    (recipe.training.batch, recipe.training.accumulate) = (4, 1);
    let at_once = adapter(&recipe);
    recipe.output = folder.path().join("accumulated");
    (recipe.training.batch, recipe.training.accumulate) = (1, 4);
    let accumulated = adapter(&recipe);
    let worst = at_once
        .iter()
        .zip(&accumulated)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    // Adam's first step is the sign of the gradient: where that is almost 0, rounding decides.
    let moved = at_once
        .iter()
        .zip(&accumulated)
        .filter(|(a, b)| (*a - *b).abs() > 1e-4)
        .count();
    assert!(
        moved * 200 < at_once.len(),
        "{moved} of {} differ, by up to {worst}",
        at_once.len()
    );
}

#[test]
fn a_trained_adapter_renders_and_its_run_is_documented() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), "");
    let (outcome, watch) = run(&recipe, None);
    let adapter = recipe.output.join("adapter.safetensors");
    assert_eq!(outcome, Outcome::Finished(adapter.clone()));
    let parts = ModelParts {
        adapter: Some(adapter),
        ..ModelParts::default()
    };
    let pipeline = Pipeline::open_with(&base_folder(), &parts, &Place::processor()).unwrap();
    assert_eq!(pipeline.info().classes, ["rain", "haze"]);
    let skipped = watch.reports.iter().find_map(|r| match r {
        Report::Prepared {
            skipped,
            training,
            validation,
        } => {
            assert_eq!(training + validation, 3 * 2 * 2);
            assert!(*validation > 0);
            Some(skipped.clone())
        }
        _ => None,
    });
    assert!(skipped.unwrap()[0].name.contains("broken.png"));
    assert!(!watch.reports.iter().any(|r| matches!(r, Report::Warning(_))));
    let rows = |name: &str| {
        std::fs::read_to_string(recipe.output.join(name))
            .unwrap()
            .lines()
            .count()
    };
    // Header and rows: 6 steps, 2 validations of 5 levels.
    assert_eq!((rows("train.csv"), rows("validation.csv")), (7, 11));
    assert!(rows("gradients.csv") > 2);
    for file in [
        "best.safetensors",
        "samples/step-000006.png",
        "focal_weights/step-000003.png",
    ] {
        assert!(recipe.output.join(file).is_file(), "{file}");
    }
    let states = std::fs::read_dir(recipe.output.join("states")).unwrap().count();
    assert_eq!(states, 2, "the last two states are kept");
}

#[test]
fn a_stopped_run_resumes_with_the_same_losses() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "");
    let (_, whole) = run(&recipe, None);
    recipe.output = folder.path().join("stopped");
    let (outcome, first) = run(&recipe, Some(3));
    assert_eq!(outcome, Outcome::Stopped);
    // A state that is damaged leaves the one before it: steps 3 and on are computed again.
    let newest = recipe.output.join("states/step-00000003.safetensors");
    assert!(newest.is_file(), "stopping saves at once");
    std::fs::write(&newest, b"torn").unwrap();
    let (_, second) = run(&recipe, None);
    assert!(
        matches!(second.reports[1], Report::Resumed { step: 2 }),
        "{:?}",
        second.reports[1]
    );
    let resumed = [&first.losses[..2], &second.losses[..]].concat();
    assert_eq!(resumed, whole.losses);
    let table = std::fs::read_to_string(recipe.output.join("train.csv")).unwrap();
    let steps: Vec<&str> = table.lines().skip(1).filter_map(|l| l.split(',').next()).collect();
    assert_eq!(steps, ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_loss_that_is_no_number_stops_with_its_batch_saved() {
    let folder = tempfile::tempdir().unwrap();
    let mut recipe = recipe(folder.path(), "");
    recipe.training.learning_rate = 1e30;
    let error = super::run(&recipe, &Place::processor(), &mut Watch::default()).unwrap_err();
    assert!(error.is_bad_input(), "{error}");
    let message = error.to_string();
    let path = message
        .split("its batch is in ")
        .nth(1)
        .unwrap()
        .split(';')
        .next()
        .unwrap();
    let saved = crate::io::checkpoint::Weights::open(Path::new(path)).unwrap();
    assert_eq!(saved.shape("target").unwrap(), [2, 16, 4, 4]);
    assert!(message.contains(".png"), "{message}");
}

/// What the last step has driven out of the numbers is kept nowhere, and the run doesn't end well.
#[test]
fn weights_that_are_no_numbers_are_not_kept() {
    for validate_every in [0, 1] {
        let folder = tempfile::tempdir().unwrap();
        let mut recipe = recipe(folder.path(), "");
        (recipe.training.steps, recipe.training.learning_rate) = (1, 1e300);
        recipe.report.validate_every = validate_every;
        let error = super::run(&recipe, &Place::processor(), &mut Watch::default()).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("behind step 0 is no number"), "{message}");
        for file in ["adapter.safetensors", "best.safetensors"] {
            assert!(!recipe.output.join(file).exists(), "{file}");
        }
        assert_eq!(std::fs::read_dir(recipe.output.join("states")).unwrap().count(), 0);
    }
}

#[test]
fn recipes_with_impossible_values_are_refused_by_key() {
    let folder = tempfile::tempdir().unwrap();
    let good = toml::to_string(&recipe(folder.path(), "")).unwrap();
    for (from, to, key) in [
        ("rank = 4", "rank = 0", "adapter.rank"),
        ("validation_share = ", "validation_share = 1", "data.validation_share"),
        ("kind = \"logit-normal\"", "kind = \"mode\"\nscale = 3.0", "timesteps"),
        ("steps = 6", "stepz = 6", "stepz"),
        ("\"haze\"]", "\"rain\"]", "twice"),
        ("rank = 4", "rank = 1000000", "adapter.rank is 1000000: give 1 to 4096"),
        ("steps = 6", "steps = 9000000000000000000", "training.steps is"),
        ("clip = 1.0", "clip = nan", "training.clip is NaN"),
        (
            "weight_decay = 0.0",
            "weight_decay = inf",
            "training.weight_decay is inf",
        ),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from} is not in the recipe:\n{good}");
        let error = AdapterRecipe::parse(&text, Path::new("r.toml")).unwrap_err();
        assert!(
            error.to_string().contains(key) && !error.to_string().contains('\n'),
            "{error}"
        );
    }
    let mut recipe = recipe(folder.path(), "");
    recipe.adapter.targets = vec!["to_k_claen".into()];
    let base = BaseModel::open(&recipe).unwrap();
    let Err(error) = Network::new(
        &recipe,
        &base.config,
        &base.checkpoint.transformer,
        &Device::Cpu,
        DType::F32,
    ) else {
        panic!("a target that is no layer");
    };
    assert!(error.to_string().contains("to_k_claen"), "{error}");
}

#[test]
fn an_unbroken_budget_counts_what_is_trained() {
    let folder = tempfile::tempdir().unwrap();
    let recipe = recipe(folder.path(), "");
    let (_, _, optimizer) = network(&recipe, DType::F32);
    let trained: usize = optimizer.slots.iter().map(|s| s.value.len()).sum();
    let budget = super::budget(&recipe, ComputeDtype::F32).unwrap();
    assert_eq!(budget.trained, trained as u64);
    let mut without = recipe.clone();
    without.training.checkpointing = false;
    assert!(super::budget(&without, ComputeDtype::F32).unwrap().device_bytes() > budget.device_bytes());
}
