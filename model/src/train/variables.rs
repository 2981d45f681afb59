//! Trainable variables, created on demand with seeded values.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor, Var};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};
use sha2::{Digest, Sha256};

use crate::io::builder::Builder;
use crate::sampler::noise::gaussian;

/// Variables by name. What a name starts with depends on the seed and the name alone, not on the order of creation.
#[derive(Clone)]
pub struct Variables {
    vars: Arc<Mutex<BTreeMap<String, Var>>>,
    seed: u64,
}

impl Variables {
    pub fn new(seed: u64) -> Self {
        Self {
            vars: Arc::default(),
            seed,
        }
    }

    /// A builder that creates the variables a model asks for.
    pub fn builder(&self) -> Builder {
        VarBuilder::from_backend(Box::new(self.clone()), DType::F32, Device::Cpu).into()
    }

    /// All variables, by name.
    pub fn all(&self) -> BTreeMap<String, Var> {
        self.vars.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A number for a name, the same on every machine.
pub fn name_key(name: &str) -> u64 {
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(8).fold(0, |key, &byte| key << 8 | u64::from(byte))
}

impl SimpleBackend for Variables {
    fn get(&self, shape: Shape, name: &str, init: Init, _: DType, device: &Device) -> Result<Tensor> {
        let mut vars = self.vars.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(var) = vars.get(name) {
            return Ok(var.as_tensor().clone());
        }
        let len = shape.elem_count();
        let values = match init {
            Init::Const(value) => vec![value as f32; len],
            Init::Randn { mean, stdev } => {
                let normal = gaussian(self.seed, name_key(name), 0, len);
                normal
                    .into_iter()
                    .map(|n| (mean + stdev * f64::from(n)) as f32)
                    .collect()
            }
            other => candle_core::bail!("variable {name}: no seeded form of {other:?}"),
        };
        let var = Var::from_tensor(&Tensor::from_vec(values, shape, device)?)?;
        let tensor = var.as_tensor().clone();
        vars.insert(name.to_owned(), var);
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> Result<Tensor> {
        match self.vars.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            Some(var) => Ok(var.as_tensor().clone()),
            None => candle_core::bail!("variable {name} does not exist"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.vars
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .contains_key(name)
    }
}
