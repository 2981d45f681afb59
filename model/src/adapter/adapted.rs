//! A network's weights with an adapter over them, as a backend for the network to be built from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{D, DType, Device, Shape, Tensor, Var};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use super::update::{Form, Magnitude, StoredUpdate, cut, matrix};
use crate::io::builder::{Builder, StoredMatrices};
use crate::io::checkpoint::{Part, StoredMatrix, Weights};

/// An update at a module of the network: all of it, or the rows that are the module's.
#[derive(Clone)]
pub struct Placed {
    pub update: Arc<StoredUpdate>,
    pub part: Part,
}

impl Placed {
    /// Whether it is built as a whole matrix: what has no low-rank form, and columns of a given length.
    fn is_dense(&self) -> bool {
        !matches!(self.update.form, Form::LowRank { .. })
            || matches!(self.update.magnitude, Some(Magnitude::OfColumns(_)))
    }

    fn has_gain(&self) -> bool {
        matches!(
            self.update.magnitude,
            Some(Magnitude::OfUpdated(_) | Magnitude::OverBase(_))
        )
    }
}

/// A base with an adapter over it.
#[derive(Clone)]
pub struct Adapted {
    /// Base and the adapter's own tensors.
    pub(super) weights: Weights,
    /// The adapter's file.
    pub(super) file: Weights,
    /// By the module's name in the network.
    pub(super) updates: Arc<BTreeMap<String, Placed>>,
    pub(super) strength: Var,
    used: Arc<Mutex<BTreeSet<String>>>,
}

impl Adapted {
    pub(super) fn new(weights: Weights, file: &Weights, updates: BTreeMap<String, Placed>, strength: Var) -> Self {
        Self {
            weights,
            file: file.clone(),
            updates: Arc::new(updates),
            strength,
            used: Arc::default(),
        }
    }

    /// Base and adapter as one set of tensors, without the updates.
    pub fn base(&self) -> &Weights {
        &self.weights
    }

    /// A builder over base and adapter.
    pub fn builder(&self, dtype: DType, device: &Device) -> Builder {
        let held = VarBuilder::from_backend(Box::new(self.clone()), dtype, device.clone());
        Builder::over(held, self.clone())
    }

    /// Tensors and updates that nobody has asked for.
    pub fn unused(&self) -> Vec<String> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut unused = self.weights.unused();
        let idle = self.updates.iter().filter(|(module, _)| !used.contains(*module));
        unused.extend(idle.map(|(_, placed)| placed.update.key.clone()));
        unused
    }

    /// What a layer asks for beside its weight and bias (the table in `io::update`).
    fn of_update(&self, name: &str, dtype: DType, device: &Device) -> Option<candle_core::Result<Tensor>> {
        let (module, which) = name.split_once(".lora_")?;
        let placed = self.updates.get(module)?;
        self.used
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(module.to_owned());
        let scale = placed.update.scale;
        let tensor = match (which, &placed.update.form) {
            ("strength", _) => return Some(Ok(self.strength.as_tensor().clone())),
            ("A.weight", Form::LowRank { down, .. }) => matrix(&self.file, down),
            ("B.weight", Form::LowRank { up, .. }) => {
                matrix(&self.file, up).and_then(|up| cut(&up, placed.part)? * scale)
            }
            ("dense", _) => self.dense(module, placed),
            ("gain", _) => self.gain(module, placed),
            ("bias", _) => {
                let bias = placed.update.bias.as_ref()?;
                vector(&self.file, bias).and_then(|bias| cut(&bias, placed.part)? * scale)
            }
            _ => return None,
        };
        Some(tensor.and_then(|tensor| tensor.to_dtype(dtype)?.to_device(device)))
    }

    /// The base's weight as a matrix in f32.
    fn weight(&self, module: &str) -> candle_core::Result<Tensor> {
        matrix(&self.weights, &format!("{module}.weight"))
    }

    /// The base's weight, and what the update adds to it before it is given its magnitude.
    fn weight_and_delta(&self, module: &str, placed: &Placed) -> candle_core::Result<(Tensor, Tensor)> {
        let (weight, delta) = (
            self.weight(module)?,
            cut(&placed.update.delta(&self.file)?, placed.part)?,
        );
        if weight.shape() != delta.shape() {
            candle_core::bail!(
                "the update {} makes {:?}, its layer is {:?}",
                placed.update.key,
                delta.dims(),
                weight.dims()
            );
        }
        Ok((weight, delta))
    }

    fn dense(&self, module: &str, placed: &Placed) -> candle_core::Result<Tensor> {
        let Some(Magnitude::OfColumns(key)) = &placed.update.magnitude else {
            return cut(&placed.update.delta(&self.file)?, placed.part);
        };
        if placed.part != Part::Whole {
            candle_core::bail!("the column lengths {key} are of a joined layer, which this model has in parts")
        }
        let (weight, delta) = self.weight_and_delta(module, placed)?;
        let updated = (&weight + delta)?;
        let gain = matrix(&self.file, key)?
            .broadcast_div(&(updated.sqr()?.sum_keepdim(0)?.sqrt()? + f64::from(f32::EPSILON))?)?;
        updated.broadcast_mul(&gain)? - weight
    }

    /// Factor on each row of the updated weight.
    fn gain(&self, module: &str, placed: &Placed) -> candle_core::Result<Tensor> {
        let norms = |rows: &Tensor| rows.sqr()?.sum(D::Minus1)?.sqrt();
        let (key, norms) = match &placed.update.magnitude {
            Some(Magnitude::OfUpdated(key)) => {
                let (weight, delta) = self.weight_and_delta(module, placed)?;
                (key, norms(&(weight + delta)?)?)
            }
            Some(Magnitude::OverBase(key)) => (key, (norms(&self.weight(module)?)? + f64::from(f32::EPSILON))?),
            _ => candle_core::bail!("{} has no magnitudes of rows", placed.update.key),
        };
        let magnitudes = cut(&vector(&self.file, key)?, placed.part)?;
        if magnitudes.shape() != norms.shape() {
            candle_core::bail!("{key} has {:?} numbers for {:?} rows", magnitudes.dims(), norms.dims());
        }
        magnitudes / norms
    }
}

fn vector(weights: &Weights, key: &str) -> candle_core::Result<Tensor> {
    let load = weights.load(key, DType::F32, &Device::Cpu);
    load.map_err(|e| candle_core::Error::Msg(e.to_string()))?.flatten_all()
}

impl SimpleBackend for Adapted {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        init: candle_nn::Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let Some(tensor) = self.of_update(name, dtype, device) else {
            return SimpleBackend::get(&self.weights, shape, name, init, dtype, device);
        };
        let tensor = tensor?;
        if tensor.shape() != &shape {
            candle_core::bail!(
                "tensor {name} has shape {:?}, its layer needs {:?}",
                tensor.dims(),
                shape.dims()
            );
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        match self.of_update(name, dtype, device) {
            Some(tensor) => tensor,
            None => self.weights.get_unchecked(name, dtype, device),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        let Some((module, which)) = name.split_once(".lora_") else {
            return self.weights.contains(name);
        };
        self.updates.get(module).is_some_and(|placed| match which {
            "A.weight" | "B.weight" => !placed.is_dense(),
            "dense" => placed.is_dense(),
            "gain" => placed.has_gain(),
            "bias" => placed.update.bias.is_some(),
            _ => which == "strength",
        })
    }
}

impl StoredMatrices for Adapted {
    fn stored(&self, shape: (usize, usize), name: &str, dtype: DType) -> candle_core::Result<Option<StoredMatrix>> {
        StoredMatrices::stored(&self.weights, shape, name, dtype)
    }
}
