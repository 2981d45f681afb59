//! Phase 2 of a whole small model: a run, and what its steps, validations and strips are.

use std::ops::ControlFlow;
use std::path::Path;

use candle_core::{Device, Tensor};
use image::Rgb32FImage;

use super::autoencoder;
use super::gradients::GradientSums;
use super::keep::Keeper;
use super::optimizer::{Optimizer, Rates, learning_rate};
use super::pairs::{self, Pair};
use super::photos::Photos;
use super::recipe::{Recipe, Stage};
use super::report::{Measured, Report};
use super::start::Start;
use super::steps::{BatchLosses, SavedBatch, Steps, Training};
use super::transformer::{Batch, Network, PHASE, Told, batch, evaluated, losses};
use super::variables::name_key;
use super::{TrainObserver, state};
use crate::autoencoder::MiniAutoencoder;
use crate::error::ModelError;
use crate::loss::FocalFrequency;
use crate::pipeline::first_rgb;
use crate::sampler::follow::{At, follow_plainly};
use crate::sampler::noise::gaussian;
use crate::sampler::prediction::{ClassPriors, Prediction};
use crate::sampler::schedule;

/// The weights of the last saved state.
const MODEL: &str = "model.safetensors";

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
    let network = Network::new(recipe)?;
    let mut optimizer = network.optimizer(recipe)?;
    let priors = if let Some(start) = Start::of(recipe)? {
        start.fill(&mut optimizer)?;
        start.priors()?
    } else {
        pairs::fit_priors(recipe, &encoder.model, photos)?
    };
    let stored_priors = priors.tensors()?;
    let export = |optimizer: &Optimizer, path: &Path| {
        state::export(recipe, &[&encoder.optimizer, optimizer], stored_priors.clone(), path)
    };
    let mut keeper = Keeper::open(&recipe.output, MODEL, recipe.report.keep, Box::new(export))?;
    if keeper.resume(&mut optimizer)? {
        observer.report(&Report::Resumed { step: optimizer.step });
    }
    if optimizer.step == recipe.steps() {
        return keeper.save(&optimizer).map(ControlFlow::Continue);
    }
    let ControlFlow::Continue(pairs) = pairs::prepare(recipe, &encoder.model, photos, observer)? else {
        return Ok(ControlFlow::Break(()));
    };
    let training = FullTraining {
        recipe,
        held_out: held_out(recipe, &encoder.model, photos, pairs.len(), observer)?,
        pairs,
        prediction: Prediction::SceneResidual {
            priors: priors.clone(),
            guidance: recipe.model.guidance_of_channels(),
        },
        priors,
        network: &network,
        autoencoder: &encoder.model,
    };
    Steps::new(&training, &recipe.report, &recipe.output, &optimizer)?.run(&mut optimizer, &mut keeper, observer)
}

/// Pairs of photos that aren't trained on, or of the training photos where there are none.
fn held_out(
    recipe: &Recipe,
    model: &MiniAutoencoder,
    photos: &Photos,
    training: usize,
    observer: &mut dyn TrainObserver,
) -> Result<Vec<Pair>, ModelError> {
    let count = recipe.report.validation_samples.max(recipe.report.samples);
    let others = Photos::load_held_out(recipe, count)?;
    observer.report(&Report::Prepared {
        training,
        validation: if others.is_some() { count } else { 0 },
        skipped: Vec::new(),
    });
    pairs::held_out(recipe, model, others.as_ref().unwrap_or(photos), count)
}

/// Everything that a step reads.
struct FullTraining<'a> {
    recipe: &'a Recipe,
    pairs: Vec<Pair>,
    held_out: Vec<Pair>,
    priors: ClassPriors,
    prediction: Prediction,
    network: &'a Network,
    autoencoder: &'a MiniAutoencoder,
}

impl FullTraining<'_> {
    /// The stage that a step is in, and the step that it begins with.
    fn stage(&self, step: usize) -> (&Stage, usize) {
        let (mut first, stages) = (0, &self.recipe.stages);
        for stage in stages {
            if step < first + stage.steps {
                return (stage, first);
            }
            first += stage.steps;
        }
        let last = &stages[stages.len() - 1];
        (last, first - last.steps)
    }

    fn batch(&self, step: usize) -> Result<Batch, ModelError> {
        batch(self.recipe, &self.pairs, self.stage(step).0, step)
    }

    /// A held-out pair as a batch, with noise that only `sample` and the recipe's seed decide.
    fn fixed(&self, sample: usize, sigma: f32) -> Result<Batch, ModelError> {
        let pair = &self.held_out[sample];
        let side = self.recipe.pairs.side as usize / self.recipe.model.autoencoder.factor;
        let shape = (1, self.recipe.model.transformer.in_channels, side, side);
        let noise = gaussian(
            self.recipe.seed ^ name_key("fixed noise"),
            sample as u64,
            0,
            pair.scene.len(),
        );
        let tensor = |values: &[f32]| Tensor::from_slice(values, shape, &Device::Cpu);
        Ok(Batch {
            scene: tensor(&pair.scene)?,
            degraded: tensor(&pair.degraded)?,
            noise: tensor(&noise)?,
            sigmas: vec![sigma],
            masks: vec![pair.mask.clone()],
            origin: pair.place,
        })
    }
}

impl Training for FullTraining<'_> {
    fn phase(&self, step: usize) -> String {
        format!("{PHASE} {} px", self.stage(step).0.side)
    }

    fn steps(&self) -> usize {
        self.recipe.steps()
    }

    fn batches(&self) -> usize {
        1
    }

    fn rates(&self, step: usize) -> Rates {
        let (settings, (stage, first)) = (&self.recipe.transformer, self.stage(step));
        Rates {
            learning_rate: learning_rate(
                step - first,
                stage.steps,
                stage.warm_up,
                stage.learning_rate,
                stage.final_learning_rate,
            ),
            weight_decay: settings.weight_decay,
            clip: settings.clip,
            ema: settings.ema,
        }
    }

    fn losses(&self, step: usize, _batch: usize, sums: &mut GradientSums) -> Result<BatchLosses, ModelError> {
        let batch = self.batch(step)?;
        let losses = losses(self.network, &self.priors, &batch, self.recipe.transformer.focal_weight)?;
        sums.add(&self.network.variables.all(), &losses.total.backward()?)?;
        Ok(BatchLosses {
            total: losses.total.to_scalar()?,
            sigmas: batch.sigmas,
            flow: losses.per_sample,
            focal: losses.focal,
        })
    }

    fn saved_batch(&self, step: usize, _batch: usize) -> Result<SavedBatch, ModelError> {
        let batch = self.batch(step)?;
        let tensors = [
            ("masks", Tensor::new(batch.masks, &Device::Cpu)?),
            ("sigmas", Tensor::new(batch.sigmas, &Device::Cpu)?),
            ("scene", batch.scene),
            ("target", batch.degraded),
            ("noise", batch.noise),
        ];
        Ok(SavedBatch::of(Vec::new(), tensors))
    }

    /// The last block's context query leads nowhere: its attention output is dropped, in SD3 as here.
    fn is_heard(&self, tensor: &str) -> bool {
        !tensor.contains(&self.recipe.model.transformer.unread_layer())
    }

    fn held_out(&self) -> usize {
        self.held_out.len()
    }

    fn focal(&self) -> FocalFrequency {
        FocalFrequency::default()
    }

    fn measured(&self, sample: usize, sigma: f32) -> Result<Measured, ModelError> {
        let (predicted, target) = evaluated(self.network, &self.priors, &self.fixed(sample, sigma)?)?;
        Ok(Measured {
            flow: (&predicted - &target)?.sqr()?.mean_all()?.to_scalar()?,
            predicted,
            target,
        })
    }

    fn sampled(&self, sample: usize) -> Result<[Rgb32FImage; 3], ModelError> {
        let (batch, transformer) = (self.fixed(sample, 1.0)?, &self.network.transformer);
        let model = &self.recipe.model;
        let caches = transformer.clean_caches(&batch.scene, Some(batch.origin), model.alternating_grid)?;
        let predict = |x: &Tensor, at: At| {
            let (sigmas, masks) = (&[at.sigma], &batch.masks);
            let told = Told::new(self.network, sigmas, masks, batch.origin)?;
            let clean = &caches[at.step % caches.len()];
            let network = |input: &Tensor| transformer.forward(input, &told.with(clean));
            Ok(self.prediction.x0_hat(x, &batch.scene, sigmas, masks, network)?)
        };
        let sigmas = schedule::sigmas(self.recipe.report.sample_steps, model.shift);
        let x = follow_plainly(batch.noise, &sigmas, predict)?;
        let decoded = |latents: &Tensor| first_rgb(&self.autoencoder.decode(latents)?);
        Ok([decoded(&batch.scene)?, decoded(&batch.degraded)?, decoded(&x)?])
    }
}
