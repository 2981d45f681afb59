//! Phase 2: the transformer, by flow matching with a focal frequency loss on `x0_hat`.
//!
//! In the scene-residual parametrisation (see `sampler::prediction`) the network's target is the residual that the
//! posterior mean leaves, scaled to unit variance. Its squared error is the flow-matching error of the velocity times
//! `sigma² / c_out²`: the same minimum, with every class, channel and noise level weighing alike. The focal frequency loss
//! is taken on `x0_hat` in the same units and weighted by (1 - t/1000), so that it counts when fine structure forms.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use rand_chacha::rand_core::Rng;

use super::autoencoder::{self, finite};
use super::log::{LossLog, Row, Sums};
use super::optimizer::{Optimizer, Rates, learning_rate};
use super::pairs::{self, Pair};
use super::photos::Photos;
use super::recipe::{Recipe, Stage, TransformerPhase};
use super::variables::{Variables, name_key};
use super::{Progress, TrainObserver, state};
use crate::error::ModelError;
use crate::loss::{FocalFrequency, focal_frequency_loss};
use crate::mmdit::{Conditioning, Mmdit};
use crate::pipeline::LearnedContext;
use crate::sampler::noise::{Stream, normals, stream, unit};
use crate::sampler::prediction::{ClassPriors, noisy_residual, sigma_tensor};
use crate::sampler::schedule;

/// The name of the phase in files and reports.
const PHASE: &str = "transformer";
/// Steps between reports.
const REPORT: usize = 20;
/// Noise levels stay this far from 0, where nothing is left to predict.
const LEAST_SIGMA: f64 = 0.003;

/// The network under training.
pub struct Network {
    pub transformer: Mmdit,
    pub context: LearnedContext,
    pub variables: Variables,
}

impl Network {
    /// Fresh variables from the recipe's seed; residual gates start open, so that training starts at once.
    pub fn new(recipe: &Recipe) -> Result<Self, ModelError> {
        let variables = Variables::new(recipe.seed ^ name_key(PHASE));
        let vb = variables.builder();
        let transformer = Mmdit::with_clean_path(&recipe.model.transformer, vb.pp(PHASE), true)?;
        let context = LearnedContext::new(&recipe.model, vb.pp("context"))?;
        Ok(Self {
            transformer,
            context,
            variables,
        })
    }

    /// Its optimiser, gates opened.
    pub fn optimizer(&self, recipe: &Recipe) -> Result<Optimizer, ModelError> {
        let mut optimizer = Optimizer::new(&self.variables)?;
        let width = recipe.model.transformer.width();
        for slot in &mut optimizer.slots {
            let gated = slot.name.ends_with("norm1.linear.bias") || slot.name.ends_with("norm1_context.linear.bias");
            if gated && slot.value.len() == 6 * width {
                for gate in [2, 5] {
                    slot.value[gate * width..(gate + 1) * width].fill(1.0);
                    slot.average[gate * width..(gate + 1) * width].fill(1.0);
                }
                slot.publish()?;
            }
        }
        Ok(optimizer)
    }
}

/// A training batch: windows of pairs at one place of the positional table, so pairs that were cut at one place.
pub struct Batch {
    /// `[batch, channels, side, side]`
    pub scene: Tensor,
    pub degraded: Tensor,
    pub noise: Tensor,
    pub sigmas: Vec<f32>,
    pub masks: Vec<Vec<f32>>,
    /// Row and column of the first token.
    pub origin: (usize, usize),
}

/// Losses of a batch.
pub struct Losses {
    /// What is minimised.
    pub total: Tensor,
    /// Squared error per sample.
    pub per_sample: Vec<f32>,
}

/// The objective of a batch.
pub fn losses(network: &Network, priors: &ClassPriors, batch: &Batch, focal_weight: f64) -> Result<Losses, ModelError> {
    let device = Device::Cpu;
    let count = batch.sigmas.len();
    let c = priors.coefficients(&batch.sigmas, &batch.masks, DType::F32, &device)?;
    let sigma = sigma_tensor(&batch.sigmas, &device)?;
    let mean = c.prior_mean(&batch.scene)?;
    let x_t = (batch.degraded.broadcast_mul(&(1.0 - &sigma)?)? + batch.noise.broadcast_mul(&sigma)?)?;
    let y = noisy_residual(&x_t, &mean, &sigma)?;
    let target = ((&batch.degraded - mean)? - y.broadcast_mul(&c.skip)?)?.broadcast_div(&c.out)?;

    let timesteps: Vec<f32> = batch.sigmas.iter().map(|&s| schedule::timestep(s)).collect();
    let (_, tokens, width) = network.context.tokens.dims3()?;
    let clean = network.transformer.clean_cache(&batch.scene, Some(batch.origin))?;
    let on = Conditioning {
        timestep: &Tensor::new(timesteps, &device)?,
        context: &network
            .context
            .tokens
            .broadcast_as((count, tokens, width))?
            .contiguous()?,
        pooled: &network
            .context
            .pooled
            .broadcast_as((count, network.context.pooled.dim(1)?))?
            .contiguous()?,
        mask: Some(&Tensor::from_vec(
            batch.masks.concat(),
            (count, batch.masks[0].len()),
            &device,
        )?),
        clean: Some(&clean),
        origin: Some(batch.origin),
    };
    let output = network.transformer.forward(&y.broadcast_mul(&c.input)?, &on)?;
    let squared = (&output - &target)?.sqr()?.mean((1, 2, 3))?;
    let mut total = squared.mean_all()?;
    if focal_weight > 0.0 {
        let focal = focal_frequency_loss(&output, &target, FocalFrequency::default())?;
        let late = (1.0 - sigma.flatten_all()?)?;
        total = (total + ((focal * late)?.mean_all()? * focal_weight)?)?;
    }
    Ok(Losses {
        total,
        per_sample: squared.to_vec1()?,
    })
}

/// Draws a step's batch.
pub fn batch(recipe: &Recipe, pairs: &[Pair], stage: &Stage, step: usize) -> Result<Batch, ModelError> {
    let mut rng = stream(recipe.seed ^ name_key("batches"), step as u64, 0);
    let config = &recipe.model.transformer;
    let factor = recipe.model.autoencoder.factor;
    let (whole, side, patch) = (
        recipe.pairs.side as usize / factor,
        stage.side as usize / factor,
        config.patch_size,
    );
    let mut below = |n: usize| (rng.next_u64() % n as u64) as usize;
    let places = (whole - side) / patch + 1;
    let (top, left) = (below(places) * patch, below(places) * patch);
    let place = pairs[below(pairs.len())].place;
    let near: Vec<&Pair> = pairs.iter().filter(|p| p.place == place).collect();
    let chosen: Vec<&Pair> = (0..stage.batch).map(|_| near[below(near.len())]).collect();
    let shape = (stage.batch, config.in_channels, side, side);
    let cut = |values: &dyn Fn(&Pair) -> &[f32]| {
        let mut out = Vec::with_capacity(stage.batch * config.in_channels * side * side);
        for pair in &chosen {
            for plane in values(pair).chunks_exact(whole * whole) {
                for row in plane.chunks_exact(whole).skip(top).take(side) {
                    out.extend_from_slice(&row[left..left + side]);
                }
            }
        }
        Tensor::from_vec(out, shape, &Device::Cpu)
    };
    let (scene, degraded) = (cut(&|p| &p.scene)?, cut(&|p| &p.degraded)?);
    let sigmas = (0..stage.batch)
        .map(|_| random_sigma(&recipe.transformer, &mut rng))
        .collect();
    let noise = Tensor::from_vec(normals(&mut rng, scene.elem_count()), shape, &Device::Cpu)?;
    // A window keeps the place that it has in a whole image.
    let origin = (place.0 + top / patch, place.1 + left / patch);
    Ok(Batch {
        scene,
        degraded,
        noise,
        sigmas,
        masks: chosen.iter().map(|p| p.mask.clone()).collect(),
        origin,
    })
}

/// A logit-normal noise level, or now and then a uniform high one.
fn random_sigma(settings: &TransformerPhase, rng: &mut Stream) -> f32 {
    let (kind, uniform, normal) = (
        unit(rng.next_u64()),
        unit(rng.next_u64()),
        f64::from(normals(rng, 1)[0]),
    );
    if kind < f64::from(settings.high_sigma_share) {
        return (1.0 - 0.4 * uniform) as f32;
    }
    let logit = settings.sigma_mean + settings.sigma_deviation * normal;
    (1.0 / (1.0 + (-logit).exp())).clamp(LEAST_SIGMA, 1.0) as f32
}

/// Trains what is left of the phase and writes the model folder.
pub fn train(
    recipe: &Recipe,
    photos: &Photos,
    observer: &mut dyn TrainObserver,
) -> Result<ControlFlow<()>, ModelError> {
    let mut encoder = autoencoder::prepare(recipe, photos)?;
    // The transformer learns the latents of the averaged autoencoder, which is the one that is exported.
    for slot in &mut encoder.optimizer.slots {
        slot.value.clone_from(&slot.average);
        slot.publish()?;
    }
    let priors = pairs::fit_priors(recipe, &encoder.model, photos)?;
    let network = Network::new(recipe)?;
    let mut optimizer = network.optimizer(recipe)?;
    state::resume(&state::path(recipe, PHASE), &mut optimizer)?;
    let total: usize = recipe.stages.iter().map(|s| s.steps).sum();
    if optimizer.step < total {
        let ControlFlow::Continue(pairs) = pairs::prepare(recipe, &encoder.model, photos, observer)? else {
            return Ok(ControlFlow::Break(()));
        };
        let run = Run {
            recipe,
            pairs: &pairs,
            priors: &priors,
            network: &network,
        };
        if run.stages(&mut optimizer, &encoder.optimizer, observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    state::export(recipe, &[&encoder.optimizer, &optimizer], prior_tensors(&priors)?)?;
    Ok(ControlFlow::Continue(()))
}

/// What the training loop reads.
struct Run<'a> {
    recipe: &'a Recipe,
    pairs: &'a [Pair],
    priors: &'a ClassPriors,
    network: &'a Network,
}

impl Run<'_> {
    fn stages(
        &self,
        optimizer: &mut Optimizer,
        encoder: &Optimizer,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        let mut first = 0;
        for stage in &self.recipe.stages {
            if self.stage(stage, first, optimizer, encoder, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            first += stage.steps;
        }
        Ok(ControlFlow::Continue(()))
    }

    fn stage(
        &self,
        stage: &Stage,
        first: usize,
        optimizer: &mut Optimizer,
        encoder: &Optimizer,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        let (settings, log) = (&self.recipe.transformer, LossLog::new(&self.recipe.output));
        let state_path = state::path(self.recipe, PHASE);
        let phase = format!("{PHASE} {} px", stage.side);
        let (mut sums, mut since) = (Sums::default(), Instant::now());
        while optimizer.step < first + stage.steps {
            let step = optimizer.step;
            let batch = batch(self.recipe, self.pairs, stage, step)?;
            let losses = losses(self.network, self.priors, &batch, settings.focal_weight)?;
            finite(losses.total.to_scalar()?, &phase, step)?;
            losses
                .per_sample
                .iter()
                .zip(&batch.sigmas)
                .for_each(|(&l, &s)| sums.add(l, s));
            let learning_rate = learning_rate(
                step - first,
                stage.steps,
                stage.warm_up,
                stage.learning_rate,
                stage.final_learning_rate,
            );
            let rates = Rates {
                learning_rate,
                weight_decay: settings.weight_decay,
                clip: settings.clip,
                ema: settings.ema,
            };
            let gradient_norm = optimizer.apply(&losses.total.backward()?, rates)?;
            let done = optimizer.step - first;
            if done.is_multiple_of(settings.save_every) || done == stage.steps {
                state::save(&state_path, optimizer)?;
                state::export(self.recipe, &[encoder, optimizer], prior_tensors(self.priors)?)?;
            }
            if done.is_multiple_of(REPORT) || done == stage.steps {
                let samples_per_sec = (REPORT * stage.batch) as f32 / since.elapsed().as_secs_f32();
                log.append(
                    &Row {
                        phase: &phase,
                        step: optimizer.step,
                        gradient_norm,
                        learning_rate,
                        samples_per_sec,
                    },
                    &sums,
                )?;
                let progress = Progress {
                    phase: phase.clone(),
                    step: done,
                    steps: stage.steps,
                    loss: sums.mean(),
                    samples_per_sec,
                };
                (sums, since) = (Sums::default(), Instant::now());
                if observer.progress(&progress).is_break() {
                    state::save(&state_path, optimizer)?;
                    return Ok(ControlFlow::Break(()));
                }
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

/// The priors as the checkpoint stores them.
fn prior_tensors(priors: &ClassPriors) -> Result<HashMap<String, Tensor>, ModelError> {
    let tensor = |rows: &Vec<Vec<f32>>| Tensor::new(rows.clone(), &Device::Cpu);
    Ok(HashMap::from([
        ("prediction.gain".to_owned(), tensor(&priors.gain)?),
        ("prediction.offset".to_owned(), tensor(&priors.offset)?),
        ("prediction.variance".to_owned(), tensor(&priors.variance)?),
    ]))
}
