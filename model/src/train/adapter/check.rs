//! What a recipe must hold to.

use mdsd3_words::Mix;

use super::recipe::{AdapterRecipe, Timesteps};
use crate::ranges::{MOST_STEPS, all_within, within};

/// The scale beyond which the mode distribution folds back (Esser et al. 2024, equation 20).
const LARGEST_MODE_SCALE: f64 = 2.0 / (std::f64::consts::PI - 2.0);

/// Largest side of a training image, in pixels.
const MOST_SIDE_PX: u32 = 16_384;
/// Largest of the numbers that have no end of their own.
const MOST: f64 = 1e6;

/// Refuses values outside their ranges, naming the key.
pub fn check(recipe: &AdapterRecipe) -> Result<(), String> {
    check_classes(recipe)?;
    let (data, objective, training) = (&recipe.data, &recipe.objective, &recipe.training);
    let shares = [
        ("data.mixed_share", data.mixed_share),
        ("data.least_severity", data.least_severity),
        ("objective.clean_share", objective.clean_share),
        ("objective.prompt_dropout", objective.prompt_dropout),
    ];
    all_within(&shares, 0.0..=1.0)?;
    let below_one = [
        ("data.validation_share", data.validation_share),
        ("training.ema", training.ema),
    ];
    if let Some((name, share)) = below_one.iter().find(|(_, share)| !(0.0..1.0).contains(share)) {
        return Err(format!("{name} is {share}: give 0 to below 1"));
    }
    within("data.side", data.side, 1..=MOST_SIDE_PX)?;
    within("adapter.rank", recipe.adapter.rank, 1..=4096)?;
    within("objective.focal.patch_factor", objective.focal.patch_factor, 1..=1024)?;
    let counts = [
        ("data.views", data.views),
        ("data.variants", data.variants),
        ("training.batch", training.batch),
        ("training.accumulate", training.accumulate),
    ];
    all_within(&counts, 1..=65_536)?;
    within("training.steps", training.steps, 1..=MOST_STEPS)?;
    within("training.warm_up", training.warm_up, 0..=MOST_STEPS)?;
    let above_zero = [
        ("adapter.alpha", recipe.adapter.alpha),
        ("training.learning_rate", training.learning_rate),
        ("training.clip", f64::from(training.clip)),
        ("objective.shift", objective.shift.unwrap_or(1.0)),
    ];
    if let Some((name, number)) = above_zero
        .iter()
        .find(|(_, number)| !(*number > 0.0 && *number <= MOST))
    {
        return Err(format!("{name} is {number}: give a number above 0, up to {MOST}"));
    }
    let from_zero = [
        (
            "training.final_learning_rate",
            training.final_learning_rate.unwrap_or_default(),
        ),
        ("training.weight_decay", f64::from(training.weight_decay)),
        ("objective.focal.weight", objective.focal.weight),
        ("objective.focal.alpha", objective.focal.alpha),
    ];
    all_within(&from_zero, 0.0..=MOST)?;
    recipe.report.check()?;
    check_timesteps(objective.timesteps)
}

fn check_classes(recipe: &AdapterRecipe) -> Result<(), String> {
    if recipe.classes.is_empty() {
        return Err("classes is empty: name the degradations, such as [\"rain\", \"haze\"]".into());
    }
    let mut names = Mix::new();
    for class in &recipe.classes {
        names.set(class, 1.0).map_err(|e| e.to_string())?;
    }
    if names.iter().count() != recipe.classes.len() {
        return Err("classes names a class twice".into());
    }
    match &recipe.data.mix {
        Some(mix) => mix.check_classes(&recipe.classes).map_err(|e| format!("data.mix: {e}")),
        None => Ok(()),
    }
}

fn check_timesteps(timesteps: Timesteps) -> Result<(), String> {
    match timesteps {
        Timesteps::LogitNormal { mean, deviation }
            if !(mean.abs() <= 100.0 && deviation > 0.0 && deviation <= 100.0) =>
        {
            Err(format!(
                "objective.timesteps has mean {mean} and deviation {deviation}: give a mean of -100 to 100 and a deviation above 0, up to 100"
            ))
        }
        Timesteps::Mode { scale } if !(-1.0..=LARGEST_MODE_SCALE).contains(&scale) => Err(format!(
            "objective.timesteps has scale {scale}: give -1 to {LARGEST_MODE_SCALE:.2}"
        )),
        _ => Ok(()),
    }
}
