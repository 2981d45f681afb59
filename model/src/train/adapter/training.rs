//! What a step, a validation and a strip of an adapter's training are.

use candle_core::{Device, Tensor};
use image::Rgb32FImage;

use super::base::Autoencoder;
use super::data::{Prepared, Sample};
use super::draw::Deck;
use super::gradients::{losses, velocity};
use super::network::Network;
use super::recipe::AdapterRecipe;
use crate::error::ModelError;
use crate::loss::FocalFrequency;
use crate::sampler::follow::follow_plainly;
use crate::sampler::schedule;
use crate::train::gradients::GradientSums;
use crate::train::optimizer::{Rates, learning_rate};
use crate::train::report::Measured;
use crate::train::steps::{BatchLosses, SavedBatch, Training};

/// The name of the loop in reports.
const PHASE: &str = "adapter";

/// Everything that a step reads.
pub struct AdapterTraining<'a> {
    pub recipe: &'a AdapterRecipe,
    pub deck: Deck<'a>,
    pub prepared: &'a Prepared,
    pub autoencoder: &'a Autoencoder,
    pub network: &'a Network,
}

impl AdapterTraining<'_> {
    /// Scenes that are not trained on; the training samples where there are none.
    fn held_out_samples(&self) -> &[Sample] {
        if self.prepared.validation.is_empty() {
            &self.prepared.training
        } else {
            &self.prepared.validation
        }
    }
}

impl Training for AdapterTraining<'_> {
    fn phase(&self, _step: usize) -> String {
        PHASE.to_owned()
    }

    fn steps(&self) -> usize {
        self.recipe.training.steps
    }

    fn batches(&self) -> usize {
        self.recipe.training.accumulate
    }

    fn rates(&self, step: usize) -> Rates {
        let training = &self.recipe.training;
        let (peak, last) = (training.learning_rate, training.final_learning_rate);
        Rates {
            learning_rate: learning_rate(step, training.steps, training.warm_up, peak, last.unwrap_or(peak)),
            weight_decay: training.weight_decay,
            clip: training.clip,
            ema: training.ema,
        }
    }

    fn losses(&self, step: usize, batch: usize, sums: &mut GradientSums) -> Result<BatchLosses, ModelError> {
        let (objective, checkpointing) = (&self.recipe.objective, self.recipe.training.checkpointing);
        let batch = self.deck.batch(&self.prepared.training, step, batch)?;
        let losses = losses(self.network, &batch, objective, checkpointing, sums)?;
        Ok(BatchLosses {
            total: losses.total.to_scalar()?,
            sigmas: batch.on.sigmas,
            flow: losses.flow,
            focal: losses.focal,
        })
    }

    fn saved_batch(&self, step: usize, batch: usize) -> Result<SavedBatch, ModelError> {
        let batch = self.deck.batch(&self.prepared.training, step, batch)?;
        let tensors = [
            ("masks", Tensor::new(batch.on.masks, &Device::Cpu)?),
            ("sigmas", Tensor::new(batch.on.sigmas, &Device::Cpu)?),
            ("scene", batch.on.scene),
            ("target", batch.target),
            ("noise", batch.noise),
            ("context", batch.on.context),
            ("pooled", batch.on.pooled),
        ];
        Ok(SavedBatch::of(batch.names, tensors))
    }

    fn held_out(&self) -> usize {
        self.held_out_samples().len()
    }

    fn focal(&self) -> FocalFrequency {
        self.recipe.objective.focal.options()
    }

    fn measured(&self, sample: usize, sigma: f32) -> Result<Measured, ModelError> {
        let batch = self.deck.fixed(&self.held_out_samples()[sample], sample, sigma)?;
        let velocity = velocity(self.network, &batch.noisy()?, &batch.on)?;
        let target = (&batch.noise - &batch.target)?;
        Ok(Measured {
            flow: (&velocity - target)?.sqr()?.mean_all()?.to_scalar()?,
            predicted: batch.x0_hat(&velocity)?,
            target: batch.target,
        })
    }

    /// Without guidance.
    fn sampled(&self, sample: usize) -> Result<[Rgb32FImage; 3], ModelError> {
        let mut batch = self.deck.fixed(&self.held_out_samples()[sample], sample, 1.0)?;
        let sigmas = schedule::sigmas(self.recipe.report.sample_steps, self.deck.shift);
        let x = follow_plainly(batch.noise.clone(), &sigmas, |x, at| {
            batch.on.sigmas = vec![at.sigma];
            Ok((x - (velocity(self.network, x, &batch.on)? * f64::from(at.sigma))?)?)
        })?;
        let decoded = |latents: &Tensor| self.autoencoder.decode(latents);
        Ok([decoded(&batch.on.scene)?, decoded(&batch.target)?, decoded(&x)?])
    }
}
