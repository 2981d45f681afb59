//! Building a model over headers alone: shapes are checked, nothing is read.

use candle_core::{DType, Device, Result, Shape, Tensor};
use candle_nn::VarBuilder;
use candle_nn::var_builder::SimpleBackend;

use crate::error::ModelError;
use crate::io::builder::Builder;
use crate::io::checkpoint::Weights;

/// Runs `build` over stand-ins of the right shapes that take no memory; tensors it asks for count as used.
///
/// # Errors
/// Bad input when a tensor is missing or has another shape than it is asked for.
pub(super) fn check<T>(
    weights: &Weights,
    device: &Device,
    build: impl FnOnce(Builder) -> Result<T>,
) -> std::result::Result<(), ModelError> {
    let vb = VarBuilder::from_backend(Box::new(Outline(weights.clone())), DType::F32, device.clone());
    build(vb.into()).map_err(|e| ModelError::in_tensors(weights.name(), &e))?;
    Ok(())
}

struct Outline(Weights);

impl Outline {
    fn stand_in(shape: &Shape, device: &Device) -> Result<Tensor> {
        Tensor::zeros((), DType::F32, device)?.broadcast_as(shape)
    }
}

impl SimpleBackend for Outline {
    fn get(&self, shape: Shape, name: &str, _: candle_nn::Init, _: DType, device: &Device) -> Result<Tensor> {
        let tensor = self.get_unchecked(name, DType::F32, device)?;
        if tensor.shape() != &shape {
            candle_core::bail!(
                "tensor {name} has shape {:?}, the config asks for {:?}",
                tensor.dims(),
                shape.dims()
            );
        }
        Ok(tensor)
    }

    fn get_unchecked(&self, name: &str, _: DType, device: &Device) -> Result<Tensor> {
        let Some(shape) = self.0.shape(name) else {
            candle_core::bail!("tensor {name} is missing: is this the encoder that its config describes?")
        };
        self.0.mark(name);
        Self::stand_in(&Shape::from(shape), device)
    }

    fn contains_tensor(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}
