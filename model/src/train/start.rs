//! A trained model to go on from: its autoencoder and priors are kept, its transformer is trained further.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::optimizer::Optimizer;
use super::recipe::Recipe;
use super::{autoencoder, state};
use crate::config::{MiniConfig, MmditConfig};
use crate::error::ModelError;
use crate::family::{find_mini, mini_priors};
use crate::io::atomic::write_atomically;
use crate::io::checkpoint::Weights;
use crate::mmdit::is_neighbours;
use crate::sampler::prediction::ClassPriors;

/// A model that a recipe starts from.
pub struct Start {
    path: PathBuf,
    config: MiniConfig,
    weights: Weights,
}

/// The copy of the model in a run's output folder: a resumed run has what it began with, whatever became of the original.
const COPY: &str = "start";
/// The files of a model folder.
const FILES: [&str; 2] = ["config.json", "model.safetensors"];

impl Start {
    /// The recipe's, if it has one; the first call copies it into the output folder, later ones open the copy.
    ///
    /// # Errors
    /// [`ModelError::BadInput`] when the folder holds no model of this program, or one of other shapes or classes, or when the
    /// output folder holds a run that began otherwise.
    pub fn of(recipe: &Recipe) -> Result<Option<Self>, ModelError> {
        let Some(original) = &recipe.start_from else {
            return Ok(None);
        };
        let copy = recipe.output.join(COPY);
        if FILES.iter().all(|name| copy.join(name).exists()) {
            return Self::open(&copy, recipe).map(Some);
        }
        if state::path(recipe, autoencoder::PHASE).exists() || recipe.output.join(FILES[1]).exists() {
            return Err(ModelError::BadInput(format!(
                "output: {} holds a run that began without start_from; give another folder",
                recipe.output.display()
            )));
        }
        let start = Self::open(original, recipe)?;
        let io = |path: PathBuf| move |source| ModelError::Io { path, source };
        std::fs::create_dir_all(&copy).map_err(io(copy.clone()))?;
        for name in FILES {
            let bytes = std::fs::read(original.join(name)).map_err(io(original.join(name)))?;
            write_atomically(&copy.join(name), |file| file.write_all(&bytes))?;
        }
        Ok(Some(start))
    }

    fn open(path: &Path, recipe: &Recipe) -> Result<Self, ModelError> {
        let bad = |what: &str| ModelError::BadInput(format!("start_from: {}: {what}", path.display()));
        let Some((json, weights)) = find_mini(path)?.filter(|_| path.is_dir()) else {
            return Err(bad(
                "no model of this program; give a folder with config.json and model.safetensors, such as a finished run's",
            ));
        };
        let config = MiniConfig::parse(&json)?;
        // Name, shift, guidance and the moving grid say nothing about weights, and neighbour projections may be new: they start at zero.
        let renamed = MiniConfig {
            name: recipe.model.name.clone(),
            shift: recipe.model.shift,
            prior_guidance: recipe.model.prior_guidance.clone(),
            alternating_grid: recipe.model.alternating_grid,
            transformer: MmditConfig {
                neighbours: config.transformer.neighbours || recipe.model.transformer.neighbours,
                ..config.transformer.clone()
            },
            ..config.clone()
        };
        if renamed != recipe.model {
            return Err(bad(
                "its config.json and the recipe's [model] differ in classes or shapes; copy them from the model",
            ));
        }
        Ok(Self {
            path: path.to_owned(),
            config,
            weights,
        })
    }

    /// Gives all variables the model's values, but for neighbour projections that it doesn't have; moments stay as they are.
    ///
    /// # Errors
    /// [`ModelError::BadInput`] when a tensor is missing or has another shape.
    pub fn fill(&self, optimizer: &mut Optimizer) -> Result<(), ModelError> {
        for slot in &mut optimizer.slots {
            if is_neighbours(&slot.name) && !self.config.transformer.neighbours {
                continue;
            }
            let tensor = self.weights.get(&slot.name)?;
            if tensor.dims() != slot.shape() {
                return Err(ModelError::BadInput(format!(
                    "start_from: {}: {} is {:?}, the recipe's model takes {:?}",
                    self.path.display(),
                    slot.name,
                    tensor.dims(),
                    slot.shape()
                )));
            }
            slot.value = tensor.flatten_all()?.to_dtype(candle_core::DType::F32)?.to_vec1()?;
            slot.average.clone_from(&slot.value);
            slot.publish()?;
        }
        Ok(())
    }

    /// The prior of each class, as the model stores them.
    pub fn priors(&self) -> Result<ClassPriors, ModelError> {
        mini_priors(&self.config, &self.weights)
    }
}
