//! Saved states: the last few, and the best of what is trained.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};

use super::optimizer::Optimizer;
use super::state;
use crate::error::ModelError;
use crate::io::checkpoint::Weights;

/// Tensor with the smallest validation loss so far.
const BEST_LOSS: &str = "best_validation_loss";
/// What is trained as of the best validation.
const BEST: &str = "best.safetensors";

/// Writes what is trained, in the form in which it is used, to a path.
pub type Export<'a> = Box<dyn Fn(&Optimizer, &Path) -> Result<(), ModelError> + 'a>;

/// What a run keeps on disk.
pub struct Keeper<'a> {
    folder: PathBuf,
    /// What is trained as of the last saved state.
    last: PathBuf,
    best: PathBuf,
    /// States that are kept.
    count: usize,
    export: Export<'a>,
    /// Smallest validation loss so far.
    best_loss: Option<f32>,
}

impl<'a> Keeper<'a> {
    /// In an output folder: `count` states, and the file `last` beside the best one. Folders are made.
    pub fn open(output: &Path, last: &str, count: usize, export: Export<'a>) -> Result<Self, ModelError> {
        let folder = output.join("states");
        std::fs::create_dir_all(&folder).map_err(|source| ModelError::Io {
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            folder,
            last: output.join(last),
            best: output.join(BEST),
            count,
            export,
            best_loss: None,
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
            self.best_loss = weights
                .get(BEST_LOSS)
                .ok()
                .and_then(|t| t.to_vec1::<f32>().ok()?.first().copied());
            return Ok(true);
        }
        Ok(false)
    }

    /// Saves the state and what is trained, then drops states beyond those that are kept.
    pub fn save(&self, optimizer: &Optimizer) -> Result<(), ModelError> {
        let mut extra = HashMap::new();
        if let Some(best) = self.best_loss {
            extra.insert(BEST_LOSS.to_owned(), Tensor::new(&[best], &Device::Cpu)?);
        }
        let path = self.folder.join(format!("step-{:08}.safetensors", optimizer.step));
        state::save_with(&path, optimizer, extra)?;
        (self.export)(optimizer, &self.last)?;
        let states = self.states();
        let surplus = states.len().saturating_sub(self.count);
        for old in &states[..surplus] {
            std::fs::remove_file(old).map_err(|source| ModelError::Io {
                path: old.clone(),
                source,
            })?;
        }
        Ok(())
    }

    /// Notes a validation loss, which is a number; true, and what is trained kept, when it is the best so far.
    pub fn judge(&mut self, loss: f32, optimizer: &Optimizer) -> Result<bool, ModelError> {
        if self.best_loss.is_some_and(|best| loss >= best) {
            return Ok(false);
        }
        (self.export)(optimizer, &self.best)?;
        self.best_loss = Some(loss);
        Ok(true)
    }

    /// What is trained as of the last saved state.
    pub fn last(&self) -> &Path {
        &self.last
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
