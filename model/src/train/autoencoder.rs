//! Phase 1: the autoencoder. Starts from the patch transform; learns the corrections on clean and degraded crops alike,
//! as what the project is about has to survive it.

use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{D, Device, Tensor};
use image::Rgb32FImage;
use rand_chacha::rand_core::Rng;
use rayon::prelude::*;

use super::log::{LossLog, Row, Sums};
use super::optimizer::{Optimizer, Rates, learning_rate};
use super::pairs::random_mix;
use super::photos::Photos;
use super::recipe::Recipe;
use super::state;
use super::transform::PatchTransform;
use super::variables::{Variables, name_key};
use super::{Progress, TrainObserver};
use crate::autoencoder::MiniAutoencoder;
use crate::degrade::degrade;
use crate::error::ModelError;
use crate::loss::{FocalFrequency, focal_frequency_loss};
use crate::sampler::noise::stream;

/// The name of the phase in files and reports.
pub const PHASE: &str = "autoencoder";
/// Crops that the whitening is measured on.
const WHITENING_CROPS: u64 = 256;
/// Steps between reports.
const REPORT: usize = 20;

/// Fresh (or resumed) autoencoder with its optimiser.
pub struct Training {
    pub model: MiniAutoencoder,
    pub optimizer: Optimizer,
}

/// Builds the autoencoder with the recipe's seed, or from the saved state.
pub fn prepare(recipe: &Recipe, photos: &Photos) -> Result<Training, ModelError> {
    let variables = Variables::new(recipe.seed ^ name_key(PHASE));
    let model = MiniAutoencoder::new(&recipe.model.autoencoder, variables.builder().pp(PHASE))?;
    let mut optimizer = Optimizer::new(&variables)?;
    if !state::resume(&state::path(recipe, PHASE), &mut optimizer)? {
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
    let (settings, log) = (&recipe.autoencoder, LossLog::new(&recipe.output));
    let (mut sums, mut since) = (Sums::default(), Instant::now());
    while optimizer.step < settings.steps {
        let step = optimizer.step;
        let crops = crops(recipe, photos, step);
        let target = batch_tensor(&crops)?;
        let loss = loss(&model, &target, settings.focal_weight)?;
        sums.add(finite(loss.to_scalar::<f32>()?, PHASE, step)?, 1.0);
        let learning_rate = learning_rate(
            step,
            settings.steps,
            50,
            settings.learning_rate,
            settings.learning_rate * 0.05,
        );
        let rates = Rates {
            learning_rate,
            weight_decay: 0.0,
            clip: 1.0,
            ema: 0.99,
        };
        let gradient_norm = optimizer.apply(&loss.backward()?, rates)?;
        if optimizer.step.is_multiple_of(REPORT) || optimizer.step == settings.steps {
            let samples_per_sec = (REPORT * settings.batch) as f32 / since.elapsed().as_secs_f32();
            log.append(
                &Row {
                    phase: PHASE,
                    step: optimizer.step,
                    gradient_norm,
                    learning_rate,
                    samples_per_sec,
                },
                &sums,
            )?;
            let progress = Progress {
                phase: PHASE.into(),
                step: optimizer.step,
                steps: settings.steps,
                loss: sums.mean(),
                samples_per_sec,
            };
            (sums, since) = (Sums::default(), Instant::now());
            if observer.progress(&progress).is_break() {
                state::save(&state::path(recipe, PHASE), &optimizer)?;
                return Ok(ControlFlow::Break(()));
            }
        }
    }
    state::save(&state::path(recipe, PHASE), &optimizer)?;
    Ok(ControlFlow::Continue(()))
}

/// Mean absolute and squared error, and focal frequency loss, of a batch's reconstruction.
pub fn loss(model: &MiniAutoencoder, target: &Tensor, focal_weight: f64) -> Result<Tensor, ModelError> {
    let decoded = model.decode(&model.encode(target)?)?;
    let difference = (&decoded - target)?;
    let plain = (difference.abs()?.mean_all()? + (difference.sqr()?.mean_all()? * 2.0)?)?;
    let focal = focal_frequency_loss(&decoded, target, FocalFrequency::default())?.mean_all()?;
    Ok((plain + (focal * focal_weight)?)?)
}

/// Refuses to go on with a loss that is not a number.
pub fn finite(loss: f32, phase: &str, step: usize) -> Result<f32, ModelError> {
    if loss.is_finite() {
        return Ok(loss);
    }
    Err(ModelError::BadInput(format!(
        "{phase}: the loss became {loss} at step {step}; lower the learning rate and resume"
    )))
}

/// A step's crops: half of them degraded.
fn crops(recipe: &Recipe, photos: &Photos, step: usize) -> Vec<Rgb32FImage> {
    let settings = &recipe.autoencoder;
    (0..settings.batch as u64)
        .into_par_iter()
        .map(|i| {
            let mut stream = stream(recipe.seed ^ name_key("autoencoder crops"), step as u64, i);
            let crop = photos.crop((settings.side, settings.side), &mut stream);
            let mix = random_mix(recipe, &mut stream);
            if stream.next_u32() & 1 == 0 {
                return crop;
            }
            let seed = stream.next_u64();
            degrade(&crop, &mix, seed).map(|d| d.image).unwrap_or(crop)
        })
        .collect()
}

/// `[batch, 3, side, side]` in -1..=1.
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
        .map(|_| photos.crop((recipe.autoencoder.side, recipe.autoencoder.side), &mut stream))
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
