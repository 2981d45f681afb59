//! Saved states: the last few, and the best adapter.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::network::Network;
use super::recipe::AdapterRecipe;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;
use crate::train::optimizer::Optimizer;
use crate::train::state;

/// The adapter of the last saved state, and that of the best validation.
pub const ADAPTER: &str = "adapter.safetensors";
pub const BEST: &str = "best.safetensors";
/// Tensor with the smallest validation loss so far.
const BEST_LOSS: &str = "best_validation_loss";

/// What a run keeps on disk.
pub struct Keeper<'a> {
    recipe: &'a AdapterRecipe,
    folder: PathBuf,
    /// Smallest validation loss so far.
    pub best: Option<f32>,
}

impl<'a> Keeper<'a> {
    /// Over the recipe's output folder; folders are made.
    pub fn open(recipe: &'a AdapterRecipe) -> Result<Self, ModelError> {
        let folder = recipe.output.join("states");
        std::fs::create_dir_all(&folder).map_err(|source| ModelError::Io {
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            recipe,
            folder,
            best: None,
        })
    }

    /// Continues from the newest state that can be read; true when there is one.
    ///
    /// # Errors
    /// Bad input when the state is another recipe's.
    pub fn resume(&mut self, optimizer: &mut Optimizer) -> Result<bool, ModelError> {
        for path in self.states().into_iter().rev() {
            // A state is renamed when it is whole; one that is damaged all the same leaves the one before it.
            let Ok(weights) = Weights::open(&path) else { continue };
            state::resume(&path, optimizer)?;
            self.best = weights
                .get(BEST_LOSS)
                .ok()
                .and_then(|t| t.to_vec1::<f32>().ok()?.first().copied());
            return Ok(true);
        }
        Ok(false)
    }

    /// Saves the state and the adapter, then drops states beyond those that are kept.
    pub fn save(&self, optimizer: &Optimizer) -> Result<(), ModelError> {
        let mut extra = HashMap::new();
        if let Some(best) = self.best {
            extra.insert(BEST_LOSS.to_owned(), Tensor::new(&[best], &Device::Cpu)?);
        }
        let path = self.folder.join(format!("step-{:08}.safetensors", optimizer.step));
        state::save_with(&path, optimizer, extra)?;
        Network::export(self.recipe, optimizer, &self.recipe.output.join(ADAPTER))?;
        let states = self.states();
        let surplus = states.len().saturating_sub(self.recipe.report.keep);
        for old in &states[..surplus] {
            std::fs::remove_file(old).map_err(|source| ModelError::Io {
                path: old.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Notes a validation loss; true, and the adapter kept, when it is the best so far.
    pub fn judge(&mut self, loss: f32, optimizer: &Optimizer) -> Result<bool, ModelError> {
        if self.best.is_some_and(|best| loss >= best) {
            return Ok(false);
        }
        Network::export(self.recipe, optimizer, &self.recipe.output.join(BEST))?;
        self.best = Some(loss);
        Ok(true)
    }

    /// Saved states, oldest first.
    fn states(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return Vec::new();
        };
        let is_state =
            |path: &PathBuf| path.extension().is_some_and(|e| e == "safetensors") && name(path).starts_with("step-");
        let mut states: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_state).collect();
        states.sort();
        states
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
