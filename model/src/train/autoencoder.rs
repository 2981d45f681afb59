//! Phase 1: the autoencoder. Starts from the patch transform; learns the corrections on clean and degraded crops alike,
//! as what the project is about has to survive it.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{D, Device, Tensor};
use image::Rgb32FImage;
use mdsd3_weather::{Options, degrade};
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::optimizer::{Optimizer, Rates, learning_rate};
use super::pairs::random_mix;
use super::photos::Photos;
use super::recipe::{AutoencoderPhase, Recipe};
use super::room::with_room;
use super::start::Start;
use super::state;
use super::steps::{SavedBatch, not_a_number};
use super::table::Table;
use super::transform::PatchTransform;
use super::variables::{Variables, name_key};
use super::{Progress, TrainObserver};
use crate::autoencoder::MiniAutoencoder;
use crate::error::ModelError;
use crate::loss::{FocalFrequency, focal_frequency_loss};
use crate::sampler::noise::stream;

/// The name of the phase in files and reports.
pub const PHASE: &str = "autoencoder";
/// Crops that the whitening is measured on.
const WHITENING_CROPS: u64 = 256;

/// Fresh (or resumed) autoencoder with its optimiser.
pub struct Training {
    pub model: MiniAutoencoder,
    pub optimizer: Optimizer,
}

/// Builds the autoencoder with the recipe's seed, from the saved state, or as the model to start from has it.
pub fn prepare(recipe: &Recipe, photos: &Photos) -> Result<Training, ModelError> {
    let variables = Variables::new(recipe.seed ^ name_key(PHASE));
    let model = MiniAutoencoder::new(&recipe.model.autoencoder, variables.builder().pp(PHASE))?;
    let mut optimizer = Optimizer::new(&variables)?;
    if let Some(start) = Start::of(recipe)? {
        start.fill(&mut optimizer)?;
        optimizer.step = recipe.autoencoder.steps;
    } else if !state::resume(&state::path(recipe, PHASE), &mut optimizer)? {
        start_from_transform(recipe, photos, &model, &mut optimizer)?;
    }
    Ok(Training { model, optimizer })
}

/// Trains what is left of the phase.
pub fn train(
    recipe: &Recipe,
    photos: &Photos,
    observer: &mut dyn TrainObserver,
) -> Result<ControlFlow<()>, ModelError> {
    let Training { model, mut optimizer } = prepare(recipe, photos)?;
    let (settings, path) = (&recipe.autoencoder, state::path(recipe, PHASE));
    let mut log = Log::open(recipe, optimizer.step)?;
    while optimizer.step < settings.steps {
        let step = optimizer.step;
        let target = batch_tensor(&crops(recipe, photos, step))?;
        let loss = loss(&model, &target, settings.focal_weight)?;
        let value = loss.to_scalar::<f32>()?;
        if !value.is_finite() {
            let batch = SavedBatch::of(Vec::new(), [("crops", target)]);
            return Err(not_a_number(&recipe.output, step, "autoencoder's loss", Ok(batch)));
        }
        let rates = rates(settings, step);
        let gradient_norm = optimizer.apply(&loss.backward()?, rates)?;
        log.losses.push(value);
        let progress = log.progress(optimizer.step);
        if optimizer.step.is_multiple_of(recipe.report.every) || optimizer.step == settings.steps {
            let learning_rate = rates.learning_rate;
            if with_room(observer, &progress, |_| {
                log.row(&progress, gradient_norm, learning_rate)
            })?
            .is_break()
            {
                return Ok(ControlFlow::Break(()));
            }
            log.restart();
        }
        let is_stopped = observer.progress(&progress).is_break();
        let is_last = optimizer.step == settings.steps;
        let is_due = is_stopped || is_last || optimizer.step.is_multiple_of(recipe.report.save_every);
        let is_saved = !is_due || with_room(observer, &progress, |_| state::save(&path, &optimizer))?.is_continue();
        if is_stopped || !is_saved {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn rates(settings: &AutoencoderPhase, step: usize) -> Rates {
    let peak = settings.learning_rate;
    Rates {
        learning_rate: learning_rate(step, settings.steps, 50, peak, peak * 0.05),
        weight_decay: 0.0,
        clip: 1.0,
        ema: 0.99,
    }
}

/// The phase's numbers since the last row.
struct Log<'a> {
    recipe: &'a Recipe,
    table: Table,
    losses: Vec<f32>,
    since: Instant,
}

impl<'a> Log<'a> {
    fn open(recipe: &'a Recipe, step: usize) -> Result<Self, ModelError> {
        let columns = ["step", "loss", "gradient_norm", "learning_rate", "samples_per_sec"];
        let table = Table::new(recipe.output.join("autoencoder.csv"), &columns);
        table.keep_until(step)?;
        Ok(Self {
            recipe,
            table,
            losses: Vec::new(),
            since: Instant::now(),
        })
    }

    fn progress(&self, step: usize) -> Progress {
        let samples = (self.losses.len() * self.recipe.autoencoder.batch) as f32;
        Progress {
            phase: PHASE.into(),
            step,
            steps: self.recipe.autoencoder.steps,
            loss: Some(self.losses.iter().sum::<f32>() / self.losses.len().max(1) as f32),
            samples_per_sec: samples / self.since.elapsed().as_secs_f32().max(1e-6),
        }
    }

    fn row(&self, progress: &Progress, gradient_norm: f32, learning_rate: f64) -> Result<(), ModelError> {
        self.table.append(&[vec![
            progress.step.to_string(),
            progress.loss.map(|loss| format!("{loss:e}")).unwrap_or_default(),
            format!("{gradient_norm:.6e}"),
            format!("{learning_rate:.4e}"),
            format!("{:.3}", progress.samples_per_sec),
        ]])
    }

    fn restart(&mut self) {
        (self.losses, self.since) = (Vec::new(), Instant::now());
    }
}

/// Mean absolute and squared error, and focal frequency loss, of a batch's reconstruction.
///
/// # Shapes
/// `target: [batch, 3, side, side]` in -1..=1, result a scalar.
pub fn loss(model: &MiniAutoencoder, target: &Tensor, focal_weight: f64) -> Result<Tensor, ModelError> {
    let decoded = model.decode(&model.encode(target)?)?;
    let difference = (&decoded - target)?;
    let plain = (difference.abs()?.mean_all()? + (difference.sqr()?.mean_all()? * 2.0)?)?;
    let focal = focal_frequency_loss(&decoded, target, FocalFrequency::default())?.mean_all()?;
    Ok((plain + (focal * focal_weight)?)?)
}

/// A step's crops: half of them degraded.
fn crops(recipe: &Recipe, photos: &Photos, step: usize) -> Vec<Rgb32FImage> {
    let settings = &recipe.autoencoder;
    (0..settings.batch as u64)
        .into_par_iter()
        .map(|i| {
            let mut stream = stream(recipe.seed ^ name_key("autoencoder crops"), step as u64, i);
            let (crop, depth) = photos.crop((settings.side, settings.side), &mut stream);
            let mix = random_mix(recipe, &mut stream);
            if stream.next_u32() & 1 == 0 {
                return crop;
            }
            let seed = stream.next_u64();
            let degraded = degrade(&crop, &depth, &mix, seed, &Options::default());
            degraded.map_or(crop, |degraded| degraded.image)
        })
        .collect()
}

/// Images of one size as a tensor in -1..=1.
///
/// # Shapes
/// Result: `[batch, 3, side, side]`.
pub fn batch_tensor(images: &[Rgb32FImage]) -> Result<Tensor, ModelError> {
    let tensors = images
        .iter()
        .map(|i| crate::pipeline::tensor_from_rgb(i, &Device::Cpu))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Tensor::cat(&tensors, 0)?)
}

/// Measures channel variances on training crops and writes the whitened transform into the linear layers.
fn start_from_transform(
    recipe: &Recipe,
    photos: &Photos,
    model: &MiniAutoencoder,
    optimizer: &mut Optimizer,
) -> Result<(), ModelError> {
    let config = &recipe.model.autoencoder;
    let mut transform = PatchTransform::new(config)?;
    let mut stream = stream(recipe.seed ^ name_key("whitening"), 0, 0);
    let crops: Vec<_> = (0..WHITENING_CROPS)
        .map(|_| {
            photos
                .crop((recipe.autoencoder.side, recipe.autoencoder.side), &mut stream)
                .0
        })
        .collect();
    let patches = model.patches(&batch_tensor(&crops)?)?.flatten(0, 2)?;
    let mean: Vec<f32> = patches.mean(0)?.to_vec1()?;
    let flat = |rows: &[Vec<f64>]| rows.iter().flatten().map(|&w| w as f32).collect::<Vec<f32>>();
    let pixels = 3 * config.factor * config.factor;
    let weight = Tensor::from_vec(flat(&transform.encode), (config.latent_channels, pixels), &Device::Cpu)?;
    let variance: Vec<f64> = patches
        .matmul(&weight.t()?)?
        .var(D::Minus2)?
        .to_vec1::<f32>()?
        .into_iter()
        .map(f64::from)
        .collect();
    transform.whiten(&variance, recipe.autoencoder.whitening);
    let offset = |row: &Vec<f64>| -row.iter().zip(&mean).map(|(w, &m)| w * f64::from(m)).sum::<f64>() as f32;
    let values = [
        ("encoder.linear.weight", flat(&transform.encode)),
        ("encoder.linear.bias", transform.encode.iter().map(offset).collect()),
        ("decoder.linear.weight", flat(&transform.decode)),
        ("decoder.linear.bias", mean.clone()),
    ];
    for (name, values) in values {
        let name = format!("{PHASE}.{name}");
        if let Some(slot) = optimizer.slots.iter_mut().find(|s| s.name == name) {
            slot.value.copy_from_slice(&values);
            slot.average.copy_from_slice(&values);
            slot.publish()?;
        }
    }
    Ok(())
}
