//! One tensor of a checkpoint: where it is stored, which part of it a model sees, and how it is read.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};

use super::convert::{self, Stored};
use super::error::CheckpointError;
use super::format::Format;
use super::header::Entry;
use super::source::{Source, TensorBytes};
use super::stored::{self, StoredMatrix};
use crate::error::ModelError;

/// How a tensor is cut out of the stored one, where a layout stores it another way than diffusers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// As stored.
    Whole,
    /// One of equal parts along the first dimension: a query out of a joint query, key and value.
    Rows {
        /// Which part, from 0.
        index: usize,
        /// How many there are.
        of: usize,
    },
    /// Halves along the first dimension exchanged: (shift, scale) stored where (scale, shift) is asked for.
    HalvesSwapped,
    /// A 1x1 convolution as the matrix that it is.
    Matrix,
    /// With a first dimension of 1, which some writers drop.
    Batch,
}

impl Part {
    /// Shape of the part of a tensor, or `None` when the tensor can't be cut that way.
    fn shape(self, stored: &[usize]) -> Option<Vec<usize>> {
        let mut shape = stored.to_vec();
        match self {
            Self::Whole => {}
            Self::Rows { of, .. } => {
                let rows = shape.first_mut().filter(|rows| rows.is_multiple_of(of))?;
                *rows /= of;
            }
            Self::HalvesSwapped => {
                stored.first().filter(|rows| rows.is_multiple_of(2))?;
            }
            Self::Batch => shape.insert(0, 1),
            Self::Matrix => {
                while shape.len() > 2 && shape.last() == Some(&1) {
                    shape.pop();
                }
            }
        }
        Some(shape)
    }
}

/// A tensor that can be asked for.
#[derive(Clone)]
pub(super) struct Slot {
    pub source: Arc<Source>,
    /// Its name in the file.
    pub stored_key: String,
    pub entry: Entry,
    pub part: Part,
    /// Factor that the file gives its numbers, if any.
    pub scale: Option<f32>,
}

impl Slot {
    pub fn shape(&self) -> Option<Vec<usize>> {
        self.part.shape(&self.entry.shape)
    }

    /// The tensor in `dtype`; in its own when that is `None`.
    ///
    /// # Shapes
    /// As the file says.
    pub fn load(&self, dtype: Option<DType>, device: &Device) -> Result<Tensor, ModelError> {
        let Slot {
            source,
            stored_key: key,
            entry,
            part,
            scale,
        } = self;
        let unsupported = || {
            CheckpointError::Dtype {
                key: key.clone(),
                dtype: entry.dtype_name.clone(),
            }
            .at(&source.name)
        };
        let stored = entry.format.ok_or_else(unsupported)?;
        let wanted = dtype.unwrap_or(stored.dtype());
        if stored.dtype().is_int() && wanted.is_float() {
            return Err(unsupported());
        }
        let shape = self
            .shape()
            .filter(|shape| Self::can_be_cut(shape, stored))
            .ok_or_else(|| {
                ModelError::BadInput(format!(
                    "{}: tensor {key} of shape {:?} can't be divided as this layout asks",
                    source.name, entry.shape
                ))
            })?;
        let (skip, len) = self.range(&shape, stored);
        let bytes = source.tensor_bytes(entry, skip, len)?;
        let tensor = match (stored, stored.table(scale.unwrap_or(1.0))) {
            (Format::Blocks(kind), _) => convert::unquantised(&bytes, kind, &shape, wanted, device)?,
            (_, Some(table)) => convert::tensor(&bytes, Stored::Table(&table), &shape, wanted, device)?,
            (_, None) => convert::tensor(&bytes, Stored::Plain(stored.dtype()), &shape, wanted, device)?,
        };
        let tensor = match (tensor, scale) {
            (Some(tensor), Some(scale)) if stored.table(1.0).is_none() => Some((tensor * f64::from(*scale))?),
            (tensor, _) => tensor,
        };
        let tensor = tensor.ok_or_else(|| CheckpointError::NotFinite { key: key.clone() }.at(&source.name))?;
        if *part == Part::HalvesSwapped {
            let halves = tensor.chunk(2, 0)?;
            return Ok(Tensor::cat(&[&halves[1], &halves[0]], 0)?);
        }
        Ok(tensor)
    }

    /// Whether the part begins and ends with a block of numbers.
    fn can_be_cut(shape: &[usize], stored: Format) -> bool {
        shape.iter().product::<usize>().is_multiple_of(stored.block())
    }

    /// Where the part's bytes begin in the stored tensor, and how many they are.
    fn range(&self, shape: &[usize], stored: Format) -> (usize, usize) {
        let len = stored.bytes(shape.iter().product());
        match self.part {
            Part::Rows { index, .. } => (index * len, len),
            _ => (0, len),
        }
    }

    /// Format and shape of a matrix that a product in `compute` can read where it is, if that is worth it.
    fn stays(&self, compute: DType) -> Option<(Format, [usize; 2])> {
        let (stored, shape) = (self.entry.format?, self.shape()?);
        let shape: [usize; 2] = shape.try_into().ok()?;
        let stays = self.source.is_file()
            && StoredMatrix::serves(stored, compute)
            && (self.scale.is_none() || stored.table(1.0).is_some())
            && shape.iter().product::<usize>() >= stored::LEAST_VALUES
            && shape[1].is_multiple_of(stored.block())
            && self.part != Part::HalvesSwapped
            && cfg!(target_endian = "little");
        stays.then_some((stored, shape))
    }

    /// Memory that it takes on a processor, in bytes: of the file, or converted.
    pub fn resident_bytes(&self, compute: DType) -> u64 {
        let format = self.stays(compute).map_or(Format::Plain(compute), |(stored, _)| stored);
        format.bytes(self.shape().unwrap_or_default().iter().product()) as u64
    }

    /// The matrix where it is.
    pub fn stored(&self, compute: DType) -> Result<Option<StoredMatrix>, ModelError> {
        let Some((stored, shape)) = self.stays(compute) else {
            return Ok(None);
        };
        let (skip, len) = self.range(&shape, stored);
        let key = &self.stored_key;
        let (TensorBytes::Mapped(map), Some(watched)) =
            (self.source.tensor_bytes(&self.entry, skip, len)?, self.source.watched())
        else {
            return Ok(None);
        };
        let Some(matrix) = StoredMatrix::new(
            map,
            Arc::clone(watched),
            (stored, self.scale.unwrap_or(1.0)),
            shape.into(),
        ) else {
            return Ok(None);
        };
        if !matrix.is_finite()? {
            return Err(CheckpointError::NotFinite { key: key.clone() }.at(&self.source.name));
        }
        Ok(Some(matrix))
    }
}
