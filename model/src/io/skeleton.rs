//! What a model asks of its checkpoint: names and shapes, without reading or holding a tensor.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use super::builder::Builder;
use super::checkpoint::Weights;

/// Stands in for a checkpoint while a model is built: every tensor is there, as one zero that is spread over its shape.
#[derive(Clone)]
pub struct Skeleton {
    asked: Arc<Mutex<BTreeMap<String, Vec<usize>>>>,
    /// Whose optional tensors are there; all are when `None`.
    like: Option<Weights>,
}

impl Skeleton {
    /// Optional tensors are there where `like` has them; without it, all are.
    pub fn new(like: Option<&Weights>) -> Self {
        Self {
            asked: Arc::default(),
            like: like.cloned(),
        }
    }

    /// A builder whose tensors take no memory.
    pub fn builder(&self) -> Builder {
        VarBuilder::from_backend(Box::new(self.clone()), DType::F32, Device::Cpu).into()
    }

    /// What has been asked for so far, by name.
    pub fn shapes(&self) -> BTreeMap<String, Vec<usize>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl SimpleBackend for Skeleton {
    fn get(&self, shape: Shape, name: &str, _: candle_nn::Init, dtype: DType, device: &Device) -> Result<Tensor> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name.to_owned(), shape.dims().to_vec());
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, dtype: DType, device: &Device) -> Result<Tensor> {
        match self.like.as_ref().and_then(|like| like.shape(name)) {
            Some(shape) => SimpleBackend::get(self, Shape::from(shape), name, candle_nn::init::ZERO, dtype, device),
            None => candle_core::bail!("tensor {name} is missing"),
        }
    }

    fn contains_tensor(&self, name: &str) -> bool {
        match &self.like {
            Some(like) => like.contains(name),
            None => !name.contains("lora_"),
        }
    }
}
