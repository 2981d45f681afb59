//! From a plan to a sweep with its model in memory.

use std::path::{Path, PathBuf};

use mdsd3_render::RenderError;
use mdsd3_render::loaded::LoadedModel;
use mdsd3_words::made::EngineKind;

use crate::plan::Plan;
use crate::sweep::Sweep;

/// A sweep with the model it needs: `model` when it is the one, else loaded from its files.
///
/// # Errors
/// [`RenderError`] for a model that can't be loaded, and a plan that asks for what it doesn't have.
pub fn open(plan: Plan, model: Option<LoadedModel>) -> Result<(Sweep, Option<LoadedModel>), RenderError> {
    if plan.engine == EngineKind::Physical {
        return Ok((physical(plan)?, None));
    }
    let key = plan.model_key();
    let model = match model.filter(|model| *model.key() == key) {
        Some(model) => model,
        None => LoadedModel::load(key)?,
    };
    Ok((Sweep::with_model(plan, &model)?, Some(model)))
}

/// A sweep by formulas, whatever engine the plan names.
///
/// # Errors
/// [`RenderError`] for a plan that asks for what formulas or its layout don't have.
pub fn physical(plan: Plan) -> Result<Sweep, RenderError> {
    Sweep::physical(plan)
}

/// The folder of a dataset that was given none, beside `plan`'s name: `rain-1a2b3c4d` for `rain.toml`, so that another
/// plan never gets the same.
pub fn default_folder(plan: &Path, sweep: &Sweep) -> PathBuf {
    let stem = plan.file_stem().unwrap_or_default().to_string_lossy();
    PathBuf::from(format!("{stem}-{:.8}", sweep.hash()))
}
