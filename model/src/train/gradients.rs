//! Gradients summed over the batches of a step.

use std::collections::{BTreeMap, HashMap, HashSet};

use candle_core::backprop::GradStore;
use candle_core::{DType, Result, TensorId, Var};

/// Gradients summed over batches, on the host in f32.
#[derive(Default)]
pub struct GradientSums {
    by_name: HashMap<String, Vec<f32>>,
}

impl GradientSums {
    /// Adds what a backward pass found for the variables.
    pub fn add(&mut self, variables: &BTreeMap<String, Var>, grads: &GradStore) -> Result<()> {
        let found: HashSet<TensorId> = grads.get_ids().copied().collect();
        for (name, var) in variables
            .iter()
            .filter(|(_, var)| found.contains(&var.as_tensor().id()))
        {
            let Some(grad) = grads.get(var.as_tensor()) else {
                continue;
            };
            let grad: Vec<f32> = grad.flatten_all()?.to_dtype(DType::F32)?.to_vec1()?;
            match self.by_name.get_mut(name) {
                Some(sum) => sum.iter_mut().zip(grad).for_each(|(sum, g)| *sum += g),
                None => {
                    self.by_name.insert(name.clone(), grad);
                }
            }
        }
        Ok(())
    }

    /// The gradient of a variable, divided by the number of batches.
    pub fn take_mean(&mut self, name: &str, batches: usize) -> Option<Vec<f32>> {
        let mut sum = self.by_name.remove(name)?;
        let share = 1.0 / batches as f32;
        for g in &mut sum {
            *g *= share;
        }
        Some(sum)
    }
}
