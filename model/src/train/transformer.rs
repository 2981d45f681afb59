//! Phase 2: the transformer, what it is given and what is minimised: flow matching with a focal frequency loss on `x0_hat`.
//!
//! In the scene-residual parametrisation (see `sampler::prediction`) the network's target is the residual that the
//! posterior mean leaves, scaled to unit variance. Its squared error is the flow-matching error of the velocity times
//! `sigma² / c_out²`: the same minimum, with every class, channel and noise level weighing alike. The focal frequency loss
//! is taken on `x0_hat` in the same units and weighted by (1 - t/1000), so that it counts when fine structure forms.

use candle_core::{DType, Device, Tensor};
use rand_chacha::rand_core::Rng;

use super::optimizer::Optimizer;
use super::pairs::Pair;
use super::recipe::{Recipe, Stage, TransformerPhase};
use super::variables::{Variables, name_key};
use crate::error::ModelError;
use crate::family::LearnedContext;
use crate::loss::{FocalFrequency, focal_frequency_loss};
use crate::mmdit::{CleanCache, Conditioning, Mmdit};
use crate::sampler::noise::{Stream, normals, stream, unit};
use crate::sampler::prediction::{ClassPriors, noisy_residual, sigma_tensor};
use crate::sampler::schedule;

/// The name of the phase in reports, and of its tensors.
pub const PHASE: &str = "transformer";
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

/// What the network is told of a batch, beside its scenes.
pub struct Told {
    timestep: Tensor,
    context: Tensor,
    pooled: Tensor,
    mask: Tensor,
    origin: (usize, usize),
}

impl Told {
    /// Of one noise level and one mask of heads per sample.
    pub fn new(
        network: &Network,
        sigmas: &[f32],
        masks: &[Vec<f32>],
        origin: (usize, usize),
    ) -> Result<Self, ModelError> {
        let (device, count) = (Device::Cpu, sigmas.len());
        let timesteps: Vec<f32> = sigmas.iter().map(|&s| schedule::timestep(s)).collect();
        let learned = &network.context;
        let (_, tokens, width) = learned.tokens.dims3()?;
        Ok(Self {
            timestep: Tensor::new(timesteps, &device)?,
            context: learned.tokens.broadcast_as((count, tokens, width))?.contiguous()?,
            pooled: learned
                .pooled
                .broadcast_as((count, learned.pooled.dim(1)?))?
                .contiguous()?,
            mask: Tensor::from_vec(masks.concat(), (count, masks[0].len()), &device)?,
            origin,
        })
    }

    /// With the clean path of the batch's scenes.
    pub fn with<'a>(&'a self, clean: &'a CleanCache) -> Conditioning<'a> {
        Conditioning {
            timestep: &self.timestep,
            context: &self.context,
            pooled: &self.pooled,
            mask: Some(&self.mask),
            clean: Some(clean),
            origin: Some(self.origin),
        }
    }
}

/// What the network makes of a batch, and what it should have made, in units of the residual's deviation.
///
/// # Shapes
/// Both `[batch, channels, side, side]`.
pub fn evaluated(network: &Network, priors: &ClassPriors, batch: &Batch) -> Result<(Tensor, Tensor), ModelError> {
    let device = Device::Cpu;
    let c = priors.coefficients(&batch.sigmas, &batch.masks, DType::F32, &device)?;
    let sigma = sigma_tensor(&batch.sigmas, &device)?;
    let mean = c.prior_mean(&batch.scene)?;
    let x_t = (batch.degraded.broadcast_mul(&(1.0 - &sigma)?)? + batch.noise.broadcast_mul(&sigma)?)?;
    let y = noisy_residual(&x_t, &mean, &sigma)?;
    let target = ((&batch.degraded - mean)? - y.broadcast_mul(&c.skip)?)?.broadcast_div(&c.out)?;
    let told = Told::new(network, &batch.sigmas, &batch.masks, batch.origin)?;
    let clean = network.transformer.clean_cache(&batch.scene, Some(batch.origin))?;
    let output = network
        .transformer
        .forward(&y.broadcast_mul(&c.input)?, &told.with(&clean))?;
    Ok((output, target))
}

/// Losses of a batch.
pub struct Losses {
    /// What is minimised.
    pub total: Tensor,
    /// Squared error per sample.
    pub per_sample: Vec<f32>,
    /// Focal frequency loss per sample; empty when it is switched off.
    pub focal: Vec<f32>,
}

/// The objective of a batch.
pub fn losses(network: &Network, priors: &ClassPriors, batch: &Batch, focal_weight: f64) -> Result<Losses, ModelError> {
    let (output, target) = evaluated(network, priors, batch)?;
    let squared = (&output - &target)?.sqr()?.mean((1, 2, 3))?;
    let mut total = squared.mean_all()?;
    let mut focal_values = Vec::new();
    if focal_weight > 0.0 {
        let focal = focal_frequency_loss(&output, &target, FocalFrequency::default())?;
        focal_values = focal.to_vec1()?;
        let late = (1.0 - Tensor::new(batch.sigmas.as_slice(), &Device::Cpu)?)?;
        total = (total + ((focal * late)?.mean_all()? * focal_weight)?)?;
    }
    Ok(Losses {
        total,
        per_sample: squared.to_vec1()?,
        focal: focal_values,
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
