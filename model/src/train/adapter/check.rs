//! What a recipe must hold to.

use mdsd3_words::Mix;

use super::recipe::{AdapterRecipe, Timesteps};

/// The scale beyond which the mode distribution folds back (Esser et al. 2024, equation 20).
const LARGEST_MODE_SCALE: f64 = 2.0 / (std::f64::consts::PI - 2.0);

/// Refuses values outside their ranges, naming the key.
pub fn check(recipe: &AdapterRecipe) -> Result<(), String> {
    check_classes(recipe)?;
    let (data, objective, training) = (&recipe.data, &recipe.objective, &recipe.training);
    for (name, share) in [
        ("data.mixed_share", data.mixed_share),
        ("data.least_severity", data.least_severity),
        ("objective.clean_share", objective.clean_share),
        ("objective.prompt_dropout", objective.prompt_dropout),
    ] {
        if !(0.0..=1.0).contains(&share) {
            return Err(format!("{name} is {share}: give 0 to 1"));
        }
    }
    if !(0.0..1.0).contains(&data.validation_share) {
        return Err(format!(
            "data.validation_share is {}: give 0 to below 1",
            data.validation_share
        ));
    }
    if !(0.0..1.0).contains(&training.ema) {
        return Err(format!("training.ema is {}: give 0 to below 1", training.ema));
    }
    for (name, count) in [
        ("data.side", data.side as usize),
        ("data.views", data.views),
        ("data.variants", data.variants),
        ("adapter.rank", recipe.adapter.rank),
        ("training.steps", training.steps),
        ("training.batch", training.batch),
        ("training.accumulate", training.accumulate),
        ("objective.focal.patch_factor", objective.focal.patch_factor),
    ] {
        if count == 0 {
            return Err(format!("{name} is 0: give at least 1"));
        }
    }
    for (name, number) in [
        ("adapter.alpha", recipe.adapter.alpha),
        ("training.learning_rate", training.learning_rate),
        ("training.clip", f64::from(training.clip)),
        ("objective.shift", objective.shift.unwrap_or(1.0)),
    ] {
        if !(number > 0.0 && number.is_finite()) {
            return Err(format!("{name} is {number}: give a number above 0"));
        }
    }
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
        Timesteps::LogitNormal { mean, deviation } if !(mean.is_finite() && deviation > 0.0) => Err(format!(
            "objective.timesteps has mean {mean} and deviation {deviation}: the deviation must be above 0"
        )),
        Timesteps::Mode { scale } if !(-1.0..=LARGEST_MODE_SCALE).contains(&scale) => Err(format!(
            "objective.timesteps has scale {scale}: give -1 to {LARGEST_MODE_SCALE:.2}"
        )),
        _ => Ok(()),
    }
}
