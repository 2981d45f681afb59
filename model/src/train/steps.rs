//! The loop that both kinds of recipe share: steps, reports, saved states.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use candle_core::Tensor;
use image::{Rgb32FImage, RgbImage};

use super::gradients::GradientSums;
use super::keep::Keeper;
use super::optimizer::{Optimizer, Rates};
use super::report::{Bins, GradientWatch, Logs, Measured, Report, Reporting, StepNumbers, strip, validate};
use super::room::with_room;
use super::{Progress, TrainObserver, state};
use crate::error::ModelError;
use crate::loss::FocalFrequency;

/// Losses of a batch.
pub struct BatchLosses {
    /// What is minimised.
    pub total: f32,
    /// Noise level of every sample.
    pub sigmas: Vec<f32>,
    /// Squared error of the network's output per sample.
    pub flow: Vec<f32>,
    /// Focal frequency loss per sample, before any weight; empty when it is switched off.
    pub focal: Vec<f32>,
}

/// A batch as it is saved when its loss is no number.
pub struct SavedBatch {
    /// What its samples are, for the message; may be empty.
    names: Vec<String>,
    tensors: HashMap<String, Tensor>,
}

impl SavedBatch {
    /// Of named samples and named tensors.
    pub fn of<const N: usize>(names: Vec<String>, tensors: [(&str, Tensor); N]) -> Self {
        Self {
            names,
            tensors: HashMap::from(tensors.map(|(name, tensor)| (name.to_owned(), tensor))),
        }
    }
}

/// Something that is trained step by step. Batches are drawn by (step, batch) alone, so one can be drawn again.
pub trait Training {
    /// The name of what goes on at a step.
    fn phase(&self, step: usize) -> String;

    /// Steps of the whole run.
    fn steps(&self) -> usize;

    /// Batches per step.
    fn batches(&self) -> usize;

    /// The optimiser's rates of a step.
    fn rates(&self, step: usize) -> Rates;

    /// Computes a batch; its gradients are added to `sums`.
    fn losses(&self, step: usize, batch: usize, sums: &mut GradientSums) -> Result<BatchLosses, ModelError>;

    /// The same batch, to be saved.
    fn saved_batch(&self, step: usize, batch: usize) -> Result<SavedBatch, ModelError>;

    /// Whether a trained tensor can have a gradient at all.
    fn is_heard(&self, _tensor: &str) -> bool {
        true
    }

    /// Samples that validation and strips can ask for, of scenes that aren't trained on where there are such.
    fn held_out(&self) -> usize;

    /// The focal frequency loss that validation computes.
    fn focal(&self) -> FocalFrequency;

    /// What the network makes of a held-out sample at a noise level, with noise that is always the same.
    fn measured(&self, sample: usize, sigma: f32) -> Result<Measured, ModelError>;

    /// A held-out scene, what it should become, and what Euler steps from noise that is always the same make of it.
    fn sampled(&self, sample: usize) -> Result<[Rgb32FImage; 3], ModelError>;
}

/// A run of a [`Training`] with what it tells and keeps.
pub struct Steps<'a, T> {
    training: &'a T,
    settings: &'a Reporting,
    output: &'a Path,
    watch: GradientWatch,
    logs: Logs,
    bins: Bins,
    since: Instant,
}

impl<'a, T: Training> Steps<'a, T> {
    /// Tells of what `optimizer` trains from its step on, in a run's output folder.
    pub fn new(
        training: &'a T,
        settings: &'a Reporting,
        output: &'a Path,
        optimizer: &Optimizer,
    ) -> Result<Self, ModelError> {
        let names = optimizer.slots.iter().map(|slot| slot.name.as_str());
        Ok(Self {
            training,
            settings,
            output,
            watch: GradientWatch::new(names.filter(|name| training.is_heard(name))),
            logs: Logs::open(output, optimizer.step)?,
            bins: Bins::default(),
            since: Instant::now(),
        })
    }

    /// Takes what steps are left; `Break` when the observer stopped it, its state saved.
    pub fn run(
        mut self,
        optimizer: &mut Optimizer,
        keeper: &mut Keeper,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        let total = self.training.steps();
        while optimizer.step < total {
            if self.step(optimizer, observer)?.is_break() {
                // Asked to stop: what the optimiser has done is saved at once, what it hasn't is drawn again.
                return self.save(optimizer, keeper, observer).map(|_| ControlFlow::Break(()));
            }
            if self.reports(optimizer, keeper, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let is_due = optimizer.step.is_multiple_of(self.settings.save_every);
            if (is_due || optimizer.step == total) && self.save(optimizer, keeper, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// One optimiser step; `Break` before it when the observer asks to stop.
    fn step(
        &mut self,
        optimizer: &mut Optimizer,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        let (training, step) = (self.training, optimizer.step);
        let mut sums = GradientSums::default();
        for batch in 0..training.batches() {
            let losses = training.losses(step, batch, &mut sums)?;
            if !losses.total.is_finite() {
                return Err(self.not_a_number(step, batch, "loss of"));
            }
            self.bins.add(&losses);
            if observer.progress(&self.progress(step)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let gradients: Vec<Option<Vec<f32>>> = optimizer
            .slots
            .iter()
            .map(|slot| sums.take_mean(&slot.name, training.batches()))
            .collect();
        let named = optimizer.slots.iter().zip(&gradients);
        let norm = self
            .watch
            .see(named.map(|(slot, g)| (slot.name.as_str(), g.as_deref())));
        if !norm.is_finite() {
            return Err(self.not_a_number(step, training.batches() - 1, "gradient of"));
        }
        optimizer.apply_values(gradients, training.rates(step))?;
        Ok(ControlFlow::Continue(()))
    }

    fn progress(&self, step: usize) -> Progress {
        Progress {
            phase: self.training.phase(step),
            step,
            steps: self.training.steps(),
            loss: self.bins.loss(),
            samples_per_sec: self.samples_per_sec(),
        }
    }

    fn samples_per_sec(&self) -> f32 {
        self.bins.samples() as f32 / self.since.elapsed().as_secs_f32().max(1e-6)
    }

    /// Everything that is due behind a step.
    fn reports(
        &mut self,
        optimizer: &Optimizer,
        keeper: &mut Keeper,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        let (step, settings) = (optimizer.step, self.settings);
        let is_due = |every: usize| every > 0 && (step.is_multiple_of(every) || step == self.training.steps());
        if is_due(settings.every) && self.tell_step(step, observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if let Some(warning) = self.watch.warning() {
            observer.report(&Report::Warning(warning));
        }
        let before = Instant::now();
        if is_due(settings.validate_every) && self.validate(optimizer, keeper, observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if is_due(settings.sample_every) && self.draw_strip(step, observer)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // The rate is that of training.
        self.since += before.elapsed();
        Ok(ControlFlow::Continue(()))
    }

    fn tell_step(&mut self, step: usize, observer: &mut dyn TrainObserver) -> Result<ControlFlow<()>, ModelError> {
        let numbers = StepNumbers {
            gradient_norm: self.watch.norms().iter().map(|n| n.norm.powi(2)).sum::<f32>().sqrt(),
            learning_rate: self.training.rates(step - 1).learning_rate,
            samples_per_sec: self.samples_per_sec(),
            ..self.bins.numbers(step)
        };
        let written = with_room(observer, &self.progress(step), |_| self.logs.step(&numbers))?;
        if written.is_continue() {
            observer.report(&Report::Step(numbers));
            (self.bins, self.since) = (Bins::default(), Instant::now());
        }
        Ok(written)
    }

    fn validate(
        &self,
        optimizer: &Optimizer,
        keeper: &mut Keeper,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        let (training, step) = (self.training, optimizer.step);
        self.check_finite(optimizer)?;
        let samples = self.settings.validation_samples.min(training.held_out());
        let measure = |sample: usize, sigma: f32| training.measured(sample, sigma);
        let (mut numbers, map) = validate(step, &self.settings.sigmas, samples, training.focal(), measure)?;
        if !numbers.mean.is_finite() {
            return Err(self.not_a_number(step - 1, training.batches() - 1, "validation behind"));
        }
        let written = with_room(observer, &self.progress(step), |_| {
            numbers.is_best = keeper.judge(numbers.mean, optimizer)? || numbers.is_best;
            self.logs.validation(&numbers, &self.watch.norms())?;
            if let Some(map) = &map {
                self.logs.picture("focal_weights", step, map)?;
            }
            Ok(())
        })?;
        observer.report(&Report::Validation(numbers));
        Ok(written)
    }

    fn draw_strip(&self, step: usize, observer: &mut dyn TrainObserver) -> Result<ControlFlow<()>, ModelError> {
        let count = self.settings.samples.min(self.training.held_out());
        let rows = (0..count).map(|sample| self.training.sampled(sample));
        let image = strip(&rows.collect::<Result<Vec<_>, _>>()?);
        let eight_bit = RgbImage::from_fn(image.width(), image.height(), |x, y| {
            let pixel = image.get_pixel(x, y).0;
            image::Rgb(pixel.map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8))
        });
        let written = with_room(observer, &self.progress(step), |_| {
            self.logs.picture("samples", step, &eight_bit)
        })?;
        let ControlFlow::Continue(path) = written else {
            return Ok(ControlFlow::Break(()));
        };
        observer.report(&Report::Strip { step, path, image });
        Ok(ControlFlow::Continue(()))
    }

    fn save(
        &self,
        optimizer: &Optimizer,
        keeper: &Keeper,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        self.check_finite(optimizer)?;
        let saved = with_room(observer, &self.progress(optimizer.step), |_| keeper.save(optimizer))?;
        if saved.is_continue() {
            observer.report(&Report::Saved { step: optimizer.step });
        }
        Ok(saved)
    }

    /// Refuses to keep weights that are no numbers; the state saved before stays.
    fn check_finite(&self, optimizer: &Optimizer) -> Result<(), ModelError> {
        let Some(name) = optimizer.not_finite() else {
            return Ok(());
        };
        let (step, batch) = (optimizer.step.saturating_sub(1), self.training.batches() - 1);
        Err(self.not_a_number(step, batch, &format!("{name} behind")))
    }

    fn not_a_number(&self, step: usize, batch: usize, what: &str) -> ModelError {
        let saved = self.training.saved_batch(step, batch);
        not_a_number(self.output, step, what, saved)
    }
}

/// Saves the batch that made a loss or gradient no number; the error says where it is.
pub fn not_a_number(output: &Path, step: usize, what: &str, batch: Result<SavedBatch, ModelError>) -> ModelError {
    let path = output.join(format!("bad-batch-step-{step}.safetensors"));
    let mut names = String::new();
    let written = batch.and_then(|batch| {
        if !batch.names.is_empty() {
            names = format!(" ({})", batch.names.join(", "));
        }
        state::write_tensors(&path, &batch.tensors)
    });
    let saved = match written {
        Ok(()) => format!("its batch is in {}", path.display()),
        Err(error) => format!("its batch can't be saved ({error})"),
    };
    ModelError::BadInput(format!(
        "the {what} step {step} is no number{names}; {saved}; lower the learning rate or remove the image, then run again"
    ))
}
