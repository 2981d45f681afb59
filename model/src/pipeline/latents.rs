//! Latents as they leave this crate: to be kept, handed back and shown, but not to be looked into.

use candle_core::{DType, Device, Tensor};

use crate::error::ModelError;

/// Latents of one image.
#[derive(Clone)]
pub struct Latents(Tensor);

impl Latents {
    /// Latents of given numbers, channel by channel and row by row; sizes are channels, height and width.
    ///
    /// # Errors
    /// As many numbers as the sizes don't have.
    pub fn new(values: Vec<f32>, sizes: (usize, usize, usize)) -> Result<Self, ModelError> {
        let shape = (1, sizes.0, sizes.1, sizes.2);
        Ok(Self(Tensor::from_vec(values, shape, &Device::Cpu)?))
    }

    /// The numbers, channel by channel and row by row.
    ///
    /// # Errors
    /// What the device reports.
    pub fn values(&self) -> Result<Vec<f32>, ModelError> {
        Ok(self.0.to_dtype(DType::F32)?.flatten_all()?.to_vec1()?)
    }

    /// Width and height, in latent pixels.
    pub fn size(&self) -> (usize, usize) {
        match *self.0.dims() {
            [.., height, width] => (width, height),
            _ => (0, 0),
        }
    }

    /// Bytes that they hold.
    pub fn bytes(&self) -> usize {
        self.0.elem_count() * self.0.dtype().size_in_bytes()
    }

    /// Those of one image.
    ///
    /// # Shapes
    /// `[1, channels, height/factor, width/factor]`
    pub(crate) fn of(tensor: Tensor) -> Self {
        Self(tensor)
    }

    /// # Shapes
    /// `[1, channels, height/factor, width/factor]`
    pub(crate) fn tensor(&self) -> &Tensor {
        &self.0
    }

    /// The latents of each batch entry, each with memory of its own: a view would keep the whole batch for as long as one lane
    /// of it is kept.
    ///
    /// # Shapes
    /// `batch: [lanes, channels, height/factor, width/factor]`
    pub(crate) fn split(batch: &Tensor) -> Result<Vec<Self>, ModelError> {
        let lanes = batch.dim(0)?;
        let parts = batch.chunk(lanes, 0)?.into_iter();
        let own = parts.map(|part| if lanes == 1 { Ok(part) } else { part.copy() });
        Ok(own.map(|part| part.map(Self)).collect::<Result<_, _>>()?)
    }

    /// One batch of them.
    ///
    /// # Shapes
    /// Result: `[lanes, channels, height/factor, width/factor]`.
    pub(crate) fn join<'a>(lanes: impl IntoIterator<Item = &'a Self>) -> Result<Tensor, ModelError> {
        let lanes: Vec<&Tensor> = lanes.into_iter().map(|lane| &lane.0).collect();
        Ok(Tensor::cat(&lanes, 0)?)
    }
}
