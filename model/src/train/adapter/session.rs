//! A training run from its data to its adapter.

use std::collections::{BTreeSet, HashMap};
use std::io::Write;
use std::ops::ControlFlow;
use std::time::Instant;

use candle_core::{DType, Device, Tensor};
use image::RgbImage;

use super::base::{Autoencoder, BaseModel};
use super::data::{self, Cache, Prepared, Sample};
use super::draw::Deck;
use super::gradients::{GradientSums, losses};
use super::keep::{ADAPTER, Keeper};
use super::network::Network;
use super::objective::Batch;
use super::recipe::AdapterRecipe;
use super::report::{Bins, GradientWatch, Logs, Report, strip, validate};
use super::room::with_room;
use super::{CLEAN_PROMPT, NO_PROMPT};
use crate::degrade::CLASSES;
use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::mix::Mix;
use crate::train::optimizer::{Optimizer, Rates, learning_rate};
use crate::train::{Outcome, Progress, TrainObserver, state};

/// The name of the loop in reports.
const PHASE: &str = "adapter";
/// The name of what comes before it.
const PREPARING: &str = "preparing data";

/// Runs or resumes a recipe; the adapter is `adapter.safetensors` in its output folder.
///
/// # Errors
/// Bad input for a checkpoint or data that can't be used, and for a loss that is no longer a number.
pub fn run(
    recipe: &AdapterRecipe,
    device: &Device,
    dtype: DType,
    observer: &mut dyn TrainObserver,
) -> Result<Outcome, ModelError> {
    let mut keeper = Keeper::open(recipe)?;
    let base = BaseModel::open(recipe)?;
    let cache = Cache::open(&recipe.cache())?;
    let autoencoder = base.autoencoder(recipe, device)?;
    let Some(prepared) = prepare(recipe, &autoencoder, &cache, observer)? else {
        return Ok(Outcome::Stopped);
    };
    let encoding = Progress {
        phase: "encoding prompts".into(),
        step: 0,
        steps: 1,
        loss: None,
        samples_per_sec: 0.0,
    };
    let prompts = with_room(observer, &encoding, |observer| {
        if observer.progress(&encoding).is_break() {
            return Ok(None);
        }
        base.prompts(prompts_of(recipe, &prepared), &cache, device).map(Some)
    })?;
    let ControlFlow::Continue(Some(prompts)) = prompts else {
        return Ok(Outcome::Stopped);
    };
    let (network, mut optimizer) = Network::new(recipe, &base.config, &base.checkpoint.transformer, device, dtype)?;
    if keeper.resume(&mut optimizer)? {
        observer.report(&Report::Resumed { step: optimizer.step });
    }
    let deck = Deck {
        recipe,
        cache: &cache,
        prompts: &prompts,
        heads: base.config.num_attention_heads,
        shift: base.shift,
    };
    let logs = Logs::open(&recipe.output, optimizer.step)?;
    let mut session = Session {
        recipe,
        deck,
        prepared: &prepared,
        autoencoder: &autoencoder,
        network: &network,
        watch: GradientWatch::new(optimizer.slots.iter().map(|slot| slot.name.as_str())),
        logs,
        bins: Bins::default(),
        since: Instant::now(),
    };
    if session.steps(&mut optimizer, &mut keeper, observer)?.is_break() {
        return Ok(Outcome::Stopped);
    }
    Ok(Outcome::Finished(recipe.output.join(ADAPTER)))
}

/// Finds and encodes the data; `None` when the observer stopped it.
fn prepare(
    recipe: &AdapterRecipe,
    autoencoder: &Autoencoder,
    cache: &Cache,
    observer: &mut dyn TrainObserver,
) -> Result<Option<Prepared>, ModelError> {
    let items = data::items(&recipe.data.path, recipe.data.layout, &recipe.classes)?;
    if items.iter().any(|item| item.degraded.is_none()) {
        check_physics(recipe)?;
    }
    let begun = Instant::now();
    let progress = |step: usize| Progress {
        phase: PREPARING.into(),
        step,
        steps: items.len(),
        loss: None,
        samples_per_sec: step as f32 / begun.elapsed().as_secs_f32().max(1e-3),
    };
    // What is cached already is passed over quickly when a full disk makes it begin again.
    let prepared = with_room(observer, &progress(0), |observer| {
        data::prepare(recipe, &items, autoencoder, cache, &mut |done| {
            observer.progress(&progress(done)).is_continue()
        })
    })?;
    let ControlFlow::Continue(Some(prepared)) = prepared else {
        return Ok(None);
    };
    let list = recipe.output.join("skipped.txt");
    let lines: Vec<&str> = prepared.skipped.iter().map(|s| s.reason.as_str()).collect();
    write_atomically(&list, |file| file.write_all(lines.join("\n").as_bytes()))?;
    observer.report(&Report::Prepared {
        training: prepared.training.len(),
        validation: prepared.validation.len(),
        skipped: prepared.skipped.clone(),
    });
    Ok(Some(prepared))
}

/// Photos alone need a formula for every class.
fn check_physics(recipe: &AdapterRecipe) -> Result<(), ModelError> {
    let mut all = Mix::new();
    for class in &recipe.classes {
        all.set(class, 1.0)?;
    }
    all.check_classes(&CLASSES).map_err(|error| {
        ModelError::BadInput(format!(
            "{}: clean photos are degraded by physical formulas, and {error}",
            recipe.data.path.display()
        ))
    })
}

fn prompts_of(recipe: &AdapterRecipe, prepared: &Prepared) -> BTreeSet<String> {
    let mut prompts: BTreeSet<String> = prepared
        .training
        .iter()
        .chain(&prepared.validation)
        .map(|sample| sample.prompt.clone())
        .collect();
    prompts.insert(CLEAN_PROMPT.to_owned());
    if recipe.objective.prompt_dropout > 0.0 {
        prompts.insert(NO_PROMPT.to_owned());
    }
    prompts
}

struct Session<'a> {
    recipe: &'a AdapterRecipe,
    deck: Deck<'a>,
    prepared: &'a Prepared,
    autoencoder: &'a Autoencoder,
    network: &'a Network,
    watch: GradientWatch,
    logs: Logs,
    bins: Bins,
    since: Instant,
}

impl Session<'_> {
    fn steps(
        &mut self,
        optimizer: &mut Optimizer,
        keeper: &mut Keeper,
        observer: &mut dyn TrainObserver,
    ) -> Result<ControlFlow<()>, ModelError> {
        let total = self.recipe.training.steps;
        while optimizer.step < total {
            if self.step(optimizer, observer)?.is_break() {
                // Asked to stop: what the optimiser has done is saved at once, what it hasn't is drawn again.
                return self.save(optimizer, keeper, observer).map(|_| ControlFlow::Break(()));
            }
            if self.reports(optimizer, keeper, observer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            let is_due = optimizer.step.is_multiple_of(self.recipe.report.save_every);
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
        let (training, step) = (&self.recipe.training, optimizer.step);
        let mut sums = GradientSums::default();
        let mut last = None;
        for micro in 0..training.accumulate {
            let batch = self.deck.batch(&self.prepared.training, step, micro)?;
            let losses = losses(
                self.network,
                &batch,
                &self.recipe.objective,
                training.checkpointing,
                &mut sums,
            )?;
            let total = losses.total.to_scalar::<f32>()?;
            if !total.is_finite() {
                return Err(self.not_a_number(&batch, step, "loss"));
            }
            self.bins.add(total, &batch.on.sigmas, &losses.flow, &losses.focal);
            last = Some(batch);
            if observer.progress(&self.progress(step)).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        let gradients: Vec<Option<Vec<f32>>> = optimizer
            .slots
            .iter()
            .map(|slot| sums.take_mean(&slot.name, training.accumulate))
            .collect();
        let named = optimizer.slots.iter().zip(&gradients);
        let norm = self
            .watch
            .see(named.map(|(slot, g)| (slot.name.as_str(), g.as_deref())));
        if let (false, Some(batch)) = (norm.is_finite(), &last) {
            return Err(self.not_a_number(batch, step, "gradient"));
        }
        optimizer.apply_values(gradients, self.rates(step))?;
        Ok(ControlFlow::Continue(()))
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

    fn progress(&self, step: usize) -> Progress {
        Progress {
            phase: PHASE.into(),
            step,
            steps: self.recipe.training.steps,
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
        let (step, report) = (optimizer.step, &self.recipe.report);
        let is_due = |every: usize| every > 0 && (step.is_multiple_of(every) || step == self.recipe.training.steps);
        let progress = self.progress(step);
        if is_due(report.every) {
            let numbers = super::StepNumbers {
                gradient_norm: self.watch.norms().iter().map(|n| n.norm.powi(2)).sum::<f32>().sqrt(),
                learning_rate: self.rates(step - 1).learning_rate,
                samples_per_sec: self.samples_per_sec(),
                ..self.bins.numbers(step)
            };
            if with_room(observer, &progress, |_| self.logs.step(&numbers))?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
            observer.report(&Report::Step(numbers));
            (self.bins, self.since) = (Bins::default(), Instant::now());
        }
        if let Some(warning) = self.watch.warning() {
            observer.report(&Report::Warning(warning));
        }
        let before = Instant::now();
        if is_due(report.validate_every) && self.validate(optimizer, keeper, observer, &progress)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        if is_due(report.sample_every) && self.draw_strip(step, observer, &progress)?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
        // The rate is that of training.
        self.since += before.elapsed();
        Ok(ControlFlow::Continue(()))
    }

    /// Scenes that are not trained on; the first training samples where there are none.
    fn held_out(&self, count: usize) -> &[Sample] {
        let samples = if self.prepared.validation.is_empty() {
            &self.prepared.training
        } else {
            &self.prepared.validation
        };
        &samples[..count.min(samples.len())]
    }

    fn validate(
        &self,
        optimizer: &Optimizer,
        keeper: &mut Keeper,
        observer: &mut dyn TrainObserver,
        progress: &Progress,
    ) -> Result<ControlFlow<()>, ModelError> {
        let samples = self.held_out(self.recipe.report.validation_samples);
        let (mut numbers, map) = validate(self.network, &self.deck, samples, optimizer.step)?;
        let written = with_room(observer, progress, |_| {
            numbers.is_best = keeper.judge(numbers.mean, optimizer)? || numbers.is_best;
            self.logs.validation(&numbers, &self.watch.norms())?;
            if let Some(map) = &map {
                self.logs.picture("focal_weights", optimizer.step, map)?;
            }
            Ok(())
        })?;
        observer.report(&Report::Validation(numbers));
        Ok(written)
    }

    fn draw_strip(
        &self,
        step: usize,
        observer: &mut dyn TrainObserver,
        progress: &Progress,
    ) -> Result<ControlFlow<()>, ModelError> {
        let samples = self.held_out(self.recipe.report.samples);
        let image = strip(self.network, &self.deck, samples, self.autoencoder)?;
        let eight_bit = RgbImage::from_fn(image.width(), image.height(), |x, y| {
            image::Rgb(
                image
                    .get_pixel(x, y)
                    .0
                    .map(|v| (v.clamp(0.0, 1.0) * 255.0).round() as u8),
            )
        });
        let written = with_room(observer, progress, |_| self.logs.picture("samples", step, &eight_bit))?;
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
        let saved = with_room(observer, &self.progress(optimizer.step), |_| keeper.save(optimizer))?;
        if saved.is_continue() {
            observer.report(&Report::Saved { step: optimizer.step });
        }
        Ok(saved)
    }

    /// Saves the batch that made a loss or gradient no number; the error says where it is.
    fn not_a_number(&self, batch: &Batch, step: usize, what: &str) -> ModelError {
        let path = self.recipe.output.join(format!("bad-batch-step-{step}.safetensors"));
        let masks = Tensor::new(batch.on.masks.clone(), &Device::Cpu);
        let sigmas = Tensor::new(batch.on.sigmas.clone(), &Device::Cpu);
        let (Ok(masks), Ok(sigmas)) = (masks, sigmas) else {
            return ModelError::BadInput(format!("the {what} of step {step} is no number"));
        };
        let tensors = HashMap::from([
            ("scene".to_owned(), batch.on.scene.clone()),
            ("target".to_owned(), batch.target.clone()),
            ("noise".to_owned(), batch.noise.clone()),
            ("context".to_owned(), batch.on.context.clone()),
            ("pooled".to_owned(), batch.on.pooled.clone()),
            ("masks".to_owned(), masks),
            ("sigmas".to_owned(), sigmas),
        ]);
        let saved = match state::write_tensors(&path, &tensors) {
            Ok(()) => format!("its batch is in {}", path.display()),
            Err(error) => format!("its batch can't be saved ({error})"),
        };
        ModelError::BadInput(format!(
            "the {what} of step {step} is no number ({}); {saved}; lower the learning rate or remove the image, then run again",
            batch.names.join(", ")
        ))
    }
}
