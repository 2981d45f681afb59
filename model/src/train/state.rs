//! Resumable state and the finished model, written atomically.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};

use super::optimizer::Optimizer;
use super::recipe::Recipe;
use crate::error::ModelError;
use crate::io::atomic::write_atomically;
use crate::io::checkpoint::Weights;

/// Tensor that holds the step count.
const STEP: &str = "step";

/// The state file of a phase.
pub fn path(recipe: &Recipe, phase: &str) -> PathBuf {
    recipe.output.join(format!("{phase}.state.safetensors"))
}

/// Writes values, moments and averages of all variables.
pub fn save(path: &Path, optimizer: &Optimizer) -> Result<(), ModelError> {
    save_with(path, optimizer, HashMap::new())
}

/// As [`save`], with further tensors.
pub fn save_with(path: &Path, optimizer: &Optimizer, extra: HashMap<String, Tensor>) -> Result<(), ModelError> {
    let mut tensors = extra;
    for slot in &optimizer.slots {
        let parts = [
            ("value", &slot.value),
            ("mean", &slot.mean),
            ("square", &slot.square),
            ("average", &slot.average),
        ];
        for (part, values) in parts {
            tensors.insert(
                format!("{part}.{}", slot.name),
                Tensor::from_slice(values, slot.shape(), &Device::Cpu)?,
            );
        }
    }
    tensors.insert(STEP.to_owned(), Tensor::new(&[optimizer.step as i64], &Device::Cpu)?);
    write_tensors(path, &tensors)
}

/// Continues from a saved state if there is one; returns whether there was.
pub fn resume(path: &Path, optimizer: &mut Optimizer) -> Result<bool, ModelError> {
    if !path.exists() {
        return Ok(false);
    }
    let state = Weights::open(path)?;
    for slot in &mut optimizer.slots {
        let read = |part: &str| -> Result<Vec<f32>, ModelError> {
            let name = format!("{part}.{}", slot.name);
            let tensor = state.get(&name)?;
            if tensor.dims() != slot.shape() {
                return Err(ModelError::BadInput(format!(
                    "{}: {name} has another shape than the recipe's model; use another output folder or delete the state",
                    path.display()
                )));
            }
            Ok(tensor.flatten_all()?.to_vec1()?)
        };
        let (value, mean, square, average) = (read("value")?, read("mean")?, read("square")?, read("average")?);
        (slot.value, slot.mean, slot.square, slot.average) = (value, mean, square, average);
        slot.publish()?;
    }
    optimizer.step = state.get(STEP)?.to_vec1::<i64>()?.first().map_or(0, |&s| s as usize);
    Ok(true)
}

/// Writes tensors as safetensors, atomically.
pub fn write_tensors(path: &Path, tensors: &HashMap<String, Tensor>) -> Result<(), ModelError> {
    let bytes = safetensors::serialize(tensors, None).map_err(|e| ModelError::Io {
        path: path.to_owned(),
        source: std::io::Error::other(e),
    })?;
    write_atomically(path, |file| file.write_all(&bytes))
}

/// Writes a model's weights to `path`, the averages of all variables in f16 and extra tensors in f32, and its config to the
/// recipe's output folder.
pub fn export(
    recipe: &Recipe,
    phases: &[&Optimizer],
    extra: HashMap<String, Tensor>,
    path: &Path,
) -> Result<(), ModelError> {
    let mut tensors = extra;
    for slot in phases.iter().flat_map(|o| &o.slots) {
        let tensor = Tensor::from_slice(&slot.average, slot.shape(), &Device::Cpu)?.to_dtype(DType::F16)?;
        tensors.insert(slot.name.clone(), tensor);
    }
    write_tensors(path, &tensors)?;
    let config = serde_json::to_string_pretty(&recipe.model).map_err(|e| ModelError::BadInput(e.to_string()))?;
    write_atomically(&recipe.output.join("config.json"), |file| writeln!(file, "{config}"))
}
