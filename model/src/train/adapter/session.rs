//! A training run from its data to its adapter.

use std::collections::BTreeSet;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Instant;

use mdsd3_weather::CLASSES;
use mdsd3_words::Mix;

use super::base::{Autoencoder, BaseModel};
use super::data::{self, Cache, Prepared};
use super::draw::Deck;
use super::network::Network;
use super::recipe::AdapterRecipe;
use super::training::AdapterTraining;
use super::{CLEAN_PROMPT, NO_PROMPT};
use crate::device::Place;
use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::train::keep::Keeper;
use crate::train::optimizer::Optimizer;
use crate::train::report::Report;
use crate::train::room::with_room;
use crate::train::steps::Steps;
use crate::train::{Outcome, Progress, TrainObserver};

/// The adapter of the last saved state.
const ADAPTER: &str = "adapter.safetensors";
/// The name of what comes before it.
const PREPARING: &str = "preparing data";

/// Runs or resumes a recipe; the adapter is `adapter.safetensors` in its output folder.
///
/// # Errors
/// Bad input for a checkpoint or data that can't be used, and for a loss that is no longer a number.
pub fn run(recipe: &AdapterRecipe, place: &Place, observer: &mut dyn TrainObserver) -> Result<Outcome, ModelError> {
    let (device, dtype) = (&place.device, place.dtype);
    let export = |optimizer: &Optimizer, path: &Path| Network::export(recipe, optimizer, path);
    let mut keeper = Keeper::open(&recipe.output, ADAPTER, recipe.report.keep, Box::new(export))?;
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
    let training = AdapterTraining {
        recipe,
        deck,
        prepared: &prepared,
        autoencoder: &autoencoder,
        network: &network,
    };
    let steps = Steps::new(&training, &recipe.report, &recipe.output, &optimizer)?;
    if steps.run(&mut optimizer, &mut keeper, observer)?.is_break() {
        return Ok(Outcome::Stopped);
    }
    Ok(Outcome::Finished(keeper.last().to_owned()))
}

/// Finds and encodes the data; `None` when the observer stopped it.
fn prepare(
    recipe: &AdapterRecipe,
    autoencoder: &Autoencoder,
    cache: &Cache,
    observer: &mut dyn TrainObserver,
) -> Result<Option<Prepared>, ModelError> {
    let (items, unpaired) = data::items(&recipe.data.path, recipe.data.layout, &recipe.classes)?;
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
    let ControlFlow::Continue(Some(mut prepared)) = prepared else {
        return Ok(None);
    };
    prepared.skipped.splice(0..0, unpaired);
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
