//! What models are built from: candle's builder, which can also leave large matrices in their file.

use std::ops::Deref;
use std::sync::Arc;

use candle_core::{DType, Result, Tensor};
use candle_nn::{Init, VarBuilder};

use super::checkpoint::StoredMatrix;
use super::update::Update;
use crate::kernels;

/// Where matrices can be left in their file.
pub trait StoredMatrices: Send + Sync {
    /// The matrix of that name for products in `dtype`, or `None` when it has to be held in memory: it is small, must be
    /// converted or merged first, or is not in a file.
    ///
    /// # Errors
    /// A wrong shape, or numbers that aren't finite.
    fn stored(&self, shape: (usize, usize), name: &str, dtype: DType) -> Result<Option<StoredMatrix>>;
}

/// A [`VarBuilder`], with the file behind it where there is one.
#[derive(Clone)]
pub struct Builder {
    held: VarBuilder<'static>,
    file: Option<Arc<dyn StoredMatrices>>,
}

impl Builder {
    /// A builder whose large matrices may stay in `file`; without effect on a GPU, which can't reach them.
    pub fn over(held: VarBuilder<'static>, file: impl StoredMatrices + 'static) -> Self {
        let file: Option<Arc<dyn StoredMatrices>> = held.device().is_cpu().then(|| Arc::new(file) as _);
        Self { held, file }
    }

    /// The builder of what is below `name`.
    #[must_use]
    pub fn pp(&self, name: impl ToString) -> Self {
        Self {
            held: self.held.pp(name),
            file: self.file.clone(),
        }
    }

    /// The weight of a linear layer, `[outputs, inputs]`, named `weight`, with an adapter's update where there is one.
    ///
    /// # Errors
    /// Tensors that are missing or of another shape.
    pub fn matrix(&self, shape: (usize, usize), init: Init) -> Result<Weight> {
        let name = match self.held.prefix() {
            prefix if prefix.is_empty() => "weight".to_owned(),
            prefix => format!("{prefix}.weight"),
        };
        let stored = match &self.file {
            Some(file) => file.stored(shape, &name, self.held.dtype())?,
            None => None,
        };
        let plain = match stored {
            Some(matrix) => Weight::Stored(matrix),
            None => Weight::Held(self.held.get_with_hints(shape, "weight", init)?),
        };
        self.updated(plain, shape)
    }

    /// A weight of that many outputs and inputs with an adapter's update of this layer, where there is one.
    ///
    /// # Errors
    /// An update of another shape than the layer's.
    pub fn updated(&self, plain: Weight, shape: (usize, usize)) -> Result<Weight> {
        Ok(match Update::of(shape, &self.held)? {
            Some(update) => Weight::Updated(Box::new(plain), update),
            None => plain,
        })
    }
}

impl From<VarBuilder<'static>> for Builder {
    fn from(held: VarBuilder<'static>) -> Self {
        Self { held, file: None }
    }
}

/// For candle's own layers.
impl From<Builder> for VarBuilder<'static> {
    fn from(builder: Builder) -> Self {
        builder.held
    }
}

impl Deref for Builder {
    type Target = VarBuilder<'static>;

    fn deref(&self) -> &Self::Target {
        &self.held
    }
}

/// The weight of a linear layer.
#[derive(Clone)]
pub enum Weight {
    /// In memory, of the compute dtype; may be trained.
    Held(Tensor),
    /// In its file.
    Stored(StoredMatrix),
    /// Either of them with an adapter's update.
    Updated(Box<Self>, Update),
}

impl Weight {
    /// `x weightᵀ + bias` on the last dimension.
    ///
    /// # Shapes
    /// `x: [.., inputs]`, `bias: [outputs]`, result `[.., outputs]`.
    ///
    /// # Errors
    /// Tensors of other shapes.
    pub fn linear(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        match self {
            Self::Held(weight) => kernels::linear(x, weight, bias),
            Self::Stored(matrix) => matrix.linear(x, bias),
            Self::Updated(plain, update) => update.linear(x, bias, |bias| plain.linear(x, bias)),
        }
    }
}
